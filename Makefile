PYTHON ?= python3
UV ?= uv
PYTEST_ARGS ?= -n 4 --dist loadgroup

VENV := .venv
# Hundreds of processes are started: the second one finds the modules compiled, as in an installation.
unexport PYTHONDONTWRITEBYTECODE

READY := $(VENV)/ready
BENCH_VENV := .venv-bench
BENCH_READY := $(BENCH_VENV)/ready
BENCH_ARGS ?= --json bench.json --plot bench.svg
LOCK := $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate
PIP := $(VENV)/bin/python -m pip --quiet --disable-pip-version-check

KILLS ?= 1000
INPUTS ?= 1000000
EXAMPLES ?= 300
MINUTES ?= 60
RATE ?= 500
RUNS ?= 5
SENSES ?= audio face gaze silero

.DEFAULT_GOAL := help
.PHONY: help setup senses demo demo-dream test test-llama crash-sweep deploy-sweep model bench chaos fuzz \
	voice soak soak-dream docs pictures lint format lock clean

help: ## list what make can do
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r goal what; do printf '  make %-12s %s\n' "$$goal" "$$what"; done

setup: $(READY) ## make .venv from the lock, if it is not there yet

# Three steps: what builds, then what is locked (hashes required), then the project itself. The builds run
# without isolation, so they use the pinned tools of the first step and fetch none of their own.
$(READY): pyproject.toml requirements-build.lock requirements-dev.lock tools/create-venv
	@tools/create-venv '$(PYTHON)' $(VENV)
	@echo "Installing the pinned dependencies into $(VENV)"
	@$(PIP) install --require-hashes --requirement requirements-build.lock
	@$(PIP) install --require-hashes --no-build-isolation --requirement requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(PIP) check
	@touch $@

senses: $(SENSES:%=$(VENV)/extras/%/.made-of) ## install what hears, speaks and sees too: SENSES="audio face gaze silero" (620 MB)

$(VENV)/extras/%/.made-of: requirements-%.lock $(READY)
	@echo "Installing the extra $* into $(@D)"
	@$(VENV)/bin/python -m tools.ligand.extras $*

demo: $(READY) ## run the constellation on example intents in a temporary home
	@$(VENV)/bin/python -m tools.demo

demo-dream: $(READY) ## have D-REAM mend a setting, deploy it, measure it; and take a bad one back
	@$(VENV)/bin/python -m tools.demo.dream

test: $(READY) ## run every test, the linters and the type checker among them
	@$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

test-llama: $(READY) ## try the model worker on a real llama.cpp server, built once in the cache folder
	@LIGAND_LLAMA_PYTHON="$$(tools/build-llama '$(PYTHON)')" $(VENV)/bin/python -m pytest -q tests/llama/real_server.py

crash-sweep: $(READY) ## cut the power before every act of the bus on the disk
	@$(VENV)/bin/python -m tests.sweep $(SWEEP_ARGS)

deploy-sweep: $(READY) ## kill the deployer before every line of a deployment and of each recovery; cut its power
	@$(VENV)/bin/python -m tests.deploy_sweep --power
	@$(VENV)/bin/python -m tests.deploy_sweep $(if $(SEED),--seed $(SEED))

model: $(READY) ## drive a real bus against a model, EXAMPLES=300 times; HYPOTHESIS_SEED=N plays it again
	@HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-long} HYPOTHESIS_EXAMPLES=$(EXAMPLES) $(VENV)/bin/python -m pytest -s --timeout 0 tests/model $(MODEL_ARGS)

bench: $(READY) $(BENCH_READY) ## measure Ligand beside what else there is, print a table
	@$(VENV)/bin/python -m tools.bench $(BENCH_ARGS)

# What is measured beside Ligand has an environment of its own: nothing of Ligand's imports it.
$(BENCH_READY): requirements-bench.lock requirements-build.lock tools/create-venv
	@tools/create-venv '$(PYTHON)' $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes --requirement requirements-build.lock
	@$(BENCH_VENV)/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes --no-build-isolation --requirement requirements-bench.lock
	@touch $@

chaos: $(READY) ## kill bus and daemons at work, KILLS=1000 times; SEED=N draws the same decisions again
	@$(VENV)/bin/python -m tests.chaos --kills $(KILLS) $(if $(SEED),--seed $(SEED))

fuzz: $(READY) ## put INPUTS=1000000 wrong and right inputs into every door; SEED=N gives the same ones again
	@$(VENV)/bin/python -m tests.fuzz --inputs $(INPUTS) $(if $(SEED),--seed $(SEED))

voice: $(READY) ## measure how well it hears, and what it imagines in MINUTES=60 of each noise
	@$(VENV)/bin/python -m tests.voice --minutes $(MINUTES)

soak: $(READY) ## everything at RATE=500 signals a second for MINUTES=60: does anything grow? And as long of noise
	@$(VENV)/bin/python -m tests.soak --minutes $(MINUTES) --rate $(RATE)
	@[ ! -d $(VENV)/extras/audio ] || $(VENV)/bin/python -m tests.voice --minutes $(MINUTES) --only sounds

soak-dream: $(READY) ## how good D-REAM's candidates are against random search, over RUNS=5 seeds
	@$(VENV)/bin/python -m tests.dream --runs $(RUNS)

docs: $(READY) ## make the documents that come from contracts and manifests
	@$(VENV)/bin/python -m tools.docs

pictures: $(READY) ## draw the pictures in docs/ from a constellation that runs
	@$(VENV)/bin/python -m tools.docs pictures

lint: $(READY) ## run the linters and the type checker alone
	@$(VENV)/bin/python -m pytest -q tests/contracts/test_linters.py

format: $(READY) ## put the code into the project's format
	@$(VENV)/bin/python -m ruff check --fix --quiet .
	@$(VENV)/bin/python -m ruff format --quiet .

lock: ## pin newer versions of the dependencies (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: pip install uv, or make lock UV=/path/to/uv" >&2; exit 1; }
	@$(LOCK) --upgrade pyproject.toml --output-file requirements.lock
	@$(LOCK) --upgrade pyproject.toml --group dev --constraint requirements.lock --output-file requirements-dev.lock
	@$(LOCK) --upgrade --group build --constraint requirements-dev.lock --output-file requirements-build.lock
	@$(LOCK) --upgrade --group bench --output-file requirements-bench.lock
	@$(LOCK) --upgrade --group audio --no-deps --constraint requirements-dev.lock --output-file requirements-audio.lock
	@$(LOCK) --upgrade --group face --no-deps --output-file requirements-face.lock
	@$(LOCK) --upgrade --group gaze --no-deps --output-file requirements-gaze.lock
	@$(LOCK) --upgrade --group silero --no-deps --output-file requirements-silero.lock

clean: ## remove .venv, caches and build results
	@rm -rf $(VENV) $(BENCH_VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find signals services tools tests -name __pycache__ -type d -prune -exec rm -rf {} +
