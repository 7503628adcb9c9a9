"""Any local sentence encoder as an embedder of cues and glosses: a small random BERT stands for all."""

import json
import socket

import numpy as np
import pytest

import seasign
from commands import run
from seasign.types import InputError, InputWarning, Sign

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from seasign.models.sentence_text import SentenceText  # noqa: E402

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] the a house rain sun is ##ing ##s big tree .".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(home)
    (home / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    transformers.BertTokenizerFast(vocab=str(home / "vocab.txt")).save_pretrained(home)
    return home


def test_a_text_is_the_mean_of_its_states_alone_and_in_a_batch(folder):
    encoder = SentenceText.read(folder)
    texts = ["The house is big.", "rain", "sun", "", "The house is big.", "the sun is the big rain " * 9]
    found = encoder.text(texts).vectors
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found, np.concatenate([encoder.text([text]).vectors for text in texts]), atol=1e-5)
    np.testing.assert_array_equal(found[0], found[4])
    model = transformers.AutoModel.from_pretrained(folder).eval()
    ids = encoder.tokenizer("The house is big.", return_tensors="pt")["input_ids"]
    assert len(ids[0]) > 5
    with torch.inference_mode():
        mean = model(input_ids=ids).last_hidden_state[0].mean(dim=0)
    np.testing.assert_allclose(found[0], (mean / mean.norm()).numpy(), atol=1e-5)


def test_a_gloss_is_its_words_and_a_sign_without_one_the_mean_of_the_others(folder):
    encoder = SentenceText.read(folder)
    signs = [Sign(0, 1, "fs-BIG-HOUSE"), Sign(1, 2), Sign(2, 3, "RAIN")]
    found = encoder.signs(None, signs)
    np.testing.assert_allclose(found.vectors[[0, 2]], encoder.text(["big house", "rain"]).vectors, atol=1e-6)
    np.testing.assert_allclose(found.vectors[1], found.vectors[[0, 2]].mean(axis=0), atol=1e-6)
    assert seasign.compare(encoder.text(["rain", "sun"]), found).shape == (2, 3)
    with pytest.raises(InputError, match="none of 1 signs has a gloss"):
        encoder.signs(None, [Sign(0, 1)])
    assert len(encoder.signs(None, []).vectors) == 0


def test_a_space_is_that_of_the_weights(folder, tmp_path):
    space = SentenceText.read(folder).space
    assert space.startswith("sentence-text:")
    transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(tmp_path)
    transformers.BertModel(transformers.BertConfig.from_pretrained(folder)).save_pretrained(tmp_path)
    assert SentenceText.read(tmp_path).space != space


def test_nothing_is_fetched(folder, monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    SentenceText.read(folder).text(["rain"])


def test_another_way_of_pooling_is_said(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": False}))
    with pytest.warns(InputWarning, match="was trained to be pooled otherwise"):
        SentenceText.read(tmp_path)


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda home: (home / "config.json").unlink(), "no sentence encoder; expected a folder with config.json"),
        (lambda home: (home / "model.safetensors").unlink(), "no sentence encoder"),
        (lambda home: (home / "model.safetensors").write_bytes(b"\x08"), "transformers cannot read it"),
        (lambda home: (home / "config.json").write_text("{"), "transformers cannot read it"),
        (lambda home: (home / "config.json").write_text('{"model_type": "odd"}'), "transformers cannot read it"),
        (
            lambda home: [(home / name).unlink(missing_ok=True) for name in ("tokenizer.json", "vocab.txt")],
            "its tokenizer has 5 tokens",
        ),
    ],
)
def test_what_is_no_encoder_is_refused_in_one_line(folder, tmp_path, break_it, says):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    break_it(tmp_path)
    with pytest.raises(InputError, match=says) as refused:
        SentenceText.read(tmp_path)
    assert "\n" not in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_the_command_takes_it(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SEASIGN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "signs.csv").write_text("start,end,gloss\n0,1,RAIN\n3,4,HOUSE\n")
    (tmp_path / "cues.csv").write_text("start,end,text\n0,1,rain\n3,4,The house\n")
    done = run("align", tmp_path / "signs.csv", tmp_path / "cues.csv", "-o", tmp_path / "out.csv", "--lag", 0,
               "--embedder", f"sentence-text:{folder}", "--force")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "by sentence-text:" in done.stdout
    assert len(list((tmp_path / "cache" / "embeddings").iterdir())) == 2
