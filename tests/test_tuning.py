"""Tuning: the search counts as `evaluate` does, finds what was planted, and says what its scores are worth."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import seasign
from commands import run
from seasign import tuning
from seasign.formats import preset as presets
from seasign.synthesis import BASE, Stress, simulate_similarity, synthesize
from seasign.tuning import RANGES, tune
from seasign.types import Calibration, Costs, Cue, Example, InputError, InputWarning, Preset, Sign

QUIET = pytest.mark.filterwarnings("ignore::seasign.InputWarning")
TIRED = Stress(unsigned=0.1, missed=0.1, spurious=0.1)


def example(seed, seconds=240.0, stress=TIRED, **changes):
    episode = synthesize(seed, duration=seconds, fps=None, stress=stress)
    return replace(Example(episode.signs, episode.cues, episode.reference), **changes)


def stay_up(one, seconds):
    """The same with a reference whose cues stay up for longer."""
    return replace(one, reference=seasign.shift(one.reference, (0.0, seconds)))


@pytest.fixture(scope="module")
def several():
    return {f"news{seed}": example(seed) for seed in range(3)}


def part_and_whole(one, cues):
    return list(seasign.evaluate(one.reference, cues).pooled.ratio("f1@0.50"))


# --- The search -----------------------------------------------------------------------------------------------------


@QUIET
@pytest.mark.parametrize("lag", ["auto", (2.25, 1.9)])
@pytest.mark.parametrize("compat", [None, "sea"])
def test_the_search_scores_the_edges_of_the_cheapest_runs_as_evaluate_does(lag, compat):
    one = example(7, stress=Stress(unsigned=0.1) if compat is None else Stress())
    shuffled = [int(i) for i in np.random.default_rng(0).permutation(len(one.cues))]
    cues, reference = (tuple(side[i] for i in shuffled) for side in (one.cues, one.reference))
    one = replace(one, cues=cues, reference=reference, signs=one.signs[::-1])
    drawn = tuning._draw(9, 3, Preset(Costs(compat=compat, max_gap=0.3)), search=False, similar=False)
    batch = [replace(preset, lag=lag, costs=replace(preset.costs, max_gap=0.3)) for some in drawn for preset in some]
    found = tuning._count(tuning._prepare(one, 25.0), batch)
    edges = [replace(preset.costs, temperature=0.0) for preset in batch]
    moved = [
        seasign.align(one.signs, one.cues, costs=costs, lag=lag, padding=preset.padding).cues
        for costs, preset in zip(edges, batch, strict=True)
    ]
    assert found.tolist() == [part_and_whole(one, cues) for cues in moved]
    assert len({tuple(row) for row in found.tolist()}) > 2


@QUIET
def test_the_search_weighs_similarities_as_assign_does():
    episode = synthesize(1, duration=240.0, fps=None)
    similarity = simulate_similarity(episode, 0.3)
    one = Example(episode.signs, episode.cues, episode.reference, similarity)
    for compat, prices in (None, (1.0, 10.0)), ("sea", (2.0, 20.0)):
        batch = [Preset(Costs(w_sim=w_sim, compat=compat), (2.0, 2.0)) for w_sim in prices]
        found = tuning._count(tuning._prepare(one, 25.0), batch)
        for counted, preset in zip(found.tolist(), batch, strict=True):
            cues = seasign.align(
                one.signs, one.cues, similarity=similarity, lag=preset.lag, costs=replace(preset.costs, temperature=0.0)
            ).cues
            if compat or preset.costs.w_sim == 10:
                assert counted == part_and_whole(one, cues)
        assert found[0].tolist() != found[1].tolist()


def test_an_episode_that_the_published_arithmetic_cannot_align_counts_as_wrong():
    cues = tuple(Cue(start, start + 1.0, "a") for start in (0.0, 2.0, 4.0))
    one = Example((Sign(0.0, 1.0), Sign(2.0, 3.0)), cues, cues)
    batch = [Preset(Costs(compat="sea"), (0.0, 0.0)), Preset(Costs(compat="sea", w_gap=1.0), (0.0, 0.0))]
    with pytest.raises(InputError):
        seasign.align(one.signs, one.cues, costs=batch[0].costs, lag=(0.0, 0.0))
    assert tuning._count(tuning._prepare(one, 25.0), batch)[:, 0].tolist() == [0, 0]


@QUIET
def test_an_episode_that_the_published_arithmetic_cannot_align_is_scored_as_wrong():
    cues = tuple(Cue(2.0 * number, 2.0 * number + 1.0, "a") for number in range(30))
    stuck = Example((Sign(0.0, 1.0), Sign(2.0, 3.0)), cues, cues)
    found = tune({"stuck": stuck}, settings=2, lag=(0.0, 0.0), compat="sea")
    assert found.baselines["delivered"].value == 100
    assert (found.baselines["default"].value, found.score.value) == (0, 0)


@QUIET
def test_a_wide_batch_is_solved_in_parts_with_the_same_counts(several, monkeypatch):
    one = tuning._prepare(several["news0"], 25.0)
    batch = [preset for some in tuning._draw(12, 0, Preset(), search=False, similar=False) for preset in some]
    batch = [replace(preset, costs=replace(preset.costs, max_gap=8.0)) for preset in batch]
    whole = tuning._count(one, batch)
    monkeypatch.setattr(tuning, "ROOM", 1)
    np.testing.assert_array_equal(whole, tuning._count(one, batch))


def test_settings_are_drawn_from_the_documented_ranges_and_the_first_is_the_default():
    batches = tuning._draw(1000, 5, Preset(), search=True, similar=True)
    drawn = [preset for batch in batches for preset in batch]
    assert len(drawn) == 1000
    assert drawn[0] == Preset()
    for batch in batches:
        assert len({(preset.lag, preset.costs.max_gap, preset.costs.window) for preset in batch}) == 1
    assert len({preset.lag for preset in drawn}) > 10
    for name in (*tuning.PRICES, "max_gap"):
        low, high = RANGES[name]
        values = [getattr(preset.costs, name) for preset in drawn[1:]]
        assert low <= min(values) < 1.3 * low + 1
        assert 0.8 * high < max(values) <= high
    lags = [preset.lag for preset in drawn if preset.lag != "auto"]
    assert 300 < len(lags) < 600
    assert all(-0.6 <= end - start <= 0.8 for start, end in lags)
    for published in seasign.PRESETS.values():
        for name in ("w_dur", "w_gap", "w_sim", "max_gap"):
            assert RANGES[name][0] <= getattr(published.costs, name) <= RANGES[name][1]
        assert RANGES["lag"][0] <= published.lag[0] <= RANGES["lag"][1]
        assert RANGES["longer"][0] <= published.lag[1] - published.lag[0] <= RANGES["longer"][1]
        assert RANGES["padding"][0] <= published.padding[1] <= RANGES["padding"][1]


def test_without_similarities_their_price_is_left_and_the_published_arithmetic_drops_nothing():
    drawn = [one for batch in tuning._draw(50, 0, Preset(Costs(compat="sea")), True, False) for one in batch]
    assert {(one.costs.w_sim, one.costs.drop, one.costs.skip) for one in drawn} == {(10.0, 6.0, 12.0)}
    assert {one.costs.hole for one in drawn} == {Costs.hole}
    assert len({one.costs.w_gap for one in drawn}) > 30
    kept = [one for batch in tuning._draw(50, 0, Preset(lag=(2.0, 1.0)), False, False) for one in batch]
    assert {one.lag for one in kept} == {(2.0, 1.0)}


# --- What is found --------------------------------------------------------------------------------------------------


@QUIET
def test_what_was_planted_is_found_and_beats_the_default_on_episodes_it_has_not_seen():
    """Phrases without pauses inside, apart by pauses, and cues that stay up for longer than the signing."""
    examples = {str(seed): stay_up(example(seed, 400.0, Stress()), 1.6) for seed in range(4)}
    found = tune(examples, settings=225)
    assert found.preset.costs.w_gap > 2 * Costs.w_gap
    assert found.preset.padding[1] > 0.2
    assert found.score.value > found.baselines["default"].value + 10
    assert found.helps
    assert found.score.value - found.baselines["default"].value == pytest.approx(found.difference.value)
    preset, unseen = found.preset, {str(seed): stay_up(example(seed, 400.0, Stress()), 1.6) for seed in (50, 51)}
    default = {name: seasign.align(one.signs, one.cues).cues for name, one in unseen.items()}
    tuned = {
        name: seasign.align(one.signs, one.cues, costs=preset.costs, lag=preset.lag, padding=preset.padding).cues
        for name, one in unseen.items()
    }
    truth = {name: one.reference for name, one in unseen.items()}
    before, after = (seasign.evaluate(truth, cues).pooled.f1[0.5] for cues in (default, tuned))
    assert after > before + 10


@QUIET
def test_the_same_seed_finds_the_same_and_another_tries_others(several):
    first, second = (tune(several, settings=30, seed=1) for _ in range(2))
    assert first == second
    assert tune(several, settings=30, seed=2).preset.provenance != first.preset.provenance
    side_by_side = subprocess.run(
        [sys.executable, "-c", SIDE_BY_SIDE], capture_output=True, text=True, check=True, env=os.environ
    )
    assert side_by_side.stdout == repr(tune({"a": example(0, 60.0), "b": example(1, 60.0)}, settings=9).preset.costs)


SIDE_BY_SIDE = """
import warnings
from seasign.synthesis import Stress, synthesize
from seasign.tuning import tune
from seasign.types import Example
warnings.simplefilter("ignore")
if __name__ == "__main__":
    tired = Stress(unsigned=0.1, missed=0.1, spurious=0.1)
    some = [synthesize(k, duration=60.0, fps=None, stress=tired) for k in (0, 1)]
    examples = {name: Example(one.signs, one.cues, one.reference) for name, one in zip("ab", some)}
    print(repr(tune(examples, settings=9, processes=2).preset.costs), end="")
"""


@QUIET
def test_every_episode_is_scored_by_what_is_best_for_the_others(several, monkeypatch):
    counts = np.zeros((3, 4, 2), int)
    counts[..., 1] = 10
    counts[0, 1, 0], counts[1, 2, 0], counts[2, 3, 0] = 9, 8, 7  # each episode has a favourite
    monkeypatch.setattr(tuning, "_search", lambda *_: counts)
    drawn = [preset for batch in tuning._draw(4, 0, Preset(), True, False) for preset in batch]
    used = []

    def apply(name, one, ready, preset):
        used.append(preset)
        return one.reference if preset == drawn[2] else one.cues

    monkeypatch.setattr(tuning, "_apply", apply)
    found = tune(several, settings=4)
    assert used == [drawn[0]] * 3 + [drawn[2], drawn[1], drawn[1]]
    assert replace(found.preset, provenance=None) == drawn[1]
    share = len([c for c in several["news0"].reference if "[" not in c.text]) / sum(
        len([c for c in one.reference if "[" not in c.text]) for one in several.values()
    )
    assert found.score.value > 100 * share * 0.9
    assert found.score.value > found.baselines["default"].value


@QUIET
def test_what_is_scored_is_what_align_does(several):
    one = several["news0"]
    for preset in Preset(), Preset(Costs(w_gap=9.0), (2.0, 1.5), (0.0, 0.4)):
        aligned = seasign.align(one.signs, one.cues, costs=preset.costs, lag=preset.lag, padding=preset.padding)
        assert tuning._apply("one", one, tuning._prepare(one, 25.0), preset) == aligned.cues
    episode = synthesize(1, duration=120.0, fps=None)
    signs, similarity = episode.signs[::-1], simulate_similarity(episode, 0.5)[:, ::-1]
    one = Example(signs, episode.cues, episode.reference, similarity)
    aligned = seasign.align(signs, episode.cues, similarity=similarity)
    assert tuning._apply("one", one, tuning._prepare(one, 25.0), Preset()) == aligned.cues


def test_the_lag_alone_is_that_of_the_others():
    offsets = {"a": ((1.0, 1.0), (5.0, 5.0)), "b": ((3.0,), (4.0,)), "c": ((), ())}
    assert tuning._usual(offsets, "a") == (3.0, 4.0)
    assert tuning._usual(offsets, "b") == (1.0, 5.0)
    assert tuning._usual({"a": offsets["a"]}, "a") == (1.0, 5.0)


def test_a_search_that_gains_nothing_says_so_and_where_a_lag_is_a_guess(several):
    with pytest.warns(InputWarning) as said:
        found = tune({**several, "calm": example(1, 120.0, BASE)}, settings=1)
    lines = [str(warning.message) for warning in said]
    assert lines[0].startswith("the best settings do not beat the default by more than chance (+0.0 points")
    assert lines[1].startswith("no lag stands out in 3 of 4 episodes (news0, news1, news2)")
    assert len(lines) == 2
    assert not found.helps
    assert found.difference.value == 0
    assert replace(found.preset, provenance=None) == Preset()


def test_one_episode_says_that_it_cannot_speak_for_others():
    with pytest.warns(InputWarning, match="there is one episode"):
        found = tune({"only": example(0, 60.0)}, settings=4, lag=(2.0, 2.0))
    assert not found.helps
    assert found.preset.lag == (2.0, 2.0)


@pytest.mark.parametrize(
    ("examples", "settings", "message"),
    [
        ({}, 10, "0 episodes"),
        ({"a": example(0, 60.0)}, 0, "0 settings"),
        ({"a": example(0, 60.0, signs=())}, 1, "a: there are no signs"),
        ({"a": example(0, 60.0, cues=())}, 1, "a: there are no cues"),
        ({"a": example(0, 60.0, similarity=np.zeros((2, 3)))}, 1, "a: the similarity is 2 x 3, not"),
        ({"a": example(0, 60.0, reference=())}, 1, "a: "),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(examples, settings, message):
    with pytest.raises(InputError, match=re.escape(message)):
        tune(examples, settings=settings)


# --- Interrupted ----------------------------------------------------------------------------------------------------


@QUIET
def test_a_search_goes_on_with_what_its_scratch_holds_and_with_nothing_of_another(several, tmp_path, monkeypatch):
    done = []
    whole = tune(several, settings=16, scratch=tmp_path, progress=lambda at, of: done.append((at, of)))
    assert done == [(0, 16), (4, 16), (8, 16), (12, 16), (16, 16)]
    files = sorted(tmp_path.iterdir())
    assert len(files) == 4
    files[2].unlink()
    counted = []
    real = tuning._count_batch
    monkeypatch.setattr(tuning, "_count_batch", lambda batch, ready: counted.append(len(batch)) or real(batch, ready))
    assert tune(several, settings=16, scratch=tmp_path) == whole
    assert counted == [4]
    tune(several | {"news0": stay_up(several["news0"], 0.1)}, settings=16, scratch=tmp_path)
    tune(several, settings=16, seed=1, scratch=tmp_path)
    assert counted == [4] * 9


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two episodes as a person has them, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("episodes", "truth"):
        (tmp_path / name).mkdir()
    for seed in range(2):
        one = example(seed, 120.0)
        seasign.write(tmp_path / f"episodes/news{seed}.eaf", {"SIGN": one.signs, "SUBTITLE": one.cues})
        seasign.write(tmp_path / f"truth/news{seed}.vtt", one.reference)
    return tmp_path


def test_a_killed_search_goes_on_to_the_same_end(folders):
    words = ["tune", "episodes", "--reference", "truth", "--settings", "400", "--processes", "2", "--quiet"]
    command = [sys.executable, "-m", "seasign", *words]
    subprocess.run([*command, "-o", "whole.json"], check=True, capture_output=True)
    killed = subprocess.Popen([*command, "-o", "preset.json"], stderr=subprocess.DEVNULL, start_new_session=True)
    scratch = folders / "preset.json.partial"
    until = time.monotonic() + 120
    while len(list(scratch.glob("*-*.npy"))) < 3 and time.monotonic() < until:
        assert killed.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    kept = {path: path.stat().st_mtime_ns for path in scratch.glob("*-*.npy")}
    assert 3 <= len(kept) < 20
    assert not (folders / "preset.json").exists()
    while left(killed.pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left(killed.pid), "the workers outlive their parent"
    again = subprocess.Popen([*command, "-o", "preset.json"], stderr=subprocess.DEVNULL)
    seen = kept
    while again.poll() is None:
        seen = {path: path.stat().st_mtime_ns for path in kept if path.exists()} or seen
        time.sleep(0.01)
    assert again.returncode == 0
    assert seen == kept, "what was done is not done again"
    assert (folders / "preset.json").read_bytes() == (folders / "whole.json").read_bytes()
    assert not scratch.exists()


def left(group):
    """Whether processes of a group are there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


# --- The commands ---------------------------------------------------------------------------------------------------


def test_tune_writes_a_preset_that_align_takes(folders):
    result = run("tune", "episodes", "--reference", "truth", "-o", "preset.json", "--settings", 9, "--processes", 1)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"episodes  2, with {sum(len(example(seed, 120.0).cues) for seed in range(2))} cues"
    for name in ("as delivered", "lag only", "default", "tuned"):
        assert re.search(rf"^{name} +\d+\.\d   \d+\.\d to \d+\.\d$", result.stdout, re.MULTILINE)
    preset = seasign.read_preset("preset.json")
    made = preset.provenance
    assert (made["settings"], made["seed"], made["episodes"]) == (9, 0, ["news0", "news1"])
    assert set(made["sha256"]["news1"]) == {"cues", "signs", "reference"}
    assert set(made["f1@0.50"]) == {"delivered", "lag_only", "default", "tuned", "difference"}
    assert run("align", *["episodes/news0.eaf"] * 2, "-o", "a.vtt", "--preset", "preset.json", "--force").exit_code == 0
    names = ("w_dur", "w_gap", "max_gap", "drop", "skip", "hole")
    costs = [f"--{name.replace('_', '-')}={getattr(preset.costs, name)}" for name in names]
    lag = preset.lag if preset.lag == "auto" else ",".join(map(str, preset.lag))
    padding = ",".join(map(str, preset.padding))
    said = [*costs, "--lag", lag, "--padding", padding]
    assert run("align", *["episodes/news0.eaf"] * 2, "-o", "b.vtt", "--force", *said).exit_code == 0
    assert (folders / "a.vtt").read_bytes() == (folders / "b.vtt").read_bytes()


def test_tune_takes_subtitles_with_signs_beside_them_and_speaks_json(folders):
    for seed in range(2):
        one = example(seed, 120.0)
        seasign.write(f"episodes/news{seed}.srt", one.cues)
        (folders / f"episodes/news{seed}.eaf").rename(folders / f"truth/signs{seed}.eaf")
        (folders / "signs").mkdir(exist_ok=True)
        seasign.write(f"signs/news{seed}.csv", one.signs)
        (folders / f"truth/signs{seed}.eaf").unlink()
    words = ["--reference", "truth", "--signs", "signs", "-o", "p.json", "--settings", 4, "--processes", 1, "--json"]
    result = run("tune", "episodes", *words)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["output"], found["settings"], found["helps"]) == ("p.json", 4, False)
    assert any("default will do" in line for line in found["warnings"])
    one = run("tune", "episodes/news0.srt", "--reference", "truth/news0.vtt", "--signs", "signs/news0.csv", *words[4:])
    assert one.exit_code == 0, one.output
    assert any("there is one episode" in line for line in json.loads(one.stdout)["warnings"])
    assert json.loads((folders / "p.json").read_text())["provenance"]["f1@0.50"]["difference"] == [0.0, None, None]


@QUIET
def test_tune_takes_similarities_a_lag_and_the_published_arithmetic(folders):
    (folders / "similar").mkdir()
    for seed in range(2):
        episode = synthesize(seed, duration=120.0, fps=None)
        seasign.write(f"episodes/news{seed}.eaf", {"SIGN": episode.signs, "SUBTITLE": episode.cues})
        seasign.write(f"truth/news{seed}.vtt", episode.reference)
        np.save(folders / f"similar/news{seed}.npy", simulate_similarity(episode, 0.5))
    words = ["--reference", "truth", "-o", "p.json", "--settings", 16, "--processes", 1]
    said = ["--similarity", "similar", "--compat", "sea", "--lag", "2,1.5"]
    result = run("tune", "episodes", *words, *said)
    assert result.exit_code == 0, result.output
    assert re.search(r"w_dur [\d.]+, w_gap [\d.]+, w_sim [\d.]+, max_gap [\d.]+,$", result.stdout, re.MULTILINE)
    assert "lag 2 s at the starts, 1.5 s at the ends" in result.stdout
    preset = seasign.read_preset("p.json")
    assert (preset.costs.compat, preset.lag, preset.costs.drop) == ("sea", (2.0, 1.5), Costs.drop)
    assert set(preset.provenance["sha256"]["news0"]) == {"cues", "signs", "reference", "similarity"}
    np.save(folders / "similar/news1.npy", np.zeros((3, 4)))
    result = run("tune", "episodes", *words, *said)
    assert (result.exit_code, result.stderr[:38]) == (1, "error: news1: the similarity is 3 x 4,")


@pytest.mark.parametrize(
    ("spoil", "words", "lines"),
    [
        (lambda at: None, ["gone.eaf"], ["gone.eaf: there is no such file"]),
        (lambda at: None, ["truth/news0.vtt"], ["truth/news0.vtt: holds no signs; say where they are by --signs"]),
        (
            lambda at: (at / "empty").mkdir(),
            ["empty"],
            ["empty: no episodes there; expected *.eaf, or subtitles and --signs"],
        ),
        (lambda at: None, ["episodes", "--signs", "nowhere"], ["nowhere: there is no such folder"]),
        (
            lambda at: [path.unlink() for path in (at / "truth").iterdir()],
            ["episodes"],
            [
                f"truth: no file for news{k}; expected news{k}*.vtt *.srt *.ttml *.xml *.eaf *.csv *.json"
                for k in (0, 1)
            ],
        ),
        (
            lambda at: (at / "truth" / "news1.aligned.vtt").write_text("WEBVTT\n"),
            ["episodes"],
            ["truth: several files for news1 (news1.aligned.vtt, news1.vtt); keep one of them there"],
        ),
        (
            lambda at: (at / "truth" / "news1.reference.vtt").write_text("WEBVTT\n\nrubbish --> rubbish\n"),
            ["episodes"],
            ["truth/news1.reference.vtt:3:"],
        ),
        (
            lambda at: [
                (at / "truth" / f"news{k}.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:x\na\n") for k in (0, 1)
            ],
            ["episodes"],
            ["truth/news0.vtt:3:", "truth/news1.vtt:3:"],
        ),
        (lambda at: (at / "episodes" / "news1.eaf").write_text("<"), ["episodes"], ["episodes/news1.eaf:"]),
        (
            lambda at: None,
            ["episodes/news0.eaf", "--reference", "episodes"],
            ["episodes/news0.eaf: has the times of episodes/news0.eaf; the reference holds the cues on their signing"],
        ),
        (
            lambda at: seasign.write(at / "episodes" / "more.eaf", {"SUBTITLE": example(5, 60.0).cues}),
            ["episodes/more.eaf", "--reference", "truth/news0.vtt"],
            ["episodes/more.eaf:"],
        ),
    ],
)
@pytest.mark.parametrize("command", ["tune", "calibrate"])
def test_what_does_not_belong_together_is_listed_a_line_each(folders, command, spoil, words, lines):
    spoil(folders)
    result = run(command, "--reference", "truth", *words, "-o", "preset.json")
    assert result.exit_code == 1
    said = [line.removeprefix("error: ") for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(said) == len(lines)
    assert all(one.startswith(line) for one, line in zip(said, lines, strict=True)), said
    assert not list(folders.glob("preset*"))


@pytest.mark.parametrize("output", ["nowhere/p.json", "episodes", "p.txt", "truth/news0.json"])
def test_an_output_that_cannot_be_written_is_refused_before_any_work(folders, monkeypatch, output):
    (folders / "truth" / "news0.vtt").unlink()
    seasign.write("truth/news0.json", example(0, 120.0).reference)
    monkeypatch.setattr(seasign, "tune", lambda *_, **__: pytest.fail("it was searched"))
    result = run("tune", "episodes", "--reference", "truth", "-o", output)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {output}: ")


# --- Presets --------------------------------------------------------------------------------------------------------

WHOLE = Preset(
    Costs(w_dur=2.5, window=None, drop=None, compat="sea"),
    (1.5, 1.25),
    (0.0, 1.0),
    Calibration((0.5, -1.0, 2.0), (0.1, -0.05), {"cues": 10, "of": ["a", "b [c]"]}),
    {"by": "hand", "none": None, "list": [1, 2.5, None]},
)


@pytest.mark.parametrize("preset", [Preset(), WHOLE, *seasign.PRESETS.values()])
def test_a_preset_comes_back_as_it_was_written(preset, tmp_path):
    seasign.write(tmp_path / "p.json", preset)
    back = seasign.read_preset(tmp_path / "p.json")
    assert back == preset
    text = (tmp_path / "p.json").read_text()
    assert json.loads(text)["schema"] == "seasign-preset/1"
    assert re.search(r'"padding": \[[\d.]+, [\d.]+\]', text), "numbers stand side by side"


def test_what_a_preset_does_not_say_is_as_it_comes(tmp_path):
    (tmp_path / "p.json").write_text('{"schema": "seasign-preset/1", "costs": {"w_gap": 7}}')
    assert seasign.read_preset(tmp_path / "p.json") == Preset(Costs(w_gap=7))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("{", "is not JSON"),
        ("[]", "expected a preset with the schema 'seasign-preset/1', found None"),
        ('{"costs": {}}', "found None"),
        ('{"schema": "seasign-preset/2"}', "found 'seasign-preset/2'"),
        ('{"schema": "seasign-preset/1", "cost": {}}', "'cost', which is unknown"),
        ('{"schema": "seasign-preset/1", "costs": {"wgap": 5}}', "'wgap', which is unknown"),
        ('{"schema": "seasign-preset/1", "costs": []}', "costs are []"),
        ('{"schema": "seasign-preset/1", "costs": {"w_gap": -1}}', "w_gap is -1"),
        ('{"schema": "seasign-preset/1", "costs": {"w_gap": null}}', "w_gap is None"),
        ('{"schema": "seasign-preset/1", "costs": {"w_gap": true}}', "w_gap is True"),
        ('{"schema": "seasign-preset/1", "costs": {"w_gap": NaN}}', "w_gap is 'NaN'"),
        ('{"schema": "seasign-preset/1", "costs": {"window": 2.5}}', "window is 2.5"),
        ('{"schema": "seasign-preset/1", "costs": {"window": 0}}', "window is 0"),
        ('{"schema": "seasign-preset/1", "costs": {"compat": "sae"}}', "compat is 'sae'"),
        ('{"schema": "seasign-preset/1", "lag": "none"}', "lag is 'none'"),
        ('{"schema": "seasign-preset/1", "lag": [1]}', "lag is [1]"),
        ('{"schema": "seasign-preset/1", "padding": [0, "1"]}', "padding is [0, '1']"),
        ('{"schema": "seasign-preset/1", "calibration": 1}', "calibration is 1"),
        ('{"schema": "seasign-preset/1", "calibration": {"weights": [], "margin": [0, 0]}}', "weights"),
        ('{"schema": "seasign-preset/1", "calibration": {"weights": [1]}}', "margin of the calibration is None"),
        ('{"schema": "seasign-preset/1", "calibration": {"weights": [1], "margin": [0, 0], "x": 1}}', "'x'"),
        ('{"schema": "seasign-preset/1", "provenance": "me"}', "provenance is 'me'"),
    ],
)
def test_a_preset_that_cannot_be_is_refused_by_name(text, message, tmp_path):
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(message)) as refused:
        presets.read(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def test_align_refuses_a_preset_that_is_none(folders):
    (folders / "p.json").write_text("{}")
    words = [*["episodes/news0.eaf"] * 2, "-o", "out.vtt", "--preset"]
    result = run("align", *words, "p.json")
    assert (result.exit_code, result.stderr[:14]) == (1, "error: p.json:")
    result = run("align", *words, "bobbsl")
    assert result.exit_code == 2
    assert "'bobbsl' is no file, and none of bobsl, how2sign, srf, mitenand" in result.stderr
    (folders / "p.json").write_text(
        '{"schema": "seasign-preset/1", "calibration": {"weights": [1, 2], "margin": [0, 0]}}'
    )
    result = run("align", *words, "p.json")
    assert (result.exit_code, "the calibration has 2 weights" in result.stderr) == (1, True)
