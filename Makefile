# Two commands: `make demo` shows the toolkit at work, `make test` proves it. Each sets up what it
# needs in .venv first; nothing outside this folder is written but caches.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.10 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null \
	&& command -v $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# libgomp spins while it waits; beside another process that slows every step down.
export OMP_WAIT_POLICY ?= PASSIVE
export MYPYPATH := build/typing
# Test processes side by side; each file's tests stay in one of them.
WORKERS ?= 2
# matplotlib makes its folder in the home directory otherwise.
export MPLCONFIGDIR ?= $(CURDIR)/.cache/matplotlib

.PHONY: help setup demo test test-slow lint curation notebook docs clean

help:  ## Show this list.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.core  ## Install seglab and what training needs into .venv.

demo: $(VENV)/.core  ## Draw toy data, train on it, test, and show where to look.
	$(BIN)/python -m seglab.tools.demo

test: lint $(VENV)/.curation  ## Check the style and run every test but the slow ones.
	$(BIN)/python -m pip check
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow"

test-slow: $(VENV)/.dev  ## Train on the real images (README lists these).
	$(BIN)/python -m pytest -m slow -s

lint: $(VENV)/.dev  ## ruff, mypy and bandit.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p build/typing && ln -sfn ../../src build/typing/seglab
	$(BIN)/mypy
	$(BIN)/bandit -q -c pyproject.toml -r src

curation: $(VENV)/.curation  ## Add the optional extras: YOLOv8, SAM 2.1, FiftyOne.

docs: $(VENV)/.core  ## Write the documents that are generated.
	$(BIN)/python -m seglab.data.preflight > reports/preflight.md
	$(BIN)/python -m seglab.tools.report --runs experiments/reference/* --split val
	$(BIN)/python -m seglab.tools.lab_report --runs experiments/reference_lab/*

clean:  ## Remove the environment and what the tools cache; data and runs stay.
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache *.egg-info

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.10 to 3.12 found; install one, or run: make PYTHON=/path/to/python $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "error: $(PYTHON) cannot make environments; on Debian: apt install python3-venv"; exit 2; }

# The headless opencv goes in last: both spellings own the same files, and only this one needs no
# display libraries.
$(VENV)/.core: $(VENV)/bin/python requirements.txt constraints.txt pyproject.toml
	$(PIP) -r requirements.txt
	$(PIP) --no-deps --force-reinstall opencv-python-headless==4.14.0.94
	$(PIP) --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core requirements-dev.txt
	$(PIP) -r requirements-dev.txt
	@touch $@

$(VENV)/.curation: $(VENV)/.dev requirements-curation.txt
	$(PIP) setuptools wheel
	SAM2_BUILD_CUDA=0 $(PIP) --no-build-isolation -r requirements-curation.txt
	$(PIP) --no-deps --force-reinstall opencv-python-headless==4.14.0.94
	@touch $@
