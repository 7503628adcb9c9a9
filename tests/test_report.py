"""The numbers of the summary, on an episode small enough to count by hand; and where the timeline draws things."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from seasign.alignment import align
from seasign.report import RESTS, build_report, diagnose, give_verdict, summarize
from seasign.synthesis import Stress, simulate_similarity, synthesize
from seasign.types import Alignment, Costs, Cue, Lag, Sign, Stretch
from seasign.web.timeline import LEFT, WIDTH, draw_timeline

SIGNS = [Sign(start, start + 1) for start in (10, 11, 20, 30, 40, 50, 60, 70, 80, 90)]  # the first two make one bout
DELIVERED = [Cue(sign.start - 3, sign.start - 2.5, "x") for sign in SIGNS]  # half a second each, before its sign
SHIFTS = [3, 3, 3, 3, 3, 3, 3, 3, 4, 5]  # of the starts; the ends move by half a second more


def summary(aligned=None, runs=None):
    aligned = aligned or [
        replace(cue, start=cue.start + by, end=cue.end + by + 0.5) for cue, by in zip(DELIVERED, SHIFTS, strict=True)
    ]
    alignment = Alignment(tuple(aligned), runs or tuple((sign,) for sign in SIGNS), tuple(range(11)), 0.0)
    return summarize(DELIVERED, alignment, SIGNS)


def test_moves_are_counted_and_their_quantiles_are_the_median_and_nine_tenths():
    found = summary()
    assert (found.cues, found.signs, found.moved, found.unmatched) == (10, 10, 10, 0)
    assert found.lag == (3.0, 3.5)
    assert found.half == 3.0
    assert found.most == pytest.approx(4.1)  # between the ninth, 4, and the tenth, 5
    back = summary([replace(cue, start=cue.start - by, end=cue.end) for cue, by in zip(DELIVERED, SHIFTS, strict=True)])
    assert back.most == pytest.approx(4.1), "whichever way"
    assert back.lag == (-3.0, 0.0)


def test_a_cue_counts_as_moved_when_either_end_moves_by_what_a_file_shows():
    aligned = list(DELIVERED)
    aligned[0] = replace(aligned[0], start=aligned[0].start + 0.001)
    aligned[1] = replace(aligned[1], end=aligned[1].end - 0.001)
    aligned[2] = replace(aligned[2], start=aligned[2].start + 0.0004)
    found = summary(aligned, ((),) * 10)
    assert (found.moved, found.unmatched) == (2, 10)


def test_lag_only_is_what_was_delivered_shifted_by_the_lag():
    found = summary()
    assert found.delivered.on_signing == 0
    assert found.delivered.starts_on_sign == 0
    assert found.lag_only.on_signing == 1  # 3 s later each starts with its sign and lasts as long
    assert found.lag_only.starts_on_sign == 1
    assert found.aligned.starts_on_sign == pytest.approx(0.8)  # two were moved too far
    assert found.aligned.on_signing == pytest.approx(0.8)
    assert [state.overlaps for state in (found.delivered, found.lag_only, found.aligned)] == [0, 0, 0]


@pytest.mark.parametrize(("off", "share"), [(0, 1), (0.19, 1), (-0.19, 1), (0.21, 0), (-0.21, 0)])
def test_a_cue_starts_on_a_sign_within_a_fifth_of_a_second(off, share):
    aligned = [replace(cue, start=sign.start + off, end=sign.end) for cue, sign in zip(DELIVERED, SIGNS, strict=True)]
    assert summary(aligned).aligned.starts_on_sign == share


def test_time_on_signing_is_a_share_of_the_time_of_the_cues():
    aligned = [replace(cue, start=sign.start - 1, end=sign.end) for cue, sign in zip(DELIVERED, SIGNS, strict=True)]
    found = summary(aligned).aligned
    assert found.on_signing == pytest.approx((9 * 1 + 2) / 20)  # the second cue lies on the first two signs
    assert found.overlaps == 1


def test_joined_is_the_lag_and_then_neighbours_that_meet_half_way():
    signs = [Sign(10, 12), Sign(14, 16), Sign(30, 31)]
    delivered = [Cue(8, 10, "a"), Cue(10.6, 14, "b"), Cue(28, 29, "c")]  # the first two are .6 s apart
    aligned = [replace(cue, start=cue.start + 2, end=cue.end + 2) for cue in delivered]
    found = summarize(delivered, Alignment(tuple(aligned), tuple((sign,) for sign in signs), (0, 1, 2, 3), 0.0), signs)
    assert found.lag == (2.0, 2.0)
    assert found.lag_only.on_signing == pytest.approx((2 + 2 + 1) / 6.4)
    assert found.joined.on_signing == pytest.approx((2 + 2 + 1) / 7)  # 10 to 12.3, 12.3 to 16, 30 to 31
    assert found.joined.overlaps == 0


# --- the segmentation -------------------------------------------------------------------------------------------------


def test_signs_are_diagnosed_by_pace_rests_and_what_looks_wrong():
    steady = [Sign(0.5 * j, 0.5 * j + 0.5) for j in range(124)]  # 62 s without a rest
    signs = [*steady, Sign(62.05, 63), Sign(63.3, 67), Sign(80, 80.5)]
    cues = [Cue(67, 69, "in"), Cue(70, 79, "in too"), Cue(78, 81, "over its end"), Cue(-1, 1, "first")]
    found = diagnose(signs, cues)
    assert (found.signs, found.bouts) == (127, 4)
    assert found.rate == pytest.approx(127 / (62 + 0.95 + 3.7 + 0.5))
    assert found.signing == pytest.approx(67.15 / 82)  # from the first cue to the end of the last
    assert dict(zip([*RESTS, None], found.rests, strict=True)) == dict.fromkeys([*RESTS, None], 0) | {
        0.1: 1, 0.4: 1, None: 1,
    }  # fmt: skip
    assert [(one.start, one.end) for one in found.suspicious] == [(0, 62), (63.3, 67), (67, 80)]
    assert [one.reason for one in found.suspicious] == [
        "62 s of signing without a rest: hands that rest high?",
        "one sign of 3.7 s: several signs in one?",
        "no signs for 13 s, but 2 cues",
    ]
    assert diagnose(signs, cues[1:]).suspicious == found.suspicious[:2]  # one whole cue may be nobody's


def test_where_there_is_nothing_there_is_nothing_to_suspect():
    found = diagnose([])
    assert (found.signs, found.bouts, sum(found.rests), found.suspicious) == (0, 0, 0, ())
    assert found.rate != found.rate
    assert found.signing != found.signing


# --- the report -------------------------------------------------------------------------------------------------------


def report_of(alignment, delivered, signs):
    return build_report(
        delivered,
        alignment,
        alignment.cues,
        signs,
        verdict=give_verdict(alignment),
        summary=summarize(delivered, alignment, signs),
        texts=[cue.text for cue in delivered],
        speeds=[1.0] * len(delivered),
    )


@pytest.mark.parametrize("strength", [None, 0.3])
def test_the_terms_in_a_report_add_up_to_its_cost(strength):
    episode = synthesize(3, duration=300.0, fps=None, stress=Stress(unsigned=0.2, unsubtitled=0.1))
    similarity = None if strength is None else simulate_similarity(episode, strength, 3)
    pin = (episode.reference[5].start, episode.reference[5].end)
    alignment = align(episode.signs, episode.cues, similarity=similarity, lag=(2.0, 2.0), pins={5: pin})
    report = report_of(alignment, episode.cues, episode.signs)
    cues = report["cues"]
    assert sum(sum(cue["terms"].values()) for cue in cues if cue["terms"]) == pytest.approx(report["cost"])
    assert any(cue["dropped"] for cue in cues)
    for cue in cues:
        if cue["pinned"]:
            assert (cue["index"], cue["terms"], cue["aligned"], cue["dropped"]) == (5, None, list(pin), False)
        elif cue["dropped"]:
            assert cue["terms"] == {"drop": Costs.drop}
            assert cue["why"]
        else:
            first, stop = cue["run"]
            lagged = [cue["delivered"][0] + cue["lag"][0], cue["delivered"][1] + cue["lag"][1]]
            start, end = episode.signs[first].start, episode.signs[stop - 1].end
            assert cue["terms"]["start"] == pytest.approx(abs(lagged[0] - start))
            assert cue["terms"]["end"] == pytest.approx(abs(lagged[1] - end))
            assert cue["why"] is None
    rewards = [cue["terms"]["similarity"] for cue in cues if cue["terms"] and not cue["dropped"]]
    assert any(rewards) == (strength is not None)


def test_a_report_names_the_alternatives_and_why_a_cue_was_dropped():
    episode = synthesize(3, duration=300.0, fps=None, stress=Stress(unsigned=0.2))
    alignment = align(episode.signs, episode.cues, lag=(2.0, 2.0))
    report = report_of(alignment, episode.cues, episode.signs)
    for cue, sure in zip(report["cues"], alignment.confidence, strict=True):
        assert [(it["start"], it["end"], it["probability"]) for it in cue["alternatives"]] == [
            (it.start, it.end, it.probability) for it in sure.alternatives
        ]
    assert any(cue["alternatives"] for cue in report["cues"])
    reasons = {cue["why"].split(" ")[0] for cue in report["cues"] if cue["dropped"]}
    assert reasons <= {"without", "every"}
    assert report["segmentation"]["rests"]["up_to"] == [*RESTS, None]
    assert len(report["segmentation"]["rests"]["counts"]) == len(RESTS) + 1
    assert report["baselines"]["joined"]


# --- timeline ---------------------------------------------------------------------------------------------------------


def boxes(svg):
    """Of each span: its title, x, y and width."""
    groups = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}g")
    return [(group[0].text, *(float(group[1].get(name)) for name in ("x", "y", "width"))) for group in groups]


def test_a_span_is_drawn_where_it_is_and_as_long_as_it_is():
    svg = draw_timeline({"signs": [Sign(3.0, 6.0, "RAIN")], "cues": [Cue(9.0, 12.0, "x")]}, seconds=30, row=30)
    (sign, sign_x, sign_y, sign_width), (cue, cue_x, cue_y, cue_width) = boxes(svg)
    second = WIDTH / 30
    assert (sign, cue) == ("RAIN (3.00 - 6.00 s)", "1 x (9.00 - 12.00 s)")
    assert sign_x == pytest.approx(LEFT + 3 * second, abs=0.05)
    assert cue_x == pytest.approx(LEFT + 9 * second, abs=0.05)
    assert sign_width == pytest.approx(3 * second - 0.8, abs=0.05)  # a hair's breadth between neighbours
    assert cue_width == sign_width
    assert cue_y > sign_y


def test_a_span_over_the_end_of_a_row_goes_on_in_the_next():
    svg = draw_timeline({"signs": [Sign(8.0, 13.0, "RAIN")]}, row=10)
    (_, first_x, first_y, first_width), (_, next_x, next_y, next_width) = boxes(svg)
    second = WIDTH / 10
    assert (first_x, next_x) == (pytest.approx(LEFT + 8 * second, abs=0.05), LEFT)
    assert (first_width, next_width) == (
        pytest.approx(2 * second - 0.8, abs=0.05),
        pytest.approx(3 * second - 0.8, abs=0.05),
    )
    assert next_y > first_y


def test_the_scale_stands_at_its_seconds():
    svg = draw_timeline({"signs": []}, seconds=20, row=20)
    texts = re.findall(r'<text x="([0-9.]+)"[^>]*>([0-9]+:[0-9]+)</text>', svg)
    assert [(float(x), label) for x, label in texts] == [
        (pytest.approx(LEFT + second * WIDTH / 20, abs=0.05), f"0:{second:02}") for second in (0, 5, 10, 15, 20)
    ]


def test_a_character_that_xml_cannot_hold_is_replaced():
    text = "".join(map(chr, range(33))) + "\ud800\uffff<&>\U0001f600"
    svg = draw_timeline({f"signs{chr(7)}": [Sign(0, 20, text)], "cues": [Cue(0, 20, text)]})
    titles = [title for title, *_ in boxes(svg)]
    assert all("<&>\U0001f600" in title and "\ufffd" in title for title in titles)


def test_no_lag_is_less_than_nothing():
    assert str(Lag((Stretch(0, 1, -0.004, 0.0, -1.0, 1.0),), 9.0)) == "+0.00 s at the starts, +0.00 s at the ends"
    both = Lag((Stretch(0, 1, -0.001, 0.0, -1.0, 1.0), Stretch(2, 2, -2.0, -2.0, -3.0, -1.0)), 9.0)
    assert str(both) == "2 cues +0.00 s, then 1 cue -2.00 s"
