"""Pictures in and out, and the tensor contract: float, n×3×h×w, values in [0, 1], dark ink on light paper."""

import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO, Protocol, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from sketchloss.files import write_atomic

# note: a list of our own, because Pillow also opens formats that start other programs (EPS runs Ghostscript).
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
OVERSHOOT = 0.01  # how far outside [0, 1] a generator may stray


class UnreadablePicture(ValueError):  # noqa: N818 (it names what was found, and reads well where it is caught)
    """A file that cannot be read as a picture. The text is one line: which, why, and what to do."""


# ---------------------------------------------------------------------------------------------------------------------
# Files to pictures


@runtime_checkable
class BinaryFile(Protocol):
    """What is asked of a file: an open file, a `BytesIO`, an upload."""

    def read(self, size: int = -1, /) -> bytes: ...  # noqa: D102
    def seek(self, offset: int, whence: int = 0, /) -> int: ...  # noqa: D102
    def tell(self) -> int: ...  # noqa: D102


def read_picture(source: str | Path | bytes | BinaryFile, *, name: str | None = None) -> Image.Image:
    """Read a picture as people see it: upright, on white paper, 8-bit RGB.

    EXIF orientation is applied; transparency is flattened on white; 16-bit grey is scaled by 1/257; of an animation the
    first frame is taken. 32-bit integers and floats outside the usual ranges are stretched from their least to their
    greatest value.

    Args:
        source: a path, the bytes of a file, or a binary file (which is left open).
        name: what to call it in an error; a path is its own name.

    Returns:
        An `RGB` picture in memory; no file stays open.

    Raises:
        UnreadablePicture: a missing, empty, truncated or foreign file, or one that claims more pixels than
            `PIL.Image.MAX_IMAGE_PIXELS` (Pillow itself only warns up to twice that).
    """
    label = name or (str(source) if isinstance(source, str | Path) else "picture")
    with _unreadable_as(label), _quiet():
        if isinstance(source, str | Path):
            with Path(source).open("rb") as file:
                return _decode(file)
        return _decode(BytesIO(source) if isinstance(source, bytes) else source)


def probe_picture(path: str | Path) -> None:
    """Check a file cheaply, without decoding it: the header, and for PNG and JPEG the mark at the end.

    A file without its end mark is decoded to be sure, so that a truncated one is found here. What this passes may still
    be unreadable (damage in the middle); `read_picture` has the last word.

    Raises:
        UnreadablePicture: as `read_picture`.
    """
    with _unreadable_as(str(path)), _quiet(), Path(path).open("rb") as file:
        picture = _open(file)
        end_mark = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}.get(picture.format or "")
        file.seek(max(0, file.seek(0, 2) - 64))
        if end_mark and end_mark not in file.read():
            file.seek(0)
            _decode(file)


def find_pictures(folder: str | Path) -> list[Path]:
    """List the pictures in a folder and its subfolders, by suffix, in a fixed order.

    Hidden files and folders are passed over (`._cat.png`, `.ipynb_checkpoints`), linked folders are entered, and a link
    back to a folder above is not. A broken link with a picture's suffix is listed: reading it says what is wrong.

    Raises:
        ValueError: if `folder` is not a folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the path of a folder of pictures")
    return list(_walk(folder, above=frozenset()))


def _walk(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    here = folder.resolve()
    if here in above:
        return
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.startswith((".", "__MACOSX")):
            continue
        if entry.is_dir():
            yield from _walk(entry, above | {here})
        elif entry.suffix.lower() in picture_suffixes():
            yield entry


@cache
def picture_suffixes() -> frozenset[str]:
    """Suffixes of the files that can be read here, such as `.png`, in lower case."""
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in readable_formats())


@cache
def readable_formats() -> tuple[str, ...]:
    """Pillow's names of the formats that can be read here."""
    Image.init()
    return tuple(kind for kind in FORMATS if kind in Image.OPEN)  # AVIF only where Pillow was built with it


def _open(file: BinaryFile) -> Image.Image:
    if not file.read(1):
        raise EOFError("the file is empty")
    file.seek(0)
    picture = Image.open(cast(IO[bytes], file), formats=readable_formats())
    width, height = picture.size
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise Image.DecompressionBombError(f"{width} by {height} pixels, more than {limit} in all")
    return picture


def _decode(file: BinaryFile) -> Image.Image:
    picture = _open(file)
    picture.load()
    return _on_white(_upright(picture))


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # noqa: BLE001 (Pillow raises whatever a damaged EXIF block leads it into)
        return picture.copy()  # the pixels were read; only the note beside them is damaged


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode == "F" or picture.mode.startswith("I"):
        return _eight_bits(picture).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(paper, picture).convert("RGB")
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture, dtype=np.float64)
    finite = np.isfinite(values)
    low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0.0, 0.0)
    if picture.mode == "F" and low >= 0 and high <= 255:
        scaled = values * (255 if high <= 1 else 1)
    elif picture.mode != "F" and low >= 0 and high <= 65535:
        scaled = values / 257
    else:
        scaled = (values - low) * (255 / max(high - low, 1e-300))
    return Image.fromarray(np.where(finite, scaled, 255).round().clip(0, 255).astype(np.uint8))


@contextmanager
def _unreadable_as(label: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise UnreadablePicture(f"{_one_line(label)}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    match error:
        case FileNotFoundError():
            return "no such file; check the path"
        case IsADirectoryError():
            return "a folder, not a picture; give the path of a file"
        case PermissionError():
            return "no permission to read it; change its permissions"
        case EOFError() if str(error) == "the file is empty":
            return "the file is empty (0 bytes); fetch it again or remove it"
        case Image.DecompressionBombError():
            return (
                f"too large ({_one_line(error)}); make it smaller, or raise PIL.Image.MAX_IMAGE_PIXELS if you trust it"
            )
        case Image.UnidentifiedImageError():
            return f"not a picture that can be read here ({', '.join(readable_formats())}); convert it or remove it"
        case _:
            return f"damaged or cut off ({_one_line(error)}); fetch it again or remove it"


def _one_line(text: object) -> str:
    return " ".join(str(text).split()) or type(text).__name__


_warnings_lock = threading.Lock()


@contextmanager
def _quiet() -> Iterator[None]:
    # Pillow warns of large pictures and odd metadata, both dealt with here. The lock: the filters are the process's,
    # and two threads that save and restore them at once could leave every warning off for good.
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# ---------------------------------------------------------------------------------------------------------------------
# Pictures to tensors and back


def fit_square(picture: Image.Image, size: int) -> Image.Image:
    """Fit a whole picture into a square: resized to its longer side, centred, white paper around it.

    Reduction averages over all pixels with a triangle filter, so thin lines grow pale but stay, and the amount of ink
    is kept (sharper filters overshoot, are cut at white, and darken the drawing).

    Args:
        picture: `L` or `RGB`.
        size: side in pixels.

    Returns:
        A new picture, `size`×`size`, of the same mode.
    """
    check_mode(picture)
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}")
    scale = size / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    square = Image.new(picture.mode, (size, size), "white")
    square.paste(resized, ((size - width) // 2, (size - height) // 2))
    return square


def fill_square(picture: Image.Image, size: int) -> Image.Image:
    """Fill a square with a picture: the shorter side becomes `size`, what is too long is cut off at both ends.

    Reduction averages over all pixels with a triangle filter (Pillow's bilinear), as in `fit_square`.

    Args:
        picture: `L` or `RGB`.
        size: side in pixels.

    Returns:
        A new picture, `size`×`size`, of the same mode.
    """
    check_mode(picture)
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}")
    # note: cuts before it resizes, so that a long strip costs no more than a square
    return ImageOps.fit(picture, (size, size), Image.Resampling.BILINEAR)


def to_tensor(picture: Image.Image) -> Float[Tensor, "channels h w"]:
    """Turn an `L` or `RGB` picture into a float32 tensor in [0, 1], with 1 or 3 channels."""
    check_mode(picture)
    pixels = torch.from_numpy(np.array(picture))
    return (pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()).float() / 255


def to_picture(tensor: Tensor) -> Image.Image:
    """Turn a float tensor into a picture: clamped to [0, 1] and rounded to 8 bits.

    Args:
        tensor: h×w, 1×h×w (both give `L`) or 3×h×w (gives `RGB`), on any device, of any float type.

    Raises:
        ValueError: for another shape or type, or values that are not numbers.
    """
    shape = tuple(tensor.shape)
    if not tensor.is_floating_point() or not (tensor.ndim == 2 or (tensor.ndim == 3 and shape[0] in (1, 3))):
        raise ValueError(
            f"expected one picture as a float tensor (h, w), (1, h, w) or (3, h, w), got {tensor.dtype} {shape}"
            + ("; take one of the batch, such as tensor[0]" if tensor.ndim == 4 else "")
        )
    if tensor.isnan().any():
        raise ValueError(f"a picture of shape {shape} holds NaN: the network that made it has diverged")
    pixels = (tensor.detach().float().clamp(0, 1) * 255).round().to(torch.uint8).cpu()
    if pixels.ndim == 3:
        pixels = pixels[0] if shape[0] == 1 else pixels.permute(1, 2, 0)
    return Image.fromarray(pixels.contiguous().numpy())


def save_picture(picture: Image.Image, path: str | Path) -> None:
    """Write a picture, whole or not at all, in the format that the suffix names.

    Raises:
        ValueError: if the folder does not exist, or the suffix names no format that can be written.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"cannot write {path}: the folder {path.parent} does not exist; create it first")
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in readable_formats() or kind not in Image.SAVE:
        raise ValueError(f"cannot write {path}: unknown suffix {path.suffix!r}; use .png or .jpg")
    with write_atomic(path) as temporary:
        picture.save(temporary, format=kind)


def check_mode(picture: Image.Image) -> None:
    """Raise ValueError for a picture of another mode than `L` and `RGB`."""
    if picture.mode not in ("L", "RGB"):
        raise ValueError(f"expected a picture of mode L or RGB, got {picture.mode}; open it with read_picture")


# ---------------------------------------------------------------------------------------------------------------------
# The tensor contract


def check_images(
    images: Tensor, *, name: str = "images", minimum: int = 1, check: bool = True
) -> Float[Tensor, "n 3 h w"]:
    """Hold a batch of images to the contract; grey is expanded to three channels without copying.

    Args:
        images: float, n×{1,3}×h×w with n >= 1, values in [0, 1]; ±0.01 is allowed, as a generator may overshoot.
        name: what to call it in an error.
        minimum: least height and width in pixels.
        check: False skips the check of the values, which waits for the device. Under `torch.compile` and
            `torch.export` it is skipped as well.

    Returns:
        The same values, n×3×h×w, of the same type and on the same device.

    Raises:
        ValueError: with `name`, what was expected, the type, shape or range found, and the mend.
    """
    if not isinstance(images, Tensor):
        raise ValueError(f"{name}: expected a torch tensor, got {type(images).__name__}; convert it with to_tensor")
    if not images.is_floating_point():
        mend = f"convert it: {name}.float()" if images.dtype == torch.bool else f"divide by 255: {name}.float() / 255"
        raise ValueError(f"{name}: expected floating point in [0, 1], got {images.dtype}; {mend}")
    shape = tuple(images.shape)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.shape[0] < 1:
        raise ValueError(
            f"{name}: expected shape (n, 1, h, w) or (n, 3, h, w), got {shape}; {_mend_shape(images, name)}"
        )
    if images.shape[2] < minimum or images.shape[3] < minimum:
        raise ValueError(
            f"{name}: expected at least {minimum} by {minimum} pixels, got shape {shape}; enlarge or pad the images"
        )
    if check and not torch.compiler.is_compiling():
        _check_values(images, name)
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def _check_values(images: Tensor, name: str) -> None:
    low, high = torch.stack(torch.aminmax(images.detach())).tolist()  # one wait for the device, not two
    if low >= -OVERSHOOT and high <= 1 + OVERSHOOT:  # false for NaN
        return
    if math.isnan(low) or math.isinf(low) or math.isinf(high):
        found, mend = "NaN or infinity", "find the step that makes it: a diverged generator, or a division by zero"
    else:
        found, mend = f"[{low:.4g}, {high:.4g}]", _mend_range(low, high, name)
    raise ValueError(f"{name}: expected values in [0, 1], got {found} in shape {tuple(images.shape)}; {mend}")


def _mend_range(low: float, high: float, name: str) -> str:
    if low >= -OVERSHOOT and 2 < high <= 256:
        return f"divide by 255: {name} / 255"
    if -1 - OVERSHOOT <= low < -0.1 and high <= 1 + OVERSHOOT:
        return f"if it is in [-1, 1], rescale: ({name} + 1) / 2"
    if low >= -0.5 and high <= 1.5:
        return f"clamp it: {name}.clamp(0, 1)"
    return f"if it was normalised, undo that: {name} * std + mean"


def _mend_shape(images: Tensor, name: str) -> str:
    shape = images.shape
    if images.ndim == 4:
        if shape[0] < 1:
            return "the batch is empty"
        if shape[3] in (1, 3):
            return f"move the channels forward: {name}.permute(0, 3, 1, 2)"
        if shape[1] in (2, 4):
            return "flatten the transparency on white, as read_picture does"
    if images.ndim == 3:
        if shape[0] in (1, 3):
            return f"add a batch dimension with {name}[None]"
        if shape[2] in (1, 3):
            return f"move the channels forward and add a batch dimension: {name}.permute(2, 0, 1)[None]"
        return f"add a channel dimension with {name}[:, None]"
    if images.ndim == 2:
        return f"add batch and channel dimensions with {name}[None, None]"
    return "reshape it"
