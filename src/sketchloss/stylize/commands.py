"""The commands of a trained stylizer: turn pictures into sketches, write it as an ONNX file.

    sketchloss style apply my-run photo.jpg --out sketch.png
    sketchloss style apply my-run photos/ --out sketches/ --skip-existing
    sketchloss style apply my-run - --out - < photo.jpg > sketch.png
    sketchloss style export my-run my-run/model.onnx
    sketchloss style apply my-run/model.onnx photo.jpg --out sketch.png

In Python, see `sketchloss.stylize`.
"""

import errno
import os
import sys
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from PIL import Image
from tqdm import tqdm

from sketchloss.networks.stylizer import load_stylizer
from sketchloss.stylize.pictures import (
    MAX_PIXELS,
    AnyStylizer,
    Precision,
    prepare_stylizer,
    read_with_alpha,
    stylize,
)
from sketchloss.stylize.plan import Alpha, Job, Plan, plan_pictures, writable_format
from sketchloss.system.device import Device
from sketchloss.system.files import NoFile, open_input, write_atomic
from sketchloss.system.images import UnreadablePicture
from sketchloss.system.picture_pages import split_page
from sketchloss.system.visible_ink import hides_ink

# So many times as large as what it was trained on, a picture's features are not what the network knows.
LARGE = 8
# Pillow's defaults make grey clouds around lines.
QUALITY = {"JPEG": 95, "WEBP": 95, "AVIF": 90}


@dataclass(frozen=True)
class Apply:
    """Turn pictures into sketches of the same size and name.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    model: Annotated[Path, tyro.conf.Positional]
    """Network that draws: a run folder of `sketchloss style train`, its `model` folder, a file of `sketchloss style
    export`, or `pencil`, which comes with the package."""
    # By itself tyro shows several values as optional; none at all is refused here with what to name.
    inputs: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUTS", help_behavior_hint="(required)")
    ]
    """Pictures to draw from, or one folder of them (its subfolders too), or `-`: the bytes of a picture on standard
    input."""
    out: Annotated[str, tyro.conf.arg(metavar="PATH")]
    """Place to write to: a file for one picture; a folder for several, made if missing; `-`: standard output, as
    PNG."""
    force: bool = False
    """Replace files that are there."""
    skip_existing: bool = False
    """Continue with a folder that was interrupted: files that are there already stay."""
    alpha: Alpha = "flatten"
    """Treatment of transparency: `flatten` it onto white paper, or `keep` it."""
    draw_size: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Shorter side in pixels that pictures are drawn at, before the sketch is enlarged again: lines are coarser,
    because a network draws as on pictures of the size that it was trained on. None: the pictures' own size."""
    grey: bool = False
    """Take the colour out of the sketches."""
    max_pixels: int = MAX_PIXELS
    """Number of pixels above which pictures are drawn in tiles: the same result with less memory, in somewhat more
    time. A `.onnx` file cannot do that, and refuses them."""
    runtime: Literal["auto", "torch", "onnx"] = "auto"
    """Library that runs the network. `auto`: ONNX Runtime for a `.onnx` file, otherwise PyTorch. `onnx`: for a folder,
    the `model.onnx` in it."""
    device: Device = "auto"
    """Device to compute on; `auto`: the GPU if there is one."""
    precision: Precision = "auto"
    """Arithmetic of the network. `auto`: `bf16` (half the time, values off by a few levels of 255) on a GPU, `no`
    (float32) on the CPU."""

    def __post_init__(self) -> None:
        if self.max_pixels < 1:
            raise ValueError(f"max_pixels is {self.max_pixels}: it must be at least 1")
        if self.draw_size is not None and self.draw_size < 1:
            raise ValueError(f"draw_size is {self.draw_size}: it must be at least 1")


@dataclass(frozen=True)
class Export:
    """Write a stylizer as an ONNX file for images of any size, and check it against PyTorch."""

    model: Annotated[Path, tyro.conf.Positional]
    """Network to write: a run folder of `sketchloss style train`, or its `model` folder."""
    out: Annotated[Path, tyro.conf.Positional]
    """The `.onnx` file to write."""
    opset: int = 18
    """Version of ONNX's operators, 18 to 23."""
    force: bool = False
    """Replace a file that is there."""


# Apply ---------------------------------------------------------------------------------------------------------------


def apply(config: Apply) -> int:
    """Run `sketchloss style apply`.

    Returns:
        The exit code: 1 if pictures of a folder, or of several, were left out because they are damaged.

    Raises:
        ValueError: as `plan_pictures`, `load_stylizer`, `load_exported`; or if the only picture given is damaged.
        OSError: if a file cannot be written; those made before are whole.
    """
    plan = plan_pictures(
        config.inputs, config.out, alpha=config.alpha, force=config.force, skip_existing=config.skip_existing
    )
    # What the command line puts in the place of an output that is closed has this name; `> /dev/null` has not.
    if any(job.out is None for job in plan.jobs) and getattr(sys.stdout, "name", None) == os.devnull:
        raise ValueError("standard output is closed, the sketch would be lost: give --out FILE")
    stylizer = _load(config)
    for folder in {job.out.parent: None for job in plan.jobs if job.out}:
        folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    left_out: list[str] = []
    made = 0
    layout = "{l_bar}{bar}| {n:.1f}/{total_fmt} [{elapsed}<{remaining}]"  # a large picture counts by the tile
    bar = tqdm(total=len(plan.jobs), disable=None, leave=False, bar_format=layout)  # on stderr, if that is a terminal
    enlarged = 0
    for done, job in enumerate(plan.jobs):
        bar.update(done - bar.n)
        try:
            sketch = _make(job, stylizer, config, bar)
        except UnreadablePicture as error:
            if plan.single:
                raise
            left_out.append(str(error))
            continue
        _write(sketch, job, made)
        made += 1
        enlarged += config.draw_size is None and min(sketch.size) > LARGE * stylizer.config.image_size > 0
    bar.close()
    if enlarged:
        sys.stderr.write(
            f"note: {enlarged:,} of {made:,} are more than {LARGE} times as large as what the network was trained on "
            f"({stylizer.config.image_size} pixels): if they look like texture, try --draw-size "
            f"{LARGE // 2 * stylizer.config.image_size}\n"
        )
    for line in plan.passed_over:
        sys.stderr.write(f"note: {line}\n")
    if left_out:
        lines = [f"{len(left_out):,} of {len(plan.jobs):,} left out:", *(f"  {line}" for line in left_out)]
        sys.stderr.write("\n".join(lines) + "\n")
    if not (plan.jobs and plan.jobs[0].out is None):
        sys.stdout.write(_report(plan, made, config.out, time.perf_counter() - start) + "\n")
    return 1 if left_out else 0


def _report(plan: Plan, made: int, out: str, seconds: float) -> str:
    rate = f", {seconds / made:.2f} seconds each" if made else ""
    skipped = f"; {plan.skipped:,} there already" if plan.skipped else ""
    return f"{made:,} sketch{'es' * (made != 1)} in {out}{rate}{skipped}"


def _load(config: Apply) -> AnyStylizer:
    is_file = config.model.suffix.lower() == ".onnx"
    runtime = config.runtime if config.runtime != "auto" else ("onnx" if is_file else "torch")
    if runtime == "torch":
        if is_file:
            raise ValueError(f"{config.model} runs only in ONNX Runtime: give the run folder, or --runtime onnx")
        return prepare_stylizer(load_stylizer(config.model), device=config.device, precision=config.precision)
    if config.precision == "bf16":
        raise ValueError(
            "precision is bf16, and an exported stylizer has float32: use --precision no, or --runtime torch"
        )
    path = config.model
    if not is_file:
        found = [path / name for name in ("model.onnx", "model/model.onnx") if (path / name).is_file()]
        if not found:
            raise ValueError(f"{path} holds no model.onnx: run `sketchloss style export {path} {path / 'model.onnx'}`")
        path = found[0]
    from sketchloss.stylize.exported import load_exported  # here, as PyTorch's runtime needs no extra

    return load_exported(path, device=config.device)


def _make(job: Job, stylizer: AnyStylizer, config: Apply, bar: tqdm) -> Image.Image:
    # A path that cannot be read is left to open_picture to explain, as is what the bytes of a file turn out to be.
    if job.source is None:
        data = sys.stdin.buffer.read()
    else:
        data = _read(job.source) if split_page(job.source)[1] == 1 else job.source
    picture, alpha = read_with_alpha(data, name=job.name)
    if alpha is not None and hides_ink(data):
        tqdm.write(
            f"note: {job.name}: all in it is light on a transparent ground, and lost on white paper, which is drawn "
            "here: put it on dark paper first",
            file=sys.stderr,
        )
    try:
        sketch = stylize(
            stylizer, picture, draw_size=config.draw_size, max_pixels=config.max_pixels, progress=bar.update
        )
    except ValueError as error:
        raise ValueError(f"{job.name}: {error}") from None
    if config.grey:
        sketch = sketch.convert("L")
    if config.alpha == "keep" and alpha is not None:
        sketch = sketch.convert("RGBA")
        sketch.putalpha(alpha)
    return sketch


def _read(path: Path) -> bytes:
    try:
        with open_input(path) as file:
            return file.read()
    except NoFile as error:
        raise UnreadablePicture(f"{path}: {error}") from None
    except OSError as error:
        raise UnreadablePicture(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def _write(sketch: Image.Image, job: Job, made: int) -> None:
    kind: Any = "PNG" if job.out is None else writable_format(job.out)
    encoded = BytesIO()  # whole before a byte is written, so that a full disk is the only thing to go wrong then
    try:
        sketch.save(encoded, format=kind, **({"quality": QUALITY[kind]} if kind in QUALITY else {}))
    except (OSError, ValueError) as error:
        width, height = sketch.size
        raise ValueError(
            f"{job.out}: {kind} cannot hold {width}x{height} pixels ({' '.join(str(error).split())}); use .png"
        ) from None
    if job.out is None:
        sys.stdout.buffer.write(encoded.getvalue())
        return
    try:
        with write_atomic(job.out) as temporary:
            temporary.write_bytes(encoded.getvalue())
    except OSError as error:
        before = f"; the {made:,} before it are whole: go on with --skip-existing" if made else ""
        raise _cannot_write(job.out, error, before) from None


def _cannot_write(path: Path, error: OSError, more: str = "") -> OSError:
    reason = (error.strerror or str(error)).lower()
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return OSError(f"cannot write {path} ({reason}): {'free some space, or ' * full}write elsewhere{more}")


# Export --------------------------------------------------------------------------------------------------------------


def export(config: Export) -> None:
    """Run `sketchloss style export`; raises as `load_stylizer` and `export_stylizer`."""
    from sketchloss.stylize.exporting import check_destination, export_stylizer  # here, as `apply` needs no exporter

    check_destination(config.out, force=config.force)
    stylizer = load_stylizer(config.model)
    try:
        difference = export_stylizer(stylizer, config.out, opset=config.opset, force=config.force)
    except OSError as error:
        raise _cannot_write(config.out, error) from None
    size = config.out.stat().st_size / 2**20
    sys.stdout.write(
        f"{config.out}  {size:.1f} MiB, opset {config.opset}, any size from 16x16 pixels\n"
        f"greatest difference from PyTorch {difference:.1e} (values in [0, 1])\n"
    )
