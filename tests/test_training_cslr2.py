"""CSLR2's training: what augmentation keeps, which windows learn which word, which loss teaches what, a whole run."""

import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

import seasign  # noqa: E402
from seasign import checkpoints  # noqa: E402
from seasign.corpora import traduttore  # noqa: E402
from seasign.models.cslr2 import Cslr2, hn_nce  # noqa: E402
from seasign.models.cslr2_embedder import Cslr2Embedder, Letters  # noqa: E402
from seasign.segmentation import find_sign  # noqa: E402
from seasign.training import cslr2, train  # noqa: E402
from seasign.training.concatenation import concatenate  # noqa: E402
from seasign.training.cslr2 import (  # noqa: E402
    Augment,
    Data,
    Network,
    Objective,
    Recipe,
    drop_windows,
    drop_words,
)
from seasign.training.recipe import Loop, build, read_table  # noqa: E402
from seasign.types import InputError, Sign  # noqa: E402
from test_corpora_bobsl import write_folder, write_lmdbs  # noqa: E402

WORDS = ("house", "tree", "go")
SIGNERS = ("a", "b", "c")


def write_corpus(folder: Path) -> None:
    """Three words of three sessions, as traduttore's arrays: a hand goes up to a place of its own for each word."""
    rng = np.random.default_rng(0)
    for number, word in enumerate(WORDS):
        pose = np.full((len(SIGNERS) * 4, 20, 33, 4), 0.5)
        pose[..., 3] = 1
        for name, place in (("LEFT_SHOULDER", (0.6, 0.4)), ("RIGHT_SHOULDER", (0.4, 0.4)), ("LEFT_ELBOW", (0.65, 0.6)),
                            ("RIGHT_ELBOW", (0.35, 0.6)), ("LEFT_WRIST", (0.65, 0.8))):  # fmt: skip
            pose[:, :, traduttore.BODY.index(name), :2] = place
        path = np.sin(np.linspace(0, np.pi, 20))
        wrist = np.stack([0.35 + 0.2 * (number - 1) * path, 0.8 - 0.5 * path], axis=1)
        pose[:, :, traduttore.BODY.index("RIGHT_WRIST"), :2] = wrist + rng.normal(0, 0.01, (len(pose), 20, 2))
        hand = np.repeat(np.concatenate([wrist, np.zeros((20, 1))], axis=1)[:, None], 21, axis=1)
        shape = 0.05 * np.random.default_rng(number).normal(size=(21, 3))
        hands = hand + shape + rng.normal(0, 0.003, (len(pose), 20, 21, 3))
        np.savez(
            folder / f"{word}.npz",
            pose=pose,
            left_hand=np.zeros_like(hands),
            right_hand=hands,
            block=np.repeat(np.arange(len(SIGNERS)), 4),
            seq=np.arange(len(pose)),
        )


RECIPE = """
task = "cslr2"
[data]
traduttore = "corpus"
test_signers = ["block 2"]
valid_signers = ["block 1"]
letters = 32
batch = 8
[joined]
sentences = 64
signs = [1, 3]
valid = 7
[network]
features = 32
inner = 32
heads = 2
layers = 1
joint = 16
part = 16
[loss]
signs = 0.5
[loop]
metric = "text_to_video_r@1"
epochs = {epochs}
learning_rate = 3e-3
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cslr2")
    (folder / "corpus").mkdir()
    write_corpus(folder / "corpus")
    (folder / "recipe.toml").write_text(RECIPE.format(epochs=8))
    return folder / "recipe.toml"


def task(recipe, **changes):
    table = read_table(recipe)
    table.pop("task")
    read = build(cslr2.Recipe, table, str(recipe), recipe.parent)
    return cslr2.prepare(replace(read, **changes))


def test_a_run_learns_and_its_checkpoint_recognizes_and_embeds(recipe, tmp_path):
    trained = train(recipe, output=tmp_path / "run")
    assert trained.metrics["text_to_video_r@1"] >= 3 / 7  # 1 / 7 by chance
    assert trained.metrics["windows_top1"] > 0.6  # 1 / 3 by chance
    found = checkpoints.load_embedder(tmp_path / "run")
    assert isinstance(found, Cslr2Embedder)
    assert (tmp_path / "run" / "words.txt").read_text() == "go\nhouse\ntree\n"
    vocabulary = seasign.Vocabulary(("go", "house", "tree"))
    clips = traduttore.read(recipe.parent / "corpus")
    chosen = [next(clip for clip in clips if clip.text == word and clip.signer == "block 2") for word in WORDS]
    signs = [seasign.Sign(span.start, span.end, clip.text) for clip in chosen for span in [find_sign(clip.read())]]
    poses, _ = concatenate(list(zip([clip.read() for clip in chosen], signs, strict=True)))
    with pytest.warns(seasign.InputWarning, match="shows the left hand"):
        said = [sign.gloss for sign in seasign.recognize(poses, vocabulary, found, reading=seasign.Walk(0.4, 3))]
    assert said
    assert set(said) <= set(WORDS)


def test_texts_that_stay_are_encoded_once(recipe, monkeypatch):
    """A text encoder of the published size takes minutes for a vocabulary."""
    asked, own = [], Letters.text
    monkeypatch.setattr(Letters, "text", lambda self, texts: asked.append(tuple(texts)) or own(self, texts))
    made = task(recipe)
    first, again = made.evaluate(), made.evaluate()
    made.checkpoint()
    assert first == again
    assert asked == [made.corpus.vocabulary, tuple(sentence.text for sentence in made.corpus.valid)]
    made.corpus.valid = made.corpus.valid[1:]
    assert made.evaluate()["text_to_video_r@1"] >= 0
    assert len(asked[2]) == len(asked[1]) - 1


def test_windows_learn_the_word_that_is_signed_at_their_centre(recipe):
    corpus = task(recipe).corpus
    sentence = corpus.join("train", np.random.default_rng(0))
    assert [corpus.vocabulary.index(sign.gloss) for sign in sentence.signs] == [
        word for word, before in zip(sentence.words, [-1, *sentence.words[:-1]], strict=True) if word != before
    ]
    for row, word in zip(sentence.rows, sentence.words, strict=True):
        time = (7 + 2 * row) / 25
        (own,) = [sign for sign in sentence.signs if sign.start <= time < sign.end]
        assert own.gloss == corpus.vocabulary[word]


def test_no_session_is_in_two_parts_and_no_two_validation_sentences_are_of_the_same_words(recipe):
    corpus = task(recipe).corpus
    assert corpus.parts == {"train": ["block 0"], "valid": ["block 1"], "test": ["block 2"]}
    said = [frozenset(sentence.text.split()) for sentence in corpus.valid]
    assert len(set(said)) == len(said) == 7


def test_a_batch_that_loses_windows_keeps_their_words(recipe):
    made = task(recipe, augment=Augment(clips=1.0, drop_windows=0.5))
    whole = task(recipe)
    (batch, *_), (full, *_) = made.batches(1, 0, 1), whole.batches(1, 0, 1)
    assert batch.lengths.sum() < full.lengths.sum()
    assert (batch.lengths >= full.lengths.clamp(max=25)).all()
    known = {
        (clip, int(full.kept[clip, row])): word
        for clip, row, word in zip(full.clips.tolist(), full.rows.tolist(), full.words.tolist(), strict=True)
    }
    for clip, row, word in zip(batch.clips.tolist(), batch.rows.tolist(), batch.words.tolist(), strict=True):
        assert known[clip, int(batch.kept[clip, row])] == word


def test_the_loss_is_the_published_sum_of_both(recipe):
    made = task(recipe, loss=Objective())
    made.model.eval()
    (batch, *_) = made.batches(1, 0, 1)
    clips, texts, steps, words = made.model(batch)
    terms = made.loss(made.model, batch).terms
    assert terms["sentences"].item() == pytest.approx(0.9 * hn_nce(clips, texts, batch.said).item(), rel=1e-4)
    signs = hn_nce(steps, words, batch.words, beta=0.5).item()
    assert terms["signs"].item() == pytest.approx(0.0075 * signs, rel=1e-4)


@pytest.mark.filterwarnings("ignore::seasign.InputWarning")  # one hand
@pytest.mark.parametrize(("left_out", "untaught"), [("signs", "video_token_ll"), ("sentences", "video_sequence_ll")])
def test_a_loss_of_no_weight_teaches_nothing(recipe, left_out, untaught):
    (clip, *_) = traduttore.read(recipe.parent / "corpus")
    made = task(recipe, loss=replace(Objective(), **{left_out: 0.0}))
    (batch, *_) = made.batches(1, 0, 1)
    terms = made.loss(made.model, batch).terms
    assert left_out not in terms
    sum(terms.values()).backward()
    still = {name for name, parameter in made.network.named_parameters() if parameter.grad is None}
    assert f"{untaught}.weight" in still
    assert not any(parameter.requires_grad for name, parameter in made.network.named_parameters() if name in still)
    found = made.evaluate()
    assert ("windows_top1" in found) == (left_out == "sentences")
    assert ("text_to_video_r@1" in found) == (left_out == "signs")
    config, tensors = made.checkpoint()
    network = Cslr2.from_checkpoint(json.loads(json.dumps(config)), tensors)
    embedder, poses = replace(made.embedder("here"), network=network, inputs=network.inputs), clip.read()
    if left_out == "signs":
        with pytest.raises(InputError, match="learned sentences alone, and knows no words: train one with both losses"):
            seasign.recognize(poses, seasign.Vocabulary(WORDS), embedder)
        alone = embedder.sentences(["a house"]).vectors, embedder.clip(poses).vectors
    else:
        with pytest.raises(InputError, match="learned words alone, and knows no sentences"):
            embedder.clip(poses)
        alone = embedder.words(["house"]).vectors, embedder.windows(poses).vectors.mean(axis=0, keepdims=True)
        alone = alone[0], alone[1] / np.linalg.norm(alone[1])
    texts, signs = (
        embedder.text(["house", "..."] if left_out == "sentences" else ["a house", "..."]),
        embedder.signs(poses, [Sign(0.0, poses.duration)]),
    )
    np.testing.assert_allclose(texts.vectors[:1], alone[0], atol=1e-5)
    np.testing.assert_allclose(signs.vectors, alone[1], atol=1e-5)
    assert not texts.vectors[1].any()


@pytest.mark.filterwarnings("ignore:the poses have n")
def test_poses_may_be_looked_at_by_a_graph_network(recipe):
    network = Network(features=32, inner=32, heads=2, layers=1, joint=16, part=4, graph=True)
    made = task(recipe, network=network)
    (batch, *_) = made.batches(1, 0, 1)
    sum(made.loss(made.model, batch).terms.values()).backward()
    graph = made.network.pose_windows.encoder.fusion_gcn_modules["right"].layer0_2.gcn.A
    assert graph.grad.abs().sum() > 0
    assert 0 <= made.evaluate()["windows_top1"] <= 1


def test_augmentation_leaves_a_word_and_25_windows():
    rng = np.random.default_rng(0)
    always = Augment(texts=1.0, drop_words=1.0, shuffle=1.0, clips=1.0, drop_windows=1.0)
    assert {drop_words("a b c", rng, always) for _ in range(50)} == {"a", "b", "c"}
    assert drop_words("a b c", rng, Augment()) == "a b c"
    assert len(drop_windows(60, rng, always)) == 25
    assert drop_windows(20, rng, always).tolist() == list(range(20))
    some = [len(drop_windows(1000, rng, replace(always, drop_windows=0.5))) for _ in range(20)]
    assert 470 < np.mean(some) < 530


@pytest.mark.filterwarnings("ignore::seasign.types.InputWarning")  # of one hand
def test_signs_that_a_table_names_are_learned_from(recipe, tmp_path):
    """As `spot` writes them, with a score."""
    made = task(recipe)
    rng, lines = np.random.default_rng(0), ["poses,text,signer,split,signs"]
    for number in range(6):
        word = WORDS[number % 3]
        poses, sign = made.corpus.by_word["train"][word][rng.integers(4)]
        seasign.write(tmp_path / f"{number}.npz", poses)
        seasign.write(tmp_path / f"{number}.csv", [replace(sign, score=0.8), Sign(sign.end, sign.end + 0.01)])
        part = "valid" if number > 2 else "train"
        lines.append(f"{number}.npz,the {word},{number},{part},{number}.csv" if number != 5 else f"5.npz,x,5,{part},")
    (tmp_path / "clips.csv").write_text("\n".join(lines) + "\n")
    data = Data(manifest=tmp_path / "clips.csv", batch=3, letters=16)
    seen = task(recipe, data=data)
    assert seen.corpus.vocabulary == tuple(sorted(WORDS))
    for number, sentence in enumerate((*seen.corpus.train, *seen.corpus.valid)):
        if number == 5:
            assert not len(sentence.rows)
            assert sentence.signs == ()
        else:
            assert {seen.corpus.vocabulary[word] for word in sentence.words.tolist()} == {WORDS[number % 3]}
    (batch,) = seen.batches(1, 0, 1)
    assert set(seen.loss(seen.model, batch).terms) == {"sentences", "signs"}
    assert 0 <= seen.evaluate()["windows_top1"] <= 1


def test_labels_of_bobsl_are_taken_by_the_rule_of_the_recipe(tmp_path):
    write_folder(tmp_path)
    labels, sure = np.zeros((110, 5), int), np.zeros((110, 5), np.float16)
    labels[40:43, 0], sure[40:43, 0] = 2, 0.3
    np.savez(tmp_path / "labels" / "ep1.npz", labels=labels, probabilities=sure)
    rows = []
    for shortest, least in ((6, 0.6), (1, 0.0)):
        data = Data(bobsl=tmp_path, letters=16, shortest=shortest, least=least)
        made = cslr2.prepare(Recipe(data, Loop("text_to_video_r@1"), Network(inner=32, layers=1)))
        rows.append(made.corpus.valid[0])
    assert [len(one.rows) for one in rows] == [0, 3]  # windows without a label are none of word 0
    assert rows[1].words.tolist() == [2, 2, 2]


def test_clips_of_bobsl_are_cut_and_labelled_as_published(tmp_path):
    write_folder(tmp_path)
    recipe = Recipe(Data(bobsl=tmp_path, batch=2, letters=16), Loop("text_to_video_r@1"), Network(inner=32, layers=1))
    made = cslr2.prepare(recipe)
    (sentence,) = made.corpus.valid
    assert len(sentence.signing) == (int(25 * 7.0) - 7) // 2 - (int(25 * 1.0) - 7) // 2
    assert not len(sentence.rows)  # no run of six
    labels = np.repeat(np.arange(11) % 3, 10)[:, None] + np.arange(5)
    np.savez(tmp_path / "labels" / "ep0.npz", labels=labels, probabilities=np.full((110, 5), 0.6, np.float32))
    made = cslr2.prepare(recipe)
    drawn = [made.corpus.draw(0, np.random.default_rng(seed)) for seed in range(20)]
    assert len({len(one.signing) for one in drawn}) > 3
    assert all(50 <= len(one.signing) <= 75 and len(one.rows) > 30 for one in drawn)
    (batch,) = made.batches(1, 0, 1)
    assert set(made.loss(made.model, batch).terms) == {"sentences", "signs"}
    assert made.evaluate()["text_to_video_r@1"] == 1


@pytest.mark.parametrize("write", [write_folder, write_lmdbs])
def test_the_published_recipe_runs_on_files_as_published(tmp_path, write):
    (tmp_path / "bobsl").mkdir()
    write(tmp_path / "bobsl")
    text = (Path(__file__).parents[1] / "recipes" / "cslr2.toml").read_text()
    for line, other in {  # where data lie, a text encoder that needs no weights, one process, one epoch
        'bobsl = "../data/bobsl"': 'bobsl = "bobsl"', 'encoder = "../models/t5-large"': "letters = 16",
        "workers = 8": "workers = 0", "devices = 4": "devices = 1", "epochs = 20": "epochs = 1",
    }.items():  # fmt: skip
        assert f"\n{line}" in text
        text = text.replace(line, other)
    (tmp_path / "cslr2.toml").write_text(text)
    trained = train(tmp_path / "cslr2.toml", output=tmp_path / "run")
    assert trained.metrics["text_to_video_r@1"] == 1  # of one
    found = checkpoints.load_embedder(tmp_path / "run")
    assert found.network.shape.layers == 6
    assert found.inputs.features == "video-swin"
    windows = seasign.WindowFeatures(np.zeros((20, 768), np.float32), Fraction(25), "video-swin")
    assert found.windows(windows).vectors.shape == (20, 256)


@pytest.mark.filterwarnings("ignore::seasign.InputWarning")  # one hand
def test_a_clip_that_is_shorter_than_a_window_is_named(recipe, tmp_path):
    (first, *_) = traduttore.read(recipe.parent / "corpus")
    poses = first.read()
    short = replace(poses, xyz=poses.xyz[:5], confidence=poses.confidence[:5])
    seasign.write(recipe.parent / "short.npz", short)
    seasign.write(recipe.parent / "long.npz", poses)
    (recipe.parent / "clips.csv").write_text("poses,text,signer\nlong.npz,a house,a\nshort.npz,a tree,b\n")
    text = (
        recipe.read_text()
        .replace('traduttore = "corpus"', 'manifest = "clips.csv"')
        .replace("signs = 0.5", "signs = 0")
    )
    path = recipe.parent / "short.toml"
    path.write_text(text.replace('["block 1"]', '["b"]').replace('["block 2"]', "[]"))
    words = "short.npz: a tree: poses of 0.25 s are shorter than one window of 0.64 s: nothing to read; take it out"
    with pytest.raises(InputError, match=words):
        train(path, output=tmp_path / "run")


@pytest.mark.filterwarnings("ignore::seasign.InputWarning")  # one hand
@pytest.mark.parametrize(
    ("text", "signs", "words"),
    [
        ("a tree", "7,8,tree", "its sign 'tree' at 7.00 s is outside of the clip, which ends at 1.00 s"),
        ("12?", "0,1,tree", "its text has no letters; take it out of the table"),
        ("a tree", "0,1,12", "1 of 1 texts have no vector, such as '12'"),
    ],
)
def test_clips_that_teach_nothing_are_refused(recipe, tmp_path, text, signs, words):
    (first, *_) = traduttore.read(recipe.parent / "corpus")
    seasign.write(tmp_path / "clip.npz", first.read())
    (tmp_path / "signs.csv").write_text(f"start,end,gloss\n{signs}\n")
    rows = "".join(f"clip.npz,{text},{signer},{signer},signs.csv\n" for signer in ("train", "valid"))
    (tmp_path / "clips.csv").write_text(f"poses,text,signer,split,signs\n{rows}")
    with pytest.raises(InputError, match=re.escape(words)):
        task(recipe, data=Data(manifest=tmp_path / "clips.csv", letters=16))


def test_labels_of_another_vocabulary_are_refused(tmp_path):
    write_folder(tmp_path)
    labels = np.full((110, 5), 3000)
    np.savez(tmp_path / "labels" / "ep0.npz", labels=labels, probabilities=np.full((110, 5), 0.6, np.float32))
    recipe = Recipe(Data(bobsl=tmp_path, letters=16), Loop("text_to_video_r@1"), Network(inner=32, layers=1))
    with pytest.raises(InputError, match="labels of ep0 are 3000 to 3000, where vocabulary"):
        cslr2.prepare(recipe)


def test_subtitles_outside_of_the_video_are_refused(tmp_path):
    write_folder(tmp_path)
    np.save(tmp_path / "features" / "ep0.npy", np.zeros((20, 768), np.float16))
    (tmp_path / "labels" / "ep0.npz").unlink()
    recipe = Recipe(Data(bobsl=tmp_path, letters=16), Loop("text_to_video_r@1"), Network(inner=32, layers=1))
    words = "ep0 at 1.00 - 4.00 s is outside of its video, which ends at 1.88 s"
    with pytest.raises(InputError, match=words):
        cslr2.prepare(recipe)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('traduttore = "corpus"', "expected one of traduttore, manifest and bobsl"),
        ("signs = [1, 3]", "4 different ones, of 3 words"),
        ("valid = 7", "there are only 7 sentences of different words"),
        ('valid_signers = ["block 1"]', "block 2 is among valid_signers and test_signers"),
        ("heads = 2", "3 do not divide features = 32"),
        ("signs = 0.5", "both weights are 0"),
    ],
)
def test_what_cannot_be_trained_is_refused(recipe, tmp_path, change, words):
    other = {
        'traduttore = "corpus"': "", "signs = [1, 3]": "signs = [1, 4]", "valid = 7": "valid = 8",
        "heads = 2": "heads = 3",
        'valid_signers = ["block 1"]': 'valid_signers = ["block 2"]', "signs = 0.5": "signs = 0.0\nsentences = 0.0",
    }[change]  # fmt: skip
    path = recipe.parent / "other.toml"
    path.write_text(recipe.read_text().replace(change, other))
    with pytest.raises(InputError, match=words):
        train(path, output=tmp_path / "run")
