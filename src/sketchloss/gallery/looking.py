"""Files of pictures for a gallery: read, hashed and decoded in threads, while the network embeds those before them."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from io import BufferedReader, BytesIO
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from sketchloss.gallery.paths import as_text
from sketchloss.gallery.reading import read
from sketchloss.system.ahead import in_threads
from sketchloss.system.files import NoFile, open_input
from sketchloss.system.images import UnreadablePicture
from sketchloss.system.picture_pages import split_page

if TYPE_CHECKING:
    from sketchloss.gallery.searching import SearchableGallery

#: Batches of the network that a process looks at in a round, where several share the work.
BATCHES = 4


@dataclass(frozen=True, eq=False)
class Seen:
    """A file that was looked at."""

    path: bytes
    hash: str = ""
    size: int = 0
    image: Float[Tensor, "3 s s"] | None = None
    """The picture, until it is embedded; None if the content is known already."""
    embedding: Float32[np.ndarray, " d"] | None = None
    unreadable: str = ""


class Looking:
    """Looks at files for a gallery: reads and hashes them, and embeds those whose content is not known.

    A process that this is sent to opens the gallery anew.

    Args:
        gallery: gallery to look for.
        invert: the drawings are light on dark.
        workers: threads that read; None: one for each core, 8 at most.
    """

    def __init__(self, gallery: "SearchableGallery", *, invert: bool = False, workers: int | None = None) -> None:
        self.gallery, self.invert = gallery, invert
        self.workers = min(8, os.cpu_count() or 1) if workers is None else workers
        self.batch = gallery.batch

    def __reduce__(self) -> tuple:
        return partial(Looking, invert=self.invert, workers=self.workers), (self.gallery,)

    @cached_property
    def hashes(self) -> set[str]:
        """Hashes of all content met so far, also of content that was overwritten since; asked from the threads."""
        return {row.hash for row in self.gallery.table.known()}

    @property
    def at_once(self) -> int:
        """Number of files that a process looks at in a round, where several share the work."""
        return BATCHES * self.batch

    def __call__(self, paths: Iterable[bytes]) -> Iterator[Seen]:
        """Yield each file, in order."""
        known = self.hashes
        waiting: list[Seen] = []
        new = 0
        for seen in in_threads(self._look, paths, workers=self.workers, ahead=2 * self.batch):
            if seen.image is not None and seen.hash in known:  # a copy of one that came while this was decoded
                seen = replace(seen, image=None)
            if seen.image is not None:
                known.add(seen.hash)
                new += 1
            waiting.append(seen)
            if not new or new == self.batch or len(waiting) > 8 * self.batch:
                yield from self._embedded(waiting)
                waiting, new = [], 0
        yield from self._embedded(waiting)

    def look_again(self, path: bytes) -> Seen:
        """Return a file, embedded even if its content is known."""
        return self._embedded([self._look(path, again=True)])[0]

    def _embedded(self, waiting: Sequence[Seen]) -> list[Seen]:
        images = [seen.image for seen in waiting if seen.image is not None]
        vectors = iter(self.gallery.embed(torch.stack(images)) if images else ())
        return [seen if seen.image is None else replace(seen, image=None, embedding=next(vectors)) for seen in waiting]

    def _look(self, path: bytes, *, again: bool = False) -> Seen:
        size, clean = self.gallery.settings.image_size, self.gallery.settings.clean
        return look_at(path, lambda content: content in self.hashes and not again, size, self.invert, clean)


def content_hash(file: BufferedReader | BytesIO, page: int = 1) -> str:
    """Return the SHA-256 of what is left of an open file; of a later page, of that hash and the page's number."""
    found = hashlib.file_digest(file, "sha256").hexdigest()
    return found if page == 1 else hashlib.sha256(f"{found}#page={page}".encode()).hexdigest()


def look_at(
    path: bytes, is_known: Callable[[str], bool], image_size: int, invert: bool = False, clean: bool = False
) -> Seen:
    """Read, hash and, if its content is not known, decode one file."""
    name = os.fsdecode(path)
    file_path, page = split_page(name)
    try:
        with open_input(file_path, pipes=False) as file:
            found, size = content_hash(file, page), file.tell()
            if is_known(found):
                return Seen(path, found, size)
            file.seek(0)
            picture = file if page == 1 else name
            return Seen(path, found, size, read(picture, image_size, name=name, invert=invert, clean=clean))
    except UnreadablePicture as error:
        return Seen(path, unreadable=as_text(str(error)))
    except NoFile as error:
        return Seen(path, unreadable=f"{as_text(path)}: {error}")
    except PermissionError:
        return Seen(path, unreadable=f"{as_text(path)}: no permission to read it; change its permissions")
    except OSError as error:
        return Seen(path, unreadable=f"{as_text(path)}: {(error.strerror or str(error)).lower()}; check the file")
