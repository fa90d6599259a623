# Between Exit and Entry: everything happens in .venv, which `make` builds on first use.
# Needed beforehand: make and Python 3.11 or newer.  `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
SITE := _build/html/index.html
SOURCES := _config.yml _toc.yml requirements.txt $(shell find book lib/kvmexit -type f -not -path '*/.*' \
	-not -path '*/__pycache__/*')
# Compiled Python is kept, also where the environment says not to: one place, gone with `make clean`.
# Without it each of the hundreds of processes of `make test` compiles its libraries anew.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.cache/python
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: setup book live edition preview lab hub test pythons bench fuzz logs elsewhere clean help always

setup: .venv/ready ## make .venv, and install Chromium for the browser tests where that is possible
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
	|| command -v google-chrome >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing Chromium" \
	     && apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
	        install --no-install-recommends chromium >/dev/null; } \
	|| echo "No Chromium: the browser tests will not run. On Debian: sudo apt-get install chromium"

# The true reason, if .venv cannot be made: a copy that cannot be written is not a missing package.
.venv/ready: requirements.txt lib/pyproject.toml lib/hatch_build.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is \
	needed, this is %s. Try: make PYTHON=python3.11" % sys.version.split()[0])'
	@test -w . || { echo "$(CURDIR) cannot be written by $$(id -un 2>/dev/null || id -u): copy it to \
	a folder of your own, and say make there"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv. On Debian: \
	apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "$(PYTHON) could not make .venv; its reason stands above"; exit 1; }
	@echo "installing requirements.txt into .venv (a minute or two the first time)"
	@# uv does in seconds what pip does in minutes; pip does it where uv has no build.
	@test -w "$$HOME" || export UV_CACHE_DIR="$(CURDIR)/.cache/uv"; \
	{ $(BIN)/python -m pip install -q uv==0.13.8 \
	   && $(BIN)/uv pip install -q --python $(BIN)/python -r requirements.txt; } \
	|| $(BIN)/python -m pip install -q -r requirements.txt
	@touch $@

book: .venv/ready live $(SITE) ## build the book and say where it is
	@echo "The book: file://$(CURDIR)/$(SITE)"

# Notebooks are not executed here: their stored outputs are the ones a fresh run gives, and
# `make test` fails if they are not.  Warnings are errors, and so is a page too few or too many.
$(SITE): $(SOURCES) .venv/sources | .venv/ready
	@$(BIN)/python book/tools/rebuild.py

edition: setup book ## the book as one PDF, and its figures as images, in _build/edition
	@$(BIN)/python book/tools/edition.py

preview: .venv/ready ## show the book while you edit it: a saved page is there in a moment (PORT=8000)
	@$(BIN)/python book/tools/preview.py --port $(or $(PORT),8000)

# What "Run it here" serves comes from npm, once; without npm the book is built without it.
live: .venv/ready
	@$(BIN)/python book/site/run_npm.py

# A file that is gone makes nothing newer; the list of their names does. What npm has fetched is
# no file of the book, and its coming makes one anew all the same.
.venv/sources: always | .venv/ready live
	@echo $(sort $(SOURCES)) $$(ls .cache/live/ready 2>/dev/null) > $@.now
	@cmp -s $@.now $@ || cp $@.now $@

lab: .venv/ready ## open the chapters in JupyterLab, where the machine is live
	@test -w "$$HOME" || export HOME="$(CURDIR)/.cache/home"; mkdir -p "$$HOME"; \
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) --LabApp.app_settings_dir=book/site/jupyterlab book/00-start-here.ipynb

hub: ## a JupyterHub for the labs, tried by a class of three (STORE=1: keep what was measured for its page)
	@$(PYTHON) tests/lab/hub/prepare.py && .cache/hub/venv/bin/python tests/lab/hub/trial.py $(if $(STORE),--store)

test: setup book ## every test, every notebook, style and types (five or six minutes on two cores)
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

pythons: .venv/ready ## wheel and source archive on each Python that is here, as a stranger installs them
	@$(BIN)/python tests/install/matrix.py

bench: setup book ## measure: exits a second, the time of a sweep, key to painted frame
	@for part in tests/bench/bench_*.py; do echo "$$part"; $(BIN)/python $$part || late=1; done; \
	test -z "$$late"

N ?= 100000
fuzz: .venv/ready ## N random programs on two kernels (N=100000), lines against as, bytes against iced
	@$(BIN)/python tests/properties/against_as.py 20000
	@$(BIN)/python tests/properties/against_iced.py 100000
	@$(BIN)/kvmexit fuzz $(N)

logs: .venv/ready ## N generated logs of runs that know the truth (N=100000), N damaged real ones
	@PYTHONPATH=tests $(BIN)/python tests/tracelint/generate.py $(N)
	@PYTHONPATH=tests $(BIN)/python tests/tracelint/fuzz.py $(N)

MACHINES ?= vmx svm arm64 riscv64 powerpc
elsewhere: .venv/ready ## real KVM on processors that are not here, in emulators (MACHINES="arm64 ...", TESTS=1)
	@$(BIN)/kvmexit elsewhere $(MACHINES) $(if $(TESTS),--tests)

clean: ## remove what was built, .venv included
	rm -rf _build .venv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8
