"""Names of sources of data."""

import os
import re
from pathlib import Path

#: A data set or a model of the hub.
HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def short_name(source: str | Path) -> str:
    """Return the name of a source without its place: `fs2k?style=1`, a folder's name, a hub name.

    Several that are joined with commas stay joined.
    """
    if os.path.isdir(source):  # noqa: PTH112 (it may be too long for a path); whatever is in its name
        return Path(source).name or str(source)
    if "," in str(source):  # several, joined
        return ",".join(short_name(part.strip()) for part in str(source).split(","))
    start, question, options = str(source).rpartition("?") if "?" in str(source) else (str(source), "", "")
    kind, colon, _ = start.partition(":")
    if kind == "transformers":  # a model, by its repo or its folder
        return f"transformers:{short_name(start.removeprefix('transformers:'))}"
    if colon or question:
        return f"{kind}{question}{options}"
    return start if HUB_NAME.fullmatch(start) and not Path(start).exists() else Path(start).name or start
