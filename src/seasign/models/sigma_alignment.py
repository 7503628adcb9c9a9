"""How well clips fit texts, word by word: arrays alone, no network.

Source: Sigma (arXiv:2509.21223), hierarchical alignment; the strategies of its code @ 91cae80.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Row = Literal["max", "average", "top-third", "softmax"]
Score = Literal["sum", "average", "logsumexp", "softmax", "var"]


def pool(
    values: Float[Tensor, "*rows parts"], there: Bool[Tensor, "#*rows parts"], how: Row | Score
) -> Float[Tensor, "*rows"]:
    """One number for the values that are there, of which there is one at least.

    "top-third" is the mean of the greatest third, of one at least; "softmax" their mean, each weighted by its softmax.
    "var" is the mean difference from the mean, as in the released code: 0, whatever the values, so that nothing can be
    learned with it; recipes do not offer it.
    """
    there = there.expand(values.shape)
    count = there.sum(dim=-1)
    hidden = values.masked_fill(~there, -torch.inf)
    if how == "max":
        return hidden.amax(dim=-1)
    if how == "logsumexp":
        return hidden.logsumexp(dim=-1)
    if how == "softmax":
        return (hidden.softmax(dim=-1) * values).sum(dim=-1)
    total = values.masked_fill(~there, 0).sum(dim=-1)
    if how == "sum":
        return total
    if how == "average":
        return total / count
    if how == "var":
        return (values - (total / count)[..., None]).masked_fill(~there, 0).sum(dim=-1) / count
    most = (count // 3).clamp(min=1)
    best = hidden.sort(dim=-1, descending=True).values
    kept = torch.arange(values.shape[-1], device=values.device) < most[..., None]
    return best.masked_fill(~kept, 0).sum(dim=-1) / most


def word_scores(
    vision: Float[Tensor, "clips frames width"],
    text: Float[Tensor, "texts words width"],
    frames_there: Bool[Tensor, "clips frames"],
    words_there: Bool[Tensor, "texts words"],
    *,
    row: Row = "max",
    score: Score = "softmax",
) -> tuple[Float[Tensor, "clips texts"], Float[Tensor, "clips texts"]]:
    """How well clips fit texts word by word: of clips for texts, and of texts for clips.

    The cosines of all frames of a clip and all words of a text: by `row` every frame has one number for the words, by
    `score` the clip one for its frames; the other way round for a text.

    Source: Sigma, local alignment, all its strategies.
    """
    cosines = torch.einsum("cfd,twd->ctfw", *(nn.functional.normalize(one, dim=-1) for one in (vision, text)))
    frames, words = frames_there[:, None, None], words_there[None, :, None]
    of_clips = pool(pool(cosines, words, row), frames[:, :, 0], score)
    of_texts = pool(pool(cosines.mT, frames, row), words[:, :, 0], score)
    return of_clips, of_texts


def words_of(
    pieces: Float[Tensor, "texts pieces width"], words: Int[Tensor, "texts pieces"]
) -> tuple[Float[Tensor, "texts words width"], Bool[Tensor, "texts words"]]:
    """The mean of the pieces of every word, and which words are there: as many for every text, the rest are 0.

    Args:
        words: The word that each piece is of, from 0; -1 for none.
    """
    count = int(words.max()) + 1
    own = nn.functional.one_hot(words.clamp(min=0), count) * (words >= 0)[..., None]
    size = own.sum(dim=1)
    total = torch.einsum("tpw,tpd->twd", own.to(pieces.dtype), pieces)
    return total / size.clamp(min=1)[..., None], size > 0
