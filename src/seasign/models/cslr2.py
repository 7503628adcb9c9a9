"""CSLR2: one transformer over windows of signing, whose steps meet words and whose sequences meet sentences.

Source: Raude et al. 2024, "A Tale of Two Languages" (arXiv:2405.10266), and the authors' code @ 5f3bd69, whose names
the tensors have. Differs: padding takes part in nothing, neither in attention nor in pooling, so that a batch equals
its members; published weights were trained with padding of zeros in the batch, and `compat` lets it in.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

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
    classes: int = 8697  # of the classifier that came with the features; not used otherwise
    compat: Literal["cslr2"] | None = None  # padding counts as steps of zeros, as in the published training


class Seen(NamedTuple):
    """What the encoder makes of clips; vectors have length 1."""

    steps: Float[Tensor, "clips steps joint"]  # meet words
    sequence: Float[Tensor, "clips joint"]  # meets sentences
    encoded: Float[Tensor, "clips steps features"]


class Cslr2(nn.Module):
    """The encoder, and the four linear maps into the joint space."""

    def __init__(self, shape: Shape = Shape()):
        super().__init__()
        self.shape = shape
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

    def words(self, vectors: Float[Tensor, "words text"]) -> Float[Tensor, "words joint"]:
        """Words in the joint space."""
        return nn.functional.normalize(self.text_word_ll(vectors), dim=-1)

    def sentences(self, vectors: Float[Tensor, "sentences text"]) -> Float[Tensor, "sentences joint"]:
        """Sentences in the joint space."""
        return nn.functional.normalize(self.text_sentence_ll(vectors), dim=-1)


class Norm(nn.Module):
    """a * (x - mean) / (std + epsilon) + b, with the unbiased standard deviation."""

    def __init__(self, width: int):
        super().__init__()
        self.a_2, self.b_2 = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Float[Tensor, "... width"]) -> Float[Tensor, "... width"]:
        """Over the last axis."""
        spread, mean = torch.std_mean(x, dim=-1, keepdim=True)
        return self.a_2 * (x - mean) / (spread + EPSILON) + self.b_2


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
        self.encoder, self.generator = Layers(shape), Classifier(shape)
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
