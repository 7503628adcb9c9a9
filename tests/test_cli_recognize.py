"""`seasign recognize`: poses or features, a vocabulary and a model -> signs with their words, in files."""

import json
import pickle
import re
from dataclasses import replace
from pathlib import Path

import jaxtyping
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

import seasign  # noqa: E402
from commands import run  # noqa: E402
from seasign.cli.recognize import LEMMATIZERS  # noqa: E402
from seasign.formats.eaf import LINGUISTIC_TYPE  # noqa: E402
from seasign.formats.npz import read_embeddings  # noqa: E402
from seasign.metrics.retrieval import evaluate_sentences  # noqa: E402
from seasign.models.cslr2 import Cslr2  # noqa: E402
from seasign.models.cslr2_embedder import Inputs  # noqa: E402
from seasign.models.sentence_text import SentenceText  # noqa: E402
from test_cslr2_embedder import SHAPE, model, poses, write_encoder  # noqa: E402


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint that looks at poses, a signer, and a vocabulary."""
    network = model(threshold=0.3, shortest=2)
    (tmp_path / "model").mkdir()
    save_file(network.state_dict(), tmp_path / "model" / "weights.safetensors")
    (tmp_path / "model" / "config.json").write_text(json.dumps(network.config))
    (tmp_path / "model" / "words.txt").write_text("house\ntree\nthank you\n")
    seasign.write(tmp_path / "signer.npz", poses(150))
    return tmp_path


@pytest.fixture
def features(folder: Path) -> Path:
    """A checkpoint that looks at features, and some of them."""
    network = Cslr2(replace(SHAPE, part=0), Inputs(text="letters:24", features="video-swin")).eval()
    (folder / "seen").mkdir()
    save_file(network.state_dict(), folder / "seen" / "weights.safetensors")
    (folder / "seen" / "config.json").write_text(json.dumps(network.config))
    (folder / "words.txt").write_text("house\ntree\n")
    np.save(folder / "clip.npy", np.random.default_rng(0).normal(size=(40, 32)).astype(np.float16))
    return folder


def test_signs_go_to_a_table_with_what_else_they_may_be(folder):
    result = run("recognize", folder / "signer.npz", "--model", folder / "model", "-o", folder / "out.json")
    assert result.exit_code == 0, result.stderr
    written = json.loads((folder / "out.json").read_text())["signs"]
    assert written
    assert seasign.read_signs(folder / "out.json") == seasign.recognize(
        poses(150),
        seasign.Vocabulary(("house", "tree", "thank you")),
        seasign_model(folder),
        reading=seasign.Walk(0.3, 2),
    )
    for sign in written:
        assert sign["alternatives"][0][1] >= sign["alternatives"][-1][1]
        assert len(sign["alternatives"]) == 3


def seasign_model(folder):
    from seasign import checkpoints

    return checkpoints.load(folder / "model")


@pytest.mark.parametrize("decoder", ["walk", "semi-markov"])
def test_signs_go_to_a_tier_and_alternatives_to_another(folder, decoder):
    given = ["--model", folder / "model", "--threshold", 0, "--decoder", decoder]
    result = run("recognize", folder / "signer.npz", *given, "-o", folder / "out.eaf", "--json")
    assert result.exit_code == 0, result.stderr
    tiers = seasign.read(folder / "out.eaf")
    assert len(tiers["SIGN"]) == len(tiers["SIGN_ALTERNATIVES"]) == json.loads(result.stdout)["signs"] > 0
    assert {sign.gloss for sign in tiers["SIGN"]} <= {"house", "tree", "thank you"}
    assert all("house" in other.gloss for other in tiers["SIGN_ALTERNATIVES"])


def test_a_tier_of_others_stays_and_where_the_signs_went_is_said(folder):
    seasign.write(folder / "own.eaf", {"SIGN": [seasign.Sign(0, 1, "mine")]})
    own = (folder / "own.eaf").read_text().replace(LINGUISTIC_TYPE, "glosses")  # as a person would call it
    (folder / "own.eaf").write_text(own)
    given = ["recognize", folder / "signer.npz", "--model", folder / "model", "-o", folder / "own.eaf"]
    result = run(*given)
    assert result.stdout.endswith(f"wrote     {folder / 'own.eaf'}: tiers SIGN_MERGED and SIGN_ALTERNATIVES\n")
    assert json.loads(run(*given, "--json").stdout)["tiers"] == ["SIGN_MERGED", "SIGN_ALTERNATIVES"]
    assert [sign.gloss for sign in seasign.read_signs(folder / "own.eaf")] == ["mine"]


def test_a_threshold_is_a_probability_and_what_was_there_stays(folder):
    (folder / "out.csv").write_text("mine")
    given = ["--model", folder / "model", "-o", folder / "out.csv"]
    assert run("recognize", folder / "signer.npz", *given, "--threshold", 5).exit_code == 2
    assert (folder / "out.csv").read_text() == "mine"


def test_features_are_recognized_too(features):
    given = ["--model", features / "seen", "--vocabulary", features / "words.txt", "--threshold", 0, "--shortest", 1]
    result = run("recognize", features / "clip.npy", *given, "-o", features / "out.csv")
    assert result.exit_code == 0, result.stderr
    signs = seasign.read_signs(features / "out.csv")
    assert signs[0].start == 7 / 25
    assert signs[-1].end == pytest.approx((7 + 2 * 40) / 25)
    assert (features / "out.csv").read_text().splitlines()[0] == "start,end,gloss,score,alternatives"


def test_half_the_bits_say_nearly_the_same(features):
    given = ["--model", features / "seen", "--vocabulary", features / "words.txt", "--threshold", 0, "--shortest", 1]
    found = []
    for option in ([], ["--half"]):
        assert run("recognize", features / "clip.npy", *given, *option, "-o", features / "out.json").exit_code == 0
        found.append(json.loads((features / "out.json").read_text())["signs"])
    assert found[0] != found[1]
    assert [sign["gloss"] for sign in found[0]] == [sign["gloss"] for sign in found[1]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--stride", 4], "the features have stride 4, where the network was trained with 2"),
        (["--fps", 50], "the features have fps 50, where the network was trained with 25"),
        (["--source", "i3d"], "the features have source i3d, where the network was trained with video-swin"),
    ],
)
def test_features_of_another_pace_are_refused(features, options, words):
    given = ["--model", features / "seen", "--vocabulary", features / "words.txt", *options]
    result = run("recognize", features / "clip.npy", *given, "-o", features / "out.csv")
    assert (result.exit_code, result.stderr) == (1, f"error: {features / 'clip.npy'}: {words}\n")
    assert not (features / "out.csv").exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("words.txt", "\n \n", "words.txt: holds no words; expected one a line"),
        ("words.txt", "house\ntree\nhouse\n", "words.txt:3: 'house' is there since line 1; keep one of them"),
        ("words.txt", "house\n12\n", "words.txt: 1 of 2 texts have no vector, such as '12': write them in letters"),
        ("same.json", '{"house": ["home"]}', "'home' is given as a synonym of 'house', and is no word itself"),
        ("same.json", '{"house": "home"}', "the synonyms of 'house' are 'home'; expected a list of words"),
        ("same.json", "house", "same.json: not JSON"),
    ],
)
def test_words_that_cannot_be_used_are_refused_in_a_line(folder, name, content, words):
    (folder / name).write_text(content)
    option = "--vocabulary" if name == "words.txt" else "--synonyms"
    given = ["--model", folder / "model", option, folder / name]
    result = run("recognize", folder / "signer.npz", *given, "-o", folder / "out.csv")
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--stride", 2], "go with an .npy: poses say it themselves"),
        (["--source", "i3d"], "go with an .npy: poses say it themselves"),
        (["--decoder", "semi-markov", "--shortest", 3], "--shortest goes with --decoder walk"),
        (["--half", "--onnx", "folder"], "give --half or --onnx"),
    ],
)
def test_options_that_would_change_nothing_are_refused(folder, options, words):
    result = run("recognize", folder / "signer.npz", "--model", folder / "model", *options, "-o", folder / "out.csv")
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_network_that_learned_no_words_recognizes_none(folder):
    config = json.loads((folder / "model" / "config.json").read_text()) | {"taught": ["sentences"]}
    (folder / "model" / "config.json").write_text(json.dumps(config))
    (folder / "model" / "words.txt").write_text("")
    result = run("recognize", folder / "signer.npz", "--model", folder / "model", "-o", folder / "out.csv")
    assert result.stderr == (
        f"error: {folder / 'model'}: this CSLR2 learned sentences alone, and knows no words: "
        "train one with both losses\n"
    )
    (folder / "model" / "config.json").write_text(json.dumps(config | {"taught": []}))
    result = run("recognize", folder / "signer.npz", "--model", folder / "model", "-o", folder / "out.csv")
    assert "its settings make no CSLR2 (taught (), where it can be" in result.stderr


def test_words_that_are_one_to_the_text_encoder_are_warned_of(folder):
    (folder / "words.txt").write_text("House\ntree\nhouse\n")
    given = ["--model", folder / "model", "--vocabulary", folder / "words.txt", "-o", folder / "out.csv"]
    result = run("recognize", folder / "signer.npz", *given)
    assert result.exit_code == 0
    assert "1 of 3 words have the vector of another, such as 'house' that of 'House': only the first" in result.stderr


def dump(path, value):
    path.write_bytes(pickle.dumps(value))


def test_published_files_of_words_are_read_without_the_text_encoder(features):
    """As a published checkpoint comes: vocabulary, synonyms and vectors of words as pickles, and no encoder."""
    config = json.loads((features / "seen" / "config.json").read_text()) | {"text": "t5-large"}
    (features / "seen" / "config.json").write_text(json.dumps(config))
    dump(features / "words.pkl", {"words_to_id": {"tree": 1, "house": 0, "home": 2}})
    dump(features / "same.pkl", {"house": ["home"], "home": []})
    rng = np.random.default_rng(0)
    dump(features / "vectors.pkl", {number: rng.normal(size=24).astype(np.float32) for number in range(3)})
    common = ["--model", features / "seen", "--vocabulary", features / "words.pkl", "-o", features / "out.json"]
    given = [*common, "--vectors", features / "vectors.pkl", "--threshold", 0, "--shortest", 1]
    result = run("recognize", features / "clip.npy", *given)
    assert result.exit_code == 0, result.stderr
    said = json.loads((features / "out.json").read_text())["signs"]
    assert {sign["gloss"] for sign in said} <= {"house", "tree", "home"}
    assert run("recognize", features / "clip.npy", *given, "--synonyms", features / "same.pkl").exit_code == 0
    fewer = json.loads((features / "out.json").read_text())["signs"]
    assert 0 < len(fewer) < len(said)
    result = run("recognize", features / "clip.npy", *common)
    assert "seen: its words are read by 't5-large', which is not here; put the folder of that encoder" in result.stderr
    np.save(features / "vectors.npy", np.stack([*pickle.loads((features / "vectors.pkl").read_bytes()).values()]))
    assert run("recognize", features / "clip.npy", *common, "--vectors", features / "vectors.npy").exit_code == 0
    np.save(features / "vectors.npy", np.ones((2, 24)))
    result = run("recognize", features / "clip.npy", *common, "--vectors", features / "vectors.npy")
    assert "vectors.npy: 2 vectors for 3 words: give one to each" in result.stderr
    result = run("recognize", features / "clip.npy", "--model", features / "seen", "-o", features / "out.csv")
    assert "seen: brings no words.txt; say with --vocabulary what may be signed" in result.stderr
    for vectors, words in (
        ({0: np.ones(24), 1: np.ones(24)}, "vectors.pkl: 1 of 3 words have no vector, such as 'home'"),
        (dict.fromkeys(range(3), np.ones(23)), "vectors.pkl: vectors of 23 numbers, where this CSLR2 takes 24"),
        (
            [torch.ones(24)] * 3,
            "which is no plain data: it is not run; write the vectors with numpy.save, a row a word",
        ),
        ({0: np.ones(24), 1: np.ones(24), 2: np.zeros(24)}, "vectors.pkl: 1 of 3 texts have no vector, such as 'home'"),
    ):
        dump(features / "vectors.pkl", vectors)
        result = run("recognize", features / "clip.npy", *given)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert words in result.stderr


def test_a_word_is_added_without_training_and_vectors_of_words_are_kept(features, monkeypatch):
    pytest.importorskip("transformers")
    config = json.loads((features / "seen" / "config.json").read_text()) | {"text": "t5-large"}
    (features / "seen" / "config.json").write_text(json.dumps(config))
    write_encoder(features / "seen" / "text", "house tree car")
    given = ["--model", features / "seen", "--cache", features / "kept", "--threshold", 0, "--shortest", 1]
    found, asked = [], []
    own = SentenceText.text
    monkeypatch.setattr(SentenceText, "text", lambda self, texts: asked.append(tuple(texts)) or own(self, texts))
    for words in ("house tree", "house tree", "house tree car"):
        (features / "words.txt").write_text("\n".join(words.split()))
        options = [*given, "--vocabulary", features / "words.txt", "-o", features / "out.json"]
        result = run("recognize", features / "clip.npy", *options)
        assert result.exit_code == 0, result.stderr
        found.append({sign["gloss"] for sign in json.loads((features / "out.json").read_text())["signs"]})
    assert asked == [("house", "tree"), ("house", "tree", "car")]
    assert found[0] == found[1] <= {"house", "tree"}
    assert "car" in found[2]


def broken(rows):
    vectors = np.ones((20, 32), np.float32)
    vectors[rows] = np.nan
    return vectors


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (broken([3]), "window 3 at 0.52 s holds numbers that are not finite: extract it again"),
        (np.zeros((0, 32), np.float32), "holds float32 (0, 32); expected floats, windows x dimensions"),
        (np.zeros((4, 2, 3)), "holds float64 (4, 2, 3)"),
        (np.zeros((4, 31), np.float32), "features of 31 numbers, where this CSLR2 takes 32"),
    ],
)
def test_features_that_cannot_be_used_are_refused_in_a_line(features, array, words):
    np.save(features / "clip.npy", array)
    given = ["--model", features / "seen", "--vocabulary", features / "words.txt"]
    result = run("recognize", features / "clip.npy", *given, "-o", features / "out.csv")
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_is_no_signing_or_no_recognizer_is_refused(folder):
    given = ["--model", folder / "model", "-o", folder / "out.csv"]
    for name, words in ("film.mp4", "run first: seasign estimate-poses"), ("film.txt", "neither poses nor features"):
        (folder / name).write_text("")
        result = run("recognize", folder / name, *given)
        assert result.exit_code == 1
        assert words in result.stderr
    (folder / "clip.npy").write_bytes(b"no array")
    result = run("recognize", folder / "clip.npy", *given)
    assert "not an .npy, or cut short" in result.stderr


def test_a_clip_that_is_shorter_than_a_window_is_refused(folder):
    seasign.write(folder / "short.npz", poses(12))
    result = run("recognize", folder / "short.npz", "--model", folder / "model", "-o", folder / "out.csv")
    assert result.stderr == (
        f"error: {folder / 'short.npz'}: poses of 0.48 s are shorter than one window of 0.64 s: nothing to read\n"
    )


def test_the_aligner_takes_it_as_an_embedder(folder):
    (folder / "news.vtt").write_text(
        "WEBVTT\n\n00:01.000 --> 00:02.000\nA house.\n\n00:03.000 --> 00:04.000\nA tree.\n"
    )
    (folder / "signs.csv").write_text("start,end\n1.2,1.8\n3.1,3.9\n")
    given = ["--signs", folder / "signs.csv", "--cache", folder / "cache", "--lag", 0, "-o", folder / "out.vtt"]
    result = run("align", folder / "signer.npz", folder / "news.vtt", "--embedder", f"cslr2:{folder / 'model'}", *given)
    assert result.exit_code == 0, result.stderr
    assert len(list((folder / "cache").iterdir())) == 2  # it is slow, and kept
    cues = seasign.read_cues(folder / "out.vtt").cues
    assert [cue.start for cue in cues] == [1.2, 3.1]
    result = run("align", folder / "signer.npz", folder / "news.vtt", "--embedder", f"cslr2:{folder}", *given)
    assert result.exit_code == 1


def test_glosses_that_are_recognized_say_where_cues_belong(features):
    rng = np.random.default_rng(1)
    words = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 6)) for _ in range(60)]
    (features / "words.txt").write_text("\n".join(words))
    seen = np.repeat(rng.normal(size=(60, 32)), rng.integers(8, 30, 60), axis=0)  # 60 signs, as the network sees them
    np.save(features / "clip.npy", seen.astype(np.float16))
    given = ["--model", features / "seen", "--vocabulary", features / "words.txt", "--threshold", 0, "--shortest", 4]
    result = run("recognize", features / "clip.npy", *given, "-o", features / "out.eaf")
    assert result.exit_code == 0, result.stderr
    signs = seasign.read_signs(features / "out.eaf", "SIGN")
    assert len({sign.gloss for sign in signs}) > 5
    pairs = [signs[first : first + 2] for first in range(8, len(signs), 2)]
    truth = [seasign.Cue(own[0].start, own[-1].end, " ".join(sign.gloss for sign in own)) for own in pairs]
    late = rng.normal(-2, 1, len(truth)).cumsum() % 3 - 4
    delivered = [
        seasign.Cue(cue.start + by, cue.end + by, cue.text) for cue, by in zip(truth, late.tolist(), strict=True)
    ]
    seasign.write(features / "said.vtt", sorted(delivered, key=lambda cue: cue.start))
    seasign.write(features / "truth.vtt", truth)
    found = {}
    for name, how in ("time", ()), ("glosses", ("--embedder", "gloss-text")):
        out = features / f"{name}.vtt"
        result = run("align", features / "out.eaf", features / "said.vtt", "-o", out, "--lag", 2, "--force", *how)
        assert result.exit_code == 0, result.stderr
        found[name] = json.loads(run("evaluate", features / "truth.vtt", out, "--json").stdout)["f1@0.50"]
    assert "by gloss-text" in result.stdout
    assert found["glosses"] > 80
    assert found["glosses"] > found["time"] + 10


def test_sentences_find_their_clips_and_clips_their_sentences(folder):
    """By the commands that serve every space, and as CSLR2 counts."""
    texts = ["A house.", "A tree.", "House and tree, thank you."]
    spans = [(0.2, 1.4), (1.6, 2.8), (3.0, 5.8)]
    seasign.write(folder / "said.vtt", [seasign.Cue(*span, text) for span, text in zip(spans, texts, strict=True)])
    seasign.write(folder / "said.csv", [seasign.Sign(*span, text) for span, text in zip(spans, texts, strict=True)])
    embedder = ("--embedder", f"cslr2:{folder / 'model'}")
    for command, given in ("embed-text", []), ("embed-signs", [folder / "signer.npz", "--signs", folder / "said.csv"]):
        what = given or [folder / "said.vtt"]
        result = run(command, *what, *embedder, "-o", folder / f"{command}.npz")
        assert result.exit_code == 0, result.stderr
    said, clips = (read_embeddings(folder / f"embed-{kind}.npz")[0] for kind in ("text", "signs"))
    scores = seasign.compare(said, clips)
    found = json.loads(
        run("evaluate-retrieval", folder / "embed-text.npz", folder / "embed-signs.npz", "--json").stdout
    )
    for way, counted in zip(("text_to_sign", "sign_to_text"), evaluate_sentences(scores), strict=True):
        assert 100 * found[way]["recall"][0] == pytest.approx(counted.recall[0])
        assert found[way]["median_rank"] == counted.median_rank
    hits = json.loads(run("search", folder / "embed-signs.npz", texts[2], *embedder, "--json").stdout)["hits"]
    assert [hit["row"] - 1 for hit in hits] == (-scores[2]).argsort().tolist()
    other = run("search", folder / "embed-signs.npz", texts[2], "--embedder", "gloss-text")
    assert "name the embedder that made it" in other.stderr


def test_the_aligner_takes_several_embedders_as_one(folder):
    signs = [seasign.Sign(start, start + 0.4, gloss) for start, gloss in ((0.5, "house"), (2, "tree"), (4, "go"))]
    seasign.write(folder / "signs.csv", signs)
    seasign.write(folder / "said.vtt", [seasign.Cue(sign.start, sign.end, sign.gloss) for sign in signs])
    given = ["--signs", folder / "signs.csv", "-o", folder / "out.vtt", "--force", "--cache", folder / "cache"]
    both = ["--embedder", f"cslr2:{folder / 'model'}", "--embedder", "gloss-text"]
    for _ in range(2):  # the second time out of the cache
        result = run("align", folder / "signer.npz", folder / "said.vtt", *given, *both)
        assert result.exit_code == 0, result.stderr
        assert "compared  3 texts with 3 signs, by cslr2:" in result.stdout
        assert " + gloss-text:" in result.stdout
    assert len(list((folder / "cache").iterdir())) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter, about itself
def test_whole_numbers_say_nearly_the_same(features, monkeypatch):
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # checks of shapes would make them constant
    given = ["--model", features / "seen", "--vocabulary", features / "words.txt", "--threshold", 0, "--shortest", 1]
    found = []
    for how in (), ("--onnx", features / "fast"), ("--onnx", features / "fast"):
        result = run("recognize", features / "clip.npy", *given, *how, "-o", features / "out.csv")
        assert result.exit_code == 0, result.stderr
        found.append(seasign.read_signs(features / "out.csv"))
    assert found[1] == found[2]
    assert [sign.gloss for sign in found[0]] == [sign.gloss for sign in found[1]]
    assert [sign.score for sign in found[0]] == pytest.approx([sign.score for sign in found[1]], abs=0.05)
    other = Cslr2(replace(SHAPE, part=0), Inputs(text="letters:24", features="video-swin"))
    save_file(other.state_dict(), features / "seen" / "weights.safetensors")
    result = run("recognize", features / "clip.npy", *given, *how, "-o", features / "out.csv")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "holds another network than the model" in result.stderr
    (features / "fast" / "words.onnx").write_bytes(b"no network")
    result = run("recognize", features / "clip.npy", *given, *how, "-o", features / "out.csv")
    assert "words.onnx: holds no network that can be run; export it again" in result.stderr
    result = run("recognize", features / "clip.npy", *given, *how, "--half", "-o", features / "out.csv")
    assert result.exit_code == 2


def test_the_page_tunes_on_annotations_of_a_named_part(features, monkeypatch, capsys):
    text = (Path(__file__).parents[1] / "docs" / "recognition.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "tune_recognition" in block)
    monkeypatch.chdir(features)
    (features / "runs").mkdir()
    (features / "seen").rename(features / "runs" / "cslr2")
    for folder in ("features", "annotations"):
        (features / "bobsl" / folder).mkdir(parents=True)
    (features / "bobsl" / "split.json").write_text('{"train": ["ep0"], "val": ["ep1"]}')
    (features / "words.txt").rename(features / "bobsl" / "vocabulary.txt")
    (features / "clip.npy").rename(features / "bobsl" / "features" / "ep1.npy")
    (features / "bobsl" / "annotations" / "ep1.csv").write_text(
        "start_sub,end_sub,english sentence,approx gloss sequence\n0.5,3.0,A house.,house[0.6--1.2]tree[1.4--2.0]\n"
    )
    exec(compile(code, "recognition.md", "exec"), {})
    assert re.fullmatch(r"Walk\(threshold=0\.\d, shortest=\d+\) [\d.]+\n", capsys.readouterr().out)


# Scores ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def scored(tmp_path):
    """Four signs, of which one is found elsewhere and one is called otherwise."""
    true = [(0, 1, "house"), (1, 2, "tree"), (4, 5, "go"), (5, 6, "big")]
    found = [(0, 1, "houses"), (2, 3, "tree"), (4, 5, "go"), (5, 6, "large")]
    for name, signs in ("true.csv", true), ("found.csv", found):
        seasign.write(tmp_path / name, [seasign.Sign(*sign) for sign in signs])
    seasign.write(tmp_path / "said.vtt", [seasign.Cue(0, 3, "A house, a tree."), seasign.Cue(4, 6, "It goes big.")])
    (tmp_path / "same.json").write_text('{"big": ["large"], "large": []}')
    return tmp_path


def test_glosses_are_scored_by_words_and_by_time(scored, monkeypatch):
    given = ["evaluate-glosses", scored / "true.csv", scored / "found.csv", "--json"]
    found = json.loads(run(*given).stdout)
    assert (found["sentences"], found["signs"], found["lemmatizer"]) == (1, 4, "identity")
    assert (found["wer"], found["f1@0.50"], found["frame_accuracy"]) == (50, 25, 25)
    by_sentence = ["--sentences", scored / "said.vtt", "--synonyms", scored / "same.json"]
    found = json.loads(run(*given, *by_sentence).stdout)
    assert (found["sentences"], found["wer"], found["frame_accuracy"], found["not_scored"]) == (2, 25, 50, 0)
    monkeypatch.setitem(LEMMATIZERS, "wordnet", lambda word: word.rstrip("s"))
    assert json.loads(run(*given, *by_sentence, "--lemmatizer", "wordnet").stdout)["wer"] == 0
    said = run(*given[:-1]).stdout
    assert said.splitlines()[:2] == ["signs            4 in 1 sentence, words by identity", "WER              50.0 %"]
    assert [line[:16].rstrip() for line in said.splitlines()[2:5]] == ["bag IoU", "temporal IoU", "F1@0.10"]


def test_a_sign_counts_once_and_what_does_not_count_is_said(scored):
    seasign.write(scored / "said.vtt", [seasign.Cue(0, 3, "One."), seasign.Cue(0, 4.4, "The same and more.")])
    table = (scored / "true.csv").read_text()
    (scored / "true.csv").write_text(table.replace("go", ""))
    given = ["evaluate-glosses", scored / "true.csv", scored / "found.csv", "--sentences", scored / "said.vtt"]
    result = run(*given)
    assert result.stdout.splitlines()[:3] == [
        "signs            2 in 1 sentence, words by identity",
        "not scored       2 of 4 signs of true.csv: in no sentence that is scored",
        "not scored       2 of 4 signs of found.csv: in no sentence that is scored",
    ]
    assert "true.csv: 1 of 4 signs have no gloss: each counts as wrong\n" in result.stderr


def test_tiers_that_are_scored_are_named_and_those_that_lack_are_chosen_by_their_option(scored):
    signs = seasign.read_signs(scored / "true.csv")
    seasign.write(scored / "true.eaf", {"SIGN": signs, "TALK": seasign.read_cues(scored / "said.vtt").cues})
    seasign.write(scored / "found.eaf", {"MINE": seasign.read_signs(scored / "found.csv")})
    given = ["evaluate-glosses", scored / "true.eaf", scored / "found.eaf"]
    chosen = ["--reference-tier", "SIGN", "--sign-tier", "MINE"]
    assert run(*given, *chosen).stdout.splitlines()[1] == "tiers            SIGN of true.eaf and MINE of found.eaf"
    for options, option in (
        ((), "--sign-tier"),
        (("--sign-tier", "MINE"), "--reference-tier"),
        ((*chosen, "--sentences", scored / "true.eaf"), "--sentence-tier"),
    ):
        failed = run(*given, *options)
        assert failed.exit_code == 1
        assert failed.stderr.endswith(f", by {option}\n")
    whole = run(*given, *chosen, "--sentences", scored / "true.eaf", "--sentence-tier", "TALK")
    assert whole.stdout.startswith("signs            4 in 2 sentences")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("true.csv", "start,end\n0,1\n", "true.csv: none of 1 signs has a gloss: there is nothing to compare"),
        ("true.csv", "start,end,gloss\n", "true.csv: "),
        ("said.vtt", "WEBVTT\n\n00:50.000 --> 00:51.000\nLater.\n", "none of its sentences holds a sign"),
        ("same.json", '{"big": ["vast"]}', "same.json: 'vast' is given as a synonym of 'big'"),
    ],
)
def test_what_cannot_be_scored_is_said_in_a_line(scored, name, text, words):
    (scored / name).write_text(text)
    given = ["--sentences", scored / "said.vtt", "--synonyms", scored / "same.json"]
    result = run("evaluate-glosses", scored / "true.csv", scored / "found.csv", *given)
    assert result.exit_code == 1
    assert words in result.stderr.splitlines()[-1]
