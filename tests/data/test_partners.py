"""Partners of drawings. Oracles: what each change may do to the ink, and how often a partner is which."""

import pytest
import torch

from sketchloss.data.partners import ERASED, FAINTEST, erased, faded, moved, partners, thickened


@pytest.fixture
def pictures() -> torch.Tensor:
    """Eight pictures of a vertical line each, on grey paper, the first of them on white."""
    pages = torch.full((8, 3, 32, 32), 0.9)
    pages[0] = 1
    for number, page in enumerate(pages):
        page[:, 4:28, 8 + number] = 0.1
    return pages


def test_moved_ink_stays_near_and_paper_comes_in(pictures):
    torch.manual_seed(0)
    found = moved(pictures)
    assert found.shape == pictures.shape
    assert (found - pictures).abs().amax((1, 2, 3)).min() > 0.05
    ink, before = ((page.amax((1, 2, 3), keepdim=True) - page).sum((1, 2, 3)) for page in (found, pictures))
    torch.testing.assert_close(ink, before, rtol=0.25, atol=0)
    torch.testing.assert_close(found[:, :, 0, 0], pictures[:, :, 0, 0])


def test_what_is_erased_is_a_rectangle_of_paper(pictures):
    torch.manual_seed(0)
    dark = pictures.mul(0.5)
    dark[:, :, 0, 0] = 0.9
    found = erased(dark)
    for page, before in zip(found, dark, strict=True):
        changed = (page != before).all(0)
        assert set(page[:, changed].unique().tolist()) == {page.max().item()}
        rows, columns = changed.any(1), changed.any(0)
        assert ERASED[0] * 32 - 1 <= rows.sum() <= ERASED[1] * 32 + 1
        assert torch.equal(changed[rows][:, columns], torch.ones_like(changed[rows][:, columns]))


def test_lines_get_two_pixels_wider(pictures):
    found = thickened(pictures)
    assert ((found < 0.5).sum((2, 3)) == 3 * 26).all()
    assert found.max() == pictures.max()


def test_faded_lines_keep_their_place_and_some_ink(pictures):
    torch.manual_seed(0)
    found = faded(pictures)
    paper = pictures.amax((2, 3), keepdim=True)
    kept = (paper - found).sum((1, 2, 3)) / (paper - pictures).sum((1, 2, 3))
    assert kept.min() >= FAINTEST
    assert kept.max() <= 1
    assert kept.std() > 0.1


def test_every_kind_of_partner_comes_and_paper_half_as_often(pictures):
    torch.manual_seed(0)
    many = pictures.repeat(100, 1, 1, 1)
    again = torch.rand_like(many)
    first, second = partners(many, again)
    assert first is many
    blank = (second == 1).all(dim=(1)).all(dim=1).all(dim=1).float().mean().item()
    assert blank == pytest.approx(0.5 / 6.5, abs=0.03)
    for kind in (again, many.roll(1, 0), thickened(many)):
        share = (second == kind).flatten(1).all(1).float().mean().item()
        assert share == pytest.approx(1 / 6.5, abs=0.04)
