"""Weight names to files: in the wheel, on the hub, or at a path. Safetensors and a `config.json`, no pickles."""

import hashlib
import json
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sketchloss.networks.attention import is_gate_tensor
from sketchloss.networks.auto import TransformersBackbone, TransformersConfig, load_transformers
from sketchloss.networks.backbone import Backbone, Origin
from sketchloss.networks.hub import NoSuchFile, fetch_file, one_line
from sketchloss.networks.quantised import quantise, restore
from sketchloss.networks.vgg import VGG, BackboneConfig
from sketchloss.system.files import check_permission, read_json, write_json, write_tensors
from sketchloss.system.stored import build_config, check_types, check_version, show

#: Names of the weights in the package, each with what they are.
NAMES = {
    "sketch": "VGG-16 with attention, tuned on sketches from `imagenet`",
    "sketch-plain": "VGG-16 without attention, tuned on the same sketches",
    "sketch-small": "a VGG-16 with 7/16 of the channels, which imitates `sketch` and is several times as fast",
    "imagenet": "VGG-16 as the Visual Geometry Group trained it on ImageNet, CC BY 4.0",
}
#: torchvision's VGG-16, which its hub repo names; what the name `imagenet` meant before version 0.2.
TORCHVISION_REPO = "timm/vgg16.tv_in1k"
#: Before the name or the folder of a model of the library transformers.
TRANSFORMERS = "transformers:"
Config: TypeAlias = BackboneConfig | TransformersConfig
#: Names of the past, each with what to do.
GONE = {
    "photo": "the weights 'photo' were only in version 0.1: use 'imagenet', which took their place",
}
TENSORS = "model.safetensors"
CONFIG = "config.json"
# The config file's first key: says what the folder holds, so that another program's folder is told apart.
FORMAT = "sketchloss backbone"
# Tensors of a backbone that decide no feature, or are settings, begin like this.
NO_FEATURES = ("classifier.", "mean", "std")


@torch.inference_mode(False)  # what is made in it could not be used where gradients are wanted
def load_backbone(weights: str | Path = "sketch", **settings) -> Backbone:
    """Build a backbone and load weights into it.

    Args:
        weights: `sketch`, `sketch-plain`, `sketch-small` or `imagenet`, which are in the package, or a path: a weights
            folder, a run folder of `sketchloss finetune` or `distil`, a `.safetensors` file, torchvision's own `.pth`;
            or a hub repo id `owner/name` that holds `model.safetensors`, such as torchvision's `timm/vgg16.tv_in1k`.
            Another network is `transformers:` and a hub repo id or a model folder of that library, such as
            `transformers:facebook/dinov2-small`.
        settings: fields of `BackboneConfig` (of `TransformersConfig` for another network) that differ from what the
            weights say, such as `attention=True`, `downsample="none"`, `gate_init="open"`.

    Returns:
        The backbone on the CPU, float32, in eval mode; `backbone.load_report` tells which tensors are new (not in the
        file, at their initial values) and which tensors of the file were not used. Random numbers are drawn only for
        new tensors.

    Raises:
        ValueError: if the name is unknown, the file is truncated, foreign, or a pickle with code in it, its tensors
            do not fit, are not finite or all zero, a part that its `config.json` promises is missing, or this file says
            something impossible.
        FileNotFoundError: if the path does not exist, or the hub cannot be reached; the text says what to do.
    """
    if str(weights).startswith(TRANSFORMERS):
        return load_transformers(str(weights).removeprefix(TRANSFORMERS), settings)
    path, stored = _find(weights)
    kind, kind_of_config = _kind_of(stored)
    settings = kind.check_settings(settings)
    tensors = read_tensors(path)
    if stored is None and any(map(is_gate_tensor, tensors)) and "attention" not in settings:
        raise ValueError(f"{path} has attention gates but no {CONFIG} beside it: copy that too, or say attention=True")
    try:
        check_types(kind_of_config, settings)
        config = replace(stored or BackboneConfig(), **settings)
        with torch.device("meta"):  # without memory: a network of absurd size is refused before it is built
            described = kind(config)
            loaded = described.match_weights(tensors)
        if stored:
            _check_complete(described, tensors, stored)
        complete = loaded.keys() == described.state_dict().keys()
        if complete and isinstance(described, VGG):
            backbone = described
            backbone.allocate()
        else:
            with torch.random.fork_rng(devices=[], enabled=complete):  # whose weights all come from the file
                backbone = kind(config)
        backbone.load_report = backbone.load_weights(tensors)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    backbone.origin = _read_origin(path.with_name(CONFIG))
    return backbone.eval()


def _check_complete(backbone: Backbone, tensors: Mapping[str, Tensor], stored: Config) -> None:
    """Refuse a file without parts that its configuration promises, which would stay as random as they start."""
    promised = {}
    slots = [getattr(config, "slots", None) for config in (stored, backbone.config)]
    if stored.attention == backbone.config.attention and slots[0] == slots[1]:
        promised["attention" if stored.attention else "slots"] = backbone.added
    heads = [getattr(config, "head", None) for config in (stored, backbone.config)]
    if stored.classes and backbone.config.classes == stored.classes and heads[0] == heads[1]:
        promised["classes"] = ("classifier.",)
    used = backbone.match_weights(tensors)
    for setting, parts in promised.items():
        absent = [name for name in backbone.state_dict() if name.startswith(parts) and name not in used]
        if absent:
            raise ValueError(
                f"its {CONFIG} has {setting}, but it holds no tensor {absent[0]} that fits: copy both files again"
            )


def save_backbone(
    backbone: Backbone,
    folder: str | Path,
    *,
    dtype: torch.dtype = torch.float16,
    quantised: bool = False,
    beside: Mapping[str, Any] | None = None,
) -> None:
    """Write a weights folder for `load_backbone`: `model.safetensors` and `config.json`, each whole or not at all.

    Args:
        backbone: the backbone, on any device.
        folder: folder to write, made if missing.
        dtype: number type of the floats on disk; they come back as float32.
        quantised: write convolutions as 8-bit integers: 18 MB in place of 29.
        beside: further keys of `config.json`, which `load_backbone` passes over.

    Raises:
        ValueError: if a weight is not finite in `dtype`, or the backbone is the frozen copy inside a loss.
    """
    folder = Path(folder)
    trained = {name for name, _ in backbone.named_parameters()}  # not the statistics of norms, which may be tiny
    tensors = {
        name: tensor.detach().to("cpu", dtype if name in trained else tensor.dtype).contiguous()
        for name, tensor in backbone.state_dict().items()
    }
    if not tensors:
        raise ValueError("this backbone is frozen, its weights are buffers: save the backbone that it was made from")
    broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken:
        raise ValueError(f"{len(broken)} tensors are not finite in {dtype}, first {broken[0]}: not saved")
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / TENSORS, quantise(tensors) if quantised else tensors)
    origin = {name: value for name, value in asdict(backbone.origin).items() if value}
    write_json(folder / CONFIG, {"format": FORMAT, "version": 1, **origin, **backbone.describe(), **(beside or {})})


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a `.safetensors` file, or a `.pth` with only tensors, as float32 on the CPU; of 8-bit integers, too.

    Raises:
        ValueError: if the file is truncated, of another kind, or a pickle with anything but tensors in it; or if a
            tensor is sparse, quantised, or by far larger than what is stored of it.
        OSError: if it is not there, or may not be read.
    """
    check_permission(path)
    if path.suffix == ".safetensors":
        try:
            tensors = restore(load_file(path))
        except SafetensorError as error:
            raise ValueError(
                f"{path} is no whole safetensors file ({one_line(error)}): fetch or copy it again"
            ) from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    elif path.suffix == ".pth":
        try:
            with warnings.catch_warnings(action="ignore"):  # of odd pickles, which are refused below
                tensors = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            raise ValueError(
                f"{path} holds something else than tensors, which may be code: refused; "
                "save only the state_dict, with safetensors.torch.save_file"
            ) from None
        except Exception as error:  # noqa: BLE001 (damaged bytes lead the unpickler into errors of any kind)
            raise ValueError(f"{path} is no whole .pth file ({one_line(error)}): fetch or copy it again") from None
        if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
            raise ValueError(f"{path} is no state dictionary of tensors: save model.state_dict(), not the model")
    else:
        raise ValueError(f"{path} is neither .safetensors nor .pth: weights come as one of these")
    odd = [name for name, tensor in tensors.items() if not _is_plain(tensor)]
    if odd:
        raise ValueError(f"{path}: tensor {odd[0]} is not stored whole: save plain tensors, with safetensors")
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _is_plain(tensor: Tensor) -> bool:
    """Tell whether a tensor is dense numbers, and no few bytes that stand for gigabytes, repeated."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        return False
    return tensor.numel() <= 2**30 or tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def is_loadable(backbone: Backbone) -> bool:
    """Tell whether `load_backbone` builds networks of this kind, and not only the program that defines it."""
    return type(backbone) in (VGG, TransformersBackbone)


def _kind_of(stored: Config | None) -> tuple[Any, type[Config]]:
    if isinstance(stored, TransformersConfig):
        return TransformersBackbone, TransformersConfig
    return VGG, BackboneConfig


def read_config(path: Path) -> Config | None:
    """Read the configuration beside a weights file.

    Returns:
        None if there is no such file, or it is another program's (hub snapshots bring theirs).

    Raises:
        ValueError: if it is no JSON object, of another version, or a value is of the wrong type or out of range; the
            line names the file, the key, the value and what is right.
    """
    config = _read_ours(path)
    if config is None:
        return None
    check_version(config, 1, str(path))
    kind = config.get("kind", VGG.kind)
    if kind == TransformersBackbone.kind:
        return build_config(TransformersConfig, config, str(path))
    if kind != VGG.kind:
        raise ValueError(f"{path}: kind is {show(kind)}: this sketchloss knows {VGG.kind} and transformers; update it")
    return build_config(BackboneConfig, config, str(path))


def _read_origin(path: Path) -> Origin:
    """Read from the configuration beside a weights file where the weights come from, as far as it says."""
    config = _read_ours(path) or {}
    texts = {item.name: config.get(item.name) for item in fields(Origin)}
    return Origin(**{name: text for name, text in texts.items() if isinstance(text, str)})


def _read_ours(path: Path) -> dict | None:
    if not path.is_file():
        return None
    config = read_json(path)
    return config if config.get("format") == FORMAT else None


def weights_digest(backbone: Backbone) -> str:
    """Return the SHA-256 of everything that decides a backbone's features: its tensors and its settings.

    The classifier and the classes, which decide none, are left out.
    """
    digest = hashlib.sha256(json.dumps(backbone.describe_features(), sort_keys=True).encode())
    tensors = {**dict(backbone.named_parameters()), **dict(backbone.named_buffers())}  # frozen weights are buffers
    for name in sorted(name for name in tensors if not name.startswith(NO_FEATURES)):
        digest.update(name.encode() + tensors[name].detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class FileIdentity(NamedTuple):
    """Identity of a file, which tells it from an earlier file at the same path."""

    path: str
    size: int
    modified: int
    """Time of the last change, in nanoseconds."""
    device: int
    inode: int


def identify_files(weights: str | Path) -> tuple[FileIdentity, ...]:
    """Say which files `load_backbone` would read for a path, without reading them.

    Args:
        weights: as for `load_backbone`.

    Returns:
        Nothing for names in the package, for repos of the hub, and where there is no such path.
    """
    place = Path(str(weights).removeprefix(TRANSFORMERS))
    path = None if str(weights) in NAMES else _find_here(place)
    files = () if path is None else (path, path.with_name(CONFIG))
    return tuple(_identify(file) for file in files if file.is_file())


def _identify(file: Path) -> FileIdentity:
    about = file.stat()
    return FileIdentity(str(file.absolute()), about.st_size, about.st_mtime_ns, about.st_dev, about.st_ino)


def bundled_folder(name: str) -> Path:
    """Return the folder of weights, or the file, of this name that comes with the package."""
    return Path(str(resources.files("sketchloss") / "bundled" / name))


def _find(weights: str | Path) -> tuple[Path, Config | None]:
    """Return the weights file and its configuration (None: plain VGG-16 weights of other makers)."""
    if not isinstance(weights, str | Path) or not str(weights):
        raise ValueError(f"weights is {weights!r}: give {', '.join(NAMES)}, a path, or a hub repo")
    if str(weights) in NAMES:
        folder = bundled_folder(str(weights))
        return folder / TENSORS, read_config(folder / CONFIG)
    path = Path(weights)
    found = _find_here(path)
    if found is not None:
        return found, read_config(found.with_name(CONFIG))
    if path.is_dir():
        raise FileNotFoundError(
            f"{path} holds no {TENSORS} and no best/{TENSORS}: is this the folder, is the run done?"
        )
    # note: a dot in a repo's name is no suffix of a file (timm/vgg16.tv_in1k).
    is_file_name = path.suffix in (".safetensors", ".pth", ".pt", ".bin", ".json")
    if isinstance(weights, str) and weights.count("/") == 1 and not is_file_name and not path.parent.exists():
        tensors = fetch_file(weights, TENSORS)
        try:
            return tensors, read_config(fetch_file(weights, CONFIG))
        except NoSuchFile:
            return tensors, None
        except FileNotFoundError:  # out of reach, which does not tell what the weights want
            if weights != TORCHVISION_REPO:
                raise
            return tensors, None
    if path.parent != Path() or path.suffix:
        raise FileNotFoundError(f"{path} does not exist: give a weights folder or file, or one of {', '.join(NAMES)}")
    if str(weights) in GONE:
        raise ValueError(GONE[str(weights)])
    raise ValueError(
        f"weights {str(weights)!r} are unknown: use {', '.join(NAMES)}, a path, or a hub repo such as "
        f"{TORCHVISION_REPO}"
    )


def _find_here(path: Path) -> Path | None:
    """Return the weights file at a path: the file itself, or that of a weights folder or a run folder."""
    places = (path, path / TENSORS, path / "best" / TENSORS)
    return next((place for place in places if place.is_file()), None)
