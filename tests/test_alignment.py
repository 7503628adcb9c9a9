import gzip
import itertools
import json
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seasign.alignment
from seasign.alignment import PRESETS, align, assign, reward, rewarded
from seasign.embedding import compare, normalize
from seasign.lag import CLEAR, estimate_lag
from seasign.posterior import infer, infer_at
from seasign.solver import Prices, lay_out, price_list, solve
from seasign.spans import shift
from seasign.synthesis import Stress, simulate_similarity, synthesize
from seasign.types import Costs, Cue, Embeddings, InputError, InputWarning, Normalization, Sign

GOLDEN = json.loads(gzip.decompress((Path(__file__).parent / "golden" / "sea_dp_public.json.gz").read_bytes()))
NORMALIZATIONS = {
    "softmax": Normalization("softmax"),
    "z-score": Normalization(rows="z-score"),
    "sinkhorn": Normalization(rows="sinkhorn"),
    "softmax+col": Normalization("softmax", columns=True),
    "threshold": Normalization("softmax", threshold=0.9),
    "col_only": Normalization(rows=None, columns=True),
}


WORDS = sorted({sign.gloss for sign in synthesize(3, duration=60.0, fps=None).signs})


def cues_of(case: dict) -> list[Cue]:
    return [
        Cue(start, end, f"cue {i}")
        for i, (start, end) in enumerate(zip(case["cue_start"], case["cue_end"], strict=True))
    ]


def signs_of(case: dict) -> list[Sign]:
    return [Sign(start, end) for start, end in zip(case["sign_start"], case["sign_end"], strict=True)]


def similarity_of(case: dict) -> np.ndarray | None:
    if case["cue_emb"] is None:
        return None
    return case["emb_scale"] * np.array(case["cue_emb"], float) @ np.array(case["sign_emb"], float).T


def middles(starts: list[float], ends: list[float]) -> np.ndarray:
    return (np.array(starts) + np.array(ends)) / 2


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["id"])
@pytest.mark.parametrize("compat", ["sea", None])
def test_assign_finds_the_published_optimum(case, compat):
    plain = Costs(compat=compat, drop=None, skip=None, temperature=0)
    costs = replace(plain, **case["params"] | ({} if compat else {"max_gap": np.inf}))
    alignment = assign(
        cues_of(case), signs_of(case), similarity_of(case), costs=costs, normalization=Normalization(rows="softmax")
    )
    assert alignment.cost == pytest.approx(case["cost"], rel=1e-6)
    if "tie" in case["flags"]:
        return
    assert list(alignment.boundaries) == case["boundaries"]
    times = [[cue.start for cue in alignment.cues], [cue.end for cue in alignment.cues]]
    published = [case["aligned_start"], case["aligned_end"]]
    if compat or "split" not in case["flags"]:  # without compat nothing is cut afterwards
        assert times == published


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["id"])
def test_windows_are_the_published_ones(case):
    problem = lay_out(cues_of(case), signs_of(case), Costs(window=case["params"]["window"], compat="sea"))
    assert problem.low[0].tolist() == case["window_lo"]
    assert problem.high[0].tolist() == case["window_hi"]


@pytest.mark.parametrize("case", GOLDEN["sim_cases"], ids=lambda case: case["id"])
def test_normalize_gives_the_published_matrix(case):
    expected = np.zeros((len(case["cue_start"]), len(case["sign_start"])))
    for row, column, value in case["matrix_sparse"]:
        expected[row, column] = value
    neighbours, rewards = normalize(
        similarity_of(case),
        middles(case["cue_start"], case["cue_end"]),
        middles(case["sign_start"], case["sign_end"]),
        NORMALIZATIONS[case["variant"]],
    )
    matrix = np.zeros_like(expected)
    np.put_along_axis(matrix, neighbours, rewards, axis=1)
    assert matrix == pytest.approx(expected, abs=1e-8)


def test_normalize_survives_similarities_that_overflow_the_published_softmax():
    similarity = np.array([[9000.0, 8990.0, 0.0]])
    _, rewards = normalize(similarity, np.array([1.0]), np.array([0.0, 1.0, 2.0]), Normalization("softmax"))
    assert rewards.sum() == pytest.approx(50)
    assert rewards.max() == pytest.approx(50 / (1 + np.exp(-1)))


# --- against brute force ---------------------------------------------------------------------------------------------


def price(cue: Cue, run: list[Sign], rewards: np.ndarray, costs: Costs, usual: float = 0.0) -> float:
    """The objective as the paper states it, one run at a time; pauses count by how they differ from the usual one."""
    start, end = run[0].start, run[-1].end
    gap = sum(max(0.0, later.start - earlier.end) - usual for earlier, later in itertools.pairwise(run))
    return (
        abs(cue.start - start)
        + abs(cue.end - end)
        + costs.w_dur * abs(cue.duration - (end - start))
        + costs.w_gap * gap
        - costs.w_sim * rewards.sum()
    )


def every_alignment(cues, signs, rewards, costs, windows):
    """Yield the cost and the runs (first, stop) of every alignment that the rules allow."""
    ends = np.maximum.accumulate([sign.end for sign in signs])
    pause = [j for j in range(1, len(signs)) if signs[j].start - ends[j - 1] > costs.max_gap]

    gaps = [max(0.0, later.start - earlier.end) for earlier, later in itertools.pairwise(signs)]
    usual = statistics.median(gaps) if gaps and costs.skip is not None else 0.0

    def go_on(cue, free, cost, runs):
        if cue == len(cues):
            yield cost, runs
            return
        if costs.drop is not None:
            yield from go_on(cue + 1, free, cost + costs.drop, [*runs, (0, 0)])
        low, high = windows[cue]
        for first in range(free, len(signs) if costs.skip is not None else free + 1):
            if costs.skip is not None and first < low:
                continue
            skipped = signs[free:first] if any(run != (0, 0) for run in runs) else []
            skip = sum(max(0.0, sign.duration) for sign in skipped) * (costs.skip or 0)
            holes = [skip]
            if costs.hole is not None and costs.skip is not None and any(run != (0, 0) for run in runs):
                holes.append(costs.hole + skip / 6)
            for last in range(max(first, low), min(high, len(signs) - 1) + 1):
                if any(first < j <= last for j in pause):
                    break
                run = price(cues[cue], signs[first : last + 1], rewards[cue, first : last + 1], costs, usual)
                for hole in holes:
                    yield from go_on(cue + 1, last + 1, cost + hole + run, [*runs, (first, last + 1)])

    return go_on(0, 0, 0.0, [])


seconds = st.integers(0, 12_000).map(lambda ms: ms / 1000)
prices = st.sampled_from([None, 0.0, 1.0, 6.0, 20.0])


@st.composite
def episodes(draw, nested=True):
    """A few cues and signs: overlapping, touching, reversed cues included; sorted, as the stages have them."""
    cues = draw(st.lists(st.builds(Cue, seconds, seconds, st.just("x")), min_size=1, max_size=4))
    spans = draw(st.lists(st.tuples(seconds, st.integers(0, 2_000)), min_size=1, max_size=6))
    by_time = lambda span: (span.start, span.end)  # noqa: E731
    cues, signs = sorted(cues, key=by_time), sorted((Sign(a, a + b / 1000) for a, b in spans), key=by_time)
    if not nested:
        ends = np.maximum.accumulate([sign.end for sign in signs]).tolist()
        signs = [replace(sign, end=end) for sign, end in zip(signs, ends, strict=True)]
    shape = (len(cues), len(signs))
    numbers = st.lists(st.integers(0, 4), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])
    rewards = np.array(draw(numbers), float).reshape(shape)
    skip = draw(prices)
    costs = Costs(
        w_dur=draw(st.sampled_from([0.0, 0.5, 1.0, 5.0])),
        w_gap=draw(st.sampled_from([0.0, 0.3, 5.0])),
        w_sim=draw(st.sampled_from([0.0, 0.1, 1.0])),
        window=draw(st.sampled_from([None, 1, 2, 3, 50])),
        max_gap=draw(st.sampled_from([0.5, 3.0, 1e9])),
        skip=skip,
        drop=draw(prices) if skip is not None else None,
        hole=draw(st.none() | prices),
    )
    return cues, signs, costs, rewards


def posed(cues, signs, costs, rewards):
    """The problem of an episode, and what brute force needs: the rewards inside the windows, and the windows."""
    problem = lay_out(cues, signs, costs)
    windows = list(zip(problem.low[0].tolist(), problem.high[0].tolist(), strict=True))
    rewards = rewards.copy()
    for i, (low, high) in enumerate(windows):
        rewards[i, :low] = rewards[i, high + 1 :] = 0
    return reward(problem, np.broadcast_to(np.arange(len(signs)), rewards.shape), rewards), rewards, windows


def check_optimum(solution, row, cues, signs, rewards, costs, windows):
    """No alignment costs less than what was found, and what was found costs what is said."""
    every = list(every_alignment(cues, signs, rewards, costs, windows))
    if not every:
        assert solution.cost[row] == np.inf
        assert solution.stuck[row] < len(cues)
        return
    assert solution.stuck[row] == len(cues)
    assert solution.cost[row] == pytest.approx(min(cost for cost, _ in every), abs=1e-6)
    chosen = list(zip(solution.first[row].tolist(), solution.stop[row].tolist(), strict=True))
    assert min(cost for cost, runs in every if runs == chosen) == pytest.approx(solution.cost[row], abs=1e-6)


@settings(max_examples=300, deadline=None)
@given(episodes())
def test_solve_is_never_beaten_by_brute_force(episode):
    cues, signs, costs, rewards = episode
    problem, rewards, windows = posed(*episode)
    check_optimum(solve(problem, price_list([costs])), 0, cues, signs, rewards, costs, windows)


@settings(max_examples=100, deadline=None)
@given(episodes(nested=False), st.sampled_from([0.3, 1.0, 5.0]))
def test_infer_sums_over_every_alignment(episode, temperature):
    cues, signs, costs, rewards = episode
    costs = replace(costs, skip=costs.skip or 1.0, drop=costs.drop or 1.0)
    problem, rewards, windows = posed(cues, signs, costs, rewards)
    first, last = np.zeros((2, len(cues), len(signs)))
    total = 0.0
    for cost, runs in every_alignment(cues, signs, rewards, costs, windows):
        weight = np.exp(-cost / temperature)
        total += weight
        for cue, (start, stop) in enumerate(runs):
            if start < stop:
                first[cue, start] += weight
                last[cue, stop - 1] += weight
    posterior = infer(problem, price_list([costs]), temperature)
    assert posterior.evidence == pytest.approx(np.log(total), abs=1e-6)
    for cue, (low, high) in enumerate(windows):
        assert posterior.first[cue, : high - low + 1] == pytest.approx(first[cue, low : high + 1] / total, abs=1e-9)
        assert posterior.last[cue, : high - low + 1] == pytest.approx(last[cue, low : high + 1] / total, abs=1e-9)
    assert posterior.signed == pytest.approx(last.sum(axis=1) / total, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(episodes(), st.lists(st.floats(0.2, 5.0), min_size=2, max_size=3))
def test_several_temperatures_infer_as_one_by_one(episode, temperatures):
    cues, signs, costs, rewards = episode
    costs = replace(costs, skip=costs.skip or 1.0, drop=costs.drop or 1.0)
    problem, *_ = posed(cues, signs, costs, rewards)
    together = infer_at(problem, price_list([costs]), temperatures)
    for temperature, found in zip(temperatures, together, strict=True):
        alone = infer(problem, price_list([costs]), temperature)
        for name, values in vars(in_order(alone)).items():
            np.testing.assert_allclose(getattr(in_order(found), name), values, atol=1e-9, err_msg=name)


def in_order(posterior):
    """Its runs by their times: which of two that are as likely comes first, rounding decides."""
    order = np.lexsort((posterior.runs[..., 1], posterior.runs[..., 0]))
    runs = np.take_along_axis(posterior.runs, order[..., None], axis=1)
    return replace(posterior, runs=runs, weights=np.take_along_axis(posterior.weights, order, axis=1))


@settings(max_examples=50, deadline=None)
@given(episodes(), st.lists(st.tuples(*[st.floats(0, 10)] * 6), min_size=2, max_size=5))
def test_no_setting_among_many_is_beaten_by_brute_force(episode, weights):
    cues, signs, costs, rewards = episode
    problem, rewards, windows = posed(cues, signs, replace(costs, skip=1.0), rewards)
    names = ("w_dur", "w_gap", "w_sim", "drop", "skip", "hole")[: 5 + (len(weights) > 2)]
    solution = solve(problem, Prices(**dict(zip(names, np.array(weights).T, strict=False))))
    for row, setting in enumerate(weights):
        own = replace(costs, **{"hole": None, **dict(zip(names, setting, strict=False))})
        check_optimum(solution, row, cues, signs, rewards, own, windows)


@settings(max_examples=50, deadline=None)
@given(episodes(), st.lists(seconds, min_size=2, max_size=4))
def test_many_lags_solve_as_one_by_one(episode, lags):
    cues, signs, costs, *_ = episode
    each = [lay_out(shift(cues, (lag, lag)), signs, costs) for lag in lags]
    names = ("cue_start", "cue_end", "low", "high")
    together = replace(each[0], **{name: np.concatenate([getattr(one, name) for one in each]) for name in names})
    solution = solve(together, price_list([costs] * len(lags)))
    assert solution.cost == pytest.approx([solve(one, price_list([costs])).cost[0] for one in each])


# --- pauses, dropping, skipping --------------------------------------------------------------------------------------


def test_no_run_straddles_a_pause_longer_than_max_gap():
    signs = [Sign(0, 0.5), Sign(20, 20.5), Sign(20.5, 21), Sign(40, 41)]
    cues = [Cue(20, 21, "first"), Cue(40, 41, "second")]
    alignment = assign(cues, signs, costs=Costs(w_gap=0, max_gap=10))
    assert alignment.runs == ((signs[1], signs[2]), (signs[3],))
    published = assign(cues, signs, costs=Costs(w_gap=0.1, max_gap=10, compat="sea"))
    assert published.boundaries == (0, 3, 4)  # the run began before the pause, and was cut there afterwards
    assert published.runs[0] == (signs[1], signs[2])


def test_compat_prices_pieces_with_the_similarities_of_the_cue_before():
    signs = [Sign(0, 1), Sign(1, 2), Sign(3, 4), Sign(4, 5), Sign(20, 21)]
    cues = [Cue(0, 2, "a"), Cue(10.9, 12.9, "b")]
    toward_late = np.array([[90.0, 90, 0, 0, 0], [0.0, 0, 0, 0, 90]])
    published = assign(cues, signs, toward_late, costs=Costs(max_gap=5, w_dur=0, w_gap=0.1, w_sim=1, compat="sea"))
    assert published.runs[1] == (signs[2], signs[3])


def test_cues_in_a_pause_are_dropped_keep_their_times_and_leave_their_neighbours_alone():
    episode = synthesize(0, duration=600.0, fps=None)
    lag = 2.0
    signs = [sign for sign in episode.signs if not 200 <= sign.start < 320]
    delivered = shift(episode.cues, (lag, lag))
    alignment = assign(delivered, signs)
    unsigned = [i for i, cue in enumerate(episode.reference) if cue.start >= 205 and cue.end < 315]
    dropped = [i for i, run in enumerate(alignment.runs) if not run]
    assert len(set(unsigned) & set(dropped)) >= 0.95 * len(unsigned)
    assert all(alignment.cues[i] == delivered[i] for i in dropped)
    assert all(alignment.confidence[i].probability == 0 for i in dropped)
    outside = [i for i in range(len(delivered)) if not 190 <= episode.reference[i].start < 330]
    moved = [abs(alignment.cues[i].start - episode.reference[i].start) for i in outside]
    assert np.median(moved) < 0.5


def test_signing_before_the_first_cue_and_between_cues_stays_free():
    signs = [Sign(0.5 * i, 0.5 * i + 0.5) for i in range(100)]
    cues = [Cue(20, 22, "a"), Cue(40, 42, "b")]
    alignment = assign(cues, signs, costs=Costs(temperature=0, skip=0.1))
    assert alignment.cues == tuple(cues)


def test_nothing_is_infeasible_when_cues_may_be_dropped():
    alignment = assign([Cue(i, i + 1, "x") for i in range(5)], [Sign(100, 101)])
    assert sum(len(run) > 0 for run in alignment.runs) <= 1


# --- similarities ----------------------------------------------------------------------------------------------------


def right(episode, alignment):
    """The share of the signed cues that landed on their signing."""
    pairs = [(a, b) for a, b in zip(episode.reference, alignment.cues, strict=True) if "[" not in a.text]
    ious = [(min(a.end, b.end) - max(a.start, b.start)) / (max(a.end, b.end) - min(a.start, b.start)) for a, b in pairs]
    return np.mean(np.array(ious) >= 0.5)


def test_useless_similarities_cost_nothing_and_informative_ones_gain():
    episode = synthesize(1, duration=900.0, fps=None)
    blind = right(episode, align(episode.signs, episode.cues, lag=(2, 2)))
    scores = {
        strength: right(
            episode,
            align(episode.signs, episode.cues, similarity=simulate_similarity(episode, strength), lag=(2, 2)),
        )
        for strength in (0.0, 0.3)
    }
    assert scores[0.0] >= blind - 0.01
    assert scores[0.3] >= blind + 0.05


# --- pins and confidence ---------------------------------------------------------------------------------------------


def test_pins_are_kept_and_cut_the_episode():
    episode = synthesize(2, duration=120.0, fps=None)
    cues = shift(episode.cues, (2.0, 2.0))
    pins = {4: (episode.reference[4].start, episode.reference[4].end), 9: (1000.0, 1001.0)}
    with pytest.warns(InputWarning, match="the pin of cue 10 .* lies outside of the signs"):
        alignment = assign(cues, episode.signs, pins=pins)
    for cue, (start, end) in pins.items():
        assert (alignment.cues[cue].start, alignment.cues[cue].end) == (start, end)
        assert alignment.confidence[cue].probability == 1
    assert alignment.runs[4] == tuple(episode.signs[j] for j in episode.runs[4])
    assert alignment.runs[9] == ()
    assert all(sign.end <= pins[4][0] + 0.5 for run in alignment.runs[:4] for sign in run)
    assert assign(cues, episode.signs, pins={}) == assign(cues, episode.signs)


def test_pins_are_not_padded_and_a_part_charges_pauses_as_the_whole_does():
    episode = synthesize(2, duration=120.0, fps=None)
    pins = {4: (episode.reference[4].start, episode.reference[4].end)}
    alignment = align(episode.signs, episode.cues, lag=(2.0, 2.0), padding=(-0.1, 1.0), pins=pins)
    assert (alignment.cues[4].start, alignment.cues[4].end) == pins[4]
    assert alignment.pins == pins
    bare = align(episode.signs, episode.cues, lag=(2.0, 2.0), pins=pins)
    assert alignment.cues[5] == replace(bare.cues[5], start=bare.cues[5].start - 0.1, end=bare.cues[5].end + 1.0)
    far = assign(shift(episode.cues, (2.0, 2.0)), episode.signs)
    assert bare.terms[20:] == far.terms[20:]  # the median pause is that of the episode, and so are the prices


@pytest.mark.parametrize("strength", [None, 0.3])
@pytest.mark.parametrize("costs", [Costs(skip=2), Costs(skip=None), Costs(skip=None, drop=None), Costs(compat="sea")])
def test_the_terms_of_all_cues_add_up_to_the_cost(costs, strength):
    episode = synthesize(8, duration=300.0, fps=None, stress=Stress(unsigned=0.2, unsubtitled=0.1))
    cues = shift(episode.cues, (2.0, 2.0))
    similarity = None if strength is None else simulate_similarity(episode, strength, 8)
    alignment = assign(cues, episode.signs, similarity, costs=costs)
    problem = lay_out(cues, episode.signs, costs)
    if similarity is not None:
        problem = rewarded(problem, similarity, costs, Normalization())
    least = solve(problem, price_list([costs])).cost[0]
    assert alignment.cost == pytest.approx(least) or (alignment.cost > least and costs.skip)  # doubtful cues dropped
    sharp = assign(cues, episode.signs, similarity, costs=replace(costs, temperature=0.0))
    assert sharp.cost == pytest.approx(least)
    sums = np.array([list(vars(term).values()) for term in alignment.terms]).sum(axis=0)
    assert alignment.cost == pytest.approx(sums.sum())
    start, end, duration, _, reward, drop, skip = sums
    assert min(start, end, duration) > 0
    assert reward <= 0
    dropped = sum(not run for run in alignment.runs)
    assert drop == pytest.approx(dropped * (costs.drop or 0))
    if costs.skip and not costs.compat:
        assert (reward < 0) == (strength is not None)
        assert dropped
        first, last = (np.searchsorted([sign.start for sign in episode.signs], run.start)
                       for run in (next(run for run in alignment.runs if run)[0],
                                   next(run for run in reversed(alignment.runs) if run)[-1]))  # fmt: skip
        taken = {id(sign) for run in alignment.runs for sign in run}
        left = [sign.duration for sign in episode.signs[first:last] if id(sign) not in taken]
        assert skip == pytest.approx(costs.skip * sum(left))  # what is before the first run or after the last is free
        assert skip > 0


def test_a_pinned_cue_costs_nothing():
    episode = synthesize(2, duration=120.0, fps=None)
    cues = shift(episode.cues, (2.0, 2.0))
    alignment = assign(cues, episode.signs, pins={4: (episode.reference[4].start, episode.reference[4].end)})
    assert set(vars(alignment.terms[4]).values()) == {0.0}
    assert alignment.cost == pytest.approx(sum(sum(vars(term).values()) for term in alignment.terms))


@pytest.mark.filterwarnings("ignore:.*cues out of order")
@pytest.mark.parametrize("mixed", [False, True], ids=["in order", "out of order"])
def test_with_the_previous_alignment_only_what_pins_change_is_solved_again(mixed):
    episode = synthesize(3, duration=900.0, fps=None, stress=Stress(unsigned=0.1, missed=0.1))
    cues = shift(episode.cues, (2.0, 2.0))
    if mixed:
        cues = tuple(cues[i] for i in np.random.default_rng(0).permutation(len(cues)))
    place = sorted(range(len(cues)), key=lambda i: cues[i].start)
    base = assign(cues, episode.signs)
    at = {place[k]: (base.cues[place[k]].start, base.cues[place[k]].end) for k in (20, 60, 110, 160, 200)}
    before = assign(cues, episode.signs, pins=at)
    some = place[110]
    later = tuple(time + 1.3 for time in at[some])
    for pins in (at | {some: later}, at | {place[130]: later}, {k: at[k] for k in at if k != some}, {}, at):
        pins = {cue: times for cue, times in pins.items() if cue != place[130] or times[0] > at[some][1]}
        again = assign(cues, episode.signs, pins=pins, previous=before)
        whole = assign(cues, episode.signs, pins=pins)
        assert again.runs == whole.runs
        assert again.boundaries == whole.boundaries
        assert again.cost == pytest.approx(whole.cost)
        for name in "start", "end":
            expected = [getattr(cue, name) for cue in whole.cues]
            assert [getattr(cue, name) for cue in again.cues] == pytest.approx(expected, abs=0.01)
        sure, sure_as_well = ([one.probability for one in found.confidence] for found in (again, whole))
        assert sure == pytest.approx(sure_as_well, abs=0.02)


def test_where_nothing_holds_on_to_what_was_all_is_solved_again():
    cues = [Cue(10.0 * i, 10.0 * i + 2, str(i)) for i in range(80)]
    signs = [Sign(10.0 * i + 4, 10.0 * i + 5) for i in range(80)]
    dear = Costs(drop=0.1)  # every cue is dropped
    before = assign(cues, signs, costs=dear)
    assert not any(before.runs)
    pins = {40: (404.0, 405.0)}
    assert assign(cues, signs, costs=dear, pins=pins, previous=before) == assign(cues, signs, costs=dear, pins=pins)


def test_a_previous_alignment_of_other_cues_is_refused():
    signs = [Sign(0, 1), Sign(1, 2)]
    before = assign([Cue(0, 1, "a")], signs)
    with pytest.raises(InputError, match="the previous alignment has 1 cues, not 2"):
        assign([Cue(0, 1, "a"), Cue(1, 2, "b")], signs, previous=before)


# --- alternatives and neighbours that touch ---------------------------------------------------------------------------


def test_alternatives_are_apart_from_the_choice_and_from_each_other_and_the_likeliest_comes_first():
    episode = synthesize(5, duration=600.0, fps=None)
    alignment = assign(shift(episode.cues, (2.0, 2.0)), episode.signs)
    several = [one.alternatives for one in alignment.confidence]
    assert max(map(len, several)) == 5
    for cue, others in zip(alignment.cues, several, strict=True):
        chances = [other.probability for other in others]
        assert chances == sorted(chances, reverse=True)
        assert min(chances, default=0.01) >= 0.01
        assert sum(chances) <= 1 + 1e-9
        for one, other in itertools.combinations([cue, *others], 2):
            assert max(abs(one.start - other.start), abs(one.end - other.end)) >= 0.5


def test_of_two_places_that_are_as_good_each_has_half_the_probability():
    signs = [Sign(8.0, 9.0), Sign(11.0, 12.0)]
    alignment = assign([Cue(9.5, 10.5, "between")], signs, costs=Costs(max_gap=1.0))
    (other,) = alignment.confidence[0].alternatives
    assert {(other.start, other.end), (alignment.cues[0].start, alignment.cues[0].end)} <= {
        (8, 9),
        (11, 12),
        (9.5, 10.5),
    }
    assert other.probability == pytest.approx(0.5 * alignment.confidence[0].signed, abs=0.05)


def test_alternatives_are_about_as_often_right_as_they_say():
    said, right = [], []
    for seed in range(3):
        episode = synthesize(seed, duration=1100.0, fps=None, stress=Stress(missed=0.2))
        alignment = assign(shift(episode.cues, (2.0, 2.0)), episode.signs)
        for one, true in zip(alignment.confidence, episode.reference, strict=True):
            for other in one.alternatives:
                said.append(other.probability)
                right.append(abs(other.start - true.start) < 0.5 and abs(other.end - true.end) < 0.5)
    assert len(said) > 500
    assert np.mean(right) == pytest.approx(np.mean(said), abs=0.04)


def test_neighbours_that_touch_as_delivered_are_drawn_to_touch():
    signs = [Sign(0.5 * j, 0.5 * j + 0.5) for j in range(20) if j not in (6, 13)]
    cues = [Cue(0.0, 3.1, "a"), Cue(2.9, 6.5, "b"), Cue(7.4, 10.0, "c")]
    apart = align(signs, cues, lag=(0.0, 0.0))
    joined = align(signs, cues, lag=(0.0, 0.0), touching=0.5)
    assert apart.cues[0].end < apart.cues[1].start
    assert joined.cues[0].end == joined.cues[1].start
    assert joined.cues[1].end < joined.cues[2].start  # these do not touch as delivered
    assert joined.shifts[0] == pytest.approx((0.0, -0.1))  # told as ending where the next one starts
    assert joined.shifts[1] == pytest.approx((0.1, 0.0))
    assert align(signs, cues, lag=(0.0, 0.0), touching=0.1).cues == apart.cues


def test_pinned_and_dropped_neighbours_are_not_drawn():
    signs = [Sign(0.5 * j, 0.5 * j + 0.5) for j in range(20) if j != 6]
    cues = [Cue(0.0, 3.1, "a"), Cue(3.1, 6.5, "b")]
    pinned = align(signs, cues, lag=(0.0, 0.0), touching=0.5, pins={1: (3.6, 6.5)})
    assert (pinned.cues[1].start, pinned.cues[1].end) == (3.6, 6.5)
    assert pinned.cues[0].end == align(signs, cues, lag=(0.0, 0.0), pins={1: (3.6, 6.5)}).cues[0].end


def test_pins_out_of_order_name_each_other():
    cues = [Cue(i, i + 1, f"cue {i}") for i in range(3)]
    with pytest.raises(
        InputError, match=r"pin of cue 3 .* goes from 5\.00 to 6\.00 s, where the pin of cue 2 .*has not ended"
    ):
        assign(cues, [Sign(0, 1), Sign(5, 6)], pins={1: (4.0, 5.5), 2: (5.0, 6.0)})
    with pytest.raises(InputError, match=r"goes from 2\.00 to 1\.00 s; correct it"):
        assign(cues, [Sign(0, 1)], pins={1: (2.0, 1.0)})


def test_a_pin_for_a_cue_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="a pin for cue 7, but cues go from 0 to 0"):
        assign([Cue(0, 1, "a")], [Sign(0, 1)], pins={7: (0.0, 1.0)})


def test_confidence_tells_wrong_cues_from_right_ones():
    episode = synthesize(5, duration=1200.0, fps=None)
    alignment = assign(shift(episode.cues, (2.0, 2.0)), episode.signs)
    overlap = np.array([right(replace(episode, reference=(a,)), replace(alignment, cues=(b,)))
                        for a, b in zip(episode.reference, alignment.cues, strict=True)])  # fmt: skip
    sure = np.array([one.probability for one in alignment.confidence])
    wrong, good = sure[overlap == 0], sure[overlap == 1]
    assert (good[:, None] > wrong).mean() > 0.75
    assert abs(sure.mean() - overlap.mean()) < 0.1
    inside = [
        one.start[0] <= cue.start <= one.start[1]
        for one, cue in zip(alignment.confidence, episode.reference, strict=True)
    ]
    assert 0.8 <= np.mean(inside) <= 0.99


@pytest.mark.parametrize("strength", [None, 0.3])
def test_doubtful_cues_are_dropped_although_the_best_alignment_keeps_them(strength, monkeypatch):
    extra = []
    for seed in (0, 1):
        episode = synthesize(seed, duration=600.0, fps=None, stress=Stress(unsigned=0.2))
        cues, similarity = shift(episode.cues, (2.0, 2.0)), simulate_similarity(episode, strength or 0.0, seed)
        given = None if strength is None else similarity
        alignment = assign(cues, episode.signs, given)
        assert all(sure.signed >= 0.85 for sure, run in zip(alignment.confidence, alignment.runs, strict=True) if run)
        with monkeypatch.context() as patch:
            patch.setattr(seasign.alignment, "SIGNED", 0.0)
            best = assign(cues, episode.signs, given)
        doubtful = [i for i, (some, run) in enumerate(zip(best.runs, alignment.runs, strict=True)) if some and not run]
        assert all(alignment.cues[i] == cues[i] for i in doubtful)
        assert all(a == b for a, b in zip(best.runs, alignment.runs, strict=True) if b)
        extra += ["[" in episode.reference[i].text for i in doubtful]
    assert extra.count(True) > extra.count(False), extra


def test_a_temperature_of_zero_takes_the_edges_of_the_best_runs():
    episode = synthesize(5, duration=120.0, fps=None)
    alignment = assign(shift(episode.cues, (2.0, 2.0)), episode.signs, costs=Costs(temperature=0))
    assert alignment.confidence is None
    for cue, run in zip(alignment.cues, alignment.runs, strict=True):
        assert not run or (cue.start, cue.end) == (run[0].start, run[-1].end)


# --- the lag ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [-3.0, 0.7, 2.0, 5.0])
def test_the_lag_is_found_and_its_interval_holds_it(lag):
    episode = synthesize(6, duration=1080.0, lag=2.0, fps=None)
    cues = shift(episode.cues, (2.0 - lag,) * 2)
    found = estimate_lag(cues, episode.signs)
    true = np.median([after.start - before.start for before, after in zip(cues, episode.reference, strict=True)])
    (stretch,) = found.stretches
    assert abs(stretch.start - true) < 0.35
    assert stretch.low < true < stretch.high
    assert f"{stretch.start:+.2f} s" in str(found)


def test_an_advert_break_makes_two_stretches():
    episode = synthesize(0, duration=1080.0, fps=None)
    cut = len(episode.cues) // 2
    cues = (*episode.cues[:cut], *shift(episode.cues[cut:], (14.0, 14.0)))
    first, second = estimate_lag(cues, episode.signs).stretches
    assert abs(first.last - cut) <= 15
    assert abs(first.start - second.start - 14) < 0.7


def monologue(lag: float, jitter: float, seed: int = 0):
    """Sixty cues one after the other, of five signs each and no pause that would show a lag; and who says what."""
    rng = np.random.default_rng(seed)
    edges = np.arange(301) * 0.5
    signs = [Sign(start, end - 0.1) for start, end in itertools.pairwise(edges.tolist())]
    late = lag + jitter * rng.normal(size=60)
    cues = [Cue(2.5 * i - late[i], 2.5 * (i + 1) - late[i], f"cue {i}") for i in range(60)]
    own = np.repeat(np.eye(60), 5, axis=1)
    return sorted(cues, key=lambda cue: cue.start), signs, own[np.argsort([cue.start for cue in cues])]


@pytest.mark.parametrize("lag", [-7.0, 0.0, 2.5, 13.0])
def test_similarities_show_the_lag_that_time_alone_cannot(lag):
    cues, signs, own = monologue(lag, jitter=0.5)
    look = own + np.random.default_rng(1).normal(size=own.shape)
    assert estimate_lag(cues, signs).clarity < CLEAR
    found = estimate_lag(cues, signs, look)
    assert found.clarity > CLEAR
    assert len(found.stretches) == 1
    assert found.stretches[0].start == pytest.approx(lag, abs=0.5)


@pytest.mark.parametrize("seed", range(5))
def test_similarities_that_know_nothing_leave_the_lag_alone(seed):
    cues, signs, own = monologue(2.0, jitter=0.5)
    noise = np.random.default_rng(seed).normal(size=own.shape)
    assert estimate_lag(cues, signs, noise) == estimate_lag(cues, signs)


def test_subtitles_of_another_programme_have_no_lag():
    signs = synthesize(0, duration=900.0, fps=None).signs
    cues = synthesize(77, duration=900.0, fps=None).cues
    assert estimate_lag(cues, signs).clarity < CLEAR
    with pytest.warns(InputWarning, match=r"no lag stands out; .* is a guess"):
        assert -2 < align(signs, cues).shifts[0][0] < 7


def test_one_cue_shows_no_lag():
    signs = [Sign(0.4 * j, 0.4 * j + 0.4) for j in range(12)]
    assert estimate_lag([Cue(0, 3, "x")], signs).clarity < CLEAR / 2


def test_a_lag_that_gives_no_cue_a_sign_is_taken_back():
    signs = [Sign(3600.0 + j, 3600.5 + j) for j in range(5)]
    cues = [Cue(0, 3, "one"), Cue(4, 6, "two"), Cue(7, 9, "three")]
    with pytest.warns(InputWarning, match="outside of the signs"), pytest.warns(InputWarning, match="is a guess"):
        aligned = align(signs, cues, pins={1: (4.5, 6.5)})
    assert [(cue.start, cue.end) for cue in aligned.cues] == [(0, 3), (4.5, 6.5), (7, 9)]
    assert aligned.runs == ((), (), ())
    assert set(aligned.shifts) == {(0, 0)}
    given = align(signs, cues, lag=(2, 2)).cues
    assert [cue.start for cue in given] == [2, 6, 9]


# --- costs that are none ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {"costs": Costs(w_dur=-1)},
        {"costs": Costs(w_gap=np.nan)},
        {"costs": Costs(drop=-1)},
        {"costs": Costs(window=0)},
    ],
    ids=str,
)
def test_costs_that_are_no_prices_are_refused(given):
    with pytest.raises(InputError, match="expected"):
        assign([Cue(0, 1, "a")], [Sign(0, 1)], **given)


def test_times_that_are_no_times_are_refused():
    with pytest.raises(InputError, match="cue 2 goes from nan to 1"):
        assign([Cue(0, 1, "a"), Cue(np.nan, 1, "b")], [Sign(0, 1)])


# --- what assign promises --------------------------------------------------------------------------------------------


def test_assign_changes_times_and_nothing_else():
    cues = [Cue(0, 1, "<i>a</i>", id="7", settings="line:0"), Cue(2, 3, "b")]
    signs = [Sign(0.5, 1.5, "ONE", 0.9), Sign(2.25, 3.75)]
    alignment = assign(cues, signs, costs=Costs(temperature=0))
    assert alignment.cues == (replace(cues[0], start=0.5, end=1.5), replace(cues[1], start=2.25, end=3.75))
    assert alignment.runs == ((signs[0],), (signs[1],))


def test_order_of_the_file_is_kept_when_cues_and_signs_are_out_of_order():
    case = next(case for case in GOLDEN["cases"] if case["id"] == "small_sim-bobsl-1600")
    cues, signs, similarity = cues_of(case), signs_of(case), similarity_of(case)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(len(cues)), rng.permutation(len(signs))
    with pytest.warns(InputWarning) as caught:
        mixed = assign([cues[i] for i in rows], [signs[j] for j in columns], similarity[np.ix_(rows, columns)])
    assert [str(warning.message).split()[3] for warning in caught] == ["cues", "signs"]
    straight = assign(cues, signs, similarity)
    assert mixed.cues == tuple(straight.cues[i] for i in rows)
    assert mixed.runs == tuple(straight.runs[i] for i in rows)
    assert mixed.cost == pytest.approx(straight.cost)


@pytest.mark.parametrize(("cues", "signs"), [([], [Sign(0, 1)]), ([Cue(0, 1, "a")], []), ([], [])])
def test_without_cues_or_signs_nothing_moves_and_a_warning_says_so(cues, signs):
    with pytest.warns(InputWarning, match="nothing was moved"):
        alignment = assign(cues, signs, np.zeros((len(cues), len(signs))))
    assert alignment.cues == tuple(cues)
    assert alignment.runs == ((),) * len(cues)
    assert len(alignment.boundaries) == len(cues) + 1


@pytest.mark.parametrize("case", GOLDEN["pathological"], ids=lambda case: case["id"])
@pytest.mark.parametrize("compat", ["sea", None])
def test_no_assignment_is_an_error_that_names_the_cue(case, compat):
    costs = Costs(**case["params"], compat=compat, drop=None, skip=None)
    if case["reference_feasible"]:
        assert len(assign(cues_of(case), signs_of(case), costs=costs).cues) == len(case["cue_start"])
    else:
        with pytest.raises(InputError, match=r"^cue \d+ at \d+\.\d\d s \('cue \d+'\) can reach no free sign"):
            assign(cues_of(case), signs_of(case), costs=costs)


def test_the_error_names_the_window_and_shortens_long_texts():
    cues = [Cue(50.0 * i, 50.0 * i + 1, "a rather long subtitle\nthat goes on and on and on") for i in range(4)]
    signs = [Sign(0.1 * i, 0.1 * i + 0.1) for i in range(10)]
    with pytest.raises(InputError) as caught:
        assign(cues, signs, costs=Costs(window=1, drop=None, skip=None))
    assert str(caught.value) == (
        "cue 3 at 100.00 s ('a rather long subtitle that goes on and…') can reach no free sign within window=1: "
        "widen the window, or give the lag of the signing behind the cues"
    )


@pytest.mark.parametrize(
    ("similarity", "message"),
    [(np.zeros((2, 3)), "is 2 x 3, but there are 1 cues and 2 signs"), (np.array([[np.nan, 1.0]]), "not finite")],
)
def test_similarities_that_do_not_fit_are_refused(similarity, message):
    with pytest.raises(InputError, match=message):
        assign([Cue(0, 1, "a")], [Sign(0, 1), Sign(1, 2)], similarity)


def test_reversed_and_negative_cues_are_solved_as_they_are():
    cues = [Cue(-1.0, -2.0, "negative and reversed"), Cue(3.0, 3.0, "empty")]
    assert len(assign(cues, [Sign(0, 1), Sign(2, 3), Sign(3, 4)]).cues) == 2


# --- align: the steps around assign ----------------------------------------------------------------------------------


def test_align_shifts_first_and_pads_last():
    signs = [Sign(2.5, 3.5), Sign(7.0, 8.0)]
    cues = [Cue(0, 1, "a"), Cue(5, 6, "b")]
    alignment = align(signs, cues, lag=(2.0, 2.5), padding=(-0.1, 1.0), costs=Costs(temperature=0))
    assert alignment.cues == (Cue(2.4, 4.5, "a"), Cue(6.9, 9.0, "b"))
    assert alignment.cost == assign(shift(cues, (2.0, 2.5)), signs).cost
    assert alignment.shifts == ((2.0, 2.5),) * 2


@pytest.mark.parametrize(("cues", "signs"), [([], [Sign(0, 1)]), ([Cue(0, 1, "a")], [])])
def test_without_cues_or_signs_align_moves_nothing_whatever_the_lag(cues, signs):
    with pytest.warns(InputWarning, match="nothing was moved"):
        assert align(signs, cues, lag=(2, 2), padding=(0, 1)).cues == tuple(cues)


def test_align_asks_the_embedder_for_every_text_and_every_sign():
    episode = synthesize(3, duration=60.0)
    glosses = {sign.start: sign.gloss for sign in episode.signs}

    class Words:
        def text(self, texts):
            return Embeddings(np.array([[word in text.upper() for word in WORDS] for text in texts], float), "words")

        def signs(self, poses, signs):
            assert poses is episode.poses
            near = [min(glosses, key=lambda start, sign=sign: abs(start - sign.start)) for sign in signs]
            return Embeddings(np.array([[glosses[start] == word for word in WORDS] for start in near], float), "words")

    blind = align(episode.poses, episode.cues, lag=(2, 2))
    sighted = align(episode.poses, episode.cues, embedder=Words(), lag=(2, 2))
    assert sighted.cost != blind.cost
    assert right(episode, sighted) >= right(episode, blind)


class Constant:
    """An embedder that knows nothing, and needs no poses."""

    def text(self, texts):
        return Embeddings(np.ones((len(texts), 2)), "constant")

    def signs(self, poses, signs):
        return Embeddings(np.ones((len(signs), 2)), "constant")


class Sighted(Constant):
    def signs(self, poses, signs):
        if poses is None:
            raise InputError("give poses")
        return super().signs(poses, signs)


def test_an_embedder_decides_whether_it_needs_poses():
    signs, cues = [Sign(0, 1), Sign(3, 4)], [Cue(0, 1, "a"), Cue(3, 4, "b")]
    assert align(signs, cues, embedder=Constant(), lag=(0, 0)).runs == ((signs[0],), (signs[1],))
    with pytest.raises(InputError, match="give poses"):
        align(signs, cues, embedder=Sighted())
    with pytest.raises(InputError, match="both an embedder and a similarity"):
        align(signs, cues, embedder=Constant(), similarity=np.ones((2, 2)))


@pytest.mark.parametrize(("cues", "signs"), [([], [Sign(0, 1)]), ([Cue(0, 1, "a")], [])])
def test_without_cues_or_signs_nothing_is_embedded(cues, signs):
    with pytest.warns(InputWarning, match="nothing was moved"):
        align(signs, cues, embedder=Sighted())


@pytest.mark.parametrize(("rows", "says"), [(1, "gave 1 rows for 2"), (2, "gave 2 of 2 .* not finite")])
def test_an_embedder_that_gives_other_rows_is_refused(rows, says):
    class Broken(Constant):
        def signs(self, poses, signs):
            return Embeddings(np.full((rows, 2), np.nan), "broken")

    with pytest.raises(InputError, match=says):
        align([Sign(0, 1), Sign(3, 4)], [Cue(0, 1, "a")], embedder=Broken())


def test_presets_are_the_published_ones():
    assert PRESETS["bobsl"].costs == Costs()
    assert {name: preset.lag for name, preset in PRESETS.items()} == {
        "bobsl": (2.6, 2.1),
        "how2sign": (1.3, 1.5),
        "srf": (1.4, 1.6),
        "mitenand": (0.49, 0.56),
    }


def test_compare_is_the_dot_product_and_refuses_two_spaces():
    text = Embeddings(np.array([[1.0, 0.0], [0.5, 0.5]]), "a")
    signs = Embeddings(np.array([[2.0, 1.0]]), "a")
    assert compare(text, signs).tolist() == [[2.0], [1.5]]
    with pytest.raises(InputError, match="cannot compare 'a' with 'b': embed both with one model"):
        compare(text, replace(signs, space="b"))
    with pytest.raises(InputError, match="2 and 3 dimensions"):
        compare(text, Embeddings(np.zeros((1, 3)), "a"))
