# Relaxation: `make help` lists the targets.
PYTHON ?= $(or $(shell command -v python3.11),$(shell command -v python3))
BIN := .venv/bin
CHAPTERS = $(shell $(BIN)/python -c 'import sys; sys.path.insert(0, "tools"); \
	from sync_notebooks import ROOT, notebooks; \
	print(*(path.relative_to(ROOT) for path in notebooks()))')
NBVAL = $(BIN)/pytest -q --nbval --nbval-current-env --nbval-cell-timeout=300 \
	-n $(shell nproc) --dist loadfile
# Another processor, as far as one machine can pretend: old instructions, one thread.
OTHER_MACHINE = OPENBLAS_CORETYPE=Sandybridge NPY_DISABLE_CPU_FEATURES=X86_V3 \
	NUMBA_CPU_NAME=generic ATEN_CPU_CAPABILITY=default \
	NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# Kernels choose the backend that puts figures on the page.
unexport MPLBACKEND

.PHONY: help book test lint wheel unit validate browser lab dev sync results bench clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

book: .venv/installed ## execute the chapters and build the HTML
	$(BIN)/python tools/build_book.py

test: lint wheel unit validate browser ## check everything: style, types, wheel, units, every stored number, every page

lint: .venv/installed ## style of code and notebooks, types, form of stored outputs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/sync_notebooks.py --check

wheel: .venv/installed ## build the library and try it in an empty environment
	rm -rf dist
	PYTHONWARNINGS=error $(BIN)/python -m build --quiet --no-isolation
	$(BIN)/python tools/try_wheel.py $(PYTHONS)

unit: .venv/installed ## unit and property tests, examples in docstrings
	$(BIN)/pytest -q -n $(shell nproc) --ignore=tests/book/test_book.py

validate: .venv/installed ## run every chapter twice against its stored outputs
	$(NBVAL) $(CHAPTERS)
	$(OTHER_MACHINE) $(NBVAL) $(CHAPTERS)

browser: .venv/installed ## strict clean build, then look at every page
	rm -rf _build
	$(BIN)/python tools/build_book.py
	$(BIN)/pytest -q tests/book/test_book.py

lab: .venv/installed ## open the chapters in JupyterLab
	$(BIN)/jupyter lab intro.ipynb

dev: .venv/installed ## readable diffs of notebooks, hooks before each commit
	git config diff.notebook.textconv \
		'show() { $(BIN)/python tools/notebook_text.py "$$1" 2>/dev/null || cat "$$1"; }; show'
	git config diff.notebook.xfuncname '^=== (.*)$$'
	@if [ -f .pre-commit-config.yaml ]; then $(BIN)/pre-commit install; fi

sync: .venv/installed ## execute the chapters and store their text outputs
	$(BIN)/python tools/sync_notebooks.py

results: .venv/installed ## recompute the stored results
	@for script in $(wildcard results/*.py); do $(BIN)/python $$script || exit 1; done

bench: .venv/installed ## time the kernels beside their peers
	@for script in $(filter-out benchmarks/timing.py,$(wildcard benchmarks/*.py)); do $(BIN)/python $$script || exit 1; done

clean: ## remove what was built
	rm -rf _build build dist

.venv/installed: requirements.txt requirements-dev.txt constraints.txt pyproject.toml
	"$(PYTHON)" -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer, please"'
	"$(PYTHON)" -m venv .venv
	$(BIN)/pip install -q -r requirements.txt -r requirements-dev.txt -c constraints.txt
	$(BIN)/pip install -q --no-deps -e .
	@touch $@
