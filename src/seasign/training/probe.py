"""Signs -> glosses by a linear probe: what a straight cut can read out of frozen vectors."""

from collections.abc import Sequence

import numpy as np
import torch

from seasign.recognition import Guesses
from seasign.types import Embeddings, InputError

STEPS = 100


def probe(signs: Embeddings, examples: Embeddings, glosses: Sequence[str], *, decay: float = 1.0) -> Guesses:
    """Guess the gloss of every sign by a logistic regression on examples of glosses.

    Dimensions are first centred and scaled by the examples, as in `recognition.classify`.

    Args:
        glosses: What each example is.
        decay: Half of the square of the weights costs that much, beside the log-likelihood of all examples.
    Returns:
        Scores are log-probabilities.
    Raises:
        InputError: There are no examples, or the two are in different spaces.
    Source: SignCLIP (arXiv:2407.01264), its linear probe: scikit-learn's regression with at most 100 iterations.
        Differs: vectors are standardized, as they are there for neighbours.
    """
    if signs.space != examples.space:
        raise InputError(f"cannot compare {signs.space!r} with {examples.space!r}: embed both with one model")
    if not len(glosses) or len(glosses) != len(examples.vectors):
        raise InputError(f"{len(examples.vectors)} examples have {len(glosses)} glosses: give one to each")
    middle, spread = examples.vectors.mean(axis=0), np.maximum(examples.vectors.std(axis=0), 1e-6)
    known, asked = (torch.from_numpy((one.vectors - middle) / spread).double() for one in (examples, signs))
    names = tuple(dict.fromkeys(glosses))
    label = torch.tensor([names.index(gloss) for gloss in glosses])
    weight = torch.zeros(known.shape[1], len(names), dtype=torch.double, requires_grad=True)
    bias = torch.zeros(len(names), dtype=torch.double, requires_grad=True)
    descent = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        descent.zero_grad()
        missed = torch.nn.functional.cross_entropy(known @ weight + bias, label, reduction="sum")
        cost = missed + decay / 2 * (weight**2).sum()
        cost.backward()  # type: ignore[no-untyped-call]
        return cost

    with torch.enable_grad():
        descent.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return Guesses(names, torch.log_softmax(asked @ weight + bias, dim=1).numpy())
