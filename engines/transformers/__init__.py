"""The Transformers engine; only a worker process imports it."""

import os

# Read when huggingface_hub and OpenMP are loaded: models are files on this machine, and nothing
# else is fetched; a thread that waits for the others does not keep the core from them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
