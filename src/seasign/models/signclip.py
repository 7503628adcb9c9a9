"""SignCLIP: two transformers that put clips of poses and texts into one space.

Source: Jiang et al. 2024 (arXiv:2407.01264) and the authors' code, examples/MMPT of their fairseq fork @ a8199440. The
names of the tensors are those of that code, less its wrapper's prefix. Differs: clips and texts run at their own
length, which changes nothing but rounding; padding is masked, where the published helper for batches takes it for
frames.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from seasign.models.signclip_embedder import LAYOUTS, RELEASED, Inputs
from seasign.models.tensors import fit, size
from seasign.types import InputError

FRAMES = "video_encoder.videomlp.linear1.weight"
WORDS = "video_encoder.bert.embeddings.word_embeddings.weight"
POSITIONS = "video_encoder.bert.embeddings.position_embeddings.weight"
MLP_EPSILON = 1e-5  # of the LayerNorm over frames; all the others have BERT's
BERT_EPSILON = 1e-12


@dataclass(frozen=True)
class Shape:
    """What the tensors of a model are like. The defaults are those of the released models."""

    features: int = 609  # numbers per frame
    hidden: int = 768
    heads: int = 12
    intermediate: int = 3072
    video_layers: int = 12
    text_layers: int = 12
    vocabulary: int = 28_996
    positions: int = 512  # rows of the table of the text's positions,
    video_positions: int = 512  # and of the video's, which may be stretched
    projection: Literal["plain", "l2"] | None = None  # heads after pooling
    trimmed: bool = False  # of the video's word table only [CLS] and [SEP] are there, and no poolers


class FrameEncoder(nn.Module):
    """A frame's numbers -> one vector: linear, GELU, LayerNorm, linear."""

    def __init__(self, features: int, hidden: int):
        super().__init__()
        self.linear1 = nn.Linear(features, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps=MLP_EPSILON)
        self.linear2 = nn.Linear(hidden, hidden)

    def forward(self, frames: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch hidden"]:
        """One vector per frame."""
        return self.linear2(self.LayerNorm(nn.functional.gelu(self.linear1(frames))))  # type: ignore[no-any-return]


class VideoTower(nn.Module):
    """Frames -> vectors -> transformer."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.videomlp = FrameEncoder(shape.features, shape.hidden)
        self.bert = _bert(shape, shape.video_layers, 2 if shape.trimmed else shape.vocabulary, shape.video_positions)


class Head(nn.Module):
    """A linear map without a bias."""

    def __init__(self, hidden: int):
        super().__init__()
        self.linear = nn.Linear(hidden, hidden, bias=False)


class SignClip(nn.Module):
    """Both towers. The score of a text and a clip is the dot product of their vectors, as it is.

    `inputs` say what goes in: the video's [SEP] stands at max_frames + 1, after however few frames.
    """

    def __init__(self, shape: Shape = Shape(), inputs: Inputs = RELEASED):
        super().__init__()
        self.shape, self.inputs = shape, inputs
        for name, needed, there in (
            ("max_frames", inputs.max_frames + 2, shape.video_positions),
            ("max_tokens", inputs.max_tokens - 1, shape.positions),
        ):
            if needed > there:
                raise InputError(
                    f"{name} {getattr(inputs, name)} needs {needed} positions, and there are {there}: lower it"
                    + ", or stretch them (`interpolate_positions`)" * (name == "max_frames")
                )
        self.video_encoder = VideoTower(shape)
        self.text_encoder = _bert(shape, shape.text_layers, shape.vocabulary, shape.positions)
        if shape.projection:
            self.video_projection, self.text_projection = Head(shape.hidden), Head(shape.hidden)

    def clips(
        self, frames: Float[Tensor, "clips frames features"], there: Bool[Tensor, "clips frames"]
    ) -> Float[Tensor, "clips hidden"]:
        """One vector per clip: the mean over its frames and [SEP], without [CLS]. What is not `there` is padding."""
        there = torch.cat((there, torch.ones_like(there[:, :1])), dim=1)
        return self._pooled(self.states(frames, there[:, :-1]), there, "video")

    def states(
        self, frames: Float[Tensor, "clips frames features"], there: Bool[Tensor, "clips frames"]
    ) -> Float[Tensor, "clips frames+1 hidden"]:
        """What the transformer makes of every frame, and of [SEP] behind the last one."""
        tower, count = self.video_encoder, frames.shape[1]
        cls, sep = (0, 1) if self.shape.trimmed else self.inputs.separators
        ends = tower.bert.embeddings.word_embeddings(torch.tensor([cls, sep], device=frames.device))
        ends = ends[:, None, None].expand(-1, len(frames), 1, -1)
        sequence = torch.cat((ends[0], tower.videomlp(frames), ends[1]), dim=1)
        position = torch.arange(count + 2, device=frames.device)
        position[-1] = self.inputs.max_frames + 1
        one = torch.ones_like(there[:, :1])
        hidden = tower.bert(
            inputs_embeds=sequence,
            position_ids=position[None].expand(len(frames), -1),
            attention_mask=torch.cat((one, there, one), dim=1).long(),
        ).last_hidden_state
        return hidden[:, 1:]  # type: ignore[no-any-return]

    def texts(
        self, tokens: Int[Tensor, "texts tokens"], there: Bool[Tensor, "texts tokens"]
    ) -> Float[Tensor, "texts hidden"]:
        """One vector per text, [CLS] t1 .. tn [SEP]: the mean over all but [CLS]."""
        hidden = self.text_encoder(input_ids=tokens, attention_mask=there.long()).last_hidden_state
        return self._pooled(hidden[:, 1:], there[:, 1:], "text")

    def _pooled(
        self, hidden: Float[Tensor, "items steps hidden"], there: Bool[Tensor, "items steps"], tower: str
    ) -> Float[Tensor, "items hidden"]:
        weight = there.to(hidden.dtype)
        pooled = torch.einsum("ish,is->ih", hidden, weight) / weight.sum(dim=1, keepdim=True)
        if self.shape.projection:
            pooled = getattr(self, f"{tower}_projection").linear(pooled)
        return nn.functional.normalize(pooled, dim=1) if self.shape.projection == "l2" else pooled

    @torch.inference_mode()
    def clip_vectors(
        self, frames: Float32[np.ndarray, "clips frames features"], there: Bool[np.ndarray, "clips frames"]
    ) -> Float32[np.ndarray, "clips hidden"]:
        """As `clips`, over arrays, wherever and however precisely the network computes."""
        weight = self.text_encoder.embeddings.word_embeddings.weight
        found = self.clips(torch.as_tensor(frames).to(weight), torch.as_tensor(there, device=weight.device))
        return found.float().cpu().numpy()

    @torch.inference_mode()
    def text_vectors(
        self, tokens: Int[np.ndarray, "texts tokens"], there: Bool[np.ndarray, "texts tokens"]
    ) -> Float32[np.ndarray, "texts hidden"]:
        """As `texts`, over arrays."""
        device = self.text_encoder.embeddings.word_embeddings.weight.device
        found = self.texts(torch.as_tensor(tokens, device=device), torch.as_tensor(there, device=device))
        return found.float().cpu().numpy()

    @property
    def config(self) -> dict[str, Any]:
        """All that a checkpoint keeps beside the tensors of `state_dict`."""
        return {"model": "signclip", "heads": self.shape.heads, "projection": self.shape.projection} | asdict(
            self.inputs
        )

    @classmethod
    def from_checkpoint(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "SignClip":
        """The network that a config and its tensors make; what the config does not name is as in the released models.

        `interpolate_positions` in the config stretches the table of the video's positions to max_frames + 2 rows.

        Raises:
            InputError: A setting is not what it should be, or the tensors are not those of SignCLIP to the last one;
                only `position_ids`, which are whole numbers in order, are passed over.
        """
        own = {name: tensor for name, tensor in tensors.items() if not name.endswith(".position_ids")}
        shape = _shape_of(config, own)
        inputs = _inputs(config, shape.features)
        if config.get("interpolate_positions") and inputs.max_frames + 2 > shape.video_positions:
            shape = replace(shape, video_positions=inputs.max_frames + 2)
            own = interpolate_positions(own, shape.video_positions)
        return fit(cls(shape, inputs), own, "in SignCLIP it is")


def interpolate_positions(tensors: Mapping[str, Tensor], rows: int) -> dict[str, Tensor]:
    """The tensors with a longer table of the video's positions, as the published code stretches it for long contexts.

    Args:
        rows: max_frames + 2.
    """
    table = nn.functional.interpolate(tensors[POSITIONS].T[None].float(), size=rows, mode="linear", align_corners=False)
    return {**tensors, POSITIONS: table[0].T.contiguous()}


def trim(tensors: Mapping[str, Tensor], separators: tuple[int, int]) -> dict[str, Tensor]:
    """The tensors without what no vector depends on: all but two rows of the video's word table, and the poolers."""
    kept = {name: tensor for name, tensor in tensors.items() if ".pooler." not in name}
    if WORDS in kept and len(kept[WORDS]) > len(separators):
        kept[WORDS] = kept[WORDS][list(separators)]
    return kept


def halve(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors in 16 bits where that changes no value, and the names of those where it would."""
    half = {name: tensor.half() for name, tensor in tensors.items()}
    exact = {name for name, tensor in tensors.items() if torch.equal(half[name].to(tensor.dtype), tensor)}
    return {name: half[name] if name in exact else tensor for name, tensor in tensors.items()}, sorted(
        tensors.keys() - exact
    )


def _bert(shape: Shape, layers: int, words: int, positions: int) -> BertModel:
    return BertModel(
        BertConfig(
            vocab_size=words,
            hidden_size=shape.hidden,
            num_hidden_layers=layers,
            num_attention_heads=shape.heads,
            intermediate_size=shape.intermediate,
            max_position_embeddings=positions,
            layer_norm_eps=BERT_EPSILON,
            pad_token_id=None,
        ),
        add_pooling_layer=not shape.trimmed,
    )


def _shape_of(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Shape:
    """What the tensors show; and the number of heads, which they do not: 64 numbers each, as in every BERT."""
    sizes = {}
    for field, name, axis in SHOWN:
        if name not in tensors or tensors[name].ndim != 2:
            raise InputError(f"the tensor {name} is {size(tensors.get(name))}, where SignCLIP has a table")
        sizes[field] = tensors[name].shape[axis]
    heads = config.get("heads", max(1, sizes["hidden"] // 64))
    if type(heads) is not int or heads < 1 or sizes["hidden"] % heads:
        raise InputError(f"the config says that 'heads' is {heads!r}, which does not divide {sizes['hidden']}")
    projected = "video_projection.linear.weight" in tensors
    projection = config.get("projection", "plain" if projected else None)
    if projection not in (("plain", "l2") if projected else (None,)):
        there = "has heads" if projected else "has none"
        raise InputError(f"the config says that 'projection' is {projection!r}, and the network {there}")
    layers = {
        f"{tower}_layers": len(
            {name.split(".layer.")[1].partition(".")[0] for name in tensors if name.startswith(path)}
        )
        for tower, path in (("video", "video_encoder.bert.encoder.layer."), ("text", "text_encoder.encoder.layer."))
    }
    trimmed = tensors[WORDS].shape[0] == 2
    return Shape(**sizes, **layers, heads=heads, projection=projection, trimmed=trimmed)


SHOWN = (  # fields of a shape, and where tensors show them
    ("features", FRAMES, 1),
    ("hidden", FRAMES, 0),
    ("intermediate", "text_encoder.encoder.layer.0.intermediate.dense.weight", 0),
    ("vocabulary", "text_encoder.embeddings.word_embeddings.weight", 0),
    ("positions", "text_encoder.embeddings.position_embeddings.weight", 0),
    ("video_positions", POSITIONS, 0),
)


def _inputs(config: Mapping[str, Any], width: int) -> Inputs:
    """Inputs as `SignClip.config` wrote them, or as far as somebody did.

    Raises:
        InputError: One is not what it should be, or nobody says what the numbers of a frame are.
    """
    given = {name: config[name] for name in EXPECTED if name in config}
    for name, value in given.items():
        words, fits = EXPECTED[name]
        if not fits(value):
            raise InputError(f"the config says that {name!r} is {value!r:.60}; it should be {words}")
    landmarks = given.pop("landmarks", None)
    if landmarks is None:
        sizes = {3 * len(names): name for name, names in LAYOUTS.items()}
        if width not in sizes:
            known = ", ".join(f"{number} ({name})" for number, name in sizes.items())
            raise InputError(
                f"the network takes {width} numbers per frame; known are {known}: name its landmarks in a config.json"
            )
        landmarks = sizes[width]
    names = LAYOUTS[landmarks] if isinstance(landmarks, str) else tuple(landmarks)
    if 3 * len(names) != width:
        raise InputError(f"the config names {len(names)} landmarks, and the network takes {width} numbers per frame")
    given |= {name: tuple(given[name]) for name in ("separators", "tags") if given.get(name)}
    return replace(Inputs(**given), landmarks=names)


def _two(kind: type) -> Callable[[Any], bool]:
    return lambda it: isinstance(it, list | tuple) and len(it) == 2 and all(type(one) is kind for one in it)


EXPECTED: Mapping[str, tuple[str, Callable[[Any], bool]]] = {  # settings in a config: what they should be
    "landmarks": (
        f"a list of landmarks, or one of {', '.join(LAYOUTS)}",
        lambda it: it in LAYOUTS if isinstance(it, str) else isinstance(it, list | tuple)
        and all(isinstance(name, str) for name in it),
    ),
    "max_frames": ("a whole number from 1 on", lambda it: type(it) is int and it > 0),
    "max_tokens": ("a whole number from 4 on", lambda it: type(it) is int and it > 3),
    "separators": ("two numbers of tokens", _two(int)),
    "lowercase": ("true or false", lambda it: isinstance(it, bool)),
    "tags": ("null, or two languages", lambda it: it is None or _two(str)(it)),
    "zero_pad_as_frames": ("null, or a whole number from 1 on", lambda it: it is None or (type(it) is int and it > 0)),
}  # fmt: skip
