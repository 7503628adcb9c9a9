"""Sigma's training: what each objective sees and teaches, stated weights, whole runs, and what is refused."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file  # noqa: E402

import seasign  # noqa: E402
import tiny_sigma  # noqa: E402
from commands import run_together  # noqa: E402
from seasign import checkpoints  # noqa: E402
from seasign.corpora import traduttore  # noqa: E402
from seasign.formats.coco import COCO_WHOLEBODY  # noqa: E402
from seasign.models.sigma_translator import SigmaTranslator, in_unit, spread, units_of  # noqa: E402
from seasign.training import sigma, sigma_finetune, train  # noqa: E402
from seasign.training.concatenation import concatenate  # noqa: E402
from seasign.training.recipe import Loop, build, read_table  # noqa: E402
from seasign.training.sigma import OBJECTIVES, Batch, Met, Objective, Recipe, losses  # noqa: E402
from seasign.training.sigma_corpus import Corpus, Data, Example, Joined  # noqa: E402
from seasign.training.sigma_network import make_network, see  # noqa: E402
from seasign.types import InputError, InputWarning, Poses  # noqa: E402
from test_corpora_uni_sign import kept, packed  # noqa: E402
from test_training_cslr2 import WORDS, write_corpus  # noqa: E402
from test_translation import Phrases  # noqa: E402
from tiny_sigma import SMALL  # noqa: E402

TABLE = """
[network]
vocabulary = 60
width = 16
key = 8
heads = 2
inner = 24
layers = 2
decoder_layers = 1
fused = 1
joint = 4
spatial = [6, 8]
temporal = 1
frames = 24
pieces = 12
"""
DATA = """
[data]
traduttore = "corpus"
test_signers = ["block 2"]
valid_signers = ["block 1"]
batch = 8
"""
PICTURE = {"video": {"name": "c.mp4", "width": 1280, "height": 720}}
LOOP = """
[loop]
metric = "{metric}"
direction = "{direction}"
epochs = {epochs}
learning_rate = 1e-2
clip = 1.0
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sigma")
    (folder / "corpus").mkdir()
    write_corpus(folder / "corpus")
    return folder


def task(folder, **changes):
    data = Data(traduttore=folder / "corpus", valid_signers=("block 1",), test_signers=("block 2",), batch=6)
    joined = Joined(sentences=12, signs=(2, 3), valid=4)
    recipe = Recipe(data, Loop("valid_loss"), SMALL, joined=joined)
    torch.manual_seed(0)
    return sigma.prepare(replace(recipe, **changes))


@pytest.fixture(scope="module")
def batch(folder) -> Batch:
    """Six clips of one sign or two, which all say something else."""
    made = task(folder)
    rng = np.random.default_rng(0)
    texts = ["house", "tree", "go", "house tree", "tree go", "go house"]
    looked = []
    for text in texts:
        chosen = [made.corpus.by_word["train"][word][0] for word in text.split()]
        poses = concatenate(chosen, 0, joining=replace(made.corpus.joined, phrase=(3, 3)))[0]
        looked.append(see(made.network, Example(text, lambda poses=poses: poses, text), rng))
    return made.stacked(looked, texts)


def values(model, batch, objective=None):
    """The losses, with negatives that are always drawn alike."""
    torch.manual_seed(1)
    return {
        name: float(value.detach())
        for name, value in losses(model(batch), batch.said, objective or model.objective).items()
    }


def learn(model, batch, steps, rate=1e-2):
    optimizer = torch.optim.AdamW([own for own in model.parameters() if own.requires_grad], lr=rate)
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:  # to 0, so that the norms' statistics are of what was learned
            group["lr"] = rate * (1 - step / steps)
        torch.manual_seed(step)
        optimizer.zero_grad()
        sum(losses(model(batch), batch.said, model.objective).values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def moved(batch):
    """Other skeletons, the same texts."""
    looked = {part: own.flip(0) * 0.7 for part, own in batch.looked.items()}
    return batch._replace(looked=looked, there=batch.there.flip(0))


# The objectives


def test_the_total_has_the_stated_weights():
    met = Met(
        clips=torch.eye(3),
        texts=torch.eye(3),
        frames=torch.eye(3)[:, None],
        frames_there=torch.ones(3, 1, dtype=torch.bool),
        words=torch.eye(3)[:, None],
        words_there=torch.ones(3, 1, dtype=torch.bool),
        scale=torch.tensor(2.0),
        matching=torch.tensor(5.0),
        language=torch.tensor(7.0),
        pairs=torch.tensor(11.0),
    )
    found = losses(met, torch.arange(3), Objective(alpha=0.3, beta=0.2, pairs=0.5))
    whole, words = (float(np.log(np.exp(scale) + 2) - scale) for scale in (2, 1))
    expected = {
        "global": 0.7 * whole, "local": 0.3 * words, "matching": 0.8 * 5, "language": 0.2 * 7, "pairs": 0.5 * 11,
    }  # fmt: skip
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected)
    assert Objective().weights == dict.fromkeys(OBJECTIVES, 0.5)


def test_what_is_left_out_leaves_the_weights_of_the_others():
    assert Objective(alpha=0.3, without=("local", "language")).weights == {"global": 0.7, "matching": 0.5}
    assert "local" not in Objective(alpha=0.0).weights


@pytest.mark.parametrize("fused", [False, True])
def test_every_loss_that_claims_to_see_the_skeletons_does(folder, batch, fused):
    model = task(folder, loss=Objective(fused=fused)).model.eval()
    before, after = values(model, batch), values(model, moved(batch))
    assert set(before) == set(OBJECTIVES)
    for name in OBJECTIVES:
        assert abs(before[name] - after[name]) > 1e-5, name


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_each_objective_alone_teaches_what_it_asks_and_trains_nothing_that_it_does_not_reach(folder, batch, objective):
    others = tuple(name for name in OBJECTIVES if name != objective)
    model = task(folder, loss=Objective(without=others, smoothing=0.0, local_temperature=0.2)).model
    before = values(model.eval(), batch)[objective]
    learn(model, batch, 1)
    assert all((own.grad is not None) == own.requires_grad for own in model.parameters())
    learn(model, batch, 80 if objective == "matching" else 40, 3e-3 if objective == "matching" else 1e-2)
    assert values(model, batch)[objective] < 0.7 * before


def test_permuted_texts_are_told_apart_once_something_was_learned(folder, batch):
    model = learn(task(folder, loss=Objective(local_temperature=0.2)).model, batch, 60)
    turn = [1, 2, 3, 4, 5, 0]
    wrong = batch._replace(ids=batch.ids[turn], words=batch.words[turn], said=batch.said[turn])
    right, permuted = values(model, batch), values(model, wrong)
    for name in ("global", "local", "matching", "language"):
        assert permuted[name] > 1.3 * right[name], name


def test_aligned_after_meeting_texts_tell_what_they_are_without_any_skeleton(folder, batch):
    """The published way: nothing is seen, and alignment as wholes is learned all the same. Ours learns nothing then."""
    blind = batch._replace(looked={part: torch.zeros_like(own) for part, own in batch.looked.items()})
    blind = blind._replace(there=torch.ones_like(blind.there))
    others = ("local", "matching", "language")
    found = {}
    for fused in (True, False):
        model = learn(task(folder, loss=Objective(fused=fused, without=others)).model, blind, 30)
        found[fused] = values(model, blind)["global"]
    chance = 0.5 * np.log(6)
    assert found[True] < 0.6 * chance
    assert found[False] == pytest.approx(chance, rel=0.01)


@torch.no_grad()
def test_padding_changes_no_loss(folder, batch):
    model = task(folder).model.eval()
    more = {part: torch.cat((own, torch.full_like(own[:, :3], 7.0)), dim=1) for part, own in batch.looked.items()}
    padded = batch._replace(
        looked=more,
        there=torch.nn.functional.pad(batch.there, (0, 3)),
        ids=torch.nn.functional.pad(batch.ids, (0, 2)),
        words=torch.nn.functional.pad(batch.words, (0, 2), value=-1),
    )
    assert values(model, padded) == pytest.approx(values(model, batch), rel=1e-4)


def test_texts_of_the_same_words_are_no_negatives(folder, batch):
    model = task(folder, loss=Objective(without=("local", "language"))).model.eval()
    same = batch._replace(said=torch.zeros_like(batch.said))
    torch.manual_seed(1)
    with torch.no_grad():
        met = model(same)
        pairs = model.network.fuse(
            model.network.early(model.network.enter(batch.looked, batch.there)),
            model.network.early(model.network.enter_text(batch.ids), text=True),
        )
        expected = -model.network.match(pairs[1]).log_softmax(dim=1)[:, 1].mean()
    assert float(met.matching) == pytest.approx(float(expected), rel=1e-5)
    logits = met.scale * met.clips @ met.texts.T
    even = -(logits.log_softmax(dim=1).mean() + logits.log_softmax(dim=0).mean()) / 2
    assert float(losses(met, same.said, model.objective)["global"]) == pytest.approx(0.5 * float(even), rel=1e-5)


@torch.no_grad()
def test_wholes_are_brought_to_length_one_before_they_are_aligned(folder, batch):
    met = task(folder).model.eval()(batch)
    for wholes in (met.clips, met.texts):
        torch.testing.assert_close(wholes.norm(dim=1), torch.ones(6))


def test_processes_share_what_they_align(monkeypatch):
    """Those of another process, longer ones, come after ours, filled up."""
    theirs = torch.ones(2, 5, 3)

    def gathered(rows):
        if rows.ndim == 1:
            return torch.cat((rows, torch.tensor([5])))
        other = theirs if rows.ndim == 3 else torch.ones(2, 5)
        return torch.cat((rows, other))

    monkeypatch.setattr(sigma, "gather", gathered)
    rows, there = sigma._gathered(torch.zeros(2, 4, 3), torch.ones(2, 4, dtype=torch.bool))
    assert rows.shape == (4, 5, 3)
    assert there.sum(dim=1).tolist() == [4, 4, 5, 5]


@pytest.mark.slow
def test_two_processes_align_the_clips_of_both(folder, tmp_path):
    """To the gradient of one that has all of them; their clips and texts are of other lengths. Then all objectives."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    assert run_together([sys.executable, tiny_sigma.__file__, folder / "corpus", two]) == (0, "", "")
    tiny_sigma.descend(folder / "corpus", one, 1, tiny_sigma.ALIGNED)
    before = task(folder, joined=Joined(sentences=6, signs=(1, 3), valid=2)).network.tensors
    expected, found, whole = (load_file(path) for path in (one / "0.safetensors", *sorted(two.iterdir())))
    learned = {name for name, own in expected.items() if not torch.equal(own, before[name])}
    assert {"scale", "vision_first", "text_first", "frames.encoder.pose_proj.weight"} <= learned
    for name, own in expected.items():
        torch.testing.assert_close(found[name], own, rtol=1e-4, atol=1e-6)
    assert all(own.isfinite().all() for own in whole.values())
    assert not torch.equal(whole["matching.weight"], before["matching.weight"])


def test_recomputed_activations_change_no_gradient(folder, batch):
    gradients = []
    for recompute in (False, True):
        model = task(folder, network=replace(SMALL, recompute=recompute)).model.train()
        torch.manual_seed(0)
        sum(losses(model(batch), batch.said, model.objective).values()).backward()
        gradients.append(torch.cat([own.grad.flatten() for own in model.parameters() if own.grad is not None]))
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-3)


def test_in_16_bits_losses_are_nearly_the_same_and_have_32(folder, batch):
    model = task(folder).model.train()
    torch.manual_seed(0)
    expected = {name: float(value.detach()) for name, value in losses(model(batch), batch.said, Objective()).items()}
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        met = model(batch)
    found = losses(met, batch.said, Objective())
    assert all(value.dtype == torch.float32 for value in found.values())
    assert {name: float(value.detach()) for name, value in found.items()} == pytest.approx(expected, rel=0.1)
    sum(found.values()).backward()
    assert all(own.grad.isfinite().all() for own in model.parameters() if own.grad is not None)


# The data


def test_frames_are_drawn_in_training_and_spread_evenly_otherwise():
    assert spread(5, 8).tolist() == [0, 1, 2, 3, 4]
    assert spread(9, 3).tolist() == [0, 4, 8]
    assert spread(10_000, 256).tolist() == sorted(set(spread(10_000, 256).tolist()))
    one, other = (spread(1000, 64, np.random.default_rng(seed)) for seed in (0, 1))
    assert len(set(one.tolist())) == 64
    assert one.tolist() == sorted(one.tolist()) != other.tolist()


@pytest.mark.parametrize(
    ("provenance", "units"),
    [
        (None, ("pixels",)),
        ({"unit": "shares"}, ("shares",)),
        (PICTURE, ("pixels", "shares")),
        ({"unit": "shares", **PICTURE}, ("shares", "pixels")),
        ({"video": {"width": 0, "height": 720}}, ("pixels",)),
        ({"video": {"width": "1280", "height": 720}}, ("pixels",)),
        ({"video": "news.mp4"}, ("pixels",)),
    ],
)
def test_poses_are_measured_in_what_a_network_learned_from_where_the_size_of_the_picture_is_known(provenance, units):
    xyz = np.float32([[[640, 180, 64], [np.nan] * 3]])
    poses = Poses(xyz, np.ones((1, 2), np.float32), traduttore.FPS, ("A.b", "C.d"), provenance)
    assert units_of(poses) == units
    assert in_unit(poses, units[0]) is poses
    for unit, expected in {"shares": (0.5, 0.25, 0.05), "pixels": (640 * 1280, 180 * 720, 64 * 1280)}.items():
        found = in_unit(poses, unit)
        if unit in units[1:]:
            np.testing.assert_allclose(found.xyz[0, 0], expected, rtol=1e-6)
            assert np.isnan(found.xyz[0, 1]).all()
            assert units_of(found) == units[::-1]
        else:
            assert found is poses


def test_few_examples_are_few_and_come_often(folder):
    data = Data(traduttore=folder / "corpus", valid_signers=("block 1",), test_signers=("block 2",))
    corpus = Corpus(replace(data, examples=2, repeat=5), None, 0)
    assert sorted(example.text for example in corpus.train) == sorted(WORDS * 2)
    assert len(corpus) == 30
    assert corpus.draw(7, np.random.default_rng(0)).name == corpus.train[1].name
    assert {len(Corpus(data, None, 0).train), len(corpus.valid)} == {12}


def write_clip(path, frames=6, landmarks=COCO_WHOLEBODY):
    xyz = np.random.default_rng(frames).uniform(0, 100, (frames, len(landmarks), 3)).astype(np.float32)
    seasign.write(path, Poses(xyz, np.ones(xyz.shape[:2], np.float32), traduttore.FPS, landmarks))


@pytest.fixture
def manifest(tmp_path):
    write_clip(tmp_path / "a.npz")
    write_clip(tmp_path / "b.npz", 7)
    (tmp_path / "clips.csv").write_text("poses,text,signer,split\na.npz,heavy rain,x,train\nb.npz,rain,y,valid\n")
    return tmp_path / "clips.csv"


def from_manifest(manifest, **changes):
    return sigma.prepare(Recipe(Data(manifest=manifest), Loop("valid_loss"), replace(SMALL, **changes)))


def test_clips_of_a_manifest_are_learned_from(manifest):
    made = from_manifest(manifest)
    (batch,) = made.batches(1, 0, 1)
    assert batch.looked["left"].shape == (1, 6, 21, 3)
    assert made.pieces.say(batch.ids[0].tolist()) == "heavy rain"
    made.model.eval()
    with torch.no_grad():
        assert {"valid_loss", "valid_matching", "text_to_video_r@1"} <= made.evaluate().keys()


def test_a_clip_of_one_frame_and_one_of_ten_thousand_are_warned_of_in_a_line(manifest):
    write_clip(manifest.parent / "b.npz", 1)
    with pytest.warns(InputWarning, match=r"^b\.npz: rain: is one frame, in which nothing moves$"):
        made = from_manifest(manifest)
    made.model.eval()
    with torch.no_grad():
        assert np.isfinite(made.evaluate()["valid_loss"])
    write_clip(manifest.parent / "b.npz", 10_000)
    with pytest.warns(InputWarning, match=r"^b\.npz: rain: of 10000 frames only 24 are looked at: cut it"):
        from_manifest(manifest)


def test_clips_that_are_learned_from_are_warned_of_in_the_first_epoch_alone_and_not_of_frames_drawn_anew(manifest):
    write_clip(manifest.parent / "a.npz", 10_000)
    made = from_manifest(manifest)
    made.batch(1, [0])  # of 10,000 frames others every time; warnings are errors
    write_clip(manifest.parent / "a.npz", 1)
    made = from_manifest(manifest)
    with pytest.warns(InputWarning, match=r"^a\.npz: heavy rain: is one frame, in which nothing moves$"):
        made.batch(1, [0])
    made.batch(2, [0])


def test_poses_without_the_landmarks_are_refused_in_a_line(manifest):
    write_clip(manifest.parent / "b.npz", 5, ("A.b", "C.d"))
    with pytest.raises(InputError, match=r"^b\.npz: rain: the poses have no COCO_BODY\.NOSE or POSE_LANDMARKS\.NOSE"):
        from_manifest(manifest)


def test_an_empty_text_is_refused_in_a_line(folder, monkeypatch):
    clips = [replace(clip, text=" ") if clip.text == "go" else clip for clip in traduttore.read(folder / "corpus")]
    monkeypatch.setattr(traduttore, "read", lambda path: tuple(clips))
    with pytest.raises(InputError, match=r"^go/0: its text is empty: write what it says, or take the clip out$"):
        task(folder)


def test_a_tokenizer_without_the_language_is_refused_in_a_line(folder, tmp_path):
    made = task(folder)
    write_checkpoint(made, tmp_path / "start")
    with pytest.raises(InputError, match=r"does not know .* pieces of the English texts .*: take one that was made"):
        make_network(None, tmp_path / "start", ["你好世界"])


def write_checkpoint(made, folder):
    import json

    folder.mkdir()
    config, tensors = made.checkpoint()
    save_file({name: own.contiguous() for name, own in tensors.items()}, folder / "weights.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    for name, text in made.files.items():
        (folder / name).write_text(text)


def test_what_cannot_be_is_refused(folder, tmp_path):
    for changes, words in (
        ({"loss": Objective(without=OBJECTIVES)}, "every objective is left out"),
        ({"loss": Objective(pairs=1.0)}, "expected both or neither"),
        ({"network": None}, "expected one of network and start"),
        ({"data": Data(manifest=Path("x"), labels=Path("y"))}, "expected one of traduttore, manifest and labels"),
        ({"data": Data(labels=Path("y")), "joined": None}, "labels, valid_labels and poses: expected all three"),
        ({"data": Data(manifest=Path("x"))}, "only the signs of traduttore are joined"),
        ({"joined": Joined(signs=(2, 9))}, "9 different ones, of 3 words"),
        ({"data": Data(traduttore=Path("x"), repeat=2)}, r"^\[data\] repeat: what is joined is drawn anew"),
        ({"data": Data(traduttore=Path("x"), poses=Path("y"))}, r"^\[data\] valid_labels, poses: they go with labels"),
        ({"data": Data(labels=Path("x"), test_signers=("y",)), "joined": None}, "test_signers: labels name none"),
        ({"network": replace(SMALL, encoder=tmp_path / "none")}, "no such checkpoint|no checkpoint of that name"),
        (
            {"network": replace(SMALL, mt5=tmp_path)},
            r"no tokenizer of an mT5 .*\(expected tokenizer.json or spiece.mod",
        ),
    ):
        with pytest.raises(InputError, match=words):
            task(folder, **changes)


def test_an_mt5_in_a_folder_is_what_is_started_from(folder, tmp_path):
    from transformers import MT5ForConditionalGeneration

    from seasign.models.mt5 import untie
    from seasign.models.sigma import Shape
    from seasign.models.sigma_words import Pieces

    pieces = Pieces.learn([*WORDS, "Translate sign language video to English: "], 60)
    shape = Shape(width=16, key=8, heads=2, inner=24, layers=2, decoder_layers=1, vocabulary=len(pieces))
    mt5 = untie(MT5ForConditionalGeneration(shape.mt5))
    mt5.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(pieces.text)
    made, again = make_network(replace(SMALL, mt5=tmp_path), None, WORDS)
    assert again.text == pieces.text
    assert made.shape == replace(shape, fused=1)
    for name, own in mt5.state_dict().items():
        torch.testing.assert_close(made.mt5.state_dict()[name], own, msg=lambda text, name=name: f"{name}: {text}")
    with pytest.raises(InputError, match="only tokenizers of the kind Unigram"):
        make_network(replace(SMALL, mt5=tmp_path, trim=True), None, WORDS)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"gated-gelu"', '"relu"'))
    with pytest.raises(InputError, match=rf"^{tmp_path}: its feed_forward_proj is relu, where in an mT5 it is gated-"):
        make_network(replace(SMALL, mt5=tmp_path), None, WORDS)
    (tmp_path / "config.json").write_text(config)
    weights = tmp_path / "model.safetensors"
    torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
    weights.unlink()
    made, _ = make_network(replace(SMALL, mt5=tmp_path), None, WORDS)
    for name in ("shared.weight", "lm_head.weight"):
        torch.testing.assert_close(made.mt5.state_dict()[name], mt5.state_dict()[name])
    weights.with_name("pytorch_model.bin").unlink()
    with pytest.raises(InputError, match=r"no mT5 that can be read \(expected its weights in one file, model.safet"):
        make_network(replace(SMALL, mt5=tmp_path), None, WORDS)
    weights.write_bytes(b"no")
    with pytest.raises(InputError, match="no mT5 that can be read"):
        make_network(replace(SMALL, mt5=tmp_path), None, WORDS)


def test_of_a_trimmed_mt5_the_texts_keep_their_pieces_and_what_it_says_of_them(tmp_path):
    from transformers import MT5ForConditionalGeneration

    from seasign.models.mt5 import untie
    from seasign.models.sigma import Shape

    tokenizers = pytest.importorskip("tokenizers")
    letters = [(letter, -9.0) for letter in "\u2581TadeghilnorstuvEw: "]
    words = [(f"\u2581{word}", -2.0) for word in (*WORDS, "sign", "language", "video", "never")]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *letters, *words]
    made = tokenizers.Tokenizer(tokenizers.models.Unigram(vocabulary, unk_id=2, byte_fallback=False))
    made.pre_tokenizer, made.decoder = tokenizers.pre_tokenizers.Metaspace(), tokenizers.decoders.Metaspace()
    (tmp_path / "tokenizer.json").write_text(made.to_str())
    shape = Shape(width=16, key=8, heads=2, inner=24, layers=2, decoder_layers=1, vocabulary=len(vocabulary) + 9)
    torch.manual_seed(0)
    untie(MT5ForConditionalGeneration(shape.mt5)).save_pretrained(tmp_path)  # pieces beyond the tokenizer's, as mT5 has
    (whole, pieces), (few, fewer) = (
        make_network(replace(SMALL, mt5=tmp_path, trim=trim), None, WORDS) for trim in (False, True)
    )
    assert few.shape == replace(whole.shape, vocabulary=len(fewer))
    assert len(fewer) < len(pieces)
    for text in WORDS:
        ids = pieces.ids(text), fewer.ids(text)
        assert fewer.say(ids[1]) == pieces.say(ids[0]) == text
        for table in ("shared", "lm_head"):
            old, new = (getattr(one.mt5, table).weight[own] for one, own in zip((whole, few), ids, strict=True))
            torch.testing.assert_close(old, new)
    assert [pieces.tokenizer.id_to_token(token) for token in whole.inputs.prefix] == [
        fewer.tokenizer.id_to_token(token) for token in few.inputs.prefix
    ]


def test_a_cslr2_that_was_trained_is_what_looks_at_the_frames(folder, tmp_path):
    import json
    from fractions import Fraction

    from seasign.models import cslr2, cslr2_embedder
    from seasign.models.frame_tokens import Cslr2Tokens

    shape = cslr2.Shape(features=20, inner=24, heads=2, layers=1, text=8, joint=8, classes=0, part=6)
    inputs = cslr2_embedder.Inputs(
        cslr2_embedder.LANDMARKS, Fraction(25), features="poses", text=cslr2_embedder.Letters(8).space
    )
    network = cslr2.Cslr2(shape, inputs)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(network.config))
    made = task(folder, network=replace(SMALL, encoder=tmp_path))
    assert isinstance(made.network.frames, Cslr2Tokens)
    for name, own in made.network.frames.network.state_dict().items():
        torch.testing.assert_close(own, network.state_dict()[name])
    (batch, *_) = made.batches(1, 0, 1)
    assert np.isfinite(sum(float(term.detach()) for term in made.loss(made.model, batch).terms.values()))


# Whole runs


@pytest.fixture(scope="module")
def pretrained(folder) -> Path:
    loop = LOOP.format(metric="valid_loss", direction="min", epochs=2)
    joined = "\n[joined]\nsentences = 32\nsigns = [1, 3]\nvalid = 6\n"
    pairs = "gloss\ttext\nGO HOUSE\tgo to the house\nTREE\ta tree\n"
    (folder / "pairs.tsv").write_text(pairs)
    loss = "\n[loss]\npairs = 0.5\n"
    data = DATA + 'pairs = "pairs.tsv"\n'
    (folder / "pretrain.toml").write_text('task = "sigma"\n' + data + joined + TABLE + loss + loop)
    trained = train(folder / "pretrain.toml", output=folder / "pretrained")
    assert trained.metrics["valid_pairs"] > 0
    return folder / "pretrained"


def finetune(folder, work, metric, direction, *, start=None, epochs=6, extra="", joined=""):
    head = f'task = "sigma-finetune"\nwork = "{work}"\nbeams = 2\nmost = 8\n'
    head += f'start = "{start}"\n' if start else ""
    loop = LOOP.format(metric=metric, direction=direction, epochs=epochs)
    name = f"{work}-{'started' if start else 'new'}"
    (folder / f"{name}.toml").write_text(head + DATA + extra + joined + ("" if start else TABLE) + loop)
    return train(folder / f"{name}.toml", output=folder / name)


def test_pre_trained_it_names_signs(folder, pretrained):
    trained = finetune(folder, "islr", "per_instance", "max", start=pretrained, extra="repeat = 4\n")
    assert trained.metrics["per_instance"] > 60  # a third by chance
    found = checkpoints.load_translator(trained.checkpoint)
    assert isinstance(found, SigmaTranslator)
    clips = [clip for clip in traduttore.read(folder / "corpus") if clip.signer == "block 2"]
    with pytest.warns(InputWarning, match="nothing of the face"):
        said = found.translate([clip.read() for clip in clips])
    assert np.mean([one.text == clip.text for one, clip in zip(said, clips, strict=True)]) > 0.6
    assert all(0 < one.probability <= 1 for one in said)
    assert not any("text" in name for name in found.network.tensors)


def test_from_nothing_it_writes_glosses(folder):
    joined = "\n[joined]\nsentences = 32\nsigns = [1, 2]\nvalid = 6\n"
    trained = finetune(folder, "cslr", "wer", "min", joined=joined, epochs=1)
    assert np.isfinite(trained.metrics["wer"])


def test_from_what_was_pre_trained_it_writes_sentences(folder, pretrained):
    joined = "\n[joined]\nsentences = 32\nsigns = [1, 2]\nvalid = 6\n"
    trained = finetune(folder, "slt", "chrf", "max", start=pretrained, joined=joined, epochs=1)
    assert {"bleu_1", "bleu_4", "chrf", "rouge_l"} <= trained.metrics.keys()


def in_pixels(poses, **provenance):
    xyz = poses.xyz * np.float32([1280, 720, 1280])
    return replace(poses, xyz=xyz, provenance={"unit": "pixels", **provenance})


def test_a_published_file_of_labels_is_learned_from_and_the_network_knows_that_its_poses_are_shares(tmp_path):
    texts = {"a": "heavy rain", "b": "rain in the north", "c": "heavy rain"}
    rows = {name: {"name": name, "gloss": text.upper().split(), "text": text, "video_path": f"{name}.mp4"}
            for name, text in texts.items()}  # fmt: skip
    for name in texts:
        kept(tmp_path / "poses" / f"{name}.pkl")
    packed(tmp_path / "labels.train.gz", {name: rows[name] for name in "ab"})
    packed(tmp_path / "labels.dev.gz", {"c": rows["c"]})
    data = '[data]\nlabels = "labels.train.gz"\nvalid_labels = "labels.dev.gz"\nposes = "poses"\nbatch = 2\n'
    head = 'task = "sigma-finetune"\nwork = "cslr"\nbeams = 1\nmost = 4\n'
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(head + data + TABLE + LOOP.format(metric="wer", direction="min", epochs=1))
    trained = train(recipe, output=tmp_path / "fine")
    assert np.isfinite(trained.metrics["wer"])
    found = checkpoints.load_translator(trained.checkpoint)
    assert found.network.inputs.unit == "shares"
    clip = seasign.read_poses(tmp_path / "poses" / "c.pkl")
    found.translate([clip])  # no warning, which would be an error
    with pytest.warns(InputWarning, match=r"^poses in pixels, where the network learned from shares of the picture's"):
        found.translate([in_pixels(clip)])
    with pytest.warns(InputWarning, match=r"^poses in pixels, where the network learned from shares of the picture's"):
        seasign.translate(in_pixels(clip), found, segmenter=Phrases(((0, 6),)))
    known = in_pixels(clip, **PICTURE)
    (one,), (other,) = found.translate([known]), found.translate([clip])  # the size is known: nothing to warn of
    assert (one.text, one.probability) == (other.text, pytest.approx(other.probability, rel=1e-4))
    assert seasign.translate(known, found, segmenter=Phrases(((0, 6),))).cues
    before = pretrain(recipe, data, tmp_path)
    with pytest.warns(InputWarning, match=r"learned from shares .*, where these poses are in pixels: their prov"):
        made, _ = make_network(None, before, ["heavy rain"], units_of(in_pixels(clip)))
    assert made.inputs.unit == "pixels"
    made, _ = make_network(None, before, ["heavy rain"], units_of(known))
    assert made.inputs.unit == "shares"
    with pytest.raises(InputError, match="leaves no clip to learn from, or none to measure on"):
        Corpus(
            Data(
                labels=tmp_path / "labels.train.gz",
                valid_labels=tmp_path / "labels.dev.gz",
                poses=tmp_path / "poses",
                without=("heavy rain",),
            ),
            None,
            0,
        )


def pretrain(recipe, data, folder):
    recipe.write_text('task = "sigma"\n' + data + TABLE + LOOP.format(metric="valid_loss", direction="min", epochs=1))
    return train(recipe, output=folder / "pretrained").checkpoint


def test_what_fine_tuning_would_pass_over_is_refused(folder):
    with pytest.raises(InputError, match=r"^\[data\] pairs, lexicon: they are for pre-training"):
        finetune(folder, "islr", "per_instance", "max", extra='pairs = "pairs.tsv"\n')


def test_glosses_that_are_not_known_are_asked_for(folder):
    with pytest.raises(InputError, match=r"its glosses are not known: cslr needs them"):
        finetune(folder, "cslr", "wer", "min", extra="repeat = 2\n")


def test_what_was_fine_tuned_is_no_start_of_pre_training(folder, pretrained, tmp_path):
    recipe = sigma_finetune.Recipe(
        Data(traduttore=folder / "corpus", valid_signers=("block 1",)), Loop("per_instance"), "islr", start=pretrained
    )
    write_checkpoint(sigma_finetune.prepare(recipe), tmp_path / "fine")
    with pytest.raises(InputError, match="was fine-tuned and reads no texts any more"):
        task(folder, network=None, start=tmp_path / "fine")


def test_the_recipes_are_read():
    recipes = Path(__file__).parents[1] / "recipes"
    for path in sorted(recipes.glob("sigma-*.toml")):
        table = read_table(path)
        kind = {"sigma": Recipe, "sigma-finetune": sigma_finetune.Recipe}[table.pop("task")]
        del table["output"]
        made = build(kind, table, path.name, recipes)
        if path.stem == "sigma-pretrain":
            assert (made.loop.epochs, made.loop.learning_rate, made.data.batch) == (10, 1e-4, 16)
            assert (made.network.pieces, made.network.frames, made.loss.weights) == (50, 256, Objective().weights)
        elif kind is sigma_finetune.Recipe:
            assert (made.loop.epochs, made.loop.learning_rate, made.smoothing, made.beams) == (20, 3e-4, 0.2, 4)
            assert made.work == path.stem.removeprefix("sigma-")
