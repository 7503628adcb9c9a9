"""`evaluate` and `compare-runs` as a person gives them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import seasign
from commands import run
from seasign.types import Cue, Sign

HITS = {"a": (9, 10), "b": (3, 5), "c": (5, 6), "d": (7, 8), "e": (2, 4), "f": (6, 9)}  # of 10 cues, of two runs
NEVER = "[music]"


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Six episodes: the truth, as delivered, and two runs."""
    monkeypatch.chdir(tmp_path)
    for side in ("truth", "delivered", "one", "two"):
        Path(side).mkdir()
    for stem, hits in HITS.items():
        truth = [Cue(5.0 * i + 10, 5.0 * i + 13, f"{i}.") for i in range(10)]
        seasign.write(f"truth/{stem}.vtt", truth)
        seasign.write(f"delivered/{stem}.srt", seasign.shift(truth, (-2.5, -2)))
        for side, right in zip(("one", "two"), hits, strict=True):
            late = [cue if i < right else replace(cue, end=cue.start + 1) for i, cue in enumerate(truth)]
            seasign.write(f"{side}/{stem}.aligned.vtt", late)
    return tmp_path


def row(text: str, name: str) -> list[str]:
    """The cells of a row of a table."""
    (line,) = (line for line in text.splitlines() if line.startswith(name))
    return line.removeprefix(name).split()


# --- evaluate: intervals ----------------------------------------------------------------------------------------------


def test_several_files_have_intervals_and_one_has_none(folders):
    text = run("evaluate", "truth", "one").stdout
    assert row(text, "all")[4] == "53.33"
    interval = seasign.bootstrap(seasign.evaluate(*(_cues(side) for side in ("truth", "one"))), score="cue_f1@0.50")
    assert (row(text, "95 % from")[4], row(text, "       to")[4]) == (f"{interval.low:.2f}", f"{interval.high:.2f}")
    assert "too narrow" not in text
    found = json.loads(run("evaluate", "truth", "one", "--json").stdout)
    assert found["intervals"]["cue_f1@0.50"] == [pytest.approx(interval.low), pytest.approx(interval.high)]
    assert set(found["intervals"]) == set(found) - {
        *("counts", "per_file", "missing_files", "extra_files", "intervals", "baselines", "broken_files", "warnings")
    }
    text = run("evaluate", "truth/a.vtt", "one/a.aligned.vtt").stdout
    assert "95 %" not in text
    assert json.loads(run("evaluate", "truth/a.vtt", "one/a.aligned.vtt", "--json").stdout)["intervals"] is None


def test_a_reference_in_elan_is_the_one_that_is_called_so(folders):
    truth, run_of = (seasign.read_cues(path).cues for path in ("truth/a.vtt", "one/a.aligned.vtt"))
    seasign.write("a.eaf", {"SUBTITLE": run_of, "SUBTITLE_ALIGNED": run_of, "SUBTITLE_REFERENCE": truth})
    both = [run("evaluate", reference, "a.eaf", "--json").stdout for reference in ("a.eaf", "truth/a.vtt")]
    assert both[0] == both[1]
    assert json.loads(both[0])["f1@0.50"] < 100
    swapped = run("evaluate", "a.eaf", "a.eaf", "--reference-tier", "SUBTITLE_ALIGNED", "--json").stdout
    assert json.loads(swapped)["f1@0.50"] == 100


def test_few_files_get_an_interval_and_a_caution(folders):
    for stem in "bcdef":
        for path in Path().rglob(f"{stem}.*"):
            path.unlink()
    for path in list(Path().rglob("a.*")):
        path.with_name(path.name.replace("a.", "z.", 1)).write_bytes(path.read_bytes())
    assert "intervals of 2 files are too narrow" in run("evaluate", "truth", "one").stdout


def _cues(folder):
    return {path.name[0]: seasign.read_cues(path).cues for path in sorted(Path(folder).iterdir())}


# --- evaluate: cues that are not signed -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["removed", "marked", "marked in ELAN"])
def test_drops_are_scored_when_a_side_says_so(folders, how):
    truth = [Cue(5.0 * i, 5.0 * i + 3, NEVER if i < 4 else f"{i}.") for i in range(10)]
    seasign.write("truth.vtt", truth)
    dropped = (0, 1, 2, 9)
    if how == "removed":
        said = [cue for i, cue in enumerate(truth) if i not in dropped]
    else:
        said = [replace(cue, text=f"[not signed] {cue.text}") if i in dropped else cue for i, cue in enumerate(truth)]
    if how == "marked in ELAN":
        seasign.write("said.eaf", {"SUBTITLE": truth, "SUBTITLE_ALIGNED": said, "SIGN": [Sign(0, 1)]})
    else:
        seasign.write("said.vtt", said)
    result = run("evaluate", "truth.vtt", "said.eaf" if "ELAN" in how else "said.vtt")
    line = "not signed: 4 cues by the reference, 4 by the estimate, 3 by both: precision 75.00, recall 75.00, F1 75.00"
    assert line in result.stdout.splitlines()
    assert (row(result.stdout, "truth")[6] == "1") == (how == "removed"), "missing, of those that are signed"


def test_drops_are_no_topic_when_nobody_says_so(folders):
    assert "not signed" not in run("evaluate", "truth", "one").stdout
    found = json.loads(run("evaluate", "truth", "one", "--json").stdout)
    assert found["drop_f1"] is found["intervals"]["drop_f1"][0] is None


def test_drops_of_several_files_have_an_interval(folders):
    for stem in "abc":
        text = Path(f"truth/{stem}.vtt").read_text()
        Path(f"truth/{stem}.vtt").write_text(text.replace("0.\n", f"{NEVER}\n"))
    assert "recall 0.00, F1 0.00 (95 % from 0.00 to 0.00)" in run("evaluate", "truth", "one").stdout


# --- evaluate: baselines ----------------------------------------------------------------------------------------------


def test_baselines_stand_beside_the_estimate_and_say_what_they_know(folders):
    result = run("evaluate", "truth", "one", "--delivered", "delivered")
    assert result.exit_code == 0, result.output
    assert row(result.stdout, "as delivered")[4:7] == ["0.00", "60", "0"]
    assert row(result.stdout, "lag only")[4] == "100.00"
    assert row(result.stdout, "lag and joined")[4] == "100.00"
    assert "fitted on the reference" in result.stdout
    found = json.loads(run("evaluate", "truth", "one", "--delivered", "delivered", "--json").stdout)["baselines"]
    assert [found[name]["median_start_offset"] for name in ("delivered", "lag_only", "joined")] == [2.5, 0, 0]
    assert found["lag_only"]["intervals"]["f1@0.50"] == [100, 100]
    assert "fitted" not in run("evaluate", "truth", "one").stdout


def test_the_cues_delivered_are_the_tier_of_subtitles(folders):
    truth = [Cue(5.0, 7, "One."), Cue(8, 9, "Two.")]
    seasign.write("both.eaf", {"SUBTITLE": seasign.shift(truth, (-3, -3)), "SUBTITLE_ALIGNED": truth, "SIGN": []})
    seasign.write("truth.vtt", truth)
    text = run("evaluate", "truth.vtt", "both.eaf", "--delivered", "both.eaf").stdout
    assert row(text, "truth")[3] == row(text, "lag only")[3] == "100.00"
    assert row(text, "as delivered")[3] == "0.00"


def test_an_episode_that_was_not_delivered_is_named(folders):
    Path("delivered/b.srt").unlink()
    result = run("evaluate", "truth", "one", "--delivered", "delivered")
    assert result.exit_code == 1
    assert result.stderr == "warning: as delivered: b: no estimate; all its cues count as missing\n"


# --- compare-runs -----------------------------------------------------------------------------------------------------


def test_two_runs_are_compared_file_by_file(folders):
    result = run(
        "compare-runs", "one", "two", "--reference", "truth", "--delivered", "delivered", "--score", "cue_f1@0.50"
    )
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert row(result.stdout, "A:") == ["one"]
    assert row(result.stdout, "b") == ["30.00", "50.00", "+20.00"]
    assert row(result.stdout, "all") == ["53.33", "70.00", "+16.67"]
    assert row(result.stdout, "lag only") == ["100.00"]
    assert "p = 0.031; of 6 files A is better in 0, B in 6" in result.stdout
    assert "cannot be below" not in result.stdout


def test_a_comparison_as_json_is_that_of_the_library(folders):
    found = json.loads(run("compare-runs", "one", "two", "--reference", "truth", "--json").stdout)
    expected = seasign.compare_runs(*(_cues(side) for side in ("truth", "one", "two")))
    assert {name: found[name] for name in expected.as_json()} == json.loads(json.dumps(expected.as_json()))
    assert (found["baselines"], found["broken_files"], found["warnings"]) == ({}, [], [])


def test_fewer_than_six_files_are_said_to_show_nothing(folders):
    for side in ("truth", "one", "two"):
        for path in Path(side).glob("f*"):
            path.unlink()
    text = run("compare-runs", "one", "two", "--reference", "truth").stdout
    assert "5 files: p cannot be below 0.0625; only 6 files or more can show a difference" in text
    result = run("compare-runs", "one/a.aligned.vtt", "two/a.aligned.vtt", "--reference", "truth/a.vtt")
    assert "1 file: p cannot be below 1" in result.stdout
    assert "p =" not in result.stdout
    assert "one episode says nothing about others" in result.stderr


def test_an_offset_is_compared_in_seconds(folders):
    text = run("compare-runs", "one", "two", "--reference", "truth", "--score", "mean_end_offset").stdout
    assert "mean_end_offset, s, at 25 fps" in text
    assert "B - A = -0.33 s" in text


def test_episodes_that_do_not_pair_are_named_and_the_rest_is_compared(folders):
    Path("two/c.aligned.vtt").unlink()
    Path("one/x.vtt").write_text(Path("one/a.aligned.vtt").read_text())
    Path("one/d.aligned.vtt").write_text("rubbish")
    result = run("compare-runs", "one", "two", "--reference", "truth")
    assert result.exit_code == 1
    for line in (
        "warning: run a: x: no reference; not measured",
        "warning: run a: d: no estimate; all its cues count as missing",
        "warning: run b: c: no estimate; all its cues count as missing",
    ):
        assert line in result.stderr.splitlines()
    assert "error: one/d.aligned.vtt:1: expected WEBVTT" in result.stderr
    assert row(result.stdout, "c ")[1] == "0.00"


def test_files_and_folders_do_not_compare_and_a_score_has_a_name(folders):
    result = run("compare-runs", "one", "two/a.aligned.vtt", "--reference", "truth")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: truth, one and two/a.aligned.vtt: expected three files or three folders\n"
    assert run("compare-runs", "one", "two", "--reference", "truth", "--score", "f1").exit_code == 2
    assert run("compare-runs", "one", "two").exit_code == 2
    assert run("compare-runs", "one", "two", "--reference", "truth", "--quiet").output == ""


# --- Input ------------------------------------------------------------------------------------------------------------


def test_a_folder_named_like_a_file_is_passed_over(folders):
    Path("truth/x.vtt").mkdir()
    Path("one/a.vtt").mkdir()
    result = run("evaluate", "truth", "one")
    assert (result.exit_code, result.stderr) == (0, "")
