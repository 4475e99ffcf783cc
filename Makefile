# Assumes make, git and a Python >= 3.11 with venv; PYTHON=... chooses it. Everything else lives in .venv.
# RESOLUTION=lowest-direct installs the lowest versions that settings.ini allows.
PYTHON ?= python3
BIN := .venv/bin
RESOLUTION ?= highest
READY := .venv/.ready
# Of Linux on x86-64; CONTRIBUTING.md says how they were measured.
DOWNLOAD := 3,300 MB
INSTALLED := 7,200 MB
.DEFAULT_GOAL := help
.PHONY: help quickstart test test-long test-survive test-browser export check types docs docs-serve test-site lab bench bench-boards gpu results readme clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

$(READY): settings.ini setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(f"nvae needs Python 3.11 or newer, {sys.executable} is {sys.version.split()[0]}: choose another by make PYTHON=..." if sys.version_info < (3, 11) else 0)'
	@echo "installing nvae and what it needs into .venv, once: about $(DOWNLOAD) to download, $(INSTALLED) on disk (measured on Linux)."
	@echo "Nine tenths of the download are PyTorch with NVIDIA's libraries; packages that were downloaded before come from the cache."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet uv && \
	  $(BIN)/uv pip install --quiet --compile-bytecode --resolution $(RESOLUTION) --python $(BIN)/python -e '.[dev]' \
	  || $(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@

quickstart: $(READY) ## train a small NVAE on drawn faces and leave samples: minutes on two cores, no GPU
	@$(BIN)/nvae train quickstart
	@echo "runs/quickstart/train.ipynb shows the run: curves, reconstructions, samples.  More samples: $(BIN)/nvae sample runs/quickstart/quickstart.model 0.7"

export: $(READY) ## write the modules that the notebooks export, and clean the notebooks
	@$(BIN)/python docs/export.py

check: $(READY) ## README fresh, modules as their notebooks export them, notebooks clean, lint, floors
	@$(BIN)/python tests/check.py

types: $(READY) ## type-check the network, the configuration and sampling
	@$(BIN)/basedpyright

test: check ## check, every notebook, then tests/ without its folders of long ones
	@OMP_NUM_THREADS=1 $(BIN)/nbdev_test --n_workers 2
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n 2 --dist loadfile --ignore=tests/long --ignore=tests/browser --ignore=tests/site --ignore=tests/gpu

test-long: $(READY) ## runs under papermill, several processes, plans of several runs: killed, stopped and finished; minutes
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/long -n 2 --dist loadfile

PART ?= damage outputs configs commands images models official plans kills disks processes numbers boards
test-survive: $(READY) ## seeded trials of damage, kills and wrong inputs: 20 minutes a part at most, PART chooses; goes on where survive.jsonl stops
	@OMP_NUM_THREADS=1 $(BIN)/python tests/survive/run.py $(PART:%=--part %)

test-browser: $(READY) ## the boards in a real browser (Debian's chromium), on JupyterLab and Voila, in minutes; with BUSY set, beside other work
	@BUSY=$(BUSY) $(BIN)/python -m pytest tests/browser

RESULTS := nbs/6_results
MEASURED := quickstart tiny logistic_mixture10latent big_logistic_mixture20latentnoflows gaussian_mixture gaussian_mixture5latent penguin large_logistic_mixture20latentnoflows
bench: $(READY) ## measure speed and memory on this machine, for the page of benchmarks
	@rm -f $(RESULTS)/.measuring.jsonl
	@for name in $(MEASURED); do $(BIN)/nvae bench --config $$name --seconds 6 --json >> $(RESULTS)/.measuring.jsonl || exit 1; tail -n 1 $(RESULTS)/.measuring.jsonl; done
	@mv $(RESULTS)/.measuring.jsonl $(RESULTS)/benchmarks.jsonl
	@$(MAKE) --no-print-directory bench-boards

MEASURED_BOARDS := quickstart big_logistic_mixture20latentnoflows
bench-boards: $(READY) ## measure how fast the boards answer, in the kernel and in Debian's chromium, for the same notebook
	@rm -f $(RESULTS)/.measuring.jsonl
	@for name in $(MEASURED_BOARDS); do $(BIN)/python tests/browser/bench_boards.py --config $$name --seconds 10 >> $(RESULTS)/.measuring.jsonl || exit 1; tail -n 1 $(RESULTS)/.measuring.jsonl; done
	@mv $(RESULTS)/.measuring.jsonl $(RESULTS)/widgets.jsonl

gpu: $(READY) ## does the kit work on this GPU, and how fast? one JSON in four minutes at most; ONLY chooses a part of it
	@$(BIN)/python tests/gpu/report.py --out $(RESULTS)/device_report.json $(ONLY:%=--only %)

results: $(READY) ## train and evaluate what the pages of results and ablations quote and lack: six to seven hours of processor time for all of it, with MNIST in dataset/mnist
	@$(BIN)/python docs/results.py
	@OMP_NUM_THREADS=1 $(BIN)/python docs/ablations.py
	@OMP_NUM_THREADS=1 $(BIN)/python docs/variants.py
	@$(BIN)/python docs/variants.py pass

docs: check ## the site from the notebooks, into _site/; a dead link, a figure without words or a stale picture is an error
	@$(BIN)/python docs/pictures.py
	@$(BIN)/python docs/stage.py
	@rm -rf _docs && $(BIN)/sphinx-build -qEW --keep-going -d _docs/doctrees -c docs _proc _docs/html
	@rm -rf _site && mv _docs/html _site
	@$(BIN)/python docs/check_site.py _site

PORT ?= 8000
docs-serve: ## show _site/ at http://127.0.0.1:8000 (PORT chooses another)
	@test -f _site/index.html || $(MAKE) docs
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _site $(PORT)

test-site: $(READY) ## every page of _site/ in a real browser (Debian's chromium): errors, foreign requests, accessibility, search
	@test -f _site/index.html || $(MAKE) docs
	@$(BIN)/python -m pytest tests/site

lab: $(READY) ## open the book in JupyterLab
	@$(BIN)/nvae lab

readme: $(READY) ## write README.md from nbs/index.ipynb
	@$(BIN)/python docs/readme.py

clean: ## remove what was built; .venv, runs/ and data sets stay
	@rm -rf build dist *.egg-info _docs _proc _site test-output .pytest_cache .ruff_cache
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
