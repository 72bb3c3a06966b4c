# `make demo` and `make test` each do all the set-up they need; nothing has to be installed beforehand but Python.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: help venv demo test bundle wheel docs lint format clean

help:
	@echo "make demo    segment one synthetic heart: pictures, masks and scores under output/demo/"
	@echo "make test    the whole test suite; without Chromium the report pages are not looked at"
	@echo "make bundle  the bundle as MONAI's model zoo takes it, under output/zoo/, and the zoo's checks of it"
	@echo "make wheel   the wheel under dist/, installed into an environment of its own and tried in an empty folder"
	@echo "make docs    the book, built without a network: open output/docs/index.html"
	@echo "make lint    black, isort, flake8, the layers of the imports and oxlint (needs npm), changing nothing"
	@echo "make format  black and isort, in place"
	@echo "make venv    only the set-up: $(VENV)/ with the package, editable (PYTHON=python3.12 picks the interpreter)"
	@echo "make clean   remove $(VENV)/, output/ and caches"

venv: $(STAMP)

# The stamp is written last, so that an installation cut short is taken up again.
$(STAMP): setup.cfg setup.py pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "constraints.txt needs Python 3.11 or newer: install one and name it, as in make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --no-compile --disable-pip-version-check -c constraints.txt -e '.[test]'
	# by all processors, which pip does not; some packages bring files that are no Python of this version
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	touch $@

demo: venv
	$(BIN)/python -m nisf.cli.demo

test: venv
	$(BIN)/python -m pytest -q -rs -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder --durations=10 $(ARGS)

bundle: venv
	$(BIN)/python -m zoo

wheel: venv
	.ci/wheel $(BIN)/python

# The page of nisf view that the book shows.
HEART := output/heart/sax/view.html
$(HEART): $(STAMP) bundle/examples/volunteer/sax.nii.gz $(wildcard bundle/models/*.pt bundle/scripts/nisf/report/living/* \
    bundle/scripts/nisf/report/living/web/* bundle/scripts/nisf/report/templates/living.*)
	$(BIN)/nisf segment bundle/examples/volunteer/sax.nii.gz -o output/heart
	$(BIN)/nisf view output/heart/sax --draws 8 --no_browser

docs: venv $(HEART)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

lint: venv
	$(BIN)/black --check .
	$(BIN)/isort --check .
	$(BIN)/flake8
	PYTHONPATH=bundle/scripts $(BIN)/lint-imports
	npm ci --silent --no-audit --no-fund
	npm run --silent lint

format: venv
	$(BIN)/isort .
	$(BIN)/black .

clean:
	rm -rf $(VENV) node_modules output cache build dist .pytest_cache .import_linter_cache bundle/scripts/nisf.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
