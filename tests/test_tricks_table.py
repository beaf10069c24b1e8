"""The tables of the tricks. Oracle: numbers written by hand."""

import numpy as np
import pytest

from sketchloss.probing.tricks import REFERENCES, TRICKS
from sketchloss.report.tricks_figure import draw_tricks
from sketchloss.report.tricks_table import ALL, ASKED, CSV_HEADER, over_sizes, shares, tricks_report, tricks_rows


def share(value, trials=10):
    return {"value": value, "low": value / 2, "high": (1 + value) / 2, "trials": trials}


def make_row(distance, source, size, value, **changes):
    return {
        **{"distance": distance, "source": source, "image_size": size, "drawings": 10},
        "shares": dict.fromkeys(ASKED, share(value)),
        "ratios": dict.fromkeys(ASKED, 2.0),
        "nearer": {trick: dict.fromkeys(REFERENCES, share(value)) for trick in TRICKS},
        "order": {"redrawn before same kind": share(1.0)},
        **changes,
    }


@pytest.fixture
def results():
    blind = {"shares": {**dict.fromkeys(ASKED, share(0.2)), "thicker": None}}
    return {
        **{"sources": ["doodles", "/far/away/sketchy"], "image_sizes": [64, 96], "seed": 3, "half": "report"},
        "unreadable": 2,
        "rows": [
            make_row("mine", source, size, 0.4 if size == 64 else 0.6, ratios=dict.fromkeys(ASKED, size / 16))
            for source in ("doodles", "/far/away/sketchy", ALL)
            for size in (64, 96)
        ]
        + [make_row("other", ALL, 64, 0.0, **blind), make_row("other", ALL, 96, 0.5)],
    }


def test_means_over_sizes(results):
    together = [row for row in results["rows"] if row["source"] == ALL]
    found = over_sizes(together, shares)
    assert list(found) == ["mine", "other"]
    assert found["mine"] == pytest.approx([50] * len(ASKED))
    assert found["other"][ASKED.index("thicker")] == 50  # what is not known is left out
    ratios = over_sizes(together, lambda row: [row["ratios"]["thicker"], None], geometric=True)
    assert ratios["mine"] == [pytest.approx(np.sqrt(4 * 6)), None]
    assert over_sizes(together, lambda row: [0.0], geometric=True)["mine"] == [0]


def test_the_report_says_the_shares_the_answers_and_the_sources(results):
    text = tricks_report(results)
    assert "doodles, sketchy, seed 3, the half of the drawings by which nothing was chosen" in text
    assert "/far" not in text
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if "64 pixels, 10 drawings" in line)
    mine, other = lines[start + 4], lines[start + 5]
    assert mine.count("40 [20, 70]") == len(ASKED)
    assert other.count("20 [10, 60]") == len(ASKED) - 1
    assert [cell.strip() for cell in other.split("|")][2 + ASKED.index("thicker")] == "-"
    assert text.count("4.90") == len(ASKED)
    for trick in TRICKS.values():
        assert f"| {trick.answer} |" in " ".join(text.split())
    assert "2 files or lines could not be read and were left out" in text


def test_rows_for_csv_hold_every_number(results):
    rows = tricks_rows(results)
    assert all(len(row) == len(CSV_HEADER) for row in rows)
    assert len(rows) == len(results["rows"]) * (2 * len(ASKED) + len(TRICKS) * len(REFERENCES) + 1)
    assert ("mine", ALL, 64, 10, "fooled", "blank page", None, 0.4, 0.2, 0.7, 10) in rows
    assert ("mine", ALL, 96, 10, "ratio", "grey paper", "redrawn", 6.0, None, None, 10) in rows
    assert ("other", ALL, 64, 10, "fooled", "thicker", None, None, None, None, 0) in rows


def test_the_figure_has_a_cell_for_each_distance_and_trick(results, tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    said = []
    text = Axes.text
    monkeypatch.setattr(Axes, "text", lambda self, x, y, s, **more: said.append(s) or text(self, x, y, s, **more))
    results["rows"][-1] = make_row("other", ALL, 96, 0.5, shares={**results["rows"][-1]["shares"], "thicker": None})
    draw_tricks(results, tmp_path / "figure.png")
    assert said.count("50") == len(ASKED)
    assert said.count("-") == 1
    assert (tmp_path / "figure.png").stat().st_size > 10_000
