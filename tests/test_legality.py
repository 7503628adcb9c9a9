import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seasign.legality import FRAME, check_nothing_lost, legalize, place_dropped
from seasign.types import Cue, InputError


def lines(*spans, text="Rain."):
    return [Cue(start, end, text, str(i)) for i, (start, end) in enumerate(spans)]


def times(cues):
    return [(cue.start, cue.end) for cue in cues]


def rounded(cues):
    return [(round(cue.start, 6), round(cue.end, 6)) for cue in cues]


def in_time(cues):
    """Distinct spans, in order of time."""
    return sorted(set(times(cues)))


moments = st.one_of(st.integers(-200, 2000).map(lambda t: t / 100), st.floats(-2, 20))
spans = st.one_of(
    st.tuples(moments, moments), st.tuples(moments, st.floats(0, 3)).map(lambda span: (span[0], sum(span)))
)
texts = st.sampled_from(["", "Rain.", "Heavy rain\ntonight.", "Heavy rain is expected in the whole of the north."])
files = st.lists(st.builds(lambda span, text: Cue(*span, text), spans, texts), max_size=9).flatmap(
    lambda cues: (
        st.builds(lambda again: cues + again, st.lists(st.sampled_from(cues), max_size=2)) if cues else st.just([])
    )
)
rules = st.fixed_dictionaries(
    {
        "min_duration": st.sampled_from([0.0, 0.833, 1.5]),
        "min_gap": st.sampled_from([0.0, 0.08, 0.1]),
        "max_speed": st.sampled_from([None, 12.0, 20.0]),
        "dropped": st.frozensets(st.integers(0, 9)),
    }
)
paddings = st.sampled_from([(0.0, 0.0), (0.0, 1.0), (-0.2, 0.5), (0.3, -0.2)])


# --- What always holds ----------------------------------------------------------------------------------------------


@given(files, rules, paddings)
@example([Cue(-3, -1, "a"), Cue(-2, -1, "b")], {}, (0.0, 0.0))
def test_legal_cues_do_not_overlap_and_are_all_there_in_their_order(cues, rules, padding):
    legal, legality = legalize(cues, padding=padding, **rules)
    assert [replace(cue, start=0, end=0) for cue in legal] == [replace(cue, start=0, end=0) for cue in cues]
    gap = rules.get("min_gap", 0.0)
    assert all(end + gap <= start + 1e-8 for (_, end), (start, _) in pairwise(in_time(legal)))
    assert all(start >= 0 and end > start + FRAME - 1e-8 for start, end in in_time(legal))
    in_order = [times(legal)[i] for i in sorted(range(len(cues)), key=lambda i: times(cues)[i])]
    assert in_order == sorted(in_order)
    assert legality.overlaps_after == 0


@given(files, rules, paddings)
def test_what_is_legal_stays_to_the_last_digit(cues, rules, padding):
    legal, before = legalize(cues, padding=padding, **rules)
    again, after = legalize(legal, **rules)
    assert again == legal
    assert (after.moved, after.overlaps_before) == (0, 0)
    assert (after.too_short, after.too_fast, after.speeds) == (before.too_short, before.too_fast, before.speeds)


@given(files, rules)
def test_a_cue_stays_too_short_or_too_fast_only_where_it_has_no_room_left(cues, rules):
    legal, legality = legalize(cues, **rules)
    distinct, gap, speed = in_time(legal), rules["min_gap"], rules["max_speed"]
    cornered = {
        span
        for before, span, after in zip([(0, -gap), *distinct], distinct, [*distinct[1:], (np.inf, 0)], strict=False)
        if abs(before[1] + gap - span[0]) < 1e-8 and abs(after[0] - gap - span[1]) < 1e-8
    }
    short = [cue.end - cue.start < rules["min_duration"] - 1e-8 for cue in legal]
    fast = [speed is not None and found > speed * (1 + 1e-6) for found in legality.speeds]
    assert all(span in cornered for span, *bad in zip(times(legal), short, fast, strict=True) if any(bad))
    assert legality.too_short == sum(short)
    assert legality.too_fast == (None if speed is None else sum(fast))


@given(files, st.sampled_from([0.0, 0.833]), st.sampled_from([0.0, 0.1]))
def test_no_cue_loses_the_least_duration_to_another_and_no_start_waits_without_need(cues, least, gap):
    legal, _ = legalize(cues, min_duration=least, min_gap=gap)
    for cue, own in zip(cues, legal, strict=True):
        assert own.duration >= min(cue.end - max(0, cue.start), least) - 1e-8
    before = [(max(0, start), max(0, start, end)) for start, end in in_time(cues)]
    for (first, following), (own, after) in zip(pairwise(before), pairwise(in_time(legal)), strict=True):
        if after[0] > following[0] + 1e-8:  # it waited, and for no longer than that
            assert own[1] - max(own[0], first[0]) <= max(FRAME, min(first[1] - first[0], least)) + 1e-8
            assert after[0] == pytest.approx(own[1] + gap)


@given(files)
def test_without_a_least_duration_every_end_is_clamped_at_the_next_start(cues):
    starts = sorted({max(0, cue.start) for cue in cues})
    if len(starts) == len(in_time(cues)) and all(b - a > FRAME for a, b in pairwise(starts)):
        legal, _ = legalize(cues, min_duration=0)
        following = dict(pairwise([*starts, np.inf]))
        assert [cue.start for cue in legal] == [max(0, cue.start) for cue in cues]
        expected = [
            min(max(cue.end, own.start + FRAME), following[own.start]) for cue, own in zip(cues, legal, strict=True)
        ]
        assert [cue.end for cue in legal] == pytest.approx(expected, abs=1e-8)


@given(files, st.data())
def test_cues_that_are_no_guess_wait_for_no_dropped_one(cues, data):
    dropped = data.draw(st.frozensets(st.integers(0, len(cues))))
    firm = [i for i in range(len(cues)) if i not in dropped]
    together, _ = legalize(cues, min_duration=0.5, dropped=dropped)
    alone, _ = legalize([cues[i] for i in firm], min_duration=0.5)
    most = FRAME * len(cues)
    for i, own in zip(firm, alone, strict=True):
        earlier = 0.5 if own.start < cues[i].start else 0  # alone it found room before it
        assert together[i].start <= own.start + earlier + most


# --- The rules, one by one ------------------------------------------------------------------------------------------


def test_ends_yield_and_starts_stay_whatever_the_order_of_the_file():
    legal, legality = legalize(lines((4, 6), (0, 5), (5, 8)))
    assert times(legal) == [(4, 5), (0, 4), (5, 8)]
    assert (legality.overlaps_before, legality.shortened, legality.delayed, legality.moved) == (2, 2, 0, 2)


def test_a_start_waits_for_a_cue_that_would_lose_its_least_duration():
    legal, legality = legalize(lines((1, 4), (1.2, 4), (1.3, 6)), min_duration=1)
    assert rounded(legal) == [(1, 2), (2, 3), (3, 6)]
    assert (legality.delayed, legality.shortened, legality.too_short) == (2, 2, 0)


def test_a_gap_is_made_at_the_end_before_it():
    legal, _ = legalize(lines((1, 3), (3, 5), (5.05, 7)), min_gap=0.08)
    assert rounded(legal) == [(1, 2.92), (3, 4.97), (5.05, 7)]


def test_padding_is_clamped_at_the_next_start_and_the_end_before():
    legal, legality = legalize(lines((1, 3), (3.4, 5), (9, 11)), padding=(-0.3, 1), min_gap=0.1)
    assert rounded(legal) == [(0.7, 3.0), (3.1, 6.0), (8.7, 12.0)]
    assert legality.clamped == 1
    legal, legality = legalize(lines((0.1, 3), (3, 5)), padding=(-0.3, 1))
    assert times(legal) == [(0, 3), (3, 6)]
    assert legality.clamped == 2


def test_short_cues_take_the_room_after_them_and_then_the_room_before():
    legal, legality = legalize(lines((1, 2), (2.7, 3), (3.2, 5)), min_duration=1)
    assert rounded(legal) == [(1, 2), (2.2, 3.2), (3.2, 5)]
    assert (legality.lengthened, legality.too_short) == (1, 0)
    legal, legality = legalize(lines((1, 2.6), (2.7, 3), (3.2, 5)), min_duration=1)
    assert rounded(legal) == [(1, 2.6), (2.6, 3.2), (3.2, 5)]
    assert (legality.lengthened, legality.too_short) == (1, 1)


def test_reading_speed_counts_what_is_read_and_is_repaired_on_demand():
    cues = [Cue(1, 2, "<i>Heavy rain</i>\ntonight."), Cue(5, 6, "Yes.")]

    def plain(text):
        return text.replace("<i>", "").replace("</i>", "")

    legal, legality = legalize(cues, plain=plain)
    assert list(legal) == cues
    assert (legality.speeds, legality.too_fast) == ((18, 4), None)
    legal, legality = legalize(cues, plain=plain, max_speed=15)
    assert rounded(legal) == [(1, 2.2), (5, 6)]
    assert (round(legality.speeds[0], 6), legality.too_fast, legality.lengthened) == (15, 0, 1)
    assert legalize([cues[0], Cue(2, 9, "Yes.")], plain=plain, max_speed=8)[1].too_fast == 1
    assert rounded(legalize([cues[0], Cue(2, 9, "Yes.")], plain=plain, max_speed=12)[0])[0] == (0.5, 2)


def test_simultaneous_cues_stay_so_and_are_read_in_the_same_time():
    cues = [Cue(1, 3, "Where?", None, "line:0"), Cue(1, 3, "Here.", None, "line:90%"), Cue(2.5, 4, "There.")]
    legal, legality = legalize(cues)
    assert times(legal) == [(1, 2.5), (1, 2.5), (2.5, 4)]
    assert legality.simultaneous == 2
    assert legality.speeds[:2] == (11 / 1.5, 11 / 1.5)


def test_cues_with_only_their_start_in_common_follow_each_other():
    assert rounded(legalize(lines((1, 5), (1, 3)), min_duration=1)[0]) == [(2, 5), (1, 2)]


def test_a_dropped_cue_gives_way_to_those_that_are_signed():
    cues = lines((1, 5), (2, 4), (5, 8))
    assert times(legalize(cues, min_duration=1)[0]) == [(1, 2), (2, 4), (5, 8)]
    assert times(legalize(cues, min_duration=1, dropped=[1])[0]) == [(1, 4), (4, 5), (5, 8)]
    cues = lines((2, 4), (2.2, 5))
    assert rounded(legalize(cues, min_duration=1)[0]) == [(2, 3), (3, 5)]
    assert rounded(legalize(cues, min_duration=1, dropped=[0])[0]) == [(1.2, 2.2), (2.2, 5)]


@given(files, rules, paddings, st.data())
def test_a_pinned_cue_stays_where_it_is(cues, rules, padding, data):
    place = data.draw(st.integers(0, len(cues)))
    start = round(data.draw(st.floats(1, 15)), 2)
    pin = Cue(start, start + round(data.draw(st.floats(0.3, 3)), 2), "pinned")
    everything = [*cues[:place], pin, *cues[place:]]
    rules |= {"dropped": [i + (i >= place) for i in rules["dropped"]]}
    before = [cue for cue in everything if max(0, cue.start) <= pin.start and cue is not pin]
    legal, legality = legalize(everything, padding=padding, pinned=[place], **rules)
    if len(before) <= 1 and all(max(0, cue.start) <= pin.start - FRAME - rules["min_gap"] for cue in before):
        assert times(legal)[place] == pytest.approx((pin.start, pin.end))
    assert legality.overlaps_after == 0


def test_others_yield_to_a_pinned_cue_and_padding_does_not_touch_it():
    cues = lines((1, 4), (3, 5), (4.5, 8))
    assert times(legalize(cues, min_duration=2.5)[0]) == [(1, 3.5), (3.5, 5.5), (5.5, 8)]
    assert times(legalize(cues, min_duration=2.5, pinned=[1])[0]) == [(0.5, 3), (3, 5), (5, 8)]
    assert times(legalize(cues, padding=(-0.5, 1), pinned=[1])[0]) == [(0.5, 3), (3, 5), (5, 9)]
    assert times(legalize(lines((1, 1.2), (9, 10)), min_duration=2, pinned=[0])[0]) == [(1, 1.2), (9, 11)]


def test_reversed_negative_and_empty_cues_become_legal():
    legal, legality = legalize(lines((-3, -1), (2, 1), (4, 4)))
    assert rounded(legal) == [(0, 0.833), (2, 2.833), (4, 4.833)]
    assert legality.lengthened == 3
    assert legalize([]) == ((), replace(legalize([])[1]))
    assert legalize([])[1].speeds == ()


def test_legalize_refuses_times_and_rules_without_meaning():
    with pytest.raises(InputError, match="cue 2 goes from nan to 3 s: times must be finite"):
        legalize(lines((0, 1), (np.nan, 3)))
    for rule in {"min_gap": -0.1}, {"min_duration": -1}, {"max_speed": 0.0}:
        with pytest.raises(InputError, match="give positive rules"):
            legalize([], **rule)


def test_a_thousand_cues_are_legal_in_ten_milliseconds():
    rng = np.random.default_rng(1)
    starts = np.sort(rng.uniform(0, 3600, 1000))
    cues = lines(*zip(starts.tolist(), (starts + rng.uniform(0, 8, 1000)).tolist(), strict=True))
    took = []
    for _ in range(5):
        began = time.process_time()
        legalize(cues, padding=(0, 1), max_speed=20, dropped=range(0, 1000, 7))
        took.append(time.process_time() - began)
    assert min(took) < 0.04  # 4 ms on a quiet machine, without the checks of shapes


# --- Cues without a partner -----------------------------------------------------------------------------------------

DELIVERED = [Cue(0, 2, "One.", "a"), Cue(3, 5, "Two.", "b", "line:0"), Cue(6, 8, "Three.", "c")]
ALIGNED = [replace(cue, start=cue.start + 2, end=cue.end + 3) for cue in DELIVERED]


@pytest.mark.parametrize(
    ("policy", "cue"),
    [
        ("keep", Cue(3, 5, "Two.", "b", "line:0")),
        ("shift", Cue(4.5, 6, "Two.", "b", "line:0")),
        ("mark", Cue(4.5, 6, "[not signed] Two.", "b", "line:0")),
        ("remove", None),
    ],
)
@pytest.mark.parametrize("lag", [(1.5, 1.0), np.array([[0, 0], [1.5, 1.0], [9, 9]])])
def test_a_cue_without_a_partner_is_kept_shifted_marked_or_removed(policy, cue, lag):
    placed = place_dropped(DELIVERED, ALIGNED, {1}, policy, lag)
    assert placed == (ALIGNED[0], *([cue] if cue else []), ALIGNED[2])
    check_nothing_lost(DELIVERED, placed, {1}, policy)
    if policy == "mark":
        assert place_dropped(placed, placed, {1}, "mark") == placed  # once is enough
        assert place_dropped([Cue(1, 2, "")], [Cue(1, 2, "")], {0}, "mark")[0].text == "[not signed]"


def test_dropped_cues_are_placed_among_as_many_cues_only():
    with pytest.raises(InputError, match="3 cues were delivered, and 2 aligned"):
        place_dropped(DELIVERED, ALIGNED[:2], {1})


@given(st.lists(st.sampled_from("ab"), max_size=4), st.lists(st.sampled_from("ab"), max_size=4))
def test_nothing_is_lost_exactly_if_the_texts_are_the_same(delivered, written):
    sides = [[Cue(i * shift, 9, text) for i, text in enumerate(side)] for shift, side in ((1, delivered), (2, written))]
    if delivered == written:
        check_nothing_lost(*sides)
    else:
        with pytest.raises(InputError, match=r"^cue \d .*: nothing may be written$"):
            check_nothing_lost(*sides)


@pytest.mark.parametrize(
    ("cues", "message"),
    [
        (DELIVERED[:2], r"cue 3 \('Three.'\) of 3 was lost"),
        ([*DELIVERED, DELIVERED[0]], r"cue 4 \('One.'\) was never delivered"),
        ([DELIVERED[0], replace(DELIVERED[1], text="Too."), DELIVERED[2]], "cue 2 had the text 'Two.', now 'Too.'"),
        ([replace(DELIVERED[0], id=None), *DELIVERED[1:]], "cue 1 had the id 'a', now None"),
        (
            [DELIVERED[0], replace(DELIVERED[1], settings=None), DELIVERED[2]],
            "cue 2 had the settings 'line:0', now None",
        ),
    ],
)
def test_what_is_lost_is_named(cues, message):
    with pytest.raises(InputError, match=message):
        check_nothing_lost(DELIVERED, cues)
