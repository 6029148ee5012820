# What a newcomer types: `make demo`, `make test`. Python 3.11+ is all that has to be there.

PYTHON ?= python3
UV_VERSION ?= 0.13.9
# A uv on PATH if it is 0.9 or newer, else one of our own.
UV ?= $(or $(shell uv --version 2>/dev/null | awk '{split($$2, v, "."); if (v[1] > 0 || v[2] >= 9) print $$1}'),.uv/bin/uv)

# The interpreter is the one found above: uv must neither fetch nor choose another.
export UV_PYTHON_DOWNLOADS := never
export UV_PYTHON := $(shell $(PYTHON) -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))')

# Test processes side by side, each with a stack of its own; the tests of a module stay together.
JOBS ?= 3

PACKAGES := channels config local runtime tasks workers
RUN := $(UV) run --locked --all-extras

.DEFAULT_GOAL := help
.PHONY: help install test test-oldest docs demo lint types lock audit clean wheel image bench chaos

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv==$(UV_VERSION)'

install: $(filter .uv/bin/uv,$(UV)) ## Install what uv.lock says into .venv
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; set PYTHON=...")'
	$(UV) sync --quiet --locked --all-extras

test: install ## Run every test; ARGS="-k name --long" goes to pytest
	@rm -f .coverage .coverage.*
	@$(RUN) coverage run -m pytest -n $(JOBS) --dist loadfile $(ARGS); status=$$?; \
	$(RUN) coverage combine --quiet && $(RUN) coverage report; \
	exit $$status

test-oldest: export UV_PROJECT_ENVIRONMENT := .venv-oldest
test-oldest: $(filter .uv/bin/uv,$(UV)) ## Run the tests with the oldest versions pyproject.toml allows
	$(UV) venv --quiet --clear .venv-oldest
	$(UV) export --quiet --no-hashes --only-group dev --no-emit-project > .venv-oldest/dev.txt
	$(UV) pip install --quiet --python .venv-oldest --resolution lowest-direct '.[demo,flower,local,metrics,signing,solar,sse]'
	$(UV) pip install --quiet --python .venv-oldest -r .venv-oldest/dev.txt
	.venv-oldest/bin/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

docs: export UV_PROJECT_ENVIRONMENT := .venv-docs
docs: $(filter .uv/bin/uv,$(UV)) ## Build the documentation into build/docs; warnings are errors
	$(UV) sync --quiet --locked --all-extras --no-default-groups --group docs
	.venv-docs/bin/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs

demo: install ## Classify real images through workers, against an endpoint on this machine
	$(RUN) celery-sagemaker demo

bench: install ## Measure against what else there is; ARGS="--quick", "--long", "--only streams"
	@UV=$(UV) $(RUN) --group bench python benchmarks/run.py $(ARGS); status=$$?; \
	$(RUN) --group bench python benchmarks/report.py || status=$$?; exit $$status

chaos: export PYTHONPATH := tests/chaos:tests/acceptance
chaos: install ## Kill, cut and fill what there is under a load; SEED=7 MINUTES=4 OLD=COMMIT
	$(RUN) python -m driver $(SEED:%=--seed=%) $(MINUTES:%=--minutes=%) $(OLD:%=--old=%) $(ARGS)

lint: install ## Check the style
	$(RUN) ruff check .
	$(RUN) ruff format --check .

types: install ## Check the types
	$(RUN) mypy $(PACKAGES:%=-p celery_sagemaker.%)
	$(RUN) mypy tests benchmarks examples

lock: $(filter .uv/bin/uv,$(UV)) ## Renew uv.lock
	$(UV) lock --upgrade

audit: install ## Look for known vulnerabilities of what uv.lock has; asks PyPI
	$(UV) export --quiet --locked --all-extras --all-groups --no-emit-project > .venv/audit.txt
	$(UV) tool run --quiet 'pip-audit>=2.9' --strict --disable-pip --require-hashes -r .venv/audit.txt

wheel: install ## Build the wheel into dist/
	rm -rf build/lib build/bdist.*  # else setuptools packs modules that are long gone
	$(UV) build --quiet --wheel --out-dir dist

image: ## Build the Docker image
	docker build --tag celery-sagemaker .

clean: ## Remove what the other targets made
	rm -rf .venv .venv-oldest .venv-docs .uv build dist *.egg-info .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find channels config local runtime tasks workers tests examples -name __pycache__ -prune -exec rm -rf {} +
