# The two commands are `make lab` and `make test`; CONTRIBUTING.md explains the rest.
# PYTHON is any Python from 3.11 on; everything else happens inside .venv.

PYTHON ?= python3
VENV := .venv/bin
# What mkdocs does: build, or serve.
DOCS ?= build
# Jupyter refuses root unless told; in a container there is often nobody else.
LAB_ARGS := $(if $(filter 0,$(shell id -u)),--allow-root) $(VLMFREEZE_LAB_ARGS)

.PHONY: help lab test quick thorough docs checks conformance versions newest fuzz gpu lint build lock clean
.DEFAULT_GOAL := help

help:   ## this list
	@grep -E '^[a-z]+: .*##|^[a-z]+:  *##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

lab:    ## JupyterLab on the quickstart (VLMFREEZE_LAB_ARGS="--no-browser --port=8890" adds options)
	@$(PYTHON) .ci/environment.py lab
	$(VENV)/jupyter lab notebooks/01_quickstart.ipynb --ip=127.0.0.1 $(LAB_ARGS)

test:   ## everything: lint, types, the page, Python, notebooks, browser
	@$(PYTHON) .ci/environment.py dev
	@$(VENV)/python .ci/steps.py all

quick:  ## lint, types and what needs no model, in a minute and a half: while you write
	@$(PYTHON) .ci/environment.py dev
	@$(VENV)/python .ci/steps.py quick

thorough: ## every case of the large tables, every example; make test runs so many that each value occurs
	@$(PYTHON) .ci/environment.py dev
	@$(VENV)/python .ci/steps.py thorough

docs:   ## the documentation, in site/ (make docs DOCS=serve shows it while you write)
	@$(PYTHON) .ci/environment.py docs
	@$(VENV)/python docs/building/pictures.py --stale
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 NO_MKDOCS_2_WARNING=1 $(VENV)/mkdocs $(DOCS) $(if $(filter build,$(DOCS)),--strict --quiet)

checks: ## every promise of the engine with what was measured of it, in report.json
	@$(PYTHON) .ci/environment.py dev
	@$(VENV)/python .ci/steps.py checks

conformance: ## our exports, and random settings, read by LLaMA-Factory, ms-swift and PEFT themselves; real runs of four trainers
	@$(PYTHON) .ci/conformance.py

versions: ## the core path on the oldest and newest supported transformers, peft and torch (CELLS="'oldest peft'" runs one)
	@$(PYTHON) .ci/versions.py $(CELLS)

newest: ## the core path on the newest releases that pip finds, whatever the lock says
	@$(PYTHON) .ci/versions.py newest-found

fuzz:   ## 10,000 strange settings, strategies and names through every export, and back
	@$(PYTHON) .ci/environment.py dev
	@$(VENV)/python .ci/steps.py fuzz

gpu:    ## what needs a GPU: its tests and benchmarks, 25 minutes at most (make gpu PYTHON=... for an environment of your own)
	@PYTHON=$(PYTHON) bash benchmarks/gpu_all.sh

lint:   ## ruff, mypy, ESLint and tsc only
	@$(PYTHON) .ci/environment.py dev
	@$(VENV)/python .ci/steps.py lint

build:  ## bundle js/src into vlmfreeze_widgets/static (commit the result)
	@$(PYTHON) .ci/environment.py dev
	@$(VENV)/python .ci/steps.py build

lock:   ## write requirements-dev.lock anew from what pyproject.toml asks for
	@$(PYTHON) .ci/environment.py dev
	@$(VENV)/python .ci/lock.py

clean:  ## remove the environment, node_modules and everything generated but not committed
	rm -rf .venv .venv-conformance .venv-trl .venv-versions js/node_modules build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis test-results
