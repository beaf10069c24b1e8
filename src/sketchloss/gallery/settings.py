"""Settings of a gallery: its settings file, and the weights that it names."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from sketchloss.gallery.damage import GalleryError
from sketchloss.gallery.places import Place, has, load, save
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.weights import NAMES, TRANSFORMERS, load_backbone, weights_digest
from sketchloss.system.device import Device, Precision, pick_device
from sketchloss.system.images import LARGEST_SIDE
from sketchloss.system.stored import build_config, check_range, show

Weights = str | Path | Backbone

FILE = "gallery.json"
# The settings file's first key: tells a gallery from another program's folder.
FORMAT = "sketchloss gallery"
VERSION = 1
IN_PYTHON = "a backbone given in Python"


@dataclass(frozen=True)
class Settings:
    """Contents of `gallery.json`.

    Raises:
        ValueError: for a setting outside its range.
    """

    weights: str
    """Weights of the network, as `load_backbone` takes them; paths are absolute."""
    fingerprint: str
    """SHA-256 of the weights and of how the backbone is built, whatever their name."""
    image_size: int
    """Side in pixels of the square that pictures are fitted into."""
    layer: str
    """Layer whose features, averaged over positions, are the embedding."""
    exact_below: int
    """Number of rows from which on an index is made and used."""
    built: bool
    """Whether `Gallery.build` has ended; False while it runs, or if it was interrupted."""
    clean: bool = False
    """Whether pictures and queries are cleaned, as `clean_page` does. Older galleries do not say it: no."""
    precision: Precision = "no"
    """Precision that pictures and queries are embedded in. Older galleries do not say it: float32."""

    def __post_init__(self) -> None:
        check_range(self, ("image_size",), 1, LARGEST_SIDE)
        check_range(self, ("exact_below",), 0, 10**12)
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision is {show(self.precision)}: it must be {' or '.join(get_args(Precision))}")
        if not self.layer:
            raise ValueError("layer is empty: it must name a layer of the backbone")


def is_gallery(folder: Place) -> bool:
    """Tell whether a folder holds a gallery, whole or damaged."""
    return has(folder, FILE)


def write_settings(folder: Place, settings: Settings) -> None:
    """Write the settings file, whole or not at all."""
    save(folder, FILE, {"format": FORMAT, "version": VERSION, **asdict(settings)})


def read_settings(folder: Place) -> Settings:
    """Read the settings file of a gallery.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if it is no gallery, one of another version, or a damaged one.
    """
    if isinstance(folder, Path) and not folder.exists():
        raise FileNotFoundError(f"{folder} does not exist: check the path, or make it with `sketchloss gallery build`")
    if not is_gallery(folder):
        raise ValueError(f"{folder} is no gallery: check the path, or make one with `sketchloss gallery build`")
    try:
        stored = load(folder, FILE)
        found, version = stored["format"], stored["version"]
        known = (found, version) == (FORMAT, VERSION)
        settings = build_config(Settings, stored, FILE) if known else None
    except GalleryError:
        raise
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"{folder}/{FILE} is damaged ({' '.join(str(error).split())}): copy it again, or build the gallery anew"
        ) from None
    if settings is None:
        raise ValueError(
            f"{folder} is no gallery: its {FILE} is another program's"
            if found != FORMAT
            else f"{folder} is a gallery of version {show(version)}: update sketchloss to open it"
        )
    return settings


def load_weights(weights: Weights, device: Device) -> Backbone:
    """Return a backbone without a classifier on a device.

    Raises:
        ValueError: as `load_backbone`, or if there is no such device.
    """
    place = pick_device(device)
    if isinstance(weights, Backbone):
        return weights  # as it is, where it is
    return load_backbone(weights, classes=()).to(place)


def load_matching(settings: Settings, given: Weights | None, device: Device, folder: Place) -> Backbone:
    """Return the weights that a gallery was made with.

    Args:
        settings: settings of the gallery.
        given: what to use; None: what the settings name.
        device: as for `load_weights`.
        folder: folder of the gallery, for the errors.

    Raises:
        ValueError: if they are others; names both.
    """
    if given is None and settings.weights == IN_PYTHON:
        raise ValueError(f"the gallery {folder} was made with {IN_PYTHON}: open it with weights=...")
    try:
        backbone = load_weights(settings.weights if given is None else given, device)
    except FileNotFoundError as error:
        if given is not None:
            raise
        raise FileNotFoundError(f"the gallery {folder} was made with weights that are gone: {error}") from None
    found = weights_digest(backbone)
    if found != settings.fingerprint:
        name = settings.weights if given is None else name_weights(given)
        mend = (
            "the weights of that name have changed; bring the old ones back, or build a new gallery"
            if name == settings.weights
            else f"use the former, or build a new gallery with {name}"
        )
        raise ValueError(
            f"the gallery {folder} was made with the weights {settings.weights} "
            f"(fingerprint {settings.fingerprint[:12]}), these are {name} ({found[:12]}): {mend}"
        )
    try:
        backbone.depth(settings.layer)
    except ValueError as error:
        raise ValueError(f"{folder}/{FILE} is damaged ({error}): copy it again, or build the gallery anew") from None
    return backbone


def name_weights(weights: Weights) -> str:
    """Return what to call weights: their path, absolute, or their name."""
    if isinstance(weights, Backbone):
        return IN_PYTHON
    if str(weights).startswith(TRANSFORMERS):
        return TRANSFORMERS + name_weights(str(weights).removeprefix(TRANSFORMERS))
    is_path = str(weights) not in NAMES and Path(weights).exists()
    return os.path.abspath(weights) if is_path else str(weights)  # noqa: PTH100 (not resolved: links keep their names)
