"""The definition of a backbone: a network that looks at drawings and gives the features of layers by name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sketchloss.networks.attention import AttentionGate
from sketchloss.networks.fitting import check_shapes, check_values
from sketchloss.networks.slots import SlotConvolution

#: Mean and standard deviation of ImageNet's photos, channel by channel, for RGB in [0, 1].
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Kind = TypeVar("Kind", bound="Backbone")


@dataclass(frozen=True)
class LoadReport:
    """Report on the tensors of a weights file, and of the backbone they were loaded into."""

    new: tuple[str, ...]
    """Tensors of the backbone that the file did not have; they keep their initial values."""
    unused: tuple[str, ...]
    """Tensors of the file that the backbone has no place for."""


@dataclass(frozen=True)
class Origin:
    """Origin of weights; stored in their `config.json`. An empty text: not known."""

    started_from: str = ""
    """Name of the weights that these were tuned from; empty: not known."""
    licence: str = ""
    """Licence of the weights that these were tuned from, which also holds for these; an SPDX name such as
    `CC-BY-4.0`."""


class Backbone(nn.Module):
    """A network that looks at drawings, whose layers are known by name.

    `Backbone(attention=True)` makes a `VGG`, the paper's network, as `pathlib.Path("a")` makes the path of the system
    at hand. Another kind is a subclass with the attributes below, `channels`, `minimum_size` and `_run`.

    Args:
        config: settings that the network is built from, a dataclass with `classes`. Keyword arguments are fields of it.
    """

    #: What `config.json` calls this kind of backbone.
    kind: ClassVar[str]
    label: str
    """Name of the network in errors."""

    taps: tuple[str, ...]
    """Names of the layers, from shallow to deep."""
    default_layers: tuple[str, ...]
    """Layers that `SketchLoss` compares by default."""
    stages: tuple[str, ...]
    """Last layer of each stage of the network, 8 at most; a probe looks at them one by one."""
    embedding_layer: str
    """Layer whose features, averaged over positions, are a drawing's embedding."""
    classified_layer: str
    """Layer whose features the classifier is given."""
    classifier: nn.Module | None
    """Module from the features of `classified_layer` to class logits; None without classes."""
    in_patches: ClassVar[bool] = False
    """Whether large pictures can be looked at patch by patch (`sketchloss.networks.patches`)."""

    mean: Tensor
    """Mean that is subtracted from RGB in [0, 1], 1x3x1x1."""
    std: Tensor
    """Standard deviation that the difference is divided by, 1x3x1x1."""

    def __new__(cls: type[Kind], *arguments: Any, **settings: Any) -> Kind:  # noqa: ARG004 (for `__init__`)
        """Make a `VGG` where no kind is named."""
        kind: Any = cls
        if kind is Backbone:
            from sketchloss.networks.vgg import VGG  # here, because it is built on this class

            kind = VGG
        return super().__new__(kind)

    def __init__(self, config: Any = None, **settings: Any) -> None:  # noqa: ARG002 (a subclass makes a config of them)
        super().__init__()
        self.config = config
        #: What `load_backbone` found; None for a backbone that was not loaded from a file.
        self.load_report: LoadReport | None = None
        #: Where the weights come from, which is saved with them.
        self.origin = Origin()
        #: Recompute activations in the backward pass instead of keeping them: less memory, a third more arithmetic.
        self.checkpoint_activations = False
        self._set_normalisation()

    def _set_normalisation(self) -> None:
        for name, values in (("mean", self.config.mean), ("std", self.config.std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    @property
    def gates(self) -> dict[str, AttentionGate]:
        """The attention gates by their names in `state_dict`; none without attention."""
        return {name: module for name, module in self.named_modules() if isinstance(module, AttentionGate)}

    @property
    def added(self) -> tuple[str, ...]:
        """How the names of tensors begin that weights of other makers lack: of gates, and of what stands for them."""
        kinds = AttentionGate | SlotConvolution
        return tuple(f"{name}." for name, module in self.named_modules() if isinstance(module, kinds))

    def channels(self, layer: str) -> int:
        """Return the number of channels of a layer's features; ValueError for an unknown name."""
        raise NotImplementedError

    def minimum_size(self, layers: Iterable[str]) -> int:
        """Return the smallest height and width in pixels at which these layers have at least one position.

        Raises:
            ValueError: for an unknown name.
        """
        raise NotImplementedError

    def _run(self, images: Float[Tensor, "n 3 h w"], layers: tuple[str, ...]) -> dict[str, Tensor]:
        """Return the features of these layers, whose names are checked; `images` are large enough."""
        raise NotImplementedError

    @staticmethod
    def check_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return those settings of `load_backbone` that the config takes; ValueError for an unknown one."""
        raise NotImplementedError

    def load_weights(self, tensors: Mapping[str, Tensor]) -> LoadReport:
        """Copy tensors of the same name into the backbone and report the rest.

        Args:
            tensors: a state dictionary; any float dtype.

        Returns:
            Which tensors of the backbone are new, and which of the given ones went unused.

        Raises:
            ValueError: as `match_weights`; or if a weight is not finite, or all weights of a layer are zero.
        """
        used = self.match_weights(tensors)
        check_values(used, zeros_in=self._may_be_zero())
        self.load_state_dict(used, strict=False)
        return LoadReport(
            new=tuple(name for name in self.state_dict() if name not in used),
            unused=tuple(name for name in tensors if name not in used),
        )

    def match_weights(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors that `load_weights` would copy, whose values nobody has looked at.

        Args:
            tensors: as for `load_weights`.

        Raises:
            ValueError: if a tensor of the features or a part of a gate is missing, or a tensor has another shape than
                its place, or holds no floats.
        """
        own = self.state_dict()
        parts_added = self.added
        needed = [name for name in own if not name.startswith(("classifier.", *parts_added))]
        missing = [name for name in needed if name not in tensors]
        if missing:
            raise ValueError(
                f"these are not {self.label} weights: {len(missing)} of {len(needed)} tensors missing, "
                f"first {missing[0]}"
            )
        classifier_fits = all(
            name in tensors and tensors[name].shape == own[name].shape for name in own if name.startswith("classifier.")
        )
        used = {}
        for name, tensor in tensors.items():
            # Another classifier (ImageNet's 1,000 classes, say) is no mistake: the features are what is wanted.
            if name not in own or (name.startswith("classifier.") and not classifier_fits):
                continue
            used[name] = tensor
        check_shapes(used, own)
        for added in parts_added:
            parts = [name for name in own if name.startswith(added)]
            absent = [name for name in parts if name not in used]
            if 0 < len(absent) < len(parts):
                raise ValueError(f"tensor {absent[0]} is missing, others of that gate are there: copy the file again")
        return used

    def _may_be_zero(self) -> tuple[str, ...]:
        """Return how the names of tensors begin that may be all zero."""
        # Gates start as zeros by some of `gate_init`, and so do classifiers of some.
        return ("classifier.", *self.added)

    def describe(self) -> dict[str, Any]:
        """Return the configuration as JSON-ready values."""
        raise NotImplementedError

    def describe_features(self) -> dict[str, Any]:
        """Return all that decides the features, except the tensors, JSON-ready: part of the weights' digest."""
        return {name: value for name, value in self.describe().items() if name not in ("classes", "head")}

    def depth(self, layer: str) -> int:
        """Return a layer's place among `taps`, from 0; ValueError for an unknown name."""
        if layer not in self.taps:
            raise ValueError(f"layer {layer!r} is unknown: choose from {', '.join(self.taps)}")
        return self.taps.index(layer)

    def normalise(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Return what the first layer is given: images less `mean`, by `std`, in the weights' dtype.

        Args:
            images: RGB in [0, 1], any float dtype.
        """
        # note: rounded once, at the end. In half precision the difference would be rounded, too, and white paper would
        # be another one in float32 and in the weights' dtype.
        wide = images.to(torch.promote_types(images.dtype, torch.float32))
        return ((wide - self.mean) / self.std).to(self.mean.dtype)

    def forward(self, images: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> dict[str, Float[Tensor, "n c h2 w2"]]:
        """Return the features of the named layers.

        Args:
            images: RGB in [0, 1], any float dtype; the backbone normalises them.
            layers: names among `taps`.

        Returns:
            A dictionary from each name to features n×c×h'×w', in the weights' dtype (autocast's inside autocast).

        Raises:
            ValueError: for an unknown or no layer, or images of a size that the network cannot take.
        """
        if isinstance(layers, str):
            raise ValueError(f"layers is the text {layers!r}: give a sequence such as ({layers!r},)")
        layers = tuple(layers)
        if not layers:
            raise ValueError(f"no layer named: choose from {', '.join(self.taps)}")
        minimum = self.minimum_size(layers)
        if min(images.shape[-2:]) < minimum:
            height, width = images.shape[-2:]
            raise ValueError(
                f"images are {height}x{width} pixels: {'/'.join(layers)} of this backbone needs {minimum}x{minimum}; "
                "enlarge them or name shallower layers"
            )
        return self._run(images, layers)

    def embed(self, images: Float[Tensor, "n 3 h w"], layer: str | None = None) -> Float[Tensor, "n d"]:
        """Return one L2-normalised float32 vector per image: the layer's features averaged over positions.

        Args:
            images: as for `forward`.
            layer: any layer name; by default `embedding_layer`, which in VGG-16 gives d = 512.
        """
        layer = layer or self.embedding_layer
        features = self(images, (layer,))[layer].float().mean((2, 3))
        return F.normalize(features, dim=1)

    def classify(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n classes"]:
        """Return the class logits, in the order of `config.classes`.

        Raises:
            ValueError: if the backbone has no classifier, or as `forward`.
        """
        return self.classify_features(self(images, (self.classified_layer,))[self.classified_layer])

    def classify_features(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Return the class logits from the features of `classified_layer`.

        Raises:
            ValueError: if the backbone has no classifier.
        """
        if self.classifier is None:
            raise ValueError("this backbone has no classifier: build it with classes=(...), or load tuned weights")
        return self.classifier(self._for_classifier(features))

    def _for_classifier(self, features: Float[Tensor, "n c h w"]) -> Tensor:
        """Return the features in the shape that the classifier takes."""
        return features


def pooled_classifier(channels: int, classes: Sequence[str]) -> nn.Sequential:
    """Return a classifier on features averaged over positions: one linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, len(classes)))


def freeze(backbone: Backbone) -> Backbone:
    """Turn every parameter into a non-persistent buffer, in place, and return the backbone in eval mode.

    Nothing is left to train, an optimiser given the parent's parameters does not see it, the parent's `state_dict`
    does not grow, and `.to()`, `.half()` and copies still reach it.
    """
    for module in backbone.modules():
        tensors = {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
        for name, tensor in tensors.items():
            delattr(module, name)
            module.register_buffer(name, tensor.detach(), persistent=False)
    return backbone.eval()


def thaw(backbone: Backbone) -> Backbone:
    """Return a backbone whose weights are parameters again, on the CPU, from the frozen one, which stays frozen.

    A classifier is left out. Tensors that are on the CPU are shared and not copied.

    Args:
        backbone: what `freeze` made.
    """
    tensors = dict(backbone.named_buffers())
    with torch.device("meta"):  # without memory, which the tensors bring
        thawed = type(backbone)(replace(backbone.config, classes=()))
    thawed.load_state_dict({name: tensors[name].cpu() for name in thawed.state_dict()}, assign=True)
    with torch.device("cpu"):
        thawed._set_normalisation()
    thawed.origin = backbone.origin
    return thawed.eval()
