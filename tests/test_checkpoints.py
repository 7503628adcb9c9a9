"""Files of weights: read without running them, fetched whole, and loaded only when they are what they say."""

import argparse
import functools
import json
import os
import pickle
import re
import shutil
import struct
import sys
import threading
import warnings
import zipfile
from collections import OrderedDict
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import seasign
from commands import run
from seasign import checkpoints
from seasign.checkpoints import pickles
from seasign.checkpoints.download import download, git_blob
from seasign.checkpoints.pickles import read_state
from seasign.formats.disk import sha256
from seasign.models import features
from seasign.types import InputError, InputWarning

torch = pytest.importorskip("torch")
from safetensors.torch import load_file, save_file  # noqa: E402

from seasign.models.unet_tagger import Settings, UnetTagger  # noqa: E402


class Net(torch.nn.Module):
    """As the networks of 2023 are laid out, and as random as they come."""

    def __init__(self, inputs=225, depth=1, width=16):
        super().__init__()
        torch.manual_seed(1)
        self.pose_projection = torch.nn.Linear(inputs, width)
        self.encoder = torch.nn.LSTM(width, width // 2, depth, bidirectional=True, batch_first=True)
        self.sign_bio_head = torch.nn.Linear(width, 3)
        self.sentence_bio_head = torch.nn.Linear(width, 3)
        self.sign_loss_function = torch.nn.NLLLoss(weight=torch.tensor([1.358, 24.46, 4.494]))
        self.sentence_loss_function = torch.nn.NLLLoss(weight=torch.tensor([1.765, 135.2, 2.348]))

    def forward(self, poses):
        tagged = self.encoder(self.pose_projection(poses.flatten(2)))[0]
        return {
            "sign": self.sign_bio_head(tagged).log_softmax(-1),
            "sentence": self.sentence_bio_head(tagged).log_softmax(-1),
        }


def torchscript(net, path, *, script=False):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        points = net.pose_projection.in_features // 3
        traced = torch.jit.script(net) if script else torch.jit.trace(net, torch.zeros(1, 7, points, 3), strict=False)
        torch.jit.save(traced, str(path))
    return path


def row_of_pickles(what, path):
    torch.save(what, path, _use_new_zipfile_serialization=False)
    return path


def zipped(what, path):
    torch.save(what, path)
    return path


def same(state, expected):
    assert state.tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert state.tensors[name].dtype == tensor.dtype, name
        assert state.tensors[name].is_contiguous()
        assert torch.equal(state.tensors[name], tensor), name


# What is read


@pytest.mark.parametrize("script", [False, True], ids=["traced", "scripted"])
def test_a_torchscript_archive_gives_up_its_tensors_and_none_of_its_code(tmp_path, script):
    net = Net(depth=2).eval()
    same(read_state(torchscript(net, tmp_path / "model.pth", script=script)), net.state_dict())


@pytest.mark.parametrize("save", [zipped, row_of_pickles])
def test_a_lightning_checkpoint_gives_its_network_and_its_settings_and_leaves_the_optimizer(tmp_path, save):
    net = Net()
    adam = {0: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(16, 225)}}
    checkpoint = {
        "epoch": 3,
        "state_dict": net.state_dict(),
        "optimizer_states": [{"state": adam, "param_groups": [{"betas": (0.9, 0.999), "params": [0]}]}],
        "hyper_parameters": {"pose_dims": (75, 3), "hidden_dim": 256, 4: "no name", "odd": {}},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5), "dirpath": Path("somewhere")}},
        "loss": np.float64(0.25),
    }
    state = read_state(save(checkpoint, tmp_path / "best.ckpt"))
    same(state, net.state_dict())
    assert state.settings == {"pose_dims": [75, 3], "hidden_dim": 256}


@pytest.mark.parametrize("save", [zipped, row_of_pickles])
def test_a_fairseq_checkpoint_is_read_around_its_namespaces(tmp_path, save):
    weights = {"mmmodel.video_encoder.videomlp.linear1.weight": torch.randn(768, 609)}
    checkpoint = {
        "args": None,
        "cfg": {"task": argparse.Namespace(config="x.yaml", lr=[1e-4], inner=argparse.Namespace(a=1)), "common": {}},
        "model": OrderedDict(weights),
        "criterion": None,
        "optimizer_history": [{"num_updates": 10}],
        "task_state": {},
        "extra_state": {"metrics": OrderedDict(), "best": np.float32(1.5), "train_meter": {"v": torch.tensor(1.0)}},
        "last_optimizer_state": {"state": {0: {"exp_avg": torch.zeros(768, 609)}}},
    }
    same(read_state(save(checkpoint, tmp_path / "checkpoint_best.pt")), weights)


def test_an_attribute_dict_of_lightning_is_read_as_a_dictionary(tmp_path, monkeypatch):
    home = "pytorch_lightning.utilities.parsing"
    kind = type("AttributeDict", (dict,), {"__module__": home})
    monkeypatch.setitem(sys.modules, "pytorch_lightning", SimpleNamespace())
    monkeypatch.setitem(sys.modules, home, SimpleNamespace(AttributeDict=kind))
    checkpoint = {"state_dict": {"a": torch.ones(2)}, "hyper_parameters": kind(num_frames=1024)}
    assert read_state(zipped(checkpoint, tmp_path / "best.ckpt")).settings == {"num_frames": 1024}


@pytest.mark.parametrize("save", [zipped, row_of_pickles])
def test_every_kind_of_tensor_comes_back_as_it_was(tmp_path, save):
    flat = torch.arange(24.0)
    tensors = {
        "view": flat[4:16].view(3, 4).T,
        "of the same storage": flat[::2],
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
    }
    kinds = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool".split()
    tensors |= {kind: torch.tensor([0, 1, 1], dtype=getattr(torch, kind)) for kind in kinds}
    same(read_state(save(tensors, tmp_path / "tensors.pt")), tensors)


# What is refused


class Calls:
    """A pickle of it calls what it is given, wherever it is loaded without care."""

    def __init__(self, what, *arguments):
        self.call = (what, arguments)

    def __reduce__(self):
        return self.call


class SetsState:
    def __setstate__(self, state):
        Path(state["mark"]).touch()

    def __getstate__(self):
        return {"mark": self.mark}


def sets_state(mark):
    thing = SetsState()
    thing.mark = str(mark)
    return thing


CALLS = {
    "posix.system": lambda mark: Calls(os.system, f"touch {mark}"),
    "builtins.eval": lambda mark: Calls(eval, f"open({str(mark)!r}, 'w')"),
    "builtins.getattr": lambda mark: Calls(getattr, OrderedDict, "fromkeys"),
    "functools.partial": lambda mark: {"deep": [({"er": Calls(functools.partial, Calls(os.system, "true"))},)]},
    "shutil.copy": lambda mark: Calls(OrderedDict, [("a", Calls(shutil.copy, __file__, str(mark)))]),
    "test_checkpoints.SetsState": sets_state,
    "torch.hub.load": lambda mark: Calls(torch.hub.load, "a/b", "c"),
    "torch.serialization.load": lambda mark: Calls(torch.load, str(mark)),
}


def plain_pickle(what, path):
    path.write_bytes(pickle.dumps(what, protocol=2).replace(b"c__builtin__\n", b"cbuiltins\n"))
    return path


def of_proto_4(what, path):
    path.write_bytes(pickle.dumps(what, protocol=4))
    return path


def whole(what, path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps(what, protocol=2).replace(b"c__builtin__\n", b"cbuiltins\n"))
    return path


@pytest.mark.parametrize("save", [plain_pickle, of_proto_4, whole, zipped, row_of_pickles])
@pytest.mark.parametrize("name", CALLS)
def test_a_pickle_that_names_code_is_refused_by_that_name_and_runs_nothing(tmp_path, save, name):
    mark = tmp_path / "ran"
    network = {"a": torch.ones(1)} if save in (zipped, row_of_pickles) else {}
    evil = save({"state_dict": network, "b": CALLS[name](mark)}, tmp_path / "evil.pt")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError) as refused:
        read_state(evil)
    assert name in str(refused.value).replace("__builtin__", "builtins")  # as protocol 2 calls it
    assert "\n" not in str(refused.value)
    assert str(evil) in str(refused.value)
    assert sorted(tmp_path.iterdir()) == before


def by_hand(tmp_path, *operations):
    path = tmp_path / "evil.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x04" + b"".join(operations) + b".")
    return path


def text(string):
    return b"\x8c" + bytes([len(string)]) + string.encode()


STACK_GLOBAL, REDUCE, BUILD, EMPTY_TUPLE, NONE = b"\x93", b"R", b"b", b")", b"N"


def test_a_dotted_name_does_not_reach_through_a_class_that_is_allowed(tmp_path):
    path = by_hand(tmp_path, text("collections"), text("OrderedDict.fromkeys"), STACK_GLOBAL)
    with pytest.raises(InputError, match=r"collections\.OrderedDict\.fromkeys"):
        read_state(path)


def test_a_name_cannot_write_to_the_terminal(tmp_path):
    path = by_hand(tmp_path, text("os\n\x1b[2J"), text("system"), STACK_GLOBAL)
    with pytest.raises(InputError) as refused:
        read_state(path)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("target", ["torch._utils _rebuild_tensor_v2", "argparse Namespace", "collections OrderedDict"])
def test_a_pickle_changes_nothing_that_it_may_name(tmp_path, target):
    def attributes():
        things = [OrderedDict, *(it for it in vars(pickles).values() if callable(it))]
        return [(thing, dict(getattr(thing, "__dict__", {})), getattr(thing, "__defaults__", None)) for thing in things]

    before = attributes()
    state = b"}" + text("__defaults__") + b")s"
    name = b"".join(text(part) for part in target.split()) + STACK_GLOBAL
    for how in (state, NONE + state + b"\x86"):  # __dict__, or slots, which are set one by one
        with pytest.raises(InputError):
            read_state(by_hand(tmp_path, name, how, BUILD))
    assert attributes() == before


# A tuple of two that are the same tuple of two that are ..., sixty deep
LAUGHS = b"\x940" + b"".join(b"h%ch%c\x86\x940" % (note, note) for note in range(60)) + b"h\x3c"


@pytest.mark.parametrize(
    "operations",
    [
        (b"N", b"r" + struct.pack("<I", 2**22)),  # LONG_BINPUT: memory for four million notes and more
        (b"\x8e" + struct.pack("<Q", 2**62),),  # BINBYTES8
        (b"\x95" + struct.pack("<Q", 2**62), NONE),  # FRAME
        (b"t",),
        (b"0",),
        (b"I" + b"9" * 5000 + b"\n",),
        (b"Q",),
        (b"}" + NONE, b"\x85" * 400_000, NONE + b"s"),
        (b"}" + NONE, LAUGHS, NONE + b"s"),
        (b"}(" + NONE, b"\x85" * 400_000, NONE + b"u"),
        (b"(" + NONE, b"\x85" * 400_000, NONE + b"d"),
        (b"\x8f(" + NONE, b"\x85" * 400_000, b"\x90"),
        (b"(" + NONE, b"\x85" * 400_000, b"\x91"),
        (b"\x82\x01",),
        (b"\x96" + struct.pack("<Q", 2**40),),
    ],
    ids=[
        *"memo bytes frame mark pop digits persistent".split(),
        *"item laughs items dict set frozenset ext array".split(),
    ],
)
def test_a_pickle_that_claims_more_than_it_has_is_damaged(tmp_path, operations):
    with pytest.raises(InputError, match=r"damaged|found a NoneType") as refused:
        read_state(by_hand(tmp_path, *operations))
    assert "\n" not in str(refused.value)


def test_a_thousand_million_laughs_cost_nothing(tmp_path):
    joke = [torch.ones(1)]
    for _ in range(100):
        joke = [joke, joke, joke, joke]
    with pytest.raises(InputError, match="no network in it: found a list"):
        read_state(zipped(joke, tmp_path / "joke.pt"))
    kept = {"state_dict": {"a": torch.ones(1)}, "joke": joke}
    assert list(read_state(zipped(kept, tmp_path / "kept.pt")).tensors) == ["a"]


def storage(key="0", count=4, kind="FloatStorage", what="storage"):
    pid = b"(" + text(what) + text("torch") + text(kind) + STACK_GLOBAL + text(key) + text("cpu")
    return pid + b"J" + struct.pack("<i", count) + b"tQ"


def number(value):
    return b"J" + struct.pack("<i", value)


def tensor(of, offset, shape, strides):
    shapes = b"".join(b"(" + b"".join(map(number, numbers)) + b"t" for numbers in (shape, strides))
    return (
        text("torch._utils") + text("_rebuild_tensor_v2") + STACK_GLOBAL
        + b"(" + of + number(offset) + shapes + b"\x89" + NONE + b"t" + REDUCE
    )  # fmt: skip


def archive_of(tmp_path, made, **entries):
    path = tmp_path / "made.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x04}" + text("a") + made + b"s.")
        for name, (content, how) in entries.items():
            archive.writestr(name.replace("__", "/"), content, how)
    return path


STORED, PACKED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
FOUR = {"x__data__0": (np.arange(4, dtype=np.float32).tobytes(), STORED)}


def test_an_archive_made_by_hand_is_read(tmp_path):
    path = archive_of(tmp_path, tensor(storage(), 1, (2,), (2,)), **FOUR)
    assert read_state(path).tensors["a"].tolist() == [1, 3]


@pytest.mark.parametrize(
    ("made", "entries", "says"),
    [
        (tensor(storage(), 0, (5,), (1,)), FOUR, "shape .5. in 16 bytes"),
        (tensor(storage(), 2, (2,), (2,)), FOUR, "shape"),
        (tensor(storage(), -1, (2,), (1,)), FOUR, "without a shape"),
        (tensor(storage(), 0, (-2, -2), (1, 1)), FOUR, "without a shape"),
        (tensor(storage(), 3, (2,), (-1,)), FOUR, "without a shape"),
        (tensor(storage(), 0, (2, 2), (1,)), FOUR, "without a shape"),
        (tensor(storage(), 0, (2**30, 2**30), (0, 0)), FOUR, "more numbers than the file holds"),
        (tensor(storage(count=2**30), 0, (4,), (1,)), FOUR, "shape"),
        (tensor(storage(key="1"), 0, (4,), (1,)), FOUR, "no item named"),
        (tensor(storage(key="../../../../etc/passwd"), 0, (4,), (1,)), FOUR, "no item named"),
        (tensor(storage(kind="QInt8Storage"), 0, (4,), (1,)), FOUR, "torch.QInt8Storage"),
        (tensor(storage(what="module"), 0, (4,), (1,)), FOUR, "another kind"),
        (tensor(text("0"), 0, (4,), (1,)), FOUR, "another kind"),
        (tensor(b"(" + text("storage") + b")" + text("0") + NONE + number(4) + b"tQ", 0, (4,), (1,)), FOUR, "another"),
        (tensor(storage(), 0, (4,), (1,)), {"x__data__0": (bytes(16), PACKED)}, "compressed"),
        (tensor(storage(), 0, (4,), (1,)), FOUR | {"x__byteorder": (b"big", STORED)}, "byte order"),
        (tensor(storage(), 0, (4,), (1,)), FOUR | {"y__data.pkl": (b"N.", STORED)}, "without data.pkl"),
    ],
)
def test_a_tensor_that_its_numbers_do_not_hold_is_refused(tmp_path, made, entries, says):
    with pytest.raises(InputError, match=says) as refused:
        read_state(archive_of(tmp_path, made, **entries))
    assert "\n" not in str(refused.value)


def test_nothing_of_an_archive_is_ever_unpacked_to_disk(tmp_path):
    inside = tmp_path / "in" / "side"
    inside.mkdir(parents=True)
    path = inside / "climbs.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../data.pkl", b"\x80\x04}" + text("a") + tensor(storage(), 0, (4,), (1,)) + b"s.")
        archive.writestr("../../data/0", FOUR["x__data__0"][0])
    assert read_state(path).tensors["a"].tolist() == [0, 1, 2, 3]
    assert [it.name for it in tmp_path.rglob("*") if it.is_file()] == ["climbs.pt"]


@pytest.mark.parametrize("save", [zipped, row_of_pickles])
def test_a_file_that_is_cut_short_anywhere_is_refused(tmp_path, save):
    path = save({"state_dict": {"a": torch.ones(300), "b": torch.ones(40)}}, tmp_path / "whole.ckpt")
    content = path.read_bytes()
    for size in (0, 1, 2, 17, len(content) // 3, len(content) // 2, len(content) - 200, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(InputError) as refused:
            read_state(path)
        assert "\n" not in str(refused.value), size


def test_a_pickle_that_is_cut_or_garbled_anywhere_is_read_or_refused(tmp_path):
    good = archive_of(tmp_path, tensor(storage(), 0, (4,), (1,)), **FOUR)
    with zipfile.ZipFile(good) as archive:
        content = archive.read("x/data.pkl")
    dice = np.random.default_rng(1)
    garbled = [content[:size] for size in range(len(content))]
    for _ in range(100):
        changed = bytearray(content)
        for place in dice.integers(2, len(content), 2):
            changed[place] = dice.integers(256)
        garbled.append(bytes(changed))
    for variant in garbled:
        path = tmp_path / "garbled.pt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/data.pkl", variant)
            archive.writestr("x/data/0", FOUR["x__data__0"][0])
        with suppress(InputError):  # and nothing else
            read_state(path)


def test_a_byte_that_flipped_is_noticed(tmp_path):
    path = zipped({"a": torch.ones(300)}, tmp_path / "whole.pt")
    content = bytearray(path.read_bytes())
    content[content.index(struct.pack("<f", 1) * 20) + 40] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_state(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "pointer of Git LFS"),
        (b"WEBVTT\n\n", "it begins with b'WEBVTT"),
        (b"PK\x03\x04 and no more", "zip that is cut short"),
        (pickle.dumps({"a": 1}), "not one that torch.save wrote"),
        (b"\x80nonsense", "damaged"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_called_what_it_is(tmp_path, content, says):
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_state(path)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"epoch": 3, "loss": 0.5}, "found a dictionary of 'epoch', 'loss'"),
        ({}, "found a dictionary of nothing"),
        ([1], "found a list"),
        (torch.ones(3), "found a tensor without a name"),
    ],
)
def test_a_file_without_a_network_says_what_it_has(tmp_path, what, says):
    with pytest.raises(InputError, match=says):
        read_state(zipped(what, tmp_path / "odd.pt"))


def test_an_ordinary_zip_is_no_checkpoint(tmp_path):
    np.savez(tmp_path / "poses.npz", xyz=np.zeros(3))
    with pytest.raises(InputError, match=r"without data\.pkl"):
        read_state(tmp_path / "poses.npz")


# What is fetched

BODY = bytes(range(256)) * 20_000  # 5 MB, so several chunks


class Server:
    """One file on this machine, served well or badly."""

    def __init__(self):
        self.body, self.tag, self.ranges, self.status, self.cut, self.shift = BODY, '"one"', True, 200, None, 0
        self.files = None  # a folder, instead of one body
        self.asked: list[str | None] = []

    def answer(self, handler):
        self.asked.append(handler.headers.get("Range"))
        if self.status != 200:
            handler.send_error(self.status)
            return
        if self.files:
            self.body = (self.files / handler.path.partition("?")[0].lstrip("/")).read_bytes()
        first, last = 0, len(self.body)
        if self.ranges and self.asked[-1] and handler.headers.get("If-Range") == self.tag:
            first = int(self.asked[-1].removeprefix("bytes=").removesuffix("-"))
            if first >= last:
                handler.send_error(416)
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {first + self.shift}-{last - 1}/{last}")
        else:
            handler.send_response(200)
        if self.tag:
            handler.send_header("ETag", self.tag)
        handler.send_header("Content-Length", str(last - first))
        handler.end_headers()
        handler.wfile.write(self.body[first:last] if self.cut is None else self.body[first : first + self.cut])


@pytest.fixture
def server():
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.answer(self)

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    served.address = f"http://127.0.0.1:{http.server_port}/model.pth"
    yield served
    http.shutdown()
    http.server_close()


def test_a_file_is_fetched_whole_and_nothing_stays_beside_it(tmp_path, server):
    seen = []
    download(server.address, tmp_path / "model.pth", lambda done, total: seen.append((done, total)))
    assert [it.name for it in tmp_path.iterdir()] == ["model.pth"]
    assert (tmp_path / "model.pth").read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("case", ["goes on", "ignores ranges", "changed", "has no tag", "of another address"])
def test_a_download_that_broke_off_ends_as_the_file_of_the_server(tmp_path, server, case):
    server.cut, server.tag = 3_000_000, None if case == "has no tag" else '"one"'
    with pytest.raises(InputError, match=r"broke off after 3000000 of 5120000 bytes; the same command goes on"):
        download(server.address, tmp_path / "model.pth")
    assert not (tmp_path / "model.pth").exists()
    server.cut = None
    if case == "ignores ranges":
        server.ranges = False
    elif case == "changed":
        server.body, server.tag = BODY[::-1], '"two"'
    elif case == "of another address":
        server.address += "?2"
    seen = []
    download(server.address, tmp_path / "model.pth", lambda done, total: seen.append((done, total)))
    assert (tmp_path / "model.pth").read_bytes() == server.body
    assert seen[-1] == (len(BODY), len(BODY))
    assert [it.name for it in tmp_path.iterdir()] == ["model.pth"]
    asked = None if case in ("has no tag", "of another address") else "bytes=3000000-"
    assert server.asked == [None, asked]


def test_a_part_that_is_already_the_whole_is_fetched_again(tmp_path, server):
    server.cut = 3_000_000
    with pytest.raises(InputError):
        download(server.address, tmp_path / "model.pth")
    (tmp_path / "model.pth.partial").write_bytes(BODY)
    server.cut = None
    download(server.address, tmp_path / "model.pth")
    assert (tmp_path / "model.pth").read_bytes() == BODY


def test_another_part_than_was_asked_for_is_not_taken(tmp_path, server):
    server.cut = 3_000_000
    with pytest.raises(InputError):
        download(server.address, tmp_path / "model.pth")
    server.cut, server.shift = None, 1
    with pytest.raises(InputError, match="another part"):
        download(server.address, tmp_path / "model.pth")


@pytest.mark.parametrize(("status", "says"), [(404, "answers 404 Not Found"), (503, "answers 503")])
def test_a_server_that_refuses_is_quoted(tmp_path, server, status, says):
    server.status = status
    with pytest.raises(InputError, match=says) as refused:
        download(server.address, tmp_path / "model.pth")
    assert server.address in str(refused.value)
    assert "seasign checkpoints convert" in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://127.0.0.1:9/model.pth", "cannot be reached"),
        ("file:///etc/hostname", "not an address"),
        ("model.pth", "not an address"),
        ("ftp://127.0.0.1/model.pth", "not an address"),
        ("http://", "not an address"),
    ],
)
def test_without_a_network_or_an_address_there_is_one_line_and_no_file(tmp_path, address, says):
    with pytest.raises(InputError, match=says) as refused:
        download(address, tmp_path / "model.pth")
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_hashes_are_those_that_git_and_everybody_else_give(tmp_path):
    path = tmp_path / "hello"
    path.write_bytes(b"hello\n")
    assert git_blob(path) == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert sha256(path) == "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"


# Checkpoints


def torchscript_2023(folder):
    return torchscript(Net(inputs=468, depth=4).eval(), folder / "model_E4s-1.pth")


def lightning_2023(folder):
    return zipped({"state_dict": Net().state_dict(), "hyper_parameters": {"hidden_dim": 16}}, folder / "best.ckpt")


def safetensors_2023(folder):
    """As in the shared data: the weights of the loss beside the tensors."""
    kept = {name: it for name, it in Net().state_dict().items() if "loss" not in name}
    beside = {"sign_loss_weight": "[1.358, 24.46, 4.494]", "sentence_loss_weight": "[1.765, 135.2, 2.348]"}
    save_file(kept, folder / "weights.safetensors", beside | {"licence": "ours"})
    return folder / "weights.safetensors"


SMALL = {
    "hidden_dim": 16,
    "encoder_depth": 1,
    "attn_nhead": 2,
    "attn_ff_mult": 2,
    "attn_dropout": 0.1,
    "num_frames": 64,
}


def small_2026():
    """The tensors of a random network of 2026, as published: in bfloat16, counters in whole numbers."""
    torch.manual_seed(1)
    table = {
        name: tuple(tuple(row) if isinstance(row, list) else row for row in rows)
        for name, rows in features.statistics_2026().items()
    }
    network = UnetTagger(Settings(**table, **SMALL))
    return {name: it.bfloat16() if it.is_floating_point() else it for name, it in network.state_dict().items()}


def lightning_2026(folder):
    given = SMALL | {"pose_dims": (50, 6), "num_classes": 4, "velocity": True}
    return zipped({"state_dict": small_2026(), "hyper_parameters": given, "loops": {}}, folder / "best.ckpt")


def safetensors_2026(folder):
    save_file(small_2026(), folder / "model.safetensors")
    given = SMALL | {"pose_dims": [50, 6], "num_classes": 4, "optimizer": "adamw-onecycle"}
    (folder / "config.json").write_text(json.dumps(given))
    return folder / "model.safetensors"


SOURCES = [torchscript_2023, lightning_2023, safetensors_2023, lightning_2026, safetensors_2026]


@pytest.mark.parametrize("source", SOURCES)
def test_what_was_converted_loads_and_is_what_it_was(tmp_path, source):
    (given := tmp_path / "given").mkdir()
    file = source(given)
    config = checkpoints.convert(file, tmp_path / "out")
    assert {it.name for it in (tmp_path / "out").iterdir()} == {"weights.safetensors", "config.json"}
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == config
    assert config["provenance"]["sha256"] == sha256(file)
    assert config["licence"] == ("ours" if source is safetensors_2023 else None)
    network = checkpoints.load(tmp_path / "out")
    assert isinstance(network, seasign.Segmenter)
    assert config["parameters"] == sum(it.numel() for it in network.parameters())
    kept = load_file(tmp_path / "out" / "weights.safetensors")
    tensors = load_file(file) if file.suffix == ".safetensors" else read_state(file).tensors
    assert kept.keys() == {name for name in tensors if "loss" not in name}
    for name, it in kept.items():
        assert it.dtype == tensors[name].dtype
        assert torch.equal(it, tensors[name]), name
        assert torch.equal(network.state_dict()[name], it.to(network.state_dict()[name].dtype)), name
    assert checkpoints.verify(tmp_path / "out") == sha256(tmp_path / "out" / "weights.safetensors")


def test_the_config_of_a_network_of_2023_says_all_that_its_tensors_show(tmp_path):
    config = checkpoints.convert(torchscript_2023(tmp_path), tmp_path / "out")
    assert config["model"] == "bio-tagger"
    assert (config["flow"], config["hands"], config["hips"], config["fps"]) == (True, True, "keep", "25")
    assert (config["depth"], config["width"], len(config["points"])) == (4, 16, 75)
    assert config["weights"]["signs"] == pytest.approx([24.46, 4.494, 1.358])  # B, I, O
    assert config["weights"]["phrases"] == pytest.approx([135.2, 2.348, 1.765])
    bare = checkpoints.load(safetensors_2023(tmp_path))
    assert bare.settings.weights["signs"] == pytest.approx((24.46, 4.494, 1.358))


def test_an_input_of_a_size_that_no_published_network_has_is_named(tmp_path):
    file = zipped(Net(inputs=226).state_dict(), tmp_path / "odd.pt")
    with pytest.raises(InputError, match="takes 226 numbers per frame; known are 225"):
        checkpoints.convert(file, tmp_path / "out")
    assert sorted(it.name for it in tmp_path.iterdir()) == ["odd.pt"]


def test_a_published_file_is_known_by_its_hash_whatever_its_name(tmp_path, monkeypatch):
    file = lightning_2023(tmp_path)
    monkeypatch.setitem(checkpoints.PUBLISHED, "e1", replace(checkpoints.PUBLISHED["e1"], git_blob=git_blob(file)))
    config = checkpoints.convert(file, tmp_path / "out")
    assert (config["licence"], config["citation"]) == ("MIT", checkpoints.PUBLISHED["e1"].citation)


def test_converting_again_replaces_a_checkpoint_and_nothing_else(tmp_path):
    file = lightning_2023(tmp_path)
    checkpoints.convert(file, tmp_path / "out")
    before = (tmp_path / "out" / "weights.safetensors").read_bytes()
    (tmp_path / "out" / "weights.safetensors").write_bytes(b"worn")
    checkpoints.convert(file, tmp_path / "out")
    assert (tmp_path / "out" / "weights.safetensors").read_bytes() == before
    (tmp_path / "out" / "notes.txt").write_text("mine")
    for other in tmp_path / "out", file:
        with pytest.raises(InputError, match="is no checkpoint; choose another folder"):
            checkpoints.convert(file, other)
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert sorted(it.name for it in tmp_path.iterdir()) == ["best.ckpt", "out"]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        checkpoints.convert(file, tmp_path / "nowhere" / "out")


def test_a_checkpoint_is_not_converted_twice(tmp_path):
    checkpoints.convert(lightning_2023(tmp_path), tmp_path / "out")
    with pytest.raises(InputError, match="belongs to a checkpoint already"):
        checkpoints.convert(tmp_path / "out" / "weights.safetensors", tmp_path / "again")
    with pytest.raises(InputError, match="is a folder"):
        checkpoints.convert(tmp_path / "out", tmp_path / "again")


def changed(name, change):
    def damage(folder):
        tensors = load_file(folder / "weights.safetensors")
        tensors[name] = change(tensors[name])
        save_file(tensors, folder / "weights.safetensors")

    return damage


def without(name):
    def damage(folder):
        tensors = load_file(folder / "weights.safetensors")
        del tensors[name]
        save_file(tensors, folder / "weights.safetensors")

    return damage


def configured(**settings):
    def damage(folder):
        config = json.loads((folder / "config.json").read_text()) | settings
        (folder / "config.json").write_text(json.dumps(config))

    return damage


def written(name, content):
    return lambda folder: (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no checkpoint: there is no config.json"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "missing"),
        (written("config.json", b"{"), "not JSON"),
        (written("config.json", b"\xff"), "not JSON"),
        (written("config.json", b"[]"), "holds a list"),
        (written("weights.safetensors", b""), "not safetensors, or cut short"),
        (written("weights.safetensors", b"\x08" + bytes(7) + b"nonsense"), "not safetensors, or cut short"),
        (written("weights.safetensors", b"\xff" * 64), "not safetensors, or cut short"),
        (configured(model="x"), "its model is 'x'; known are"),
        (configured(model=["x"]), "its model is .*x"),
        (configured(model=None), "its model is 'None'"),
        (configured(width=32), "is 16 x 225, where the settings .* ask for 32 x 225"),
        (configured(points=["NOSE"]), "SHOULDER"),
        (configured(model="unet-tagger"), "no tensor encoder_attn.0.qkv.weight"),
        (changed("sign_bio_head.weight", lambda it: it * torch.nan), "not finite"),
        (changed("pose_projection.bias", lambda it: it[:-1].clone()), "pose_projection.bias is 15, where"),
        (without("pose_projection.bias"), "pose_projection.bias is missing, where"),
        (without("pose_projection.weight"), "no tensor pose_projection.weight"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_not_loaded(tmp_path, damage, says):
    folder = tmp_path / "out"
    checkpoints.convert(lightning_2023(tmp_path), folder)
    damage(folder)
    with pytest.raises(InputError, match=says) as refused:
        checkpoints.load(folder)
    assert str(folder) in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(InputError):
        checkpoints.verify(folder)


def test_weights_that_changed_are_found_by_verify_alone(tmp_path):
    folder = tmp_path / "out"
    checkpoints.convert(lightning_2023(tmp_path), folder)
    changed("pose_projection.bias", lambda it: it + 1)(folder)
    checkpoints.load(folder)
    with pytest.raises(InputError, match="changed since it was written"):
        checkpoints.verify(folder)
    configured(provenance=None)(folder)
    with pytest.warns(InputWarning, match="records no SHA-256"):
        assert checkpoints.verify(folder) == sha256(folder / "weights.safetensors")


def test_a_network_that_nobody_knows_is_described(tmp_path):
    file = zipped({"layer.weight": torch.ones(2), "layer.bias": torch.ones(1)}, tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"2 tensors of a network .*layer.bias., .layer.weight.*known are bio-tagger"):
        checkpoints.convert(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_not_there_names_only_what_can_do_the_job(cache):
    for load, names in (
        (checkpoints.load_segmenter, ", or one of e1, e1s, e4s, 2026$"),
        (checkpoints.load_embedder, ", or one of signclip, .*, fingerclip$"),
        (checkpoints.load_translator, "$"),
        (checkpoints.load_spotter, "$"),
    ):
        with pytest.raises(InputError, match=f"e9: no such checkpoint; give its FOLDER{names}"):
            load("e9")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("e1", "not here yet; run: seasign checkpoints pull e1"),
        ("e9", "no such checkpoint; give its FOLDER, or one of e1, e1s, e4s, 2026"),
        (Path("e1"), "no such checkpoint; give its FOLDER$"),
        ("best.ckpt", r"run: seasign checkpoints convert best\.ckpt -o FOLDER"),
        (".", "no checkpoint: there is no config.json"),
    ],
)
def test_what_cannot_be_loaded_says_what_to_do(tmp_path, cache, monkeypatch, name, says):
    monkeypatch.chdir(tmp_path)
    lightning_2023(tmp_path)
    with pytest.raises(InputError, match=says):
        checkpoints.load(name)


def test_without_torch_the_remedy_is_named(tmp_path, monkeypatch):
    file = lightning_2023(tmp_path)
    checkpoints.convert(file, tmp_path / "out")
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "safetensors.torch")
    for attempt in (lambda: checkpoints.load(tmp_path / "out"), lambda: checkpoints.convert(file, tmp_path / "again")):
        with pytest.raises(ModuleNotFoundError, match=r'pip install "seasign\[neural\]"'):
            attempt()


# Pulling


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("SEASIGN_CHECKPOINTS", str(folder))
    return folder


def test_what_was_pulled_lies_in_its_own_folder_or_in_that_of_all_that_is_kept(tmp_path, monkeypatch):
    places = {
        "SEASIGN_CHECKPOINTS": ("own", ""),
        "SEASIGN_CACHE": ("kept", "checkpoints"),
        "HOME": ("home", ".cache/seasign/checkpoints"),
    }
    for variable, (room, inner) in places.items():
        monkeypatch.setenv(variable, str(tmp_path / room))
        (tmp_path / room / inner / "e1").mkdir(parents=True)
    for variable, (room, inner) in places.items():
        assert checkpoints.list_published()["e1"] == tmp_path / room / inner / "e1"
        monkeypatch.delenv(variable)


@pytest.fixture
def published(tmp_path, server, cache, monkeypatch):
    """A published checkpoint that the server has: a Lightning file, whose hash is known."""
    (source := tmp_path / "source").mkdir()
    file = lightning_2023(source)
    server.body = file.read_bytes()
    known = replace(
        checkpoints.PUBLISHED["e4s"],
        address=server.address,
        with_config=False,
        sha256=sha256(file),
        parameters=5_382,
    )
    monkeypatch.setitem(checkpoints.PUBLISHED, "e4s", known)
    return known


def test_pull_leaves_a_checkpoint_that_loads_and_fetches_it_once(published, server, cache):
    assert checkpoints.list_published()["e4s"] is None
    folder = checkpoints.pull("e4s")
    assert checkpoints.list_published()["e4s"] == folder == cache / "e4s"
    assert sorted(it.name for it in cache.rglob("*") if it.is_file()) == ["config.json", "weights.safetensors"]
    config = json.loads((folder / "config.json").read_text())
    assert config["licence"] == "MIT"
    assert config["trained_on"] == published.trained_on
    assert config["provenance"]["address"] == server.address
    assert checkpoints.load("e4s").settings.depth == 1
    checkpoints.pull("e4s")
    assert len(server.asked) == 1


def test_pull_goes_on_where_it_broke_off(published, server, cache):
    server.cut = len(server.body) // 2
    with pytest.raises(InputError, match="broke off"):
        checkpoints.pull("e4s")
    assert not (cache / "e4s").exists()
    server.cut = None
    checkpoints.pull("e4s")
    assert server.asked == [None, f"bytes={len(server.body) // 2}-"]
    checkpoints.verify("e4s")


@pytest.mark.parametrize("field", ["sha256", "git_blob"])
def test_a_file_of_another_hash_does_not_land(published, server, cache, monkeypatch, field):
    monkeypatch.setitem(checkpoints.PUBLISHED, "e4s", replace(published, **{"sha256": None, field: "0" * 40}))
    with pytest.raises(InputError, match=r"not the published file: its hash is [0-9a-f]{40,64}, not 0000"):
        checkpoints.pull("e4s")
    assert not [it for it in cache.rglob("*") if it.is_file()]
    assert not (cache / "e4s").exists()


@pytest.mark.parametrize("body", [b"<!DOCTYPE html>", b"", b"version https://git-lfs.github.com/spec/v1\n"])
def test_what_is_fetched_but_is_no_checkpoint_does_not_land(published, server, cache, monkeypatch, body):
    monkeypatch.setitem(checkpoints.PUBLISHED, "e4s", replace(published, sha256=None))
    server.body = body
    with pytest.raises(InputError, match="no checkpoint"):
        checkpoints.pull("e4s")
    assert not [it for it in cache.rglob("*") if it.is_file()]
    assert not (cache / "e4s").exists()


def test_pull_takes_the_settings_that_lie_beside_the_weights(published, server, cache, tmp_path, monkeypatch):
    (there := tmp_path / "there").mkdir()
    safetensors_2026(there)
    monkeypatch.setitem(
        checkpoints.PUBLISHED,
        "e4s",
        replace(published, sha256=None, with_config=True, address=None, parameters=545_213),
    )
    with pytest.raises(InputError, match="no public address is known; get the file from its authors"):
        checkpoints.pull("e4s")
    server.files = there
    checkpoints.pull("e4s", address=server.address.replace("model.pth", "model.safetensors?raw=true"))
    config = json.loads((cache / "e4s" / "config.json").read_text())
    assert (config["num_frames"], config["licence"]) == (64, "MIT")
    checkpoints.load("e4s")


def test_pull_says_when_the_network_is_not_of_the_published_size(published, cache, monkeypatch):
    monkeypatch.setitem(checkpoints.PUBLISHED, "e4s", replace(published, parameters=7))
    with pytest.warns(InputWarning, match="has 5,382 parameters where 7 were published"):
        checkpoints.pull("e4s")


def test_pull_does_not_trust_what_lies_there(published, cache):
    folder = checkpoints.pull("e4s")
    changed("pose_projection.bias", lambda it: it + 1)(folder)
    with pytest.raises(InputError, match=r"changed since it was written.*remove .*e4s to fetch it anew"):
        checkpoints.pull("e4s")


def test_the_table_says_only_what_can_be():
    for name, known in checkpoints.PUBLISHED.items():
        assert known.model in checkpoints.FAMILIES, name
        assert known.address is None or known.address.startswith("https://")
        assert known.sha256 is None or re.fullmatch("[0-9a-f]{64}", known.sha256)
        assert known.git_blob is None or re.fullmatch("[0-9a-f]{40}", known.git_blob)
        assert known.licence
        assert known.trained_on
        assert known.citation
        assert known.parameters > 0


# Commands


def test_the_commands_tell_what_happened(published, server, cache, tmp_path):
    listed = run("checkpoints", "list")
    assert listed.exit_code == 0
    assert "e4s" in listed.stdout
    rows = {row["name"]: row for row in json.loads(run("checkpoints", "list", "--json").stdout)}
    assert rows["e4s"]["pulled"] is None
    assert rows["e1"]["licence"] == "MIT"
    assert "nothing was pulled yet" in run("checkpoints", "verify").stdout
    pulled = run("checkpoints", "pull", "e4s")
    assert pulled.exit_code == 0, pulled.stderr
    assert f"{published.sha256} (as published)" in pulled.stdout
    rows = {row["name"]: row for row in json.loads(run("checkpoints", "list", "--json").stdout)}
    assert rows["e4s"]["pulled"] == str(cache / "e4s")
    assert "whole     e4s" in run("checkpoints", "verify").stdout
    converted = run("checkpoints", "convert", tmp_path / "source" / "best.ckpt", "-o", tmp_path / "mine")
    assert converted.exit_code == 0, converted.stderr
    assert "bio-tagger, 5,382 parameters" in converted.stdout
    assert run("checkpoints", "verify", tmp_path / "mine").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pull", "e9"], "no checkpoint of that name is published; there are e1,"),
        (["pull", "e1", "--from", "http://127.0.0.1:9/x.pth"], "cannot be reached"),
        (["verify", "e1"], "run: seasign checkpoints pull e1"),
        (["convert", "nothing.pth", "-o", "out"], "nothing.pth: No such file"),
        (["convert", "evil.pth", "-o", "out"], "names 'posix.system'"),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_nothing(tmp_path, cache, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    plain_pickle(Calls(os.system, "touch ran"), tmp_path / "evil.pth")
    result = run("checkpoints", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert [it.name for it in tmp_path.rglob("*") if it.is_file()] == ["evil.pth"]
    assert not cache.exists() or not list(cache.iterdir())
