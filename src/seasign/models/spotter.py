"""Spotters: does this sign occur in that signing, and where?

The published one reads query and sentence together and says whether; ours has the same tokens, compares those of the
two, and says where, frame by frame. Both are one network of another `Shape`.

Source: "Pose-Based Sign Language Spotting" (arXiv:2512.08738). No code and no sizes were published: layers, kernels and
widths are our choice, and so is all that the paper leaves open, as said below.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn

from seasign.models.features import HANDS
from seasign.models.spotter_inputs import LANDMARKS, PUBLISHED, Inputs
from seasign.models.tensors import fit
from seasign.types import InputError, plain_values

DROPOUT = 0.1
TEMPERATURE = 0.07  # of cosines, as published
PHASES = 16  # of the query, that frames are compared with
TEMPI = (0.6, 0.8, 1.0, 1.25, 1.6)  # how many times as long as the query a sign is looked for
SHARE = 0.6  # of the query's length, over which frames are averaged before the greatest is taken


@dataclass(frozen=True)
class Shape:
    """What the tensors of a model are like. The defaults are the published spotter; its sizes are our choice."""

    points: int = len(LANDMARKS)
    convolution: Literal["2d", "1d"] = "2d"  # over the points x (x, y) of a frame, or over its numbers one by one
    channels: tuple[int, int, int] = (32, 64, 128)
    width: int = 256  # of a token
    layers: int = 4  # of the transformer over both; 0: there is none
    heads: int = 8
    inner: int = 1024
    longest: int = 1024  # tokens of query and sentence together, with two more
    times: int = 0  # layers of convolution in time, before both meet; 0 and no layers: there are no tokens
    head: Literal["presence", "contrast", "frames"] = (
        "presence"  # MLP; cosine of means; frames, and their greatest mean
    )
    compare: int = 0  # channels of what compares frames with phases of the query; 0: nothing does


class Seen(NamedTuple):
    """What a network makes of pairs."""

    presence: Float[Tensor, " pairs"]  # logit that the query is there
    frames: Float[Tensor, "pairs frames"] | None  # of every frame, that it is part of one; None: it does not say
    query: Float[Tensor, "pairs width"]  # means of the tokens, for a loss that contrasts pairs
    sentence: Float[Tensor, "pairs width"]


class Spotter(nn.Module):
    """Query and sentence, frames of both -> whether the one is in the other, and which frames it is."""

    def __init__(self, shape: Shape = Shape(), inputs: Inputs = PUBLISHED):
        super().__init__()
        if shape.head != "frames" and (shape.compare or not shape.layers):
            raise ValueError("a network that says whether needs layers, and compares no frames")
        if not (shape.compare or shape.layers):
            raise ValueError("a network that says where needs layers, or compares frames")
        if shape.layers and shape.width % shape.heads:
            raise ValueError(f"{shape.heads} heads do not divide a width of {shape.width}")
        self.shape, self.inputs = shape, inputs
        if shape.layers or shape.times:
            self.tokens = Tokens(shape)
        self.times = nn.ModuleList(Time(shape.width) for _ in range(shape.times))
        if shape.layers:
            self.encoder = Encoder(shape)
        if shape.compare:
            self.comparison = Comparison(shape)
        wide = shape.compare + (shape.width if shape.layers else 0)
        if shape.head == "contrast":
            last = nn.Linear(1, 1).requires_grad_(False)  # of a cosine
            nn.init.constant_(last.weight, 1 / TEMPERATURE)
            nn.init.zeros_(last.bias)
            self.head = nn.Sequential(last)
            return
        wide, inner = (wide, wide) if shape.head == "frames" else (2 * shape.width, shape.width)
        last = nn.Linear(inner, 1)
        if shape.compare:
            nn.init.zeros_(last.weight)  # at first a frame is worth what the comparison alone says
        self.head = nn.Sequential(nn.Linear(wide, inner), nn.GELU(), last)

    def forward(
        self,
        query: Float[Tensor, "pairs some points 2"],
        sentence: Float[Tensor, "pairs frames points 2"],
        lengths: Int[Tensor, "pairs 2"],
    ) -> Seen:
        """Whether, and where.

        Args:
            lengths: How many frames of the query and of the sentence there are; the rest is padding, and takes part in
                nothing: a batch equals its members.
        """
        sizes, both = lengths.T, (query, sentence)
        there = [
            torch.arange(frames.shape[1], device=frames.device) < size[:, None]
            for frames, size in zip(both, sizes, strict=True)
        ]
        tokens = [frames.flatten(2) for frames in both]
        if self.shape.layers or self.shape.times:
            tokens = [self.tokens(frames) * own[..., None] for frames, own in zip(both, there, strict=True)]
        for layer in self.times:
            tokens = [layer(some, own) for some, own in zip(tokens, there, strict=True)]
        found, prior, (asked, said) = [], 0.0, tokens
        if self.shape.layers:
            first, asked, said = self.encoder(*tokens, *there)
            found.append(said)
        if self.shape.compare:
            kinds = [both, tuple(tokens)] if self.shape.times else [both]
            compared, prior = self.comparison(kinds, sizes[0], there[1])
            found.append(compared)
        means = [
            (some * own[..., None]).sum(dim=1) / own.sum(dim=1, keepdim=True)
            for some, own in zip((asked, said), there, strict=True)
        ]
        if self.shape.head == "contrast":
            return Seen(self.head(nn.functional.cosine_similarity(*means)[:, None])[:, 0], None, *means)
        if self.shape.head == "presence":
            every = torch.cat((first[:, None], asked, said), dim=1)
            seen = torch.cat((torch.ones_like(there[0][:, :1]), *there), dim=1)
            pooled = every.masked_fill(~seen[..., None], -math.inf).amax(dim=1)
            return Seen(self.head(torch.cat((first, pooled), dim=1))[:, 0], None, *means)
        logits = self.head(torch.cat(found, dim=2))[..., 0] + prior
        return Seen(greatest(logits, there[1], SHARE * sizes[0]), logits, *means)

    @property
    def config(self) -> dict[str, Any]:
        """All that a checkpoint keeps beside the tensors of `state_dict`."""
        inputs = asdict(self.inputs) | {"fps": str(self.inputs.fps)}
        return plain_values({"model": "spotter", "shape": asdict(self.shape)} | inputs)

    @classmethod
    def from_checkpoint(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "Spotter":
        """The network that a config and its tensors make; what the config does not name is as published.

        Raises:
            InputError: A setting is not what it should be, or the tensors are not those of such a network.
        """
        try:
            settings = dict(config.get("shape", {}))
            if "channels" in settings:
                settings["channels"] = tuple(settings["channels"])
            named = {name: config[name] for name in Inputs.__dataclass_fields__ if name in config}
            named["fps"] = Fraction(named.get("fps", Inputs.fps))
            base, slope = named.get("calibration", (None, None))
            named["calibration"] = (math.nan, math.nan) if slope is None else (float(base), float(slope))
            with torch.device("meta"):
                model = cls(Shape(**settings), Inputs(**named))
        except (TypeError, ValueError, AssertionError, RuntimeError, ZeroDivisionError) as error:
            raise InputError(f"its settings make no spotter ({error})") from None
        return fit(model, tensors, "in this spotter it is")

    # Arrays in, arrays out: the `Network` of a `PoseSpotter`

    @torch.inference_mode()
    def frame_logits(
        self, query: Float32[np.ndarray, "some points 2"], frames: Float32[np.ndarray, "frames points 2"]
    ) -> Float32[np.ndarray, " frames"]:
        """How much every frame looks like part of the query's sign.

        A network that only says whether is asked of windows about as long as the query, and a frame gets the most that
        a window of it says.
        """
        if self.shape.head == "frames":
            logits = self._ask([(query, frames)]).frames
            assert logits is not None
            found: Float32[np.ndarray, " frames"] = logits[0].cpu().numpy()
            return found
        length = min(len(query), len(frames))
        starts = list(range(0, max(1, len(frames) - length + 1), max(1, length // 4)))
        seen = self._ask([(query, frames[start : start + length]) for start in starts]).presence.cpu().numpy()
        found = np.full(len(frames), seen.min(), np.float32)
        for start, logit in zip(starts, seen.tolist(), strict=True):
            np.maximum(found[start : start + length], logit, out=found[start : start + length])
        return found

    @torch.inference_mode()
    def presence_logit(
        self, query: Float32[np.ndarray, "some points 2"], frames: Float32[np.ndarray, "frames points 2"]
    ) -> float:
        """How much it looks as if the query's sign were there, anywhere."""
        return float(self._ask([(query, frames)]).presence[0])

    def _ask(self, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Seen:
        found: Seen = self(*(part.to(next(self.parameters()).device) for part in pad(pairs)))
        return found


def pad(
    pairs: Sequence[tuple[Float32[np.ndarray, "_ points 2"], Float32[np.ndarray, "_ points 2"]]],
) -> tuple[Float[Tensor, "pairs some points 2"], Float[Tensor, "pairs frames points 2"], Int[Tensor, "pairs 2"]]:
    """Queries side by side, sentences side by side, and the lengths of both."""
    both = [nn.utils.rnn.pad_sequence([torch.from_numpy(one) for one in some], batch_first=True)
            for some in zip(*pairs, strict=True)]  # fmt: skip
    return both[0], both[1], torch.tensor([[len(query), len(sentence)] for query, sentence in pairs])


def greatest(
    logits: Float[Tensor, "pairs frames"], there: Bool[Tensor, "pairs frames"], window: Float[Tensor, " pairs"]
) -> Float[Tensor, " pairs"]:
    """The greatest mean over a window of frames on end, shorter only where there are not as many.

    It is what presence is learned by: a maximum over instances (Dietterich et al. 1997), where an instance lasts, so
    that one frame does not speak for a sign.
    """
    frames = logits.shape[1]
    sums = nn.functional.pad((logits * there).cumsum(dim=1), (1, 0))
    sizes = there.sum(dim=1)
    window = torch.minimum(window.round().long().clamp(min=1), sizes)
    starts = torch.arange(frames, device=logits.device)[None]
    stops = (starts + window[:, None]).clamp(max=frames)
    means = (sums.gather(1, stops) - sums[:, :-1]) / window[:, None]
    return means.masked_fill(starts + window[:, None] > sizes[:, None], -math.inf).amax(dim=1)


class Tokens(nn.Module):
    """A frame -> a token: three convolutions over its grid of points, and a linear map.

    The grid is 50 x 2 as published; kernels of 3 x 2, 3 x 1 and 3 x 1. In one dimension: kernels of 3 over its 100
    numbers, x and y of a point next to each other.
    """

    def __init__(self, shape: Shape):
        super().__init__()
        self.flat = shape.convolution == "1d"
        size, channels = (2 * shape.points if self.flat else shape.points) - 6, (1, *shape.channels)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(*pair, 3) if self.flat else nn.Conv2d(*pair, (3, 1 if number else 2))
            for number, pair in enumerate(pairwise(channels))
        )
        self.out = nn.Linear(size * shape.channels[-1], shape.width)

    def forward(self, frames: Float[Tensor, "pairs frames points 2"]) -> Float[Tensor, "pairs frames width"]:
        """Every frame by itself."""
        grids = frames.flatten(0, 1)[:, None]
        grids = grids.flatten(2) if self.flat else grids
        for convolution in self.convolutions:
            grids = convolution(grids).relu()
        tokens: Float[Tensor, "pairs frames width"] = self.out(grids.flatten(1)).unflatten(0, frames.shape[:2])
        return tokens


class Time(nn.Module):
    """A convolution over five frames, and the way around it. Ours."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.convolution = nn.LayerNorm(width), nn.Conv1d(width, width, 5, padding=2)
        self.out, self.dropout = nn.Linear(width, width), nn.Dropout(DROPOUT)

    def forward(
        self, tokens: Float[Tensor, "pairs frames width"], there: Bool[Tensor, "pairs frames"]
    ) -> Float[Tensor, "pairs frames width"]:
        """What is not `there` is 0."""
        near = self.convolution((self.norm(tokens) * there[..., None]).mT).mT
        mixed: Float[Tensor, "pairs frames width"] = tokens + self.dropout(self.out(nn.functional.gelu(near)))
        return mixed * there[..., None]


class Encoder(nn.Module):
    """[CLS] query [SEP] sentence, with learned positions and types, through a transformer that reads both ways."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.longest = shape.longest
        self.marks = nn.Parameter(0.02 * torch.randn(2, shape.width))  # [CLS], [SEP]
        self.positions = nn.Parameter(0.02 * torch.randn(shape.longest, shape.width))
        self.types = nn.Parameter(0.02 * torch.randn(2, shape.width))  # up to [SEP], and behind it
        layer = nn.TransformerEncoderLayer(
            shape.width, shape.heads, shape.inner, DROPOUT, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, shape.layers, nn.LayerNorm(shape.width), enable_nested_tensor=False)

    def forward(
        self,
        query: Float[Tensor, "pairs some width"],
        sentence: Float[Tensor, "pairs frames width"],
        asked: Bool[Tensor, "pairs some"],
        there: Bool[Tensor, "pairs frames"],
    ) -> tuple[Float[Tensor, "pairs width"], Float[Tensor, "pairs some width"], Float[Tensor, "pairs frames width"]]:
        """What becomes of [CLS], of the query and of the sentence, which begins at the position behind [SEP]."""
        pairs, some, frames = len(query), query.shape[1], sentence.shape[1]
        sizes = asked.sum(dim=1)
        if (most := int((sizes + there.sum(dim=1)).max()) + 2) > self.longest:
            raise InputError(
                f"a query and a sentence of {most - 2} frames together, where this spotter reads {self.longest - 2}: "
                "give a shorter query"
            )
        places = sizes[:, None] + 2 + torch.arange(frames, device=query.device)
        later = self.positions[places.clamp(max=self.longest - 1)] + self.types[1]
        marks = self.marks + self.types[0] + self.positions[torch.stack((0 * sizes, sizes + 1), dim=1)]
        early = query + self.positions[1 : some + 1] + self.types[0]
        row = torch.cat((marks[:, :1], early, marks[:, 1:], sentence + later), dim=1)
        mark = torch.ones(pairs, 1, dtype=torch.bool, device=query.device)
        padding = ~torch.cat((mark, asked, mark, there), dim=1)
        read = self.layers(row, src_key_padding_mask=padding)
        return read[:, 0], read[:, 1 : some + 1], read[:, some + 2 :]


class Comparison(nn.Module):
    """Frames against the phases of a query, by cosines: what a sign is plays no part, only what is alike. Ours.

    Compared are points, each with a weight that is learned, and tokens, if time is looked at before; all measured from
    the mean of the sentence, since what all frames of a signer share says nothing of signs. Whatever the length of a
    query, it becomes 16 phases, and frames are held against all of them in turn (`lines`). Two short convolutions in
    time read that, so that what is far away says nothing: a frame is high where the sign is, even if only presence is
    learned from.
    """

    def __init__(self, shape: Shape):
        super().__init__()
        self.weights = nn.Parameter(torch.ones(shape.points, 1))
        kinds = 1
        if shape.times:
            self.project, kinds = nn.Linear(shape.width, shape.width), 2
        self.prior = nn.Parameter(torch.tensor([9.0, -6.0]))  # of the cosine of points, and of 1
        many = 3 * len(TEMPI) * kinds + 1
        self.read = nn.ModuleList(nn.Conv1d(inner, shape.compare, 5, padding=2) for inner in (many, shape.compare))

    def forward(
        self,
        kinds: Sequence[tuple[Tensor, ...]],
        sizes: Int[Tensor, " pairs"],
        there: Bool[Tensor, "pairs frames"],
    ) -> tuple[Float[Tensor, "pairs frames compare"], Float[Tensor, "pairs frames"]]:
        """Of every frame, what is read, and how well points of the best sign that it is in agree with the query.

        Args:
            kinds: The points of query and sentence; perhaps the tokens of both.
            sizes: Of the queries.
        """
        phase = (torch.arange(PHASES, device=sizes.device) + 0.5) / PHASES
        at = (phase * sizes[:, None] - 0.5).clamp(min=0)
        found = [(sizes.float().log() - 3)[:, None, None].expand(-1, there.shape[1], -1)]
        for number, kind in enumerate(kinds):
            query, sentence = (
                self.project(some) if number else (self.weights * from_wrists(some)).flatten(2) for some in kind
            )
            middle = (sentence * there[..., None]).sum(dim=1, keepdim=True) / there.sum(dim=1)[:, None, None]
            asked, said = (
                nn.functional.normalize(some - middle, dim=2) for some in (_between(query, at, sizes), sentence)
            )
            found.append(3 * lines(bent((said @ asked.mT) * there[..., None], sizes, there), phase, sizes, there))
        read = torch.cat(found, dim=2)
        for convolution in self.read:
            read = convolution((read * there[..., None]).mT).mT.relu()
        best = found[1][..., 1::3].amax(dim=2) / 3
        return read, self.prior[0] * best + self.prior[1]


def from_wrists(points: Float[Tensor, "pairs frames points 2"]) -> Float[Tensor, "pairs frames points 2"]:
    """Hands from their own wrists, if they are not measured so already; one that is not seen stays 0."""
    hands, body = points[:, :, : len(HANDS)], points[:, :, len(HANDS) :]
    hands = hands.reshape(*hands.shape[:2], 2, -1, 2)
    shown = (hands != 0).any(dim=-1).any(dim=-1)[..., None, None]
    return torch.cat((((hands - hands[..., :1, :]) * shown).flatten(2, 3), body), dim=2)


def bent(
    cosines: Float[Tensor, "pairs frames phases"], sizes: Int[Tensor, " pairs"], there: Bool[Tensor, "pairs frames"]
) -> Float[Tensor, "pairs frames phases"]:
    """The greatest cosine of a phase with this frame, or with the one that is a twelfth of the query before or behind:
    signs are not as long throughout as a straight line has it. At least one frame; ends stand for what is beyond them.
    """
    frames = torch.arange(cosines.shape[1], device=cosines.device)
    last, slack = there.sum(dim=1)[:, None] - 1, (sizes / 12).round().long().clamp(min=1)[:, None]
    near = [
        cosines.gather(
            1, (frames + step * slack).clamp(min=0).minimum(last)[..., None].expand(-1, -1, cosines.shape[2])
        )
        for step in (-1, 0, 1)
    ]
    return torch.stack(near).amax(dim=0)


def lines(
    cosines: Float[Tensor, "pairs frames phases"],
    phase: Float[Tensor, " phases"],
    sizes: Int[Tensor, " pairs"],
    there: Bool[Tensor, "pairs frames"],
) -> Float[Tensor, "pairs frames numbers"]:
    """For a sign that takes .6 to 1.6 times as long as the query: how well one agrees whose middle is this frame; the
    best of those that this frame is in; and the best of all near, within three times as long.

    The first is the mean over the phases of the cosine at the frame where each would be.
    """
    frames = torch.arange(cosines.shape[1], device=cosines.device)
    last = there.sum(dim=1)[:, None, None] - 1
    found = []
    for tempo in TEMPI:
        ahead = (phase - 0.5) * (tempo * sizes)[:, None, None]
        at = frames[:, None] + ahead
        low = at.floor()
        part, rows = at - low, low.long()
        near = [
            cosines.gather(1, (rows + step).clamp(min=0).minimum(last)) * ((rows + step >= 0) & (rows + step <= last))
            for step in (0, 1)
        ]
        middle = (near[0] * (1 - part) + near[1] * part).mean(dim=2)
        found.append(middle)
        for wide in (1, 3):
            rows = (frames[:, None] + wide * ahead).round().long().clamp(min=0).minimum(last)
            near_best = middle.gather(1, rows.flatten(1)).reshape(rows.shape).amax(dim=2)
            found.append(near_best)
    return torch.stack(found, dim=2)


def _between(
    tokens: Float[Tensor, "pairs some width"], at: Float[Tensor, "pairs phases"], sizes: Int[Tensor, " pairs"]
) -> Float[Tensor, "pairs phases width"]:
    """Tokens at places between two of them, none behind the last one."""
    at = torch.minimum(at, sizes[:, None] - 1.0)
    low = at.floor()
    part, rows = (at - low)[..., None], low.long()
    high = torch.minimum(rows + 1, sizes[:, None] - 1)
    early, late = (tokens.gather(1, one[..., None].expand(-1, -1, tokens.shape[2])) for one in (rows, high))
    return early * (1 - part) + late * part
