"""Calibration: what was planted comes back, and what is promised for others is measured on others."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

import seasign
from commands import run
from seasign import calibration
from seasign.calibration import LEVEL, Bin, Seen, calibrate, draw_reliability, look, measure, state
from seasign.confidence import CALIBRATION, fit_weights
from seasign.synthesis import Stress, synthesize
from seasign.types import Calibration, Costs, Cue, Example, InputError, InputWarning, Preset, Sign

QUIET = pytest.mark.filterwarnings("ignore::seasign.InputWarning")
FEATURES = len(CALIBRATION.weights) - 1
BARE = replace(CALIBRATION, margin=(0.0, 0.0))


def planted(seed, count, weights, sd=0.5):
    """Cues that are right as these weights say, whose times miss their interval by a normal amount."""
    rng = np.random.default_rng(seed)
    evidence = rng.normal(size=(count, len(weights) - 1)) * np.linspace(0.5, 3, len(weights) - 1)
    p = 1 / (1 + np.exp(-(weights[0] + evidence @ np.array(weights[1:]))))
    return Seen(evidence, rng.random(count) < p, rng.normal(0, sd, (count, 2)))


def example(seed, seconds=300.0):
    stress = Stress(unsigned=0.1, missed=0.1, spurious=0.1)
    episode = synthesize(seed, duration=seconds, fps=None, stress=stress)
    return Example(episode.signs, episode.cues, episode.reference)


def named(name):
    """An example that is nothing but its name."""
    return Example((), (Cue(0.0, 1.0, name),), ())


# --- The fit --------------------------------------------------------------------------------------------------------


def test_planted_weights_come_back():
    true = (0.5, 1.0, -0.7, 0.2)
    seen = planted(0, 20_000, true)
    np.testing.assert_allclose(fit_weights(seen.evidence, seen.hit, ridge=1.0), true, atol=0.07)


def test_the_fit_is_the_optimum():
    seen, towards = planted(1, 300, (0.2, 0.8, -0.4)), (0.1, 0.5, -0.5)
    center, scale = seen.evidence.mean(axis=0), seen.evidence.std(axis=0)

    def loss(weights):
        logit = weights[0] + seen.evidence @ np.array(weights[1:])
        ridge = np.sum(((np.array(weights[1:]) - towards[1:]) * scale) ** 2)
        return np.sum(np.logaddexp(0, logit) - seen.hit * logit) + 5 * ridge

    found = np.array(fit_weights(seen.evidence, seen.hit, towards, ridge=10.0))
    assert center.shape == (2,)
    for step in np.random.default_rng(0).normal(0, 0.01, (50, 3)):
        assert loss(found) <= loss(found + step) + 1e-3


def test_few_cues_change_little_and_many_change_much():
    towards = (0.0, 1.0, 1.0)
    few, many = (planted(2, count, (0.0, -1.0, 1.0)) for count in (20, 20_000))
    small, large = (np.array(fit_weights(seen.evidence, seen.hit, towards)) - towards for seen in (few, many))
    assert abs(small[1]) < 1.2
    assert large[1] == pytest.approx(-2, abs=0.1)
    firm = fit_weights(few.evidence, few.hit, towards, ridge=1e9)
    np.testing.assert_allclose(firm[1:], towards[1:], atol=1e-3)


def test_evidence_that_divides_right_from_wrong_does_not_run_away():
    evidence = np.r_[np.full((50, 1), -2.0), np.full((50, 1), 2.0)]
    weights = fit_weights(evidence, evidence[:, 0] > 0, (0.0, 30.0), ridge=1.0)
    assert np.isfinite(weights).all()
    assert weights[1] > 0


def test_margins_hold_nine_in_ten_of_others():
    start = Calibration((0.0, 0.0), (0.0, 0.0))
    shares = []
    for seed in range(300):
        seen = planted(seed, 39, (0.0, 0.0))
        margin = calibration._fit(seen, start).margin
        assert np.mean(seen.beyond[:, 0] <= margin[0] + 1e-9) >= LEVEL
        shares.append(np.mean(planted(seed + 1000, 1000, (0.0, 0.0)).beyond <= margin))
    assert np.mean(shares) == pytest.approx(LEVEL, abs=0.01)
    assert calibration._fit(planted(0, 39, (0.0, 0.0), sd=1e-6), start).margin == (0.001, 0.001)
    narrow = Seen(np.zeros((39, 1)), np.ones(39, bool), np.full((39, 2), -0.4))
    assert calibration._fit(narrow, start).margin == (-0.4, -0.4)


# --- The measure ----------------------------------------------------------------------------------------------------


def test_what_is_measured_is_what_it_says():
    true = (0.3, 1.5)
    seen = [planted(seed, 2000, true) for seed in (0, 1)]
    found = measure(seen, [Calibration(true, (10.0, 0.0))] * 2)
    p = np.concatenate([state(one, Calibration(true, (0.0, 0.0))) for one in seen])
    hit = np.concatenate([one.hit for one in seen])
    assert (found.cues, found.wrong) == (4000, int((~hit).sum()))
    assert found.error < 0.03
    assert [part.cues for part in found.bins] == [400] * 10
    assert [part.stated for part in found.bins] == sorted(part.stated for part in found.bins)
    parts = [(p[own][hit[own]], p[own][~hit[own]]) for own in (slice(2000), slice(2000, None))]
    pairs = np.concatenate([np.sign(right[:, None] - wrong).ravel() for right, wrong in parts])
    assert found.auroc == pytest.approx((pairs.mean() + 1) / 2)
    assert found.coverage[0] == 1.0
    assert found.coverage[1] == pytest.approx(0.5, abs=0.03)
    sure = measure(seen, [Calibration((9.0, 0.0), (0.0, 0.0))] * 2)
    assert sure.error == pytest.approx((~hit).mean(), abs=0.001)
    assert sure.auroc == 0.5


def test_times_of_cues_that_are_never_signed_are_no_part_of_the_coverage():
    seen = planted(0, 100, (0.0, 1.0))
    seen.beyond[:60] = np.nan
    seen.beyond[60:] = [[-1.0, 1.0]]
    assert measure([seen], [Calibration((0.0, 1.0), (0.0, 0.0))]).coverage == (1.0, 0.0)


def test_a_cue_is_right_when_it_shares_half_of_its_time_with_one_that_is_signed():
    signs = tuple(Sign(float(start), start + 0.9) for start in range(2, 60, 2))
    cues = tuple(Cue(sign.start, sign.end, f"{k}", str(k)) for k, sign in enumerate(signs))
    reference = [replace(cue, start=cue.start, end=cue.end) for cue in cues]
    reference[3] = replace(reference[3], start=reference[3].start + 0.6, end=reference[3].end + 0.6)
    reference[5] = replace(reference[5], text="[5]")
    reference[7] = replace(reference[7], end=reference[7].end + 0.2)
    seen = look(Example(signs, cues, tuple(reference[:-1])), Preset(lag=(0.0, 0.0)), BARE)
    assert np.flatnonzero(~seen.hit).tolist() == [3, 5]
    assert len(seen.hit) == len(cues) - 1, "the last has no counterpart"
    assert np.isnan(seen.beyond[5]).all()
    low, high = seasign.align(signs, cues, lag=(0.0, 0.0), calibration=BARE).confidence[7].end
    assert seen.beyond[7, 1] == pytest.approx(max(low - reference[7].end, reference[7].end - high))
    assert seen.evidence.shape == (len(cues) - 1, FEATURES)


# --- All of it ------------------------------------------------------------------------------------------------------


@QUIET
def test_calibration_mends_what_was_too_sure():
    examples = {f"news{seed}": example(seed) for seed in range(4)}
    too_sure = replace(CALIBRATION, weights=(CALIBRATION.weights[0] + 4, *CALIBRATION.weights[1:]), margin=(-5.0, -5.0))
    preset = Preset(Costs(w_gap=8.0), padding=(0.0, 0.1), calibration=too_sure)
    done = []
    found = calibrate(examples, preset, progress=lambda at, of: done.append((at, of)))
    assert done == [(k, 4) for k in range(1, 5)]
    assert found.before.error > 0.1
    assert found.after.error < 0.08
    assert max(found.before.coverage) < 0.5
    assert all(0.82 < share < 0.97 for share in found.after.coverage)
    assert found.after.cues == found.before.cues > 200
    made = found.calibration.provenance
    assert made["episodes"] == list(examples)
    assert made["after"]["wrong"] == found.after.wrong
    json.dumps(made, allow_nan=False)
    one = examples["news0"]
    before, after = (
        seasign.align(one.signs, one.cues, costs=preset.costs, calibration=which).confidence
        for which in (too_sure, found.calibration)
    )
    assert sum(cue.probability for cue in after) < sum(cue.probability for cue in before)
    assert all(cue.start[0] <= cue.start[1] for cue in before if cue.evidence), "a margin below 0 leaves a point"


def test_every_episode_is_judged_by_what_was_fitted_on_all_others(monkeypatch):
    """One episode is the opposite of the rest: it would look well only if it had been seen."""
    some = {name: planted(k, 150, (1.0, *[2.0] * FEATURES)) for k, name in enumerate("abc")}
    some["odd"] = replace(some["a"], hit=~some["a"].hit, beyond=some["a"].beyond + 5)
    monkeypatch.setattr(calibration, "look", lambda one, *_: some[one.cues[0].text])
    found = calibrate({name: named(name) for name in some})
    assert found.calibration.margin[0] > 4, "all together know of the odd one"
    odd = calibration._fit(calibration._join([some[name] for name in "abc"]), CALIBRATION)
    folds = []
    for name in some:
        others = [one for other, one in some.items() if other != name]
        folds.append(calibration._fit(calibration._join(others), CALIBRATION))
    assert folds[3] == odd
    assert found.after == measure(list(some.values()), folds)
    assert found.before == measure(list(some.values()), [CALIBRATION] * 4)


def test_one_episode_says_that_it_cannot_speak_for_others(monkeypatch):
    monkeypatch.setattr(calibration, "look", lambda *_: planted(0, 150, (0.0, *[1.0] * FEATURES)))
    with pytest.warns(InputWarning, match="there is one episode: the numbers are of what was fitted on"):
        calibrate({"only": named("only")})


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (planted(0, 99, (0.0, *[1.0] * FEATURES)), "99 cues have signs"),
        (planted(0, 300, (20.0, *[0.0] * FEATURES)), "300 cues have signs, 300 rightly and 0 wrongly"),
        (planted(0, 300, (-20.0, *[0.0] * FEATURES)), "300 cues have signs, 0 rightly and 300 wrongly"),
    ],
)
def test_too_few_cues_or_only_one_kind_are_refused_with_what_to_do(seen, said, monkeypatch):
    monkeypatch.setattr(calibration, "look", lambda *_: seen)
    with pytest.raises(
        InputError, match=f"^{said}.*calibrating takes 100, 10 of them right and 10 wrong; add episodes$"
    ):
        calibrate({"a": named("a")})


def test_nothing_to_calibrate_on_is_refused():
    with pytest.raises(InputError, match="no episodes"):
        calibrate({})


@QUIET
@pytest.mark.parametrize("costs", [Costs(compat="sea"), Costs(temperature=0.0), Costs(skip=None)])
def test_settings_without_confidence_are_refused_by_name(costs):
    episode = synthesize(0, duration=60.0, fps=None)
    one = Example(episode.signs, episode.cues, episode.reference)
    with pytest.raises(InputError, match=r"^news: these settings give no confidence"):
        calibrate({"news": one}, Preset(costs, (2.0, 2.0)))


def test_a_calibration_of_another_version_is_refused():
    one = example(0, 60.0)
    with pytest.raises(InputError, match=f"the calibration has 2 weights, not {FEATURES + 1}"):
        seasign.align(one.signs, one.cues, lag=(2.0, 2.0), calibration=Calibration((0.0, 1.0), (0.0, 0.0)))


# --- The picture ----------------------------------------------------------------------------------------------------


def test_the_diagram_is_drawn_to_scale():
    seen = planted(0, 400, (0.0, 1.0))
    sides = [measure([seen], [Calibration(weights, (0.0, 0.0))]) for weights in ((3.0, 1.0), (0.0, 1.0))]
    found = calibration.Calibrated(Calibration((0.0, 1.0), (0.0, 0.0)), *sides)
    picture = ElementTree.fromstring(draw_reliability(found))
    points = list(picture.iter("{http://www.w3.org/2000/svg}g"))
    assert len(points) == 20
    for group, part in zip(points, (*found.before.bins, *found.after.bins), strict=True):
        circle = group.find("{http://www.w3.org/2000/svg}circle")
        assert float(circle.get("cx")) == pytest.approx(72 + 360 * part.stated, abs=0.06)
        assert float(circle.get("cy")) == pytest.approx(64 + 360 * (1 - part.right), abs=0.06)
        bar = group.find("{http://www.w3.org/2000/svg}path").get("d")
        bottom, top = (float(number) for number in re.fullmatch(r"M[\d.]+ ([\d.]+)V([\d.]+)", bar).groups())
        assert 64 - 0.1 <= top <= float(circle.get("cy")) <= bottom <= 424.1
    assert "nan" not in draw_reliability(found).lower()


def test_bars_hold_the_true_share_nine_times_in_ten():
    rng = np.random.default_rng(0)
    held = []
    for _ in range(2000):
        low, high = calibration._wilson(rng.binomial(40, 0.85) / 40, 40)
        held.append(low <= 0.85 <= high)
    assert np.mean(held) == pytest.approx(0.9, abs=0.04)
    assert calibration._wilson(1.0, 10)[1] == pytest.approx(1.0)
    assert Bin(0.5, 0.5, 1).cues == 1


# --- The command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two episodes as a person has them, in the working directory, and a preset."""
    monkeypatch.chdir(tmp_path)
    for name in ("episodes", "truth"):
        (tmp_path / name).mkdir()
    for seed in range(2):
        one = example(seed)
        seasign.write(tmp_path / f"episodes/news{seed}.eaf", {"SIGN": one.signs, "SUBTITLE": one.cues})
        seasign.write(tmp_path / f"truth/news{seed}.vtt", one.reference)
    seasign.write(tmp_path / "mine.json", Preset(Costs(w_gap=7.0), provenance={"by": "hand"}))
    return tmp_path


def test_calibrate_saves_with_the_preset_and_align_believes_it(folders):
    words = ["--reference", "truth", "--preset", "mine.json", "--diagram", "seen.svg"]
    result = run("calibrate", "episodes", *words, "-o", "calibrated.json")
    assert result.exit_code == 0, result.output
    assert re.search(r"^calibration error +0\.\d{3} +0\.\d{3}$", result.stdout, re.MULTILINE)
    assert re.search(r"^90 % intervals hold the end +\d+\.\d % +\d+\.\d %$", result.stdout, re.MULTILINE)
    preset = seasign.read_preset("calibrated.json")
    assert (preset.costs, preset.provenance) == (Costs(w_gap=7.0), {"by": "hand"})
    assert set(preset.calibration.provenance["sha256"]["news0"]) == {"cues", "signs", "reference"}
    ElementTree.parse(folders / "seen.svg")
    said = {}
    for name in ("mine", "calibrated"):
        align = ["align", *["episodes/news0.eaf"] * 2, "-o", "out.vtt", "--preset", f"{name}.json", "--force"]
        assert run(*align, "--report", f"{name}.report.json").exit_code == 0
        said[name] = json.loads((folders / f"{name}.report.json").read_text())["cues"]
    assert [cue["aligned"] for cue in said["mine"]] == [cue["aligned"] for cue in said["calibrated"]]
    assert [cue["probability"] for cue in said["mine"]] != [cue["probability"] for cue in said["calibrated"]]
    again = run("calibrate", "episodes", "--reference", "truth", "--preset", "mine.json", "-o", "b.json", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["after"] == preset.calibration.provenance["after"]
    assert (folders / "b.json").read_bytes() == (folders / "calibrated.json").read_bytes()


def test_calibrate_never_overwrites_the_preset_it_reads(folders, monkeypatch):
    monkeypatch.setattr(seasign, "calibrate", lambda *_, **__: pytest.fail("it was calibrated"))
    seasign.write("mine.json", Preset())
    result = run("calibrate", "episodes", "--reference", "truth", "--preset", "mine.json", "-o", "mine.json")
    assert result.exit_code == 1
    assert "mine.json: is an input too" in result.stderr


@pytest.mark.parametrize("diagram", ["seen.png", "nowhere/seen.svg", "calibrated.json"])
def test_a_diagram_that_cannot_be_drawn_is_refused_before_any_work(folders, monkeypatch, diagram):
    monkeypatch.setattr(seasign, "calibrate", lambda *_, **__: pytest.fail("it was calibrated"))
    words = ["--reference", "truth", "-o", "calibrated.json", "--diagram", diagram]
    result = run("calibrate", "episodes", *words)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {diagram}: ")
