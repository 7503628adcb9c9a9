"""Spaces that compare or do not, and evidence that counts as much as it stands out."""

import numpy as np
import pytest

import seasign
from seasign.embedding import Joined, compare, embed_signs, embed_text, join, weigh_evidence
from seasign.lag import estimate_lag
from seasign.types import Cue, Embeddings, InputError, Sign


def embeddings(rows, columns, space="a"):
    return Embeddings(np.random.default_rng(rows).normal(size=(rows, columns)).astype(np.float32), space)


def test_the_similarity_is_the_dot_product():
    text, signs = embeddings(3, 4), embeddings(5, 4)
    np.testing.assert_allclose(seasign.compare(text, signs), text.vectors @ signs.vectors.T)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (embeddings(2, 4, "b"), "cannot compare 'a' with 'b': embed both with one model"),
        (embeddings(2, 5), "cannot compare vectors of 4 and 5 dimensions"),
    ],
)
def test_two_spaces_do_not_compare(other, says):
    with pytest.raises(InputError, match=says):
        seasign.compare(embeddings(3, 4), other)


def test_where_there_is_nothing_there_is_nothing_to_compare():
    nothing = Embeddings(np.empty((0, 0), np.float32), "a")
    assert seasign.compare(nothing, embeddings(3, 4)).shape == (0, 3)
    assert seasign.compare(embeddings(3, 4), nothing).shape == (3, 0)
    with pytest.raises(InputError, match="cannot compare"):
        seasign.compare(nothing, embeddings(3, 4, "b"))


def planted(cues=40, signs=50, seed=0):
    """Similarities of cues with signs, and by time alone which are theirs."""
    rng = np.random.default_rng(seed)
    own = np.zeros((cues, signs))
    for cue in range(cues):
        own[cue, cue : cue + 3] = 0.8
    return rng.normal(size=own.shape) + 2 * (own > 0), own


def test_own_signs_gain_and_others_lose():
    nats = weigh_evidence(*planted())
    own = planted()[1] > 0
    assert nats[own].mean() > 0.5
    assert nats[~own].mean() < -0.5


def test_a_cue_that_looks_like_every_sign_alike_says_nothing_and_changes_nothing():
    similarity, own = planted()
    silent = np.vstack([similarity, np.full((30, 50), 3.7)])
    nats = weigh_evidence(silent, np.vstack([own, own[:30]]))
    assert not nats[40:].any()
    np.testing.assert_array_equal(nats[:40], weigh_evidence(similarity, own))
    assert not weigh_evidence(silent[40:], own[:30]).any()


def test_cues_that_say_nothing_do_not_move_the_lag():
    rng = np.random.default_rng(0)
    signs = [Sign(0.5 * number, 0.5 * number + 0.45) for number in range(600)]  # seamless: no pause shows a lag
    cues = [Cue(start, start + 2, "") for start in np.arange(5, 285, 2.5)]
    own = np.array([[cue.start <= sign.middle - 2 <= cue.end for sign in signs] for cue in cues])
    similarity = np.where(own, 3.0, 0.0) + rng.normal(size=own.shape)
    similarity[rng.random(len(cues)) < 0.5] = 0.25
    lag = estimate_lag(cues, signs, similarity)
    assert len(lag.stretches) == 1
    assert lag.stretches[0].start == pytest.approx(2, abs=0.4)
    assert lag.clarity > 3


class Fixed:
    """Texts and signs are what it was made with."""

    def __init__(self, space, texts, signs, landmarks=()):
        self.space, self.texts, self.shown, self.landmarks = space, texts, signs, landmarks

    def text(self, texts):
        return Embeddings(self.texts[: len(texts)], self.space)

    def signs(self, poses, signs):
        return Embeddings(self.shown[: len(signs)], self.space)


def test_joined_embedders_agree_on_the_mean_of_their_similarities():
    rng = np.random.default_rng(0)
    one, two = (
        Fixed(space, *rng.normal(size=(2, 3, size)).astype(np.float32), landmarks)
        for space, size, landmarks in (("a", 4, ("WRIST",)), ("b", 7, ("NOSE", "WRIST")))
    )
    joined, signs = Joined((one, two)), [Sign(0, 1), Sign(1, 2)]
    text, seen = embed_text(["x", "y", "z"], joined), embed_signs(None, signs, joined)
    assert text.space == seen.space == "a + b"
    assert joined.landmarks == ("WRIST", "NOSE")
    each = [compare(embed_text(["x", "y", "z"], own), embed_signs(None, signs, own)) for own in (one, two)]
    np.testing.assert_allclose(compare(text, seen), np.mean(each, axis=0), atol=1e-6)
    assert compare(embed_text([], joined), seen).shape == (0, 2)


@pytest.mark.parametrize("rows", [(), (2, 3)])
def test_embeddings_of_other_things_do_not_join(rows):
    with pytest.raises(InputError, match="cannot join embeddings of"):
        join([embeddings(count, 4) for count in rows])
