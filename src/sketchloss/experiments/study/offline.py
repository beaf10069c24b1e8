"""Work that must not touch the network: everything that would fetch finds what is on this disk, or nothing, at once."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def offline() -> Iterator[None]:
    """Have the hub's client and `datasets` open what they have kept and ask nobody, as `HF_HUB_OFFLINE=1` does.

    That variable is read once, when the libraries are imported; this holds only for the block.
    """
    import datasets.config  # heavy, and only needed here
    import huggingface_hub.constants

    places = [
        (huggingface_hub.constants, "HF_HUB_OFFLINE"),
        (datasets.config, "HF_HUB_OFFLINE"),
        (datasets.config, "HF_DATASETS_OFFLINE"),
    ]
    before = [getattr(place, name) for place, name in places]
    try:
        for place, name in places:
            setattr(place, name, True)
        yield
    finally:
        for (place, name), value in zip(places, before, strict=True):
            setattr(place, name, value)
