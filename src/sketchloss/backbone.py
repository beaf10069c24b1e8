"""VGG-16 with attention gates in its first two pool slots, tapped by layer name (Seo 2025, section 3, Figure 1)."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sketchloss.attention import HALF_TWICE, AttentionGate, GateInit, GateOrder, check_gate
from sketchloss.fitting import check_shapes, check_values
from sketchloss.pooling import BlurredPool, Pooling, new_pool
from sketchloss.stored import check_range, show

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Channels and number of convolutions of VGG-16's five blocks (Simonyan & Zisserman 2015, configuration D).
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def _name_taps() -> dict[str, int]:
    taps, index = {}, 0
    for block, (_, convolutions) in enumerate(BLOCKS, start=1):
        for convolution in range(1, convolutions + 1):
            taps[f"relu{block}_{convolution}"] = index + 1
            index += 2
        taps[f"pool{block}"] = index
        index += 1
    return taps


#: Layer name -> index in torchvision's `vgg16().features`: relu1_1 is 1, pool1 (a pool slot) is 4, relu5_3 is 29.
TAPS = _name_taps()


@dataclass(frozen=True)
class Arm:
    """One of the paper's four arms."""

    attention: bool
    tuning: bool


#: The paper's four arms by our names, in the order of its tables.
ARMS = {
    "attention+tuning": Arm(attention=True, tuning=True),
    "tuning": Arm(attention=False, tuning=True),
    "attention": Arm(attention=True, tuning=False),
    "original": Arm(attention=False, tuning=False),
}


@dataclass(frozen=True)
class BackboneConfig:
    """What a backbone is built from; stored beside its weights as `config.json`.

    Raises:
        ValueError: for a setting outside its choices or its range.
    """

    attention: bool = False
    """Gates in the first two pool slots."""
    downsample: Literal["none", "max"] = "max"
    """`none`: a gate replaces its pool, as the paper's text says; `max`: gate, then 2x2 max-pool. Without attention
    the slots hold VGG's max-pools, whatever is said here."""
    pooling: Pooling = "max"
    """What the 2x2 pools are: `max`: VGG's; `blur_max` or `max_blur`: with a blur before or behind the maximum, which
    small shifts change less. Weights that were trained with one kind need tuning for another."""
    width: float = 1.0
    """Multiplies every channel count, at most by 8; for small tests."""
    gate_order: GateOrder = "channel_spatial"
    """Which gate comes first."""
    gate_reduction: int = 16
    """r of the channel gate, 1 to 4096."""
    gate_kernel: int = 7
    """Side of the spatial gate's convolution, odd, 63 at most."""
    gate_init: GateInit = "default"
    """`default`: gates start near 0.5; `half`: at 1/2, made up for in the next convolution when weights without gates
    are loaded, which keeps the network's function; `ajar`: at 0.88; `open`: near 1."""
    classes: tuple[str, ...] = ()
    """Class names of the classifier; none: no classifier."""
    head: Literal["vgg", "pooled"] = "pooled"
    """Classifier: VGG's three linear layers on a 7x7 map, or one linear layer on average-pooled features."""
    mean: tuple[float, float, float] = field(default=IMAGENET_MEAN)
    """Input normalisation, per channel of an RGB image in [0, 1]."""
    std: tuple[float, float, float] = field(default=IMAGENET_STD)
    """What the channels are divided by when the mean is subtracted; 1e-6 at least."""

    def __post_init__(self) -> None:
        if not 0 < self.width <= 8:
            raise ValueError(f"width is {show(self.width)}: it must be above 0, and 8 at most")
        check_gate(self.gate_order, self.gate_init, self.downsample, self.gate_kernel, self.gate_reduction)
        if self.pooling not in get_args(Pooling):
            raise ValueError(f"pooling {self.pooling!r} is unknown: use {', '.join(get_args(Pooling))}")
        if self.head not in ("vgg", "pooled"):
            raise ValueError(f"head {self.head!r} is unknown: use vgg or pooled")
        if isinstance(self.classes, str):
            raise ValueError(f"classes is the text {self.classes!r}: give a tuple such as ({self.classes!r},)")
        for name in ("mean", "std"):
            if len(getattr(self, name)) != 3:
                raise ValueError(f"{name} is {getattr(self, name)}: it needs one number for each of the three channels")
        check_range(self, ("mean",), -1000, 1000)
        check_range(self, ("std",), 1e-6, 1000)


@dataclass(frozen=True)
class LoadReport:
    """What happened to the tensors of a weights file and of the backbone they were loaded into."""

    new: tuple[str, ...]
    """Tensors of the backbone that the file did not have; they keep their initial values."""
    unused: tuple[str, ...]
    """Tensors of the file that the backbone has no place for."""


@dataclass(frozen=True)
class Origin:
    """Where weights come from; stored in their `config.json`. An empty text: not known."""

    started_from: str = ""
    """Name of the weights that they were tuned from."""
    licence: str = ""
    """Licence of those, which also holds for these; an SPDX name such as `CC-BY-4.0`."""


class Backbone(nn.Module):
    """VGG-16's convolutions, optionally with attention, and taps by layer name.

    Parameter names and shapes are torchvision's (`features.0.weight`, ...); the gates sit at `features.4` and
    `features.9`, so photo-trained weights load without renaming.

    With `gate_init="half"`, weights without gates keep their function: the two gates of a slot scale by 1/4, and
    `load_weights` multiplies the weights of the convolution behind them by 4. Every layer is then as without gates, but
    for `pool1` and `pool2`, which lie between the two: they are a quarter of what they were.

    Args:
        config: see `BackboneConfig`. Keyword arguments are fields of it, for `Backbone(attention=True)`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: BackboneConfig | None = None, **settings) -> None:
        super().__init__()
        if config is not None and settings:
            raise ValueError(f"Backbone got a config and also {sorted(settings)}: give one or the other")
        self.config = config = config or BackboneConfig(**settings)
        #: What `load_backbone` found; None for a backbone that was not loaded from a file.
        self.load_report: LoadReport | None = None
        #: Where the weights come from, which is saved with them.
        self.origin = Origin()
        #: Recompute activations in the backward pass instead of keeping them: less memory, a third more arithmetic.
        self.checkpoint_activations = False

        layers: list[nn.Module] = []
        channels = 3
        for block, (out_channels, convolutions) in enumerate(BLOCKS):
            out_channels = max(1, round(out_channels * config.width))
            for _ in range(convolutions):
                # ReLU not in place: a tap's features must survive the next layer.
                layers += [nn.Conv2d(channels, out_channels, 3, padding=1), nn.ReLU(inplace=False)]
                channels = out_channels
            if config.attention and block < 2:
                layers.append(
                    AttentionGate(
                        channels,
                        order=config.gate_order,
                        reduction=config.gate_reduction,
                        kernel_size=config.gate_kernel,
                        init=config.gate_init,
                        downsample=config.downsample,
                        pooling=config.pooling,
                    )
                )
            else:
                layers.append(new_pool(config.pooling))
        self.features = nn.Sequential(*layers)
        self.embedding_size = channels
        self.classifier = self._build_classifier(channels) if config.classes else None

        self._set_normalisation()
        self._initialise()

    def allocate(self) -> None:
        """Give a backbone that was built on the `meta` device memory on the CPU; its weights hold no values yet.

        So one whose weights all come from a file is built without a draw from the random generator.
        """
        self.to_empty(device="cpu")
        self._set_normalisation()

    def _set_normalisation(self) -> None:
        for name, values in (("mean", self.config.mean), ("std", self.config.std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def _build_classifier(self, channels: int) -> nn.Sequential:
        count = len(self.config.classes)
        if self.config.head == "pooled":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, count))
        hidden = max(1, round(4096 * self.config.width))
        # torchvision's numbering, so that its classifier loads too: pooling to 7×7 is left to `classify`.
        return nn.Sequential(
            *(nn.Linear(channels * 49, hidden), nn.ReLU(), nn.Dropout()),
            *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout()),
            nn.Linear(hidden, count),
        )

    def _initialise(self) -> None:
        # torchvision's VGG start; the gates keep their own.
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        if self.classifier is not None:
            for module in self.classifier:
                if isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, 0, 0.01)
                    nn.init.zeros_(module.bias)

    @property
    def gates(self) -> dict[str, AttentionGate]:
        """The gates by their names in `state_dict`; none without attention."""
        return {name: module for name, module in self.named_modules() if isinstance(module, AttentionGate)}

    @property
    def classified_layer(self) -> str:
        """The layer whose features the classifier is given."""
        return "relu5_3" if self.config.head == "pooled" else "pool5"

    def minimum_size(self, layers: Iterable[str]) -> int:
        """Return the smallest height and width in pixels at which these layers have at least one position."""
        deepest = max(tap_index(layer) for layer in layers)
        halvings = sum(
            isinstance(module, nn.MaxPool2d | BlurredPool)
            or (isinstance(module, AttentionGate) and self.config.downsample == "max")
            for module in list(self.features)[: deepest + 1]
        )
        return 2**halvings

    def normalise(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Return what the first convolution is given: images less `mean`, by `std`, in the weights' dtype.

        Args:
            images: RGB in [0, 1], any float dtype.
        """
        first = self.features[0]
        assert isinstance(first, nn.Conv2d)
        # note: rounded once, at the end. In half precision the difference would be rounded, too, and white paper would
        # be another one in float32 and in the weights' dtype.
        wide = images.to(torch.promote_types(images.dtype, torch.float32))
        return ((wide - self.mean) / self.std).to(first.weight.dtype)

    def _run(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        wanted = {tap_index(layer): layer for layer in layers}
        deepest = max(wanted)
        features = self.normalise(images)
        taps: dict[str, Tensor] = {}
        start = 0
        pool_slots = (index for layer, index in TAPS.items() if layer.startswith("pool") and index < deepest)
        # Cut at taps and at pool slots: a checkpoint saves memory only where it spans several layers.
        for stop in sorted({*wanted, *pool_slots}):
            chain = list(self.features)[start : stop + 1]
            start = stop + 1
            if self.checkpoint_activations and torch.is_grad_enabled():
                features = checkpoint(nn.Sequential(*chain), features, use_reentrant=False)
            else:
                for layer in chain:
                    # note: in place where what went in, a convolution's output, is not met again; never at a tap.
                    in_place = isinstance(layer, nn.ReLU) and not (stop in wanted and layer is chain[-1])
                    features = features.relu_() if in_place else layer(features)
            assert isinstance(features, Tensor)
            if stop in wanted:
                taps[wanted[stop]] = features
        return taps

    def forward(self, images: Float[Tensor, "n 3 h w"], layers: Iterable[str]) -> dict[str, Float[Tensor, "n c h2 w2"]]:
        """Return the features of the named layers; evaluation stops at the deepest.

        Args:
            images: RGB in [0, 1], any float dtype; the backbone normalises them.
            layers: names such as `relu3_3` (after the ReLU) or `pool1` (after the pool slot, gate included).

        Returns:
            A dictionary from each name to features n×c×h'×w', in the weights' dtype (autocast's inside autocast).

        Raises:
            ValueError: for an unknown or no layer, or images too small to reach the deepest one.
        """
        if isinstance(layers, str):
            raise ValueError(f"layers is the text {layers!r}: give a sequence such as ({layers!r},)")
        layers = tuple(layers)
        if not layers:
            raise ValueError(f"no layer named: choose from {', '.join(TAPS)}")
        minimum = self.minimum_size(layers)
        if min(images.shape[-2:]) < minimum:
            height, width = images.shape[-2:]
            raise ValueError(
                f"images are {height}x{width} pixels: {'/'.join(layers)} of this backbone needs {minimum}x{minimum}; "
                "enlarge them or name shallower layers"
            )
        return self._run(images, layers)

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
        if self.config.head == "vgg":
            features = F.adaptive_avg_pool2d(features, 7).flatten(1)
        return self.classifier(features)

    def embed(self, images: Float[Tensor, "n 3 h w"], layer: str = "relu5_3") -> Float[Tensor, "n d"]:
        """Return one L2-normalised float32 vector per image: the layer's features averaged over positions.

        Args:
            images: as for `forward`.
            layer: any layer name; the default gives d = 512.
        """
        features = self(images, (layer,))[layer].float().mean((2, 3))
        return F.normalize(features, dim=1)

    def load_weights(self, tensors: Mapping[str, Tensor]) -> LoadReport:
        """Copy tensors of the same name into the backbone and report the rest.

        Args:
            tensors: a state dictionary with torchvision's VGG-16 names, or one of our own; any float dtype.

        Returns:
            Which tensors of the backbone are new, and which of the given ones went unused.

        Raises:
            ValueError: as `match_weights`; or if a weight is not finite, or all weights of a layer are zero.
        """
        used = self.match_weights(tensors)
        # Gates start as zeros by some of `gate_init`, and so do classifiers of some.
        check_values(used, zeros_in=("classifier.", *(f"{name}." for name in self.gates)))
        self.load_state_dict(used, strict=False)
        if self.config.gate_init == "half":
            self._make_up_for_gates(used)
        return LoadReport(
            new=tuple(name for name in self.state_dict() if name not in used),
            unused=tuple(name for name in tensors if name not in used),
        )

    def match_weights(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors that `load_weights` would copy, whose values nobody has looked at.

        Args:
            tensors: as for `load_weights`.

        Raises:
            ValueError: if a convolution or a part of the gates is missing, or a tensor has another shape than its
                place, or holds no floats.
        """
        own = self.state_dict()
        convolutions = [name for name in own if name.startswith("features.") and name.count(".") == 2]
        missing = [name for name in convolutions if name not in tensors]
        if missing:
            raise ValueError(f"these are not VGG-16 weights: {len(missing)} of 26 tensors missing, first {missing[0]}")
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
        for gate in self.gates:
            parts = [name for name in own if name.startswith(f"{gate}.")]
            absent = [name for name in parts if name not in used]
            if 0 < len(absent) < len(parts):
                raise ValueError(f"tensor {absent[0]} is missing, others of that gate are there: copy the file again")
        return used

    @torch.no_grad()
    def _make_up_for_gates(self, loaded: Mapping[str, Tensor]) -> None:
        # note: only behind gates that are new. Loaded ones come with convolutions that were trained with them.
        for name in self.gates:
            if not any(loaded_name.startswith(f"{name}.") for loaded_name in loaded):
                next_convolution = self.features[int(name.rpartition(".")[2]) + 1]
                assert isinstance(next_convolution, nn.Conv2d)
                next_convolution.weight.div_(HALF_TWICE)

    def describe(self) -> dict:
        """Return the configuration as JSON-ready values."""
        return asdict(self.config)


def tap_index(layer: str) -> int:
    """Return the index of a layer in `Backbone.features`; ValueError for an unknown name."""
    if layer not in TAPS:
        raise ValueError(f"layer {layer!r} is unknown: choose from {', '.join(TAPS)}")
    return TAPS[layer]


def freeze(backbone: Backbone) -> Backbone:
    """Turn every parameter into a non-persistent buffer, in place, and return the backbone in eval mode.

    Nothing is left to train, an optimiser given the parent's parameters does not see it, the parent's `state_dict`
    does not grow, and `.to()`, `.half()` and copies still reach it.
    """
    for module in backbone.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach(), persistent=False)
    return backbone.eval()
