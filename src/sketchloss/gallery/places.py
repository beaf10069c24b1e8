"""Where a gallery lies, and the few files beside its table: a folder, or a folder in object storage (`s3://...`)."""

import json
import os
import re
import shutil
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchloss.gallery.damage import told
from sketchloss.system.files import parse_json, read_json, write_json

if TYPE_CHECKING:
    from obstore.store import S3Store


@dataclass(frozen=True)
class Bucket:
    """A folder in object storage that speaks S3. The variables `AWS_...` of the environment say where and who."""

    uri: str
    """Such as `s3://bucket/gallery`."""

    def __str__(self) -> str:
        return self.uri

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.uri.rpartition("/")[2]

    @property
    def store(self) -> "S3Store":
        """What reads and writes its objects, by paths below it."""
        return _store(self.uri)


Place = Path | Bucket


@cache
def _store(uri: str) -> "S3Store":
    from obstore.store import S3Store  # here: galleries on disk do not need it

    return S3Store.from_url(uri, retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)})


def to_place(folder: str | Path | Bucket) -> Place:
    """Return where a gallery lies.

    Args:
        folder: a path, which is made absolute, but not resolved: links keep their names; or an address.

    Raises:
        ValueError: for an address of a bucket without a folder in it, or with `#`, `?` or `%`, which mean something
            else in an address.
    """
    if isinstance(folder, Bucket):
        return folder
    # A `Path` of an address has one slash where it had two.
    address = re.fullmatch(r"s3:(?:/+([^/]*)/*(.*?)/*)?", str(folder))
    if address is None:
        return Path(os.path.abspath(folder))  # noqa: PTH100 (not resolved)
    if not all(address.groups()):
        given = f"s3://{address[1] or ''}" + (f"/{address[2]}" if address[2] else "")
        raise ValueError(f"{given} names no folder in a bucket: use an address such as s3://bucket/my-gallery")
    whole = f"s3://{address[1]}/{address[2]}"
    if special := re.search("[#?%]", address[2]):
        raise ValueError(f"{whole} has {special[0]!r} in it, which means something else in an address: leave it out")
    return Bucket(whole)


def within(place: Place, name: str) -> Place:
    """Return the place of a folder in a place."""
    return place / name if isinstance(place, Path) else Bucket(f"{place}/{name}")


def has(place: Place, name: str) -> bool:
    """Tell whether there is a file of this name."""
    if isinstance(place, Path):
        return (place / name).is_file()
    with told(place):
        try:
            place.store.get(name)  # not `head`, whose answer does not say that there is no bucket
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise
            return False
        return True


def load(place: Place, name: str) -> dict[str, Any]:
    """Return what is in a JSON file.

    Raises:
        ValueError: if it holds none.
    """
    if isinstance(place, Path):
        return read_json(place / name)
    with told(place):
        content = bytes(place.store.get(name).bytes())
    value = parse_json(content)
    if not isinstance(value, dict):
        raise ValueError(f"{place}/{name} must hold an object, {{...}}")
    return value


def save(place: Place, name: str, value: dict[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    if isinstance(place, Path):
        write_json(place / name, value)
        return
    with told(place):
        place.store.put(name, json.dumps(value, indent=2, ensure_ascii=False).encode())


def names(place: Place) -> set[str]:
    """Return the names of files and folders directly in a place."""
    if isinstance(place, Path):
        return {path.name for path in place.iterdir()} if place.is_dir() else set()
    with told(place):
        found = place.store.list_with_delimiter()
        return {*(item["path"] for item in found["objects"]), *found["common_prefixes"]}


def remove(place: Place, name: str) -> None:
    """Remove a file, or a folder with all that is in it, if it is there."""
    if isinstance(place, Path):
        if (place / name).is_dir():
            shutil.rmtree(place / name, ignore_errors=True)
        else:
            (place / name).unlink(missing_ok=True)
        return
    with told(place):
        place.store.delete([name, *(item["path"] for items in place.store.list(name) for item in items)])


def count_bytes(place: Place) -> int:
    """Return the size of all files in a place."""
    if isinstance(place, Path):
        return sum(map(_bytes_of, (Path(folder, name) for folder, _, files in os.walk(place) for name in files)))
    with told(place):
        return sum(item["size"] for items in place.store.list() for item in items)


def _bytes_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # a writer has just removed it, or a link leads nowhere
        return 0
