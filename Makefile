# Every target works on a fresh machine with Python 3.11+ and make; `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.setup-done
KERNELS := $(VENV)/.kernels-done
COMPILED := rules/jit.py rules/fields.py rules/horizon.py rules/kernels.py rules/layout.py rules/holes.py rules/held.py rules/prefetch.py rules/ring.py rules/rises.py rules/rowclass.py $(wildcard rules/kinds/*.py)
PYTEST := $(BIN)/python -m pytest

# Where the environment forbids Python to keep compiled code, every process would compile all libraries anew: seconds each.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
BEGAN := $(shell date +%s)
.PHONY: help setup demo test test-full check chaos lint types units bench bench-engine clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) $(KERNELS) ## create .venv, install the pinned requirements, fetch Kafka's jars, compile the kernels

$(STAMP): requirements/uv.txt requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("offsite needs Python 3.11 or newer; set PYTHON=/path/to/python3.11") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt requirements/uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

# Compiled code is kept by the source it was made of: a change of it is compiled here, and not by a worker that is waited for.
$(KERNELS): $(STAMP) $(COMPILED)
	$(BIN)/offsite setup
	touch $@

demo: setup ## run everything with simulated facilities; CHECK=1 asserts the story without a person, SPEED=60
	OFFSITE_DEMO_BEGAN=$(BEGAN) $(BIN)/offsite demo $(if $(CHECK),--check) $(if $(SPEED),--speed $(SPEED)) $(if $(KEEP),--keep)

test: setup ## lint, types and every suite: unit, property, contract, Kafka end to end, browser
	$(MAKE) --no-print-directory lint types
	$(PYTEST) -n 5 --dist loadfile --no-loadscope-reorder -m "not slow"

test-full: setup ## make test and the slow suites
	$(MAKE) --no-print-directory lint types
	$(PYTEST)

check: setup ## the inner loop: lint, types, units (aim: 90 s)
	$(MAKE) --no-print-directory lint types units

lint:
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/codespell
	$(BIN)/deptry .

types:
	$(BIN)/mypy

units:
	$(PYTEST) -q -n 2 -m "not slow and not kafka and not browser and not postgres and not alertmanager and not long"

chaos: setup ## kill everything at random a hundred times, then compare log, alarms, desk and archive; SEED=1, KILLS=100
	$(BIN)/python -m tests.chaos --kills $(or $(KILLS),100) --seed $(or $(SEED),1)

bench: setup ## measure engine, worker on Kafka, and the whole line to the desk's row; JSON on stdout; longer ones: bench/README.md
	$(BIN)/python -m bench.engine
	$(BIN)/python -m bench.many_due
	$(BIN)/python -m bench.worker
	$(BIN)/python -m bench.checkpoints
	$(BIN)/python -m bench.line
	$(BIN)/python -m bench.gateway_load
	$(BIN)/python -m bench.guards
	$(BIN)/python -m bench.takeover
	$(BIN)/python -m bench.desk_catchup
	$(BIN)/python -m bench.restore

bench-engine: setup ## the fold alone: the whole pack, 1,000 facilities of 100 series, by kind, late rows, snapshots, the oracle
	$(BIN)/python -m bench.engine_whole

clean: ## remove the virtual environment and everything that can be made again
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis test-results
