"""The run folder: `config.json`, `metrics.jsonl`, `checkpoints/`, `best/`, figures, TensorBoard events.

note: not made by `claim_folder`: its settings say whose it is, and a training can continue only with them.
"""

import json
import pickle
import shutil
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate import Accelerator
from safetensors import SafetensorError

from sketchloss.system.files import parse_json, plain_settings, read_json, write_atomic, write_json
from sketchloss.system.setting_fields import may_change
from sketchloss.system.stored import show

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CHECKPOINT = "last"
DATA = "data.json"


class Run:
    """A run folder of one training.

    Args:
        folder: made if missing.
        config: a dataclass of plain values, written as `config.json`.
        accelerator: only its main process writes.
        resume: continue from the folder's checkpoint.

    Raises:
        ValueError: as `check_run_folder`.
    """

    def __init__(self, folder: str | Path, config: "DataclassInstance", accelerator: Accelerator, resume: bool) -> None:
        self.folder = Path(folder)
        self.accelerator = accelerator
        self.metrics_file = self.folder / "metrics.jsonl"
        check_run_folder(folder, config, resume)
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            open_run_folder(folder, config, resume)
        accelerator.wait_for_everyone()

    def pin_data(self, digest: str, *, loss: str | None = None) -> None:
        """Note which data and which loss network the run is on, or when resumed see that they are the same.

        Args:
            digest: digest of the data.
            loss: digest of the weights that the loss uses; None: not checked, as where they are trained.

        Raises:
            ValueError: if one of them is another.
        """
        check_data(self.folder, digest, loss)
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            write_json(self.folder / DATA, {"digest": digest, **({"loss": loss} if loss else {})})

    # Metrics -------------------------------------------------------------------------------------------------------

    def log(self, step: int, **values: float | int | str | None) -> None:
        """Append one line to `metrics.jsonl` and the numbers to TensorBoard."""
        if not self.accelerator.is_main_process:
            return
        with self.metrics_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            if isinstance(value, int | float):
                self._tensorboard.add_scalar(name, value, step)

    def metrics(self) -> list[dict[str, Any]]:
        """Read `metrics.jsonl` up to its first line that is none of ours, such as one that a crash cut short."""
        return _read_lines(self.metrics_file) if self.metrics_file.exists() else []

    def close(self) -> None:
        """Flush what is buffered."""
        if "_writer" in self.__dict__:
            self._writer.close()
            del self._writer

    @property
    def _tensorboard(self):
        if "_writer" not in self.__dict__:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.folder / "tensorboard"))
        return self._writer

    # Checkpoints ---------------------------------------------------------------------------------------------------

    def save_checkpoint(self, position: dict[str, Any]) -> None:
        """Save everything that the run needs to continue: weights, optimiser, schedule, random states, position.

        Raises:
            OSError: if it cannot be written; the last checkpoint is still there.
        """
        folder = self.folder / "checkpoints"
        temporary = folder / f"{CHECKPOINT}.partial"
        if self.accelerator.is_main_process:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        try:
            self.accelerator.save_state(str(temporary))
        except (RuntimeError, SafetensorError) as error:  # what torch and safetensors make of a full disk
            reason = " ".join(str(error).split())[:200]
            raise OSError(
                f"cannot write {temporary} ({reason}): free some space, or write elsewhere; "
                "the last checkpoint is whole"
            ) from error
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            write_json(temporary / "position.json", {**position, "processes": self.accelerator.num_processes})
            # A folder cannot be renamed onto a full one. Killed between the two renames, `previous` is left to resume.
            last, previous = folder / CHECKPOINT, folder / "previous"
            if last.exists():
                shutil.rmtree(previous, ignore_errors=True)
                last.rename(previous)
            temporary.rename(last)
            shutil.rmtree(previous, ignore_errors=True)
        self.accelerator.wait_for_everyone()

    def load_checkpoint(self) -> dict[str, Any] | None:
        """Restore what `save_checkpoint` saved and return the position; None if nothing was saved yet."""
        folders = [self.folder / "checkpoints" / name for name in (CHECKPOINT, "previous")]
        folder = next((folder for folder in folders if (folder / "position.json").is_file()), None)
        if folder is None:
            position = None
        else:
            try:
                position = read_json(folder / "position.json")
                self.accelerator.load_state(str(folder))
            except (
                SafetensorError,
                RuntimeError,
                EOFError,
                OSError,
                LookupError,
                ValueError,
                pickle.UnpicklingError,
            ) as error:
                reason = str(error).strip().partition("\n")[0]
                raise ValueError(
                    f"checkpoint {folder} is damaged, or of another version of sketchloss ({reason}): start a new run "
                    "elsewhere"
                ) from error
            if not isinstance(position.get("step"), int):
                raise ValueError(
                    f"{folder / 'position.json'}: step is {show(position.get('step'))}: it must be a whole number; "
                    "restore the file, or start a new run elsewhere"
                )
            if (then := position.pop("processes", None)) not in (None, now := self.accelerator.num_processes):
                raise ValueError(
                    f"{self.folder} was trained with {then} processes, now there are {now}: resume with {then}"
                )
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process and folder is not None and folder.name == CHECKPOINT:
            # A run that was killed after its last checkpoint makes no other that would clear this away.
            shutil.rmtree(folder.with_name("previous"), ignore_errors=True)
        if self.accelerator.is_main_process and self.metrics_file.exists():
            # What was logged after the checkpoint will be logged again.
            kept = [line for line in self.metrics() if position is not None and line["step"] <= position["step"]]
            with write_atomic(self.metrics_file) as temporary:
                temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        return position


def check_run_folder(folder: str | Path, config: "DataclassInstance", resume: bool) -> None:
    """Check that a run may be started or resumed here, without touching anything.

    Args:
        folder: folder of the run.
        config: its settings; those of which the field says so may differ when it is continued (`setting_fields.py`).
        resume: whether it is to be continued.

    Raises:
        ValueError: if the folder already holds a run and `resume` is False, if there is nothing to resume, if the run
            was started with other settings, or if `folder` is a file.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: choose a folder for --out")
    before = folder / "config.json"
    if not resume:
        if before.exists():
            raise ValueError(f"{folder} already holds a run: add --resume to continue it, or choose another --out")
        return
    if not before.is_file():
        raise ValueError(f"{folder} holds no run to resume: leave --resume out to start one")
    try:
        then = read_json(before)
    except ValueError as error:
        raise ValueError(f"{before} is damaged ({error}): restore it, or start a new run elsewhere") from None
    now = plain_settings(config)
    free = {item.name for item in fields(config) if may_change(item)}
    for name in sorted({*then, *now} - free):
        if then.get(name) != now.get(name):
            raise ValueError(
                f"{folder} was started with {name}={show(then.get(name))}, now it is {show(now.get(name))}: "
                "resume with the settings of config.json, or choose another --out"
            )


def open_run_folder(folder: str | Path, config: "DataclassInstance", resume: bool, data: str | None = None) -> None:
    """Start a run, or see that it may be resumed; make its folder, and write what its settings are now.

    Args:
        folder: made if missing.
        config: a dataclass of plain values.
        resume: continue what is there.
        data: digest of the data, which is noted, or when resumed must be what was noted.

    Raises:
        ValueError: as `check_run_folder`, or if the data has changed since the run was started.
    """
    folder = Path(folder)
    check_run_folder(folder, config, resume)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", plain_settings(config))
    if data is not None:
        check_data(folder, data)
        write_json(folder / DATA, {"digest": data})


def check_data(folder: Path, digest: str, loss: str | None = None) -> None:
    """Raise ValueError if a run noted another digest of its data, or of the weights that its loss uses."""
    file = folder / DATA
    noted = read_json(file) if file.is_file() else {}
    if noted.get("digest", digest) != digest:
        raise ValueError(f"the data of {folder} has changed since it was started: restore it, or start a new run")
    if loss is not None and noted.get("loss", loss) != loss:
        raise ValueError(
            f"the weights that the loss of {folder} uses have changed since it was started (`sketch` is not "
            "the same in every version of sketchloss): give the old ones by their path, or start a new run"
        )


def _read_lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            values = parse_json(line)
        except ValueError:
            break
        if not isinstance(values, dict) or not isinstance(values.get("step"), int):
            break
        lines.append(values)
    return lines
