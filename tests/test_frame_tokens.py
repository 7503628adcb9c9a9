"""What gives frames tokens: SignCLIP, CSLR2 and the graph network alike, whatever is beside them in a batch."""

import json
from fractions import Fraction

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import seasign  # noqa: E402
from seasign.models import cslr2, cslr2_embedder, frame_tokens, pose_encoder, signclip, signclip_embedder  # noqa: E402
from seasign.models.frame_tokens import Cslr2Tokens, FrameTokens, PartTokens, SignClipTokens  # noqa: E402
from seasign.models.pose_encoder import stack  # noqa: E402
from seasign.models.sigma import Shape, Sigma  # noqa: E402
from seasign.models.sigma_translator import Inputs, SigmaTranslator, look  # noqa: E402
from seasign.models.sigma_words import Pieces  # noqa: E402
from seasign.types import InputError, InputWarning  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:the poses have n:seasign.InputWarning")  # no face


def parts():
    return PartTokens(pose_encoder.Shape(joint=4, spatial=(6, 8), temporal=1, kernel=3, features=16))


def of_signclip():
    layout = signclip_embedder.LAYOUTS["body-and-hands"]
    shape = signclip.Shape(
        features=3 * len(layout), hidden=24, heads=2, intermediate=32, video_layers=1, text_layers=1, vocabulary=20,
        positions=64, video_positions=64, projection="l2", trimmed=True,
    )  # fmt: skip
    inputs = signclip_embedder.Inputs(landmarks=layout, max_frames=40, max_tokens=32, separators=(2, 3))
    return SignClipTokens(signclip.SignClip(shape, inputs))


def of_cslr2():
    shape = cslr2.Shape(features=20, inner=24, heads=2, layers=1, text=8, joint=8, classes=0, part=6)
    inputs = cslr2_embedder.Inputs(cslr2_embedder.LANDMARKS, Fraction(25), features="poses", text="x")
    return Cslr2Tokens(cslr2.Cslr2(shape, inputs))


KINDS = {"parts": parts, "signclip": of_signclip, "cslr2": of_cslr2}


@pytest.fixture(params=KINDS)
def made(request):
    torch.manual_seed(0)
    return KINDS[request.param]().eval()


@pytest.fixture(scope="module")
def poses():
    return seasign.synthesize(1).poses


def cut(poses, first, stop):
    from seasign.translation import cut as cut_out
    from seasign.types import Span

    return cut_out(poses, Span(float(first / poses.fps), float(stop / poses.fps)))


@torch.no_grad()
def test_a_clip_has_the_same_tokens_beside_a_longer_one(made, poses):
    assert isinstance(made, FrameTokens)
    short, long = (made.look(cut(poses, 50, stop)) for stop in (75, 85))
    alone, seen = made(*stack([short]))
    beside, there = made(*stack([short, long]))
    assert alone.shape[2] == made.width
    assert there.sum(dim=1).tolist()[0] == int(seen.sum())
    torch.testing.assert_close(beside[0][there[0]], alone[0][seen[0]], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_other_signing_has_other_tokens(made, poses):
    one, other = (made(*stack([made.look(cut(poses, first, first + 25))]))[0] for first in (50, 150))
    assert one.shape == other.shape
    assert not torch.allclose(one, other, atol=1e-4)


@torch.no_grad()
def test_a_single_frame_has_a_token(made, poses):
    tokens, there = made(*stack([made.look(cut(poses, 50, 51))]))
    assert there.any()
    assert tokens[there].isfinite().all()


@torch.no_grad()
def test_the_config_makes_it_again(made, poses):
    again = frame_tokens.make(json.loads(json.dumps(made.config)))
    again.load_state_dict(made.state_dict())
    looked = stack([made.look(cut(poses, 50, 75))])
    torch.testing.assert_close(made(*looked)[0], again.eval()(*looked)[0])


def test_each_fits_before_mt5_and_learns(made, poses):
    pieces = Pieces.learn(["heavy rain"], 30)
    shape = Shape(width=16, key=8, heads=2, inner=24, layers=1, decoder_layers=1, vocabulary=len(pieces), fused=0)
    network = Sigma(shape, made, Inputs(frames=30))
    looked = look(network, cut(poses, 50, 75), "a clip")
    network.language(network.see(*stack([looked])), torch.tensor([pieces.ids("heavy rain")]), 0.0).backward()
    lost = [name for name, own in network.named_parameters() if own.requires_grad and own.grad is None]
    assert not lost
    again = Sigma.from_checkpoint(json.loads(json.dumps(network.config)), network.tensors)
    (said,) = SigmaTranslator(again, pieces, most=3).translate([cut(poses, 50, 75)])
    assert 0 < said.probability <= 1


def test_longer_clips_than_signclip_takes_are_refused(poses):
    made = of_signclip()
    with pytest.raises(InputError, match="clips of 60 frames, where this SignCLIP takes 40: lower `frames`"):
        made(*stack([made.look(cut(poses, 0, 60))]))


def test_a_cslr2_that_looks_at_pictures_is_refused():
    shape = cslr2.Shape(features=20, inner=24, heads=2, layers=1, text=8, joint=8, classes=0)
    with pytest.raises(InputError, match="looks at features of pictures"):
        Cslr2Tokens(cslr2.Cslr2(shape, cslr2_embedder.Inputs()))


def test_what_is_described_by_nothing_known_is_refused():
    for config in ({"kind": "smell", "shape": {}}, {"shape": {}}, {"kind": "parts", "shape": {"width": 3}}):
        with pytest.raises(InputError, match="its frames are seen by"):
            frame_tokens.make(config)


def test_signing_is_looked_at_as_numbers(made, poses):
    looked = made.look(cut(poses, 50, 75))
    assert all(np.isfinite(own).all() and own.dtype == np.float32 for own in looked.values())


def test_of_a_long_clip_windows_are_left_out_and_none_is_sped_up(poses):
    torch.manual_seed(0)
    made, window = of_cslr2().eval(), 16
    shape = Shape(width=20, key=8, heads=2, inner=24, layers=1, decoder_layers=1, vocabulary=30, fused=0)
    network = Sigma(shape, made, Inputs(frames=5)).eval()
    long, short = cut(poses, 50, 80), cut(poses, 50, 68)
    looked = [look(network, clip, "a clip") for clip in (long, short)]
    with torch.no_grad():
        tokens, there = made(*stack(looked))
        seen = network.enter(*stack(looked))
    count = (len(looked[0]["frames"]) - window) // 2 + 1
    assert (count, int(there[1].sum())) == (8, 2)
    chosen = np.linspace(0, count - 1, 5).round().tolist()
    torch.testing.assert_close(seen.parts[0][0], tokens[0][chosen])
    torch.testing.assert_close(seen.parts[0][1, :2], tokens[1, :2])
    assert seen.parts[1].sum(dim=1).tolist() == [5, 2]
    with pytest.warns(InputWarning, match=r"^a clip: of \d+ windows only 5 are looked at: cut it into phrases$"):
        look(network, cut(poses, 0, 100), "a clip")
