"""Weights on the Hugging Face hub: fetched, safetensors only.

note: huggingface_hub is imported where it is needed, because that takes a quarter of a second, and most weights are on
the disk.
"""

from pathlib import Path


class NoSuchFile(FileNotFoundError):  # noqa: N818 (it names what was found)
    """A repo is there, and has no file of the name."""


def check_repo(repo: str) -> None:
    """Raise ValueError unless a text is a repo id `owner/name`."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise ValueError(f"{repo!r} is no hub repo id: {one_line(error)}") from None
    if "/" not in repo:
        raise ValueError(f"{repo!r} is no hub repo id: write owner/name, such as {'me/' + repo!r}")


def fetch_file(repo: str, file: str, *, revision: str | None = None, token: str | bool | None = None) -> Path:
    """Return the path of a file of a repo in the cache, where it is put if it is not there.

    Args:
        repo: repo id `owner/name`.
        file: name of the file.
        revision: branch, tag or commit; None: the main branch.
        token: token of the hub for a private repo; None: the one that `hf auth login` keeps; False: none.

    Raises:
        ValueError: if the name is none of a repo.
        FileNotFoundError: if the hub cannot be reached, or has no such file; the text says how to go on.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repo, file, revision=revision, token=token))
    except HFValidationError as error:
        raise ValueError(f"{repo!r} is no hub repo id: {one_line(error)}") from None
    except LocalEntryNotFoundError:
        reason = "the hub cannot be reached (or HF_HUB_OFFLINE is set), and it is not in the cache"
    except EntryNotFoundError:
        raise NoSuchFile(
            f"could not fetch {file} of {repo}: the repo has no such file; only safetensors are read, no pickles such "
            "as pytorch_model.bin"
        ) from None
    except Exception as error:  # noqa: BLE001 (every other refusal: the hub's, its HTTP client's, the disk's)
        reason = one_line(error)
    raise FileNotFoundError(
        f"could not fetch {file} of {repo}: {reason}; with a network run `hf download {repo} {file}`, copy the file "
        f"here, and give its path in place of {repo!r}, or set HF_HOME to a cache that holds it"
    )


def one_line(error: Exception) -> str:
    """Return what an error says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
