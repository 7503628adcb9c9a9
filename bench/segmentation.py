"""Segmenters and ways to read them against what people know of the signs, and even cuts beside all of them.

    python bench/segmentation.py DATA

DATA holds `boston104`, `poses`, `pose_samples`, `fingerspelling_poses` and `how2sign` (the shared data). The network of
2023 (E1) joins when `../models/segmenter-2023/weights.safetensors` lies beside DATA.

RWTH-BOSTON-104 has people's times of signs and only hands and noses, so a sentence's outer span is given there and only
cuts are compared: by the speed of both hands in pixels, or by a network that sees a signer made up around them. The
stitched sentences of the DGS Corpus have poses, and signs as people cut them, but joined by straight lines; see
`stitched`. Clips of one sign have no times. How2Sign has none of signs either: there, cues aligned with the signs that
a segmenter finds show what these are good for.
"""

import csv
import json
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from real import LEAD, MOVED, deliver, how2sign
from results import record

import seasign
from seasign.decoding import Argmax, Decoded, Decoder, Likeliest, SemiMarkov, Threshold
from seasign.metrics import FRAME, Counts, cut_evenly, evaluate_signs
from seasign.segmentation import (
    TRAINING_FREE,
    Segmenter,
    TrainingFree,
    cut,
    evidence,
    find_signs,
    phrases,
    speed,
    standardize,
)
from seasign.types import Costs, Cue, InputError, InputWarning, Poses, Sign, Span, Tags
from seasign.uncertainty import bootstrap, bootstrap_signs

Tools = dict[str, tuple[Segmenter, Mapping[str, Decoder]]]  # by name: a segmenter, and ways to read it by name
E1 = Path("..", "models", "segmenter-2023", "weights.safetensors")
EVEN = "even cuts of .38 s"
SCORES = {  # column: score, unit, and whether with an interval
    "count": ("count", "x", False),
    "percentage": ("percentage", "x", False),
    "rate": ("rate", "1/s", False),
    "F1@.50": ("f1", "%", False),
    "mF1S": ("mf1s", "%", True),
    "mF1B": ("mf1b", "%", False),
    "onset F1": ("onset_f1", "%", True),
    "mask IoU": ("mask_iou", "%", False),
    "frame F1": ("frame_f1", "%", False),
}


def report(corpus: str, rows: Mapping[str, Sequence[tuple[Sequence[Span], Sequence[Span]]]]) -> None:
    """Score every row, given as references and estimates of the same episodes; one of them is `EVEN`."""
    for row, episodes in rows.items():
        scores = evaluate_signs(episodes)
        for column, (score, unit, sure) in SCORES.items():
            between = bootstrap_signs(episodes, score=score) if sure else None
            interval = (between.low, between.high) if between else None
            record(f"{row}: {column}", getattr(scores, score), unit, corpus=corpus, interval=interval)
        if row != EVEN:
            more = bootstrap_signs(episodes, score="mf1s", against=[estimate for _, estimate in rows[EVEN]])
            record(f"{row}: mF1S over even cuts", more.value, "points", corpus=corpus, interval=(more.low, more.high))


# --- Hands whose signs people timed -----------------------------------------------------------------------------------

FPS, RATE = Fraction(30), Fraction(25)  # of the videos, and of the tags of a network


@dataclass(frozen=True)
class Sentence:
    """Both hands frame by frame in pixels, and its signs as half-open ranges of frames."""

    video: str
    speaker: str
    hands: np.ndarray  # 2 x frames x 2
    nose: np.ndarray  # 2: where it is most of the time
    signs: Sequence[tuple[int, int]]

    @property
    def spans(self) -> list[Span]:
        return [Span(start / 30, stop / 30) for start, stop in self.signs]

    @property
    def whole(self) -> Span:
        """From the start of the first sign to the last end."""
        return Span(self.signs[0][0] / 30, max(stop for _, stop in self.signs) / 30)


Cutter = Callable[[Sentence], Sequence[Span]]


def read(folder: Path) -> list[Sentence]:
    hands, noses, signs, speakers = defaultdict(list), defaultdict(list), defaultdict(list), {}
    with (folder / "hands.csv").open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            hands[row["video"]].append([[float(row[f"{side}-{axis}"]) for axis in "xy"] for side in ("left", "right")])
            noses[row["video"]].append([float(row[f"nose-{axis}"]) for axis in "xy"])
    with (folder / "signs.csv").open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            signs[row["video"]].append((int(row["startframe"]), int(row["endframe"]) + 1))
            speakers[row["video"]] = row["speaker"]
    return [
        Sentence(v, speakers[v], np.array(hands[v]).swapaxes(0, 1), np.median(noses[v], axis=0), signs[v])
        for v in signs
    ]


def dp(m: float, w: float) -> Cutter:
    def spans(sentence: Sentence) -> Sequence[Span]:
        seen = evidence(speed(sentence.hands.swapaxes(0, 1), FPS).T, FPS)
        first, last = (round(30 * edge) for edge in (sentence.whole.start, sentence.whole.end))
        edges = (first + cut(standardize(seen[first:last]), FPS, replace(TRAINING_FREE, m=m, w=w))) / 30
        return [Span(*span) for span in np.column_stack([edges[:-1], edges[1:]]).tolist()]

    return spans


def even(m: float) -> Cutter:
    return lambda sentence: cut_evenly([sentence.whole], m)


LENGTHS = [round(0.30 + 0.03 * k, 2) for k in range(6)]  # seconds
WEIGHTS = (0.1, 0.2, 0.3, 0.6, 1.0)
SPREADS = (0.4, 0.55, 0.7)


def best(sentences: Sequence[Sentence], cutters: Iterable[Cutter]) -> Cutter:
    """The cutter with the best mF1S."""
    return max(cutters, key=lambda cutter: evaluate_signs([(one.spans, cutter(one)) for one in sentences]).mf1s)


def boston(data: Path, tools: Tools) -> None:
    """All sentences, and those of either signer read with what is best on the other."""
    sentences = read(data / "boston104")
    cutters: dict[str, Cutter] = {
        "even cuts, true count": lambda one: cut_evenly([one.whole], one.whole.duration / len(one.signs)),
        EVEN: even(0.38),
        "training-free (m .39, w .6)": dp(TRAINING_FREE.m, TRAINING_FREE.w),
        "training-free, w .3": dp(TRAINING_FREE.m, 0.3),
    }
    model = seasign.read_poses(data / "poses" / "dgs_example.pose")
    tagged = {
        name: {one.video: tag_whole(segmenter, one, model) for one in sentences}
        for name, (segmenter, _) in tools.items()
        if name != "training-free"
    }
    for name, tags in tagged.items():
        cutters |= {f"{name}{label}": reading(tags, decoder) for label, decoder in tools[name][1].items()}
    if "E1" in tagged:
        cutters["E1, starts for speed"] = reading(tagged["E1"], Starts())
    report(
        f"boston104: {len(sentences)} sentences, {sum(len(one.signs) for one in sentences)} signs",
        {name: [(one.spans, cutter(one)) for one in sentences] for name, cutter in cutters.items()},
    )
    for speaker in sorted({one.speaker for one in sentences}):
        own, others = ([one for one in sentences if (one.speaker == speaker) == mine] for mine in (True, False))
        chosen = {
            EVEN: cutters[EVEN],
            "even cuts, length of the other signer": best(others, map(even, LENGTHS)),
            "training-free": cutters["training-free (m .39, w .6)"],
            "training-free, m and w of the other signer": best(others, [dp(m, w) for m in LENGTHS for w in WEIGHTS]),
        }
        if "E1" in tagged:
            read_by = [reading(tagged["E1"], SemiMarkov(weight=w, s=s)) for w in WEIGHTS for s in SPREADS]
            chosen["E1, semi-Markov"] = cutters["E1, semi-Markov"]
            chosen["E1, semi-Markov, weight and s of the other signer"] = best(others, read_by)
        report(
            f"boston104, {speaker}: {len(own)} sentences, {sum(len(one.signs) for one in own)} signs",
            {name: [(one.spans, cutter(one)) for one in own] for name, cutter in chosen.items()},
        )


def reading(tags: Mapping[str, np.ndarray], decoder: Decoder) -> Cutter:
    """The signs that a decoder finds in tags of the outer span, by video."""

    def spans(sentence: Sentence) -> Sequence[Span]:
        start, decoded = sentence.whole.start, decoder.decode(tags[sentence.video], RATE)
        return [Span(span.start + start, span.end + start) for span in decoded.spans]

    return spans


@dataclass(frozen=True)
class Starts:
    """The cuts of the training-free segmenter, by how much likelier B is than I in place of the speed of the hands."""

    def decode(self, tags: np.ndarray, fps: Fraction) -> Decoded:
        odds = np.log(np.maximum(tags[:, 0], 1e-9) / np.maximum(tags[:, 1], 1e-9))
        edges = cut(standardize(odds), fps) / float(fps)
        return Decoded(tuple(Span(*span) for span in np.column_stack([edges[:-1], edges[1:]]).tolist()))


SHOULDERS = 90  # pixels: hands that rest lie 181 under the nose, which is two widths of shoulders


def tag_whole(segmenter: Segmenter, sentence: Sentence, model: Poses) -> np.ndarray:
    """Tags of the outer span of a sentence, of a signer made up around the hands.

    Only hands and nose are known. The rest is somebody else's: shoulders, hips and hands as they are most of the time
    in another recording, at the size of this one; elbows halfway, and hands that never change.
    """
    at = {name: k for k, name in enumerate(model.landmarks)}
    up = ~np.isnan(model.xyz[:, [at[f"{side}_HAND_LANDMARKS.WRIST"] for side in ("LEFT", "RIGHT")], 0]).any(axis=1)
    left, right = (model.xyz[:, at[f"POSE_LANDMARKS.{side}_SHOULDER"], :2] for side in ("LEFT", "RIGHT"))
    scale = SHOULDERS / float(np.nanmedian(np.hypot(*(left - right).T)))
    xyz = np.repeat(np.nanmedian(model.xyz[up], axis=0)[None] * scale, sentence.hands.shape[1], axis=0)
    xyz += np.append(sentence.nose, 0) - xyz[:, [at["POSE_LANDMARKS.NOSE"]]]
    for side, track in zip(("LEFT", "RIGHT"), sentence.hands, strict=True):
        body = f"POSE_LANDMARKS.{side}_"
        moved = model.xyz[up] - model.xyz[up][:, [at[f"{body}WRIST"]]]
        hand = [name.startswith((f"{side}_HAND", *(body + point for point in FINGERS))) for name in at]
        wrist = np.concatenate([track, np.zeros((len(track), 1))], axis=1)
        xyz[:, hand] = wrist[:, None] + scale * np.nanmedian(moved[:, hand], axis=0)
        xyz[:, at[f"{body}WRIST"]] = wrist
        out = 0.15 * SHOULDERS * (1 if side == "LEFT" else -1)
        xyz[:, at[f"{body}ELBOW"]] = (xyz[:, at[f"{body}SHOULDER"]] + wrist) / 2 + [out, 0.25 * SHOULDERS, 0]
    poses = Poses(xyz.astype(np.float32), np.ones(xyz.shape[:2], np.float32), FPS, model.landmarks)
    tags = segmenter.tag(poses)
    return tags.signs[round(sentence.whole.start * tags.fps) : round(sentence.whole.end * tags.fps)]


# --- Poses ------------------------------------------------------------------------------------------------------------


def segmenters(data: Path) -> Tools:
    """Every segmenter that is there, and the ways to read it."""
    found: Tools = {"training-free": (TRAINING_FREE, {"": Argmax()})}
    if not (data / E1).exists():
        print(f"{data / E1}: not there, so without E1")
        return found
    from seasign import checkpoints

    tagger = checkpoints.load(data / E1)
    weights = tagger.settings.weights["signs"]
    read = {
        ", 60/50": Threshold(0.6, 0.5),
        ", 30/50": Threshold(0.3, 0.5),
        ", likeliest": Likeliest(),
        ", argmax": Argmax(),
        ", semi-Markov": SemiMarkov(),
    }
    hipless = type(tagger)(replace(tagger.settings, hips="zero"))
    hipless.load_state_dict(tagger.state_dict())
    found["E1"] = (tagger, read | {", semi-Markov, divided by weights": SemiMarkov(shares=weights)})
    found["E1, hips zeroed"] = (
        hipless.eval(),
        {name: read[name] for name in (", 30/50", ", likeliest", ", semi-Markov")},
    )
    return found


def found_in(clips: Sequence[Poses], tools: Tools) -> dict[str, list[Sequence[Span]]]:
    """The signs of every clip, by segmenter and decoder."""
    rows: dict[str, list[Sequence[Span]]] = {}
    for name, (segmenter, decoders) in tools.items():
        tags: list[Tags] = [segmenter.tag(clip) for clip in clips]
        rows |= {name + label: [find_signs(one, decoder) for one in tags] for label, decoder in decoders.items()}
    return rows


FACE = {  # numbers of MediaPipe's face mesh
    **{"LEFT_EYE_INNER": 362, "LEFT_EYE_OUTER": 263, "LEFT_EAR": 454, "MOUTH_LEFT": 291},
    **{"RIGHT_EYE_INNER": 133, "RIGHT_EYE_OUTER": 33, "RIGHT_EAR": 234, "MOUTH_RIGHT": 61},
}
FINGERS = {"PINKY": "PINKY_MCP", "INDEX": "INDEX_FINGER_MCP", "THUMB": "THUMB_IP"}


def completed(poses: Poses) -> Poses:
    """Reduced poses (178 points) with all 33 of the body: eyes, ears and mouth by the face, fingers by the hands."""
    from seasign.models.features import BODY

    points = dict(zip(poses.landmarks, poses.xyz.swapaxes(0, 1), strict=True))
    body = {name: points[f"FACE_LANDMARKS.{number}"] for name, number in FACE.items()}
    for side in ("LEFT", "RIGHT"):
        body[f"{side}_EYE"] = (body[f"{side}_EYE_INNER"] + body[f"{side}_EYE_OUTER"]) / 2
        body |= {f"{side}_{name}": points[f"{side}_HAND_LANDMARKS.{point}"] for name, point in FINGERS.items()}
    eyes, mouth = body["LEFT_EYE"] + body["RIGHT_EYE"], body["MOUTH_LEFT"] + body["MOUTH_RIGHT"]
    body["NOSE"] = (0.45 * eyes + 0.55 * mouth) / 2
    unseen = np.full((len(poses.xyz), 3), np.nan, np.float32)
    rows = {name: points.get(name, body.get(name.partition(".")[2], unseen)) for name in BODY}
    rows |= {name: row for name, row in points.items() if "_HAND_" in name}
    xyz = np.stack(list(rows.values()), axis=1).astype(np.float32)
    return Poses(xyz, np.where(np.isnan(xyz[..., 0]), 0, 1).astype(np.float32), poses.fps, tuple(rows))


def stitched(folder: Path) -> list[tuple[Poses, list[Span]]]:
    """Sentences of the DGS Corpus, whose signs people cut out, joined with 0.2 s of straight lines between them.

    The joints are found where all points of the face move on straight lines; what lies between two of them is a sign.
    Twice 0.2 s hold a sign that lost all its frames, if a gloss is missing; otherwise they are part of a long sign.
    """
    sentences = []
    for path in sorted(folder.glob("dgs_stitched_*.json")):
        poses = seasign.read_poses(path.with_suffix(".pose"))
        glosses = json.loads(path.read_text(encoding="utf-8"))["sentence"]["glosses"]["gloss"]
        face = poses.xyz[:, [name.startswith("FACE") for name in poses.landmarks], :2]
        bend = np.nanmean(np.abs(np.diff(face, n=2, axis=0)), axis=(1, 2))
        straight = np.concatenate([[True, False], bend < 0.007, [False, True]])
        ranges = np.flatnonzero(np.diff(straight)).reshape(-1, 2).tolist()
        if len(ranges) > len(glosses):
            joined = [ranges[0]]
            for first, stop in ranges[1:]:
                if first - joined[-1][1] > 7:
                    joined[-1] = [joined[-1][0], stop]
                else:
                    joined.append([first, stop])
            ranges = joined
        sentences.append((poses, [Span(first * FRAME, stop * FRAME) for first, stop in ranges]))
    return sentences


def glosses(folder: Path, tools: Tools) -> None:
    sentences = stitched(folder)
    truth = [signs for _, signs in sentences]
    clips = [completed(poses) for poses, _ in sentences]
    wholes = [Span(0.0, clip.duration) for clip in clips]
    rows: dict[str, list[Sequence[Span]]] = {
        "even cuts, true count": [
            cut_evenly([whole], whole.duration / len(signs)) for whole, signs in zip(wholes, truth, strict=True)
        ],
        EVEN: [cut_evenly([whole]) for whole in wholes],
    }
    rows |= found_in(clips, tools)
    report(
        f"stitched DGS: {len(truth)} sentences, {sum(map(len, truth))} signs",
        {name: list(zip(truth, found, strict=True)) for name, found in rows.items()},
    )


def counts(data: Path, tools: Tools) -> None:
    """Clips of one sign: how many are found, and in how many clips exactly one."""
    sets = {
        "5 clips of a sign": [
            data / "poses" / "asl_or_other_house.pose",
            *(data / "pose_samples").glob("lexicon_*/*.pose"),
        ],
        "56 letters": list((data / "fingerspelling_poses").glob("*/*.pose")),
    }
    for corpus, paths in sets.items():
        clips = [seasign.read_poses(path) for path in sorted(paths)]
        whole = [completed(clip) if "POSE_LANDMARKS.NOSE" not in clip.landmarks else clip for clip in clips]
        rows = {
            "even cuts of .38 s of the bouts": [cut_evenly(phrases(seasign.segment(clip))) for clip in clips],
            "training-free, one per bout": [seasign.segment(clip, TrainingFree(one_per_bout=True)) for clip in clips],
        }
        for name, found in (rows | found_in(whole, tools)).items():
            numbers = np.array([len(signs) for signs in found])
            record(f"{name}: signs per clip", float(numbers.mean()), "x", corpus=corpus)
            record(f"{name}: exactly one", 100 * float((numbers == 1).mean()), "%", corpus=corpus)
            record(f"{name}: none", 100 * float((numbers == 0).mean()), "%", corpus=corpus)


# --- What signs are good for ------------------------------------------------------------------------------------------

DELIVERIES = 8  # of every video


def alignment(data: Path, tools: Tools) -> None:
    """Cues aligned with the signs that are found, the lag given; an interval is over videos."""
    with tempfile.TemporaryDirectory() as scratch:
        how2sign(data / "how2sign", Path(scratch) / "how2sign", 2)
        paths = sorted((Path(scratch) / "how2sign" / "in").iterdir())
        clips = [seasign.read_poses(path) for path in paths]
        truth = [seasign.read(path.parents[1] / "truth" / f"{path.stem}.vtt").cues for path in paths]
        rows = found_in(clips, tools)
        seen = [phrases(signs) for signs in rows["training-free"]]
        rows["even cuts of .38 s of the training-free bouts"] = [cut_evenly(bouts) for bouts in seen]
        rows["even cuts of .38 s from the first sign to the last"] = [
            cut_evenly([Span(bouts[0].start, bouts[-1].end)]) for bouts in seen
        ]
        corpus = f"how2sign, {len(paths)} videos joined, {DELIVERIES} deliveries"
        delivered = [[deliver(cues, seed=seed) for seed in range(DELIVERIES)] for cues in truth]
        scored = [
            sum((seasign.evaluate(cues, seasign.shift(one, (MOVED, MOVED))).pooled for one in many), Counts())
            for cues, many in zip(truth, delivered, strict=True)
        ]
        score = bootstrap(scored)
        for column in "default", "as published":
            record(f"lag only: {column}", score.value, "%", corpus=corpus, interval=(score.low, score.high))
        for name, found in rows.items():
            seconds = sum(clip.duration - LEAD for clip in clips)
            under = sum(bout.duration for signs in found for bout in phrases(signs))
            record(f"{name}: signs", sum(map(len, found)) / seconds, "1/s", corpus=corpus)
            record(f"{name}: under signs", 100 * under / seconds, "%", corpus=corpus)
            for column, costs in {"default": Costs(), "as published": Costs(compat="sea")}.items():
                scored = [
                    sum((_aligned(cues, one, signs, costs) for one in many), Counts())
                    for cues, many, signs in zip(truth, delivered, found, strict=True)
                ]
                score = bootstrap(scored)
                record(f"{name}: {column}", score.value, "%", corpus=corpus, interval=(score.low, score.high))


def _aligned(truth: Sequence[Cue], cues: Sequence[Cue], signs: Sequence[Span], costs: Costs) -> Counts:
    """The score of cues aligned with the signs; or moved by the lag alone, where there is no assignment."""
    try:
        found = seasign.align(list(map(_sign, signs)), cues, costs=costs, lag=(MOVED, MOVED)).cues
    except InputError:
        found = seasign.shift(cues, (MOVED, MOVED))
    return seasign.evaluate(truth, found).pooled


def _sign(span: Span) -> Sign:
    return Sign(span.start, span.end)


if __name__ == "__main__":
    warnings.simplefilter("ignore", InputWarning)  # hands unseen, cues that overlap, decoders that fall back
    data = Path(sys.argv[1])
    tools = segmenters(data)
    boston(data, tools)
    glosses(data / "poses", tools)
    counts(data, tools)
    alignment(data, tools)
