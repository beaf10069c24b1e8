"""Pictures in and out: files to pictures, pictures to tensors, and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Literal, Protocol, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from sketchloss.system.drawn_page import CannotRead, check_page
from sketchloss.system.files import NoFile, open_input, write_atomic
from sketchloss.system.image_contract import check_images as check_images  # for those who look for it here
from sketchloss.system.image_contract import check_values
from sketchloss.system.optional_readers import HEAD_BYTES, NoReader, reader_of
from sketchloss.system.picture_files import readable_formats, readable_kinds
from sketchloss.system.picture_pages import split_page
from sketchloss.system.quiet_decoding import quiet

#: What transparency is flattened on.
Paper = Literal["white", "black"]
#: Side in pixels of pictures that are asked for; more is a slip of the hand, and takes all memory.
LARGEST_SIDE = 8192


class UnreadablePicture(ValueError):  # noqa: N818 (it names what was found, and reads well where it is caught)
    """A file that cannot be read as a picture. The text is one line: which, why, and what to do."""


# ---------------------------------------------------------------------------------------------------------------------
# Files to pictures


@runtime_checkable
class BinaryFile(Protocol):
    """What a file must offer: an open file, a `BytesIO`, an upload."""

    def read(self, size: int = -1, /) -> bytes: ...  # noqa: D102
    def seek(self, offset: int, whence: int = 0, /) -> int: ...  # noqa: D102
    def tell(self) -> int: ...  # noqa: D102


def open_picture(
    picture: Image.Image | np.ndarray | Tensor | str | Path | bytes | BinaryFile,
    *,
    name: str | None = None,
    paper: Paper | None = "white",
) -> Image.Image:
    """Return one picture, however it is held, as people see it: upright, on paper, 8-bit RGB.

    EXIF orientation is applied; transparency is flattened on the paper; 16-bit grey is scaled by 1/257; of an animation
    the first frame is taken, of a PDF the first page. 32-bit integers and floats outside the usual ranges are stretched
    from their least to their greatest value. SVG, PDF and HEIF are read if the extra `readers` is installed, in a
    process beside this one.

    Args:
        picture: a path, the bytes of a file, a binary file (which is left open), or a Pillow picture of any mode; an
            array, as `to_tensor` takes it; or a tensor, as `to_picture` takes it. A path may name a page, as
            `drawings.pdf#page=2`.
        name: its name in an error; a path is its own name.
        paper: `black` for light ink, which white would hide; None keeps transparency of files and Pillow pictures.

    Returns:
        An `RGB` picture in memory, `RGBA` if it has transparency that is kept; no file stays open.

    Raises:
        UnreadablePicture: a missing, empty, truncated or foreign file, or one that claims more pixels than
            `PIL.Image.MAX_IMAGE_PIXELS` (Pillow itself only warns up to twice that).
        ValueError: for anything else: what came, and how to fix it.
    """
    if isinstance(picture, np.ndarray):
        picture = _array_to_tensor(picture, paper or "white")
    if isinstance(picture, Tensor):
        return to_picture(picture).convert("RGB")
    if not isinstance(picture, Image.Image | str | Path | bytes | BinaryFile):
        kind = type(picture).__name__
        raise ValueError(f"expected a picture, got {kind}: give a path, bytes, a Pillow picture, an array or a tensor")
    with _unreadable_as(name or (str(picture) if isinstance(picture, str | Path) else "picture")), quiet():
        if isinstance(picture, Image.Image):
            return _decode(picture, paper)
        if isinstance(picture, str | Path):
            path, page = split_page(picture)
            with open_input(path) as file:
                return _decode(_open(file, page), paper)
        return _decode(_open(BytesIO(picture) if isinstance(picture, bytes) else picture), paper)


@contextmanager
def open_header(path: str | Path) -> Iterator[Image.Image]:
    """Open a picture file without decoding it; inside, what its header says can be asked.

    What an extra reads is decoded.

    Raises:
        Exception: whatever Pillow or a library of the extra raises of a damaged file.
    """
    path, page = split_page(path)
    with quiet(), open_input(path, pipes=False) as file:  # what is read from a pipe here would be gone
        yield _open(file, page)


def probe_picture(path: str | Path) -> None:
    """Check a file cheaply, without decoding it: the header, and for PNG and JPEG the mark at the end.

    A file without its end mark is decoded to be sure, so that a truncated one is found here. What this passes may still
    be unreadable (damage in the middle); `open_picture` has the last word.

    Raises:
        UnreadablePicture: as `open_picture`.
    """
    file_path, page = split_page(path)
    with _unreadable_as(str(path)), quiet(), open_input(file_path) as file:
        picture = _open(file, page)
        end_mark = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}.get(picture.format or "")
        file.seek(max(0, file.seek(0, 2) - 64))
        if end_mark and end_mark not in file.read():
            file.seek(0)
            _decode(_open(file), "white")


def _open(file: BinaryFile, page: int = 1) -> Image.Image:
    head = file.read(HEAD_BYTES)
    if not head:
        raise EOFError("the file is empty")
    file.seek(0)
    if reader := reader_of(head):
        return reader.read(file.read(), page)
    picture = Image.open(cast(IO[bytes], file), formats=readable_formats())
    width, height = picture.size
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise Image.DecompressionBombError(f"{width} by {height} pixels, more than {limit} in all")
    if page != 1:
        check_page(page, getattr(picture, "n_frames", 1))
        picture.seek(page - 1)
    return picture


def _decode(picture: Image.Image, paper: Paper | None, *, keep_grey: bool = False) -> Image.Image:
    picture.load()
    upright = _upright(picture)
    if keep_grey and upright.mode == "L" and not upright.has_transparency_data:
        return upright
    return _on_paper(upright, paper)


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # noqa: BLE001 (Pillow raises whatever a damaged EXIF block leads it into)
        return picture.copy()  # the pixels were read; only the note beside them is damaged


def _on_paper(picture: Image.Image, paper: Paper | None) -> Image.Image:
    if picture.mode == "F" or picture.mode.startswith("I"):
        return _eight_bits(picture).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if paper is None:
            return picture
        return Image.alpha_composite(Image.new("RGBA", picture.size, paper), picture).convert("RGB")
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
        case NoFile() | NoReader() | CannotRead():
            return str(error)
        case PermissionError():
            return "no permission to read it; change its permissions"
        case EOFError() if str(error) == "the file is empty":
            return "the file is empty (0 bytes); fetch it again or remove it"
        case Image.DecompressionBombError():
            return (
                f"too large ({_one_line(error)}); make it smaller, or raise PIL.Image.MAX_IMAGE_PIXELS if you trust it"
            )
        case Image.UnidentifiedImageError():
            return f"not a picture that can be read here ({', '.join(readable_kinds())}); convert it or remove it"
        case _:
            return f"damaged or cut off ({_one_line(error)}); fetch it again or remove it"


def _one_line(text: object) -> str:
    return " ".join(str(text).split()) or type(text).__name__


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


def to_tensor(
    picture: Image.Image | np.ndarray | str | Path | bytes | BinaryFile, *, paper: Paper = "white"
) -> Float[Tensor, "channels h w"]:
    """Turn one picture, however it is held, into a float32 tensor in [0, 1]: upright, on paper.

    `to_tensor(picture)[None]` is a batch of one, as a loss takes it.

    Args:
        picture: a path, the bytes of a file, a binary file, or a Pillow picture of any mode, each read as
            `open_picture` does; or an array h×w, h×w×1, h×w×3 (RGB) or h×w×4 (RGBA, flattened on the paper) of uint8,
            or of floats in [0, 1].
        paper: what transparency is flattened on: `black` for light ink, as a loss with `invert=True` takes it.

    Returns:
        3×h×w; of grey arrays, and Pillow pictures of mode `L`, 1×h×w. On the CPU.

    Raises:
        ValueError: for anything else: what came, and how to fix it.
        UnreadablePicture: as `open_picture`.
    """
    if isinstance(picture, np.ndarray):
        return _array_to_tensor(picture, paper)
    if isinstance(picture, Image.Image):
        with _unreadable_as("picture"), quiet():
            picture = _decode(picture, paper, keep_grey=True)
    elif isinstance(picture, str | Path | bytes | BinaryFile):
        picture = open_picture(picture, paper=paper)
    else:
        mend = (
            "it is one already" if isinstance(picture, Tensor) else "give a path, bytes, an array or a Pillow picture"
        )
        raise ValueError(f"picture: expected a picture to make a tensor of, got {type(picture).__name__}; {mend}")
    pixels = torch.from_numpy(np.array(picture))
    return (pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()).float() / 255


def _array_to_tensor(array: np.ndarray, paper: Paper) -> Float[Tensor, "channels h w"]:
    shape, kind = array.shape, array.dtype
    if not (array.ndim == 2 or (array.ndim == 3 and shape[2] in (1, 3, 4))) or 0 in shape:
        forward = array.ndim == 3 and shape[0] in (1, 3, 4)
        mend = "move the channels back: array.transpose(1, 2, 0)" if forward else "give one picture"
        raise ValueError(
            f"array: expected shape (h, w) or (h, w, channels) with 1, 3 or 4 channels, got {shape}; {mend}"
        )
    if kind != np.uint8 and kind.kind != "f":
        mend = "divide by 65535" if kind == np.uint16 else "if it holds bytes, convert it: array.astype('uint8')"
        raise ValueError(f"array: expected uint8, or floats in [0, 1], got {kind}; {mend}")
    with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite, and is refused below
        values = torch.from_numpy(np.array(array, np.uint8 if kind == np.uint8 else np.float32, order="C", ndmin=3))
    if array.ndim == 3:
        values = values.permute(2, 0, 1).contiguous()
    values = values.float() / 255 if kind == np.uint8 else values
    check_values(values, "array")
    values = values.clamp(0, 1)
    if len(values) < 4:
        return values
    colours, alpha = values[:3], values[3:]
    return alpha * colours if paper == "black" else 1 - alpha * (1 - colours)


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
        raise ValueError(f"expected a picture of mode L or RGB, got {picture.mode}; open it with open_picture")
