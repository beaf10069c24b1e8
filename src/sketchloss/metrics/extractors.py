"""Networks whose features tell sets of images apart, each with the name that a distance between its features has."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from sketchloss.data.names import short_name
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.extractor import Extractor
from sketchloss.networks.inception import URL, load_inception
from sketchloss.networks.weights import load_backbone
from sketchloss.system.images import check_images

INCEPTION_PATH = "SKETCHLOSS_INCEPTION"  # environment variable
#: The extractor whose distances are called FID and KID.
FID_INCEPTION = "FID Inception pool3"


def backbone_extractor(backbone: Backbone, name: str, layer: str | None = None) -> Extractor:
    """Compare by a backbone's features: a layer's, averaged over positions, not normalised.

    Its name is such as "sketchloss sketch relu5_3".

    Args:
        backbone: on the device to compute on.
        name: what its weights are called, such as `sketch`.
        layer: any layer name; None or empty: the backbone's `embedding_layer`.

    Raises:
        ValueError: for an unknown layer.
    """
    whose = layer or backbone.embedding_layer
    minimum = backbone.minimum_size((whose,))

    def embed(images: Tensor) -> Tensor:
        return backbone(images.to(backbone.mean.device), (whose,))[whose].float().mean((2, 3))

    return Extractor(f"sketchloss {name} {whose}", embed, minimum)


def inception_extractor(path: str | Path | None = None, *, device: str | torch.device = "cpu") -> Extractor:
    """Compare by the FID Inception's 2048 pooled features: only its distances are called FID and KID.

    Published FIDs are of images that were rounded to 8 bits, as files are: round yours too to compare with them.

    Args:
        path: path of pytorch-fid's weights file (96 MB); by default what the environment variable SKETCHLOSS_INCEPTION
            says.
        device: the device to compute on.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if no path is given, saying where to fetch the file; if it is another file.
    """
    path = path or os.environ.get(INCEPTION_PATH)
    if not path:
        raise ValueError(f"the FID Inception is not in the package: fetch {URL}, give its path or set {INCEPTION_PATH}")
    model = load_inception(path).to(device)
    return Extractor(FID_INCEPTION, lambda images: model(images.to(device)))


def open_extractors(
    names: Sequence[str],
    *,
    layer: str | None = None,
    image_size: int,
    inception: Path | None = None,
    device: str | torch.device = "cpu",
) -> list[Extractor]:
    """Open several networks to compare sets of images by.

    Args:
        names: names of backbones, as for `load_backbone`.
        layer: their layer; None or empty: the `embedding_layer` of each.
        image_size: side of the images in pixels.
        inception: the FID Inception's weights file, to have it as the last.
        device: the device to compute on.

    Raises:
        ValueError: as `load_backbone`, `backbone_extractor` and `inception_extractor`; for two networks of one name,
            or images too small.
    """
    found = [backbone_extractor(load_backbone(name).to(device), short_name(name), layer) for name in names]
    if inception is not None:
        found.append(inception_extractor(inception, device=device))
    if len({extractor.name for extractor in found}) < len(found):
        raise ValueError(f"extractors are {', '.join(names)}: two would have one name; rename a folder")
    for extractor in found:
        if image_size < extractor.minimum:
            raise ValueError(
                f"images of {image_size} pixels are too small: {extractor.name} needs at least "
                f"{extractor.minimum} pixels"
            )
    return found


def shared_layer(names: Sequence[str]) -> str:
    """Return the `embedding_layer` of these backbones; empty if they have different ones.

    Args:
        names: as for `load_backbone`.

    Raises:
        ValueError: as `load_backbone`.
    """
    layers = {load_backbone(name).embedding_layer for name in names}
    return layers.pop() if len(layers) == 1 else ""


@torch.no_grad()
def embed_images(extractor: Extractor, batches: Iterable[Tensor]) -> Float[Tensor, "n d"]:
    """Return the features of images that come in batches.

    Args:
        extractor: whose features.
        batches: batches of images n×{1,3}×h×w in [0, 1], each of any size and number.

    Returns:
        A row for each image, float32, on the CPU.

    Raises:
        ValueError: as `check_images`; if there is no batch, or images are smaller than the extractor's minimum.
    """
    rows = [
        extractor.embed(check_images(batch, name=f"batch {number}", minimum=extractor.minimum).float()).float().cpu()
        for number, batch in enumerate(batches)
    ]
    if not rows:
        raise ValueError("there are no batches: give at least one image")
    return torch.cat(rows)
