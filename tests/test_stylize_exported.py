"""Oracle: the network in PyTorch that the file was made from."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from sketchloss.models.stylizer import Stylizer, StylizerConfig
from sketchloss.stylize.exported import METADATA, load_exported
from sketchloss.stylize.exporting import export_stylizer


def make() -> Stylizer:
    torch.manual_seed(0)
    return Stylizer(StylizerConfig(width=0.2, blocks=1, arm="full", steps=7)).eval()


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export_stylizer(make(), path)
    return path


@pytest.mark.parametrize("shape", [(1, 3, 64, 80), (3, 3, 37, 51), (1, 3, 16, 17), (1, 3, 200, 131), (2, 3, 5, 40)])
def test_the_file_does_what_the_network_does(file, shape):
    exported, images = load_exported(file), torch.rand(shape, generator=torch.Generator().manual_seed(0))
    assert exported.config == make().config
    with torch.inference_mode():
        expected = make()(images)
    torch.testing.assert_close(exported(images), expected, rtol=0, atol=1e-5)
    array = exported(images.numpy())
    assert isinstance(array, np.ndarray)
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, expected, rtol=0, atol=1e-5)


def test_single_pixels_and_other_floats(file):
    exported = load_exported(file)
    for images in (torch.rand(1, 3, 1, 1), torch.rand(1, 3, 20, 20).double(), torch.rand(1, 3, 20, 20).bfloat16()):
        with torch.inference_mode():
            torch.testing.assert_close(exported(images), make()(images.float()), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 20, 20), (1, 1, 20, 20), (0, 3, 20, 20), (1, 3, 0, 20)])
def test_other_shapes_are_named(file, shape):
    with pytest.raises(ValueError, match=r"expected images of shape \(n, 3, h, w\), got \("):
        load_exported(file)(torch.zeros(shape))


def refused(path: Path, **settings) -> str:
    with pytest.raises((ValueError, FileNotFoundError), match=r"^[^\n]+$") as caught:
        load_exported(path, **settings)
    return str(caught.value)


def test_other_files_are_named(file, tmp_path, capfd):
    assert "does not exist: give a file" in refused(tmp_path / "gone.onnx")
    assert "is a folder, not a file" in refused(tmp_path)
    for name, data in {"empty": b"", "text": b"no model", "cut": file.read_bytes()[:-2000]}.items():
        (tmp_path / f"{name}.onnx").write_bytes(data)
        assert f"{name}.onnx is no whole ONNX file (" in refused(tmp_path / f"{name}.onnx")
    model = onnx.load(file)
    for text, said in {
        None: "is another program's ONNX file",
        "{": "does not say what it is",
        '{"format": "other"}': "it says 'other'",
        '{"format": "sketchloss stylizer", "width": -1.0}': "width is -1",
        '{"format": "sketchloss stylizer", "width": "wide"}': "does not say what it is",
        "[]": "does not say what it is",
    }.items():
        del model.metadata_props[:]
        if text is not None:
            onnx.helper.set_model_props(model, {METADATA: text})
        onnx.save(model, tmp_path / "foreign.onnx")
        assert said in refused(tmp_path / "foreign.onnx")
    assert capfd.readouterr() == ("", "")


def test_a_missing_gpu_is_named(file, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert refused(file, device="cuda").startswith("device is cuda: this ONNX Runtime is for the CPU")
