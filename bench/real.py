"""The main job on real recordings, by the commands that a user gives.

    python bench/real.py DATA

DATA holds `how2sign` and `elan_samples` (the shared data). The true cues come 2 s early, as timed to speech, and each
with a jitter of its own (normal, sd 0.5 s, seeded); then `seasign align` and `seasign evaluate` run on them. Beside the
alignments stand the cues as delivered; moved by just the 2 s (lag only), all that knowing the lag alone can give; and
then joined. Everything starts LEAD seconds late, so that no time is negative.
"""

import csv
import json
import subprocess
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from quality import auroc, iou, times
from results import record

import seasign
from seasign.types import Cue, InputWarning, Poses, Sign

MOVED, JITTER = 2.0, 0.5  # seconds
LEAD = 5
SCORES = ("frame_accuracy", "f1@0.10", "f1@0.25", "f1@0.50")
BLIND: Mapping[str, Callable[[Sequence[Cue]], Sequence[Cue]]] = {
    "delivered": lambda cues: cues,
    "lag only": lambda cues: seasign.shift(cues, (MOVED, MOVED)),
    "lag and joined": lambda cues: seasign.join_neighbours(cues, (MOVED, MOVED)),
}
ALIGNERS: Mapping[str, tuple[object, ...]] = {
    "aligned": ("--dropped", "mark"),
    "aligned, lag given": ("--dropped", "mark", "--lag", MOVED),
    "compat, lag given": ("--lag", MOVED, "--compat", "sea"),
}


def command(*words: object) -> dict[str, Any]:
    """Run seasign and read the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "seasign", *map(str, words), "--json"], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def join(clips: Sequence[Poses]) -> Poses:
    """One recording out of several with the same landmarks, after LEAD seconds without anybody; joins are hard cuts."""
    nobody = int(LEAD * clips[0].fps)
    xyz = np.concatenate(
        [np.full((nobody, *clips[0].xyz.shape[1:]), np.nan, np.float32), *(clip.xyz for clip in clips)]
    )
    sure = np.concatenate(
        [np.zeros((nobody, len(clips[0].landmarks)), np.float32), *(clip.confidence for clip in clips)]
    )
    return Poses(xyz, sure, clips[0].fps, clips[0].landmarks)


def deliver(truth: Sequence[Cue], seed: int) -> tuple[Cue, ...]:
    """The cues as they come in: early by MOVED, each with a jitter of its own."""
    jitter = np.random.default_rng(seed).normal(-MOVED, JITTER, len(truth)).tolist()
    return tuple(replace(cue, start=cue.start + by, end=cue.end + by) for cue, by in zip(truth, jitter, strict=True))


# --- What became of the cues ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moved:
    """The cues of one episode as one side has them."""

    true: Float[np.ndarray, "cues 2"]  # seconds
    signed: Bool[np.ndarray, " cues"]  # as it is
    found: Float[np.ndarray, "cues 2"]
    kept: Bool[np.ndarray, " cues"]  # not dropped
    probability: Float[np.ndarray, " cues"] | None  # that a cue is right, as the aligner says
    unsigned: Float[np.ndarray, " cues"] | None  # that it is not signed, as the aligner says
    lag: float | None  # as it was found

    @property
    def hit(self) -> Bool[np.ndarray, " cues"]:
        hit: Bool[np.ndarray, " cues"] = self.signed & (iou(self.true, self.found) >= 0.5)
        return hit


def align(folder: Path, sides: Sequence[str], *extra: object) -> dict[str, dict[str, Moved]]:
    """Move the cues of every episode in `folder`: `in` holds what is signed, `truth` and `delivered` the cues."""
    moved: dict[str, dict[str, Moved]] = {side: {} for side in sides}
    for truth in sorted((folder / "truth").iterdir()):
        source = next((folder / "in").glob(f"{truth.stem}.*"))
        reference = seasign.read(truth).cues
        subtitles = folder / "delivered" / truth.name
        for side in sides:
            (folder / side).mkdir(exist_ok=True)
            out, page = folder / side / truth.name, folder / "report.json"
            said: list[dict[str, Any]] = []
            lag = None
            if side in ALIGNERS:
                command(*("align", source, subtitles, "-o", out, "--force", "--report", page, *ALIGNERS[side], *extra))
                found = json.loads(page.read_text(encoding="utf-8"))
                said, lag = found["cues"], found["lag"] and found["lag"]["segments"][0]["start"]
            elif side != "delivered":
                seasign.write(out, BLIND[side](seasign.read(subtitles).cues))
            judged = bool(said) and "compat" not in side
            moved[side][truth.stem] = Moved(
                times(reference),
                np.array(["[" not in cue.text for cue in reference]),
                times(seasign.read(out).cues),
                np.array([not cue["dropped"] for cue in said] or [True] * len(reference)),
                np.array([cue["probability"] or 0.0 for cue in said]) if judged else None,
                np.array([1 - cue["signed"] for cue in said]) if judged else None,
                lag,
            )
    return moved


def draw(episodes: Sequence[Moved], value: Callable[[Sequence[Moved]], float]) -> tuple[float, float]:
    """95 % of the values of as many episodes drawn with replacement."""
    rng = np.random.default_rng(0)
    drawn = [value([episodes[k] for k in rng.integers(0, len(episodes), len(episodes))]) for _ in range(1000)]
    low, high = np.nanquantile(drawn, (0.025, 0.975)).tolist()
    return low, high


def share(
    part: Callable[[Moved], np.ndarray], whole: Callable[[Moved], np.ndarray]
) -> Callable[[Sequence[Moved]], float]:
    """Percent of the cues in `whole` that are in `part` too; NaN without any."""

    def value(episodes: Sequence[Moved]) -> float:
        count = sum(int(whole(one).sum()) for one in episodes)
        return 100 * sum(int((part(one) & whole(one)).sum()) for one in episodes) / count if count else float("nan")

    return value


def expect(episodes: Sequence[Moved]) -> float:
    """Percent of the cues kept that are right, as the aligner says."""
    sure = [one.probability[one.kept] for one in episodes if one.probability is not None]
    return 100 * float(np.concatenate(sure).mean())


def rank_wrong(episodes: Sequence[Moved]) -> float:
    """AUROC, in percent, of "this cue is wrong" by probability, among the cues that are kept."""
    wrong = np.concatenate([(~one.hit)[one.kept] for one in episodes])
    sure = np.concatenate([one.probability[one.kept] for one in episodes if one.probability is not None])
    return 100 * auroc(wrong, sure)


def report(corpus: str, folder: Path, moved: Mapping[str, Mapping[str, Moved]]) -> None:
    """Score every side, all episodes together; with several, each number has an interval."""
    for side, by_stem in moved.items():
        episodes = list(by_stem.values())
        several = len(episodes) > 1
        found = command("evaluate", folder / "truth", folder / side, "--fps", 25)
        for score in SCORES:
            record(
                f"{side}: {score}",
                found[score],
                "%",
                corpus=corpus,
                interval=found["intervals"] and found["intervals"][score],
            )
        if episodes[0].probability is None:
            continue
        for name, value in {
            "dropped": share(lambda one: ~one.kept, lambda one: np.ones(len(one.kept), bool)),
            "kept and right": share(lambda one: one.hit, lambda one: one.kept),
            "as expected": expect,
            "AUROC of wrong": rank_wrong,
        }.items():
            if not np.isnan(score := value(episodes)):
                between = draw(episodes, value) if several else None
                record(f"{side}: {name}", score, "%", corpus=corpus, interval=between)
        if lags := [one.lag for one in episodes if one.lag is not None]:
            record(f"{side}: lag found", float(np.median(lags)), "s", corpus=corpus)


def compare(corpus: str, folder: Path, *extra: object) -> None:
    """Align every episode in `folder`/in, and score all of them together."""
    (folder / "delivered").mkdir()
    for truth in sorted((folder / "truth").iterdir()):
        cues = seasign.read(truth).cues
        seasign.write(folder / "delivered" / truth.name, deliver(cues, seed=len(cues)))
    moved = align(folder, (*BLIND, *ALIGNERS), *extra)
    report(corpus, folder, moved)


# --- The recordings ---------------------------------------------------------------------------------------------------


def how2sign(data: Path, folder: Path, drop: int) -> None:
    """Clips of complete videos joined in order, with `drop` frames lost at either end of each."""
    clips = defaultdict(list)
    with (data / "sentences.csv").open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            if row["video_complete"] == "1":
                clips[row["video"]].append((int(row["sentence"]), row["name"]))
    (folder / "in").mkdir(parents=True)
    (folder / "truth").mkdir()
    for video, names in clips.items():
        poses = [seasign.read_poses(data / "poses" / f"{name}.pose") for _, name in sorted(names)]
        frames = [len(clip.xyz) for clip in poses]
        inner = slice(drop, -drop or None)
        kept = [replace(clip, xyz=clip.xyz[inner], confidence=clip.confidence[inner]) for clip in poses]
        seasign.write(folder / "in" / f"{video}.pose", join(kept))
        fps = poses[0].fps
        edges = [float((sum(frames[:k]) - 2 * drop * k) / fps) for k in range(len(frames) + 1)]
        cues = seasign.read(data / "vtt" / f"{video}.vtt").cues
        truth = [replace(cue, start=first, end=last) for cue, (first, last) in zip(cues, pairwise(edges), strict=True)]
        seasign.write(folder / "truth" / f"{video}.vtt", seasign.shift(truth if drop else cues, (LEAD, LEAD)))


def story(data: Path) -> tuple[tuple[Cue, ...], tuple[Sign, ...]]:
    """Its sentences and signs."""
    path = data / "elan_samples" / "ncslgr_asl_story.eaf"
    sentences = seasign.shift(seasign.read_cues(path, "English translation").cues, (LEAD, LEAD))
    signs = seasign.read_signs(path, "main gloss")
    return sentences, tuple(replace(sign, start=sign.start + LEAD, end=sign.end + LEAD) for sign in signs)


def main(data: Path) -> None:
    warnings.simplefilter("ignore", InputWarning)  # jitter makes cues overlap
    with tempfile.TemporaryDirectory() as scratch:
        for drop in (0, 2):
            folder = Path(scratch) / f"how2sign-{drop}"
            how2sign(data / "how2sign", folder, drop)
            compare(f"how2sign, 5 videos joined{f', {drop} frames lost at each end' if drop else ''}", folder)
        folder = Path(scratch) / "story"
        sentences, signs = story(data)
        for side in ("in", "truth"):
            (folder / side).mkdir(parents=True)
        seasign.write(folder / "truth" / "story.vtt", sentences)
        seasign.write(folder / "in" / "story.csv", signs)
        compare("ncslgr story, 361 signs set by people", folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
