# Every target does its own set-up in .venv; it needs Python 3.11 to 3.13 and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: demo test test-all test-wheel chromium ray check bench sheet clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: $(READY)  ## repaint a photograph, and lay a contact sheet beside it, in out/
	$(BIN)/python -m impasto demo --output out

test: $(READY)  ## the checks and every test but the long ones
	$(BIN)/python -m pytest -m "not slow" -rs

test-all: $(READY) check test-wheel chromium ray  ## all of it
	IMPASTO_CHROMIUM_REQUIRED=1 IMPASTO_RAY_REQUIRED=1 $(BIN)/python -m pytest

chromium:  ## the browser that some tests drive; `make test` leaves them out where it is missing
	command -v chromium || command -v chromium-browser || command -v google-chrome \
		|| $$([ "$$(id -u)" = 0 ] || echo sudo) sh -c "apt-get update && apt-get install --yes chromium"

ray: $(READY)  ## Ray Data; `make test` leaves its tests out where it is missing
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[ray]"

test-wheel: $(READY)  ## the wheel in a fresh environment, with the README's first three commands
	rm -rf build/wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/wheel .
	$(PYTHON) -m venv build/wheel/env
	build/wheel/env/bin/python -m pip install --quiet --constraint constraints.txt build/wheel/*.whl
	build/wheel/env/bin/python -I tools/wheel_check.py README.md

check: $(READY)  ## style, types, floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/architecture

bench: $(READY)  ## the tables of docs/performance.md
	$(BIN)/python benchmarks/optimise.py
	$(BIN)/python benchmarks/sizes.py
	$(BIN)/python benchmarks/gram.py
	$(BIN)/python benchmarks/engines.py
	$(BIN)/python benchmarks/memory.py 1 10 100
	$(BIN)/python benchmarks/fast.py

sheet: $(READY)  ## the sheets of docs/: 8 × 8 in one pass, 6 × 6 by optimisation, the trained styles
	$(BIN)/python -m impasto demo --sheet docs/pictures/one-pass.jpg
	$(BIN)/python -m impasto demo --method optimise --sheet docs/pictures/sheet.jpg
	$(BIN)/python -m impasto models sheet compact-styles --output docs/pictures/styles.jpg
	$(BIN)/python -m tools.pictures teaser docs/pictures/teaser.jpg
	$(BIN)/python -m tools.pictures controls docs/pictures/controls.jpg

clean:
	rm -rf $(VENV) out build dist .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
