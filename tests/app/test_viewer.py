"""What the window over the page asks the server for. Oracle: what the page's script sends."""

import gradio as gr
import pytest

from sketchloss.app.viewer import asked_for


def test_a_drawing_is_asked_for_by_gallery_and_content():
    assert asked_for(gr.EventData(None, {"gallery": "doodles", "content": "0a"})) == ("doodles", "0a")


@pytest.mark.parametrize("sent", [None, [], "x", {}, {"gallery": "doodles"}, {"gallery": ["x"], "content": "0a"}])
def test_what_the_page_does_not_send_is_refused(sent):
    with pytest.raises(gr.Error, match="asked for by the name of its gallery and its content"):
        asked_for(gr.EventData(None, sent))
