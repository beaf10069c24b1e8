"""What may not be read or written is named, with the mend. Oracle: the permissions that were set.

Nothing is forbidden to root, for whom the tests become another user for a while.
"""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import datasets
import pytest
import torch

from sketchloss import Backbone, save_backbone
from sketchloss.cli import main
from sketchloss.compare.command import compare
from sketchloss.compare.settings import Compare
from sketchloss.data.captions.captioned import open_captioned
from sketchloss.data.doodles.kinds import doodle
from sketchloss.data.photos import open_photos
from sketchloss.data.sources import open_sketches
from sketchloss.gallery import Gallery
from sketchloss.gallery.looking import look_at
from sketchloss.metrics.features import cache_folder, cached_features
from sketchloss.networks.weights import load_backbone, read_tensors
from sketchloss.stylize.plan import plan_pictures
from sketchloss.system.files import check_permission, write_atomic, write_json


def give_away(place: Path) -> None:
    """Let everybody write here."""
    for path in [place, *place.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)


Forbid = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter, as `tmp_path` is none."""
    folder = Path(tempfile.mkdtemp(prefix="sketchloss-test-"))
    folder.chmod(0o777)
    yield folder
    for path in sorted(folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def forbid() -> Forbid:
    """`with forbid(path, 0o555):` path has these permissions, and nobody else may pass."""

    @contextmanager
    def forbidden(path: Path, mode: int = 0) -> Iterator[None]:
        before = path.stat().st_mode
        path.chmod(mode)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield
        finally:
            if root:
                os.seteuid(0)
            path.chmod(before)

    return forbidden


@pytest.fixture
def weights(place) -> Path:
    torch.manual_seed(0)
    save_backbone(Backbone(width=0.125), place / "narrow")
    load_backbone(place / "narrow")  # has what is needed loaded, which the other user may not read
    return place / "narrow"


@pytest.fixture
def drawings(place) -> Path:
    for kind in ("cat", "star"):
        (place / "drawings" / kind).mkdir(parents=True)
        for seed in range(2):
            doodle(kind, seed).sketch(32).save(place / "drawings" / kind / f"{seed}.png")
    return place / "drawings"


def test_a_file_that_cannot_be_written_is_named_and_not_its_temporary_one(place, forbid):
    for write in (lambda: write_json(place / "a.json", {}), lambda: write_atomic(place / "a.json").__enter__()):
        with forbid(place, 0o555), pytest.raises(PermissionError) as caught:
            write()
        assert (caught.value.filename, caught.value.errno) == (str(place / "a.json"), errno.EACCES)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_weights_that_may_not_be_read(weights, forbid, name):
    with forbid(weights / name), pytest.raises(PermissionError) as caught:
        load_backbone(weights)
    assert caught.value.filename == str(weights / name)


def test_a_lora_that_may_not_be_read(place, forbid):
    pytest.importorskip("diffusers")
    from sketchloss.lora import read_about

    (place / "lora.safetensors").write_bytes(b"")
    with forbid(place / "lora.safetensors"), pytest.raises(PermissionError) as caught:
        read_about(place / "lora.safetensors")
    assert caught.value.filename == str(place / "lora.safetensors")


def test_what_is_not_there_or_may_be_read_passes(place):
    check_permission(place / "gone")
    (place / "there").touch()
    check_permission(place / "there")
    (place / "empty.safetensors").touch()
    with pytest.raises(ValueError, match="is no whole safetensors file"):
        read_tensors(place / "empty.safetensors")


def test_folders_that_are_compared_name_what_cannot_be_listed(weights, drawings, place, forbid, capsys):
    shutil.copytree(drawings, place / "others")
    (place / "others" / "extra").mkdir()
    config = Compare(drawings, place / "others", weights=str(weights), size=32, layers=("relu1_2",))
    compare(config)
    assert "extra" not in capsys.readouterr().out
    with forbid(place / "others" / "extra"):
        compare(config)
    line = f"{place / 'others'}: no permission to list 1 folder in it: extra; change its permissions"
    assert line in capsys.readouterr().out


def test_galleries_name_what_may_not_be_read_or_listed_and_keep_it(drawings, weights, place, forbid):
    path = drawings / "cat" / "0.png"
    with forbid(path):
        seen = look_at(os.fsencode(path), lambda _: False, 32)
    assert seen.unreadable == f"{path}: no permission to read it; change its permissions"
    gallery, report = Gallery.build(place / "gallery", [drawings], weights=weights, image_size=32)
    assert (report.added, report.unreadable) == (4, ())
    give_away(place)
    with forbid(drawings / "cat"):
        report = gallery.add([drawings], prune=True)
        assert gallery.info().missing == ()
    assert (report.missing, report.pruned, report.rows) == ((), 0, 4)
    assert report.passed_over == (f"{drawings}: no permission to list 1 folder in it: cat; change its permissions",)
    shutil.rmtree(drawings / "cat")
    assert gallery.add([drawings], prune=True).pruned == 2


@pytest.mark.parametrize("mode", [0, 0o644])
def test_sources_and_plans_name_folders_that_may_not_be_listed(drawings, place, forbid, mode):
    shutil.copytree(drawings / "star", drawings / "house")
    line = f"{drawings}: no permission to list 1 folder in it: house; change its permissions"
    with forbid(drawings / "house", mode):
        for opened in (open_sketches(drawings, 32), open_photos(drawings, 32), open_captioned(drawings, 32)):
            assert (len(opened), opened.passed_over) == (4, [line])
        plan = plan_pictures([str(drawings)], str(place / "out"))
        assert (len(plan.jobs), plan.passed_over) == (4, [line])
        with pytest.raises(ValueError, match="no permission to list 1 folder in it: house"):
            open_sketches(drawings, 32, strict=True)


def test_a_cache_that_may_not_be_written_to(place, forbid, monkeypatch):
    (place / "strokes").mkdir()
    for word in ("cat", "star"):
        line = json.dumps({"word": word, "drawing": [[[0, 9], [0, 9]]]})
        (place / "strokes" / f"{word}.ndjson").write_text(line + "\n")
    assert len(open_sketches(place / "strokes", 16)) == 2  # has what is needed loaded
    (place / "cache").mkdir()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", place / "cache" / "new")
    (place / "strokes" / "dog.ndjson").write_text(line.replace("star", "dog") + "\n")
    with forbid(place / "cache", 0o555), pytest.raises(PermissionError) as caught:
        open_sketches(place / "strokes", 16)
    assert str(caught.value) == (
        f"strokes are kept in {place / 'cache' / 'new'}, and {place / 'cache' / 'new'} gives no permission: set "
        "HF_HOME to a folder that can be written to"
    )
    features = place / "cache" / "features"
    backbone = load_backbone("imagenet")
    with forbid(place / "cache", 0o555), pytest.raises(OSError, match=r"^cannot keep features in .*: set SKETCHLOSS"):
        cached_features(backbone, open_sketches("doodles", 16, per_class=1), folder=features, workers=0)


def test_no_home_folder_is_said(monkeypatch):
    def homeless(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("SKETCHLOSS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(ValueError, match=r"^there is no home folder to keep features in: set SKETCHLOSS_CACHE to a"):
        cache_folder()


def test_no_home_folder_for_the_page_is_said(monkeypatch):
    services = pytest.importorskip("sketchloss.app.services")

    def homeless(*_, **settings) -> Path:
        raise RuntimeError("could not determine the home directory for '~/.cache'")

    monkeypatch.setattr(services, "user_cache_path", homeless)
    with pytest.raises(ValueError, match=r"^there is no home folder to keep galleries in: set XDG_CACHE_HOME to a fol"):
        services.open_services(weights="imagenet")


def test_no_folder_for_temporary_files_is_said(monkeypatch, capsys):
    import sketchloss.doctor

    def nowhere(config: sketchloss.doctor.Doctor) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(sketchloss.doctor, "doctor", nowhere)
    assert main(["doctor"]) == 2
    assert capsys.readouterr().err == (
        "sketchloss doctor: no folder for temporary files can be written to: set TMPDIR to one that can\n"
    )
