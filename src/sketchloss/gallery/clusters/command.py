"""The command `sketchloss gallery clusters`: groups of drawings that look alike, as text, as JSON and as pictures.

sketchloss gallery clusters my-gallery --sheets clusters/
"""

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sketchloss.figures.contact_sheet import Tile, draw_contact_sheet, sheet_size
from sketchloss.figures.grid import draw_grid
from sketchloss.gallery import Gallery
from sketchloss.gallery.clusters.finding import central_first, find_clusters
from sketchloss.gallery.options import Clusters
from sketchloss.gallery.outputs import check_folder
from sketchloss.gallery.paths import as_text, to_path
from sketchloss.gallery.printing import count_drawings, print_json, print_lines
from sketchloss.gallery.small_pictures import no_picture, small_picture
from sketchloss.gallery.table import Known
from sketchloss.system.images import save_picture

#: Labels and names that a line of text holds.
LABELS, NAMES = 3, 4
#: Drawings in a row of the overview, and of a cluster's own picture: columns, and at most.
OVERVIEW, COLUMNS, SHOWN = 9, 10, 100
LEAST_COLUMNS = 5  # a narrower picture would cut its title
OVERVIEW_FILE = "overview.png"
SIDE = 96


@dataclass(frozen=True)
class Cluster:
    """Drawings that look alike."""

    rows: tuple[Known, ...]
    """The drawings, the most central first; of files with the same content only the first one."""
    copies: int
    """Number of further files with the content of one of them."""

    @property
    def size(self) -> int:
        """Number of files."""
        return len(self.rows) + self.copies

    def labels(self) -> list[tuple[str | None, int]]:
        """Return the labels of the different drawings and how many have each, the most frequent first."""
        return sorted(Counter(row.label for row in self.rows).items(), key=lambda item: (-item[1], item[0] or ""))


def clusters(config: Clusters) -> None:
    """Run `sketchloss gallery clusters`.

    Raises:
        ValueError: for an empty or damaged gallery, a count out of range, or a folder that cannot be written to.
    """
    gallery = Gallery.open(config.gallery)
    gallery.check_filled()
    if config.sheets:
        check_folder(config.sheets, "--sheets", gallery)
        if config.sheets.exists() and any(config.sheets.iterdir()):
            raise ValueError(f"{config.sheets} is not empty, and nothing is overwritten: name a new folder")
    found = cluster_gallery(gallery, config.count)
    if config.sheets:
        _write_sheets(found, config.sheets, gallery)
    if config.json:
        print_json(
            {
                "gallery": str(gallery.folder),
                "clusters": [
                    {
                        "size": cluster.size,
                        "labels": [{"label": label, "drawings": count} for label, count in cluster.labels()],
                        "paths": [str(to_path(row)) for row in cluster.rows],
                        "copies": cluster.copies,
                    }
                    for cluster in found
                ],
                "sheets": None if config.sheets is None else str(config.sheets),
            }
        )
        return
    lines = [f"{count_drawings(sum(cluster.size for cluster in found))} in {_count_clusters(found)}"]
    root = os.path.commonpath([os.path.dirname(row.path) for cluster in found for row in cluster.rows])  # noqa: PTH120 (bytes)
    for number, cluster in enumerate(found, start=1):
        # Below the folder that holds all of them: names alone are often the same in each class.
        names = ", ".join(as_text(os.path.relpath(row.path, root)) for row in cluster.rows[:NAMES])
        more = ", ..." if len(cluster.rows) > NAMES else ""
        lines.append(f"{number:5}  {count_drawings(cluster.size):>16}  {_in_words(cluster)}: {names}{more}")
    print_lines([*lines, f"sheets: {as_text(config.sheets)}"] if config.sheets else lines)


def cluster_gallery(gallery: Gallery, count: int | None = None) -> list[Cluster]:
    """Group the drawings of a gallery by their stored embeddings, the largest cluster first.

    Files with the same content count as one drawing.

    Args:
        gallery: gallery with at least one drawing.
        count: as for `find_clusters`.

    Raises:
        ValueError: as `find_clusters`.
    """
    rows, vectors = gallery.table.vectors()
    order = sorted(range(len(rows)), key=lambda place: rows[place].path)
    first: dict[str, int] = {}
    for place in order:
        first.setdefault(rows[place].hash, place)
    files = Counter(row.hash for row in rows)
    different = np.array(list(first.values()))
    found = []
    for members in central_first(vectors[different], find_clusters(vectors[different], count)):
        drawings = tuple(rows[place] for place in different[members])
        found.append(Cluster(drawings, sum(files[row.hash] - 1 for row in drawings)))
    return found


def _count_clusters(found: Sequence[Cluster]) -> str:
    return f"{len(found):,} cluster{'s' * (len(found) != 1)}"


def _in_words(cluster: Cluster) -> str:
    named = [(as_text(label), count) for label, count in cluster.labels() if label is not None]
    more = ", ..." if len(named) > LABELS else ""
    return ", ".join(f"{label} ({count:,})" for label, count in named[:LABELS]) + more if named else "no labels"


def _write_sheets(found: Sequence[Cluster], folder: Path, gallery: Gallery) -> None:
    title = f"{gallery.folder.name}: {_count_clusters(found)}"
    sheet_size([min(len(cluster.rows), OVERVIEW) - 1 for cluster in found], title=title)  # refused before anything
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    try:
        overview = []
        for number, cluster in enumerate(found, start=1):
            central, *others = (_tile(row) for row in cluster.rows[:OVERVIEW])
            overview.append((central, others))
            written.append(folder / f"cluster-{number:0{len(str(len(found)))}}.png")
            save_picture(_draw_cluster(number, cluster), written[-1])
        save_picture(draw_contact_sheet(overview, title=title), folder / OVERVIEW_FILE)
    except BaseException:
        # All of them or none; what others have put there meanwhile stays.
        for file in written:
            file.unlink(missing_ok=True)
        if made:
            with suppress(OSError):
                folder.rmdir()
        raise


def _tile(row: Known) -> Tile:
    path = to_path(row)
    return Tile(small_picture(path) or no_picture(), as_text(row.label or path.name))


def _draw_cluster(number: int, cluster: Cluster) -> Image.Image:
    shown = [small_picture(to_path(row)) or no_picture() for row in cluster.rows[:SHOWN]]
    columns = min(COLUMNS, max(LEAST_COLUMNS, len(shown)))
    shown += [Image.new("L", (8, 8), 255)] * (-len(shown) % columns)
    rows = [shown[start : start + columns] for start in range(0, len(shown), columns)]
    part = f", the {SHOWN} most central" if len(cluster.rows) > SHOWN else ""
    return draw_grid(rows, side=SIDE, title=f"{number}: {count_drawings(cluster.size)}{part}; {_in_words(cluster)}")
