"""A function of the user's own, named on the command line: `module:function` or `path/to/file.py:function`."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any


def load_function(spec: str, kind: str) -> Callable[..., Any]:
    """Find what a text names. What its module prints goes to stderr.

    Args:
        spec: `module:function`, where the module may lie in the current folder, or `path/to/file.py:function`. The
            function may be anything that can be called.
        kind: what to call it in an error, such as "distance".

    Raises:
        ValueError: if the text is no such pair, the module cannot be imported, or has nothing of that name to call; in
            one line.
    """
    place, _, name = spec.rpartition(":")
    if not place or not name:
        raise ValueError(f"{kind} {spec!r} is not module:function, such as my_losses:lpips or my_losses.py:lpips")
    try:
        with redirect_stdout(sys.stderr):
            module = _load_file(Path(place)) if place.endswith(".py") else _import_from_here(place)
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{kind} {spec}: cannot import {place} ({type(error).__name__}: {reason})") from error
    function = getattr(module, name, None)
    if function is None:
        raise ValueError(f"{kind} {spec}: {place} has no {name}: name a function of it")
    if not callable(function) or isinstance(function, type):
        what = "a class: name a function, or an instance of it" if isinstance(function, type) else "no function"
        raise ValueError(f"{kind} {spec}: {name} is {what}")
    return function


def _load_file(path: Path) -> object:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file")
    # A name of its own, so that a file called lpips.py can import lpips.
    name = f"{path.stem}_{hash(path.absolute()):x}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import_from_here(name: str) -> object:
    here = str(Path.cwd())
    sys.path.insert(0, here)  # the command's own first place is where it was installed
    try:
        return import_module(name)
    finally:
        sys.path.remove(here)
