# Two commands need nothing before them: `make demo` and `make test`. Everything they install goes into $(VENV).

VENV ?= .venv
PYTHON ?= $(or $(shell for python in python3 python3.12 python3.11 python3.13 python3.10; do \
	$$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; \
	done || true),python3)

STAMPS := $(VENV)/.stamps
BIN := $(VENV)/bin
# The environment is its own ROS prefix. What a sourced ROS leaves in the shell must not mix with it.
RUN := env -u PYTHONPATH -u LD_LIBRARY_PATH -u PYTHONHOME -u COLCON_PREFIX_PATH -u CMAKE_PREFIX_PATH -u _ROS_WHEELS_BOOTSTRAP_COMPLETE \
	-u ROS_DISTRO -u RMW_IMPLEMENTATION VIRTUAL_ENV=$(abspath $(VENV)) AMENT_PREFIX_PATH=$(abspath $(VENV)) PATH=$(abspath $(BIN)):$(PATH)
PIP := $(RUN) $(BIN)/python -m pip --disable-pip-version-check
INSTALL := PYTHONWARNINGS=ignore::UserWarning $(PIP) install --quiet --constraint constraints.txt

BUILD_FILES := setup.py CMakeLists.txt package.xml $(wildcard msg/*.msg srv/*.srv)
SHARE_FILES := $(shell find config launch -type f ! -name '*.pyc' 2>/dev/null)

.PHONY: help setup demo bench test fuzz lint colcon-test python-versions clean distclean
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(STAMPS)/share ## install both packages and their dependencies into .venv (PYTHON=python3.12 picks the Python)

$(STAMPS)/venv: tools/prerequisites
	@tools/prerequisites $(PYTHON)
	@test -x $(BIN)/python || { echo "Creating $(VENV) with $$($(PYTHON) --version)"; $(RUN) $(PYTHON) -m venv $(VENV); }
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/pointata: constraints.txt pointata/pyproject.toml | $(STAMPS)/venv
	@echo "Installing pointata and its dependencies"
	@$(INSTALL) pip setuptools
	@$(INSTALL) --editable "./pointata[training]"
	@touch $@

# pyproject.toml without the settings of ruff, mypy and pytest, which stand at its end: touched only where it differs.
$(STAMPS)/project: pyproject.toml | $(STAMPS)/venv
	@sed '/^\[tool\.ruff\]/,$$d' $< >$@.new; cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(STAMPS)/ros_pointata: constraints.txt $(BUILD_FILES) $(STAMPS)/project $(STAMPS)/pointata
	@echo "Building the messages and installing ros_pointata"
	@$(INSTALL) --build-constraint constraints.txt --editable ".[test]"
	@touch $@

# An editable install copies launch/ and config/; this keeps the copies fresh without another build.
$(STAMPS)/share: $(SHARE_FILES) $(STAMPS)/ros_pointata
	@cp -R launch config $(VENV)/share/ros_pointata/
	@touch $@

demo: setup ## replay the simulator to the node over DDS, measure it, write build/demo/index.html
	@$(RUN) PYTHONPATH=tools $(BIN)/python -m demo

bench: setup ## speed, memory and latency through the node, on a quiet machine: build/bench (DOCS=1: docs/performance.md)
	@$(RUN) $(BIN)/python benchmarks/bench.py $(if $(DOCS),--docs)

test: lint ## lint, types and all tests
	@$(RUN) $(BIN)/python -m pytest

fuzz: setup ## malformed clouds, bundles, manifests and recordings: 29,700 new ones each time (SEED=1 repeats a run)
	@seed=$${SEED:-$$(date +%s)}; echo "make fuzz SEED=$$seed"; \
	POINTATA_FUZZ=full $(RUN) $(BIN)/python -m pytest -q --hypothesis-seed=$$seed test/pointata/test_fuzz_*.py

lint: setup ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/mypy

colcon-test: setup ## colcon build in a fresh workspace, both ways, and one message sent through the result
	@tools/colcon_test $(abspath $(BIN)/python)

python-versions: ## pip install and message test with every python3.10 to python3.13 found
	@tools/python_versions

clean: ## remove build outputs and caches; keep .venv
	@rm -rf build dist log install *.egg-info pointata/build pointata/src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find pointata ros_pointata test launch tools -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## also remove .venv and the generated messages
	@rm -rf $(VENV) ros_pointata/msg ros_pointata/srv ros_pointata/*.so
