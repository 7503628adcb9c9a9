"""`search` and `evaluate-retrieval`: what was planted is found, what does not fit is named, and nothing is guessed."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import seasign
from commands import run
from seasign.models.gloss_text import GlossText
from seasign.models.pose_descriptor import PoseDescriptor
from seasign.spotting import trim
from seasign.types import Cue, Embeddings, Sign
from test_pose_descriptor import signing

GLOSSES = ("RAIN", "HOUSE", None, "SUN", "HOUSE-BUILD", "rain")


@pytest.fixture
def glossed(tmp_path):
    """Signs by the letters of their glosses, a second each."""
    signs = [Sign(float(at), at + 0.5, gloss) for at, gloss in enumerate(GLOSSES)]
    seasign.write(tmp_path / "signs.npz", GlossText().signs(None, signs), of=signs)
    return tmp_path / "signs.npz"


@pytest.fixture
def moving(tmp_path):
    """Five signs one after another, two seconds each, by their descriptors; and a clip of the fourth, slower."""
    clips = [signing(seed) for seed in range(5)]
    whole = replace(
        clips[0],
        xyz=np.concatenate([clip.xyz for clip in clips]),
        confidence=np.concatenate([clip.confidence for clip in clips]),
    )
    signs = [Sign(2.0 * number, 2.0 * number + 2) for number in range(5)]
    seasign.write(tmp_path / "moving.npz", PoseDescriptor().signs(whole, signs), of=signs)
    seasign.write(tmp_path / "clip.pose", replace(clips[3], fps=clips[3].fps / 2))
    seasign.write(tmp_path / "story.pose", whole)
    seasign.write(tmp_path / "story.eaf", {"SIGN": [replace(signs[3], gloss="RAIN"), replace(signs[1], gloss="SUN")]})
    return tmp_path


def test_search_finds_a_word_and_says_when(glossed):
    found = run("search", glossed, "the house", "-n", 2)
    assert found.exit_code == 0, found.stderr
    head, first, second = found.stdout.splitlines()
    assert head.split() == ["rank", "score", "from", "to", "row", "says", "id"]
    assert first.split() == ["1", "1", "1.00", "s", "1.50", "s", "2", "HOUSE", "-"]
    assert second.split()[-2] == "HOUSE-BUILD"
    hits = json.loads(run("search", glossed, "the house", "--json").stdout)["hits"]
    assert [hit["rank"] for hit in hits] == [1, 2]  # the others share no letters with it
    assert hits[0] == {"rank": 1, "row": 2, "score": pytest.approx(1), "start": 1.0, "end": 1.5, "gloss": "HOUSE"}
    assert run("search", glossed, "house", "--quiet").stdout == ""


def test_search_finds_a_sign_like_a_clip_or_like_another(moving):
    hits = json.loads(run("search", moving / "moving.npz", "--like", moving / "clip.pose", "--json").stdout)["hits"]
    assert hits[0]["row"] == 4
    assert hits[0]["score"] > 0.99
    assert hits[1]["score"] < 0.95
    like = f"{moving / 'moving.npz'}#4"
    others = json.loads(run("search", moving / "moving.npz", "--like", like, "--json").stdout)["hits"]
    assert len(others) == 4
    assert 4 not in [hit["row"] for hit in others]  # a sign is not like itself
    (moving / "copy.npz").write_bytes((moving / "moving.npz").read_bytes())
    same = run("search", moving / "copy.npz", "--like", like, "-n", 1)
    assert same.stdout.splitlines()[1].split()[:2] == ["1", "1"]


@pytest.mark.parametrize("part", ["story.pose#6-8", "story.eaf#6.0-8.0", "story.eaf#rain"])
def test_search_takes_a_part_of_a_clip_as_spot_does(moving, part):
    hits = json.loads(run("search", moving / "moving.npz", "--like", moving / part, "--json").stdout)["hits"]
    assert (hits[0]["row"], hits[0]["score"]) == (4, pytest.approx(1, abs=1e-5))
    assert hits[1]["score"] < 0.95


def test_of_a_gloss_that_is_signed_twice_the_mean_is_looked_for(moving):
    whole = seasign.read_poses(moving / "story.pose")
    signs = [Sign(2.0, 4.0, "RAIN"), Sign(6.0, 8.0, "RAIN")]
    seasign.write(moving / "story.eaf", {"SIGN": signs})
    hits = json.loads(run("search", moving / "moving.npz", "--like", moving / "story.eaf#RAIN", "--json").stdout)[
        "hits"
    ]
    mean = PoseDescriptor().signs(whole, signs).vectors.mean(axis=0)
    scores = seasign.read_embeddings(moving / "moving.npz")[0].vectors @ (mean / np.linalg.norm(mean))
    assert [hit["score"] for hit in hits] == pytest.approx(sorted(scores, reverse=True), abs=1e-4)


def test_a_clip_is_looked_for_without_the_rest_around_its_sign(tmp_path):
    seasign.write(tmp_path / "clip.npz", signing(1))
    own = trim(signing(1))
    assert len(own.xyz) < len(signing(1).xyz)
    signs = [Sign(0.0, own.duration, "ONE")]
    seasign.write(tmp_path / "signs.npz", PoseDescriptor().signs(own, signs), of=signs)
    found = json.loads(run("search", tmp_path / "signs.npz", "--like", tmp_path / "clip.npz", "--json").stdout)
    assert found["hits"][0]["score"] == pytest.approx(1, abs=1e-5)


def test_search_among_cues_shows_their_texts(tmp_path):
    cues = [Cue(0, 1, "A house.", "one"), Cue(1, 2, "Rain\nagain!", "two")]
    seasign.write(tmp_path / "cues.npz", GlossText().text([cue.text for cue in cues]), of=cues)
    lines = run("search", tmp_path / "cues.npz", "rain").stdout.splitlines()
    assert lines[1].endswith("Rain again!  two")
    seasign.write(tmp_path / "bare.npz", GlossText().text(["house"]))
    assert run("search", tmp_path / "bare.npz", "house").stdout.splitlines()[1].split() == [
        "1",
        "1",
        "-",
        "-",
        "1",
        "-",
        "-",
    ]
    seasign.write(tmp_path / "none.npz", GlossText().text([]))
    empty = run("search", tmp_path / "none.npz", "house")
    assert (empty.exit_code, empty.stdout) == (0, "nothing to find: there are no embeddings\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "give a TEXT to look for, or --like"),
        (("house", "--like", "x.pose"), 2, "give a TEXT to look for or --like, not both"),
        (("",), 2, "the TEXT to look for is empty"),
        (("!?",), 1, "is nothing at all in the space"),
        (("--like", "{file}#7"), 1, "there is no row 7; it has 6, counted from 1"),
        (("--like", "{file}#0"), 1, "there is no row 0"),
        (("--like", "notes.txt"), 1, "is no file of poses (*.pose *.npz), and names no row"),
        (("--like", "{file}"), 1, "holds embeddings; expected poses"),
        (("--like", "{clip}#9-99"), 1, "clip.pose#9-99: 9 - 99 s is no part of 4.00 s of poses"),
        (("--like", "{clip}#house"), 1, "'house' is no part in seconds, such as"),
        (("--like", "{clip}", "--embedder", "gloss-text"), 1, "none of 1 signs has a gloss"),
        (("house", "-n", "0"), 2, "0 is not in the range"),
    ],
)
def test_what_cannot_be_looked_for_is_one_line(glossed, moving, arguments, code, said):
    found = run("search", glossed, *(str(one).format(file=glossed, clip=moving / "clip.pose") for one in arguments))
    assert found.exit_code == code
    assert said in found.stderr
    if code == 1:
        assert len(found.stderr.splitlines()) == 1


def test_a_clip_in_which_no_hand_is_seen_is_refused(moving, tmp_path):
    poses = seasign.read_poses(moving / "clip.pose")
    hands = [column for column, name in enumerate(poses.landmarks) if "HAND" in name]
    xyz, confidence = poses.xyz.copy(), poses.confidence.copy()
    xyz[:, hands], confidence[:, hands] = np.nan, 0
    seasign.write(tmp_path / "clip.pose", replace(poses, xyz=xyz, confidence=confidence))
    found = run("search", moving / "moving.npz", "--like", tmp_path / "clip.pose")
    assert (found.exit_code, found.stdout) == (1, "")
    assert re.fullmatch(r"error: none of \d+ frames of .*clip.pose shows a hand: .*\n", found.stderr)


def test_another_space_is_refused_and_an_unknown_one_asks_for_its_embedder(glossed, moving, tmp_path):
    other = run("search", glossed, "--like", f"{moving / 'moving.npz'}#1")
    assert (other.exit_code, other.stderr.count("\n")) == (1, 1)
    assert "cannot compare 'pose-descriptor:16:0.5' with 'gloss-text" in other.stderr
    unlike = run("search", moving / "moving.npz", "--like", moving / "moving.npz", "--embedder", "gloss-text")
    assert (unlike.exit_code, unlike.stderr.count("\n")) == (1, 1)
    assert "is of the space 'pose-descriptor:16:0.5', and gloss-text makes 'gloss-text:" in unlike.stderr
    assert "has no words" in run("search", moving / "moving.npz", "house").stderr
    seasign.write(tmp_path / "foreign.npz", Embeddings(np.ones((2, 3), np.float32), "signclip:0123"))
    foreign = run("search", tmp_path / "foreign.npz", "house")
    assert foreign.exit_code == 1
    assert "is of the space 'signclip:0123': say with --embedder" in foreign.stderr
    assert "holds poses" in run("search", _poses(tmp_path), "house").stderr


def _poses(folder):
    seasign.write(folder / "poses.npz", signing(0))
    return folder / "poses.npz"


# Retrieval ------------------------------------------------------------------------------------------------------------


def planted(folder, name, glosses, vectors):
    """Signs whose vectors are given."""
    signs = [Sign(float(at), at + 1.0, gloss) for at, gloss in enumerate(glosses)]
    seasign.write(folder / name, Embeddings(np.array(vectors, np.float32), "planted"), of=signs)
    return folder / name


@pytest.fixture
def texts(tmp_path):
    """Three words, each a direction, and a cue that says nothing."""
    cues = [Cue(float(at), at + 1.0, text) for at, text in enumerate(("House", "rain ", "sun", "♪ "))]
    cues[3] = replace(cues[3], text=" ")
    vectors = np.concatenate([np.eye(3, dtype=np.float32), np.zeros((1, 3), np.float32)])
    seasign.write(tmp_path / "texts.npz", Embeddings(vectors, "planted"), of=cues)
    return tmp_path / "texts.npz"


def test_evaluate_retrieval_scores_both_directions_beside_chance(texts, tmp_path):
    signs = planted(tmp_path, "signs.npz", ["HOUSE", "rain", "SUN", "SUN"], [*np.eye(3), [0.9, 0, 0.5]])
    found = json.loads(run("evaluate-retrieval", texts, signs, "--json").stdout)
    assert found["sign_to_text"]["recall"] == [0.75, 1, 1]
    assert found["text_to_sign"]["recall"] == [0.75, 1, 1]
    assert found["chance"]["sign_to_text"]["recall"][0] == pytest.approx(1 / 3)
    assert found["low"]["sign_to_text"]["recall"][0] < 0.75 < found["high"]["sign_to_text"]["recall"][0]
    assert found["unpaired"] == {"texts": [], "signs": []}
    shown = run("evaluate-retrieval", texts, signs)
    assert shown.exit_code == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0].split() == "text to sign R@1 R@5 R@10 P@1 P@5 P@10 median rank mean rank queries".split()
    assert lines[1].split() == ["75.00", "100.00", "100.00", "100.00", "26.67", "13.33", "1.00", "1.00", "3"]
    assert lines[6].split() == ["75.00", "100.00", "100.00", "1.00", "1.25", "4"]
    heads = ["", "95 % from", "to", "by chance"]
    assert [line[:12].strip() for line in lines[:10]] == ["text to sign", *heads, "sign to text", *heads]
    assert lines[10:] == [f"intervals of {few} are too narrow: they have seen little" for few in ("3 texts", "4 signs")]
    assert run("evaluate-retrieval", texts, signs, "--quiet").stdout == ""


def test_what_does_not_pair_is_named_and_left_out(texts, tmp_path):
    signs = planted(
        tmp_path, "signs.npz", ["house", "TREE", None, "rain"], [[1, 0, 0], [9, 9, 9], [9, 9, 9], [0, 1, 0]]
    )
    found = run("evaluate-retrieval", texts, signs, "--json")
    assert found.exit_code == 0
    found = json.loads(found.stdout)
    assert found["unpaired"] == {"texts": ["sun"], "signs": ["tree"]}
    assert found["sign_to_text"]["queries"] == 2
    assert found["sign_to_text"]["recall"][0] == 1
    said = "\n".join(found["warnings"])
    assert "only in the way of others: 1 of 3 texts (sun)" in said
    assert "left out, since no text says it: 1 of 3 glosses (tree)" in said
    assert "1 of 4 signs have no gloss" in said


def test_signs_of_several_files_are_drawn_by_file(texts, tmp_path):
    clear = [planted(tmp_path, f"clear{n}.npz", ["house", "rain", "sun"], np.eye(3)) for n in range(2)]
    turned = [planted(tmp_path, f"turned{n}.npz", ["house", "rain", "sun"], np.eye(3)[[1, 2, 0]]) for n in range(2)]
    many = json.loads(run("evaluate-retrieval", texts, *clear, *turned, "--json").stdout)
    assert (many["sign_to_text"]["queries"], many["sign_to_text"]["recall"][0]) == (12, 0.5)
    whole = planted(
        tmp_path, "whole.npz", ["house", "rain", "sun"] * 4, np.tile(np.eye(3), (4, 1))[[*range(6), *[1, 2, 0] * 2]]
    )
    one = json.loads(run("evaluate-retrieval", texts, whole, "--json").stdout)
    assert one["sign_to_text"]["recall"] == many["sign_to_text"]["recall"]
    width = [it["high"]["sign_to_text"]["recall"][0] - it["low"]["sign_to_text"]["recall"][0] for it in (one, many)]
    assert width[1] > width[0]


def test_retrieval_that_cannot_be_is_one_line(texts, tmp_path):
    alone = planted(tmp_path, "tree.npz", ["tree"], [[1, 0, 0]])
    assert "none of 1 signs has a gloss that is one of" in run("evaluate-retrieval", texts, alone).stderr
    assert "expected what embed-text wrote" in run("evaluate-retrieval", alone, alone).stderr
    assert "expected what embed-signs wrote" in run("evaluate-retrieval", texts, texts).stderr
    seasign.write(tmp_path / "other.npz", Embeddings(np.ones((1, 3), np.float32), "elsewhere"), of=[Sign(0, 1, "sun")])
    other = run("evaluate-retrieval", texts, tmp_path / "other.npz")
    assert (other.exit_code, other.stderr.splitlines()[-1].count("cannot compare 'planted' with 'elsewhere'")) == (1, 1)
