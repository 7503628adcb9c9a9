"""SignCLIP: two transformers that put clips of poses and texts into one space.

Source: Jiang et al. 2024 (arXiv:2407.01264) and the authors' code, examples/MMPT of their fairseq fork @ a8199440. The
names of the tensors are those of that code, less its wrapper's prefix. Differs: clips and texts run at their own
length, which changes nothing but rounding; padding is masked, where the published helper for batches takes it for
frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from seasign.types import InputError

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
    max_frames: int = 256  # the video's [SEP] stands at max_frames + 1, after however few frames
    max_tokens: int = 64  # of a text, with [CLS], [SEP] and the [SEP] of the video before it
    separators: tuple[int, int] = (101, 102)  # [CLS] and [SEP] in the vocabulary
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
    """Both towers. The score of a text and a clip is the dot product of their vectors, as it is."""

    def __init__(self, shape: Shape = Shape()):
        super().__init__()
        self.shape = shape
        if shape.max_frames + 2 > shape.video_positions:
            raise InputError(
                f"max_frames {shape.max_frames} needs {shape.max_frames + 2} positions of the video, and there are "
                f"{shape.video_positions}: stretch them (`interpolate_positions`), or lower max_frames"
            )
        self.video_encoder = VideoTower(shape)
        self.text_encoder = _bert(shape, shape.text_layers, shape.vocabulary, shape.positions)
        if shape.projection:
            self.video_projection, self.text_projection = Head(shape.hidden), Head(shape.hidden)

    def clips(
        self, frames: Float[Tensor, "clips frames features"], there: Bool[Tensor, "clips frames"]
    ) -> Float[Tensor, "clips hidden"]:
        """One vector per clip: the mean over its frames and [SEP], without [CLS]. What is not `there` is padding."""
        tower, count = self.video_encoder, frames.shape[1]
        cls, sep = (0, 1) if self.shape.trimmed else self.shape.separators
        ends = tower.bert.embeddings.word_embeddings(torch.tensor([cls, sep], device=frames.device))
        ends = ends[:, None, None].expand(-1, len(frames), 1, -1)
        sequence = torch.cat((ends[0], tower.videomlp(frames), ends[1]), dim=1)
        position = torch.arange(count + 2, device=frames.device)
        position[-1] = self.shape.max_frames + 1
        one = torch.ones_like(there[:, :1])
        hidden = tower.bert(
            inputs_embeds=sequence,
            position_ids=position[None].expand(len(frames), -1),
            attention_mask=torch.cat((one, there, one), dim=1).long(),
        ).last_hidden_state
        return self._pooled(hidden[:, 1:], torch.cat((there, one), dim=1), "video")

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


def interpolate_positions(
    tensors: Mapping[str, Tensor], rows: int, key: str = "video_encoder.bert.embeddings.position_embeddings.weight"
) -> dict[str, Tensor]:
    """The tensors with a longer table of the video's positions, as the published code stretches it for long contexts.

    Args:
        rows: max_frames + 2.
    """
    table = nn.functional.interpolate(tensors[key].T[None].float(), size=rows, mode="linear", align_corners=False)
    return {**tensors, key: table[0].T.contiguous()}


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
