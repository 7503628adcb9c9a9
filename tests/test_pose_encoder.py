"""The encoder of poses: the published outputs, padding that changes nothing, and less memory for the same gradients."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from seasign.models import pose_encoder  # noqa: E402
from seasign.models.body_parts import PARTS  # noqa: E402
from seasign.models.pose_encoder import PoseEncoder, Shape, stack  # noqa: E402

GOLDEN = Path(__file__).parent / "golden" / "sigma"
TINY = Shape(joint=8, spatial=(8, 12, 16), features=32)
KEYS = {"body": "body", "left": "left", "right": "right", "face": "face_all"}


def golden(name):
    """Inputs by part, and what the released code makes of them."""
    stored = np.load(GOLDEN / f"pose_encoder_{name}.npz")
    return {part: torch.tensor(stored[key]) for part, key in KEYS.items()}, stored


def tiny(**options):
    model = PoseEncoder(TINY, **options)
    model.load_state_dict(load_file(GOLDEN / "pose_encoder_tiny.safetensors"))
    return model.eval()


def drawn(recipe):
    """The tensors that the recipe of the full width makes, but for those that keep what they are."""
    for name, shape in recipe["parameters"]:
        if name.endswith(".A") or ".left." in name:
            continue
        x = np.random.default_rng([recipe["seed"], zlib.crc32(name.encode())]).standard_normal(shape)
        match name.rpartition(".")[2]:
            case "running_var":
                x = 0.5 + abs(x)
            case "running_mean" | "bias" | "part_para":
                x = 0.1 * x
            case _:
                x = 1 + 0.1 * x if x.ndim == 1 else x / np.sqrt(np.prod(shape[1:]))
        yield name, torch.tensor(x, dtype=torch.float32)


def clips(*lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {part: rng.standard_normal((length, len(joints), 3)).astype(np.float32) for part, joints in PARTS.items()}
        for length in lengths
    ]


def close(found, expected, **tolerance):
    np.testing.assert_allclose(found.detach(), expected, **{"rtol": 0, "atol": 1e-5} | tolerance)


# As published


def test_what_comes_out_is_what_the_released_code_made():
    parts, stored = golden("tiny")
    model = tiny()
    before = []
    model.pose_proj.register_forward_pre_hook(lambda _, args: before.append(args[0]))
    close(model(parts), stored["pose_embed"])
    close(before[0].view(3, 12, 64), stored["part_concat_plus_para"])


def test_the_full_width_is_the_published_one():
    recipe = json.loads((GOLDEN / "pose_encoder_full.json").read_text())
    model = PoseEncoder().eval()
    missing, unexpected = model.load_state_dict(dict(drawn(recipe)), strict=False)
    assert not unexpected
    assert all(name.endswith(".A") for name in missing)
    assert sum(parameter.numel() for parameter in model.parameters()) == recipe["pose_params"] == 5_346_088
    parts, stored = golden("full")
    with torch.inference_mode():
        close(model(parts), stored["pose_embed"], atol=1e-4)


def test_graphs_are_learned():
    model = tiny().train()
    model(golden("tiny")[0]).square().sum().backward()
    graphs = [own for name, own in model.named_parameters() if name.endswith(".A")]
    assert len(graphs) == 18
    assert all(own.grad.abs().sum() > 0 for own in graphs)


def test_hands_share_weights_and_leave_the_body_as_it_is():
    model, parts = tiny().train(), golden("tiny")[0]
    pooled = []
    model.pose_proj.register_forward_pre_hook(lambda _, args: pooled.append(args[0]))
    model(parts)
    pooled[0][:, 16:48].sum().backward()  # both hands
    assert model.fusion_gcn_modules["right"].layer0_0.gcn.conv.weight.grad.abs().sum() > 0
    others = [own for name, own in model.named_parameters() if ".body." in name or ".face_all." in name]
    assert not any(own.grad.any() for own in others)


@pytest.mark.parametrize(("joint", "part"), [(0, "face"), (7, "left"), (8, "right"), (5, None)])
def test_parts_hang_on_the_nose_and_on_the_wrist_of_their_side(joint, part):
    model, parts = tiny(), golden("tiny")[0]
    for unit in model.gcn_modules["body"].children():
        unit.gcn.A.data = torch.stack((torch.eye(9), torch.zeros(9, 9)))  # joints look at themselves alone
    moved = parts["body"].clone()
    moved[:, :, joint] += 1
    pooled = []
    model.pose_proj.register_forward_pre_hook(lambda _, args: pooled.append(args[0].unflatten(1, (4, 16))))
    for body in (parts["body"], moved):
        model(parts | {"body": body})
    changed = (pooled[0] - pooled[1]).abs().sum(dim=(0, 2)) > 0
    assert [own for own, which in zip(PARTS, changed, strict=True) if which] == ["body"] + [part] * (part is not None)


# Padding


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5), more=st.integers(0, 4), seed=st.integers(0, 99))
def test_a_batch_is_its_clips_whatever_stands_in_the_padding(lengths, more, seed):
    model, alone = tiny().double(), clips(*lengths, seed=seed)
    parts, there = stack(alone)
    parts = {part: torch.nn.functional.pad(own, (0, 0, 0, 0, 0, more)) for part, own in parts.items()}
    there = torch.nn.functional.pad(there, (0, more))
    for own in parts.values():
        own[~there] = torch.nan
    with torch.inference_mode():
        found = model(parts, there)
        assert not found[~there].any()
        for clip, length, vectors in zip(alone, lengths, found, strict=True):
            close(vectors[:length], model(stack([clip])[0])[0], atol=1e-12)


def test_training_sees_no_padding_either():
    parts, there = stack(clips(9, 2, 5))
    padded = {part: own.clone() for part, own in parts.items()}
    for own in padded.values():
        own[~there] = 1e6
    one, other = tiny().train(), tiny().train()
    for model, these in ((one, parts), (other, padded)):
        model(these, there).square().sum().backward()
    for (name, own), its in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(own, its), name
    for own, its in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(own.grad, its.grad)


def test_statistics_are_those_of_the_frames_that_are():
    model, alone = PoseEncoder(TINY).train(), clips(9, 2, 5)
    model(*stack(alone))
    norm = model.gcn_modules["right"].layer0_0.gcn.bn
    raw = torch.tensor(np.concatenate([clip[hand] for hand in ("left", "right") for clip in alone]))
    with torch.no_grad():
        x = model.proj_linear["right"](raw)
        graph = model.gcn_modules["right"].layer0_0.gcn
        mixed = torch.einsum("kvw,fkvc->fwc", graph.A, graph.conv(x.mT[..., None])[..., 0].unflatten(1, (2, -1)).mT)
    torch.testing.assert_close(norm.running_mean, 0.1 * mixed.mean(dim=(0, 1)))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * mixed.flatten(0, 1).var(dim=0))


def test_frames_on_end_are_computed_in_chunks_that_do_not_show(monkeypatch):
    model, (parts, there) = tiny(), stack(clips(40, 3, 17, 1))
    whole = model(parts, there)
    monkeypatch.setattr(pose_encoder, "CHUNK", 7)
    runs = []
    run = model._run
    monkeypatch.setattr(model, "_run", lambda parts, clip: runs.append(len(clip)) or run(parts, clip))
    with torch.inference_mode():
        close(model(parts, there), whole.detach(), atol=2e-6)
    assert max(runs) == 7 + 2 * 6


@pytest.mark.parametrize("frames", [1, 10_000])
def test_clips_may_be_short_or_long(frames):
    model = tiny()
    with torch.inference_mode():
        assert torch.isfinite(model(stack(clips(frames))[0])).all()
    assert torch.isfinite(model.train()(stack(clips(1))[0])).all()


def test_of_no_frames_there_are_no_vectors():
    parts, there = stack(clips(4, 2))
    assert not tiny().train()(parts, there & False).any()
    some = there & (torch.arange(2)[:, None] == 1)
    close(tiny()(parts, some)[1], tiny()(parts, there)[1].detach())


def test_a_vector_knows_the_frames_around_it_and_no_others():
    model, (parts, _) = tiny(), stack(clips(30))
    moved = {part: own.clone() for part, own in parts.items()}
    for own in moved.values():
        own[:, 15] += 1
    changed = (model(parts) - model(moved)).abs().amax(dim=2)[0].nonzero()[:, 0]
    assert changed.tolist() == list(range(9, 22))  # three kernels of five


# Memory


def test_what_is_computed_again_is_the_same_and_counts_once():
    parts, there = stack(clips(9, 2, 5))
    kept, again = tiny().train(), tiny(recompute=True).train()
    for model in (kept, again):
        for _ in range(2):  # the statistics of the second step count as those of the first
            model(parts, there).square().sum().backward()
    for own, its in zip(kept.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(own.grad, its.grad)
    for (name, own), its in zip(kept.state_dict().items(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(own, its, msg=name)


def test_folded_norms_are_those_of_evaluation():
    model, (parts, there) = tiny(), stack(clips(6, 3))
    folded = model(parts, there)
    for module in model.modules():
        if isinstance(module, pose_encoder.Norm):
            module.after = lambda mapped, weight, bias, own=module: torch.nn.functional.batch_norm(
                (x := mapped(weight, bias)).flatten(0, 2), own.running_mean, own.running_var, own.weight, own.bias
            ).view(x.shape)
    close(model(parts, there), folded.detach())
