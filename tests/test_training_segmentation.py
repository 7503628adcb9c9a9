"""Segmenters are trained: labels, losses, what a recipe may say, and a network that learns in half a minute."""

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from math import log

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seasign
from seasign import checkpoints
from seasign.decoding import B, I, O
from seasign.formats import write
from seasign.metrics import cut_evenly, evaluate_signs
from seasign.segmentation import phrases, segment
from seasign.synthesis import synthesize
from seasign.training import train
from seasign.training.loop import Task, share
from seasign.training.recipe import build, read_table
from seasign.training.segmentation import UNKNOWN, Recipe, join, label, prepare, tag_losses
from seasign.types import InputError, InputWarning, Sign, Span

pytestmark = pytest.mark.filterwarnings("ignore:.*the poses have no depth")

RECIPE = """
task = "segmenter"
output = "run"
licence = "MIT"
[data]
folder = "corpus"
divide = "file"
valid = 0.25
batch = 4
[bio_tagger]
width = 8
[loop]
metric = "mf1s"
epochs = 1
device = "cpu"
"""


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """The steps of a small network are too small to share."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Eight episodes of somebody who was made up: three tables, five ELAN files."""
    folder = tmp_path_factory.mktemp("made") / "corpus"
    folder.mkdir()
    for seed in range(8):
        episode = synthesize(seed, duration=20.0)
        write(folder / f"{seed}.npz", episode.poses)
        write(folder / f"{seed}.{'csv' if seed < 3 else 'eaf'}", episode.signs)
    return folder


@pytest.fixture
def recipe(corpus, tmp_path):
    return lambda text=RECIPE: write_recipe(tmp_path, corpus, text)


def write_recipe(folder, corpus, text):
    path = folder / "segmenter.toml"
    path.write_text(text.replace('"corpus"', f'"{corpus}"'))
    return path


def task(path):
    table = {key: value for key, value in read_table(path).items() if key not in ("task", "output")}
    return prepare(build(Recipe, table, str(path), path.parent))


# Labels and losses ---------------------------------------------------------------------------------------------------


def test_the_first_frame_at_or_after_a_start_is_b_and_those_before_the_end_are_i():
    signs = [Span(0.04, 0.12), Span(0.12, 0.17), Span(0.21, 0.23), Span(0.241, 0.279), Span(0.36, 9.0)]
    assert label(signs, 12, Fraction(25)).tolist() == [O, B, I, B, I, O, O, O, O, B, I, I]
    assert label([Span(0.2, 0.3), Span(0.24, 0.28)], 9, Fraction(25)).tolist() == [O] * 5 + [B, B, I, O]


def test_a_sign_that_began_before_is_carried_on_and_not_begun():
    assert label([Span(0.5, 1.08), Span(1.1, 1.2)], 5, Fraction(25), start=1.0).tolist() == [I, I, O, B, I]
    assert label([Span(1.0, 1.08)], 3, Fraction(25), start=1.0).tolist() == [B, I, O]
    assert label([Span(0.97, 1.08)], 3, Fraction(25), start=1.0).tolist() == [B, I, O]  # its first frame is that at 1 s


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 900)), max_size=6),
    st.sampled_from([Fraction(25), Fraction(30000, 1001), Fraction(50)]),
)
def test_labels_are_what_looking_at_every_frame_gives(spans, fps):
    signs = [Span(start / 1000, (start + length) / 1000) for start, length in spans]
    times = [Fraction(frame) / fps for frame in range(60)]
    expected = np.full(60, O)
    for start, length in spans:
        inside = [k for k, time in enumerate(times) if Fraction(start, 1000) <= time < Fraction(start + length, 1000)]
        expected[inside] = I
    for start, length in spans:
        inside = [k for k, time in enumerate(times) if Fraction(start, 1000) <= time < Fraction(start + length, 1000)]
        expected[inside[:1]] = B
    np.testing.assert_array_equal(label(signs, 60, fps), expected)


def test_phrases_are_signs_that_are_near_each_other():
    signs = [Sign(1, 2), Sign(2.3, 3), Sign(2.5, 2.6), Sign(3.6, 4)]
    assert join(signs, 0.5) == (Span(1, 3), Span(3.6, 4))
    assert join(signs, 0.0) == (Span(1, 2), Span(2.3, 3), Span(3.6, 4))
    assert [(span.start, pytest.approx(4)) for span in join(signs, 0.7)] == [(1, 4)]


def test_losses_are_those_of_a_loop_over_the_frames():
    rng = np.random.default_rng(0)
    logp = torch.from_numpy(rng.normal(size=(2, 5, 4))).log_softmax(2)
    labels = torch.tensor([[B, I, O, I, O], [O, B, I, UNKNOWN, UNKNOWN]])
    weights = torch.tensor([20.0, 4.0, 1.5], dtype=torch.float64)
    nll, dice, known = 0.0, 0.0, 8
    for row, truth in zip(logp.exp().tolist(), labels.tolist(), strict=True):
        frames = [(p, tag) for p, tag in zip(row, truth, strict=True) if tag != UNKNOWN]
        nll += sum(-log(p[tag]) * weights[tag].item() for p, tag in frames) / known
        said, true = sum(p[0] + p[1] for p, _ in frames), sum(tag != O for _, tag in frames)
        both = sum(p[0] + p[1] for p, tag in frames if tag != O)
        dice += (1 - (2 * both + 1) / (said + true + 1)) * len(frames) / known
    found = tag_losses(logp, labels, weights)
    assert [loss.item() for loss in found] == pytest.approx([nll, dice])
    longer = torch.cat([logp, logp[:, :2]], dim=1)
    padded = torch.nn.functional.pad(labels, (0, 2), value=UNKNOWN)
    assert [loss.item() for loss in tag_losses(longer, padded, weights)] == pytest.approx([nll, dice])


def test_a_network_that_is_right_loses_nothing():
    labels = torch.tensor([[O, B, I, I, O, B]])
    logp = (torch.nn.functional.one_hot(labels, 3) * 1.0 + 1e-9).log()
    assert [loss.item() for loss in tag_losses(logp, labels, torch.ones(3))] == pytest.approx([0, 0], abs=1e-6)


# The task ------------------------------------------------------------------------------------------------------------


def test_the_task_weighs_labels_by_their_inverse_frequency_and_says_so_in_the_checkpoint(recipe):
    tagging = task(recipe())
    assert isinstance(tagging, Task)
    counts = sum(np.bincount(label(one.signs, len(one.poses.xyz), Fraction(25)), minlength=3) for one in tagging.train)
    assert tagging.weights["signs"].tolist() == pytest.approx((counts.sum() / counts).tolist())
    config, weights = tagging.checkpoint()
    assert config["weights"]["signs"] == tagging.weights["signs"].tolist()
    assert (len(config["parts"]["train"]), len(config["parts"]["valid"])) == (6, 2)
    assert set(weights) == set(tagging.model.state_dict())
    assert len(tagging.data) == 16
    assert len(set(tagging.data.values())) == 16


def test_a_batch_holds_what_the_network_sees_and_its_labels(recipe):
    tagging = task(recipe())
    first, second = tagging.batches(1, 0, 1)
    assert (len(first.frames), len(second.frames)) == (4, 2)
    for batch, items in zip((first, second), share(6, 4, seed=0, epoch=1), strict=True):
        for row, item in enumerate(items.tolist()):
            seen, rate, episode, start = tagging.excerpt(1, item)
            assert (rate, start) == (25, 0)
            np.testing.assert_array_equal(seen, tagging.model.prepare(tagging.train[item].poses))
            np.testing.assert_array_equal(batch.frames[row], seen)
            np.testing.assert_array_equal(batch.signs[row], label(episode.signs, len(seen), rate))
            np.testing.assert_array_equal(batch.phrases[row], label(episode.phrases, len(seen), rate))
            np.testing.assert_allclose(batch.seconds[row], np.arange(len(seen)) / 25, rtol=1e-6)
    again = list(tagging.batches(1, 0, 1))
    assert torch.equal(again[0].frames, first.frames)
    assert not torch.equal(next(iter(tagging.batches(2, 0, 1))).frames, first.frames)


def test_long_recordings_are_learned_from_in_parts_with_their_own_labels(recipe):
    tagging = task(recipe(RECIPE.replace("batch = 4", "batch = 4\nseconds = 6.0")))
    assert len(tagging.pieces) == 6 * 4
    starts = set()
    for number in range(8):
        seen, _, episode, start = tagging.excerpt(1, number)
        assert len(seen) == 150
        starts.add(start)
        whole = label(episode.signs, len(episode.poses.xyz), Fraction(25))
        first = round(start * 25)
        np.testing.assert_array_equal(label(episode.signs, 150, Fraction(25), start), whole[first : first + 150])
    assert len(starts) > 4


def test_batches_of_several_lengths_are_filled_up_and_lose_nothing_by_it(recipe, corpus, tmp_path):
    folder = tmp_path / "corpus"
    shutil.copytree(corpus, folder)
    episode = synthesize(50, duration=9.0)
    write(folder / "9.npz", episode.poses)
    write(folder / "9.csv", episode.signs)
    (tmp_path / "manifest.csv").write_text(
        "poses,signs,split\n"
        + "".join(
            f"corpus/{name},corpus/{name[0]}.csv,{part}\n"
            for name, part in [("0.npz", "train"), ("9.npz", "train"), ("1.npz", "valid")]
        )
    )
    text = RECIPE.replace('folder = "corpus"', 'manifest = "manifest.csv"')
    for family in "[bio_tagger]\nwidth = 8", "[unet_tagger]\nhidden_dim = 16\nencoder_depth = 1\nattn_nhead = 2":
        tagging = task(recipe(text.replace("[bio_tagger]\nwidth = 8", family)))
        tagging.model.eval()
        (batch,) = tagging.batches(1, 0, 1)
        assert sorted(batch.lengths.tolist()) == [225, 500]
        assert (batch.signs != UNKNOWN).sum(dim=1).tolist() == batch.lengths.tolist()
        terms, items = tagging.loss(tagging.model, batch)
        assert items == 725
        assert sorted(terms) == ["phrase_dice", "phrase_nll", "sign_dice", "sign_nll"]
        if "bio" in family:  # the networks of 2026 see their padding, as published
            alone = []
            for row, length in enumerate(batch.lengths.tolist()):
                one = type(batch)(
                    *(part[row : row + 1, :length] if part.ndim > 1 else part[row : row + 1] for part in batch)
                )
                alone.append(tagging.loss(tagging.model, one))
            for name, term in terms.items():
                mean = sum(loss.terms[name].item() * loss.items for loss in alone) / items
                assert term.item() == pytest.approx(mean, rel=1e-4)


def test_augmentation_changes_what_is_seen_and_not_when(recipe):
    changes = "fps = [12, 25]\nframe_dropout = 0.1\nhand_dropout = 0.1\nmirror = 0.5\nscale = 0.1\nrotation = 5.0\n"
    tagging = task(recipe(RECIPE + "[augment]\n" + changes))
    seen = [tagging.excerpt(epoch, 0)[0] for epoch in (1, 1, 2)]
    np.testing.assert_array_equal(seen[0], seen[1])
    assert seen[0].shape == seen[2].shape == (500, 225) or abs(len(seen[0]) - 500) < 3
    assert not np.array_equal(seen[0][:490], seen[2][:490])


def test_phrases_come_from_their_tier_or_from_the_signs(recipe, tmp_path):
    folder = tmp_path / "tiers"
    folder.mkdir()
    episode = synthesize(0, duration=20.0)
    given = [Span(1.0, 4.0), Span(5.0, 9.0)]
    for name in "ab":
        write(folder / f"{name}.npz", episode.poses)
        write(folder / f"{name}.eaf", {"GLOSS": episode.signs, "CLAUSE": given})
    text = RECIPE.replace('"corpus"', '"tiers"\ntier = "GLOSS"')
    assert task(recipe(text)).train[0].phrases == join(episode.signs, 0.5)
    text = text.replace('"GLOSS"', '"GLOSS"\nphrase_tier = "CLAUSE"')
    assert [(span.start, span.end) for span in task(recipe(text)).train[0].phrases] == [(1.0, 4.0), (5.0, 9.0)]
    (folder / "a.eaf").unlink()
    write(folder / "a.csv", episode.signs)
    with pytest.raises(InputError, match=r"a.csv: has no tiers, and phrases are asked for from 'CLAUSE'"):
        task(recipe(text))


def test_batches_are_the_same_when_other_processes_prepare_them(recipe):
    alone, helped = (task(recipe(RECIPE.replace("batch = 4", f"batch = 4\nworkers = {n}"))) for n in (0, 2))
    for one, other in zip(alone.batches(1, 0, 1), helped.batches(1, 0, 1), strict=True):
        assert all(torch.equal(*parts) for parts in zip(one, other, strict=True))


def test_isolated_signs_are_joined_anew_in_every_epoch(recipe, tmp_path):
    from test_training_concatenation import CLIPS

    folder = tmp_path / "lexicon"
    folder.mkdir()
    for number, (poses, _) in enumerate(CLIPS):
        write(folder / f"sign-{number}.npz", poses)
    text = RECIPE.replace('"corpus"', '"lexicon"') + "[concatenate]\nepisodes = 3\nsigns = 5\nvalid = 2\n"
    tagging = task(recipe(text))
    assert (len(tagging.train), len(tagging.clips), len(tagging.valid)) == (0, 4, 2)
    assert [len(episode.signs) for episode in tagging.valid] == [5, 5]
    assert sum(len(batch.lengths) for batch in tagging.batches(1, 0, 1)) == 3
    assert len(tagging.excerpt(1, 0)[0]) != len(tagging.excerpt(2, 0)[0])
    other = task(recipe(text.replace("[loop]", "[loop]\nseed = 1")))
    for one, another in (tagging.valid[0], other.valid[0]), (tagging.excerpt(1, 0)[2], other.excerpt(1, 0)[2]):
        assert one.signs != another.signs
    assert {sign.gloss for episode in tagging.valid for sign in episode.signs} <= {f"SIGN-{n}" for n in range(6)}
    with pytest.raises(InputError, match=r"\[concatenate\]: 4 isolated signs .* are there to learn from: add it"):
        task(recipe(text.partition("[concatenate]")[0]))


def test_parts_that_show_no_hand_are_drawn_again(recipe, tmp_path):
    folder = tmp_path / "hidden"
    folder.mkdir()
    episode = synthesize(0, duration=40.0)
    xyz = episode.poses.xyz.copy()
    hands = [number for number, name in enumerate(episode.poses.landmarks) if "HAND" in name]
    xyz[100:, hands] = np.nan
    for name in "ab":
        write(
            folder / f"{name}.npz",
            replace(episode.poses, xyz=xyz, confidence=np.isfinite(xyz[..., 0]).astype(np.float32)),
        )
        write(folder / f"{name}.csv", episode.signs)
    text = RECIPE.replace('"corpus"', '"hidden"').replace("batch = 4", "seconds = 4.0")
    with pytest.warns(
        InputWarning, match=r"landmarks are missing in most frames.* more warnings about the recordings\)"
    ):
        tagging = task(recipe(text))
    starts = [tagging.excerpt(1, number)[3] for number in range(10)]
    assert max(starts) < 4.0


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('task = "segmenter"', 'task = "speller"', "task: expected 'segmenter'.*, found 'speller'"),
        ('output = "run"\n', "", "output: expected the folder of the run, found None"),
        ("width = 8", "width = 7", r"\[bio_tagger\] width: expected an even number, found 7"),
        (
            "width = 8",
            "breadth = 8",
            r"segmenter.toml \[bio_tagger\]: breadth: there is no such key; there are depth, width",
        ),
        ("[bio_tagger]\nwidth = 8\n", "", "expected one of bio_tagger, unet_tagger and start, found none"),
        ('folder = "corpus"', "", r"\[data\]: expected one of manifest and folder"),
        ('"corpus"', '"nowhere"', "nowhere: no such folder"),
        ('divide = "file"', 'divide = "signer"', 'its signer is not known; add a column `signer`, or divide by "file"'),
        ("valid = 0.25", "valid = 0.0", "no recording is in the part valid: there is nothing to measure on"),
        ("batch = 4", "batch = 4\nworkers = -1", r"workers: expected a whole number from 0 on, found -1"),
        ("epochs = 1", "epochs = 1\nseed = -1", r"\[loop\]: seed: expected a whole number from 0 on, found -1"),
        ('divide = "file"', 'divide = "window"', r"\[data\]: divide: expected 'signer' or 'file', found 'window'"),
        ('"mf1s"', '"F1"', r"\[loop\] metric: there is no 'F1'; there are count, "),
        ("batch = 4", 'batch = 4\ntier = "GLOSS"', r"\.eaf: "),
        ("width = 8", 'width = 8\npoints = ["POSE_LANDMARKS.THIRD_EYE"]', "POSE_LANDMARKS.THIRD_EYE"),
        ("[bio_tagger]\nwidth = 8", 'start = "nothing"', "nothing"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_refused_in_one_line(recipe, tmp_path, before, after, message):
    text = RECIPE.replace(before, after)
    if after.startswith("start"):
        text = after + RECIPE.replace(before, "")
    with pytest.raises(InputError, match=message) as raised:
        train(recipe(text))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run" / "weights.safetensors").exists()


def test_signs_after_the_poses_and_files_without_signs_are_refused(recipe, corpus, tmp_path):
    folder = tmp_path / "odd"
    shutil.copytree(corpus, folder)
    write(folder / "0.csv", [Sign(30.0, 31.0)])
    with pytest.raises(InputError, match=r"0.csv: 1 of 1 signs lie before or after all of 0.npz"):
        task(recipe(RECIPE.replace('"corpus"', '"odd"')))
    (folder / "0.csv").write_text("start,end\n")
    with pytest.raises(InputError, match=r"0.csv: there are no signs in it; leave 0.npz out"):
        task(recipe(RECIPE.replace('"corpus"', '"odd"')))


def test_signs_are_seconds_of_the_video_where_poses_begin_later(recipe, tmp_path):
    folder = tmp_path / "later"
    folder.mkdir()
    episode = synthesize(0, duration=20.0)
    for name in "ab":
        write(folder / f"{name}.npz", replace(episode.poses, provenance={"start": 100.0}))
        later = [replace(sign, start=sign.start + 100, end=sign.end + 100) for sign in episode.signs]
        write(folder / f"{name}.eaf", {"SIGN": later, "PHRASE": [Span(101.0, 104.0)]})
    found = task(recipe(RECIPE.replace('"corpus"', '"later"\nphrase_tier = "PHRASE"'))).train[0]
    assert [sign.start for sign in found.signs] == pytest.approx([sign.start for sign in episode.signs], abs=1e-3)
    assert [phrase.start for phrase in found.phrases] == pytest.approx([1.0])
    for name in "ab":
        write(folder / f"{name}.eaf", {"SIGN": [Span(50.0, 60.0)], "PHRASE": [Span(101.0, 104.0)]})
    with pytest.raises(InputError, match=r"1 of 1 signs lie before or after all of"):
        task(recipe(RECIPE.replace('"corpus"', '"later"')))


# Learning ------------------------------------------------------------------------------------------------------------


def test_a_small_network_learns_beats_even_cuts_and_loads(tmp_path):
    """On unseen episodes of the same made-up signer: this shows that training works, and nothing of people."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for seed in range(12):
        episode = synthesize(seed, duration=40.0)
        write(folder / f"{seed}.npz", episode.poses)
        write(folder / f"{seed}.csv", episode.signs)
    text = RECIPE.replace("width = 8", "width = 32\nflow = true")
    text = text.replace("epochs = 1", "epochs = 8\nlearning_rate = 0.01\nclip = 1.0")
    path = write_recipe(tmp_path, folder, text.replace("batch = 4", "batch = 2\nseconds = 20.0"))
    told = []
    trained = train(path, progress=told.append)
    assert told[-1].loss["loss"] < 0.6 * told[0].loss["loss"]
    tagger = checkpoints.load(trained.checkpoint)
    held_out = [synthesize(seed, duration=40.0) for seed in range(100, 104)]
    found = [segment(episode.poses, tagger) for episode in held_out]
    mine = evaluate_signs((episode.signs, signs) for episode, signs in zip(held_out, found, strict=True))
    even = evaluate_signs(
        (episode.signs, cut_evenly(phrases(signs))) for episode, signs in zip(held_out, found, strict=True)
    )
    true_bouts = evaluate_signs((episode.signs, cut_evenly(phrases(episode.signs))) for episode in held_out)
    assert mine.mf1s > max(even.mf1s, true_bouts.mf1s) + 10
    assert trained.metrics["mf1s"] > trained.metrics["even_mf1s"] + 10
    assert checkpoints.verify(trained.checkpoint)
    config = json.loads((trained.checkpoint / "config.json").read_text())
    assert config["training"]["recipe"]["loop"]["epochs"] == 8
    assert config["licence"] == "MIT"
    assert len(config["training"]["data"]) == 24


def test_the_checkpoint_of_a_run_can_be_trained_on(recipe, tmp_path):
    first = train(recipe(), output=tmp_path / "first")
    before = checkpoints.load(first.checkpoint)
    text = 'start = "first"\n' + RECIPE.replace("[bio_tagger]\nwidth = 8\n", "").replace("mf1s", "nll")
    second = task(recipe(text))
    for name, tensor in before.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name])


@pytest.mark.slow
def test_the_networks_of_2026_train_too(recipe):
    unet = "[unet_tagger]\nhidden_dim = 16\nencoder_depth = 1\nattn_nhead = 2\nnum_frames = 128"
    trained = train(
        recipe(RECIPE.replace("[bio_tagger]\nwidth = 8", unet).replace("batch = 4", "batch = 4\nseconds = 5.0"))
    )
    tags = checkpoints.load(trained.checkpoint).tag(synthesize(9, duration=5.0).poses)
    assert tags.signs.shape == (125, 3)


def test_bf16_trains_a_tagger(recipe):
    assert train(recipe(RECIPE.replace("epochs = 1", 'epochs = 1\nprecision = "bf16"'))).epochs == 1


def test_train_is_public():
    assert seasign.train is train
