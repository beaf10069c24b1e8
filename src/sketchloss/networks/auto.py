"""Networks of the library transformers as backbones: any model of its `AutoBackbone` kind, such as DINOv2."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from sketchloss.networks.attention import HALF_TWICE, MADE_UP, AttentionGate, GateInit, GateOrder, check_gate
from sketchloss.networks.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone, LoadReport, pooled_classifier
from sketchloss.networks.fitting import check_values
from sketchloss.networks.transformers_library import build_network, find_folder, one_line, read_model, read_network
from sketchloss.system.stored import check_range, check_types

#: Layers that the loss compares, and those that a probe looks at one by one, at most.
COMPARED, PROBED = 4, 5
#: Sides in pixels that are tried to find the smallest that a network takes.
TRIED = 64
#: Stages that are followed by a gate.
GATED = 2


@dataclass(frozen=True)
class TransformersConfig:
    """Settings that a `TransformersBackbone` is built from; stored beside its weights as `config.json`.

    Raises:
        ValueError: for a setting outside its choices or its range.
    """

    model: Mapping[str, object]
    """Configuration of the network, as the `config.json` of its folder has it, with `model_type`."""
    name: str = ""
    """Name of the network, such as `facebook/dinov2-small`; for people."""
    attention: bool = False
    """Whether there are gates after the first two stages; for convolutional networks."""
    gate_order: GateOrder = "channel_spatial"
    """Order of the channel gate and the spatial gate."""
    gate_reduction: int = 16
    """Reduction r of the channel gate, 1 to 4096."""
    gate_kernel: int = 7
    """Side of the spatial gate's convolution, odd, 63 at most."""
    gate_init: GateInit = "default"
    """Start of the gates: `default`, PyTorch's, at random; `half`, at 1/2, and their output is multiplied by 4, so that
    the network starts as it is without gates; `random`, as `half` with small random differences; `ajar`, at 0.88;
    `open`, near 1."""
    classes: tuple[str, ...] = ()
    """Class names of the classifier, a linear layer on pooled features; none: no classifier."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Mean of the input normalisation, per channel of an RGB image in [0, 1]."""
    std: tuple[float, float, float] = IMAGENET_STD
    """Standard deviation of the input normalisation: divides the channels after the mean is subtracted; 1e-6 at
    least."""

    def __post_init__(self) -> None:
        if not isinstance(self.model.get("model_type"), str):
            raise ValueError("the configuration of the network does not say its model_type")
        check_gate(self.gate_order, self.gate_init, "none", self.gate_kernel, self.gate_reduction)
        check_range(self, ("mean",), -1000, 1000)
        check_range(self, ("std",), 1e-6, 1000)


class TransformersBackbone(Backbone):
    """A model of the `AutoBackbone` kind of transformers.

    Its layers are those that the library names: `stem`, `stage1` and so on. The whole network is evaluated, whichever
    are asked for. Pixels at the right and lower border that fill no patch of the network are not seen.

    Args:
        config: see `TransformersConfig`.
        network: the model, built from `config.model`; None: a new one with random weights.

    Raises:
        ValueError: if transformers is missing, has no such model, or attention is asked for and the network has no
            convolutional stages.
    """

    kind: ClassVar[str] = "transformers"

    def __init__(self, config: TransformersConfig, network: Any = None) -> None:
        self.config: TransformersConfig
        super().__init__(config)
        self.network: Any = build_network(config.model) if network is None else network
        kind = str(config.model["model_type"])
        self.label = f"{config.name} ({kind})" if config.name else kind
        self._recomputes = False
        names = tuple(self.network.stage_names)
        self._channels = dict(zip(names, self.network.num_features, strict=True))
        self.taps = names
        stages = names[1:] if names[0] == "stem" else names
        self.default_layers = _spread(stages, COMPARED)
        self.stages = _spread(stages, PROBED)
        self.embedding_layer = self.classified_layer = names[-1]
        if config.attention:
            self._add_gates()
        self.classifier = None
        if config.classes:
            self.classifier = pooled_classifier(self.channels(self.classified_layer), config.classes)

    @staticmethod
    def check_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of `load_backbone` that are fields of `TransformersConfig`.

        `downsample` is passed over: a gate stands behind a stage and takes no pool's place.

        Raises:
            ValueError: for a setting that only a VGG has, or an unknown one.
        """
        known = {item.name for item in fields(TransformersConfig)} - {"model", "name"}
        found = {name: value for name, value in settings.items() if name != "downsample"}
        for name, only in (("head", "pooled"), ("pooling", "max"), ("slots", "pools")):
            if found.pop(name, only) != only:
                raise ValueError(f"{name} is {settings[name]}: a network of transformers has only {only}; leave it out")
        if unknown := sorted(set(found) - known):
            raise ValueError(f"unknown backbone setting {unknown[0]!r}: choose from {', '.join(sorted(known))}")
        return found

    def _add_gates(self) -> None:
        named = (part for name, part in self.network.named_modules() if name.endswith("stages"))
        stages: list[Any] = list(next(named, ()))[:GATED]
        seen: list[Any] = []
        hooks = [stage.register_forward_hook(lambda _, __, features: seen.append(features)) for stage in stages]
        self.minimum_size(())  # looks at a picture
        for hook in hooks:
            hook.remove()
        maps = [isinstance(features, Tensor) and features.ndim == 4 for features in seen[-GATED:]]
        if len(maps) < GATED or not all(maps) or not all(hasattr(stage, "layers") for stage in stages):
            raise ValueError(
                f"the network {self.label} has no convolutional stages to put attention gates after: "
                "use it without attention, such as with --arm tuning"
            )
        for stage, features in zip(stages, seen[-GATED:], strict=True):
            gate = _MadeUpGate if self.config.gate_init in MADE_UP else AttentionGate
            stage.layers.append(
                gate(
                    features.shape[1],
                    order=self.config.gate_order,
                    reduction=self.config.gate_reduction,
                    kernel_size=self.config.gate_kernel,
                    init=self.config.gate_init,
                )
            )

    def channels(self, layer: str) -> int:
        """Return the number of channels of a layer's features; ValueError for an unknown name."""
        self.depth(layer)
        return self._channels[layer]

    def minimum_size(self, layers: Iterable[str]) -> int:
        """Return the smallest height and width in pixels that the network takes, the same for all layers.

        Raises:
            ValueError: for an unknown name, or if the network takes no size that was tried.
        """
        for layer in layers:
            self.depth(layer)
        return self._smallest

    @cached_property
    def _smallest(self) -> int:
        own = self.config.model.get("image_size")
        sides = [*range(1, TRIED + 1), *(own if isinstance(own, list) else [own])]
        reason = ""
        was_training = self.network.training
        place = self.mean.device.type
        uncast: Any = nullcontext() if place == "meta" else torch.autocast(place, enabled=False)  # meta knows none
        self.network.eval()
        try:
            for side in sides:
                if isinstance(side, int):
                    page = torch.ones(1, 3, side, side, device=self.mean.device, dtype=self.mean.dtype)
                    try:
                        with torch.no_grad(), uncast:
                            self._look(page)
                    except Exception as error:  # noqa: BLE001 (each kind of network has its own)
                        reason = one_line(error)
                    else:
                        return side
        finally:
            self.network.train(was_training)
        raise ValueError(f"the network {self.label} takes no picture of 1 to {TRIED} pixels a side: {reason}")

    def _look(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the features of all layers, of pixels that are normalised."""
        maps = self.network(pixels).feature_maps
        for layer, features in zip(self.taps, maps, strict=True):
            if features.ndim != 4 or not features.numel() or features.shape[1] != self._channels[layer]:
                raise ValueError(f"{layer} has the shape {tuple(features.shape)}, which is no map")
        return maps

    def _run(self, images: Float[Tensor, "n 3 h w"], layers: tuple[str, ...]) -> dict[str, Tensor]:
        """Return the features of these layers.

        Raises:
            ValueError: if the network cannot take images of this size, or cannot recompute activations.
        """
        if self.checkpoint_activations != self._recomputes:
            self._set_checkpointing()
        height, width = images.shape[-2:]
        try:
            maps = self._look(self.normalise(images))
        except (ValueError, RuntimeError, AssertionError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise ValueError(
                f"images are {height}x{width} pixels, which the network {self.label} cannot take "
                f"({one_line(error)}); it was made for {self.config.model.get('image_size', 'another size')}"
            ) from error
        found = dict(zip(self.taps, maps, strict=True))
        return {layer: found[layer] for layer in layers}

    def _set_checkpointing(self) -> None:
        if self.checkpoint_activations and not self.network.supports_gradient_checkpointing:
            raise ValueError(f"the network {self.label} cannot recompute activations: leave checkpoint_activations out")
        switch = "enable" if self.checkpoint_activations else "disable"
        # note: the first name is that of newer versions of the library, where the second is deprecated
        names = (f"{kind}_checkpointing_{switch}" for kind in ("activation", "gradient"))
        next(getattr(self.network, name) for name in names if hasattr(self.network, name))()
        self._recomputes = self.checkpoint_activations

    def _may_be_zero(self) -> tuple[str, ...]:
        # Tokens, biases of positions and statistics start as zeros.
        others = (name for name in self.state_dict() if not name.endswith(".weight"))
        return (*super()._may_be_zero(), *others)

    def describe(self) -> dict[str, Any]:
        """Return the configuration as JSON-ready values."""
        return {"kind": self.kind, **asdict(self.config)}

    def describe_features(self) -> dict[str, Any]:
        """Return all that decides the features, except the tensors, JSON-ready: part of the weights' digest."""
        return {name: value for name, value in super().describe_features().items() if name != "name"}


class _MadeUpGate(AttentionGate):
    """A gate that starts at 1/2 twice, and whose output is made up for it."""

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        """Weight the features, which at the start stay as they are."""
        return super().forward(features) / HALF_TWICE


def _spread(names: Sequence[str], most: int) -> tuple[str, ...]:
    """Return at most so many of the names, evenly spread, the last among them."""
    count = min(most, len(names))
    return tuple(names[round((number + 1) * len(names) / count) - 1] for number in range(count))


# Loading -------------------------------------------------------------------------------------------------------------


def load_transformers(name: str, settings: Mapping[str, Any]) -> TransformersBackbone:
    """Load a model of transformers as a backbone, in eval mode.

    Args:
        name: a model folder, or a hub repo id `owner/name`.
        settings: fields of `TransformersConfig` that differ from the defaults.

    Raises:
        FileNotFoundError: if it is not there, or the hub cannot be reached.
        ValueError: as `TransformersBackbone`; if the model is no backbone, or its weights are pickles or damaged.
    """
    found = TransformersBackbone.check_settings(settings)
    check_types(TransformersConfig, found)
    folder = find_folder(name, Path(name))
    model, mean, std = read_model(folder)
    called = name if folder != Path(name) else folder.resolve().name
    config = TransformersConfig(**{"model": model, "name": called, "mean": mean, "std": std, **found})
    network, new = read_network(folder, model)
    values = network.state_dict()
    try:
        check_values(values, zeros_in=tuple(name for name in values if not name.endswith(".weight")))
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    backbone = TransformersBackbone(config, network)
    own = {f"network.{name}" for name in values} - {f"network.{name}" for name in new}
    backbone.load_report = LoadReport(new=tuple(name for name in backbone.state_dict() if name not in own), unused=())
    return backbone.eval()
