"""The layout of WSLP 2025: what is paired, what is refused, what is left out."""

import pytest

from seasign.corpora.wslp import read, says
from seasign.types import InputError, InputWarning

HEADER = "word_id,word,sentence_id,sentence\n"


def table(folder, *rows, header=HEADER, poses=()):
    for name in poses:
        (folder / f"{name}.pose").write_bytes(b"")
    (folder / "pairs.csv").write_text(header + "".join(f"{row}\n" for row in rows))
    return folder / "pairs.csv"


def test_pairs_are_read_in_order_with_their_files(tmp_path):
    path = table(
        tmp_path,
        'a1_w,house,a1_e1,"The house, there."',
        "a1_w,house,a1_e2,My house.",
        "b_c_w,rain,b_c_e1,Rain.",
        poses=("a1_w", "a1_e1", "a1_e2", "b_c_w", "b_c_e1"),
    )
    pairs = read(path, tmp_path)
    assert [(pair.word, pair.name, pair.signer) for pair in pairs] == [
        ("house", "a1_e1", "a1"), ("house", "a1_e2", "a1"), ("rain", "b_c_e1", "b_c"),
    ]  # fmt: skip
    assert pairs[0].text == "The house, there."
    assert (pairs[2].query, pairs[2].sentence) == (tmp_path / "b_c_w.pose", tmp_path / "b_c_e1.pose")


def test_pairs_without_poses_are_left_out_with_a_count(tmp_path):
    path = table(tmp_path, "a_w,a,a_e1,A.", "b_w,b,b_e1,B.", poses=("a_w", "a_e1", "b_w"))
    with pytest.warns(InputWarning, match=r"1 of 2 pairs lack poses, the first b_e1\.pose; left out"):
        assert [pair.word for pair in read(path, tmp_path)] == ["a"]


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ((), "lists no pairs"),
        (("a_w,a,a_e1,A.",), r"none of 1 pairs has its poses, the first would be .*a_w\.pose"),
        (("a,a,a_e1,A.",), r"pairs\.csv:2: word_id: expected <uid>_w, found 'a'"),
        (("a_w,a,a_x1,A.",), r"pairs\.csv:2: sentence_id: expected <uid>_e1 or another number, found 'a_x1'"),
        (("a_w,a,a_e1,A.", "a_w,a,a_e1,A."), r"pairs\.csv:3: a_w and a_e1 are paired in .*pairs\.csv:2 already"),
        (("a_w,,a_e1,A.",), r"pairs\.csv:2: names no word"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path, rows, what):
    with pytest.raises(InputError, match=what):
        read(table(tmp_path, *rows), tmp_path)


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(InputError, match="no column 'sentence_id'"):
        read(table(tmp_path, header="word_id,word,sentence\n"), tmp_path)


@pytest.mark.parametrize(
    ("text", "word", "there"),
    [
        ("My House.", "house", True),
        ("My houses.", "house", False),
        ("Thank you, then.", "thank you", True),
        ("You thank.", "thank you", False),
        ("Anything", "...", False),
    ],
)
def test_a_sentence_says_whole_words_on_end(text, word, there):
    assert says(text, word) is there
