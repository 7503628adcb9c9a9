import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seasign.spans import iou, join_neighbours, nearest, shift
from seasign.types import Cue

seconds = st.integers(0, 12_000).map(lambda ms: ms / 1000)
frames = st.tuples(st.integers(0, 20), st.integers(1, 10)).map(lambda pair: range(pair[0], sum(pair)))


@given(st.lists(frames, min_size=1, max_size=4), st.lists(frames, min_size=1, max_size=4))
def test_intersection_over_union_is_that_of_the_frames(some, others):
    a, b = (np.array([(one.start, one.stop) for one in side], float) for side in (some, others))
    expected = [[len({*one} & {*other}) / len({*one} | {*other}) for other in others] for one in some]
    np.testing.assert_allclose(iou(a[:, None], b), expected)


@given(st.lists(seconds, min_size=1, max_size=6), st.lists(seconds, min_size=1, max_size=20), st.integers(1, 25))
def test_nearest_signs_are_the_nearest(cues, signs, size):
    chosen = nearest(np.array(cues), np.array(signs), size)
    for middle, row in zip(cues, chosen, strict=True):
        assert len(set(row.tolist())) == min(size, len(signs))
        expected = sorted(abs(middle - other) for other in signs)[: len(row)]
        assert sorted(abs(middle - signs[j]) for j in row) == pytest.approx(expected)


def test_neighbours_that_nearly_touch_meet_half_way_whatever_their_order_in_the_file():
    cues = [Cue(0, 1, "a"), Cue(1.5, 3, "b"), Cue(2.6, 4, "c"), Cue(5.5, 6, "d")]
    joined = join_neighbours(cues, (2.0, 2.0))
    np.testing.assert_allclose([(cue.start, cue.end) for cue in joined], [(2, 3.25), (3.25, 4.8), (4.8, 6), (7.5, 8)])
    assert join_neighbours(cues[::-1], (2.0, 2.0)) == joined[::-1]
    assert join_neighbours(cues, (1.0, 1.5), within=0.1) == shift(cues, (1.0, 1.5))
