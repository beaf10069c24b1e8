"""What is kept of blank paper. Oracle: the backbone on a white page."""

import torch

from sketchloss import Backbone, SketchLoss
from sketchloss.loss.blank_paper import KEPT, BlankPaper

TAPS = ("relu1_2",)


def test_pages_of_the_last_sizes_are_kept():
    backbone = Backbone(width=0.0625)
    paper = BlankPaper(backbone, TAPS)
    first = paper.seen(8, 8)["relu1_2"].blank
    for side in range(9, 8 + KEPT):
        paper.seen(side, 8)
    assert paper.seen(8, 8)["relu1_2"].blank is first
    for side in range(9, 9 + KEPT):
        expected = backbone(torch.ones(1, 3, side, 8), TAPS)["relu1_2"]
        assert torch.equal(paper.seen(side, 8)["relu1_2"].blank, expected)
    assert paper.seen(8, 8)["relu1_2"].blank is not first


def test_a_dot_weighs_the_same_on_a_large_page_whatever_the_pictures_dtype():
    # White paper of float32 pictures was not that of a bfloat16 loss, which made all of the page ink of both drawings.
    torch.manual_seed(0)
    backbone = Backbone(width=0.125)
    dot, white = torch.ones(1, 1, 256, 256), torch.ones(1, 1, 256, 256)
    dot[..., 128:130, 128:136] = 0
    expected = SketchLoss(backbone)(dot, white).item()
    loss = SketchLoss(backbone).bfloat16()
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        assert abs(loss(dot.to(dtype), white.to(dtype)).item() - expected) < 0.02
