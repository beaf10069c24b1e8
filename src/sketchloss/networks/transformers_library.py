"""The library transformers: whether it is there, its models built without asides, and model folders read safely."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeCopyMode, unset_fake_temporarily

from sketchloss.networks.backbone import IMAGENET_MEAN, IMAGENET_STD
from sketchloss.system.files import read_json

#: What a folder of transformers holds.
CONFIG, TENSORS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
PREPROCESSOR = "preprocessor_config.json"
#: Files of a repo that are fetched: no pickles, and no weights for other programs.
FETCHED = (CONFIG, PREPROCESSOR, TENSORS, INDEX, "model-*-of-*.safetensors")
#: Keys of a configuration that decide no feature, or change with the version of the library.
_ASIDE = frozenset(
    {"_name_or_path", "_commit_hash", "architectures", "attn_implementation", "auto_map", "dtype", "id2label"}
    | {"label2id", "num_labels", "out_features", "out_indices", "problem_type", "torch_dtype", "transformers_version"}
)


def library() -> Any:
    """Return the module transformers.

    Raises:
        ValueError: if it is not installed.
    """
    try:
        import transformers
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise
        raise ValueError(
            "this backbone needs the library transformers, which is not installed: pip install 'transformers>=5'"
        ) from None
    return transformers


@contextmanager
def quiet() -> Iterator[None]:
    """Have transformers log errors only and show no bars, until the block ends."""
    logging = library().utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def model_config(model: Mapping[str, object]) -> Any:
    """Return the library's configuration of a backbone that gives the features of all its stages.

    Args:
        model: as `read_model` returns it.

    Raises:
        ValueError: for a kind of model that is no backbone in transformers, or settings that are no network's.
    """
    transformers = library()
    kind = str(model.get("model_type"))
    try:
        config = transformers.CONFIG_MAPPING[kind].from_dict(dict(model))
        # note: written out, not fused: gradients can then be differentiated again.
        config._attn_implementation = "eager"
        if hasattr(config, "reshape_hidden_states"):
            config.reshape_hidden_states = True
        config.out_features = list(config.stage_names)
        known = type(config) in _kinds()
    except Exception as error:  # noqa: BLE001 (settings of a file lead transformers into errors of any kind)
        reason = "transformers has none of that name" if isinstance(error, KeyError) else one_line(error)
        raise ValueError(f"a model of the type {kind} cannot be a backbone: {reason}") from None
    if not known:
        raise ValueError(
            f"a model of the type {kind} cannot be a backbone: use one that AutoBackbone of transformers knows, such "
            "as resnet, convnext, swin or dinov2"
        )
    return config


def build_network(model: Mapping[str, object]) -> Any:
    """Return a new network with random weights.

    Raises:
        ValueError: as `model_config`, or if the library cannot build it.
    """
    config = model_config(model)
    try:
        with quiet(), unset_fake_temporarily() as mode:
            network = _kinds()[type(config)](config).eval()
            if mode is not None:
                # note: where tensors have no contents, as when memory is counted, some networks cannot be built
                with FakeCopyMode(mode):  # pyright: ignore[reportArgumentType]
                    network = deepcopy(network)
            return network
    except Exception as error:  # noqa: BLE001 (as above)
        raise ValueError(f"transformers cannot build this {model['model_type']}: {one_line(error)}") from None


def read_model(folder: Path) -> tuple[dict[str, object], tuple[float, ...], tuple[float, ...]]:
    """Read what a model folder of transformers says of its network and of its input.

    Returns:
        The network's configuration; mean and standard deviation of RGB in [0, 1], ImageNet's where it does not say.

    Raises:
        ValueError: if its JSON is damaged, or says no model_type.
    """
    stored = read_json(folder / CONFIG)
    if not isinstance(stored.get("model_type"), str):
        raise ValueError(f"{folder / CONFIG} does not say a model_type: is it a model of transformers?")
    model = {name: value for name, value in stored.items() if name not in _ASIDE}
    about = read_json(folder / PREPROCESSOR) if (folder / PREPROCESSOR).is_file() else {}
    if about.get("do_normalize") is False:
        return model, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    mean, std = (about.get(f"image_{name}") for name in ("mean", "std"))
    return model, _three(mean) or IMAGENET_MEAN, _three(std) or IMAGENET_STD


def read_network(folder: Path, model: Mapping[str, object]) -> tuple[Any, tuple[str, ...]]:
    """Return the network of a folder with its weights, which are safetensors, and the names of those that are new.

    Raises:
        ValueError: if there are no safetensors, they are damaged, or tensors of the network are missing.
    """
    if not (folder / TENSORS).is_file() and not (folder / INDEX).is_file():
        pickles = any(folder.glob("*.bin")) or any(folder.glob("*.pt*"))
        found = "only pickles, which can hold code and are refused" if pickles else f"no {TENSORS}"
        raise ValueError(
            f"{folder} holds {found}: save the model with save_pretrained of transformers, which writes {TENSORS}"
        )
    config = model_config(model)
    try:
        with quiet(), torch.random.fork_rng(devices=[]):  # all weights come from the files
            network, report = _kinds()[type(config)].from_pretrained(
                str(folder),
                config=config,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                dtype="float32",
                output_loading_info=True,
            )
    except Exception as error:  # noqa: BLE001 (so do damaged files)
        raise ValueError(f"{folder} holds no whole {config.model_type}: {one_line(error)}") from None
    own = network.state_dict()
    new = tuple(sorted(name for name in report["missing_keys"] if name in own))
    # note: norms of the layers' outputs start as they are in every network; anything else would be random
    random = [name for name in new if own[name].ndim > 1]
    if random:
        raise ValueError(
            f"{folder} holds no {random[0]} of a {config.model_type}, {len(random)} of {len(own)} tensors are missing"
        )
    return network.eval(), new


def find_folder(name: str, folder: Path) -> Path:
    """Return the folder of a model: `folder` if it is there, or what the hub has of a repo `owner/name`.

    Raises:
        FileNotFoundError: if there is neither, or the hub cannot be reached; the text says how to go on.
        ValueError: if the name is none of a repo.
    """
    if folder.is_dir():
        if not (folder / CONFIG).is_file():
            raise FileNotFoundError(f"{folder} holds no {CONFIG}: is it a model folder of transformers?")
        return folder
    if name.count("/") > 1 or name.startswith((".", "/", "~")) or not name:
        raise FileNotFoundError(f"{folder} does not exist: give a model folder or a hub repo after `transformers:`")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        found = Path(snapshot_download(name, allow_patterns=list(FETCHED), tqdm_class=None))
    except HFValidationError as error:
        raise ValueError(f"{name!r} is no hub repo id: {one_line(error)}") from None
    except LocalEntryNotFoundError:
        reason = "the hub cannot be reached (or HF_HUB_OFFLINE is set), and it is not in the cache"
    except Exception as error:  # noqa: BLE001 (every other refusal: the hub's, its HTTP client's, the disk's)
        reason = one_line(error)
    else:
        if (found / CONFIG).is_file():
            return found
        reason = f"the repo has no {CONFIG}, or not all of it is in the cache"
    raise FileNotFoundError(
        f"could not fetch {name}: {reason}; with a network run `hf download {name}`, and set HF_HOME to the cache "
        "that holds it, or give the folder as transformers:FOLDER"
    )


def _kinds() -> Any:
    """Return the library's map from a configuration's class to the backbone's."""
    return library().models.auto.modeling_auto.MODEL_FOR_BACKBONE_MAPPING


def one_line(error: Exception) -> str:
    """Return what an error says on one line of 200 characters at most."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


def _three(values: object) -> tuple[float, ...] | None:
    if isinstance(values, list) and len(values) == 3 and all(isinstance(value, int | float) for value in values):
        return tuple(float(value) for value in values)
    return None
