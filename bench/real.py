"""The main job on real recordings, by the commands that a user gives.

    python bench/real.py DATA

DATA holds `how2sign` and `elan_samples` (the shared data). The true cues come 2 s early, as timed to speech, and each
with a jitter of its own (normal, sd 0.5 s, seeded); then `seasign align` and `seasign evaluate` run on them. Beside the
alignments stand the cues as delivered, and moved by just the 2 s (lag only): all that knowing the lag alone can give.
Everything starts LEAD seconds late, so that no time is negative.
"""

import csv
import json
import subprocess
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from results import record

import seasign
from seasign.types import Cue, InputWarning, Poses

MOVED, JITTER = 2.0, 0.5  # seconds
LEAD = 5
SCORES = ("frame_accuracy", "f1@0.10", "f1@0.25", "f1@0.50")


def command(*words: object) -> dict[str, object]:
    """Run seasign and read the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "seasign", *map(str, words), "--json"], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


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


def compare(corpus: str, folder: Path, aligners: dict[str, tuple[object, ...]], *extra: object) -> None:
    """Align every episode in `folder`/in, and score all of them together."""
    for side in ("delivered", "lag only", *aligners):
        (folder / side).mkdir(exist_ok=True)
    for truth in sorted((folder / "truth").iterdir()):
        cues = seasign.read(truth).cues
        delivered = deliver(cues, seed=len(cues))
        subtitles = folder / "delivered" / truth.name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)  # jitter makes cues overlap
            seasign.write(subtitles, delivered)
            seasign.write(folder / "lag only" / truth.name, seasign.shift(delivered, (MOVED, MOVED)))
        source = next((folder / "in").glob(f"{truth.stem}.*"))
        for name, how in aligners.items():
            command("align", source, subtitles, "-o", folder / name / truth.name, "--force", *how, *extra)
    for side in ("delivered", "lag only", *aligners):
        found = command("evaluate", folder / "truth", folder / side, "--fps", 25)
        for score in SCORES:
            record(f"{side}: {score}", float(str(found[score])), "%", corpus=corpus)


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


def main(data: Path) -> None:
    aligners: dict[str, tuple[object, ...]] = {
        "aligned": (),
        "aligned, lag given": ("--lag", MOVED),
        "compat, lag given": ("--lag", MOVED, "--compat", "sea"),
    }
    with tempfile.TemporaryDirectory() as scratch:
        for drop in (0, 2):
            folder = Path(scratch) / f"how2sign-{drop}"
            how2sign(data / "how2sign", folder, drop)
            compare(f"how2sign, 5 videos joined{f', {drop} frames lost at each end' if drop else ''}", folder, aligners)
        folder = Path(scratch) / "story"
        for side in ("in", "truth"):
            (folder / side).mkdir(parents=True)
        story = data / "elan_samples" / "ncslgr_asl_story.eaf"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)
            sentences = seasign.read_cues(story, "English translation").cues
            signs = seasign.read_signs(story, "main gloss")
        seasign.write(folder / "truth" / "story.vtt", seasign.shift(sentences, (LEAD, LEAD)))
        late = [replace(sign, start=sign.start + LEAD, end=sign.end + LEAD) for sign in signs]
        seasign.write(folder / "in" / "story.csv", late)
        compare("ncslgr story, 361 signs set by people", folder, aligners)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
