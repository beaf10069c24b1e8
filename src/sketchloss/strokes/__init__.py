"""A drawing as strokes: a differentiable renderer, and recovery of strokes by the gradient of a loss."""

from typing import TYPE_CHECKING

from sketchloss.system.lazy_names import lazy_names

if TYPE_CHECKING:
    from sketchloss.strokes.batch import StrokeBatch
    from sketchloss.strokes.chamfer import chamfer_distance
    from sketchloss.strokes.recovery import Recovery, recover
    from sketchloss.strokes.renderer import render

# When they are asked for: settings need the names of starts, and no torch.
_HOMES = {
    "Recovery": "recovery",
    "StrokeBatch": "batch",
    "chamfer_distance": "chamfer",
    "recover": "recovery",
    "render": "renderer",
}
__all__ = ["Recovery", "StrokeBatch", "chamfer_distance", "recover", "render"]

__getattr__ = lazy_names(__name__, _HOMES)
