"""A gallery from above. Oracle: galleries that were made here, of kinds that are known."""

import base64
import io

import pytest
from PIL import Image

from sketchloss.app.canvas import PREFIX
from sketchloss.app.naming import Called
from sketchloss.app.overview import overview
from sketchloss.data.doodles.kinds import doodle
from sketchloss.gallery import Gallery


@pytest.fixture
def look(tmp_path, narrow):
    """Return the overview of a gallery of so many drawings of each kind, with labels or without."""

    def make(kinds: dict[str, int], *, labels: bool):
        for kind, count in kinds.items():
            folder = tmp_path / "drawings" / kind if labels else tmp_path / "drawings"
            folder.mkdir(parents=True, exist_ok=True)
            for seed in range(count):
                doodle(kind, seed, style="ink").sketch(64).save(folder / f"{kind}{seed}.png")
        gallery, _ = Gallery.build(tmp_path / "gallery", [tmp_path / "drawings"], weights=narrow, image_size=32)
        return overview(gallery, lambda path, label: Called(path.name, f"{label}/{path.name}"))

    return make


def test_it_shows_every_drawing_and_the_closest_classes(look):
    found = look({"cat": 4, "house": 4, "tree": 4}, labels=True)
    assert len(found.points) == 12
    assert all(0 <= point[axis] <= 1 for point in found.points for axis in "xy")
    assert set(found.legend) == {"cat", "house", "tree"}
    assert {(point["label"], point["path"].split("/")[0], point["group"]) for point in found.points} == {
        (kind, kind, "") for kind in ("cat", "house", "tree")
    }
    assert len(found.hardest) == 3
    assert found.hardest[0][2] >= found.hardest[-1][2]
    assert Image.open(io.BytesIO(base64.b64decode(found.points[0]["picture"].removeprefix(PREFIX)))).size == (72, 72)


@pytest.mark.parametrize("labels", [True, False])
def test_where_labels_say_nothing_there_are_groups(look, labels):
    found = look({"house": 10}, labels=labels)
    assert len(found.points) == 10
    assert found.hardest == []
    groups = [f"group {number + 1}" for number in range(len(found.legend))]
    assert list(found.legend) == groups
    assert len(groups) >= 2
    assert {(point["group"], point["colour"]) for point in found.points} == set(found.legend.items())
    assert f"Colours are the {len(groups)} groups" in found.note


def test_few_drawings_without_a_class_have_no_groups(look):
    found = look({"cat": 7}, labels=False)
    assert (len(found.points), found.legend, {point["colour"] for point in found.points}) == (7, {}, {""})


def test_a_gallery_too_small_for_a_map_says_so(look):
    found = look({"cat": 1}, labels=False)
    assert (found.points, found.hardest) == ([], [])
    assert "four drawings" in found.note
