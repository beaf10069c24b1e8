"""Low-rank adapters (Hu et al. 2022, LoRA): put on a UNet, kept in diffusers' file, opened, merged into the weights."""

import json
import math
import warnings
from collections.abc import Callable
from logging import CRITICAL
from pathlib import Path
from typing import Any, get_args

import safetensors.torch
import torch
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY, LORA_WEIGHT_NAME_SAFE
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from diffusers.utils.state_dict_utils import (
    convert_state_dict_to_diffusers,
    convert_state_dict_to_peft,
    convert_unet_state_dict_to_peft,
)
from peft import LoraConfig, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from sketchloss.diffusion.bases import one_line
from sketchloss.diffusion.quiet import StableDiffusionPipeline, quiet
from sketchloss.lora.targets import LoraTargets
from sketchloss.networks.fitting import check_values
from sketchloss.system.files import check_permission, write_atomic

#: The file's name, which diffusers looks for in a folder.
LORA_FILE = LORA_WEIGHT_NAME_SAFE
# What diffusers' own training script adapts, and what further layers there are, by the ends of their names.
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
FEEDFORWARD = ("ff.net.0.proj", "ff.net.2")
OTHERS = ("proj_in", "proj_out", "conv1", "conv2", "conv_shortcut", "time_emb_proj", "conv")
LAYERS: dict[str, tuple[str, ...]] = {
    "attention": ATTENTION,
    "attention+feedforward": (*ATTENTION, *FEEDFORWARD),
    "all": (*ATTENTION, *FEEDFORWARD, *OTHERS),
}
# Names of an adapter that is loaded, and of our own lines among the file's metadata.
LOADED, ABOUT = "loaded", "sketchloss."
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def add_lora(
    unet: UNet2DConditionModel,
    *,
    rank: int,
    alpha: float | int | None = None,
    targets: LoraTargets = "attention",
    seed: int,
) -> list[nn.Parameter]:
    """Freeze a UNet and add a trainable adapter, which changes nothing yet.

    A layer's weight W becomes W + (alpha / rank) B A, where A has normal entries of deviation 1 / rank and B is zero
    (peft's `gaussian`). A and B are float32 whatever the type of the UNet, so that small steps are not rounded away.

    Args:
        unet: unet of any float type, on any device, without an adapter; changed in place.
        rank: rank of B A, at least 1.
        alpha: scale of the change times the rank, above 0; by default the rank, which makes the scale 1.
        targets: which layers: `attention` (queries, keys, values, outputs), `attention+feedforward`, or `all` within
            the blocks, convolutions too.
        seed: random seed of A; the same A for the same seed, whatever the device and type.

    Returns:
        The parameters to train, in a fixed order. No other of the UNet's requires a gradient.

    Raises:
        ValueError: for a rank below 1, an alpha not above 0, unknown targets, or a UNet that has an adapter.
    """
    if rank < 1:
        raise ValueError(f"rank is {rank}: it must be at least 1")
    alpha = rank if alpha is None else alpha
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha is {alpha}: it must be above 0")
    if targets not in get_args(LoraTargets):
        raise ValueError(f"targets is {targets!r}: choose from {', '.join(get_args(LoraTargets))}")
    if _adapter_names(unet):
        raise ValueError("the UNet has a LoRA already: merge it with merge_lora, or open the pipeline anew")
    unet.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):  # peft draws from the CPU's common generator; its draws are replaced below
        unet.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(LAYERS[targets])))  # pyright: ignore
    chance = torch.Generator().manual_seed(seed)
    trained = []
    for name, parameter in unet.named_parameters():
        if parameter.requires_grad:
            first = torch.randn(parameter.shape, generator=chance) / rank if ".lora_A." in name else None
            parameter.data = torch.zeros_like(parameter, dtype=torch.float32)
            if first is not None:
                parameter.data.copy_(first)
            trained.append(parameter)
    return trained


# Files ---------------------------------------------------------------------------------------------------------------


def save_lora(
    unet: UNet2DConditionModel, folder: str | Path, *, about: dict[str, str], dtype: torch.dtype = torch.float32
) -> Path:
    """Write a UNet's adapter to the file that `StableDiffusionPipeline.load_lora_weights(folder)` opens.

    Whole or not at all: if the disk is full, an earlier file stays as it was. Rank and alpha are in the metadata, as
    diffusers writes them; programs that do not read those take alpha to be the rank.

    Args:
        unet: with the adapter that `add_lora` or `load_lora` put on it.
        folder: made if missing; `pytorch_lora_weights.safetensors` in it is replaced.
        about: anything to remember, such as `base`, the pipeline that it was trained on; `read_about` returns it.
        dtype: number type of the matrices on disk.

    Returns:
        The file.

    Raises:
        ValueError: for a UNet without an adapter, or if a value is not finite in `dtype`.
        OSError: if the file cannot be written.
    """
    names = _adapter_names(unet)
    if len(names) != 1:
        raise ValueError(f"the UNet has {len(names)} LoRAs: one is saved, which add_lora makes")
    # note: peft's names as they are. diffusers' older ones (`lora.up`) exist only for attention, and where a file has
    # both it loads a part and says nothing.
    layers = get_peft_model_state_dict(unet, adapter_name=names[0])
    tensors = {f"unet.{name}": tensor.detach().to("cpu", dtype).contiguous() for name, tensor in layers.items()}
    broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken:
        raise ValueError(f"{len(broken)} tensors are not finite in {dtype}, first {broken[0]}: not saved")
    config: Any = unet.peft_config[names[0]]
    # Only what decides the result: peft's other fields come and go, and another version refuses those unknown to it.
    settings = {
        **{"unet.r": config.r, "unet.lora_alpha": config.lora_alpha},
        **{"unet.target_modules": sorted(config.target_modules), "unet.bias": "none"},
        **{f"unet.{name}": getattr(config, name) for name in ("rank_pattern", "alpha_pattern", "use_dora")},
    }
    metadata = {
        **{f"{ABOUT}{name}": value for name, value in about.items()},
        **{"format": "pt", LORA_ADAPTER_METADATA_KEY: json.dumps(settings, sort_keys=True)},
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    content = safetensors.torch.save(tensors, metadata)  # in memory: a few megabytes, and a full disk is an OSError
    with write_atomic(folder / LORA_FILE) as temporary:
        temporary.write_bytes(content)
    return folder / LORA_FILE


def find_lora(path: str | Path) -> Path:
    """Return the LoRA file at a path.

    Args:
        path: the file, a folder that holds `pytorch_lora_weights.safetensors`, or one in whose `lora` that is: a run
            folder of `sketchloss lora train`.

    Raises:
        ValueError: if there is none, or only a pickle, which may hold code.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(
            f"{path} does not exist: give a LoRA file, its folder, or a run folder of sketchloss lora train"
        )
    found = path
    if path.is_dir():
        places = [folder / LORA_FILE for folder in (path, path / "lora")]
        pickles = [place.with_suffix(".bin") for place in places]
        found = next((place for place in (*places, *pickles) if place.is_file()), None)
        if found is None:
            raise ValueError(f"{path} holds no {LORA_FILE}, nor does {path / 'lora'}: is this the folder?")
    if found.suffix.lower() in PICKLES:
        raise ValueError(f"{found} is a pickle, which may hold code: refused; get the LoRA as .safetensors")
    return found


def read_about(path: str | Path) -> dict[str, str]:
    """Return what `save_lora` was told to remember; nothing for a file of another program.

    Raises:
        ValueError: as `find_lora`; or if the file is damaged.
    """
    path = find_lora(path)
    check_permission(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise _damaged(path, error) from None
    return {name.removeprefix(ABOUT): value for name, value in metadata.items() if name.startswith(ABOUT)}


# On a pipeline -------------------------------------------------------------------------------------------------------


def load_lora(pipeline: StableDiffusionPipeline, path: str | Path, *, scale: float | int = 1.0) -> None:
    """Put a LoRA on a pipeline: one of `save_lora`, or another for Stable Diffusion in a format that diffusers reads.

    Args:
        pipeline: without a LoRA; changed in place, and left as it was if the LoRA does not fit.
        path: as for `find_lora`.
        scale: factor on the change; 0 is the pipeline without it.

    Raises:
        ValueError: as `find_lora`; if the file is damaged, holds no LoRA, or one for another model; for a scale that is
            not finite, or a pipeline that has a LoRA.
    """
    if not math.isfinite(scale):
        raise ValueError(f"scale is {scale}: it must be finite")
    if any(_adapter_names(part) for part in (pipeline.unet, pipeline.text_encoder)):
        raise ValueError("the pipeline has a LoRA already: merge it with merge_lora first")
    path = find_lora(path)
    about = read_about(path)
    tensors, alphas, metadata = _read_layers(path)
    base = str(pipeline.config.get("_name_or_path") or "this pipeline")
    title = f"{path} is a LoRA of another model" + (f" ({about['base']})" if "base" in about else "")
    foreign = sorted({name.partition(".")[0] for name in tensors} - {"unet", "text_encoder"})
    if foreign:
        raise ValueError(f"{title}: it changes {foreign[0]!r}, which {base} does not have")
    unet = _renamed(path, tensors, "unet", convert_unet_state_dict_to_peft)
    text = _renamed(path, tensors, "text_encoder", _text_to_peft)
    _check_fit(unet, pipeline.unet, title, base)
    _check_fit(text, pipeline.text_encoder, title, base)
    shared: dict[str, Any] = {
        "network_alphas": alphas,
        "adapter_name": LOADED,
        "metadata": metadata,
        "_pipeline": pipeline,
    }
    try:
        with quiet(), warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # peft's, of odd settings
            diffusers_logging.set_verbosity(CRITICAL)  # it logs what it raises, and that is said below
            if unet:
                pipeline.load_lora_into_unet(_prefixed(unet, "unet"), unet=pipeline.unet, **shared)
            if text:
                pipeline.load_lora_into_text_encoder(
                    _prefixed(text, "text_encoder"), text_encoder=pipeline.text_encoder, **shared
                )
    except (KeyError, RuntimeError, TypeError, ValueError) as error:  # what diffusers and peft say of an odd file
        pipeline.unload_lora_weights()
        raise ValueError(f"{path} cannot be put on {base} ({one_line(error)}): is it for Stable Diffusion?") from None
    pipeline.set_adapters([LOADED], [float(scale)])


def merge_lora(pipeline: StableDiffusionPipeline) -> None:
    """Add a pipeline's LoRA to the weights, at the scale that it has, and take it off: no peft is needed any more.

    Args:
        pipeline: changed in place; best in float32, where the sum is not rounded much.

    Raises:
        ValueError: if there is no LoRA.
    """
    parts = {"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}
    adapted = [name for name, part in parts.items() if _adapter_names(part)]
    if not adapted:
        raise ValueError("the pipeline has no LoRA to merge: put one on it with load_lora")
    pipeline.fuse_lora(components=adapted)
    pipeline.unload_lora_weights()


def _adapter_names(network: nn.Module) -> list[str]:
    return list(getattr(network, "peft_config", {}))


def _read_layers(path: Path) -> tuple[dict[str, Tensor], Any, Any]:
    """Return tensors by diffusers' names, alphas and settings, whatever program wrote the file."""
    try:
        read: Any = StableDiffusionPipeline.lora_state_dict(str(path), use_safetensors=True, return_lora_metadata=True)
        tensors, alphas, metadata = read
    except SafetensorError as error:
        raise _damaged(path, error) from None
    except (KeyError, IndexError, ValueError, RecursionError) as error:  # names or settings that are not known
        raise ValueError(f"{path} is no LoRA for Stable Diffusion ({one_line(error)}): get another") from None
    others = [name for name in tensors if "lora" not in name]
    if others or not tensors:
        found = f"it holds {others[0]}" if others else "it is empty"
        raise ValueError(f"{path} holds no LoRA ({found}): give a LoRA file, such as {LORA_FILE}")
    known = {name: torch.as_tensor(alpha, dtype=torch.float64) for name, alpha in (alphas or {}).items()}
    whole = [name for name, tensor in tensors.items() if not tensor.is_floating_point()]
    try:
        if whole:
            raise ValueError(f"tensor {whole[0]} is of {tensors[whole[0]].dtype}: it must be of floats")
        check_values({**tensors, **known}, zeros_in=("",))  # one matrix of each pair starts as zeros
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return tensors, alphas, metadata


def _renamed(
    path: Path, tensors: dict[str, Tensor], part: str, to_peft: Callable[..., dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Return the tensors of one network by peft's names: diffusers itself goes by the first, and drops others."""
    found = {name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")}
    try:
        return to_peft(found) if found else {}
    except ValueError as error:
        raise ValueError(
            f"{path} names the layers of its {part} in no known way ({one_line(error)}): get another"
        ) from None


def _text_to_peft(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return convert_state_dict_to_peft(convert_state_dict_to_diffusers(tensors))


def _prefixed(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {f"{part}.{name}": value for name, value in tensors.items()}


def _check_fit(tensors: dict[str, Tensor], network: nn.Module, title: str, base: str) -> None:
    """Compare each pair of matrices with the layer that it is for."""
    layers = dict(network.named_modules())
    for name, down in tensors.items():
        layer_name, found, _ = name.partition(".lora_A.")
        if not found:
            continue
        # transformers 5 has the text encoder's layers without this first name, which older files have.
        layer: Any = layers.get(layer_name) or layers.get(layer_name.removeprefix("text_model."))
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            raise ValueError(f"{title}: it changes {layer_name}, which {base} does not have")
        up = tensors.get(f"{layer_name}.lora_B.weight")
        if up is None or min(down.ndim, up.ndim) < 2 or 0 in (*down.shape, *up.shape):
            shapes = f"{tuple(down.shape)} and {'nothing' if up is None else tuple(up.shape)}"
            raise ValueError(f"{title}: its {layer_name} has no pair of matrices, but {shapes}")
        made, there = (down.shape[1], up.shape[0]), (layer.weight.shape[1], layer.weight.shape[0])
        if made != there:
            raise ValueError(
                f"{title}: its {layer_name} takes {made[0]} values and gives {made[1]}, "
                f"that of {base} takes {there[0]} and gives {there[1]}"
            )


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is no whole safetensors file ({one_line(error)}): fetch or copy it again")
