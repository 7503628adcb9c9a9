"""Inputs that several test files plant."""

from fractions import Fraction

import av
import numpy as np

from seasign.models.features import BODY, HANDS
from seasign.models.pose_descriptor import LANDMARKS
from seasign.report import RESTS
from seasign.segmentation import phrases
from seasign.synthesis import Stress, synthesize
from seasign.types import Poses, Span


def film(path, times, size=(64, 48), ticks=90_000, rate=25, spot=None):
    """A video whose pictures grow brighter one by one, at the given seconds; `spot` (x, y) is white in all."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate), options={"crf": "1"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, ticks)
        for number, time in enumerate(times):
            picture = np.full((size[1], size[0], 3), level(number), dtype=np.uint8)
            if spot is not None:
                picture[spot[1] : spot[1] + 4, spot[0] : spot[0] + 4] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time * ticks), Fraction(1, ticks)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def level(number):
    return 10 + 3 * number % 240


def report(seconds=600.0, seed=0):
    """What `align --report` writes, of a made-up episode whose confidences are made up too."""
    stress = Stress(missed=0.05, spurious=0.05, unsigned=0.05)
    episode = synthesize(seed, duration=seconds, fps=None, stress=stress)
    rng = np.random.default_rng(seed)
    cues = [
        _reported(index, *cue, rng)
        for index, cue in enumerate(zip(episode.cues, episode.reference, episode.runs, strict=True))
    ]
    check = [cue["index"] for cue in cues if cue["dropped"] or cue["probability"] < 0.5]
    last = len(cues) - 1
    return {
        "schema": "seasign-report/1",
        "seasign": "0.1.0",
        "inputs": {"signs": "news.pose", "subtitles": "news.vtt"},
        "settings": {"lag": "auto", "w_gap": 5.0},
        "verdict": {"verdict": "check", "reason": "most cues are sure, some are not", "check": check},
        "lag": {
            "segments": [
                {"cues": [0, last // 2], "start": 2.0, "end": 2.2, "interval": [1.85, 2.15]},
                {"cues": [last // 2 + 1, last], "start": -1.5, "end": -1.3, "interval": [-1.7, -1.3]},
            ],
            "flat": False,
            "words": f"{last // 2 + 1} cues +2.00 s, then {last - last // 2} cues -1.50 s",
        },
        "baselines": {
            name: {"overlaps": overlaps, "on_signing": on_signing, "starts_on_sign": starts}
            for name, overlaps, on_signing, starts in (
                ("delivered", 0, 0.602, 0.503),
                ("lag_only", 0, 0.665, 0.596),
                ("joined", 0, 0.712, 0.608),
                ("aligned", 3, 0.896, 0.888),
            )
        },
        "warnings": ["news.vtt: 3 cues overlap"],
        "cost": 1234.5,
        "segmentation": {
            "signs": len(episode.signs),
            "bouts": 120,
            "rate": 2.4,
            "signing": 0.71,
            "rests": {"up_to": [*RESTS, None], "counts": [0, 1, 31, 27, 20, 9, 4, 2, 1]},
            "suspicious": [{"start": 61.0, "end": 83.5, "reason": "no signs for 22 s, but 4 cues"}],
        },
        "signs": [[sign.start, sign.end, sign.gloss] for sign in episode.signs],
        "phrases": [[phrase.start, phrase.end] for phrase in phrases(episode.signs)],
        "cues": cues,
    }


TERMS = ("start", "end", "duration", "gap", "similarity", "skip")


def _reported(index, cue, true, run, rng):
    probability = float(rng.beta(6, 0.6))
    dropped = len(run) == 0
    start, end = (float(time + rng.normal(0, 0.1)) for time in (true.start, true.end))
    spread = 0.1 + 1.5 * (1 - probability)
    return {
        "index": index,
        "id": None,
        "text": cue.text,
        "delivered": [cue.start, cue.end],
        "lag": [2.0, 2.2],
        "pinned": False,
        "aligned": [start, end],
        "dropped": dropped,
        "why": "no signing within reach is cheaper than leaving it out" if dropped else None,
        "probability": None if dropped else probability,
        "signed": float(rng.beta(1, 8) if dropped else rng.beta(20, 0.5)),
        "start_interval": None if dropped else [start - spread, start + spread],
        "end_interval": None if dropped else [end - spread, end + spread],
        "margin": None if dropped else 8 * probability,
        "terms": None if dropped else dict(zip(TERMS, rng.normal(0, 1, len(TERMS)).tolist(), strict=True)),
        "alternatives": [
            {"start": start + shift, "end": end + shift, "probability": (1 - probability) / 3} for shift in (-1.7, 2.4)
        ],
        "run": [run.start, run.stop],
        "reading_speed": len(cue.text) / cue.duration,
    }


def holistic(seed, frames=20, landmarks=BODY + HANDS, fps=25, lost=0.1):
    """Random poses in MediaPipe's layout, or with other landmarks; a share of the points is missing."""
    rng = np.random.default_rng(seed)
    xyz = rng.normal(300, 100, (frames, len(landmarks), 3)).astype(np.float32)
    confidence = (rng.random((frames, len(landmarks))) >= lost).astype(np.float32)
    xyz[confidence == 0] = np.nan
    return Poses(xyz, confidence, Fraction(fps), tuple(landmarks))


def signed(seed, seconds=0.8, fps=Fraction(25), noise=0.0):
    """A clip of a made-up sign, the same for one seed however long it lasts: hands go up, draw a path, and go down."""
    rng, blur = np.random.default_rng(seed), np.random.default_rng((seed, round(1000 * seconds)))
    lead, frames = round(0.5 * fps), round(seconds * float(fps))
    phase = np.linspace(0, 1, frames)[:, None]
    place, waves, shape, turns = (rng.normal(size=size) for size in ((2, 2), (2, 3, 2), (2, 21, 2), 2))
    points = {}
    for side, (name, out) in enumerate((("LEFT", 1), ("RIGHT", -1))):
        shoulder = np.array([640 + 80 * out, 330.0])
        path = np.array([640 + 60 * out, 380]) + 30 * place[side]
        path = path + 25 * sum(np.sin(np.pi * k * phase + waves[side, k - 1]) for k in (1, 2, 3))
        down = shoulder + np.array([10.0 * out, 230])
        rise = np.linspace(0, 1, lead)[:, None]
        wrist = np.concatenate([down + (path[0] - down) * rise, path, path[-1] + (down - path[-1]) * rise])
        angle = np.pad(np.linspace(0, turns[side], frames), lead, mode="edge")
        hand = 15 * (shape[side] - shape[side, :1])
        spin = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(-1, 2, 2)
        points |= {f"POSE_LANDMARKS.{name}_SHOULDER": np.broadcast_to(shoulder, wrist.shape)}
        points |= {f"POSE_LANDMARKS.{name}_WRIST": wrist}
        points |= {f"POSE_LANDMARKS.{name}_ELBOW": np.broadcast_to(shoulder + np.array([20.0 * out, 120]), wrist.shape)}
        fingers = wrist[:, None] + np.einsum("fab,pb->fpa", spin, hand)
        own = [one for one in LANDMARKS if one.startswith(f"{name}_HAND")]
        points |= dict(zip(own, fingers.transpose(1, 0, 2), strict=True))
    xy = np.stack([points[name] for name in LANDMARKS], axis=1)
    xy = xy + noise * blur.normal(size=xy.shape)
    xyz = np.concatenate([xy, np.zeros((*xy.shape[:2], 1))], axis=2).astype(np.float32)
    span = Span(float(lead / fps), float((lead + frames) / fps))
    return Poses(xyz, np.ones(xyz.shape[:2], np.float32), fps, LANDMARKS), span
