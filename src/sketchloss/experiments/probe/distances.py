"""Distances between drawings under one roof: every tap of a backbone at once, and any function of two pictures.

A family of distances looks at a picture once (`extract`) and compares what it saw (`compare`), so that a picture is
not evaluated anew for each tap, metric, or picture that it is compared with.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from tqdm import tqdm

from sketchloss.experiments.probe.trials import Trials
from sketchloss.loss.blank_paper import BlankPaper
from sketchloss.loss.loss import SketchLoss
from sketchloss.loss.tap_distance import Metric, needs_paper, tap_distance
from sketchloss.metrics.plain_distance import checked
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.paper_layers import PAPER_LAYERS

#: What a family sees of n pictures: tensors whose first axis is n.
Seen: TypeAlias = dict[str, Tensor]

#: Name of the distance of embeddings: cosine distance of the features that `Backbone.embed` averages over positions.
EMBED = "embed"
#: Name of what a family of a backbone keeps of a picture's size: height and width in pixels.
SIZE = "size"
#: Features kept to be compared again take at most this many bytes.
KEPT_BYTES = 2**30


@runtime_checkable
class Family(Protocol):
    """Distances that are computed from one look at each picture."""

    name: str
    symmetric: bool
    """Whether d(a, b) = d(b, a), so that one of them is enough."""

    def extract(self, images: Float[Tensor, "n 3 h w"]) -> Seen:
        """Look at pictures."""
        ...

    def compare(self, ones: Seen, others: Seen) -> dict[str, Float[Tensor, " n"]]:
        """Return each distance between n pictures and n others, or one other; a name for each."""
        ...


class BackboneDistances:
    """The distances that a backbone makes: of each tap by each metric, and of the embedding. One pass sees them all.

    Their names are `relu3_3 l1` and so on, and `embed`. A tap's is what `SketchLoss` says with only that tap.

    Args:
        name: name of the family.
        backbone: copied.
        taps: names of layers, from shallow to deep, each once; none: the backbone's `stages`. The loss's own come in
            any case, and so do the paper's where the backbone has them.
        metrics: any of `METRICS`; the loss's own and the paper's come in any case.
        device: the device to compute on.

    Raises:
        ValueError: for an unknown layer, or layers named twice or not from shallow to deep.
    """

    symmetric = True

    def __init__(
        self,
        name: str,
        backbone: Backbone,
        taps: Sequence[str] = (),
        *,
        metrics: Sequence[Metric] = (),
        device: str | torch.device = "cpu",
    ) -> None:
        self.name = name
        #: What was asked for, or the backbone's `stages`.
        self.asked = tuple(taps or backbone.stages)
        depths = [backbone.depth(tap) for tap in self.asked]
        if depths != sorted(set(depths)):
            raise ValueError(f"taps are {', '.join(self.asked)}: name each once, from shallow to deep")
        loss = SketchLoss(backbone).to(device)
        self._backbone = loss.backbone
        #: Taps and weights that `SketchLoss` has by default; the weights sum to 1.
        self.default_layers = _normalised(loss.layers)
        #: Metric that `SketchLoss` has by default.
        self.default_metric: Metric = loss.metric
        self.metrics = tuple(dict.fromkeys((loss.metric, "l1", *metrics)))
        #: The paper's layers, equally weighted; none where the backbone is no VGG.
        self.paper_layers = PAPER_LAYERS if set(PAPER_LAYERS) <= set(backbone.taps) else ()
        self.taps = tuple(dict.fromkeys((*self.asked, *loss.layers, *self.paper_layers)))
        self._embedded = backbone.embedding_layer
        self._layers = tuple(dict.fromkeys((*self.taps, self._embedded)))
        self._paper = BlankPaper(self._backbone, self.taps)
        #: Smallest height and width in pixels.
        self.minimum_size = backbone.minimum_size(self._layers)

    def extract(self, images: Float[Tensor, "n 3 h w"]) -> Seen:
        """Return the taps' features, and the embedding."""
        features = self._backbone(images, self._layers)
        return {
            EMBED: F.normalize(features[self._embedded].float().mean((2, 3)), dim=1),
            SIZE: torch.tensor(images.shape[-2:]).expand(len(images), 2),
            **{tap: features[tap] for tap in self.taps},
        }

    def compare(self, ones: Seen, others: Seen) -> dict[str, Float[Tensor, " n"]]:
        """Return `embed`, and each tap by each metric."""
        height, width = ones[SIZE][0].tolist()
        papers = self._paper.seen(height, width) if any(map(needs_paper, self.metrics)) else {}
        found = {
            f"{tap} {metric}": tap_distance(ones[tap], others[tap].expand_as(ones[tap]), metric, paper=papers.get(tap))
            for tap in self.taps
            for metric in self.metrics
        }
        # Half the squared distance of unit vectors: 1 - cosine, without its cancellation near zero.
        found[EMBED] = (ones[EMBED] - others[EMBED]).square().sum(1) / 2
        return {name: checked(values, len(values), f"{self.name} {name}") for name, values in found.items()}


def combine(
    distances: Mapping[str, Float[np.ndarray, "*shape"]], layers: Mapping[str, float], metric: Metric
) -> Float[np.ndarray, "*shape"]:
    """Return the distance of several taps together, as `SketchLoss(layers=layers, metric=metric)` weighs them.

    Args:
        distances: what `BackboneDistances` measured, by name.
        layers: tap -> weight.
        metric: one of those measured.
    """
    total = sum(distances[f"{tap} {metric}"] * weight for tap, weight in _normalised(layers).items())
    return np.asarray(total)


def _normalised(layers: Mapping[str, float]) -> dict[str, float]:
    total = sum(layers.values())
    return {tap: weight / total for tap, weight in layers.items()}


# Measuring -----------------------------------------------------------------------------------------------------------


def measure(
    family: Family, trials: Trials, *, device: str | torch.device = "cpu", progress: bool = False
) -> dict[str, Float[np.ndarray, "n columns"]]:
    """Return the distances of a family between each drawing and its variants, float64, a matrix for each name.

    Args:
        family: on the device.
        trials: the trials to measure.
        device: the device to compute on.
        progress: show a bar on a terminal.

    Raises:
        ValueError: as the family, such as for a distance that is not finite.
    """
    found: dict[str, list[np.ndarray]] = {}
    rows = zip(trials.references, trials.variants, strict=True)
    bar = tqdm(rows, desc=family.name, total=len(trials.references), leave=False, disable=None if progress else True)
    at_once = images_at_once(trials.image_size, device)
    with torch.no_grad():  # not inference mode: what a user's distance keeps of it could not be trained through later
        for reference, variants in bar:
            parts: dict[str, list[Tensor]] = {}
            target: Seen | None = None
            for chunk in torch.cat([reference[None], variants]).split(at_once):
                seen = family.extract(as_images(chunk, device))
                if target is None:  # the reference leads the first chunk
                    target = {name: values[:1] for name, values in seen.items()}
                    seen = {name: values[1:] for name, values in seen.items()}
                if len(next(iter(seen.values()))):
                    for name, values in family.compare(seen, target).items():
                        parts.setdefault(name, []).append(values)
            for name, values in parts.items():
                found.setdefault(name, []).append(torch.cat(values).double().cpu().numpy())
    return {name: np.stack(rows) for name, rows in found.items()}


def measure_pairs(
    family: Family,
    read: Callable[[int], Float[Tensor, "3 h w"]],
    pairs: Int[np.ndarray, "m 2"],
    *,
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> dict[str, Float[np.ndarray, " m"]]:
    """Return the distances of a family between pairs of pictures; what it saw of a picture is kept for the next pair.

    Args:
        family: on the device.
        read: from a picture's number to its pixels in [0, 1]; all of one size.
        pairs: numbers of two pictures each; a pair may come more than once, and costs once.
        device: the device to compute on.
        progress: show a bar on a terminal.

    Raises:
        ValueError: as the family.
    """
    ordered = np.sort(pairs, axis=1) if family.symmetric else pairs
    wanted, place = np.unique(ordered, axis=0, return_inverse=True)
    memory = _Memory(family, read, device)
    found: dict[str, list[np.ndarray]] = {}
    firsts, starts = np.unique(wanted[:, 0], return_index=True)
    groups = np.split(wanted[:, 1], starts[1:])
    bar = tqdm(desc=family.name, total=len(wanted), leave=False, disable=None if progress else True)
    with torch.no_grad(), bar:
        for first, seconds in zip(firsts, groups, strict=True):
            one = memory.see([int(first)])
            at_once = memory.at_once
            for start in range(0, len(seconds), at_once):
                others = memory.see([int(second) for second in seconds[start : start + at_once]])
                ones = {name: values.expand(len(others[name]), *values.shape[1:]) for name, values in one.items()}
                for name, values in family.compare(ones, others).items():
                    found.setdefault(name, []).append(values.double().cpu().numpy())
                bar.update(len(seconds[start : start + at_once]))
    return {name: np.concatenate(values)[place.reshape(-1)] for name, values in found.items()}


class _Memory:
    """What a family saw of pictures, the latest of them."""

    def __init__(
        self, family: Family, read: Callable[[int], Float[Tensor, "3 h w"]], device: str | torch.device
    ) -> None:
        self._family, self._read, self._device = family, read, device
        self._seen: OrderedDict[int, Seen] = OrderedDict()
        self._most = self.at_once = 1

    def see(self, numbers: Sequence[int]) -> Seen:
        new = [number for number in dict.fromkeys(numbers) if number not in self._seen]
        for start in range(0, len(new), self.at_once):
            part = new[start : start + self.at_once]
            images = torch.stack([self._read(number) for number in part]).to(self._device)
            seen = self._family.extract(images)
            for index, number in enumerate(part):  # copies, because a view would keep the whole batch
                self._seen[number] = {name: values[index : index + 1].clone() for name, values in seen.items()}
            size = sum(values.numel() * values.element_size() for values in self._seen[part[0]].values())
            self.at_once = images_at_once(max(images.shape[-2:]), self._device)
            self._most = max(KEPT_BYTES // size, 2 * self.at_once + 1)
        for number in numbers:
            self._seen.move_to_end(number)
        found = {
            name: torch.cat([self._seen[number][name] for number in numbers])
            for name in self._seen[numbers[0]]
        }  # fmt: skip
        while len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return found


def as_images(pictures: UInt8[Tensor, "k s s"], device: str | torch.device) -> Float[Tensor, "k 3 s s"]:
    """Turn grey pictures into images of three channels in [0, 1]."""
    return (pictures.to(device).float() / 255)[:, None].expand(-1, 3, -1, -1)


def images_at_once(size: int, device: str | torch.device) -> int:
    """Return how many images to evaluate together; on a CPU so many that their features stay small, as in the loss."""
    return 64 if torch.device(device).type != "cpu" else max(1, 2**16 // size**2)
