# Every target makes its own set-up: a virtual environment with the versions of constraints.txt.
# Needs Python 3.11 or later and a C compiler; `make PYTHON=python3.12 test` chooses another Python.
# pip reads its own variables: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu finds the
# CPU build of torch, where PyPI's brings gigabytes of CUDA libraries.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo test test-slow benchmark benchmark-storage lint style types clean

help:
	@echo "make demo        model, image and invert the quickstart example (minutes)"
	@echo "make test        the default tests"
	@echo "make test-slow   the long tests as well"
	@echo "make benchmark   our propagators against Deepwave, into benchmarks/results/"
	@echo "make benchmark-storage  what each way of keeping the wavefield costs, in benchmarks/results/"
	@echo "make lint        ruff, import rules and mypy (make style: without mypy)"
	@echo "make clean       remove the environments and caches"

setup: $(READY)

# The stamp is older than its prerequisites after a change of dependencies or of the package list.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "$(PYTHON) is Python " + sys.version.split()[0] + "; wavepipe needs 3.11 or later: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
		--no-build-isolation --editable '.[dev,hpc]'
	touch $@

demo: $(READY)
	$(BIN)/python examples/quickstart/run.py

test: $(READY)
	$(BIN)/pytest

# The empty expression undoes the `not slow` of pyproject.toml.
test-slow: $(READY)
	$(BIN)/pytest -m ""

benchmark: $(READY)
	mkdir -p benchmarks/results
	$(BIN)/python -m benchmarks.deepwave --json benchmarks/results/deepwave.json

benchmark-storage: $(READY)
	mkdir -p benchmarks/results
	$(BIN)/python -m benchmarks.storage --json benchmarks/results/storage.json \
		> benchmarks/results/storage.md

lint: style types

style: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .venv-deepwave build *.egg-info .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache
