# Every target prepares what it needs, once: `.venv` and what requirements*.txt pin.
# Needed beforehand: Python >= 3.11, make and a package registry.
#
#   make run     the page on http://127.0.0.1:7860         make run PORT=8000     on another port
#   make test    the whole test suite                      make test ARGS="-k tiling"
#   make check   lint, format, types and the fast tests
#   make bench   speed and memory of each model on this machine, raced against reference implementations
#   make bench-check   fails when speed (against those) or memory got worse than in the newest result, or than the goals
#   make load    64 visitors at once for three minutes; make load ARGS="--clients 8 --seconds 20";
#                with ARGS="--chaos 20" the server is killed in the middle of jobs meanwhile
#   make clean   removes caches; `make distclean` also .venv

VENV := .venv
PYTHON := $(VENV)/bin/python
CANDIDATES := python3.12 python3.11 python3.13 python3 python
PIP_INSTALL := $(PYTHON) -m pip install --disable-pip-version-check
ARGS ?=

.PHONY: run test check bench bench-check load clean distclean
.DELETE_ON_ERROR:

run: $(VENV)/serving.stamp
	$(PYTHON) app.py

test: $(VENV)/testing.stamp
	@.ci/chromium
	$(PYTHON) -m pytest $(ARGS)

check: $(VENV)/testing.stamp
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m basedpyright
	$(PYTHON) -m pytest -m "not slow and not browser" $(ARGS)

bench: $(VENV)/testing.stamp
	$(PYTHON) -m restoration bench --peers $(ARGS)

bench-check: $(VENV)/testing.stamp
	$(PYTHON) -m restoration bench --check $(ARGS)

load: $(VENV)/testing.stamp
	$(PYTHON) -m tests.load $(ARGS)

clean:
	find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +
	rm -rf .pytest_cache .ruff_cache .hypothesis .gradio dist build *.egg-info

distclean: clean
	rm -rf $(VENV)

# A stamp is newer than the file it was made from: installs run again only when that file changes.
$(VENV)/serving.stamp: requirements.txt $(VENV)/made.stamp
	@echo "Installing requirements.txt into $(VENV): some minutes the first time."
	$(PIP_INSTALL) -r requirements.txt
	@touch $@

$(VENV)/testing.stamp: requirements-dev.txt $(VENV)/serving.stamp
	$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@

# A candidate counts only if it runs (a version manager's stand-in may not) and is new enough.
$(VENV)/made.stamp:
	@usable='import sys; sys.exit(sys.version_info < (3, 11))'; \
	if $(PYTHON) -c "import pip; $$usable" 2>/dev/null; then touch $@; exit 0; fi; \
	for candidate in $(CANDIDATES); do \
	  if "$$candidate" -c "$$usable" 2>/dev/null; then \
	    echo "Making $(VENV) with $$("$$candidate" --version)"; \
	    "$$candidate" -m venv --clear $(VENV) && touch $@ && exit 0; \
	    echo "$$candidate cannot make a virtual environment; on Debian and Ubuntu 'apt install python3-venv' mends that." >&2; \
	    exit 1; \
	  fi; \
	done; \
	echo "No Python >= 3.11 was found (looked for: $(CANDIDATES))." >&2; exit 1
