"""Finding the folder of a text-to-image model by its name, and checking that it is of Stable Diffusion's kind.

What the configurations tell is checked before any weights are read, or fetched.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError

from sketchloss.networks.weights import bundled_folder
from sketchloss.system.files import read_json
from sketchloss.system.stored import check_sizes

DEFAULT_BASE = "stable-diffusion-v1-5/stable-diffusion-v1-5"
#: The name of the one in the package.
TINY = "tiny"
INDEX = "model_index.json"
# Each network's class and the name of its weights' file.
NETWORKS = {
    "unet": ("UNet2DConditionModel", "diffusion_pytorch_model"),
    "vae": ("AutoencoderKL", "diffusion_pytorch_model"),
    "text_encoder": ("CLIPTextModel", "model"),
}
# Keys of the configurations that say how large something is, and how large that may be.
SIZES = (
    *("num_train_timesteps", "layers_per_block", "block_out_channels", "cross_attention_dim", "norm_num_groups"),
    *("in_channels", "out_channels", "latent_channels", "attention_head_dim", "transformer_layers_per_block"),
    *("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "max_position_embeddings"),
)
LARGEST_SIZE = 16384
# What else a UNet may be conditioned on, and a prompt cannot give.
OTHER_CONDITIONS = ("class_embed_type", "num_class_embeds", "addition_embed_type", "encoder_hid_dim_type")


def find_base(base: str | Path) -> Path:
    """Return the folder of a Stable Diffusion 1.x or 2.x pipeline, as diffusers saves it, with all that it needs.

    Args:
        base: `tiny`; such a folder, or a run folder with one called `model`; or a name of the hub, whose files are
            then fetched once: first the index, which may refuse it, then the configurations, then the weights.

    Raises:
        ValueError: in one line, for a file, a folder of something else, a pipeline of another kind (SDXL, Flux,
            inpainting, another prediction), damaged configurations, and weights that are missing or pickled.
        FileNotFoundError: if the path does not exist, or the hub cannot be reached; the text says how to go on.
    """
    path = Path(base).expanduser()
    if str(base) == TINY:
        folder = bundled_folder(TINY)
        if not (folder / INDEX).is_file():
            raise FileNotFoundError(f"this copy of sketchloss has no {TINY!r}: reinstall it, or make one with "
                                    "`sketchloss lora base --out RUN` and give RUN")  # fmt: skip
    elif path.is_dir():
        folder = path / "model" if not (path / INDEX).is_file() and (path / "model" / INDEX).is_file() else path
    elif path.is_file():
        raise ValueError(
            f"{base} is a file: convert it with diffusers, StableDiffusionPipeline.from_single_file({str(base)!r})"
            ".save_pretrained(FOLDER), and give FOLDER"
        )
    elif isinstance(base, str) and base.count("/") == 1 and not path.parent.exists():
        return _fetch_base(base)
    else:
        raise FileNotFoundError(
            f"{base} does not exist: give {TINY!r}, a folder saved by diffusers, or a name of the hub such as "
            f"{DEFAULT_BASE}"
        )
    _check_index(base, folder)
    _check_configurations(base, folder)
    weights_variant(base, folder)
    return folder


def weights_variant(base: str | Path, folder: Path) -> str | None:
    """Return which weights of a folder to take: the usual ones (None), else the float16 ones (`fp16`).

    Raises:
        ValueError: if a network has neither as safetensors.
    """
    missing = {variant: _missing_weights(folder, variant) for variant in (None, "fp16")}
    for variant, parts in missing.items():
        if not parts:
            return variant
    part = missing[None][0]
    if any((folder / part).glob("*.bin")):
        raise ValueError(
            f"{base} has the weights of its {part} as a pickle, which may hold code: open and save it with diffusers "
            "where you trust it, which writes safetensors, and give that folder"
        )
    raise ValueError(f"{base} has no {part}/{NETWORKS[part][1]}.safetensors: fetch or copy {folder / part} again")


def _missing_weights(folder: Path, variant: str | None) -> list[str]:
    dotted = f".{variant}" if variant else ""
    return [
        part
        for part, (_, stem) in NETWORKS.items()
        if not (folder / part / f"{stem}{dotted}.safetensors").is_file()
        and not (folder / part / f"{stem}.safetensors.index{dotted}.json").is_file()  # in several files
    ]


# Checks --------------------------------------------------------------------------------------------------------------


def _check_index(base: str | Path, folder: Path) -> None:
    if not (folder / INDEX).is_file():
        raise ValueError(f"{base} holds no {INDEX}: give a folder that a StableDiffusionPipeline was saved to")
    index = _read_json(base, folder / INDEX)
    kind = index.get("_class_name")
    if kind != "StableDiffusionPipeline":
        raise ValueError(
            f"{base} is a {kind}: only Stable Diffusion 1.x and 2.x (StableDiffusionPipeline) will do, such as "
            f"{DEFAULT_BASE}"
        )
    for part, (wanted, _) in NETWORKS.items():
        entry = index.get(part)
        found = entry[1] if isinstance(entry, list) and len(entry) == 2 else entry
        if found != wanted:
            raise ValueError(f"{base} has a {found} as its {part}: only a {wanted} will do, as in {DEFAULT_BASE}")


def _check_configurations(base: str | Path, folder: Path) -> None:
    unet, vae, text = (_read_json(base, folder / part / "config.json") for part in NETWORKS)
    latents = vae.get("latent_channels", 4)
    for name in ("in_channels", "out_channels"):
        if unet.get(name, 4) != latents:
            raise ValueError(
                f"the unet of {base} has {name}={unet.get(name, 4)} for latents of {latents} channels: models for "
                f"inpainting and the like cannot be used; give one that draws only from text, as {DEFAULT_BASE}"
            )
    for name in OTHER_CONDITIONS:
        if unet.get(name) is not None:
            raise ValueError(
                f"the unet of {base} has {name}={unet[name]!r}: give a model that takes only text, as {DEFAULT_BASE}"
            )
    if vae.get("shift_factor"):
        raise ValueError(
            f"the vae of {base} has shift_factor={vae['shift_factor']}, which StableDiffusionPipeline passes over: "
            f"give another base, such as {DEFAULT_BASE}"
        )
    takes, gives = unet.get("cross_attention_dim", 1280), text.get("hidden_size", 512)
    if takes != gives:
        raise ValueError(
            f"{base} is of parts that do not fit: its unet takes texts of {takes} channels, its text_encoder gives "
            f"{gives}; fetch or copy it again"
        )
    try:
        from sketchloss.diffusion.schedules import noise_schedule  # here, as diffusers takes seconds to load

        noise_schedule(_read_json(base, folder / "scheduler" / "scheduler_config.json"))
    except (ValueError, TypeError, NotImplementedError) as error:  # the last: diffusers' for a schedule it lacks
        raise ValueError(f"{base} will not do: {one_line(error)}") from None


def _read_json(base: str | Path, path: Path) -> dict[str, Any]:
    place = path.relative_to(path.parent.parent) if path.name != INDEX else path.name
    try:
        value = read_json(path)
        # So large that diffusers would build, or tabulate, for minutes before it sees that nothing fits.
        check_sizes(value, SIZES, LARGEST_SIZE)
    except (OSError, ValueError) as error:
        raise ValueError(f"{base}: {place} is missing or damaged ({one_line(error)}): fetch or copy it again") from None
    return value


def one_line(error: Exception) -> str:
    """Return what an error of a library says, cut to one line of bearable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."


# The hub -------------------------------------------------------------------------------------------------------------


def _fetch_base(name: str) -> Path:
    folder = _fetch(name, lambda: Path(hf_hub_download(name, INDEX)).parent)
    _check_index(name, folder)
    small = [INDEX, "tokenizer/*", "scheduler/*", *(f"{part}/config.json" for part in NETWORKS)]
    folder = _fetch(name, lambda: Path(snapshot_download(name, allow_patterns=small)))
    _check_configurations(name, folder)
    usual = (".safetensors", ".safetensors.index.json", "-?????-of-?????.safetensors")
    float16 = (".fp16.safetensors", ".safetensors.index.fp16.json", ".fp16-?????-of-?????.safetensors")
    for endings in (usual, float16):  # the second only where the first are not there
        large = [f"{part}/{stem}{end}" for part, (_, stem) in NETWORKS.items() for end in endings]
        folder = _fetch(name, lambda large=large: Path(snapshot_download(name, allow_patterns=[*small, *large])))
        if not _missing_weights(folder, None):
            break
    weights_variant(name, folder)
    return folder


def _fetch(name: str, download: Callable[[], Path]) -> Path:
    try:
        return download()
    except HFValidationError as error:
        raise ValueError(f"{name!r} is no name of the hub: {one_line(error)}") from None
    except LocalEntryNotFoundError:
        reason = "the hub cannot be reached (or HF_HUB_OFFLINE is set), and it is not in the cache"
    except EntryNotFoundError:
        raise ValueError(f"{name} has no {INDEX} on the hub: give a repo of a StableDiffusionPipeline, such as "
                         f"{DEFAULT_BASE}") from None  # fmt: skip
    except Exception as error:  # noqa: BLE001 (every other refusal: the hub's, its HTTP client's, the disk's)
        reason = one_line(error)
    raise FileNotFoundError(
        f"{name} is no folder here, and could not be fetched: {reason}; with a network run "
        f"`hf download {name} --local-dir FOLDER` and give FOLDER, or set HF_HOME to a cache that holds it"
    )
