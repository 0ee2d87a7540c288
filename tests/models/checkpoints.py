"""The quantised checkpoints, written once for all tests."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from tests.models.packing import Tensors
from tests.models.quantize import SCHEMES, folders, write_all
from tests.models.vocabulary import Vocabulary


@dataclass(frozen=True)
class Checkpoint:
    """A quantised checkpoint and the plain weights of exactly its values."""

    folder: Path
    dequantized: Path

    @cached_property
    def tensors(self) -> Tensors:
        """Every tensor of the checkpoint by its name."""
        return load_file(self.folder / "model.safetensors")

    @cached_property
    def weights(self) -> Tensors:
        """Every tensor of the plain model by its name."""
        return load_file(self.dequantized / "model.safetensors")

    def damaged(self, folder: Path, damage: Callable[[Tensors], None]) -> Path:
        """A copy in ``folder`` in which ``damage`` has put other tensors."""
        shutil.copytree(self.folder, folder)
        tensors = dict(self.tensors)
        damage(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return folder


@pytest.fixture(scope="session")
def checkpoints(
    tmp_path_factory: pytest.TempPathFactory, deepseek_vocabulary: Vocabulary
) -> Mapping[str, Checkpoint]:
    """Every checkpoint of `SCHEMES`, a base model: ``gptq``, ``gptq_desc_act`` and ``awq``."""
    folder = tmp_path_factory.mktemp("checkpoints")
    write_all(deepseek_vocabulary, folder)
    return {name: Checkpoint(*folders(folder, name)) for name in SCHEMES}
