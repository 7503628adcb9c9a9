"""`index` and `search` in it: what is there is found with what is around it; what has changed is said and made anew."""

import csv
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import planted
import seasign
from commands import run
from seasign.cli.index import _Way
from seasign.cli.search import _asked as asked
from seasign.cli.search import _drawn
from seasign.formats.video import stills
from seasign.indexing import VectorIndex, Window
from seasign.models.gloss_text import GlossText
from seasign.models.pose_descriptor import PoseDescriptor
from seasign.spotting import trim
from seasign.stores import open_index
from seasign.types import Cue, InputError, Sign
from seasign.web.contact_sheet import draw_poses
from test_pose_descriptor import signing

STORY = [Sign(1, 2, "HEAVY", 0.9), Sign(2, 3, "RAIN", 0.8), Sign(5, 6, "HOUSE", 0.3), Sign(6, 7, "BUILD", 0.7)]
CUES = [Cue(1, 3, "Heavy <i>rain</i> tonight."), Cue(5, 7, "A house was built.")]


@pytest.fixture
def corpus(tmp_path):
    """An ELAN file with subtitles, embeddings that were made before, and another signer's."""
    folder = tmp_path / "corpus"
    (folder / "ada").mkdir(parents=True)
    seasign.write(folder / "story.eaf", {"SIGN": STORY})
    seasign.write(folder / "story.vtt", [Cue(90, 91, "As delivered.")])
    seasign.write(folder / "story.aligned.vtt", CUES)
    signs = [Sign(0.5, 1.5, "SUN"), Sign(2, 3, "house")]
    seasign.write(folder / "ada" / "news.npz", GlossText().signs(None, signs), of=signs)
    return folder


@pytest.fixture
def indexed(corpus, tmp_path):
    done = run("index", corpus, "--out", tmp_path / "index", "--embedder", "gloss-text")
    assert (done.exit_code, done.stderr) == (0, "")
    return tmp_path / "index"


def hits(*arguments):
    found = run("search", *arguments, "--json")
    assert found.exit_code == 0, found.stderr
    return json.loads(found.stdout)["hits"]


def test_a_folder_becomes_windows_that_words_find(corpus, indexed):
    first, *others = hits(indexed, "heavy rain in a house", "--kind", "sentence")
    assert (first["video"], first["start"], first["end"], first["text"]) == ("story.eaf", 1, 3, "Heavy rain tonight.")
    assert (first["inside"], first["after"]) == (["HEAVY", "RAIN"], ["HOUSE", "BUILD"])
    assert [hit["kind"] for hit in others] == ["sentence"] * 2
    (rain, *_) = hits(indexed, "rain", "--kind", "sign")
    assert rain | {"score": 1} == {
        "rank": 1, "score": 1, "video": "story.eaf", "kind": "sign", "start": 2, "end": 3, "gloss": "RAIN",
        "confidence": None, "text": "Heavy rain tonight.", "before": ["HEAVY"], "inside": [],
        "after": ["HOUSE", "BUILD"],
        "signer": None, "date": None, "path": str(corpus / "story.eaf"),
    }  # fmt: skip
    lines = run("search", indexed, "rain", "-n", 1, "--kind", "sign").stdout.splitlines()
    assert lines[0].split() == ["rank", "score", "from", "to", "video", "kind", "says"]
    assert lines[1].split() == "1 1 0:02.00 0:03.00 story.eaf sign HEAVY [RAIN] HOUSE BUILD".split()


def test_glosses_and_filters_narrow_a_search(corpus, indexed):
    assert [(hit["video"], hit["gloss"]) for hit in hits(indexed, "--gloss", "HOUSE*")] == [
        ("ada/news.npz", "house"),
        ("story.eaf", "HOUSE"),
    ]
    assert [hit["video"] for hit in hits(indexed, "house", "--signer", "ada", "--kind", "sign")] == ["ada/news.npz"]
    assert hits(indexed, "house", "--since", "2020-01-01") == []
    assert run("search", indexed, "house", "--since", "2020-01-01").stdout == "nothing was found\n"
    assert hits(indexed, "--gloss", "*", "-n", 1)[0]["score"] is None
    like = hits(indexed, "--like", f"{corpus / 'ada' / 'news.npz'}#2")
    assert {hit["gloss"] for hit in like[:2]} == {"house", "HOUSE"}
    assert {hit["kind"] for hit in like} == {"sign"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--signer", "ADA"), "no video is by 'ADA': there are ada"),
        (("--since", "2020-01-01"), "no video in it says its day"),
        (("--gloss", "SNOW*"), "no sign has the gloss SNOW*"),
        (("--least-confidence", "0.95"), "no sign says a confidence of 0.95 or more"),
        (("--gloss", "RAIN", "--signer", "ada"), "no window passes all filters at once"),
        (("--gloss", "SNOW", "--signer", "ben"), "no sign has the gloss SNOW; no video is by 'ben': there are ada"),
    ],
)
def test_what_nothing_passes_is_named(indexed, asked, said):
    for words in (), ("rain",):
        found = run("search", indexed, *words, *asked)
        assert (found.stdout, found.stderr) == ("nothing was found\n", f"warning: {indexed}: {said}\n")


def test_what_shares_nothing_with_the_words_is_not_found(corpus, indexed):
    found = run("search", indexed, "zzz")
    assert (found.exit_code, found.stdout, found.stderr) == (0, "nothing was found\n", "")
    assert {hit["gloss"] for hit in hits(indexed, "rain", "--kind", "sign")} == {"RAIN"}
    assert run("search", corpus / "ada" / "news.npz", "zzz").stdout == "nothing was found\n"


def test_bars_of_a_sheet_rise_from_the_tenth_though_fewer_are_shown(tmp_path):
    signs = [Sign(at, at + 1, "RAIN" + "X" * at) for at in range(12)]
    seasign.write(tmp_path / "signs.npz", GlossText().signs(None, signs), of=signs)
    assert run("index", tmp_path / "signs.npz", "--out", tmp_path / "index").exit_code == 0
    sheet = tmp_path / "sheet.html"
    asked = ("rain", "--kind", "sign", "--sheet", sheet)
    tenth = hits(tmp_path / "index", *asked, "-n", 12)[9]["score"]
    for count in 3, 12:
        run("search", tmp_path / "index", *asked, "-n", count)
        page = sheet.read_text(encoding="utf-8")
        assert f"bars: how far above the tenth, {tenth:.4g}" in page
        widths = [float(width) for width in re.findall(r'<rect width="(.*?)"', page)]
        assert (len(widths), widths[0], widths[9:]) == (count, 100, [0] * (count - 9))


def test_the_sign_that_is_asked_is_drawn_without_rest_or_from_its_row(tmp_path):
    seasign.write(tmp_path / "one.pose", signing(1))
    own = asked(str(tmp_path / "one.pose"))
    at = signing(1).landmarks.index(own.poses.landmarks[0])
    assert own.name == "one.pose"
    assert np.array_equal(own.poses.xyz[:, 0], trim(signing(1)).xyz[:, at], equal_nan=True)
    signs = [Sign(0.2, 1.8, "ONE")]
    seasign.write(tmp_path / "one.npz", PoseDescriptor().signs(signing(1), signs), of=signs)
    row = asked(f"{tmp_path / 'one.npz'}#1")
    assert (row.name, len(row.poses.xyz)) == ("ONE", 40)
    (tmp_path / "one.pose").unlink()
    assert asked(f"{tmp_path / 'one.npz'}#1") is None


def test_a_manifest_says_signer_and_date_and_confidence_counts(tmp_path):
    seasign.write(tmp_path / "a.csv", STORY)
    seasign.write(tmp_path / "a.npz", GlossText().signs(None, STORY), of=STORY)
    (tmp_path / "all.csv").write_text("signs;subtitles;signer;date\na.csv;;Ada;2020-02-01\n")
    (tmp_path / "more.csv").write_text("embeddings,signer,date\na.npz,Ben,2021-02-01\n")
    for name in "all", "more":
        done = run("index", tmp_path / f"{name}.csv", "--out", tmp_path / "index", "--embedder", "gloss-text", "--json")
        assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["videos"] == 2
    own = run("search", tmp_path / "index", "rain", "-o", tmp_path / "a.csv")
    assert own.stderr == f"error: {tmp_path / 'a.csv'}: is an input too; write hits to another file\n"
    found = hits(tmp_path / "index", "--gloss", "*", "--least-confidence", 0.8)
    assert [(hit["video"], hit["gloss"], hit["signer"]) for hit in found] == [
        ("a.csv", "HEAVY", "Ada"),
        ("a.csv", "RAIN", "Ada"),
    ]
    assert {hit["date"] for hit in hits(tmp_path / "index", "rain", "--since", "2020-06-01")} == {"2021-02-01"}
    assert {hit["signer"] for hit in hits(tmp_path / "index", "rain", "--until", "2020-06-01")} == {"Ada"}


def test_what_has_not_changed_is_passed_over_and_what_has_is_said_and_made_anew(corpus, indexed, monkeypatch):
    again = ("index", corpus, "--out", indexed, "--json")
    assert json.loads(run(*again).stdout)["unchanged"] == ["ada/news.npz", "story.eaf"]
    os.utime(corpus / "story.eaf", (1, 1))  # touched, not changed
    before = hits(indexed, "--gloss", "*")
    assert len(json.loads(run(*again).stdout)["unchanged"]) == 2
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["seasign.stores.stamps"], "sha256", None)  # nor hashed once more
        assert len(json.loads(run(*again).stdout)["unchanged"]) == 2
        assert hits(indexed, "--gloss", "*") == before
    seasign.write(corpus / "story.eaf", {"SIGN": [Sign(1, 2, "SNOW")]}, like=corpus / "story.eaf")
    stale = run("search", indexed, "rain", "-n", 1)
    assert stale.exit_code == 0
    assert stale.stderr.startswith("warning: story.eaf: changed since indexed, so times may be off; index again")
    done = json.loads(run(*again).stdout)
    assert (done["indexed"], done["unchanged"]) == ({"story.eaf": 2}, ["ada/news.npz"])
    fresh = run("search", indexed, "--gloss", "*")
    assert fresh.stderr == ""
    assert "RAIN" not in fresh.stdout
    assert "[SNOW]" in fresh.stdout


def test_a_video_that_is_gone_is_named_with_the_command_that_forgets_it(corpus, indexed):
    (corpus / "story.eaf").unlink()
    forget = ["--out", str(indexed), "--delete", "story.eaf"]
    for done in run("search", indexed, "rain", "-n", 1), run("index", corpus, "--out", indexed):
        assert done.exit_code == 0
        assert done.stderr.startswith("warning: story.eaf: gone from the disk, and still in the index; to forget: ")
        assert done.stderr.endswith(f"seasign index {' '.join(forget)}\n")
    assert "gone      1 video\n" in done.stdout
    assert json.loads(run("index", corpus, "--out", indexed, "--json").stdout)["gone"] == ["story.eaf"]
    assert run("index", *forget).stderr == run("search", indexed, "house").stderr == ""


def test_a_video_that_would_come_back_is_not_deleted(corpus, indexed):
    done = run("index", corpus, "--out", indexed, "--delete", "story.eaf")
    said = f"error: story.eaf: is in {corpus}, and would be indexed again: take it out of there first\n"
    assert (done.exit_code, done.stderr) == (1, said)
    assert "story.eaf" in open_index(indexed).videos()


def test_another_embedder_than_that_of_the_index_is_refused_though_nothing_has_changed(corpus, indexed):
    done = run("index", corpus, "--out", indexed, "--embedder", "pose-descriptor")
    assert (done.exit_code, done.stderr.count("\n"), done.stdout) == (1, 1, "")
    assert "holds 'gloss-text:4096:3-4-5', and this embedder makes 'pose-descriptor:16:0.5'" in done.stderr


def test_an_index_whose_vectors_are_lost_does_not_pass_as_unchanged(corpus, indexed):
    (indexed / "vectors.000001.f32").unlink()
    done = run("index", corpus, "--out", indexed)
    assert (done.exit_code, done.stderr.count("\n"), done.stdout) == (1, 1, "")
    assert "vectors.000001.f32: is not there or cut short; index again, into another folder" in done.stderr


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ((), 2, "say with --embedder what signs are embedded with: more.eaf brings no embeddings"),
        (("--embedder", "nosuch"), 1, "nosuch"),
        (("--embedder", "gloss-text", "--segmenter", "nosuch"), 1, "nosuch"),
    ],
)
def test_what_is_wrong_for_every_video_is_said_once_and_nothing_is_made(corpus, tmp_path, given, code, said):
    seasign.write(corpus / "more.eaf", {"SIGN": STORY})
    done = run("index", corpus, "--out", tmp_path / "new", *given)
    assert done.exit_code == code
    assert said in done.stderr.splitlines()[-1]
    assert code == 2 or len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_a_file_is_indexed_whatever_stands_beside_it(corpus, tmp_path):
    for name in "empty.eaf", "other.eaf":
        seasign.write(corpus / name, {"SIGN": STORY})
    seasign.write(corpus / "empty.csv", STORY)
    done = run("index", corpus / "story.eaf", "--out", tmp_path / "index", "--embedder", "gloss-text", "--json")
    assert (done.stderr, list(json.loads(done.stdout)["indexed"])) == ("", ["story.eaf"])


def test_a_tier_that_is_not_there_names_those_that_are_and_the_option(corpus, tmp_path):
    seasign.write(corpus / "story.eaf", {"HOUSE": STORY, "GLOSS": STORY})
    done = run("index", corpus, "--out", tmp_path / "index", "--embedder", "gloss-text")
    said = "story.eaf: has no tier SIGN, and no poses to find signs in: choose one of GLOSS, HOUSE by --sign-tier\n"
    assert (done.exit_code, done.stderr) == (1, f"error: {said}")


def test_a_video_without_signs_is_passed_over_and_said(corpus, indexed):
    seasign.write(corpus / "still.eaf", {"SIGN": []})
    seasign.write(corpus / "story.eaf", {"SIGN": []}, like=corpus / "story.eaf")
    done = run("index", corpus, "--out", indexed)
    assert done.exit_code == 0
    assert done.stderr.endswith("warning: still.eaf, story.eaf: nobody signs in it; passed over\n")
    assert done.stdout.splitlines()[:2] == ["unchanged 1 video", "no signs  2 videos"]
    assert list(open_index(indexed).videos()) == ["ada/news.npz"]


def test_who_stops_it_hears_that_what_is_done_is_kept(corpus, tmp_path, monkeypatch):
    real, left = seasign.index, [True]

    def stopped(*arguments, **more):
        if not left:
            raise KeyboardInterrupt
        left.clear()
        return real(*arguments, **more)

    monkeypatch.setattr(seasign, "index", stopped)
    done = run("index", corpus, "--out", tmp_path / "index", "--embedder", "gloss-text")
    assert done.exit_code == 1
    assert f"stopped   {tmp_path / 'index'}: 1 video done and kept; the same command goes on from there" in done.stderr
    assert len(open_index(tmp_path / "index").videos()) == 1


def test_what_a_manifest_or_an_option_says_otherwise_is_a_change(tmp_path):
    seasign.write(tmp_path / "one.pose", signing(1))
    command = ("index", tmp_path / "all.csv", "--out", tmp_path / "index", "--embedder", "pose-descriptor", "--json")
    for gloss in "ONE", "TWO":
        (tmp_path / "all.csv").write_text(f"poses,gloss\none.pose,{gloss}\n")
        assert json.loads(run(*command).stdout)["indexed"] == {"one.pose": 2}
        assert [hit["gloss"] for hit in hits(tmp_path / "index", "--gloss", "*")] == [gloss]
    assert json.loads(run(*command).stdout)["unchanged"] == ["one.pose"]
    seasign.write(tmp_path / "story.eaf", {"SIGN": STORY, "OLD": [Cue(0, 9, "delivered")], "SUBTITLE_ALIGNED": CUES})
    command = ("index", tmp_path / "story.eaf", "--out", tmp_path / "two", "--embedder", "gloss-text")
    for options, text in ((), "Heavy rain tonight."), (("--subtitle-tier", "OLD"), "delivered"):
        assert run(*command, *options).exit_code == 0
        assert hits(tmp_path / "two", "rain", "--kind", "sentence")[0]["text"] == text


def test_poses_are_kept_of_a_video_as_it_is_and_are_no_video_of_the_corpus(tmp_path, monkeypatch):
    film, asked = tmp_path / "news.mp4", []

    def estimate(video, **_):
        asked.append(video)
        about = {"video": {"name": video.name, "bytes": video.stat().st_size}}
        return replace(signing(len(asked)), provenance=about)

    monkeypatch.setattr(seasign, "estimate_poses", estimate)
    command = ("index", tmp_path, "--out", tmp_path / "index", "--embedder", "pose-descriptor", "--json")
    for number in 1, 2:
        film.write_bytes(b"a film" * number)
        for key in "indexed", "unchanged":
            done = run(*command)
            assert done.exit_code == 0, done.stderr
            assert list(json.loads(done.stdout)[key]) == ["news.mp4"]
            assert json.loads(done.stdout)["videos"] == 1
        assert asked == [film] * number
        assert len(list((tmp_path / "index" / "poses").iterdir())) == 2  # one, and what it says: not what has changed
    run("search", tmp_path / "index", "--kind", "sign", "--sheet", tmp_path / "sheet.html")
    assert 'class="left' in (tmp_path / "sheet.html").read_text(encoding="utf-8")
    (tmp_path / "same").mkdir()
    (tmp_path / "same" / "news.mp4").write_bytes(film.read_bytes())
    assert list(json.loads(run(*command).stdout)["indexed"]) == ["same/news.mp4"]
    for name, left in ("same/news.mp4", 2), ("news.mp4", 0):
        assert run("index", "--out", tmp_path / "index", "--delete", name).exit_code == 0
        assert len(list((tmp_path / "index" / "poses").iterdir())) == left


def test_a_corpus_that_was_moved_is_indexed_anew_from_the_poses_that_were_kept(tmp_path, monkeypatch):
    def estimate(video, **_):
        return replace(signing(1), provenance={"video": {"name": video.name, "bytes": video.stat().st_size}})

    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "news.mp4").write_bytes(b"a film")
    command = ("--out", tmp_path / "index", "--embedder", "pose-descriptor", "--json")
    monkeypatch.setattr(seasign, "estimate_poses", estimate)
    assert run("index", tmp_path / "old", *command).exit_code == 0
    (tmp_path / "old").rename(tmp_path / "new")
    monkeypatch.setattr(seasign, "estimate_poses", None)
    assert "gone from the disk" in run("search", tmp_path / "index", "--kind", "sign").stderr
    done = run("index", tmp_path / "new", *command)
    assert (done.exit_code, done.stderr, list(json.loads(done.stdout)["indexed"])) == (0, "", ["news.mp4"])
    assert run("search", tmp_path / "index", "--kind", "sign").stderr == ""


def test_a_video_that_is_estimated_in_another_way_is_another(tmp_path, monkeypatch):
    asked = []

    def estimate(video, *, crop, static, **_):
        asked.append((crop, static))
        return replace(signing(1), provenance={"settings": {"crop": crop and list(crop), "static_image_mode": static}})

    monkeypatch.setattr(seasign, "estimate_poses", estimate)
    (tmp_path / "news.mp4").write_bytes(b"a film")
    seasign.write(tmp_path / "own.pose", signing(2))
    command = ("index", tmp_path, "--out", tmp_path / "index", "--embedder", "pose-descriptor", "--json")
    assert run(*command).exit_code == 0
    for options in ("--static",), ("--crop", "0,0,64,48"), ("--crop", "0,0,64,48", "--static"), ():
        for indexed, unchanged in (["news.mp4"], ["own.pose"]), ([], ["news.mp4", "own.pose"]):
            done = run(*command, *options)
            assert done.exit_code == 0, done.stderr
            assert [list(json.loads(done.stdout)[key]) for key in ("indexed", "unchanged")] == [indexed, unchanged]
    assert asked[:4] == [(None, False), (None, True), ((0, 0, 64, 48), False), ((0, 0, 64, 48), True)]


def test_a_video_can_be_forgotten(indexed):
    done = run("index", "--out", indexed, "--delete", "story.eaf")
    assert done.stdout.splitlines()[0].split() == ["deleted", "1", "video"]
    assert {hit["video"] for hit in hits(indexed, "house")} == {"ada/news.npz"}
    assert hits(indexed, "rain") == []
    gone = run("index", "--out", indexed, "--delete", "story.eaf")
    assert (gone.exit_code, gone.stderr) == (1, f"error: {indexed}: has no video 'story.eaf'; it has ada/news.npz\n")


def test_poses_are_segmented_embedded_and_drawn(tmp_path):
    folder = tmp_path / "poses"
    (folder / "ben").mkdir(parents=True)
    seasign.write(folder / "ben" / "one.pose", signing(1))
    seasign.write(folder / "two.npz", signing(2))
    seasign.write(folder / "three.pose", signing(3))
    (folder / "all.csv").write_text("poses,gloss,signer\nben/one.pose,ONE,Ben\ntwo.npz,TWO,\n")
    done = run("index", folder / "all.csv", "--out", tmp_path / "index", "--embedder", "pose-descriptor")
    assert done.exit_code == 0, done.stderr
    like = (tmp_path / "index", "--like", folder / "ben" / "one.pose")
    first, second = hits(*like)
    assert (first["gloss"], first["score"]) == ("ONE", pytest.approx(1))
    assert second["gloss"] == "TWO"
    output, sheet = tmp_path / "hits.csv", tmp_path / "sheet.html"
    shown = run("search", *like, "-o", output, "--sheet", sheet)
    assert shown.stdout.splitlines()[-2:] == [f"wrote     {output}", f"wrote     {sheet}"]
    with output.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["rank"], row["gloss"], row["signer"]) for row in rows] == [("1", "ONE", "Ben"), ("2", "TWO", "")]
    page = sheet.read_text(encoding="utf-8")
    assert page.count('<svg viewBox="0 0 400') == 3  # two that were found, and the one that was asked
    assert "like one.pose" in page
    run("search", *like, "-o", tmp_path / "hits.json")
    assert json.loads((tmp_path / "hits.json").read_text())["hits"][0]["gloss"] == "ONE"
    found = run("index", folder / "three.pose", "--out", tmp_path / "index", "--embedder", "pose-descriptor", "--json")
    assert json.loads(found.stdout)["indexed"].keys() == {"three.pose"}


def test_what_is_drawn_is_the_window_alone_and_late_poses_are_drawn_in_their_time(tmp_path):
    poses = signing(1)
    for name, start in ("early", 0.0), ("late", 3600.0):
        seasign.write(tmp_path / f"{name}.npz", replace(poses, provenance={"start": start}))
        drawn = _drawn(tmp_path / f"{name}.npz", Window(start + 0.5, start + 1.5, "sign"))
        assert drawn.xyz.base is None
        assert np.array_equal(drawn.xyz, poses.xyz[12:38], equal_nan=True)  # all that it touches, at 25 a second
        assert draw_poses(drawn, 0, drawn.duration) == draw_poses(poses, 0.5, 1.5)


def test_frames_of_the_video_are_shown_on_request(tmp_path):
    film = planted.film(tmp_path / "news.mp4", np.arange(60) / 25)
    seasign.write(tmp_path / "news.eaf", {"SIGN": [Sign(0.5, 1.5, "RAIN")]})
    assert run("index", tmp_path, "--out", tmp_path / "index", "--embedder", "gloss-text").exit_code == 0
    shown = run("search", tmp_path / "index", "rain", "-n", 1, "--sheet", tmp_path / "sheet.html", "--frames")
    assert shown.stderr == ""
    page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 4
    assert f'href="{film.as_uri()}#t=0.50"' in page
    film.write_bytes(b"")
    shown = run("search", tmp_path / "index", "rain", "-n", 1, "--sheet", tmp_path / "sheet.html", "--frames")
    assert "has no picture" in shown.stderr


def test_a_still_is_the_frame_shown_at_that_time(tmp_path):
    film = planted.film(tmp_path / "news.mp4", np.arange(60) / 25)
    import av

    for second, number in (0.0, 0), (0.5, 12), (0.99, 24), (2.3, 57), (99.0, 59):
        (jpeg,) = stills(film, [second], height=24)
        codec = av.CodecContext.create("mjpeg", "r")
        (picture,) = codec.decode(av.Packet(jpeg))
        assert (picture.width, picture.height) == (32, 24)
        assert abs(float(picture.to_ndarray(format="rgb24").mean()) - planted.level(number)) < 4
    (tmp_path / "none.mp4").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        list(stills(tmp_path / "none.mp4", [0]))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("index", "--out", "{index}"), 2, "give a MANIFEST_OR_FOLDER, or a VIDEO to --delete"),
        (("index", "{corpus}", "--out", "{corpus}"), 1, "holds other files; name a folder that is empty"),
        (("index", "{corpus}/none", "--out", "{index}"), 1, "is no folder and no manifest"),
        (("index", "{corpus}/ada/news.npz", "--out", "{corpus}/../new/", "--delete", "x"), 1, "has no video 'x'"),
        (("search", "{index}"), 2, "give a TEXT to look for, --like, --gloss or another filter"),
        (("search", "{index}", "rain", "--like", "x.pose"), 2, "give a TEXT to look for or --like, not both"),
        (("search", "{index}", " "), 2, "the TEXT to look for is empty"),
        (("search", "{index}", "rain", "--frames"), 2, "--frames are the pictures of a --sheet"),
        (("search", "{index}", "rain", "--since", "2021-01-02", "--until", "2021-01-01"), 2, "is after --until 2021-"),
        (("search", "{index}.none", "rain"), 1, "there is no such index; make one: seasign index FOLDER --out"),
        (("search", "{index}.none", "--signer", "ada"), 1, "there is no such index"),
        (("search", "{index}.npz", "rain"), 1, "index.npz: No such file"),
        (("index", "{corpus}", "--out", "{index}/a/b", "--embedder", "gloss-text"), 1, "there is no folder"),
        (("search", "{index}", "rain", "--since", "soon"), 1, "--since: 'soon' is no day; write 2026-11-21"),
        (("search", "{index}", "rain", "--least-confidence", "nan"), 2, "is not a finite number"),
        (("search", "{index}", "rain", "-o", "hits.txt"), 1, "cannot write hits there; name it *.csv *.json"),
        (("search", "{index}", "rain", "-o", "{index}/index.json"), 1, "is an input too; write hits to another file"),
        (("search", "{index}", "rain", "--sheet", "page.pdf"), 1, "cannot write the contact sheet there"),
        (("search", "{index}", "?!"), 1, "?!: is nothing at all in the space"),
        (("search", "{index}", "--like", "{clip}", "--embedder", "pose-descriptor"), 1, "is of the space 'gloss-text"),
        (("search", "{index}", "rain", "--embedder", "pose-descriptor"), 1, "and pose-descriptor makes 'pose-desc"),
        (("search", "{corpus}", "rain"), 1, "is a folder and no index; make one of it: seasign index"),
        (("search", "{corpus}/ada/news.npz", "rain", "--signer", "ada"), 2, "go with an index"),
        (("index", "{clip}", "--out", "{index}", "--embedder", "pose-descriptor"), 1, "holds 'gloss-text"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_the_index_as_it_was(corpus, indexed, tmp_path, arguments, code, said):
    seasign.write(tmp_path / "clip.pose", signing(0))
    known = {"corpus": corpus, "index": indexed, "clip": tmp_path / "clip.pose"}
    before = hits(indexed, "rain")
    done = run(*(one.format(**known) for one in arguments))
    assert done.exit_code == code, done.stderr
    assert said in done.stderr
    if code == 1:
        assert len(done.stderr.splitlines()) == 1
    assert hits(indexed, "rain") == before


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("video\nnews.mov\n", "all.csv:2: there is no file"),
        ("video,date\n,2020-01-01\n", "all.csv:2: names no video, poses, embeddings or signs"),
        ("signs,date\na.csv,today\n", "all.csv:2: 'today' is no day"),
        ("signs\na.csv\na.csv\n", "all.csv:3: a.csv is there twice"),
        ("signs\n", "lists no videos"),
        ("poses\na.csv\n", "all.csv:2: a.csv: expected a file named *.pose *.npz"),
    ],
)
def test_a_manifest_that_is_wrong_names_its_line(tmp_path, lines, said):
    seasign.write(tmp_path / "a.csv", STORY)
    (tmp_path / "all.csv").write_text(lines)
    done = run("index", tmp_path / "all.csv", "--out", tmp_path / "index", "--embedder", "gloss-text")
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert said in done.stderr


def test_a_batch_goes_on_and_names_what_failed(corpus, tmp_path):
    (corpus / "broken.pose").write_bytes(b"no poses")
    seasign.write(corpus / "texts.npz", GlossText().text(["rain"]), of=CUES[:1])
    seasign.write(corpus / "bare.eaf", {"SIGN": [Sign(0, 1)]})
    done = run("index", corpus, "--out", tmp_path / "index", "--embedder", "gloss-text")
    assert done.exit_code == 1
    errors = done.stderr.splitlines()
    assert [line.split(":")[0] for line in errors] == ["error"] * 3
    assert "bare.eaf: none of 2 signs has a gloss" in errors[0]
    assert "does not say which signs its rows are; expected what embed-signs wrote" in done.stderr
    assert "failed    3 videos" in done.stdout
    assert hits(tmp_path / "index", "heavy rain")[0]["video"] == "story.eaf"


def test_two_videos_of_one_name_are_not_taken_for_one(corpus, indexed, tmp_path):
    (tmp_path / "other").mkdir()
    seasign.write(tmp_path / "other" / "story.eaf", {"SIGN": STORY})
    done = run("index", tmp_path / "other", "--out", indexed)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert f"story.eaf: the index has another video of this name, {corpus / 'story.eaf'}" in done.stderr
    (corpus / "story.eaf").rename(tmp_path / "gone.eaf")  # moved: what stands there now is the video
    assert run("index", tmp_path / "other", "--out", indexed).exit_code == 0


@pytest.mark.parametrize("same", [True, False])
def test_what_another_writer_has_put_in_meanwhile_is_looked_at_anew(corpus, tmp_path, monkeypatch, same):
    other = corpus if same else tmp_path / "other"
    (tmp_path / "other").mkdir()
    seasign.write(tmp_path / "other" / "story.eaf", {"SIGN": STORY})
    about = _Way.about

    def late(way, one, known):
        monkeypatch.setattr(_Way, "about", about)
        assert run("index", other, "--out", tmp_path / "index", "--embedder", "gloss-text").exit_code == 0
        return about(way, one, known)

    monkeypatch.setattr(_Way, "about", late)
    done = run("index", corpus, "--out", tmp_path / "index", "--embedder", "gloss-text", "--json")
    said = json.loads(done.stdout)
    if same:
        assert (done.exit_code, said["indexed"], len(said["unchanged"])) == (0, {}, 2)
    else:
        assert (done.exit_code, list(said["indexed"])) == (1, ["ada/news.npz"])
        assert "the index has another video of this name" in said["failed"]["story.eaf"]


def test_embeddings_that_come_later_take_the_place_of_what_was_made(tmp_path):
    folder = tmp_path / "poses"
    folder.mkdir()
    seasign.write(folder / "one.pose", signing(1))
    assert run("index", folder, "--out", tmp_path / "index", "--embedder", "pose-descriptor").exit_code == 0
    signs = [Sign(0.2, 1.8, "ONE")]
    seasign.write(folder / "one.npz", PoseDescriptor().signs(signing(1), signs), of=signs)
    done = json.loads(run("index", folder, "--out", tmp_path / "index", "--json").stdout)
    assert (done["indexed"], done["videos"]) == ({"one.pose": 2}, 1)
    (hit, *_) = hits(tmp_path / "index", "--like", folder / "one.pose")
    assert (hit["gloss"], hit["path"]) == ("ONE", str(folder / "one.npz"))
    shown = run("search", tmp_path / "index", "--gloss", "ONE", "--sheet", tmp_path / "sheet.html")
    assert shown.exit_code == 0
    assert 'class="left' in (tmp_path / "sheet.html").read_text(encoding="utf-8")  # the poses beside are drawn


def test_files_of_one_video_that_contradict_are_refused(corpus, tmp_path):
    seasign.write(corpus / "story.csv", STORY)
    done = run("index", corpus, "--out", tmp_path / "index", "--embedder", "gloss-text")
    assert "is of the same video as story.csv; keep one of them" in done.stderr


def test_subtitles_may_stand_in_the_elan_file(tmp_path):
    seasign.write(tmp_path / "all.eaf", {"SIGN": STORY, "SUBTITLE": [Cue(0, 4, "delivered")], "SUBTITLE_ALIGNED": CUES})
    assert run("index", tmp_path / "all.eaf", "--out", tmp_path / "index", "--embedder", "gloss-text").exit_code == 0
    assert hits(tmp_path / "index", "rain", "--kind", "sentence")[0]["text"] == "Heavy rain tonight."
    run(
        "index",
        tmp_path / "all.eaf",
        "--out",
        tmp_path / "two",
        "--embedder",
        "gloss-text",
        "--subtitle-tier",
        "SUBTITLE",
    )
    assert hits(tmp_path / "two", "rain", "--kind", "sentence")[0]["text"] == "delivered"


def test_a_disk_that_fills_ends_the_batch_with_one_line(corpus, indexed, monkeypatch):
    seasign.write(corpus / "more.eaf", {"SIGN": STORY})
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
        done = run("index", corpus, "--out", indexed)
    assert (done.exit_code, done.stderr) == (1, f"error: {indexed}: No space left on device\n")
    assert "more.eaf" not in open_index(indexed).videos()
    assert json.loads(run("index", corpus, "--out", indexed, "--json").stdout)["indexed"] == {"more.eaf": 6}


@pytest.mark.slow
def test_a_command_that_is_killed_goes_on_where_it_was(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(60):
        seasign.write(folder / f"{number:02}.npz", GlossText().signs(None, STORY), of=STORY)
    command = [sys.executable, "-m", "seasign", "index", folder, "--out", tmp_path / "index"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (tmp_path / "index" / "vectors.000001.f32").exists():
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    held = open_index(tmp_path / "index")
    assert isinstance(held, VectorIndex)
    there = set(held.videos())
    assert len(held) == 6 * len(there)
    assert {match.video for match in held.search(GlossText().text(["rain"]), best=999)} == there
    done = json.loads(run("index", folder, "--out", tmp_path / "index", "--json").stdout)
    assert set(done["unchanged"]) == there
    assert len(done["indexed"]) == 60 - len(there)
    assert done["windows"] == 360


DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "pose_samples").is_dir(), reason="needs the shared data")
def test_a_sign_is_found_in_real_signing(tmp_path):
    house = DATA / "pose_samples" / "asl_house.pose"
    letters = sorted((DATA / "fingerspelling_poses").glob("*/*.pose"))
    lines = ["poses,gloss", *(f"{path},{path.stem}" for path in letters), f"{house},HOUSE"]
    (tmp_path / "all.csv").write_text("\n".join(lines))
    done = run("index", tmp_path / "all.csv", "--out", tmp_path / "index", "--embedder", "pose-descriptor")
    assert done.exit_code == 0, done.stderr
    first, second = hits(tmp_path / "index", "--like", house, "-n", 2)
    assert (first["gloss"], first["score"]) == ("HOUSE", pytest.approx(1, abs=1e-5))
    assert second["score"] < 0.95
    assert PoseDescriptor().space == open_index(tmp_path / "index").space
