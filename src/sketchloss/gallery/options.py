"""Settings of the commands of a gallery."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from sketchloss.system.device import Device, Precision

Labels = Literal["folder", "none"]


def _required(metavar: str) -> Any:
    # By itself tyro shows several values as optional; none at all is refused here with what to name.
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="(required)")


@dataclass(frozen=True)
class Build:
    """Make a gallery of the drawings in some folders, in which similar drawings can be found.

    If it is interrupted, the same command continues where it stopped.
    """

    gallery: Annotated[Path, tyro.conf.Positional]
    """Gallery folder to make."""
    folders: Annotated[tuple[Path, ...], tyro.conf.Positional, _required("FOLDERS")]
    """Folders of drawings; their subfolders are walked too."""
    weights: str = "sketch"
    """Network weights: `sketch`, `sketch-small`, `sketch-plain`, `imagenet`, a weights folder or file, a hub repo, or
    `transformers:ID`."""
    image_size: int = 128
    """Side in pixels of the square that drawings are fitted into."""
    labels: Labels = "folder"
    """Labels of the drawings. `folder`: the name of the folder directly below the given one that holds the drawing.
    `none`: no labels."""
    invert: bool = False
    """Invert the drawings: they are light on dark, or light on a transparent ground."""
    clean: bool = False
    """Clean the drawings and, later, the queries: for scans and photographs. Light on dark is inverted by itself, grey
    paper, shadows and the table become white, and the page is cropped to the ink. Not together with --invert."""
    precision: Precision = "no"
    """Precision of the network, for the drawings and, later, the queries: `no` (float32), or `bf16` (bfloat16), quicker
    on CPUs and GPUs that have it, and with nearly the same results; on others it is float32."""
    json: bool = False
    """Print JSON and nothing else."""
    device: Device = "auto"
    """Device to compute on; `auto`: the GPU if there is one."""


@dataclass(frozen=True)
class Add:
    """Bring a gallery up to date with the drawings in some folders: new, moved and changed ones."""

    gallery: Annotated[Path, tyro.conf.Positional]
    """Gallery folder, as made by `sketchloss gallery build`."""
    folders: Annotated[tuple[Path, ...], tyro.conf.Positional, _required("FOLDERS")]
    """Folders of drawings to add; drawings that are there already are not embedded again."""
    prune: bool = False
    """Take out drawings below the given folders whose files are gone."""
    labels: Labels = "folder"
    """Labels of new drawings. `folder`: the name of the folder directly below the given one that holds the drawing.
    `none`: no label; drawings that have one keep it."""
    weights: Annotated[str | None, tyro.conf.DisallowNone] = None
    """Weights that the gallery was made with, if they are at another place now."""
    invert: bool = False
    """Invert the new drawings: they are light on dark. Drawings that are there already stay as they are; to invert
    them, remove them first. A gallery that cleans its drawings inverts by itself, and refuses this."""
    json: bool = False
    """Print JSON and nothing else."""
    device: Device = "auto"
    """Device to compute on; `auto`: the GPU if there is one."""


@dataclass(frozen=True)
class Remove:
    """Take drawings out of a gallery; their files stay."""

    gallery: Annotated[Path, tyro.conf.Positional]
    """Gallery folder, as made by `sketchloss gallery build`."""
    paths: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Drawings to take out, and folders with all drawings below them; the files may be gone."""
    label: Annotated[str | None, tyro.conf.DisallowNone] = None
    """Also take out all drawings with this label. `birds/owl` takes out those with the label `birds` that lie in a
    folder `birds/owl`."""
    json: bool = False
    """Print JSON and nothing else."""


@dataclass(frozen=True)
class Search:
    """Find the drawings of a gallery that look most like given ones.

    Search with files (QUERIES), with drawings of the gallery (--like), or with every drawing of the gallery (--all).
    """

    gallery: Annotated[Path, tyro.conf.Positional]
    """Gallery folder, as made by `sketchloss gallery build`."""
    queries: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[QUERIES]")] = ()
    """Drawings to look for, or folders of them. A file whose content is in the gallery is not embedded again."""
    like: tuple[Path, ...] = ()
    """Paths of drawings of the gallery to look for. Their stored embeddings are used: no network is loaded, and the
    files may be gone. A drawing is not in its own results."""
    all: bool = False
    """Search with every drawing of the gallery, from the stored embeddings. A drawing is not in its own results."""
    k: Annotated[int, tyro.conf.arg(aliases=("-k",))] = 10
    """Number of drawings to find for each query."""
    label: Annotated[str | None, tyro.conf.DisallowNone] = None
    """Find only drawings with this label. `birds/owl` finds drawings with the label `birds` that lie in a folder
    `birds/owl`, at any depth below it."""
    min_similarity: Annotated[float | None, tyro.conf.DisallowNone] = None
    """Find only drawings with at least this similarity: a cosine in [-1, 1], 1 for the same drawing."""
    copies: bool = False
    """Show every file as a result of its own. Otherwise files with the same content are one result, with the other
    paths in it."""
    sheet: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Picture to write, which shows each query with what was found."""
    html: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """HTML page to write, with small pictures of the queries and of what was found. It is one file and opens without
    the network."""
    csv: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """CSV file to write, with a row for each drawing found."""
    copy_to: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Folder to copy the drawings found into; the names begin with the rank. With several queries, each gets a folder
    in it. No file is overwritten."""
    exact: bool = False
    """Compare all drawings even where the gallery has an index."""
    weights: Annotated[str | None, tyro.conf.DisallowNone] = None
    """Weights that the gallery was made with, if they are at another place now."""
    invert: bool = False
    """Invert the queries: they are light on dark, or light on a transparent ground. A gallery that cleans its drawings
    inverts by itself, and refuses this."""
    rotations: bool = False
    """Search with each query as it is and turned by 90, 180 and 270 degrees, and keep the greatest similarity. It is
    four times the work."""
    json: bool = False
    """Print JSON and nothing else."""
    device: Device = "auto"
    """Device to compute on; `auto`: the GPU if there is one."""


@dataclass(frozen=True)
class Clusters:
    """Group the drawings of a gallery that look alike, from the stored embeddings; no network is loaded."""

    gallery: Annotated[Path, tyro.conf.Positional]
    """Gallery folder, as made by `sketchloss gallery build`."""
    count: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Number of clusters. If it is not given, it is chosen by how well the clusters are apart (silhouette)."""
    sheets: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """New folder to write pictures into: `overview.png` with a row for each cluster, and a picture of each cluster's
    drawings."""
    json: bool = False
    """Print JSON and nothing else, with the path of every drawing."""


@dataclass(frozen=True)
class Show:
    """Show what is in a gallery, what made it, and which drawings' files are gone."""

    gallery: Annotated[Path, tyro.conf.Positional]
    """Gallery folder, as made by `sketchloss gallery build`."""
    json: bool = False
    """Print JSON and nothing else."""
