"""What every command promises about files: no input is overwritten, no long work is lost, no tier of others destroyed.

Nothing is printed here: the commands do that in between.
"""

import os
import shutil
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from itertools import chain, count
from pathlib import Path

import numpy as np

from seasign import formats
from seasign.formats.disk import replacing
from seasign.formats.npz import read_embeddings, write_embeddings
from seasign.formats.timed_text import plain
from seasign.segmentation import phrases
from seasign.types import Cue, Embeddings, InputError, InputWarning, Poses, Sign, Span


def check_outputs(outputs: Mapping[str, tuple[Path, Collection[str]]], inputs: Iterable[Path]) -> None:
    """Refuse, before any work, outputs that cannot be written or would take the place of a file that is needed.

    Args:
        outputs: What is to be written -> where, and the suffixes that it may have there.
    Raises:
        InputError: Another suffix, no such folder, a folder, an output that is an input, or two outputs in one file.
    """
    inputs, before = list(inputs), dict[str, Path]()
    inputs += [path.with_name(f"{path.name}.json") for path in inputs if path.suffix.lower() == ".pose"]  # their rate
    for what, (path, suffixes) in outputs.items():
        if path.suffix.lower() not in suffixes:
            raise InputError(f"{path}: cannot write {what} there; name it *{' *'.join(suffixes)}")
        if not path.parent.is_dir():
            raise InputError(f"{path}: there is no folder {path.parent}; make it first")
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name a file")
        if any(same_file(path, other) for other in inputs):
            raise InputError(f"{path}: is an input too; write {what} to another file")
        for other, where in before.items():
            if same_file(path, where):
                raise InputError(f"{path}: would hold both {other} and {what}; name two files")
        before[what] = path


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths are one file, by whatever links; they need not be there yet."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


def back_up(path: Path) -> Path:
    """Copy a file to the first of NAME.bak, NAME.bak1, NAME.bak2 ... that is free, whole or not at all."""
    names = (path.with_name(f"{path.name}.bak{number}") for number in chain([""], count(1)))
    copy = next(name for name in names if not os.path.lexists(name))
    with replacing(copy) as temporary:
        shutil.copy2(path, temporary)
    return copy


@contextmanager
def scratch(output: Path) -> Iterator[Path]:
    """The folder beside `output` where long work is kept; it goes at the end, and after an error it stays."""
    folder = output.with_name(f"{output.name}.partial")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():  # Windows removes no file that is still mapped
        warnings.warn(f"{folder}: could not be removed; remove it by hand", InputWarning, stacklevel=2)


def read_body(path: Path, wanted: Collection[str] = ()) -> Poses:
    """The poses of a file without the face, but for what is wanted: all 586 landmarks of an hour take a gigabyte."""
    if path.suffix.lower() != ".pose":
        return formats.read_poses(path)
    from seasign.formats import pose

    names = pose.names(path)
    return pose.read(path, [it for it in names if it in wanted or not it.startswith(("FACE", "POSE_WORLD"))])


def read_kept(
    path: Path, video: Path, *, crop: Sequence[int] | None, static: bool, wanted: Collection[str] = ()
) -> Poses:
    """The poses that an earlier run kept, if they are of the whole of `video` and were estimated in the same way.

    Raises:
        InputError: They are not; the message says what differs. What the file does not say is not compared.
    """
    poses = read_body(path, wanted)
    asked = {"name": video.name, "bytes": video.stat().st_size, "static_image_mode": static}
    asked |= {"crop": crop and list(crop), "start": 0.0, "end": None}
    kept = dict(poses.provenance or {})
    for part in kept.get("video"), kept.get("settings"):
        kept |= part if isinstance(part, Mapping) else {}
    differences = [f"{key} {kept[key]}, not {asked[key]}" for key in asked if kept.get(key, asked[key]) != asked[key]]
    if differences:
        raise InputError(f"{path}: holds the poses of something else ({'; '.join(differences)}); name another file")
    return poses


def cached(folder: Path, key: str, space: str, make: Callable[[], Embeddings]) -> Embeddings:
    """Embeddings that were made before, or are made now and kept in `folder` for the next time.

    Args:
        key: Of all that they depend on, as `fingerprint` gives it.
    Warns:
        InputWarning: What is kept cannot be read, and is made anew; or nothing can be kept there.
    """
    file = folder / f"{key}.npz"
    if file.exists():
        try:
            embeddings = read_embeddings(file)[0]
            if embeddings.space != space:
                raise InputError(f"{file}: is of {embeddings.space!r}, not {space!r}")
            return embeddings
        except (InputError, OSError) as error:
            warnings.warn(f"{error}; it is made anew", InputWarning, stacklevel=2)
    embeddings = make()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_embeddings(file, embeddings)
    except OSError as error:
        warnings.warn(f"{folder}: embeddings cannot be kept there ({error.strerror})", InputWarning, stacklevel=2)
    return embeddings


def fingerprint(*parts: object) -> str:
    """SHA-256 of arrays, as they lie in memory, and of anything else as Python writes it."""
    digest = sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(repr((part.dtype.str, part.shape)).encode())
            digest.update(np.ascontiguousarray(part).data.cast("B"))
        else:
            digest.update(f"{part!r};".encode())
    return digest.hexdigest()


def lay_tiers(
    delivered: Sequence[Cue],
    aligned: Sequence[Cue],
    signs: Sequence[Sign],
    *,
    like: Path | None,
    output: Path,
    cues_from: Path,
    signs_from: Path | None,
) -> dict[str, Sequence[Span]]:
    """The tiers of an alignment that an ELAN file, begun as `like`, does not have yet.

    Signs that are not those of `like` go to SIGN, and their bouts to PHRASE; cues that are not, to SUBTITLE. Signs of
    an input stay, for people may have corrected them; then SIGN_MERGED and PHRASE_MERGED hold those that were used.

    Args:
        output: Where it goes: what an earlier run left there is replaced, unless this is `cues_from` too.
        signs_from: The file whose signs were used as they are; None: they were found or changed here.
    """
    from seasign.formats import eaf  # here, since it brings lxml

    tiers: dict[str, Sequence[Span]] = {}
    if signs_from is None or like is None or not same_file(signs_from, like):
        is_input = like is not None and (not same_file(like, output) or same_file(like, cues_from))
        taken = is_input and like is not None and not {"SIGN", "PHRASE"}.isdisjoint(eaf.names(like))
        suffix = "_MERGED" if taken else ""
        tiers |= {f"SIGN{suffix}": signs, f"PHRASE{suffix}": phrases(signs)}
    if like is None or not same_file(cues_from, like):
        tiers["SUBTITLE"] = _plain(delivered)
    return beside(tiers | {"SUBTITLE_ALIGNED": _plain(aligned)}, like)


def beside(tiers: Mapping[str, Sequence[Span]], like: Path | None) -> dict[str, Sequence[Span]]:
    """Tiers under names that take no one's place in `like`: those written here are replaced, those of others stay.

    What would take the name of a tier of others gets _MERGED behind it.
    """
    if like is None:
        return dict(tiers)
    from seasign.formats import eaf

    theirs = set(eaf.names(like)) - set(eaf.names(like, own=True))
    return {f"{name}_MERGED" if name in theirs else name: spans for name, spans in tiers.items()}


def _plain(cues: Sequence[Cue]) -> list[Cue]:
    """Cues without tags, which tiers do not know."""
    return [replace(cue, text=plain(cue.text)) for cue in cues]
