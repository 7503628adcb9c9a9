"""SignCLIP's towers as two ONNX files: `export` writes them, and `OnnxTowers` runs them without torch.

Clips and texts keep their lengths: the files have dynamic axes, and the place of [SEP] is part of the graph.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32, Int

from seasign.models.onnx_file import open_file, write

if TYPE_CHECKING:
    from seasign.models.signclip import SignClip

TOWERS = {"clips": "frames", "texts": "tokens"}  # the name of each file and of its first input


class OnnxTowers:
    """The towers in a folder that `export` wrote."""

    def __init__(self, folder: Path, *, threads: int = 0, providers: Sequence[str] = ("CPUExecutionProvider",)):
        self.sessions = {
            name: open_file(folder / f"{name}.onnx", threads=threads, providers=providers) for name in TOWERS
        }

    def clip_vectors(
        self, frames: Float32[np.ndarray, "clips frames features"], there: Bool[np.ndarray, "clips frames"]
    ) -> Float32[np.ndarray, "clips hidden"]:
        """One vector per clip."""
        return self._run("clips", frames, there)

    def text_vectors(
        self, tokens: Int[np.ndarray, "texts tokens"], there: Bool[np.ndarray, "texts tokens"]
    ) -> Float32[np.ndarray, "texts hidden"]:
        """One vector per text."""
        return self._run("texts", tokens, there)

    def _run(self, tower: str, items: np.ndarray, there: np.ndarray) -> Float32[np.ndarray, "items hidden"]:
        (vectors,) = self.sessions[tower].run(None, {TOWERS[tower]: items, "there": there})
        found: Float32[np.ndarray, "items hidden"] = vectors
        return found


def export(model: "SignClip", folder: Path, *, int8: bool = False) -> None:
    """Write clips.onnx and texts.onnx.

    Args:
        int8: See `onnx_file.write`; bench/signclip.py measures by how much vectors change.
    Raises:
        ModuleNotFoundError: There is no onnx.
    """
    import torch

    class Tower(torch.nn.Module):
        """One of the towers as a network of its own."""

        def __init__(self, name: str):
            super().__init__()
            self.model, self.name = model, name

        def forward(self, items: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
            """Its vectors."""
            vectors: torch.Tensor = getattr(self.model, self.name)(items, there)
            return vectors

    some = {"clips": torch.zeros(3, 7, model.shape.features), "texts": torch.full((3, 7), model.inputs.separators[1])}
    there = torch.arange(7) < torch.tensor([[7], [5], [3]])
    folder.mkdir(parents=True, exist_ok=True)
    for name, items in TOWERS.items():
        inputs = {items: some[name], "there": there}
        write(Tower(name), inputs, "vectors", folder / f"{name}.onnx", free=2, int8=int8)
