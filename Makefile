# Every command of the project. `make` alone lists them.

PYTHON ?= python3
BIN := .venv/bin

# A stamp is named for its lock's checksum: whatever changes a lock, the environment follows.
stamp = .venv/.$(1)-$(shell cksum < requirements/$(1).txt | cut -d' ' -f1)
DEV := $(call stamp,dev)
E2E := $(call stamp,e2e)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install run demo test storm revocations bench-webhook bench-keys bench-admin bench-replay conformance programs e2e screenshots check fmt lint types migrations deploy-check lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(DEV) ## make .venv and install everything into it

run: install ## start payflow and the local Stripe; says what to open
	@$(BIN)/python -m devtools.run

demo: install ## pay for and use a key from the terminal, against a running `make run`
	@$(BIN)/python -m devtools.demo

# The tests of these have a database.
APPS = payflow accounts conversations apikeys billing support

test: install ## run the whole suite on PostgreSQL, then the applications' on SQLite
	$(BIN)/pytest
	$(BIN)/pytest --database=sqlite $(APPS)

revocations: install ## revoke a thousand keys under a fleet of servers and time the refusals
	REVOCATION_TRIALS=1000 $(BIN)/pytest apikeys/tests/test_fleet.py -k revoked

bench-keys: install ## measure a key's check beside its peers, on a million keys (some minutes)
	@$(BIN)/python -m benchmarks.keys

storm: install ## deliver everything at once for half an hour, while servers crash
	STORM_SEEDS=3 STORM_CONVERSATIONS=450 STORM_EXAMPLES=300 \
		$(BIN)/pytest -v -s billing/tests/test_storm.py billing/tests/test_any_order.py

# The peer has an environment of its own; nothing of it is installed beside payflow.
DJSTRIPE = .run/bench-djstripe

bench-webhook: install ## measure the webhook beside dj-stripe and pgbench, on one PostgreSQL
	@test -x $(DJSTRIPE)/bin/gunicorn || { $(PYTHON) -m venv $(DJSTRIPE) && \
		$(DJSTRIPE)/bin/pip install --quiet dj-stripe==2.11.0 'psycopg[binary,pool]' \
		dj-database-url gunicorn; }
	$(BIN)/python -m benchmarks.webhook --djstripe $(DJSTRIPE)/bin/python

e2e: $(E2E) ## run the browser tests in the machine's Chromium
	@$(BIN)/python -m devtools.browser
	@$(BIN)/python -m devtools.debian
	env -u DATABASE_URL $(BIN)/pytest e2e -p no:randomly

screenshots: $(E2E) ## take pictures of every page of the support desk, wide and narrow
	@$(BIN)/python -m devtools.browser
	env -u DATABASE_URL $(BIN)/pytest e2e/test_support_pages.py -p no:randomly
	@echo "Look into .run/screenshots."

conformance: install ## compare the local Stripe with Stripe's own description (needs Node 20)
	@$(BIN)/python -m sandbox.conformance

bench-admin: install ## time the support desk at 1,000,000 orders (takes minutes)
	$(BIN)/python -m benchmarks.admin

bench-replay: install ## show that replaying 1,000,000 events takes no more memory than 1,000
	$(BIN)/python -m benchmarks.replay

programs: install ## install nginx and redis-server, which tests run for real, where apt may
	@$(BIN)/python -m devtools.debian

check: install programs lint types migrations deploy-check conformance test ## all that CI asks for, but the browser

fmt: install ## format the code and mend what the linter can
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

lint: install ## check format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# Development settings (DEBUG) need no secrets; the database in memory is never written to.
types migrations: export DEBUG = on
types migrations: export DATABASE_URL = sqlite://:memory:
types migrations: export ENV_FILE =

types: $(E2E) ## check the types, those of the browser tests too
	$(BIN)/mypy .

migrations: install ## check that the migrations say what the models say
	$(BIN)/python manage.py makemigrations --check --dry-run

deploy-check: install ## check the settings as in production
	env -i PATH="$$PATH" ENV_FILE=devtools/production-example.env \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

# The largest set is resolved first; the others take its versions.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command 'make lock'

lock: install ## compile requirements/*.in to hash-locked *.txt (UPGRADE=1 for newer versions)
	$(LOCK) $(if $(UPGRADE),--upgrade) requirements/e2e.in -o requirements/e2e.txt
	for set in base prod test dev; do \
		$(LOCK) -c requirements/e2e.txt requirements/$$set.in -o requirements/$$set.txt || exit; \
	done

clean: ## remove .venv, caches and screenshots; the database stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .run/screenshots
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(DEV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "payflow: $(PYTHON) is not Python 3.11 or newer: make PYTHON=/usr/bin/python3.12" >&2; exit 1; }
	@$(PYTHON) devtools/install.py requirements/dev.txt $@ --fresh

$(E2E): | $(DEV)
	@$(BIN)/python devtools/install.py requirements/e2e.txt $@
