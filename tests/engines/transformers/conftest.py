"""Small networks in float32: a trained one, and a random one whose heads share keys."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from codeserve.engines.transformers.network import Network

IS_HERE = find_spec("bitsandbytes") is not None
"""Whether this is the engine's environment; the others have no PyTorch, or not all it needs."""

collect_ignore_glob = [] if IS_HERE else ["test_*.py"]

CELLS, SLOTS = 2048, 16


@pytest.fixture(scope="session")
def library_model(tiny_deepseek_folder: Path) -> Any:
    """The tiny model, as the library computes it."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_deepseek_folder, dtype=torch.float32).eval()


@pytest.fixture(scope="session")
def make_network() -> Callable[..., "Network"]:
    """Makes networks of folders, with an empty cache."""
    import torch

    from codeserve.engines.hugging_face.folder import Folder
    from codeserve.engines.transformers import weights
    from codeserve.engines.transformers.kv_cache import KvCache
    from codeserve.engines.transformers.network import Network
    from codeserve.engines.transformers.probe import layers_of

    def make(
        path: Path,
        dtype: Any = torch.float32,
        kv_dtype: Any = None,
        together: bool | None = None,
    ) -> Network:
        placement = {"": "cpu"}
        model = weights.load(Folder.read(path), None, dtype, placement, lambda phase, part: None)
        kv = KvCache(layers_of(model), CELLS, SLOTS, kv_dtype or dtype)
        return Network(model, kv, together=together)

    return make


@pytest.fixture(scope="session")
def shared_network(make_network: Callable[..., "Network"], tiny_deepseek_folder: Path) -> "Network":
    return make_network(tiny_deepseek_folder)


@pytest.fixture
def network(shared_network: "Network") -> "Network":
    """The tiny model, every slot empty."""
    for slot in range(SLOTS):
        shared_network.kv.cells.trim(slot, 0)
    return shared_network
