"""What is said of one cue of a report, and by which words a person asks for it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import planted
import seasign
from commands import run
from seasign.explanation import confidence, explain, parse_report, rank
from seasign.types import InputError
from seasign.web.report_page import SCHEMA, dump_report, render_report


@pytest.fixture(scope="module")
def report():
    return planted.report()


@pytest.fixture
def folder(tmp_path, monkeypatch, report):
    monkeypatch.chdir(tmp_path)
    Path("out.json").write_text(dump_report(report), encoding="utf-8")
    Path("out.html").write_text(render_report(report), encoding="utf-8")
    return tmp_path


def one(report, **fields):
    """A report of one cue, the planted one with other fields."""
    sure = next(cue for cue in report["cues"] if not cue["dropped"])
    return {**report, "cues": [{**sure, "index": 0, **fields}]}


# --- the library ------------------------------------------------------------------------------------------------------


def test_an_explanation_holds_every_field_of_the_cue_its_signs_and_what_it_costs(report):
    said = explain(report, 7)
    own = report["cues"][7]
    assert {name: said[name] for name in own} == own
    assert said["number"] == 8
    first, stop = own["run"]
    assert said["signs"] == report["signs"][first:stop]
    assert said["cost"] == pytest.approx(sum(own["terms"].values()))
    assert said["moved"] == [own["aligned"][0] - own["delivered"][0], own["aligned"][1] - own["delivered"][1]]
    assert rank(report)[said["rank"] - 1] == 7
    assert said["of"] == len(report["cues"])


def test_the_least_sure_come_first_and_a_dropped_cue_is_as_sure_as_it_is_unsigned(report):
    order = rank(report)
    assert sorted(order) == list(range(len(report["cues"])))
    sure = [confidence(report["cues"][i]) for i in order]
    assert sure == sorted(sure)
    dropped = next(cue for cue in report["cues"] if cue["dropped"])
    assert confidence(dropped) == 1 - dropped["signed"]
    bare = {"cues": [{"probability": None}, {"probability": 0.9}, {"dropped": True}, {"probability": 0.2}]}
    assert rank(bare) == [2, 3, 1, 0]  # as on the page: dropped for no known reason, then by doubt, then the unknown


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"pinned": True}, "Nothing: it is pinned."),
        ({"probability": 0.8}, "Nothing, unless you see that it is wrong; then pin it."),
        (
            {"probability": 0.3, "alternatives": [{"start": 61.5, "end": 63.254, "probability": 0.2}]},
            "if it is at 61.50 - 63.25 s instead, a line 1,61.50,63.25 in the file of --pins keeps it there.",
        ),
        (
            {"probability": 0.3, "alternatives": [], "delivered": [10.0, 12.0], "lag": [2.0, 2.5]},
            "pin it where it is signed: a line 1,12.00,14.50 in the file of --pins keeps it there.",
        ),
        (
            {"dropped": True, "probability": None, "alternatives": [], "delivered": [10.0, 12.0], "lag": None},
            "If so, pin it: a line 1,10.00,12.00 in",
        ),
        (
            {"dropped": True, "probability": None, "alternatives": [{"start": 1, "end": 2.5, "probability": 0.4}]},
            "perhaps at 1.00 - 2.50 s; then a line 1,1.00,2.50 in the file of --pins keeps it there.",
        ),
    ],
)
def test_the_advice_says_what_to_write_where(report, fields, advice):
    assert advice in explain(one(report, **fields), 0)["advice"]


def test_what_is_unknown_is_none_and_nothing_fails():
    bare = {"index": 0, "text": None, "delivered": [1.0, 2.0], "aligned": None, "terms": None, "run": None}
    said = explain({"cues": [bare]}, 0)
    assert (said["moved"], said["cost"], said["signs"], said["rank"]) == (None, None, [], 1)


@pytest.mark.parametrize("cue", [-1, 400])
def test_a_cue_that_is_not_there_is_refused(report, cue):
    with pytest.raises(InputError, match=rf"there is no cue {cue + 1}; they count from 1 to {len(report['cues'])}"):
        explain(report, cue)


def test_a_report_is_read_from_its_json_and_from_its_page(report):
    again = parse_report(dump_report(report), "out.json")
    assert again["cues"][0]["text"] == report["cues"][0]["text"]
    hostile = {**report, "cues": [{**report["cues"][0], "text": "</script><script>"}]}
    assert parse_report(render_report(hostile), "out.html")["cues"][0]["text"] == "</script><script>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("WEBVTT", "out.json: is no report; expected what `align --report` writes"),
        ("", "is no report"),
        ("[1]", "is no report"),
        ('{"cues": [{}]}', "is no report"),
        ("<html></html>", "is no report"),
        ("[" * 100_000, "is no report"),
        (
            '{"schema": "seasign-report/2", "cues": [{}]}',
            "the schema seasign-report/2, not seasign-report/1: write",
        ),
        (f'{{"schema": "{SCHEMA}"}}', "there are no cues in this report"),
        (f'{{"schema": "{SCHEMA}", "cues": []}}', "there are no cues in this report"),
    ],
)
def test_what_is_no_report_of_this_schema_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_report(text, "out.json")


# --- the command ------------------------------------------------------------------------------------------------------


def test_a_cue_is_explained_in_words(folder, report):
    number = next(i for i, cue in enumerate(report["cues"]) if not cue["dropped"] and cue["alternatives"]) + 1
    cue = report["cues"][number - 1]
    result = run("explain", "out.json", "--cue", number)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"cue {number}: {' '.join(cue['text'].split())}\n")
    lines = dict(line.split(None, 1) for line in result.stdout.splitlines()[2:] if not line.startswith(" "))
    assert lines["sure"].startswith(f"{cue['probability']:.0%}; number ")
    assert lines["lag"] == "+2.00 s at the start, +2.20 s at the end"
    assert f"{cue['aligned'][0] - cue['delivered'][0]:+.2f}" in lines["aligned"]
    assert f"{abs(cue['terms']['gap']):.2f} gap" in lines["cost"]
    assert lines["elsewhere"].endswith(f"with {cue['alternatives'][0]['probability']:.0%}")
    first, stop = cue["run"]
    assert lines["signs"].startswith(f"{stop - first}, ")
    assert run("explain", "out.html", "--cue", number).stdout == result.stdout


def test_a_dropped_cue_says_why(folder, report):
    dropped = next(cue for cue in report["cues"] if cue["dropped"])
    words = run("explain", "out.json", "--cue", dropped["index"] + 1).stdout
    assert f"dropped {1 - dropped['signed']:.0%}" in words
    assert dropped["why"] in words


def test_without_a_cue_the_least_sure_twenty_are_listed_worst_first(folder, report):
    result = run("explain", "out.json")
    assert result.exit_code == 0, result.output
    rows = result.stdout.splitlines()[1:21]
    assert [int(row.split()[0]) for row in rows] == [cue + 1 for cue in rank(report)[:20]]
    assert f"{len(report['cues'])} cues, {len(report['verdict']['check'])} to check" in result.stdout
    assert f"seasign explain out.json --cue {rank(report)[0] + 1}" in result.stdout
    listed = json.loads(run("explain", "out.json", "--json").stdout)
    assert [said["number"] for said in listed] == [cue + 1 for cue in rank(report)[:20]]


def test_the_list_says_what_not_to_use_and_keeps_its_columns_apart(folder, report):
    cues = [{**cue, "dropped": True, "signed": None, "probability": None} for cue in report["cues"]]
    verdict = {"verdict": "do not use", "reason": "9 of 9 cues fit no signs", "check": []}
    Path("no.json").write_text(dump_report({**report, "cues": cues, "verdict": verdict}), encoding="utf-8")
    said = run("explain", "no.json").stdout
    assert f"\ndo not use: 9 of 9 cues fit no signs\n{len(cues)} cues, 0 to check." in said
    assert "  dropped unknown  00:" in said


def test_json_says_the_same_and_an_id_names_a_cue(folder, report):
    cues = [{**cue, "id": f"c{cue['index']}" if cue["index"] > 1 else "twice"} for cue in report["cues"]]
    Path("ids.json").write_text(dump_report({**report, "cues": cues}), encoding="utf-8")
    by_id = run("explain", "ids.json", "--id", "c5", "--json")
    assert json.loads(by_id.stdout) == json.loads(run("explain", "ids.json", "--cue", 6, "--json").stdout)
    assert json.loads(by_id.stdout)["index"] == 5
    for words, message in (
        (("--id", "c900"), "no cue has the id 'c900'"),
        (("--id", "twice"), "2 cues have the id 'twice' (1, 2); name one by --cue"),
    ):
        result = run("explain", "ids.json", *words)
        assert result.exit_code == 1
        assert message in result.stderr


@pytest.mark.parametrize("number", [0, -3, 100_000])
def test_a_number_that_no_cue_has_is_refused_in_one_line(folder, number):
    result = run("explain", "out.json", "--cue", number)
    assert result.exit_code == 1
    assert result.stderr == f"error: out.json: there is no cue {number}; they count from 1 to " + result.stderr[-4:]


def test_what_is_unknown_is_left_out(folder):
    bare = {"index": 0, "id": None, "text": None, "delivered": [1.0, 0.5], "aligned": None, "dropped": False}
    Path("bare.json").write_text(json.dumps({"schema": SCHEMA, "cues": [bare]}))
    assert run("explain", "bare.json").exit_code == 0
    result = run("explain", "bare.json", "--cue", 1)
    assert result.exit_code == 0, result.output
    assert "None" not in result.stdout
    assert "unknown; number 1 of 1" in result.stdout


def test_the_report_that_align_writes_is_explained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    episode = seasign.synthesize(4, duration=300.0, fps=None)
    seasign.write("signs.csv", episode.signs)
    seasign.write("news.vtt", [replace(cue, id=f"c{i}") for i, cue in enumerate(episode.cues)])
    Path("pins.csv").write_text(f"cue,start,end\n3,{episode.reference[2].start},{episode.reference[2].end}\n")
    given = ("align", "signs.csv", "news.vtt", "-o", "out.vtt", "--lag", 2, "--pins", "pins.csv")
    assert run(*given, "--report", "out.html").exit_code == 0
    assert "pinned; number" in run("explain", "out.html", "--id", "c2").stdout
    cost = [json.loads(run("explain", "out.html", "--cue", i + 1, "--json").stdout)["cost"] for i in range(6)]
    assert [value is None for value in cost] == [i == 2 for i in range(6)]
