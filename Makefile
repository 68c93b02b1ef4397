PYTHON ?= python3.11
BIN = .venv/bin
PIP = $(BIN)/pip install --quiet --constraint constraints.txt

.PHONY: help demo test check
help:    ## say what can be made
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:[^#]*## /: /'

demo: .venv/ready-demo   ## set up, then run the main job on the simulated beamline
	$(BIN)/phasepilot demo

test: .venv/ready-test   ## set up with everything the tests need, then run them
	$(BIN)/pytest

check: .venv/ready-test  ## style, layers, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# The environment is made once; the editable install is run again when pyproject.toml changes.
$(BIN)/pip:
	$(PYTHON) -m venv .venv

.venv/ready-demo: pyproject.toml constraints.txt | $(BIN)/pip
	$(PIP) --editable '.[sim]'
	touch $@

.venv/ready-test: .venv/ready-demo
	$(PIP) --editable '.[sim,train,images,zmq,kafka,queue,epics,replay,databroker,test,dev]'
	touch $@
