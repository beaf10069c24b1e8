"""Oracle: the network in PyTorch that the file was made from."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from sketchloss.networks.stylizer import Stylizer, StylizerConfig
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
    whole = file.read_bytes()
    letters = whole.replace(b"Conv", b"C\xffnv")
    assert letters != whole
    for name, data in {"empty": b"", "text": b"no model", "cut": whole[:-2000], "letters": letters}.items():
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


def another(path: Path, name: str, node: onnx.NodeProto, inputs: list, outputs: list, **values: np.ndarray) -> Path:
    """A file that says it is a stylizer, and is one node."""
    constants = [onnx.numpy_helper.from_array(value, key) for key, value in values.items()]
    graph = onnx.helper.make_graph([node], "other", inputs, outputs, constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    made = onnx.load(path)
    model.metadata_props.extend(made.metadata_props)
    other = path.with_name(f"{name}.onnx")
    onnx.save(model, other)
    return other


def test_other_networks_are_named(file, capfd):
    def value(name: str, *shape, kind: int = onnx.TensorProto.FLOAT) -> onnx.ValueInfoProto:
        return onnx.helper.make_tensor_value_info(name, kind, shape)

    picture, node = ("n", 3, "h", "w"), onnx.helper.make_node
    others = {
        "text": (node("Identity", ["x"], ["y"]), [value("x", "n", kind=8)], [value("y", "n", kind=8)], {}),
        "flat": (node("Flatten", ["x"], ["y"]), [value("x", *picture)], [value("y", "n", "m")], {}),
        "pair": (
            node("Add", ["x", "z"], ["y"]),
            [value("x", *picture), value("z", *picture)],
            [value("y", *picture)],
            {},
        ),
        "two": (node("Split", ["x"], ["y", "z"], num_outputs=2), [value("x", *picture)], [value("y"), value("z")], {}),
        "small": (node("Identity", ["x"], ["y"]), [value("x", 1, 3, 16, 16)], [value("y", 1, 3, 16, 16)], {}),
        "beyond": (
            *(node("Mul", ["x", "factor"], ["y"]), [value("x", *picture)], [value("y", *picture)]),
            {"factor": np.float32(2)},
        ),
        "nan": (
            *(node("Mul", ["x", "factor"], ["y"]), [value("x", *picture)], [value("y", *picture)]),
            {"factor": np.float32("nan")},
        ),
        "none": (node("Identity", ["factor"], ["y"]), [], [value("y")], {"factor": np.float32(1)}),
    }
    for name, (made, inputs, outputs, values) in others.items():
        said = refused(another(file, name, made, inputs, outputs, **{k: np.asarray(v) for k, v in values.items()}))
        assert f"{name}.onnx does not do what it says (" in said, said
        assert said.endswith("): export the stylizer again")
    assert capfd.readouterr().err == ""


def test_a_network_that_fails_is_named(file, monkeypatch):
    exported = load_exported(file)
    inputs = exported.session.get_inputs()

    class Failing:
        def get_inputs(self):
            return inputs

        def run(self, *_):
            raise RuntimeError("bad\nallocation")

    monkeypatch.setattr(exported, "session", Failing())
    with pytest.raises(
        ValueError, match=r"^the ONNX file fails on images of shape \(1, 3, 20, 20\) \(bad allocation\)$"
    ):
        exported(torch.zeros(1, 3, 20, 20))
