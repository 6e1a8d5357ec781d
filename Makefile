# `make help` lists what can be done here. Every target makes its own virtual environment from the lock.
PYTHON ?= python3
VENV ?= .venv
LISTEN ?= 127.0.0.1:8080
ADMIN ?= 127.0.0.1:8081
ORIGIN ?= 127.0.0.1:3000
CACHE ?= .cachewire/cache
TESTERS ?= 4
BIN := $(VENV)/bin

.PHONY: help run test check unit bench lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

run: $(VENV)/.run ## the demo application behind Cachewire (LISTEN=H:P ADMIN=H:P ORIGIN=H:P CACHE=DIR)
	@$(BIN)/cachewire demo --listen $(LISTEN) --admin $(ADMIN) --origin-listen $(ORIGIN) \
	  --set cache.dir="$(abspath $(CACHE))"

test: check unit ## everything: format, lint, types, import contracts, all tests

check: $(VENV)/.dev ## format, lint, types and import contracts only
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: export PYTHONDONTWRITEBYTECODE = # the tests start the edge many times
unit: $(VENV)/.dev
	$(BIN)/coverage erase
	$(BIN)/pytest -n $(TESTERS) --dist worksteal --cov --cov-report= $(PYTEST)
	$(BIN)/coverage report --include='proxy/policy/*' --fail-under=95

bench: $(VENV)/.dev ## what the edge costs and saves, against peers measured in the same run
	$(BIN)/python -m bench

lock: ## resolve the dependencies anew into the lock files
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --no-emit-find-links --extra compression --extra demo --extra jwt --extra top --group build pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --no-emit-find-links --extra compression --extra demo --extra jwt --extra top --group build --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## remove the virtual environment, caches and the demo's data
	rm -rf $(VENV) .cachewire .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Cachewire needs Python 3.11 or newer; choose one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing (Debian: apt install python3-venv)."; exit 1; }

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	@touch $@
