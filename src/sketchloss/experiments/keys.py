"""Keys of cells: every setting that decides the result, and a mark that tells whether files have changed."""

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sketchloss.data.sources import split_sources
from sketchloss.experiments.cells import ANYWHERE
from sketchloss.experiments.guiding_losses import BESIDE
from sketchloss.networks.arms import read_arms
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.weights import load_backbone, weights_digest
from sketchloss.system.setting_fields import decides_result

#: Of a large file, so many bytes at both ends tell whether it has changed.
_END = 65_536
#: Settings that name files, of which a key of today says something even where an experiment does not have them.
_ALWAYS: tuple[str, ...] = (
    "weights",
    "photo",
    "extractors",
    "data",
    "content",
    "sets",
    "triplets",
    "inception",
    "base",
    "clip_model",
)


def decisive(recipe: type, settings: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Return every setting of an experiment that decides its result, defaults included, JSON-ready.

    Args:
        recipe: its dataclass, whose fields say what they decide (`setting_fields.py`).
        settings: those that are not its defaults.
        start: weights of the network that is measured.
    """
    items = [item for item in dataclasses.fields(recipe) if decides_result(item)]
    found = {}
    for item in items:
        if item.name in settings:
            found[item.name] = settings[item.name]
        elif item.default is not dataclasses.MISSING:
            found[item.name] = item.default
        else:
            assert item.default_factory is not dataclasses.MISSING, f"{recipe.__name__} needs {item.name}"
            found[item.name] = item.default_factory()
    if found.get("arm") == ():  # so that cells from before there were further arms are found
        del found["arm"]
    for item in items:
        if item.metadata.get("later") and found[item.name] == item.default:
            del found[item.name]
    for item in items:
        if "own_layers" in item.metadata and not found[item.name]:
            of = item.metadata["layers_of"]
            found[item.name] = item.metadata["own_layers"](network_of(found[of][0] if of else start))
    named = [item.name for item in items if item.metadata.get("names") in ("files", "weights")]
    anywhere = {name: _whichever_folder(found[name]) for name in named if found.get(name)}
    return json.loads(json.dumps({**found, "files": _fingerprints(items, found), ANYWHERE: anywhere}, default=str))


@functools.cache
def network_of(weights: str) -> Backbone:
    """Return the network of weights, to ask for its layers; a VGG if they cannot be loaded, which is an error later."""
    try:
        return load_backbone(weights, classes=())
    except (OSError, ValueError):
        return Backbone(width=0.125)


def _fingerprints(items: "list[dataclasses.Field[Any]]", settings: Mapping[str, Any]) -> dict[str, str]:
    """Return what tells whether the files behind some settings are still those that they were."""
    found: dict[str, str] = dict.fromkeys(_ALWAYS, "")
    for item in items:
        value = settings.get(item.name) or ()
        sources = [value] if isinstance(value, str | Path) else value
        match item.metadata.get("names"):
            case "weights":
                found[item.name] = " ".join(weights_fingerprint(str(source)) for source in sources)
            case "files":
                parts = (str(part) for source in sources for part in split_sources(source))
                found[item.name] = " ".join(map(_files_fingerprint, parts))
            case "loss":
                files = (str(source).removeprefix(BESIDE).rpartition(":")[0] for source in sources)
                found[item.name] = " ".join(_files_fingerprint(file) for file in files if file.endswith(".py"))
            case _:
                pass
    if isinstance(arms := settings.get("arm"), tuple):
        given = [weights for arm in read_arms(arms).values() for weights in arm.weights]
        found["arm"] = " ".join(map(weights_fingerprint, given))
    return found


@functools.cache
def weights_fingerprint(name: str) -> str:
    """Return the digest of weights; empty if they cannot be loaded, which is an error later."""
    try:
        return weights_digest(load_backbone(name, classes=()))
    except (OSError, ValueError):  # said when they are needed; until then a plan can be made without
        return ""


@functools.cache
def _files_fingerprint(source: str) -> str:
    """Return a digest of the files that a source lies in, by their names within it, sizes and content.

    Of a large file it is the content of both ends. Empty if the source lies in no file.
    """
    path = _path_in(source)[1]
    place = Path(path).expanduser()
    files = [] if not path else list(_files_below(place)) if place.is_dir() else [place] if place.is_file() else []
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(place)}\n".encode(errors="surrogateescape"))
        with suppress(OSError), file.open("rb") as opened:  # a broken link, or no right: whoever reads it says so
            size = file.stat().st_size
            digest.update(f"{size}\n".encode())
            digest.update(opened.read(_END))
            opened.seek(max(opened.tell(), size - _END))
            digest.update(opened.read(_END))
    return digest.hexdigest() if files else ""


def _path_in(source: str) -> tuple[str, str, str]:
    """Return what stands before the path of a source, KIND:PATH?SETTING, the path, and what stands after it.

    Built-in doodles have no path.
    """
    if re.match(r"doodles($|\?)", source):  # whatever lies in this folder
        return source, "", ""
    before, path, after = "", source, ""
    kind, colon, rest = path.partition(":")
    if colon and kind.isalnum() and not Path(path).expanduser().exists():  # fs2k:PATH
        before, path = kind + colon, rest
    if "?" in path and not Path(path).expanduser().exists():  # and not a folder with such a name
        path, question, setting = path.rpartition("?")
        after = question + setting
    return before, path, after


def _whichever_folder(value: "str | Path | tuple[str, ...]") -> "str | list[str]":
    """Return a setting that names files or weights without the folders that they lie in."""
    if isinstance(value, tuple | list):
        return [",".join(map(_without_folders, map(str, split_sources(one)))) for one in value]
    return ",".join(map(_without_folders, map(str, split_sources(value))))


def _without_folders(source: str) -> str:
    """Return a source with the last name of its path alone if it is on disk: the same files may lie elsewhere."""
    before, path, after = _path_in(source)
    place = Path(path).expanduser()
    return f"{before}{place.name}{after}" if path and place.exists() else source


def _files_below(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Find files as `find_pictures` does: linked folders are entered, hidden files and folders are not."""
    here = folder.resolve()
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name) if here not in above else ():
        if entry.is_dir() and not entry.name.startswith("."):
            yield from _files_below(entry, above | {here})
        elif not entry.name.startswith("."):
            yield entry
