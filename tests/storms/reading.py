"""A program that reads files with the public readers, one after another; `test_bad_files.py` gives it damaged ones.

In: a line of JSON for each, `[READER, PATH]`. Out: `[read | refused | broke, what was said, MB of memory more]`.
"""

import json
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from sketchloss import SketchLoss, load_backbone
from sketchloss.data.captions.captioned import open_captioned
from sketchloss.data.captions.prompts import TEMPLATE, make_prompts
from sketchloss.data.pairs import open_pairs
from sketchloss.data.quickdraw.ndjson import read_ndjson
from sketchloss.data.sources import open_sketches
from sketchloss.experiments.tuning.settings import Finetune
from sketchloss.gallery import Gallery
from sketchloss.metrics.triplets import read_triplets
from sketchloss.networks.embedder import load_embedder
from sketchloss.networks.judge import load_judge
from sketchloss.networks.stylizer import load_stylizer
from sketchloss.system.images import UnreadablePicture, open_picture, probe_picture, to_tensor
from sketchloss.training.run import check_data, check_run_folder

#: Of one file: seconds of the processor, and bytes of addresses in all.
SECONDS, ADDRESSES = 60, 16 * 2**30


def picture(path: Path) -> None:
    try:
        pixels = np.array(open_picture(path))
    except UnreadablePicture:
        for other in (path, path.read_bytes()):
            try:
                to_tensor(other)
            except UnreadablePicture:
                continue
            raise AssertionError("to_tensor reads what open_picture refuses") from None
        raise
    assert torch.equal(to_tensor(path.read_bytes()), torch.from_numpy(pixels).permute(2, 0, 1) / 255), "other pixels"
    probe_picture(path)


def ndjson(path: Path) -> None:
    faults: list[str] = []
    list(read_ndjson(path, faults.append))
    for fault in faults:
        assert fault.startswith(f"{path}:"), fault
        assert "\n" not in fault, fault
    open_sketches(path.parent, 32)[0]


def captions(path: Path) -> None:
    found = open_captioned(path.parent, 32)
    for line in found.unreadable:
        assert "\n" not in line, line
    found[0]


def backbone(path: Path) -> None:
    loss = SketchLoss(load_backbone(path.parent), layers=("relu1_2",), check=False)
    with torch.inference_mode():
        assert loss(torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)).dtype == torch.float32


def stylizer(path: Path) -> None:
    with torch.inference_mode():
        assert load_stylizer(path.parent)(torch.zeros(1, 3, 16, 16)).shape[-2:] == (16, 16)


def judge(path: Path) -> None:
    load_judge(path.parent)


def embedder(path: Path) -> None:
    load_embedder(path.parent)


def gallery(path: Path) -> None:
    place = path if (path / "gallery.json").exists() else path.parent
    while place.suffix == ".lance" or place.name.startswith("_") or place.name == "data":
        place = place.parent
    opened = Gallery.open(place)
    opened.info()
    for row in opened.table.rows():
        assert isinstance(row.path, bytes)
    opened.search(Image.new("L", (32, 32), "white"), 2)


def triplets(path: Path) -> None:
    read_triplets(path if path.suffix == ".csv" else path.parent.parent)


def run(path: Path) -> None:
    check_run_folder(path.parent, Finetune(data="doodles", out=path.parent), resume=True)
    check_data(path.parent, "digest")


def exported(path: Path) -> None:
    from sketchloss.stylize.exported import load_exported

    made = load_exported(path)(torch.rand(1, 3, 20, 24))
    assert made.shape == (1, 3, 20, 24), made.shape
    assert made.isfinite().all(), "not finite"


def pairs(path: Path, kind: str) -> None:
    root = next(folder for folder in path.parents if (folder / "train").exists() or (folder / "photo").exists())
    opened = open_pairs(f"{kind}:{root}")
    for line in opened.problems:
        assert "\n" not in line, line
        assert len(line) < 1000, line
    for index in range(len(opened)):
        opened.photo(index, 16)
        opened.sketch(index, 16)


def fs2k(path: Path) -> None:
    pairs(path, "fs2k")


def cufs(path: Path) -> None:
    pairs(path, "cufs")


@cache
def tiny_pipeline() -> Any:
    from sketchloss.diffusion.pipeline import build_tiny

    torch.manual_seed(0)
    return build_tiny(["a sketch of a cat", "a house"], image_size=16)


def lora(path: Path) -> None:
    from sketchloss.lora import draw, load_lora, read_about

    pipeline = tiny_pipeline()
    make_prompts(["cat"], read_about(path).get("template", TEMPLATE))
    try:
        load_lora(pipeline, path)
    except ValueError:
        assert not getattr(pipeline.unet, "peft_config", {}), "a part of it was put on"
        raise
    try:
        list(draw(pipeline, ["a house"], [0], steps=1))
    except ValueError as error:  # of values that are finite and far too large
        assert "is not finite" in str(error), error  # noqa: PT017 (pytest does not run this)
    finally:
        pipeline.unload_lora_weights()


READERS: dict[str, Callable[[Path], None]] = {
    reader.__name__: reader
    for reader in (
        *(picture, ndjson, captions, backbone, stylizer, judge, embedder, gallery, triplets, run),
        *(exported, fs2k, cufs, lora),
    )
}


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10


def read(reader: str, path: str) -> tuple[str, str]:
    try:
        READERS[reader](Path(path))
    except (ValueError, FileNotFoundError, PermissionError) as error:
        return "refused", str(error)
    except BaseException as error:  # noqa: BLE001 (a panic of Rust is no Exception)
        return "broke", f"{type(error).__name__}: {error}"
    return "read", ""


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    for line in sys.stdin:
        before = peak()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # ends the process, as nobody handles it
        outcome = read(*json.loads(line))
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps([*outcome, peak() - before]), flush=True)


if __name__ == "__main__":
    main()
