"""Video files -> frames at a constant rate, decoded forward with PyAV; memory does not grow with the video."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

from seasign.formats.rate import exact_rate
from seasign.types import InputError

BACKWARD = 1  # seconds: time stamps that go back by more are a broken file, by less a frame to pass over
SHORT = 1  # seconds of a video that may be lacking at its end before it counts as cut short
SHORT_OF_SOUND = 5  # the same where the file gives one length for all its streams, and sound may last longer
STEADY = 1e-4  # relative: how near the average rate is to the nominal one in constant-rate video

Crop = tuple[int, int, int, int]  # left, top, width, height, in pixels of the upright picture


@dataclass(frozen=True)
class Video:
    """What a video file says of itself."""

    fps: Fraction  # exact; the average, where the rate varies
    duration: float | None  # seconds, as the file claims
    width: int  # upright: after its rotation
    height: int

    @property
    def frames(self) -> int | None:
        """About how many there are."""
        return None if self.duration is None else round(self.duration * self.fps)


def probe(path: Path) -> Video:
    """Read the head of a video, and its first frame for the rotation.

    Raises:
        InputError: It is no video, or has no frame.
    """
    with _opened(path) as (container, stream):
        first = next(_timed(path, container, stream))[1]
        rate, guess = (Fraction(rate or 0) for rate in (stream.average_rate, stream.guessed_rate))
        if not rate or abs(guess - rate) < STEADY * rate:  # the average is a little off where time stamps are rounded
            rate = guess
        if not rate:
            raise InputError(f"{path}: the video does not say its frame rate; convert it to .mp4 first")
        length = None if container.duration is None else container.duration / av.time_base
        if stream.duration and stream.time_base:
            length = float(stream.duration * stream.time_base)
        height, width = (first.height, first.width) if first.rotation % 180 == 0 else (first.width, first.height)
        try:
            exact = exact_rate(rate)
        except ValueError as error:
            raise InputError(f"{path}: {error}; convert the video first") from None
        return Video(exact, length, width, height)


def frames(
    path: Path, *, fps: Fraction | None = None, start: float = 0, end: float | None = None, crop: Crop | None = None
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Yield RGB pictures at a constant rate, upright.

    Picture n is the frame whose time stamp is nearest to n / fps (the earlier of two), counted from the first frame
    of the video. So constant-rate video comes out one to one, and of variable-rate video frames are repeated or left
    out. A repeated picture is the same object again.

    Args:
        fps: None takes the rate of the video.
        start: Seconds from the first frame of the video; the first picture is number round(start * fps).
        end: Seconds; the pictures stop before number round(end * fps). None goes to the end.

    Raises:
        InputError: No video, nothing between `start` and `end`, or a crop outside the picture, all this when called;
            or, on the way, no frames after `start`, or damage; the message says at what time. Damage that the decoder
            conceals by itself does not show.
    """
    video = probe(path)
    rate = video.fps if fps is None else fps
    first, stop = round(start * rate), None if end is None else round(end * rate)
    if start < 0 or (stop is not None and stop <= first):
        raise InputError(f"{path}: no frame lies between start={start:g} and end={end}; give 0 <= start < end")
    _check_crop(path, crop, video.width, video.height)
    return _resampled(path, video, rate, first, stop, crop)


def _resampled(
    path: Path, video: Video, rate: Fraction, first: int, stop: int | None, crop: Crop | None
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """The pictures from number `first` up to number `stop`."""
    number = first
    with _opened(path) as (container, stream):
        time, frame = Fraction(0), None
        for coming, following in chain(_timed(path, container, stream), [(None, None)]):
            twice_middle = time + (time + 1 / rate if coming is None else coming)  # the last frame lasts one picture
            picture = None
            while frame is not None and 2 * number <= twice_middle * rate and number != stop:
                picture = _picture(path, frame, crop) if picture is None else picture
                yield picture
                number += 1
            if number == stop:
                return
            if coming is not None:
                time, frame = coming, following
        assert frame is not None  # or there had been an error
        reached = float(max(time, (frame.pts or 0) * (frame.time_base or 0)) + 1 / video.fps)  # some count from 0
        slack = SHORT if stream.duration or len(container.streams) == 1 else SHORT_OF_SOUND
        if video.duration is not None and reached < video.duration - slack:
            raise InputError(f"{path}: stops at {reached:.2f} s of {video.duration:.2f} s; cut short or damaged")
        if number == first:
            raise InputError(
                f"{path}: no frames after {float(first / rate):g} s; the video ends at {float(time):.2f} s"
            )


def stills(path: Path, times: Sequence[float], height: int = 180) -> Iterator[bytes]:
    """The frames shown at some seconds, as JPEG of one height; each is sought, so that a film of hours takes no longer.

    Args:
        times: Ascending. Beyond the end it is the last frame.
    Raises:
        InputError: As `frames`.
    """
    with _opened(path) as (container, stream):
        origin = stream.start_time or 0
        base = stream.time_base or Fraction(1, av.time_base)
        for time in times:
            container.seek(origin + int(max(0.0, time) / base), stream=stream)
            shown = None
            for frame in container.decode(stream):
                if shown is not None and frame.pts is not None and (frame.pts - origin) * base > time:
                    break
                shown = frame
            if shown is None:
                raise InputError(f"{path}: no frame at {time:.2f} s; the video ends before")
            yield _jpeg(_picture(path, shown, None), height)


def _jpeg(picture: UInt8[np.ndarray, "rows columns 3"], height: int) -> bytes:
    """A picture in a smaller size, both sides even."""
    rows, columns = picture.shape[:2]
    size = max(2, 2 * round(columns * height / rows / 2)), max(2, 2 * round(height / 2))
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(*size, format="yuvj420p")
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = *size, "yuvj420p", Fraction(1, 25)
    codec.options = {"q:v": "4"}
    return b"".join(bytes(packet) for part in (frame, None) for packet in codec.encode(part))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """The container and its first video stream."""
    if not path.stat().st_size:
        raise InputError(f"{path}: the file is empty; expected a video")
    try:
        container = av.open(str(path), metadata_errors="ignore")
    except av.FFmpegError as error:
        raise InputError(f"{path}: not a video, or cut short ({error.strerror}); expected .mp4, .mkv, ...") from error
    with container:
        if not container.streams.video:
            raise InputError(f"{path}: there is no video in this file")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield container, stream


def _timed(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Frames with their exact times in seconds from the first one, ascending."""
    origin: Fraction | None = None
    time = -1 / Fraction(stream.average_rate or 25)
    try:
        for frame in container.decode(stream):
            if frame.pts is None or frame.time_base is None:  # raw streams carry no time stamps
                coming = time + 1 / Fraction(stream.average_rate or 25)
            else:
                stamp = frame.pts * frame.time_base
                origin = stamp if origin is None else origin
                coming = stamp - origin
            if coming < time - BACKWARD:
                raise InputError(
                    f"{path}: time stamps go back from {float(time):.2f} s to {float(coming):.2f} s; "
                    "damaged, or joined from pieces; convert the video first"
                )
            if coming > time:
                time = coming
                yield time, frame
    except av.FFmpegError as error:
        where = "at its first frame" if time < 0 else f"after {float(time):.2f} s"
        raise InputError(f"{path}: cannot be decoded {where} ({error.strerror}); cut short or damaged") from error
    if time < 0:
        raise InputError(f"{path}: the video has no frames")


def _picture(path: Path, frame: av.VideoFrame, crop: Crop | None) -> UInt8[np.ndarray, "height width 3"]:
    """One frame as RGB: upright, then cropped."""
    image = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
    if crop is not None:
        height, width = image.shape[:2]
        _check_crop(path, crop, width, height)  # of every frame: pictures may change their size
        x, y, w, h = crop
        image = image[y : y + h, x : x + w]
    return np.ascontiguousarray(image)


def _check_crop(path: Path, crop: Crop | None, width: int, height: int) -> None:
    """Refuse a crop that is not part of the picture."""
    if crop is None:
        return
    x, y, w, h = crop
    if x < 0 or y < 0 or w < 1 or h < 1 or x + w > width or y + h > height:
        raise InputError(f"{path}: crop {x},{y},{w},{h} (x,y,w,h) leaves the picture, which is {width}x{height}")
