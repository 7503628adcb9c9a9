"""A SignCLIP trained on ten words, against landmarks: every recording session left out in turn.

    python bench/signclip_tiny.py DATA RUNS [SEEDS]

DATA is the folder of traduttore_asl (shared data), RUNS where checkpoints go; what is there already is not trained
again. The recipe is recipes/signclip-tiny.toml, with the tested session as `test_signers`; the epoch is chosen on
session 5 (on 7 where 5 is tested), so that the tested session chooses nothing.

One shot: of every sign one labelled example, drawn from the sessions that were learned from, 20 times; whatever is in
the tested session is given the sign of the nearest example. The rival has the same examples, and looks at the
landmarks: in shoulder widths, 20 frames, all in one vector, as they are or standardized by the examples, whichever is
better in the end. A stronger one is the descriptor, which knows what hands are. The embedder has seen all clips of
these sessions with their words; the rivals only the examples. "Never seen" takes that away: two signs at a time are in
no clip that the embedder learned from, and only they are asked for, among all ten. Intervals are over sessions.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from results import record

from seasign import checkpoints
from seasign.corpora import traduttore
from seasign.corpora.clips import Clip
from seasign.metrics.retrieval import evaluate_retrieval
from seasign.models.batches import in_batches
from seasign.models.features import LEGS, hide, normalize_shoulders, select
from seasign.models.pose_descriptor import PoseDescriptor
from seasign.models.signclip_embedder import LAYOUTS, SignClipEmbedder
from seasign.recognition import shots
from seasign.training import train
from seasign.types import Sign

RECIPE = Path(__file__).parents[1] / "recipes" / "signclip-tiny.toml"
DRAWS = 20
PAIRS = (("can", "large"), ("coffee", "small"), ("get", "please"), ("hello", "no"), ("muffin", "thank you"))
THIRDS = (("block 0", "block 1", "block 2"), ("block 3", "block 4", "block 5"), ("block 6", "block 7", "block 8"))


def trained(
    data: Path, folder: Path, tested: Sequence[str], seed: int, without: Sequence[str] = ()
) -> SignClipEmbedder:
    """The embedder of the recipe with these sessions kept out."""
    chosen = "block 7" if "block 5" in tested else "block 5"
    lines = {
        "traduttore": str(data.resolve()),
        "test_signers": list(tested),
        "valid_signers": [chosen],
    }
    text = RECIPE.read_text(encoding="utf-8")
    for key, value in lines.items():
        text = re.sub(
            rf"^{key} = .*$", lambda _, key=key, value=value: f"{key} = {toml(value)}", text, flags=re.MULTILINE
        )
    text = text.replace("[data]\n", f"[data]\nwithout = {toml(list(without))}\n")
    text = text.replace("[loop]\n", f"[loop]\nseed = {seed}\n")
    name = "-".join([*tested, *without, f"seed {seed}"]).replace(" ", "")
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / f"{name}.toml"
    recipe.write_text(text, encoding="utf-8")
    train(recipe, output=folder / name)
    embedder = checkpoints.load(folder / name)
    assert isinstance(embedder, SignClipEmbedder)
    return embedder


def toml(value: str | Sequence[str]) -> str:
    return f'"{value}"' if isinstance(value, str) else f"[{', '.join(map(toml, value))}]"


def landmarks(clips: Sequence[Clip]) -> Float[np.ndarray, "clips numbers"]:
    """All landmarks of all frames; every clip has 20."""
    names = LAYOUTS["body-and-hands"]
    seen = [normalize_shoulders(hide(select(clip.read(), names), LEGS)).xyz for clip in clips]
    return np.stack([np.nan_to_num(xyz).ravel() for xyz in seen])


def nearest(
    asked: Float[np.ndarray, "asked numbers"],
    examples: Float[np.ndarray, "examples numbers"],
    standardize: bool = False,
) -> Float[np.ndarray, " asked"]:
    if standardize:
        middle, spread = examples.mean(axis=0), np.maximum(examples.std(axis=0), 1e-6)
        asked, examples = (asked - middle) / spread, (examples - middle) / spread
    return ((asked**2).sum(axis=1)[:, None] - 2 * asked @ examples.T + (examples**2).sum(axis=1)).argmin(axis=1)


def one_shot(
    spaces: dict[str, tuple[np.ndarray, bool]], words: np.ndarray, learned: np.ndarray, asked: np.ndarray
) -> dict[str, list[float]]:
    """The share of signs that are recognized, in every draw, in every space: with the same examples."""
    found = defaultdict(list)
    for draw in range(DRAWS):
        examples = learned[shots(words[learned].tolist(), 1, draw)]
        for name, (vectors, standardize) in spaces.items():
            guessed = words[examples[nearest(vectors[asked], vectors[examples], standardize)]]
            found[name].append(float((guessed == words[asked]).mean()))
    return found


def main(data: Path, runs: Path, seeds: int) -> None:
    torch.set_num_threads(1)
    clips = traduttore.read(data)
    words, blocks = np.array([clip.text for clip in clips]), np.array([clip.signer for clip in clips])
    every, points = list(dict.fromkeys(words.tolist())), landmarks(clips)
    rivals = {"landmarks": (points, False), "landmarks, standardized": (points, True)}
    described = PoseDescriptor(raised=1)
    rows = [described.signs(clip.read(), [Sign(0.0, clip.read().duration)]).vectors for clip in clips]
    rivals["descriptor"] = np.concatenate(rows), False
    frames = [*points.reshape(len(points), 20, -1).astype(np.float32)]  # what the embedder makes of the clips too

    def measured(tested: Sequence[str], seed: int, without: Sequence[str] = ()) -> dict[str, dict[str, float]]:
        """By session: one shot in every space, and by text alone."""
        if without and not (np.isin(blocks, tested) & np.isin(words, without)).any():
            return {}
        left = set(blocks[~np.isin(words, without)].tolist())  # of session 8 nothing is, without its only word
        embedder = trained(data, runs, [block for block in tested if block in left], seed, without)
        vectors = in_batches(embedder.towers.clip_vectors, frames)
        texts = embedder.text(every).vectors
        kept = ~np.isin(blocks, [*tested, "block 7" if "block 5" in tested else "block 5"])
        result = {}
        for block in tested:
            asked = np.flatnonzero((blocks == block) & np.isin(words, words[kept]))
            if without:
                asked = asked[np.isin(words[asked], without)]
            if len(asked):
                shares = one_shot({"embedder": (vectors, False), **rivals}, words, np.flatnonzero(kept), asked)
                scores = texts @ vectors[asked].T
                by_text = evaluate_retrieval(scores, every, words[asked].tolist()).sign_to_text
                result[block] = {name: float(np.mean(share)) for name, share in shares.items()}
                result[block] |= {"by text": by_text.recall[0], "by text@5": by_text.recall[1]}
        print(tested, seed, without, result, flush=True)
        return result

    sessions = sorted(set(blocks.tolist()))
    report("two words never seen, one shot", [measured(third, 0, pair) for pair in PAIRS for third in THIRDS])
    report("ten words, one shot", [measured([block], seed) for seed in range(seeds) for block in sessions])


def report(corpus: str, results: Sequence[dict[str, dict[str, float]]]) -> None:
    """Means over sessions, of each the mean over seeds, with what holds 95 % of them when sessions are drawn."""
    of: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        for block, shares in result.items():
            for name, share in shares.items():
                of[name][block].append(100 * share)
    by = {name: np.array([np.mean(found) for _, found in sorted(blocks.items())]) for name, blocks in of.items()}
    best = max((name for name in by if name.startswith("landmarks")), key=lambda name: by[name].mean())
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(by[best]), (10_000, len(by[best])))
    rows = {
        "SignCLIP: recognized": by["embedder"],
        f"{best}: recognized": by[best],
        "SignCLIP less landmarks: recognized": by["embedder"] - by[best],
        "descriptor: recognized": by["descriptor"],
        "SignCLIP less descriptor: recognized": by["embedder"] - by["descriptor"],
        "SignCLIP, by text and no example: recognized": by["by text"],
        "SignCLIP, by text and no example: among five": by["by text@5"],
    }
    for name, values in rows.items():
        low, high = np.quantile(values[drawn].mean(axis=1), (0.025, 0.975)).tolist()
        target = "above 0" if "less landmarks" in name and corpus.startswith("ten") else ""
        record(name, float(values.mean()), "%", target, f"traduttore_asl, {corpus}", (low, high))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 3)
