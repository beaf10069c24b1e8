"""Weights, galleries and networks that all visitors share, each loaded once."""

import hashlib
import sys
import threading
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count, product
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from platformdirs import user_cache_path

from sketchloss import __version__
from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.data.left_out import say_left_out
from sketchloss.data.names import short_name
from sketchloss.gallery import Gallery
from sketchloss.gallery.settings import is_gallery, read_settings
from sketchloss.loss.calibration import Calibration, calibration_for
from sketchloss.loss.loss import SketchLoss
from sketchloss.networks.stylizer import FORMAT as STYLIZER_FORMAT
from sketchloss.networks.stylizer import IN_PACKAGE, Stylizer, load_stylizer
from sketchloss.networks.weights import CONFIG, TENSORS, bundled_folder, weights_digest
from sketchloss.stylize import prepare_stylizer
from sketchloss.system.files import read_json
from sketchloss.system.images import save_picture
from sketchloss.system.passed_over import other_kinds
from sketchloss.system.picture_files import find_pictures

#: Side of the square that compared drawings are fitted into, as `sketchloss compare` does.
COMPARED_AT = 256
DOODLES = "doodles"
DOODLES_PER_KIND = 6
DOODLE_SIZE = 256
BUILT_IN_STYLE = bundled_folder(IN_PACKAGE)
#: Seconds that a visitor waits for a gallery that is being made, before he is asked to come back.
PATIENCE = 120.0


@dataclass
class Services:
    """Everything that the page needs: the loss, galleries, networks and a study's report."""

    loss: SketchLoss
    """The loss that compares drawings. Galleries that were made with the same weights share its backbone."""
    weights: str
    fingerprint: str
    calibration: Calibration | None
    """Distances of known pairs for the weights of the loss; None if there are none."""
    galleries: dict[str, "Future[Gallery]"]
    """Name -> a gallery that is finished, or being made."""
    styles: dict[str, Path]
    """Name -> the folder of a network that turns photos into sketches."""
    report: Path | None
    """A study's `report.html`; None: there is no study to show."""
    full_paths: bool = False
    """Whether visitors may read where the shared galleries' drawings lie on this computer."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    stylizers: dict[str, Stylizer] = field(default_factory=dict)

    def gallery(self, name: str, own: Mapping[str, str]) -> Gallery:
        """Return a gallery by its name: a shared one, or one of this visitor's own.

        Raises:
            ValueError: if there is none of that name, or it is not there yet after `PATIENCE` seconds.
        """
        if name in own:
            return self.open_gallery(Path(own[name]))
        if name not in self.galleries:
            raise ValueError(f"there is no gallery {name!r}: choose from {', '.join((*self.galleries, *own))}")
        try:
            return self.galleries[name].result(PATIENCE)
        except TimeoutError:
            raise ValueError(f"the gallery {name!r} is still being made: try again in a few minutes") from None

    def open_gallery(self, folder: Path) -> Gallery:
        """Open a gallery; its weights are the loss's where they are the same."""
        mine = read_settings(folder).fingerprint == self.fingerprint
        return Gallery.open(folder, weights=self.loss.backbone if mine else None)

    def stylizer(self, name: str) -> Stylizer:
        """Return a network by its name, loaded once.

        Raises:
            ValueError: if there is none of that name, or it is damaged.
        """
        if name not in self.styles:
            raise ValueError(f"there is no style {name!r}: choose from {', '.join(self.styles) or 'none'}")
        with self.lock:
            if name not in self.stylizers:
                self.stylizers[name] = prepare_stylizer(load_stylizer(self.styles[name]))
            return self.stylizers[name]


def open_services(
    *,
    weights: str = "sketch",
    galleries: Sequence[Path] = (),
    styles: Sequence[Path] = (),
    study: Path | None = None,
    cache: Path | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> Services:
    """Load the weights, and find galleries and networks.

    Args:
        weights: as for `load_backbone`.
        galleries: galleries, or folders of drawings, of which galleries are made in the cache.
        styles: run folders of `sketchloss style train`, or folders that hold some.
        study: folder of `sketchloss study`.
        cache: where galleries are made; None: the user's cache folder.
        say: is told in one line what takes long.

    Raises:
        ValueError: for folders that are neither, or hold nothing.
        FileNotFoundError: if one does not exist.
    """
    try:
        cache = cache or user_cache_path("sketchloss", appauthor=False)
    except RuntimeError:  # a user without a home folder, as in some containers
        raise ValueError("there is no home folder to keep galleries in: set XDG_CACHE_HOME to a folder") from None
    for path in (*galleries, *styles, *([study] if study else [])):
        if not path.is_dir():
            what = "is a file" if path.exists() else "does not exist"
            raise FileNotFoundError(f"{path} {what}: give a folder")
    report = _find_report(study)
    loss = SketchLoss(weights, check=False).to("cuda" if torch.cuda.is_available() else "cpu")
    fingerprint = weights_digest(loss.backbone)
    services = Services(
        loss, weights, fingerprint, calibration_for(loss, COMPARED_AT), {}, _find_styles(styles, study), report
    )
    for folder in galleries:
        services.galleries[new_name(folder.resolve().name, services.galleries)] = _done(
            _open_or_build(folder, services, cache, say)
        )
    services.galleries[new_name(DOODLES, services.galleries)] = _in_background(lambda: _open_doodles(services, cache))
    return services


# Galleries -----------------------------------------------------------------------------------------------------------


def _open_or_build(folder: Path, services: Services, cache: Path, say: Callable[[str], object]) -> Gallery:
    if is_gallery(folder):
        gallery = services.open_gallery(folder)
        if not len(gallery):
            raise ValueError(f"the gallery {folder} is empty: add drawings first, with `sketchloss gallery add`")
        return gallery
    pictures = find_pictures(folder)
    if not pictures:
        why = f"{folder} is no gallery and holds no pictures: give one, or a folder of drawings"
        raise ValueError("; ".join([why, *other_kinds(folder)]))
    say(f"making a gallery of the {len(pictures):,} drawings in {folder}, or bringing it up to date")
    name = f"{folder.resolve().name}-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]}"
    return _bring_up_to_date(cache / "galleries" / f"{name}-{services.fingerprint[:8]}", folder, services, say)


def _bring_up_to_date(place: Path, folder: Path, services: Services, say: Callable[[str], object]) -> Gallery:
    place.parent.mkdir(parents=True, exist_ok=True)
    if is_gallery(place) and read_settings(place).built:
        report = services.open_gallery(place).add([folder], prune=True, progress=True)
    else:
        _, report = Gallery.build(place, [folder], weights=services.weights, progress=True)
    say_left_out(str(folder), report.unreadable, report.passed_over, say=say)
    return services.open_gallery(place)


def _open_doodles(services: Services, cache: Path) -> Gallery:
    """Return the gallery of built-in drawings; they are drawn, and it is made, when there is none yet."""
    place = cache / f"doodles-{__version__}"
    folder, drawings = place / f"gallery-{services.fingerprint[:8]}", place / "drawings"
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / ".lock"):  # two servers may start at once
        if not (is_gallery(folder) and read_settings(folder).built):
            for kind, number in product(KINDS, range(DOODLES_PER_KIND)):
                path = drawings / kind / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                save_picture(doodle(kind, number).sketch(DOODLE_SIZE), path)
            Gallery.build(folder, [drawings], weights=services.weights)
    return services.open_gallery(folder)


def _in_background(make: Callable[[], Gallery]) -> "Future[Gallery]":
    """Make a gallery while the page is there already."""
    future: Future[Gallery] = Future()

    def run() -> None:
        try:
            future.set_result(make())
        except Exception as error:  # noqa: BLE001 (whoever waits must hear of it)
            mend = "; set XDG_CACHE_HOME to a folder that can be written to" * isinstance(error, PermissionError)
            sys.stderr.write(f"no doodles to search: {' '.join(str(error).split())}{mend}\n")
            future.set_exception(ValueError("the built-in doodles could not be drawn: see the server's terminal"))

    # note: a daemon, because the server need not wait for it to end; what is begun is gone on with the next time
    threading.Thread(target=run, daemon=True).start()
    return future


def _done(gallery: Gallery) -> "Future[Gallery]":
    future: Future[Gallery] = Future()
    future.set_result(gallery)
    return future


# Styles and study ----------------------------------------------------------------------------------------------------


def _find_styles(folders: Sequence[Path], study: Path | None) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in (BUILT_IN_STYLE, *folders, *([study] if study else [])):
        here = list(_stylizers_below(folder))
        if not here and folder in folders:
            raise ValueError(f"{folder} holds no network that turns photos into sketches: give a run of style train")
        for place in here:
            found[new_name(_style_name(place), found)] = place
    return found


def _stylizers_below(folder: Path) -> Iterator[Path]:
    for config in sorted(folder.rglob(CONFIG)):
        if (config.parent / TENSORS).is_file() and _stored(config).get("format") == STYLIZER_FORMAT:
            yield config.parent


def _style_name(place: Path) -> str:
    if place == BUILT_IN_STYLE:
        return "pencil (built in)"
    stored = _stored(place / CONFIG)
    return " with ".join(part for part in (short_name(stored.get("style") or place.name), stored.get("arm")) if part)


def _stored(config: Path) -> dict[str, Any]:
    try:
        return read_json(config)
    except (OSError, ValueError):
        return {}


def _find_report(study: Path | None) -> Path | None:
    if study is None:
        return None
    report = study / "report.html"
    if not report.is_file():
        raise FileNotFoundError(f"{study} holds no report.html: give the folder of a finished `sketchloss study`")
    return report


def new_name(name: str, taken: Container[str]) -> str:
    """Return a name that is not taken yet: the name, or with a number."""
    numbered = (f"{name} ({number})" for number in count(2))
    return name if name not in taken else next(other for other in numbered if other not in taken)
