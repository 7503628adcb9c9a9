"""SignCLIP's training: the published loss, ours against brute force, what learns and what does not, and a whole run."""

import csv
import shutil
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytest.importorskip("tokenizers")

from safetensors.torch import load_file  # noqa: E402
from transformers import BertConfig, BertModel  # noqa: E402

import seasign  # noqa: E402
from commands import run_together  # noqa: E402
from seasign import checkpoints  # noqa: E402
from seasign.models.signclip import Shape, SignClip  # noqa: E402
from seasign.models.signclip_embedder import Inputs, SignClipEmbedder, Words  # noqa: E402
from seasign.synthesis import synthesize  # noqa: E402
from seasign.training import cotraining, signclip, train  # noqa: E402
from seasign.training.augmentation import shake  # noqa: E402
from seasign.training.contrast import infonce  # noqa: E402
from seasign.training.probe import probe  # noqa: E402
from seasign.training.recipe import build, read_table  # noqa: E402
from seasign.training.signclip import Batch, Objective, Towers, make_vocabulary, siglip  # noqa: E402
from seasign.types import Embeddings, InputError, Sign  # noqa: E402

GOLDEN = Path(__file__).parent / "golden" / "signclip_tiny"
SIZES = {"hidden": 64, "heads": 4, "intermediate": 96, "video_layers": 2, "text_layers": 3}


# --- The loss ---------------------------------------------------------------------------------------------------------


def golden_network(projection=None):
    inputs = Inputs(max_frames=32, max_tokens=16, separators=(2, 3))
    network = SignClip(Shape(**SIZES, vocabulary=157, projection=projection), inputs)
    tensors = load_file(GOLDEN / "model.safetensors")
    network.load_state_dict(tensors | (load_file(GOLDEN / "projection.safetensors") if projection else {}))
    return network.eval()


def golden_batch(pairs=6):
    case = np.load(GOLDEN / "case_a_32x16.npz")
    tokens, there = (np.delete(case[name], 1, axis=1)[:pairs] for name in ("caps", "cmasks"))
    own = torch.arange(pairs)
    frames = torch.from_numpy(case["vfeats"][:pairs].astype(np.float32)), torch.from_numpy(case["vmasks"][:pairs] > 0)
    return Batch(*frames, torch.from_numpy(tokens).long(), torch.from_numpy(there > 0), own, own)


def published(model, batch):
    clips, texts, scale, _ = model(batch)
    return infonce(scale * clips @ texts.T, batch.said[:, None] == batch.said)


def test_the_loss_and_its_gradients_are_the_published_ones():
    golden = np.load(GOLDEN / "case_f_loss.npz")
    model = Towers(golden_network(), Objective(positives="own"))
    loss = published(model, golden_batch())
    loss.backward()
    assert loss.item() == pytest.approx(float(golden["loss"]), abs=2e-5)
    gradients = {name: parameter.grad for name, parameter in model.network.named_parameters()}
    squares = sum(float((gradient**2).sum()) for gradient in gradients.values() if gradient is not None)
    assert squares**0.5 == pytest.approx(float(golden["grad_norm_total"]), rel=1e-5)
    for key in [key for key in golden.files if key.startswith("grad/")]:
        expected = golden[key]
        found = gradients[key.removeprefix("grad/")].numpy()[..., : expected.shape[-1]]
        np.testing.assert_allclose(found, expected, atol=2e-5)
    assert {name for name, gradient in gradients.items() if gradient is None} == {
        f"{tower}.pooler.dense.{part}"
        for tower in ("video_encoder.bert", "text_encoder")
        for part in ("weight", "bias")
    }


@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_chunks_change_memory_and_no_gradient(chunk):
    gradients = []
    for size in None, chunk:
        model = Towers(golden_network(), Objective(temperature=0.5, chunk=size))
        published(model, golden_batch()).backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, whole in gradients[0].items():
        if whole is not None:
            torch.testing.assert_close(gradients[1][name], whole, atol=1e-5, rtol=1e-4)


def test_siglip_asks_of_every_pair_whether_it_is_right():
    scores = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    right = torch.eye(4) > 0
    chance = [1 / (1 + np.exp(-float(scores[i, j]) * (1 if i == j else -1))) for i in range(4) for j in range(4)]
    assert float(siglip(scores, right)) == pytest.approx(-np.log(chance).sum() / 4, rel=1e-5)


# --- Runs -------------------------------------------------------------------------------------------------------------


WORDS, SIGNERS = ("coffee", "thank you", "no"), ("Ann", "Ben", "Cleo", "Dan")


def of_a_sign(seed):
    """A second of made-up signing, from the start of a sign on."""
    episode = synthesize(seed, duration=30.0)
    rows = slice(first := round(episode.signs[2].start * 25), first + 25)
    return replace(episode.poses, xyz=episode.poses.xyz[rows], confidence=episode.poses.confidence[rows])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Three words by four signers, each in two clips: of one word all are the same but for some noise."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    lines = []
    for number, word in enumerate(WORDS):
        poses = of_a_sign(number)
        for signer in SIGNERS:
            for take in range(2):
                name = f"{number}-{signer}-{take}.npz"
                seasign.write(folder / name, shake(poses, rng, 2.0))
                lines.append([name, word, signer])
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["poses", "text", "signer"], *lines])
    return folder


NETWORK = """[network]
layout = "body-and-hands"
hidden = 16
heads = 2
intermediate = 16
video_layers = 1
text_layers = 1
max_frames = 40
max_tokens = 40
"""


def write_recipe(folder, corpus, top="", data="", more=NETWORK, epochs=2):
    path = folder / "recipe.toml"
    path.write_text(
        f'task = "signclip"\n{top}\n[data]\nmanifest = "{corpus / "clips.csv"}"\nvalid_signers = ["Dan"]\nbatch = 6\n'
        f'{data}\n{more}\n[loop]\nmetric = "valid_loss"\ndirection = "min"\nlearning_rate = 3e-3\nepochs = {epochs}\n'
    )
    return path


def test_a_clip_that_changed_is_other_data(corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "corpus")
    path = write_recipe(tmp_path, tmp_path / "corpus", epochs=1)
    before = dict(task_of(path).data)
    seasign.write(tmp_path / "corpus" / "0-Ann-0.npz", of_a_sign(9))
    assert {name for name, digest in task_of(path).data.items() if digest != before[name]} == {"the clips in it"}


def task_of(path):
    table = read_table(path)
    del table["task"]
    torch.manual_seed(0)
    return signclip.prepare(build(signclip.Recipe, table, str(path), path.parent))


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    """A whole run, and its folder."""
    folder = tmp_path_factory.mktemp("run")
    more = (
        f'{NETWORK}[loss]\ntemperature = 0.1\n[recognition]\nmethods = ["nearest", "neighbours", "prototypes", "probe"]'
    )
    path = write_recipe(folder, corpus, 'projection = "l2"', 'test_signers = ["Cleo"]', more, epochs=12)
    return train(path, output=folder / "out")


def test_a_tiny_run_tells_the_words_of_a_signer_it_never_saw(run):
    assert run.metrics["sign_to_text_r@1"] == 1
    assert run.metrics["text_to_sign_p@1"] == 1
    assert {run.metrics[f"recognized_{way}"] for way in ("nearest", "neighbours", "prototypes", "probe")} == {1.0}


def test_the_log_keeps_what_is_learned_from_and_what_is_measured_apart(run):
    rows = [*csv.DictReader((run.checkpoint / "training" / "log.csv").read_text().splitlines())]
    assert all(float(row["loss"]) == pytest.approx(float(row["loss/infonce"])) for row in rows)
    assert min(float(row["valid_loss"]) for row in rows) == pytest.approx(run.metrics["valid_loss"])


def test_the_checkpoint_is_an_embedder_with_its_vocabulary_and_parts(run, corpus):
    embedder = checkpoints.load(run.checkpoint)
    assert isinstance(embedder, SignClipEmbedder)
    poses = seasign.read_poses(corpus / "1-Cleo-0.npz")
    texts, signs = embedder.text(WORDS), embedder.signs(poses, [Sign(0.0, poses.duration)])
    assert seasign.compare(texts, signs)[:, 0].argmax() == 1
    np.testing.assert_allclose(np.linalg.norm(texts.vectors, axis=1), 1, rtol=1e-5)
    config = checkpoints.load(run.checkpoint).towers.config
    assert config["max_frames"] == 40
    text = (run.checkpoint / "config.json").read_text()
    assert '"Cleo"' in text
    checkpoints.verify(run.checkpoint)


def test_what_the_task_sees_is_what_the_embedder_sees(corpus, tmp_path):
    task = task_of(write_recipe(tmp_path, corpus))
    clip = task.parts["valid"][0]
    poses = clip.read()
    seen = task.network.eval().clip_vectors(task.valid[0][None], np.ones((1, len(task.valid[0])), bool))
    expected = task.embedder("here").signs(poses, [Sign(0.0, poses.duration)]).vectors
    np.testing.assert_allclose(seen, expected, atol=1e-5)
    text = task.network.text_vectors(
        task.tokens(task.prompt(clip))[None], np.ones((1, len(task.tokens(task.prompt(clip)))), bool)
    )
    np.testing.assert_allclose(text, task.embedder("here").text([clip.text]).vectors, atol=1e-5)


def test_pairs_are_thrown_together_anew_in_every_epoch_and_the_same_again(corpus, tmp_path):
    more = f"{NETWORK}[augment]\nmirror = 0.5\npace = 0.2\nshear = 0.2\nnoise = 0.01\n"
    task = task_of(write_recipe(tmp_path, corpus, more=more))
    first, again, second = ([*task.batches(epoch, 0, 1)] for epoch in (1, 1, 2))
    assert [len(batch.said) for batch in first] == [6, 6, 6]
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert any(not torch.equal(one.said, other.said) for one, other in zip(first, second, strict=True))
    for batch in first:
        prompts = [task.said[number] for number in batch.said.tolist()]
        rows = [batch.tokens[row][batch.tokens_there[row]].tolist() for row in batch.own.tolist()]
        assert rows == [task.tokens(text).tolist() for text in prompts]
        assert (batch.frames[~batch.frames_there] == 0).all()


@pytest.mark.parametrize("way", ["heads", "lora"])
def test_a_start_learns_in_its_heads_or_in_low_rank_and_comes_out_whole(run, corpus, tmp_path, way):
    top = f'start = "{run.checkpoint}"\ntrain = "{way}"\nrank = 2'
    before = checkpoints.load(run.checkpoint).towers.state_dict()
    task = task_of(write_recipe(tmp_path, corpus, top, more=""))
    for name, tensor in signclip.merged(task.network):
        torch.testing.assert_close(tensor, before[name])
    learning = {name for name, parameter in task.network.named_parameters() if parameter.requires_grad}
    assert all("_projection." in name or (way == "lora" and ".parametrizations." in name) for name in learning)
    output = train(write_recipe(tmp_path, corpus, top, more=""), output=tmp_path / "out").checkpoint
    after = checkpoints.load(output).towers.state_dict()
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name for name in changed if "_projection." in name}
    assert any(".layer." in name for name in changed) == (way == "lora")
    if way == "lora":
        name = "video_encoder.bert.encoder.layer.0.attention.self.query.weight"
        assert torch.linalg.matrix_rank(after[name] - before[name]) <= 2


@pytest.mark.slow
def test_two_processes_look_at_the_pairs_of_both(corpus, tmp_path):
    path = write_recipe(tmp_path, corpus, 'projection = "l2"', more=f"{NETWORK}[loss]\ntemperature = 0.1\n", epochs=1)
    losses = []
    for batch, devices in (6, 1), (3, 2):  # nothing is learned yet, and dropout is all that differs
        text = path.read_text().replace("batch = 6", f"batch = {batch}").replace("3e-3", "1e-9")
        other = tmp_path / f"{devices}.toml"
        other.write_text(f'{text}device = "cpu"\ndevices = {devices}\n')
        command = [sys.executable, "-m", "seasign", "train", str(other), "-o", str(tmp_path / str(devices))]
        code, *output = run_together(command)
        assert code == 0, output
        (row,) = csv.DictReader((tmp_path / str(devices) / "training" / "log.csv").read_text().splitlines())
        losses.append(float(row["loss/infonce"]))
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert losses[0] > 2.5  # of three pairs it would be 2.2 at most


def test_new_heads_change_nothing_yet(run, corpus, tmp_path):
    more = NETWORK
    plain = train(write_recipe(tmp_path, corpus, more=more, epochs=12), output=tmp_path / "plain").checkpoint
    task = task_of(write_recipe(tmp_path, corpus, f'start = "{plain}"\nprojection = "plain"\ntrain = "heads"', more=""))
    before = checkpoints.load(plain)
    np.testing.assert_allclose(task.embedder("").text(WORDS).vectors, before.text(WORDS).vectors, atol=1e-6)


def test_both_towers_start_from_a_bert(corpus, tmp_path):
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "num_hidden_layers": 2}
    vocabulary = make_vocabulary(["abcdefghijklmnopqrstuvwxyz"])
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    bert = BertModel(BertConfig(**sizes, vocab_size=len(vocabulary)))
    bert.save_pretrained(tmp_path / "bert")
    more = f'{NETWORK}vocabulary = "vocab.txt"\nbert = "bert"\n'
    found = dict(task_of(write_recipe(tmp_path, corpus, more=more)).network.state_dict())
    name = "encoder.layer.0.attention.self.query.weight"
    for tower in "video_encoder.bert", "text_encoder":
        torch.testing.assert_close(found[f"{tower}.{name}"], bert.state_dict()[name])
    ends = bert.state_dict()["embeddings.word_embeddings.weight"][[2, 3]]
    torch.testing.assert_close(found["video_encoder.bert.embeddings.word_embeddings.weight"], ends)
    with pytest.raises(InputError, match=r"bert: its embeddings\.word_embeddings\.weight does not fit"):
        task_of(write_recipe(tmp_path, corpus, more=f'{NETWORK}bert = "bert"\n'))


@pytest.mark.parametrize(
    ("top", "data", "more", "message"),
    [
        ('start = "x"', "", NETWORK, "expected one of network and start"),
        ("", "", "", "expected one of network and start"),
        ("", 'traduttore = "x"', NETWORK, "expected one of manifest and traduttore"),
        ("", 'test_signers = ["Dan"]', NETWORK, "Dan is among valid_signers and test_signers"),
        ("", 'test_signers = ["Eve"]', NETWORK, "no clip is of the signer 'Eve'"),
        ("", 'without = ["tea"]', NETWORK, "no clip says 'tea'"),
        ('train = "heads"', "", NETWORK, "there are no heads"),
        ("", "", NETWORK.replace("heads = 2", "heads = 3"), "3 do not divide"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(corpus, tmp_path, top, data, more, message):
    with pytest.raises(InputError, match=message):
        task_of(write_recipe(tmp_path, corpus, top, data, more))


def test_a_signer_in_two_parts_is_refused(corpus, tmp_path):
    rows = list(csv.reader((corpus / "clips.csv").read_text().splitlines()))
    table = [[*rows[0], "split"], *([*row, "train" if number % 2 else "valid"] for number, row in enumerate(rows[1:]))]
    for row in table[1:]:
        row[0] = str(corpus / row[0])
    with (tmp_path / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows(table)
    path = write_recipe(tmp_path, tmp_path)
    path.write_text(path.read_text().replace('valid_signers = ["Dan"]\n', ""))
    with pytest.raises(InputError, match="signer Ann is in two parts"):
        task_of(path)


def test_what_is_left_out_is_in_no_part(corpus, tmp_path):
    task = task_of(write_recipe(tmp_path, corpus, data='without = ["no"]'))
    assert {clip.text for part in task.parts.values() for clip in part} == {"coffee", "thank you"}


def test_the_letters_of_a_vocabulary_spell_all_its_texts():
    words = Words(make_vocabulary(["<en> <ase> Grüezi, Ann!"]))
    assert 1 not in words.tokens("<en> <ase> Grüezi, Ann!")
    assert 1 in words.tokens("<en> <ase> xylophone")


def test_every_key_is_documented():
    text = (Path(__file__).parents[1] / "docs" / "training.md").read_text().partition("## SignCLIP")[2]
    for kind in (
        signclip.Recipe, signclip.Data, signclip.Network, signclip.Objective, signclip.Augment, signclip.Recognition,
        cotraining.Settings,
    ):  # fmt: skip
        for field in fields(kind):
            assert field.name in ("data", "loop", "loss", "augment", "recognition") or f"`{field.name}`" in text, field


# --- The probe --------------------------------------------------------------------------------------------------------


def planted(seed, spread=0.3):
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(4), 10)
    vectors = rng.normal(0, 5, (40, 12))
    vectors[np.arange(40), label] += 20  # one dimension tells, the others shout
    return Embeddings(vectors + spread * rng.normal(size=(40, 12)), "planted"), [f"SIGN{k}" for k in label]


def test_a_probe_finds_the_cut_that_was_planted():
    examples, glosses = planted(0)
    signs, true = planted(1)
    guesses = probe(signs, examples, glosses)
    assert np.mean([guess == gloss for guess, gloss in zip(guesses.best, true, strict=True)]) > 0.9
    np.testing.assert_allclose(np.exp(guesses.scores).sum(axis=1), 1)


def test_a_probe_reaches_the_bottom_of_its_cost():
    examples, glosses = planted(0)
    guesses = probe(examples, examples, glosses)
    z = (examples.vectors - examples.vectors.mean(axis=0)) / examples.vectors.std(axis=0)
    label = np.array([guesses.glosses.index(gloss) for gloss in glosses])
    wrong = np.exp(guesses.scores) - np.eye(4)[label]
    np.testing.assert_allclose(wrong.sum(axis=0), 0, atol=1e-3)  # what the bias wants
    weight = -z.T @ wrong  # at the bottom: decay * weight = -gradient of the rest
    scores = z @ weight
    centred = scores - scores.mean(axis=1, keepdims=True)
    expected = guesses.scores - guesses.scores.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(centred - centred.mean(axis=0), expected - expected.mean(axis=0), atol=1e-2)


def test_a_probe_compares_no_two_spaces_and_needs_examples():
    examples, glosses = planted(0)
    with pytest.raises(InputError, match="cannot compare"):
        probe(replace(examples, space="other"), examples, glosses)
    with pytest.raises(InputError, match="give one to each"):
        probe(examples, examples, glosses[:3])
