# `make demo` and `make test` need Python 3.11 or newer, pip and make; each does its own set-up.
PYTHON ?= python3
BIN := .venv/bin
POSE := .venv-pose

.PHONY: demo test check bench clean

demo: .venv/base
	$(BIN)/seasign demo

test: .venv/dev $(POSE)/done
	SEASIGN_POSE_PYTHON=$(POSE)/bin/python $(BIN)/pytest -m "not gpu and not network" --durations=5

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest
	$(BIN)/pytest --doctest-modules src

bench: .venv/dev
	$(BIN)/python -m bench

.venv/base: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/dev: .venv/base
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv $(POSE) demo build dist
