"""What is measured of Table 1's drawings without a network. Oracle: results that were written here."""

from typing import Any

from sketchloss.experiments.style.table import GREY_PHOTO, OTHER_SKETCHES, _pages


def result(seed: int, f1: float) -> dict[str, Any]:
    rows = {
        "tuning": {"pages": {"f1": f1, "scoot": 0.5}},
        GREY_PHOTO: {"pages": {"f1": 0.1}},
        OTHER_SKETCHES: {"pages": {}},
    }
    return {"seed": seed, "sets": {"cufs:here": {"rows": rows}}}


def test_a_set_has_a_table_of_judges_without_a_network():
    (section,) = _pages([result(0, 0.6), result(1, 0.8)], ["cufs:here"])
    assert section.table is not None
    assert section.table.values["tuning"]["f1"] == {0: 0.6, 1: 0.8}
    assert section.table.values[GREY_PHOTO]["f1"] == {0: 0.1}, "the same for every training"
    assert OTHER_SKETCHES not in section.table.values
    assert "0.700 ± 0.141" in section.markdown()


def test_results_of_earlier_versions_have_no_such_table():
    old = {"seed": 0, "sets": {"cufs:here": {"rows": {"tuning": {"ssim": None}}}}}
    assert list(_pages([old], ["cufs:here"])) == []
