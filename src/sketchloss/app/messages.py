"""What every tab does after a computation: a success takes messages away, a mistake takes older results away."""

from collections.abc import Callable, Sequence
from typing import Any

from gradio.blocks import BlockContext
from gradio.components import Component
from gradio.events import Dependency

#: `page.js` closes the messages when it hears of it.
SUCCEEDED = "() => { document.dispatchEvent(new Event('sketchloss:success')); }"


def settle(
    done: Dependency, nothing: Callable[[], Any], shown: Component | Sequence[Component | BlockContext]
) -> Dependency:
    """Let a success close the messages of earlier mistakes, and a mistake clear what belongs to an earlier success.

    Args:
        done: what computes and shows.
        nothing: returns what the components show where there is no result.
        shown: the components that show the result.

    Returns:
        `done`.
    """
    done.success(js=SUCCEEDED)
    done.failure(nothing, None, shown, show_progress="hidden", api_visibility="private", queue=False)
    return done
