# Two commands do everything on a machine with only Python 3.11: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: demo test lint softhsm servers chromium bench clean

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

test: lint softhsm servers chromium  ## Everything CI runs.
	$(BIN)/pytest $(ARGS)

softhsm:  ## The token that tests have; without it, and without root to install it, its tests are skipped and say so.
	@command -v softhsm2-util >/dev/null || test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null \
		|| apt-get install -qq -y softhsm2 >/dev/null 2>&1 || true

servers:  ## The ACME server and the TLS scanner that tests use; without them their tests are skipped and say so.
	@command -v pebble >/dev/null && command -v testssl >/dev/null || test "$$(id -u)" != 0 \
		|| ! command -v apt-get >/dev/null || apt-get install -qq -y pebble testssl.sh >/dev/null 2>&1 || true

chromium:  ## The browser that the pages' tests have; without it, and without root to install it, they are skipped and say so.
	@command -v chromium >/dev/null || test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null \
		|| apt-get install -qq -y chromium >/dev/null 2>&1 || true

bench: $(VENV)/.ready  ## Write bench/results/latest.json.
	$(BIN)/uv sync --quiet --frozen --group bench
	$(BIN)/python -m bench $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis
