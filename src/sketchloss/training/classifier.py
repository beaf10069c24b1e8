"""A backbone that is trained to classify: the module, how well it does, and what a step of it takes."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn

from sketchloss.data.loading import to_unit_range
from sketchloss.networks.backbone import Backbone
from sketchloss.training.resources import peak_training_memory


class Classifier(nn.Module):
    """A backbone that classifies: what is trained, and wrapped for several processes."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Float[Tensor, "n classes"], Float[Tensor, "n d"]]:
        """Return the logits, and the embeddings as float32: features averaged over positions, of any length."""
        layer, embedding = self.backbone.classified_layer, self.backbone.embedding_layer
        taps = self.backbone(images, {embedding, layer})
        return self.backbone.classify_features(taps[layer]), taps[embedding].float().mean((2, 3))


@torch.no_grad()
def evaluate(accelerator: Accelerator, model: nn.Module, batches: Any) -> dict[str, float]:
    """Return loss, top-1 and top-5 accuracy over whole sketches, and how much the features differ between them.

    Args:
        accelerator: that the batches were prepared with.
        model: a `Classifier`, prepared or not.
        batches: as `load_batches` gives them, without augmentation.
    """
    model.eval()
    losses, correct, spread = [], [], math.inf
    for batch in batches:
        images = to_unit_range(batch["image"])
        with accelerator.autocast():
            logits, embeddings = model(images)
        logits = logits.float()
        losses.append(accelerator.gather_for_metrics(F.cross_entropy(logits, batch["label"], reduction="none")))
        ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices == batch["label"][:, None]
        correct.append(accelerator.gather_for_metrics(ranked))
        if len(losses) == 1 and len(images) > 1:
            spread = F.normalize(embeddings, dim=1).std(0).mean().item()
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
        network = type(backbone)(backbone.config)
        network.checkpoint_activations = backbone.checkpoint_activations
        return network

    def loss(network: Any) -> Tensor:
        images = torch.rand(batch_size, 3, image_size, image_size)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision != "no"):
            logits = network.classify(images)
        return F.cross_entropy(logits.float(), torch.zeros(batch_size, dtype=torch.long))

    return peak_training_memory(build, loss)
