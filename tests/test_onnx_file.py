"""Networks in files of ONNX: what holds none is refused in a line."""

import numpy as np
import pytest

from seasign.models.cslr2_onnx import MAPS, OnnxCslr2
from seasign.models.onnx_file import open_file
from seasign.types import InputError

pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("content", [b"", b"\x08\x07", b"x" * 100, None])
def test_what_holds_no_network_is_refused_in_a_line(tmp_path, content):
    file = tmp_path / "words.onnx"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"words.onnx: holds no network that can be run; export it again$"):
        open_file(file, threads=1, providers=["CPUExecutionProvider"])


def test_a_network_that_was_exported_without_poses_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("seasign.models.cslr2_onnx.open_file", lambda file, **_: None)
    exported = OnnxCslr2(tmp_path)
    assert set(exported.sessions) == {"encoder", *MAPS}
    with pytest.raises(InputError, match=r"poses.onnx is not there: export this CSLR2 again"):
        exported.pose_features(np.zeros((3, 4), np.float32))
