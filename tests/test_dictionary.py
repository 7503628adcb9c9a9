"""A dictionary of clips: whose sign is whose word, however it is filmed; and what that is worth to an alignment."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import seasign
from commands import run
from seasign.corpora import traduttore
from seasign.models.dictionary import Dictionary
from seasign.models.pose_descriptor import LANDMARKS, PoseDescriptor
from seasign.training.concatenation import Joining, concatenate
from seasign.types import Cue, InputError, InputWarning, Poses, Sign

SHARED = Path(__file__).parents[2] / "shared" / "data"  # shared data
WORDS = ("house", "rain", "sun", "thank you", "tree")
REST = np.array([(100, 150), (200, 150), (90, 250), (210, 250), (80, 330), (220, 330)], np.float32)


def sign(word, *, seed=0, frames=20, fps=25, noise=2.0):
    """A clip of a word: where arms and fingers go follows from the word, and a little from chance."""
    drawn = np.random.default_rng(WORDS.index(word))
    middle = np.concatenate([REST, drawn.normal(150, 60, (len(LANDMARKS) - len(REST), 2))])
    middle[4:6, 1] = 180  # both hands up
    swing, turn = drawn.normal(0, 25, middle.shape), drawn.uniform(0, 6, len(middle))[:, None]
    when = (np.arange(frames)[:, None, None] + 0.5) / frames * 6
    moved = middle + np.where(np.arange(len(middle))[:, None] < 2, 0, swing) * np.sin(when + turn)
    xyz = np.zeros((frames, len(LANDMARKS), 3), np.float32)
    xyz[..., :2] = moved + np.random.default_rng(seed).normal(0, noise, moved.shape)
    return Poses(xyz, np.ones(xyz.shape[:2], np.float32), Fraction(fps), LANDMARKS)


def whole(poses):
    return [Sign(0, poses.duration)]


@pytest.fixture
def folder(tmp_path):
    for number in range(2):
        for word in WORDS:
            name = word.replace(" ", "_") + ("" if number == 0 else f"_{number + 1}")
            seasign.write(tmp_path / f"{name}.{('pose', 'npz')[number]}", sign(word, seed=number))
    return tmp_path


def test_every_sign_is_most_likely_its_word(folder):
    dictionary = Dictionary.read(folder)
    assert dictionary.words == WORDS
    assert dictionary.shows.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    for number, word in enumerate(WORDS):
        poses = sign(word, seed=7, frames=33)
        (vector,) = dictionary.signs(poses, whole(poses)).vectors
        assert vector.sum() == pytest.approx(1)
        assert vector.argmax() == number
        assert vector[number] > 0.8


@pytest.mark.parametrize(
    "change",
    [
        lambda poses: replace(poses, xyz=poses.xyz * 3 + 500),
        lambda poses: replace(poses, fps=Fraction(50)),
        lambda poses: replace(poses, xyz=poses.xyz[:, ::-1].copy(), landmarks=poses.landmarks[::-1]),
        lambda poses: replace(poses, xyz=poses.xyz * np.array([1, 1, 9], np.float32)),
    ],
    ids=["larger and elsewhere", "faster", "other order of landmarks", "another z"],
)
def test_which_word_a_sign_is_does_not_depend_on_how_it_is_filmed(folder, change):
    dictionary, poses = Dictionary.read(folder), sign("house", seed=7)
    other = change(poses)
    found, expected = (dictionary.signs(one, whole(one)).vectors for one in (other, poses))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_text_is_the_words_it_has(folder):
    dictionary = Dictionary.read(folder)
    rows = dictionary.text(["Houses in the RAIN!", "Thank you.", "thank them", "you", "", "sunny trees"]).vectors
    assert [[word for word, has in zip(WORDS, row, strict=True) if has] for row in rows] == [
        ["house", "rain"], ["thank you"], [], [], [], ["tree"],
    ]  # fmt: skip
    assert dictionary.text([]).vectors.shape == (0, 5)
    with pytest.raises(InputError, match=r"none of 2 texts has any of the dictionary's 5 words \(house, rain, sun"):
        dictionary.text(["nothing", "of this"])


def test_rest_before_and_after_a_sign_is_cut_off(tmp_path):
    poses, down = sign("house", noise=0.0), np.zeros((20, len(LANDMARKS), 3), np.float32)
    down[..., :2] = 400
    down[:, : len(REST), :2] = REST
    rested = np.concatenate([down, poses.xyz, down])
    longer = replace(poses, xyz=rested, confidence=np.ones(rested.shape[:2], np.float32))
    seasign.write(tmp_path / "house.npz", longer)
    (clip,) = Dictionary.read(tmp_path).clips
    (itself,), (uncut,) = (
        PoseDescriptor(raised=raised).signs(one, whole(one)).vectors for raised, one in ((1, poses), (1, longer))
    )
    assert np.linalg.norm(clip - itself) < np.linalg.norm(uncut - itself) / 2


def test_a_space_is_that_of_its_words_and_clips(folder):
    space = Dictionary.read(folder).space
    assert Dictionary.read(folder).space == space
    seasign.write(folder / "tree_3.pose", sign("tree", seed=9))
    assert Dictionary.read(folder).space != space
    (folder / "tree_3.pose").unlink()
    assert Dictionary.read(folder).space == space
    (folder / "tree.pose").rename(folder / "bush.pose")
    assert Dictionary.read(folder).space != space


def test_an_index_names_the_clips(folder):
    lines = [
        "path,spoken_language,words",
        "house.pose,en,home",
        f"{folder.name}/tree.pose,en,tree",
        "house_2.npz,en,home",
    ]
    (folder / "index.csv").write_text("\n".join(lines))
    dictionary = Dictionary.read(folder)
    assert dictionary.words == ("home", "tree")
    assert dictionary.shows.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("index", "says"),
    [
        ("path,text\na.pose,b\n", r"index.csv:1: no column 'words' in \['path', 'text'\]"),
        ("path,words\nhouse.pose,house\nnone.pose,b\n", r"index.csv:3: none.pose is not there"),
        ("path;words\nhouse.pose;house\nnone.pose;b\n", r"index.csv:3: none.pose is not there"),
        ("path,words\nhouse.pose,\n", r"index.csv:2: names no words"),
        ("", "index.csv: the file is empty"),
    ],
)
def test_an_index_that_is_wrong_is_refused(folder, index, says):
    (folder / "index.csv").write_text(index)
    with pytest.raises(InputError, match=says):
        Dictionary.read(folder)


def test_clips_that_cannot_be_used_are_left_out_and_said(folder):
    (folder / "moon.pose").write_bytes(b"")
    blind = sign("sun")
    blind.xyz[:, 0] = np.nan
    seasign.write(folder / "stars.npz", blind)
    with pytest.warns(
        InputWarning, match="2 clips cannot be used, and are left out, such as .*moon.pose: the file is empty"
    ):
        assert Dictionary.read(folder).words == WORDS
    for path in folder.iterdir():
        if path.stem not in ("moon", "stars"):
            path.unlink()
    with pytest.raises(InputError, match="none of 2 clips can be used"):
        Dictionary.read(folder)


def test_a_folder_without_clips_is_refused_and_poses_are_needed(folder, tmp_path):
    with pytest.raises(InputError, match="no such folder; a dictionary is a folder"):
        Dictionary.read(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there is no clip in it"):
        Dictionary.read(tmp_path / "empty")
    with pytest.raises(InputError, match="there are only signs: give poses or a video"):
        Dictionary.read(folder).signs(None, [Sign(0, 1)])


def test_any_tower_makes_a_dictionary(folder):
    class Tower:
        landmarks = LANDMARKS

        def signs(self, poses, signs):
            found = PoseDescriptor(frames=4).signs(poses, signs)
            return replace(found, vectors=9 * found.vectors)

    dictionary = Dictionary.read(folder, Tower())
    assert dictionary.clips.shape == (10, 4 * 2 * 46)
    poses = sign("sun", seed=5)
    assert dictionary.signs(poses, whole(poses)).vectors.argmax() == 2


# What it is worth -----------------------------------------------------------------------------------------------------


def episode(clips, seed, late=2.0, jitter=2.0, signs=120):
    """Clips of words joined at random, the cues that say so, and the same delivered early, each by its own."""
    rng = np.random.default_rng(seed)
    chosen = [clips[number] for number in rng.integers(len(clips), size=signs)]
    joining = Joining(phrase=(6, 18), rest=(0.3, 1.0))
    poses, found = concatenate(
        [(poses, Sign(0, poses.duration, word)) for word, poses in chosen], seed, joining=joining
    )
    truth, first = [], 0
    while first < len(found):
        own = found[first : first + int(rng.integers(2, 5))]
        truth.append(Cue(own[0].start, own[-1].end, " ".join(str(one.gloss) for one in own)))
        first += len(own)
    early = (rng.normal(0, jitter, len(truth)) - late).tolist()
    delivered = [seasign.shift([cue], (by, by))[0] for cue, by in zip(truth, early, strict=True)]
    return poses, [replace(one, gloss=None) for one in found], truth, delivered


def scores(dictionary, poses, signs, truth, delivered):
    """F1@.50 by time alone, and with the dictionary."""
    similarity = seasign.compare(
        seasign.embed_text([cue.text for cue in delivered], dictionary), seasign.embed_signs(poses, signs, dictionary)
    )
    placed = [seasign.align(signs, delivered, similarity=given, lag=(2, 2)).cues for given in (None, similarity)]
    return [seasign.evaluate(truth, cues).as_json()["f1@0.50"] for cues in placed]


@pytest.mark.filterwarnings("ignore")  # of cues out of order
def test_a_dictionary_brings_more_cues_to_their_signing(folder):
    clips = [(word, sign(word, seed=seed)) for word in WORDS for seed in range(10, 14)]
    found = np.array([scores(Dictionary.read(folder), *episode(clips, seed)) for seed in range(3)])
    assert found[:, 1].mean() > found[:, 0].mean() + 5, found


@pytest.mark.skipif(not SHARED.exists(), reason="no shared data")
@pytest.mark.filterwarnings("ignore")  # of cues out of order
def test_real_signs_of_other_sessions_bring_more_cues_to_their_signing(tmp_path):
    clips = traduttore.read(SHARED / "traduttore_asl")
    shown: dict[str, int] = {}
    for clip in clips:
        if clip.signer not in ("block 4", "block 5") and shown.setdefault(clip.text, 0) < 5:
            shown[clip.text] += 1
            seasign.write(tmp_path / f"{clip.text.replace(' ', '_')}_{shown[clip.text]}.pose", clip.read())
    dictionary = Dictionary.read(tmp_path)
    own = [(clip.text, clip.read()) for clip in clips if clip.signer in ("block 4", "block 5")]
    right = [
        dictionary.signs(poses, whole(poses)).vectors.argmax() == dictionary.words.index(word) for word, poses in own
    ]
    assert np.mean(right) > 0.9
    found = np.array([scores(dictionary, *episode(own, seed)) for seed in range(2)])
    assert found[:, 1].mean() > found[:, 0].mean(), found


def test_the_command_aligns_with_a_folder_of_clips(folder, tmp_path):
    clips = [(word, sign(word, seed=seed)) for word in WORDS for seed in range(10, 14)]
    poses, signs, truth, delivered = episode(clips, 3, jitter=0.5, signs=40)
    (here := tmp_path / "here").mkdir()
    seasign.write(here / "signer.pose", poses)
    seasign.write(here / "signs.csv", signs)
    seasign.write(here / "cues.csv", [replace(cue, start=cue.start + 9, end=cue.end + 9) for cue in delivered])
    done = run("align", here / "signer.pose", here / "cues.csv", "--signs", here / "signs.csv", "-o", here / "out.csv",
               "--embedder", f"dictionary:{folder}", "--lag", -7, "--force")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "by dictionary:" in done.stdout
    score = seasign.evaluate(truth, seasign.read_cues(here / "out.csv").cues).as_json()["f1@0.50"]
    assert score > 80
