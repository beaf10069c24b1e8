"""Examples in module docstrings get back the indentation that makes them code.

Formatters take it away where nothing but an example follows the summary, and the example would run together as text.
"""

import ast
import textwrap
from collections.abc import Iterator
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Indent the paragraphs of module docstrings that are Python, or command lines."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Look at every module, once all are read."""
        for module in _modules(pkg):
            if module.docstring is not None:
                summary, *others = module.docstring.value.split("\n\n")
                others = [textwrap.indent(text, "    ") if _is_code(text) else text for text in others]
                module.docstring.value = "\n\n".join([summary, *others])


def _modules(module: griffe.Module) -> Iterator[griffe.Module]:
    yield module
    for member in module.members.values():
        if isinstance(member, griffe.Module):
            yield from _modules(member)


def _is_code(text: str) -> bool:
    if all(line.startswith("sketchloss ") for line in text.splitlines()):
        return True
    try:
        statements = ast.parse(text).body
    except SyntaxError:
        return False
    return all(isinstance(each, ast.Assign | ast.Import | ast.ImportFrom | ast.For | ast.Expr) for each in statements)
