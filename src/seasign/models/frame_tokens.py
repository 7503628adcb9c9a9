"""Poses -> tokens that an encoder of sentences reads: whatever gives every frame, or window of frames, a vector.

Three networks do: the graph network of Sigma over parts of the body, SignCLIP's video tower, and CSLR2's encoder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from math import ceil
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor, nn

from seasign.models import cslr2, cslr2_embedder, pose_encoder, signclip, signclip_embedder
from seasign.models.body_parts import PARTS, parts_of
from seasign.models.features import LEGS, SHOULDERS, check_unit, hide, measure, normalize_shoulders, select
from seasign.types import InputError, Poses

Looked = Mapping[str, Float32[np.ndarray, "_ ..."]]  # what a network looks at, as many frames of each
Tokens = tuple[Float[Tensor, "clips tokens width"], Bool[Tensor, "clips tokens"]]  # the second says which are


@runtime_checkable
class FrameTokens(Protocol):
    """A `torch.nn.Module` that gives tokens."""

    @property
    def width(self) -> int:
        """Numbers of a token."""

    @property
    def config(self) -> dict[str, Any]:
        """What `make` makes it of."""

    @property
    def landmarks(self) -> Sequence[str]:
        """At which it looks, in whatever layouts it takes."""

    @property
    def windows(self) -> tuple[int, int] | None:
        """Frames of a window, and from one to the next; None: each frame has a token, whatever is beside it."""

    def look(self, poses: Poses) -> Looked:
        """What it looks at in poses; InputError where they have not what it needs."""

    def __call__(self, looked: Mapping[str, Tensor], there: Bool[Tensor, "clips frames"]) -> Tokens:
        """The tokens of clips; what is not `there` is padding, and changes nothing."""


class PartTokens(nn.Module):
    """A token per frame, of the parts of the body: the published way."""

    windows = None

    def __init__(self, shape: pose_encoder.Shape, *, recompute: bool = False) -> None:
        super().__init__()
        self.encoder = pose_encoder.PoseEncoder(shape, recompute=recompute)

    @property
    def width(self) -> int:
        """Numbers of a token."""
        return self.encoder.shape.features

    @property
    def config(self) -> dict[str, Any]:
        """What `make` makes it of."""
        return {"kind": "parts", "shape": asdict(self.encoder.shape)}

    @property
    def landmarks(self) -> Sequence[str]:
        """At which it looks."""
        return tuple(name for joints in PARTS.values() for pair in joints.items() for name in pair)

    def look(self, poses: Poses) -> Looked:
        """As `body_parts.parts_of`."""
        return parts_of(poses)

    def forward(self, looked: Mapping[str, Tensor], there: Bool[Tensor, "clips frames"]) -> Tokens:
        """One per frame."""
        return self.encoder(looked, there), there


class SignClipTokens(nn.Module):
    """A token per frame: the last states of SignCLIP's video tower, before they are averaged."""

    windows = None

    def __init__(self, network: signclip.SignClip) -> None:
        super().__init__()
        self.network = network
        del network.text_encoder
        if network.shape.projection:
            del network.video_projection, network.text_projection
        network.requires_grad_(True)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(".pooler." not in name)

    @property
    def width(self) -> int:
        """Numbers of a token."""
        return self.network.shape.hidden

    @property
    def config(self) -> dict[str, Any]:
        """What `make` makes it of."""
        return {"kind": "signclip", "shape": asdict(self.network.shape), "inputs": asdict(self.network.inputs)}

    @property
    def landmarks(self) -> Sequence[str]:
        """At which it looks."""
        return (*self.network.inputs.landmarks, *SHOULDERS)

    def look(self, poses: Poses) -> Looked:
        """Its landmarks in shoulder widths, as `training.signclip` prepares them; 0 where one is not seen."""
        names = self.network.inputs.landmarks
        chosen = hide(select(poses, list(dict.fromkeys((*names, *SHOULDERS)))), LEGS)
        body = measure(chosen.xyz, chosen.landmarks)
        check_unit(chosen.xyz, body)
        chosen = normalize_shoulders(chosen)
        xyz = chosen.xyz[:, [chosen.landmarks.index(name) for name in names]]
        return {"frames": np.nan_to_num(xyz).reshape(len(xyz), -1)}

    def forward(self, looked: Mapping[str, Tensor], there: Bool[Tensor, "clips frames"]) -> Tokens:
        """One per frame."""
        frames, most = looked["frames"], self.network.inputs.max_frames
        if frames.shape[1] > most:
            raise InputError(f"clips of {frames.shape[1]} frames, where this SignCLIP takes {most}: lower `frames`")
        return self.network.states(frames, there)[:, :-1], there


class Cslr2Tokens(nn.Module):
    """A token per window of frames: what CSLR2's encoder makes of poses."""

    def __init__(self, network: cslr2.Cslr2) -> None:
        super().__init__()
        if not network.inputs.landmarks:
            raise InputError("this CSLR2 looks at features of pictures: give one that was trained on poses")
        self.network = network
        for name in ("video_sequence_ll", "video_token_ll", "text_sentence_ll", "text_word_ll"):
            delattr(network, name)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(".generator." not in name)

    @property
    def width(self) -> int:
        """Numbers of a token."""
        return self.network.shape.features

    @property
    def config(self) -> dict[str, Any]:
        """What `make` makes it of."""
        inputs = asdict(self.network.inputs) | {"fps": str(self.network.inputs.fps)}
        return {"kind": "cslr2", "shape": asdict(self.network.shape), "inputs": inputs}

    @property
    def windows(self) -> tuple[int, int]:
        """Frames of a window, and from one to the next."""
        return self.network.inputs.window, self.network.inputs.stride

    @property
    def landmarks(self) -> Sequence[str]:
        """At which it looks."""
        return self.network.inputs.landmarks

    def look(self, poses: Poses) -> Looked:
        """As `cslr2_embedder.frames_of`; what is shorter than a window keeps its last frame for as long."""
        inputs = self.network.inputs
        lacking = ceil(inputs.window * poses.fps / inputs.fps) + 1 - len(poses.xyz)
        if lacking > 0 and len(poses.xyz):
            xyz, confidence = (np.concatenate((one, *[one[-1:]] * lacking)) for one in (poses.xyz, poses.confidence))
            poses = replace(poses, xyz=xyz, confidence=confidence)
        return {"frames": cslr2_embedder.frames_of(poses, inputs)}

    def forward(self, looked: Mapping[str, Tensor], there: Bool[Tensor, "clips frames"]) -> Tokens:
        """One per window that is all `there`."""
        window, stride = self.windows
        features = self.network.pose_windows(looked["frames"])
        count = (there.sum(dim=1) - window) // stride + 1
        seen = torch.arange(features.shape[1], device=there.device) < count[:, None]
        return self.network.video_encoder(features, seen)[:, 1:], seen


def thin(
    tokens: Float[Tensor, "clips tokens width"], there: Bool[Tensor, "clips tokens"], most: int
) -> tuple[Float[Tensor, "clips chosen width"], Bool[Tensor, "clips chosen"]]:
    """Of clips with more tokens some, evenly over each; those that are not there stand at the end."""
    if there.shape[1] <= most:
        return tokens, there
    step = (there.sum(dim=1, keepdim=True) - 1).clamp(min=most - 1) / max(most - 1, 1)
    chosen = (torch.arange(most, device=there.device) * step).round().long()
    return tokens.gather(1, chosen[..., None].expand(-1, -1, tokens.shape[2])), there.gather(1, chosen)


def make(config: Mapping[str, Any], *, recompute: bool = False) -> PartTokens | SignClipTokens | Cslr2Tokens:
    """What a config describes, with weights that are yet to be set.

    Raises:
        InputError: It describes none of these.
    """
    try:
        kind, shape = config["kind"], {**config["shape"]}
        if kind not in ("parts", "signclip", "cslr2"):
            raise InputError(f"its frames are seen by {kind!r:.40}; known are parts, signclip, cslr2")
        if kind == "parts":
            spatial = tuple(shape.pop("spatial"))
            return PartTokens(pose_encoder.Shape(spatial=spatial, **shape), recompute=recompute)
        inputs = {**config["inputs"]}
        inputs["landmarks"] = tuple(inputs["landmarks"])
        if kind == "signclip":
            for name in ("separators", "tags"):
                inputs[name] = tuple(inputs[name])
            own = signclip_embedder.Inputs(**inputs)
            return SignClipTokens(signclip.SignClip(signclip.Shape(**shape), own))
        inputs["fps"], inputs["taught"] = Fraction(inputs["fps"]), tuple(inputs.get("taught", ()))
        return Cslr2Tokens(cslr2.Cslr2(cslr2.Shape(**shape), cslr2_embedder.Inputs(**inputs)))
    except InputError:
        raise
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"its frames are seen by nothing that is known ({error})") from None
