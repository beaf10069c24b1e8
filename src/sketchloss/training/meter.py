"""Means of what a training measures at every step."""


class Meter:
    """Means since the last reading."""

    def __init__(self) -> None:
        self._values: list[dict[str, float]] = []

    def add(self, **values: float) -> None:
        """Take the values of one step; the same names each time."""
        self._values.append(values)

    def read(self) -> dict[str, float]:
        """Return the mean of each value, and start anew; nothing added, nothing returned."""
        values, self._values = self._values, []
        return {name: sum(step[name] for step in values) / len(values) for name in (values[0] if values else ())}
