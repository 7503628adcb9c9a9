"""Files <-> types, one module per format; the suffix says which."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from seasign.types import Cue, InputError, Poses, Sign, Span, Subtitles

MODULES = {
    ".vtt": "vtt",
    ".srt": "srt",
    ".ttml": "ttml",
    ".xml": "ttml",
    ".eaf": "eaf",
    ".csv": "tables",
    ".json": "tables",
    ".pose": "pose",
    ".npz": "npz",
}
CUES = (".vtt", ".srt", ".ttml", ".xml", ".eaf", ".csv", ".json")
SIGNS = (".eaf", ".csv", ".json")
POSES = (".pose", ".npz")


def module_for(path: Path, suffixes: Sequence[str] = tuple(MODULES)) -> Any:
    """The module that reads and writes files named like `path`.

    Raises:
        InputError: The suffix is none of `suffixes`; the message lists them.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in suffixes:
        raise InputError(f"{path}: cannot tell the format from the suffix {suffix!r}; expected one of {' '.join(suffixes)}")
    return import_module(f"seasign.formats.{MODULES[suffix]}")
