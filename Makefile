# make            lint, types, tests
# make setup      both environments, from a Python 3.11 to 3.13 with pip, and nothing else
# make grade      FILE=... ASSIGNMENT=...
# make serve      a working course at http://127.0.0.1:8000, sign-in links printed; ARGS="--port 8001"
# make smoke      every story of submissions/ through a service of its own; make smoke-postgres: on PostgreSQL
# make load       the service under load, and queries on a million reports; several minutes
# make chaos      faults at random moments under load, on PostgreSQL and SQLite, and what was lost; twenty minutes
# make bench-peers   other graders on the same six items; ten minutes, and 2 GB in build/peers the first time
# make bench-growth  cost by checks, submissions and workers, and a plan for a deadline; ten minutes
# make test-postgres    the service's tests once more on PostgreSQL (Debian: apt-get install postgresql)
# make test-containers  image and compose file for real, with a Docker engine of its own (docker.io, docker-compose, debootstrap)
# make browser    what the browser tests need from npm (Chromium comes from your system)
# make screenshots  every page in both languages, wide and narrow, to build/screenshots
PYTHON ?= python3
BIN := .venv/bin
LOCKS := deploy/requirements
PIP_FLAGS := --quiet --disable-pip-version-check --require-hashes
SERVICE := .venv/.installed
RUNNER := .venv-runner/.installed

.PHONY: all setup lint types test test-postgres smoke-postgres test-containers chaos bench-peers bench-growth grade prove serve worker smoke bench load browser screenshots lock clean
all: lint types test

setup: $(SERVICE) $(RUNNER)
ifdef TORCH
	.venv-runner/bin/pip install --quiet --disable-pip-version-check -r $(LOCKS)/torch.txt
endif

.python-checked:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	"Grader needs Python 3.11, 3.12 or 3.13; this is %d.%d. Run: make setup PYTHON=python3.11" % v)'

$(SERVICE): $(LOCKS)/dev.txt pyproject.toml | .python-checked
	@echo "Making .venv: the service and the tools of its developers"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install $(PIP_FLAGS) -r $(LOCKS)/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(RUNNER): $(LOCKS)/figures.txt | .python-checked
	@echo "Making .venv-runner: what students' code may import, TensorFlow too; a few minutes"
	$(PYTHON) -m venv .venv-runner
	.venv-runner/bin/pip install $(PIP_FLAGS) -r $(LOCKS)/figures.txt
	@touch $@

lint: $(SERVICE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check grader tests benchmarks

types: $(SERVICE)
	$(BIN)/mypy

# Files beside each other, a test file in one process: JOBS=0 runs all in one.
JOBS ?= 2
test: setup
	$(BIN)/pytest -n $(JOBS) --dist loadfile $(ARGS)

test-postgres: setup
	$(BIN)/pytest -n $(JOBS) --dist loadfile --database postgresql $(ARGS) tests/integration tests/attacks

test-containers: setup
	$(BIN)/pytest tests/containers $(ARGS)

grade: $(if $(and $(FILE),$(ASSIGNMENT)),setup)
	@test -n "$(FILE)" -a -n "$(ASSIGNMENT)" || \
	{ echo "make grade FILE=... ASSIGNMENT=...; $(BIN)/grader assignments lists the assignments" >&2; exit 2; }
	@$(BIN)/grader grade "$(FILE)" --assignment "$(ASSIGNMENT)"

prove: setup
	$(BIN)/grader prove

serve: setup
	@$(BIN)/grader serve --demo $(ARGS)

worker: setup
	@$(BIN)/grader worker $(ARGS)

smoke: setup
	@$(BIN)/grader smoke $(ARGS)

smoke-postgres: setup
	@$(BIN)/python -m tests.postgres $(BIN)/grader smoke --database {database} $(ARGS)

bench: setup
	$(BIN)/python benchmarks/grading.py

load: setup
	$(BIN)/python benchmarks/load.py $(ARGS)

chaos: setup
	$(BIN)/python -m tests.chaos --database postgresql --faults 200 $(ARGS)
	$(BIN)/python -m tests.chaos --database sqlite --faults 60 $(ARGS)

bench-peers: setup
	$(BIN)/python benchmarks/peers.py $(ARGS)

bench-growth: setup
	$(BIN)/python benchmarks/growth.py $(ARGS)

browser:
	npm ci --silent --prefix tests/browser

screenshots: setup
	GRADER_SCREENSHOTS=1 $(BIN)/pytest -q tests/browser/test_pages.py -k accessible

# Versions move here only. Hashes of every platform's files, and no address of any index.
lock: $(SERVICE)
	$(BIN)/python deploy/requirements/lock.py

clean:
	rm -rf .venv .venv-runner build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
