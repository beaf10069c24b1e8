"""Weights of the terms of a loss: as given, or by the gradients that the terms send to the output."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

Balancing = Literal["none", "initial", "running"]


class Balance:
    """Factors that weigh terms of a loss, as given or by the gradients that the terms send to the generator's output.

    Loss scales differ from backbone to backbone by orders of magnitude, so that weights found for one mean another
    thing for the next. The norms of the terms' gradients at the drawing can be compared.

    - `none`: the factors are the weights.
    - `initial`: the factors are set once, before training, so that these norms, averaged over the batches shown to
      `observe`, stand in the ratio of the weights.
    - `running`: as `initial`, again at every later `observe`, on running means of the norms: the ratio holds all the
      way. It is the adaptive weight of Esser et al. 2021 (Taming Transformers, Eq. 7), with the norms taken at the
      output, smoothed by `decay`, for any number of terms.

    Args:
        weights: weight of each term, ≥ 0; a term of weight 0 is left out of the loss.
        kind: `none`, `initial` or `running`.
        decay: decay of the running means, in [0, 1).
        reference: a term that keeps its weight as its factor, with the others set beside it; None: the factors are
            set so that the terms' gradients together have a norm of about 1.

    Raises:
        ValueError: for a weight that is negative or not finite, none above 0, an unknown kind, a decay out of range.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        kind: Balancing = "initial",
        *,
        decay: float = 0.9,
        reference: str | None = None,
    ) -> None:
        for name, weight in weights.items():
            if not 0 <= weight < float("inf"):
                raise ValueError(f"the weight of {name} is {weight}: it must be finite and not negative")
        if not any(weights.values()):
            raise ValueError(f"the weights of {', '.join(weights)} are all 0: the loss would be 0")
        if kind not in ("none", "initial", "running"):
            raise ValueError(f"balance {kind!r} is unknown: use none, initial or running")
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}: it must be at least 0 and below 1")
        if reference is not None and not weights.get(reference):
            raise ValueError(f"the reference is {reference!r}: name a term with a weight above 0")
        self.weights = dict(weights)
        self.reference = reference
        self.kind: Balancing = kind
        self.decay = decay
        self.factors = dict(weights)
        #: Running mean of each term's gradient norm at the output.
        self.norms: dict[str, float] = {}
        self._observed = 0

    def observe(self, norms: Mapping[str, float]) -> None:
        """Set the factors by gradient norms, as `gradient_norms` measures them; with `none` nothing changes.

        Args:
            norms: norm of each term with a weight above 0; if one is not finite (float16), all are passed over.
        """
        if self.kind == "none" or not all(math.isfinite(norms[name]) for name in self.active):
            return
        self._observed += 1
        # Until the window is full the mean is a plain one, so that the first batch does not weigh most.
        keep = 1 - 1 / self._observed
        keep = min(keep, self.decay) if self.kind == "running" else keep
        for name in self.active:
            self.norms[name] = keep * self.norms.get(name, 0.0) + (1 - keep) * norms[name]
        # The gradient norm that a weight of 1 stands for.
        unit = self.norms[self.reference] if self.reference else 1 / sum(self.weights.values())
        for name in self.active:
            # A term that pulls at nothing cannot be scaled to pull: it keeps its factor.
            if self.norms[name] > 0 and name != self.reference:
                self.factors[name] = self.weights[name] * unit / self.norms[name]

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Return the weighed sum of the terms."""
        return torch.stack([self.factors[name] * terms[name] for name in self.active]).sum()

    @property
    def active(self) -> tuple[str, ...]:
        """The terms whose weight is above 0."""
        return tuple(name for name, weight in self.weights.items() if weight)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return {"factors": dict(self.factors), "norms": dict(self.norms), "observed": self._observed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.factors, self.norms = dict(state["factors"]), dict(state["norms"])
        self._observed = state["observed"]


def gradient_norms(
    terms: Mapping[str, Tensor], output: Tensor, names: Iterable[str], *, scale: float = 1.0
) -> dict[str, float]:
    """Return the L2 norm of each named term's gradient at the output, in float32.

    float16 has no room for gradients that differ by orders of magnitude: compute the terms outside its autocast, or
    give a `scale`.

    Args:
        terms: scalars computed from `output`; their graph is kept.
        output: what the generator made, part of the graph.
        names: names of the terms to measure; one that does not depend on the output gives 0.
        scale: factor on the terms on the way back, by which the norms are divided again (as a `GradScaler` does).

    Raises:
        ValueError: for a name without a term, or a term that is no scalar, or was computed without a graph.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    norms = {}
    for name in names:
        if name not in terms:
            raise ValueError(f"there is no term {name!r}: choose from {', '.join(terms)}")
        if terms[name].numel() != 1:
            raise ValueError(f"{name} is {tuple(terms[name].shape)}: it must be a scalar, as with reduction='mean'")
        if not terms[name].requires_grad or not output.requires_grad:
            raise ValueError(f"{name} or the output has no graph: compute the terms from an output that requires grad")
        (gradient,) = torch.autograd.grad(terms[name] * scale, output, retain_graph=True, allow_unused=True)
        norms[name] = 0.0 if gradient is None else torch.linalg.vector_norm(gradient.float()).item() / scale
    return norms
