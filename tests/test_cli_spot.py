"""`spot`: planted signs are found by clip, part, gloss and word; what is written is read again; errors are one line."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest

import seasign
from commands import run
from planted import signed
from seasign import checkpoints
from seasign.formats import eaf
from seasign.models.pose_descriptor import PoseDescriptor
from seasign.spotting import Spot, is_right
from seasign.training.concatenation import concatenate
from seasign.translation import cut
from seasign.types import Cue, Embeddings, Sign, Span

ORDER = ("rain", "sun", "house", "thank you", "tree", "rain", "sun")
SEEDS = {"rain": 0, "sun": 1, "house": 2, "thank you": 3, "tree": 4, "snow": 5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A story with its annotation and subtitles, another, and a dictionary of two clips a word."""
    home = tmp_path_factory.mktemp("spot")
    (home / "dictionary").mkdir()
    (home / "corpus").mkdir()
    for word, seed in SEEDS.items():
        for number, seconds in enumerate((0.7, 0.9), 1):
            poses = signed(seed, seconds, noise=1.0)[0]
            seasign.write(home / "dictionary" / f"{word.replace(' ', '_')}_{number}.npz", poses)
    for name, words in {"story": ORDER, "corpus/one": ("tree", "sun"), "corpus/two": ("sun", "snow", "rain")}.items():
        clips = [(word, *signed(SEEDS[word])) for word in words]
        poses, signs = concatenate([(poses, Sign(span.start, span.end, word)) for word, poses, span in clips], 0)
        seasign.write(home / f"{name}.npz", poses)
        seasign.write(home / f"{name}.eaf", {"SIGN": signs})
    signs = seasign.read_signs(home / "story.eaf")
    cues = [
        Cue(a.start, b.end, f"<i>The {a.gloss}</i>, {b.gloss}!") for a, b in zip(signs[::2], signs[1::2], strict=False)
    ]
    seasign.write(home / "story.vtt", cues)
    return home


def spots(*arguments):
    found = run("spot", *arguments, "--json")
    assert found.exit_code == 0, found.stderr
    return json.loads(found.stdout)["signs"]


def places(folder, word, name="story"):
    return [sign for sign in seasign.read_signs(folder / f"{name}.eaf") if sign.gloss == word]


@pytest.mark.parametrize(
    "query",
    [
        ["{0}/dictionary/rain_1.npz"],
        ["{0}/story.eaf#RAIN"],
        ["rain", "--embedder", "dictionary:{0}/dictionary"],
        ["Rain", "--embedder", "dictionary:{0}/dictionary", "--spotter", "windows"],
        ["--example", "{0}/dictionary/rain_1.npz", "--example", "{0}/dictionary/rain_2.npz"],
    ],
)
def test_a_sign_is_found_wherever_it_is_signed(folder, query):
    found = spots(*(part.format(folder) for part in query), folder / "story.npz")
    assert all(is_right(Sign(one["start"], one["end"]), places(folder, "rain")) for one in found[:2])
    assert found[0]["score"] > 0.5
    assert all(one["score"] >= 0.1 for one in found)


def test_a_part_in_seconds_is_looked_for(folder):
    first, second = places(folder, "sun")  # the same clip twice
    for file in "story.npz", "story.eaf":
        query = f"{folder / file}#{first.start:.2f}-{first.end:.2f}"
        found = spots(query, folder / "story.npz")
        best = sorted((Sign(one["start"], one["end"]) for one in found[:2]), key=lambda sign: sign.start)
        assert is_right(best[0], [first])
        assert is_right(best[1], [second])


def test_several_inputs_are_ranked_together_and_named(folder):
    found = run("spot", folder / "dictionary" / "snow_1.npz", folder / "corpus", folder / "story.npz", "-n", 3)
    assert found.exit_code == 0, found.stderr
    head, first, *_ = found.stdout.splitlines()
    assert head.split() == ["rank", "from", "to", "probability", "similarity", "file"]
    assert first.split()[0] == "1"
    assert first.endswith("two.npz")
    assert len(spots("snow", "--embedder", f"dictionary:{folder}/dictionary", folder / "corpus", "-n", 1)) == 1


def test_videos_shorter_than_the_query_are_passed_over_among_others(folder, tmp_path):
    short = tmp_path / "short.npz"
    seasign.write(short, cut(signed(0)[0], Span(0.4, 0.8)))
    query = [folder / "dictionary" / "rain_1.npz", short, folder / "story.npz"]
    found = run("spot", *query)
    assert found.exit_code == 0
    assert re.search(
        rf"1 of 2 videos is shorter than the query \(\d\.\d\d s\), and is passed over: {short}\n", found.stderr
    )
    assert json.loads(run("spot", *query, "--json").stdout)["passed_over"] == [str(short)]


def test_a_query_is_measured_by_its_sign(folder, tmp_path):
    clip, span = signed(0)
    video = replace(clip, xyz=clip.xyz[:38], confidence=clip.confidence[:38])
    assert span.duration < video.duration < clip.duration
    seasign.write(tmp_path / "clip.npz", clip)
    seasign.write(tmp_path / "video.npz", video)
    assert is_right(Sign(*list(spots(tmp_path / "clip.npz", tmp_path / "video.npz")[0].values())[1:3]), [span])


def test_a_part_of_hardly_a_sign_is_warned_of_once_and_one_frame_is_refused(folder):
    found = run("spot", f"{folder / 'story.npz'}#1.0-1.12", folder / "story.npz", folder / "corpus")
    assert found.exit_code == 0
    assert found.stderr.count("lasts 0.12 s, and hardly a sign is as short") == 1
    refused = run("spot", f"{folder / 'story.npz'}#1.0-1.04", folder / "story.npz")
    assert refused.exit_code == 1
    assert "is a single frame, and a sign moves: name all of it" in refused.stderr


def test_folders_below_are_looked_at_and_no_file_twice(folder, tmp_path):
    (tmp_path / "corpus" / "ada").mkdir(parents=True)
    (tmp_path / "corpus" / ".trash").mkdir()
    story = tmp_path / "corpus" / "ada" / "story.npz"
    seasign.write(story, seasign.read_poses(folder / "story.npz"))
    seasign.write(tmp_path / "corpus" / ".trash" / "old.npz", seasign.read_poses(folder / "story.npz"))
    seasign.write(story.with_name("story.signs.npz"), Embeddings(np.ones((1, 2), np.float32), "two"))
    query = folder / "dictionary" / "rain_1.npz"
    once = spots(query, story)
    assert once
    assert spots(query, tmp_path / "corpus", story, tmp_path / "corpus" / "ada" / ".." / "ada") == once


def test_a_gloss_is_looked_up_in_the_poses_of_its_video(folder, tmp_path):
    for name, inner in ("story.npz", ""), ("story.eaf", ".signs"):
        (tmp_path / f"story{inner}{name[5:]}").write_bytes((folder / name).read_bytes())
    assert spots(f"{tmp_path / 'story.signs.eaf'}#rain", tmp_path / "story.npz")


def test_a_tier_that_is_missing_is_named_with_its_option(folder):
    failed = run("spot", f"{folder / 'story.eaf'}#rain", folder / "story.npz", "--tier", "GLOSS")
    assert failed.stderr.endswith("no tier 'GLOSS': choose one of 'SIGN', by --tier\n")


def test_what_is_written_is_read_again(folder, tmp_path):
    query = ["rain", "--embedder", f"dictionary:{folder}/dictionary", folder / "story.npz"]
    found = spots(*query)
    for name in "spots.csv", "spots.json":
        assert run("spot", *query, "-o", tmp_path / name).stdout.endswith(f"wrote     {tmp_path / name}\n")
        signs = seasign.read_signs(tmp_path / name)
        assert [sign.score for sign in signs] == pytest.approx([one["score"] for one in found], abs=1e-4)
        assert {sign.gloss for sign in signs} == {"rain"}
    (*written,) = json.loads((tmp_path / "spots.json").read_text())["signs"]
    assert [one.keys() - {"file"} for one in found] == [one.keys() for one in written]
    run("spot", *query, "-o", tmp_path / "all.csv", folder / "corpus")
    assert (tmp_path / "all.csv").read_text().splitlines()[0] == "start,end,gloss,score,similarity,file"


def test_an_elan_file_gets_a_tier_beside_others_and_a_query_is_never_written_to(folder, tmp_path):
    before = (folder / "story.eaf").read_bytes()
    query = [f"{folder / 'story.eaf'}#rain", folder / "story.npz"]
    refused = run("spot", *query, "-o", folder / "story.eaf")
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "is an input too" in refused.stderr
    (tmp_path / "own.eaf").write_bytes(before)
    done = run("spot", *query, "-n", 2, "-o", tmp_path / "own.eaf")
    assert done.stdout.endswith(f"wrote     {tmp_path / 'own.eaf'}: tiers SPOT and SPOT_CONFIDENCE\n")
    tiers = seasign.read(tmp_path / "own.eaf")
    assert [sign.gloss for sign in tiers["SIGN"]] == list(ORDER)
    assert [sign.gloss for sign in tiers["SPOT"]] == ["rain", "rain"]
    assert [sign.start for sign in tiers["SPOT_CONFIDENCE"]] == [sign.start for sign in tiers["SPOT"]]
    assert all(0 < float(sign.gloss) <= 1 for sign in tiers["SPOT_CONFIDENCE"])
    (tmp_path / "own.npz").write_bytes((folder / "story.npz").read_bytes())
    assert spots(f"{tmp_path / 'own.eaf'}#rain", folder / "story.npz", "--tier", "SPOT")
    assert eaf.validate(tmp_path / "own.eaf") == []
    assert (folder / "story.eaf").read_bytes() == before


def test_words_of_subtitles_are_found_near_their_cues(folder, tmp_path):
    options = ["--words-of", folder / "story.vtt", "--embedder", f"dictionary:{folder}/dictionary"]
    done = run("spot", *options, folder / "story.npz", "-o", tmp_path / "found.csv")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[0].split() == ["rank", "from", "to", "probability", "word"]
    found = seasign.read_signs(tmp_path / "found.csv")
    truth = seasign.read_signs(folder / "story.eaf")[:6]  # the last is in no cue
    assert [sign.gloss for sign in found] == [sign.gloss for sign in truth]
    assert all(is_right(one, [sign]) for one, sign in zip(found, truth, strict=True))
    assert all(0.5 <= float(sign.score or math.nan) <= 1 for sign in found)
    (tmp_path / "few.txt").write_text("tree\nsnow\n")
    few = spots(*options, folder / "story.npz", "--vocabulary", tmp_path / "few.txt")
    assert [one["gloss"] for one in few] == ["tree"]


def test_nothing_that_is_likely_is_said_and_how_to_see_more(folder):
    query = ["snow", "--embedder", f"dictionary:{folder}/dictionary", folder / "story.npz", "--least", 0.99]
    assert run("spot", *query).stdout == "nothing is likely enough; --least 0 shows what comes nearest\n"
    assert spots(*query[:-1], 0)


def test_a_space_without_a_calibration_ranks_and_states_no_probability(folder, monkeypatch, tmp_path):
    monkeypatch.setattr("seasign.cli.spot.choose_embedder", lambda *_: PoseDescriptor(raised=1.0))
    query = [folder / "dictionary" / "rain_1.npz", folder / "story.npz", "--embedder", "network"]
    found = run("spot", *query, "-o", tmp_path / "rain.csv")
    assert found.stderr == (
        "warning: network: is not calibrated, so spots are ranked and none has a probability; "
        "--calibration A,B states one\n"
    )
    assert [line.split()[5] for line in found.stdout.splitlines()[1:-1]] == ["-"] * 10
    assert [line.split(",")[3] for line in (tmp_path / "rain.csv").read_text().splitlines()] == ["score"] + [""] * 10
    ranked = spots(*query)
    assert [one["score"] for one in ranked] == [None] * 10
    assert all(is_right(Sign(one["start"], one["end"]), places(folder, "rain")) for one in ranked[:2])
    stated = run("spot", *query, "--calibration=-1,2", "--json")
    assert not stated.stderr
    for one in json.loads(stated.stdout)["signs"]:
        assert one["score"] == pytest.approx(1 / (1 + math.exp(1 - 2 * one["similarity"])))


@pytest.mark.parametrize("least", [["--words-of", "story.vtt"], ["dictionary/rain_1.npz", "--least", 0.3]])
def test_what_is_probable_needs_a_calibration_and_one_line_says_how(folder, monkeypatch, least):
    monkeypatch.chdir(folder)
    failed = run("spot", *least, "story.npz", "corpus", "--embedder", "gloss-text")
    assert (failed.exit_code, failed.stdout, failed.stderr.count("\n")) == (1, "", 1)
    assert failed.stderr.endswith("this spotter is not calibrated: give --calibration A,B\n")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["story.npz"], 2, "give QUERY, what to look for, and INPUT, where"),
        (["", "story.npz"], 1, "the query is empty: give a word, or a clip of a sign"),
        (["rain", "story.npz"], 1, "'rain' is no file of a sign, and words need --embedder: dictionary:FOLDER"),
        (["rain.npz", "story.npz"], 1, "rain.npz: there is no such file"),
        (["rain", "story.vtt"], 1, "story.vtt: is no video or poses"),
        (["fog", "story.npz", "--embedder", "dictionary:dictionary"], 1, "'fog' is none of the 6 words"),
        (["fog", "story.npz", "--embedder", "dictionary:nowhere"], 1, "nowhere: no such folder; a dictionary is"),
        (["story.eaf", "story.npz"], 1, "say which of its signs, by a gloss or by seconds: "),
        (["story.eaf#fog", "story.npz"], 1, "its tier SIGN has no 'fog', but 5 others, such as rain, sun, house"),
        (["alone.eaf#rain", "story.npz"], 1, "alone.eaf: has no poses or video beside it, such as alone.pose"),
        (["story.npz#9-8", "story.npz"], 1, "9 - 8 s is no part of"),
        (["story.npz#x", "story.npz"], 1, "'x' is no part in seconds, such as"),
        (["handless.npz", "story.npz"], 1, "none of 44 frames of handless.npz shows a hand"),
        (["none.npz", "story.npz"], 1, "none.npz: "),
        (["story.npz", "dictionary/rain_1.npz"], 1, "dictionary/rain_1.npz: the query lasts "),
        (["dictionary/rain_1.npz", "handless.npz"], 1, "handless.npz: none of 44 frames of the poses shows a hand"),
        (["dictionary/rain_1.npz", "empty"], 1, "empty: there are no poses in this folder"),
        (["--words-of", "story.vtt", "story.npz"], 1, "--words-of looks for words, and words need --embedder"),
        (["--words-of", "story.vtt", "--example", "story.npz", "story.npz"], 2, "give --example or --words-of"),
        (["--words-of", "fog.vtt", "story.npz", "--embedder", "dictionary:dictionary"], 1,
         "fog.vtt: none of its 2 words is among those of the dictionary (house, rain, snow, sun, ...)"),
        (["dictionary/rain_1.npz", "story.npz", "--calibration", "1"], 2, "'1' is not two numbers, the second above 0"),
        (["dictionary/rain_1.npz", "story.npz", "--calibration", "a,b"], 2, "'a,b' is not two numbers"),
        (["dictionary/rain_1.npz", "story.npz", "--calibration", "1,-2"], 2, "'1,-2' is not two numbers"),
        (["--example", "rain", "story.npz"], 1, "rain: is no example of a sign"),
        (["dictionary/rain_1.npz", "story.npz", "--margin", 1], 2, "--margin and --vocabulary go with --words-of"),
        (["dictionary/rain_1.npz", "story.npz", "corpus", "-o", "x.eaf"], 1, "an ELAN file is of one video"),
        (["dictionary/rain_1.npz", "story.npz", "-o", "x.vtt"], 1, "cannot write spots there; name it *.eaf"),
        (["rain", "story.npz", "--embedder", "pose-descriptor"], 1, "has no words"),
        (["dictionary/rain_1.npz", "story.npz", "--embedder", "gloss-text"], 1, "gloss"),
    ],
)  # fmt: skip
def test_what_cannot_be_looked_for_is_one_line(folder, monkeypatch, arguments, code, says):
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir(exist_ok=True)
    seasign.write(folder / "fog.vtt", [Cue(1, 2, "Thick fog.")])
    (folder / "alone.eaf").write_bytes((folder / "story.eaf").read_bytes())
    clip = signed(0)[0]
    hands = [number for number, name in enumerate(clip.landmarks) if "HAND" in name]
    clip.xyz[:, hands], clip.confidence[:, hands] = np.nan, 0
    seasign.write(folder / "handless.npz", clip)
    (folder / "none.npz").write_bytes(b"")
    failed = run("spot", *arguments)
    assert failed.exit_code == code, failed.stdout
    assert says in failed.stderr
    errors = [line for line in failed.stderr.splitlines() if line.startswith(("error:", "Error:"))]
    assert len(errors) == 1
    assert not (folder / "x.eaf").exists()


class Everywhere:
    """A network that knows words, and finds them all in the first second."""

    calibration = (0.0, 1.0)

    def candidates(self, query, poses):
        assert query == "rain" or len(query) == 1
        return (Spot(0.0, 1.0, 2.0),)


def test_a_network_looks_when_its_folder_is_given_and_one_that_looks_for_nothing_is_refused(folder, monkeypatch):
    monkeypatch.setattr(checkpoints, "load", lambda name, *_: Everywhere() if name == "net" else object())
    for query in "rain", folder / "dictionary" / "rain_1.npz":
        (found,) = spots(query, folder / "story.npz", "--spotter", "net")
        assert (found["end"], found["similarity"]) == (1.0, 2.0)
    refused = run("spot", "rain", folder / "story.npz", "--spotter", "other")
    assert refused.stderr == "error: other: looks for no query; if it knows words, give it as --embedder\n"


def test_words_of_subtitles_are_whole_words_with_what_stands_in_them(folder, tmp_path, monkeypatch):
    class Asked(list[str]):
        calibration = (0.0, 1.0)

        def candidates(self, query, poses):
            self.append(query)
            return ()

    asked = Asked()
    monkeypatch.setattr(checkpoints, "load", lambda name, *_: asked)
    seasign.write(tmp_path / "story.vtt", [Cue(1, 3, "Don't start on the 2nd!")])
    command = ("--words-of", tmp_path / "story.vtt", "--spotter", "net", folder / "story.npz")
    assert spots(*command) == []
    assert asked == ["don't", "start", "on", "the", "2nd"]
    (tmp_path / "few.txt").write_text("art\nDON'T\nthe 2nd\n")
    asked.clear()
    spots(*command, "--vocabulary", tmp_path / "few.txt")
    assert sorted(asked) == ["DON'T", "the 2nd"]


def test_a_video_that_begins_later_is_found_in_its_own_time(folder, tmp_path):
    poses = seasign.read_poses(folder / "story.npz")
    seasign.write(tmp_path / "late.npz", replace(poses, provenance={"start": 100.0}))
    early, late = (spots(folder / "dictionary" / "tree_1.npz", home / name)[0] for home, name in
                   ((folder, "story.npz"), (tmp_path, "late.npz")))  # fmt: skip
    assert late["start"] == pytest.approx(early["start"] + 100)
