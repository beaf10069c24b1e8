"""Packages that load a module when a name of it is first used: settings can be read without what takes seconds to load.

if TYPE_CHECKING:
    from sketchloss.gallery.gallery import Gallery
__getattr__ = lazy_names(__name__, {"Gallery": "gallery"})
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package.

    Args:
        package: its name.
        homes: a name -> the module of the package that it comes from.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return get
