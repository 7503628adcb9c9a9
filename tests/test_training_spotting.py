"""Spotters' training: which pairs there are, what is lost and chosen, and whole runs on made-up signs and sentences."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from seasign import checkpoints, formats  # noqa: E402
from seasign.metrics.spotting import evaluate_presence  # noqa: E402
from seasign.models.pose_descriptor import PoseDescriptor  # noqa: E402
from seasign.models.spotter_inputs import PoseSpotter  # noqa: E402
from seasign.spotting import spot  # noqa: E402
from seasign.synthesis import synthesize_signs  # noqa: E402
from seasign.training import spotting, train  # noqa: E402
from seasign.training.concatenation import concatenate  # noqa: E402
from seasign.training.recipe import build, read_table  # noqa: E402
from seasign.training.spotting import Queries, Recipe, Token, choose, contrast, prepare  # noqa: E402
from seasign.types import InputError, InputWarning, Sign, Span  # noqa: E402

WORDS, SIGNERS = 6, 3
TABLES = {
    "data": {"manifest": "clips.csv", "valid_signers": ["1"], "natural": 20, "batch": 8},
    "joined": {"pairs": 32, "signs": [2, 3], "valid": 20},
    "network": {
        "channels": [2, 2, 4], "width": 8, "layers": 0, "heads": 2, "inner": 8,
        "head": "frames", "compare": 8, "fps": 10,
    },
    "loss": {"presence": 1.0, "frames": 1.0},
    "augment": {"scale": 0.05, "hands": 0.1, "pace": 0.1, "mirror": 0.5},
    "loop": {"metric": "roc_auc", "epochs": 2, "learning_rate": 1e-3},
}  # fmt: skip
PUBLISHED = {"layers": 1, "compare": 0, "head": "presence"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six signs of three signers, one token each, and one that is another signer's."""
    made = tmp_path_factory.mktemp("clips")
    rows = []
    for poses, sign in synthesize_signs(WORDS, SIGNERS, seed=3):
        number = sum(row.split(",")[1] == sign.gloss for row in rows)
        name = f"{str(sign.gloss).replace(' ', '-')}-{number}.npz"
        formats.write(made / name, poses)
        rows.append(f"{name},{sign.gloss},{number}")
    (made / "clips.csv").write_text("\n".join(["poses,text,signer", *rows]) + "\n")
    return made


def recipe(folder, only=None, **changes):
    tables = {name: dict(table) for name, table in TABLES.items()} | (only or {})
    for name, change in changes.items():
        tables[name] |= change
    path = folder / "recipe.toml"
    lines = ['task = "spotter"', 'output = "run"']
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path.write_text("\n".join(lines) + "\n")
    table = read_table(path)
    del table["task"], table["output"]
    return path, build(Recipe, table, str(path), folder)


def task_of(folder, **changes):
    return prepare(recipe(folder, **changes)[1])


# --- Pairs ------------------------------------------------------------------------------------------------------------


def test_half_of_what_is_measured_is_present_and_labels_say_where(folder):
    task = task_of(folder)
    assert [pair.present for pair in task.corpus.valid] == [False, True] * 10
    for pair in task.corpus.valid:
        assert len(pair.inside) == len(pair.sentence)
        assert set(np.unique(pair.inside)) == ({0.0, 1.0} if pair.present else {0.0})
        assert 3 <= len(pair.query) <= 14  # .5 to 1.1 s at 10 frames a second
    rate = np.mean([pair.present for pair in task.corpus.natural])
    assert 0.15 < rate < 0.8
    assert task.corpus.parts["valid"] == ["1"]


def test_words_that_are_kept_out_are_in_no_pair(folder):
    task = task_of(folder, data={"without": ["SIGN 0", "SIGN 5"]})
    drawn = [task.corpus.draw(item, np.random.default_rng(item)) for item in range(60)]
    assert {pair.word for pair in (*drawn, *task.corpus.valid, *task.corpus.natural)} <= {
        f"SIGN {k}" for k in range(1, 5)
    }
    assert {pair.present for pair in drawn} == {False, True}
    _, signs = task.corpus.join("train", task.corpus.known["train"], np.random.default_rng(0))
    assert not {sign.gloss for sign in signs} & {"SIGN 0", "SIGN 5"}
    assert task.corpus.words("train") == [f"SIGN {k}" for k in range(6)]


def test_a_pair_is_the_same_whenever_it_is_drawn(folder):
    one, other = (task_of(folder).corpus.draw(3, np.random.default_rng([0, 1, 3])) for _ in range(2))
    np.testing.assert_array_equal(one.sentence, other.sentence)
    np.testing.assert_array_equal(one.query, other.query)


def test_queries_come_from_another_signer_where_there_is_one(folder):
    corpus = task_of(folder).corpus
    seen = set()
    for item in range(30):
        rng = np.random.default_rng(item)
        poses, signs = corpus.join("train", corpus.known["train"], rng)
        word = str(signs[0].gloss)
        own = corpus._own("train", poses, word)
        others = [signer for signer in set(corpus.queries["train"].signers.tolist()) if signer not in own]
        row = corpus.queries["train"].draw(word, rng, others)
        seen.add((own[0], str(corpus.queries["train"].signers[row])))
    assert seen == {("0", "2"), ("2", "0")}


def tokens(signers=("a", "b")):
    made = synthesize_signs(8, len(signers), seed=5)
    return [
        Token(str(sign.gloss), signers[k % len(signers)], poses, Span(sign.start, sign.end))
        for k, (poses, sign) in enumerate(made)
    ]


def test_negatives_are_as_long_and_of_the_same_signer_and_the_hard_one_is_the_most_alike(monkeypatch):
    monkeypatch.setattr(spotting, "NEAR", 3)
    queries, rng = Queries(tokens(), PoseDescriptor(raised=1.0)), np.random.default_rng(0)
    words = [f"SIGN {k}" for k in range(1, 8)]
    own = [row for row in range(16) if queries.signers[row] == "a" and queries.words[row] != "SIGN 0"]
    near = sorted(own, key=lambda row: abs(queries.lengths[row] - queries.lengths[0]))[:3]
    easy = {queries.other(0, words, rng, 0.0) for _ in range(60)}
    assert easy == set(near)
    assert {queries.other(0, words, rng, 1.0) for _ in range(9)} == {max(near, key=lambda row: queries.alike[0, row])}
    assert queries.signers[queries.other(0, ["SIGN 4"], rng, 0.0)] == "a"


def test_clips_that_hide_their_hands_are_left_out(folder, tmp_path):
    lines = (folder / "clips.csv").read_text().splitlines()
    for line in lines[1:]:
        name = line.split(",")[0]
        poses = formats.read_poses(folder / name)
        if name == "SIGN-0-0.npz":
            hands = [k for k, landmark in enumerate(poses.landmarks) if "_HAND_" in landmark]
            xyz = poses.xyz.copy()
            xyz[10:, hands] = np.nan
            poses = replace(poses, xyz=xyz)
        formats.write(tmp_path / name, poses)
    (tmp_path / "clips.csv").write_text("\n".join(lines) + "\n")
    with pytest.warns(InputWarning, match="1 of 18 clips show a hand in less than half of their sign; left out"):
        task = task_of(tmp_path)
    assert list(task.corpus.queries["train"].words).count("SIGN 0") == 1


# --- Losses and choices -----------------------------------------------------------------------------------------------


def test_contrast_falls_when_pairs_agree_and_rises_when_what_is_absent_does():
    same = torch.eye(4)
    present = torch.tensor([1.0, 1.0, 1.0, 0.0])
    agreed = contrast(same, same, present)
    assert float(agreed) > float(contrast(same, torch.cat((same[:3], -same[3:])), present))
    assert float(agreed) < float(contrast(same, same.roll(1, 0), present))
    assert float(contrast(same, same, torch.zeros(4))) == 0
    scores = (same @ same.T / 0.07).numpy()
    expected = np.mean([np.log(np.exp([*scores[k], scores[3, 3]]).sum()) - scores[k, k] for k in range(3)])
    assert float(agreed) == pytest.approx(expected, rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=12))
def test_no_threshold_is_better_than_the_chosen_one(pairs):
    scores = np.array([float(score) for score, _ in pairs])
    present = np.array([label for _, label in pairs])
    if present.all() or not present.any():
        return
    best = max(
        evaluate_presence(scores, present, threshold=at).balanced_accuracy for at in np.arange(-5, 5.5, 0.5).tolist()
    )
    found = evaluate_presence(scores, present, threshold=choose(scores, present)).balanced_accuracy
    assert found == pytest.approx(best)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"data": {"wslp": "clips.csv"}}, "expected one of traduttore, manifest and wslp"),
        ({"loss": {"presence": 0.0, "frames": 0.0}}, "all weights are 0"),
        ({"network": PUBLISHED}, r"\[loss\] frames: takes a head of frames"),
        ({"network": PUBLISHED | {"head": "contrast"}, "loss": {"frames": 0.0}}, "a head that contrasts learns from"),
        ({"network": PUBLISHED, "loss": {"presence": 0.0, "frames": 0.0, "contrast": 1.0}}, "contrast alone teaches"),
        ({"network": {"layers": 1, "heads": 3}}, r"\[network\]: 3 heads do not divide"),
        ({"data": {"without": ["SIGN 9"]}}, "no clip says 'SIGN 9'"),
        ({"joined": {"signs": [6, 6]}}, "6 different ones, and one that is not there, of 6 words"),
        ({"data": {"valid_signers": ["8"]}}, "no clip is of the signer '8'"),
    ],
)
def test_recipes_that_do_not_go_together_are_refused(folder, changes, what):
    with pytest.raises(InputError, match=what):
        task_of(folder, **changes)


# --- Runs -------------------------------------------------------------------------------------------------------------


def test_a_run_ends_in_a_spotter_that_finds_signs_of_another_signer(folder, tmp_path):
    path, _ = recipe(folder, joined={"pairs": 64}, loop={"epochs": 3})
    found = train(path, output=tmp_path / "run")
    assert {"balanced_accuracy", "average_precision", "natural_average_precision", "map@0.50"} <= set(found.metrics)
    spotter = checkpoints.load(tmp_path / "run")
    assert isinstance(spotter, PoseSpotter)
    assert spotter.calibration[1] > 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["parts"]["valid"] == ["1"]
    assert config["threshold"] == spotter.inputs.threshold
    made = synthesize_signs(WORDS, SIGNERS, seed=3)
    poses, signs = concatenate(made[1::3], 0)
    right = 0
    for true, (example, sign) in zip(signs, made[2::3], strict=True):
        first, stop = (round(edge * 25) for edge in (sign.start, sign.end))
        query = replace(example, xyz=example.xyz[first:stop], confidence=example.confidence[first:stop])
        best = spot((query,), poses, spotter=spotter, best=1)[0]
        shared = min(best.end, true.end) - max(best.start, true.start)
        right += shared / (max(best.end, true.end) - min(best.start, true.start)) >= 0.5
    assert right >= 5


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_scores_that_say_the_contrary_of_what_is_right_are_not_calibrated(folder, monkeypatch, sign):
    task = task_of(folder, network=PUBLISHED, loss={"frames": 0.0})
    monkeypatch.setattr(task, "_ask", lambda pairs: (np.array([sign * pair.present for pair in pairs]), []))
    base, slope = task.fitted().calibration
    assert (slope > 0) if sign > 0 else np.isnan([base, slope]).all()
    assert json.loads(json.dumps(task.checkpoint()[0]))["calibration"] == ([base, slope] if sign > 0 else [None, None])


@pytest.mark.parametrize(
    ("network", "loss"),
    [
        (PUBLISHED, {"frames": 0.0, "contrast": 0.5}),
        (PUBLISHED | {"convolution": "1d"}, {"frames": 0.0}),
        (PUBLISHED | {"head": "contrast"}, {"presence": 0.0, "frames": 0.0, "contrast": 1.0}),
        ({"layers": 1, "times": 1}, {"frames": 0.0}),
    ],
)
def test_every_way_learns_and_loads(folder, tmp_path, network, loss):
    path, _ = recipe(folder, network=network, loss=loss, loop={"epochs": 1}, joined={"pairs": 16})
    found = train(path, output=tmp_path / "run")
    assert ("map@0.50" in found.metrics) == (network.get("head", "frames") == "frames")
    made = synthesize_signs(2, 1)
    assert isinstance(checkpoints.load(tmp_path / "run").presence((made[0][0],), made[1][0]), float)


def test_losses_go_down(folder):
    torch.manual_seed(0)
    task = task_of(folder, augment={"scale": 0.0, "hands": 0.0, "pace": 0.0, "mirror": 0.0})
    batch = next(iter(task.batches(1, 0, 1)))
    assert batch.inside.isnan().any() or len(set(batch.lengths[:, 1].tolist())) == 1
    adam = torch.optim.Adam(task.model.parameters(), 1e-2)
    losses = []
    for _ in range(15):
        loss = sum(task.loss(task.model, batch).terms.values())
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


# --- Words and sentences of a table -----------------------------------------------------------------------------------


def write_wslp(folder: Path) -> None:
    """Five words, two sentences of each, with another word besides."""
    made = synthesize_signs(5, 4, seed=7)
    rows = ["word_id,word,sentence_id,sentence"]
    for word in range(5):
        clips = made[4 * word : 4 * word + 4]
        formats.write(folder / f"u{word}_w.pose", clips[0][0])
        for number in (1, 2):
            other = made[4 * ((word + number) % 5) + 3]
            poses, signs = concatenate([clips[number], other], word)
            formats.write(folder / f"u{word}_e{number}.pose", poses)
            text = " ".join(str(sign.gloss).replace(" ", "") for sign in signs)
            rows.append(f"u{word}_w,SIGN{word},u{word}_e{number},{text}")
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n")


def test_words_and_sentences_of_wslp_are_learned_from(tmp_path):
    write_wslp(tmp_path)
    data = {"wslp": "pairs.csv", "poses": ".", "valid": 0.4, "natural": 30, "batch": 4, "hard": 1.0}
    path, settings = recipe(tmp_path, only={"data": data}, loss={"frames": 0.0}, loop={"epochs": 1})
    task = prepare(settings)
    assert len(task.corpus) == 2 * len(task.corpus.listed["train"])
    assert {pair.present for pair in task.corpus.valid} == {True, False}
    assert sum(pair.present for pair in task.corpus.valid) == len(task.corpus.listed["valid"])
    for item in range(len(task.corpus)):
        pair = task.corpus.draw(item, np.random.default_rng(item))
        listed = task.corpus.listed["train"][item // 2]
        said = pair.word in listed.text.split()
        assert pair.present == said
        assert said or item % 2
        assert np.isnan(pair.inside).all() if said else (pair.inside == 0).all()
    train(path)
    assert isinstance(checkpoints.load(tmp_path / "run"), PoseSpotter)


def test_sign_is_a_span_of_seconds_that_trimming_keeps():
    ((poses, sign),) = synthesize_signs(1, 1)
    own = spotting.trimmed(poses, Sign(sign.start, sign.end))
    assert len(own.xyz) == pytest.approx(sign.duration * 25, abs=1)
    assert spotting.seen(own) > 0.5
    assert own.fps == Fraction(25)
