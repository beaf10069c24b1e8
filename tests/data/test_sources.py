import json
import os
import pickle
import re
import shutil

import datasets
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch.utils.data import DataLoader

from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.data.quickdraw.drawings import open_drawings
from sketchloss.data.quickdraw.ndjson import read_ndjson, to_unit_square
from sketchloss.data.quickdraw.painting import draw_strokes
from sketchloss.data.sources import open_sketches
from sketchloss.system.images import UnreadablePicture, fit_square, open_picture


def scribble(seed, size=(40, 30)):
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", size, "white")
    ImageDraw.Draw(picture).line(
        [tuple(point) for point in (rng.random((5, 2)) * size).tolist()], fill="black", width=2
    )
    return picture


def class_folders(root, names=("apple", "train", "ça va\nbien"), count=3):
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for index in range(count):
            scribble(10 * number + index).save(root / name / f"{name} {index}.png")
    return root


def ndjson_folder(root, words=("cat", "train"), count=4):
    root.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for word in words:
        rows = [{"word": word, "drawing": rng.integers(0, 256, (2, 2, 5)).tolist()} for _ in range(count)]
        (root / f"{word}.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def test_class_folders_whatever_their_names(tmp_path):
    root = class_folders(tmp_path)
    sketches = open_sketches(root, 32)
    assert sketches.classes == ["apple", "train", "ça va\nbien"]
    assert sketches.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert sketches.unreadable == []
    for index in range(9):
        item = sketches[index]
        assert item["image"].dtype == torch.uint8
        assert item["image"].shape == (3, 32, 32)
        assert (item["label"], item["index"]) == (index // 3, index)
        expected = fit_square(scribble(10 * (index // 3) + index % 3), 32)
        assert np.array_equal(item["image"].permute(1, 2, 0).numpy(), np.asarray(expected))
    with pytest.raises(IndexError):
        sketches[9]


def test_a_file_whose_name_is_not_text(tmp_path):
    root = class_folders(tmp_path)
    try:
        shutil.copy(root / "apple" / "apple 0.png", os.fsencode(root) + b"/apple/\xff.png")
    except OSError:
        pytest.skip("this file system takes no such name")
    sketches = open_sketches(root, 16)
    assert len(sketches) == 10
    assert torch.equal(sketches[0]["image"], sketches[3]["image"])


def test_a_class_whose_name_is_not_text_is_split_as_any(tmp_path):
    root = class_folders(tmp_path, names=("apple", "bee"), count=8)
    try:
        (root / "bee").rename(root / os.fsdecode(b"bee\xff"))
    except OSError:
        pytest.skip("this file system takes no such name")
    train, held = open_sketches(root, 16).split(0.25, seed=0)
    assert (np.bincount(train.labels).tolist(), np.bincount(held.labels).tolist()) == ([6, 6], [2, 2])


def test_links_back_and_to_other_folders(tmp_path):
    root = class_folders(tmp_path / "set", names=("apple", "bee"))
    class_folders(tmp_path / "elsewhere", names=("cat",))
    (root / "apple" / "loop").symlink_to(root, target_is_directory=True)
    (root / "cat").symlink_to(tmp_path / "elsewhere" / "cat", target_is_directory=True)
    sketches = open_sketches(root, 16)
    assert sketches.classes == ["apple", "bee", "cat"]
    assert len(sketches) == 9


def test_damaged_files_are_left_out_and_named_or_refused(tmp_path):
    root = class_folders(tmp_path)
    (root / "apple" / "empty.png").write_bytes(b"")
    (root / "apple" / "text.jpg").write_text("hello")
    whole = (root / "train" / "train 1.png").read_bytes()
    (root / "train" / "train 1.png").write_bytes(whole[: len(whole) // 2])
    (root / "bare").mkdir()
    (root / "bare" / "gone.png").symlink_to(root / "nowhere")
    sketches = open_sketches(root, 16)
    assert sketches.classes == ["apple", "train", "ça va\nbien"]
    assert sketches.labels.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    for fault, name in zip(sketches.unreadable, ["empty.png", "text.jpg", "gone.png", "train 1.png"], strict=True):
        assert f"{name}: " in fault
    with pytest.raises(ValueError, match=r"4 cannot be read: .*empty\.png.*text\.jpg.*gone\.png.*train 1\.png"):
        open_sketches(root, 16, strict=True)
    for number in range(9):
        (root / "apple" / f"worse{number}.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"13 cannot be read: .*and 8 more"):
        open_sketches(root, 16, strict=True)


def test_a_file_damaged_after_opening_is_named_when_read(tmp_path):
    sketches = open_sketches(class_folders(tmp_path), 16)
    (tmp_path / "train" / "train 0.png").write_bytes(b"")
    with pytest.raises(UnreadablePicture, match=r"train 0\.png: the file is empty"):
        sketches[3]


def bare_folder(root):
    root.mkdir(exist_ok=True)


def pictures_directly(root):
    class_folders(root)
    scribble(0).save(root / "stray.png")


def two_levels(root):
    class_folders(root / "train")
    class_folders(root / "test")


def nothing_readable(root):
    class_folders(root)
    for path in root.rglob("*.png"):
        path.write_bytes(b"")


def faulty_ndjson(root):
    root.mkdir(exist_ok=True)
    (root / "cat.ndjson").write_text("{}\n")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (bare_folder, "holds no pictures; give 'doodles'"),
        (pictures_directly, "pictures in it directly; put the pictures of each class in a folder of its own"),
        (two_levels, r"two folders down; give one of the folders in it, such as .*set/test"),
        (lambda root: class_folders(root, names=("apple",)), "only one class, 'apple'; at least two"),
        (nothing_readable, r"no readable sketch in it; 9 cannot be read: .*apple 0\.png: the file is empty"),
        (lambda root: ndjson_folder(root, words=("cat",)), "only one class, 'cat'"),
        (faulty_ndjson, r"no readable sketch in it; 1 cannot be read: .*cat\.ndjson:1: no 'word'"),
    ],
)
def test_folders_that_will_not_do_are_refused_in_one_line(tmp_path, make, reason):
    make(tmp_path / "set")
    with pytest.raises(ValueError, match=reason) as error:
        open_sketches(tmp_path / "set", 16)
    assert str(tmp_path / "set") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "no data source given"),
        ("nowhere", "nowhere does not exist; give 'doodles'"),
        ("./a/b", "does not exist"),
        (__file__, "is a file; give the folder"),
        ("nobody/nothing", "nobody/nothing is not a folder here, and could not be opened .* HF_HOME"),
    ],
)
def test_sources_that_are_not_there_are_refused_in_one_line(source, reason):
    with pytest.raises(ValueError, match=reason) as error:
        open_sketches(source, 16)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"image_size": 0}, "image_size must be 1 to 8192 pixels, got 0"),
        ({"per_class": 0}, "per_class must be at least 1, got 0"),
        ({"line_width": (0.1, 0.01)}, r"line_width must be .*got \(0\.1, 0\.01\)"),
        ({"line_width": (2.0, 5.0)}, "fractions of the side"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_bad_options_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        open_sketches("doodles", **{"image_size": 16} | options)


def test_quickdraw_strokes_are_drawn_at_any_size_with_a_width_of_their_own(tmp_path):
    root = ndjson_folder(tmp_path / "set", count=40)
    sketches = open_sketches(root, 128, line_width=(0.01, 0.05))
    assert sketches.classes == ["cat", "train"]
    assert sketches.labels.tolist() == [0] * 40 + [1] * 40
    drawings = [to_unit_square(strokes) for _, strokes in read_ndjson(root / "cat.ndjson")]
    thickness = []  # 0 at the least width, 1 at the most, by the amount of ink
    for index, drawing in enumerate(drawings):
        least, most = (ink(draw_strokes(drawing, 128, line_width=width * 128)) for width in (0.01, 0.05))
        thickness.append((ink(sketches.picture(index)) - least) / (most - least))
    assert -0.01 < min(thickness) < 0.2
    assert 0.8 < max(thickness) < 1.01
    fixed = open_sketches(root, 128, line_width=(0.03, 0.03)).picture(7)
    assert fixed.tobytes() == draw_strokes(drawings[7], 128, line_width=0.03 * 128).tobytes()


def ink(picture):
    return (255 - np.asarray(picture, dtype=float)).sum()


def test_the_same_seed_gives_the_same_pixels_and_a_selection_keeps_them(tmp_path):
    root = ndjson_folder(tmp_path / "set")
    sketches = open_sketches(root, 128, seed=3)
    assert torch.equal(sketches[5]["image"], open_sketches(root, 128, seed=3)[5]["image"])
    assert not torch.equal(sketches[5]["image"], open_sketches(root, 128, seed=4)[5]["image"])
    chosen = sketches.select([6, 5]).select(np.array([1]))
    assert torch.equal(chosen[0]["image"], sketches[5]["image"])
    assert chosen[0]["label"] == sketches[5]["label"] == 1
    assert chosen.classes == sketches.classes
    assert sketches.with_size(48)[5]["image"].shape == (3, 48, 48)


def test_malformed_lines_are_named_also_from_the_cache_and_a_changed_file_is_read_anew(tmp_path):
    root = ndjson_folder(tmp_path / "set")
    path = root / "cat.ndjson"
    path.write_text("{}\n" + path.read_text() + '{"word": "cat", "drawing": [[[1], [999]]]}\n')
    for _ in range(2):
        sketches = open_sketches(root, 16)
        assert sketches.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
        first, last = sketches.unreadable
        assert first.startswith(f"{path}:1: no 'word'")
        assert last.startswith(f"{path}:6: a coordinate is not an integer from 0 to 255")
        with pytest.raises(ValueError, match=r"2 cannot be read: .*cat\.ndjson:1"):
            open_sketches(root, 16, strict=True)
    path.write_text(path.read_text().split("\n", 1)[1])
    assert len(open_sketches(root, 16).unreadable) == 1
    assert len(open_sketches(root, 16, per_class=2)) == 4


def _fifo(path):
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.mkdir(), "a folder, not a file; move it elsewhere"),
        (lambda path: path.symlink_to("nowhere"), "no such file or directory; check the file"),
        (_fifo, "no regular file; remove it"),
        (lambda path: path.write_text("\n"), "no drawing in it; fetch it again or remove it"),
        (
            lambda path: path.write_text(json.dumps({"word": "\ud800", "drawing": [[[0, 1], [0, 1]]]})),
            r"the word '\ud800' is no text in one line; name the class in plain letters",
        ),
        (
            lambda path: path.write_text(json.dumps({"word": "a\0b", "drawing": [[[0, 1], [0, 1]]]})),
            r"the word 'a\x00b' is no text in one line",
        ),
    ],
    ids=["folder", "broken link", "pipe", "blank", "half a character", "control character"],
)
@pytest.mark.parametrize("name", ["bad.ndjson", "\udcff.NDJSON"])
def test_a_quickdraw_file_that_will_not_do_is_named_and_the_others_are_read(tmp_path, make, reason, name):
    root = ndjson_folder(tmp_path / "set", count=6)
    for path in root.glob("*.ndjson"):  # rich enough to be probed
        row = {"word": path.stem, "drawing": [[[0, 255], [0, 255]]] * 8}
        path.write_text(6 * (json.dumps(row) + "\n"))
    make(root / name)
    faults = []
    assert len(open_drawings(root, per_class=2, faults=faults)) == 4
    sketches = open_sketches(root, 16)
    assert sketches.classes == ["cat", "train"]
    for (line,) in (sketches.unreadable, faults):
        line.encode()  # text, whatever the file's name
        assert line.startswith(str(root))
        assert reason in line
        assert "\n" not in line
    for path in root.glob("[ct]*.ndjson"):
        path.unlink()
    for opened in (lambda: open_sketches(root, 16), lambda: open_drawings(root, per_class=2)):
        if not (root / name).is_dir():  # which may be a class folder's name
            with pytest.raises(ValueError, match=re.escape(reason)):
                opened()


def test_words_of_all_languages_are_classes(tmp_path):
    root = ndjson_folder(tmp_path / "set", words=("n\u200cn", "猫", "👩\u200d🎨"))
    assert sorted(open_sketches(root, 16).classes) == sorted(["n\u200cn", "猫", "👩\u200d🎨"])


def test_hidden_quickdraw_files_are_passed_over(tmp_path):
    root = ndjson_folder(tmp_path / "set")
    (root / "._cat.ndjson").write_bytes(b"\0\5\7")
    assert open_sketches(root, 16, strict=True).classes == ["cat", "train"]


def test_rows_of_quickdraw_lie_on_disk(tmp_path):
    sketches = open_sketches(ndjson_folder(tmp_path / "set"), 16)
    assert sketches.rows.cache_files


def test_doodles_are_built_in():
    sketches = open_sketches("doodles", 32, per_class=2)
    assert sketches.classes == list(KINDS)
    assert len(sketches) == 2 * len(KINDS)
    assert sketches.picture(3).tobytes() == doodle(KINDS[1], 1).sketch(32).tobytes()
    assert open_sketches("doodles", 32, per_class=2, seed=1).picture(3).tobytes() != sketches.picture(3).tobytes()
    assert len(open_sketches("doodles", 32)) == 100 * len(KINDS)


@pytest.mark.parametrize("tool", ["ink", "pencil", "brush", "photo"])
def test_doodles_in_one_tool_are_the_same_doodles(tool):
    sketches = open_sketches(f"doodles?tool={tool}", 32, per_class=3)
    assert (sketches.name, sketches.classes) == (f"doodles?tool={tool}", list(KINDS))
    for index in (0, 4, 3 * len(KINDS) - 1):
        drawing = doodle(KINDS[index // 3], index % 3)
        expected = drawing.photo(32) if tool == "photo" else drawing.sketch(32, style=tool)
        assert sketches.picture(index).tobytes() == expected.tobytes()
    for side, other in zip(
        sketches.split(0.34, seed=1), open_sketches("doodles", 32, per_class=3).split(0.34, seed=1), strict=True
    ):
        assert side.order.tolist() == other.order.tolist(), "twins are held out together"


def test_a_line_width_holds_for_a_tool_too():
    thin, thick = (
        ink(open_sketches("doodles?tool=ink", 64, per_class=1, line_width=(width, width)).picture(0))
        for width in (0.02, 0.06)
    )
    assert thick > 1.3 * thin


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("doodles?tool=chalk", "tool is 'chalk'; choose from .*photo"),
        ("doodles?tool", "write options as name=value"),
        ("doodles?colour=red", "doodles has no option 'colour'; it takes tool"),
        ("doodles?tool=ink&tool=ink", "tool is given twice"),
    ],
)
def test_other_options_of_doodles_are_refused(source, reason):
    with pytest.raises(ValueError, match=reason) as error:
        open_sketches(source, 16)
    assert str(error.value).startswith(repr(source))
    assert "\n" not in str(error.value)


def test_per_class_samples_with_the_seed(tmp_path):
    root = class_folders(tmp_path, count=12)
    chosen = [open_sketches(root, 16, per_class=4, seed=seed) for seed in (0, 0, 1)]
    assert all(np.bincount(each.labels).tolist() == [4, 4, 4] for each in chosen)
    assert chosen[0].groups == chosen[1].groups != chosen[2].groups


def test_sketches_of_one_photo_stay_on_one_side(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for photo in range(6):
            for number in (1, 2, 13):
                wnid = {"cat": "n02121620", "dog": "n02103406"}[name]
                scribble(photo).save(tmp_path / name / f"{wnid}_{photo}-{number}.png")
    sketches = open_sketches(tmp_path, 16)
    assert sketches.groups[:3] == ["n02121620_0"] * 3
    assert len(set(sketches.groups)) == 12
    train, held = sketches.split(0.2, seed=0)
    assert not set(train.groups) & set(held.groups)
    assert np.bincount(held.labels).tolist() == [3, 3]


def test_copies_stay_on_one_side(tmp_path):
    root = class_folders(tmp_path, names=("apple", "bee"), count=5)
    for path in sorted(root.rglob("*.png")):
        open_picture(path).transpose(Image.Transpose.ROTATE_90).save(path.with_suffix(".jpg"), quality=80)
    train, held = open_sketches(root, 64).split(0.3, seed=0, duplicates=True)
    assert not {name.rsplit(".", 1)[0] for name in train.groups} & {name.rsplit(".", 1)[0] for name in held.groups}
    assert (len(train), len(held)) == (16, 4)


@pytest.mark.parametrize("leave_out", [False, True])
def test_some_classes_are_kept_or_left_out_and_labels_numbered_anew(tmp_path, leave_out):
    root = class_folders(tmp_path, names=("Hot_Dog", "apple", "cat", "zebra"))
    sketches = open_sketches(root, 16)
    assert sketches.classes == ["Hot_Dog", "apple", "cat", "zebra"]
    chosen = sketches.select([11, 4, 0, 7, 1]).select_classes(["cat", "hot-dog", "CAT"], leave_out=leave_out)
    kept = [11, 4] if leave_out else [0, 7, 1]
    assert chosen.classes == (["apple", "zebra"] if leave_out else ["Hot_Dog", "cat"])
    assert chosen.labels.tolist() == ([1, 0] if leave_out else [0, 1, 0])
    assert chosen.labels.dtype == np.int64
    for place, index in enumerate(kept):
        assert torch.equal(chosen[place]["image"], sketches[index]["image"])
    assert chosen.groups == [sketches.groups[index] for index in kept]
    assert len(sketches.classes) == 4, "the whole is as it was"


@pytest.mark.parametrize(
    ("names", "leave_out", "words"),
    [
        (["train", "aple"], True, "has no class 'aple': did you mean 'apple'?"),
        (["piano"], False, "has no class 'piano': classes are apple, train, ..."),
        (["apple", "TRAIN"], True, "no class is left of its 2; name fewer to leave out"),
        ([], False, "no class is left of its 2; name one or more"),
    ],
)
def test_classes_that_are_not_there_or_leave_none_are_refused_in_one_line(tmp_path, names, leave_out, words):
    sketches = open_sketches(class_folders(tmp_path, names=("apple", "train")), 16)
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        sketches.select_classes(names, leave_out=leave_out)
    assert str(error.value).startswith(str(tmp_path))
    assert "\n" not in str(error.value)
    assert len(sketches.select_classes([], leave_out=True)) == 6


@pytest.fixture
def kinds_of_source(tmp_path):
    return [class_folders(tmp_path / "folders"), ndjson_folder(tmp_path / "strokes"), "doodles"]


def test_two_workers_give_the_same_items_as_none(kinds_of_source):
    sketches = [open_sketches(source, 24, per_class=3) for source in kinds_of_source]
    together = torch.utils.data.ConcatDataset([each.select(range(6)) for each in sketches])
    alone, workers = (list(DataLoader(together, batch_size=4, num_workers=number)) for number in (0, 2))
    assert len(alone) == 5
    for expected, batch in zip(alone, workers, strict=True):
        assert all(torch.equal(expected[key], batch[key]) for key in ("image", "label", "index"))


def test_sketches_can_be_pickled(kinds_of_source):
    for source in kinds_of_source:
        sketches = open_sketches(source, 24, per_class=2)
        again = pickle.loads(pickle.dumps(sketches))
        assert torch.equal(again[1]["image"], sketches[1]["image"])
        assert again.classes == sketches.classes


def hub_dataset(label, count=6):
    return datasets.Dataset.from_dict(
        {"image": [scribble(index) for index in range(count)], "label": [index % 2 for index in range(count)]},
        features=datasets.Features({"image": datasets.Image(), "label": label}),
    )


def test_a_dataset_of_the_hub(monkeypatch):
    classes = datasets.ClassLabel(names=["pear", "apple"])
    splits = datasets.DatasetDict(validation=hub_dataset(classes, 2), train=hub_dataset(classes))
    monkeypatch.setattr(datasets, "load_dataset", {"someone/sketches": splits}.__getitem__)
    sketches = open_sketches("someone/sketches", 16)
    assert sketches.classes == ["pear", "apple"]
    assert sketches.labels.tolist() == [0, 1] * 3
    assert sketches.picture(4).tobytes() == fit_square(scribble(4), 16).tobytes()


def test_a_dataset_of_the_hub_with_words_for_classes_and_rows_without(monkeypatch):
    words = ["pear", "apple", None, "pear"]
    table = datasets.Dataset.from_dict(
        {"note": ["x"] * 4, "drawing": [scribble(index) for index in range(4)], "word": words},
        features=datasets.Features(
            {"note": datasets.Value("string"), "drawing": datasets.Image(), "word": datasets.Value("string")}
        ),
    )
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict(test=table))
    sketches = open_sketches("someone/sketches", 16)
    assert sketches.classes == ["apple", "pear"]
    assert sketches.labels.tolist() == [1, 0, 1]
    assert sketches.picture(2).tobytes() == fit_square(scribble(3), 16).tobytes()
    assert sketches.unreadable == ["someone/sketches: 1 row without a class"]


def test_a_dataset_of_the_hub_kept_as_a_script_is_taken_from_its_parquet_export(monkeypatch):
    def load_dataset(name, revision=None):
        if revision is None:
            raise RuntimeError("Dataset scripts are no longer supported, but found sketches.py")
        assert revision == "refs/convert/parquet"
        return datasets.DatasetDict(train=hub_dataset(datasets.ClassLabel(names=["pear", "apple"])))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert len(open_sketches("someone/sketches", 16)) == 6


def test_a_dataset_without_pictures_is_refused(monkeypatch):
    table = datasets.Dataset.from_dict({"text": ["a", "b"]})
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict(train=table))
    with pytest.raises(ValueError, match="someone/text: no column is plainly the picture, among text"):
        open_sketches("someone/text", 16)


def test_a_folder_of_parquet_as_downloaded_from_the_hub(tmp_path):
    (tmp_path / "default" / "train").mkdir(parents=True)
    hub_dataset(datasets.ClassLabel(names=["pear", "apple"])).to_parquet(
        tmp_path / "default" / "train" / "0000.parquet"
    )
    sketches = open_sketches(tmp_path, 16)
    assert sketches.classes == ["pear", "apple"]
    assert sketches.picture(4).tobytes() == fit_square(scribble(4), 16).tobytes()


def test_real_sources(data_folder):
    quickdraw = open_sketches(data_folder / "quickdraw", 28, per_class=8)
    assert (len(quickdraw), len(quickdraw.classes), quickdraw.unreadable) == (8 * 345, 345, [])
    assert "train" in quickdraw.classes
    assert all(quickdraw[index]["image"].min() < 128 for index in range(0, len(quickdraw), 50))  # ink in each
    sketchy = open_sketches(data_folder / "sketchy", 28)
    assert (len(sketchy), len(sketchy.classes), sketchy.unreadable) == (1000, 125, [])
    assert len(set(sketchy.groups)) < 1000


def test_doodles_of_a_seed_beyond_all_are_refused():
    with pytest.raises(ValueError, match="seed is 100000000000000: doodles take 0 to 4,294,967,295"):
        open_sketches("doodles", 32, per_class=1, seed=10**14)
