"""A backbone that is trained to classify: the module, how well it does, and what a step of it takes."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from sketchloss.backbone import Backbone
from sketchloss.data.loading import to_unit_range
from sketchloss.training.resources import peak_training_memory


class Classifier(nn.Module):
    """A backbone whose call is `classify`: what is trained, and wrapped for several processes."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.backbone.classify(images)


@torch.no_grad()
def evaluate(accelerator: Accelerator, model: nn.Module, batches: Any) -> dict[str, float]:
    """Return loss, top-1 and top-5 accuracy over whole sketches, and how much the features differ between them."""
    model.eval()
    backbone = accelerator.unwrap_model(model).backbone
    losses, correct, spread = [], [], math.inf
    for batch in batches:
        images = to_unit_range(batch["image"])
        logits = model(images).float()
        losses.append(accelerator.gather_for_metrics(F.cross_entropy(logits, batch["label"], reduction="none")))
        ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices == batch["label"][:, None]
        correct.append(accelerator.gather_for_metrics(ranked))
        if len(losses) == 1 and len(images) > 1:
            spread = backbone.embed(images).std(0).mean().item()
    model.train()
    hits = torch.cat(correct).float()
    scores = {} if math.isinf(spread) else {"feature_spread": spread}  # one image has none
    return {
        "validation_loss": torch.cat(losses).mean().item(),
        "validation_accuracy": hits[:, 0].mean().item(),
        "validation_top5": hits.sum(1).mean().item(),
        **scores,
    }


def count_step_memory(backbone: Backbone, *, image_size: int, batch_size: int, precision: str) -> int:
    """Return the peak bytes of tensors in a training step with Adam, counted without doing it.

    Args:
        backbone: with a classifier; only its configuration is used.
        image_size: side of the images in pixels.
        batch_size: how many.
        precision: `no`: float32; `bf16` or `fp16`: mixed.
    """

    def build() -> Backbone:
        network = Backbone(backbone.config)
        network.checkpoint_activations = backbone.checkpoint_activations
        return network

    def loss(network: Any) -> Tensor:
        images = torch.rand(batch_size, 3, image_size, image_size)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision != "no"):
            logits = network.classify(images)
        return F.cross_entropy(logits.float(), torch.zeros(batch_size, dtype=torch.long))

    return peak_training_memory(build, loss)
