# make build    every program into .venv/bin          make check       all tests but the long ones
# make demo     three hosts on a switch, explained     make check-long  the long ones
# make clean    remove what make has made              make check-asan, check-tsan: sanitized C

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
# -I: what the caller has in PYTHONPATH is not ours.
PYTEST := $(PY) -I -m pytest
TESTS  ?= tests
# Most tests wait more than they compute.
WORKERS ?= 2
PARALLEL = -n $(WORKERS) --dist worksteal

export PYTHON

.PHONY: build check check-long check-asan check-tsan demo clean extension launchers test-tools
.NOTPARALLEL:

build: extension launchers

# The environment is made anew when pyproject.toml changes or the checkout has moved.
here    := $(shell printf %s "$(CURDIR)" | cksum | cut -d' ' -f1)
READY   := $(VENV)/ready-$(here)
TESTING := $(VENV)/testing-$(here)
# Controllers of others that the tests run, which pin packages: see tests/conformance/controllers.py.
OTHERS  := $(VENV)/controllers

$(READY): pyproject.toml
	@.ci/install build
	@[ -e $(READY) ] || rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(PY) -I .ci/requirements > $(VENV)/requirements.txt
	$(PY) -I -m pip install -q --disable-pip-version-check -r $(VENV)/requirements.txt
	@touch $@

$(TESTING): $(READY) pyproject.toml
	$(PY) -I .ci/requirements test > $(VENV)/requirements-test.txt
	$(PY) -I -m pip install -q --disable-pip-version-check -r $(VENV)/requirements-test.txt
	@touch $@

$(OTHERS)/ready-$(here): $(READY) pyproject.toml
	$(PYTHON) -m venv $(OTHERS)
	$(PY) -I .ci/requirements controllers > $(OTHERS)/requirements.txt
	$(PY) -I .ci/requirements examples > $(OTHERS)/requirements-examples.txt
	$(OTHERS)/bin/python -I -m pip install -q --disable-pip-version-check -r $(OTHERS)/requirements.txt
	$(OTHERS)/bin/python -I -m pip install -q --disable-pip-version-check --no-deps --upgrade \
	    --target $(OTHERS)/examples -r $(OTHERS)/requirements-examples.txt
	@touch $@

extension: $(READY)
	@env -u PYTHONPATH $(PY) setup.py -q build_ext --inplace

launchers: $(READY)
	@env -u PYTHONPATH $(PY) -m compileall -q schema datapath ovsdb_server vswitchd utilities
	@env -u PYTHONPATH $(PY) -m utilities.launcher $(VENV)

test-tools: build $(TESTING) $(OTHERS)/ready-$(here)

check: test-tools
	$(PYTEST) $(PARALLEL) -m "not long" $(TESTS)

check-long: test-tools
	$(PYTEST) $(PARALLEL) -m "long" $(TESTS)

check-asan: test-tools
	@.ci/sanitized address,undefined build/asan $(PYTEST) -m "not long" $(TESTS)

check-tsan: test-tools
	@.ci/sanitized thread build/tsan $(PYTEST) -m "not long" $(TESTS)

demo: build
	@.ci/install demo
	@env -u PYTHONPATH $(PY) -m utilities.demo

clean:
	rm -rf $(VENV) build datapath/src/generated datapath/_dp.c datapath/_dp.*.so \
	    vswitchd/openflow/quick/_quick.c vswitchd/openflow/quick/_quick.*.so \
	    vswitchd/openflow/quick/_lines.*.so vswitchd/openflow/quick/_shapes.*.so \
	    vswitchd/openflow/quick/generated utilities/ofctl/generated \
	    ovsdb_server/quick/_road.*.so \
	    .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
