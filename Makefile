# Three commands, each installing what it needs: `make demo`, `make test`, `make serve`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help

.PHONY: help demo test lint serve bench fixtures lock clean

help: ## Show what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(INSTALLED) ## Run a whole billing cycle on a throw-away database and print what it made
	$(BIN)/rollon demo

serve: $(INSTALLED) ## Run the service in sandbox mode: API, GraphQL and documentation pages
	$(BIN)/rollon serve --sandbox

test: $(INSTALLED) lint ## Check style, types and imports, and run the tests
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED) ## Measure speed, each figure against a floor measured in the same run
	$(BIN)/rollon bench

fixtures: $(INSTALLED) ## Write the event log of this version for the tests of later ones
	$(BIN)/python -m tests.fixtures.write_event_log

lock: ## Pin every dependency anew (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --extra test --extra build --generate-hashes --no-emit-index-url --no-header --output-file requirements.lock

clean: ## Remove what the commands above made
	rm -rf $(VENV) var build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
