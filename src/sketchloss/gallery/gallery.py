"""A gallery: embeddings of many pictures on disk; made, added to and taken from here, searched in `searching.py`.

A gallery is one folder: a LanceDB table with a row for each picture, and `gallery.json`, which says what embedded them.
Paths are kept absolute, so a gallery can be used from anywhere. Where pictures were moved to another place, `add` that
place: they are known by their content.
"""

import functools
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sketchloss.gallery.adding import Adding, AddReport, Progress, Walk, walk
from sketchloss.gallery.labels import label_condition
from sketchloss.gallery.looking import Looking
from sketchloss.gallery.options import Labels
from sketchloss.gallery.paths import as_text, is_below, to_bytes, to_path
from sketchloss.gallery.places import Bucket, Place, remove, to_place
from sketchloss.gallery.reading import INVERTS_ITSELF
from sketchloss.gallery.searching import SearchableGallery
from sketchloss.gallery.settings import (
    FILE,
    Device,
    Precision,
    Settings,
    Weights,
    is_gallery,
    load_weights,
    name_weights,
    read_settings,
    write_settings,
)
from sketchloss.gallery.table import LOCK, TABLE, PictureTable, check_place, writing
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.weights import weights_digest
from sketchloss.system.picture_pages import split_page, with_page

EXACT_BELOW = 50_000
LARGEST_SIDE = 2048  # more is a slip of the hand, and takes all memory


class Gallery(SearchableGallery):
    """A folder with the embeddings of many pictures; made by `create` or `build`, opened by `open`.

    Several processes may search it at once, also while one adds; several that write take turns.
    """

    def __reduce__(self) -> tuple[Callable[..., "Gallery"], tuple[Place]]:
        # note: opened anew where it is sent, because a connection to the table cannot be sent
        return functools.partial(Gallery.open, weights=self._weights, device=self._device), (self.folder,)

    # Making and opening ----------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        folder: str | Path | Bucket,
        *,
        weights: Weights = "sketch",
        image_size: int = 128,
        layer: str = "",
        exact_below: int = EXACT_BELOW,
        clean: bool = False,
        precision: Precision = "no",
        device: Device = "auto",
    ) -> "Gallery":
        """Make an empty gallery.

        Args:
            folder: folder to make the gallery in, new or empty.
            weights: as for `load_backbone`, or a backbone.
            image_size: side in pixels of the square that pictures are fitted into.
            layer: layer whose features, averaged over positions, are the embedding; empty: the `embedding_layer`.
            exact_below: number of rows from which on an approximate index is made and used.
            clean: clean every picture that is added, and every query, as `clean_page` does: for scans and photographs.
            precision: `no`: float32; `bf16`: pictures and queries are embedded under autocast to bfloat16, which is
                quicker on CPUs and GPUs that have it; on others it is float32.
            device: device to compute on; `auto`: the GPU if there is one.

        Raises:
            ValueError: if the folder holds a gallery or anything else, or a setting is out of range.
        """
        folder = to_place(folder)
        check_place(folder)
        if is_gallery(folder):
            raise ValueError(f"{folder} is a gallery already: open it, or name a new folder")
        is_there = isinstance(folder, Bucket) or folder.exists()
        if is_there and not PictureTable.can_be_made_in(folder):
            raise ValueError(f"{folder} is there and is no empty folder: name a new folder for the gallery")
        backbone = load_weights(weights, device)
        layer = layer or backbone.embedding_layer
        _check_range(backbone, image_size=image_size, layer=layer, exact_below=exact_below)
        dimension = backbone.channels(layer)
        digest = weights_digest(backbone)
        chosen = {"clean": clean, "precision": precision}
        settings = Settings(name_weights(weights), digest, image_size, layer, exact_below, built=True, **chosen)
        if isinstance(folder, Path):
            folder.mkdir(parents=True, exist_ok=True)
        with writing(folder, wait=None):
            if is_gallery(folder):
                raise ValueError(f"{folder} has just become a gallery by another process: add to that one")
            PictureTable.create(folder, dimension, exact_below)
            write_settings(folder, settings)  # last: a folder without it is no gallery yet
        gallery = cls(folder, settings, weights, device)
        gallery.__dict__["backbone"] = backbone  # so that it is not loaded twice
        return gallery

    @classmethod
    def open(cls, folder: str | Path | Bucket, *, weights: Weights | None = None, device: Device = "auto") -> "Gallery":
        """Open a gallery.

        Args:
            folder: folder of the gallery, as given to `create`.
            weights: weights that it was made with; by default found by the name in its settings. They are loaded, and
                compared with the gallery's fingerprint, when a picture is embedded.
            device: as for `create`.

        Raises:
            ValueError: if the folder is no gallery, or a damaged one.
            FileNotFoundError: if it does not exist.
        """
        folder = to_place(folder)
        return cls(folder, read_settings(folder), weights, device)

    @classmethod
    def build(
        cls,
        folder: str | Path | Bucket,
        pictures: Sequence[str | Path],
        *,
        labels: Labels = "folder",
        invert: bool = False,
        progress: Progress = False,
        **settings,
    ) -> tuple["Gallery", AddReport]:
        """Make a gallery of the pictures in some folders; continue where an earlier call was interrupted.

        Args:
            folder: new, empty, or a gallery that holds nothing or whose building was interrupted.
            pictures: folders of pictures.
            labels: as for `add`.
            invert: as for `add`.
            progress: as for `add`.
            settings: as for `create`.

        Raises:
            ValueError: if the gallery is there already, as `create`, as `add`, or if no picture can be read, in which
                case a gallery that was not there before is removed again.
        """
        found = walk(pictures, labels)  # a mistake here leaves nothing behind
        place = to_place(folder)
        is_new = not is_gallery(place)
        made = [path for path in (place, *place.parents) if not path.exists()] if isinstance(place, Path) else []
        gallery = cls._begin(place, settings) if is_new else cls._go_on(place, settings, progress=progress)
        try:
            report = gallery._add(found, prune=False, wait=None, progress=progress, builds=True, invert=invert)
            if not report.rows:
                count = f"{len(found.labels):,} drawing{'s' * (len(found.labels) != 1)}"
                raise ValueError(f"none of the {count} can be read, first: {report.unreadable[0]}")
        except ValueError:
            if is_new:
                gallery._unmake(made)
            raise
        return gallery, report

    @classmethod
    def _begin(cls, folder: Place, settings: dict) -> "Gallery":
        gallery = cls.create(folder, **settings)
        with writing(gallery.folder, wait=None):
            gallery._mark(built=False)
        return gallery

    @classmethod
    def _go_on(cls, folder: Place, settings: dict, *, progress: Progress) -> "Gallery":
        """Open a gallery whose building was interrupted; one that holds nothing yet is begun anew."""
        device = settings.get("device", "auto")
        gallery = cls.open(folder, weights=settings.get("weights"), device=device)
        begun = gallery.settings
        if begun.built and len(gallery):
            raise ValueError(
                f"{folder} is a gallery of {len(gallery):,} drawings already: use `sketchloss gallery add` to add "
                "to it, or name a new folder"
            )
        wanted = {name: settings.get(name, getattr(begun, name)) for name in ("image_size", "layer", "exact_below")}
        anew = "weights" in settings and not len(gallery)  # others than before may be given
        backbone = load_weights(settings["weights"], device) if anew else gallery.backbone
        usual = begun.layer if weights_digest(backbone) == begun.fingerprint else backbone.embedding_layer
        wanted["layer"] = settings.get("layer") or usual
        _check_range(backbone, **wanted)
        wanted |= {name: settings.get(name, getattr(begun, name)) for name in ("clean", "precision")}
        with writing(gallery.folder, wait=None, tell=progress is True):
            is_empty = not len(gallery)
            if is_empty:
                remove(gallery.folder, FILE)
        if is_empty:
            return cls._begin(folder, {"weights": begun.weights, **settings, **wanted})
        for name, value in wanted.items():
            if value != getattr(begun, name):
                raise ValueError(
                    f"{folder} was begun with {name} {getattr(begun, name)}, not {value}: "
                    "use that, or name a new folder"
                )
        return gallery

    def _unmake(self, folders: Sequence[Path]) -> None:
        """Remove the files of a gallery that holds nothing, and these folders if they are empty then."""
        with writing(self.folder, wait=None):
            if len(self):  # by another process
                return
            remove(self.folder, FILE)
            remove(self.folder, TABLE)
            if isinstance(self.folder, Path):  # in a bucket it is the lease, which removes itself
                remove(self.folder, LOCK)
        with suppress(OSError):
            for folder in folders:
                folder.rmdir()

    def _mark(self, *, built: bool) -> None:
        self.settings = replace(self.settings, built=built)
        write_settings(self.folder, self.settings)

    # Adding and removing ---------------------------------------------------------------------------------------------

    def add(
        self,
        folders: Sequence[str | Path],
        *,
        labels: Labels = "folder",
        prune: bool = False,
        invert: bool = False,
        wait: float | int | None = None,
        progress: Progress = False,
        workers: int | None = None,
        commit_rows: int = 1024,
    ) -> AddReport:
        """Bring the gallery up to date with the pictures in some folders and their subfolders.

        What is there already is known by its content and not embedded again. A picture whose content the gallery has
        under a path that is gone was moved; one whose content is also elsewhere is a copy, with a row of its own.
        Unreadable files are listed and left out. Each page of a PDF is a picture.

        Args:
            folders: at least one.
            labels: `folder`: a picture's label is the name of the folder directly below the given one that holds it;
                pictures directly in the given one have none. `none`: no labels. Labels given earlier stay where now
                there is none.
            prune: take out pictures below these folders whose files are gone; otherwise they are only reported.
            invert: invert the new pictures, which are light on dark; pictures that are there already stay as they are.
                Refused by a gallery that cleans its pictures: it inverts them by itself.
            wait: seconds to wait for another process that is writing; None: as long as it takes.
            progress: show a bar on stderr, if that is a terminal; or a function that gets how many drawings
                of how many are done.
            workers: number of threads that read; None: one for each core, 8 at most.
            commit_rows: most rows written at once; they are also written after 10 seconds. Written rows outlive the
                process.

        Raises:
            ValueError: if a folder holds no pictures, the weights are others than the gallery's, another process still
                writes after `wait`, or the gallery is damaged or not to be written to.
            FileNotFoundError: if a folder does not exist.
        """
        if commit_rows < 1:
            raise ValueError(f"commit_rows is {commit_rows}: it must be at least 1")
        found = walk(folders, labels)
        return self._add(
            found,
            prune=prune,
            invert=invert,
            wait=wait,
            progress=progress,
            workers=workers,
            commit_rows=commit_rows,
        )

    def _add(
        self,
        found: Walk,
        *,
        prune: bool,
        wait: float | int | None,
        progress: Progress,
        workers: int | None = None,
        commit_rows: int = 1024,
        builds: bool = False,
        invert: bool = False,
    ) -> AddReport:
        if invert and self.settings.clean:
            raise ValueError(INVERTS_ITSELF)
        assert self.backbone is not None  # refused here, before anybody waits
        with writing(self.folder, wait=wait, tell=progress is True) as check:
            adding = Adding(self.table, Looking(self, invert=invert, workers=workers), commit_rows, check)
            report = adding.run(found, prune=prune, progress=progress)
            if builds and report.rows:
                check()
                self._mark(built=True)
        return report

    def remove(
        self, paths: Sequence[str | Path] = (), *, label: str | None = None, wait: float | int | None = None
    ) -> list[Path]:
        """Take pictures out of the gallery; their files stay.

        Args:
            paths: pictures, PDFs with all their pages, and folders with all that is below them; the files may be gone.
            label: take out all pictures with this label, or in this path of folders (as for `search`), too.
            wait: as for `add`.

        Returns:
            The pictures that were taken out.

        Raises:
            ValueError: if a path or the label is not in the gallery, in which case nothing is taken out.
        """
        if not paths and label is None:
            raise ValueError("nothing is named: give paths or a label to take out of the gallery")
        with writing(self.folder, wait=wait) as check:
            rows, taken = self.table.known(), {}
            if label is not None:
                self.table.check_label(label)
                taken = {row.id: row for row in self.table.known(label_condition(label))}
            for path in paths:
                root = to_bytes(path)
                first = to_bytes(with_page(*split_page(path)))  # `scan.pdf#page=1` is known by the file's own path
                below = [row for row in rows if is_below(row.path, (root,))] or self.table.at(first)
                if not below:
                    raise ValueError(f"{as_text(root)} is not in the gallery {self.folder}: check the path")
                taken |= {row.id: row for row in below}
            check()
            self.table.delete(list(taken))
            self.table.tidy()
        return [to_path(row) for row in taken.values()]


def _check_range(backbone: Backbone, *, image_size: int, layer: str, exact_below: int) -> None:
    """Refuse settings out of range."""
    if exact_below < 1:
        raise ValueError(f"exact_below is {exact_below}: it must be at least 1")
    minimum = backbone.minimum_size((layer,))
    if image_size < minimum:
        raise ValueError(f"image_size is {image_size}: {layer} needs at least {minimum} pixels")
    if image_size > LARGEST_SIDE:
        raise ValueError(f"image_size is {image_size}: {LARGEST_SIDE} pixels at most")
