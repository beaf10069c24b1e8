"""HTML from the package's Jinja2 templates, which lie beside the modules that fill them in."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(template: str, **values: object) -> str:
    """Fill in a template; values are escaped unless it says otherwise.

    Args:
        template: its path in the package, such as `figures/page.html.jinja`.
        values: by the names that it uses.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    here = FileSystemLoader(Path(__file__).parents[1])
    return Environment(loader=here, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
