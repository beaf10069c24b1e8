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
    """Galleries to search, in addition to the built-in doodles: each is a gallery of `sketchloss gallery build`, or a
    folder of drawings, of which a gallery is made at the start."""
    styles: tuple[Path, ...] = ()
    """Networks that turn photos into sketches, in addition to the built-in one: run folders of `sketchloss style
    train`, or folders that hold some."""
    study: Annotated[Path | None, tyro.conf.DisallowNone] = None
    """Folder of `sketchloss study` or `sketchloss demo`, whose report is shown and whose networks are offered; by
    default `study` or `demo`, if `make study` or `make demo` has made it in the current folder."""
    weights: str = "sketch"
    """Network weights for comparing drawings: `sketch`, `sketch-small` (twice as many answers a second), `imagenet`, a
    weights folder or file, or a hub repo."""
    host: str = "127.0.0.1"
    """Address to listen at: by default only this computer can open the page; 0.0.0.0: every computer that can reach
    it."""
    port: Annotated[int | None, tyro.conf.DisallowNone] = None
    """Port to listen at; by default the first free one from 7860."""
    auth: Annotated[str | None, tyro.conf.DisallowNone] = None
    """USER:PASSWORD that visitors must give; it can also be set in the environment variable SKETCHLOSS_AUTH."""
    upload_mb: int = 40
    """Largest file that can be uploaded, in megabytes."""
    keep_minutes: float = 15.0
    """Minutes after which uploaded and made pictures are deleted; they are also deleted when the server stops."""
    keep_mb: int = 1000
    """Megabytes of uploads, made pictures and visitors' galleries that are kept at one time; more is refused until old
    ones are deleted."""
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

    def only_here(self) -> bool:
        """Tell whether the page is for this computer alone: a login is for visitors from elsewhere."""
        return is_loopback(self.host) and self.login() is None

    def cannot_answer(self, error: OSError) -> ValueError:
        """Return the error for an address or port that cannot be used."""
        mend = "choose another --port, or leave it out" if self.port else "choose a --port, or another --host"
        reason = (error.strerror or " ".join(str(error).split())).lower()
        return ValueError(f"cannot answer at {self.host}:{self.port or PORT} ({reason}): {mend}")


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached only from this computer."""
    if host == "localhost":
        return True
    try:
        return ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False
