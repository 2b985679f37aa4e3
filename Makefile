# Each target sets up what it needs in .venv; see `make help`.
PYTHON ?= python3
BIN = .venv/bin
TORCH_CPU = https://download.pytorch.org/whl/cpu
LAB_FLAGS ?=

# On Linux PyPI's torch is a CUDA build of 5.5 GB; the CPU wheels are far smaller. They
# have their own address, which not every network reaches: ask it, for 8 seconds at most.
ifeq ($(shell uname -s),Linux)
PROBE = timeout 8 $(PYTHON) -c \
	"import urllib.request as r; r.urlopen('$(TORCH_CPU)/torch/', timeout=4)"
INDEX = $$($(PROBE) >/dev/null 2>&1 && echo --extra-index-url $(TORCH_CPU))
endif

.PHONY: help lab test quick lessons bench data clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

.venv/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and \
	'the course needs Python 3.10 or newer, this is ' + sys.version.split()[0] + \
	'; try: make PYTHON=python3.11')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $(INDEX) -e .
	touch $@

.venv/test-ready: .venv/ready
	$(BIN)/python -m pip install --quiet $(INDEX) -e ".[test]"
	touch $@

lab: .venv/ready  ## set up and open JupyterLab at lesson 00
	$(BIN)/jupyter lab $(LAB_FLAGS) notebooks/00_start_here.ipynb

test: .venv/test-ready  ## set up and run all tests, every lesson included
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest

quick: .venv/test-ready  ## the tests that matter while working, in three minutes
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -m "not slow and not lesson and not browser"

lessons: .venv/ready  ## run every lesson, save its outputs, print time and memory
	$(BIN)/python -m course_utils.lessons.authoring run

bench: .venv/ready  ## our functions against the libraries', as ratios of time
	$(BIN)/python -m bench

data: .venv/ready  ## make the embedded data set again, over data/tabletop
	$(BIN)/python -m pip install --quiet -e ".[data]"
	$(BIN)/python data/make_tabletop.py --overwrite

clean:  ## remove .venv
	rm -rf .venv
