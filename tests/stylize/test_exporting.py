"""Oracle: the network in PyTorch, and ONNX's own reader of the file."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from sketchloss.networks.stylizer import Stylizer, StylizerConfig
from sketchloss.stylize import exporting
from sketchloss.stylize.exporting import export_stylizer


def make(**config) -> Stylizer:
    torch.manual_seed(0)
    stylizer = Stylizer(StylizerConfig(**{"width": 0.125, "blocks": 1, **config}))
    with torch.no_grad():
        for parameter in stylizer.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return stylizer


def test_any_runtime_reads_the_file(tmp_path, capfd):
    stylizer, path = make(channels=1, style="pencil").bfloat16().train(), tmp_path / "model.onnx"
    assert export_stylizer(stylizer, path, opset=21) < 1e-5  # test_stylize_exported.py tries the usual one
    assert stylizer.training  # left as it is
    assert {parameter.dtype for parameter in stylizer.parameters()} == {torch.bfloat16}
    stylizer.float()
    assert capfd.readouterr() == ("", "")  # the exporter talks a lot
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]  # no weights beside it
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [item.version for item in model.opset_import if item.domain in ("", "ai.onnx")] == [21]
    about = json.loads({entry.key: entry.value for entry in model.metadata_props}["sketchloss"])
    assert StylizerConfig(**{k: v for k, v in about.items() if k not in ("format", "version")}) == stylizer.config
    assert b"/" + __file__.split("/")[1].encode() + b"/" not in path.read_bytes()  # no path of this machine
    assert b"stack_trace" not in path.read_bytes()
    assert [side.dim_param for side in model.graph.output[0].type.tensor_type.shape.dim[2:]] == ["height", "width"]
    assert "RGB in [0, 1]" in model.doc_string
    session = onnxruntime.InferenceSession(path)
    for shape in ((1, 3, 61, 47), (3, 3, 16, 130)):
        images = torch.rand(shape)
        (sketches,) = session.run(["sketches"], {"images": images.numpy()})
        np.testing.assert_allclose(sketches, stylizer(images).detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("found", [1.1e-3, float("nan")])
def test_a_file_that_differs_is_not_kept(tmp_path, monkeypatch, found):
    path = tmp_path / "model.onnx"
    path.write_text("mine")
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: Exported())
    monkeypatch.setattr(exporting, "_greatest_difference", lambda *_: found)
    with pytest.raises(ValueError, match=f"differs from PyTorch by {found:.2g}, and 0.001 is allowed: not written"):
        export_stylizer(make(), path, force=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]
    assert path.read_text() == "mine"


class Exported:
    """In place of what the exporter returns, which takes seconds to."""

    sketches = onnx.helper.make_tensor_value_info("sketches", onnx.TensorProto.FLOAT, ("n", 3, "long", "formula"))
    model_proto = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [sketches]))


def test_what_is_in_the_way_is_named(tmp_path):
    (tmp_path / "there.onnx").write_text("mine")
    (tmp_path / "folder.onnx").mkdir()
    for path, said in (
        ("there.onnx", "exists: add --force"),
        ("folder.onnx", "is a folder: name a file"),
        (".", "is a folder: name a file"),
        ("gone/model.onnx", "gone does not exist; make it first"),
        ("model.pt", "does not end in .onnx"),
    ):
        with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
            export_stylizer(make(), tmp_path / path)
        assert said in str(caught.value)
    with pytest.raises(ValueError, match="opset is 12: it must be 18 to 23"):
        export_stylizer(make(), tmp_path / "model.onnx", opset=12)
    assert (tmp_path / "there.onnx").read_text() == "mine"
