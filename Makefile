# The commands of this project. `make` alone explains them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
BIN := .venv/bin
TOOLS := .cache/lock-tools
UV_VERSION := 0.13.9
WORKERS := 2
SEEDS := 10
MINUTES := 30
EVENTS := 200000

# Passed to the commands that read them: make demo ONCE=1, make setup PYTHON=python3.12
export ONCE DEMO PYTHON

.PHONY: help setup setup-test demo test lint types contracts schemas-check pytest faults bench format lock clean

help:  ## this text
	@echo '民政数据共享集成枢纽 — a data-sharing hub for civil affairs'
	@echo
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'Start with: make demo      Prove it with: make test'

setup:  ## environment, Java, Maven, Kafka and registry; what is there already is left alone
	@tools/setup

setup-test:  ## the same, with PostgreSQL, Chromium and a Chinese font
	@tools/setup test

demo: setup  ## everything on this machine, records to acknowledged alerts (ONCE=1: end after the table; DEMO=full: more)
	@$(BIN)/hub demo

test: setup-test lint types contracts schemas-check pytest  ## everything that must hold: style, types, layers, schemas, all tests

lint:  ## ruff: style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:  ## mypy, strict
	$(BIN)/mypy

contracts:  ## import layers: the core imports no runtime
	$(BIN)/lint-imports

schemas-check:  ## no schema changed in a way an old reader or record cannot follow
	$(BIN)/hub schemas check

faults: setup-test  ## harm real workers and ask every invariant (SEEDS=10 MINUTES=30; goes on where the last call ended)
	$(BIN)/python -m tests.faults.battery --seeds $(SEEDS) --minutes $(MINUTES) $(ARGS)

bench: setup  ## the stream engine beside its peers: speed, cost, memory, restore, latency (EVENTS=200000)
	$(BIN)/hub bench engine --events $(EVENTS)
	$(BIN)/hub bench latency --events $(EVENTS)

pytest:  ## all tests, on the real parts (ARGS='-k stack': some of them; ARGS='-n 0': without workers)
	$(BIN)/pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(ARGS)

format:  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(TOOLS)/uv-$(UV_VERSION)  ## resolve the lock files again, keeping what still fits (ARGS=--upgrade: newest of all)
	$(TOOLS)/bin/uv $(LOCK) $(ARGS) --extra dev --output-file requirements.lock pyproject.toml
	$(TOOLS)/bin/uv $(LOCK) $(ARGS) --output-file requirements-thirdparty.lock requirements-thirdparty.in
	$(TOOLS)/bin/uv $(LOCK) $(ARGS) --output-file requirements-quix.lock requirements-quix.in
	@! grep -nE '^-|://|/(home|root|tmp)/' requirements.lock requirements-thirdparty.lock requirements-quix.lock || \
	  { echo 'error: a registry address or a path of this machine is in a lock file; check the settings of pip and uv' >&2; exit 1; }

# Hashes for every platform and Python from 3.11 on; neither the registry's address nor this machine's paths.
LOCK := pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

$(TOOLS)/uv-$(UV_VERSION):
	python3 -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --disable-pip-version-check --quiet uv==$(UV_VERSION)
	touch $@

clean:  ## remove the environment, caches and what a run left
	rm -rf .venv .cache build var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
