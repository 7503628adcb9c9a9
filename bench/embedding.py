"""What embedders of signs and text are worth to an alignment, against time alone, on real signs.

    seasign train recipes/gloss-text-phoenix.toml -o RUN
    python bench/embedding.py DATA RUN

DATA holds `elan_samples`, `phoenix14t` and `traduttore_asl` (the shared data).

Gloss text: the story of the NCSLGR, whose signs people have found and glossed; its sentences come 2 s early, each with
a jitter of its own (normal, sd 1 s), ten times over.

Glosses and sentences of PHOENIX14T: episodes of 80 sentences that RUN has not seen, whose glosses are signs of .45 s,
with short pauses after some sentences; they come 2 s early, with a jitter of sd 2 s, since such even signs are easy.
The learned encoder has seen 9 of 10 of the 7,096 sentences of the training part.

Dictionary: episodes of 60 isolated signs of one recording session, joined as in bench/stitched.py, with clips of other
sessions as the dictionary: one of each word, or all. Cues have one to three words, and come early as above. Signs are
the true ones, or those of the training-free segmenter. Intervals are over sessions.
"""

import csv
import sys
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from real import story
from results import record
from stitched import EPISODES, f1, stitch

import seasign
from seasign import checkpoints
from seasign.corpora import traduttore
from seasign.corpora.clips import Clip
from seasign.models.dictionary import DESCRIPTOR, Dictionary
from seasign.models.gloss_text import GlossText
from seasign.types import Cue, InputWarning, Poses, Sign

EARLY, JITTER, DRAWS = 2.0, 1.0, 10
LAGS = {"lag given": (EARLY, EARLY), "lag unknown": "auto"}


def deliver(truth: Sequence[Cue], seed: int, jitter: float = JITTER) -> list[Cue]:
    """The cues as they come in."""
    by = np.random.default_rng(seed).normal(-EARLY, jitter, len(truth)).tolist()
    return [replace(cue, start=cue.start + late, end=cue.end + late) for cue, late in zip(truth, by, strict=True)]


def glosses(data: Path) -> None:
    """The story, by time alone and with its glosses."""
    truth, signs = story(data)
    found = defaultdict(list)
    for seed in range(DRAWS):
        delivered = deliver(truth, seed)
        for name, embedder in ("time alone", None), ("gloss text", GlossText()):
            for how, lag in LAGS.items():
                cues = seasign.align(signs, delivered, embedder=embedder, lag=lag).cues
                found[f"{name}: {how}"].append(f1(truth, cues))
    report("ncslgr story, 361 glossed signs, 37 cues, 10 deliveries", found)


def sentences(data: Path, run: Path) -> None:
    """German forecasts, by time alone and with their glosses, before and after learning."""
    with (data / "phoenix14t" / "dev.gloss_text.tsv").open(encoding="utf-8") as file:
        pairs = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    ways = {"time alone": None, "gloss text": GlossText(), "gloss text, learned": checkpoints.load_embedder(run)}
    found = defaultdict(list)
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        signs, truth, now = [], [], 5.0
        for k in rng.permutation(len(pairs))[:80]:
            start = now
            for gloss in pairs[k]["gloss"].split():
                signs.append(Sign(now, now + 0.45, gloss))
                now += 0.5
            truth.append(Cue(start, now - 0.05, pairs[k]["text"]))
            now += float(rng.choice([0.0, 0.4, 1.0], p=[0.6, 0.3, 0.1]))
        delivered = deliver(truth, seed, 2 * JITTER)
        for name, embedder in ways.items():
            for how, lag in LAGS.items():
                cues = seasign.align(signs, delivered, embedder=embedder, lag=lag).cues
                found[f"{name}: {how}"].append(f1(truth, cues))
    report("PHOENIX14T dev, glosses as even signs, 10 episodes", found)


def learn(clips: Sequence[Clip], each: int | None) -> Dictionary:
    """A dictionary of so many clips of every word."""
    rows, shows, words = [], [], sorted({clip.text for clip in clips})
    for number, word in enumerate(words):
        for clip in [clip for clip in clips if clip.text == word][:each]:
            poses = clip.read()
            rows.append(DESCRIPTOR.signs(poses, [Sign(0, poses.duration)]).vectors[0])
            shows.append(number)
    return Dictionary(tuple(words), np.stack(rows), np.array(shows))


def dictionaries(data: Path) -> None:
    """The sessions, by time alone and with a dictionary of the others."""
    clips = [clip for clip in traduttore.read(data / "traduttore_asl") if clip.text != "large"]  # of one session alone
    found = defaultdict(lambda: defaultdict(list))
    for session in sorted({str(clip.signer) for clip in clips}):
        own, others = ([clip for clip in clips if (clip.signer == session) == same] for same in (True, False))
        if len({clip.text for clip in own}) < 4:
            continue
        ways = {"time alone": None, "one clip of each word": learn(others, 1), "all clips": learn(others, None)}
        asked = {name: learned for name, learned in ways.items() if learned}
        for name, learned in asked.items():
            for clip in own:
                (vector,) = learned.signs(clip.read(), [Sign(0, clip.read().duration)]).vectors
                found[f"{name}: clips recognized"][session].append(
                    100.0 * (learned.words[int(vector.argmax())] == clip.text)
                )
        for seed in range(EPISODES):
            poses, signs, truth = stitch(own, seed, 3)
            bare = [replace(sign, gloss=None) for sign in signs]
            for kind, given in ("true signs", bare), ("signs found", seasign.segment(poses, purpose="alignment")):
                for name, learned in ways.items():
                    scores = place(learned, poses, given, truth, seed)
                    for how, score in scores.items():
                        found[f"{name}: {kind}, {how}"][session].append(score)
    report(
        "traduttore_asl, 60 isolated signs joined",
        {name: [float(np.mean(some)) for some in by.values()] for name, by in found.items()},
    )


def place(
    learned: Dictionary | None, poses: Poses, signs: Sequence[Sign], truth: Sequence[Cue], seed: int
) -> dict[str, float]:
    """F1@.50 with either lag."""
    delivered, similarity = deliver(truth, seed), None
    if learned:
        said = seasign.embed_text([cue.text for cue in delivered], learned)
        similarity = seasign.compare(said, seasign.embed_signs(poses, signs, learned))
    return {
        how: f1(truth, seasign.align(signs, delivered, similarity=similarity, lag=lag).cues)
        for how, lag in LAGS.items()
    }


def report(corpus: str, found: dict[str, list[float]]) -> None:
    """Means, with what holds 95 % of them when their parts are drawn anew."""
    for name, some in found.items():
        values = np.array(some)
        drawn = values[np.random.default_rng(0).integers(0, len(values), (10_000, len(values)))].mean(axis=1)
        low, high = np.quantile(drawn, (0.025, 0.975)).tolist()
        record(name, float(values.mean()), "%", "", corpus, (low, high))


if __name__ == "__main__":
    warnings.simplefilter("ignore", InputWarning)  # no lag stands out, and jitter puts cues out of order
    glosses(Path(sys.argv[1]))
    sentences(Path(sys.argv[1]), Path(sys.argv[2]))
    dictionaries(Path(sys.argv[1]))
