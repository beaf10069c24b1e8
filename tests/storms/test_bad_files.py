"""Damaged files of every kind that is read. Each is read, or refused in one line that names it, and nothing else."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from damage import damaged
from reading import tiny_pipeline

from foreign_files import heic, pdf, svg
from sketchloss.data.doodles.kinds import doodle
from sketchloss.experiments.tuning.settings import Finetune
from sketchloss.gallery import Gallery
from sketchloss.lora import add_lora, save_lora
from sketchloss.networks.embedder import Embedder, EmbedderConfig, save_embedder
from sketchloss.networks.judge import Judge, JudgeConfig, save_judge
from sketchloss.networks.stylizer import Stylizer, StylizerConfig, save_stylizer
from sketchloss.stylize.exporting import export_stylizer
from sketchloss.training.run import open_run_folder

#: MB that reading one file may take: a picture of the most pixels that are allowed takes a gigabyte.
MOST_MEMORY = 2048


def _pictures(folder: Path, narrow: str) -> None:
    sketch = doodle("cat", 1).sketch(48)
    for suffix in ("png", "jpg", "webp", "tiff", "gif", "bmp", "ppm", "jp2"):
        sketch.save(folder / f"cat.{suffix}")
    (folder / "cat.svg").write_bytes(svg('<circle cx="9" cy="5" r="4"/><text y="9">cat</text>'))
    (folder / "cat.pdf").write_bytes(pdf([(99, 99, "10 10 m 50 80 l S")]))
    (folder / "cat.heic").write_bytes(heic(sketch.convert("RGB")))
    sketch.convert("RGBA").save(folder / "clear.png")
    sketch.convert("RGB").save(folder / "packed.tiff", compression="tiff_lzw")
    sketch.save(folder / "turned.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0")


def _ndjson(folder: Path, narrow: str) -> None:
    strokes = [[[0, 100, 255], [0, 90, 30]], [[5, 6], [7, 8]]]
    raw = [[[0.5, 100.25, 1e4], [0, 90, -30], [0, 1, 2]]]
    (folder / "strokes").mkdir()
    for name, drawing in (("cat", strokes), ("star", raw)):
        lines = [json.dumps({"word": name, "drawing": drawing, "key": f"{number}"}) for number in range(6)]
        (folder / "strokes" / f"{name}.ndjson").write_text("\n".join(lines) + "\n")


def _captions(folder: Path, narrow: str) -> None:
    for name in ("lines", "table", "texts"):
        (folder / name).mkdir()
        for number in range(2):
            doodle("cat", number).sketch(32).save(folder / name / f"{number}.png")
    rows = [{"file_name": f"{number}.png", "text": f"a sketch of cat {number}"} for number in range(2)]
    (folder / "lines" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    table = ["file_name,text", *(",".join(row.values()) for row in rows)]
    (folder / "table" / "metadata.csv").write_text("\n".join(table) + "\n")
    for number in range(2):
        (folder / "texts" / f"{number}.txt").write_text(f"a sketch of cat {number}\n")


def _backbone(folder: Path, narrow: str) -> None:
    shutil.copytree(narrow, folder / "weights")


def _stylizer(folder: Path, narrow: str) -> None:
    save_stylizer(Stylizer(StylizerConfig(width=0.1, blocks=1)), folder / "weights")


def _judge(folder: Path, narrow: str) -> None:
    save_judge(Judge(JudgeConfig(classes=("cat", "star"), image_size=32, widths=(4, 8))), folder / "weights")


def _embedder(folder: Path, narrow: str) -> None:
    save_embedder(Embedder(EmbedderConfig(features=8, classes=("cat", "star"), hidden=8, size=4)), folder / "weights")


def _gallery(folder: Path, narrow: str) -> None:
    (folder / "drawings").mkdir()
    for number in range(4):
        doodle("cat", number).sketch(32).save(folder / "drawings" / f"{number}.png")
    Gallery.build(folder / "gallery", [folder / "drawings"], weights=narrow, image_size=32)
    shutil.rmtree(folder / "drawings")


def _triplets(folder: Path, narrow: str) -> None:
    for number in range(3):
        doodle("cat", number).sketch(32).save(folder / f"{number}.png")
    (folder / "triplets.csv").write_text("reference,closer,farther,participant\n0,1,2,a\n0,2,1,b\n1,0,2,a\n")
    for side in ("ref", "p0", "p1"):
        (folder / "votes" / side).mkdir(parents=True)
        shutil.copy(folder / "0.png", folder / "votes" / side / "0.png")
    (folder / "votes" / "judge").mkdir()
    np.save(folder / "votes" / "judge" / "0.npy", np.array([0.25]))


def _run(folder: Path, narrow: str) -> None:
    open_run_folder(folder / "run", Finetune(data="doodles", out=folder / "run"), resume=False, data="digest")


def _exported(folder: Path, narrow: str) -> None:
    export_stylizer(Stylizer(StylizerConfig(width=0.1, blocks=1)).eval(), folder / "model.onnx")


def _fs2k(folder: Path, narrow: str) -> None:
    rows = [{"image_name": f"photo{number}/image{number}", "style": number, "gender": 1} for number in (1, 2)]
    for number in (1, 2):
        for side, name in (("photo", "image"), ("sketch", "sketch")):
            (folder / side / f"{side}{number}").mkdir(parents=True)
            doodle("cat", number).sketch(32).save(folder / side / f"{side}{number}" / f"{name}{number}.jpg")
    for part in ("train", "test"):
        (folder / f"anno_{part}.json").write_text(json.dumps(rows))


def _cufs(folder: Path, narrow: str) -> None:
    for side in ("photos", "sketches"):
        (folder / "train" / side).mkdir(parents=True)
        for number in range(2):
            doodle("cat", number).sketch(32).save(folder / "train" / side / f"{number}.png")


def _lora(folder: Path, narrow: str) -> None:
    unet = tiny_pipeline().unet
    add_lora(unet, rank=2, seed=0)
    save_lora(unet, folder / "lora", about={"base": "tiny", "template": "a sketch of a {}", "image_size": "16"})


#: Reader -> what makes good files for it, and which of them are damaged.
KINDS: dict[str, tuple[Callable[[Path, str], None], str]] = {
    "picture": (_pictures, "*.*"),
    "ndjson": (_ndjson, "*/*.ndjson"),
    "captions": (_captions, "*/*"),
    "backbone": (_backbone, "weights/*"),
    "stylizer": (_stylizer, "weights/*"),
    "judge": (_judge, "weights/*"),
    "embedder": (_embedder, "weights/*"),
    "gallery": (_gallery, "gallery/**/*.*"),
    "triplets": (_triplets, "**/[0t]*.[nc]*"),
    "run": (_run, "run/*.json"),
    "exported": (_exported, "*.onnx"),
    "fs2k": (_fs2k, "**/*.j*"),
    "cufs": (_cufs, "train/*/*"),
    "lora": (_lora, "lora/*"),
}
#: Readers of one file, where the others read a whole folder.
OF_ONE_FILE = ("picture", "ndjson", "captions")


@pytest.fixture(scope="module")
def good(tmp_path_factory, narrow) -> dict[str, Path]:
    """Reader -> a folder with good files for it."""
    torch.manual_seed(0)
    places = {}
    for kind, (make, _) in KINDS.items():
        places[kind] = tmp_path_factory.mktemp(kind)
        make(places[kind], narrow)
    return places


def good_files(good: dict[str, Path], kind: str) -> list[Path]:
    found = sorted(path for path in good[kind].glob(KINDS[kind][1]) if path.is_file() and path.suffix != ".lock")
    assert found, kind
    return found


def test_bad_files(storm, worker, good, tmp_path):
    read = worker(Path(__file__).with_name("reading.py"))
    for kind in KINDS:
        files = good_files(good, kind)
        for path in files if kind in OF_ONE_FILE else files[:1]:
            if (answer := read.ask([kind, str(path)]) or [read.last_end])[0] != "read":
                storm.lose(f"a whole {kind}", f"{path}: {answer}")
    some = [good_files(good, kind)[0].read_bytes() for kind in KINDS]
    for kind, case, random in storm.cases(KINDS, small=70, full=700):
        whole = random.choice(good_files(good, kind))
        folder = tmp_path / case.replace(" ", "-")
        shutil.copytree(good[kind], folder)
        bad = folder / whole.relative_to(good[kind])
        bad.write_bytes(damaged(whole.read_bytes(), random, some))
        outcome, said, grown = read.ask([kind, str(bad)]) or ("broke", f"the process ended: {read.last_end}", 0)
        names = (bad.name, bad.parent.name, folder.name)
        if outcome == "broke":
            storm.lose(case, f"{bad}: {said}")
        elif outcome == "refused" and ("\n" in said or not any(name in said for name in names)):
            storm.lose(case, f"{bad}: no line that names it: {said!r}")
        elif grown > MOST_MEMORY:
            storm.lose(case, f"{bad}: took {grown:,} MB")
        else:
            storm.note("refused in one line" if outcome == "refused" else outcome)
            shutil.rmtree(folder)
    storm.end()
