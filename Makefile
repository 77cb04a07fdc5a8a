# Two commands from a fresh clone: `make demo` and `make test`. Both set up what they need once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Pinned: the checksum database of Go vouches for its source.
VERSITYGW := v1.8.0
IMAGE ?= localhost/ubspark:dev
# The real data that some tests read; tests whose data is absent skip.
export UBSPARK_DATA ?= $(CURDIR)/../shared/data

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-kill test-slow test-peer peer-hats bench-hats lint typing docs dist lock bench-kernel bench-crossmatch bench-crossmatch-cost clean bench-gpu bench-periodograms bench-periodograms-run eval-periods bench-features bench-catalogs bench-digest peer-light-curve peer-feets peer-lsdb peer-acid peer-rocrate peer-stilts image k8s-jobs test-k8s test-operator test-s3

help:  ## Show the targets.
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort

setup: $(VENV)/.ready  ## Make the virtual environment, find Java, fetch the Delta JARs.

$(VENV)/.ready: requirements/dev.lock pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" sh scripts/setup.sh $(VENV)

demo: setup  ## Match Hipparcos to Gaia DR3 and show where everything is.
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

.PHONY: demo-variables bench-classify eval-classes

demo-variables: setup  ## Classify variable stars, from light curves to a report (needs UBSPARK_DATA; 5 minutes).
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo_variables.sh

test: setup lint typing  ## Run what CI runs.
	$(BIN)/pytest

test-slow: setup  ## Run the tests that take minutes.
	$(BIN)/pytest -m slow

test-kill: setup  ## Kill runs at fifty random moments; nothing is lost and nothing lands twice.
	$(BIN)/pytest -m "slow or not slow" tests/runtime/test_random_kills.py -s

test-s3: setup .peers/versitygw/versitygw  ## Run the tests on an S3-compatible server (needs Go to build it).
	$(BIN)/ubspark doctor --fix --s3 >/dev/null
	$(BIN)/pytest -m s3 tests/s3

.peers/versitygw/versitygw:
	GOBIN="$(CURDIR)/.peers/versitygw" CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW)

test-k8s: setup  ## Run the tests on the Kubernetes cluster of KUBECONFIG, whose nodes have the image.
	$(BIN)/pytest -m k8s tests/k8s

test-operator: setup  ## Run SparkApplications on a cluster that has the Spark operator.
	$(BIN)/pytest -m operator tests/k8s

test-peer: setup peer-hats peer-lsdb peer-acid peer-light-curve peer-rocrate peer-stilts  ## Compare with the other tools of the field, in environments of their own.
	$(BIN)/pytest -m peer

peer-hats: .peers/hats/.ready  ## Make the environment of hats and LSDB.

.peers/hats/.ready: requirements/peer-hats.txt scripts/make_peer.sh
	@PYTHON="$(PYTHON)" sh scripts/make_peer.sh hats

lint: setup  ## Check style and the direction of imports.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

typing: setup  ## Check types.
	$(BIN)/mypy

docs: setup  ## Build the documentation; warnings are errors.
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/docs.lock
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

dist: setup  ## Build the wheel and the source archive.
	$(BIN)/python -m build --no-isolation

image: setup  ## Build the container image; IMAGE names it, S3=1 adds object stores, BUILD_IMAGE is another builder than docker.
	@S3="$(S3)" sh scripts/build_image.sh $(BIN)/python $(IMAGE)

k8s-jobs: setup  ## Render the manifests of k8s/ anew.
	@$(BIN)/python scripts/render_k8s.py

lock:  ## Resolve the dependencies again (needs uv).
	sh scripts/lock.sh

bench-kernel: setup  ## Time the matching kernel beside scipy's k-d tree.
	$(BIN)/python benchmarks/kernel_nearest.py

bench-hats: setup peer-hats  ## Time reading a HATS catalog beside LSDB.
	$(BIN)/python benchmarks/hats_reader.py

bench-digest: setup  ## Time the content digest beside SHA-256.
	$(BIN)/python benchmarks/content_digest.py

bench-crossmatch: setup .peers/lsdb/.ready .peers/acid/.ready  ## Time the match beside LSDB and ACID.
	$(BIN)/python benchmarks/bench_crossmatch.py --rows 4000000
	$(BIN)/python benchmarks/bench_crossmatch.py --rows 20000000 --repeat 1

bench-crossmatch-cost: setup  ## Print what a row costs the match from 5 to 50 million rows.
	$(BIN)/python benchmarks/crossmatch_cost.py

bench-gpu: setup  ## Time the scan of periodograms on a GPU beside one core.
	$(BIN)/python benchmarks/bench_gpu.py

bench-periodograms: setup  ## Time the periodograms beside astropy and nifty-ls.
	$(BIN)/python benchmarks/bench_periodograms.py

bench-periodograms-run: setup  ## Search a hundred thousand light curves; does it slow down or grow?
	$(BIN)/python benchmarks/periodograms_run.py

eval-periods: setup  ## Count the published periods that are found.
	$(BIN)/python benchmarks/eval_periods.py

bench-features: setup .peers/light-curve/.ready .peers/feets/.ready  ## Time the features beside light-curve and feets.
	$(BIN)/python benchmarks/bench_features.py

eval-classes: setup .peers/light-curve/.ready  ## Learn published classes, by our features and by those of light-curve.
	$(BIN)/python benchmarks/eval_classes.py

bench-classify: setup  ## Time scoring a million objects beside scikit-learn alone.
	$(BIN)/python benchmarks/bench_classify.py

bench-catalogs: setup .peers/lsdb/.ready  ## Time reading and writing HATS, and nesting, beside the peers.
	$(BIN)/python benchmarks/bench_catalogs.py
	$(BIN)/python benchmarks/bench_lightcurves.py

peer-light-curve: .peers/light-curve/.ready  ## Make the environment of light-curve.
peer-feets: .peers/feets/.ready  ## Make the environment of feets.
peer-lsdb: .peers/lsdb/.ready  ## Make the environment of the newest LSDB.
peer-stilts:  ## Install STILTS from the packages of Debian or Ubuntu, where that is allowed.
	@sh scripts/install_stilts.sh
peer-acid: .peers/acid/.ready  ## Make the environment of ACID.
peer-rocrate: .peers/rocrate/.ready  ## Make the environment of the validator of RO-Crates.

.peers/%/.ready: requirements/peer-%.txt scripts/make_peer.sh
	@PYTHON="$(PYTHON)" sh scripts/make_peer.sh $*

clean:  ## Remove what was built; tables and runs stay.
	rm -rf $(VENV) docs/_build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
