"""Signing -> subtitles: one per phrase, in order, whatever the translator gets first; what is broken is said."""

from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
import pytest

import seasign
from seasign.formats.coco import COCO_WHOLEBODY
from seasign.translation import Translation, Translator, cut, translate
from seasign.types import Cue, InputError, InputWarning, Poses, Span, Tags

FPS = Fraction(25)
PHRASES = ((10, 40), (60, 70), (100, 175))  # frames


def poses_of(frames=200):
    xyz = np.zeros((frames, 1, 3), np.float32)
    xyz[:, 0, 0] = np.arange(frames)
    return Poses(xyz, np.ones((frames, 1), np.float32), FPS, ("A",))


@dataclass
class Phrases:
    """A segmenter that knows its phrases."""

    spans: tuple[tuple[int, int], ...] = PHRASES

    def tag(self, poses):
        tags = np.tile([0.0, 0.0, 1.0], (len(poses.xyz), 1))
        for first, stop in self.spans:
            tags[first:stop] = [0, 1, 0]
            tags[first] = [1, 0, 0]
        return Tags(tags, tags, FPS)


@dataclass
class Counter:
    """A translator that says at which frame a clip begins, and how long it is."""

    probability: float = 0.5
    seen: list[list[int]] = field(default_factory=list)

    def translate(self, clips):
        self.seen.append([len(clip.xyz) for clip in clips])
        return [Translation(f"from {clip.xyz[0, 0, 0]:.0f}\n for {len(clip.xyz)}", self.probability) for clip in clips]


@dataclass
class Says:
    """A translator that says what it is told."""

    texts: tuple[str, ...]
    probability: float = 0.5

    def translate(self, clips):
        return [Translation(text, self.probability) for text in self.texts]


def test_every_phrase_gets_its_own_text_and_time_however_they_are_batched():
    expected = (Cue(0.4, 1.6, "from 10 for 30"), Cue(2.4, 2.8, "from 60 for 10"), Cue(4, 7, "from 100 for 75"))
    for batch in (1, 2, 8):
        counter = Counter()
        found = translate(poses_of(), counter, segmenter=Phrases(), batch=batch)
        assert found.cues == expected
        assert (found.probabilities, found.phrases) == ((0.5,) * 3, 3)
        assert [length for some in counter.seen for length in some] == [10, 30, 75], "short ones come together"
        assert max(map(len, counter.seen)) <= batch
    assert isinstance(counter, Translator)


def test_phrases_without_a_word_are_left_out_and_counted():
    with pytest.warns(InputWarning, match="2 of 3 phrases were translated by nothing"):
        found = translate(poses_of(), Says(("", " \n", "words")), segmenter=Phrases())
    assert [cue.text for cue in found.cues] == ["words"]
    assert (len(found.probabilities), found.phrases) == (1, 3)


def test_where_nobody_signs_there_is_nothing_to_translate():
    with pytest.warns(InputWarning, match="nobody signs in these poses"):
        assert translate(poses_of(), Says(()), segmenter=Phrases(())).cues == ()


def test_poses_without_hands_are_not_translated():
    poses = replace(poses_of(), landmarks=("LEFT_HAND_LANDMARKS.WRIST",))
    assert translate(poses, Counter(), segmenter=Phrases()).cues
    poses.xyz[:] = np.nan
    with pytest.raises(InputError, match="none of 200 frames of the poses shows a hand"):
        translate(poses, Counter(), segmenter=Phrases())


def test_phrases_of_half_a_minute_are_said_to_be_long():
    with pytest.warns(InputWarning, match=r"1 of 2 phrases is longer than 30 s, the first at 4\.00 s"):
        translate(poses_of(1000), Counter(), segmenter=Phrases(((10, 40), (100, 900))))


@pytest.mark.parametrize(
    ("translator", "line"),
    [
        (Says(("a", "b")), "the translator gave 2 texts for 3 phrases"),
        (Counter(float("nan")), r"gave the phrase at 2\.40 s a probability of nan"),
        (Counter(1.5), "a probability of 1.5: it should be 0 to 1"),
    ],
)
def test_a_translator_that_breaks_its_word_is_named(translator, line):
    with pytest.raises(InputError, match=line):
        translate(poses_of(), translator, segmenter=Phrases())


def test_a_phrase_that_is_refused_is_named_by_its_time():
    class Refuses:
        def translate(self, clips):
            raise InputError("clip 1: nobody is there")

    with pytest.raises(InputError, match=r"of the phrases at 2\.40, 0\.40 s: clip 1: nobody is there"):
        translate(poses_of(), Refuses(), segmenter=Phrases(), batch=2)


def test_progress_is_told_in_phrases():
    told = []
    translate(poses_of(), Counter(), segmenter=Phrases(), batch=2, progress=lambda *numbers: told.append(numbers))
    assert told == [(2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("span", "frames"), [((0, 0.04), [0]), ((0.4, 0.48), [10, 11]), ((7.98, 9), [199]), ((-1, 0), [0]), ((1, 1), [25])]
)
def test_a_cut_has_the_frames_that_a_span_touches(span, frames):
    assert cut(poses_of(), Span(*span)).xyz[:, 0, 0].tolist() == frames


def test_the_default_segmenter_sees_signing_on_coco_landmarks():
    episode = seasign.synthesize(1)
    names = {name: name.replace("POSE_LANDMARKS.", "COCO_BODY.") for name in episode.poses.landmarks}
    for side in ("LEFT", "RIGHT"):
        names |= {name: name.replace(f"{side}_HAND_LANDMARKS.", f"COCO_{side}_HAND.") for name in names if side in name
                  and "HAND_LANDMARKS" in name}  # fmt: skip
    kept = [i for i, name in enumerate(names.values()) if name in COCO_WHOLEBODY]
    poses = replace(
        episode.poses,
        xyz=episode.poses.xyz[:, kept],
        confidence=episode.poses.confidence[:, kept],
        landmarks=tuple(list(names.values())[i] for i in kept),
    )
    bouts, theirs = (seasign.phrases(seasign.segment(it)) for it in (poses, episode.poses))
    assert len(bouts) == len(theirs) > 1
    for mine, other in zip(bouts, theirs, strict=True):
        assert abs(mine.start - other.start) < 0.3
        assert abs(mine.end - other.end) < 0.3
