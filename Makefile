# What a person or CI does here. `make` alone lists it. Everything is installed into .venv and .cache of this folder;
# outside it only pip's own cache is written.

PYTHON ?= python3
BIN := .venv/bin

# A Python named by the caller must be the one in .venv; otherwise a .venv that works stays, whatever it has.
chosen := $(if $(filter file,$(origin PYTHON)),,--chosen)

# What the caller gives goes to programs through the environment, as written: never through make's or a shell's eyes.
override PYTHON := $(value PYTHON)
override YEAR := $(value YEAR)
override MAX := $(value MAX)
override COMPANY := $(value COMPANY)
override ARGS := $(value ARGS)
export PYTHON YEAR MAX COMPANY ARGS

export TMPDIR := $(CURDIR)/.cache/tmp
export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/.cache/hypothesis
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The sandbox and the test servers listen on loopback, which no proxy can reach.
export NO_PROXY := 127.0.0.1,localhost,$(NO_PROXY)
export no_proxy := 127.0.0.1,localhost,$(or $(no_proxy),$(NO_PROXY))

.DEFAULT_GOAL := help
.PHONY: help demo run bench image k8s-check terraform-check check test test-long test-kubernetes lint types contracts unit format \
	lock lock-check lock-prove \
	venv install-runtime install clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

demo: install-runtime ## one run against the sandbox on this machine, explained; ARGS="…"
	@$(BIN)/python tools/with_args.py $(BIN)/python tools/demo.py

run: install-runtime ## the real site into ./data: YEAR=2024, and MAX=20, MAX=all or COMPANY=id; ARGS="…"
	@$(BIN)/python tools/run.py

bench: install ## measure against what a user would use instead; ARGS="…"
	@$(BIN)/python tools/with_args.py $(BIN)/python -m benchmarks

image: install ## etl-data-pipeline with docker, podman or buildah, and a list of what is in it; ARGS="…"
	@$(BIN)/python tools/with_args.py $(BIN)/python tools/image.py

k8s-check: install ## the Kubernetes manifests: schemas, kustomize, policy scan
	@$(BIN)/python tools/k8s_check.py

terraform-check: install ## prove terraform/ without an account: tests, apply against an emulator, scan; ARGS=part
	@$(BIN)/python tools/with_args.py $(BIN)/python tools/terraform_check.py

check: install ## linter, types, import contracts, lock, unit tests, tests of docs, tools and manifests
	@$(BIN)/python tools/gate.py check

test: install ## everything a clean machine can run: check, wheels, integration, end to end
	@$(BIN)/python tools/gate.py test

test-long: install ## kill, fuzz and property sweeps; the image, built and run; k8s-check
	@$(BIN)/python tools/gate.py test-long

test-kubernetes: install ## fan-out on a real cluster: KUBECONFIG, IMAGE, NAMESPACE, LAKE_URL, OPEN_PAYMENTS_URL
	@$(BIN)/python -c 'import os; print("on the cluster of", os.environ["KUBECONFIG"]) if os.getenv("KUBECONFIG") and \
		os.getenv("IMAGE") else print("KUBECONFIG or IMAGE is not set: the stand-in, not a real cluster")'
	@$(BIN)/python -m pytest -q -rA tests/kubernetes

lint: install ## of check, the linter and the formatter alone (others: tools/gate.py NAME)
	@$(BIN)/python tools/gate.py lint format

types: install ## of check, the types alone
	@$(BIN)/python tools/gate.py types

contracts: install ## of check, the import contracts alone
	@$(BIN)/python tools/gate.py contracts

unit: install ## of check, the unit tests alone
	@$(BIN)/python tools/gate.py unit

format: install ## rewrite the code as the formatter wants it, and mend what the linter can
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lock: venv ## re-make poetry.lock and constraints.txt (ARGS=--regenerate: with the newest versions)
	@$(BIN)/python tools/with_args.py $(BIN)/python tools/lock.py make

lock-check: install ## compare poetry.lock, constraints.txt and every pyproject.toml, without Poetry
	@$(BIN)/python tools/lock.py check

lock-prove: install ## let Poetry compare them; it is installed into .venv-poetry
	@$(BIN)/python tools/lock.py prove

# What the targets above stand on. Each is quick when there is nothing to do.

venv: ## make .venv, or another one if it is broken
	@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 6))' 2>/dev/null || { \
		echo "There is no usable Python at '$$PYTHON': install Python 3.11 or newer, or name it, as in" \
			"\`make PYTHON=python3.12 …\`." >&2; exit 1; }
	@"$$PYTHON" tools/venv.py $(chosen)

install-runtime: venv ## install our packages (editable) and what they import into .venv
	@$(BIN)/python tools/install.py runtime

install: venv ## install the tools that check them, too
	@$(BIN)/python tools/install.py dev

clean: ## remove .cache, .venv-poetry, and .venv if make made it; never ./data
	@rm -rf .cache .venv-poetry
	@if [ -e .venv/.made-by-make ]; then rm -rf .venv; fi
	@find packages tools tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
