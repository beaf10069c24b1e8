"""Checks of a recipe's settings, in words that name the setting and its value."""

import math
from collections.abc import Iterable


def require_positive(settings: object, names: Iterable[str]) -> None:
    """Raise ValueError for the first named setting that is not above 0 and finite; None passes."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} is {value}: it must be positive")


def require_not_negative(settings: object, names: Iterable[str]) -> None:
    """Raise ValueError for the first named setting that is below 0 or not finite; None passes."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value}: it must be finite and not negative")
