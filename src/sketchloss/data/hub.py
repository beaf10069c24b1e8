"""Data sets of the hub, or of parquet files in a folder: opening them and finding the column that is wanted."""

from collections.abc import Callable, Sequence
from typing import Any

import datasets
from datasets import Dataset


def load_hub(name: str, *, otherwise: str) -> Dataset:
    """Open a data set: its `train` split, else its first.

    Args:
        name: a name such as `user/dataset`, or a folder of parquet files.
        otherwise: what else to give, for the error, such as "a folder of class folders".

    Raises:
        ValueError: if it cannot be opened, and how to fetch it where there is a network.
    """
    try:
        try:
            splits = datasets.load_dataset(name)
        except RuntimeError as error:  # "Dataset scripts are no longer supported"
            if "script" not in str(error):
                raise
            # which the hub makes of every dataset
            splits = datasets.load_dataset(name, revision="refs/convert/parquet")
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"{name} is not a folder here, and could not be opened as a dataset of the hub ({reason}); give "
            f"{otherwise}, or, where there is a network, fetch it with `hf download --repo-type dataset {name} "
            f"--local-dir FOLDER` and give FOLDER; what was opened before is found under HF_HOME"
        ) from error
    return splits["train" if "train" in splits else next(iter(splits))]


def one_column(
    name: str, rows: Dataset, what: str, preferred: Sequence[str], fits: Callable[[Any], bool], *, otherwise: str
) -> str:
    """Return the name of the column that holds what is wanted: the only one that fits, or the first preferred one.

    Args:
        name: name of the data set, for the error.
        rows: the data set.
        what: is wanted, for the error, such as "picture".
        preferred: names of columns, the best first.
        fits: whether a column of such a feature could be it.
        otherwise: as for `load_hub`.

    Raises:
        ValueError: if no column is plainly the one.
    """
    fitting = [column for column, kind in rows.features.items() if fits(kind)]
    chosen = fitting if len(fitting) == 1 else [column for column in preferred if column in fitting][:1]
    if not chosen:
        raise ValueError(f"{name}: no column is plainly the {what}, among {', '.join(rows.column_names)}; "
                         f"save it as {otherwise}")  # fmt: skip
    return chosen[0]
