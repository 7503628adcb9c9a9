"""CSLR2 as ONNX files: `export` writes them, and `OnnxCslr2` runs them without torch, as the `Network` of an embedder.

Clips keep their lengths: the files have dynamic axes. There is no padding.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from seasign.models.cslr2_embedder import Network
from seasign.models.onnx_file import open_file, write
from seasign.types import InputError

if TYPE_CHECKING:
    from seasign.models.cslr2 import Cslr2

ENCODER, POSES = "encoder", "poses"  # the names of files
MAPS = {  # and of those that lead into the joint space -> the map in the network
    "steps": "video_token_ll", "sequences": "video_sequence_ll", "words": "text_word_ll",
    "sentences": "text_sentence_ll",
}  # fmt: skip


class OnnxCslr2:
    """The network in a folder that `export` wrote."""

    def __init__(self, folder: Path, *, threads: int = 0, providers: Sequence[str] = ("CPUExecutionProvider",)):
        files = [folder / f"{name}.onnx" for name in (ENCODER, *MAPS, POSES)]
        self.sessions = {
            file.stem: open_file(file, threads=threads, providers=providers)
            for file in files
            if file.exists() or file.stem != POSES
        }

    def pose_features(self, frames: Float32[np.ndarray, "frames numbers"]) -> Float32[np.ndarray, "windows features"]:
        """What windows of poses are to the encoder."""
        return self._run(POSES, frames)

    def encoded(
        self, clips: Float32[np.ndarray, "clips windows features"]
    ) -> Float32[np.ndarray, "clips windows features"]:
        """What the encoder makes of clips."""
        return self._run(ENCODER, clips)

    def step_vectors(self, encoded: Float32[np.ndarray, "windows features"]) -> Float32[np.ndarray, "windows joint"]:
        """Windows where words are."""
        return self._run("steps", encoded)

    def sequence_vectors(self, pooled: Float32[np.ndarray, "clips features"]) -> Float32[np.ndarray, "clips joint"]:
        """Clips, of which the greatest of every number is taken, where sentences are."""
        return self._run("sequences", pooled)

    def word_vectors(self, vectors: Float32[np.ndarray, "words text"]) -> Float32[np.ndarray, "words joint"]:
        """Words in the joint space."""
        return self._run("words", vectors)

    def sentence_vectors(
        self, vectors: Float32[np.ndarray, "sentences text"]
    ) -> Float32[np.ndarray, "sentences joint"]:
        """Sentences in the joint space."""
        return self._run("sentences", vectors)

    def is_of(self, network: Network) -> bool:
        """Whether it was exported from a network, as its maps into the joint space tell, which stay as they are."""
        for name, ask in ("words", network.word_vectors), ("steps", network.step_vectors):
            width = self.sessions[name].get_inputs()[0].shape[-1]
            try:
                expected = ask(np.eye(width, dtype=np.float32)[:8])
            except InputError:  # of another width
                return False
            found = self._run(name, np.eye(width, dtype=np.float32)[:8])
            if found.shape != expected.shape or not np.allclose(found, expected, atol=1e-4):
                return False
        return True

    def _run(self, name: str, items: np.ndarray) -> np.ndarray:
        if name not in self.sessions:
            raise InputError(f"{name}.onnx is not there: export this CSLR2 again, as a network that looks at poses")
        wanted = self.sessions[name].get_inputs()[0].shape[-1]
        if items.shape[-1] != wanted:
            raise InputError(f"{name} of {items.shape[-1]} numbers, where this CSLR2 takes {wanted}")
        found: np.ndarray = self.sessions[name].run(None, {"items": items})[0]
        return found


def export(model: "Cslr2", folder: Path, *, int8: bool = False) -> None:
    """Write encoder.onnx, a file for each map into the joint space, and poses.onnx where features are made of poses.

    Args:
        int8: The encoder alone, see `onnx_file.write`: three times as fast; bench/cslr2.py measures what changes.
    Raises:
        ModuleNotFoundError: There is no onnx.
        InputError: Its features are made by a graph network, which packs frames in ways that no file of ONNX holds.
    """
    if model.inputs.graph:
        raise InputError("this CSLR2 looks at poses by a graph network, which ONNX cannot hold: use it as it is")
    import torch
    from torch import nn

    class Encode(nn.Module):
        """The encoder without what it learned to put first."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = model.video_encoder

        def forward(self, items: torch.Tensor) -> torch.Tensor:
            """Of clips."""
            encoded: torch.Tensor = self.encoder(items)[:, 1:]
            return encoded

    class Map(nn.Module):
        """A linear map to vectors of length 1."""

        def __init__(self, layer: nn.Module) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, items: torch.Tensor) -> torch.Tensor:
            """Of rows."""
            return nn.functional.normalize(self.layer(items), dim=-1)

    class Windows(nn.Module):
        """What makes features of one clip of poses."""

        def __init__(self) -> None:
            super().__init__()
            self.windows = model.pose_windows

        def forward(self, items: torch.Tensor) -> torch.Tensor:
            """Of frames."""
            features: torch.Tensor = self.windows(items[None])[0]
            return features

    folder.mkdir(parents=True, exist_ok=True)
    clips = torch.zeros(2, 7, model.shape.features)
    write(Encode(), {"items": clips}, "found", folder / f"{ENCODER}.onnx", free=2, int8=int8)
    for name, layer in MAPS.items():
        linear = getattr(model, layer)
        rows = torch.ones(3, linear.in_features)
        write(Map(linear), {"items": rows}, "found", folder / f"{name}.onnx", free=1, int8=False)
    if model.inputs.landmarks:
        frames = torch.zeros(3 * model.inputs.window + 1, 3 * len(model.inputs.landmarks))
        write(Windows(), {"items": frames}, "found", folder / f"{POSES}.onnx", free=1, int8=False)
