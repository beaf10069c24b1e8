"""Oracle: `stylize` on pictures read by hand; and the error rule."""

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import torch
from PIL import Image

from child_process import finished
from foreign_files import pdf, svg
from sketchloss.cli import main
from sketchloss.networks.stylizer import Stylizer, StylizerConfig, load_stylizer, save_stylizer
from sketchloss.stylize import prepare_stylizer, stylize
from sketchloss.system.images import open_picture


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """A run folder with an exported model in it, made by the command itself in a process of its own."""
    run = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    save_stylizer(Stylizer(StylizerConfig(width=0.2, blocks=1, style="pencil")), run / "model")
    done = run_process(run, f"export {run} model.onnx")
    assert done.stderr == ""
    assert done.stdout.splitlines()[0].startswith("model.onnx  0.")
    assert float(done.stdout.split("PyTorch ")[1].split()[0]) < 1e-5
    assert sorted(path.name for path in run.iterdir()) == ["model", "model.onnx"]
    return run


@pytest.fixture
def place(tmp_path, monkeypatch, exported) -> Path:
    """Photos in a folder and below it; `run` is a stylizer."""
    monkeypatch.chdir(tmp_path)
    Path("run").symlink_to(exported)
    for number, name in enumerate(("a.png", "b.jpg", "cats/a.png", "cats/it's c.webp")):
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        photo(number).save(Path("photos", name))
    return tmp_path


def photo(seed: int = 0, channels: int = 3) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (30, 44, channels), dtype=np.uint8))


def run_process(folder: Path, line: str, **settings) -> CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "sketchloss", "style", *shlex.split(line)]
    return finished(command, cwd=folder, env=environment, **settings)


def run(capsys, line: str, code: int = 0) -> str:
    assert main(["style", *shlex.split(line)]) == code
    out, err = capsys.readouterr()
    assert bool(err) == bool(code)
    return out + err


def refuse(capsys, line: str) -> str:
    assert main(["style", *shlex.split(line)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("sketchloss style ")
    return err


def expected(path: str | Path) -> np.ndarray:
    return np.asarray(stylize(prepare_stylizer(load_stylizer("run")), open_picture(path)))


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def files(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


# Apply ---------------------------------------------------------------------------------------------------------------


def test_one_picture(place, capsys):
    out = run(capsys, "apply run photos/a.png --out sketch.png")
    assert out.startswith("1 sketch in sketch.png, ")
    assert out.endswith(" seconds each\n")
    assert np.array_equal(pixels("sketch.png"), expected("photos/a.png"))
    Path("sketch.png").write_text("mine")
    assert "sketch.png exists: add --force" in refuse(capsys, "apply run photos/a.png --out sketch.png")
    assert Path("sketch.png").read_text() == "mine"
    run(capsys, "apply run/model/model.safetensors photos/b.jpg --out sketch.png --force")
    assert np.array_equal(pixels("sketch.png"), expected("photos/b.jpg"))


def test_a_folder_keeps_names_and_sizes(place, capsys):
    names = files("photos")
    assert run(capsys, "apply run photos --out new/sketches").startswith("4 sketches in new/sketches, ")
    assert files("new/sketches") == names
    for name in names:
        with Image.open(Path("new/sketches", name)) as sketch:
            assert sketch.format == {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP"}[Path(name).suffix]
        difference = pixels(Path("new/sketches", name)).astype(int) - expected(Path("photos", name))
        assert np.abs(difference).mean() < (0.01 if name.endswith("png") else 12)  # of noise, JPEG keeps little


def test_an_interrupted_folder_goes_on(place, capsys):
    run(capsys, "apply run photos --out new")
    Path("new/cats/a.png").unlink()
    Path("new/a.png").write_text("mine")
    assert "new/a.png and 2 more exists" in refuse(capsys, "apply run photos --out new")
    assert not Path("new/cats/a.png").exists()
    assert run(capsys, "apply run photos --out new --skip-existing").endswith(" seconds each; 3 there already\n")
    assert np.array_equal(pixels("new/cats/a.png"), expected("photos/cats/a.png"))
    assert Path("new/a.png").read_text() == "mine"
    again = run(capsys, "apply run photos --out new --skip-existing")
    assert again == "0 sketches in new; 4 there already\n"


def test_damaged_pictures_of_a_folder_are_named(place, capsys):
    Path("photos/bad.png").write_bytes(b"no picture")
    Path("photos/cats/cut.png").write_bytes(Path("photos/a.png").read_bytes()[:800])
    Path("photos/broken.png").symlink_to("gone.png")
    said = run(capsys, "apply run photos --out new", code=1)
    assert said.startswith("4 sketches in new, ")
    assert "3 of 7 left out:\n  photos/bad.png: not a picture" in said
    assert "\n  photos/broken.png: " in said
    assert "\n  photos/cats/cut.png: damaged or cut off" in said
    assert files("new") == ["a.png", "b.jpg", "cats/a.png", "cats/it's c.webp"]
    assert "photos/bad.png: not a picture" in refuse(capsys, "apply run photos/bad.png --out x.png")
    assert not Path("x.png").exists()


def test_orientation_is_applied_and_forgotten(place, capsys):
    upright = np.full((60, 40, 3), 250, np.uint8)
    upright[:20, :20] = (200, 0, 0)  # a red corner at the top left
    turned = Image.Exif()
    turned[0x0112] = 6  # stored turned anticlockwise, to be shown turned clockwise by a quarter
    stored = Image.fromarray(np.rot90(upright, 1))
    stored.save("turned.png", exif=turned)
    Image.fromarray(upright).save("upright.png")
    for name in ("turned", "upright"):
        run(capsys, f"apply run {name}.png --out {name}-sketch.png")
    assert np.array_equal(pixels("turned-sketch.png"), pixels("upright-sketch.png"))
    with Image.open("turned-sketch.png") as sketch:
        assert sketch.size == (40, 60)
        assert dict(sketch.getexif()) == {}
    corner, elsewhere = pixels("turned-sketch.png")[4:16, 4:16], pixels("turned-sketch.png")[40:56, 24:36]
    assert np.abs(corner.mean((0, 1)) - elsewhere.mean((0, 1))).max() > 5


def test_alpha_is_flattened_or_kept(place, capsys):
    clear = photo(channels=4)
    clear.save("clear.png")
    run(capsys, "apply run clear.png --out flat.png")
    run(capsys, "apply run clear.png --out kept.png --alpha keep")
    assert pixels("flat.png").shape == (30, 44, 3)
    assert np.array_equal(pixels("kept.png")[..., :3], pixels("flat.png"))
    assert np.array_equal(pixels("kept.png")[..., 3], np.asarray(clear)[..., 3])
    assert "JPEG holds no transparency" in refuse(capsys, "apply run clear.png --out kept.jpg --alpha keep")
    Path("clear.png").rename("photos/clear.png")
    run(capsys, "apply run photos --out new --alpha keep")
    assert np.array_equal(pixels("new/clear.png"), pixels("kept.png"))
    assert pixels("new/a.png").shape == (30, 44, 3)


def test_drawn_smaller_and_grey(place, capsys):
    run(capsys, "apply run photos/a.png --out small.png --draw-size 20 --grey")
    sketch = stylize(prepare_stylizer(load_stylizer("run")), open_picture("photos/a.png"), draw_size=20)
    assert np.array_equal(pixels("small.png"), np.asarray(sketch.convert("L")))
    assert "draw_size is 0: it must be at least 1" in refuse(capsys, "apply run photos/a.png --out b.png --draw-size 0")


def test_what_a_user_may_want_to_know_is_noted(place, capsys):
    Path("photos/phone.arw").write_bytes(b"of a phone")
    trained = load_stylizer("run")
    trained.config = replace(trained.config, image_size=3)
    save_stylizer(trained, "tiny")
    assert main(["style", "apply", "tiny", "photos", "--out", "new"]) == 0
    said = capsys.readouterr().err
    assert "note: 4 of 4 are more than 8 times as large as what the network was trained on (3 pixels)" in said
    assert "try --draw-size 12" in said
    assert "note: photos: 1 file of a kind that cannot be read: phone.arw; save it as PNG" in said
    assert main(["style", "apply", "tiny", "photos/a.png", "--out", "b.png", "--draw-size", "12"]) == 0
    assert capsys.readouterr().err == ""


def test_a_page_and_a_drawing_without_pixels(place, capsys):
    Path("two.pdf").write_bytes(pdf([(300, 300, ""), (300, 200, "0 0 150 300 re f")]))
    Path("drawing.svg").write_bytes(svg())
    for source, size in (("two.pdf#page=2", (600, 400)), ("drawing.svg", (512, 256))):
        open_picture(source).save("page.png")
        run(capsys, f"apply run {source} --out sketch.png --force")
        assert np.array_equal(pixels("sketch.png"), expected("page.png")), source
        assert open_picture("sketch.png").size == size
    run(capsys, "apply run drawing.svg --out kept.png --alpha keep")
    assert pixels("kept.png")[..., -1].mean() == pytest.approx(127.5, abs=0.5)
    assert "two.pdf#page=3: it has 2 pages, and no page 3" in refuse(capsys, "apply run two.pdf#page=3 --out x.png")


@pytest.mark.usefixtures("cpu_with_bfloat16")
def test_large_pictures_in_tiles(place, capsys):
    run(capsys, "apply run photos/a.png --out sketch.png --max-pixels 100")
    assert np.abs(pixels("sketch.png").astype(int) - expected("photos/a.png")).max() <= 1
    run(capsys, "apply run photos/a.png --out halved.png --precision bf16")
    difference = np.abs(pixels("halved.png").astype(int) - expected("photos/a.png"))
    assert 0 < difference.mean() < 5


def test_the_exported_file_does_the_same(place, capsys):
    for line in ("run/model.onnx photos/a.png", "run photos/a.png --runtime onnx"):
        run(capsys, f"apply {line} --out sketch.png --force")
        assert np.abs(pixels("sketch.png").astype(int) - expected("photos/a.png")).max() <= 1
    said = refuse(capsys, "apply run/model.onnx photos/a.png --out x.png --max-pixels 100")
    assert "photos/a.png: the picture has 44x30 pixels, and an exported stylizer takes 100 at once" in said
    assert "runs only in ONNX Runtime" in refuse(capsys, "apply run/model.onnx photos --out x --runtime torch")
    assert "precision is bf16" in refuse(capsys, "apply run/model.onnx photos --out x --precision bf16")
    said = refuse(capsys, "apply run/model photos --out x --runtime onnx")
    assert "run `sketchloss style export run/model run/model/model.onnx`" in said
    Path("damaged.onnx").write_bytes(Path("run/model.onnx").read_bytes()[:5000])
    assert "damaged.onnx is no whole ONNX file" in refuse(capsys, "apply damaged.onnx photos --out x")


def test_inputs_are_never_replaced(place, capsys):
    before = {name: Path("photos", name).read_bytes() for name in files("photos")}
    for line in ("photos/a.png --out photos/a.png", "photos --out photos", "photos/a.png photos/b.jpg --out photos"):
        assert "photos" in refuse(capsys, f"apply run {line} --force")
    assert {name: Path("photos", name).read_bytes() for name in files("photos")} == before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("apply run --out x.png", "no picture is given"),
        ("apply run photos/a.png", "missing --out PATH"),
        ("apply gone photos/a.png --out x.png", "gone does not exist"),
        ("apply photos photos/a.png --out x.png", "photos is no stylizer"),
        ("apply gone.onnx photos/a.png --out x.png", "gone.onnx does not exist"),
        ("apply run gone.png --out x.png", "gone.png does not exist"),
        ("apply run photos/a.png photos/cats/a.png --out new", "would both become new/a.png"),
        ("apply run photos/a.png --out photos", "is a folder, and one picture is given"),
        ("apply run photos/a.png --out x.png --max-pixels 0", "max_pixels is 0"),
        ("apply run photos/a.png --out x.png --precision fp8", "choose from auto, no, bf16"),
        ("export gone x.onnx", "gone does not exist"),
        ("export photos x.onnx", "photos is no stylizer"),
        ("export run photos", "photos is a folder: name a file"),
        ("export run gone/x.onnx", "the folder gone does not exist"),
        ("export run run/model.onnx", "run/model.onnx exists: add --force"),
        ("export run x.onnx --opset 9", "opset is 9: it must be 18 to 23"),
    ],
)
def test_mistakes_are_named(place, capsys, line, said):
    before = files(".")
    assert said in refuse(capsys, line)
    assert files(".") == before
    assert not Path("new").exists()


def test_a_picture_too_large_for_its_format(place, capsys):
    Image.new("RGB", (16_400, 1), "white").save("wide.png")  # WebP holds 16,383
    said = refuse(capsys, "apply run wide.png --out wide.webp")
    assert "wide.webp: WEBP cannot hold 16400x1 pixels" in said
    assert not Path("wide.webp").exists()


# Real processes ------------------------------------------------------------------------------------------------------


def test_standard_input_to_standard_output(place):
    with Path("out.png").open("wb") as out:
        done = run_process(place, "apply run - --out -", input=Path("photos/b.jpg").read_bytes(), stdout=out)
    assert (done.returncode, done.stderr) == (0, "")
    sent = Path("out.png").read_bytes()  # a PNG and nothing else
    assert sent.startswith(b"\x89PNG")
    assert sent.endswith(b"IEND\xaeB`\x82")
    assert np.array_equal(pixels("out.png"), expected("photos/b.jpg"))
    done = run_process(place, "apply run - --out -", input=b"")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("sketchloss style apply: standard input: the file is empty")


@pytest.mark.skipif(sys.platform == "win32", reason="limits are of Unix")
def test_a_file_size_limit_leaves_no_half_file(place):
    large = np.random.default_rng(9).integers(0, 255, (150, 150, 3), dtype=np.uint8)
    Image.fromarray(large).save("photos/b.png")
    before = Path("photos/b.jpg")
    before.unlink()
    code = (
        "import resource, signal, sys\n"
        "from sketchloss.cli import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))\n"
        "sys.exit(main(['style', 'apply', 'run', 'photos', '--out', 'new']))"
    )
    done = finished([sys.executable, "-c", code])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "cannot write new/b.png (file too large): free some space, or write elsewhere; the 1 before" in done.stderr
    assert files("new") == ["a.png"]
    assert np.array_equal(pixels("new/a.png"), expected("photos/a.png"))
