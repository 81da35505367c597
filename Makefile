# The two commands that matter: `make book` and `make test`. `make` alone lists all of them.
#
#   PYTHON      the interpreter that the environment is made with           (python3)
#   VENV        where the environment is                                    (.venv)
#   TORCH_ARGS  extra pip arguments for PyTorch alone, to choose a CPU or CUDA build, e.g.
#               make book TORCH_ARGS="--index-url <the index that pytorch.org names for your CUDA>"
#   JOBS        test processes side by side                                 (2)
#   BUILD       where _build is made, for a checkout that can only be read  (.)

PYTHON     ?= python3
VENV       ?= .venv
TORCH_ARGS ?=
JOBS       ?= 2
BUILD      ?= .

export GMMTF_BUILD := $(abspath $(BUILD))

PY    := $(VENV)/bin/python
READY := $(VENV)/.ready
TORCH := $(shell grep '^torch==' constraints.txt)

ifeq ($(shell test -w src && echo yes),yes)
INSTALL = $(PY) -m pip install --quiet -c constraints.txt -e '.[images,book,test,distributed,dev]'
else
INSTALL = $(PY) scripts/read_only_environment.py
endif

.DEFAULT_GOAL := help
.PHONY: help env book test lab paper bench outputs records claims lint mutants clean

help:  ## list the commands
	@echo "make <command>, one of:"
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  \1|/' | awk -F'|' '{printf "%-10s %s\n", $$1, $$2}'

env: $(READY)  ## make the environment (done by the other commands when needed)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"Python 3.11 or newer is needed, this is {v[0]}.{v[1]}; set PYTHON=")'
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet $(TORCH_ARGS) -c constraints.txt $(TORCH)
	$(INSTALL)
	touch $(READY)

book: $(READY)  ## execute what changed and build the HTML book
	$(VENV)/bin/jupyter-book build . -W --keep-going -n --path-output "$(GMMTF_BUILD)"
	@echo "The book is ready. Open: $(GMMTF_BUILD)/_build/html/index.html"

test: $(READY)  ## run all tests (library, chapters, book in a browser)
	$(PY) -m pytest -n $(JOBS) --dist worksteal

lab: $(READY)  ## work in a copy of the chapters with JupyterLab
	$(PY) scripts/open_lab.py

paper: $(READY)  ## do the large runs of the chapters that have one, into _build/papermill
	$(PY) scripts/run_chapter.py all --preset paper

bench: $(READY)  ## time the library, into _build/bench.json
	$(PY) -m benchmarks

outputs: $(READY)  ## execute all chapters in place and store their outputs
	$(PY) scripts/refresh_outputs.py

records: $(READY)  ## say which code, commits and machines the recorded points come from
	$(PY) scripts/records.py

claims: $(READY)  ## fill the numbers of data/results/claims.json
	$(PY) scripts/make_claims.py

lint: $(READY)  ## ruff, mypy, and which module may import which
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	PYTHONPATH=src $(VENV)/bin/lint-imports --no-cache --no-logo

mutants: $(READY)  ## seed faults in the library one at a time; each must fail a test (an hour)
	$(PY) scripts/mutants.py --jobs $(JOBS) --record

clean:  ## remove what was built; the environment stays
	rm -rf "$(GMMTF_BUILD)/_build" .pytest_cache .mypy_cache .ruff_cache .hypothesis
