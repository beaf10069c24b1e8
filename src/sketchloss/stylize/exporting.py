"""A stylizer to an ONNX file that takes any number of images of any size, checked against PyTorch before it is kept."""

import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path

import onnx
import torch
from torch.export import Dim

from sketchloss.networks.stylizer import FORMAT, SMALLEST, Stylizer
from sketchloss.stylize.exported import METADATA, load_exported
from sketchloss.system.files import check_writable, write_atomic

OPSET = 18  # the least that the exporter writes by itself, so that older runtimes can read it
OPSETS = range(18, 24)  # what was tried
# Of a file that is kept, on values in [0, 1]; only rounding makes about 1e-5.
TOLERANCE = 1e-3
# Batch, height and width of the images that the file is checked on: none is of the size that it is exported with, no
# side is a multiple of 4, and one is the smallest.
CHECKED = ((1, 131, 90), (2, 37, 51), (1, SMALLEST, SMALLEST + 1))


def export_stylizer(stylizer: Stylizer, path: str | Path, *, opset: int = OPSET, force: bool = False) -> float:
    """Write an ONNX file for `load_exported` or any other ONNX runtime, whole or not at all.

    Its input `images` is n×3×h×w, float32 RGB in [0, 1], with h and w at least 16; its output `sketches` is n×c×h×w in
    [0, 1]. The weights are inside; the metadata holds the configuration as JSON.

    Args:
        stylizer: on any device, of any float type; it is left as it is.
        path: path of the file, in a folder that exists.
        opset: version of ONNX's operators, 18 to 23.
        force: replace a file that is there.

    Returns:
        The greatest difference between ONNX Runtime's values and PyTorch's, on random images of three sizes.

    Raises:
        ValueError: if the file cannot be put there, `opset` is another, or the results differ by more than 1e-3.
    """
    path = Path(path)
    if opset not in OPSETS:
        raise ValueError(f"opset is {opset}: it must be {OPSETS[0]} to {OPSETS[-1]}")
    check_destination(path, force=force)
    plain = deepcopy(stylizer).cpu().float().eval()
    with _silence():
        program = torch.onnx.export(
            plain,
            (torch.rand(2, 3, 64, 80),),
            input_names=["images"],
            output_names=["sketches"],
            opset_version=opset,
            dynamo=True,
            verbose=False,
            external_data=False,
            dynamic_shapes=({0: Dim("n"), 2: Dim("height", min=SMALLEST), 3: Dim("width", min=SMALLEST)},),
        )
        assert program is not None
        model = program.model_proto
    _forget_origins(model)
    _describe(model)
    about = {"format": FORMAT, "version": 1, **asdict(stylizer.config)}
    onnx.helper.set_model_props(model, {METADATA: json.dumps(about, allow_nan=False)})
    with write_atomic(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        difference = _greatest_difference(plain, temporary)
        if not difference <= TOLERANCE:  # true for NaN
            raise ValueError(
                f"what ONNX Runtime makes of {path.name} differs from PyTorch by {difference:.2g}, and {TOLERANCE:g} "
                "is allowed: not written; try another --opset"
            )
    return difference


def check_destination(path: Path, *, force: bool = False) -> None:
    """Find out before the work is done whether the file can be put there.

    Raises:
        ValueError: with what is in the way.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file, such as {path / 'model.onnx'}")
    if path.suffix.lower() != ".onnx":
        raise ValueError(f"{path} does not end in .onnx: name a file, such as {path.with_suffix('.onnx')}")
    check_writable(path)
    if path.exists() and not force:
        raise ValueError(f"{path} exists: add --force to replace it, or name another file")


@torch.inference_mode()
def _greatest_difference(stylizer: Stylizer, path: Path) -> float:
    exported = load_exported(path, device="cpu")
    generator = torch.Generator().manual_seed(0)
    differences = []
    for batch, height, width in CHECKED:
        images = torch.rand((batch, 3, height, width), generator=generator)
        differences.append((exported(images) - stylizer(images)).abs().max())
    return float(torch.stack(differences).max())


def _describe(model: onnx.ModelProto) -> None:
    """Say in the file what goes in and comes out; the exporter names the output's sides by long formulas."""
    model.doc_string = (
        "Photo to sketch (sketchloss). images: n x 3 x height x width, float32, RGB in [0, 1], sides of at least "
        f"{SMALLEST}; sketches: values in [0, 1] of the same height and width."
    )
    for side, name in zip(model.graph.output[0].type.tensor_type.shape.dim[2:], ("height", "width"), strict=True):
        side.dim_param = name


def _forget_origins(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes: lines of source code and paths on this machine."""
    graph = model.graph
    for thing in (model, graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        thing.ClearField("metadata_props")
        thing.ClearField("doc_string")


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter from printing, logging and warning, all of which it does about itself."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            Path(os.devnull).open("w") as nowhere,
            redirect_stdout(nowhere),
            redirect_stderr(nowhere),
            warnings.catch_warnings(action="ignore"),
        ):
            yield
    finally:
        logging.disable(before)
