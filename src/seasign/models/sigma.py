"""Sigma: skeletons and sentences meet in the last layers of two mT5 encoders, align by words and as wholes, are told
from what does not belong together, and are put into words by mT5's decoder.

Source: Sigma (arXiv:2509.21223); the numbers of its code @ 91cae80. Differs: where both meet, attention is scaled,
masked and added to what was there, and what each gives to the other is a mean; `compat="sigma"` is the released
forward. Both encoders share mT5's table of pieces. The released matching loss does not see the skeletons; here it is
read from the first state of a sentence that has looked at them.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from math import log
from typing import Any, Literal, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import MT5Config, MT5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from seasign.models import frame_tokens
from seasign.models.frame_tokens import FrameTokens, Looked
from seasign.models.mt5 import untie
from seasign.models.pose_encoder import stack
from seasign.models.sigma_translator import Inputs
from seasign.models.sigma_words import END, PAD
from seasign.models.tensors import fit, size
from seasign.types import InputError, Poses

TEMPERATURE = 0.07  # of whole clips and sentences, at first
SHARPEST = log(100)  # of the learned scale, as in CLIP (arXiv:2103.00020)
TIED = ("mt5.encoder.embed_tokens.weight", "mt5.decoder.embed_tokens.weight")  # the same as mt5.shared.weight

NAMES = {  # of what a `Shape` says -> in the config of an mT5
    "width": "d_model", "key": "d_kv", "heads": "num_heads", "inner": "d_ff", "layers": "num_layers",
    "decoder_layers": "num_decoder_layers", "vocabulary": "vocab_size", "dropout": "dropout_rate",
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """What the tensors of a model are like. The defaults are those of mT5-base, and the published ones."""

    width: int = 768
    key: int = 64  # numbers of a head
    heads: int = 12
    inner: int = 2048
    layers: int = 12  # of both encoders
    decoder_layers: int = 12
    vocabulary: int = 250_112
    dropout: float = 0.1
    fused: int = 3  # the last layers, before each of which both meet; 0: there is no encoder of sentences any more
    compat: Literal["sigma"] | None = None  # they meet as in the released code

    @property
    def mt5(self) -> MT5Config:
        """As transformers takes it."""
        return MT5Config(
            **{theirs: getattr(self, ours) for ours, theirs in NAMES.items()},
            pad_token_id=PAD,
            eos_token_id=END,
            decoder_start_token_id=PAD,
            tie_word_embeddings=False,
        )

    @classmethod
    def of(cls, config: Any) -> "Shape":
        """That of an mT5.

        Raises:
            InputError: It is built otherwise.
        """
        shape = cls(**{ours: getattr(config, theirs) for ours, theirs in NAMES.items()})
        for name in (
            "feed_forward_proj",
            "relative_attention_num_buckets",
            "relative_attention_max_distance",
            "layer_norm_epsilon",
            "pad_token_id",
            "eos_token_id",
            "decoder_start_token_id",
        ):
            found, wanted = getattr(config, name), getattr(shape.mt5, name)
            if found != wanted:
                raise InputError(f"its {name} is {found}, where in an mT5 it is {wanted}")
        return shape


class Seen(NamedTuple):
    """A sequence within an encoder: its learned first state, a prefix, then tokens or pieces."""

    states: Float[Tensor, "items steps width"]
    there: Bool[Tensor, "items steps"]  # the rest is padding
    first: int  # where tokens or pieces begin

    @property
    def whole(self) -> Float[Tensor, "items width"]:
        """The first state."""
        return self.states[:, 0]

    @property
    def parts(self) -> tuple[Float[Tensor, "items parts width"], Bool[Tensor, "items parts"]]:
        """Tokens or pieces, and which are there."""
        return self.states[:, self.first :], self.there[:, self.first :]

    def at(self, index: Int[Tensor, " chosen"]) -> "Seen":
        """Some of the items."""
        return Seen(self.states[index], self.there[index], self.first)


class Meeting(nn.Module):
    """Frames look at pieces, and pieces at frames, by the same attention.

    A = softmax(Q(frames) K(pieces)' / sqrt(d)) over the pieces that are there; frames get O(A V(pieces)), and pieces
    O(A' V(frames)), whose weights are divided by their sum over the frames that are there. Both are added, of states
    that were normalized.

    Under `compat` nothing is scaled, masked, normalized or added: states are replaced, and weights of a piece add up to
    whatever they do.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape, inner = shape, shape.heads * shape.key
        self.q, self.k, self.v = (nn.Linear(shape.width, inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, shape.width, bias=False)
        if shape.compat is None:
            self.norms = nn.ModuleList(nn.RMSNorm(shape.width, eps=1e-6) for _ in range(2))
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, vision: Seen, text: Seen) -> tuple[Seen, Seen]:
        """Both sequences, after."""
        frames, pieces = vision.states, text.states
        if self.shape.compat is None:
            frames, pieces = (
                norm(own.to(self.q.weight)) for norm, own in zip(self.norms, (frames, pieces), strict=True)
            )
        scores = self._heads(self.q(frames)) @ self._heads(self.k(pieces)).mT
        if self.shape.compat is None:
            scores = (scores / self.shape.key**0.5).masked_fill(~text.there[:, None, None], -torch.inf)
        weights = scores.softmax(dim=-1)
        back = weights.mT
        if self.shape.compat is None:
            back = back * vision.there[:, None, None]
            back = back / back.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(back.dtype).tiny)
        seen = self._out(self.dropout(weights) @ self._heads(self.v(pieces)))
        read = self._out(self.dropout(back) @ self._heads(self.v(frames)))
        if self.shape.compat is None:
            seen, read = vision.states + self.dropout(seen), text.states + self.dropout(read)
        return vision._replace(states=seen), text._replace(states=read)

    def _heads(self, states: Float[Tensor, "items steps inner"]) -> Float[Tensor, "items heads steps key"]:
        heads: Float[Tensor, "items heads steps key"] = states.unflatten(2, (self.shape.heads, -1)).transpose(1, 2)  # type: ignore[no-untyped-call]
        return heads

    def _out(self, heads: Float[Tensor, "items heads steps key"]) -> Float[Tensor, "items steps width"]:
        mixed: Float[Tensor, "items steps width"] = self.o(heads.transpose(1, 2).flatten(2))
        return mixed


def run(stack: Any, seen: Seen, first: int, last: int, *, recompute: bool = False) -> Seen:
    """A sequence through layers first .. last - 1 of an encoder of mT5, to its norm behind the last one.

    As transformers computes it, but for padding that is nowhere looked at, and layers that are taken one by one.
    """
    states, steps = seen.states, seen.states.shape[1]
    if first == 0:
        states = stack.dropout(states)
    bias = stack.block[0].layer[0].SelfAttention.compute_bias(steps, steps)
    bias = bias.masked_fill(~seen.there[:, None, None], torch.finfo(bias.dtype).min)
    for block in stack.block[first:last]:
        if recompute and stack.training:
            states = checkpoint(_layer, block, states, bias, use_reentrant=False)
        else:
            states = _layer(block, states, bias)
    if last == len(stack.block):
        states = stack.dropout(stack.final_layer_norm(states))
    return seen._replace(states=states)


def _layer(
    block: Any, states: Float[Tensor, "items steps width"], bias: Float[Tensor, "items heads steps steps"]
) -> Float[Tensor, "items steps width"]:
    """A layer of an encoder of mT5, whose attention is not scaled."""
    attend = block.layer[0]
    own = attend.SelfAttention
    normed = attend.layer_norm(states)
    query, key, value = (one(normed).unflatten(2, (own.n_heads, -1)).transpose(1, 2) for one in (own.q, own.k, own.v))
    drop = own.dropout if block.training else 0.0
    seen = nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=bias.to(query.dtype), dropout_p=drop, scale=1.0
    )
    states = states + attend.dropout(own.o(seen.transpose(1, 2).flatten(2)))
    out: Float[Tensor, "items steps width"] = block.layer[-1](states)
    return out


class Sigma(nn.Module):
    """Frames -> tokens -> an encoder -> a decoder; and for training, an encoder of sentences, and where both meet."""

    def __init__(
        self, shape: Shape, frames: FrameTokens, inputs: Inputs, mt5: MT5ForConditionalGeneration | None = None
    ) -> None:
        super().__init__()
        self.shape, self.inputs, self.recompute = shape, inputs, False
        self.frames = frames
        if frames.width != shape.width:
            self.into = nn.Linear(frames.width, shape.width)
        self.mt5: Any = cast(Any, mt5 or untie(MT5ForConditionalGeneration(shape.mt5)))
        self.vision_first = nn.Parameter(torch.randn(shape.width))
        if not 0 <= shape.fused <= shape.layers:
            raise InputError(f"fused = {shape.fused} of {shape.layers} layers: expected as many at most")
        if shape.fused:
            self.text_encoder: Any = deepcopy(self.mt5.encoder)
            self.text_encoder.embed_tokens = None
            self.text_first = nn.Parameter(torch.randn(shape.width))
            self.meeting = Meeting(shape)
            cross = self.mt5.decoder.block[0].layer[1].EncDecAttention
            for name in "qkvo":
                getattr(self.meeting, name).load_state_dict(getattr(cross, name).state_dict())
            if shape.compat is None:  # where queries are not scaled
                with torch.no_grad():
                    self.meeting.q.weight *= shape.key**0.5
            self.matching = nn.Linear(shape.width, 2)
            self.scale = nn.Parameter(torch.tensor(-log(TEMPERATURE)))

    def enter(self, looked: Mapping[str, Tensor], there: Bool[Tensor, "clips frames"]) -> Seen:
        """Clips, before the first layer: a learned state, the prefix, and what is seen of frames."""
        tokens, seen = frame_tokens.thin(*self.frames(looked, there), self.inputs.frames)
        if tokens.shape[2] != self.shape.width:
            tokens = self.into(tokens)
        return self._after_prefix(tokens, seen)

    def _after_prefix(self, tokens: Float[Tensor, "items tokens width"], seen: Bool[Tensor, "items tokens"]) -> Seen:
        prefix = self.mt5.shared(torch.tensor(self.inputs.prefix, device=seen.device, dtype=torch.long))
        before = torch.cat((self.vision_first[None], prefix)).to(tokens.dtype)
        before = before[None].expand(len(tokens), -1, -1)
        first = before.shape[1]
        ones = torch.ones(len(tokens), first, dtype=torch.bool, device=seen.device)
        return Seen(torch.cat((before, tokens), dim=1), torch.cat((ones, seen), dim=1), first)

    def enter_text(self, ids: Int[Tensor, "texts pieces"]) -> Seen:
        """Sentences, before the first layer: a learned state, and pieces. Pieces of number 0 are padding."""
        pieces = self.mt5.shared(ids)
        before = self.text_first.to(pieces.dtype)[None, None].expand(len(ids), -1, -1)
        there = nn.functional.pad(ids != PAD, (1, 0), value=True)
        return Seen(torch.cat((before, pieces), dim=1), there, 1)

    def enter_glosses(self, ids: Int[Tensor, "texts pieces"]) -> Seen:
        """Glosses in place of what is seen of frames. Pieces of number 0 are padding."""
        return self._after_prefix(self.mt5.shared(ids), ids != PAD)

    def early(self, seen: Seen, *, text: bool = False) -> Seen:
        """Through the layers before those in which both meet."""
        return run(self._stack(text), seen, 0, self.shape.layers - self.shape.fused, recompute=self.recompute)

    def late(self, seen: Seen, *, text: bool = False) -> Seen:
        """Through the others, without meeting anybody."""
        first = self.shape.layers - self.shape.fused
        return run(self._stack(text), seen, first, self.shape.layers, recompute=self.recompute)

    def fuse(self, vision: Seen, text: Seen) -> tuple[Seen, Seen]:
        """Through the others, with both meeting before each of them: frames of clip i, and pieces of sentence i."""
        for layer in range(self.shape.layers - self.shape.fused, self.shape.layers):
            if self.recompute and self.training:
                vision, text = checkpoint(self.meeting, vision, text, use_reentrant=False)
            else:
                vision, text = self.meeting(vision, text)
            vision = run(self._stack(False), vision, layer, layer + 1, recompute=self.recompute)
            text = run(self._stack(True), text, layer, layer + 1, recompute=self.recompute)
        return vision, text

    def see(self, looked: Mapping[str, Tensor], there: Bool[Tensor, "clips frames"]) -> Seen:
        """Clips, through all of the encoder, without meeting anybody."""
        return self.late(self.early(self.enter(looked, there)))

    def match(self, text: Seen) -> Float[Tensor, "pairs 2"]:
        """Whether sentences that have met clips belong to them: logits of no and yes."""
        found: Float[Tensor, "pairs 2"] = self.matching(text.whole)
        return found

    def language(self, seen: Seen, ids: Int[Tensor, "clips pieces"], smoothing: float) -> Float[Tensor, ""]:
        """Cross-entropy of the next piece of the sentences, given all of what was seen; targets are smoothed.

        Source: label smoothing of .2, published.
        """
        logits = self.mt5(
            encoder_outputs=BaseModelOutput(last_hidden_state=seen.states),
            attention_mask=seen.there.long(),
            decoder_input_ids=nn.functional.pad(ids[:, :-1], (1, 0), value=PAD),
            use_cache=False,
        ).logits
        return nn.functional.cross_entropy(
            logits.float().flatten(0, 1), ids.flatten(), ignore_index=PAD, label_smoothing=smoothing
        )

    @torch.no_grad()
    def generate(self, seen: Seen, *, beams: int = 4, most: int = 100) -> tuple[Tensor, Float[Tensor, " clips"]]:
        """The likeliest sentences: pieces, and the probability of a piece, their geometric mean with the end.

        Source: beam search of transformers; 4 beams and 100 pieces are published.
        """
        found = self.mt5.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=seen.states),
            attention_mask=seen.there.long(),
            num_beams=beams,
            max_new_tokens=most,
            do_sample=False,
            length_penalty=1.0,
            return_dict_in_generate=True,
            output_scores=True,
        )
        ids = found.sequences[:, 1:]
        logits = self.mt5(
            encoder_outputs=BaseModelOutput(last_hidden_state=seen.states),
            attention_mask=seen.there.long(),
            decoder_input_ids=nn.functional.pad(ids[:, :-1], (1, 0), value=PAD),
            use_cache=False,
        ).logits
        sure = logits.float().log_softmax(dim=-1).gather(2, ids[..., None])[..., 0]
        ends = ids == END
        said = (ids != PAD) & (ends.cumsum(dim=1) <= ends.long())  # shorter ones are filled up with either
        return ids, ((sure * said).sum(dim=1) / said.sum(dim=1).clamp(min=1)).exp()

    # Arrays in, arrays out: the `Network` of a translator

    @property
    def landmarks(self) -> Sequence[str]:
        """At which it looks, in whatever layouts it takes."""
        return self.frames.landmarks

    @property
    def windows(self) -> tuple[int, int] | None:
        """Frames of a window, and from one to the next, where it looks at windows."""
        return self.frames.windows

    def look(self, poses: Poses) -> Looked:
        """What it looks at in poses; see `frame_tokens`."""
        return self.frames.look(poses)

    @torch.no_grad()
    def say(self, looked: Sequence[Looked], *, beams: int = 4, most: int = 100) -> list[tuple[list[int], float]]:
        """The likeliest pieces for every clip, and the probability of a piece."""
        device = self.vision_first.device
        batch, there = stack(looked)
        batch = {part: values.to(device) for part, values in batch.items()}
        there = there.to(device)
        seen = self.see(batch, there)
        ids, sure = self.generate(seen, beams=beams, most=most)
        return list(zip(ids.tolist(), sure.tolist(), strict=True))

    def recompute_activations(self) -> None:
        """From now on, training keeps the input of every layer only and computes the layer again on the way back."""
        self.recompute = True
        new = getattr(self.mt5, "activation_checkpointing_enable", None)  # transformers 5 renamed it
        (new or self.mt5.gradient_checkpointing_enable)({"use_reentrant": False})

    def without_text(self) -> "Sigma":
        """What translates: without the encoder of sentences, and all that only training needs."""
        made = Sigma(replace(self.shape, fused=0), self.frames, self.inputs, self.mt5)
        made.vision_first = self.vision_first
        if hasattr(self, "into"):
            made.into = self.into
        return made

    def _stack(self, text: bool) -> Any:
        return self.text_encoder if text else self.mt5.encoder

    @property
    def config(self) -> dict[str, Any]:
        """All that a checkpoint keeps beside `tensors`."""
        return {
            "model": "sigma",
            "shape": asdict(self.shape),
            "frames": self.frames.config,
            "inputs": asdict(self.inputs),
        }

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Those of `state_dict`, each of them once."""
        return {name: tensor for name, tensor in self.state_dict().items() if name not in TIED}

    @classmethod
    def from_checkpoint(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "Sigma":
        """The network that a config and its tensors make.

        Raises:
            InputError: A setting is not what it should be, or the tensors are not those of such a network.
        """
        try:
            shape = Shape(**config["shape"])
            inputs = Inputs(**{**config["inputs"], "prefix": tuple(config["inputs"]["prefix"])})
            shared = tensors.get("mt5.shared.weight")
            if shared is not None and shared.shape != (shape.vocabulary, shape.width):  # before as much is allocated
                raise InputError(
                    f"the tensor mt5.shared.weight is {size(shared)}, where in this Sigma it is {shape.vocabulary} x "
                    f"{shape.width}: it belongs to another network"
                )
            model = cls(shape, frame_tokens.make(config["frames"]), inputs)
        except InputError:
            raise
        except (TypeError, ValueError, KeyError, RuntimeError) as error:
            raise InputError(f"its settings make no Sigma ({error})") from None
        tied = {} if shared is None else {name: shared for name in TIED if name in model.state_dict()}
        return fit(model, {**tensors, **tied}, "in this Sigma it is")
