"""Photo to sketch in a study. Oracle: the order of the settings."""

from sketchloss.experiments.cells import RESULT, CellStore
from sketchloss.experiments.style import experiment
from sketchloss.experiments.style.plan import StylePlan
from sketchloss.experiments.tuning import experiment as tuning
from sketchloss.system.files import write_json


def test_sets_stand_in_the_order_of_the_settings_whichever_cells_failed(tmp_path, monkeypatch):
    plan = StylePlan(out=tmp_path, sets=("fs2k:here?style=1", "doodles?tool=ink"))
    store = CellStore(tmp_path, [*tuning.cells(plan), *experiment.cells(plan)], started=0)
    for cell in store:
        if cell.part == "style" and (cell.source, cell.place) != (plan.sets[0], 0):
            store.place(cell.name).mkdir()
            write_json(store.place(cell.name) / RESULT, {"seconds": 1, "result": {"sets": {cell.source: {}}}})
    seen = []
    monkeypatch.setattr(experiment.table, "sections", lambda found: seen.extend(found) or [None])
    monkeypatch.setattr(experiment, "_drawn_by", lambda *_: {})
    list(experiment.sections(plan, store))
    assert list(dict.fromkeys(source for found in seen for source in found["sets"])) == list(plan.sets)
    assert len(seen) == 7
