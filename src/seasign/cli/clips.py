"""A clip of one sign as it is named: `clip.pose`, a part of it `clip.pose#1.2-1.9`, or a gloss `story.eaf#HOUSE`."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import seasign
from seasign.corpora.videos import BETTER
from seasign.formats import EMBEDDINGS, POSES, TIERS, VIDEOS
from seasign.formats.npz import holds_embeddings
from seasign.segmentation import in_poses
from seasign.types import InputError, Poses, Span

CLIPS = (*POSES, *VIDEOS, *TIERS)  # suffixes of files that have clips
SUCH = "clip.pose, clip.pose#1.2-1.9 or story.eaf#HOUSE"


def clip_parts(clip: str) -> tuple[str, str]:
    """A file, and a part of it if one is named."""
    file, _, part = clip.rpartition("#")
    return (file, part) if file and Path(file).suffix.lower() in CLIPS else (clip, "")


def read_clip(clip: str, tier: str, read: Callable[[Path], Poses]) -> tuple[str, list[Poses]]:
    """What to call the sign, and its examples: the clip, or every place where the gloss is annotated.

    Args:
        tier: Where glosses are, in an ELAN file. The poses or the video of its name lie beside it.
        read: What reads poses.
    Raises:
        InputError: There is no such file, gloss, or part.
    """
    file, part = clip_parts(clip)
    path = Path(file)
    if path.suffix.lower() not in CLIPS:
        raise InputError(f"{clip}: is no example of a sign; expected a file, such as {SUCH}")
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    times = re.fullmatch(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", part)
    spans = [Span(float(times[1]), float(times[2]))] if times else []
    label = part if part and not times else path.stem
    if path.suffix.lower() in TIERS:
        if not part:
            raise InputError(f"{path}: say which of its signs, by a gloss or by seconds: {path}#HOUSE, {path}#1.2-1.9")
        spans = spans or _glossed(path, part, tier)
        stems = dict.fromkeys(path.stem.removesuffix(inner) for inner in BETTER[::-1])  # that of the video first
        beside = [path.with_name(stem + suffix) for stem in stems for suffix in (*POSES, *VIDEOS)]
        if not (there := [one for one in beside if is_poses(one)]):
            raise InputError(f"{path}: has no poses or video beside it, such as {beside[0].name}")
        path = there[0]
    elif part and not spans:
        raise InputError(f"{clip}: {part!r} is no part in seconds, such as {path}#1.2-1.9")
    poses = read(path)
    return label, [_cut(poses, span, clip) for span in in_poses(spans, poses)] if spans else [poses]


def is_poses(path: Path) -> bool:
    """Whether a file is there, and is no archive of embeddings, whose suffix is that of poses."""
    return path.is_file() and not (path.suffix.lower() in EMBEDDINGS and holds_embeddings(path))


def _glossed(path: Path, gloss: str, tier: str) -> list[Span]:
    """Where a gloss is annotated."""
    signs = seasign.read_signs(path, tier)
    found: list[Span] = [sign for sign in signs if (sign.gloss or "").casefold() == gloss.casefold()]
    if not found:
        known = list(dict.fromkeys(sign.gloss for sign in signs if sign.gloss))
        others = f"{len(known)} other{'s' * (len(known) > 1)}, such as {', '.join(known[:3])}"
        there = others if known else "no glosses at all"
        raise InputError(f"{path}: its tier {tier} has no {gloss!r}, but {there}")
    return found


def _cut(poses: Poses, span: Span, what: str) -> Poses:
    """The frames of a span."""
    first, stop = (round(edge * float(poses.fps)) for edge in (span.start, span.end))
    if not 0 <= first < stop <= len(poses.xyz) + 1:
        raise InputError(f"{what}: {span.start:g} - {span.end:g} s is no part of {poses.duration:.2f} s of poses")
    return replace(poses, xyz=poses.xyz[first:stop], confidence=poses.confidence[first:stop])
