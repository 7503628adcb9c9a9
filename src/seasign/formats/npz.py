""".npz archives <-> Poses: `xyz`, `confidence`, `fps` (two integers: 30000 1001), `landmarks`, `provenance` (JSON).

Embeddings are archives too: `vectors` (items, dimensions), `space`, `provenance`; and of what was embedded, `items`
("cues" or "signs"), `times` (start and end, seconds), `texts` (or glosses) and `ids`.

Also read are other people's keypoints: `keypoints` (frames, landmarks, x y or x y z, perhaps a fourth column of
visibility), `fps` (a number or two integers) and `landmarks`; `confidence` or `visibility` (frames, landmarks) may lie
beside. Without either a landmark is there unless it is NaN. Pickled objects are never loaded.
"""

import json
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from seasign.formats.disk import replacing
from seasign.formats.gaps import warn_of_gaps
from seasign.formats.rate import exact_rate
from seasign.types import Cue, Embeddings, InputError, Poses, Sign

# What numpy and zipfile raise on bytes that are not what they should be
DAMAGE = (ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error, tokenize.TokenError)
ARRAYS = ("xyz", "keypoints", "confidence", "visibility", "fps", "landmarks", "provenance")
EMBEDDED = ("vectors", "space", "items", "times", "texts", "ids", "provenance")
Embedded = tuple[Cue, ...] | tuple[Sign, ...]


def read(path: Path, landmarks: Sequence[str] | None = None) -> Poses:
    """Read an archive, or of its landmarks only those named, in that order. Missing z is 0.

    Raises:
        InputError: Not an archive of plain arrays, or cut short; an array is missing or does not fit; no frames; no
            landmark in any frame; one that is asked for is not there.
    """
    arrays = _arrays(path, (*ARRAYS, "vectors"))
    if "vectors" in arrays:
        raise InputError(f"{path}: holds embeddings; expected poses")
    name = "keypoints" if "keypoints" in arrays and "xyz" not in arrays else "xyz"
    for needed, example in (name, "frames x landmarks x 3"), ("fps", "30000 1001"), ("landmarks", "names"):
        if needed not in arrays:
            with zipfile.ZipFile(path) as archive:
                there = ", ".join(one.removesuffix(".npy") for one in archive.namelist()) or "none"
            raise InputError(f"{path}: no array {needed!r} (arrays: {there}); add it to the archive: {example}")
    points, names = arrays[name], [str(landmark) for landmark in arrays["landmarks"].ravel()]
    if points.ndim != 3 or points.shape[2] not in (2, 3, 4) or points.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: {name} is {points.dtype} {points.shape}; expected numbers: frames, landmarks, 2 to 4"
        )
    frames, count, columns = points.shape
    if not frames:
        raise InputError(f"{path}: {name} has no frames; write it again")
    if len(names) != count:
        raise InputError(f"{path}: {name} has {frames} frames of {count} landmarks, and {len(names)} names are given")
    trust = arrays.get("confidence", arrays.get("visibility"))
    if trust is None:
        trust = points[..., 3] if columns == 4 else np.ones((frames, count), dtype=np.float32)
    if trust.shape != (frames, count):
        raise InputError(f"{path}: confidence is {trust.shape} where {name} is {points.shape}; give one per landmark")
    if missing := [landmark for landmark in landmarks or () if landmark not in names]:
        raise InputError(f"{path}: no landmark {missing[0]!r}; it has {count}: {', '.join(names[:6])} ...")
    chosen = names if landmarks is None else list(landmarks)
    index = np.array([names.index(landmark) for landmark in chosen], dtype=np.intp)
    xyz = np.zeros((frames, len(chosen), 3), dtype=np.float32)
    xyz[..., : min(columns, 3)] = points[:, index, :3]
    seen = (trust[:, index] > 0) & np.isfinite(xyz).all(axis=2)
    xyz[~seen] = np.nan
    if not seen.any():
        raise InputError(f"{path}: none of {len(chosen)} landmarks is seen in any of {frames} frames")
    confidence = np.where(seen, trust[:, index], 0).astype(np.float32)
    provenance = _provenance(path, arrays["provenance"]) if "provenance" in arrays else None
    poses = Poses(xyz, confidence, _rate(path, arrays["fps"]), tuple(chosen), provenance)
    warn_of_gaps(path, poses, np.logical_or.reduce(trust > 0, axis=1))
    return poses


def write(path: Path, poses: Poses) -> None:
    """Write an archive; it replaces an older one at the end or not at all."""
    arrays: dict[str, Any] = {
        "xyz": poses.xyz,
        "confidence": poses.confidence,
        "fps": np.array(Fraction(poses.fps).as_integer_ratio()),
        "landmarks": np.array(poses.landmarks, dtype=np.str_),
    }
    _write(path, arrays, poses.provenance)


def holds_embeddings(path: Path) -> bool:
    """Whether an archive is one of embeddings, by the names of its arrays; what is no archive is not."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "vectors.npy" in archive.namelist()


def read_embeddings(path: Path) -> tuple[Embeddings, Embedded]:
    """Read an archive of embeddings, and what was embedded: cues, signs, or nothing when that was not kept.

    Raises:
        InputError: Not an archive of plain arrays, or cut short; an array is missing, does not fit, or is not finite.
    """
    arrays = _arrays(path, (*EMBEDDED, "xyz", "keypoints"))
    if "vectors" not in arrays or "space" not in arrays:
        found = "poses" if arrays.keys() & {"xyz", "keypoints"} else "no vectors with the name of their space"
        raise InputError(f"{path}: holds {found}; expected what embed-signs or embed-text wrote")
    vectors, count = arrays["vectors"], arrays["vectors"].shape[0] if arrays["vectors"].ndim else 0
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or not np.isfinite(vectors).all():
        raise InputError(
            f"{path}: vectors are {vectors.dtype} {vectors.shape}; expected finite numbers, a row per item"
        )
    provenance = _provenance(path, arrays["provenance"]) if "provenance" in arrays else None
    embeddings = Embeddings(vectors.astype(np.float32, copy=False), str(arrays["space"]), provenance)
    if "items" not in arrays:
        return embeddings, ()
    times, texts, ids = (arrays.get(name, np.empty(0)) for name in ("times", "texts", "ids"))
    if times.shape != (count, 2) or times.dtype.kind != "f" or texts.shape != (count,) or ids.shape != (count,):
        raise InputError(f"{path}: {count} vectors have {len(times)} times, {texts.size} texts and {ids.size} ids")
    spans = [(float(start), float(end)) for start, end in times]
    if str(arrays["items"]) == "signs":
        return embeddings, tuple(Sign(*span, str(gloss) or None) for span, gloss in zip(spans, texts, strict=True))
    return embeddings, tuple(
        Cue(*span, str(text), str(name) or None) for span, text, name in zip(spans, texts, ids, strict=True)
    )


def write_embeddings(path: Path, embeddings: Embeddings, of: Sequence[Cue] | Sequence[Sign] = ()) -> None:
    """Write an archive of embeddings; it replaces an older one at the end or not at all.

    Args:
        of: What was embedded, as many as there are rows; its times, texts and ids are kept beside.
    """
    arrays: dict[str, Any] = {"vectors": embeddings.vectors, "space": np.array(embeddings.space)}
    if of:
        texts = [one.text if isinstance(one, Cue) else one.gloss or "" for one in of]
        arrays |= {
            "items": np.array("cues" if isinstance(of[0], Cue) else "signs"),
            "times": np.array([(one.start, one.end) for one in of], np.float64),
            "texts": np.array(texts, dtype=np.str_),
            "ids": np.array([one.id or "" if isinstance(one, Cue) else "" for one in of], dtype=np.str_),
        }
    _write(path, arrays, embeddings.provenance)


def _write(path: Path, arrays: Mapping[str, Any], provenance: Mapping[str, object] | None) -> None:
    """Write arrays, and what made them."""
    beside: dict[str, Any] = {} if provenance is None else {"provenance": np.array(json.dumps(dict(provenance)))}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays, **beside)


def _arrays(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Those of `names` that are in the archive."""
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise InputError(f"{path}: not an .npz, or cut short; expected arrays written by numpy.savez")
        try:
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in names if name in archive.files}
        except DAMAGE as error:
            raise InputError(f"{path}: this .npz is damaged or holds objects instead of numbers ({error})") from error


def _provenance(path: Path, text: Any) -> dict[str, object]:
    """What made the poses."""
    try:
        provenance = json.loads(str(text))
    except ValueError as error:
        raise InputError(f"{path}: provenance is not JSON ({error}); leave it out") from None
    if not isinstance(provenance, dict):
        raise InputError(f"{path}: provenance is {provenance!r}, not a JSON object; leave it out")
    return provenance


def _rate(path: Path, fps: Any) -> Fraction:
    """Two integers are a fraction; one number is what exact_rate makes of it."""
    try:
        if fps.size == 2:
            rate = Fraction(int(fps.ravel()[0]), int(fps.ravel()[1]))
            exact_rate(rate)  # which refuses what is no rate
            return rate
        return exact_rate(fps.item())
    except (ValueError, TypeError, ArithmeticError) as error:
        raise InputError(f"{path}: fps is {fps.tolist()}; expected a number above 0, or two: 30000 1001") from error
