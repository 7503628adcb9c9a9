"""Video -> Poses: MediaPipe Holistic in a worker process, in chunks that an interrupted run need not do again."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib.metadata import version
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from time import monotonic
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Float32, UInt8

from seasign.formats.disk import replacing, write_text
from seasign.formats.gaps import warn_of_gaps
from seasign.types import InputError, Poses
from seasign.workers.holistic import HEADER

HOLISTIC = Path(__file__).parent / "workers" / "holistic.py"  # its docstring is the protocol
CHUNK = 60  # seconds of video between two restarts of the tracker: as much is lost by an interruption
LATEST = (3, 12)  # the last Python with a wheel of that MediaPipe
HELLO = 120  # seconds: no worker takes longer to say what it is
MANIFEST, LOG = "manifest.json", "worker.log"  # what a folder of work is of, and what the worker says beside


def estimate_poses(
    video: Path | str,
    *,
    crop: tuple[int, int, int, int] | None = None,
    start: float = 0.0,
    end: float | None = None,
    complexity: int = 1,
    static: bool = False,
    python: Path | None = None,
    worker: Path = HOLISTIC,
    scratch: Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Poses:
    """Find the landmarks of the one signer in a video.

    The layout is pose-format's holistic one with refined faces: 586 landmarks, x and y in pixels of the whole upright
    picture (with `crop` too), z as MediaPipe gives it. Variable-rate video is resampled by its time stamps, at its
    average rate. The poses begin at `start`: their second 0 is that second of the video, and provenance says so; only
    poses from 0 fit subtitles of the whole video.

    The tracker forgets what it saw every CHUNK seconds, in every run, so that a run which goes on where another was
    interrupted gives the same bytes as one that was not.

    Args:
        crop: Left, top, width, height of the part of the picture to look at, in pixels.
        start: Seconds from the first frame of the video; rounded to the nearest frame.
        end: Seconds; None goes to the end.
        complexity: 0, 1 or 2; only the model of 1 comes with MediaPipe.
        static: Look for the signer anew in every frame instead of following; finds hands a little more often.
        python: The interpreter that has MediaPipe; None: see `find_interpreter`.
        worker: The script that estimates; any that speaks the protocol in HOLISTIC's docstring.
        scratch: A folder for finished chunks and for the arrays of the result, which are files in it. The same folder
            takes up an interrupted run; it is the caller's to remove, and gone where the video is at fault. None is a
            temporary one.
        progress: Called with the number of frames done and of all, as far as the video says.

    Raises:
        InputError: Not a video, cut short or damaged; a part or a crop that is not there; no person in any frame.
        ModuleNotFoundError: No interpreter with MediaPipe; the message is the remedy.
        ChildProcessError: The worker died, and the message ends with its last words; or it cannot do what is asked.
    """
    from seasign.formats import video as videos  # here, since it brings PyAV, and `import seasign` brings this module

    video = Path(video)
    about = videos.probe(video)
    chunk = round(CHUNK * about.fps)
    corner = (0, 0) if crop is None else crop[:2]
    until = about.duration if end is None or about.duration is None else min(end, about.duration)
    total = None if until is None else round((until - start) * about.fps)
    pictures = videos.frames(video, fps=about.fps, start=start, end=end, crop=crop)
    interpreter = find_interpreter(python)
    with _workplace(scratch) as folder:
        with _Worker(worker, interpreter, _settings(complexity, static), folder / LOG) as estimator:
            hello = estimator.hello()
            landmarks = tuple(hello.pop("landmarks"))
            provenance = {
                **hello,
                "video": {
                    "name": video.name,
                    "bytes": video.stat().st_size,
                    "width": about.width,
                    "height": about.height,
                },
                "crop": crop and list(crop),
                "start": float(round(start * about.fps) / about.fps),
                "end": end,
                "fps": str(about.fps),
                "chunk": chunk,
                "seasign": version("seasign"),
            }
            chunks = _taken_up(folder, {**provenance, "landmarks": landmarks, "fingerprint": _fingerprint(video)})
            done = sum(len(np.load(path, mmap_mode="r")) for path in chunks)
            pictures = islice(pictures, done, None)
            while True:
                rows = []
                for row in estimator.estimate(islice(pictures, chunk), corner, len(landmarks)):
                    rows.append(row)
                    done += 1
                    if progress is not None:
                        progress(done, total)
                if not rows:
                    break
                chunks.append(folder / f"chunk-{len(chunks):06}.npy")
                with replacing(chunks[-1]) as temporary:
                    np.save(temporary, np.stack(rows))
        xyz, confidence = _joined(folder, chunks, (done, len(landmarks)))
        if not confidence.any():
            raise InputError(f"{video}: no person in any of {done} frames; see whether the crop shows the signer")
    poses = Poses(xyz, confidence, about.fps, landmarks, provenance)
    warn_of_gaps(video, poses)
    return poses


def check_estimator(python: Path | None = None, worker: Path = HOLISTIC) -> dict[str, Any]:
    """Start the worker, and return what it says of itself.

    Raises:
        ModuleNotFoundError: No interpreter with MediaPipe, or it lacks something; the message is the remedy.
        ChildProcessError: The worker died or is silent; the message ends with its last words.
    """
    interpreter = find_interpreter(python)
    with _workplace(None) as folder, _Worker(worker, interpreter, _settings(), folder / LOG) as estimator:
        return estimator.hello()


def find_interpreter(python: Path | None = None) -> Path:
    """The Python that estimates: `python`, else SEASIGN_POSE_PYTHON of the environment, else this one.

    Raises:
        ModuleNotFoundError: None is given and this one has no mediapipe; the message says what to do.
    """
    if chosen := python or os.environ.get("SEASIGN_POSE_PYTHON"):
        return Path(chosen)
    if find_spec("mediapipe"):
        return Path(sys.executable)
    raise ModuleNotFoundError(remedy())


def remedy() -> str:
    """What to do where MediaPipe is missing."""
    running = ".".join(map(str, sys.version_info[:2]))
    new = sys.version_info[:2] > LATEST
    here = f"which this Python {running} is too new for" if new else 'pip install "seasign[pose]"'
    return (
        f"estimating poses needs mediapipe under Python 3.11 or 3.12: {here}, "
        "or point SEASIGN_POSE_PYTHON to a Python that has mediapipe==0.10.21"
    )


def _settings(complexity: int = 1, static: bool = False) -> dict[str, object]:
    """MediaPipe's own."""
    return {
        "model_complexity": complexity,
        "refine_face_landmarks": True,
        "smooth_landmarks": False,
        "static_image_mode": static,
    }


@contextmanager
def _workplace(scratch: Path | None) -> Iterator[Path]:
    """A folder to work in. It goes after an error if nothing was begun in it, or if the video itself is at fault:
    another run would end the same way.
    """
    with nullcontext(scratch) if scratch else TemporaryDirectory("-seasign", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield folder
        except InputError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        except BaseException:
            if not (folder / MANIFEST).exists():
                (folder / LOG).unlink(missing_ok=True)
                with suppress(OSError):  # of other things in it
                    folder.rmdir()
            raise


class _Worker:
    """Our end of the protocol: a process that lives as long as the `with` block."""

    def __init__(self, script: Path, python: Path, settings: Mapping[str, object], log: Path) -> None:
        self.name = f"{script.name} under {python}"
        self.log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [python, script, json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, "GLOG_minloglevel": "3", "TF_CPP_MIN_LOG_LEVEL": "3"},
                start_new_session=True,  # an interrupt from the keyboard reaches us alone
            )

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def hello(self) -> dict[str, Any]:
        """What the worker says of itself.

        Raises:
            ModuleNotFoundError: It lacks something that can be installed.
            ChildProcessError: It cannot do what the settings ask.
        """
        assert self.process.stdout is not None
        began, patience = monotonic(), Timer(HELLO, self.process.kill)
        patience.start()
        line = self.process.stdout.readline()
        patience.cancel()
        if not line and monotonic() - began >= HELLO:
            raise ChildProcessError(f"{self.name}: has said nothing for {HELLO} s; is that a Python?")
        if not line:
            self._died()
        try:
            hello: dict[str, Any] = dict(json.loads(line))
        except (ValueError, TypeError):
            raise ChildProcessError(f"{self.name}: says {line[:60]!r}, no hello; is that a Python?") from None
        if "missing" in hello:
            raise ModuleNotFoundError(f"{self.name}: {hello['missing']}; {remedy()}")
        if "refused" in hello:
            raise ChildProcessError(f"{self.name}: {hello['refused']}")
        return hello

    def estimate(
        self, pictures: Iterable[UInt8[np.ndarray, "height width 3"]], corner: tuple[int, int], landmarks: int
    ) -> Iterator[Float32[np.ndarray, "landmarks 4"]]:
        """Yield x, y, z and confidence for every picture, the tracker starting anew; a repeated one costs nothing.

        While the worker is busy with one picture the next is decoded.
        """
        previous, owed = None, 0  # the picture on its way, and how often its landmarks are due
        for picture in pictures:
            if picture is not previous:
                self._send(picture, previous is None, corner)
                yield from self._received(landmarks, owed)
                previous, owed = picture, 0
            owed += 1
        yield from self._received(landmarks, owed)

    def _send(self, picture: UInt8[np.ndarray, "height width 3"], restart: bool, corner: tuple[int, int]) -> None:
        height, width = picture.shape[:2]
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(HEADER.pack(restart, width, height, *corner))
            self.process.stdin.write(picture.data)
            self.process.stdin.flush()
        except BrokenPipeError:
            self._died()

    def _received(self, landmarks: int, times: int) -> Iterator[Float32[np.ndarray, "landmarks 4"]]:
        """The landmarks of the picture sent last but one, or last, as often as it is shown."""
        if times:
            assert self.process.stdout is not None
            answer = self.process.stdout.read(landmarks * 16)
            if len(answer) < landmarks * 16:
                self._died()
            row = np.frombuffer(answer, "<f4").reshape(landmarks, 4)
            yield from [row] * times

    def _died(self) -> NoReturn:
        code = self.process.wait()
        words = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        raise ChildProcessError(f"{self.name}: stopped with exit code {code}: {words[-1] if words else 'no word why'}")


def _fingerprint(video: Path) -> str:
    """A hash of the first and the last megabyte: another file of the same name and size has another one."""
    with video.open("rb") as file:
        digest = hashlib.sha256(file.read(1 << 20))
        file.seek(max(0, video.stat().st_size - (1 << 20)))
        digest.update(file.read())
    return digest.hexdigest()


def _taken_up(folder: Path, manifest: Mapping[str, object]) -> list[Path]:
    """The finished chunks of an earlier run that was the same in all of `manifest`; any other's are removed."""
    note = folder / MANIFEST
    text = json.dumps(manifest, indent=1)
    chunks = sorted(folder.glob("chunk-*.npy"))
    if not note.exists() or note.read_text() != text:
        for path in chunks:
            path.unlink()
        write_text(note, text)
        return []
    return chunks


def _take_room(path: Path) -> None:
    """Make sure that the disk has room for a file whose end is set: writing through a map would end the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None


def _joined(
    folder: Path, chunks: Sequence[Path], shape: tuple[int, int]
) -> tuple[Float32[np.ndarray, "frames landmarks 3"], Float32[np.ndarray, "frames landmarks"]]:
    """All chunks as two arrays which are files in `folder`."""
    xyz_path, confidence_path = folder / "xyz.npy", folder / "confidence.npy"
    for path in (xyz_path, confidence_path):
        path.unlink(missing_ok=True)  # never truncated: the arrays of an earlier call may still be in use
    xyz = np.lib.format.open_memmap(xyz_path, "w+", np.float32, (*shape, 3))
    confidence = np.lib.format.open_memmap(confidence_path, "w+", np.float32, shape)
    for path in (xyz_path, confidence_path):
        _take_room(path)
    first = 0
    for path in chunks:
        block = np.load(path)
        rows = slice(first, first := first + len(block))
        seen = block[..., 3] > 0
        xyz[rows] = np.where(seen[..., None], block[..., :3], np.nan)
        confidence[rows] = np.where(seen, block[..., 3], 0)
    return xyz, confidence
