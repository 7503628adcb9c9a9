"""Recordings, as tables and folders list them, and parts that share nobody."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seasign.corpora.recordings import PARTS, Recording, divide, read_folder, read_manifest
from seasign.types import InputError


@pytest.fixture
def corpus(tmp_path):
    for name in "a.pose", "a.eaf", "b.npz", "b.csv", "c.pose":
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def manifest(folder, text):
    (folder / "manifest.csv").write_text(text)
    return folder / "manifest.csv"


def test_a_table_lists_recordings_and_isolated_signs(corpus):
    path = manifest(
        corpus, "Poses;signs;signer;split;gloss;note\na.pose;a.eaf;anna;train;;x\n\nc.pose;;ben;valid;HOUSE;\n"
    )
    assert read_manifest(path) == (
        Recording("a.pose", corpus / "a.pose", corpus / "a.eaf", "anna", "train"),
        Recording("c.pose", corpus / "c.pose", None, "ben", "valid", "HOUSE"),
    )


def test_a_table_may_name_poses_alone(corpus):
    (recording,) = read_manifest(manifest(corpus, "poses\nb.npz\n"))
    assert recording == Recording("b.npz", corpus / "b.npz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("file\na.pose\n", r"manifest.csv:1: no column 'poses' in \['file'\]"),
        ("poses\n", "lists no poses"),
        ("poses,signs\na.pose,d.eaf\n", "manifest.csv:2: there is no file .*d.eaf"),
        ("poses,signs\na.pose,c.pose\n", r"manifest.csv:2: c.pose: expected a file named \*.eaf \*.csv \*.json"),
        ("poses,signs\na.pose,\nb.eaf,\n", r"manifest.csv:3: b.eaf: expected a file named \*.pose \*.npz"),
        ("poses,split\na.pose,dev\n", "manifest.csv:2: split: expected train, valid, test or nothing, found 'dev'"),
        ("poses,signs\n,a.eaf\n", "manifest.csv:2: names no poses"),
        ("poses\na.pose\n./a.pose\n", "./a.pose: is there twice"),
        ('poses\n"a.pose', "not a whole CSV file"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_its_line(corpus, text, message):
    with pytest.raises(InputError, match=message):
        read_manifest(manifest(corpus, text))


def test_a_folder_pairs_files_of_one_name_and_knows_signers_by_their_folders(corpus):
    (corpus / "anna").mkdir()
    (corpus / "anna" / "d.pose").write_bytes(b"")
    (corpus / "anna" / "d.csv").write_bytes(b"")
    (corpus / "d.pose.json").write_bytes(b"")
    assert read_folder(corpus) == (
        Recording("a.pose", corpus / "a.pose", corpus / "a.eaf"),
        Recording("anna/d.pose", corpus / "anna" / "d.pose", corpus / "anna" / "d.csv", "anna"),
        Recording("b.npz", corpus / "b.npz", corpus / "b.csv"),
        Recording("c.pose", corpus / "c.pose", gloss="C"),
    )


def test_a_folder_without_poses_or_with_two_partners_is_refused(corpus, tmp_path):
    (corpus / "a.csv").write_bytes(b"")
    with pytest.raises(InputError, match=r"a.pose: has two files of signs, a.eaf and a.csv; keep one"):
        read_folder(corpus)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="lists no poses"):
        read_folder(tmp_path / "empty")
    with pytest.raises(InputError, match="no such folder"):
        read_folder(tmp_path / "none")


def recordings(signers, parts=None):
    return [
        Recording(f"{number}.pose", Path(f"{number}.pose"), signer=signer, part=parts and parts[number])
        for number, signer in enumerate(signers)
    ]


@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=4, max_size=40).filter(lambda names: len(set(names)) > 2),
    st.floats(0.05, 0.4),
    st.floats(0, 0.4),
    st.integers(0, 9),
)
def test_no_signer_is_in_two_parts_and_nobody_is_lost(signers, valid, test, seed):
    listed = recordings(signers)
    parts = divide(listed, valid=valid, test=test, seed=seed)
    assert sorted(one.name for members in parts.values() for one in members) == sorted(one.name for one in listed)
    people = [{one.signer for one in parts[part]} for part in PARTS]
    assert sum(map(len, people)) == len(set().union(*people))
    assert parts["train"]
    assert parts["valid"]
    assert bool(parts["test"]) == (test > 0)
    assert parts == divide(listed, valid=valid, test=test, seed=seed)


def test_files_are_divided_by_their_shares():
    parts = divide(recordings([None] * 40), by="file", valid=0.1, test=0.25)
    assert [len(parts[part]) for part in PARTS] == [26, 4, 10]
    other = divide(recordings([None] * 40), by="file", valid=0.1, test=0.25, seed=1)
    assert parts["valid"] != other["valid"]


def test_named_parts_hold():
    parts = divide(recordings("aabc", ["train", "train", "valid", "test"]), valid=0.9)
    assert [[one.name for one in parts[part]] for part in PARTS] == [["0.pose", "1.pose"], ["2.pose"], ["3.pose"]]


@pytest.mark.parametrize(
    ("listed", "by", "message"),
    [
        (
            recordings("aab", ["train", "valid", "valid"]),
            "signer",
            "signer a is in two parts: 0.pose in train, 1.pose in v",
        ),
        (recordings("ab", ["train", None]), "signer", "1.pose: names no split where others do"),
        (recordings(["a", None]), "signer", '1.pose: its signer is not known; .* `signer`, or divide by "file"$'),
        (recordings(["a", None]), None, "1.pose: its signer is not known; add a column `signer`$"),
        (recordings("aaa"), None, "1 signers for the parts train, valid; add signers$"),
        (recordings([None] * 2, ["train", "train"]), None, "no recording is in the part valid"),
        (recordings("aaa"), "signer", r'1 signers for the parts train, valid; add signers, or divide by "file"'),
        (recordings("a"), "file", "1 files for the parts train, valid; add recordings"),
        (recordings("ab", ["train", "train"]), "signer", "no recording is in the part valid"),
        (recordings("ab", ["valid", "test"]), "signer", "no recording is in the part train"),
    ],
)
def test_parts_that_would_overlap_or_be_empty_are_refused(listed, by, message):
    with pytest.raises(InputError, match=message):
        divide(listed, by)
