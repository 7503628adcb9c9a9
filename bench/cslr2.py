"""A CSLR2 of ten words, trained with both losses and with each alone: retrieval, recognition and alignment in other
sessions.

    python bench/cslr2.py DATA RUNS SIGNCLIP [SEEDS]
    python bench/cslr2.py --how2sign DATA RUNS [SEEDS]  # retrieval of real sentences
    python bench/cslr2.py  # speed: seconds of one core, at the published sizes

DATA is the folder of traduttore_asl (shared data), RUNS where checkpoints go, SIGNCLIP that of bench/signclip_tiny.py,
with networks that have not seen the two tested sessions; what is there already is not trained again. The recipe is
recipes/cslr2-tiny.toml. Tested are 150 sentences of different words, joined of signs of the sessions that nothing was
learned from and nothing was chosen on. Thresholds of recognition are those that the checkpoint was given on its
validation part. What is joined is not what people sign: these numbers compare losses, and say nothing of signing. The
brackets hold the least and the greatest of the seeds.

Aligned are the episodes of bench/stitched.py of the two tested sessions, with cues of one to three words that come 2 s
early with a jitter of .5 s: by time alone, by CSLR2 (both halves of its vectors, or one), by the SignCLIP of ten words
of the same seed, by the mean of the two, and by the letters of the glosses that CSLR2 recognizes.

With 16 bits and with whole numbers in its encoder: how many windows say another word than in 32 bits, and what becomes
of the word error rate.

With --how2sign DATA is how2sign: 38 sentences of a window or more, of one signer in 7 videos. Nothing says
which signs are in them, so that only the loss of sentences is there to learn from. Each video of more than one sentence
is tested once, by a network that learned from the others but one, by which its epoch was chosen; a sentence is looked
for among those of its own video. Intervals draw videos; chance is one sentence by lot.
"""

import copy
import csv
import json
import re
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
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
from seasign.embedding import compare, join
from seasign.formats.words import read_vocabulary
from seasign.metrics.glosses import evaluate_glosses
from seasign.metrics.retrieval import evaluate_sentences
from seasign.models.cslr2 import Cslr2, Shape
from seasign.models.cslr2_embedder import Cslr2Embedder
from seasign.models.cslr2_onnx import OnnxCslr2, export
from seasign.models.gloss_text import GlossText
from seasign.recognition import Vocabulary, Walk, guess_words, read_guesses
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
    "both losses, graph network": {},
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
    if "graph" in way:  # its widths are `part`, and two and four times that
        text = re.sub(r"^part = .*$", "part = 8\ngraph = true", text, flags=re.MULTILINE)
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


def lighter(task: Cslr2Task, config: dict) -> dict[str, float]:
    """Of the tested sentences, in percent."""
    embedder, walk, found = task.embedder("here"), Walk(config["threshold"], config["shortest"]), {}
    vocabulary, sentences = Vocabulary(task.corpus.vocabulary), task.corpus.valid
    inputs = task.network.inputs
    with tempfile.TemporaryDirectory() as folder:
        export(task.network, Path(folder), int8=True)
        half = Cslr2.from_checkpoint(task.network.config, {k: v.clone() for k, v in task.network.state_dict().items()})
        ways = {"": task.network, "16 bits: ": half.bfloat16(), "whole numbers: ": OnnxCslr2(Path(folder), threads=1)}
        said: dict[str, np.ndarray] = {}
        for name, network in ways.items():
            one, guesses = replace(embedder, network=network), []
            for sentence in sentences:
                features = WindowFeatures(
                    network.pose_features(sentence.signing), inputs.fps, "poses", inputs.stride, 7
                )
                steps = network.step_vectors(network.encoded(features.vectors[None])[0])
                windows = replace(features, vectors=steps, source=f"{one.space}:words")
                guesses.append(guess_words(windows, one.words(vocabulary.words), vocabulary.words))
            said[name] = np.concatenate([guess.words[:, 0] for guess in guesses])
            scores = evaluate_glosses([it.signs for it in sentences], [read_guesses(guess, walk) for guess in guesses])
            if name:
                found[f"{name}windows that say another word"] = 100 * float((said[name] != said[""]).mean())
                found[f"{name}WER"] = scores.wer
    return found


def aligned(data: Path, folder: Path, signclip: Path, seed: int) -> dict[str, float]:
    """F1@.50 of episodes of sessions that the network has not seen, by what places the cues."""
    clips, found = traduttore.read(data), defaultdict(list)
    embedder = checkpoints.load(folder)
    assert isinstance(embedder, Cslr2Embedder)
    vocabulary = seasign.Vocabulary(read_vocabulary(folder / "words.txt"))
    walk = Walk(embedder.inputs.threshold, embedder.inputs.shortest)
    for session in ("block 2", "block 4"):
        own = [clip for clip in clips if clip.signer == session]
        rival = checkpoints.load_embedder(signclip / f"{session.replace(' ', '')}-seed{seed}")
        for episode in range(EPISODES):
            poses, _, truth = stitch(own, episode, 3)
            signs, named = (
                seasign.segment(poses, purpose="alignment"),
                seasign.recognize(poses, vocabulary, embedder, reading=walk),
            )
            texts = [cue.text for cue in truth]
            of_cslr2, of_signclip = ((one.text(texts), one.signs(poses, signs)) for one in (embedder, rival))
            said, seen = (one.vectors for one in of_cslr2)
            half, letters = seen.shape[1] // 2, GlossText()
            ways = {
                "time alone": (signs, None),
                "CSLR2": (signs, compare(*of_cslr2)),
                "SignCLIP": (signs, compare(*of_signclip)),
                "CSLR2 and SignCLIP": (signs, compare(*map(join, zip(of_cslr2, of_signclip, strict=True)))),
                "CSLR2, words alone": (signs, said[:, :half] @ seen[:, :half].T),
                "CSLR2, sentences alone": (signs, said[:, half:] @ seen[:, half:].T),
                "glosses recognized, by letters": (named, compare(letters.text(texts), letters.signs(None, named))),
            }
            delivered = deliver(truth, episode, JITTER)
            for name, (given, similarity) in ways.items():
                for how, lag in ("lag unknown", "auto"), ("lag given", (EARLY, EARLY)):
                    placed = seasign.align(given, delivered, similarity=similarity, lag=lag)
                    found[f"{name}: {how}"].append(f1(truth, placed.cues))
    return {name: float(np.mean(values)) for name, values in found.items()}


def sentences_alone(data: Path, runs: Path, seeds: int) -> None:
    """Of every sentence of How2Sign, whether it and its clip find each other among those of its video."""
    torch.set_num_threads(1)
    runs.mkdir(parents=True, exist_ok=True)
    with (data / "sentences.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["n_frames"]) >= 16]  # a window
    with (runs / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("poses", "text", "signer"))
        table.writerows((data.resolve() / "poses" / f"{row['name']}.pose", row["text"], row["video"]) for row in rows)
    counts = Counter(row["video"] for row in rows)
    videos = sorted(video for video, count in counts.items() if count > 1)
    right: dict[str, dict[str, list[float]]] = {way: defaultdict(list) for way in ("text to video", "video to text")}
    for seed in range(seeds):
        for number, video in enumerate(videos):
            chosen_by = videos[(number + 1) % len(videos)]
            shape = RECIPE.read_text().partition("[network]")[2].partition("[loss]")[0]
            (runs / "recipe.toml").write_text(
                f'''task = "cslr2"
[data]
manifest = "manifest.csv"
valid_signers = ["{chosen_by}"]
test_signers = ["{video}"]
letters = 256
batch = 16
[network]{shape}
[loss]
signs = 0.0
[augment]
texts = 0.8
clips = 0.8
[loop]
seed = {seed}
metric = "text_to_video_r@5"
epochs = 30
patience = 30
learning_rate = 1e-3
schedule = "cosine"
warmup = 0.1
clip = 1.0
'''
            )
            folder = runs / f"{number}-{seed}"
            train(runs / "recipe.toml", output=folder)
            embedder = checkpoints.load(folder)
            assert isinstance(embedder, Cslr2Embedder)
            own = [row for row in rows if row["video"] == video]
            clips = [seasign.read_poses(data / "poses" / f"{row['name']}.pose") for row in own]
            seen = np.concatenate([embedder.clip(clip).vectors for clip in clips])
            scores = evaluate_sentences(embedder.sentences([row["text"] for row in own]).vectors @ seen.T)
            for found, way in zip(right.values(), scores, strict=True):
                found[video].append(way.recall[0] / 100 * way.queries)
            print(seed, video, *(way.recall[0] for way in scores), flush=True)
    draws = np.random.default_rng(0).integers(0, len(videos), (10_000, len(videos)))
    sizes = np.array([counts[video] for video in videos])
    for name, found in right.items():
        hits = np.array([np.sum(found[video]) / seeds for video in videos])
        low, high = np.quantile(hits[draws].sum(axis=1) / sizes[draws].sum(axis=1), (0.025, 0.975)).tolist()
        share, chance = hits.sum() / sizes.sum(), len(videos) / sizes.sum()
        record(f"sentences alone: {name}, R@1, chance {100 * chance:.1f}", 100 * share, "%", "", "how2sign",
               (100 * low, 100 * high))  # fmt: skip


def main(data: Path, runs: Path, signclip: Path, seeds: int) -> None:
    torch.set_num_threads(1)
    results: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    placed: list[dict[str, float]] = []
    for seed in range(seeds):
        for way in WAYS:
            task, config = trained(data, runs, way, seed)
            results[way].append(measured(task, config))
            if way == "both losses":  # and an embedder of them
                results[way][-1] |= lighter(task, config)
                placed.append(aligned(data, runs / named(way, seed), signclip, seed))
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
    torch.manual_seed(0)
    network = Cslr2(Shape(classes=0)).eval()
    exact = Cslr2Embedder(network, network.inputs, "")
    vectors = exact.windows(features).vectors
    with tempfile.TemporaryDirectory() as folder:
        export(network, Path(folder), int8=True)
        half = copy.deepcopy(network).bfloat16()
        ways = {"32 bits": network, "16 bits": half, "whole numbers": OnnxCslr2(Path(folder), threads=1)}
        for name, one in ways.items():
            embedder = replace(exact, network=one)
            taken = min(seconds(lambda own=embedder: own.windows(features)) for _ in range(3))
            record(f"an hour of features: {name}", 10 * taken, "s", "20")
            if one is not network:
                cosine = (vectors * embedder.windows(features).vectors).sum(axis=1).clip(-1, 1)
                turned = float(np.degrees(np.arccos(cosine.min())))
                record(f"an hour of features: {name}, a vector turns by up to", turned, "degrees")
    windows, words = replace(features, vectors=unit(HOUR, 256)), Embeddings(unit(8_697, 256), "video-swin")
    known = [str(number) for number in range(8_697)]
    guesses = guess_words(replace(windows, vectors=windows.vectors[:50]), words, known)
    record(
        "45,000 windows against 8,697 words: 32 bits", seconds(lambda: guess_words(windows, words, known)), "s", "10"
    )
    sentences = [read_guesses(guesses, Walk(0.0, 1))] * 5_000

    def read_and_score() -> None:
        evaluate_sentences(rng.normal(size=(5_000, 5_000)))
        evaluate_glosses(sentences, [read_guesses(guesses, Walk(0.0, 1)) for _ in sentences])

    record("5,000 sentences, retrieval and glosses: 64 bits", seconds(read_and_score), "s", "30")


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
    if sys.argv[1] == "--how2sign":
        sentences_alone(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 3)
        sys.exit()
    main(*map(Path, sys.argv[1:4]), int(sys.argv[4]) if len(sys.argv) > 4 else 3)
