"""What tells texts apart: the loss of pairs, against one that is written out, and which texts are the same."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from seasign.training.contrast import infonce, text_number  # noqa: E402


def test_of_equal_texts_each_is_right():
    said = [0, 1, 0, 2, 0, 1]
    scores = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    right = torch.tensor([[one == other for other in said] for one in said])
    p, q = scores.exp() / scores.exp().sum(1, keepdim=True), scores.exp() / scores.exp().sum(0, keepdim=True)
    p, q = p.log().numpy(), q.log().numpy()
    rows = [-np.mean([p[i, j] for j in range(6) if said[i] == said[j]]) for i in range(6)]
    columns = [-np.mean([q[i, j] for i in range(6) if said[i] == said[j]]) for j in range(6)]
    assert float(infonce(scores, right)) == pytest.approx(np.mean(rows) + np.mean(columns), rel=1e-5)
    own = torch.eye(6) > 0
    target = torch.arange(6)
    expected = torch.nn.functional.cross_entropy(scores, target) + torch.nn.functional.cross_entropy(scores.T, target)
    torch.testing.assert_close(infonce(scores, own), expected)


def test_scores_back_are_those_of_texts_for_clips():
    scores, back = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(0))
    own, target = torch.eye(5) > 0, torch.arange(5)
    expected = torch.nn.functional.cross_entropy(scores, target) + torch.nn.functional.cross_entropy(back.T, target)
    torch.testing.assert_close(infonce(scores, own, back), expected)


def test_texts_of_the_same_words_are_the_same():
    assert text_number("tree house") == text_number("house tree") != text_number("house")
