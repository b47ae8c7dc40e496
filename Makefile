# Two commands do everything on a fresh machine: `make demo` shows the product, `make test` proves it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
SCENARIO ?= calm
# Some tests wait for a screen: three test processes keep two cores busy.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) \* 3 / 2)

.PHONY: demo test check contracts lint bench load science screenshots lab lock clean

demo: $(VENV)/.product
	$(BIN)/marginline demo --scenario $(SCENARIO)

test: $(VENV)/.dev node_modules/.installed
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

contracts: $(VENV)/.dev node_modules/.installed
	$(BIN)/python -m tests.chain.contracts

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

bench: $(VENV)/.dev $(VENV)-bench/.installed
	$(BIN)/python -m benchmarks

load: $(VENV)/.dev
	$(BIN)/python -m benchmarks.load $(ARGS)

science: $(VENV)/.dev
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.science $(DATA)

screenshots: $(VENV)/.dev
	PYTHONPATH=. $(BIN)/python screenshots/make.py

lab: $(VENV)/.dev node_modules/.installed
	$(BIN)/python -m tests.chain.lab

$(VENV)/.product: pyproject.toml requirements/build.txt requirements/product.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes --no-deps -r requirements/build.txt -r requirements/product.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.product requirements/dev.txt requirements/ccxt.txt
	$(PIP) install --require-hashes --no-deps --no-compile -r requirements/dev.txt -r requirements/ccxt.txt
	touch $@

$(VENV)-bench/.installed: requirements/bench.txt
	test -x $(VENV)-bench/bin/python || $(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/pip --disable-pip-version-check --quiet install --require-hashes --no-deps -r requirements/bench.txt
	touch $@

node_modules/.installed: package.json package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-bench node_modules .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
