"""BOBSL's files: what they hold is read, and what they should not hold is refused in a line."""

import importlib.util
import io
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from seasign.corpora import bobsl
from seasign.formats import pickles
from seasign.spotting import label_spots
from seasign.types import Cue, InputError, InputWarning, Sign

GOLDEN = Path(__file__).parent / "golden" / "cslr2"
LABELS = json.loads((GOLDEN / "pseudo_labels.json").read_text())


def pickled(path, value):
    path.write_bytes(pickle.dumps(value, protocol=4))
    return path


def test_subtitles_are_cues_of_their_episodes(tmp_path):
    found = bobsl.read_subtitles(pickled(tmp_path / "s.pkl", LABELS["subtitles"]))
    assert found["ep0"][2] == Cue(11.2, 15.4, "four five six")
    seconds = LABELS["subtitles"] | {"start": [2.0, 6.5, 11.2, 17.0], "end": [5, 9, 15.4, 19.9]}
    assert bobsl.read_subtitles(pickled(tmp_path / "s.pkl", seconds)) == found
    (tmp_path / "ep0.vtt").write_text("WEBVTT\n\n00:02.000 --> 00:05.000\none two\n")
    assert bobsl.read_subtitles(tmp_path / "ep0.vtt") == {"ep0": (Cue(2, 5, "one two"),)}


def test_the_vocabulary_is_in_the_order_of_its_numbers(tmp_path):
    numbers = dict(reversed(LABELS["vocab"].items()))
    found = bobsl.read_vocabulary(pickled(tmp_path / "v.pkl", {"words_to_id": numbers}))
    assert found == tuple(LABELS["vocab"]) == bobsl.read_vocabulary(pickled(tmp_path / "v.pkl", numbers))
    assert bobsl.read_synonyms(pickled(tmp_path / "y.pkl", LABELS["synonyms_raw"])) == LABELS["synonyms_raw"]


def test_vectors_are_in_the_order_of_the_words(tmp_path):
    table = {1: np.ones(3, np.float32), 0: np.zeros(3, np.float32)}
    np.testing.assert_array_equal(bobsl.read_vectors(pickled(tmp_path / "e.pkl", table), ("a", "b"))[:, 0], [0, 1])
    with pytest.raises(InputError, match="1 of 3 words have no vector, such as 'c'"):
        bobsl.read_vectors(tmp_path / "e.pkl", ("a", "b", "c"))
    with pytest.raises(InputError, match="not all of as many numbers"):
        bobsl.read_vectors(pickled(tmp_path / "e.pkl", {0: np.ones(2), 1: np.ones(3)}), ("a", "b"))


def test_annotations_are_sentences_with_their_signs(tmp_path):
    path = tmp_path / "ep.csv"
    path.write_text(
        "start_sub,end_sub,english sentence,approx gloss sequence\n"
        '1.0,4.0,"A house, a tree.",house/home[1.2--1.5]thank you[2--2.75]\n5,6,Nothing.,\n'
    )
    first, second = bobsl.read_annotations(path)
    assert first == (Cue(1, 4, "A house, a tree."), (Sign(1.2, 1.5, "house/home"), Sign(2, 2.75, "thank you")))
    assert second == (Cue(5, 6, "Nothing."), ())


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,2,,", r"ep.csv:2: the sentence at 1.00 s is empty"),
        ("2,1,a,", "ends at 1.00 s, where it starts or before"),
        ("soon,1,a,", "'soon' is no time; write seconds"),
        ("1,2,a,house[1.2-1.4]", r"'house\[1.2-1.4\]' is no gloss with its times"),
        ("1,2,a,house[1.5--1.5]", "'house' ends at 1.50 s, where it starts or before"),
    ],
)
def test_annotations_that_say_nothing_are_refused(tmp_path, row, words):
    path = tmp_path / "ep.csv"
    path.write_text(f"start_sub,end_sub,english sentence,approx gloss sequence\n{row}\n")
    with pytest.raises(InputError, match=words):
        bobsl.read_annotations(path)


def test_signs_outside_of_their_sentences_are_counted_and_left_out(tmp_path):
    path = tmp_path / "ep.csv"
    path.write_text(
        "start_sub,end_sub,english sentence,approx gloss sequence\n1,2,a,house[3.0--3.5]tree[1.5--2.5]go[2--3]\n"
    )
    words = "ep.csv:2: 'house' at 3.00 - 3.50 s is outside of its sentence, 1.00 - 2.00 s, and 1 more: left out"
    with pytest.warns(InputWarning, match=words):
        assert bobsl.read_annotations(path) == ((Cue(1, 2, "a"), (Sign(1.5, 2.5, "tree"),)),)


# Raw annotations: one planted case per rule ---------------------------------------------------------------------------

ONE, TWO = Cue(10, 12, "The houses are big."), Cue(12.5, 15, "A tree (old) grows!")


def raw(path, *glosses, name="ep.mp4"):
    """What an annotator's tool writes; empty annotations too."""
    entries = {str(number): {"z": [a, b], "av": {"1": gloss}} for number, (gloss, a, b) in enumerate(glosses)}
    entries["empty"] = {"z": [0, 1], "av": {"2": ""}}
    path.write_text(json.dumps({"file": {"1": {"fname": name, "src": f"{name}#t=0,60"}}, "metadata": entries}))
    return path


def assigned(tmp_path, *glosses, cues=(ONE, TWO), **settings):
    """The glosses of every sentence, and its times."""
    episode, sentences = bobsl.read_raw_annotations(raw(tmp_path / "raw.json", *glosses), cues, **settings)
    assert episode == "ep"
    return [(cue.start, cue.end, [sign.gloss for sign in signs]) for cue, signs in sentences]


def test_a_sign_goes_to_the_subtitle_that_most_of_it_overlaps(tmp_path):
    found = assigned(tmp_path, ("one", 11.5, 12.8), ("two", 11.9, 12.9))  # .5 and .3 s; .1 and .4 s
    assert [glosses for *_, glosses in found] == [["one"], ["two"]]


def test_a_sign_between_subtitles_goes_to_the_nearest_boundary_from_its_middle(tmp_path):
    found = assigned(tmp_path, ("near", 12.05, 12.35), ("far", 12.2, 12.4), ("behind", 15.5, 16), ("before", 9, 9.5))
    assert [glosses for *_, glosses in found] == [["before", "near"], ["far", "behind"]]


def test_subtitles_are_widened_to_their_signs_and_no_less(tmp_path):
    found = assigned(tmp_path, ("one", 9.5, 10.5), ("long", 9.6, 12.2), ("in", 13, 14))
    assert [times for *times, _ in found] == [[9.5, 12.2], [12.5, 15]]


def test_a_boundary_moves_before_a_sign_that_the_next_subtitle_alone_says(tmp_path):
    found = assigned(tmp_path, ("big", 10, 11), ("tree", 11.2, 11.9), ("grow", 13, 14))
    assert found == [(10, 11.2, ["big"]), (11.2, 15, ["tree", "grow"])]


def test_a_boundary_moves_behind_a_sign_that_the_subtitle_before_alone_says(tmp_path):
    found = assigned(tmp_path, ("are", 10, 11), ("big", 12.6, 13.2), ("grow", 13.5, 14))
    assert found == [(10, 13.2, ["are", "big"]), (13.2, 15, ["grow"])]


def test_a_boundary_stays_where_both_want_it(tmp_path):
    found = assigned(tmp_path, ("are", 10, 11), ("tree", 11.2, 11.9), ("big", 12.6, 13.2), ("grow", 13.5, 14))
    assert found == [(10, 12, ["are", "tree"]), (12.5, 15, ["big", "grow"])]


def test_a_boundary_stays_where_both_say_it_or_neither(tmp_path):
    for gloss in "old", "car":
        cues = (ONE, TWO) if gloss == "car" else (Cue(10, 12, "Old."), TWO)
        found = assigned(tmp_path, ("are", 10, 11), (gloss, 11.2, 11.9), ("grow", 13.5, 14), cues=cues)
        assert [times for *times, _ in found] == [[10, 12], [12.5, 15]]


@pytest.mark.parametrize(("start", "moves"), [(12.99, True), (13.0, False)])
def test_boundaries_of_subtitles_a_second_apart_stay(tmp_path, start, moves):
    cues = (ONE, Cue(start, 15, "A tree."))
    found = assigned(tmp_path, ("big", 10, 11), ("tree", 11.2, 11.9), ("a", 13.5, 14), cues=cues)
    assert (found[0][1] == 11.2) == moves


def test_a_subtitle_that_would_end_before_it_starts_is_as_it_was(tmp_path):
    found = assigned(tmp_path, ("tree", 10, 10.8), ("grow", 13, 14))
    assert found == [(10, 12, ["tree"]), (10, 15, ["grow"])]  # its neighbour keeps the boundary, as published


def test_words_are_compared_by_their_lemmas(tmp_path):
    signs = ("grow", 10, 10.4), ("are", 10.5, 11), ("house", 12.6, 13.2), ("tree", 13.5, 14)
    assert assigned(tmp_path, *signs)[0][1] == 12
    assert assigned(tmp_path, *signs, lemmatize=lambda word: word.rstrip("s"))[0][1] == 13.2


def test_what_is_no_word_is_left_out_and_sentences_without_any(tmp_path):
    found = assigned(
        tmp_path,
        ("SHIP*D OR big (Large)", 10, 10.5),
        ("*P", 10.6, 10.9),
        ("left-hand G*", 11.3, 11.5),
        ("*FS", 13, 13.4),
        ("~*FS *TA", 13.5, 14),
    )
    assert found == [(10, 12, ["ship/big/large", "left/hand"])]


def test_what_is_not_signed_is_no_sign_even_beside_a_word(tmp_path):
    assert assigned(tmp_path, ("big *NS", 10, 10.5), ("are", 11, 11.4))[0][2] == ["are"]
    assert assigned(tmp_path, ("*NS", 10, 10.5)) == []


def test_raw_annotations_become_the_published_table(tmp_path):
    path = raw(tmp_path / "raw.json", ("big/large", 10, 11.25), ("grow", 13, 14))
    _, sentences = bobsl.read_raw_annotations(path, (ONE, TWO))
    bobsl.write_annotations(tmp_path / "ep.csv", sentences)
    assert (tmp_path / "ep.csv").read_text().splitlines()[1] == "10,12,The houses are big.,big/large[10.0--11.25]"
    assert bobsl.read_annotations(tmp_path / "ep.csv") == sentences


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "holds no annotations of one file"),
        ("{", "holds no annotations of one file"),
        ('{"file": {}, "metadata": {}}', "holds no annotations of one file"),
        ('{"file": {"1": {"fname": "e"}}, "metadata": {"a": {"av": {}}}}', "annotation a has no two times z"),
        (
            '{"file": {"1": {"fname": "e"}}, "metadata": {"a": {"z": [2, 1], "av": {}}}}',
            "a is at 2.00 - 1.00 s: it has",
        ),
        (
            '{"file": {"1": {"fname": "e"}}, "metadata": {"a": {"z": [90, 91], "av": {"1": "go"}}}}',
            "no subtitle of e is between 80.00 and 101.00 s",
        ),
    ],
)
def test_raw_annotations_of_another_kind_are_refused(tmp_path, text, words):
    (tmp_path / "raw.json").write_text(text)
    with pytest.raises(InputError, match=words):
        bobsl.read_raw_annotations(tmp_path / "raw.json", (ONE, TWO))


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/should-not-be-there",)


@pytest.mark.parametrize(
    ("reader", "value", "words"),
    [
        (bobsl.read_subtitles, Evil(), "names posix.system, which is no plain data: it is not run"),
        (bobsl.read_subtitles, LABELS["subtitles"] | {"end": []}, "not as long as each other"),
        (bobsl.read_subtitles, {"subtitle": ["a"]}, "expected lists episode_name"),
        (bobsl.read_subtitles, LABELS["subtitles"] | {"subtitle": ["a", " ", "c", "d"]}, "1 of ep0 at 6.50 s is empty"),
        (bobsl.read_subtitles, LABELS["subtitles"] | {"end": [1, 9, 15.4, 19.9]}, "subtitle 0 of ep0 ends at 1.00 s"),
        (bobsl.read_subtitles, LABELS["subtitles"] | {"start": ["x", 2, 3, 4]}, "'x' is no time"),
        (bobsl.read_vocabulary, {"words_to_id": ["house"]}, "holds no vocabulary"),
        (bobsl.read_vocabulary, {"words_to_id": {"house": 0, "tree": 2}}, "not numbered 0 to 1"),
        (bobsl.read_vocabulary, {"words_to_id": {"house": 0, "tree": "x"}}, "not numbered 0 to 1"),
        (bobsl.read_vocabulary, {"words_to_id": {"house": 0, "tree": None}}, "not numbered 0 to 1"),
        (bobsl.read_vocabulary, {"words_to_id": {"": 0}}, "holds no vocabulary"),
        (bobsl.read_synonyms, {"house": "home"}, "holds no synonyms"),
        (bobsl.read_lengths, {"videos": []}, "no names and lengths"),
    ],
)  # fmt: skip
def test_pickles_of_another_kind_are_refused(tmp_path, reader, value, words):
    with pytest.raises(InputError, match=words):
        reader(pickled(tmp_path / "file.pkl", value))


def test_a_pickle_that_is_cut_short_is_refused(tmp_path):
    whole = pickled(tmp_path / "file.pkl", LABELS["subtitles"]).read_bytes()
    for content in (whole[:100], b"", b"no pickle"):
        (tmp_path / "file.pkl").write_bytes(content)
        with pytest.raises(InputError, match="no pickle, or cut short"):
            pickles.read(tmp_path / "file.pkl")


def test_lengths_are_frames_of_episodes(tmp_path):
    table = {"videos": {"name": ["ep0.mp4", "ep1.mp4"], "videos": {"T": [540, 99]}}}
    assert bobsl.read_lengths(pickled(tmp_path / "info.pkl", table)) == {"ep0": 540, "ep1": 99}


def write_folder(folder: Path) -> Path:
    """Two episodes whose features are their numbers."""
    (folder / "split.json").write_text(json.dumps({"train": ["ep0"], "val": ["ep1"]}))
    subtitles = {
        "episode_name": ["ep0", "ep1"],
        "subtitle": ["one two", "three"],
        "start": [1.0, 2.0],
        "end": [4.0, 6.0],
    }
    pickled(folder / "subtitles.pkl", subtitles)
    (folder / "features").mkdir()
    (folder / "labels").mkdir()
    rng = np.random.default_rng(0)
    for name in ("ep0", "ep1"):
        np.save(folder / "features" / f"{name}.npy", rng.normal(size=(110, 768)).astype(np.float16))
        sure = np.full((110, 5), 0.05, np.float16)
        sure[:, 0] = 0.7
        labels = np.repeat(np.arange(22) % 3, 5)[:, None] + np.arange(5)
        np.savez(folder / "labels" / f"{name}.npz", labels=labels, probabilities=sure)
    (folder / "vocabulary.txt").write_text("one\ntwo\nthree\nfour\nfive\nsix\nseven\n")
    return folder


def write_lmdbs(folder: Path) -> Path:
    """The same, as published: features and labels in databases, and how long videos are."""
    lmdb = pytest.importorskip("lmdb")
    write_folder(folder)
    with (
        lmdb.open(str(folder / "features.lmdb"), map_size=2**24) as seen,
        lmdb.open(str(folder / "labels.lmdb"), map_size=2**24) as guessed,
        seen.begin(write=True) as features,
        guessed.begin(write=True) as labels,
    ):
        for name in ("ep0", "ep1"):
            rows = np.load(folder / "features" / f"{name}.npy")
            with np.load(folder / "labels" / f"{name}.npz") as arrays:
                words, sure = arrays["labels"], arrays["probabilities"]
            for number in range(len(rows)):
                key = f"{number + 1:07d}.np"
                features.put(f"{name}/{key}".encode(), rows[number].tobytes())
                labels.put(f"{name}_label/{key}".encode(), words[number].astype(np.int64).tobytes())
                labels.put(f"{name}_prob/{key}".encode(), sure[number].tobytes())
    info = {"videos": {"name": ["ep0.mp4", "ep1.mp4"], "videos": {"T": [234, 235]}}}
    pickled(folder / "info.pkl", info)
    for old in ("features", "labels"):
        shutil.rmtree(folder / old)
    return folder


def test_a_folder_of_databases_is_the_same_episodes(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (plain,) = bobsl.read_folder(write_folder(tmp_path / "a"), "val")
    (stored,) = bobsl.read_folder(write_lmdbs(tmp_path / "b"), "val")
    assert (plain.name, plain.cues) == (stored.name, stored.cues)
    np.testing.assert_array_equal(plain.features.vectors, stored.features.vectors)
    np.testing.assert_array_equal(plain.labels, stored.labels)
    np.testing.assert_array_equal(plain.probabilities, stored.probabilities)
    assert (plain.features.source, plain.features.stride) == (stored.features.source, stored.features.stride)
    pickled(tmp_path / "b" / "info.pkl", {"videos": {"name": ["ep0.mp4"], "videos": {"T": [234]}}})
    with pytest.raises(InputError, match="ep1 has 0 frames, not one window of 16"):
        bobsl.read_folder(tmp_path / "b", "val")


def test_labels_that_were_spotted_are_read_again_from_a_folder_and_from_an_lmdb(tmp_path):
    signs = [Sign(1.0, 2.0, "two", 0.75), Sign(1.5, 2.5, "six", 0.5)]
    times = bobsl.read_folder(write_folder(tmp_path), "train")[0].features.times
    labels, sure = label_spots(signs, times, bobsl.read_vocabulary(tmp_path / "vocabulary.txt"))
    bobsl.write_labels(tmp_path / "labels" / "ep0.npz", labels, sure)
    (episode,) = bobsl.read_folder(tmp_path, "train")
    assert episode.labels.tolist() == labels.tolist()
    assert episode.probabilities.tolist() == sure.tolist()
    kept = times[sure[:, 0] > 0]
    assert kept.min() == pytest.approx(1.0, abs=0.08)
    assert kept.max() == pytest.approx(2.5, abs=0.08)
    if importlib.util.find_spec("lmdb"):
        bobsl.write_lmdb_labels(tmp_path / "db", "ep0", labels, sure)
        bobsl.write_lmdb_labels(tmp_path / "db", "ep9", labels[:1], sure[:1])
        again = bobsl.read_lmdb_labels(tmp_path / "db", "ep0", len(times))
        assert [one.tolist() for one in again] == [labels.tolist(), sure.tolist()]


def test_a_folder_is_the_episodes_of_a_part(tmp_path):
    (episode,) = bobsl.read_folder(write_folder(tmp_path), "train")
    assert (episode.name, episode.cues) == ("ep0", (Cue(1, 4, "one two"),))
    assert episode.features.vectors.shape == (110, 768)
    assert episode.labels.shape == episode.probabilities.shape == (110, 5)
    with pytest.raises(InputError, match="there is no part 'test'; there are train, val"):
        bobsl.read_folder(tmp_path, "test")
    np.savez(tmp_path / "labels" / "ep0.npz", labels=np.zeros((9, 5), int), probabilities=np.zeros((9, 5)))
    with pytest.raises(InputError, match="not a row for each of 110 windows"):
        bobsl.read_folder(tmp_path, "train")


def test_nobody_is_in_two_parts(tmp_path):
    (tmp_path / "split.json").write_text(json.dumps({"train": ["ep0"], "val": ["ep0"]}))
    with pytest.raises(InputError, match="ep0 is in train and in val"):
        bobsl.read_split(tmp_path / "split.json")
    for text, words in (('{"train": "ep0"}', "a list of its episodes"), ("[]", "names no parts"), ("{", "not JSON")):
        (tmp_path / "split.json").write_text(text)
        with pytest.raises(InputError, match=words):
            bobsl.read_split(tmp_path / "split.json")


def test_an_lmdb_is_read_or_says_what_it_needs(tmp_path):
    try:
        import lmdb
    except ModuleNotFoundError:
        with pytest.raises(ModuleNotFoundError, match=r'pip install "seasign\[bobsl\]"'):
            bobsl.read_lmdb_features(tmp_path, "ep0", 3)
        return
    with lmdb.open(str(tmp_path / "db"), map_size=2**20) as database, database.begin(write=True) as transaction:
        transaction.put(b"ep0/0000002.np", np.arange(768, dtype=np.float16).tobytes())
        transaction.put(b"ep1/0000001.np", io.BytesIO(b"short").read())
        transaction.put(b"ep3/0000001.np", np.full(768, np.nan, np.float16).tobytes())
    with pytest.warns(InputWarning, match="1 of the first 2 windows of ep0 are not there, and count as 0"):
        found = bobsl.read_lmdb_features(tmp_path / "db", "ep0", 3)
    assert (found.vectors[[0, 2]] == 0).all()
    assert found.vectors[1].tolist() == list(range(768))
    with pytest.raises(InputError, match="has 5 bytes, not 768 of float16"):
        bobsl.read_lmdb_features(tmp_path / "db", "ep1", 1)
    with pytest.raises(InputError, match=r"ep3/0000001.np holds numbers that are not finite"):
        bobsl.read_lmdb_features(tmp_path / "db", "ep3", 1)
    with pytest.raises(InputError, match="holds nothing of ep2"):
        bobsl.read_lmdb_features(tmp_path / "db", "ep2", 1)
