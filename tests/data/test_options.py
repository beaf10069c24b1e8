"""Oracle: options written and read by hand."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchloss.data.options import parse_options

KNOWN = {"tool": ("ink", "pencil"), "note": None}


def parse(query, known=KNOWN):
    return parse_options(f"doodles?{query}", query, "doodles", known)


def test_options_are_read():
    assert parse("") == {}
    assert parse("tool=ink") == {"tool": "ink"}
    assert parse("note=a%26b+c&tool=pencil") == {"note": "a&b c", "tool": "pencil"}
    assert parse("note=") == {"note": ""}


@given(note=st.text(), tool=st.sampled_from(["ink", "pencil"]))
def test_what_is_encoded_is_decoded(note, tool):
    options = {"note": note.encode("utf-8", "replace").decode(), "tool": tool}
    assert parse(urlencode(options)) == options


@pytest.mark.parametrize(
    ("query", "known", "reason"),
    [
        ("tool", KNOWN, "what follows the last '\\?' is 'tool'; write options as name=value, joined by &"),
        ("tool=ink&", KNOWN, "write options as name=value"),
        ("colour=red", KNOWN, "doodles has no option 'colour'; it takes tool and note"),
        ("tool=ink", {}, "doodles has no option 'tool'; it takes none"),
        ("tool=ink&tool=ink", KNOWN, "tool is given twice; give it once"),
        ("tool=chalk", KNOWN, "tool is 'chalk'; choose from ink, pencil"),
        ("tool=", KNOWN, "tool is ''; choose from ink, pencil"),
    ],
)
def test_other_options_are_refused_in_one_line_that_names_the_source(query, known, reason):
    with pytest.raises(ValueError, match=reason) as error:
        parse(query, known)
    assert str(error.value).startswith(f"'doodles?{query}': ")
    assert "\n" not in str(error.value)
