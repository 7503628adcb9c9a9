"""SignCLIP's towers as two ONNX files: `export` writes them, and `OnnxTowers` runs them without torch.

Clips and texts keep their lengths: the files have dynamic axes, and the place of [SEP] is part of the graph.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32, Int

if TYPE_CHECKING:
    from seasign.models.signclip import SignClip

TOWERS = {"clips": "frames", "texts": "tokens"}  # the name of each file and of its first input
REMEDY = 'running exported networks needs onnxruntime: pip install "seasign[onnx]"'


class OnnxTowers:
    """The towers in a folder that `export` wrote."""

    def __init__(self, folder: Path, *, threads: int = 0, providers: Sequence[str] = ("CPUExecutionProvider",)):
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise ModuleNotFoundError(REMEDY) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.sessions = {
            name: onnxruntime.InferenceSession(folder / f"{name}.onnx", options, providers=list(providers))
            for name in TOWERS
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
        int8: Weights of the matrix products as whole numbers: a quarter of the size, faster, and other vectors;
            bench/signclip.py measures by how much.
    Raises:
        ModuleNotFoundError: There is no onnx.
    """
    try:
        import onnxruntime.quantization
        import onnxscript  # noqa: F401
    except ModuleNotFoundError:
        raise ModuleNotFoundError('exporting networks needs onnx: pip install "seasign[onnx]"') from None
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
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    folder.mkdir(parents=True, exist_ok=True)
    for name, items in TOWERS.items():
        program = torch.onnx.export(
            Tower(name).eval(),
            (some[name], there),
            input_names=[items, "there"],
            output_names=["vectors"],
            dynamic_shapes=(axes, axes),
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        file = folder / f"{name}.onnx"
        program.save(file, external_data=not int8 and sum(p.numel() for p in model.parameters()) > 2e8)
        if int8:
            onnxruntime.quantization.quantize_dynamic(file, file, weight_type=onnxruntime.quantization.QuantType.QInt8)
