# One image for every role: `mezcal api`, `worker`, `beat`, `flower`. By itself it runs all of mezcal, as `mezcal up`
# does, in front of the built-in samples or of what REPO_BASE_URL names; docker-compose.yml gives each role a container
# of its own. For amd64 and arm64: every wheel is published for both.
#
#   docker build --build-arg REVISION="$(git rev-parse HEAD)" -t mezcal .

# The only base image. Whoever publishes an image gives it with its digest, to build the same bytes again:
# --build-arg PYTHON=python:3.11-slim-bookworm@sha256:... All else is pinned by requirements/, hash by hash.
ARG PYTHON=python:3.11-slim-bookworm
# run, or otel: with OpenTelemetry (docs/tracing.md).
ARG LOCK=run

FROM ${PYTHON} AS build

ARG LOCK

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1
RUN python -m venv /opt/mezcal
WORKDIR /src

# First what changes seldom, so that its layer is kept. Wheels only, but for pyvips, which is Python alone and is published
# as source: nothing is compiled.
COPY requirements/run.txt requirements/otel.txt requirements/
RUN /opt/mezcal/bin/pip install --require-hashes --only-binary=:all: --no-binary=pyvips -r requirements/${LOCK}.txt

COPY pyproject.toml README.md LICENSE THIRD-PARTY.md celeryconfig.py ./
COPY mezcal mezcal
COPY worker worker
COPY api api
RUN /opt/mezcal/bin/pip install --no-deps --no-build-isolation . \
    && /opt/mezcal/bin/pip uninstall --yes pip

# What no role reads: docs/deployment.md has what the image holds, and why.
COPY deploy/image deploy/image
RUN python deploy/image/slim.py /opt/mezcal

# Bytecode by the sources' hashes, not their times: the same files give the same bytes. Some packages carry files for
# other Pythons, which do not compile, and need not.
RUN /opt/mezcal/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/mezcal/lib || true


FROM ${PYTHON}

ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="mezcal" \
      org.opencontainers.image.description="Cached JPEG derivatives of preservation masters, made once by a pool of workers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"

# A user of its own, without a shell; the folders that are written to, and nothing else, belong to it. Others may not read
# them. Group 0 may write, for clusters that run each container as another user of that group.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin mezcal \
    && install -d -o mezcal -g root -m 0770 /var/cache/mezcal /var/lib/mezcal \
    && install -d -o mezcal -g mezcal /run/secrets/redis /run/secrets/api /run/secrets/worker /run/secrets/listen \
        /run/secrets/flower /run/secrets/metrics \
    && install -d -o mezcal -g root -m 0770 /run/mezcal

COPY --from=build /opt/mezcal /opt/mezcal

ENV PATH=/opt/mezcal/bin:$PATH \
    DATA_DIR=/var/lib/mezcal \
    STORAGE_DIR=/var/cache/mezcal \
    ROLE_SIGN=/tmp/mezcal.role \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

USER 10001:10001
WORKDIR /tmp
VOLUME ["/var/cache/mezcal", "/var/lib/mezcal"]
EXPOSE 5000 5555

# Each role leaves word in ROLE_SIGN of how its health is told: the API by /healthz, for it serves what is cached
# whatever else is away; a worker by the file that its event loop touches, for a look over the broker would fail with
# the broker.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["mezcal", "healthy"]

# Finishes what has begun: give `docker stop` DRAIN_SECONDS + 10.
STOPSIGNAL SIGTERM

ENTRYPOINT ["mezcal"]
CMD ["up", "--host", "0.0.0.0"]
