# One image for every role. By itself it runs all of mezcal, as `mezcal up` does, in front of the built-in samples or of
# what REPO_BASE_URL names; docker-compose.yml gives each role a container of its own.

FROM python:3.11-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/mezcal
WORKDIR /src

# First what changes seldom, so that its layer is kept. Wheels only, but for pyvips, which is Python alone and is published
# as source: nothing is compiled.
COPY requirements/run.txt requirements/run.txt
RUN /opt/mezcal/bin/pip install --require-hashes --only-binary=:all: --no-binary=pyvips -r requirements/run.txt

COPY pyproject.toml README.md LICENSE celeryconfig.py ./
COPY mezcal mezcal
COPY worker worker
COPY api api
RUN /opt/mezcal/bin/pip install --no-deps --no-build-isolation .


FROM python:3.11-slim-bookworm

ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mezcal" \
      org.opencontainers.image.description="Cached JPEG derivatives of preservation masters, made once by a pool of workers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# A user of its own, without a shell; the two folders that are written to, and nothing else, belong to it.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin mezcal \
    && install -d -o mezcal -g mezcal /var/cache/mezcal /var/lib/mezcal

COPY --from=build /opt/mezcal /opt/mezcal

ENV PATH=/opt/mezcal/bin:$PATH \
    DATA_DIR=/var/lib/mezcal \
    STORAGE_DIR=/var/cache/mezcal \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

USER 10001:10001
WORKDIR /tmp
VOLUME ["/var/cache/mezcal", "/var/lib/mezcal"]
EXPOSE 5000

# Finishes what has begun: give `docker stop` DRAIN_SECONDS + 10.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:5000/readyz', timeout=4)"]

CMD ["mezcal", "up", "--host", "0.0.0.0"]
