# Everything a developer types. Each target sets up what it needs and can be run
# again at once: set-up does nothing while requirements.lock is unchanged.

PYTHON ?= python3
# What `make test` runs: a path, or any pytest arguments. T="tests/unit -k claim"
T ?=
# How many processes it uses; the tests of one file stay together. JOBS=0: one after another.
JOBS ?= 2

bin := .venv/bin
# A real part that cannot be had here is skipped, unless COUNTERSIGN_REQUIRE_REAL_PARTS=1.
if_possible := || test "$${COUNTERSIGN_REQUIRE_REAL_PARTS:-0}" != 1

.PHONY: help setup python opa fsck minio cerbos s3 demo teams test lint fix proto schemas lock bench fuzz soak cover guarantees clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-17s %s\n", $$1, $$2}' Makefile

setup: python  ## .venv from requirements.lock, and a real OPA
	@$(PYTHON) scripts/opa $(if_possible)

python:
	@scripts/python-setup $(PYTHON)

opa:  ## a real OPA at .tools/opa: from $OPA, PATH, the release, or built by Go
	@$(PYTHON) scripts/opa

fsck:  ## Tessera's log checker at .tools/fsck, for tests only
	@PYTHON=$(PYTHON) scripts/fsck

minio:  ## MinIO, a real S3 server with Object Lock, at .tools/minio, for tests only
	@PYTHON=$(PYTHON) scripts/minio

s3: python minio  ## such a server on loopback, until Ctrl-C; prints its address and credentials
	@PYTHONPATH=tests $(bin)/python tests/s3_server.py

.PHONY: teams-parts
teams-parts:  ## the card renderer of the Teams simulator at .tools/teams, by npm, for tests only
	@scripts/teams-setup

demo: python opa  ## the whole story in one terminal, from nothing
	@scripts/demo

.PHONY: demo-s3
demo-s3: python opa minio  ## the same with a log under Object Lock, in a real store
	@scripts/demo --s3

teams: python opa teams-parts  ## the story in a Teams played here, to decide in a browser; TEAMS_PORT=
	@scripts/teams

.PHONY: teams-playground
teams-playground: python opa  ## the bot in Microsoft's Agents Playground (its own licence), once; pictures
	@scripts/teams-playground

test: setup  ## run the tests, JOBS=2 files at once; T=... selects
	@PYTHON=$(PYTHON) scripts/fsck $(if_possible)
	@PYTHON=$(PYTHON) scripts/minio $(if_possible)
	@scripts/teams-setup $(if_possible)
	$(bin)/pytest --numprocesses=$(JOBS) --dist=loadfile $(T)

lint: setup  ## style, types, import contracts, stub drift, policies
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/lint-imports
	scripts/proto --check
	scripts/schemas --check
	scripts/rego-check $(if_possible)

fix: setup  ## apply what lint can mend by itself
	$(bin)/ruff check --fix
	$(bin)/ruff format
	.tools/opa fmt --write rego

proto: python  ## generate the stubs from proto/ again
	scripts/proto

schemas: python  ## write the schemas of policy's input and answer again
	scripts/schemas

lock:  ## write requirements.lock from pyproject.toml; UPGRADE=--upgrade takes newer versions
	scripts/lock $(PYTHON) $(UPGRADE)

cerbos:  ## the Cerbos server at .tools/cerbos, by npm, for make bench to measure beside ours
	@scripts/cerbos-setup

bench: setup  ## measure against the budgets
	scripts/bench

.PHONY: bench-sanitizer
bench-sanitizer: python  ## measure what the sanitizer hides and costs; ARGS=--quick
	$(bin)/python scripts/bench_sanitizer_main.py $(ARGS)

fuzz: python  ## look for inputs that crash, leak or cost too much; ARGS="--seconds 300 sql"
	scripts/fuzz $(ARGS)

.PHONY: bench-policy
bench-policy: setup  ## what callers feel while policy changes a hundred times; ARGS="--changes 20"
	$(bin)/python scripts/bench_policy.py $(ARGS)

.PHONY: bench-audit
bench-audit: setup minio  ## measure a log under Object Lock, on a real store here
	$(bin)/python scripts/bench_audit_main.py $(ARGS)

soak: setup minio  ## kill -9 a service a thousand times and look for every record; ARGS="--runs 100"
	PYTHONPATH=service $(bin)/python scripts/soak.py $(ARGS)

cover: setup  ## test coverage by line and branch
	$(bin)/pytest --cov --cov-report=term-missing:skip-covered $(T)

guarantees: setup  ## take each guard away in a copy: its tests must fail
	scripts/guarantees

clean:  ## remove everything made here
	rm -rf .venv .tools .demo .teams .fuzz .artefacts build dist .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
