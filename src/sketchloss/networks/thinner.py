"""A VGG with fewer channels, whose filters are fitted to those of a wider one, layer by layer.

At each convolution the channels are kept that say most of the others, and the filters and biases of the thin network
are the ones by which it comes nearest to the wide network's values there, from what the thin network has itself
(channel pruning with least squares: He, Zhang & Sun 2017). Gates are made up for by the same fit.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sketchloss.networks.backbone import Backbone
from sketchloss.networks.vgg import VGG, BackboneConfig

#: Pictures whose values are taken together, and places of each: as many rows as the solution needs, in little memory.
TOGETHER, PLACES = 16, 64
#: Added to the diagonal before a solution, as a share of its mean.
RIDGE = 1e-2


def new_thin(teacher: Backbone, width: float | int) -> VGG:
    """Return a thin network with random weights, without gates, whose layers have the places of the teacher's.

    Args:
        teacher: a VGG, with or without gates.
        width: factor on the channel counts of VGG-16, at most the teacher's.

    Raises:
        ValueError: for a teacher of another kind or of other places, or a width outside its range.
    """
    if not isinstance(teacher, VGG):
        raise ValueError(
            f"the teacher is {teacher.label}, which has no thinner form here: give weights of a VGG-16, such as sketch"
        )
    if not 0 < width <= teacher.config.width:
        raise ValueError(f"width is {width}: it must be above 0 and at most the teacher's, {teacher.config.width}")
    config = teacher.config
    student = VGG(BackboneConfig(width=float(width), pooling=config.pooling, mean=config.mean, std=config.std))
    deepest = (teacher.embedding_layer,)
    if student.minimum_size(deepest) != teacher.minimum_size(deepest):
        raise ValueError(
            f"the teacher's downsample is {config.downsample}, so its layers are larger than those of a network with "
            "pools: give weights with downsample max"
        )
    return student


@torch.no_grad()
def fit_filters(student: VGG, teacher: Backbone, images: Float[Tensor, "n 3 h w"]) -> None:
    """Give a thin network, in place, the filters that come nearest to the teacher's values on these pictures.

    Args:
        student: as `new_thin` returns it, on the device of the teacher.
        teacher: the wide network, a VGG in float32.
        images: RGB in [0, 1]; with fewer than 400 drawings of 64 pixels the deep layers are fitted to these alone.
    """
    assert isinstance(teacher, VGG)
    # note: in parts that take each other's place, since the first layers of all pictures fill a gigabyte
    theirs, ours = (list(network.normalise(images).split(TOGETHER)) for network in (teacher, student))
    # note: without the last pool, behind which there is no convolution
    for wide, thin in zip(list(teacher.features)[:-1], list(student.features)[:-1], strict=True):
        for number, part in enumerate(theirs):
            theirs[number] = wide(part)
        if isinstance(thin, nn.Conv2d):
            _fit(thin, ours, theirs)
        for number, part in enumerate(ours):
            ours[number] = thin(part)


def _fit(
    convolution: nn.Conv2d, inputs: Sequence[Float[Tensor, "_ c h w"]], wanted: Sequence[Float[Tensor, "_ k h w"]]
) -> None:
    """Give a convolution the weights that come nearest to those of the wanted channels that say most of the others."""
    rows, values = [], []
    for part, wanted_part in zip(inputs, wanted, strict=True):
        places = torch.randperm(part[0, 0].numel())[:PLACES].to(part.device)
        seen = F.unfold(part, 3, padding=1)[:, :, places].transpose(1, 2).flatten(0, 1)
        rows.append(F.pad(seen, (0, 1), value=1.0))  # of the bias
        values.append(wanted_part.flatten(2)[:, :, places].transpose(1, 2).flatten(0, 1))
    seen, values = torch.cat(rows), torch.cat(values)
    kept = most_telling(values.relu().T.cov().double().cpu(), convolution.out_channels)
    solved = solve((seen.T @ seen).double().cpu(), (seen.T @ values[:, kept]).double().cpu()).to(seen)
    convolution.weight.copy_(solved[:-1].T.reshape(convolution.weight.shape))
    assert convolution.bias is not None
    convolution.bias.copy_(solved[-1])


def most_telling(covariance: Float[Tensor, "c c"], count: int) -> list[int]:
    """Return the channels from which the others can be told best: those of a Cholesky decomposition with pivots.

    Args:
        covariance: covariance of the channels, float64.
        count: how many, at most c.
    """
    left = covariance.clone()  # what is not yet told by the chosen ones
    taken = torch.zeros(len(left), dtype=torch.bool)
    for _ in range(count):
        best = int(left.diagonal().masked_fill(taken, -torch.inf).argmax())
        taken[best] = True
        if left[best, best] > 0:
            left = left - torch.outer(left[:, best], left[best]) / left[best, best]
    return taken.nonzero().flatten().tolist()


def solve(products: Float[Tensor, "c c"], crossed: Float[Tensor, "c k"]) -> Float[Tensor, "c k"]:
    """Return the weights by which inputs come nearest to what is wanted, with a ridge.

    Args:
        products: sums of products of the inputs with each other, float64.
        crossed: sums of products of the inputs with what is wanted, float64.
    """
    ridge = RIDGE * products.diagonal().mean().clamp_min(1e-12)
    return torch.linalg.solve(products + ridge * torch.eye(len(products), dtype=products.dtype), crossed)
