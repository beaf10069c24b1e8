"""The settings of the page: `sketchloss app --help`."""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sketchloss.training.checks import require_positive

#: Holds user:password, so that no list of processes shows it.
AUTH_VARIABLE = "SKETCHLOSS_AUTH"
PORT = 7860


@dataclass(frozen=True)
class App:
    """Open a page in the browser: compare drawings, search by sketching, turn photos into sketches.

    Raises:
        ValueError: for a setting outside its range, naming it.
    """

    galleries: tuple[Path, ...] = ()
    """Galleries to search, beside the built-in doodles: as made by `sketchloss gallery build`, or folders of drawings,
    of which one is made first."""
    styles: tuple[Path, ...] = ()
    """Networks that turn photos into sketches, beside the built-in one: run folders of `sketchloss style train`, or
    folders that hold some."""
    study: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Folder of `sketchloss study`: its report is shown and its networks are offered; by default `demo`, if `make demo`
    has made it here."""
    weights: str = "sketch"
    """What looks at drawings that are compared: `sketch`, `imagenet`, a weights folder or file, or a hub repo."""
    host: str = "127.0.0.1"
    """Address to answer at: by default this computer alone; 0.0.0.0: every computer that can reach it."""
    port: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Port; by default the first free one from 7860."""
    auth: Annotated[str | None, tyro.conf.DisallowNone] = None
    """USER:PASSWORD that visitors must give; also taken from the environment variable SKETCHLOSS_AUTH."""
    upload_mb: int = 40
    """Largest file that can be uploaded, in megabytes."""
    keep_minutes: float = 15.0
    """Uploaded and made pictures are deleted when they are so old, and when the server stops."""
    keep_mb: int = 1000
    """Megabytes of uploads, made pictures and visitors' galleries that are kept at one time; more is refused until old
    ones were deleted."""
    open: bool = False
    """Open the page in the browser."""

    def __post_init__(self) -> None:
        require_positive(self, ("upload_mb", "keep_minutes", "keep_mb"))
        if self.keep_mb < self.upload_mb:
            raise ValueError(f"keep_mb is {self.keep_mb}: it must be at least upload_mb, {self.upload_mb}")
        if self.port is not None and not 0 < self.port < 65536:
            raise ValueError(f"port is {self.port}: it must be 1 to 65535")
        self.login()
        if not is_loopback(self.host) and self.login() is None:
            raise ValueError(
                f"host is {self.host}: whoever reaches this computer could then use the page and see the galleries; "
                f"give --auth USER:PASSWORD (or set {AUTH_VARIABLE}), or leave --host out"
            )

    def login(self) -> tuple[str, str] | None:
        """Return user and password, or None if the page asks for none."""
        said = self.auth if self.auth is not None else os.environ.get(AUTH_VARIABLE) or None
        if said is None:
            return None
        user, colon, password = said.partition(":")
        if not (user and colon and password):
            raise ValueError("auth must be USER:PASSWORD, both at least one character")
        return user, password

    def cannot_answer(self, error: OSError) -> ValueError:
        """Return the line for an address or port that cannot be had."""
        mend = "choose another --port, or leave it out" if self.port else "choose a --port, or another --host"
        reason = (error.strerror or " ".join(str(error).split())).lower()
        return ValueError(f"cannot answer at {self.host}:{self.port or PORT} ({reason}): {mend}")


def is_loopback(host: str) -> bool:
    """Tell whether an address is answered to this computer alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False
