"""The tables of the tricks. Oracle: numbers written by hand."""

import numpy as np
import pytest

from sketchloss.experiments.probe.trick_drawings import REFERENCES, TRICKS
from sketchloss.experiments.probe.tricks_figure import draw_tricks
from sketchloss.experiments.probe.tricks_table import ALL, ASKED, fooled_by, over_sizes, sections, values
from sketchloss.experiments.table import CSV_HEADER


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


def printed(results):
    return "\n\n".join(one.markdown() for one in sections(results) if one.printed)


def test_means_over_sizes(results):
    together = [row for row in results["rows"] if row["source"] == ALL]
    found = over_sizes(together)
    assert list(found) == ["mine", "other"]
    assert [found["mine"][fooled_by(trick)] for trick in ASKED] == pytest.approx([0.5] * len(ASKED))
    assert found["other"][fooled_by("thicker")] == 0.5  # what is not known is left out
    assert found["mine"]["ratio of thicker"] == pytest.approx(np.sqrt(4 * 6))
    assert "ratio of thicker" not in over_sizes([make_row("mine", ALL, 64, 0.1, ratios={"thicker": None})])["mine"]
    for blind in ((0.0, 0.0), (0.0, 6.0)):
        rows = [make_row("mine", ALL, 64, 0.1, ratios={"thicker": ratio}) for ratio in blind]
        assert over_sizes(rows)["mine"]["ratio of thicker"] == 0


def test_the_report_says_the_shares_the_answers_and_the_sources(results):
    text = printed(results)
    assert "doodles, sketchy, seed 3, the half of the drawings by which nothing was chosen" in text
    assert "/far" not in text
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if "64 pixels, 10 drawings of all sources" in line)
    mine, other = lines[start + 4], lines[start + 5]
    assert mine.count("40 [20, 70]") == len(ASKED)
    assert other.count("20 [10, 60]") == len(ASKED) - 1
    assert [cell.strip() for cell in other.split("|")][2 + ASKED.index("thicker")] == "-"
    assert text.count("4.90") == len(ASKED)
    for trick in TRICKS.values():
        assert f"| {trick.answer} |" in " ".join(text.split())
    assert "2 files or lines could not be read and were left out" in text


def test_fewer_fooled_are_better_and_of_ratios_nothing_is(results):
    parts = {one.source: one.markdown() for one in sections(results)}
    cells = [cell.strip() for cell in parts["all sources at 64 pixels"].splitlines()[5].split("|")]
    assert cells[1:3] == ["other", "**20 [10, 60]**"]
    assert "blank page (%) ↓" in parts["all sources at 64 pixels"]
    assert "redrawn before same kind (%) ↑" in parts["all sources over sizes"]
    for source in ("ratios over sizes", "comparisons over sizes"):
        assert not {"↑", "↓", "*"} & set(parts[source])


def test_each_source_has_its_means_if_there_are_several(results):
    text = printed(results)
    for source in ("doodles", "sketchy"):
        assert f"The same, only of {source}, mean over sizes." in text
    results["sources"] = ["doodles"]
    assert "only of" not in printed(results)


def test_sources_of_one_name_are_told_apart(results):
    for row in results["rows"]:
        row["source"] = {"doodles": "/near/sketchy"}.get(row["source"], row["source"])
    results["sources"][0] = "/near/sketchy"
    names = [one.source for one in sections(results)]
    assert len(set(names)) == len(names)


def test_rows_for_csv_hold_every_number(results):
    found = {}
    for section in sections(results):
        for line in section.table.csv_rows(section.source) if section.table else ():
            row = dict(zip(CSV_HEADER, line, strict=True))
            key = row["set"], row["row"], row["measure"]
            assert key not in found
            found[key] = row
    for row in results["rows"]:
        name = {"/far/away/sketchy": "sketchy"}.get(row["source"], row["source"])
        of_row = {
            measure: line
            for (source, distance, measure), line in found.items()
            if (source, distance) == (f"{name} at {row['image_size']} pixels", row["distance"])
        }
        shares = len(ASKED) + len(TRICKS) * len(REFERENCES) + 1
        unknown = sum(share is None for share in row["shares"].values())
        assert len(of_row) == 2 * shares - unknown + len(ASKED) + 1  # with trials; ratios; drawings
        for measure, value in values(row).items():
            assert of_row[measure]["mean"] == value
    blank = found["all sources at 64 pixels", "mine", "fooled by blank page"]
    assert [blank[name] for name in ("mean", "low", "high")] == [0.4, 0.2, 0.7]
    assert found["all sources at 64 pixels", "mine", "trials of fooled by blank page"]["mean"] == 10
    assert found["all sources at 64 pixels", "mine", "drawings"]["mean"] == 10
    assert found["all sources at 96 pixels", "mine", "ratio of grey paper"]["mean"] == 6
    assert found["sketchy at 96 pixels", "mine", "one speck nearer than same kind"]["mean"] == 0.6
    assert found["all sources at 64 pixels", "other", "trials of fooled by thicker"]["mean"] == 0
    assert ("all sources at 64 pixels", "other", "fooled by thicker") not in found
    assert found["all sources over sizes", "mine", "fooled by thicker"]["mean"] == pytest.approx(0.5)


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
