"""One training: a U-Net learns from inputs to true drawings, by pixels and a term of a known pull."""

import time

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from sketchloss.data.loading import to_unit_range
from sketchloss.experiments.guiding_losses import open_term
from sketchloss.experiments.pairs.settings import PairTraining
from sketchloss.experiments.pairs.tasks import PairPart
from sketchloss.loss.balance import Balance, gradient_norms
from sketchloss.loss.cached_targets import CachedTargets
from sketchloss.loss.loss import SketchLoss
from sketchloss.loss.target_features import KeptFeatures
from sketchloss.networks.unet import UNet
from sketchloss.strokes.named_losses import pixels_l1
from sketchloss.system.device import in_bfloat16
from sketchloss.training.guards import require_finite
from sketchloss.training.rates import rate_schedule

PIXELS, TERM = "pixels", "term"
#: Steps between measurements of the pull.
BALANCE_EVERY = 10
#: Steps between lines about the progress.
SAY_EVERY = 100
#: Pictures drawn together.
AT_ONCE = 32


def train(part: PairPart, config: PairTraining, pull: float, *, device: str = "cpu") -> UNet:
    """Train a U-Net; the same settings give the same network on the same machine.

    Trainings that differ only in term and pull start from the same weights and see the same pictures in the same order.

    Args:
        part: pairs to learn from.
        config: settings of the training.
        pull: norm of the term's gradient at the output as a multiple of the pixels'; held by running means.
        device: the device to train on.

    Returns:
        The network, in evaluation mode.

    Raises:
        ValueError: as `open_term`.
        FileNotFoundError: as `open_term`.
        TrainingStopped: if the loss is not finite.
    """
    term = open_term(config.term)
    targets = None
    if isinstance(network := getattr(term, "loss", None), SketchLoss):
        # note: a training sees each target several times, in an order of its own
        targets = CachedTargets(network.to(device))
    balance = Balance({PIXELS: 1.0, **({} if term is None else {TERM: pull})}, "running", reference=PIXELS)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        network = UNet(config.width)
    network = network.to(device, memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
    optimizer = torch.optim.Adam(network.parameters(), config.lr)
    schedule = rate_schedule(optimizer, "cosine", steps=config.steps)
    rng = np.random.default_rng(config.seed)
    order = np.zeros(0, dtype=np.int64)
    begun = time.monotonic()
    for step in range(config.steps):
        while len(order) < config.batch_size:
            order = np.concatenate([order, rng.permutation(len(part))])
        chosen, order = order[: config.batch_size], order[config.batch_size :]
        versions = rng.integers(part.inputs.shape[1], size=len(chosen))
        inputs = to_unit_range(part.inputs[chosen, versions].to(device))
        target = to_unit_range(part.targets[chosen].to(device))

        drawn = _draw(network, inputs)
        terms = {PIXELS: pixels_l1(drawn, target).mean()}
        if term is not None:
            terms[TERM] = term(drawn, target if targets is None else _kept(targets, chosen, target)).mean()
            if step % BALANCE_EVERY == 0:
                balance.observe(gradient_norms(terms, drawn, balance.active))
        loss = balance.total(terms)
        require_finite(loss.item(), step, optimizer.param_groups[0]["lr"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % SAY_EVERY == 0 or step + 1 == config.steps:
            pace = (time.monotonic() - begun) / (step + 1)
            values = ", ".join(f"{name} {value.item():.4f}" for name, value in terms.items())
            print(f"step {step + 1} of {config.steps}: {values}; {pace:.2f} s a step")
    return network.eval()


def _kept(targets: CachedTargets, chosen: Int[np.ndarray, " n"], target: Float[Tensor, "n 3 s s"]) -> KeptFeatures:
    with in_bfloat16(target.device.type):
        return targets.get(chosen.tolist(), target)


@torch.no_grad()
def draw(network: UNet, inputs: UInt8[Tensor, "n 3 s s"], *, device: str = "cpu") -> UInt8[Tensor, "n 3 s s"]:
    """Return what a network draws, rounded to 8 bits as a picture file holds it, on the CPU."""
    parts = [_draw(network, to_unit_range(some.to(device))) for some in inputs.split(AT_ONCE)]
    return (torch.cat(parts) * 255).round().byte().cpu()


def _draw(network: UNet, inputs: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n 3 s s"]:
    with in_bfloat16(inputs.device.type):
        return network(inputs)
