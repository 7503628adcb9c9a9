"""How fast are vectors of clips and texts, without any useless work? The size of the released models, drawn weights.

    python bench/signclip.py            # one thread
    python bench/signclip.py --onnx     # exported towers too

The rival does what the published code does with the same weights: one item at a time, each clip padded to the context
and run with a text beside it, each text padded to 64 tokens and run with an empty clip of the whole context beside it.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from results import record

from seasign.models.batches import in_batches
from seasign.models.signclip import Shape, SignClip
from seasign.models.signclip_embedder import Inputs
from seasign.models.signclip_onnx import OnnxTowers, export

CLIPS, TEXTS = 96, 96  # how many of each
RIVALS = 3  # of them are given to the rival, which takes so long


def draw(rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Clips of 15 to 30 frames, and texts of 6 to 18 tokens."""
    clips = [rng.normal(0, 0.4, (length, 609)).astype(np.float32) for length in rng.integers(15, 31, CLIPS)]
    texts = [np.array([101, *rng.integers(1000, 28_000, length), 102]) for length in rng.integers(4, 17, TEXTS)]
    return clips, texts


@torch.inference_mode()
def embed_padded(model: SignClip, clip: np.ndarray, text: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A clip and a text, padded, through both towers: what the published code runs for either of them."""
    frames = torch.zeros(1, model.inputs.max_frames, clip.shape[1])
    frames[0, : len(clip)] = torch.as_tensor(clip)
    tokens = torch.zeros(1, model.inputs.max_tokens - 1, dtype=torch.long)
    tokens[0, : len(text)] = torch.as_tensor(text)
    video = model.clips(frames, torch.arange(frames.shape[1])[None] < len(clip))
    return video[0].numpy(), model.texts(tokens, torch.arange(tokens.shape[1])[None] < len(text))[0].numpy()


def timed(work: object, *arguments: object) -> tuple[float, object]:
    start = time.process_time()
    found = work(*arguments)
    return time.process_time() - start, found


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    clips, texts = draw(np.random.default_rng(0))
    for frames, target in ((256, "8 or more"), (2046, "50 or more")):
        model = SignClip(Shape(video_positions=max(512, frames + 2)), Inputs(max_frames=frames)).eval()
        in_batches(model.clip_vectors, clips[:2])
        ours, vectors = timed(in_batches, model.clip_vectors, clips)
        theirs, worst = 0.0, 0.0
        for clip, text, vector in zip(clips[:RIVALS], texts[:RIVALS], vectors, strict=False):
            seconds, (video, _) = timed(embed_padded, model, clip, text)
            theirs, worst = theirs + seconds, max(worst, float(np.abs(video - vector).max()))
        name = f"clips of 15 to 30 frames, context {frames}"
        record(f"{name}: faster than padded, one by one", theirs / RIVALS / (ours / CLIPS), "x", target)
        record(f"{name}: largest difference from padded", worst, "", "1e-5 or less")
        record(f"{name}: embedded", CLIPS / ours, "per CPU second")
        if frames == 2046:
            continue
        ours, vectors = timed(in_batches, model.text_vectors, texts)
        seconds, (_, text) = timed(embed_padded, model, np.zeros((frames, 609), np.float32), texts[0])
        record("texts of 6 to 18 tokens: faster than padded, one by one", seconds / (ours / TEXTS), "x", "20 or more")
        record("texts: largest difference from padded", float(np.abs(text - vectors[0]).max()), "", "1e-5 or less")
        record("texts: embedded", TEXTS / ours, "per CPU second")
        half = SignClip(model.shape).eval()
        half.load_state_dict(model.state_dict())
        drift("bfloat16", half.bfloat16(), model, clips)
        del half
        if "--onnx" in sys.argv:
            for kind in ("ONNX", "ONNX int8"):
                with tempfile.TemporaryDirectory() as folder:
                    export(model, Path(folder), int8="int8" in kind)
                    drift(kind, OnnxTowers(Path(folder), threads=1), model, clips)


def drift(name: str, towers: object, model: SignClip, clips: list[np.ndarray]) -> None:
    """Speed against the network, and how much of a vector's direction changes."""
    exact_seconds, exact = timed(in_batches, model.clip_vectors, clips)
    seconds, vectors = timed(in_batches, towers.clip_vectors, clips)
    cosine = (exact * vectors).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(vectors, axis=1)
    record(f"{name}: clips, faster than the network", exact_seconds / seconds, "x")
    record(f"{name}: least cosine with the network's vectors", float(cosine.min()), "")


if __name__ == "__main__":
    main()
