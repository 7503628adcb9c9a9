"""What a search found, as one page of pictures that opens from a file and asks the network for nothing.

A picture is a strip of moments: frames of the video, or poses drawn as lines, with the way that each hand has come.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from importlib.resources import files
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from seasign.indexing import Match
from seasign.types import Poses

MOMENTS = 4  # pictures of one window
WIDE, HIGH = 100, 136  # of a picture of poses, in its own units
SCALE = 38.0  # of a shoulder's width in them
NECK = 50.0  # where the middle of the shoulders is, from above: hands that hang down are seen
_BODY = "POSE_LANDMARKS."
_HANDS = {"left": "LEFT_HAND_LANDMARKS.", "right": "RIGHT_HAND_LANDMARKS."}
_FINGERS = (
    "THUMB_CMC THUMB_MCP THUMB_IP THUMB_TIP",
    *(
        " ".join(f"{finger}_{joint}" for joint in ("MCP", "PIP", "DIP", "TIP"))
        for finger in ("INDEX_FINGER", "MIDDLE_FINGER", "RING_FINGER", "PINKY")
    ),
)
_ARMS = {side: (f"{side.upper()}_SHOULDER {side.upper()}_ELBOW {side.upper()}_WRIST",) for side in _HANDS}
_SHOULDERS = (f"{_BODY}LEFT_SHOULDER", f"{_BODY}RIGHT_SHOULDER")
_FACE = tuple(
    f"{_BODY}{point}" for point in "NOSE LEFT_EYE RIGHT_EYE LEFT_EAR RIGHT_EAR MOUTH_LEFT MOUTH_RIGHT".split()
)

DRAWN = tuple(
    dict.fromkeys(
        [*_FACE]
        + [f"{_BODY}{point}" for chain in (*_ARMS["left"], *_ARMS["right"]) for point in chain.split()]
        + [f"{hand}{point}" for hand in _HANDS.values() for chain in ("WRIST", *_FINGERS) for point in chain.split()]
    )
)  # the landmarks of a picture


@dataclass(frozen=True)
class Card:
    """A window that was found, and what is around it."""

    match: Match
    before: tuple[str, ...] = ()  # glosses of the signs before it, in order of time
    after: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()  # of a sentence
    signer: str | None = None
    date: str | None = None
    pictures: tuple[bytes, ...] = ()  # JPEG, in order of time
    poses: Poses | None = None  # of the window alone; drawn where there are no pictures
    link: str | None = None  # to the video


@dataclass(frozen=True)
class Asked:
    """The sign that was looked for; it is drawn before what was found."""

    name: str
    poses: Poses  # of it alone


def render_sheet(
    title: str, cards: Sequence[Card], subtitle: str = "", *, floor: float = np.nan, asked: Asked | None = None
) -> str:
    """Draw what was found as one HTML document that needs no other file, in the order given.

    Args:
        floor: The score from which the bar of a score rises, up to that of the best: a usual score, since even what is
            far has one; NaN: there are no bars.

    Nothing in it runs, and its content security policy forbids every request; texts are text whatever is in them.
    """
    style = files("seasign.web").joinpath("contact_sheet.css").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'"
    )
    most = max((card.match.score for card in cards if card.match.score == card.match.score), default=np.nan)
    body = "\n".join(_card(rank, card, floor, most) for rank, card in enumerate(cards, 1))
    body = (_asked(asked) if asked else "") + (body or "<p>Nothing was found.</p>")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>
<main>
{body}
</main>
</body>
</html>
"""


def clock(seconds: float) -> str:
    """Seconds as people write them: 1:02:03.45, or 2:03.45."""
    hundredths = round(abs(seconds) * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else str(minutes)
    return f"{'-' * (seconds < 0)}{start}:{rest // 100:02}.{rest % 100:02}"


def shorten(name: str, longest: int = 40) -> str:
    """The name of a video; of a long one the file alone."""
    return name if len(name) <= longest else f"…/{name.rpartition('/')[2]}"


def moments(start: float, end: float) -> list[float]:
    """The seconds at which a window is shown: in the middle of even parts."""
    return [start + (end - start) * (number + 0.5) / MOMENTS for number in range(MOMENTS)]


def draw_poses(poses: Poses, start: float, end: float) -> str:
    """A strip of moments between two seconds of the poses, as SVG; empty where no landmark that is drawn is seen.

    The signer is as large in every picture, by the shoulders; each hand leaves a line from where it was at `start`.
    """
    known = {name: number for number, name in enumerate(poses.landmarks)}
    there = [known[name] for name in DRAWN if name in known]
    first = min(max(0, int(start * poses.fps)), len(poses.xyz) - 1)
    frames = poses.xyz[first : max(first + 1, int(np.ceil(end * float(poses.fps))))][..., :2].astype(np.float64)
    if not there or np.isnan(frames[:, there]).all():
        return ""
    placed = _placed(frames, known, there)
    strip = [
        f'<svg x="{WIDE * number}" width="{WIDE}" height="{HIGH}">{_figure(placed, at, known)}</svg>'
        for number, at in enumerate(
            min(len(frames) - 1, int(len(frames) * (n + 0.5) / MOMENTS)) for n in range(MOMENTS)
        )
    ]
    return f'<svg viewBox="0 0 {WIDE * MOMENTS} {HIGH}" role="img" aria-label="poses">{"".join(strip)}</svg>'


def _placed(
    frames: Float[np.ndarray, "frames landmarks 2"], known: dict[str, int], there: Sequence[int]
) -> Float[np.ndarray, "frames landmarks 2"]:
    """Points in the units of a picture: by the shoulders, or by all that is seen."""
    middle, width = np.full(2, np.nan), np.nan
    if all(name in known for name in _SHOULDERS):
        left, right = (frames[:, known[name]] for name in _SHOULDERS)
        both = ~np.isnan(left + right).any(axis=1)
        if both.any():
            middle = np.median((left + right)[both] / 2, axis=0)
            width = float(np.median(np.linalg.norm((left - right)[both], axis=1)))
    if width > 0:
        by_shoulders: Float[np.ndarray, "frames landmarks 2"] = (frames - middle) * (SCALE / width) + [WIDE / 2, NECK]
        return by_shoulders
    seen = frames[:, there].reshape(-1, 2)
    low, high = np.nanmin(seen, axis=0), np.nanmax(seen, axis=0)
    scale = 0.8 * WIDE / max(float((high - low).max()), 1e-9)
    by_all: Float[np.ndarray, "frames landmarks 2"] = (frames - (low + high) / 2) * scale + [WIDE / 2, HIGH / 2]
    return by_all


def _figure(placed: Float[np.ndarray, "frames landmarks 2"], at: int, known: dict[str, int]) -> str:
    """One moment: the trunk, the face, both arms with their hands and the way that these have come."""
    parts = [_trunk(placed[at], known), _head(placed[at], known)]
    for side, hand in _HANDS.items():
        wrist = known.get(f"{_BODY}{side.upper()}_WRIST", known.get(f"{hand}WRIST"))
        if wrist is not None:
            way = placed[: at + 1, wrist]
            way = way[~np.isnan(way).any(axis=1)]
            way = way[:: max(1, len(way) // 24)]
            if len(way) > 1:
                parts.append(f'<polyline class="{side} way" points="{_points(way)}"/>')
        parts.append(_lines(placed[at], known, _ARMS[side], _BODY, f"{side} arm"))
        fingers = [f"WRIST {chain}" for chain in _FINGERS]
        parts.append(_lines(placed[at], known, fingers, hand, side))
    return "".join(parts)


def _trunk(points: Float[np.ndarray, "landmarks 2"], known: dict[str, int]) -> str:
    """Shoulders, and a waist straight below them: where hips are is a guess in most videos, and it wobbles."""
    if any(name not in known for name in _SHOULDERS):
        return ""
    left, right = (points[known[name]] for name in _SHOULDERS)
    waist, half = (left + right) / 2 + [0, 1.5 * SCALE], np.array([0.36 * (left - right)[0], 0])
    corners = np.array([left, right, waist - half, waist + half])
    return "" if np.isnan(corners).any() else f'<polygon points="{_points(corners)}"/>'


def _head(points: Float[np.ndarray, "landmarks 2"], known: dict[str, int]) -> str:
    """A head around what is seen of the face."""
    seen = np.array([points[known[name]] for name in _FACE if name in known]).reshape(-1, 2)
    seen = seen[~np.isnan(seen).any(axis=1)]
    if not len(seen):
        return ""
    x, y = seen.mean(axis=0)
    return f'<ellipse class="head" cx="{x:.1f}" cy="{y:.1f}" rx="{0.34 * SCALE:.1f}" ry="{0.46 * SCALE:.1f}"/>'


def _lines(
    points: Float[np.ndarray, "landmarks 2"], known: dict[str, int], chains: Sequence[str], prefix: str, kind: str
) -> str:
    """Limbs whose both ends are seen, as one path."""
    drawn = []
    for chain in chains:
        names = [known.get(prefix + name) for name in chain.split()]
        for one, other in pairwise(names):
            if one is not None and other is not None and not np.isnan(points[[one, other]]).any():
                (a, b), (c, d) = points[one], points[other]
                drawn.append(f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}")
    return f'<path class="{kind}" d="{"".join(drawn)}"/>' if drawn else ""


def _points(way: Float[np.ndarray, "frames 2"]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in way)


def _asked(asked: Asked) -> str:
    """What was looked for, as a card without a rank."""
    shown = draw_poses(asked.poses, 0, asked.poses.duration) or '<div class="none">no poses</div>'
    return f"""<article class="asked">
<div class="picture">{shown}</div>
<h2>{escape(asked.name)}</h2>
<p class="known">what was looked for</p>
</article>
"""


def _card(rank: int, card: Card, floor: float, most: float) -> str:
    """One window: its pictures, what it says, where it is and how near."""
    match, window = card.match, card.match.window
    if card.pictures:
        images = "".join(
            f'<img alt="" src="data:image/jpeg;base64,{b64encode(one).decode()}">' for one in card.pictures
        )
        shown = f'<div class="frames">{images}</div>'
    else:
        shown = draw_poses(card.poses, 0, card.poses.duration) if card.poses is not None else ""
    shown = shown or '<div class="none">no poses, no video</div>'
    where = escape(shorten(match.video))
    where = f'<a href="{escape(card.link)}">{where}</a>' if card.link else where
    where = f"{where}<span><time>{clock(window.start)}</time> &ndash; <time>{clock(window.end)}</time></span>"
    own = (window.gloss or "?",) if window.kind == "sign" else card.inside
    said = escape(window.gloss or "")
    if window.kind == "sentence":
        said = f"“{escape(window.text)}”" if window.text else " · ".join(map(escape, card.inside))
    around = [*map(escape, card.before), *(f"<b>{escape(one)}</b>" for one in own), *map(escape, card.after)]
    more = card.before or card.after or (card.inside and window.text)
    known = [
        None if match.video.startswith(f"{card.signer}/") else card.signer,
        card.date,
        None if window.confidence is None else f"confidence {window.confidence:.2f}",
    ]
    lines = [
        f'<h2 class="{window.kind if said else "where"}">{said or where}</h2>',
        _score(match.score, floor, most),
        f'<p class="where">{where}</p>' if said else "",
        f'<p class="glosses">{" · ".join(around)}</p>' if more else "",
        f'<p class="quote">“{escape(window.text)}”</p>' if window.kind == "sign" and window.text else "",
        f'<p class="known">{" · ".join(escape(one) for one in known if one)}</p>',
    ]
    return f"""<article>
<div class="picture">{shown}<span class="rank">{rank}</span></div>
{"".join(filter(None, lines))}
</article>"""


def _score(score: float, floor: float, most: float) -> str:
    """A score, and how far it stands above the floor beside the best; nothing where nothing was compared."""
    if np.isnan(score):
        return ""
    bar = ""
    if most > floor:
        share = min(1.0, max(0.0, (score - floor) / (most - floor)))
        bar = '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        bar += f'<rect class="rail" width="100" height="4"/><rect width="{100 * share:.1f}" height="4"/></svg>'
    return f'<p class="score">{score:.4g}{bar}</p>'
