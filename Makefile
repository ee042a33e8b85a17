# What a person or CI does here; `make` alone lists it. Everything is installed into .venv and .cache of this folder;
# outside it only pip's own cache is written, and by `run` ~/.cache/data-pipeline: the limit of requests, which all runs
# of a user share, and what dbt has parsed.

PYTHON ?= python3
BIN := .venv/bin

# Where the caller names a Python, .venv must have that one; otherwise a working .venv is kept, whatever its Python.
chosen := $(if $(filter file,$(origin PYTHON)),,--chosen)

# The caller's values reach programs through the environment, as they are: neither make nor a shell expands them.
override PYTHON := $(value PYTHON)
override YEAR := $(value YEAR)
override MAX := $(value MAX)
override COMPANY := $(value COMPANY)
override CA := $(value CA)
override NAME := $(value NAME)
override ARGS := $(value ARGS)
export PYTHON YEAR MAX COMPANY CA NAME ARGS

export TMPDIR := $(CURDIR)/.cache/tmp
export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/.cache/hypothesis
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The sandbox and the test servers listen on loopback, which no proxy can reach.
export NO_PROXY := 127.0.0.1,localhost,$(NO_PROXY)
export no_proxy := 127.0.0.1,localhost,$(or $(no_proxy),$(NO_PROXY))

.DEFAULT_GOAL := help
.PHONY: help demo run airflow bench image k8s-check terraform-check check test test-long test-airflow \
	test-kubernetes lint types contracts unit docs format \
	generate lock lock-check lock-prove \
	venv install-runtime install clean job

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

demo: install-runtime ## from the sandbox to answers on this machine, explained; ARGS="…"
	@$(BIN)/python tools/with_args.py $(BIN)/python tools/demo.py

run: install-runtime ## the real site into ./data: YEAR=2024, and MAX=20, MAX=all or COMPANY="id id"; ARGS="…"
	@$(BIN)/python tools/run.py

airflow: install-runtime ## Airflow's four processes on loopback beside the sandbox, until Ctrl-C; ARGS="--port 8081 …"
	@exec $(BIN)/python tools/with_args.py $(BIN)/python tools/airflow.py start

bench: install ## measure against what a user would use instead; ARGS="NAME …"
	@$(BIN)/python tools/with_args.py $(BIN)/python -m benchmarks

image: install ## build etl-data-pipeline with docker, podman or buildah, and list its contents; CA=FILE, ARGS="…"
	@$(BIN)/python tools/with_args.py $(BIN)/python tools/image.py

k8s-check: install ## check the Kubernetes manifests without a cluster: schemas, kustomize, policy scan
	@$(BIN)/python -m pytest -q -m "" tests/manifests

terraform-check: install ## check terraform/ without an account: its tests, an apply against moto, policy scan
	@$(BIN)/python -m pytest -q -m "" --timeout=900 tests/infrastructure/test_terraform.py

check: install ## linter, types, import contracts, lock, unit tests, tests of docs, tools and manifests
	@$(BIN)/python tools/gate.py check

test: install ## everything a clean machine can run quickly: check, integration, end to end
	@$(BIN)/python tools/gate.py test

test-long: install ## kills, fuzzing, properties; wheels and images, built and run; Terraform; policy scans
	@$(BIN)/python tools/gate.py test-long

test-airflow: install ## the part of test-long that runs Airflow: the DAGs, a year, four processes with PostgreSQL
	@$(BIN)/python tools/gate.py airflow

test-kubernetes: install ## fan-out on a real cluster: KUBECONFIG, IMAGE, NAMESPACE, LAKE_URL, OPEN_PAYMENTS_URL
	@$(BIN)/python -c 'import os; print("on the cluster of", os.environ["KUBECONFIG"]) if os.getenv("KUBECONFIG") and \
		os.getenv("IMAGE") else print("KUBECONFIG or IMAGE is not set: the stand-in, not a real cluster")'
	@$(BIN)/python -m pytest -q -rA tests/kubernetes

lint: install ## only the linter and the formatter of check (its other parts: tools/gate.py NAME)
	@$(BIN)/python tools/gate.py lint format

types: install ## only the types of check
	@$(BIN)/python tools/gate.py types

contracts: install ## only the import contracts of check
	@$(BIN)/python tools/gate.py contracts

unit: install ## only the unit tests of check
	@$(BIN)/python tools/gate.py unit

docs: install ## build the site of docs/ into .cache/site, warnings are errors
	@$(BIN)/python tools/site.py

job: install ## write a new job and its test, NAME=my_job, as docs/adding_a_job.md has them
	@$(BIN)/python tools/new_job.py

format: install ## format the code, and fix what the linter can fix
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

generate: install ## write what follows from the code: docs/reference, docs/schemas, k8s/examples, the CronJob
	@$(BIN)/python tools/generate.py

lock: venv ## update poetry.lock and export constraints.txt and docker/requirements (ARGS=--regenerate: newest versions)
	@$(BIN)/python tools/with_args.py $(BIN)/python tools/lock.py make

lock-check: install ## compare dependencies, lock and exports by a digest, without Poetry
	@$(BIN)/python tools/lock.py check

lock-prove: install ## have Poetry check the lock and export again; it gets an environment of its own
	@$(BIN)/python tools/lock.py prove

# What the targets above need. Each is quick when there is nothing to do.

venv: ## create .venv, or replace a broken one
	@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null || { \
		echo "There is no usable Python at '$$PYTHON': install Python 3.11 or newer, or name it, as in" \
			"\`make PYTHON=python3.12 …\`." >&2; exit 1; }
	@"$$PYTHON" tools/venv.py $(chosen)

install-runtime: venv ## install our packages (editable) and their dependencies into .venv
	@$(BIN)/python tools/install.py runtime

install: venv ## install-runtime, and the development tools
	@$(BIN)/python tools/install.py dev

clean: ## remove .cache, and .venv if make created it; never ./data
	@rm -rf .cache
	@if [ -e .venv/.made-by-make ]; then rm -rf .venv; fi
	@find packages tools tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
