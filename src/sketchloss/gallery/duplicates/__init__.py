"""Copies among the drawings of a gallery: what is compared, what is decided, and the command that prints it."""

from typing import TYPE_CHECKING

from sketchloss.system.lazy_names import lazy_names

if TYPE_CHECKING:
    from sketchloss.gallery.duplicates.finding import Copy, Duplicates, Group, find_duplicates

__all__ = ["Copy", "Duplicates", "Group", "find_duplicates"]

__getattr__ = lazy_names(__name__, dict.fromkeys(__all__, "finding"))
