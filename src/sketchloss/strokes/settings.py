"""The settings of `sketchloss strokes`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sketchloss.system.device import Device


@dataclass(frozen=True)
class Strokes:
    """Redraw a picture of a drawing as strokes, and write them as SVG.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    picture: Annotated[Path, tyro.conf.Positional]
    """Picture of a line drawing: dark lines on light paper."""
    out: Path
    """SVG file to write: a path for each stroke."""
    count: int = 32
    """Number of strokes. One that grows too thin to be seen is left out."""
    points: int = 6
    """Control points of each stroke; a smooth curve leads through them."""
    size: int = 128
    """Longer side in pixels at which the picture is looked at. A larger size takes longer, and draws finer details."""
    steps: int = 150
    """Number of steps in which the strokes move into place."""
    gif: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """GIF file to write, which shows how the strokes move."""
    invert: bool = False
    """Invert the picture: it has light lines on dark paper, or on a transparent ground."""
    weights: str = "sketch"
    """Network weights of the loss: `sketch`, `sketch-small`, `imagenet`, a weights folder or file, a hub repo, or
    `transformers:ID`."""
    seed: int = 0
    """Random seed of the places where strokes start."""
    force: bool = False
    """Replace files that are there."""
    device: Device = "auto"
    """Device to compute on; `auto`: the GPU if there is one."""

    def __post_init__(self) -> None:
        for name, least, most in (
            ("count", 1, 1000),
            ("points", 2, 100),
            ("size", 16, 1024),
            ("steps", 1, 100_000),
            ("seed", 0, 2**32 - 1),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be {least} to {most:,}")
        for name, path, suffix in (("out", self.out, ".svg"), ("gif", self.gif, ".gif")):
            if path is not None and path.suffix.lower() != suffix:
                raise ValueError(f"{name} is {path}: give a file whose name ends in {suffix}")
