# make demo    a first run, on a machine with nothing but Python 3.11 or newer
# make quick   the tests that take little: while working
# make test    all tests but the slow ones, in the same environment: before a change goes in
# make test-slow  full sets and long campaigns, and all tests compiled as users' programs are: before a release
# make coverage   make test, and which lines it runs
# make gpu-check  bounds on what XLA compiles for a GPU, without one; on a second Python, 3.12 or newer
# make lint    style, types and layers
# make gallery every config and its figure, for docs/gallery.md
.PHONY: demo quick test test-slow coverage gpu-check lint gallery clean
.SUFFIXES:

VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check

# A name on the PATH may be a shim that fails, or another version: run each and see. $(call made,3.N,FOLDER): an
# environment by the first of them that is new enough.
CANDIDATES := python3 python3.13 python3.12 python3.11 python $(wildcard $(HOME)/.pyenv/versions/3.1[1-9]*/bin/python3)
made = for python in $(PYTHON) $(CANDIDATES); do \
    if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < ($(subst .,$(comma),$(1))))' >/dev/null 2>&1; then \
      exec $$python -m venv $(2); \
    fi; \
  done; \
  echo "No Python $(1) or newer with venv was found. Install one (on Debian and Ubuntu: apt install python3 python3-venv), or say which: make PYTHON=/path/to/python3 ..." >&2; \
  exit 1
comma := ,

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

gpu-check: $(VENV)/.dev $(VENV)-gpu/.made
	RDSOLVER_GPU_CHECK=$(abspath $(VENV)-gpu/bin/python) XLA_FLAGS= $(BIN)/python -m pytest -m slow tests/test_gpu_programs.py

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

gallery: $(VENV)/.base
	$(BIN)/python -m rdsolver.studies.gallery

clean:
	rm -rf $(VENV) $(VENV)-gpu

$(VENV)/.base: pyproject.toml | $(BIN)/python
	@echo "installing rdsolver into $(VENV) (a minute or two)"
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "installing rdsolver and the tools of its developers into $(VENV) (some minutes)"
	$(PIP) -e ".[dev]"
	@touch $(VENV)/.base $@

$(VENV)-gpu/.made: pyproject.toml
	@$(call made,3.12,$(VENV)-gpu)
	@$(VENV)-gpu/bin/python -m pip install -q --disable-pip-version-check -e ".[gpu-check]"
	@touch $@

$(BIN)/python:
	@$(call made,3.11,$(VENV))
