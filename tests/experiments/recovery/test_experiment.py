"""Recovery as a part of a study, the whole way. Oracle: the cells' own results, and the files that are left."""

import json

from PIL import Image

from sketchloss.cli import main
from sketchloss.experiments import keys as cell_keys
from sketchloss.experiments.cells import CellStore
from sketchloss.experiments.study import Study
from sketchloss.experiments.study.plan import plan_cells


def run(out, *options: str) -> None:
    main(
        [
            "study",
            "--only",
            "recovery",
            "--out",
            str(out),
            "--recovery-drawings",
            "2",
            "--recovery-steps",
            "4",
            *options,
        ]
    )


def test_a_study_of_recovery_tunes_nothing_and_goes_on_where_it_was(narrow, tmp_path, capsys):
    losses = ("--recovery-losses", "pixels", f"{narrow}:ink", f"pixels+{narrow}:ink")
    starts = ("--recovery-starts", "displaced:2@32", "noisy@32")
    run(tmp_path / "study", *losses, *starts)
    assert "6/6]" in capsys.readouterr().out
    report = (tmp_path / "study" / "report.md").read_text()
    assert "displaced, 2 px" in report
    assert "Mean chamfer distance at the end" in report
    figures = sorted(path.name for path in (tmp_path / "study" / "figures").iterdir())
    assert figures == ["recovery-32.png", "ways-displaced-2-32.png", "ways-noisy-32.png"]
    for name in figures:
        with Image.open(tmp_path / "study" / "figures" / name) as picture:
            assert picture.width > 300
    results = json.loads((tmp_path / "study" / "results.json").read_text())
    assert "recovery" in json.dumps(results)
    cells = {path.name: (path / "result.json").stat().st_mtime_ns for path in (tmp_path / "study" / "cells").iterdir()}
    run(tmp_path / "study", *losses, "--recovery-starts", "displaced:2@32", "noisy@32", "bent:2@32")
    after = {path.name: (path / "result.json").stat().st_mtime_ns for path in (tmp_path / "study" / "cells").iterdir()}
    assert len(after) == len(cells) + 3
    assert cells.items() <= after.items()


def test_a_changed_file_of_an_own_loss_is_another_cell(tmp_path):
    file = tmp_path / "c++ what?" / "mine.py"
    file.parent.mkdir()
    losses = (f"{file}:loss", f"pixels+{file}:loss", "pixels")

    def keys(text: str) -> dict[str, str]:
        file.write_text(text)
        cell_keys._files_fingerprint.cache_clear()
        config = Study(out=tmp_path / "study", only=("recovery",), recovery_losses=losses)
        return CellStore(tmp_path, plan_cells(config), started=0).keys

    first = keys("def loss(one, other): return (one - other).abs()")
    second = keys("def loss(one, other): return (one - other).square()")
    assert {name for name in first if first[name] == second[name]} == {"recovery/displaced:6/pixels"}
