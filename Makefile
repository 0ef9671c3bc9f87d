# Every command of the project. `make` alone lists them.

PYTHON ?= python3
BIN := .venv/bin

# A stamp is named for its lock's checksum: a changed lock is installed.
stamp = .venv/.$(1)-$(shell cksum < requirements/$(1).txt | cut -d' ' -f1)
RUN := $(call stamp,run)
DEV := $(call stamp,dev)
E2E := $(call stamp,e2e)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install run demo test soak revocations bench-webhook bench-keys bench-admin bench-growth bench-edge bench-invariants bench-replay disaster conformance programs e2e screenshots check fmt lint types migrations reference messages deploy-check production-install lock sbom advisories clean cluster cluster-down cluster-test image-walk bench

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(DEV) ## make .venv and install everything into it

run: $(RUN) ## start payflow and the local Stripe, and print what to open
	@$(BIN)/python -m devtools.run

demo: $(RUN) ## pay and use a key from the terminal, against a running `make run`
	@$(BIN)/python -m devtools.demo

# Apps whose tests use a database.
APPS = payflow accounts conversations apikeys notifications billing support

test: install ## run the whole suite on PostgreSQL, then the applications' on SQLite
	$(BIN)/pytest -n auto
	$(BIN)/pytest -n auto --database=sqlite $(APPS)

revocations: install ## revoke a thousand keys while several servers run, and time the refusals
	REVOCATION_TRIALS=1000 $(BIN)/pytest apikeys/tests/test_fleet.py -k revoked

bench-keys: install ## compare key authentication with other libraries, on a million keys (some minutes)
	@$(BIN)/python -m benchmarks.keys

soak: install ## run the stress tests for an hour: all events at once, crashes, 100,000 wrong events
	STRESS_SEEDS=3 STRESS_CONVERSATIONS=450 STRESS_EXAMPLES=300 STRESS_BOUNDARIES=1 \
		$(BIN)/pytest -v -s billing/tests/test_stress.py billing/tests/test_any_order.py \
		billing/tests/test_statement_boundaries.py
	FUZZ_EXAMPLES=3000 $(BIN)/pytest payflow/tests/test_fuzz.py
	FUZZ_SEEDS=100 FUZZ_DELIVERIES=1000 $(BIN)/pytest -s billing/tests/test_fuzzed_deliveries.py
	IMPORTED_KEYS=100000 $(BIN)/pytest -v -s --timeout=600 payflow/tests/test_imports.py -k many

# dj-stripe has an environment of its own: nothing of it is installed into .venv.
DJSTRIPE = .run/bench-djstripe

$(DJSTRIPE)/bin/granian:
	$(PYTHON) -m venv $(DJSTRIPE)
	$(DJSTRIPE)/bin/pip install --quiet dj-stripe==2.11.0 'psycopg[binary,pool]' dj-database-url granian

bench: install $(DJSTRIPE)/bin/granian ## measure links, webhooks, key checks and lists beside limits and peers: one table
	@$(BIN)/python -m benchmarks.table

bench-webhook: install $(DJSTRIPE)/bin/granian ## compare the webhook with dj-stripe and pgbench, on one PostgreSQL
	$(BIN)/python -m benchmarks.webhook --djstripe $(DJSTRIPE)/bin/python

e2e: $(E2E) ## run the browser tests in the machine's Chromium
	@$(BIN)/python -m devtools.browser
	@$(BIN)/python -m devtools.debian
	env -u DATABASE_URL $(BIN)/pytest e2e -p no:randomly

screenshots: $(E2E) ## take screenshots of a customer's journey on a phone, of every page, and of the admin
	@$(BIN)/python -m devtools.browser
	env -u DATABASE_URL $(BIN)/pytest e2e/test_phone_journey.py e2e/test_pages.py e2e/test_support_pages.py -p no:randomly
	@echo "They are in .run/screenshots."

conformance: install ## compare the local Stripe with Stripe's own description (needs Node 20)
	@$(BIN)/python -m sandbox.conformance

disaster: install ## lose the database after a backup, and bring the payments back from Stripe
	@$(BIN)/python -m devtools.disaster

cluster: install ## start the production topology on this machine, on CLUSTER_PORT (8080)
	@$(BIN)/python -m devtools.cluster

cluster-down: install ## stop it and remove its data
	@$(BIN)/python -m devtools.cluster down

cluster-test: install ## let parts of the cluster fail under load for TRIAL_SECONDS (600)
	@$(BIN)/python -m devtools.cluster.trial

image-walk: install ## run the image's own steps in plain directories, and start what they make (needs root, debootstrap)
	@$(BIN)/python -m devtools.image_walk

bench-edge: install programs ## compare key checks by nginx at the edge with payflow's own (needs wrk)
	@$(BIN)/python -m benchmarks.edge

bench-admin: install ## time the admin at 1,000,000 orders (takes minutes)
	$(BIN)/python -m benchmarks.admin

bench-growth: install ## time requests, pages, probes and pruning at 1,000 to 10,000,000 events (takes an hour)
	$(BIN)/python -m benchmarks.growth

bench-invariants: install ## time check_invariants at 1,000,000 orders (takes minutes)
	$(BIN)/python -m benchmarks.invariants

bench-replay: install ## show that replaying 1,000,000 events takes no more memory than 1,000
	$(BIN)/python -m benchmarks.replay

programs: install ## install nginx, PgBouncer and Redis, which some tests run (needs apt and root)
	@$(BIN)/python -m devtools.debian

check: install programs lint types migrations deploy-check production-install conformance test ## every check of CI but the browser tests

fmt: install ## format the code and apply the linter's fixes
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

lint: install ## check format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# Development settings (DEBUG) need no secrets; the database in memory is never written to.
types migrations reference: export DEBUG = on
types migrations reference: export DATABASE_URL = sqlite://:memory:
types migrations reference: export ENV_FILE =

types: $(E2E) ## check the types, those of the browser tests too
	$(BIN)/mypy .

migrations: install ## check that the migrations match the models, and run beside the former code
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m devtools.migration_lint

reference: install ## write docs/openapi.json, errors.md and configuration.md from the code
	DJANGO_SETTINGS_MODULE=payflow.settings $(BIN)/python -m devtools.reference

messages: install ## bring the translations in step with the texts, and compile them
	@$(BIN)/python -m devtools.messages

deploy-check: install ## check the settings as in production
	env -i PATH="$$PATH" ENV_FILE=devtools/production-example.env \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

# Made from requirements/prod.txt alone, as a server's environment is.
PRODUCTION := .run/production-$(shell cksum < requirements/prod.txt | cut -d' ' -f1)

production-install: $(PRODUCTION)/.installed ## serve, pay and verify where only requirements/prod.txt is installed
	env -i PATH="$$PATH" ENV_FILE=devtools/production-example.env \
		$(PRODUCTION)/bin/python -m devtools.production_install

# Their own environment: they need many packages, and nothing of payflow.
AUDIT := .run/audit-$(shell cksum < requirements/audit.txt | cut -d' ' -f1)

sbom: $(AUDIT)/.installed ## write .run/sbom.cdx.json: what production installs, as CycloneDX
	@$(AUDIT)/bin/cyclonedx-py requirements requirements/prod.txt --output-reproducible \
		--output-file .run/sbom.cdx.json
	@echo "It is in .run/sbom.cdx.json."

advisories: $(AUDIT)/.installed ## look for known faults of what production installs
	@$(AUDIT)/bin/python devtools/advisories.py

$(AUDIT)/.installed:
	@rm -rf .run/audit-*
	@$(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/pip --disable-pip-version-check --quiet install --require-hashes \
		-r requirements/audit.txt
	@touch $@

# The largest set is resolved first and constrains the others.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command 'make lock'

lock: install ## compile requirements/*.in to hash-locked *.txt (UPGRADE=1 for newer versions)
	$(LOCK) $(if $(UPGRADE),--upgrade) requirements/e2e.in -o requirements/e2e.txt
	for set in base prod run test dev uv audit; do \
		$(LOCK) -c requirements/e2e.txt requirements/$$set.in -o requirements/$$set.txt || exit; \
	done

clean: ## remove .venv, caches and screenshots; the database stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .run/screenshots
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each set adds to the one before it.
$(RUN):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "payflow: $(PYTHON) is not Python 3.11 or newer: make PYTHON=/usr/bin/python3.12" >&2; exit 1; }
	@$(PYTHON) devtools/install.py requirements/run.txt $@ --fresh

$(DEV): $(RUN)
	@$(BIN)/python devtools/install.py requirements/dev.txt $@

$(PRODUCTION)/.installed:
	@rm -rf .run/production-*
	@$(PYTHON) -m venv $(PRODUCTION)
	@$(PRODUCTION)/bin/pip --disable-pip-version-check --quiet install --require-hashes \
		-r requirements/prod.txt
	@touch $@

$(E2E): $(DEV)
	@$(BIN)/python devtools/install.py requirements/e2e.txt $@
