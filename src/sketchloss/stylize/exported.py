"""A stylizer in an ONNX file, run by ONNX Runtime: no PyTorch model, no folder, one file that describes itself."""

from pathlib import Path
from typing import cast, overload

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from sketchloss.networks.stylizer import FORMAT, SMALLEST, StylizerConfig
from sketchloss.system.device import Device
from sketchloss.system.files import parse_json
from sketchloss.system.stored import build_config, check_version, show

# The key of the file's metadata that holds the configuration, as JSON.
METADATA = "sketchloss"


class ExportedStylizer:
    """A stylizer that `load_exported` opened; call it on images as one calls a `Stylizer`.

    Args:
        session: session of a file that `export_stylizer` wrote.
        config: what the file says.
    """

    def __init__(self, session: onnxruntime.InferenceSession, config: StylizerConfig) -> None:
        self.session = session
        self.config = config

    @overload
    def __call__(self, images: Tensor) -> Tensor: ...

    @overload
    def __call__(self, images: np.ndarray) -> np.ndarray: ...

    def __call__(self, images: Tensor | np.ndarray) -> Tensor | np.ndarray:
        """Turn images into sketches of the same height and width.

        Args:
            images: an array or a tensor, float, n×3×h×w, RGB in [0, 1], any size from 1 pixel up.

        Returns:
            float32 values in [0, 1], n×c×h×w with the config's 1 or 3 channels: an array for an array, and for a
            tensor a tensor on its device.

        Raises:
            ValueError: for another shape, or if the file's network fails, for want of memory, say.
        """
        array = images.detach().float().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images, np.float32)
        if array.ndim != 4 or array.shape[1] != 3 or 0 in array.shape:
            raise ValueError(f"expected images of shape (n, 3, h, w), got {array.shape}: stack them into one batch")
        height, width = array.shape[-2:]
        below, beside = (max(0, SMALLEST - side) for side in (height, width))
        array = np.pad(array, ((0, 0), (0, 0), (0, below), (0, beside)), mode="edge")
        try:
            (sketches,) = self.session.run(None, {self.session.get_inputs()[0].name: array})
        except Exception as error:  # noqa: BLE001 (ONNX Runtime has an exception of its own for each kind of failure)
            raise ValueError(f"the ONNX file fails on images of shape {array.shape} ({_reason(error)})") from None
        sketches = np.ascontiguousarray(cast(np.ndarray, sketches)[..., :height, :width])
        return torch.from_numpy(sketches).to(images.device) if isinstance(images, Tensor) else sketches


def load_exported(path: str | Path, *, device: Device = "auto") -> ExportedStylizer:
    """Open a stylizer that `sketchloss style export` wrote.

    Args:
        path: path of the `.onnx` file.
        device: `auto`: the GPU if ONNX Runtime was built for one, and finds it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or another program's, or there is no such device.
    """
    path = Path(path)
    if not path.is_file():
        kind = "is a folder, not a file" if path.is_dir() else "does not exist"
        message = f"{path} {kind}: give a file that sketchloss style export made"
        raise ValueError(message) if path.is_dir() else FileNotFoundError(message)
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cuda" and not has_cuda:
        raise ValueError("device is cuda: this ONNX Runtime is for the CPU; install onnxruntime-gpu, or --device cpu")
    providers = ["CUDAExecutionProvider"] * (has_cuda and device != "cpu") + ["CPUExecutionProvider"]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong comes as an exception
    try:
        # note: where there is nothing to fall back on, it would only print so on stdout
        session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=providers, enable_fallback=len(providers) > 1
        )
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 (ONNX Runtime has an exception of its own for each kind of damage)
        raise ValueError(f"{path} is no whole ONNX file ({_reason(error)}): export the stylizer again") from None
    stylizer = ExportedStylizer(session, _read_config(session, path))
    _try(stylizer, path)
    return stylizer


def _read_config(session: onnxruntime.InferenceSession, path: Path) -> StylizerConfig:
    stored = session.get_modelmeta().custom_metadata_map.get(METADATA)
    if stored is None:
        raise ValueError(f"{path} is another program's ONNX file: give one that sketchloss style export made")
    try:
        values = parse_json(stored)
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            found = values.get("format") if isinstance(values, dict) else values
            raise ValueError(f"it says {show(found)} and not {FORMAT!r}")
        check_version(values, 1, "it")
        return build_config(StylizerConfig, values, "it")
    except ValueError as error:
        raise ValueError(f"{path} does not say what it is ({_reason(error)}): export the stylizer again") from None


def _try(stylizer: ExportedStylizer, path: Path) -> None:
    """Refuse a file whose network is another than it says, or damaged: it must make sketches of two small pictures."""
    for height, width in ((SMALLEST, SMALLEST), (SMALLEST + 3, SMALLEST + 8)):
        images = np.linspace(0, 1, 3 * height * width, dtype=np.float32).reshape(1, 3, height, width)
        wanted = (1, stylizer.config.channels, height, width)
        try:
            sketches = stylizer(images)
            if sketches.shape != wanted or sketches.dtype != np.float32:
                raise ValueError(f"it makes {sketches.dtype} {sketches.shape} of {images.shape}")
            if not (sketches.min() >= 0 and sketches.max() <= 1):  # nor is NaN
                raise ValueError("it makes values that are not in [0, 1]")
        except Exception as error:  # noqa: BLE001 (whatever such a file gives)
            raise ValueError(f"{path} does not do what it says ({_reason(error)}): export the stylizer again") from None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
