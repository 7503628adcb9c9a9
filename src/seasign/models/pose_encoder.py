"""Parts of a body -> a vector per frame: graph networks over joints, the one encoder of poses for all that need one.

Every part goes through units over its joints, frame by frame; then the hands and the face get what the network knows of
the joint of the body on which they hang, and go through units over joints and neighbouring frames; at last joints are
averaged and parts put side by side. Both hands share all weights.

Source: Sigma (arXiv:2509.21223) and Uni-Sign (Li et al. 2025), code @ 91cae80, whose names the tensors have. Differs:
clips are packed, frame after frame with a gap between two, so that padding is neither computed nor seen; the released
code computes it, and lets it into the frames before it and into the statistics of a batch. These are of both hands
together, where the released code takes those of one after the other.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from seasign.models.body_parts import ANCHORS, PARTS, adjacency

KEYS = {
    "body": "body",
    "left": "right",
    "right": "right",
    "face": "face_all",
}  # whose weights, as checkpoints name them
CHUNK = 512  # frames that are computed at once where nothing is learned: what a processor's cache holds

HANDS = ("left", "right")

Tensors = Mapping[str, Float[Tensor, "clips frames _ 3"]]  # part -> x, y, score of its joints
Packed = Mapping[str, Float[Tensor, "frames _ 3"]]


@dataclass(frozen=True)
class Shape:
    """What the tensors of an encoder are like. The defaults are the published ones."""

    joint: int = 64  # numbers of a joint before the first unit
    spatial: tuple[int, ...] = (64, 128, 256)  # after each unit over joints
    temporal: int = 3  # units over joints and frames, as wide as the last of those
    kernel: int = 5  # frames that such a unit looks at; odd
    features: int = 768  # of a frame, at last


class PoseEncoder(nn.Module):
    """The encoder. With `recompute`, training keeps what goes into every unit and computes the rest again on the way
    back: a third of the memory, a third more time."""

    def __init__(self, shape: Shape = Shape(), *, recompute: bool = False):
        super().__init__()
        self.shape, self.recompute = shape, recompute
        width = shape.spatial[-1]
        graphs = {key: torch.tensor(adjacency(part), dtype=torch.float32) for part, key in KEYS.items()}
        self.proj_linear = nn.ModuleDict({key: nn.Linear(3, shape.joint) for key in graphs})
        widths = list(pairwise((shape.joint, *shape.spatial)))
        self.gcn_modules, self.fusion_gcn_modules = nn.ModuleDict(), nn.ModuleDict()
        for key, graph in graphs.items():
            spatial = [(f"layer{number}_0", Unit(*pair, graph)) for number, pair in enumerate(widths)]
            temporal = [(f"layer0_{n}", Unit(width, width, graph, shape.kernel)) for n in range(shape.temporal)]
            self.gcn_modules[key] = nn.Sequential(OrderedDict(spatial))
            self.fusion_gcn_modules[key] = nn.Sequential(OrderedDict(temporal))
        self.part_para = nn.Parameter(torch.zeros(len(PARTS) * width))
        self.pose_proj = nn.Linear(len(PARTS) * width, shape.features)

    def forward(
        self, parts: Tensors, there: Bool[Tensor, "clips frames"] | None = None
    ) -> Float[Tensor, "clips frames features"]:
        """A vector per frame; 0 where there is none.

        Args:
            there: Which frames are, of a clip the first ones; the rest is padding, whatever it holds. None: all are.
        """
        clips, frames = parts["body"].shape[:2]
        if there is None:
            there = torch.ones(clips, frames, dtype=torch.bool, device=self.part_para.device)
        clip = there.nonzero()[:, 0]
        found = self._packed({part: parts[part][there].to(self.part_para) for part in PARTS}, clip)
        padded: Float[Tensor, "clips frames features"] = found.new_zeros(clips, frames, found.shape[1])
        return padded.masked_scatter(there[..., None], found)

    def _packed(self, parts: Packed, clip: Int[Tensor, " frames"]) -> Float[Tensor, "frames features"]:
        """Frames of all clips on end; in chunks, and some frames around each, where nothing is learned from them."""
        if not len(clip):
            return self.part_para.new_zeros(0, self.shape.features)
        if torch.is_grad_enabled() or self.training or len(clip) <= CHUNK:
            return self._run(parts, clip)
        around = self.shape.temporal * (self.shape.kernel // 2)
        chunks = []
        for first in range(0, len(clip), CHUNK):
            rows = slice(max(0, first - around), first + CHUNK + around)
            chunk = self._run({part: points[rows] for part, points in parts.items()}, clip[rows])
            chunks.append(chunk[first - rows.start :][:CHUNK])
        return torch.cat(chunks)

    def _run(self, parts: Packed, clip: Int[Tensor, " frames"]) -> Float[Tensor, "frames features"]:
        at = _apart(clip, self.shape.kernel // 2)
        together = {
            "body": parts["body"][None],
            "right": torch.stack([parts[hand] for hand in HANDS]),
            "face_all": parts["face"][None],
        }
        x = {key: self._through(self.gcn_modules[key], self.proj_linear[key](own)) for key, own in together.items()}
        held = x["body"][0].detach()
        x["right"] = x["right"] + torch.stack([held[:, [ANCHORS[hand]]] for hand in HANDS])
        x["face_all"] = x["face_all"] + held[:, [ANCHORS["face"]]]
        pooled = [self._through(self.fusion_gcn_modules[key], own, at).mean(dim=2) for key, own in x.items()]
        found: Float[Tensor, "frames features"] = self.pose_proj(
            torch.cat([*torch.cat(pooled)], dim=1) + self.part_para
        )
        return found

    def _through(
        self, units: nn.Module, x: Float[Tensor, "same frames joints before"], at: Int[Tensor, " frames"] | None = None
    ) -> Float[Tensor, "same frames joints after"]:
        for unit in units.children():
            if self.recompute and torch.is_grad_enabled():
                x = checkpoint(unit, x, at, use_reentrant=False, context_fn=partial(_contexts, unit))
            else:
                x = unit(x, at)
        return x


def stack(
    looked: Sequence[Mapping[str, Float32[np.ndarray, "_ ..."]]],
) -> tuple[dict[str, Tensor], Bool[Tensor, "clips frames"]]:
    """Clips filled up with 0 at the end, and which of their frames are there."""
    lengths = torch.tensor([len(next(iter(clip.values()))) for clip in looked])
    filled = {
        part: nn.utils.rnn.pad_sequence([torch.from_numpy(clip[part]) for clip in looked], batch_first=True)
        for part in looked[0]
    }
    return filled, torch.arange(int(lengths.max())) < lengths[:, None]


class Norm(nn.BatchNorm2d):
    """A batch norm over the last axis. Where nothing is learned it is part of the map before it."""

    def after(
        self, mapped: Callable[[Tensor, Tensor], Tensor], weight: Float[Tensor, "width ..."], bias: Float[Tensor, "..."]
    ) -> Float[Tensor, "same frames joints width"]:
        """What the map makes with its weight and its bias, normalized."""
        mean, variance = cast(Tensor, self.running_mean), cast(Tensor, self.running_var)
        if self.training:
            x = mapped(weight, bias)
            momentum = cast(float, self.momentum)
            rows = functional.batch_norm(
                x.flatten(0, 2), mean, variance, self.weight, self.bias, True, momentum, self.eps
            )
            return rows.view(x.shape)
        scale = self.weight * (variance + self.eps).rsqrt()
        return mapped(weight * scale.view(-1, *[1] * (weight.ndim - 1)), (bias - mean) * scale + self.bias)


class Mapped(nn.Sequential):
    """A map of every joint, of the frames around it too if there is a kernel, and the norm after it."""

    def __init__(self, before: int, after: int, kernel: int = 1):
        super().__init__(nn.Conv2d(before, after, (kernel, 1), padding=(kernel // 2, 0)), Norm(after))

    def forward(
        self, x: Float[Tensor, "same frames joints before"], at: Int[Tensor, " frames"] | None = None
    ) -> Float[Tensor, "same frames joints after"]:
        """Clips stand apart when their frames have places `at`."""
        conv, norm = cast(tuple[nn.Conv2d, Norm], tuple(self))
        if at is not None:
            x = x.new_zeros(len(x), int(at[-1]) + 1, *x.shape[2:]).index_copy(1, at, x)

        def mapped(weight: Tensor, bias: Tensor) -> Tensor:
            y = functional.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=conv.padding).permute(0, 2, 3, 1)
            return y.contiguous() if at is None else y.index_select(1, at)

        return norm.after(mapped, conv.weight, cast(Tensor, conv.bias))


class Graph(nn.Module):
    """Joints look at themselves and at their neighbours, by as much as is learned."""

    def __init__(self, before: int, after: int, graph: Float[Tensor, "hops joints joints"]):
        super().__init__()
        self.A = nn.Parameter(graph.clone())
        self.conv = nn.Conv2d(before, len(graph) * after, 1)
        self.bn = Norm(after)

    def forward(self, x: Float[Tensor, "same frames joints before"]) -> Float[Tensor, "same frames joints after"]:
        """sum_k A_k^T (x W_k + b_k). Joints are mixed first, so that all hops are one map of twice the width."""
        hops, joints, _ = self.A.shape
        mixing = self.A.permute(2, 0, 1).reshape(joints * hops, joints)
        mixed = torch.bmm(mixing.expand(x.shape[0] * x.shape[1], -1, -1), x.flatten(0, 1)).view(*x.shape[:3], -1)
        weight = self.conv.weight.view(hops, -1, x.shape[3]).transpose(0, 1).flatten(1)
        bias = self.A.sum(dim=1).T @ cast(Tensor, self.conv.bias).view(hops, -1)
        return self.bn.after(lambda w, b: functional.linear(mixed, w).add_(b), weight, bias).relu_()


class Unit(nn.Module):
    """Over joints, then, if there is a kernel, over frames; and the way around both."""

    def __init__(self, before: int, after: int, graph: Float[Tensor, "hops joints joints"], kernel: int = 1):
        super().__init__()
        self.gcn = Graph(before, after, graph)
        self.tcn = Mapped(after, after, kernel) if kernel > 1 else None
        self.residual = Mapped(before, after) if before != after else None

    def forward(
        self, x: Float[Tensor, "same frames joints before"], at: Int[Tensor, " frames"] | None = None
    ) -> Float[Tensor, "same frames joints after"]:
        """One unit; `at` as `_apart` says."""
        new = self.gcn(x) if self.tcn is None else self.tcn(self.gcn(x), at)
        out: Float[Tensor, "same frames joints after"] = new + (x if self.residual is None else self.residual(x))
        return out.relu_()


def _apart(clip: Int[Tensor, " frames"], gap: int) -> Int[Tensor, " frames"] | None:
    """Where frames stand when there is a gap between clips; None: there is one clip."""
    after = (clip.diff() != 0).cumsum(0)
    if not len(after) or not after[-1]:
        return None
    return torch.arange(len(clip), device=clip.device) + gap * functional.pad(after, (1, 0))


def _contexts(unit: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Around the first time that a unit is computed, and around the second, which is not to count in its statistics."""
    return nullcontext(), _uncounted(unit)


@contextmanager
def _uncounted(unit: nn.Module) -> Iterator[None]:
    norms = [(module, module.momentum) for module in unit.modules() if isinstance(module, Norm)]
    for norm, _ in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:  # torch leaves by an exception as soon as it has what it needs
        for norm, momentum in norms:
            norm.momentum = momentum
