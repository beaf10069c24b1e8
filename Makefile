# make demo    what the package does, on one page (minutes)
# make study   the whole paper on built-in doodles: tune and compare the four arms, train what draws (takes longer)
# make test    the test suite
# make check   lint, format and types
# make storm   kills, bad files, wrong tensors, attacks on the page, in full (docs/reliability.md)
# make audit   known faults of the packages in constraints.txt; needs a network
# make docs    the documentation as pages, in site/
# make clean   remove what these made

PYTHON ?= python3
VENV := .venv
# Python compiles a module when it is first imported; pip would compile thousands that nobody imports.
PIP := $(VENV)/bin/pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt

.PHONY: demo study test check storm audit docs clean

demo: $(VENV)/.demo
	$(VENV)/bin/sketchloss demo --out demo --again

study: $(VENV)/.demo
	$(VENV)/bin/sketchloss study --preset doodles --workers 2 --out study --again

test: $(VENV)/.test
	$(VENV)/bin/pytest

check: $(VENV)/.check
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright

storm: $(VENV)/.test
	SKETCHLOSS_STORM=full $(VENV)/bin/pytest tests/storms --numprocesses=0 --capture=no --timeout=1800 --durations=5

# Strict, because what could not be asked about must not pass; an environment of its own, because it brings much along.
audit:
	$(PYTHON) -m venv .audit
	.audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	.audit/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict
	@echo "open $(CURDIR)/site/index.html"

clean:
	rm -rf $(VENV) .audit demo study site build dist .pytest_cache .ruff_cache .hypothesis

# One environment, in which each command installs what it needs and is not there yet; again when the lists change.
# The file .NAME says that NAME's part is there. Parts are installed one after the other, also with `make --jobs`.
.NOTPARALLEL:

$(VENV)/.made: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sketchloss needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	touch $@

$(VENV)/.demo: $(VENV)/.made
	$(PIP) torch
	$(PIP) --editable '.[eval,diffusion]'
	touch $@

$(VENV)/.all: $(VENV)/.demo
	$(PIP) --editable '.[all]'
	touch $@

$(VENV)/.test: $(VENV)/.all $(VENV)/.docs
	$(PIP) --group test
	touch $@

$(VENV)/.check: $(VENV)/.all
	$(PIP) --group check
	touch $@

# The pages are made from the source, which is read and not imported.
$(VENV)/.docs: $(VENV)/.made
	$(PIP) --group docs
	touch $@
