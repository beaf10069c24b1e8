"""A program that uses the page, as `gradio_client` does; it does not wait for ever."""

from typing import Any

from gradio_client import Client

#: Seconds for an answer of the page, which may be busy with others.
MOST_SECONDS = 240


class PageClient(Client):
    """A client of the page at an address."""

    def __init__(self, url: str, **settings: Any) -> None:
        super().__init__(url, verbose=False, analytics_enabled=False, **settings)

    def predict(self, *arguments: Any, api_name: str | None = None, **named: Any) -> Any:
        """Return the page's answer; none in time is a `TimeoutError`."""
        return self.submit(*arguments, api_name=api_name, **named).result(MOST_SECONDS)
