# mezcal: `make` alone lists the targets.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTHON ?= python3

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

OLD_PYTHON := mezcal needs Python 3.11 or later; name one so: make PYTHON=python3.12
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "$(OLD_PYTHON)")'
	@$(PYTHON) -m venv $(VENV)

# The lock files name every package with its hash. A stamp file makes the second run fast.
INSTALL_LOCKED := @$(BIN)/python tools/release/install_packages.py
$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "mezcal: installing into $(VENV) (about 110 MB to download, 430 MB on disk); it takes a minute or two"
	$(INSTALL_LOCKED) requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@echo "mezcal: installed"
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	@echo "mezcal: installing what the tests need (about 100 MB to download)"
	$(INSTALL_LOCKED) requirements/dev.txt
	@touch $@

.PHONY: install
install: $(VENV)/run.stamp ## Create .venv and install mezcal into it

.PHONY: run
run: install ## Run everything on this machine, at port 5000
	@exec $(BIN)/mezcal up $(ARGS)

.PHONY: check
check: $(VENV)/dev.stamp ## Check lint, types, import contracts and container files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml docker-compose.s3.yml
	$(BIN)/kubernetes-validate --strict --quiet deploy/kubernetes/base/[!k]*.yaml deploy/kubernetes/examples/*.yaml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/image.yml
	$(BIN)/python -m tools.check_nginx

.PHONY: test
test: check ## Run the checks and all tests except the slow ones
	$(BIN)/pytest -m "not slow" --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: test-slow
test-slow: $(VENV)/dev.stamp ## Run the slow tests
	$(BIN)/pytest -m slow

.PHONY: test-queues
test-queues: $(VENV)/dev.stamp ## Run the tests that need ActiveMQ and RabbitMQ (MESSAGES=600)
	$(BIN)/pytest -m queues

.PHONY: test-downstream
test-downstream: $(VENV)/dev.stamp ## Run the tests that need Varnish (CHANGES=200, or 1000)
	$(BIN)/pytest -m downstream

.PHONY: image-test
image-test: $(VENV)/dev.stamp ## Build the image and run it and the compositions: needs podman or docker (ENGINE=path)
	$(BIN)/pytest -m images -rs

.PHONY: test-iipimage
test-iipimage: $(VENV)/dev.stamp ## Run the tests that need IIPImage (Debian: iipimage-server, nginx-light)
	$(BIN)/pytest -m iipimage

.PHONY: test-root
test-root: $(VENV)/dev.stamp ## Run the tests that need root: in networks of their own
	$(BIN)/pytest -m root

.PHONY: test-hosts
test-hosts: $(VENV)/dev.stamp ## Run the tests of several hosts: need root and /dev/net/tun (SEED=1)
	SEED=$(SEED) $(BIN)/pytest -m hosts -rs -s

.PHONY: fuzz
fuzz: install ## Convert damaged masters, for SECONDS=600 (SEED=n repeats a run)
	$(BIN)/python -m tools.fuzz_masters --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED))

.PHONY: fuzz-http
fuzz-http: $(VENV)/dev.stamp ## Send damaged requests to a running mezcal (SECONDS=600 SEED=1)
	$(BIN)/python -m tests.fuzz.fuzz_http --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1)

.PHONY: docs
docs: install ## Update the tables in docs/ and THIRD-PARTY.md
	$(BIN)/python -m tools.settings_table
	$(BIN)/python -m tools.metrics_table
	$(BIN)/python -m tools.alarms_table
	$(BIN)/python -m tools.formats_table
	$(BIN)/python -m tools.release.licences
	$(BIN)/python -m tools.failures_table

.PHONY: e2e
e2e: $(VENV)/dev.stamp $(VENV)/tools.stamp ## Test with real IIIF servers and a viewer: needs node, npm, Chromium, libmagic
	npm --prefix tests/e2e/viewer ci --no-audit --no-fund
	$(BIN)/pytest -m slow tests/e2e/test_viewer.py tests/e2e/test_pyramid.py tests/e2e/test_operator.py

.PHONY: screenshots
screenshots: $(VENV)/dev.stamp ## Update the screenshots in docs/images: needs node, npm and Chromium
	npm --prefix tests/e2e/viewer ci --no-audit --no-fund
	$(BIN)/python -m tools.screenshots

SECONDS ?= 300
SEED ?= 1
.PHONY: chaos
chaos: $(VENV)/dev.stamp ## Kill, freeze and restart every part under load (SECONDS=300 SEED=1)
	$(BIN)/python -m tests.faults.support.chaos --seconds $(SECONDS) --seed $(SEED)

.PHONY: lock
lock: $(VENV)/tools.stamp ## Update the pinned versions from pyproject.toml and requirements/tools.in
	$(COMPILE) --upgrade pyproject.toml requirements/build.in --extra dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml requirements/build.in -c requirements/dev.txt -o requirements/run.txt
	$(COMPILE) pyproject.toml requirements/build.in --extra otel -c requirements/dev.txt -o requirements/otel.txt
	$(BIN)/python -m tools.release.wheels
	$(COMPILE) --upgrade requirements/tools.in -o requirements/tools.txt

# The tools that inspect and pin the packages: they are installed into a separate folder.
COMPILE = $(VENV)/tools/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
$(VENV)/tools.stamp: requirements/tools.txt | $(BIN)/python
	$(PYTHON) -m venv $(VENV)/tools
	$(VENV)/tools/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@

.PHONY: sbom
sbom: $(VENV)/tools.stamp ## Write the packages of an installation to sbom.json (CycloneDX)
	$(VENV)/tools/bin/cyclonedx-py requirements requirements/run.txt --pyproject pyproject.toml \
		--mc-type application --output-reproducible --output-format JSON --output-file sbom.json

.PHONY: release
release: $(VENV)/dev.stamp $(VENV)/tools.stamp ## Build wheel, source archive, SBOM and provenance, try them, tag the version
	$(BIN)/python -m tools.release.make_release

.PHONY: audit
audit: $(VENV)/tools.stamp ## Compare the pinned packages with known vulnerabilities: needs the internet
	$(VENV)/tools/bin/pip-audit --requirement requirements/run.txt --require-hashes --disable-pip
	$(VENV)/tools/bin/pip-audit --requirement requirements/tools.txt --require-hashes --disable-pip

.PHONY: clean
clean: ## Remove what can be built again (never the data folder)
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
