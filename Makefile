# Two commands do everything on a machine with only Python 3.11: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests run in so many processes at most, and in no more than there are cores; each file in one of them.
PROCESSES ?= 4
ARGS ?=
CYCLES ?= 200

.PHONY: demo test kill lint machine simulate bench clean

$(VENV)/.ready: pyproject.toml uv.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore uv
	@$(BIN)/uv sync --quiet --frozen
	@touch $@

demo: $(VENV)/.ready  ## Play the main job over real TLS; ARGS="--once --json" prints one document.
	@$(BIN)/tallystick demo $(ARGS)

lint: $(VENV)/.ready  ## Style, types, layers.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint machine  ## Everything CI runs.
	$(BIN)/pytest -n logical --maxprocesses $(PROCESSES) --dist loadfile $(ARGS)

kill: $(VENV)/.ready  ## Kill real processes under load, CYCLES times, and judge by the back ends' records.
	PYTHONPATH=tests/e2e $(BIN)/python -m kills --cycles $(CYCLES) $(ARGS)

machine:  ## What some tests need of the machine; without it, and without root to install it, they are skipped and say so.
	@tools/test_machine.sh

SEEDS ?= 10000
FROM ?= 0
simulate: $(VENV)/.ready  ## Run the simulation for SEEDS seeds FROM one on, on all cores.
	@$(BIN)/python tests/simulation/simulate.py --seeds $(SEEDS) --from $(FROM) --jobs $$($(BIN)/python -c 'import os; print(os.cpu_count())') $(ARGS)

bench: $(VENV)/.ready  ## Write bench/results/latest.json.
	$(BIN)/uv sync --quiet --frozen --group bench
	$(BIN)/python -m bench $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis
