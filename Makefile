# make demo    a first run, on a machine with nothing but Python 3.11 or newer
# make quick   the tests that take little: while working
# make test    all tests but the slow ones, in the same environment: before a change goes in
# make test-slow  full sets and long campaigns, and all tests compiled as users' programs are: before a release
# make coverage   make test, and which lines it runs
# make lint    style, types and layers
# make gallery every config and its figure, for docs/gallery.md
.PHONY: demo quick test test-slow coverage lint gallery clean
.SUFFIXES:

VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check

# A name on the PATH may be a shim that fails, or another version: run each and see.
CANDIDATES := python3 python3.13 python3.12 python3.11 python

demo: $(VENV)/.base
	$(BIN)/rdsolver run configs/rank_fc_section_2d.toml --force
	@echo
	@echo "The run is in outputs/rank_fc_section_2d: look at overview.png, or at run.h5 with: $(BIN)/rdsolver info outputs/rank_fc_section_2d"

# A file stays with one worker, which compiles what its tests share once. Two workers fill two cores: threads of
# BLAS beside them would wait for each other, four times as long as they compute. Bytecode is kept whatever the
# environment says, for a hundred processes that the tests start.
PYTEST = OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

quick: $(VENV)/.dev
	$(PYTEST) -m "not long and not slow"

test: $(VENV)/.dev
	$(PYTEST)

test-slow: $(VENV)/.dev
	XLA_FLAGS= $(PYTEST) -m "slow or not slow"

coverage: $(VENV)/.dev
	$(PYTEST) --cov --cov-report=term

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

gallery: $(VENV)/.base
	$(BIN)/python -m rdsolver.studies.gallery

clean:
	rm -rf $(VENV)

$(VENV)/.base: pyproject.toml | $(BIN)/python
	@echo "installing rdsolver into $(VENV) (a minute or two)"
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "installing rdsolver and the tools of its developers into $(VENV) (some minutes)"
	$(PIP) -e ".[dev]"
	@touch $(VENV)/.base $@

$(BIN)/python:
	@for python in $(PYTHON) $(CANDIDATES); do \
	  if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    exec $$python -m venv $(VENV); \
	  fi; \
	done; \
	echo "No Python 3.11 or newer with venv was found. Install one (on Debian and Ubuntu: apt install python3 python3-venv), or say which: make demo PYTHON=/path/to/python3" >&2; \
	exit 1
