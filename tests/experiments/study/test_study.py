"""The study on a few doodles with a narrow backbone. Oracles: the recipes' own results, the files it leaves, processes
that are really killed, and counts of steps worked out by hand.
"""

import csv
import json
import os
import re
import shutil
import sys
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from subprocess import STDOUT, CompletedProcess
from typing import Any

import pytest
import torch

from child_process import PIPE, Child, finished, started
from sketchloss import ARMS, cli
from sketchloss.experiments import keys as cell_keys
from sketchloss.experiments.cells import LOG, RESULT, RUN, Cell, CellStore
from sketchloss.experiments.experiment import Load
from sketchloss.experiments.probe.settings import PRESETS as PROBE_PRESETS
from sketchloss.experiments.prompts import experiment as prompts
from sketchloss.experiments.prompts.settings import PRESETS as LORA_PRESETS
from sketchloss.experiments.prompts.table import PLAIN
from sketchloss.experiments.retrieval.settings import PRESETS as RETRIEVAL_PRESETS
from sketchloss.experiments.study import Study, command, estimate, report, running, study
from sketchloss.experiments.study.device_speed import speed_of
from sketchloss.experiments.study.experiments import EXPERIMENTS
from sketchloss.experiments.study.offline import offline
from sketchloss.experiments.study.plan import plan_cells, planned
from sketchloss.experiments.study.running import CELLS, find_workplace, format_seconds
from sketchloss.experiments.study.settings import PRESETS
from sketchloss.experiments.style import experiment as style
from sketchloss.experiments.style.settings import PRESETS as STYLE_PRESETS
from sketchloss.experiments.tuning.experiment import measure_left_out
from sketchloss.metrics.comparison import FEWEST_SEEDS

pytestmark = pytest.mark.usefixtures("fresh_accelerate")
PARTS = {entry.name for entry in EXPERIMENTS}


def load_of(config: Study, cell: Cell) -> Load:
    """What the cell's experiment says that it takes."""
    return next(one for one in planned(config) if one.name == cell.part).load(config, cell)


def values(row: dict[str, Any], measure: str) -> dict[str, float]:
    """The values of a row of `results.json`, by seed."""
    return row[measure]["values"]


@pytest.fixture
def config(tmp_path, narrow, untrained_base, few_classes, monkeypatch) -> Study:
    # The demo's recipes, each as short as can be.
    for presets, changes in (
        (
            LORA_PRESETS,
            {"judge_steps": 2, "drawings": 1, "drawing_steps": 2, "image_size": 16, "per_class": 4, "shown": 1},
        ),
        (STYLE_PRESETS, {"pairs": 4, "limit": 8, "style_limit": 8, "bootstrap": 2, "image_size": 32}),
        (PROBE_PRESETS, {"drawings": 8, "image_size": 32}),
        (RETRIEVAL_PRESETS, {"epochs": 1, "hidden": 8}),
    ):
        monkeypatch.setitem(presets, "demo", {**presets["demo"], **changes})
    return Study(
        out=tmp_path / "out",
        weights=narrow,
        base=untrained_base,
        taught=few_classes,
        leave_out=("cat", "house"),
        per_class=4,
        epochs=1,
        image_size=32,
        drawing_steps=2,
        teaching_steps=1,
        seeds=2,
        ablation_per_class=3,
        ablation_epochs=1,
        pairs_tasks=("rough",),
        pairs_classes=("cat", "house"),
        pairs_per_class=3,
        pairs_judge_data=few_classes,
        pairs_judge_steps=2,
        pairs_losses=("none", f"{narrow}:ink"),
        pairs_distances=(f"{narrow}:ink",),
        pairs_size=16,
        pairs_steps=2,
        recovery_drawings=2,
        recovery_steps=2,
        recovery_losses=("pixels", f"{narrow}:ink"),
    )


@pytest.fixture
def cheap(config) -> Study:
    return replace(config, only=("tuning",), leave_out=(), seeds=1, per_class=3)


def _times(config: Study) -> dict[str, int]:
    return {str(path.parent.name): path.stat().st_mtime_ns for path in (config.out / CELLS).glob(f"*/{RESULT}")}


def test_a_study_makes_every_table_and_figure_once_and_a_change_redoes_what_depends_on_it(config, capsys):
    results = study(config)
    assert [cell["reason"] for cell in results["cells"] if cell["state"] == "failed"] == []
    out = capsys.readouterr().out
    assert out.count("[") == len(results["cells"]), "one line a cell"
    assert str(config.out / "report.html") in out

    # numbers: as in the cells' own results
    on_disk = json.loads((config.out / "results.json").read_text())
    assert on_disk == json.loads(json.dumps(results))
    tables = on_disk["tables"]
    assert set(tables) == PARTS
    store = CellStore(config.out / CELLS, plan_cells(config), started=time.time())
    for arm in ARMS:
        for seed in ("0", "1"):
            found = store.result(f"retrieval/doodles/{arm}/{seed}")["arms"][arm]["runs"]
            assert [run["seed"] for run in found] == [int(seed)]
            assert values(tables["retrieval"]["doodles"][arm], "top_1")[seed] == found[0]["top_1"]
        style = store.result(f"style/doodles?tool=ink/{arm}/0")["sets"]["doodles?tool=ink"]["rows"][arm]
        assert values(tables["style"]["doodles?tool=ink"][arm], "ssim") == {"0": style["ssim"]["mean"]}
    lora = store.result(f"lora/{PLAIN}/0")["rows"]
    assert values(tables["lora"][""][PLAIN], "class_accuracy") == {"0": lora[PLAIN][0]["class_accuracy"]}
    tuned = store.result("tuning/tuning/1")
    assert values(tables["tuning"][""]["tuning"], "left_out_top_1")["1"] == tuned["left_out_top_1"]
    assert tuned["left_out_classes"] == 2
    of_gates = tables["tuning"]["gates"]
    gates = [f"gate {number}, {part}" for number in (1, 2) for part in ("channel", "spatial")]
    assert list(of_gates) == [f"attention+tuning, {gate}" for gate in gates]
    run = store.place("tuning/attention+tuning/1") / RUN
    said = json.loads((run / "gates.json").read_text())["gates"]["gate 2, spatial"]
    assert values(of_gates["attention+tuning, gate 2, spatial"], "within")["1"] == said["end"]["within"]
    assert (config.out / "figures" / "gates-attention+tuning.png").is_file()

    # the report
    text = (config.out / "report.md").read_text()
    for heading in (
        "In short",
        "Table 1",
        "Table 2",
        "Table 3",
        "Table 4",
        "probe",
        "Which choices matter",
        "Settings",
    ):
        assert heading in text
    assert "74.90 ± 0.31" in text, "the paper's numbers stand beside ours"
    assert "What failed" not in text
    pictures = re.findall(r"\]\((figures/[^)]+)\)", text)
    assert {"figures/figure-2.png", "figures/figure-3.png", "figures/figure-4-1.png"} <= set(pictures)
    assert all((config.out / picture).stat().st_size > 2000 for picture in pictures)
    page = (config.out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(pictures)
    with (config.out / "numbers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    ours = [row for row in rows if (row["table"], row["row"], row["measure"]) == ("retrieval", "original", "top_1")]
    assert {row["seed"]: float(row["value"]) for row in ours} == values(
        tables["retrieval"]["doodles"]["original"], "top_1"
    )

    # the same command again: nothing to do, the same numbers
    before = _times(config)
    again = study(config)
    assert again["tables"] == results["tables"]
    assert _times(config) == before

    # another setting: what depends on it, and nothing else
    changed = replace(config, drawing_steps=3)
    study(changed)
    new = set(_times(changed)) - set(before)
    assert len(new) == len(ARMS)
    assert all(name.startswith("style_") for name in new)
    assert {name: stamp for name, stamp in _times(changed).items() if name in before} == before


def test_a_cell_that_fails_is_shown_with_its_reason_and_the_others_go_on(config, monkeypatch, capsys):
    config = replace(config, only=("retrieval", "style"), seeds=1, leave_out=())
    honest = style.style_table

    def fails_for_one(table):
        if table.only == ("attention",):
            raise ValueError("the paper\nis wet")
        return honest(table)

    monkeypatch.setattr(style, "style_table", fails_for_one)
    assert command(config) == 1
    assert "failed  the paper is wet" in capsys.readouterr().out
    text = (config.out / "report.md").read_text()
    assert "- style/doodles?tool=ink/attention/0: the paper is wet" in text
    results = json.loads((config.out / "results.json").read_text())
    assert set(results["tables"]["style"]["doodles?tool=ink"]) >= set(ARMS) - {"attention"}
    assert set(results["tables"]["retrieval"]["doodles"]) == set(ARMS)

    monkeypatch.setattr(style, "style_table", honest)
    assert command(config) == 0, "what failed is tried again"
    assert "What failed" not in (config.out / "report.md").read_text()


def _started(config: Study, *more: str, **settings: Any) -> AbstractContextManager[Child]:
    flags = [
        f"--{name}={getattr(config, name.replace('-', '_'))}" for name in ("out", "weights", "per-class", "epochs")
    ]
    flags += [f"--image-size={config.image_size}", "--seeds=2", "--only", "tuning", *more]
    line = [sys.executable, "-m", "sketchloss", "study", *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return started(line, seconds=580, stderr=STDOUT, env=environment, **settings)


def test_killed_anywhere_the_same_command_goes_on(cheap):
    with _started(cheap) as child:
        child.wait_until(lambda: bool(_times(cheap)))
        child.kill()
    before = _times(cheap)
    with _started(cheap) as child:
        child.exit_code()
        assert f"{len(before)} of 4 cells are there already" in child.said()
    after = _times(cheap)
    assert len(after) == 4
    assert {name: after[name] for name in before} == before
    assert (cheap.out / "report.html").is_file()


def _at_work(config: Study) -> int:
    """How many cells have been begun and are not done."""
    return sum(not (log.parent / RESULT).is_file() for log in (config.out / CELLS).glob(f"*/{LOG}"))


def test_several_processes_share_the_cells(cheap):
    most = 0
    with _started(replace(cheap, epochs=12), "--workers", "2") as child:
        while child.process.poll() is None:
            most = max(most, _at_work(cheap))
            time.sleep(0.05)
        child.exit_code()
        said = child.said()
    assert most == 2, said
    assert said.count("validation top-1") == 4
    logs = [path.read_text() for path in (cheap.out / CELLS).glob(f"*/{LOG}")]
    assert [log.count("sketches to train on") for log in logs] == [1] * 4, "a cell was computed twice"


def test_processes_end_with_the_one_that_was_killed(cheap):
    def training() -> int:
        return sum("steps on" in log.read_text() for log in (cheap.out / CELLS).glob(f"*/{LOG}"))

    with _started(replace(cheap, epochs=2000), "--workers", "2", stdout=PIPE) as child:
        child.wait_until(lambda: training() >= 2, 500)  # and no loaders are left: one just starting might not notice
        child.process.kill()  # it alone
        child.process.communicate(timeout=60)  # reads until nobody can write any more, so the other has ended too


def test_a_launched_process_works_for_itself(monkeypatch):
    for name, value in (("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1"), ("MASTER_ADDR", "here")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    found = find_workplace()
    assert (found.rank, found.count, found.launched) == (3, 4, True)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"
    assert not {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"} & set(os.environ)
    assert find_workplace() == running.Workplace(0, 1, launched=False, devices=3)


def test_processes_wait_until_the_first_has_opened_the_folder(cheap, monkeypatch):
    from sketchloss.experiments.study import whole as package

    monkeypatch.setattr(package, "WAITS", 2)
    monkeypatch.setattr(package, "WAIT_SECONDS", 0.01)
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "here"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(package, "run_cells", lambda *_: None)
    environment = dict(os.environ)
    cheap.out.mkdir()
    for launch in ("  there 2", None):  # of another launch, and none
        if launch:
            (cheap.out / package.MARKER).write_text(json.dumps({"launch": launch}))
        else:
            (cheap.out / package.MARKER).unlink()
        with pytest.raises(RuntimeError, match="was not opened by the first process"):
            study(cheap)
        os.environ.update(environment)
    (cheap.out / package.MARKER).write_text(json.dumps({"launch": "  here 1"}))
    assert study(cheap) == {}


# Plans ---------------------------------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing_and_says_what_is_left(cheap, capsys):
    planned = study(replace(cheap, dry_run=True))["plan"]
    assert not cheap.out.exists()
    assert [(row["part"], row["cells"], row["done"]) for row in planned] == [("tuning", 2, 0)]
    # 3 of each of 35 kinds, one held out
    assert planned[0]["steps"] == [-(-35 * 2 // 32)]
    assert "about" in capsys.readouterr().out
    study(cheap)
    assert study(replace(cheap, dry_run=True))["plan"][0]["done"] == 2


@pytest.mark.parametrize(
    ("only", "saved"),
    [
        ("tuning", {}),
        ("retrieval separation", {"retrieval": 1}),  # nothing is left without the heads
        ("style retrieval", {"retrieval": 1, "style": 1}),
        ("tuning probe", {"tuning": 1}),
        ("tuning retrieval separation", {"tuning": 2, "tuning retrieval": 1}),
    ],
)
def test_a_plan_names_each_part_that_can_be_left_out(only, saved, cheap):
    config = replace(cheap, only=tuple(only.split()))
    plan = [{"part": one.name, "seconds": 1.0} for one in planned(config)]
    found = estimate._savings(config, speed_of("a100"), plan)
    assert {flags: seconds for seconds, flags in found} == {f"--only {rest}": value for rest, value in saved.items()}


def test_the_papers_protocol_is_counted_as_printed(tmp_path):
    config = Study(out=tmp_path, **PRESETS["paper"])
    cells = {cell.name: cell for cell in plan_cells(config)}
    assert {cell.part for cell in cells.values()} == PARTS
    tuning = load_of(config, cells["tuning/attention+tuning/0"])
    # 50,889 sketches of 1,000 classes, five of about 51 held out; batches of 32; 25 epochs
    assert tuning.steps == 25 * 1435
    # the gates instead of pools, forwards and backwards
    assert tuning.multiply_adds == pytest.approx(3 * 183.2e9 * 45_889 * 25, rel=0.001)
    assert tuning.memory == pytest.approx(16.5 * 2**30, rel=0.1)
    plain = load_of(config, cells["tuning/tuning/0"])
    assert plain.multiply_adds == pytest.approx(3 * 15.35e9 * 45_889 * 25, rel=0.001)
    settings = cells["tuning/tuning/0"].settings
    literal = {"optimizer": "adam", "lr": 0.005, "batch_size": 32, "head": "vgg", "precision": "no", "clip": 0.0}
    assert {name: settings[name] for name in literal} == literal
    # one epoch of 118,288 photos, batches of 4
    assert load_of(config, cells["style/cufs/original/0"]).steps == 29_572
    # 100 epochs, batches of one; three of each class are held out to compare with
    assert load_of(config, cells["lora/original/0"]).steps == 100 * (50_889 - 3_000)
    assert {cell.seed for cell in cells.values()} == set(range(5))


#: A child that may open no socket but those of one machine's own processes, and says so if it tries. It runs commands
#: one after another, each the arguments in JSON, and tells of each the exit code, stdout and stderr.
NO_SOCKETS = """
import io, json, os, socket, sys
from contextlib import redirect_stderr, redirect_stdout
def refuse(*arguments, **_):
    print("tried the network:", arguments, file=sys.__stderr__, flush=True)
    os._exit(99)
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
from sketchloss.cli import main
for line in sys.argv[1:]:
    with redirect_stdout(io.StringIO()) as said, redirect_stderr(io.StringIO()) as complaints:
        code = main(json.loads(line))
    print(json.dumps([code, said.getvalue(), complaints.getvalue()]), flush=True)
"""
#: Plans, and the flags that they are asked with.
ASKED = {
    "weekend": ("--preset", "weekend"),
    "paper": ("--preset", "paper"),
    "of unknown data": ("--data", "nobody/has_this", "--only", "tuning"),
}


@pytest.fixture(scope="module")
def plans_without_network(tmp_path_factory) -> dict[str, CompletedProcess[str]]:
    """What each of `ASKED` is answered, all by one child."""
    place = tmp_path_factory.mktemp("plans")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    environment |= {"OMP_NUM_THREADS": "1", "HF_HOME": str(place / "home")}
    lines = [["study", "--dry-run", *flags, "--out", str(place / "out")] for flags in ASKED.values()]
    command = [sys.executable, "-c", NO_SOCKETS, *map(json.dumps, lines)]
    found = finished(command, seconds=500, env=environment, check=True)
    assert found.stderr == ""
    assert not (place / "out").exists()
    answers = map(json.loads, found.stdout.splitlines())
    return {name: CompletedProcess(name, *answer) for name, answer in zip(ASKED, answers, strict=True)}


@pytest.mark.parametrize(
    ("preset", "most"),
    [
        ("weekend", "--generator-seeds 1"),
        ("paper", "--only tuning style retrieval separation probe recovery ablation pairs"),
    ],
)
def test_a_plan_asks_no_network_and_says_hours_of_a_card(preset, most, plans_without_network):
    found = plans_without_network[preset]
    assert found.returncode == 0, found.stderr
    assert found.stderr == "", "no retries, no warnings"
    assert re.search(r"What is left: about [0-9,]+ hours of one NVIDIA A100, ([0-9.]+ days|[0-9]+:)", found.stdout)
    assert "Assumed: 30% of the peak that its maker prints" in found.stdout
    assert "songweig/imagenet_sketch, 50,889 pictures by publication" in found.stdout
    assert not re.search(r"\d{5,}:", found.stdout), "thousands of hours are days or years"
    first = next(line for line in found.stdout.splitlines() if line.startswith("Saves "))
    assert most in first


def test_a_plan_for_data_of_unknown_size_is_one_line(plans_without_network):
    found = plans_without_network["of unknown data"]
    assert found.returncode == 2
    assert found.stderr.count("\n") == 1
    assert "nobody/has_this is not a folder here" in found.stderr
    assert "hf download --repo-type dataset nobody/has_this" in found.stderr


def test_the_network_is_there_again_after_a_plan(cheap, monkeypatch):
    import datasets.config
    import huggingface_hub.constants

    def states() -> list[bool]:
        return [place.HF_HUB_OFFLINE for place in (huggingface_hub.constants, datasets.config)]

    for place in (huggingface_hub.constants, datasets.config):
        monkeypatch.setattr(place, "HF_HUB_OFFLINE", False)
    with offline():
        assert states() == [True, True]
    assert states() == [False, False]
    with pytest.raises(ValueError, match="nobody/has_this"):
        study(replace(cheap, data="nobody/has_this", dry_run=True))
    assert states() == [False, False]


def test_a_weekend_is_enough_for_the_weekend(tmp_path):
    """Even if everything takes half as long again, and with as many seeds as a verdict needs."""
    config = Study(out=tmp_path, **PRESETS["weekend"])
    hours = sum(row["seconds"] for row in estimate._plan(config, speed_of(config.device_speed), memory=False)) / 3600
    assert 10 < hours < 48 / 1.5
    assert config.seeds == config.generator_seeds == config.ablation_seeds == FEWEST_SEEDS
    assert {cell.part for cell in plan_cells(config)} == PARTS


def test_a_plans_time_is_the_arithmetic_by_the_speed(cheap):
    half = speed_of("a100")
    # 30 % of 312 TFLOP/s, two operations for a multiply-add; TF32 has half of it
    assert half.seconds(312e12 * 0.3 / 2, "bf16") == pytest.approx(1)
    assert half.seconds(156e12 * 0.3 / 2, "no") == pytest.approx(1)
    assert speed_of("40").seconds(20e12, "no") == speed_of("40").seconds(20e12, "fp16") == pytest.approx(1)
    (row,) = study(replace(cheap, dry_run=True, device_speed="0.001"))["plan"]
    loads = [load_of(cheap, cell) for cell in plan_cells(cheap)]
    assert [load.steps for load in loads] == [3, 3]
    arithmetic = sum(load.multiply_adds for load in loads) / 0.5e9
    assert row["seconds"] == pytest.approx(arithmetic + 2 * estimate.OVERHEAD + 6 * estimate.STEP_OVERHEAD)


def test_a_plan_can_be_of_this_machine(cheap, capsys):
    study(replace(cheap, dry_run=True, device_speed="here"))
    out = capsys.readouterr().out
    assert "hours of this machine" in out
    assert "A100" not in out
    assert re.search(r"Measured on a few steps of tuning: [0-9,]+ billion", out)


def test_drawing_is_counted_with_the_training(tmp_path):
    config = Study(out=tmp_path, **PRESETS["weekend"])
    (cell,) = [cell for cell in plan_cells(config) if cell.name == f"lora/{PLAIN}/0"]
    unet, decoder = prompts._count_passes(config.base, 256)
    more = dict(cell.settings) | {"drawings": cell.settings["drawings"] + 1}
    larger = load_of(config, replace(cell, settings=more))
    difference = larger.multiply_adds - load_of(config, cell).multiply_adds
    assert difference == pytest.approx(1000 * (2 * 25 * unet + decoder))


def test_the_report_sets_the_repeats_of_generators_that_are_trained_against_the_papers(tmp_path):
    config = Study(out=tmp_path, seeds=3, generator_seeds=3)
    said = list(report._differences(config))
    for what in ("Photo to sketch", "Prompt to sketch"):
        assert f"{what}: 3 seeds; the paper reports one training." in said
    others = report._differences(replace(config, only=("retrieval",), generator_seeds=1))
    assert [line for line in others if "to sketch: " in line] == []


def test_cells_follow_the_settings(config):
    names = {cell.name for cell in plan_cells(config)}
    assert {f"tuning/{arm}/{seed}" for arm in ("tuning", "attention+tuning") for seed in (0, 1)} <= names
    assert {f"lora/{arm}/0" for arm in (*ARMS, PLAIN)} <= names
    assert "ablation/gate_init=default/attention+tuning/0" in names
    assert "ablation/gate_init=ajar/attention+tuning/0" in names
    assert "ablation/gate_init=default/tuning/0" not in names, "there are no gates"
    assert "ablation/lr=0.005, adam/tuning/0" in names
    chosen = {cell.source for cell in plan_cells(replace(config, only=("ablation",), ablations=("downsample",)))}
    assert chosen == {"as the study", "downsample=none"}
    only = {cell.part for cell in plan_cells(replace(config, only=("separation",)))}
    assert only == {"tuning", "retrieval", "separation"}


def test_changed_files_are_other_cells(config, tmp_path):
    """Files behind links count, hidden and dead ones neither count nor stop anything."""
    for kind in ("cat", "house"):
        (tmp_path / "elsewhere" / kind).mkdir(parents=True)
        (tmp_path / "elsewhere" / kind / "0.png").write_bytes(b"0")
    data = tmp_path / "data"
    data.mkdir()
    for kind in ("cat", "house"):
        (data / kind).symlink_to(tmp_path / "elsewhere" / kind)

    def keys() -> dict[str, str]:
        cell_keys._files_fingerprint.cache_clear()
        cells = plan_cells(replace(config, data=str(data), leave_out=(), only=("tuning",)))
        return CellStore(tmp_path, cells, started=0).keys

    first = keys()
    (data / ".hidden").write_bytes(b"0")
    assert keys() == first
    (data / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with_dead_link = keys()
    (tmp_path / "elsewhere" / "house" / "0.png").write_bytes(b"another")
    assert not {*first.values(), *with_dead_link.values()} & set(keys().values())


def test_the_same_files_elsewhere_are_the_same_cells(config, tmp_path, monkeypatch):
    """By another name of the folder above, with other times, from another working directory: a copy of it all."""
    from sketchloss import Backbone, save_backbone

    for kind in ("cat", "house"):
        (tmp_path / "one" / "drawings?" / kind).mkdir(parents=True)
        (tmp_path / "one" / "drawings?" / kind / "0.png").write_bytes(b"0" * 300_000)
    torch.manual_seed(1)
    save_backbone(Backbone(width=0.125), tmp_path / "one" / "network")
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    for file in (tmp_path / "other").rglob("*.*"):
        os.utime(file, (1, 1))

    def keys(data: str, weights: str) -> dict[str, str]:
        cell_keys._files_fingerprint.cache_clear()
        changed = replace(config, data=data, leave_out=(), only=("tuning", "retrieval"), weights=weights)
        return CellStore(tmp_path, plan_cells(changed), started=0).keys

    first = keys(f"{tmp_path}/one/drawings?", f"{tmp_path}/one/network")
    assert keys(f"{tmp_path}/other/drawings?", f"{tmp_path}/other/network") == first
    monkeypatch.chdir(tmp_path / "other")
    assert keys("drawings?", "network") == first
    both = keys("drawings?,doodles", "network")
    assert not set(both.values()) & set(first.values())
    assert keys(f"{tmp_path}/one/drawings?,doodles", "network") == both
    with (tmp_path / "other" / "drawings?" / "cat" / "0.png").open("r+b") as file:
        file.write(b"1")  # as many bytes as before
    assert not set(keys("drawings?", "network").values()) & set(first.values())


def test_a_source_of_a_kind_with_a_setting_is_known_by_its_files_too(tmp_path):
    for place in ("one", "other"):
        (tmp_path / place / "fs2k").mkdir(parents=True)
        (tmp_path / place / "fs2k" / "0.png").write_bytes(b"0")
    one, other = (f"fs2k:{tmp_path / place / 'fs2k'}?style=1" for place in ("one", "other"))
    assert cell_keys._whichever_folder(one) == cell_keys._whichever_folder(other) == "fs2k:fs2k?style=1"
    cell_keys._files_fingerprint.cache_clear()
    first = cell_keys._files_fingerprint(one)
    assert first == cell_keys._files_fingerprint(other) != ""
    (tmp_path / "other" / "fs2k" / "0.png").write_bytes(b"1")
    cell_keys._files_fingerprint.cache_clear()
    assert cell_keys._files_fingerprint(other) != first


def test_changed_weights_of_the_start_are_other_cells(config, tmp_path):
    from sketchloss import Backbone, save_backbone

    torch.manual_seed(1)
    save_backbone(Backbone(width=0.125), tmp_path / "other")
    stores = [
        CellStore(tmp_path, plan_cells(replace(config, only=("tuning",), weights=weights)), started=0)
        for weights in (config.weights, str(tmp_path / "other"))
    ]
    assert not set(stores[0].keys.values()) & set(stores[1].keys.values())


def test_collapsed_features_leave_no_neighbours_and_no_error(config):
    from sketchloss import Backbone

    backbone = Backbone(width=0.125)
    for weight in backbone.parameters():
        torch.nn.init.constant_(weight, -1.0)  # every ReLU at zero
    found = measure_left_out(config, backbone, 0, 32)
    assert found == {"left_out_sketches": 8, "left_out_classes": 2}


# Further arms --------------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path) -> str:
    """Name of a network of transformers, tiny and random."""
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    settings = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24], depths=[1, 1, 1], layer_type="basic")
    ResNetModel(settings).save_pretrained(tmp_path / "resnet")
    return f"transformers:{tmp_path / 'resnet'}"


def test_further_arms_are_in_every_table_and_a_changed_setting_redoes_its_arm_alone(config, tiny, capsys):
    arms = (f"tiny={tiny}", "steep=finetune:lr=1e-3,label_smoothing=0")
    parts = ("retrieval", "separation", "style")
    config = replace(config, seeds=1, only=parts, leave_out=(), arm=arms)
    results = study(config)
    assert [cell["reason"] for cell in results["cells"] if cell["state"] == "failed"] == []
    tables = results["tables"]
    names = [*ARMS, "tiny", "steep"]
    assert list(tables["retrieval"]["doodles"]) == list(tables["separation"]["doodles"]) == names
    assert list(tables["tuning"][""]) == ["attention+tuning", "tuning", "steep"]
    assert list(tables["style"]["doodles?tool=ink"])[:6] == names

    # what was computed is what was asked for
    (tuned,) = (config.out / CELLS).glob("tuning_steep_0-*/run")
    settings = json.loads((tuned / "config.json").read_text())
    assert (settings["arm"], settings["lr"], settings["label_smoothing"], settings["seed"]) == ("tuning", 1e-3, 0, 0)
    others = json.loads(next((config.out / CELLS).glob("tuning_tuning_0-*/run/config.json")).read_text())
    differing = {name for name in settings if settings[name] != others[name]} - {"out"}
    assert differing == {"lr", "label_smoothing"}
    (heads,) = (config.out / CELLS).glob("retrieval_doodles_steep_0-*/run")
    assert json.loads((heads / "config.json").read_text())["arm"] == [f"steep={tuned}"]

    # and said
    text = (config.out / "report.md").read_text()
    assert "tiny, the weights transformers:resnet; steep, tuned with lr 0.001, label_smoothing 0.0" in text
    assert "- steep: the weights tuned with lr 0.001, label_smoothing 0.0 in this study, anew for each seed." in text
    assert str(config.out.parent) not in text
    assert len(re.findall(r"^\| (?:tiny|steep) ", text, re.MULTILINE)) >= 7

    # again: nothing to do; another setting: that arm's cells and no others
    before = _times(config)
    study(config)
    assert _times(config) == before
    changed = replace(config, only=("retrieval",), arm=(arms[0], "steep=finetune:lr=2e-3,label_smoothing=0"))
    study(changed)
    new = set(_times(changed)) - set(before)
    assert {name.rpartition("-")[0] for name in new} == {"tuning_steep_0", "retrieval_doodles_steep_0"}
    assert {name: stamp for name, stamp in _times(changed).items() if name in before} == before


def test_further_arms_leave_the_cells_of_the_others_as_they_are(config, narrow, tmp_path):
    from sketchloss import Backbone, save_backbone

    weights = [str(tmp_path / name) for name in "ab"]
    for number, place in enumerate(weights):
        torch.manual_seed(number)
        save_backbone(Backbone(width=0.125, attention=True), place)

    def keys(*arms: str) -> dict[str, str]:
        cell_keys.weights_fingerprint.cache_clear()
        return CellStore(tmp_path, plan_cells(replace(config, arm=arms)), started=0).keys

    plain, first = keys(), keys(f"mine={','.join(weights)}", "gated=finetune:arm=attention+tuning,gate_init=ajar")
    assert {name: first[name] for name in plain} == plain
    mine = [f"{part}/mine/{seed}" for part in ("retrieval/doodles", "separation/doodles", "probe") for seed in (0, 1)]
    more = ["style/doodles?tool=ink/mine/0", "lora/mine/0"]
    assert sorted(name for name in first if "/mine/" in name) == sorted([*mine, *more])
    assert not any("ablation" in name and "gated" in name for name in first)
    cells = {cell.name: cell for cell in plan_cells(replace(config, arm=(f"mine={','.join(weights)}",)))}
    assert [cells[f"retrieval/doodles/mine/{seed}"].settings["arm"] for seed in (0, 1)] == [
        [f"mine={place}"] for place in weights
    ]

    # other tensors under the same name are other cells, of that seed
    save_backbone(Backbone(width=0.125, attention=True), weights[1])
    second = keys(f"mine={','.join(weights)}")
    assert second["retrieval/doodles/mine/0"] == first["retrieval/doodles/mine/0"]
    assert second["retrieval/doodles/mine/1"] != first["retrieval/doodles/mine/1"]
    assert second["separation/doodles/mine/1"] != first["separation/doodles/mine/1"]


def test_an_arms_network_and_sizes_are_counted(cheap, tiny):
    (plain,) = study(replace(cheap, dry_run=True))["plan"]
    larger = replace(cheap, arm=("large=finetune:image_sizes=32 64",))
    cells = {cell.name: load_of(larger, cell) for cell in plan_cells(larger)}
    one, mixed = cells["tuning/tuning/0"], cells["tuning/large/0"]
    assert mixed.multiply_adds == pytest.approx(one.multiply_adds * (1 + 4) / 2, rel=0.01)
    assert mixed.steps == one.steps
    assert study(replace(larger, dry_run=True))["plan"][0]["cells"] == plain["cells"] + 1

    # another network, given and tuned, at its own layers
    others = (f"tiny={tiny}", f"tuned=finetune:weights={tiny}")
    planned = study(replace(cheap, only=("retrieval",), arm=others, dry_run=True))["plan"]
    assert [(row["part"], row["cells"]) for row in planned] == [("tuning", 3), ("retrieval", 6)]
    cells = {cell.name: cell.settings for cell in plan_cells(replace(cheap, only=("retrieval",), arm=others))}
    layers = {name: cells[f"retrieval/doodles/{name}/0"]["layer"] for name in ("original", "tiny", "tuned")}
    assert layers == {"original": "pool5", "tiny": "stage3", "tuned": "stage3"}
    assert not cheap.out.exists()


def test_controls_are_counted_as_they_are(cheap):
    # Oracle: without the first two pools block 2 looks at 4 times as many positions and what is behind at 16 times.
    controls = ("nopool=finetune:slots=nothing,downsample=none", "dilated=finetune:slots=nothing,downsample=dilated")
    config = replace(cheap, only=("retrieval",), arm=(*controls, "like=finetune:slots=convolutions"))
    loads = {cell.name: load_of(config, cell).multiply_adds for cell in plan_cells(config)}
    macs = [9 * 3 * 8 + 9 * 8**2, (9 * 8 * 16 + 9 * 16**2) / 4]
    macs.append((9 * 16 * 32 + 2 * 9 * 32**2) / 16 + (9 * 32 * 64 + 2 * 9 * 64**2) / 64 + 3 * 9 * 64**2 / 256)
    factor = (macs[0] + 4 * macs[1] + 16 * macs[2]) / sum(macs)
    for arm in ("nopool", "dilated"):
        assert loads[f"tuning/{arm}/0"] == pytest.approx(factor * loads["tuning/tuning/0"], rel=0.01)
        assert loads[f"retrieval/doodles/{arm}/0"] > 2 * loads["retrieval/doodles/tuning/0"]
    assert 1 < loads["tuning/like/0"] / loads["tuning/tuning/0"] < 1.3


def test_a_dry_run_asks_no_network_for_an_arm(cheap, monkeypatch):
    import huggingface_hub.constants

    asked = []
    load = cell_keys.load_backbone

    def watched(name, **settings):
        asked.append((name, huggingface_hub.constants.HF_HUB_OFFLINE))
        return load(name, **settings)

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(cell_keys, "load_backbone", watched)
    cell_keys.network_of.cache_clear()
    study(replace(cheap, arm=("far=some/where",), dry_run=True))
    assert ("some/where", True) in asked
    assert [name for name, offline in asked if not offline] == []


# Mistakes ------------------------------------------------------------------------------------------------------------


def test_other_peoples_files_are_never_removed(cheap):
    cheap.out.mkdir()
    (cheap.out / "thesis.txt").write_text("precious")
    for again in (False, True):
        with pytest.raises(ValueError, match="not empty and not a study"):
            study(replace(cheap, again=again))
    (cheap.out / "thesis.txt").rename(cheap.out.parent / "thesis.txt")
    study(cheap)
    (cheap.out / "notes.txt").write_text("precious too")
    first = _times(cheap)
    study(replace(cheap, again=True))
    assert (cheap.out / "notes.txt").read_text() == "precious too"
    assert _times(cheap) != first


def test_a_mistake_is_one_line_and_costs_nothing(config):
    mistakes = {
        "data": ("no/such/folder/", "does not exist"),
        "weights": ("typo", "typo"),
        "base": ("no/such/base/", "no/such/base"),
        "taught": ("no/such/", "does not exist"),
        "content": ("no/such/", "no/such"),
        "sets": (("cufs:no/such",), "no/such"),
        "leave_out": (("unicorn",), "no class 'unicorn'"),
        "triplets": (config.out / "none.csv", "no file"),
        "probed": ("no/such/", "no/such"),
    }
    for name, (value, match) in mistakes.items():
        with pytest.raises((ValueError, FileNotFoundError), match=match):
            study(replace(config, **{name: value}))
    with pytest.raises(ValueError, match="leave_out names 1 class"):
        study(replace(config, leave_out=("cat",)))
    with pytest.raises(ValueError, match="weights is sketch, which has attention gates"):
        study(replace(config, weights="sketch"))
    assert not config.out.exists()
    file = config.out.parent / "file"
    file.touch()
    with pytest.raises(ValueError, match="not a folder"):
        study(replace(config, out=file))


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ("--held-out 2", "held_out is 2.0: it must lie between 0 and 1"),
        ("--seeds 0", "seeds is 0"),
        ("--measured a/here/cats a/there/cats", "measured names two sets called cats: rename one's folder"),
        ("--drawing-steps 0", "drawing_steps is 0: it must be positive"),
        ("--workers -1", "workers is -1"),
        ("--lr nan", "lr is nan: it must be positive"),
        ("--per-class 1", "per_class is 1: one sketch of a class is held out, so give 2 or more"),
        ("--ablation-image-size 8", "ablation_image_size is 8: it must be 16 pixels or more"),
        ("--image-size 16", "image_size is 16: it must be 32 pixels or more"),
        ("--seeds 2 --generator-seeds 3", "generator_seeds is 3: generators need weights tuned with their seed"),
        ("--only tables", "tables"),
        ("--only tunning", "only names 'tunning': did you mean tuning? choose from tuning, style, lora,"),
        ("--only ablation --data no/such/", "no/such/ does not exist"),
        ("--only ablation --weights sketch", "weights is sketch, which has attention gates"),
        ("--only ablation --preset weekend --image-size 8", "image_size is 8: it must be 16 pixels or more"),
        ("--only style --inception no/such.pth", "inception is no/such.pth, which is no file: check the path"),
        ("--only lora --inception no/such.pth", "inception is no/such.pth, which is no file: check the path"),
        ("--preset huge", "huge"),
        ("--device-speed gtx", "device_speed is 'gtx': name a card (a100, h100"),
        ("--device-speed -3", "device_speed is '-3'"),
        ("--device-speed nan", "device_speed is 'nan'"),
        ("--arm mine", "arm is 'mine': give a name and weights, as in dino="),
        ("--arm original=sketch", "the name original is taken"),
        ("--arm a=sketch,sketch-plain", "arm a has 2 weights for 3 seeds: give one, or one for each seed"),
        ("--arm a=no/such/weights/", "no/such/weights"),
        ("--arm a=finetune:", "arm a says '': give settings and values, as in finetune:contrast=0.1"),
        ("--arm a=finetune:lr", "arm a says 'lr': give settings and values"),
        ("--arm a=finetune:contrastt=1", "arm a sets contrastt, which sketchloss finetune does not know: did you mean"),
        ("--arm a=finetune:held_out=0.5", "arm a sets held_out, which is the same for all arms of a study: leave it"),
        ("--arm a=finetune:lr=1,lr=2", "arm a sets lr twice"),
        ("--arm a=finetune:lr=fast", "arm a: --lr takes a number, not 'fast'"),
        ("--arm a=finetune:contrast=-1", "arm a: contrast is -1.0: it must be finite and not negative"),
        ("--arm a=finetune:arm=original", "arm a: --arm 'original' is unknown"),
        ("--arm a=finetune:gate_init=half", "arm a sets gate_init and has no gates: add arm=attention+tuning"),
        ("--arm a=finetune:downsample=none", "arm a sets downsample and has no gates: add arm=attention+tuning"),
        ("--arm a=finetune:image_size=16", "arm a: image_size is 16: it must be 32 pixels or more"),
        ("--retrieval-grid 0", "retrieval_grid is 0: it must be positive"),
        ("--arm a=finetune:size_shares=1", "arm a: size_shares"),
        ("--arm a=finetune:image_sizes=48,64", "arm a says '64', which is no setting with a value: give several"),
        ("--arm a=finetune:image_sizes=15", "arm a: a size of image_sizes is 15: it must be 16 pixels or more"),
        ("--arm a=finetune:image_sizes=31,head=vgg", "arm a: a size of image_sizes is 31: it must be 32 pixels"),
        ("--arm a=finetune:lr=1 --arm b=sketch", "--arm is given twice: give all its values behind one --arm"),
        ("--arm a=finetune:weights=no/such/start/", "no/such/start"),
    ],
)
def test_settings_out_of_range_are_one_line(flags, line, tmp_path, capsys):
    assert cli.main(["study", "--out", str(tmp_path / "out"), *flags.split()]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_durations():
    assert [format_seconds(seconds) for seconds in (0.4, 59.6, 61, 3723)] == ["0:00", "1:00", "1:01", "1:02:03"]
    day = 86400
    assert [format_seconds(days * day) for days in (1.9, 2, 45.4, 729, 263 * 365.25)] == [
        *("45:36:00", "2.0 days", "45 days", "729 days", "263 years"),
    ]
    assert format_seconds(2309398 * 3600) == "263 years"
