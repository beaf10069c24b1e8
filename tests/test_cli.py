"""Oracle of most tests: the error rule. A mistake is one line on stderr that names value and mend, exit code 2."""

import ast
import gc
import importlib
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Collection
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from child_process import PIPE, finished, started
from sketchloss import cli
from sketchloss.cli import COMMANDS, Command, main
from sketchloss.compare.settings import Compare
from sketchloss.system.command_line import parse
from sketchloss.training.guards import TrainingStopped

COMPARE, FINETUNE = "compare a.png b.png", "finetune --data doodles --out run"

# Command line -> what the line on stderr must say: the cause, the value, the mend.
MISTAKES = {
    "compere a b": ("unknown command 'compere'", "did you mean compare?", "finetune"),
    "Doctor": ("'Doctor'", "did you mean doctor?"),
    "paint": ("'paint'", "choose from demo, compare"),
    "--verbose compare a b": ("unknown option --verbose", "sketchloss --help"),
    "compare": ("missing A and B", "sketchloss compare --help"),
    "compare a.png": ("missing B",),
    f"{COMPARE} c.png": ("c.png is one argument too many",),
    COMPARE: ("a.png does not exist", "check the path"),
    f"{COMPARE} --metrik l1": ("unknown option --metrik", "did you mean --metric?"),
    f"{COMPARE} --metric=l3": ("--metric 'l3' is unknown", "choose from l1, l2, cosine"),
    f"{COMPARE} --metric": ("--metric needs a value",),
    f"{COMPARE} --size big": ("--size takes a whole number, not 'big'",),
    f"{COMPARE} --size=1.5": ("--size takes a whole number, not '1.5'",),
    f"{COMPARE} --size -4": ("size is -4", "must not be negative"),
    f"{COMPARE} --json yes": ("yes is one argument too many",),
    f"{COMPARE} --no-json": ("unknown option --no-json", "did you mean --json?"),
    f"{COMPARE} --device gpu": ("--device 'gpu' is unknown", "auto, cpu, cuda"),
    f"{COMPARE} --map": ("--map needs a value",),
    "doctor now": ("now is one argument too many",),
    "doctor --jsn": ("unknown option --jsn", "did you mean --json?"),
    "finetune": ("missing --data STR and --out PATH", "sketchloss finetune --help"),
    "finetune --data doodles": ("missing --out PATH",),
    "finetune --data": ("--data needs a value",),
    "finetune --outt run": ("unknown option --outt", "did you mean --out?"),
    f"{FINETUNE} --epocs 3": ("unknown option --epocs", "did you mean --epochs?"),
    f"{FINETUNE} -epochs 3": ("unknown option -epochs", "did you mean --epochs?"),
    f"{FINETUNE} --zzz": ("unknown option --zzz", "sketchloss finetune --help"),
    f"{FINETUNE} --epochs three": ("--epochs takes a whole number, not 'three'",),
    f"{FINETUNE} --batch_size=8x": ("--batch-size takes a whole number, not '8x'",),
    f"{FINETUNE} --lr 1e-4e": ("--lr takes a number, not '1e-4e'",),
    "gallery search g a.png -k many": ("--k takes a whole number, not 'many'",),
    "gallery search g a.png -k=1.5 --all": ("--k takes a whole number, not '1.5'",),
    "gallery search g a.png -kx": ("--k takes a whole number, not 'x'",),
    "gallery search g a.png -k": ("--k needs a value",),
    f"{FINETUNE} --epochs -1": ("epochs is -1", "must be positive"),
    f"{FINETUNE} --held-out 1.5": ("held_out is 1.5", "between 0 and 1"),
    f"{FINETUNE} --per-class many": ("--per-class takes a whole number, not 'many'",),
    f"{FINETUNE} --crop-scale 0.3": ("--crop-scale needs 2 values, got only '0.3'",),
    f"{FINETUNE} --crop-scale 0.3 x": ("--crop-scale", "not '0.3 x'"),
    f"{FINETUNE} --head vg": ("--head 'vg' is unknown", "did you mean vgg?", "vgg, pooled"),
    f"{FINETUNE} --preset papper": ("--preset 'papper' is unknown", "did you mean paper?", "paper, stable, demo"),
    f"{FINETUNE} --leave-out cat --epochs 2 --leave_out=dog": ("--leave-out is given twice: give all its values",),
    f"{FINETUNE} --preset": ("--preset needs a value",),
    f"{FINETUNE} --resume yes": ("yes is one argument too many",),
}


def check_one_line(code: int, out: str, err: str, said: tuple[str, ...]) -> None:
    assert (code, out) == (2, "")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert err.startswith("sketchloss")
    for words in said:
        assert words in err


def run(*arguments: str, **settings) -> CompletedProcess[str]:
    return finished([sys.executable, "-m", "sketchloss", *arguments], seconds=300, **settings)


@pytest.fixture
def command(monkeypatch):
    """Install a command that calls the given function, and return its name."""

    def install(function, name: str = "try", extra: str = "", **members) -> str:
        module = SimpleNamespace(run=function, **members)
        monkeypatch.setitem(sys.modules, "tried", module)
        monkeypatch.setattr(cli, "COMMANDS", (*COMMANDS, Command(name, "a trial", "tried", "run", extra)))
        return name

    return install


@dataclass(frozen=True)
class Nothing:
    """Take nothing."""


def raising(error: BaseException):
    def function(config: Nothing) -> None:
        raise error

    return function


# The error rule ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("line", "said"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_is_one_line(line, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = main(shlex.split(line))
    check_one_line(code, *capsys.readouterr(), said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("columns", "encoding"), [("40", "utf-8"), ("200", "ascii")])
def test_a_mistake_is_one_line_in_any_terminal(columns, encoding, tmp_path):
    value = "a-rather-long-value-that-a-narrow-terminal-would-break-in-two-or-three"
    terminal = {"COLUMNS": columns, "PYTHONIOENCODING": encoding}
    done = run(*FINETUNE.split(), "--head", value, cwd=tmp_path, env=os.environ | terminal)
    check_one_line(done.returncode, done.stdout, done.stderr, (f"--head '{value}' is unknown", "vgg, pooled"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("two\n  lines\tand a tab"), "two lines and a tab"),
        (ValueError(), "ValueError"),
        (FileNotFoundError("x.png does not exist: check the path"), "x.png does not exist: check the path"),
        (
            FileNotFoundError(2, "No such file or directory", "x.png"),
            "x.png: no such file or directory; check the path",
        ),
        (PermissionError(13, "Permission denied", "x.png"), "x.png: permission denied; change its permissions"),
        (OSError(28, "No space left on device", "x.png"), "x.png: no space left on device"),
        (TrainingStopped("the loss is nan at step 3"), "the loss is nan at step 3"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has ..."), "smaller"),
    ],
)
def test_what_a_command_raises_for_its_user_is_one_line(error, said, command, capsys):
    code = main([command(raising(error))])
    check_one_line(code, *capsys.readouterr(), ("sketchloss try: ", said))


@given(st.text())
def test_a_text_of_any_kind_is_one_line(text):
    line, code = cli._explain(ValueError(text), None)
    assert line
    assert len(line.splitlines()) == 1
    assert code == 2


def test_a_bug_keeps_its_traceback(command):
    with pytest.raises(ZeroDivisionError):
        main([command(raising(ZeroDivisionError("a bug")))])


def test_a_missing_module_of_ours_is_a_bug(command):
    with pytest.raises(ModuleNotFoundError):
        main([command(raising(ModuleNotFoundError("No module named 'sketchloss.no'", name="sketchloss.no")))])


def test_debug_shows_the_traceback_of_a_mistake(command, monkeypatch):
    monkeypatch.setenv("SKETCHLOSS_DEBUG", "1")
    with pytest.raises(ValueError, match="a mistake"):
        main([command(raising(ValueError("a mistake")))])


@pytest.mark.parametrize("extra", ["train", ""])
def test_a_missing_library_names_the_extra(extra, command, capsys):
    error = ModuleNotFoundError("No module named 'datasets.arrow'", name="datasets.arrow")
    code = main([command(raising(error), extra=extra)])
    pip = f"pip install 'sketchloss[{extra or 'all'}]'"
    check_one_line(code, *capsys.readouterr(), ("datasets is not installed", pip))


def test_a_module_that_cannot_be_imported_names_the_extra(tmp_path, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "sketchloss.experiments.tuning.finetune", raising=False)
    monkeypatch.setitem(sys.modules, "accelerate", None)  # as if it were not installed
    code = main(["finetune", "--data", "doodles", "--out", str(tmp_path / "run")])
    check_one_line(code, *capsys.readouterr(), ("accelerate is not installed", "pip install 'sketchloss[train]'"))


def test_an_interruption_is_one_line_and_130(tmp_path):
    # A picture that never comes: the process waits in the middle of its work until it is interrupted.
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "sketchloss", "compare", pipe, pipe, "--weights", "imagenet"]
    read, ended = threading.Event(), threading.Event()

    def hold() -> None:
        with pipe.open("wb"):  # returns when the other end is open
            read.set()
            ended.wait(120)

    threading.Thread(target=hold, daemon=True).start()
    with started(command) as child:
        child.wait_until(read.is_set)
        child.process.send_signal(signal.SIGINT)
        assert (child.exit_code(), child.said()) == (130, "")
        assert child.complaints() == "sketchloss compare: interrupted\n"
    ended.set()


@pytest.mark.parametrize(
    "module", ["sketchloss.training.guards", "tyro", "numpy", "torch._C", "sketchloss.networks.weights"]
)
def test_an_interruption_while_libraries_are_imported_is_quiet(module, tmp_path):
    # The interpreter says on stderr what it has imported. A pipe for a picture: if the signal comes late, it waits.
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    command = [sys.executable, "-X", "importtime", "-m", "sketchloss", "compare", pipe, pipe]
    with started(command, stderr=PIPE) as child:
        assert any(line.rpartition("|")[2].strip() == module for line in child.process.stderr)
        child.process.send_signal(signal.SIGINT)
        said = [line for line in child.process.stderr.read().splitlines() if not line.startswith("import time:")]
        code, out = child.exit_code(), child.said()
    # Ended by the signal, which a shell reports as 130; or by itself with the same number.
    assert (code, out, said) in (
        (-signal.SIGINT, "", []),
        (130, "", ["sketchloss compare: interrupted"]),
        (130, "", ["sketchloss: interrupted"]),
    )


def test_interruptions_are_python_s_again_when_a_command_runs(command):
    found = []

    def function(config: Nothing) -> None:
        found.append(signal.getsignal(signal.SIGINT))

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored, as behind a shell's `&`
    try:
        assert main([command(function)]) == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert found == [signal.default_int_handler]


# Standard streams ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Two folders, `a` and `b`, with the same thirty names."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("a", "b"):
        (folder / name).mkdir()
        for number in range(30):
            pixels = np.full((32, 32), 255, np.uint8)
            pixels[number, 4:28] = 0
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def in_shell(line: str, folder: Path) -> CompletedProcess[str]:
    """Run a line of a shell in which `sketchloss` is this one's; with its pipes, `$?` is the command's own."""
    line = line.replace("sketchloss", f"{shlex.quote(sys.executable)} -m sketchloss")
    return finished(["bash", "-c", f"set -o pipefail; {line}"], seconds=300, cwd=folder)


COMPARE_ONE = "sketchloss compare a/1.png b/2.png --size 32"


@pytest.mark.parametrize("streams", [">&-", "<&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_command_does_its_work_where_standard_streams_are_closed(streams, pictures, tmp_path):
    done = in_shell(f"{COMPARE_ONE} --csv {tmp_path}/table.csv --map {tmp_path}/map.png {streams}", pictures)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (">&-" not in streams)
    assert (tmp_path / "table.csv").read_text().splitlines()[1].startswith("1 2,")
    with Image.open(tmp_path / "map.png") as drawn:
        assert drawn.size[0] > 32


def test_a_mistake_with_stderr_closed_has_its_exit_code_and_says_nothing_on_stdout(pictures):
    done = in_shell("sketchloss compare a/1.png nowhere.png 2>&-", pictures)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.parametrize("line", ["sketchloss --help", "sketchloss --version", "sketchloss doctor --help"])
def test_help_with_stdout_closed_is_no_error(line, tmp_path):
    done = in_shell(f"{line} >&-", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_sketch_that_would_go_to_a_closed_stdout_is_refused(pictures):
    done = in_shell("sketchloss style apply pencil a/1.png --out - >&-", pictures)
    check_one_line(done.returncode, done.stdout, done.stderr, ("standard output is closed", "give --out FILE"))


@pytest.mark.parametrize("line", [COMPARE_ONE, "sketchloss --help", "sketchloss compare a b --size 32"])
def test_a_full_disk_behind_stdout_is_one_line(line, pictures):
    done = in_shell(f"{line} >/dev/full", pictures)
    check_one_line(done.returncode, done.stdout, done.stderr, ("no space left on device",))


def test_a_full_disk_behind_stderr_leaves_the_exit_code(pictures):
    done = in_shell("sketchloss compare a/1.png nowhere.png 2>/dev/full", pictures)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("line", ["compare --help", "--help", "compare a b --size 32"])
def test_a_closed_pipe_is_no_error(line, pictures):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = run(*line.split(), stdout=closed, cwd=pictures)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_reader_that_takes_one_line_is_no_error(pictures):
    done = in_shell("sketchloss compare a b --size 32 | head -1", pictures)
    assert done.stderr == ""
    assert done.returncode in (0, 141)  # 0: all was written before the reader went
    assert done.stdout.split()[:2] == ["name", "distance"]


def test_a_broken_pipe_elsewhere_is_told(command, capfd):
    code = main([command(raising(BrokenPipeError(32, "Broken pipe")))])
    check_one_line(code, *capfd.readouterr(), ("Broken pipe",))


# Help and choice of a command ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_the_overview_lists_every_command_with_its_summary(arguments, capsys):
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for entry in COMMANDS:
        lines = [line.strip() for line in out.splitlines()]
        assert any(line.startswith(f"{entry.name} ") and line.endswith(f" {entry.summary}") for line in lines)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"sketchloss {cli.__version__}\n"


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_the_help_of_a_command_shows_every_field_of_its_config(entry, capsys):
    assert main([*entry.name.split(), "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith(f"usage: sketchloss {entry.name} ")
    assert "Raises:" not in out
    module = importlib.import_module(entry.module, "sketchloss")
    config_type = next(iter(getattr(module, entry.function).__annotations__.values()))
    if entry.settings:
        settings = importlib.import_module(entry.settings, "sketchloss")
        assert getattr(settings, entry.config) is config_type
    for item in fields(config_type):
        shown = (f"--{item.name.replace('_', '-')} ", f" {item.name.upper()} ", f"[{item.name.upper()}]")
        assert any(word in out for word in shown), item.name
    for choice in ("--no-json", "--no-resume"):
        assert choice not in out


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_a_text_in_the_help_has_no_line_break_of_the_source(entry, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "4000")
    assert main([*entry.name.split(), "--help"]) == 0
    rows = [line[1:].rstrip("│ ") for line in capsys.readouterr().out.splitlines()[4:]]
    for row, after in pairwise(rows):
        # A text stands beside its option, or all of it in the row below a long one.
        if after.startswith(" " * 8):
            assert re.fullmatch(r" [-\[A-Z]\S*( \S+)*", row), f"{row.strip()} | {after.strip()}"


def loaded(lines: Collection[str], names: Collection[str], folder: Path) -> list[list[str]]:
    """Run command lines in one new interpreter; return which of the modules it has loaded after each."""
    script = f"""
import sys
from sketchloss.cli import main
for line in {lines!r}:
    main(line.split())
    print("LOADED", [name for name in {names!r} if name in sys.modules])
"""
    done = finished([sys.executable, "-c", script], check=True, seconds=300, cwd=folder)
    found = [line.removeprefix("LOADED ") for line in done.stdout.splitlines() if line.startswith("LOADED ")]
    return [ast.literal_eval(names) for names in found]


def test_help_version_and_a_wrong_command_load_no_torch(tmp_path):
    lines = ["", "--help", "--version", "gallery --help", "gallery paint", "--verbose compare"]
    slow = ("torch", "numpy", "PIL", "tyro", "huggingface_hub", "sketchloss.loss.loss")
    assert loaded(lines, slow, tmp_path) == [[]] * len(lines)


# Libraries that only some commands need.
SOME = (
    *("accelerate", "datasets", "diffusers", "gradio", "kornia", "lancedb", "matplotlib", "onnx", "onnxruntime"),
    *("pandas", "peft", "pyarrow", "scipy", "sklearn", "tensorboard", "torch._dynamo", "torchvision", "transformers"),
    *("sketchloss.gallery", "sketchloss.experiments.tuning.finetune"),
    "sympy",  # which torch's compiler loads, and arithmetic on tensors without memory the compiler
)


LOAD_NONE = (
    *("compare a/1.png b/2.png --size 32", "compare a b --size 32", "compare --help", "compare --metrik l1 a b"),
    *("doctor --help", "style apply --help", "style apply pencil a/1.png --out sketch.png", "finetune --help"),
    *("finetune --epoch 3", "study --help", "lora sample --help", "lora merge --lora a", "app --help"),
)


CLIENTS = ("huggingface_hub", "httpx", "httpx2")


@pytest.fixture(scope="module")
def after_commands(pictures) -> dict[str, list[str]]:
    """Command line -> which of `SOME` and `CLIENTS` were loaded after it, of lines run one after the other."""
    lines = (*LOAD_NONE, "gallery search --help")
    return dict(zip(lines, loaded(lines, (*SOME, *CLIENTS), pictures), strict=True))


def test_only_the_chosen_commands_libraries_are_loaded(after_commands):
    found = {line: [name for name in names if name in SOME] for line, names in after_commands.items()}
    assert found.pop("gallery search --help") == ["sketchloss.gallery"]
    assert {line: names for line, names in found.items() if names} == {}


def test_compare_with_weights_of_the_package_needs_no_client_of_the_hub(after_commands):
    line = LOAD_NONE[0]  # the first, and others came later
    assert line.startswith("compare a/1.png b/2.png")
    assert after_commands[line] == []


@pytest.mark.parametrize("line", ["try", "try --help", "try --size x"])
def test_garbage_is_collected_again_after_the_libraries_are_loaded(line, command):
    collecting: list[bool] = []

    def function(config: Nothing) -> None:
        collecting.append(gc.isenabled())

    command(function)
    main(line.split())
    assert collecting == ([True] if line == "try" else [])
    assert gc.isenabled()


def test_a_command_may_have_two_words(command, capsys):
    def function(config: Nothing) -> int:
        return 7

    command(function, "magic show")
    assert main(["magic", "show"]) == 7
    assert main(["magic", "--help"]) == 0
    assert "magic show  a trial" in capsys.readouterr().out
    check_one_line(main(["magic"]), *capsys.readouterr(), ("magic needs a second word", "use one of show"))
    check_one_line(main(["magic", "shaw"]), *capsys.readouterr(), ("'shaw' is no part of magic", "use one of show"))
    check_one_line(main(["majic"]), *capsys.readouterr(), ("did you mean magic?",))


# Parsing -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """Try."""

    out: Path
    rate: float = 0.1
    """How fast."""
    steps: int = 10
    strict: bool = False

    def __post_init__(self) -> None:
        if not self.out.name:  # would fail on a placeholder
            raise ValueError("out is empty")


PRESETS = {"fast": {"rate": 1.0, "steps": 3}, "usual": {}}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--out x", Trial(Path("x"))),
        ("--out x --preset usual", Trial(Path("x"))),
        ("--out x --preset fast", Trial(Path("x"), 1.0, 3)),
        ("--preset=fast --out x", Trial(Path("x"), 1.0, 3)),
        ("--preset fast --out x --steps 5", Trial(Path("x"), 1.0, 5)),
        ("--steps 5 --out x --preset fast --strict", Trial(Path("x"), 1.0, 5, True)),
        ("--preset fast --preset usual --out x", Trial(Path("x"))),
    ],
)
def test_a_preset_changes_defaults_and_options_override_it(line, expected):
    config = parse(Trial, line.split(), program="try", presets=PRESETS)
    assert config == expected
    assert type(config) is Trial  # without a field of its own: it is written to config.json


def test_the_help_shows_the_defaults_of_the_preset(command, capsys):
    def function(config: Trial) -> None:
        raise AssertionError("help must not run it")

    main([command(function, PRESETS=PRESETS), "--preset", "fast", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert "--rate FLOAT How fast. (default: 1.0)" in out
    assert "{fast,usual}" in out


def test_the_help_of_preset_says_what_each_is(capsys):
    assert main(["study", "--help"]) == 0
    out = " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    assert "--preset NAME --help shows them. `doodles`" in out
    assert "`gates` (two cores), whether gates add to tuning" in out


def test_options_reach_the_config():
    line = "a.png b.png --layers relu1_2 relu3_3 --size 0 --map x.png --json --worst 2"
    expected = Compare(
        Path("a.png"), Path("b.png"), layers=("relu1_2", "relu3_3"), size=0, map=Path("x.png"), json=True, worst=2
    )
    assert parse(Compare, line.split(), program="try") == expected
