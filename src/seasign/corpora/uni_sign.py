"""Labels as Uni-Sign and Sigma publish them: what each clip says, by its name, and where its poses are.

A gzipped pickle of `{key: {name, gloss, text, video_path[, pose]}}`, or a .csv or .jsonl of the same columns. `gloss`
is a list of glosses, or a text of them parted by spaces, or empty; `pose` names the file of poses, which else is
`video_path` with another suffix. Columns are never guessed: one that is not known is refused.

Source: the label files of the authors' code (ZechengLi19/Uni-Sign @ 2c9028f, mpuu00001/Sigma @ 91cae80), from a
description of them.
"""

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from seasign.corpora.clips import Clip
from seasign.corpora.recordings import Part
from seasign.formats import KEYPOINTS, POSES, coco, disk, pickles
from seasign.formats.tables import read_rows
from seasign.types import InputError, InputWarning, Poses

COLUMNS = ("name", "gloss", "text", "video_path", "pose")
NEEDED = ("name", "text")
PICKLES = (".gz", ".pkl", ".train", ".dev", ".test")  # how pickles of labels are named
LABELS = (*PICKLES, ".csv", ".jsonl")


@dataclass(frozen=True)
class Label:
    """What is known of one clip."""

    name: str
    text: str
    glosses: tuple[str, ...] = ()
    video: str | None = None  # as the file has it
    pose: str | None = None


@dataclass(frozen=True)
class LabelledClip(Clip):
    """A clip whose glosses are known, and whose poses may lie in a pickle of keypoints."""

    glosses: tuple[str, ...] = ()
    fps: Fraction = coco.FPS  # of the video of a pickle of keypoints
    picture: tuple[int, int] = coco.SHARES  # its width and height

    def read(self) -> Poses:
        """The poses."""
        if isinstance(self.poses, Path) and self.poses.suffix.lower() in KEYPOINTS:
            return coco.read(self.poses, fps=self.fps, picture=self.picture)
        return super().read()


def read_labels(path: Path, *, outputs: bool = False) -> tuple[Label, ...]:
    """The labels in the order of the file.

    Args:
        outputs: What a model wrote: a text may be empty.
    Raises:
        InputError: It is no such file, or a pickle that carries code; a column is not known, or is missing; a name is
            there twice; a text is empty; a gloss is no text. The message has the line or the key.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        rows = _table(path, NEEDED[:1] if outputs else NEEDED)
    elif suffix == ".jsonl":
        rows = _lines(path)
    elif suffix in PICKLES:
        rows = _pickled(path)
    else:
        raise InputError(f"{path}: expected labels in a file named *{' *'.join(LABELS)}")
    labels, seen = [], dict[str, str]()
    for where, row in rows:
        label = _label(where, {**row, "text": row.get("text") or ""} if outputs else row)
        if not (label.text or outputs):
            raise InputError(f"{where}: its text is empty: leave the clip out")
        if label.name in seen:
            raise InputError(f"{where}: {label.name!r} is there already, at {seen[label.name]}; keep one of them")
        seen[label.name] = where
        labels.append(label)
    if not labels:
        raise InputError(f"{path}: holds no labels")
    return tuple(labels)


def read_clips(
    path: Path,
    poses: Path,
    *,
    part: Part | None = None,
    fps: Fraction = coco.FPS,
    picture: tuple[int, int] = coco.SHARES,
) -> tuple[LabelledClip, ...]:
    """The clips of a label file whose poses lie in a folder, in the order of the labels.

    Args:
        poses: The folder. A clip's file is `pose`, else `video_path`, else `name`, with the suffix .pkl, .pose or .npz;
            where folders of `video_path` are not there, its last part will do.
        part: Of the corpus' own division, which the label file is one of.
        fps: Of the videos; pickles of keypoints do not say it.
        picture: Width and height of the videos; without them x and y of pickles stay shares.
    Raises:
        InputError: As `read_labels`; or no clip has its poses.
    Warns:
        InputWarning: Some clips have no poses there; they are left out.
    """
    clips, lacking, folder = [], list[str](), {file.name for file in poses.iterdir()} if poses.is_dir() else set()
    for label in read_labels(path):
        if (file := _find(poses, folder, label)) is None:
            lacking.append(label.name)
        else:
            clips.append(
                LabelledClip(label.name, file, label.text, part=part, glosses=label.glosses, fps=fps, picture=picture)
            )
    if not clips:
        raise InputError(f"{poses}: has poses of none of {len(lacking)} clips in {path}, such as {lacking[0]!r}")
    if lacking:
        message = f"{poses}: no poses of {len(lacking)} of {len(lacking) + len(clips)} clips in {path}, such as "
        warnings.warn(f"{message}{lacking[0]!r}; left out", InputWarning, stacklevel=2)
    return tuple(clips)


def _find(poses: Path, folder: set[str], label: Label) -> Path | None:
    """The file of poses of a clip, which never lies outside of the folder."""
    given = Path((label.pose or label.video or label.name).replace("\\", "/"))
    stems = [given.stem, given.name] if label.pose or label.video else [given.name]
    nested = given.parent if not given.is_absolute() and ".." not in given.parts else Path()
    for name in (f"{stem}{suffix}" for suffix in (*KEYPOINTS, *POSES) for stem in stems):
        if nested.parts and (poses / nested / name).is_file():
            return poses / nested / name
        if name in folder:
            return poses / name
    return None


def _label(where: str, row: Mapping[str, Any]) -> Label:
    """One label, if it is one."""
    if unknown := [key for key in row if key not in COLUMNS]:
        raise InputError(f"{where}: has {unknown[0]!r}, which nobody here knows; the keys are {', '.join(COLUMNS)}")
    if lacking := [key for key in NEEDED if row.get(key) is None]:
        raise InputError(f"{where}: has no {lacking[0]}")
    for key in ("name", "text", "video_path", "pose"):
        if not isinstance(row.get(key), str | None):
            raise InputError(f"{where}: {key} is {row[key]!r:.40}, not a text")
    name, text = row["name"].strip(), " ".join(row["text"].split())
    if not name:
        raise InputError(f"{where}: its name is empty")
    gloss = row.get("gloss") or ()
    glosses = gloss.split() if isinstance(gloss, str) else gloss
    if not isinstance(glosses, list | tuple) or not all(isinstance(it, str) and it.strip() for it in glosses):
        raise InputError(f"{where}: gloss is {gloss!r:.40}; expected a list of glosses, or a text of them")
    return Label(name, text, tuple(it.strip() for it in glosses), row.get("video_path"), row.get("pose"))


def _pickled(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where every label is, and its values, from a pickle."""
    table = pickles.read(path)
    if not isinstance(table, dict) or not all(isinstance(row, dict) for row in table.values()):
        raise InputError(f"{path}: holds no labels; expected a key, and for each {', '.join(COLUMNS)}")
    for key, row in table.items():
        yield f"{path}: {key!r:.60}", row


def _table(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The same of a .csv, whose columns beyond those that are known are refused, too."""
    names = disk.read_text(path)[0].removeprefix("\ufeff").partition("\n")[0]
    there = [name.strip().strip('"').lower() for name in re.split(r"[,;\t]", names)]
    if unknown := [name for name in there if name not in COLUMNS]:
        raise InputError(f"{path}:1: has {unknown[0]!r}, which nobody here knows; the columns are {', '.join(COLUMNS)}")
    yield from read_rows(path, COLUMNS, needed)


def _lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The same of a .jsonl: an object a line."""
    for number, line in enumerate(disk.read_text(path)[0].removeprefix("\ufeff").split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}:{number}: not an object of JSON ({str(error).splitlines()[0]})") from None
            if not isinstance(row, dict):
                raise InputError(
                    f"{path}:{number}: a {type(row).__name__}; expected an object with {', '.join(NEEDED)}"
                )
            yield f"{path}:{number}", row
