# One chore a target; each installs what it needs. See README.md.
VENV := .venv
PY := $(VENV)/bin/python
DUMP ?=
ENTITIES ?= 500
KILLS ?= 200
OLD ?= 20c0dbc
SEED ?=
FUZZ_S ?= 60
COVER ?= tests
FUZZ ?=
BENCHES := pipeline setdiff ids ids_import diff
NATIVE := $(shell find wbd -name '*.[ch]')
SANITIZED := build/sanitized
COVERAGE := build/coverage
EXTENSIONS := rdf/_setdiff diff/_spans rdf/_turtle ids/_segment
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1

.PHONY: demo up down test test-upgrade generate test-light-client coverage native-sanitize fuzz chaos-ids check docs \
    format bench bench-ids bench-diff engines s3-server clean

demo: $(VENV)/.installed engines  ## start everything, import, take ids, count the diffs, print one table
	$(VENV)/bin/wbd demo $(if $(DUMP),--dump "$(DUMP)",--entities $(ENTITIES) --edits $(ENTITIES))

up: $(VENV)/.installed engines  ## start the group and stay in the foreground
	$(VENV)/bin/wbd up

down: $(VENV)/.installed  ## stop the group
	$(VENV)/bin/wbd down

test: $(VENV)/.installed engines s3-server  ## every test, on real engines, two files at a time
	$(PY) -m pytest -n 2 --dist loadfile --basetemp=$$(mktemp --directory)

test-light-client: $(VENV)/.installed  ## wbd.ids in a throw-away environment that has no other package but hiredis
	rm -rf build/light
	$(PY) -m venv build/light
	build/light/bin/python -m pip install --quiet --disable-pip-version-check --no-deps . hiredis
	WBD_LIGHT_PYTHON=$(CURDIR)/build/light/bin/python $(PY) -m pytest tests/unit/ids/test_light_client.py

test-upgrade: $(VENV)/.installed engines  ## migrate the tables of release OLD while its workers run; needs the git history
	$(PY) -m tests.upgrade.run --release $(OLD)

native-sanitize: $(VENV)/.installed  ## the native tests, with the C code built under ASan and UBSan
	mkdir -p $(SANITIZED)
	for one in $(EXTENSIONS); do \
	    $(CC) -shared -fPIC -std=c11 $(SANITIZE) \
	        -isystem $$($(PY) -c 'import sysconfig; print(sysconfig.get_path("include"))') \
	        wbd/$${one%/*}/*.c -o $(SANITIZED)/$${one#*/}.so || exit 1; \
	done
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
	    ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc WBD_NATIVE_DIR=$(SANITIZED) $(PY) -m pytest tests/native

coverage: $(VENV)/.installed engines  ## branch coverage of Python by COVER, of C by the native tests; report in build/coverage
	rm -rf $(COVERAGE) && mkdir -p $(COVERAGE)
	for one in $(EXTENSIONS); do \
	    $(CC) -shared -fPIC -std=c11 -O0 -g --coverage -fprofile-update=atomic \
	        -isystem $$($(PY) -c 'import sysconfig; print(sysconfig.get_path("include"))') \
	        wbd/$${one%/*}/*.c -o $(COVERAGE)/$${one#*/}.so || exit 1; \
	done
	WBD_NATIVE_DIR=$(COVERAGE) $(PY) -m pytest tests/native
	$(VENV)/bin/gcovr --root . --filter wbd/ --txt-metric branch --object-directory $(COVERAGE) \
	    --json-summary $(COVERAGE)/c.json --txt $(COVERAGE)/c.txt && cat $(COVERAGE)/c.txt
	$(PY) -m coverage run -m pytest $(COVER)
	$(PY) -m coverage combine -q && $(PY) -m coverage json -q -o $(COVERAGE)/python.json
	$(PY) -m coverage report | tee $(COVERAGE)/python.txt | tail -n 40

fuzz: $(VENV)/.fuzz  ## FUZZ_S seconds of each target, or of those that FUZZ names; fails and names the input on a crash
	$(PY) -m tests.fuzz.run $(FUZZ) --seconds $(FUZZ_S) $(if $(SEED),--seed $(SEED))

chaos-ids: $(VENV)/.installed engines  ## kill workers, takers and MariaDB KILLS times; no id twice, losses counted
	$(PY) -m tests.chaos.ids --kills $(KILLS) $(if $(SEED),--seed $(SEED))

generate: $(VENV)/.installed  ## write supervisord.conf, docs/{settings,workers,commands}.md and the table in README.md
	$(PY) -m scripts.generate

check: $(VENV)/.installed docs  ## style, types, import layers, generated files, documentation
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache
	$(PY) -m scripts.generate --check
	scripts/check-c-format.sh $(VENV)/bin/clang-format

docs: $(VENV)/.installed  ## build the documentation into build/site; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

format: $(VENV)/.installed  ## put files into the house's format
	$(VENV)/bin/ruff check --fix --quiet .
	$(VENV)/bin/ruff format --quiet .

bench: $(VENV)/.installed engines  ## measure, beside rivals
	for bench in $(BENCHES); do $(PY) -m bench.$$bench || exit 1; done

bench-ids: $(VENV)/.installed  ## ids a second, beside rivals; writes the figures of docs/benchmarks.md
	scripts/install-packages.sh
	$(PY) -m bench.ids

bench-diff: $(VENV)/.installed engines  ## from snapshots to events, beside rivals; writes the figures of docs/benchmarks.md
	$(PY) -m bench.diff

engines: $(VENV)/.installed
	scripts/install-packages.sh
	$(PY) -m wbd.stack.fetch

s3-server:
	scripts/install-s3-server.sh

$(VENV)/.installed: pyproject.toml constraints.txt setup.py $(NATIVE)
	scripts/install-packages.sh python
	test -x $(PY) || python3 -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

# Apart from .installed, because this Atheris has no wheel for Python 3.12 and above.
$(VENV)/.fuzz: $(VENV)/.installed
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,fuzz]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
