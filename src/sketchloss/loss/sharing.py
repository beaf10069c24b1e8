"""A loss to give away: written into a folder, pushed to the Hugging Face hub, and read back bit by bit.

    loss = SketchLoss("runs/mine", reduction="none")
    loss.save_pretrained("my-loss")
    loss.push_to_hub("me/my-loss")
    loss = SketchLoss.from_pretrained("me/my-loss")

The folder is a weights folder, which every command takes, and its `config.json` also holds the settings of the loss.

note: not huggingface_hub's mixins. To import them takes a quarter of a second, they save what `state_dict` holds, which
is nothing of a frozen loss, and where there are no safetensors they read a pickle.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch

from sketchloss.loss.model_card import model_card
from sketchloss.loss.tap_distance import VERSIONS, Metric
from sketchloss.networks.backbone import Backbone, thaw
from sketchloss.networks.hub import NoSuchFile, check_repo, fetch_file, one_line
from sketchloss.networks.weights import CONFIG, FORMAT, TENSORS, is_loadable, load_backbone, save_backbone
from sketchloss.system.files import read_json, write_atomic
from sketchloss.system.stored import build_config, check_version, show

if TYPE_CHECKING:
    from sketchloss.loss.loss import SketchLoss

Loss = TypeVar("Loss", bound="Shareable")

CARD = "README.md"
#: Key of `config.json` under which the settings of the loss are.
LOSS = "loss"
VERSION = 1


@dataclass(frozen=True)
class LossSettings:
    """Settings of a loss, as `config.json` has them. Each is the argument of `SketchLoss` of the same name."""

    layers: Mapping[str, float | int]
    metric: Metric
    metric_version: int
    """Version of the metric that the loss had (`sketchloss.loss.tap_distance.VERSIONS`)."""
    content_weight: float | int
    style_weight: float | int
    reduction: Literal["mean", "sum", "none"]
    check: bool
    invert: bool
    value_range: tuple[float | int, float | int]


class Shareable:
    """What `SketchLoss` has to be saved, pushed and read back."""

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the weights and the settings of the loss, for `from_pretrained`.

        `model.safetensors` and `config.json` replace what an earlier call wrote; a `README.md` (the model card) is
        written only where there is none; other files stay.

        Args:
            folder: folder to write, made if missing.

        Raises:
            ValueError: if the folder is a file or holds the weights or settings of another program, if the weights are
                of a network of your own, or if they are in float64 and float32 cannot hold them.
            OSError: if it cannot be written.
        """
        name = " ".join(Path(folder).absolute().name.split())
        self._save(Path(folder), title=name, source=name)

    def push_to_hub(
        self,
        repo: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        commit_message: str = "Push a loss of sketchloss",
    ) -> str:
        """Push what `save_pretrained` writes to a repo of the hub, which is made if it is not there.

        A `README.md` that the repo has already stays as it is; remove it there to have it made anew.

        Args:
            repo: repo id `owner/name`.
            private: whether a repo that is made is private; None: as the owner's settings say.
            token: token of the hub that may write; None: the one that `hf auth login` keeps.
            revision: branch to push to, which is made if it is not there; None: the main branch.
            commit_message: message of the commit.

        Returns:
            The address of the commit.

        Raises:
            ValueError: as `save_pretrained`, and for a name that is none of a repo.
            OSError: if the hub cannot be reached or refuses, in one line that says why.
        """
        check_repo(repo)
        from huggingface_hub import HfApi

        with TemporaryDirectory() as place:
            folder = Path(place)
            self._save(folder, title=repo.partition("/")[2], source=repo)
            api = HfApi(token=token)
            try:
                api.create_repo(repo, private=private, exist_ok=True)
                if revision is not None:
                    api.create_branch(repo, branch=revision, exist_ok=True)
                keep = [CARD] if api.file_exists(repo, CARD, revision=revision) else None
                commit = api.upload_folder(
                    repo_id=repo,
                    folder_path=folder,
                    revision=revision,
                    commit_message=commit_message,
                    ignore_patterns=keep,
                )
            except Exception as error:  # noqa: BLE001 (of the hub, its HTTP client, the network)
                raise OSError(
                    f"could not push to {repo}: {one_line(error)}; check the network (HF_HUB_OFFLINE must not be set), "
                    "and log in with `hf auth login` or give a token that may write"
                ) from None
        return commit.commit_url

    @classmethod
    def from_pretrained(
        cls: type[Loss],
        place: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        **settings: Any,
    ) -> Loss:
        """Read a loss that `save_pretrained` or `push_to_hub` wrote: the same loss, bit by bit.

        It is on the CPU and in float32; a loss that was on a GPU or in float64 is the same again after `.cuda()` or
        `.double()`. Of a loss in half precision the rounded weights are saved: after `.half()` the metrics l1, l2 and
        cosine are the same again, and `ink` to about three digits, since blank paper is looked at before rounding.

        Args:
            place: a folder, or a repo id `owner/name` of the hub.
            revision: branch, tag or commit of the repo.
            token: token of the hub for a private repo; None: the one that `hf auth login` keeps.
            settings: arguments of `SketchLoss` that differ from what was saved, such as `reduction="none"`.

        Raises:
            ValueError: if the place holds no settings of a loss, or settings or weights that are damaged or of a newer
                version.
            FileNotFoundError: if there is no such folder, or the hub cannot be reached; the text says what to do.
        """
        folder = _find(place, revision, token)
        stored = _read_settings(folder, place)
        backbone = load_backbone(folder / TENSORS)
        try:
            loss = cls(backbone, **{**stored, **settings})  # pyright: ignore[reportCallIssue] - a SketchLoss
        except ValueError as error:
            if settings:  # which may be wrong as well
                raise
            raise ValueError(f"{folder / CONFIG}: {error}") from None
        loss._named = str(place)
        return loss

    #: Name or path that the weights were loaded by; empty for a backbone that was given.
    _named: str = ""

    def _save(self, folder: Path, *, title: str, source: str) -> None:
        loss: SketchLoss = self  # pyright: ignore[reportAssignmentType] - the only class with this one
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file: give a folder to write")
        _check_ours(folder)
        backbone = _whole(loss.backbone)
        settings = LossSettings(
            layers=dict(loss.layers),
            metric=loss.metric,
            metric_version=VERSIONS[loss.metric],
            content_weight=float(loss.content_weight),
            style_weight=float(loss.style_weight),
            reduction=loss.reduction,
            check=loss.check,
            invert=loss.invert,
            value_range=loss.value_range,
        )
        card = model_card(title, source, loss, self._named)
        # As half the bytes wherever nothing is lost: the weights in the package were rounded to float16 long ago.
        small = all(torch.equal(one, one.half().float()) for one in backbone.parameters())
        kept = {LOSS: {"version": VERSION, **asdict(settings)}}
        save_backbone(backbone, folder, dtype=torch.float16 if small else torch.float32, beside=kept)
        if not (folder / CARD).exists():
            with write_atomic(folder / CARD) as temporary:
                temporary.write_text(card, encoding="utf-8")


def _whole(frozen: Backbone) -> Backbone:
    """Return the backbone of a loss as one that can be saved, in float32."""
    if not is_loadable(frozen):
        raise ValueError(
            f"the loss is on a network of your own, {type(frozen).__name__}, which nobody else could load: only VGG-16 "
            "and networks of transformers can be saved"
        )
    backbone = thaw(frozen)
    for name, tensor in backbone.state_dict().items():
        if tensor.dtype == torch.float64 and not torch.equal(tensor, tensor.float().double()):
            raise ValueError(f"{name} is in float64, and float32 cannot hold it: save loss.float()")
    return backbone.float()


def _check_ours(folder: Path) -> None:
    """Refuse a folder in which something of another program would be replaced."""
    config = folder / CONFIG
    if config.exists():
        found = read_json(config)
        if found.get("format") != FORMAT:
            raise ValueError(f"{folder} holds a {CONFIG} of another program, or of a run: save into another folder")
        if LOSS not in found:
            raise ValueError(f"{folder} holds the weights of a training: save into another folder")
    if (folder / TENSORS).exists() and not config.exists():
        raise ValueError(f"{folder} holds a {TENSORS} without {CONFIG}: save into another folder")


def _find(place: str | Path, revision: str | None, token: str | bool | None) -> Path:
    """Return the folder with the files of a loss."""
    folder = Path(place)
    if folder.is_dir():
        if not (folder / TENSORS).is_file():
            raise FileNotFoundError(f"{folder} holds no {TENSORS}: give the folder that save_pretrained wrote")
        return folder
    if folder.exists():
        raise ValueError(f"{folder} is a file: give the folder that save_pretrained wrote")
    if isinstance(place, Path) or place.count("/") != 1 or folder.parent.exists():
        raise FileNotFoundError(f"{place} does not exist: give a folder that is there, or a hub repo owner/name")
    try:
        config = fetch_file(place, CONFIG, revision=revision, token=token)
    except NoSuchFile:
        raise ValueError(_no_settings(place)) from None
    fetch_file(place, TENSORS, revision=revision, token=token)
    return config.parent


def _read_settings(folder: Path, place: str | Path) -> dict[str, Any]:
    """Return the arguments of `SketchLoss` that a folder holds."""
    path = folder / CONFIG
    config = read_json(path) if path.is_file() else {}
    stored = config.get(LOSS)
    if config.get("format") != FORMAT or stored is None:
        raise ValueError(_no_settings(place))
    where = f"{path}, {LOSS}"
    if not isinstance(stored, dict):
        raise ValueError(f"{where} is {show(stored)}: it must be an object, {{...}}; copy the folder again")
    check_version(stored, VERSION, where)
    settings = asdict(build_config(LossSettings, stored, where))
    version, metric = settings.pop("metric_version"), settings["metric"]
    if version != VERSIONS[metric]:
        raise ValueError(
            f"{where}: the loss has version {version} of the metric {metric}, and this sketchloss version "
            f"{VERSIONS[metric]}: its values would be others; take the sketchloss that wrote it"
        )
    return settings


def _no_settings(place: str | Path) -> str:
    return (
        f"{place} holds no settings of a loss in {CONFIG}: SketchLoss({str(place)!r}) takes its weights, with the "
        "default settings"
    )
