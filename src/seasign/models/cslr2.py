"""CSLR2: one transformer over windows of signing, whose steps meet words and whose sequences meet sentences.

Source: Raude et al. 2024, "A Tale of Two Languages" (arXiv:2405.10266), and the authors' code @ 5f3bd69, whose names
the tensors have. Differs: padding takes part in nothing, neither in attention nor in pooling, so that a batch equals
its members; published weights were trained with padding of zeros in the batch, and `compat` lets it in.
"""

import math
from collections.abc import Mapping, Sequence, Sized
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn

from seasign.models import pose_encoder
from seasign.models.body_parts import PARTS
from seasign.models.cslr2_embedder import PUBLISHED, Inputs
from seasign.models.pose_encoder import PoseEncoder
from seasign.models.tensors import fit
from seasign.types import InputError

EPSILON = 1e-6  # added to the standard deviation, not to the variance
DROPOUT = 0.1


@dataclass(frozen=True)
class Shape:
    """What the tensors of a model are like. The defaults are the published ones."""

    features: int = 768  # of a step, and throughout the encoder
    inner: int = 2048
    heads: int = 8
    layers: int = 6
    text: int = 1024  # of the frozen vectors of words and sentences
    joint: int = 256  # of the space in which all of them meet
    classes: int = 8697  # of the classifier that came with the features; not used otherwise; 0: there is none
    part: int = 0  # width of each part of a body, where features are made of poses
    compat: Literal["cslr2"] | None = None  # padding counts as steps of zeros, as in the published training


class Seen(NamedTuple):
    """What the encoder makes of clips; vectors have length 1."""

    steps: Float[Tensor, "clips steps joint"]  # meet words
    sequence: Float[Tensor, "clips joint"]  # meets sentences
    encoded: Float[Tensor, "clips steps features"]


class Cslr2(nn.Module):
    """The encoder, the four linear maps into the joint space, and before it what makes features of poses, if asked."""

    def __init__(self, shape: Shape = Shape(), inputs: Inputs = PUBLISHED):
        super().__init__()
        self.shape, self.inputs = shape, inputs
        if inputs.landmarks:
            self.pose_windows = (GraphWindows if inputs.graph else PoseWindows)(shape, inputs)
        self.video_encoder = Encoder(shape)
        self.video_sequence_ll = nn.Linear(shape.features, shape.joint)
        self.video_token_ll = nn.Linear(shape.features, shape.joint)
        self.text_sentence_ll = nn.Linear(shape.text, shape.joint)
        self.text_word_ll = nn.Linear(shape.text, shape.joint)

    def forward(
        self, features: Float[Tensor, "clips steps features"], lengths: Int[Tensor, " clips"] | None = None
    ) -> Seen:
        """Steps and sequences of clips.

        Args:
            lengths: How many steps of each clip there are; the rest is padding. None: all.
        """
        there = None
        if lengths is not None and self.shape.compat is None:
            there = torch.arange(features.shape[1], device=features.device) < lengths[:, None]
        encoded = self.video_encoder(features, there)[:, 1:]
        pooled = encoded if there is None else encoded.masked_fill(~there[..., None], -math.inf)
        return Seen(
            nn.functional.normalize(self.video_token_ll(encoded), dim=-1),
            nn.functional.normalize(self.video_sequence_ll(pooled.amax(dim=1)), dim=-1),
            encoded,
        )

    @property
    def config(self) -> dict[str, Any]:
        """All that a checkpoint keeps beside the tensors of `state_dict`."""
        return {"model": "cslr2", "shape": asdict(self.shape)} | asdict(self.inputs) | {"fps": str(self.inputs.fps)}

    @classmethod
    def from_checkpoint(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "Cslr2":
        """The network that a config and its tensors make; what the config does not name is as published.

        Raises:
            InputError: A setting is not what it should be, or the tensors are not those of such a network.
        """
        try:
            shape = Shape(**{**config.get("shape", {}), **_sizes(tensors)})
            named = {name: config[name] for name in Inputs.__dataclass_fields__ if name in config}
            named |= {name: tuple(named[name]) for name in ("landmarks", "taught") if name in named}
            named["fps"] = Fraction(named.get("fps", PUBLISHED.fps))
            inputs = Inputs(**named)
            if not inputs.taught or not {*inputs.taught} <= {*PUBLISHED.taught}:
                raise ValueError(f"taught {inputs.taught}, where it can be {PUBLISHED.taught}")
            with torch.device("meta"):
                model = cls(shape, inputs)
        except (TypeError, ValueError, AssertionError, RuntimeError) as error:
            raise InputError(f"its settings make no CSLR2 ({error})") from None
        return fit(model, tensors, "in this CSLR2 it is")

    def words(self, vectors: Float[Tensor, "words text"]) -> Float[Tensor, "words joint"]:
        """Words in the joint space."""
        return nn.functional.normalize(self.text_word_ll(vectors), dim=-1)

    def sentences(self, vectors: Float[Tensor, "sentences text"]) -> Float[Tensor, "sentences joint"]:
        """Sentences in the joint space."""
        return nn.functional.normalize(self.text_sentence_ll(vectors), dim=-1)

    # Arrays in, arrays out: the `Network` of an embedder

    @torch.inference_mode()
    def pose_features(self, frames: Float32[np.ndarray, "frames numbers"]) -> Float32[np.ndarray, "windows features"]:
        """What windows of poses are to the encoder."""
        found: Float32[np.ndarray, "windows features"] = (
            self.pose_windows(self._tensor(frames)[None])[0].float().cpu().numpy()
        )
        return found

    @torch.inference_mode()
    def encoded(
        self, clips: Float32[np.ndarray, "clips windows features"]
    ) -> Float32[np.ndarray, "clips windows features"]:
        """What the encoder makes of clips."""
        if clips.shape[2] != self.shape.features:
            raise InputError(f"features of {clips.shape[2]} numbers, where this CSLR2 takes {self.shape.features}")
        found: Float32[np.ndarray, "clips windows features"] = (
            self.video_encoder(self._tensor(clips)).float().cpu().numpy()
        )
        return found[:, 1:]

    def step_vectors(self, encoded: Float32[np.ndarray, "windows features"]) -> Float32[np.ndarray, "windows joint"]:
        """Windows where words are."""
        return self._mapped(self.video_token_ll, encoded)

    def sequence_vectors(self, pooled: Float32[np.ndarray, "clips features"]) -> Float32[np.ndarray, "clips joint"]:
        """Clips, of which the greatest of every number is taken, where sentences are."""
        return self._mapped(self.video_sequence_ll, pooled)

    def word_vectors(self, vectors: Float32[np.ndarray, "words text"]) -> Float32[np.ndarray, "words joint"]:
        """Words in the joint space."""
        return self._mapped(self.text_word_ll, vectors)

    def sentence_vectors(
        self, vectors: Float32[np.ndarray, "sentences text"]
    ) -> Float32[np.ndarray, "sentences joint"]:
        """Sentences in the joint space."""
        return self._mapped(self.text_sentence_ll, vectors)

    @torch.inference_mode()
    def _mapped(self, layer: nn.Linear, rows: Float32[np.ndarray, "rows inner"]) -> Float32[np.ndarray, "rows joint"]:
        if rows.shape[1] != layer.in_features:
            raise InputError(f"vectors of {rows.shape[1]} numbers, where this CSLR2 takes {layer.in_features}")
        found: Float32[np.ndarray, "rows joint"] = (
            nn.functional.normalize(layer(self._tensor(rows)), dim=-1).float().cpu().numpy()
        )
        return found

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.video_token_ll.weight)


class PoseWindows(nn.Module):
    """Windows of poses -> features: every part of the body by itself, then all of them together.

    Source: our own, in place of the published features of pictures.
    """

    def __init__(self, shape: Shape, inputs: Inputs):
        super().__init__()
        parts = [name.rpartition(".")[0] for name in inputs.landmarks]
        self.columns = [
            [3 * number + axis for number, other in enumerate(parts) if other == part for axis in range(3)]
            for part in dict.fromkeys(parts)
        ]
        self.parts = nn.ModuleList(
            nn.Conv1d(len(own), shape.part, inputs.window, inputs.stride) for own in self.columns
        )
        self.out = nn.Linear(len(self.columns) * shape.part, shape.features)

    def forward(self, frames: Float[Tensor, "clips frames numbers"]) -> Float[Tensor, "clips windows features"]:
        """As many windows as there are whole ones."""
        seen = [part(frames[..., own].mT) for part, own in zip(self.parts, self.columns, strict=True)]
        found: Float[Tensor, "clips windows features"] = self.out(torch.cat(seen, dim=1).relu().mT)
        return found


class GraphWindows(nn.Module):
    """Windows of poses -> features: the graph network over parts of a body, a frame at a time, then all of a window.

    What is masked at the end of a clip is its padding.
    """

    def __init__(self, shape: Shape, inputs: Inputs):
        super().__init__()
        widths = (shape.part, 2 * shape.part, 4 * shape.part)
        self.encoder = PoseEncoder(pose_encoder.Shape(shape.part, widths, features=shape.features))
        self.window = nn.Conv1d(shape.features, shape.features, inputs.window, inputs.stride)

    def forward(self, frames: Float[Tensor, "clips frames numbers"]) -> Float[Tensor, "clips windows features"]:
        """As many windows as there are whole ones."""
        there = frames.any(dim=2).flip(1).cummax(dim=1).values.flip(1)
        joints = torch.split(frames.view(*frames.shape[:2], -1, 3), [len(own) for own in PARTS.values()], dim=2)
        encoded = self.encoder(dict(zip(PARTS, joints, strict=True)), there)
        found: Float[Tensor, "clips windows features"] = self.window(encoded.relu().mT).mT
        return found


def trained(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of the tensors that the authors' code saves those that it trains, by their names in the published code.

    Left out are the frozen text encoder, which that file may hold whole, and the table of positions.
    """
    return {
        name.replace(".self_attn.", ".self_attention."): tensor
        for name, tensor in tensors.items()
        if not name.startswith(("text_encoder.", "video_encoder.src_embed."))
    }


def _sizes(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """What the tensors say of the shape."""
    try:
        features = tensors["video_encoder.cls_token"].shape[2]
        layers = {name.split(".")[3] for name in tensors if name.startswith("video_encoder.encoder.layers.")}
        inner = len(tensors["video_encoder.encoder.layers.0.feed_forward.w_1.weight"])
        joint, text = tensors["text_word_ll.weight"].shape
    except (KeyError, IndexError, ValueError) as error:
        raise InputError(f"its tensors are not those of CSLR2 ({error})") from None
    classes = tensors.get("video_encoder.generator.proj.weight", ())
    part: Sized = ()
    for name in ("parts.0", "encoder.proj_linear.body"):
        part = tensors.get(f"pose_windows.{name}.bias", part)
    return {
        "features": features, "layers": len(layers), "inner": inner, "joint": joint, "text": text,
        "classes": len(classes), "part": len(part),
    }  # fmt: skip


class Norm(nn.Module):
    """a * (x - mean) / (std + epsilon) + b, with the unbiased standard deviation."""

    def __init__(self, width: int):
        super().__init__()
        self.a_2, self.b_2 = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Float[Tensor, "... width"]) -> Float[Tensor, "... width"]:
        """Over the last axis. Three passes: `torch.std_mean` takes an eighth of all time."""
        x = x - x.mean(dim=-1, keepdim=True)
        spread = (x.square().sum(dim=-1, keepdim=True) / (x.shape[-1] - 1)).sqrt()
        return self.a_2 * (x / (spread + EPSILON)) + self.b_2


class Attention(nn.Module):
    """Every step looks at every step; linear maps for queries, keys, values and the way out."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.linears = nn.ModuleList(nn.Linear(width, width) for _ in range(4))

    def forward(
        self, x: Float[Tensor, "clips steps width"], there: Bool[Tensor, "clips steps"] | None
    ) -> Float[Tensor, "clips steps width"]:
        """What is not `there` is looked at by nobody."""
        query, key, value = (linear(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for linear in self.linears[:3])
        mask = None if there is None else there[:, None, None]
        seen = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        mixed: Float[Tensor, "clips steps width"] = self.linears[3](seen.transpose(1, 2).flatten(2))
        return mixed


class FeedForward(nn.Module):
    """Every step by itself."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.w_1, self.w_2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Float[Tensor, "... width"]) -> Float[Tensor, "... width"]:
        """Two linear maps, and what is below 0 between them is 0."""
        out: Float[Tensor, "... width"] = self.w_2(self.dropout(self.w_1(x).relu()))
        return out


class Sublayer(nn.Module):
    """A norm before, and the way around."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.dropout = Norm(width), nn.Dropout(DROPOUT)


class Layer(nn.Module):
    """Attention, then each step by itself."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.self_attention = Attention(shape.features, shape.heads)
        self.feed_forward = FeedForward(shape.features, shape.inner)
        self.sublayer = nn.ModuleList(Sublayer(shape.features) for _ in range(2))

    def forward(
        self, x: Float[Tensor, "clips steps width"], there: Bool[Tensor, "clips steps"] | None
    ) -> Float[Tensor, "clips steps width"]:
        """One layer."""
        attend, feed = self.sublayer
        x = x + attend.dropout(self.self_attention(attend.norm(x), there))  # type: ignore[operator]
        out: Float[Tensor, "clips steps width"] = x + feed.dropout(self.feed_forward(feed.norm(x)))  # type: ignore[operator]
        return out


class Layers(nn.Module):
    """All layers, and a norm at last."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.features)


class Classifier(nn.Module):
    """The frozen classifier of the published features."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.proj = nn.Linear(shape.features, shape.classes).requires_grad_(False)


class Encoder(nn.Module):
    """Steps with their positions, after a learned one that has none."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.features))
        self.encoder = Layers(shape)
        if shape.classes:
            self.generator = Classifier(shape)
        self.dropout = nn.Dropout(DROPOUT)
        for parameter in self.parameters():
            if parameter.ndim > 1 and parameter.requires_grad:
                nn.init.xavier_uniform_(parameter)

    def forward(
        self, features: Float[Tensor, "clips steps features"], there: Bool[Tensor, "clips steps"] | None = None
    ) -> Float[Tensor, "clips steps+1 features"]:
        """The learned one first, then a vector per step."""
        x = self.dropout(features + positions(features.shape[1], features.shape[2]).to(features))
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1)
        if there is not None:
            there = torch.cat((torch.ones_like(there[:, :1]), there), dim=1)
        for layer in self.encoder.layers:
            x = layer(x, there)
        encoded: Float[Tensor, "clips steps+1 features"] = self.encoder.norm(x)
        return encoded


def positions(steps: int, width: int) -> Float[Tensor, "steps width"]:
    """Sines and cosines in turn, of wavelengths from 2 pi to 10,000 times that."""
    angle = torch.arange(steps)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    return torch.stack((angle.sin(), angle.cos()), dim=2).flatten(1)


def hn_nce(
    videos: Float[Tensor, "pairs joint"],
    texts: Float[Tensor, "pairs joint"],
    labels: Int[Tensor, " pairs"] | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    temperature: float = 0.07,
    compat: Literal["cslr2"] | None = None,
) -> Float[Tensor, ""]:
    """Contrast each pair with the others, the harder ones counting more; both ways, the sum of the two means.

    With S = v . t / temperature, L = mean_i [log sum_j w_ij exp(S_ij) - S_ii] and the same over columns. Off the
    diagonal w_ij = (B - 1) exp(beta S_ij) / sum over k != i of exp(beta S_ik); on it, alpha. Pairs of equal labels are
    no negatives of each other.

    Source: Radenovic et al. 2023 (HN-NCE), as in CSLR2 (arXiv:2405.10266). Differs: the released code divides the
        weights of row i by the sum of row j, which `compat` does too; and takes sums as a total less the diagonal,
        which loses digits, where ours are log-sum-exps of what is left.
    """
    scores = videos @ texts.T / temperature
    count = len(scores)
    own = torch.eye(count, dtype=torch.bool, device=scores.device)
    others = ~own if labels is None else labels[:, None] != labels
    diagonal = scores.diagonal()
    total = diagonal.new_zeros(())
    for matrix, transposed in ((scores, False), (scores.T, True)):
        negatives = matrix.masked_fill(~others, -math.inf)
        sums = (beta * negatives).masked_fill(~others, -math.inf).logsumexp(dim=1)
        norm = sums[:, None] if transposed or compat is None else sums[None]
        weighted = (negatives + beta * matrix - norm + math.log(max(count - 1, 1))).masked_fill(~others, -math.inf)
        kept = torch.where(own, matrix + math.log(alpha) if alpha > 0 else -math.inf, weighted)
        total = total + (kept.logsumexp(dim=1) - diagonal).mean()
    return total


def match(
    steps: Float[Tensor, "steps joint"], words: Float[Tensor, "words joint"], temperature: float = 0.05
) -> Float[Tensor, "steps words"]:
    """Probabilities of words at every step, over the whole vocabulary."""
    return (steps @ words.T / temperature).softmax(dim=1)


def pad(
    clips: Sequence[Float[Tensor, "_ features"]],
) -> tuple[Float[Tensor, "clips steps features"], Int[Tensor, " clips"]]:
    """Clips side by side, and their lengths."""
    return nn.utils.rnn.pad_sequence(list(clips), batch_first=True), torch.tensor([len(clip) for clip in clips])
