"""Windows of signs and sentences: which sign is in which cue, what a vector is made of, and what cannot be indexed."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seasign.indexing import Filters, Video, Window, find_windows, index
from seasign.models.gloss_text import GlossText
from seasign.stores import open_index
from seasign.types import Cue, Embeddings, InputError, Poses, Sign

SIGNS = (Sign(0, 1, "HEAVY", 0.9), Sign(1, 2, "RAIN"), Sign(4, 5), Sign(9, 10, "GO"))
CUES = (Cue(0.2, 2.2, "Heavy rain."), Cue(3.5, 6, "Well."), Cue(6, 8, "Nobody signs."), Cue(9, 9, "Empty."))
SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6)), max_size=8)


@pytest.fixture
def into(tmp_path):
    return open_index(tmp_path / "index", create=True)


def test_signs_know_their_cue_and_sentences_their_signs():
    windows, runs = find_windows(SIGNS, CUES)
    assert windows == (
        Window(0, 1, "sign", "HEAVY", 0.9, "Heavy rain."),
        Window(1, 2, "sign", "RAIN", None, "Heavy rain."),
        Window(4, 5, "sign", None, None, "Well."),
        Window(9, 10, "sign", "GO"),
        Window(0.2, 2.2, "sentence", text="Heavy rain."),
        Window(3.5, 6, "sentence", text="Well."),
    )
    assert runs == ((0, 2), (2, 3))
    bouts, runs = find_windows(SIGNS, ())
    assert [(one.start, one.end) for one in bouts[4:]] == [(0, 2), (4, 5), (9, 10)]
    assert runs == ((0, 2), (2, 3), (3, 4))
    near, _ = find_windows([Sign(0, 1), Sign(1.3, 2), Sign(2.5, 3)], ())
    assert [(one.start, one.end) for one in near[3:]] == [(0, pytest.approx(2)), (2.5, pytest.approx(3))]
    assert find_windows((), CUES) == ((), ())


@given(SPANS, SPANS)
def test_a_sign_is_in_the_cue_that_its_middle_is_in(signs, cues):
    signs = sorted((Sign(start, start + length) for start, length in signs), key=lambda sign: sign.middle)
    cues = [Cue(start, start + length, f"{number}") for number, (start, length) in enumerate(cues)]
    windows, runs = find_windows(signs, cues)
    for sign, window in zip(signs, windows, strict=False):
        inside = [cue for cue in cues if cue.start <= sign.middle < cue.end]
        if cues:
            last = max(((cue.start, cue.end) for cue in inside), default=None)
            assert window.text in ([cue.text for cue in inside if (cue.start, cue.end) == last] or [None])
    for window, (first, stop) in zip(windows[len(signs) :], runs, strict=True):
        inside = [n for n, sign in enumerate(signs) if window.start <= sign.middle < window.end]
        assert inside == list(range(first, stop)) or not cues


def test_a_sentence_is_found_by_all_of_its_glosses(into):
    assert index(Video("news.eaf"), SIGNS, CUES, into, embedder=GlossText()) == 6
    query = GlossText().text(["heavy rain"])
    (first,) = into.search(query, Filters(kind="sentence"), 1)
    assert first.window.text == "Heavy rain."
    assert {match.window.gloss for match in into.search(query, Filters(kind="sign"), 2)} == {"HEAVY", "RAIN"}


def test_with_embeddings_a_sentence_is_the_mean_of_its_signs(into):
    vectors = np.eye(4, dtype=np.float32)[[2, 0, 3, 1]]
    shuffled = [SIGNS[2], SIGNS[0], SIGNS[3], SIGNS[1]]
    index(Video("news.npz"), shuffled, CUES, into, embeddings=Embeddings(vectors, "planted"))
    held = into.windows("news.npz")
    own = dict(zip([(one.kind, one.text or one.gloss) for one in held], into.vectors("news.npz"), strict=True))
    assert own["sentence", "Heavy rain."].tolist() == [0.5, 0.5, 0, 0]
    assert own["sign", "Well."].tolist() == [0, 0, 1, 0]
    index(Video("news.npz"), shuffled[:1], (), into, embeddings=Embeddings(vectors[:1], "planted"))
    assert [(one.kind, one.start) for one in into.windows("news.npz")] == [("sign", 4), ("sentence", 4)]
    assert index(Video("news.npz"), (), CUES, into, embeddings=Embeddings(vectors[:0], "planted")) == 0
    assert len(into) == 0


def test_poses_that_begin_later_are_embedded_where_they_are(into):
    class Frames:
        """The first frame of a sign, as a vector."""

        def text(self, texts):
            raise AssertionError

        def signs(self, poses, signs):
            return Embeddings(
                np.array([[float(round(sign.start * poses.fps))] for sign in signs], np.float32), "frames"
            )

    poses = Poses(
        np.zeros((50, 1, 3), np.float32), np.ones((50, 1), np.float32), Fraction(10), ("A.B",),
        {"start": 20.0},
    )  # fmt: skip
    index(Video("late.pose"), [Sign(21, 22)], [Cue(20, 23, "Late.")], into, poses=poses, embedder=Frames())
    assert [one.start for one in into.windows("late.pose")] == [20, 21]
    assert into.vectors("late.pose").ravel().tolist() == [0, 10]


def test_what_cannot_be_indexed_is_said(into):
    with pytest.raises(InputError, match="nothing to embed its signs with"):
        index(Video("a"), SIGNS, CUES, into)
    with pytest.raises(InputError, match="a: 4 signs have 1 vectors"):
        index(Video("a"), SIGNS, CUES, into, embeddings=Embeddings(np.ones((1, 2), np.float32), "x"))
    with pytest.raises(InputError, match="none of 2 signs has a gloss"):
        index(Video("a"), SIGNS[2:3], (), into, embedder=GlossText())
    assert len(into) == 0
