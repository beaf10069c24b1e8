"""VGG-16 with attention gates in its first two pool slots, tapped by layer name (Seo 2025, section 3, Figure 1)."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sketchloss.networks.attention import HALF_TWICE, MADE_UP, AttentionGate, GateInit, GateOrder, check_gate
from sketchloss.networks.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone, LoadReport, pooled_classifier
from sketchloss.networks.pooling import Pooling, new_pool
from sketchloss.networks.slots import Downsample, SlotConvolution, Slots, check_slots, halves
from sketchloss.system.stored import check_range, show

# Channels and number of convolutions of VGG-16's five blocks (Simonyan & Zisserman 2015, configuration D).
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
#: The first so many pools are slots for gates.
POOL_SLOTS = 2


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
class BackboneConfig:
    """Settings that a `VGG` is built from; stored beside its weights as `config.json`.

    Raises:
        ValueError: for a setting outside its choices or its range.
    """

    attention: bool = False
    """Whether there are gates in the first two pool slots."""
    downsample: Downsample = "max"
    """Whether a gate replaces its pool (`none`, as in the paper's text) or a 2x2 max-pool follows it (`max`). `dilated`
    is `none`, and the convolutions behind are dilated, so that each sees as far as in VGG. VGG's `slots`, the pools,
    stay in any case."""
    slots: Slots = "pools"
    """Contents of the first two pool slots without attention: VGG's `pools`, or a control that tells what acts where
    gates do. `convolutions`: 1x1, with as many parameters as the gates, which start without effect; `downsample` is as
    for gates. `nothing`: neither pool nor gate, with `downsample` none or dilated."""
    pooling: Pooling = "max"
    """Kind of the 2x2 pools: `max`, VGG's own; `blur_max` or `max_blur`, with a blur before or after the maximum, so
    that small shifts change less. Weights that were trained with one kind need tuning for another."""
    width: float = 1.0
    """Factor on every channel count, 8 at most; for small tests."""
    gate_order: GateOrder = "channel_spatial"
    """Order of the channel gate and the spatial gate."""
    gate_reduction: int = 16
    """Reduction r of the channel gate, 1 to 4096."""
    gate_kernel: int = 7
    """Side of the spatial gate's convolution, odd, 63 at most."""
    gate_init: GateInit = "default"
    """Start of the gates: `default`, PyTorch's, at random; `half`, at 1/2, made up for in the next convolution when
    weights without gates are loaded, which keeps the network's function; `random`, as `half` with small random
    differences; `ajar`, at 0.88; `open`, near 1."""
    classes: tuple[str, ...] = ()
    """Class names of the classifier; none: no classifier."""
    head: Literal["vgg", "pooled"] = "pooled"
    """Classifier: VGG's three linear layers on a 7x7 map, or one linear layer on average-pooled features."""
    mean: tuple[float, float, float] = field(default=IMAGENET_MEAN)
    """Mean of the input normalisation, per channel of an RGB image in [0, 1]."""
    std: tuple[float, float, float] = field(default=IMAGENET_STD)
    """Standard deviation of the input normalisation: divides the channels after the mean is subtracted; 1e-6 at
    least."""

    def __post_init__(self) -> None:
        if not 0 < self.width <= 8:
            raise ValueError(f"width is {show(self.width)}: it must be above 0, and 8 at most")
        check_gate(self.gate_order, self.gate_init, "none", self.gate_kernel, self.gate_reduction)
        check_slots(attention=self.attention, slots=self.slots, downsample=self.downsample)
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


class VGG(Backbone):
    """VGG-16's convolutions, optionally with attention, and taps by layer name.

    Parameter names and shapes are torchvision's (`features.0.weight`, ...); the gates sit at `features.4` and
    `features.9`, so photo-trained weights load without renaming.

    With `gate_init="half"`, weights without gates keep their function: the two gates of a slot scale by 1/4, and
    `load_weights` multiplies the weights of the convolution behind them by 4. Every layer is then as without gates, but
    for `pool1` and `pool2`, which lie between the two: they are a quarter of what they were.

    Args:
        config: see `BackboneConfig`. Keyword arguments are fields of it, for `Backbone(attention=True)`.
    """

    kind: ClassVar[str] = "vgg"
    label = "VGG-16"
    taps = tuple(TAPS)
    default_layers = ("relu1_2", "relu2_2", "relu3_3", "relu4_1")
    """Layers that both judge drawings and guide strokes well (docs/results.md, chosen on half of the drawings
    there)."""
    stages = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
    embedding_layer = "relu5_3"
    in_patches: ClassVar[bool] = True

    def __init__(self, config: BackboneConfig | None = None, **settings: Any) -> None:
        if config is not None and settings:
            raise ValueError(f"Backbone got a config and also {sorted(settings)}: give one or the other")
        self.config: BackboneConfig
        config = config or BackboneConfig(**settings)
        super().__init__(config)
        self.classified_layer = "relu5_3" if config.head == "pooled" else "pool5"

        layers: list[nn.Module] = []
        channels, dilation = 3, 1
        for block, (out_channels, convolutions) in enumerate(BLOCKS):
            out_channels = max(1, round(out_channels * config.width))
            for _ in range(convolutions):
                convolution = nn.Conv2d(channels, out_channels, 3, padding=dilation, dilation=dilation)
                # ReLU not in place: a tap's features must survive the next layer.
                layers += [convolution, nn.ReLU(inplace=False)]
                channels = out_channels
            layers.append(_new_slot(config, channels) if block < POOL_SLOTS else new_pool(config.pooling))
            if config.downsample == "dilated" and not halves(layers[-1]):
                dilation *= 2  # what lies beside each other was two positions apart in VGG
        self.features = nn.Sequential(*layers)
        self.classifier = self._build_classifier(channels) if config.classes else None
        if not self.features[0].weight.is_meta:  # there are no values, and torch would load its compiler to draw them
            self._initialise()

    def allocate(self) -> None:
        """Give a backbone that was built on the `meta` device memory on the CPU; its weights hold no values yet.

        So one whose weights all come from a file is built without a draw from the random generator.
        """
        # note: not `to_empty`, whose `empty_like` of a tensor without memory makes torch load its compiler
        self._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype))
        self._set_normalisation()

    def _build_classifier(self, channels: int) -> nn.Sequential:
        count = len(self.config.classes)
        if self.config.head == "pooled":
            return pooled_classifier(channels, self.config.classes)
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
            for module in self.classifier.modules():
                if isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, 0, 0.01)
                    nn.init.zeros_(module.bias)

    @staticmethod
    def check_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of `load_backbone`; ValueError for an unknown one."""
        known = {item.name for item in fields(BackboneConfig)}
        if unknown := sorted(set(settings) - known):
            raise ValueError(f"unknown backbone setting {unknown[0]!r}: choose from {', '.join(sorted(known))}")
        return dict(settings)

    def channels(self, layer: str) -> int:
        """Return the number of channels of a layer's features; ValueError for an unknown name."""
        convolutions = [
            module for module in list(self.features)[: tap_index(layer) + 1] if isinstance(module, nn.Conv2d)
        ]
        return convolutions[-1].out_channels

    def minimum_size(self, layers: Iterable[str]) -> int:
        """Return the smallest height and width in pixels at which these layers have at least one position."""
        deepest = max(tap_index(layer) for layer in layers)
        return 2 ** sum(map(halves, list(self.features)[: deepest + 1]))

    def _run(self, images: Float[Tensor, "n 3 h w"], layers: tuple[str, ...]) -> dict[str, Tensor]:
        """Return the features of these layers; evaluation stops at the deepest."""
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

    def _for_classifier(self, features: Float[Tensor, "n c h w"]) -> Tensor:
        return F.adaptive_avg_pool2d(features, 7).flatten(1) if self.config.head == "vgg" else features

    def load_weights(self, tensors: Mapping[str, Tensor]) -> LoadReport:
        """Copy tensors as `Backbone.load_weights`, and make up for new gates that start at 1/2."""
        report = super().load_weights(tensors)
        if self.config.gate_init in MADE_UP:
            self._make_up_for_gates({name for name in self.state_dict() if name not in report.new})
        return report

    @torch.no_grad()
    def _make_up_for_gates(self, loaded: Set[str]) -> None:
        # note: only behind gates that are new. Loaded ones come with convolutions that were trained with them.
        for name in self.gates:
            if not any(loaded_name.startswith(f"{name}.") for loaded_name in loaded):
                next_convolution = self.features[int(name.rpartition(".")[2]) + 1]
                assert isinstance(next_convolution, nn.Conv2d)
                next_convolution.weight.div_(HALF_TWICE)

    def describe(self) -> dict[str, Any]:
        """Return the configuration as JSON-ready values."""
        return asdict(self.config)

    def describe_features(self) -> dict[str, Any]:
        """Return all that decides the features, except the tensors, JSON-ready: part of the weights' digest."""
        settings = super().describe_features()
        for name, only_once in (("pooling", "max"), ("slots", "pools")):
            if settings[name] == only_once:
                del settings[name]  # note: galleries know weights by this digest, some from before there was a choice
        return settings


def _new_slot(config: BackboneConfig, channels: int) -> nn.Module:
    """Return what stands in one of the first two pool slots."""
    if config.slots == "pools" and not config.attention:
        return new_pool(config.pooling)
    if config.slots == "nothing":
        return nn.Identity()
    pools = config.downsample == "max"
    if config.slots == "convolutions":
        return SlotConvolution(
            channels,
            reduction=config.gate_reduction,
            kernel_size=config.gate_kernel,
            pool=new_pool(config.pooling) if pools else nn.Identity(),
        )
    return AttentionGate(
        channels,
        order=config.gate_order,
        reduction=config.gate_reduction,
        kernel_size=config.gate_kernel,
        init=config.gate_init,
        downsample="max" if pools else "none",
        pooling=config.pooling,
    )


def tap_index(layer: str) -> int:
    """Return the index of a layer in `VGG.features`; ValueError for an unknown name."""
    if layer not in TAPS:
        raise ValueError(f"layer {layer!r} is unknown: choose from {', '.join(TAPS)}")
    return TAPS[layer]
