# Every target sets up what it needs first; a set-up that is complete costs less than a second and no network.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
export PYTHON ?= python3.11
export q data
places := . infra/places.sh
# Files with few but long tests come first in the tree, so they are not sorted by their number of tests.
in_two := --numprocesses 2 --dist loadfile --no-loadscope-reorder
UV ?= uv
pins = $(UV) pip compile --quiet --generate-hashes --python-version 3.11 --no-header --no-emit-index-url $(UPGRADE)

.PHONY: help
help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: night
night: setup ## Real nights from archive to scored tables, a page and three queries
	@$(places); infra/night.sh

.PHONY: test
test: setup-dev ## All tests, a file at a time in each of two processes
	@$(places); "$$DEEPRUBIN_VENV/bin/pytest" $(in_two) $(TESTS)

.PHONY: check
check: setup-dev ## All tests, and format, lint, types, layers, dependencies
	@$(places); export PATH="$$DEEPRUBIN_VENV/bin:$$PATH"; ruff format --check .; ruff check .; mypy; lint-imports; deptry .; pytest $(in_two) $(TESTS)

.PHONY: bench
bench: setup-dev ## What each stage costs beside its peers, and whether the bars are reached; data=PATH adds real stars
	@$(places); "$$DEEPRUBIN_VENV/bin/python" -m tests.perf.bench $${data:+--data "$$data"}

.PHONY: sql
sql: setup ## A SQL prompt on the tables; make -s sql q="SELECT ..." prints one result
	@$(places); "$$DEEPRUBIN_VENV/bin/deeprubin" sql $${q:+"$$q"}

.PHONY: model
model: setup-train ## The shipped model for ZTF again, from the carried data: about ten minutes
	@$(places); infra/model.sh

.PHONY: model-lsst
model-lsst: setup-train ## The shipped six-band model again, from PLAsTiCC's training set: make model-lsst data=DIR
	@$(places); MODEL_SURVEY=plasticc_parts DATA="$(or $(data),$(error data=DIR: folder of PLAsTiCC light curves and metadata))" infra/model.sh

.PHONY: self-test
self-test: setup-dev ## Say which parts of the stack work on this machine
	@$(places); "$$DEEPRUBIN_VENV/bin/deeprubin" self-test

.PHONY: setup setup-train setup-dev
setup: ## Only the set-up that a night needs
	@infra/setup.sh night
setup-train: ## ... and what training needs (Petastorm, Horovod)
	@infra/setup.sh train
setup-dev: ## ... and what tests and checks need
	@infra/setup.sh dev

.PHONY: wheel
wheel: setup ## dist/*.whl
	@$(places); rm -rf build; "$$DEEPRUBIN_VENV/bin/python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .; ls dist/*.whl

.PHONY: zip
zip: setup ## dist/deeprubin_spark.zip, for spark-submit --py-files
	@$(places); "$$DEEPRUBIN_VENV/bin/python" infra/zip_package.py dist/deeprubin_spark.zip

.PHONY: image
image: ## The container image (needs a Docker engine)
	@docker build --tag deeprubin-spark --file infra/image/Dockerfile .

.PHONY: lock lock-jars
lock: ## Rebuild infra/locks from their .in files with uv; UPGRADE=--upgrade moves pins
	@$(pins) infra/locks/dev.in --output-file infra/locks/dev-py311.txt >/dev/null
	@$(pins) infra/locks/train.in --constraint infra/locks/dev-py311.txt --output-file infra/locks/train-py311.txt >/dev/null
	@$(pins) infra/locks/night.in --constraint infra/locks/dev-py311.txt --output-file infra/locks/night-py311.txt >/dev/null
lock-jars: ## Fetch the jars of the installed pyspark and delta-spark anew and lock what came
	@$(places); "$$DEEPRUBIN_VENV/bin/python" infra/fetch_jars.py --relock "$$DEEPRUBIN_JARS"

.PHONY: clean
clean: ## Remove what was built here; tables, the environment and the cache stay
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .benchmarks spark-warehouse metastore_db
	@find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
