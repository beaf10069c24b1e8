"""Cost of a backbone for a picture, and number of pictures of a source: counted, without computing or fetching."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import unset_fake_temporarily

from sketchloss.data.photos import open_photos
from sketchloss.data.sources import open_sketches
from sketchloss.experiments.cells import Cell
from sketchloss.experiments.tuning.plan import Plan, start_of
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.weights import load_backbone
from sketchloss.training.resources import count_multiply_adds, peak_training_memory, without_contents

#: Published counts of data sets, for a plan made where they are not: pictures and classes.
PUBLISHED = {"songweig/imagenet_sketch": (50_889, 1_000), "detection-datasets/coco": (118_288, 0)}


@dataclass(frozen=True)
class Network:
    """A network whose arithmetic is counted; its weights do not change the count."""

    weights: str
    attention: bool | None
    """Whether the network has attention gates; None: it is as its weights have it."""
    downsample: str
    slots: str = "pools"
    """Contents of the first two pool slots without gates."""

    @property
    def like(self) -> Backbone:
        """It, with its weights, to be asked for its layers."""
        with unset_fake_temporarily():  # weights cannot be read where tensors have no contents
            return _loaded(self)

    def build(self, **settings: Any) -> Backbone:
        """Return it untrained, with these settings changed."""
        return type(self.like)(replace(self.like.config, **self.like.check_settings(settings)))


@cache
def _loaded(network: Network) -> Backbone:
    settings: dict[str, Any] = {"classes": ()}
    if network.attention is not None:
        settings |= {name: getattr(network, name) for name in ("attention", "downsample", "slots")}
    try:
        return load_backbone(network.weights, **settings)
    except (OSError, ValueError):  # not here: the paper's network is counted
        return Backbone(**settings)


@cache
def count_forward(network: Network, size: int, layers: tuple[str, ...] = ()) -> int:
    """Return the multiply-adds of an image up to the deepest of some layers; none: up to the embedding."""
    wanted = layers or (network.like.embedding_layer,)
    return count_multiply_adds(lambda: network.build()(torch.rand(1, 3, size, size), wanted))


@cache
def feature_shape(network: Network, size: int, layer: str) -> torch.Size:
    """Return channels, height and width of a layer's features."""
    with without_contents(), torch.no_grad():
        return network.build()(torch.rand(1, 3, size, size), (layer,))[layer].shape[1:]


@cache
def tuning_memory(network: Network, size: int, head: str, classes: int, batch: int, precision: str) -> int:
    """Return the peak bytes of tensors in a step of tuning on a batch of images of a size in pixels."""

    def loss(built: Any) -> torch.Tensor:
        images = torch.rand(batch, 3, size, size)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = built.classify(images)
        return F.cross_entropy(logits.float(), torch.zeros(batch, dtype=torch.long))

    return peak_training_memory(lambda: network.build(classes=tuple(map(str, range(classes))), head=head), loss)


def network_of_cell(plan: Plan, cell: Cell) -> Network:
    """Return the network of a cell's arm."""
    arm = plan.entries()[cell.arm]
    attention = None if arm.gates == "any" else arm.gates != "none"
    own = arm.tuning or {}
    downsample, slots = own.get("downsample", plan.downsample), own.get("slots", "pools")
    return Network(start_of(plan, arm, cell.seed), attention, downsample, slots)


@cache
def count_pictures(
    source: str, per_class: int | None, seed: int, leave_out: tuple[str, ...] = (), *, photos: bool = False
) -> tuple[int, int, str]:
    """Return how many pictures and classes a source has, and what was taken from publications, in words.

    Args:
        source: source of sketches, or of photos.
        per_class: at most this many sketches of a class.
        seed: random seed of the choice of sketches.
        leave_out: classes that do not count.
        photos: whether the source is one of photos, which have no classes.

    Raises:
        ValueError: for data whose size is neither known nor to be found on this disk.
    """
    if source in PUBLISHED:
        count, classes = PUBLISHED[source]
        if per_class:
            count = min(count, classes * per_class)
        return count, classes or 1, f"{source}, {count:,} pictures by publication"
    if photos:
        return len(open_photos(source, 64)), 1, ""
    sketches = open_sketches(source, 64, per_class=per_class, seed=seed)
    if leave_out:
        sketches = sketches.select_classes(leave_out, leave_out=True)
    return len(sketches), len(sketches.classes), ""
