# One chore a target; each installs what it needs. See README.md.
VENV := .venv
PY := $(VENV)/bin/python
DUMP ?=
ENTITIES ?= 500

.PHONY: demo up down test check format bench engines clean

demo: $(VENV)/.installed engines  ## start everything, import, take ids, count the diffs, print one table
	$(VENV)/bin/wbd demo $(if $(DUMP),--dump "$(DUMP)",--entities $(ENTITIES) --edits $(ENTITIES))

up: $(VENV)/.installed engines  ## start the group and stay in the foreground
	$(VENV)/bin/wbd up

down: $(VENV)/.installed  ## stop the group
	$(VENV)/bin/wbd down

test: $(VENV)/.installed engines  ## every test, on real engines
	$(PY) -m pytest

check: $(VENV)/.installed  ## style, types, import layers
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache
	scripts/check-c-format.sh $(VENV)/bin/clang-format

format: $(VENV)/.installed  ## put files into the house's format
	$(VENV)/bin/ruff check --fix --quiet .
	$(VENV)/bin/ruff format --quiet .

bench: $(VENV)/.installed engines  ## measure, beside rivals
	for bench in bench/*.py; do $(PY) $$bench || exit 1; done

engines: $(VENV)/.installed
	scripts/install-packages.sh
	$(PY) -m wbd.stack.fetch

$(VENV)/.installed: pyproject.toml
	scripts/install-packages.sh python
	test -x $(PY) || python3 -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
