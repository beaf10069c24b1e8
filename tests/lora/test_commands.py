"""Oracle: `draw` with the same prompts and seeds; and the error rule."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sketchloss.diffusion.bases import DEFAULT_BASE
from sketchloss.diffusion.pipeline import build_tiny, load_text_to_image, save_pipeline
from sketchloss.lora import add_lora, draw, load_lora, save_lora
from sketchloss.lora import commands as module
from sketchloss.lora.commands import LoraMerge, LoraSample, merge, sample
from sketchloss.system.command_line import HelpShown, parse


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A random pipeline in `base`, and in `run/lora` a random LoRA for it."""
    folder = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    pipeline = build_tiny(["a cat", "a dog"], image_size=16)
    save_pipeline(pipeline, folder / "base", dtype=torch.float32)
    for parameter in add_lora(pipeline.unet, rank=2, seed=0):
        torch.nn.init.normal_(parameter, std=0.3)
    about = {"base": str(folder / "base"), "template": "{} in ink", "image_size": "24"}
    save_lora(pipeline.unet, folder / "run" / "lora", about=about)
    return folder


@pytest.fixture
def quick(tmp_path, monkeypatch, made):
    """Settings that are quick, in a folder with `base` and `run`."""
    monkeypatch.chdir(tmp_path)
    for name in ("base", "run"):
        Path(name).symlink_to(made / name)
    return {"base": "base", "out": Path("out"), "steps": 2, "device": "cpu"}


def files(folder: str = "out") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


# Sample --------------------------------------------------------------------------------------------------------------


def test_a_picture_for_each_prompt_and_seed(quick, made, capsys):
    results = sample(LoraSample(**quick, lora=Path("run"), lora_scale=0.5, prompts=("A cat!", "thé 猫"), seeds=(3, 1)))
    names = ["1_a-cat_3.png", "1_a-cat_1.png", "2_the_3.png", "2_the_1.png"]
    assert files() == sorted([*names, "grid.png", "results.json"])
    assert [drawing["file"] for drawing in results["drawings"]] == names
    assert json.loads(Path("out/results.json").read_text(encoding="utf-8")) == results
    pipeline = load_text_to_image("base")
    load_lora(pipeline, "run", scale=0.5)
    for name, drawing in zip(names, draw(pipeline, ["A cat!", "thé 猫"], [3, 1], steps=2, size=24), strict=True):
        assert np.abs(pixels(Path("out", name)) - np.asarray(drawing.picture)).max() <= 1
        with Image.open(Path("out", name)) as picture:
            assert picture.text == {
                **{"prompt": drawing.prompt, "seed": str(drawing.seed), "steps": "2", "guidance": "7.5"},
                **{"base": "base", "precision": "no", "lora": "run", "lora_scale": "0.5"},
            }
    out, err = capsys.readouterr()
    assert out.startswith("4 drawings in out, ")
    assert out.endswith(" seconds each; grid.png shows them all\n")
    assert err == ""


def test_without_a_lora_and_with_a_negative_prompt(quick, capsys):
    settings = {**quick, "prompts": ("a cat",), "negative_prompt": "grey", "guidance": 3.0}
    results = sample(LoraSample(**settings, json=True))
    assert json.loads(capsys.readouterr().out) == {"out": "out", "grid": "grid.png", **results}
    assert results["drawings"] == [{"file": "1_a-cat_0.png", "prompt": "a cat", "seed": 0}]
    (drawing,) = draw(load_text_to_image("base"), ["a cat"], [0], steps=2, guidance=3.0, negative_prompt="grey")
    assert np.abs(pixels("out/1_a-cat_0.png") - np.asarray(drawing.picture)).max() <= 1
    with Image.open("out/1_a-cat_0.png") as picture:
        assert picture.text["negative_prompt"] == "grey"
        assert "lora" not in picture.text


def test_what_the_lora_file_says_is_the_default(quick, made, capsys):
    """Its base, its template, its size."""
    results = sample(
        LoraSample(**{**quick, "base": LoraSample.base}, lora=Path("run"), classes=("n02123045", "tea_pot"))
    )
    assert [drawing["prompt"] for drawing in results["drawings"]] == ["tabby in ink", "tea pot in ink"]
    assert results["base"] == str(made / "base")
    assert pixels("out/1_tabby-in-ink_0.png").shape == (24, 24, 3)
    assert (
        f"note: the base is {made / 'base'}, which the LoRA was trained on; another is given by --base\n"
        in capsys.readouterr().err
    )


def test_prompts_from_everywhere(quick, capsys):
    # A no-break space, a Japanese one and a joiner belong to the words.
    assert sample(
        LoraSample(**{**quick, "steps": 1, "out": Path("odd")}, prompts=("chat\u00a0noir", "猫\u3000絵", "क्\u200dष"))
    )
    Path("prompts.txt").write_bytes("\ufeffein Huhn\r\n\r\n  a   cat \r\n".encode())
    Path("classes.txt").write_text("dog\n", encoding="utf-8")
    results = sample(
        LoraSample(
            **{**quick, "steps": 1},
            **{"prompts": ("a cat", "one"), "prompt_file": Path("prompts.txt")},
            **{"classes": ("hen",), "class_file": Path("classes.txt"), "template": "ink {}"},
        )
    )
    prompts = [drawing["prompt"] for drawing in results["drawings"]]
    assert prompts == ["a cat", "one", "ein Huhn", "ink hen", "ink dog"]
    assert capsys.readouterr().err == ""


def test_long_prompts_are_named(quick, capsys):
    prompts = tuple(f"cat {number}" + " and a dog" * 20 for number in range(7))
    sample(LoraSample(**{**quick, "steps": 1}, prompts=prompts))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("note: 'cat 0 and a dog and a dog and a dog a...' is too long for the model: ")
    assert lines[0].endswith(" and a dog and a dog' at its end has no effect")
    assert max(map(len, lines)) < 160
    assert lines[-1] == "note: 2 more prompts are too long for the model, and were cut as well"
    assert len(files()) == 9


def test_the_grid_has_a_row_for_each_prompt(quick, monkeypatch, capsys):
    monkeypatch.setattr(module, "GRID_ROWS", 2)
    monkeypatch.setattr(module, "GRID_COLUMNS", 2)
    sample(LoraSample(**{**quick, "steps": 1}, prompts=("a", "b", "c"), seeds=(0, 1, 2)))
    assert "grid.png shows the first 2 of 3 prompts and the first 2 of 3 seeds\n" in capsys.readouterr().out
    grid = pixels("out/grid.png")
    for row, name in enumerate("ab"):
        for column in range(2):
            picture = pixels(f"out/{row + 1}_{name}_{column}.png")
            bottom, right = grid.shape[0] - 12 - (1 - row) * 20, grid.shape[1] - 12 - (1 - column) * 20
            assert np.array_equal(grid[bottom - 16 : bottom, right - 16 : right], picture)


def test_what_is_there_is_kept_or_done_over(quick):
    settings = {**quick, "steps": 1}
    sample(LoraSample(**settings, prompts=("a cat", "a dog")))
    before = {name: Path("out", name).read_bytes() for name in files()}
    with pytest.raises(ValueError, match="out is not empty: choose another --out, or add --again"):
        sample(LoraSample(**settings, prompts=("a hen",)))
    assert {name: Path("out", name).read_bytes() for name in files()} == before
    Path("out/mine.png").write_text("mine")
    with pytest.raises(ValueError, match=r"out holds mine.png, which no sampling made"):
        sample(LoraSample(**settings, prompts=("a hen",), again=True))
    Path("out/mine.png").rename("mine.png")
    sample(LoraSample(**settings, prompts=("a hen",), again=True))
    assert files() == ["1_a-hen_0.png", "grid.png", "results.json"]
    Path("mine").mkdir()
    Path("mine/results.json").write_text("{}")
    with pytest.raises(ValueError, match="mine is not empty and not a sampling"):
        sample(LoraSample(**{**settings, "out": Path("mine")}, prompts=("a hen",), again=True))
    assert files("mine") == ["results.json"]


def test_a_full_disk_leaves_whole_pictures(quick, small_disk):
    """The grid is the largest of the files."""
    with small_disk(2500), pytest.raises(OSError, match="File too large"):
        sample(LoraSample(**{**quick, "steps": 1}, prompts=("a cat", "a dog"), seeds=(0, 1, 2)))
    assert len(files()) == 7
    assert "grid.png" not in files()
    assert all(pixels(path).shape == (16, 16, 3) for path in Path("out").glob("*.png"))
    sample(LoraSample(**{**quick, "steps": 1}, prompts=("a cat",), again=True))
    assert files() == ["1_a-cat_0.png", "grid.png", "results.json"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"prompts": ()}, "no prompt is given: use --prompts"),
        ({"prompts": ("a", " ")}, "prompts holds an empty one"),
        ({"prompts": ("caf\udce9",)}, r"prompts holds 'caf\\udce9', which no one can read"),
        ({"classes": ("a\nb",)}, r"classes holds 'a\\nb'"),
        ({"prompt_file": Path("gone.txt")}, "gone.txt does not exist"),
        ({"prompt_file": Path("base")}, "base is not a file"),
        ({"prompt_file": Path("latin.txt")}, r"latin.txt is no UTF-8 text \(byte 3\): save it as UTF-8"),
        ({"class_file": Path("blank.txt")}, "blank.txt is empty"),
        ({"template": "a sketch"}, "template is 'a sketch'"),
        ({"seeds": ()}, "seeds is empty"),
        ({"seeds": (-1,)}, "seed is -1"),
        ({"seeds": (1, 2, 1)}, "seeds holds 1 twice"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 5000}, "steps is 5000"),
        ({"guidance": float("nan")}, "guidance is nan"),
        ({"guidance": 1.0, "negative_prompt": "x"}, "guidance is 1.0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"image_size": 0}, "image_size is 0"),
        ({"image_size": 20}, "image size is 20: it must be a multiple of 8 pixels"),
        ({"lora": Path("gone")}, "gone does not exist"),
        ({"lora": Path("base")}, "base holds no pytorch_lora_weights.safetensors"),
        ({"lora": Path("run"), "lora_scale": float("nan")}, "scale is nan"),
        ({"base": "gone/base/model"}, "gone/base/model"),
        ({"negative_prompt": "a \udcff"}, "negative_prompt holds 'a .*', which no one can read"),
        ({"prompts": ("a\x00cat",)}, "prompts holds 'a.*cat', which no one can read"),
        ({"lora": Path("run"), "base": DEFAULT_BASE}, "could not be fetched"),  # not what the LoRA was trained on
        ({"precision": "fp16"}, "precision is fp16, which needs a GPU: use bf16 or no"),
    ],
)
def test_mistakes_are_named_before_anything_is_drawn(quick, settings, said):
    Path("latin.txt").write_bytes("café".encode("latin-1"))
    Path("blank.txt").write_text("\n \n")
    with pytest.raises((ValueError, FileNotFoundError), match=said) as raised:
        sample(LoraSample(**{**quick, "prompts": ("a cat",), **settings}))
    assert "\n" not in str(raised.value)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("about", "mend"),
    [
        ({"template": "no place"}, "run says its template is 'no place': give one by --template"),
        ({"template": "a\x1b[2J {}"}, r"run says its template is 'a\\x1b\[2J {}': give one by --template"),
        ({"image_size": "1" * 5000}, r"run says its pictures have '1+\.\.\.1+' pixels a side: give --image-size"),
        ({"image_size": "0"}, "run says its pictures have '0' pixels a side"),
        ({"image_size": "1.5"}, "run says its pictures have '1.5' pixels a side"),
        ({"base": ""}, "the LoRA's file says its base is '': give one by --base"),
        ({"base": "a\nb\x1b[2J"}, r"the LoRA's file says its base is 'a\\nb\\x1b\[2J': give one by --base"),
        ({"base": "x" * 9999}, "the LoRA's file says its base is 'x"),
    ],
)
def test_what_a_file_says_wrongly_is_named_and_can_be_given(quick, made, monkeypatch, capsys, about, mend):
    there = {"base": str(made / "base"), "template": "{}", "image_size": "16", **about}
    monkeypatch.setattr(module, "read_about", lambda _: there)
    settings = {**quick, "base": None, "lora": Path("run"), "classes": ("cat",), "steps": 1}
    with pytest.raises(ValueError, match=mend) as raised:
        sample(LoraSample(**settings))
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 300
    assert capsys.readouterr().err.count("\n") <= 1
    sample(LoraSample(**{**settings, "base": "base", "template": "{}", "image_size": 16}))


@given(st.lists(st.text(min_size=1), min_size=1, max_size=12, unique=True))
def test_names_are_distinct_and_safe(prompts):
    jobs = module._name_files(prompts, [0, 2**62])
    names = [file for file, _, _ in jobs]
    assert len({name.lower() for name in names}) == len(names) == 2 * len(prompts)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.") and len(name) < 100 for name in names)
    assert [(prompt, seed) for _, prompt, seed in jobs] == [(p, seed) for p in prompts for seed in (0, 2**62)]


# Merge ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_merged_weights_draw_the_same(quick, dtype, capsys):
    Path("merged").mkdir()
    merge(LoraMerge(base="base", lora=Path("run"), lora_scale=0.5, out=Path("merged"), dtype=dtype))
    assert capsys.readouterr().out.endswith(f" MiB, {dtype}\n")
    pipeline = load_text_to_image("base")
    load_lora(pipeline, "run", scale=0.5)
    plain, expected, found = (
        np.asarray(next(draw(opened, ["a cat"], [0], steps=2)).picture).astype(int)
        for opened in (load_text_to_image("base"), pipeline, load_text_to_image("merged"))
    )
    assert np.abs(found - expected).mean() <= (0.01 if dtype == "float32" else 1)
    assert np.abs(plain - expected).mean() > 5
    index = json.loads(Path("merged/model_index.json").read_text())
    assert index["scheduler"] == json.loads(Path("base/model_index.json").read_text())["scheduler"]


def test_an_empty_folder_that_one_is_in_is_no_name(quick, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    run = Path("run").absolute()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"\. is no name for a folder: choose another --out"):
        merge(LoraMerge(lora=run, out=Path()))


def test_nothing_is_left_of_what_cannot_be_merged(quick, made, capsys, small_disk):
    with (
        small_disk(100_000),
        pytest.raises(OSError, match=r"cannot write merged .*: free some space, or write elsewhere"),
    ):
        merge(LoraMerge(lora=Path("run"), out=Path("merged")))
    assert files(".") == ["base", "run"]
    Path("full").mkdir()
    Path("full/mine").touch()
    Path("link").symlink_to("full")
    for out, said in (
        ("full", "full is not empty"),
        ("full/mine", "full/mine is not a folder"),
        ("link", "not a folder"),
        (".", "is not empty"),
        ("/", "is not empty"),
    ):
        with pytest.raises(ValueError, match=said):
            merge(LoraMerge(lora=Path("run"), out=Path(out)))
    with pytest.raises(ValueError, match="gone does not exist"):
        merge(LoraMerge(lora=Path("gone"), out=Path("merged")))
    with pytest.raises(ValueError, match=r"56 tensors are not finite in torch.float16"):
        merge(LoraMerge(lora=Path("run"), lora_scale=1e6, out=Path("merged")))
    assert files("full") == ["mine"]
    assert f"note: the base is {made / 'base'}" in capsys.readouterr().err


# Command lines -------------------------------------------------------------------------------------------------------


def test_command_lines(capsys):
    given = ["--out", "drawn", "--prompts", "a cat", "a dog", "--seeds", "1", "2", "--lora", "run", "--json"]
    config = parse(LoraSample, given, program="sketchloss lora sample")
    expected = {"prompts": ("a cat", "a dog"), "seeds": (1, 2), "lora": Path("run"), "json": True}
    assert config == LoraSample(out=Path("drawn"), **expected)
    config = parse(LoraMerge, ["--lora", "run", "--out", "merged", "--dtype", "float32"], program="x")
    assert config == LoraMerge(lora=Path("run"), out=Path("merged"), dtype="float32")
    for config_type, arguments, said in (
        (LoraSample, ["--prompts", "a"], "missing --out"),
        (LoraSample, ["--out", "x", "--precision", "fp8"], "choose from no, bf16, fp16"),
        (LoraSample, ["--out", "x", "--seeds", "-1"], "seed is -1"),
        (LoraMerge, ["--out", "x"], "missing --lora"),
    ):
        with pytest.raises(ValueError, match=said) as raised:
            parse(config_type, arguments, program="sketchloss lora")
        assert "\n" not in str(raised.value)
    with pytest.raises(HelpShown):
        parse(LoraSample, ["--help"], program="sketchloss lora sample")
    shown = capsys.readouterr().out
    assert "Draw prompts with a text-to-image model, with or without a LoRA." in shown
    assert "--negative-prompt" in shown
