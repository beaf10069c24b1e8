"""A thin network that imitates a teacher: its features, the distances it gives, and the likeness of embeddings."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sketchloss.loss.blank_paper import BlankPaper
from sketchloss.loss.ink_distance import Floor, ink_distance, joins, relative_ink
from sketchloss.networks.backbone import Backbone, freeze
from sketchloss.networks.thinner import solve

#: Distances are compared by their roots, from here on: small ones count as much as great ones, but none without end.
NEAREST = 1e-3
#: A picture's features count as those of one with at least such a share of the batch's ink.
LEAST_INK = 0.05
TERMS = ("features", "distances", "embeddings")


class Imitation(nn.Module):
    """A student beside its teacher: what is trained, and wrapped for several processes.

    Of each layer that the teacher's loss compares, and of its embedding, a 1x1 projection leads from the student's
    features to the teacher's. Projections are trained with the student and then thrown away.

    Args:
        student: with the layers of the teacher, each of the same places.
        teacher: is frozen in place.
    """

    def __init__(self, student: Backbone, teacher: Backbone) -> None:
        super().__init__()
        self.student = student
        self.layers = teacher.default_layers
        self.embedding = teacher.embedding_layer
        self.taps = tuple(dict.fromkeys((*self.layers, self.embedding)))
        self.teacher = freeze(teacher)
        self.projections = nn.ModuleDict(
            {tap: nn.Conv2d(student.channels(tap), teacher.channels(tap), 1, bias=False) for tap in self.taps}
        )
        self._paper = BlankPaper(self.teacher, self.layers)

    def forward(self, pictures: Float[Tensor, "n 3 h w"], partners: Float[Tensor, "n 3 h w"]) -> dict[str, Tensor]:
        """Return the terms `features`, `distances` and `embeddings`, each 0 for a student like its teacher.

        Of the features it is the share of the ink's energy that the projections miss; of the distances the mean squared
        difference of their roots, at each layer and for the mean over layers; of the embeddings the share of the
        variance of cosine similarities that is missed. `ours` and `wanted` are the distances themselves, (n,).

        Args:
            pictures: RGB in [0, 1], two or more.
            partners: a picture to compare with each.
        """
        both = torch.cat([pictures, partners, torch.ones_like(pictures[:1])])
        with torch.no_grad():
            theirs = self.teacher(both, self.taps)
            wanted = self._distances(theirs, self._paper.floors(*both.shape[-2:]))
        ours = self.student(both, self.taps)
        # note: anew at each step, since the student's weights move
        own = self._distances(ours, BlankPaper(self.student, self.layers).floors(*both.shape[-2:]))
        return {
            "features": torch.stack([self._missed(tap, ours[tap], theirs[tap]) for tap in self.taps]).mean(),
            "distances": ((own + NEAREST).sqrt() - (wanted + NEAREST).sqrt()).square().mean(),
            "embeddings": _missed_likeness(ours[self.embedding][:-1], theirs[self.embedding][:-1]),
            "ours": own[-1].detach(),
            "wanted": wanted[-1],
        }

    @torch.no_grad()
    def fit_projections(self, images: Float[Tensor, "n 3 h w"]) -> None:
        """Give the projections the weights that come nearest on these pictures."""
        both = torch.cat([images, torch.ones_like(images[:1])])
        ours, theirs = self.student(both, self.taps), self.teacher(both, self.taps)
        for tap in self.taps:
            rows, wanted = (_ink(features[tap]).transpose(0, 1).flatten(1) for features in (ours, theirs))
            projection = self.projections[tap]
            assert isinstance(projection, nn.Conv2d)
            solved = solve((rows @ rows.T).double().cpu(), (rows @ wanted.T).double().cpu())
            projection.weight.copy_(solved.T[:, :, None, None])

    def _distances(self, features: dict[str, Tensor], floors: dict[str, Floor]) -> Float[Tensor, "taps n"]:
        """Return the distance of each pair at each layer, and the mean over layers last."""
        at_layers = torch.stack(list(self._at_layers(features, floors)))
        return torch.cat([at_layers, at_layers.mean(0, keepdim=True)]).clamp_min(0)

    def _at_layers(self, features: dict[str, Tensor], floors: dict[str, Floor]) -> Iterator[Float[Tensor, " n"]]:
        for layer in self.layers:
            one, other = features[layer][:-1].chunk(2)
            yield ink_distance(one, other, features[layer][-1:], floor=floors[layer])

    def _missed(self, tap: str, ours: Tensor, theirs: Tensor) -> Tensor:
        wanted = _ink(theirs)
        energy = wanted.square().sum((1, 2, 3))
        gap = self.projections[tap](_ink(ours)) - wanted
        return (gap.square().sum((1, 2, 3)) / (energy + LEAST_INK * energy.mean())).mean()


def _ink(features: Float[Tensor, "m c h w"]) -> Float[Tensor, "n c g k"]:
    """Return features relative to those of the last picture, a blank page."""
    return relative_ink(features[:-1], features[-1:], side=joins(*features.shape[-2:]))


def _missed_likeness(ours: Float[Tensor, "n c h w"], theirs: Float[Tensor, "n d h w"]) -> Tensor:
    if len(ours) < 3:  # one pair alone, whose likeness has no variance
        return ours.float().sum() * 0
    likeness = []
    with torch.autocast(ours.device.type, enabled=False):
        for features in (ours, theirs):
            rows = F.normalize(features.float().mean((2, 3)), dim=1)
            likeness.append((rows @ rows.T)[~torch.eye(len(rows), dtype=torch.bool, device=rows.device)])
    own, wanted = likeness
    return (own - wanted).square().mean() / wanted.var().clamp_min(1e-6)
