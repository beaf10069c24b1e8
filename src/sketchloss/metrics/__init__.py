"""`SketchDistance`, a metric for training loops that use torchmetrics. It needs the extra `metrics`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sketchloss.metrics.sketch_distance import SketchDistance as SketchDistance

__all__ = ["SketchDistance"]


def __getattr__(name: str) -> Any:
    # When it is asked for, and not before: torchmetrics takes a second to import.
    if name != "SketchDistance":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sketchloss.metrics.sketch_distance import SketchDistance

    return SketchDistance
