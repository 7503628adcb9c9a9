"""CSLR2 as an embedder and recognizer: windows of poses, long signing in parts, what is refused."""

import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import jaxtyping
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from seasign import Embedder, checkpoints, compare, embed_signs, embed_text  # noqa: E402
from seasign.models import cslr2_embedder  # noqa: E402
from seasign.models.cslr2 import Cslr2, Shape  # noqa: E402
from seasign.models.cslr2_embedder import LANDMARKS, Cslr2Embedder, Inputs, Letters, Network, frames_of  # noqa: E402
from seasign.models.cslr2_onnx import OnnxCslr2, export  # noqa: E402
from seasign.recognition import Recognizer, Vocabulary, Walk, recognize  # noqa: E402
from seasign.types import Embeddings, InputError, Poses, Sign, WindowFeatures  # noqa: E402
from test_cslr2 import FORWARD, tiny  # noqa: E402

INPUTS = Inputs(LANDMARKS, features="poses", text="letters:24")
SHAPE = Shape(features=32, inner=64, heads=4, layers=2, text=24, joint=16, classes=0, part=8)


def model(**inputs):
    torch.manual_seed(0)
    return Cslr2(SHAPE, replace(INPUTS, **inputs)).eval()


def embedder(**inputs):
    network = model(**inputs)
    return Cslr2Embedder(network, network.inputs, "0" * 64, Letters(24))


def poses(frames, fps=25, seed=0):
    rng = np.random.default_rng(seed)
    xyz = rng.normal(300, 80, (frames, len(LANDMARKS), 3)).astype(np.float32)
    xyz[:, LANDMARKS.index("POSE_LANDMARKS.RIGHT_SHOULDER"), :2] = 250, 200
    xyz[:, LANDMARKS.index("POSE_LANDMARKS.LEFT_SHOULDER"), :2] = 350, 200
    xyz[:, :, 2] = 0
    return Poses(xyz, np.ones(xyz.shape[:2], np.float32), Fraction(fps), LANDMARKS)


def test_it_is_what_the_aligner_and_the_recognizer_ask_for():
    assert isinstance(embedder(), Embedder)
    assert isinstance(embedder(), Recognizer)
    assert isinstance(model(), Network)


def test_a_window_is_what_its_own_frames_make_of_it(monkeypatch):
    network, frames = model(), frames_of(poses(60), INPUTS)
    whole = network.pose_features(frames)
    assert len(whole) == (60 - 16) // 2 + 1
    np.testing.assert_allclose(network.pose_features(frames[10:26])[0], whole[5], atol=1e-5)
    np.testing.assert_allclose(
        np.concatenate([network.pose_features(some) for some in cslr2_embedder._stretches(frames, INPUTS)]), whole
    )


def test_many_windows_are_those_of_a_few(monkeypatch):
    one = embedder().features(poses(5_000)).vectors
    assert len(one) == (5_000 - 16) // 2 + 1
    np.testing.assert_allclose(
        one[2_000:2_010], model().pose_features(frames_of(poses(5_000), INPUTS))[2_000:2_010], atol=1e-5
    )


@pytest.mark.filterwarnings("ignore:the poses have n")
def test_poses_may_be_looked_at_as_parts_of_a_body_by_the_encoder_of_sigma(tmp_path):
    inputs = replace(INPUTS, graph=True)
    torch.manual_seed(0)
    network = Cslr2(SHAPE, inputs).eval()
    again = Cslr2.from_checkpoint(network.config, network.state_dict())
    assert (again.shape, again.inputs) == (SHAPE, inputs)
    signer = poses(1_300)
    one = replace(embedder(), network=again, inputs=inputs).features(signer).vectors
    assert one.shape == ((1_300 - 16) // 2 + 1, 32)
    frames = frames_of(signer, inputs)
    short = frames_of(poses(60), inputs)
    batch = torch.nn.utils.rnn.pad_sequence([torch.tensor(frames), torch.tensor(short)], batch_first=True)
    with torch.no_grad():
        both = network.pose_windows(batch)
    np.testing.assert_allclose(one, both[0], atol=1e-5)
    np.testing.assert_allclose(network.pose_features(short), both[1, :23], atol=1e-5)
    with pytest.raises(InputError, match="ONNX cannot hold"):
        export(network, tmp_path)


def test_what_is_not_seen_is_zero_and_said_to_be():
    signer = poses(20)
    hand = [n for n, name in enumerate(LANDMARKS) if name.startswith("LEFT_HAND")]
    signer.xyz[3, hand] = np.nan
    numbers = frames_of(signer, INPUTS).reshape(20, len(LANDMARKS), 3)
    assert (numbers[3, hand] == 0).all()
    assert numbers[4, hand, 2].tolist() == [1] * 21


def test_hands_count_from_their_wrists_and_the_place_of_the_signer_does_not():
    signer = poses(20)
    moved = replace(signer, xyz=signer.xyz * np.float32(2) + np.float32([30, 7, 0]))
    np.testing.assert_allclose(frames_of(signer, INPUTS), frames_of(moved, INPUTS), atol=1e-4)
    wrist = LANDMARKS.index("RIGHT_HAND_LANDMARKS.WRIST")
    assert (frames_of(signer, INPUTS).reshape(20, -1, 3)[:, wrist, :2] == 0).all()


def test_times_are_those_of_the_frames_at_the_centres():
    found = embedder().windows(poses(60, fps=50))
    assert (found.fps, found.stride, found.first) == (25, 2, 7)
    assert len(found.vectors) == (30 - 16) // 2 + 1
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)


def test_long_signing_is_encoded_in_parts_that_see_a_little_of_their_neighbours(monkeypatch):
    signer, one = poses(400), embedder()
    features = one.features(signer).vectors
    monkeypatch.setattr(cslr2_embedder, "PART", 40)
    found = one.windows(signer).vectors
    assert len(found) == len(features)
    second = one.network.encoded(features[None, 40 - 12 : 80 + 12])[0, 12:-12]
    np.testing.assert_allclose(found[40:80], one.network.step_vectors(second), atol=1e-5)


def test_features_go_through_as_published():
    network = tiny()
    inputs = Inputs(text="there")
    length = int(FORWARD["lengths"][0])
    features = WindowFeatures(FORWARD["video_features"][0, :length], Fraction(25), "video-swin")
    found = Cslr2Embedder(network, inputs, "0" * 64)
    np.testing.assert_allclose(found.windows(features).vectors, FORWARD["single_video_tokens_0"][0], atol=1e-5)
    np.testing.assert_allclose(found.clip(features).vectors, FORWARD["single_sequence_0"], atol=1e-5)
    words = found.words(("a",) * len(FORWARD["word_embeddings"]), Embeddings(FORWARD["word_embeddings"], "there"))
    np.testing.assert_allclose(words.vectors, FORWARD["words"], atol=1e-5)


def test_a_config_and_tensors_make_the_network_again():
    network = model(fps=Fraction(20))
    again = Cslr2.from_checkpoint(network.config, network.state_dict())
    assert (again.shape, again.inputs) == (network.shape, network.inputs)
    numbers = frames_of(poses(40), INPUTS)
    np.testing.assert_array_equal(again.pose_features(numbers), network.pose_features(numbers))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop("video_sequence_ll.bias"), "the tensor video_sequence_ll.bias is missing"),
        (lambda tensors: tensors.update(more=torch.zeros(2)), "the tensor more is 2, where .* it is missing"),
        (lambda tensors: tensors.update(text_word_ll=torch.zeros(2)), "the tensor text_word_ll is 2, where"),
        (lambda tensors: tensors["text_word_ll.bias"].fill_(float("nan")), "values that are not finite"),
        (lambda tensors: tensors.pop("text_word_ll.weight"), "not those of CSLR2"),
    ],
)
def test_other_tensors_are_refused(change, words):
    tensors = {name: tensor.clone() for name, tensor in model().state_dict().items()}
    change(tensors)
    with pytest.raises(InputError, match=words):
        Cslr2.from_checkpoint(model().config, tensors)


def test_settings_that_fit_nothing_are_refused():
    with pytest.raises(InputError, match="its settings make no CSLR2"):
        Cslr2.from_checkpoint(model().config | {"fps": "fast"}, model().state_dict())


def features(**settings):
    given = {"vectors": np.ones((4, 32), np.float32), "fps": Fraction(25), "source": "video-swin"} | settings
    return WindowFeatures(**given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (features(stride=4), "stride 4, where the network was trained with 2"),
        (features(fps=Fraction(50)), "fps 50, where the network was trained with 25"),
        (features(source="i3d"), "source i3d, where the network was trained with video-swin"),
        (
            features(vectors=np.full((4, 32), np.nan, np.float32)),
            "window 0 at 0.28 s holds numbers that are not finite",
        ),
        (features(vectors=np.zeros((0, 32), np.float32)), "the clip is shorter than one"),
        (poses(40), "looks at features of video-swin, and not at poses"),
    ],
)
def test_features_of_another_kind_are_refused(given, words):
    with pytest.raises(InputError, match=words):
        Cslr2Embedder(tiny(), Inputs(), "0" * 64).windows(given)


def test_poses_that_hold_no_window_are_refused():
    with pytest.raises(InputError, match=r"poses of 0.60 s are shorter than one window of 0.64 s"):
        embedder().windows(poses(15))
    with pytest.raises(InputError, match="looks at poses, and not at features of video-swin"):
        embedder().windows(features())


def test_texts_need_their_own_encoder():
    without = replace(embedder(), encoder=None)
    with pytest.raises(InputError, match="read by 'letters:24', which is not here"):
        without.words(["house"])
    with pytest.raises(InputError, match="'letters:24', not by 'letters:12'"):
        replace(embedder(), encoder=Letters(12)).words(["house"])
    with pytest.raises(InputError, match="the vectors of the words are 'there'"):
        embedder().words(["house"], Embeddings(np.ones((1, 24), np.float32), "there"))
    with pytest.raises(InputError, match="text 2 of 2 is empty"):
        embedder().sentences(["house", " "])


@pytest.mark.parametrize("word", ["1234", "!"])
def test_words_without_vectors_are_named(word):
    one = embedder()
    with pytest.raises(InputError, match=f"1 of 2 texts have no vector, such as '{word}': write them in letters"):
        recognize(poses(60), Vocabulary(("house", word)), one)
    with pytest.raises(InputError, match="1 of 1 texts have no vector"):
        one.sentences([word])
    vectors = Embeddings(np.float32([np.ones(24), np.full(24, np.nan)]), "letters:24")
    with pytest.raises(InputError, match="1 of 2 texts have no vector"):
        recognize(poses(60), Vocabulary(("house", word), vectors), one)
    with pytest.raises(InputError, match="3 words have 2 vectors: give one to each"):
        one.words(["house", "tree", word], vectors)


def test_a_sentence_is_looked_at_as_a_whole():
    one, signer = embedder(), poses(400)
    (row,) = one.signs(signer, [Sign(1.0, 12.0)]).vectors * np.sqrt(2)
    encoded, found = one._encode(signer)
    whole = encoded[(found.times >= 1) & (found.times < 12)].max(axis=0)
    np.testing.assert_allclose(row[16:], one.network.sequence_vectors(whole[None])[0], atol=1e-5)


def test_a_sign_is_the_mean_of_its_windows_beside_what_is_around_it():
    one, signer = embedder(), poses(200)
    steps = one.windows(signer)
    signs = [Sign(1.0, 2.0), Sign(0.0, 0.05)]
    vectors = embed_signs(signer, signs, one).vectors * np.sqrt(2)
    inside = (steps.times >= 1) & (steps.times < 2)
    mean = steps.vectors[inside].mean(axis=0)
    np.testing.assert_allclose(vectors[0, :16], mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(vectors[1, :16], steps.vectors[0], atol=1e-5)  # the nearest window, where none is inside
    np.testing.assert_allclose(np.linalg.norm(vectors[:, 16:], axis=1), 1, rtol=1e-5)


def test_a_text_is_the_mean_of_its_words_beside_the_sentence():
    one = embedder()
    vectors = embed_text(["House, tree!", "...", "tree house"], one).vectors * np.sqrt(2)
    words = one.words(["house", "tree"]).vectors.mean(axis=0)
    np.testing.assert_allclose(vectors[0, :16], words / np.linalg.norm(words), atol=1e-5)
    np.testing.assert_allclose(vectors[0, 16:], one.sentences(["house tree"]).vectors[0], atol=1e-5)
    assert (vectors[1] == 0).all()


def test_texts_without_letters_are_zero_and_as_long_as_others():
    made = embedder()
    assert made.text(["...", "12?"]).vectors.shape == (2, made.text(["house"]).vectors.shape[1])
    assert not made.text(["..."]).vectors.any()


def test_texts_of_no_letters_compare_with_signs_all_the_same():
    one = embedder()
    assert not one.text(["...", "?"]).vectors.any()
    assert (compare(one.text(["..."]), one.signs(poses(60), [Sign(0, 1)])) == 0).all()
    assert compare(one.text([]), one.signs(poses(60), [Sign(0, 1)])).shape == (0, 1)


def test_poses_are_recognized():
    signs = recognize(poses(120), Vocabulary(("house", "tree")), embedder(), reading=Walk(0.0, 1))
    assert signs
    assert {sign.gloss for sign in signs} <= {"house", "tree"}
    assert all(0 <= sign.start < sign.end <= 120 / 25 for sign in signs)


def test_a_checkpoint_is_an_embedder_and_an_older_file_becomes_one(tmp_path):
    network = model()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(network.config))
    found = checkpoints.load_embedder(tmp_path)
    assert isinstance(found, Cslr2Embedder)
    np.testing.assert_array_equal(found.windows(poses(60)).vectors, embedder().windows(poses(60)).vectors)
    assert found.text(["house"]).space == found.space
    with pytest.raises(InputError, match="finds no signs"):
        checkpoints.load_segmenter(tmp_path)
    torch.save({"state_dict": tiny().state_dict()}, tmp_path / "model_best.pth")
    checkpoints.convert(
        tmp_path / "model_best.pth", tmp_path / "out", settings={"shape": {"heads": 4, "compat": "cslr2"}}
    )
    saved = {f"module.{name}": tensor for name, tensor in tiny().state_dict().items()}
    saved = {name.replace("self_attention", "self_attn"): tensor for name, tensor in saved.items()}
    saved |= dict.fromkeys(("module.video_encoder.src_embed.pe", "module.text_encoder.shared.weight"), torch.ones(3, 4))
    optimizer = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 5e-5, "params": [0]}]}
    as_saved = {"model_state_dict": saved, "optimizer_state_dict": optimizer, "epoch": 20, "loss": 0.5}
    torch.save(as_saved, tmp_path / "model_20.pth")
    settings = {"shape": {"heads": 4, "compat": "cslr2"}}
    checkpoints.convert(tmp_path / "model_20.pth", tmp_path / "again", settings=settings)
    assert (tmp_path / "again" / "weights.safetensors").read_bytes() == (
        tmp_path / "out" / "weights.safetensors"
    ).read_bytes()
    other = checkpoints.load(tmp_path / "out")
    features = WindowFeatures(FORWARD["video_features"][0, :10], Fraction(25), "video-swin")
    expected = Cslr2Embedder(tiny(), Inputs(), "").windows(features).vectors
    np.testing.assert_allclose(other.windows(features).vectors, expected, atol=1e-6)


def write_encoder(folder, words):
    """A T5 of random weights that knows some words, and its tokenizer."""
    import transformers

    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words.split()]
    folder.mkdir()
    config = transformers.T5Config(
        vocab_size=len(known), d_model=24, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    torch.manual_seed(0)
    transformers.T5Model(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(known) + "\n")
    tokenizer = transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    return tokenizer


def test_an_encoder_in_its_folder_reads_the_texts_of_a_published_checkpoint(tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizer = write_encoder(tmp_path / "text", "house tree")
    network = tiny()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(network.config))
    found = checkpoints.load(tmp_path)
    encoder = transformers.T5EncoderModel.from_pretrained(tmp_path / "text").eval()
    with torch.inference_mode():
        mean = encoder(input_ids=tokenizer("tree house", return_tensors="pt")["input_ids"]).last_hidden_state.mean(
            dim=1
        )
        expected = network.sentences(mean)
    np.testing.assert_allclose(found.sentences(["tree house"]).vectors, expected.numpy(), atol=1e-5)


# Exported -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the exporter, about itself
@pytest.mark.parametrize("int8", [False, True])
def test_an_exported_network_gives_the_same_vectors_without_torch(tmp_path, monkeypatch, int8):
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # checks of shapes would make them constant
    own = embedder()
    export(own.network, tmp_path, int8=int8)
    exported = OnnxCslr2(tmp_path, threads=1)
    assert isinstance(exported, Network)
    other, atol = replace(own, network=exported), 0.1 if int8 else 1e-5
    for frames in 16, 61, 700:  # one window; some; in parts
        np.testing.assert_allclose(other.windows(poses(frames)).vectors, own.windows(poses(frames)).vectors, atol=atol)
        np.testing.assert_allclose(other.clip(poses(frames)).vectors, own.clip(poses(frames)).vectors, atol=atol)
    np.testing.assert_allclose(other.text(["A house", "a"]).vectors, own.text(["A house", "a"]).vectors, atol=1e-5)
    with pytest.raises(InputError, match="encoder of 31 numbers, where this CSLR2 takes 32"):
        exported.encoded(np.zeros((1, 5, 31), np.float32))
    code = (
        "import sys, pathlib; from seasign.models.cslr2_onnx import OnnxCslr2; "
        "OnnxCslr2(pathlib.Path(sys.argv[1])); print('torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
