"""Gloss text that learns: glosses that share no letter with the words they sign are found after training."""

import json

import numpy as np
import pytest

import seasign
from commands import run
from seasign import checkpoints
from seasign.models.gloss_text import GlossText
from seasign.types import InputError, Sign

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from safetensors.torch import load_file, save_file  # noqa: E402

MEANS = dict(
    zip("house rain sun cold tomorrow river wind cloud".split(), "QAB WUX ZIF KOM TYJ PEG VOD LIH".split(), strict=True)
)
RECIPE = """task = "gloss-text"
output = "run"
licence = "ours"

[data]
pairs = "pairs.tsv"
batch = 32
{data}
[network]
buckets = 512
dimensions = 32

[loop]
metric = "text_to_gloss_r@1"
epochs = {epochs}
learning_rate = 0.02
device = "cpu"
"""


def pairs(count=240, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        words = rng.choice(list(MEANS), rng.integers(2, 5), replace=False)
        yield " ".join(MEANS[word] for word in words), f"the {' and the '.join(words)} is here"


@pytest.fixture
def recipe(tmp_path):
    def write(epochs=6, data="", rows=None, header="gloss\ttext"):
        rows = [f"{gloss}\t{text}" for gloss, text in pairs()] if rows is None else rows
        (tmp_path / "pairs.tsv").write_text("\n".join([header, *rows]) + "\n")
        (tmp_path / "recipe.toml").write_text(RECIPE.format(epochs=epochs, data=data))
        return tmp_path / "recipe.toml"

    return write


def likeness(embedder, word):
    """How a word goes with the gloss that means it, above those that do not."""
    signs = [Sign(0, 1, gloss) for gloss in MEANS.values()]
    scores = seasign.compare(embedder.text([word]), embedder.signs(None, signs))[0]
    own = list(MEANS).index(word)
    return scores[own] - np.delete(scores, own).max()


def test_what_no_letter_says_is_learned(recipe):
    trained = seasign.train(recipe())
    assert trained.metrics["text_to_gloss_r@1"] > 0.6
    embedder = checkpoints.load_embedder(trained.checkpoint)
    assert isinstance(embedder, GlossText)
    assert max(likeness(GlossText(), word) for word in MEANS) < 0.2
    assert min(likeness(embedder, word) for word in MEANS) > 0
    config = json.loads((trained.checkpoint / "config.json").read_text())
    assert (config["model"], config["licence"], config["parameters"]) == ("gloss-text", "ours", 512 * 32)
    assert checkpoints.verify(trained.checkpoint)
    with pytest.raises(InputError, match="belongs to a checkpoint already"):
        checkpoints.convert(trained.checkpoint / "weights.safetensors", trained.checkpoint / "again")


def test_the_same_recipe_ends_with_the_same_bytes(recipe, tmp_path):
    path = recipe(epochs=2)
    one, two = (seasign.train(path, output=tmp_path / name).checkpoint for name in ("one", "two"))
    assert (one / "weights.safetensors").read_bytes() == (two / "weights.safetensors").read_bytes()


def test_a_text_that_is_measured_on_is_not_learned_from(recipe, tmp_path):
    from seasign.training.gloss_text import Recipe, prepare
    from seasign.training.recipe import build, read_table

    def task(data):
        said = [f"{gloss}\t{text}" for gloss, text in pairs()]
        if "split" in data:
            said = [f"{pair}\t{('train', 'valid', 'test', '')[number % 4]}" for number, pair in enumerate(said)]
        path = recipe(data=data, rows=said, header="gloss\ttext" + "\tsplit" * ("split" in data))
        table = {key: value for key, value in read_table(path).items() if key not in ("task", "output")}
        return prepare(build(Recipe, table, "recipe", tmp_path))

    (tmp_path / "other.tsv").write_text("gloss\ttext\nQAB\tthe house is here\n")
    for data in ("valid = 0.25", "# split", 'valid_pairs = "other.tsv"'):
        made = task(data)
        assert made.train
        assert made.valid
        assert not {text for _, text, _ in made.train} & {text for _, text, _ in made.valid}
        if "split" in data:
            assert {part for *_, part in made.train} == {"train"}


@pytest.mark.parametrize(
    ("rows", "header", "says"),
    [
        ([], "gloss\ttext", "holds no pairs of glosses and text"),
        (["A\tb"], "glosses\ttext", "no column 'gloss'"),
        (["A\t"], "gloss\ttext", "pairs.tsv:2: names no text"),
        (["A\tb"], "gloss\ttext", "leaves 1 pairs to learn from and 0 to measure on"),
        (["A\tb\tdev"], "gloss\ttext\tsplit", "split: expected train, valid, test"),
    ],
)
def test_pairs_that_cannot_be_used_are_named(recipe, rows, header, says):
    with pytest.raises(InputError, match=says):
        seasign.train(recipe(rows=rows, header=header))


def test_a_projection_that_does_not_fit_is_not_loaded(recipe):
    folder = seasign.train(recipe(epochs=1)).checkpoint
    config, weights = folder / "config.json", folder / "weights.safetensors"
    whole, tensors = config.read_text(), load_file(weights)
    for change, says in (({"buckets": 64}, "should have 64 rows"), ({"lengths": "3"}, "a list of whole numbers")):
        config.write_text(json.dumps(json.loads(whole) | change))
        with pytest.raises(InputError, match=says):
            checkpoints.load(folder)
    config.write_text(whole)
    save_file({name: tensor * torch.nan for name, tensor in tensors.items()}, weights)
    with pytest.raises(InputError, match="not finite"):
        checkpoints.load(folder)


def test_the_commands_train_it_and_align_with_it(recipe, tmp_path):
    trained = run("train", recipe(epochs=2))
    assert trained.exit_code == 0, trained.stderr
    (tmp_path / "signs.csv").write_text("start,end,gloss\n0,1,QAB\n3,4,WUX\n")
    (tmp_path / "cues.csv").write_text("start,end,text\n0,1,house\n3,4,rain\n")
    done = run("align", tmp_path / "signs.csv", tmp_path / "cues.csv", "-o", tmp_path / "out.csv", "--lag", 0,
               "--embedder", tmp_path / "run", "--force")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "by gloss-text:512:3-4-5:" in done.stdout
