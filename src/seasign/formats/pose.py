""".pose files (pose-format v0.0, v0.1 and v0.2) <-> Poses, a range of frames at a time.

The header is pose-format's business, the body of v0.1 and v0.2 two plain arrays that we read and write in ranges.
A file made here has a JSON file beside it (news.pose.json) with what a .pose cannot hold: where the poses come from,
and the exact frame rate.
"""

import json
import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import groupby, pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float32
from pose_format.numpy.pose_body import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions
from pose_format.utils.reader import BufferReader, BytesIOReader

from seasign.formats.disk import replacing, write_text
from seasign.formats.gaps import warn_of_gaps
from seasign.formats.rate import NTSC, exact_rate
from seasign.types import InputError, InputWarning, Poses

RANGE = 1 << 24  # bytes read or written at a time
CUT = (14, 23, 29, 59, 119)  # what an NTSC rate becomes in v0.0 and v0.1, which keep the whole part
COUNTED = 65535  # v0.1 counts its frames in 16 bits; from here on only the size of the file tells

# Lines between landmarks, for programs that draw a file: MediaPipe's numbers, one chain after the other.
BODY_CHAINS = (
    (0, 1, 2, 3, 7), (0, 4, 5, 6, 8), (9, 10), (11, 12), (23, 24),
    (11, 13, 15, 17, 19, 15, 21), (12, 14, 16, 18, 20, 16, 22),
    (11, 23, 25, 27, 29, 31, 27), (12, 24, 26, 28, 30, 32, 28),
)  # fmt: skip
HAND_CHAINS = ((0, 1, 2, 3, 4), (0, 5, 6, 7, 8), (5, 9, 10, 11, 12), (9, 13, 14, 15, 16), (13, 17, 18, 19, 20), (0, 17))
BODY = (
    "NOSE LEFT_EYE_INNER LEFT_EYE LEFT_EYE_OUTER RIGHT_EYE_INNER RIGHT_EYE RIGHT_EYE_OUTER LEFT_EAR RIGHT_EAR "
    "MOUTH_LEFT MOUTH_RIGHT LEFT_SHOULDER RIGHT_SHOULDER LEFT_ELBOW RIGHT_ELBOW LEFT_WRIST RIGHT_WRIST LEFT_PINKY "
    "RIGHT_PINKY LEFT_INDEX RIGHT_INDEX LEFT_THUMB RIGHT_THUMB LEFT_HIP RIGHT_HIP LEFT_KNEE RIGHT_KNEE LEFT_ANKLE "
    "RIGHT_ANKLE LEFT_HEEL RIGHT_HEEL LEFT_FOOT_INDEX RIGHT_FOOT_INDEX"
).split()
HAND = ["WRIST", *("THUMB_" + joint for joint in ("CMC", "MCP", "IP", "TIP"))] + [
    f"{finger}_{joint}"
    for finger in ("INDEX_FINGER", "MIDDLE_FINGER", "RING_FINGER", "PINKY")
    for joint in ("MCP", "PIP", "DIP", "TIP")
]
LIMBS = [
    (points[first], points[second])
    for points, chains in ((BODY, BODY_CHAINS), (HAND, HAND_CHAINS))
    for chain in chains
    for first, second in pairwise(chain)
]
COLORS = {"POSE": (255, 0, 0), "FACE": (128, 0, 0), "LEFT": (0, 255, 0), "RIGHT": (0, 128, 255)}


def read(path: Path, landmarks: Sequence[str] | None = None) -> Poses:
    """Read a .pose file, or of its landmarks only those named, in that order.

    Coordinates are as the file has them, where the confidence is above 0; NaN elsewhere. Files without z get z = 0.
    Of several people the one with the highest mean confidence is read (of v0.0, the first one). The frame rate is the
    exact one of the JSON file beside it when that fits, else the fraction that the rounded one means. v0.0 and v0.1
    keep whole rates only, so 29.97 became 29 there: a warning names the suspects.

    Args:
        landmarks: "COMPONENT.POINT"; None reads all. `names` lists what there is.

    Raises:
        InputError: Not a .pose, empty or cut short; no frames; no landmark in any frame; one that is asked for is not
            there.
    """
    with path.open("rb") as file:
        header, offset = _header(path, file)
        there = _names(header)
        if missing := [name for name in landmarks or () if name not in there]:
            raise InputError(f"{path}: no landmark {missing[0]!r}; it has {len(there)}: {_shortened(there)}")
        chosen = tuple(there if landmarks is None else landmarks)
        index = slice(None) if landmarks is None else np.array([there.index(name) for name in landmarks], dtype=np.intp)
        whole = header.version == 0
        rate, frames, ranges = (_whole if whole else _ranged)(path, file, header, offset)
        if not frames:
            raise InputError(f"{path}: no frames; the poses have to be estimated again")
        fps, provenance = _noted(path, rate, frames, header.version)
        xyz = np.zeros((frames, len(chosen), 3), dtype=np.float32)
        confidence = np.zeros((frames, len(chosen)), dtype=np.float32)
        anybody = np.zeros(frames, dtype=bool)
        first = 0
        for points, trust in ranges:
            rows = slice(first, first := first + len(points))
            dims = min(3, points.shape[2])
            anybody[rows] = (trust > 0).any(axis=1)
            xyz[rows, :, :dims] = points[:, index, :dims]
            seen = (trust[:, index] > 0) & np.isfinite(xyz[rows]).all(axis=2)
            xyz[rows][~seen] = np.nan
            confidence[rows] = np.where(seen, trust[:, index], 0)
    if not confidence.any():
        raise InputError(f"{path}: none of {_shortened(chosen)} is seen in any of {frames} frames")
    poses = Poses(xyz, confidence, fps, chosen, provenance)
    warn_of_gaps(path, poses, anybody)
    return poses


def names(path: Path) -> tuple[str, ...]:
    """The landmarks of a .pose file, without reading its body.

    Raises:
        InputError: Not a .pose.
    """
    with path.open("rb") as file:
        return _names(_header(path, file)[0])


def write(path: Path, poses: Poses) -> None:
    """Write a v0.2 file, a range of frames at a time; the file replaces an older one at the end or not at all.

    NaN becomes 0 with confidence 0. Where there is provenance a JSON file beside it keeps that and the exact rate;
    where there is none, one that an older file left goes away. The size of the picture is the one of provenance, or
    what the landmarks need.

    Raises:
        ValueError: The name of a landmark is not ASCII, which pose-format cannot write.
    """
    if odd := [name for name in poses.landmarks if not name.isascii()]:
        raise ValueError(f"{path}: cannot write the landmark {odd[0]!r}; only ASCII names fit a .pose file")
    frames = len(poses.xyz)
    step = max(1, RANGE // (12 * max(1, len(poses.landmarks))))
    ranges = [slice(first, first + step) for first in range(0, frames, step)]
    video = (poses.provenance or {}).get("video")
    if isinstance(video, Mapping) and "width" in video and "height" in video:
        width, height = video["width"], video["height"]
    else:
        width, height = np.max([(0, 0), *(np.fmax.reduce(poses.xyz[rows, :, :2], (0, 1)) for rows in ranges)], axis=0)
    dimensions = PoseHeaderDimensions(*(min(float(np.nan_to_num(size)), 65535) for size in (width, height)))
    note = _note(path)
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            PoseHeader(0.2, dimensions, _components(poses.landmarks)).write(file)
            file.write(struct.pack("<fIH", poses.fps, frames, 1))
            for rows in ranges:
                file.write(np.nan_to_num(poses.xyz[rows], nan=0).astype("<f4").tobytes())
            for rows in ranges:
                lost = np.isnan(poses.xyz[rows]).any(axis=2)
                file.write(np.where(lost, 0, poses.confidence[rows]).astype("<f4").tobytes())
        if poses.provenance is None:
            note.unlink(missing_ok=True)
        else:
            about = {"fps": str(Fraction(poses.fps)), "frames": frames, "provenance": dict(poses.provenance)}
            write_text(note, json.dumps(about, indent=1) + "\n")


def _header(path: Path, file: BinaryIO) -> tuple[PoseHeader, int]:
    """The header, and the byte after it."""
    start = file.read(4)
    if not start:
        raise InputError(f"{path}: the file is empty; expected a .pose")
    if len(start) < 4 or round(struct.unpack("<f", start)[0], 3) not in (0, 0.1, 0.2):
        raise InputError(f"{path}: not a .pose of v0.0, v0.1 or v0.2; convert it with pose-format")
    file.seek(0)
    reader = BytesIOReader(file)
    try:
        header = PoseHeader.read(reader)
    except (ValueError, TypeError, struct.error, EOFError) as error:  # what pose-format meets where bytes are lacking
        raise InputError(f"{path}: the header of this .pose is damaged or cut short; copy it again") from error
    if not header.total_points() or header.num_dims() < 2:
        raise InputError(f"{path}: not a .pose: no landmarks with x and y in its header")
    return header, reader.read_offset


def _names(header: PoseHeader) -> tuple[str, ...]:
    """ "COMPONENT.POINT" for all; the point alone where the component has no name."""
    return tuple(
        f"{component.name}.{point}" if component.name else point
        for component in header.components
        for point in component.points
    )


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else ", ".join([*names[:3], "...", *names[-2:]])


Ranges = Iterator[tuple[Float32[np.ndarray, "range landmarks dims"], Float32[np.ndarray, "range landmarks"]]]


def _whole(path: Path, file: BinaryIO, header: PoseHeader, offset: int) -> tuple[float, int, Ranges]:
    """A v0.0 body: frame by frame in the file, so all at once."""
    file.seek(offset)
    rate, frames = struct.unpack("<HH", _exactly(path, file, 4))
    if not frames:
        return rate, 0, iter(())
    try:
        body = NumPyPoseBody.read_v0_0(header, BufferReader(struct.pack("<HH", rate, frames) + file.read()))
    except (TypeError, struct.error) as error:
        raise InputError(f"{path}: cut short; {frames} frames were expected") from error
    points, trust = (np.ma.filled(array[:, 0], 0).astype(np.float32) for array in (body.data, body.confidence))
    return rate, frames, iter([(points, trust)])


def _ranged(path: Path, file: BinaryIO, header: PoseHeader, offset: int) -> tuple[float, int, Ranges]:
    """A v0.1 or v0.2 body: all coordinates, then all confidences."""
    old = round(header.version, 3) == 0.1
    file.seek(offset)
    layout = struct.Struct("<HHH" if old else "<fIH")
    rate, frames, people = layout.unpack(_exactly(path, file, layout.size))
    landmarks, dims = header.total_points(), header.num_dims()
    coordinates = offset + layout.size
    there = path.stat().st_size - coordinates
    size = 4 * people * landmarks * (dims + 1)  # of a frame
    if not size:
        return rate, 0, iter(())
    if old and there >= COUNTED * size and there % size == 0:
        frames = there // size
    if there < frames * size or (old and there > frames * size):
        raise InputError(f"{path}: cut short; {frames} frames need {frames * size} bytes, {there} are there")
    step = max(1, RANGE // size)

    def numbers(start: int, first: int, *shape: int) -> Float32[np.ndarray, "..."]:
        """Frames from `first` on of the array that begins at `start`, as many as shape[0]."""
        count = int(np.prod(shape[1:]))
        file.seek(start + 4 * first * count)
        return np.fromfile(file, "<f4", shape[0] * count).reshape(shape)

    def read_ranges() -> Ranges:
        confidences = coordinates + 4 * frames * people * landmarks * dims
        spans = [(first, min(step, frames - first)) for first in range(0, frames, step)]
        person = 0
        if people > 1:
            sums = sum(numbers(confidences, *span, people, landmarks).sum((0, 2), dtype=np.float64) for span in spans)
            person = int(np.argmax(sums))
            note = f"{path}: {people} people; only number {person + 1} is read, who is seen best"
            warnings.warn(note, InputWarning, stacklevel=3)
        for span in spans:
            points = numbers(coordinates, *span, people, landmarks, dims)
            yield points[:, person], numbers(confidences, *span, people, landmarks)[:, person]

    return rate, frames, read_ranges()


def _exactly(path: Path, file: BinaryIO, size: int) -> bytes:
    found = file.read(size)
    if len(found) < size:
        raise InputError(f"{path}: cut short after its header")
    return found


def _note(path: Path) -> Path:
    """The JSON file beside a .pose."""
    return path.with_name(path.name + ".json")


def _noted(path: Path, rate: float, frames: int, version: float) -> tuple[Fraction, Mapping[str, object] | None]:
    """The exact frame rate, and provenance: from the JSON file if it was written for these frames, else as guessed."""
    try:
        guess = exact_rate(rate)
    except ValueError as error:
        raise InputError(f"{path}: {error} in the header; write the real one with pose-format") from None
    whole = round(version, 3) < 0.2
    try:
        about = json.loads(_note(path).read_text(encoding="utf-8"))
        exact = Fraction(*map(int, about["fps"].split("/")))
        if about["frames"] == frames and rate == (int(exact) if whole else np.float32(exact)):
            return exact, about["provenance"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
        pass  # there is none, or it is somebody else's
    if whole and rate in CUT:
        warnings.warn(
            f"{path}: {rate:g} frames/s, but this version of .pose drops decimals: perhaps it is "
            f"{float(round(rate + 1) * NTSC):.3f}; taken as {rate:g}",
            InputWarning,
            stacklevel=3,
        )
    return guess, None


def _components(landmarks: Sequence[str]) -> list[PoseHeaderComponent]:
    """Landmarks grouped by component, with lines between those of a body and a hand."""
    components = []
    for name, group in groupby(landmarks, key=lambda landmark: landmark.rpartition(".")[0]):
        points = [landmark.rpartition(".")[2] for landmark in group]
        limbs = [(points.index(a), points.index(b)) for a, b in LIMBS if a in points and b in points]
        color = COLORS.get(name.partition("_")[0], (0, 0, 0))
        components.append(PoseHeaderComponent(name, points, limbs, [color], "XYZC"))
    return components
