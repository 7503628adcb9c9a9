"""The networks of 2023 that tag signs and phrases: a bidirectional LSTM over what MediaPipe Holistic sees.

Source: Moryossef et al., Linguistically Motivated Sign Language Segmentation (Findings of EMNLP 2023), configurations
E1, E1s, E3, E4 and E4s, and sign-language-processing/segmentation @ 5abf908. The names of the tensors are those of that
code. Differs: poses are brought to the frame rate of the training, and keep their hips as in the training; the
published tool does neither (with pose-format from 0.9.0 on it hides the hips, which changes a quarter of the tags).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor, nn

from seasign.decoding import Decoder, SemiMarkov, Threshold
from seasign.models import features
from seasign.models.tensors import fit
from seasign.segmentation import Purpose
from seasign.types import InputError, Poses, Tags

INPUTS = {  # numbers per frame of the published networks -> which they are, and whether they take flow, turned hands
    225: ("E1, E1s", False, False),
    300: ("E3", True, False),
    468: ("E4, E4s", True, True),
}
CLASSES = "OBI"  # the order in which the heads say them
BIO = [CLASSES.index(letter) for letter in "BIO"]
LOSS = "_loss_function.weight"
CHUNK = 15_000  # frames that run at once: 10 minutes


@dataclass(frozen=True)
class Settings:
    """What such a network takes, and how large it is. The defaults are those of E1."""

    points: tuple[str, ...] = features.BODY + features.HANDS
    flow: bool = False  # the speed of every point is a fourth number of it
    hands: bool = False  # both hands once more, turned to face the viewer
    hips: Literal["keep", "zero"] = "keep"  # "zero": as the published tool and SEA ran them, not as they were trained
    fps: Fraction | None = Fraction(25)  # poses are brought to it; None: they stay, and tags are as the old tool's
    depth: int = 1  # layers
    width: int = 256  # numbers per frame between the layers, half for either direction
    weights: Mapping[str, tuple[float, float, float]] | None = None  # of B, I and O in the loss, of signs and phrases


class LogProbabilities(NamedTuple):
    """What a network says: ln P of B, I and O in that order, of signs and of phrases."""

    signs: Float[Tensor, "batch frames 3"]
    phrases: Float[Tensor, "batch frames 3"]


class BioTagger(nn.Module):
    """Linear -> LSTM in both directions -> one linear head for signs and one for phrases. It is a `Segmenter`.

    `settings` may be replaced for others that take as many numbers: other hips, another rate.
    """

    decoders: Mapping[Purpose, Decoder] = MappingProxyType(
        {
            "annotation": SemiMarkov(),
            "alignment": Threshold(0.3, 0.5),  # as SEA reads E4s
            "phrases": Threshold(0.9, 0.9),  # as the published tool
        }
    )

    def __init__(self, settings: Settings = Settings()):
        super().__init__()
        self.settings = settings
        points = len(settings.points) + settings.hands * len(features.HANDS)
        self.pose_projection = nn.Linear(points * (3 + settings.flow), settings.width)
        self.encoder = nn.LSTM(
            settings.width, settings.width // 2, settings.depth, batch_first=True, bidirectional=True
        )
        self.sign_bio_head = nn.Linear(settings.width, 3)
        self.sentence_bio_head = nn.Linear(settings.width, 3)

    def forward(
        self, frames: Float[Tensor, "batch frames features"], lengths: Int[Tensor, "batch"] | None = None
    ) -> LogProbabilities:
        """Tag a batch of what `prepare` gives.

        Args:
            lengths: How many frames of each are no padding; what is said of padding means nothing. None: all.
        """
        projected = self.pose_projection(frames)
        if lengths is None:
            return self._heads(self.encoder(projected)[0])
        packed = nn.utils.rnn.pack_padded_sequence(projected, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states = nn.utils.rnn.pad_packed_sequence(
            self.encoder(packed)[0], batch_first=True, total_length=frames.shape[1]
        )
        return self._heads(states[0])

    def _heads(self, states: Float[Tensor, "batch frames width"]) -> LogProbabilities:
        return LogProbabilities(
            *(head(states).log_softmax(-1)[..., BIO] for head in (self.sign_bio_head, self.sentence_bio_head))
        )

    def prepare(self, poses: Poses) -> Float32[np.ndarray, "frames features"]:
        """What the network sees: per point x, y, z and perhaps flow, at the rate of the settings; 0 where missing.

        As in training: points are measured by the shoulders, legs are hidden and only then comes the rate; flow and
        hands are those of the frames that remain.

        Raises:
            InputError: There are no frames, a landmark is not there, or no frame shows both shoulders or any hand.
        """
        settings = self.settings
        poses = features.normalize_shoulders(features.select(poses, settings.points))
        poses = features.hide(poses, features.LEGS + (features.HIPS if settings.hips == "zero" else ()))
        poses = features.resample(poses, settings.fps or poses.fps)
        hands = [features.turn_hand(poses, side) for side in features.SIDES] if settings.hands else []
        seen = np.empty(
            (len(poses.xyz), self.pose_projection.in_features // (3 + settings.flow), 3 + settings.flow), np.float32
        )
        np.concatenate([poses.xyz, *hands], axis=1, out=seen[..., :3])
        if settings.flow:
            seen[..., 3] = features.flow(seen[..., :3], poses.fps)
        flat: Float32[np.ndarray, "frames features"] = np.nan_to_num(seen.reshape(len(seen), -1), copy=False)
        return flat

    @torch.inference_mode()
    def tag(self, poses: Poses) -> Tags:
        """Tag every frame at the rate of the settings. Files of any length are one sequence, in bounded memory.

        Raises:
            InputError: As `prepare`.
        """
        with _one_thread():
            frames = torch.from_numpy(self.prepare(poses)).to(self.pose_projection.weight.device)
            signs, phrases = (
                log[0].double().exp().cpu().numpy()
                for log in self._heads(self._states(self.pose_projection(frames))[None])
            )
        return Tags(signs, phrases, self.settings.fps or poses.fps)

    def _states(self, frames: Float[Tensor, "frames width"]) -> Float[Tensor, "frames width"]:
        """What the LSTM makes of one long sequence, chunk by chunk: as in one pass, since the states are carried on."""
        half = self.settings.width // 2
        weights = iter(self.encoder.all_weights)
        for _ in range(self.settings.depth):
            states = torch.empty_like(frames)
            for backwards in False, True:
                own: list[Tensor] = [*next(weights)]
                state = frames.new_zeros(2, 1, 1, half).unbind()
                columns = slice(half, None) if backwards else slice(half)
                starts = range(0, len(frames), CHUNK)
                for start in reversed(starts) if backwards else starts:
                    rows = slice(start, start + CHUNK)
                    chunk = frames[rows].flip(0) if backwards else frames[rows]
                    said, *end = torch.lstm(chunk[None], state, own, True, 1, 0.0, False, False, True)
                    state = tuple(end)
                    states[rows, columns] = said[0].flip(0) if backwards else said[0]
            frames = states
        return frames

    @property
    def config(self) -> dict[str, Any]:
        """The settings as a checkpoint keeps them, beside the tensors of `state_dict`."""
        settings = self.settings
        return {"model": "bio-tagger"} | asdict(settings) | {"fps": settings.fps and str(settings.fps)}

    @classmethod
    def from_checkpoint(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "BioTagger":
        """The network that a config and its tensors make; with a config that names no points, one as published.

        The weights of the loss are no tensors of the network: published files that have them among theirs, or beside
        them as `sign_loss_weight` and `sentence_loss_weight`, have them in `settings` afterwards.

        Raises:
            InputError: A setting is missing or not what it should be, the tensors are not those that the settings ask
                for, or the network takes as many numbers per frame as none of the published ones does.
        """
        if "points" not in config:
            try:
                config = {**_infer(config, tensors), **config}
            except InputError:
                raise
            except (KeyError, ValueError, TypeError, IndexError) as error:
                raise InputError(f"its config and tensors are of no network of 2023 ({error})") from None
        tagger = cls(_settings(config))
        own = {name: tensor for name, tensor in tensors.items() if not name.endswith(LOSS)}
        return fit(tagger, own, "the settings (points, flow, hands, depth, width) ask for")


def _infer(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The config of a published network."""
    width, size = tensors["pose_projection.weight"].shape
    if size not in INPUTS:
        known = ", ".join(f"{size} ({name})" for size, (name, *_) in INPUTS.items())
        raise InputError(
            f"the network takes {size} numbers per frame; known are {known}: name its points in the config"
        )
    _, flow, hands = INPUTS[size]
    depth = sum(name.startswith("encoder.weight_ih") and not name.endswith("_reverse") for name in tensors)
    weights = {}
    for name, head in ("signs", "sign"), ("phrases", "sentence"):
        told = json.loads(config.get(f"{head}_loss_weight", "null"))
        if (weight := tensors.get(f"{head}{LOSS}", told)) is not None:
            weights[name] = [float(weight[column]) for column in BIO]
    return {**BioTagger(Settings(flow=flow, hands=hands, depth=depth, width=width)).config, "weights": weights or None}


def _settings(config: Mapping[str, Any]) -> Settings:
    """Settings as `BioTagger.config` wrote them.

    Raises:
        InputError: One is missing, or not what it should be.
    """
    given: dict[str, Any] = {}
    for name, (words, fits) in EXPECTED.items():
        if name not in config:
            raise InputError(f"the config has no {name!r}; it should be {words}")
        if not fits(config[name]):
            raise InputError(f"the config says that {name!r} is {config[name]!r}; it should be {words}")
        given[name] = config[name]
    needed = features.SHOULDERS + (features.HANDS if given["hands"] else ())
    if missing := [name for name in needed if name not in given["points"]]:
        raise InputError(f"the config names no {missing[0]} among its points, and the network needs it")
    return Settings(
        **given
        | {
            "points": tuple(given["points"]),
            "fps": given["fps"] and Fraction(given["fps"]),
            "weights": given["weights"] and {name: tuple(row) for name, row in given["weights"].items()},
        }
    )


def _is_rate(value: object) -> bool:
    try:
        return value is None or (isinstance(value, str | int) and Fraction(value) > 0)
    except (ValueError, ZeroDivisionError):
        return False


def _is_weights(value: object) -> bool:
    return value is None or (
        isinstance(value, Mapping)
        and value.keys() <= {"signs", "phrases"}
        and all(
            isinstance(row, list | tuple) and len(row) == 3 and all(isinstance(n, int | float) and n > 0 for n in row)
            for row in value.values()
        )
    )


EXPECTED: Mapping[str, tuple[str, Callable[[Any], bool]]] = {  # settings in a config: what they should be
    "points": ("a list of landmarks", lambda it: isinstance(it, list | tuple) and all(isinstance(n, str) for n in it)),
    "flow": ("true or false", lambda it: isinstance(it, bool)),
    "hands": ("true or false", lambda it: isinstance(it, bool)),
    "hips": ('"keep" or "zero"', lambda it: it in ("keep", "zero")),
    "fps": ('a rate such as "25" or "30000/1001", or null', _is_rate),
    "depth": ("a whole number from 1 on", lambda it: type(it) is int and it > 0),
    "width": ("an even number from 2 on", lambda it: type(it) is int and it > 0 and it % 2 == 0),
    "weights": ("null, or three numbers for signs and three for phrases", _is_weights),
}


@contextmanager
def _one_thread() -> Iterator[None]:
    """The steps of an LSTM are too small to share: a second thread makes them no faster."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
