"""`evaluate-translation` and `translate` as a person calls them: what is printed, what is written, what is refused."""

import gzip
import json
import pickle
import re
from importlib.metadata import version
from pathlib import Path

import pytest

import seasign
from commands import run
from seasign.formats import tables
from seasign.types import Cue

GOLDEN = json.loads((Path(__file__).parent / "golden" / "sigma" / "translation_metrics.json").read_text())
pytest.importorskip("sacrebleu")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def lines(name, texts):
    Path(name).write_text("".join(f"{text}\n" for text in texts), "utf-8")


def test_texts_are_scored_line_by_line_with_intervals():
    lines("ref.txt", GOLDEN["slt"]["refs"]), lines("hyp.txt", GOLDEN["slt"]["hyps"])
    printed = run("evaluate-translation", "ref.txt", "hyp.txt").stdout
    assert printed.startswith("sentences            60, words by 13a\n")
    low, high = map(float, re.search(r"BLEU-4 +43\.24 +([\d.]+) +([\d.]+)\n", printed).groups())
    assert low < 43.24 < high
    assert re.search(r"ROUGE-L +74\.74 ", printed)
    found = json.loads(run("evaluate-translation", "ref.txt", "hyp.txt", "--json").stdout)
    assert (found["tokenization"], found["sacrebleu"]) == ("13a", version("sacrebleu"))
    assert found["bleu_4"] == pytest.approx(GOLDEN["slt"]["bleu"]["bleu4"], abs=1e-6)
    assert found["intervals"]["bleu_4"] == pytest.approx([low, high], abs=0.005)
    assert run("evaluate-translation", "ref.txt", "hyp.txt", "--quiet").stdout == ""


def test_outputs_with_their_names_are_scored_without_them_and_by_them():
    refs, hyps = GOLDEN["slt"]["refs"], GOLDEN["slt"]["hyps"]
    lines("ref.txt", [f"sample: v{i}, ground-truth: {text}" for i, text in enumerate(refs)])
    lines("hyp.txt", reversed([f"sample: v{i}, prediction: {text}" for i, text in enumerate(hyps)]))
    labels = {f"v{i}": {"name": f"v{i}", "gloss": "", "text": text} for i, text in enumerate(refs)}
    Path("labels.dev.gz").write_bytes(gzip.compress(pickle.dumps(labels)))
    lines("hyp.jsonl", [json.dumps({"name": f"v{i}", "text": text}) for i, text in enumerate([*hyps, "more"])])
    found = json.loads(run("evaluate-translation", "ref.txt", "hyp.txt", "--json").stdout)
    assert found["bleu_4"] == pytest.approx(GOLDEN["slt"]["bleu"]["bleu4"], abs=1e-6)
    again = json.loads(run("evaluate-translation", "labels.dev.gz", "hyp.jsonl", "--json").stdout)
    assert again["warnings"] == ["hyp.jsonl: 1 text of another name is not scored"]
    assert again | {"warnings": []} == found


def test_glosses_and_words_have_their_own_scores():
    lines("g.txt", GOLDEN["cslr"]["refs"]), lines("gh.txt", GOLDEN["cslr"]["hyps"])
    lines("w.txt", GOLDEN["islr"]["refs"]), lines("wh.txt", GOLDEN["islr"]["hyps"])
    assert re.search(r"WER +29\.47 ", run("evaluate-translation", "g.txt", "gh.txt", "--as", "glosses").stdout)
    printed = run("evaluate-translation", "w.txt", "wh.txt", "--as", "words").stdout
    assert re.search(r"per instance +64\.67 .*\nper class +72\.08 ", printed)


def test_glosses_are_never_held_against_the_text_of_a_sentence_that_lacks_them():
    lines("hyp.csv", ["name,text", "a,HEAVY RAIN", "b,SUN"])
    lines("ref.csv", ["name,gloss,text", "a,HEAVY RAIN,it rains heavily", "b,SUN WIND,sun and wind"])
    found = json.loads(run("evaluate-translation", "ref.csv", "hyp.csv", "--as", "glosses", "--json").stdout)
    assert found["wer"] == pytest.approx(25)
    lines("ref.csv", ["name,gloss,text", "a,HEAVY RAIN,it rains heavily", "b,,sun and wind"])
    result = run("evaluate-translation", "ref.csv", "hyp.csv", "--as", "glosses")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "error: ref.csv: has no glosses of 1 of 2 sentences, such as 'b', where others have"
    )


def test_subtitles_are_scored_by_what_is_said_during_a_cue():
    seasign.write("ref.vtt", [Cue(0, 4, "heavy <i>rain</i> tonight"), Cue(4, 8, "then sun"), Cue(9, 11, "[music]")])
    seasign.write("hyp.csv", [Cue(0.5, 3, "heavy rain"), Cue(3, 3.9, "tonight"), Cue(5, 7, "then sun")])
    found = json.loads(run("evaluate-translation", "ref.vtt", "hyp.csv", "--json").stdout)
    assert (found["sentences"], found["chrf"]) == (2, pytest.approx(100))


@pytest.mark.parametrize(
    ("reference", "estimate", "line"),
    [
        ("two.txt", "one.txt", "two.txt has 2 lines and one.txt 1: give one for each"),
        ("two.txt", "named.txt", "named.txt names its sentences and two.txt does not: give names to both"),
        ("two.txt", "mixed.txt", "mixed.txt:2: does not begin with 'sample: NAME, prediction: ', as other lines do"),
        (
            "gap.txt",
            "two.txt",
            "gap.txt against two.txt: 1 of 2 references is empty, the first is number 2: leave it out",
        ),
        ("two.txt", "cues.vtt", "cues.vtt has cues, and two.txt none: give two files of one kind"),
        ("named.txt", "other.txt", "other.txt: has nothing for 1 of 1 sentences, such as 'a'"),
        ("twice.txt", "twice.txt", "twice.txt: 1 of its names is there twice; keep one of each"),
        ("music.vtt", "cues.vtt", "music.vtt: has no cue that is signed"),
        ("two.txt", "two.mp4", "two.mp4: holds no sentences; expected *.txt"),
    ],
)
def test_files_that_cannot_be_scored_are_refused_in_one_line(reference, estimate, line):
    lines("one.txt", ["a"]), lines("two.txt", ["a", "b"]), lines("gap.txt", ["a", ""])
    lines("named.txt", ["sample: a, prediction: b"]), lines("other.txt", ["sample: x, prediction: b"])
    lines("mixed.txt", ["sample: a, prediction: b", "b"]), lines("twice.txt", ["sample: a, prediction: b"] * 2)
    seasign.write("cues.vtt", [Cue(0, 1, "a")]), seasign.write("music.vtt", [Cue(0, 1, "[music]")])
    result = run("evaluate-translation", reference, estimate)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {line}")
    assert result.stderr.count("\n") == 1


def test_comments_in_a_new_file_of_subtitles_are_no_text():
    cues = [Cue(0, 1, "one"), Cue(1, 2, "two")]
    seasign.write("mt.vtt", cues, head="by\n\na --> machine", notes=["confidence 0.50", ""])
    assert Path("mt.vtt").read_text().split("\n\n") == [
        "WEBVTT",
        "NOTE by a -> machine",
        "NOTE confidence 0.50",
        "00:00:00.000 --> 00:00:01.000\none",
        "00:00:01.000 --> 00:00:02.000\ntwo\n",
    ]
    assert [(cue.start, cue.end, cue.text) for cue in seasign.read_cues("mt.vtt").cues] == [
        (cue.start, cue.end, cue.text) for cue in cues
    ]


@pytest.mark.parametrize("name", ["mt.csv", "mt.json"])
def test_columns_beside_the_cues_of_a_table_are_passed_over_when_read(name):
    cues = (Cue(0, 1, "one"), Cue(1, 2, "two"))
    seasign.write(name, cues, also={"probability": [0.51239, 1], "source": ["a machine"] * 2})
    assert tables.read(Path(name)) == cues
    assert "0.5124" in Path(name).read_text()
    assert Path(name).read_text().count("a machine") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("a.pose", "-o", "out.srt"), 1, "out.srt: has no place that says a machine translated; name it *.vtt"),
        (("a.txt", "-o", "out.vtt"), 1, "a.txt: is no video or poses; expected *.mp4"),
        (("a.pkl", "-o", "out.vtt"), 2, "give --fps with a .pkl of keypoints"),
        (("a.pose", "-o", "out.vtt", "--fps", 25), 2, "give --fps with a .pkl of keypoints, and with nothing else"),
        (("a.pose", "-o", "no/out.vtt"), 1, "no/out.vtt: there is no folder no; make it first"),
        (("a.pose", "-o", "out.vtt"), 1, "model: no such checkpoint"),
    ],
)
def test_what_cannot_be_translated_is_refused_before_any_work(arguments, code, line):
    result = run("translate", *arguments, "--model", "model")
    assert result.exit_code == code
    assert line in result.stderr
    assert not list(Path().iterdir())
