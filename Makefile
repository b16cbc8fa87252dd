# Everything a clone needs: `make demo` to see it work, `make test` and `make check` before a change is handed in.
# Only make and a Python of 3.11 or newer are needed; the rest is installed into .venv from requirements-dev.lock.

PYTHON ?=
ARGS ?=
JOBS ?= 2
SEED ?= 1
ROUNDS ?= 1
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test chaos bench check compose-check docs format lock coverage-of-behaviours environment clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-24s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: environment ## Run a whole organisation through a real fleet, with servers of its own (ARGS for options)
	@$(BIN)/anabranch demo $(ARGS)

test: environment ## Run all tests on embedded servers, in two processes (ARGS="-k name" for some, in one)
	@$(BIN)/python -m pytest $(or $(ARGS),-n $(JOBS))

chaos: environment ## Kill, freeze and wipe while runs go on, and judge the result (SEED, ROUNDS, ARGS for options)
	@$(BIN)/python -m tests.chaos --seed $(SEED) --rounds $(ROUNDS) $(ARGS)

bench: environment ## Measure cycles against a raw COPY of the same file (PEOPLE="20000 100000", ARGS for options)
	@$(BIN)/python -m tests.bench $(if $(PEOPLE),--people $(PEOPLE)) $(ARGS)

check: environment ## Run what CI runs besides the tests: lint, format, types, layers, sizes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_sizes.py

compose-check: ## Start compose.yaml for real, kill, scale and compare (ARGS="--people 5000"; skipped without Docker)
	@python=$$(PYTHON="$(PYTHON)" sh tools/find_python.sh) && "$$python" tools/compose_check.py $(ARGS)

format: environment ## Format the code and repair what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: environment ## Write the generated pages of docs/reference anew
	@$(BIN)/python tools/reference_pages.py
	@$(BIN)/python -m anabranch.console.cli.reference > docs/reference/cli.md

coverage-of-behaviours: environment ## List which specified behaviours a test proves, and which none does
	@$(BIN)/python tools/coverage_of_behaviours.py $(ARGS)

lock: ## Resolve the lock files anew (ARGS=--upgrade for newer versions)
	@python=$$(PYTHON="$(PYTHON)" sh tools/find_python.sh) && "$$python" tools/lock.py $(ARGS)

environment: ## Create or refresh .venv (done by the others by themselves)
	@python=$$(PYTHON="$(PYTHON)" sh tools/find_python.sh) && "$$python" tools/environment.py

clean: ## Remove .venv, caches and what the demo left
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .anabranch demo-out dist build
	find shared services tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
