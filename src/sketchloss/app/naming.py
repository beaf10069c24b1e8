"""What a visitor may read of the file of a drawing: its name, and a path that gives nothing away.

- A visitor's own gallery: the name that the file has in the uploaded archive.
- A gallery of the person who runs the server: the whole path if only this computer can open the page, because that
  person alone can then see it; otherwise the path from the folder of the drawing's class on.

All of it is text in one line, without control characters.
"""

from dataclasses import dataclass
from pathlib import Path

from sketchloss.gallery.paths import as_text
from sketchloss.system.files import write_atomic

#: Beside a visitor's gallery: the names in the archive, a line for each number that a drawing was unpacked under.
NAMES = "names.txt"
#: Characters of a name in an archive that are kept, from its end.
LONGEST = 300


@dataclass(frozen=True)
class Called:
    """Name and path of a drawing, as a visitor may read them."""

    name: str
    path: str


def called(path: Path, label: str | None, *, own: bool, full_paths: bool) -> Called:
    """Say how a drawing of a gallery is called.

    Args:
        path: its file.
        label: its label.
        own: it is of a visitor's own gallery.
        full_paths: whether paths of this computer may be shown.
    """
    if own:
        name = _name_in_archive(path)
        return Called(name.rpartition("/")[2], name)
    name = as_text(path.name)
    return Called(name, as_text(path) if full_paths else _below(path, label))


def write_names(folder: Path, names: list[str]) -> None:
    """Keep what an archive calls its drawings, beside the gallery that is made of it."""
    lines = [as_text(name.replace("\\", "/"))[-LONGEST:] for name in names]
    with write_atomic(folder / NAMES) as place:
        place.write_text("\n".join(lines), encoding="utf-8")


def _name_in_archive(path: Path) -> str:
    """Return the name that a drawing has in the archive; its number if that is not known any more."""
    for folder in path.parents[:3]:  # the drawings' folder, or that of a label in it, lies beside the names
        if (folder / NAMES).is_file():
            lines = (folder / NAMES).read_text(encoding="utf-8").split("\n")
            return lines[int(path.stem)]
    return as_text(path.name)


def _below(path: Path, label: str | None) -> str:
    """Return the path from the folder that gave the label on: that one lies directly in a folder that was added.

    Where several folders have this name, it is the last. So nothing above the added folder is told.
    """
    folders = [as_text(part) for part in path.parent.parts]
    if label not in folders:
        return as_text(path.name)
    first = len(folders) - 1 - folders[::-1].index(label)
    return "/".join([*folders[first:], as_text(path.name)])
