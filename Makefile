# Two commands do it all: `make search` and `make test`. Each sets up what it needs, once.
SPACE ?= wamr
ARGS ?=
RUNS ?= mlruns
PORT ?= 5000
LCBENCH ?=
PYTHON_BIN := .venv/bin/python
READY := .venv/.installed
BENCH_READY := .venv/.installed-bench

.PHONY: search test test-fast test-kill test-fuzz test-oracles test-fake-cuda test-slurm ui check \
	bench bench-engine bench-overhead bench-search
.DEFAULT_GOAL := search

search: $(READY)
	@$(PYTHON_BIN) pipeline/search.py --space $(SPACE) $(ARGS)

test: $(READY)
	@$(PYTHON_BIN) -m pytest -n 2 --dist worksteal $(ARGS)

# What starts no process: the mathematics, the study, the words.
test-fast: $(READY)
	@$(PYTHON_BIN) -m pytest -n 2 --dist worksteal -m "not process" $(ARGS)

test-kill: $(READY)
	@$(PYTHON_BIN) -m tests.support.killing $(ARGS)

# 1,500 generated inputs; another seed, or what each was told: ARGS="--seed 7 --words"
test-fuzz: $(READY)
	@$(PYTHON_BIN) -m tests.support.fuzzing $(ARGS)

test-oracles: $(READY)
	@tests/oracles.sh $(ARGS)

# The batch scripts under a real SLURM; needs root, and Debian's slurm-wlm and munge.
test-slurm: $(READY)
	@tests/slurm.sh $(ARGS)

# Without a card: do training steps mix devices, or wait? Downloads 2.7 GB.
test-fake-cuda: $(READY)
	@tests/fake_cuda.sh $(ARGS)

ui: $(READY)
	@$(PYTHON_BIN) pipeline/ui.py --runs "$(RUNS)" --port $(PORT) $(ARGS)

check: $(READY)
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@echo "mypy, up to a minute the first time ..."
	@.venv/bin/mypy

bench: $(READY)
	@$(PYTHON_BIN) benchmarks/overhead.py $(ARGS)

# On a card where there is one; real images by ARGS="--data-dir FOLDER"
bench-engine: $(READY)
	@$(PYTHON_BIN) benchmarks/engine.py $(ARGS)

# CPU of the driver's events by the number of trials, and of --sync; about five minutes.
bench-overhead: $(READY)
	@$(PYTHON_BIN) benchmarks/driver.py $(ARGS)

# onnxruntime is only fetched where there is a surrogate to run by it.
bench-search: $(READY) $(if $(wildcard $(LCBENCH)/model.onnx),$(BENCH_READY))
	@$(PYTHON_BIN) benchmarks/search.py $(if $(LCBENCH),--surrogate "$(LCBENCH)") $(ARGS)

$(BENCH_READY): $(READY)
	@./install.sh dev,bench
	@touch $@

$(READY): pyproject.toml constraints.txt install.sh
	@./install.sh
