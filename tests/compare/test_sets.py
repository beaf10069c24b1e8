"""Two folders as sets. Oracle: features averaged by hand, and the distances of `metrics.distances` between them."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from child_process import finished
from sketchloss import load_backbone, to_tensor
from sketchloss.cli import main
from sketchloss.compare.sets import embed_folder
from sketchloss.metrics.distances import distribution_distance
from sketchloss.metrics.extractors import backbone_extractor
from sketchloss.system.images import fit_square, open_picture


def features(folder: Path, weights: str, names: list[str]) -> torch.Tensor:
    backbone = load_backbone(weights)
    images = [to_tensor(fit_square(open_picture(folder / name), 32)) for name in names]
    with torch.no_grad():
        return backbone(torch.stack(images), ("relu5_3",))["relu5_3"].mean((2, 3))


def asked(capsys, *arguments: str) -> dict:
    assert main(["sets", *arguments, "--size", "32", "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_distances_are_those_of_the_features(doodles, weights, capsys):
    (doodles / "new" / "deeper").mkdir()
    (doodles / "new" / "tree.png").rename(doodles / "new" / "deeper" / "other name.png")
    expected = distribution_distance(
        features(doodles / "old", weights, ["cat.png", "house.png", "tree.png"]),
        features(doodles / "new", weights, ["cat.png", "deeper/other name.png", "house.png"]),
        extractor_name=f"sketchloss {Path(weights).name} relu5_3",
        bootstrap=20,
        seed=3,
    )
    found = asked(capsys, "old", "new", "--extractors", weights, "--resamplings", "20", "--seed", "3")
    (distance,) = found["distances"]
    assert found["images"] == [3, 3]
    assert distance["name"] == expected.name
    assert distance["kernel_name"] == f"KD (sketchloss {Path(weights).name} relu5_3)"
    for key in ("value", "low", "high", "bias", "kernel"):
        assert distance[key] == pytest.approx(getattr(expected, key), rel=1e-4, abs=1e-9), key
    assert distance["value"] > 0


def test_a_folder_is_at_no_distance_from_itself(doodles, weights, capsys):
    (distance,) = asked(capsys, "old", "old", "--extractors", weights, "--resamplings", "0")["distances"]
    assert distance["value"] == pytest.approx(0, abs=1e-12)
    assert (distance["low"], distance["bias"]) == (None, None)


def test_a_count_is_a_sample_that_the_seed_gives_and_passes_over_what_cannot_be_read(doodles, weights, capsys):
    for number in range(4):
        (doodles / "old" / f"damaged {number}.png").write_bytes(b"none")
    found = asked(capsys, "old", "new", "--extractors", weights, "--count", "3")
    assert found["images"] == [3, 3]
    again = asked(capsys, "old", "new", "--extractors", weights, "--count", "3")
    assert found == again
    values = set()
    for seed in range(6):
        line = ("old", "new", "--extractors", weights, "--count", "2", "--seed", str(seed), "--resamplings", "0")
        values.add(round(asked(capsys, *line)["distances"][0]["value"], 9))
    assert 1 < len(values) <= 9  # three pairs of pictures on either side


def test_the_text_names_what_is_left_out_and_how_sure_the_numbers_are(doodles, weights, capsys):
    (doodles / "old" / "dama\nged.png").write_bytes(b"none")
    (doodles / "new" / "drawing.psd").write_bytes(b"8BPS")
    assert main(["sets", "old", "new", "--extractors", weights, "--size", "32"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    name = f"sketchloss {Path(weights).name} relu5_3"
    assert lines[0].startswith(f"FD ({name})  ")
    assert "   95 % interval " in lines[0]
    assert lines[1].startswith(f"KD ({name})  ")
    assert lines[2] == "3 pictures of old, 3 of new; 32 pixels"
    assert f"of FD ({name}) comes from the small number of pictures" in lines[3]
    assert lines[4].startswith("small sample, below 2,048: compare these values only with others of as many pictures")
    assert lines[5] == "1 left out:"
    assert lines[6].startswith("  old/dama ged.png: ")
    assert lines[7].startswith("new: 1 file of a kind that cannot be read: drawing.psd")
    assert (len(lines), err) == (8, "")


def test_light_drawings_are_inverted(doodles, weights, capsys):
    (doodles / "light").mkdir()
    for path in (doodles / "old").iterdir():
        Image.eval(Image.open(path).convert("L"), lambda value: 255 - value).save(doodles / "light" / path.name)
    extractor = backbone_extractor(load_backbone(weights), "narrow")
    ours, theirs = (
        embed_folder(Path(folder), sorted(Path(folder).iterdir()), [extractor], size=48, invert=folder == "light")
        for folder in ("old", "light")
    )
    torch.testing.assert_close(ours.rows[0], theirs.rows[0], rtol=0, atol=1e-5)


def test_another_layer_and_several_networks_each_have_a_line(doodles, weights, capsys):
    shutil.copytree(weights, doodles / "second")
    found = asked(capsys, "old", "new", "--extractors", weights, "second", "--layer", "relu2_2", "--resamplings", "0")
    first, second = found["distances"]
    assert second["name"] == "FD (sketchloss second relu2_2)"
    assert first["value"] == second["value"]


MISTAKES = {
    "old gone": "gone does not exist: check the path",
    "old/cat.png new": "old/cat.png is not a folder",
    "old empty": "empty holds no pictures (.png, .jpg and the like): check the path",
    "old one": "one holds 1 picture, and 2 are needed: add pictures",
    "old damaged": "damaged holds 1 picture that can be read, and 2 are needed: add pictures; first: damaged/bad.png: ",
    "old new --count 4": "old holds 3 pictures, and 4 are needed: name a smaller --count",
    "old new --count 1": "count is 1: a set has at least 2 pictures",
    "old new --size 0": "size is 0: it must be from 1 to 8192 pixels",
    "old new --size 4": "images of 4 pixels are too small",
    "old new --resamplings 1": "resamplings is 1: give 0 for no interval, or from 2 to 100,000",
    "old new --seed -1": "seed is -1: it must be a whole number from 0 up",
    "old new --layer relu9_9": "layer 'relu9_9' is unknown",
    "old new --inception gone.pth": "gone.pth is no file: fetch the FID Inception's weights from https://",
    "old new --extractors": "extractors is empty: name at least one network, or give --inception",
}


@pytest.mark.parametrize(("line", "said"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_is_one_line(line, said, doodles, weights, capsys):
    for folder in ("empty", "one", "damaged"):
        (doodles / folder).mkdir()
    for folder in ("one", "damaged"):
        shutil.copy(doodles / "old" / "cat.png", doodles / folder)
    (doodles / "damaged" / "bad.png").write_bytes(b"none")
    extractors = [] if "--extractors" in line else ["--extractors", weights]
    size = [] if "--size" in line else ["--size", "32"]
    assert main(["sets", *line.split(), *extractors, *size, "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"sketchloss sets: {said}")


def test_progress_is_shown_unless_it_is_to_be_quiet(doodles, weights, capsys, monkeypatch):
    monkeypatch.setattr("sketchloss.compare.progress.EVERY", 0.0)
    line = ["sets", "old", "new", "--extractors", weights, "--size", "32", "--resamplings", "0"]
    assert main(line) == 0
    assert capsys.readouterr().err == "".join(
        f"sets {folder}: {done} of 3 pictures\n" for folder in ("old", "new") for done in (1, 2)
    )
    (doodles / "old").rename(doodles / "a\033[2J\nb")
    line[1] = "a\033[2J\nb"
    assert main(line) == 0
    assert capsys.readouterr().err.splitlines()[0] == "sets a\\x1b[2J b: 1 of 3 pictures"


def test_no_library_of_an_extra_is_needed(doodles, weights):
    hidden = "import sys; sys.modules.update(dict.fromkeys(('datasets', 'scipy', 'sklearn', 'torchmetrics')));"
    code = f"{hidden} from sketchloss.cli import main; sys.exit(main(sys.argv[1:]))"
    line = ["sets", "old", "new", "--extractors", weights, "--size", "32", "--resamplings", "0", "--quiet"]
    done = finished([sys.executable, "-c", code, *line], seconds=300, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert (done.returncode, done.stderr) == (0, "")
