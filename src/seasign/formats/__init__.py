"""Files <-> types, one module per format; the suffix says which."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from seasign.formats.timed_text import warn_of_odd_times
from seasign.types import Alignment, Cue, Embeddings, InputError, Poses, Preset, Sign, Span, Subtitles

Kind = TypeVar("Kind", Cue, Sign)
SUBTITLES = {".vtt": "vtt", ".srt": "srt", ".ttml": "ttml", ".xml": "ttml"}
TIERS = {".eaf": "eaf"}
TABLES = {".csv": "tables", ".json": "tables"}
POSES = {".pose": "pose", ".npz": "npz"}
KEYPOINTS = {".pkl": "coco"}  # poses that others wrote, and that are only read
PRESETS = {".json": "preset"}
EMBEDDINGS = {".npz": "npz"}
VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mxf")


def read(path: Path | str) -> Any:
    """Whatever the file holds, by its suffix.

    .vtt .srt .ttml .xml: Subtitles. .eaf: a dict from tier to its signs. .csv .json: a tuple of cues or of signs.
    .pose .npz, and .pkl of keypoints: Poses.

    Raises:
        InputError: The file is empty, broken, of another kind, or of a kind without a reader.
        OSError: It cannot be opened.
    """
    return _module(path, SUBTITLES | TIERS | TABLES | POSES | KEYPOINTS).read(Path(path))


def write(path: Path | str, value: Any, **how: Any) -> None:
    """Write Subtitles, cues, signs, Poses, Embeddings, a Preset, or a mapping from tier to spans, as the suffix says.

    It is written whole or not at all. Cues alone make a fresh subtitle file, `Subtitles` keep the document that they
    came in. A tier holds one kind of spans: in an .eaf, bare signs go to the tier SIGN and bare cues to SUBTITLE. `how`
    is for the format's own `write`: `of` says what was embedded.

    Raises:
        InputError: This kind of value does not go into such a file.
        OSError: The file cannot be written; what was there is as it was.
    """
    suffix = Path(path).suffix.lower()
    if isinstance(value, Alignment):
        raise InputError(f"{path}: an alignment is more than a file holds; write alignment.cues")
    if isinstance(value, Embeddings):
        _module(path, EMBEDDINGS).write_embeddings(Path(path), value, **how)
        return
    if isinstance(value, Poses):
        accepted = POSES
    elif isinstance(value, Preset):
        accepted = PRESETS
    elif isinstance(value, Mapping):
        accepted, value = TIERS, {tier: tuple(spans) for tier, spans in value.items()}
    else:
        cues = value.cues if isinstance(value, Subtitles) else tuple(value)
        accepted = TIERS | TABLES if any(not isinstance(cue, Cue) for cue in cues) else SUBTITLES | TIERS | TABLES
        if suffix in TIERS:
            value = {"SUBTITLE" if all(isinstance(cue, Cue) for cue in cues) else "SIGN": cues}
        elif suffix in TABLES:
            value = cues
        elif not isinstance(value, Subtitles):
            value = Subtitles(cues)
    _module(path, accepted).write(Path(path), value, **how)


def read_cues(path: Path | str, tier: str | Sequence[str] | None = None, *, skip_broken: bool = False) -> Subtitles:
    """The cues of a file, with the document around them where there is one.

    Args:
        tier: Of an .eaf, or several, of which the first there is counts; None: SUBTITLE_ALIGNED, SUBTITLE.
        skip_broken: Pass over cues that cannot be read, with a warning, instead of refusing the file.
    """
    module = _module(path, SUBTITLES | TIERS | TABLES)
    suffix = Path(path).suffix.lower()
    if suffix in SUBTITLES:
        subtitles: Subtitles = module.read(Path(path), skip_broken=skip_broken)
        return subtitles
    if suffix in TIERS:
        tiers = (tier,) if isinstance(tier, str) else tuple(tier or ("SUBTITLE_ALIGNED", "SUBTITLE"))
        annotations = _tier(module, Path(path), tiers)
        cues = tuple(Cue(span.start, span.end, span.gloss or "") for span in annotations)
    else:
        cues = _of_kind(Path(path), module.read(Path(path)), Cue)
    warn_of_odd_times(Path(path), cues)
    return Subtitles(cues)


def read_signs(path: Path | str, tier: str = "SIGN") -> tuple[Sign, ...]:
    """The signs of an .eaf's tier, a .csv or a .json."""
    module = _module(path, TIERS | TABLES)
    if Path(path).suffix.lower() in TIERS:
        signs = _tier(module, Path(path), (tier,))
    else:
        signs = _of_kind(Path(path), module.read(Path(path)), Sign)
    warn_of_odd_times(Path(path), signs, "signs")
    return signs


def pins(path: Path | str, cues: Sequence[Cue]) -> dict[int, tuple[float, float]]:
    """The times that people set for cues: the index of a cue -> its start and end, in seconds.

    From a .csv or .json of `cue,start,end`, where cues count from 1; or from the tier PINNED of an .eaf, where each
    annotation is a pin and its value the number or the text of its cue.

    Raises:
        InputError: A cue that is not there, or is pinned twice; an .eaf without that tier.
    """
    module = _module(path, TIERS | TABLES)
    if Path(path).suffix.lower() in TIERS:
        marked: dict[int, tuple[float, float]] = module.pins(Path(path), cues)
        return marked
    read: dict[int, tuple[float, float]] = module.read_pins(Path(path), len(cues))
    return read


def read_poses(path: Path | str, landmarks: Sequence[str] | None = None) -> Poses:
    """The poses of a .pose, an .npz or a .pkl of keypoints; only `landmarks`, in their order, when given."""
    poses: Poses = _module(path, POSES | KEYPOINTS).read(Path(path), landmarks)
    return poses


def read_embeddings(path: Path | str) -> tuple[Embeddings, tuple[Cue, ...] | tuple[Sign, ...]]:
    """The embeddings of an .npz, and the cues or signs that were embedded; none when they were not kept."""
    found: tuple[Embeddings, tuple[Cue, ...] | tuple[Sign, ...]] = _module(path, EMBEDDINGS).read_embeddings(Path(path))
    return found


def read_preset(path: Path | str) -> Preset:
    """The preset of a .json that `tune` or `calibrate` wrote."""
    preset: Preset = _module(path, PRESETS).read(Path(path))
    return preset


def _module(path: Path | str, accepted: Mapping[str, str]) -> Any:
    """The module for files named like `path`."""
    suffix = Path(path).suffix.lower()
    if suffix not in accepted:
        raise InputError(f"{path}: expected a file named {' '.join('*' + known for known in accepted)}")
    return import_module(f"seasign.formats.{accepted[suffix]}")


def _tier(eaf: Any, path: Path, names: Sequence[str]) -> tuple[Sign, ...]:
    """The first of these tiers that the file has."""
    present = eaf.names(path) if len(names) > 1 else names
    name = next((name for name in names if name in present), names[-1])
    tier: tuple[Sign, ...] = eaf.read(path, [name])[name]
    return tier


def _of_kind(path: Path, spans: Sequence[Span], kind: type[Kind]) -> tuple[Kind, ...]:
    """The spans, if they are of the kind that is wanted."""
    wrong = next((span for span in spans if not isinstance(span, kind)), None)
    if wrong is not None:
        names = {Cue: "cues (a column or key `text`)", Sign: "signs (no column or key `text`)"}
        raise InputError(f"{path}: expected {names[kind]}, found {names[type(wrong)]}")
    return tuple(span for span in spans if isinstance(span, kind))
