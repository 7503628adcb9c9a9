"""Clips of words: which files say what they are, what is left out, and what sentences are joined of."""

from itertools import pairwise

import numpy as np
import pytest

import seasign
from planted import signed
from seasign.corpora.clips import Clip, digest, read_manifest
from seasign.formats.disk import sha256
from seasign.training.concatenation import Joining
from seasign.training.lexicon import by_word, join, leave_out, read_clips
from seasign.types import InputError


@pytest.fixture
def clips():
    return tuple(Clip(f"{word} {take}", signed(take)[0], word) for word in ("no", "yes", "you") for take in range(2))


def test_clips_of_a_table_are_known_by_it_and_by_their_files(tmp_path):
    seasign.write(tmp_path / "a.npz", signed(0)[0])
    path = tmp_path / "clips.csv"
    path.write_text("poses,text\na.npz,you\n")
    clips, files = read_clips(None, path)
    assert clips == read_manifest(path)
    assert files == {"clips.csv": sha256(path), "the clips in it": digest(clips)}


def test_texts_are_left_out_and_must_be_there(clips):
    assert [clip.text for clip in leave_out(clips, ("no", "you"))] == ["yes", "yes"]
    with pytest.raises(InputError, match="without: no clip says 'maybe'"):
        leave_out(clips, ("you", "maybe"))


def test_sentences_are_of_different_words_as_many_as_asked_and_as_the_seed_says(clips):
    lexicon, lengths = by_word(clips), set()
    for seed in range(20):
        (poses, signs), (again, _) = (
            join(lexicon, (2, 3), np.random.default_rng(seed), joining=Joining(phrase=(1, 1))) for _ in range(2)
        )
        np.testing.assert_array_equal(poses.xyz, again.xyz)
        assert len({sign.gloss for sign in signs}) == len(signs)
        assert all(0 < after.start - before.end < 0.5 for before, after in pairwise(signs))  # one phrase, no rest
        lengths.add(len(signs))
    assert lengths == {2, 3}
