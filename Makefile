# Everything one does here, as one word each. `make` alone lists them.
# Needs python3 (3.11 or newer) and make; the first target that needs .venv creates it.

PYTHON ?= python3
UV_VERSION := 0.13.9

.DEFAULT_GOAL := help
SHELL := /bin/sh

# The Python version is part of the stamp: another PYTHON means another environment.
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
STAMP := .venv/.installed-$(or $(PYTHON_VERSION),none)
BIN := .venv/bin
CODE := src tests $(wildcard benchmarks examples)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  Another interpreter: make PYTHON=python3.12 test"

.PHONY: demo
demo: $(STAMP) ## See it work: every file of the standard library becomes a job
	@$(BIN)/headrace demo

.PHONY: test
test: $(STAMP) ## Run the tests (all but the soak)
	$(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: check
check: $(STAMP) ## Check format, lint, types, layers and style
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/style

.PHONY: format
format: $(STAMP) ## Format the code and fix what the linter can fix
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

.PHONY: bench
bench: $(STAMP) ## Print this machine's figures beside the raw ceiling
	@$(BIN)/python -m benchmarks

.PHONY: bench-peers
bench-peers: $(STAMP) ## The same, with other task queues in the same run
	@$(BIN)/python -m benchmarks.peers

.PHONY: soak
soak: $(STAMP) ## Run the long form of the fault tests
	$(BIN)/python -m pytest -m soak

.PHONY: docs
docs: $(STAMP) ## Run every code block of the documentation and follow its links
	$(BIN)/python -m pytest tests/docs

# Universal pins: every published file of each version is named by its hash, so they hold on
# every platform and Python we support. Addresses stay out: whoever installs chooses the index.
.PHONY: pins
pins: interpreter ## Choose the newest versions anew and write constraints.txt
	@test -x .pins/bin/uv || { $(PYTHON) -m venv .pins && .pins/bin/pip install -q uv==$(UV_VERSION); }
	.pins/bin/uv pip compile pyproject.toml --group dev --all-extras --upgrade \
		--universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		--quiet --output-file constraints.txt

.PHONY: clean
clean: ## Remove the environment, caches and builds
	rm -rf .venv .pins build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis \
		.import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: .venv
.venv: $(STAMP) ## Create or refresh the environment from the pins

.PHONY: interpreter
interpreter:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Headrace needs Python 3.11 or newer, but $(PYTHON) is $(or $(PYTHON_VERSION),not there)." >&2; \
		echo "Install one, or name it: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module; install it (Debian, Ubuntu: apt install python3-venv)." >&2; \
		exit 1; }

# An existing environment of the same Python is refreshed in place, so that what runs in it
# goes on; one of another Python is replaced.
$(STAMP): pyproject.toml constraints.txt | interpreter
	@echo "Setting up .venv with $(PYTHON) ($(PYTHON_VERSION)); this takes a minute."
	@$(PYTHON) -m venv $(if $(wildcard $(STAMP)),,--clear) .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r constraints.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
