"""From many sketches to one matrix of embeddings."""

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from sketchloss.backbone import Backbone
from sketchloss.data.loading import load_batches, to_unit_range
from sketchloss.data.sources import Sketches


@torch.inference_mode()
def embed_sketches(
    backbone: Backbone,
    sketches: Sketches,
    *,
    layer: str = "relu5_3",
    batch_size: int = 64,
    workers: int | None = None,
    progress: bool = False,
) -> Float[Tensor, "n d"]:
    """Return one L2-normalised float32 row per sketch, on the CPU, in their order.

    Args:
        backbone: on the device to compute on.
        sketches: at their own image size.
        layer: as for `Backbone.embed`.
        batch_size: images at once.
        workers: as for `load_batches`.
        progress: show a bar.

    Raises:
        ValueError: if the sketches are too small for the layer, or a file is unreadable.
    """
    device = next(backbone.buffers()).device
    batches = load_batches(sketches, batch_size=batch_size, workers=workers)
    rows = [
        backbone.embed(to_unit_range(batch["image"].to(device)), layer).cpu()
        for batch in tqdm(batches, desc="embedding", disable=not progress)
    ]
    return torch.cat(rows)
