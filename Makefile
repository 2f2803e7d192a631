# Thin: the work is done by pip, pytest and the `hspec` command, all of which run without make.
# make book FRESH=1 measures everything instead of drawing the results that come with the book.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
# A process of about a gigabyte for each core, which must name the tests alike (hence the seed); the real
# book, which is made once, is looked at by one of them.
AT_ONCE := -n auto --maxprocesses=4 --dist loadfile --no-loadscope-reorder

.PHONY: book pdf test clean

book: $(READY)
	@$(VENV)/bin/hspec book $(if $(FRESH),--fresh)

# Printed by Chromium or Chrome to _build/hspec.pdf.
pdf: $(READY)
	@$(VENV)/bin/hspec book --pdf $(if $(FRESH),--fresh)

test: $(READY)
	@PYTHONHASHSEED=0 $(VENV)/bin/python -m pytest $(AT_ONCE)

clean:
	rm -rf _build book/notebooks book/_generated

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' || \
	  { echo "hspec needs Python 3.11, 3.12, 3.13 or 3.14; $(PYTHON) is `$(PYTHON) -V 2>&1`."; \
	    echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) lacks the venv module. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing the locked packages into $(VENV): about 6 GB and a few minutes, once."
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[book,test]'
	@touch $@
