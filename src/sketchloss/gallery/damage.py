"""What the disk or LanceDB says of a gallery that is damaged or out of reach, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def told(folder: object) -> Iterator[None]:
    """Say in one line what LanceDB says in several, or with the place in its own source."""
    try:
        yield
    except GalleryError:
        raise
    except Exception as error:
        # note: what its own code calls a panic, as damaged files may cause, is of a class that cannot be imported
        theirs = type(error).__name__ == "RustPanic" or type(error).__module__.startswith("obstore")
        if not theirs and not isinstance(error, RuntimeError | ValueError | OSError):
            raise
        raise GalleryError(f"{folder}: {reason_of(error)}") from error


class GalleryError(ValueError):
    """The table of a gallery that is damaged or out of reach. The text is one line: which, why, and what to do."""


def reason_of(error: Exception) -> str:
    """Return why a gallery cannot be read or written, and what to do."""
    text = " ".join(str(error).split())
    for sign, reason in _REFUSALS.items():
        if sign in text.lower():
            return reason
    detail = text.partition(", /")[0]
    if "s3 error" in text.lower():
        return f"the storage does not do this ({detail[:200]}); check the address and the server, and try again"
    return f"the gallery is damaged ({detail[:200]}); copy it again, or build it anew in another folder"


_FULL = "no space left on the disk; free some and run this again, what was committed is kept"
_NO_RIGHTS = "no rights for this; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, and what they may do with the bucket"
_REFUSALS = {
    "nosuchbucket": "there is no such bucket; check the address and AWS_ENDPOINT_URL",
    "permanentredirect": "the bucket lies in another region; set AWS_REGION",
    "403 forbidden": _NO_RIGHTS,
    "status: 403": _NO_RIGHTS,
    "necessary privileges": _NO_RIGHTS,
    "401 unauthorized": _NO_RIGHTS,
    "169.254.169.254": _NO_RIGHTS,  # where a machine of Amazon's is asked for rights, if the environment has none
    "badscheme": "AWS_ENDPOINT_URL is not encrypted; to allow that, set AWS_ALLOW_HTTP=true",
    "error sending request": "the server does not answer; check AWS_ENDPOINT_URL and the network",
    "permission denied": "no permission for this; change the folder's permissions, or copy the gallery elsewhere",
    "read-only file system": "the disk is read-only; copy the gallery elsewhere to write to it",
    "no space left": _FULL,
    "disk quota exceeded": _FULL,
    "file too large": _FULL,
}
