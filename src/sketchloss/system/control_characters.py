"""Text from elsewhere, such as a file's name, for a terminal: nothing in it can move the cursor or colour text."""

import re


def spelt_out(text: str) -> str:
    r"""Return a text whose control characters, but for tab and new line, are written as `\x1b` and the like."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda found: f"\\x{ord(found[0]):02x}", text)
