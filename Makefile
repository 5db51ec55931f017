# The two commands are `make book` and `make test`; `make help` lists the rest.
# Everything is installed into .venv, once; it is renewed when requirements.txt or pyproject.toml change.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(shell cat requirements.txt pyproject.toml | cksum | cut -d' ' -f1)

# one thread a process: the tests and the chapters run side by side
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONWARNINGS ?= ignore::DeprecationWarning
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help setup book test test-all lint unit bench homework stamp readme-picture clean

help:  ## say what can be made
	@echo "make <what>, where <what> is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1 \2/p' Makefile | awk '{ what = $$1; $$1 = ""; printf "  %-16s%s\n", what, $$0 }'

setup: $(READY)  ## make .venv and install the course and its tools there (the others do it by themselves)

$(READY): requirements.txt pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "The course needs Python 3.11 or newer; here is $$(python3 --version 2>&1 || echo none)."; \
		echo "Install one, or name it: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3.12"; exit 1; fi
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "The course needs Python 3.11 or newer; $(PYTHON) is" \
			"$$({ "$(PYTHON)" --version || echo "no program that runs"; } 2>/dev/null)."; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Could not make $(VENV). On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing the course and its tools into $(VENV): once, some minutes and some gigabytes (most of it PyTorch)."
	@$(BIN)/python -m pip install -qq -r requirements.txt
	@rm -f $(VENV)/.ready-* && touch $@

book: $(READY)  ## execute the chapters and build the book
	@$(BIN)/python book/build.py

test: lint unit book  ## lint, unit tests, the book with its notebooks, and what a browser sees of it
	@$(BIN)/python -m pytest -n auto --dist worksteal -m "(book or browser) and not slow" tests

lint: $(READY)
	@$(BIN)/ruff check -q && $(BIN)/ruff format --check -q || { \
		echo "ruff has something to say: $(BIN)/ruff check --fix && $(BIN)/ruff format"; exit 1; }

unit: $(READY)
	@$(BIN)/python -m pytest -n auto --dist loadfile -m "not (slow or book or browser)" tests

test-all: lint book  ## make test and the slow tests
	@$(BIN)/python -m pytest -n auto --dist loadfile -m "" tests

bench: $(READY)  ## measure the speed of training (ratios, on this machine)
	@$(BIN)/python -m pytest -m "" tests/benchmarks

homework: $(READY)  ## verify the homework, and write homework/released and the catch rates
	@$(BIN)/gan-course homework release all --to homework/released

stamp: $(READY)  ## write the repository's address from _config.yml into notebooks, book and README
	@$(BIN)/python book/stamp.py

readme-picture: book  ## take the README's picture from the front page of the built book
	@$(BIN)/python book/readme_picture.py

clean:  ## remove what was built (.venv stays)
	rm -rf book/_build build dist runs .pytest_cache .ruff_cache .hypothesis .benchmarks *.egg-info
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
