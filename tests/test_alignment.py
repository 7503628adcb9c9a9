import gzip
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seasign.alignment import PRESETS, align, assign, lay_out, shift
from seasign.embedding import compare, normalize
from seasign.solver import nearest, solve
from seasign.types import Costs, Cue, Embeddings, InputError, InputWarning, Normalization, Sign

GOLDEN = json.loads(gzip.decompress((Path(__file__).parent / "golden" / "sea_dp_public.json.gz").read_bytes()))
NORMALIZATIONS = {
    "softmax": Normalization(),
    "z-score": Normalization(rows="z-score"),
    "sinkhorn": Normalization(rows="sinkhorn"),
    "softmax+col": Normalization(columns=True),
    "threshold": Normalization(threshold=0.9),
    "col_only": Normalization(rows=None, columns=True),
}


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
    alignment = assign(cues_of(case), signs_of(case), similarity_of(case), costs=Costs(**case["params"], compat=compat))
    assert alignment.cost == pytest.approx(case["cost"], rel=1e-6)
    if "tie" in case["flags"]:
        return
    assert list(alignment.boundaries) == case["boundaries"]
    times = [[cue.start for cue in alignment.cues], [cue.end for cue in alignment.cues]]
    published = [case["aligned_start"], case["aligned_end"]]
    if "row_shift" in case["flags"] and compat is None:
        assert times != published  # the reference prices the pieces with the similarities of the cue before
    else:
        assert times == published


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["id"])
def test_windows_and_rewards_are_the_published_ones(case):
    problem = lay_out(cues_of(case), signs_of(case), similarity_of(case), case["params"]["window"])
    assert problem.low.tolist() == case["window_lo"]
    assert problem.high.tolist() == case["window_hi"]
    for row, sample in (case["sim_sample"] or {}).items():
        low, high = problem.low[int(row)], problem.high[int(row)]
        expected = sum(value for column, value in sample if low <= column <= high)
        assert problem.rewards[int(row), -1] == pytest.approx(expected)


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
    _, rewards = normalize(similarity, np.array([1.0]), np.array([0.0, 1.0, 2.0]), Normalization())
    assert rewards.sum() == pytest.approx(50)
    assert rewards.max() == pytest.approx(50 / (1 + np.exp(-1)))


# --- against brute force ---------------------------------------------------------------------------------------------


def price(cue: Cue, run: list[Sign], rewards: np.ndarray, costs: Costs) -> float:
    """The objective as the paper states it, one run at a time."""
    start, end = run[0].start, run[-1].end
    gap = sum(max(0.0, later.start - earlier.end) for earlier, later in itertools.pairwise(run))
    return (
        abs(cue.start - start)
        + abs(cue.end - end)
        + costs.w_dur * abs(cue.duration - (end - start))
        + costs.w_gap * gap
        - costs.w_sim * rewards.sum()
    )


def brute_force(cues: list[Cue], signs: list[Sign], similarity: np.ndarray | None, costs: Costs) -> float:
    """The least cost over every assignment there is; infinite when there is none."""
    cue_middles, sign_middles = (np.array([span.middle for span in spans]) for spans in (cues, signs))
    near = nearest(cue_middles, sign_middles, costs.window)
    rewards = np.zeros((len(cues), len(signs)))
    if similarity is not None:
        neighbours, values = normalize(similarity, cue_middles, sign_middles, Normalization())
        np.put_along_axis(rewards, neighbours, values, axis=1)
    for i, row in enumerate(near):
        rewards[i, : row.min()] = rewards[i, row.max() + 1 :] = 0
    best = np.inf
    for stops in itertools.combinations(range(1, len(signs) + 1), len(cues)):
        if all(row.min() <= stop - 1 <= row.max() for row, stop in zip(near, stops, strict=True)):
            edges = [0, *stops]
            total = sum(
                price(cue, signs[j:k], rewards[i, j:k], costs)
                for i, (cue, (j, k)) in enumerate(zip(cues, itertools.pairwise(edges), strict=True))
            )
            best = min(best, total)
    return best


seconds = st.integers(0, 12_000).map(lambda ms: ms / 1000)


@st.composite
def episodes(draw):
    """A few cues and signs: overlapping, touching, reversed cues included; sorted, as the stages have them."""
    cues = draw(st.lists(st.builds(Cue, seconds, seconds, st.just("x")), min_size=1, max_size=4))
    spans = draw(st.lists(st.tuples(seconds, st.integers(0, 2_000)), min_size=1, max_size=8))
    signs = [Sign(start, start + length / 1000) for start, length in spans]
    shape = (len(cues), len(signs))
    numbers = st.lists(st.integers(-40, 40), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])
    similarity = draw(st.none() | numbers.map(lambda values: np.array(values, float).reshape(shape)))
    costs = Costs(
        w_dur=draw(st.sampled_from([0.0, 0.5, 1.0, 5.0])),
        w_gap=draw(st.sampled_from([0.0, 0.3, 5.0])),
        w_sim=draw(st.sampled_from([0.0, 0.1, 10.0])),
        window=draw(st.sampled_from([None, 1, 2, 3, 50])),
        max_gap=1e9,
    )
    by_time = lambda span: (span.start, span.end)  # noqa: E731
    return sorted(cues, key=by_time), sorted(signs, key=by_time), similarity, costs


@settings(max_examples=400, deadline=None)
@given(episodes())
def test_assign_is_never_beaten_by_brute_force(episode):
    cues, signs, similarity, costs = episode
    best = brute_force(cues, signs, similarity, costs)
    if best == np.inf:
        with pytest.raises(InputError, match="can reach no free sign"):
            assign(cues, signs, similarity, costs=costs)
        return
    alignment = assign(cues, signs, similarity, costs=costs)
    assert alignment.cost == pytest.approx(best, abs=1e-6)
    edges = alignment.boundaries
    assert [list(run) for run in alignment.runs] == [signs[j:k] for j, k in itertools.pairwise(edges)]


@settings(max_examples=50, deadline=None)
@given(episodes(), st.lists(st.tuples(*[st.floats(0, 10)] * 3), min_size=2, max_size=5))
def test_many_settings_solve_as_one_by_one(episode, weights):
    cues, signs, similarity, costs = episode
    problem = lay_out(cues, signs, similarity, costs.window)
    columns = np.array(weights).T
    together = solve(problem, *columns)
    for i in range(len(weights)):
        alone = solve(problem, *columns[:, i : i + 1])
        assert together.stuck[i] == alone.stuck[0]
        if alone.stuck[0] == len(cues):
            assert together.cost[i] == pytest.approx(alone.cost[0])
            assert (together.boundaries[i] == alone.boundaries[0]).all()


@given(st.lists(seconds, min_size=1, max_size=6), st.lists(seconds, min_size=1, max_size=20), st.integers(1, 25))
def test_nearest_signs_are_the_nearest(cues, signs, size):
    chosen = nearest(np.array(cues), np.array(signs), size)
    for middle, row in zip(cues, chosen, strict=True):
        assert len(set(row.tolist())) == min(size, len(signs))
        expected = sorted(abs(middle - other) for other in signs)[: len(row)]
        assert sorted(abs(middle - signs[j]) for j in row) == pytest.approx(expected)


# --- the refinement at pauses ----------------------------------------------------------------------------------------


def test_a_run_is_cut_at_a_long_pause_and_the_nearer_piece_stays():
    signs = [Sign(0, 0.5), Sign(20, 20.5), Sign(20.5, 21), Sign(40, 41)]
    cues = [Cue(20, 21, "first"), Cue(40, 41, "second")]
    alignment = assign(cues, signs, costs=Costs(w_gap=0.1, max_gap=10))
    assert alignment.boundaries == (0, 3, 4)
    assert alignment.cues[0] == Cue(20, 21, "first")
    assert alignment.runs[0] == (signs[1], signs[2])


def test_pieces_are_priced_with_the_similarities_of_their_own_cue():
    signs = [Sign(0, 1), Sign(1, 2), Sign(3, 4), Sign(4, 5), Sign(20, 21)]
    cues = [Cue(0, 2, "a"), Cue(10.9, 12.9, "b")]
    toward_late = np.array([[90.0, 90, 0, 0, 0], [0.0, 0, 0, 0, 90]])
    costs = Costs(max_gap=5, w_dur=0, w_gap=0.1, w_sim=1)
    assert assign(cues, signs, toward_late, costs=costs).runs[1] == (signs[4],)
    assert assign(cues, signs, toward_late, costs=replace(costs, compat="sea")).runs[1] == (signs[2], signs[3])


# --- what assign promises --------------------------------------------------------------------------------------------


def test_assign_changes_times_and_nothing_else():
    cues = [Cue(0, 1, "<i>a</i>", id="7", settings="line:0"), Cue(2, 3, "b")]
    signs = [Sign(0.5, 1.5, "ONE", 0.9), Sign(2.25, 3.75)]
    alignment = assign(cues, signs)
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
    costs = Costs(**case["params"], compat=compat)
    if case["reference_feasible"]:
        assert len(assign(cues_of(case), signs_of(case), costs=costs).cues) == len(case["cue_start"])
    else:
        with pytest.raises(InputError, match=r"^cue \d+ at \d+\.\d\d s \('cue \d+'\) can reach no free sign.*; |: "):
            assign(cues_of(case), signs_of(case), costs=costs)


def test_the_error_names_the_window_and_shortens_long_texts():
    cues = [Cue(50.0 * i, 50.0 * i + 1, "a rather long subtitle\nthat goes on and on and on") for i in range(4)]
    signs = [Sign(0.1 * i, 0.1 * i + 0.1) for i in range(10)]
    with pytest.raises(InputError) as caught:
        assign(cues, signs, costs=Costs(window=1))
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
    alignment = align(signs, cues, lag=(2.0, 2.5), padding=(-0.1, 1.0))
    assert alignment.cues == (Cue(2.4, 4.5, "a"), Cue(6.9, 9.0, "b"))
    assert alignment.cost == assign(shift(cues, (2.0, 2.5)), signs).cost


def test_align_refuses_an_embedder_without_poses():
    class Constant:
        def text(self, texts):
            return Embeddings(np.ones((len(texts), 2)), "constant")

        def signs(self, poses, signs):
            return Embeddings(np.ones((len(signs), 2)), "constant")

    with pytest.raises(InputError, match="only signs were given"):
        align([Sign(0, 1)], [Cue(0, 1, "a")], embedder=Constant())


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
