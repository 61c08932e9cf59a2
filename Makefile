.DEFAULT_GOAL := help
.PHONY: help run up retrain install check lint unit test infra values diagram lock bench docs faults load deploy project archive
PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.13.9
D2_VERSION := 0.1.33
# Written last. An interrupted install leaves .venv/.unfinished instead, and the next install starts afresh.
STAMP := .venv/.installed

help: # Show the targets, by group
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' \
	  $(MAKEFILE_LIST)

##@ Start here

run: install ## Run the whole system once, in a few minutes; leaves a model and a report in .cache/run (TRIPS=… RIDES=… RATE=… PICTURE=…)
	@$(BIN)/python -m jobs local run

up: install ## Start it and keep it running; print pages to open and commands to try (TRIPS=…)
	@$(BIN)/python -m jobs local up

retrain: install ## Show drift, retraining and the switch to a new model while rides stream on (RATE=… PICTURE=…; 2 minutes)
	@$(BIN)/python -m jobs local retrain

install: $(STAMP) ## Create the virtual environment .venv with everything that jobs/ and the tests need
	@:

##@ Develop

check: lint ## Run every check: style, layers, types, a short benchmark, all tests
	@$(MAKE) --no-print-directory bench SHORT=1
	@$(MAKE) --no-print-directory test

lint: install ## Check style, layers and types
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@mkdir -p .cache
	@$(BIN)/lint-imports --no-cache --no-logo > .cache/layers.log || { cat .cache/layers.log; exit 1; }
	@$(BIN)/mypy --no-error-summary

unit: install ## Run the quick tests of functions/ and jobs/, for the loop while writing code (a minute or two)
	@$(PYTEST) $(SIDE_BY_SIDE) -p no:schemathesis -m "not alone and not slow" tests/functions tests/jobs $(SLOW_TO_IMPORT:%=--ignore=tests/jobs/%)
SLOW_TO_IMPORT := beam flows training

test: install ## Run all tests: side by side what measures no time, then the rest alone
	@$(PYTEST) $(SIDE_BY_SIDE) -m "not alone"
	@$(PYTEST) -m alone
PYTEST := $(BIN)/python -m pytest
# One worker more than cores: most tests wait more than they compute.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)')
SIDE_BY_SIDE = -n $(WORKERS) --dist loadfile --no-loadscope-reorder

infra: install ## Check infra/ without a cloud: Terraform's tests, policies, mutants, checkov
	@$(PYTEST) tests/infra -q

values: install ## Store what Terraform plans in tests/infra/values.json, to be reviewed as a difference
	@$(BIN)/python -m tests.infra.values

diagram: install ## Draw docs/cloud.svg from docs/cloud.d2 (needs npm) and write the tables of infra/README.md
	@$(BIN)/python -m infra.tables
	@npm install --silent --no-save --prefix .cache/d2 @terrastruct/d2@$(D2_VERSION)
	@node docs/draw.mjs

lock: install ## Write requirements*.txt from pyproject.toml
	@$(BIN)/uv pip compile -q $(LOCK) --group dev -o requirements-dev.txt
	@$(BIN)/uv pip compile -q $(LOCK) --group serve -c requirements-dev.txt -o requirements.txt
	@$(BIN)/uv pip compile -q $(LOCK) --group cloud -c requirements-dev.txt -o requirements-jobs.txt
	@$(BIN)/uv pip compile -q $(LOCK) --group dataflow -c requirements-dev.txt -o requirements-beam.txt
	@for peer in benchmarks/peers/*/; do $(BIN)/uv pip compile -q $(LOCK) $$peer/requirements.in -o $$peer/requirements.txt; done
LOCK := --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-header

##@ Measure

bench: install ## Measure every speed claim beside other tools; write docs/performance.md (20 minutes; SHORT=1 writes nothing, 90 s)
	@$(BIN)/python -m benchmarks $(if $(SHORT),--short)

docs: install ## Paste the commands of every page into a fresh clone, and check them
	@$(PYTEST) tests/end_to_end/test_readme.py --full

faults: install ## Test all faults on real processes, and 100,000 inputs; write the matrix into docs/reliability.md (15 minutes)
	@$(PYTEST) tests/faults --full -m "not load"

load: install ## Test ten minutes of traffic, then overload; write the figures into docs/reliability.md (15 minutes)
	@$(PYTEST) tests/faults --full -m load

##@ Deploy

deploy: project install ## Apply infra/ to a Google Cloud project (PROJECT=… ENVIRONMENT=dev REGION=us-central1)
	@infra/deploy "$(PROJECT)" "$(or $(ENVIRONMENT),dev)" "$(or $(REGION),us-central1)"

project:
	@test -n "$(PROJECT)" || { echo "Name the Google Cloud project: make deploy PROJECT=my-project [ENVIRONMENT=dev|prod] [REGION=us-central1]"; exit 2; }

archive: install ## Build the functions' source archive, .cache/ridecast-HASH.zip
	@$(BIN)/python -m jobs archive

$(STAMP): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Ridecast needs Python 3.11 or newer, and $(PYTHON) is not: make install PYTHON=python3.12"; exit 1; }
	@if [ -e .venv/.unfinished ]; then rm -rf .venv; fi
	@echo "Installing what requirements-dev.txt pins into .venv (a minute or two, once)"
	@mkdir -p .venv && touch .venv/.unfinished
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) \
	  && $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -r requirements-dev.txt \
	  || $(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@rm .venv/.unfinished && touch $@
