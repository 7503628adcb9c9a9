"""What tells a clip's own text from those of others: the loss of pairs, and which texts are the same."""

import hashlib

from jaxtyping import Bool, Float
from torch import Tensor


def infonce(
    scores: Float[Tensor, "clips texts"],
    right: Bool[Tensor, "clips texts"] | Float[Tensor, "clips texts"],
    back: Float[Tensor, "clips texts"] | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy of every clip's texts, and of every text's clips, the mean of each; their sum. Sigma halves it.

    Args:
        right: Which texts are right for which clips, or how right; the diagonal at least. Each gets its share.
        back: Scores by which texts have their clips, where these are others.
    """
    wanted, back = right.to(scores.dtype), scores if back is None else back
    rows, columns = wanted / wanted.sum(dim=1, keepdim=True), wanted / wanted.sum(dim=0, keepdim=True)
    return -((rows * scores.log_softmax(dim=1)).sum() + (columns * back.log_softmax(dim=0)).sum()) / len(scores)


def text_number(text: str) -> int:
    """The same for texts of the same words, in any order and any process."""
    made = hashlib.sha256(" ".join(sorted(text.split())).encode()).digest()
    return int.from_bytes(made[:8], "big") >> 1
