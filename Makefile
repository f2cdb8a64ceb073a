# Needs make and Python 3.11 or newer; everything else is installed into $(VENV).
# make PYTHON=/path/to/python3.12 ...  uses that Python;  make VENV=folder ...  installs there.

VENV := .venv
PYTHON :=
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CANDIDATES := $(PYTHON) $(if $(PYTHON),,python3.13 python3.12 python3.11 python3 python)
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadgroup

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup setup-device demo lint types imports test test-all bench zoo paper docs wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## create the virtual environment and install parlay with every extra

setup-device: .venv-executorch/.installed .venv-litert/.installed ## two more, for device files of parlay fit: six minutes, 14 GB

demo: $(STAMP) ## solve, train and plot on the embedded digits data, in under two minutes
	$(BIN)/parlay demo

lint: $(STAMP) ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## basedpyright: strict on the core
	$(BIN)/basedpyright --pythonpath $(BIN)/python

imports: $(STAMP) ## import-linter: the order of the layers
	$(BIN)/lint-imports

test: lint types imports ## lint, types, import rules, then some 1,700 tests: ten minutes on two cores
	$(PYTEST)

test-all: lint types imports ## the same with the tests marked slow, ray, browser or data
	$(PYTEST) -m ""

bench: $(STAMP) ## measure the solver beside SCIP, CP-SAT and Gurobi into benchmarks/RESULTS.md (hours; resumable)
	$(BIN)/python -m pip install --quiet -e '.[gurobi]'
	$(BIN)/python -m benchmarks

zoo: $(STAMP) ## trace 150 CNNs and check them at random layouts, into docs/zoo.md (hours; resumable)
	$(BIN)/python -m benchmarks.zoo

paper: $(STAMP) ## every figure, table and verdict of the paper, and the page, from results/ alone into results/figures (no training)
	$(BIN)/parlay paper figures --results results --out results/figures --format png
	$(BIN)/parlay report results --out results/figures/report.html

docs: $(STAMP) ## the documentation as a site into site/; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -q -b html -d build/doctrees docs site

wheel: $(STAMP) ## build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

clean: ## remove the virtual environment, build products and caches
	rm -rf $(VENV) .venv-executorch .venv-litert build dist site .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A candidate counts when it runs, is new enough and can make virtual environments; some systems ship python3 without
# ensurepip, and some put commands on the path that only say that the version is not chosen.
# torch and torchvision come in one pip command, because installed apart they may not match.
define environment
	@found=; bare=; \
	for python in $(CANDIDATES); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	  if "$$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then found=$$python; break; fi; \
	  bare=$$python; \
	done; \
	if [ -z "$$found" ] && [ -n "$$bare" ]; then \
	  echo "make: $$bare has no venv or ensurepip module; install it (Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; \
	elif [ -z "$$found" ]; then \
	  echo "make: Python 3.11 or newer is missing (tried: $(strip $(CANDIDATES))); install it or call make PYTHON=..." >&2; exit 1; \
	fi; \
	if ! $(1)/bin/python -m pip --version >/dev/null 2>&1; then \
	  echo "creating $(1) with $$("$$found" --version)"; \
	  "$$found" -m venv --clear $(1) || exit 1; \
	fi
endef

$(STAMP): pyproject.toml
	$(call environment,$(VENV))
	@echo "installing into $(VENV); the first time this downloads several GB, nearly all of it PyTorch"
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[all,dev]'
	@touch $(STAMP)

# One for each engine: together pip was still looking for versions that agree after 20 minutes (their packages want other
# numpy, onnx and typing_extensions), alone each takes three. parlay fit finds both by their names.
.venv-%/.installed: pyproject.toml
	$(call environment,.venv-$*)
	@echo "installing into .venv-$*; the first time this downloads several GB, nearly all of it PyTorch"
	.venv-$*/bin/python -m pip install --disable-pip-version-check --editable '.[$*]'
	@touch $@
