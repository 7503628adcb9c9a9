"""What teaches a CSLR2 more: signs spotted near the words of subtitles, or windows that a recognizer is sure of.

    python bench/pseudo_labels.py DATA RUNS [SEEDS]  # 0: write down what was measured so far

DATA is the folder of traduttore_asl (shared data), RUNS where checkpoints go; what is there already is not trained or
measured again. The network and both losses are those of recipes/cslr2-tiny.toml.

Learned from are cues of three signs with a second around them, in joined signing of five sessions. Nobody says when a
sign is: a cue is a normal jitter of .5 s off, and every fifth of its words is another than what is signed. All labels
come from one weak annotator: five examples of each of eight words, or one, of two other sessions, compared by the pose
descriptor, which has learned nothing.

- "rule": a window of 16 frames says the word whose examples hold the nearest window; a softmax of cosines, whose
  temperature is the likeliest, gives its probability; `label_windows` as published: 6 windows on end, and .6 in each.
- "rule, words of the cue": of these the windows whose word is said by a cue within a second.
- "spotted": `spot_words` with `EmbeddingWindows` over the same descriptor and examples; 50 % probable.

Temperature and calibration are fitted on the two sessions of the examples, each asked with the examples of the other.
"True times" labels windows by what is signed. "None" learns from sentences alone, and its windows are compared with
words as if these were sentences. Epoch, threshold and shortest sign of recognition are, for all, those that are best
in signing of the sessions of the examples; tested is signing of two more. What is joined is not what people sign: these
numbers compare labels. The brackets hold the least and the greatest of the seeds.
"""

import json
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from results import record
from safetensors.torch import load_file

from seasign.corpora import traduttore
from seasign.metrics.glosses import evaluate_glosses
from seasign.models.cslr2_embedder import LANDMARKS, Cslr2Embedder, Inputs, frames_of
from seasign.models.pose_descriptor import PoseDescriptor
from seasign.recognition import WindowGuesses, guess_words, label_windows, read_guesses, tune_recognition
from seasign.segmentation import find_sign
from seasign.spotting import EmbeddingWindows, Found, fit_calibration, label_spots, shows_hand, spot, spot_words
from seasign.training import loop
from seasign.training.concatenation import Joining, concatenate
from seasign.training.cslr2 import THRESHOLDS, Cslr2Task, Recipe, Sentence
from seasign.training.recipe import build, read_table
from seasign.types import Cue, InputWarning, Poses, Sign, WindowFeatures

RECIPE = Path(__file__).parents[1] / "recipes" / "cslr2-tiny.toml"
WORDS = ("can", "coffee", "get", "hello", "muffin", "no", "please", "thank you")  # signed in several sessions each
LEARNED = ("block 0", "block 3", "block 6", "block 7", "block 8")
ANNOTATED, TESTED = ("block 1", "block 5"), ("block 2", "block 4")
WAYS = ("none", "rule", "rule, words of the cue", "spotted", "true times")
SHOTS = (5, 1)  # examples of a word
SIGNS, CUE = 12, 3  # in an episode; in a cue
EPISODES = {"learned": 48, "chosen": 16, "tested": 32}
JITTER, SAID, MARGIN = 0.5, 0.8, 1.0  # seconds; words of cues that are signed; seconds around cues
JOINING = Joining(phrase=(2, 5), rest=(0.3, 1.5), tempo=(0.8, 1.25))
INPUTS = Inputs(LANDMARKS, Fraction(25), features="poses")
DESCRIPTOR = PoseDescriptor(raised=1.0)
SECONDS = float(INPUTS.window / INPUTS.fps)

Lexicon = Mapping[str, Sequence[tuple[Poses, Sign]]]


class Episode(NamedTuple):
    """Joined signing, what is signed in it, and what its cues say."""

    poses: Poses
    signs: tuple[Sign, ...]
    cues: tuple[Cue, ...]

    @property
    def times(self) -> np.ndarray:
        """The centres of its windows, in seconds."""
        count = (len(self.poses.xyz) - INPUTS.window) // INPUTS.stride + 1
        return WindowFeatures(np.zeros((count, 1)), INPUTS.fps, "", INPUTS.stride).times


def read(data: Path) -> dict[str, Lexicon]:
    """The signs of every session, by their words."""
    sessions: dict[str, dict[str, list[tuple[Poses, Sign]]]] = {}
    for clip in traduttore.read(data):
        if clip.text in WORDS:
            poses = clip.read()
            span = find_sign(poses)
            own = sessions.setdefault(str(clip.signer), {})
            own.setdefault(clip.text, []).append((poses, Sign(span.start, span.end, clip.text)))
    return dict(sessions)


def together(sessions: Mapping[str, Lexicon], names: Sequence[str]) -> Lexicon:
    """The signs of several."""
    return {
        word: found for word in WORDS if (found := [clip for name in names for clip in sessions[name].get(word, ())])
    }


def says(cue: Cue, word: str) -> bool:
    return f" {word} " in f" {cue.text} "


def cut(poses: Poses, start: float, end: float) -> Poses:
    first, stop = max(0, round(start * float(poses.fps))), round(end * float(poses.fps))
    return replace(poses, xyz=poses.xyz[first:stop], confidence=poses.confidence[first:stop])


def sign(lexicon: Lexicon, rng: np.random.Generator) -> Episode:
    """Words by lot; those of a cue differ."""
    known = sorted(lexicon)
    words = [str(word) for _ in range(SIGNS // CUE) for word in rng.permutation(known)[:CUE]]
    clips = [lexicon[word][rng.integers(len(lexicon[word]))] for word in words]
    poses, signs = concatenate(clips, int(rng.integers(2**31)), joining=JOINING, fps=INPUTS.fps)
    cues = []
    for first in range(0, SIGNS, CUE):
        own, moved = signs[first : first + CUE], rng.normal(0, JITTER)
        others = [word for word in WORDS if word not in words[first : first + CUE]]
        said = [str(one.gloss) if rng.random() < SAID else str(rng.choice(others)) for one in own]
        start = max(0.0, own[0].start + moved)
        cues.append(Cue(start, max(own[-1].end + moved, start + 1.0), " ".join(said)))
    return Episode(poses, signs, tuple(cues))


# --- The annotator ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Annotator:
    """Examples of words, and what was fitted."""

    examples: Mapping[str, tuple[Poses, ...]]  # cut to their signs
    temperature: float = 1.0
    calibration: tuple[float, float] = (float("nan"), float("nan"))

    @property
    def spotter(self) -> EmbeddingWindows:
        return EmbeddingWindows(DESCRIPTOR, self.calibration, trims=False)

    def cosines(self, episode: Episode) -> np.ndarray:
        """Of every window with the nearest of each word."""
        near = embedded(episode.poses, episode.times)
        found = [(near @ embedded_examples(own).T).max(axis=1) for own in self.examples.values()]
        return np.stack(found, axis=1)

    def guesses(self, episode: Episode) -> WindowGuesses:
        shares = softmax(self.cosines(episode) / self.temperature)
        order = np.argsort(-shares, axis=1, kind="stable")
        windows = WindowFeatures(np.zeros((len(shares), 1)), INPUTS.fps, "", INPUTS.stride)
        return WindowGuesses(order, np.take_along_axis(shares, order, axis=1), tuple(self.examples), windows)


def embedded(poses: Poses, centres: np.ndarray) -> np.ndarray:
    """Windows of 16 frames at 25 a second, or all of what is shorter."""
    spans = [Sign(max(0.0, at - SECONDS / 2), min(poses.duration, at + SECONDS / 2)) for at in centres.tolist()]
    return DESCRIPTOR.signs(poses, spans or [Sign(0.0, poses.duration)]).vectors


def embedded_examples(examples: Sequence[Poses]) -> np.ndarray:
    """A window every tenth of a second, of all of them."""
    half = SECONDS / 2
    return np.concatenate([embedded(one, np.arange(half, one.duration - half + 0.05, 0.1)) for one in examples])


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: np.ndarray = shares / shares.sum(axis=1, keepdims=True)
    return found


def examples(lexicon: Lexicon, shots: int, rng: np.random.Generator) -> dict[str, tuple[Poses, ...]]:
    chosen = {word: [clips[row] for row in rng.permutation(len(clips))[:shots]] for word, clips in lexicon.items()}
    return {word: tuple(cut(poses, one.start, one.end) for poses, one in some) for word, some in chosen.items()}


def annotator(sessions: Mapping[str, Lexicon], shots: int, rng: np.random.Generator) -> Annotator:
    """Examples of both sessions, fitted by asking each with those of the other."""
    cosines, said, found = [], [], []
    for asked, other in (ANNOTATED, ANNOTATED[::-1]):
        one = Annotator(examples(sessions[other], shots, rng))
        words = tuple(one.examples)
        for _ in range(EPISODES["chosen"]):
            episode = sign(sessions[asked], rng)
            truth = labelled(episode, words)
            cosines.append(one.cosines(episode)[truth >= 0])
            said.append(truth[truth >= 0])
            found += [it for cue in episode.cues for it in looked_for(one, episode, cue)]
    near, right = np.concatenate(cosines), np.concatenate(said)
    tried = np.geomspace(0.005, 1, 60)
    likely = [np.log(softmax(near / one)[np.arange(len(right)), right]).mean() for one in tried]
    return Annotator(
        examples(together(sessions, ANNOTATED), shots, rng),
        float(tried[int(np.argmax(likely))]),
        fit_calibration(found),
    )


def looked_for(by: Annotator, episode: Episode, cue: Cue) -> list[Found]:
    """The words of a cue: where they are signed around it, and the place that they are spotted at."""
    start, end = max(0.0, cue.start - MARGIN), cue.end + MARGIN
    near = cut(episode.poses, start, end)
    if not shows_hand(near):
        return []
    signs = [
        Sign(max(0.0, it.start - start), it.end - start, it.gloss)
        for it in episode.signs
        if it.start < end and it.end > start
    ]
    return [
        ([it for it in signs if it.gloss == word], spot(own, near, spotter=by.spotter, best=1))
        for word, own in by.examples.items()
        if says(cue, word)
    ]


# --- Labels of windows: -1 where there is none ------------------------------------------------------------------------


def labelled(episode: Episode, words: Sequence[str] = WORDS) -> np.ndarray:
    """By what is signed."""
    times = episode.times
    found = np.full(len(times), -1)
    for one in episode.signs:
        if one.gloss in words:
            found[(times >= one.start) & (times < one.end)] = words.index(one.gloss)
    return found


def labels(episode: Episode, by: Annotator) -> dict[str, np.ndarray]:
    """By every way."""
    times, none = episode.times, np.full(len(episode.times), -1)
    ruled = none.copy()
    rows, said = label_windows(by.guesses(episode))
    ruled[rows] = said
    near = np.zeros((len(times), len(WORDS)), bool)
    for cue in episode.cues:
        own = [number for number, word in enumerate(WORDS) if says(cue, word)]
        near[np.ix_((times >= cue.start - MARGIN) & (times < cue.end + MARGIN), own)] = True
    asked = np.where((ruled >= 0) & near[np.arange(len(times)), ruled], ruled, -1)
    signs = spot_words(episode.cues, episode.poses, by.examples, spotter=by.spotter, margin=MARGIN)
    numbers, sure = label_spots(signs, times, WORDS, best=1)
    spotted = np.where(sure[:, 0] > 0, numbers[:, 0], -1)
    return dict(zip(WAYS, (none, ruled, asked, spotted, labelled(episode)), strict=True))


def quality(found: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> dict[str, float]:
    """Of windows: how many labels are right, and how many are of a sign of another word; how many signs have theirs."""
    one, other = np.concatenate(found), np.concatenate(truth)
    there, right = one >= 0, int(((one == other) & (other >= 0)).sum())
    some = {}
    if there.any():
        some["labels, precision"] = 100 * right / int(there.sum())
        some["labels, of another word"] = 100 * float((one != other)[there & (other >= 0)].sum() / there.sum())
    return some | {"labels, recall": 100 * right / int((other >= 0).sum())}


# --- What learns from them --------------------------------------------------------------------------------------------


class Cues:
    """Clips of cues with their labels; whole episodes to choose by."""

    inputs, vocabulary = INPUTS, WORDS

    def __init__(self, learned: Sequence[Sentence], valid: Sequence[Sentence]) -> None:
        self.learned, self.valid = learned, tuple(valid)
        self.files: dict[str, str] = {}
        self.parts = {"train": list(LEARNED), "valid": list(ANNOTATED)}

    def __len__(self) -> int:
        return len(self.learned)

    def draw(self, item: int, rng: np.random.Generator) -> Sentence:
        return self.learned[item]


class Task(Cslr2Task):
    """Windows are compared with words, or where nothing says which is which, with words as sentences."""

    def guesses(self, embedder: Cslr2Embedder, sentence: Sentence) -> WindowGuesses:
        if self.recipe.loss.signs:
            return super().guesses(embedder, sentence)
        steps = self.network.sequence_vectors(self._encode(embedder, sentence))
        windows = WindowFeatures(steps, INPUTS.fps, "here", INPUTS.stride)
        return guess_words(windows, replace(embedder.sentences(WORDS), space="here"), WORDS)

    def right(self, guesses: Sequence[WindowGuesses]) -> float:
        pairs = zip(guesses, self.corpus.valid, strict=True)
        return float(np.concatenate([one.words[it.rows, 0] == it.words for one, it in pairs]).mean())

    def evaluate(self) -> dict[str, float]:
        embedder = self.embedder("here")
        return {"windows_top1": self.right([self.guesses(embedder, sentence) for sentence in self.corpus.valid])}

    def checkpoint(self) -> tuple[dict[str, object], dict[str, torch.Tensor]]:
        return self.network.config, dict(self.network.state_dict())


def clips(episode: Episode, said: np.ndarray) -> list[Sentence]:
    """The cues with what is around them."""
    frames, found = frames_of(episode.poses, INPUTS), []
    for cue in episode.cues:
        first = max(0, int((cue.start - MARGIN) * INPUTS.fps)) // INPUTS.stride * INPUTS.stride
        own = frames[first : int((cue.end + MARGIN) * INPUTS.fps)]
        if len(own) >= 2 * INPUTS.window:
            some = said[first // INPUTS.stride :][: (len(own) - INPUTS.window) // INPUTS.stride + 1]
            rows = np.flatnonzero(some >= 0)
            found.append(Sentence(cue.text, own, rows, some[rows]))
    return found


def whole(episode: Episode) -> Sentence:
    said = labelled(episode)
    rows = np.flatnonzero(said >= 0)
    text = " ".join(str(one.gloss) for one in episode.signs)
    return Sentence(text, frames_of(episode.poses, INPUTS), rows, said[rows], episode.signs)


def trained(
    folder: Path, way: str, seed: int, corpus: Cues, tested: Sequence[Sentence], epochs: int
) -> dict[str, float]:
    """What the network of the best epoch makes of signing that nobody has seen, in percent."""
    changes: dict[str, object] = {"metric": '"windows_top1"', "epochs": epochs, "patience": epochs, "batch": 16}
    if way == "none":
        changes["signs"] = 0.0
    text = RECIPE.read_text(encoding="utf-8").replace("[loop]\n", f"[loop]\nseed = {seed}\n")
    for key, value in changes.items():
        text = re.sub(rf"^{key} = [^\[\n]*$", f"{key} = {value}", text, flags=re.MULTILINE)
    path = folder.with_suffix(".toml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    table = read_table(path)
    del table["task"], table["output"]
    recipe = build(Recipe, table, str(path), path.parent)
    loop.run(lambda: Task(recipe, corpus), recipe.loop, folder, recipe=path)
    task = Task(recipe, corpus)
    task.network.load_state_dict(load_file(folder / "weights.safetensors"))
    embedder = task.embedder("here")
    sentences = [(task.guesses(embedder, it), it.signs) for it in corpus.valid]
    tuned = tune_recognition(sentences, split="valid", thresholds=THRESHOLDS, shortest=range(1, 11))
    task.corpus = Cues((), tested)
    guesses = [task.guesses(embedder, it) for it in tested]
    scores = evaluate_glosses([it.signs for it in tested], [read_guesses(one, tuned.walk) for one in guesses])
    return {"WER": scores.wer, "windows right": 100 * task.right(guesses), "F1@.50": scores.f1[0.5]}


def places(runs: Path, seed: int) -> dict[str, Path]:
    """What was measured, by ways."""
    return {way: runs / f"{way.replace(',', '').replace(' ', '-')}-{seed}" / "measured.json" for way in WAYS}


def measured(data: Path, runs: Path, shots: int, seed: int, epochs: int = 20) -> dict[str, dict[str, float]]:
    """Of every way."""
    files = places(runs, seed)
    if all(file.exists() for file in files.values()):
        return {way: json.loads(file.read_text(encoding="utf-8")) for way, file in files.items()}
    sessions, rng = read(data), np.random.default_rng(seed)
    by = annotator(sessions, shots, rng)
    print(f"{shots} examples, seed {seed}: temperature {by.temperature:.3f}, calibration {by.calibration}", flush=True)
    parts = {"learned": LEARNED, "chosen": ANNOTATED, "tested": TESTED}
    lexicons = {part: together(sessions, names) for part, names in parts.items()}
    made = {part: [sign(own, rng) for _ in range(EPISODES[part])] for part, own in lexicons.items()}
    said = [labels(episode, by) for episode in made["learned"]]
    valid, tested = ([whole(episode) for episode in made[part]] for part in ("chosen", "tested"))
    for way, file in files.items():
        if not file.exists():
            of_labels = quality([one[way] for one in said], [one["true times"] for one in said])
            pairs = zip(made["learned"], said, strict=True)
            learned = [clip for episode, one in pairs for clip in clips(episode, one[way])]
            scores = of_labels | trained(file.parent, way, seed, Cues(learned, valid), tested, epochs)
            file.write_text(json.dumps(scores), encoding="utf-8")
            print(shots, seed, way, scores, flush=True)
    return {way: json.loads(file.read_text(encoding="utf-8")) for way, file in files.items()}


def main(data: Path, runs: Path, seeds: int = 3) -> None:
    torch.set_num_threads(1)
    for shots in SHOTS:
        corpus, own = f"traduttore_asl, joined, examples of a word: {shots}", runs / str(shots)
        there = [seed for seed in range(99) if all(file.exists() for file in places(own, seed).values())]
        found = [measured(data, own, shots, seed) for seed in (range(seeds) if seeds else there)]
        if not found:
            continue
        for way in WAYS:
            for name in found[0][way]:
                values = [one[way][name] for one in found]
                between = (min(values), max(values)) if len(values) > 1 else None
                record(f"{way}: {name}", float(np.mean(values)), "%", "", corpus, between)


if __name__ == "__main__":
    warnings.simplefilter("ignore", InputWarning)  # one hand alone
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
