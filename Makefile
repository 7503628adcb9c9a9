# `make demo` and `make test` need Python 3.11 or newer, pip and make; each does its own set-up.
PYTHON ?= python3
BIN := .venv/bin
POSE := .venv-pose
LOWEST := .venv-lowest
TORCH ?= torch==2.13.0

.PHONY: demo test check lowest bench clean

demo: .venv/base
	$(BIN)/seasign demo

test: .venv/dev $(POSE)/done
	if test -d $(POSE)/lib/python3*/site-packages/mediapipe; then export SEASIGN_POSE_PYTHON=$(CURDIR)/$(POSE)/bin/python; fi; \
	$(BIN)/pytest -n 2 -m "not gpu and not network" --durations=5

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest
	$(BIN)/pytest --doctest-modules src

# The oldest releases that pyproject.toml allows; Python 3.11 or 3.12, for which they have wheels. Without the check of
# shapes, in which the oldest jaxtyping takes a hundred times as long.
lowest: $(LOWEST)/done
	$(LOWEST)/bin/pytest -o addopts="--strict-markers -m 'not slow and not gpu and not network'"

bench: .venv/dev
	$(BIN)/python bench/speed.py
	$(BIN)/python bench/quality.py
	$(BIN)/python bench/results.py

.venv/base: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

# torch alone and first: the release that the tests were written with
.venv/dev: .venv/base
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[dev,train,onnx,search,bobsl]"
	touch $@

# MediaPipe needs older libraries than the rest, so it lives alone; this is all that the estimator loads of it.
$(POSE)/done:
	$(PYTHON) -m venv $(POSE)
	if $(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then \
		$(POSE)/bin/pip install --quiet --disable-pip-version-check "numpy<2" "protobuf>=4.25.3,<5" absl-py \
			"attrs>=19.1" "flatbuffers>=2" matplotlib "opencv-python-headless<4.12" && \
		$(POSE)/bin/pip install --quiet --disable-pip-version-check --no-deps mediapipe==0.10.21; \
	else \
		echo "MediaPipe 0.10.21 has no wheel for this Python: its tests are skipped"; \
	fi
	touch $@

$(LOWEST)/done: pyproject.toml
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install --quiet --disable-pip-version-check --prefer-binary --editable ".[dev]" $$($(PYTHON) -c \
		'import re, tomllib; [print(re.sub(">=([^,]*).*", r"==\1.*", name)) for name in \
		tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]]')
	touch $@

clean:
	rm -rf .venv $(POSE) $(LOWEST) demo build dist
