"""A CSLR2 of ten words, trained with both losses and with each alone: retrieval, recognition and alignment in other
sessions.

    python bench/cslr2.py DATA RUNS [SEEDS]
    python bench/cslr2.py  # speed: seconds of one core, at the published sizes

DATA is the folder of traduttore_asl (shared data), RUNS where checkpoints go; what is there already is not trained
again. The recipe is recipes/cslr2-tiny.toml. Tested are 150 sentences of different words, joined of signs of the
sessions that nothing was learned from and nothing was chosen on. Thresholds of recognition are those that the
checkpoint was given on its validation part. What is joined is not what people sign: these numbers compare losses, and
say nothing of signing. The brackets hold the least and the greatest of the seeds.

Aligned are the episodes of bench/stitched.py of the two tested sessions, with cues of one to three words that come 2 s
early with a jitter of .5 s: by time alone, by CSLR2 (both halves of its vectors, or one), and by the letters of the
glosses that it recognizes.
"""

import json
import re
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from results import record
from safetensors.torch import load_file
from stitched import EARLY, EPISODES, JITTER, deliver, f1, stitch

import seasign
from seasign import checkpoints
from seasign.corpora import traduttore
from seasign.embedding import compare
from seasign.formats.words import read_vocabulary
from seasign.metrics.glosses import evaluate_glosses
from seasign.metrics.retrieval import evaluate_sentences
from seasign.models.cslr2 import Cslr2, Shape
from seasign.models.cslr2_embedder import Cslr2Embedder
from seasign.models.gloss_text import GlossText
from seasign.recognition import Walk, guess_words, read_guesses
from seasign.training import train
from seasign.training.cslr2 import Cslr2Task, Recipe, Sentence, prepare
from seasign.training.recipe import build, read_table
from seasign.types import Embeddings, InputWarning, WindowFeatures

RECIPE = Path(__file__).parents[1] / "recipes" / "cslr2-tiny.toml"
WAYS: dict[str, dict[str, float]] = {
    "both losses": {},
    "sentences alone": {"signs": 0.0},
    "signs alone": {"sentences": 0.0},
    "both losses, InfoNCE": {},
}
TESTED = 150
HOUR = 45_000  # windows


def named(way: str, seed: int) -> str:
    return f"{way.replace(',', '').replace(' ', '-')}-{seed}"


def trained(data: Path, folder: Path, way: str, seed: int) -> tuple[Cslr2Task, dict]:
    """The task with the weights of its best epoch, and the config of its checkpoint."""
    text = re.sub(r"^traduttore = .*$", f'traduttore = "{data.resolve()}"', RECIPE.read_text(), flags=re.MULTILINE)
    for key, value in WAYS[way].items():
        text = re.sub(rf"^{key} = 0\.\d+$", f"{key} = {value}", text, flags=re.MULTILINE)
    if way == "signs alone":  # there is no retrieval to choose the epoch by
        text = text.replace("text_to_video_r@1", "windows_top1")
    if "InfoNCE" in way:
        text = re.sub(r"^\[loss\].*$", '[loss]\nkind = "info-nce"', text, flags=re.MULTILINE)
    text = text.replace("[loop]\n", f"[loop]\nseed = {seed}\n")
    folder.mkdir(parents=True, exist_ok=True)
    name = named(way, seed)
    (folder / f"{name}.toml").write_text(text)
    train(folder / f"{name}.toml", output=folder / name)
    table = read_table(folder / f"{name}.toml")
    del table["task"], table["output"]
    task = prepare(build(Recipe, table, name, folder))
    task.network.load_state_dict(load_file(folder / name / "weights.safetensors"))
    return task, json.loads((folder / name / "config.json").read_text())


def sentences(task: Cslr2Task) -> tuple[Sentence, ...]:
    """Of the part that is tested, the same for every seed and way."""
    rng, made = np.random.default_rng(2026), {}
    while len(made) < TESTED:
        sentence = task.corpus.join("test", rng)
        made.setdefault(frozenset(sentence.text.split()), sentence)
    return tuple(made.values())


def measured(task: Cslr2Task, config: dict) -> dict[str, float]:
    task.corpus.valid = sentences(task)
    task.network.eval()
    with torch.no_grad():
        found = {name: 100 * value for name, value in task.evaluate().items() if "rank" not in name}
    if "threshold" in config and "tuned" in config:
        embedder, walk = task.embedder("here"), Walk(config["threshold"], config["shortest"])
        read = [read_guesses(task.guesses(embedder, sentence), walk) for sentence in task.corpus.valid]
        scores = evaluate_glosses([sentence.signs for sentence in task.corpus.valid], read)
        found |= {"WER": scores.wer, "temporal IoU": scores.temporal_iou, "F1@.50": scores.f1[0.5]}
    return found


def aligned(data: Path, folder: Path) -> dict[str, float]:
    """F1@.50 of episodes of sessions that the network has not seen, by what places the cues."""
    clips, found = traduttore.read(data), defaultdict(list)
    embedder = checkpoints.load(folder)
    assert isinstance(embedder, Cslr2Embedder)
    vocabulary = seasign.Vocabulary(read_vocabulary(folder / "words.txt"))
    walk = Walk(embedder.inputs.threshold, embedder.inputs.shortest)
    for session in ("block 2", "block 4"):
        own = [clip for clip in clips if clip.signer == session]
        for seed in range(EPISODES):
            poses, _, truth = stitch(own, seed, 3)
            signs, named = (
                seasign.segment(poses, purpose="alignment"),
                seasign.recognize(poses, vocabulary, embedder, reading=walk),
            )
            texts = [cue.text for cue in truth]
            said, seen = embedder.text(texts).vectors, embedder.signs(poses, signs).vectors
            half, letters = seen.shape[1] // 2, GlossText()
            ways = {
                "time alone": (signs, None),
                "CSLR2": (signs, said @ seen.T),
                "CSLR2, words alone": (signs, said[:, :half] @ seen[:, :half].T),
                "CSLR2, sentences alone": (signs, said[:, half:] @ seen[:, half:].T),
                "glosses recognized, by letters": (named, compare(letters.text(texts), letters.signs(None, named))),
            }
            delivered = deliver(truth, seed, JITTER)
            for name, (given, similarity) in ways.items():
                for how, lag in ("lag unknown", "auto"), ("lag given", (EARLY, EARLY)):
                    placed = seasign.align(given, delivered, similarity=similarity, lag=lag)
                    found[f"{name}: {how}"].append(f1(truth, placed.cues))
    return {name: float(np.mean(values)) for name, values in found.items()}


def main(data: Path, runs: Path, seeds: int) -> None:
    torch.set_num_threads(1)
    results: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    placed: list[dict[str, float]] = []
    for seed in range(seeds):
        for way in WAYS:
            results[way].append(measured(*trained(data, runs, way, seed)))
            if way == "both losses":  # and an embedder of them
                placed.append(aligned(data, runs / named(way, seed)))
            print(seed, way, results[way][-1], flush=True)
    for way, found in results.items():
        report("traduttore_asl, joined", {f"{way}: {name}": [one[name] for one in found] for name in found[0]})
    stitched = "stitched traduttore_asl, sessions 2 and 4, F1@.50"
    report(stitched, {name: [one[name] for one in placed] for name in placed[0]})


def report(corpus: str, found: dict[str, list[float]]) -> None:
    """Means over seeds, with the least and the greatest."""
    for name, values in found.items():
        record(name, float(np.mean(values)), "%", "", corpus, (min(values), max(values)))


def speed() -> None:
    """An hour of features, its windows against 8,697 words, and 5,000 sentences scored."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)

    def unit(rows: int, columns: int) -> np.ndarray:
        vectors = rng.normal(size=(rows, columns)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    features = WindowFeatures(unit(HOUR // 10, 768), Fraction(25), "video-swin")
    for name, kind in ("32 bits", torch.float32), ("16 bits", torch.bfloat16):
        network = Cslr2(Shape(classes=0)).eval().to(kind)
        embedder = Cslr2Embedder(network, network.inputs, "")
        record(f"an hour of features: {name}", 10 * seconds(lambda one=embedder: one.windows(features)), "s", "20")
    windows, words = replace(features, vectors=unit(HOUR, 256)), Embeddings(unit(8_697, 256), "video-swin")
    known = [str(number) for number in range(8_697)]
    guesses = guess_words(replace(windows, vectors=windows.vectors[:50]), words, known)
    record(
        "45,000 windows against 8,697 words: 32 bits", seconds(lambda: guess_words(windows, words, known)), "s", "10"
    )
    sentences = [read_guesses(guesses, Walk(0.0, 1))] * 5_000
    both = seconds(
        lambda: (evaluate_sentences(rng.normal(size=(5_000, 5_000))), evaluate_glosses(sentences, sentences))
    )
    record("5,000 sentences, retrieval and glosses: 64 bits", both, "s", "30")


def seconds(call: Callable[[], object]) -> float:
    """Of this process' own time."""
    began = time.process_time()
    call()
    return time.process_time() - began


if __name__ == "__main__":
    warnings.simplefilter("ignore", InputWarning)  # one hand, and no lag stands out in seamless signing
    if len(sys.argv) == 1:
        speed()
        sys.exit()
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 3)
