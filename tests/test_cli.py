"""Commands as a person gives them: what they print, what they write, what they refuse."""

import itertools
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import seasign
from commands import COMMANDS, run
from planted import film, holistic
from seasign.types import Costs, Cue, InputWarning, Sign

SIGNS = [Sign(2.5, 3.0, "HEAVY"), Sign(3.0, 4.25, "RAIN"), Sign(7.0, 7.5), Sign(7.5, 8.5)]
CUES = [Cue(0.5, 2.3, "Heavy rain tonight."), Cue(5.0, 6.4, "Then sun.")]
NEWS = """\
WEBVTT - news

STYLE
::cue { color: yellow }

rain
00:00.500 --> 00:02.300 line:85%
<v Anna>Heavy rain</v> tonight.

NOTE between

00:05.000 --> 00:06.400
Then sun.
"""
ALIGNED = NEWS.replace("00:00.500 --> 00:02.300", "00:02.500 --> 00:04.250").replace(
    "00:05.000 --> 00:06.400", "00:07.000 --> 00:08.500"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an episode in it, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("news.vtt").write_text(NEWS)
    seasign.write("signs.csv", SIGNS)
    seasign.write("signs.eaf", {"SIGN": SIGNS, "TOPIC": [Sign(0, 9, "weather")]})
    return tmp_path


def refused(*arguments: object, code: int = 1) -> str:
    """The one line that a refused command prints; nothing else may be there, nothing new may be written."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    (line,) = (line for line in result.stderr.splitlines() if not line.startswith("warning: "))
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


# --- align -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["signs.csv", "signs.eaf"])
def test_align_changes_the_times_and_nothing_else(folder, source):
    result = run("align", source, "news.vtt", "-o", "out.vtt", "--lag", "2")
    assert result.exit_code == 0, result.output
    assert Path("out.vtt").read_text() == ALIGNED
    assert Path("news.vtt").read_text() == NEWS
    for words in (
        "moved     2 of 2 cues onto 4 signs",
        "lag       +2.00 s at the starts, +2.00 s at the ends, given",
        "lag only",
        "wrote     out.vtt",
    ):
        assert words in result.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["news.vtt", "out.vtt", "signs.csv", "signs.eaf"]


def test_align_names_all_that_it_wrote(folder):
    result = run("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--report", "r.html", "--timeline", "t.svg")
    assert "wrote     out.vtt, t.svg, r.html" in result.stdout
    assert all(Path(name).exists() for name in ("out.vtt", "t.svg", "r.html"))


def test_align_into_elan_keeps_what_is_there(folder):
    result = run("align", "signs.eaf", "news.vtt", "-o", "out.eaf", "--lag", 2, "--quiet")
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "warning: out.eaf: 1 identifiers of cues are left out, for which tiers have no place"
    ]
    tiers = seasign.read("out.eaf")
    assert list(tiers) == ["SIGN", "TOPIC", "SUBTITLE", "SUBTITLE_ALIGNED"]
    assert tiers["SIGN"] == tuple(SIGNS)
    assert [(cue.start, cue.end) for cue in tiers["SUBTITLE"]] == [(0.5, 2.3), (5.0, 6.4)]
    assert [cue.gloss for cue in tiers["SUBTITLE_ALIGNED"]] == ["Heavy rain tonight.", "Then sun."]


def test_align_reads_subtitles_and_signs_from_one_elan_file(folder):
    run("align", "signs.eaf", "news.vtt", "-o", "both.eaf", "--lag", 2)
    result = run("align", "both.eaf", "both.eaf", "-o", "again.eaf", "--lag", 2)
    assert result.exit_code == 0, result.output
    assert seasign.read("again.eaf") == seasign.read("both.eaf")


@pytest.mark.parametrize("suffix", [".srt", ".ttml", ".csv", ".json"])
def test_align_writes_other_formats(folder, suffix):
    assert run("align", "signs.csv", "news.vtt", "-o", f"out{suffix}", "--lag", 2).exit_code == 0
    cues = seasign.read_cues(f"out{suffix}").cues
    assert [(cue.start, cue.end) for cue in cues] == [(2.5, 4.25), (7.0, 8.5)]
    assert [("rain" in cue.text, "sun" in cue.text) for cue in cues] == [(True, False), (False, True)]


def test_align_in_place_keeps_a_backup_and_overwrites_none(folder):
    assert run("align", "signs.csv", "news.vtt", "--in-place", "--lag", "2,2").exit_code == 0
    assert Path("news.vtt").read_text() == ALIGNED
    assert run("align", "signs.csv", "news.vtt", "--in-place", "--lag", "4").exit_code == 0
    assert run("align", "signs.csv", "news.vtt", "--in-place").exit_code == 0
    assert Path("news.vtt.bak").read_text() == NEWS
    assert Path("news.vtt.bak1").read_text() == ALIGNED
    assert len(list(folder.glob("*.bak*"))) == len(list(folder.glob("news.vtt.bak*"))) == 3


def test_align_in_place_into_elan_starts_from_the_subtitles(folder):
    seasign.write("subtitles.eaf", {"SUBTITLE": CUES, "COMMENT": [Sign(1, 2, "mine")]})
    before = seasign.read("subtitles.eaf")
    result = run("align", "signs.eaf", "subtitles.eaf", "--in-place", "--lag", 2)
    assert result.exit_code == 0, result.output
    after = seasign.read("subtitles.eaf")
    assert {name: after[name] for name in before} == before
    assert list(after) == ["SUBTITLE", "COMMENT", "SIGN", "PHRASE", "SUBTITLE_ALIGNED"]
    assert seasign.read(Path("subtitles.eaf.bak").rename("backup.eaf")) == before


def test_align_in_place_leaves_the_signs_that_people_may_have_corrected(folder):
    corrected = (Sign(2.6, 3.1, "MINE"), Sign(3.1, 4.0), Sign(7.1, 8.0))
    seasign.write("subtitles.eaf", {"SIGN": corrected, "SUBTITLE": CUES})
    for _ in range(2):
        assert run("align", "signs.csv", "subtitles.eaf", "--in-place", "--lag", 2).exit_code == 0
        tiers = seasign.read("subtitles.eaf")
        assert list(tiers) == ["SIGN", "SUBTITLE", "SIGN_MERGED", "PHRASE_MERGED", "SUBTITLE_ALIGNED"]
        assert tiers["SIGN"] == corrected
        assert tiers["SIGN_MERGED"] == tuple(SIGNS)


def test_what_lies_beside_poses_is_an_input_too(folder):
    seasign.write("news.pose", seasign.synthesize(duration=20.0).poses)
    assert "is an input too" in refused("align", "news.pose", "news.vtt", "-o", "news.pose.json")
    assert "is an input too" in refused("segment", "news.pose", "-o", "news.pose.json")


def test_a_time_code_that_begins_at_ten_hours_is_told_with_the_lag_that_helps(folder):
    cues = [replace(cue, start=cue.start + 36_000, end=cue.end + 36_000) for cue in CUES]
    seasign.write("ten.srt", cues)
    given = ["align", "signs.csv", "ten.srt", "-o", "out.srt"]
    said = run(*given).stderr
    assert re.search(r"ten.srt: all cues \(10:00:0.* are outside of the signing .*--lag -3599\d or so", said), said
    lag = re.search(r"--lag (-\d+)", said)[1]
    assert "outside" not in run(*given, "--lag", lag).stderr
    assert "outside" not in run("align", "signs.csv", "news.vtt", "-o", "out.vtt").stderr


def test_moved_cues_that_leave_the_aligned_tier_of_others_say_where_they_are(folder):
    theirs = (
        '<TIER LINGUISTIC_TYPE_REF="theirs" TIER_ID="SUBTITLE_ALIGNED"/><LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="theirs"/>'
    )
    seasign.write("both.eaf", {"SIGN": SIGNS, "SUBTITLE": CUES}, like="signs.eaf")
    own = Path("both.eaf").read_text()
    Path("both.eaf").write_text(re.sub(r"(?=<LINGUISTIC_TYPE )", theirs, own, count=1))
    result = run("align", "both.eaf", "both.eaf", "-o", "out.eaf", "--lag", 2)
    assert result.exit_code == 0, result.output
    said = "both.eaf: its own tier SUBTITLE_ALIGNED stays; the cues moved are on SUBTITLE_ALIGNED_MERGED of out.eaf"
    assert f"warning: {said}\n" in result.stderr
    assert len(seasign.read("out.eaf")["SUBTITLE_ALIGNED_MERGED"]) == len(CUES)


def test_signs_and_subtitles_of_one_elan_file_are_aligned_in_place(folder):
    seasign.write("both.eaf", {"SIGN": SIGNS, "SUBTITLE": CUES})
    assert run("align", "both.eaf", "both.eaf", "--in-place", "--lag", 2).exit_code == 0
    assert list(seasign.read("both.eaf")) == ["SIGN", "SUBTITLE", "SUBTITLE_ALIGNED"]


@pytest.mark.parametrize(
    ("source", "options", "there", "written"),
    [
        ("signs.eaf", [], SIGNS, []),
        ("signs.eaf", ["--merge", "more.csv"], SIGNS, ["SIGN_MERGED", "PHRASE_MERGED"]),
        ("signs.eaf", ["--signs", "more.csv"], SIGNS, ["SIGN_MERGED", "PHRASE_MERGED"]),
        ("signs.eaf", ["--sign-tier", "TOPIC"], SIGNS, []),
        ("bare.eaf", ["--signs", "more.csv"], None, ["SIGN", "PHRASE"]),
    ],
    ids=["read", "merged", "others", "another tier", "none there"],
)
def test_elan_output_holds_the_signs_that_were_used_and_those_that_were_there(folder, source, options, there, written):
    used = [Sign(2.4, 3.1, "OTHER"), Sign(7.0, 8.0)]
    seasign.write("more.csv", used)
    seasign.write("bare.eaf", {"TOPIC": [Sign(0, 9, "weather")]})
    Path("one.vtt").write_text("WEBVTT\n\n00:02.400 --> 00:03.000\nHeavy rain\n")
    result = run("align", source, "one.vtt", "-o", "out.eaf", *options)
    assert result.exit_code == 0, result.output
    tiers = seasign.read("out.eaf")
    assert [name for name in tiers if "SIGN" in name or "PHRASE" in name] == ["SIGN"] * bool(there) + written
    assert tiers.get("SIGN") == (tuple(there) if there else tuple(used))
    if "SIGN_MERGED" in written:
        expected = used if "--signs" in options else seasign.merge(SIGNS, used)
        assert tiers["SIGN_MERGED"] == tuple(expected)
        spans = [(span.start, span.end) for span in tiers["PHRASE_MERGED"]]
        assert spans == [(span.start, span.end) for span in seasign.phrases(expected)]


@pytest.mark.parametrize("output", ["news.vtt", "signs.csv", "./../{folder}/news.vtt", "linked.vtt", "same.vtt"])
def test_an_input_is_never_an_output(folder, output):
    Path("linked.vtt").symlink_to("news.vtt")
    os.link("signs.csv", "same.vtt")
    line = refused("align", "signs.csv", "news.vtt", "-o", output.format(folder=folder.name))
    assert "is an input too" in line


@pytest.mark.parametrize("option", ["--merge", "--similarity", "--cue-embeddings", "--sign-embeddings"])
def test_whatever_is_read_is_never_an_output(folder, option):
    seasign.write("read.csv", SIGNS)
    others = [name for name in ("--cue-embeddings", "--sign-embeddings") if name != option and "embed" in option]
    given = [option, "read.csv", *(word for name in others for word in (name, "signs.csv"))]
    assert "is an input too" in refused("align", "signs.csv", "news.vtt", "-o", "read.csv", *given)
    os.link("read.csv", "picture.svg")
    assert "is an input too" in refused(
        "align", "signs.csv", "news.vtt", "-o", "out.vtt", *given, "--timeline", "picture.svg"
    )


def test_a_preset_that_is_read_is_never_an_output(folder):
    seasign.write("mine.json", seasign.Preset())
    before = Path("mine.json").read_bytes()
    given = ("align", "signs.csv", "news.vtt", "--preset", "mine.json", "-o")
    assert "is an input too" in refused(*given, "mine.json")
    assert "is an input too" in refused(*given, "out.vtt", "--report", "mine.json")
    assert Path("mine.json").read_bytes() == before


def test_two_outputs_never_share_a_file_and_a_timeline_is_a_picture(folder):
    given = ("align", "signs.csv", "news.vtt")
    for timeline in ("news.vtt", "out.vtt", "signs.csv", "picture.png"):
        assert "cannot write the timeline there; name it *.svg" in refused(
            *given, "-o", "out.vtt", "--timeline", timeline
        )
    Path("out.vtt").write_text("earlier")
    Path("out.svg").symlink_to("out.vtt")
    line = refused(*given, "-o", "out.vtt", "--timeline", "out.svg")
    assert line == "out.svg: would hold both subtitles and the timeline; name two files"
    Path("in.svg").symlink_to("news.vtt")
    assert "would hold both" in refused(*given, "--in-place", "--timeline", "in.svg")


def test_an_output_that_is_a_link_stays_one_and_its_target_is_written(folder):
    Path("elsewhere").mkdir()
    Path("out.vtt").symlink_to("elsewhere/target.vtt")
    for _ in range(2):
        assert run("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--lag", 2).exit_code == 0
        assert Path("out.vtt").is_symlink()
        assert Path("elsewhere/target.vtt").read_text() == ALIGNED


def test_align_draws_the_timeline(folder):
    assert run("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--timeline", "out.svg").exit_code == 0
    assert "HEAVY" in Path("out.svg").read_text()


def test_align_prints_json(folder):
    result = run("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--lag", 2, "--json")
    found = json.loads(result.stdout)
    assert (found["cues"], found["signs"], found["moved"], found["unmatched"]) == (2, 4, 2, 0)
    assert found["lag"] == pytest.approx([2.0, 2.025])
    assert found["aligned"] == {"overlaps": 0, "on_signing": 1.0, "starts_on_sign": 1.0}
    assert found["output"] == "out.vtt"
    assert found["warnings"] == []


def test_the_presets_are_the_published_settings():
    published = {  # Jiang et al. 2025 (SEA, arXiv:2512.08094): costs, shift before, shift after
        "bobsl": seasign.Preset(Costs(w_dur=1, w_gap=5, w_sim=10, max_gap=10, window=50), (2.6, 2.1), (0, 1)),
        "how2sign": seasign.Preset(Costs(w_dur=5, w_gap=0.8, w_sim=10, max_gap=8, window=50), (1.3, 1.5), (0, 1)),
        "srf": seasign.Preset(Costs(w_dur=0.5, w_gap=5, w_sim=5, max_gap=6, window=50), (1.4, 1.6), (0, 1)),
        "mitenand": seasign.Preset(Costs(w_dur=0.5, w_gap=5, w_sim=1, max_gap=6, window=50), (0.49, 0.56), (0, 1)),
    }
    assert published == seasign.PRESETS


def test_presets_and_single_settings_combine(folder):
    run("align", "signs.csv", "news.vtt", "-o", "preset.vtt", "--preset", "bobsl", "--padding", 0)
    run("align", "signs.csv", "news.vtt", "-o", "same.vtt", "--lag", "2.6,2.1")
    assert Path("preset.vtt").read_text() == Path("same.vtt").read_text()
    run("align", "signs.csv", "news.vtt", "-o", "padded.vtt", "--lag", 2, "--padding", "0,1")
    assert "00:02.500 --> 00:05.250" in Path("padded.vtt").read_text()


def test_similarities_and_embeddings_are_a_door(folder):
    text, signs = np.eye(2), np.repeat(np.eye(2), [2, 2], axis=0)
    np.save("text.npy", text)
    np.save("signs.npy", signs)
    np.save("similarity.npy", text @ signs.T)
    given = ("align", "signs.csv", "news.vtt", "--lag", 2, "--json", "-o", "out.vtt")
    direct = json.loads(run(*given, "--similarity", "similarity.npy").stdout)["cost"]
    assert (
        json.loads(run(*given, "--cue-embeddings", "text.npy", "--sign-embeddings", "signs.npy").stdout)["cost"]
        == direct
    )
    assert json.loads(run(*given).stdout)["cost"] > direct
    assert json.loads(run(*given, "--similarity", "similarity.npy", "--normalize", "z-score").stdout)["cost"] != direct


def test_merged_signs_replace_those_they_agree_with(folder):
    seasign.write("more.csv", [Sign(2.4, 3.1), Sign(20.0, 21.0)])
    run("align", "signs.csv", "news.vtt", "--merge", "more.csv", "--lag", 2, "-o", "out.vtt")
    assert seasign.read("out.vtt").cues[0].start == 2.4


def test_with_signs_the_poses_are_used_for_nothing(folder):
    Path("unreadable.pose").write_bytes(b"not looked at")
    assert (
        run("align", "unreadable.pose", "news.vtt", "--signs", "signs.csv", "--lag", 2, "-o", "out.vtt").exit_code == 0
    )
    assert Path("out.vtt").read_text() == ALIGNED


def test_compat_cuts_elan_times_to_the_millisecond_below(folder):
    seasign.write("fine.csv", [Sign(2.5009, 4.2009), Sign(7.0, 8.5)])
    for compat in ([], ["--compat", "sea"]):
        run("align", "fine.csv", "news.vtt", "-o", f"out{len(compat)}.eaf", "--lag", 2, *compat)
    assert seasign.read("out0.eaf")["SUBTITLE_ALIGNED"][0].start == 2.501
    assert seasign.read("out2.eaf")["SUBTITLE_ALIGNED"][0].start == 2.5


def test_the_published_arithmetic_is_not_judged(folder):
    given = "align", "signs.csv", "news.vtt", "-o", "out.vtt", "--lag", 2, "--compat", "sea"
    assert "verdict   none: nothing was judged" in run(*given).stdout
    verdict = json.loads(run(*given, "--json").stdout)["verdict"]
    assert verdict == {"verdict": None, "reason": "nothing was judged: there is no confidence", "check": []}


# --- trust: verdict, dropped cues, pins, the report -------------------------------------------------------------------


@pytest.fixture
def episode(folder):
    """signs.csv, news.vtt and truth.vtt of a quarter of an hour, in which nobody signs for two minutes."""
    episode = seasign.synthesize(4, duration=900.0, fps=None)
    signs = [sign for sign in episode.signs if not 300 <= sign.start < 420]
    seasign.write("signs.csv", signs)
    seasign.write("news.vtt", episode.cues)
    seasign.write("truth.vtt", episode.reference)
    return episode


def test_the_lag_is_found_and_said(episode):
    result = run("align", "signs.csv", "news.vtt", "-o", "out.vtt")
    assert result.exit_code == 0, result.output
    words = re.search(
        r"^lag +([+-][0-9.]+) s at the starts, [+-][0-9.]+ s at the ends, estimated$", result.stdout, re.M
    )
    assert abs(float(words[1]) - 2) < 0.5
    assert "verdict   check" in result.stdout
    found = json.loads(run("evaluate", "truth.vtt", "out.vtt", "--json").stdout)
    assert found["f1@0.50"] > 65


@pytest.mark.parametrize("policy", ["keep", "shift", "mark", "remove"])
def test_cues_nobody_signs_go_where_they_are_wanted(episode, policy):
    result = run("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--lag", 2, "--dropped", policy, "--json")
    assert result.exit_code == 0, result.output
    dropped = json.loads(result.stdout)["unmatched"]
    assert dropped >= 20
    cues = seasign.read("out.vtt").cues
    middle = [(i, cue) for i, cue in enumerate(episode.cues) if 310 <= cue.start < 400]
    if policy == "remove":
        assert len(cues) == len(episode.cues) - dropped
    elif policy == "mark":
        assert sum(cue.text.startswith("[not signed] ") for cue in cues) == dropped
    else:
        by = 0 if policy == "keep" else 2
        assert all(abs(cues[i].start - cue.start - by) < 0.1 for i, cue in middle)
    assert all(before.end <= after.start for before, after in itertools.pairwise(cues))


def test_subtitles_of_another_programme_are_refused_unless_forced(episode):
    seasign.write("other.vtt", seasign.synthesize(99, duration=900.0, fps=None).cues)
    result = run("align", "signs.csv", "other.vtt", "-o", "out.vtt")
    assert result.exit_code == 3, result.output
    assert "verdict   do not use" in result.stdout
    assert "not written" in result.stderr
    assert not Path("out.vtt").exists()
    assert run("align", "signs.csv", "other.vtt", "-o", "out.vtt", "--force").exit_code == 0
    assert Path("out.vtt").exists()


def test_pins_hold_and_wrong_ones_are_refused(episode):
    true = episode.reference[2]
    Path("pins.csv").write_text(f"cue,start,end\n3,{true.start},{true.end}\n")
    assert run("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--lag", 2, "--pins", "pins.csv").exit_code == 0
    assert (seasign.read("out.vtt").cues[2].start, seasign.read("out.vtt").cues[2].end) == (true.start, true.end)
    Path("pins.csv").write_text("cue,start,end\n3,50,51\n4,40,41\n")
    assert "where the pin of cue 3" in refused("align", "signs.csv", "news.vtt", "-o", "no.vtt", "--pins", "pins.csv")
    Path("pins.csv").write_text("cue,start,end\n300,50,51\n")
    assert "there is no cue 300" in refused("align", "signs.csv", "news.vtt", "-o", "no.vtt", "--pins", "pins.csv")


def test_pins_marked_in_elan_hold_and_are_written_as_a_table(episode):
    assert run("align", "signs.csv", "news.vtt", "-o", "out.eaf", "--lag", 2, "--quiet").exit_code == 0
    aligned = seasign.read("out.eaf")["SUBTITLE_ALIGNED"]
    third = replace(aligned[2], start=aligned[2].start + 0.5, end=aligned[2].end + 0.25)
    late = round(episode.reference[189].start + 0.5, 3)
    marks = (third, seasign.Sign(late, late + 3.5, "190"))
    seasign.write("marked.eaf", {"PINNED": marks}, like=Path("out.eaf"))
    result = run("pins", "marked.eaf", "news.vtt", "-o", "pins.csv", "--json")
    assert [pin["cue"] for pin in json.loads(result.stdout)["pins"]] == [3, 190]
    written = Path("pins.csv").read_text()
    assert written == f"cue,start,end\n3,{third.start:.3f},{third.end:.3f}\n190,{late:.3f},{late + 3.5:.3f}\n"
    given = ("align", "signs.csv", "news.vtt", "--lag", 2, "--padding", "0,1", "--max-speed", 1, "--force")
    for pins, policy in ("marked.eaf", "shift"), ("pins.csv", "remove"):
        result = run(*given, "-o", "out.vtt", "--pins", pins, "--dropped", policy)
        assert result.exit_code == 0, result.output
        times = [(cue.start, cue.end) for cue in seasign.read("out.vtt").cues]
        assert (third.start, third.end) in times
        assert (late, pytest.approx(late + 3.5)) in times
    seasign.write("marked.eaf", {"PINNED": (marks[0], replace(marks[1], gloss="2"))}, like=Path("out.eaf"))
    line = refused("align", "signs.csv", "news.vtt", "-o", "no.vtt", "--pins", "marked.eaf")
    assert "the pin of cue 3" in line
    assert "where the pin of cue 2" in line
    assert "no tier 'PINNED'" in refused("pins", "out.eaf", "news.vtt", "-o", "no.csv")
    assert "expected an ELAN file" in refused("pins", "pins.csv", "news.vtt", "-o", "no.csv")


@pytest.mark.parametrize("policy", ["mark", "remove"])
def test_styles_and_notes_stay_when_cues_are_marked_or_left_out(episode, policy):
    head = "WEBVTT\n\nSTYLE\n::cue { color: red }\n\nNOTE by hand\n"
    text = Path("news.vtt").read_text().replace("WEBVTT\n", head, 1)
    Path("news.vtt").write_text(text)
    result = run("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--lag", 2, "--dropped", policy, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["unmatched"] >= 20
    out = Path("out.vtt").read_text()
    assert out.startswith(head)
    lines = [line for line in out.splitlines() if "-->" not in line]
    expected = [line for line in text.splitlines() if "-->" not in line]
    if policy == "mark":
        assert [line.removeprefix("[not signed] ") for line in lines] == expected
    else:
        assert set(lines) <= set(expected)
    seasign.write("news.ttml", seasign.read("news.vtt").cues)
    result = run("align", "signs.csv", "news.ttml", "-o", "out.ttml", "--lag", 2, "--dropped", policy)
    assert "written anew, without head and styles" in result.stderr


def test_touching_draws_neighbours_together(episode):
    pairs = itertools.pairwise([*episode.cues, seasign.Cue(2000, 2001, "")])
    close = [replace(cue, end=after.start) if after.start - cue.end < 0.6 else cue for cue, after in pairs]
    seasign.write("close.vtt", close)
    met = []
    for words in (), ("--touching", 0.1):
        assert run("align", "signs.csv", "close.vtt", "-o", "out.vtt", "--lag", 2, *words).exit_code == 0
        met.append(sum(before.end == after.start for before, after in itertools.pairwise(seasign.read("out.vtt").cues)))
    assert met[1] > met[0] + 20


def test_the_report_says_everything_of_every_cue(episode):
    given = ("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--quiet")
    assert run(*given, "--report", "out.json").output == ""
    assert run(*given, "--report", "out.html").output == ""
    report = json.loads(Path("out.json").read_text())
    assert report["schema"] == seasign.SCHEMA
    assert len(report["cues"]) == len(episode.cues)
    assert sum(cue["dropped"] for cue in report["cues"]) >= 20
    signed = next(cue for cue in report["cues"] if not cue["dropped"])
    first, stop = signed["run"]
    assert report["signs"][first][0] <= report["signs"][stop - 1][0]
    assert 0 <= signed["probability"] <= 1
    assert set(signed["terms"]) == {"start", "end", "duration", "gap", "similarity", "skip"}
    assert sum(sum(cue["terms"].values()) for cue in report["cues"]) == pytest.approx(report["cost"], abs=0.1)
    assert all(cue["terms"] == {"drop": 6.0} and cue["why"] for cue in report["cues"] if cue["dropped"])
    assert any(cue["alternatives"] for cue in report["cues"])
    assert report["baselines"]["joined"]["on_signing"] > 0
    (silent,) = (it for it in report["segmentation"]["suspicious"] if it["end"] - it["start"] > 100)
    assert silent["start"] < 305
    assert silent["end"] > 415
    assert report["lag"]["segments"][0]["cues"][0] == 0
    assert "<html" in Path("out.html").read_text()


# --- bad input: refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [".vtt", ".srt", ".ttml", ".xml", ".eaf", ".csv", ".json"])
@pytest.mark.parametrize(
    "content", [b"", b"\x00\x01\x02\xff" * 40, b"Dear all, the meeting is at noon.\n"], ids=["empty", "binary", "prose"]
)
def test_a_broken_subtitle_file_is_refused_by_name(folder, kind, content):
    Path(f"bad{kind}").write_bytes(content)
    assert refused("align", "signs.csv", f"bad{kind}", "-o", "out.vtt").startswith(f"bad{kind}")


@pytest.mark.parametrize("kind", [".eaf", ".csv", ".json", ".pose", ".npz"])
@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02\xff" * 40], ids=["empty", "binary"])
def test_a_broken_input_is_refused_by_name(folder, kind, content):
    Path(f"bad{kind}").write_bytes(content)
    assert refused("align", f"bad{kind}", "news.vtt", "-o", "out.vtt").startswith(f"bad{kind}")


def test_a_truncated_elan_file_is_refused(folder):
    Path("cut.eaf").write_bytes(Path("signs.eaf").read_bytes()[:-200])
    assert refused("align", "cut.eaf", "news.vtt", "-o", "out.vtt").startswith("cut.eaf")


def test_a_missing_file_a_missing_folder_and_a_foreign_suffix_are_refused(folder):
    assert refused("align", "none.csv", "news.vtt", "-o", "out.vtt") == "none.csv: No such file or directory"
    assert "there is no folder nowhere" in refused("align", "signs.csv", "news.vtt", "-o", "nowhere/out.vtt")
    assert "cannot write subtitles there" in refused("align", "signs.csv", "news.vtt", "-o", "out.docx")
    Path("letter.docx").write_text("x")
    assert "is no video, poses or signs" in refused("align", "letter.docx", "news.vtt", "-o", "out.vtt")
    assert refused("evaluate", "news.vtt", "letter.docx").startswith("letter.docx")


def test_a_broken_cue_in_the_middle_is_refused_with_its_line_unless_skipped(folder):
    Path("bad.vtt").write_text(NEWS.replace("00:05.000 -->", "00:05.000 ->"))
    assert refused("align", "signs.csv", "bad.vtt", "-o", "out.vtt").startswith("bad.vtt:12: ")
    result = run("align", "signs.csv", "bad.vtt", "-o", "out.vtt", "--skip-broken", "--lag", 2)
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: ")
    assert "00:05.000 ->" in Path("out.vtt").read_text()


def test_a_missing_tier_is_refused_and_those_there_are_named(folder):
    line = refused("align", "signs.eaf", "news.vtt", "-o", "out.vtt", "--sign-tier", "Glosses")
    assert "Glosses" in line
    assert "TOPIC" in line
    assert line.strip().endswith(", by --sign-tier or --subtitle-tier")


def test_an_elan_slot_without_a_value_is_refused_where_it_is_read(folder):
    text = Path("signs.eaf").read_text()
    Path("slots.eaf").write_text(text.replace(' TIME_VALUE="2500"', "", 1))
    assert refused("align", "slots.eaf", "news.vtt", "-o", "out.vtt").startswith("slots.eaf:")
    Path("one.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nweather\n")
    result = run("align", "slots.eaf", "one.vtt", "-o", "out.vtt", "--sign-tier", "TOPIC", "--compat", "sea")
    assert result.exit_code == 0, result.output
    assert "00:00.000 --> 00:09.000" in Path("out.vtt").read_text()


def test_a_window_of_0_reaches_all_signs(folder):
    seasign.write("many.csv", [Sign(second, second + 1) for second in range(9)])
    Path("late.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\na\n\n00:00.100 --> 00:09.000\nb\n")
    given = ("align", "many.csv", "late.vtt", "-o", "out.vtt", "--compat", "sea", "--lag", 0)
    ends = {}
    for window in (1, 0):
        result = run(*given, "--window", window)
        assert result.exit_code == 0, result.output
        ends[window] = seasign.read("out.vtt").cues[-1].end
    assert ends == {1: 5.0, 0: 9.0}


def test_more_cues_than_signs_are_refused_with_the_cue(folder):
    seasign.write("one.csv", [Sign(1, 2)])
    line = refused("align", "one.csv", "news.vtt", "-o", "out.vtt", "--compat", "sea", "--lag", 0)
    assert line.startswith("one.csv and news.vtt: cue 2 at 5.00 s ('Then sun.') can reach no free sign: 2 cues")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((3, 4)), "has 3 rows, but there are 2 cues"),
        (np.zeros((2, 3)), "is 2 x 3, but there are 2 cues and 4 signs"),
        (np.array([[0, 1, 2, np.nan]] * 2), "s.npy: holds numbers that are not finite"),
        (np.zeros(4), "expected a matrix"),
        (None, "not an array"),
    ],
    ids=["cues", "signs", "nan", "vector", "rubbish"],
)
def test_a_similarity_that_does_not_fit_is_refused(folder, content, message):
    if content is None:
        Path("s.npy").write_bytes(b"rubbish")
    else:
        np.save("s.npy", content)
    assert message in refused("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--similarity", "s.npy")


def test_an_array_that_would_run_code_is_refused(folder):
    np.save("s.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert refused("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--similarity", "s.npy").startswith("s.npy")


def test_an_output_that_cannot_be_written_leaves_what_was_there(folder):
    resource = pytest.importorskip("resource")
    Path("out.vtt").write_text("earlier")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (100, {limit[1]})); from seasign.cli import main; main()"
    )
    full = subprocess.run(
        [sys.executable, "-c", code, "align", "signs.csv", "news.vtt", "-o", "out.vtt", "--lag", "2"],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert full.returncode == 1
    assert full.stderr == "error: out.vtt: File too large\n"
    assert Path("out.vtt").read_text() == "earlier"
    assert sorted(path.name for path in folder.iterdir()) == ["news.vtt", "out.vtt", "signs.csv", "signs.eaf"]
    Path("taken.vtt").mkdir()
    assert refused("align", "signs.csv", "news.vtt", "-o", "taken.vtt")


@pytest.mark.parametrize(
    "arguments",
    [
        ("align", "signs.csv", "news.vtt"),
        ("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--in-place"),
        ("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--lag", "much"),
        ("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--lag", "1,2,3"),
        ("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--cue-embeddings", "text.npy"),
        ("align", "a.mp4", "news.vtt", "-o", "out.vtt", "--crop", "1,2,3"),
        ("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--preset", "unheard-of"),
        ("evaluate", "news.vtt", "news.vtt", "--fps", "0"),
        ("evaluate", "news.vtt", "news.vtt", "--fps", "1/0"),
        ("evaluate", "news.vtt", "news.vtt", "--fps", "-25/1"),
        ("evaluate", "news.vtt", "news.vtt", "--fps", "nan"),
        *(("evaluate", "news.vtt", "news.vtt", "--shift-start", odd) for odd in ("nan", "inf")),
        *(("evaluate", "news.vtt", "news.vtt", "--shift-end", odd) for odd in ("nan", "-inf")),
        *(
            ("align", "signs.csv", "news.vtt", "-o", "out.vtt", option, odd)
            for option, odds in {
                **dict.fromkeys(("--w-dur", "--w-gap", "--w-sim", "--max-gap"), ("nan", "inf", "-1")),
                **dict.fromkeys(("--lag", "--padding"), ("nan", "inf", "1,nan", "-inf,1")),
                "--threshold": ("nan", "inf", "0.5"),  # the last without --normalize
                "--window": ("-1",),
                "--crop": ("-1,0,5,5", "0,0,0,5"),
            }.items()
            for odd in odds
        ),
        *(("estimate-poses", "a.mp4", "-o", "a.pose", "--start", odd) for odd in ("nan", "inf", "-1")),
        *(("estimate-poses", "a.mp4", "-o", "a.pose", "--end", odd) for odd in ("nan", "inf", "0")),
        *(("demo", "-o", "shown", "--seconds", odd) for odd in ("nan", "inf", "19.9", "1e9")),
        ("demo", "-o", "shown", "--seed", "-1"),
        ("segment", "a.pose"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(folder, arguments):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Error: " in result.stderr


# --- bad input: warned of, counted, and gone on with ------------------------------------------------------------------


def test_zero_signs_and_zero_cues_leave_the_subtitles_as_they_are(folder):
    Path("none.csv").write_text("start,end\n")
    result = run("align", "none.csv", "news.vtt", "-o", "out.vtt")
    assert result.exit_code == 0, result.output
    assert Path("out.vtt").read_text() == NEWS
    assert "warning: none.csv and news.vtt: there are no signs: nothing was moved" in result.stderr
    assert "verdict   check 2 cues: no cue got signs" in result.stdout
    Path("none.vtt").write_text("WEBVTT\n\nNOTE nothing\n")
    result = run("align", "signs.csv", "none.vtt", "-o", "out.vtt")
    assert result.exit_code == 0, result.output
    assert Path("out.vtt").read_text() == "WEBVTT\n\nNOTE nothing\n"
    assert "warning: signs.csv and none.vtt: there are no cues: nothing was moved" in result.stderr


def test_unsorted_overlapping_and_reversed_cues_are_warned_of_and_aligned(folder):
    cues = (
        "00:05.000 --> 00:06.400\nThen sun.\n\n00:00.500 --> 00:05.300\nHeavy rain\n\n00:09.000 --> 00:08.000\nback\n"
    )
    Path("odd.vtt").write_text(f"WEBVTT\n\n{cues}")
    seasign.write("unsorted.csv", [SIGNS[2], SIGNS[0], SIGNS[3], SIGNS[1]])
    result = run("align", "unsorted.csv", "odd.vtt", "-o", "out.vtt")
    assert result.exit_code == 0, result.output
    for word in ("cues out of order", "signs out of order", "overlap", "end"):
        assert word in result.stderr
    with pytest.warns(InputWarning, match="start before the one above"):
        assert [cue.text for cue in seasign.read("out.vtt").cues] == ["Then sun.", "Heavy rain", "back"]
    assert "warnings, above" in result.stdout


# --- evaluate ---------------------------------------------------------------------------------------------------------


def test_evaluate_scores_two_files(folder):
    run("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--lag", 2)
    result = run("evaluate", "out.vtt", "out.vtt", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [found[key] for key in ("frame_accuracy", "f1@0.10", "f1@0.25", "f1@0.50")] == [100.0] * 4
    result = run("evaluate", "out.vtt", "news.vtt", "--shift-start", 2, "--shift-end", 2, "--fps", "23.976")
    assert result.exit_code == 0
    assert "100.00" in result.stdout
    assert run("evaluate", "out.vtt", "news.vtt", "--compat", "sea", "--quiet").output == ""


def test_evaluate_pairs_folders_by_name_and_reports_what_is_missing(folder):
    for side in ("truth", "ours"):
        Path(side).mkdir()
    for name in ("a", "b"):
        Path(f"truth/{name}.vtt").write_text(NEWS)
    Path("ours/a.aligned.srt").write_text(
        "1\n00:00:00,500 --> 00:00:02,300\nx\n\n2\n00:00:05,000 --> 00:00:06,400\ny\n"
    )
    result = run("evaluate", "truth", "ours", "--json")
    assert result.exit_code == 1, "an item failed"
    found = json.loads(result.stdout)
    assert found["per_file"]["a"]["f1@0.50"] == 100.0
    assert found["per_file"]["b"]["f1@0.50"] == 0.0
    assert found["missing_files"] == ["b"]
    assert "b: no estimate" in result.stderr
    assert "all" in run("evaluate", "truth", "ours").stdout


def test_evaluate_goes_on_to_the_end_and_names_every_file_that_cannot_be_read(folder):
    for side in ("truth", "ours"):
        Path(side).mkdir()
    for name in ("a", "b", "c"):
        Path(f"truth/{name}.vtt").write_text(NEWS)
        Path(f"ours/{name}.vtt").write_text(NEWS if name == "c" else "rubbish")
    result = run("evaluate", "truth", "ours", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert [line.split(":")[0] for line in found["broken_files"]] == ["ours/a.vtt", "ours/b.vtt"]
    assert "error: ours/a.vtt" in result.stderr
    assert "error: ours/b.vtt" in result.stderr
    assert [found["per_file"][name]["cue_f1@0.50"] for name in ("a", "b", "c")] == [0.0, 0.0, 100.0]
    assert "expected two files or two folders" in refused("evaluate", "truth", "news.vtt")
    Path("empty").mkdir()
    assert "no subtitles there" in refused("evaluate", "truth", "empty")
    Path("ours/c.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nx\n")
    assert "several files for c (c.srt, c.vtt)" in refused("evaluate", "truth", "ours")
    assert refused("evaluate", "truth", "gone") == "gone: No such file or directory"


@pytest.mark.parametrize(("policy", "starts"), [("keep", [100, 103]), ("shift", [102, 105]), ("mark", [102, 105])])
def test_cues_of_which_none_gets_signs_are_placed_as_was_asked_for(folder, policy, starts):
    cues = [seasign.Cue(100, 104, "a"), seasign.Cue(103, 107, "b")]  # they overlap, and the last sign ends long before
    seasign.write("far.vtt", cues)
    given = ["align", "signs.csv", "far.vtt", "-o", "out.vtt", "--lag", 2, "--dropped"]
    result = run(*given, policy)
    assert result.exit_code == 0, result.output
    assert "no cue got signs" in result.stdout
    out = seasign.read("out.vtt").cues
    assert [cue.start for cue in out] == starts
    assert out[0].end == out[1].start
    assert [cue.text for cue in out] == [f"{'[not signed] ' * (policy == 'mark')}{text}" for text in "ab"]
    assert run(*given, "remove").exit_code == 0
    assert "-->" not in Path("out.vtt").read_text()
    Path("none.csv").write_text("start,end\n")
    result = run("align", "none.csv", *given[2:], "remove")
    assert result.exit_code == 0, result.output
    assert Path("out.vtt").read_bytes() == Path("far.vtt").read_bytes()


def test_one_folder_may_hold_an_episode_as_delivered_as_aligned_and_as_it_should_be(folder):
    Path("all").mkdir()
    for role, start in ("", 1), (".aligned", 3), (".reference", 3):
        Path(f"all/news{role}.vtt").write_text(f"WEBVTT\n\n00:0{start}.000 --> 00:0{start + 1}.000\na\n")
    for other in "news.pose.json", "._news.vtt":
        Path(f"all/{other}").write_text("{}")
    result = run("evaluate", "all", "all", "--delivered", "all", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert list(found["per_file"]) == ["news"]
    assert (found["f1@0.50"], found["baselines"]["delivered"]["f1@0.50"]) == (100.0, 0.0)
    Path("all/news.aligned.vtt").unlink()
    assert "several files for news (news.reference.vtt, news.vtt)" in refused("evaluate", "all", "all")


# --- segment, demo, doctor --------------------------------------------------------------------------------------------


def test_segment_writes_signs_and_phrases_and_prints_the_gate(folder):
    episode = seasign.synthesize(duration=20.0)
    seasign.write("episode.pose", episode.poses)
    result = run("segment", "episode.pose", "-o", "signs.eaf")
    assert result.exit_code == 0, result.output
    assert "per second of signing" in result.stdout
    assert "training-free" in result.stdout
    tiers = seasign.read("signs.eaf")
    assert list(tiers) == ["SIGN", "TOPIC", "PHRASE"]
    found = json.loads(run("segment", "episode.pose", "-o", "one.csv", "--one-per-bout", "--json").stdout)
    assert found["signs"] == found["bouts"] == len(tiers["PHRASE"]) == len(seasign.read("one.csv"))
    assert "cannot write signs there" in refused("segment", "episode.pose", "-o", "signs.vtt")
    assert "there is no folder nowhere" in refused("segment", "episode.pose", "-o", "nowhere/signs.eaf")
    line = refused("segment", "one.csv", "-o", "out.csv")
    assert line.startswith("one.csv: is no video or poses; expected *.mp4")
    assert ".csv" not in line.partition("expected")[2]
    assert "is no video" in refused("estimate-poses", "one.csv", "-o", "out.pose")
    film("news.mp4", [0.0, 0.04])
    assert "there is no folder nowhere" in refused("estimate-poses", "news.mp4", "-o", "nowhere/news.pose")


@pytest.fixture
def network(folder):
    """A network of the 2023 family with drawn weights, in a folder as training and conversion leave it."""
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    from seasign.models.bio_tagger import BioTagger, Settings

    torch.manual_seed(0)
    tagger = BioTagger(Settings(width=16))
    Path("network").mkdir()
    safetensors.save_file(tagger.state_dict(), "network/weights.safetensors")
    Path("network/config.json").write_text(json.dumps(tagger.config))
    return "network"


@pytest.mark.filterwarnings("ignore::seasign.InputWarning")  # of drawn weights and poses without a depth
def test_a_network_segments_and_its_tags_are_read_as_asked(network):
    seasign.write("episode.pose", holistic(0, frames=200))
    for number, asked in enumerate(([], ["--decoder", "argmax"], ["--thresholds", "34/50"])):
        result = run("segment", "episode.pose", "-o", f"{number}.csv", "--segmenter", network, *asked)
        assert result.exit_code == 0, result.output
        assert "network segmenter" in result.stdout
    found = [seasign.read(f"{number}.csv") for number in range(3)]
    assert found[0] != found[1] != found[2]
    seasign.write("news.vtt", [seasign.Cue(1, 3, "one"), seasign.Cue(4, 6, "two")])
    result = run("align", "episode.pose", "news.vtt", "-o", "out.vtt", "--segmenter", network, "--lag", "0")
    assert result.exit_code == 0, result.output


def test_segmenters_and_thresholds_that_are_none_are_refused(folder):
    seasign.write("episode.pose", holistic(0))
    assert "e4s: not here yet; run: seasign checkpoints pull e4s" in refused(
        "segment", "episode.pose", "-o", "out.csv", "--segmenter", "e4s"
    )
    assert "no such" in refused("segment", "episode.pose", "-o", "out.csv", "--segmenter", "nonsense").lower()
    for wrong in "30", "30/", "0/50", "30/150", "a/b":
        result = run("segment", "episode.pose", "-o", "out.csv", "--thresholds", wrong)
        assert result.exit_code == 2
        assert "is not two percentages" in result.stderr
    both = run("segment", "episode.pose", "-o", "out.csv", "--thresholds", "30/50", "--decoder", "argmax")
    assert both.exit_code == 2
    sure = run("segment", "episode.pose", "-o", "out.csv", "--thresholds", "30/50")
    assert (sure.exit_code, "go with a network" in sure.stderr) == (2, True)


def test_a_reader_that_has_had_enough_is_no_error(folder):
    told = subprocess.run(
        f"{sys.executable} -m seasign align --help | head -1; {sys.executable} -m seasign doctor --json | true",
        shell=True, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Errno" not in told.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
@pytest.mark.parametrize("arguments", ["--help", "align --help", "evaluate news.vtt news.vtt"])
def test_an_output_without_room_is_one_line(folder, arguments):
    command = [sys.executable, "-m", "seasign", *arguments.split()]
    with open("/dev/full", "w") as full:
        told = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (told.returncode, told.stderr) == (1, "error: No space left on device\n")


def test_how_to_estimate_poses_is_refused_where_they_are_not_estimated(folder):
    seasign.write("episode.pose", holistic(0))
    for command in (("segment", "episode.pose"), ("align", "episode.pose", "news.vtt")):
        result = run(*command, "-o", "out.eaf", "--crop", "0,0,9,9", "--python", sys.executable)
        assert result.exit_code == 2
        assert "--crop and --python go with a video, whose poses are estimated; episode.pose is none" in result.stderr
    result = run("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--poses", "kept.pose")
    assert (result.exit_code, "--poses goes with a video" in result.stderr) == (2, True)


def test_a_command_that_is_none_is_told_what_is_like_it(folder):
    for name, like in ("algn", "align"), ("evaluate-retreival", "evaluate-retrieval"):
        result = run(name)
        assert result.exit_code == 2
        assert f"No such command '{name}'. Did you mean {like}" in result.stderr
    assert "mean" not in run("xyzzy").stderr


def test_what_is_odd_is_said_of_the_files_that_it_is_of(folder):
    poses = holistic(0)
    elbows = [number for number, name in enumerate(poses.landmarks) if name.endswith("_ELBOW")]
    xyz = poses.xyz.copy()
    xyz[:, elbows] = np.nan
    seasign.write("flat.pose", replace(poses, xyz=xyz))
    result = run("segment", "flat.pose", "-o", "out.csv")
    assert "warning: flat.pose: no elbows in the poses" in result.stderr
    result = run("align", "flat.pose", "news.vtt", "-o", "out.vtt")
    assert "warning: flat.pose: no elbows in the poses" in result.stderr
    assert re.search(r"warning: flat\.pose and news\.vtt: no lag stands out; .* is a guess", result.stderr)
    assert all(line.count("flat.pose") < 2 for line in result.stderr.splitlines())


@pytest.mark.parametrize("unseen", ["everything", "frames"])
def test_poses_without_a_person_or_frames_are_refused(folder, unseen):
    poses = seasign.synthesize(duration=5.0).poses
    xyz, confidence = np.full_like(poses.xyz, np.nan), np.zeros_like(poses.confidence)
    count = 0 if unseen == "frames" else len(xyz)
    np.savez("bad.npz", xyz=xyz[:count], confidence=confidence[:count], fps=[25, 1], landmarks=poses.landmarks)
    assert refused("segment", "bad.npz", "-o", "out.eaf").startswith("bad.npz")


def test_a_video_needs_mediapipe_and_the_error_says_how_to_get_it(folder, monkeypatch):
    monkeypatch.delenv("SEASIGN_POSE_PYTHON", raising=False)
    monkeypatch.setattr("seasign.pose_estimation.find_spec", lambda name: None)
    film("news.mp4", [0.0, 0.04, 0.08])
    assert 'pip install "seasign[pose]"' in refused("align", "news.mp4", "news.vtt", "-o", "out.vtt")


def test_demo_does_the_main_job_and_improves_on_what_was_delivered(folder):
    result = run("demo", "-o", "shown")
    assert result.exit_code == 0, result.output
    names = {
        "episode.vtt",
        "episode.aligned.vtt",
        "episode.reference.vtt",
        "episode.pose",
        "episode.eaf",
        "timeline.svg",
    }
    assert names <= {path.name for path in Path("shown").iterdir()}
    reference, delivered, aligned = (
        seasign.read(f"shown/episode{name}.vtt").cues for name in (".reference", "", ".aligned")
    )
    before, after = (seasign.evaluate(reference, cues).pooled.f1[0.5] for cues in (delivered, aligned))
    assert after > before + 20
    assert seasign.formats.eaf.validate(Path("shown/episode.eaf")) == []


def test_help_shows_every_command_once_the_main_job_first():
    shown = re.findall(r"^  ([a-z][a-z-]*) {2,}[A-Z]", run("--help").stdout, re.MULTILINE)
    assert shown[0] == "align"
    assert sorted(shown) == sorted(COMMANDS)


def test_doctor_says_what_works(folder):
    result = run("doctor")
    assert result.exit_code == 0
    assert "works           align" in result.stdout
    found = json.loads(run("doctor", "--json").stdout)
    assert found["works"]["align"] is True
    assert found["found"]["seasign"] == seasign.__version__
    assert found["notes"]["align"].startswith("from poses or signs")


def test_doctor_says_which_extra_is_lacking(folder, monkeypatch):
    monkeypatch.setattr(seasign.cli.demo, "find_spec", lambda name: None if name == "torch" else name)
    found = json.loads(run("doctor", "--json").stdout)
    assert found["works"]["neural"] is False
    assert found["notes"]["neural"].endswith('needs torch: pip install "seasign[neural]"')


@pytest.mark.parametrize(
    ("act", "works", "note"),
    [
        ('print(\'{"estimator": "MediaPipe", "version": "9"}\')', True, "from video, with MediaPipe 9"),
        ('print(\'{"missing": "no libGL"}\')', False, "no libGL; estimating poses needs mediapipe"),
        ('print(\'{"refused": "no model"}\')', False, "no model"),
        ("print('usage: python')", False, "no hello; is that a Python?"),
        ("sys.exit(3)", False, "stopped with exit code 3"),
        ("time.sleep(9)", False, "has said nothing for 1 s"),
    ],
)
def test_doctor_starts_the_worker_and_believes_nothing_else(folder, monkeypatch, act, works, note):
    python = folder / "python"
    python.write_text(f"#!{sys.executable}\nimport sys, time\n{act}\n")
    python.chmod(0o755)
    monkeypatch.setenv("SEASIGN_POSE_PYTHON", str(python))
    monkeypatch.setattr("seasign.pose_estimation.HELLO", 1 if "sleep" in act else 60)
    found = json.loads(run("doctor", "--json").stdout)
    assert found["works"]["estimate-poses"] is works
    assert note in found["notes"]["estimate-poses"]


def test_commands_run_as_a_module(folder):
    given = [sys.executable, "-m", "seasign", "align", "signs.csv", "news.vtt", "-o", "out.vtt", "--lag", "2"]
    assert subprocess.run(given, check=False, capture_output=True).returncode == 0
    assert Path("out.vtt").read_text() == ALIGNED


def test_the_library_does_the_same_in_five_lines(folder):
    subtitles = seasign.read("news.vtt")
    alignment = seasign.align(seasign.read("signs.csv"), subtitles.cues, lag=(2.0, 2.0))
    seasign.write("out.vtt", seasign.Subtitles(alignment.cues, subtitles.document))
    assert Path("out.vtt").read_text() == ALIGNED
    assert seasign.evaluate(alignment.cues, subtitles.cues, shift_start=2, shift_end=2).pooled.f1[0.5] == 100


def test_an_elan_file_that_is_there_keeps_the_tiers_of_others(folder):
    mine = Path("signs.eaf").read_text().replace('LINGUISTIC_TYPE_REF="seasign"', 'LINGUISTIC_TYPE_REF="hand"')
    mine = mine.replace('LINGUISTIC_TYPE_ID="seasign"', 'LINGUISTIC_TYPE_ID="hand"')
    Path("mine.eaf").write_text(mine)
    seasign.write("episode.pose", seasign.synthesize(duration=20.0).poses)
    for _ in range(2):
        assert run("segment", "episode.pose", "-o", "mine.eaf").exit_code == 0
        assert list(seasign.read("mine.eaf")) == ["SIGN", "TOPIC", "SIGN_MERGED", "PHRASE"]
    assert run("align", "signs.csv", "news.vtt", "-o", "mine.eaf", "--lag", 2).exit_code == 0
    assert seasign.read("mine.eaf")["SIGN"] == tuple(SIGNS)
    assert "SUBTITLE_ALIGNED" in seasign.read("mine.eaf")


def test_arguments_in_the_wrong_order_are_told_so(folder):
    assert "INPUT (a video, poses or signs) comes first" in refused("align", "news.vtt", "signs.csv", "-o", "out.vtt")
