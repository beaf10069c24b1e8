"""Files written whole or not at all: a temporary name in the same folder, flushed, then renamed."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile


@contextmanager
def write_atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to; it becomes `path` when the block ends well, and is removed otherwise.

    Args:
        path: of a file, replaced if there; its folder must exist.

    Raises:
        FileNotFoundError: if the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"folder {path.parent} does not exist: make it first, or write elsewhere")
    # The suffix stays last: Pillow and others go by it.
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix, delete=False) as file:
        temporary = Path(file.name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # Temporary files are private; what stays has the permissions any new file would have.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: str | Path, value: object) -> None:
    """Write a value as indented UTF-8 JSON; NaN and infinities are refused, since JSON has none."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with write_atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
