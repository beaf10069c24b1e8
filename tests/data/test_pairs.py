"""Oracles: the colours that the files were made with, the doodles themselves, the published layout and counts."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.data.pairs import open_pairs
from sketchloss.data.sources import open_sketches
from sketchloss.system.images import UnreadablePicture


def plain(path: Path, colour, size=(30, 20), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB" if isinstance(colour, tuple) else "L", size, colour).save(path, **options)


def cufs(root, names=("00.jpg", "01.jpg", "b.png"), part="train"):
    for index, name in enumerate(names):
        plain(root / part / "photos" / name, (200, 10 * index, 0))
        plain(root / part / "sketches" / name, 10 * index)
    return root


def fs2k(root):
    """Train: pair n has n in green in its photo and as its sketch's grey; styles 0, 0, 1, 2, 1. Test: one pair."""
    listed = {"train": [], "test": []}
    for number, (part, folder, style) in enumerate(
        [("train", 1, 0), ("train", 1, 0), ("train", 2, 1), ("train", 3, 2), ("test", 1, 0), ("train", 3, 1)]
    ):
        suffix = ".png" if number % 2 else ".jpg"
        plain(root / "photo" / f"photo{folder}" / f"image{number:04}{suffix}", (0, 10 * number, 0))
        other = ".jpg" if number == 3 else suffix  # the suffixes of a pair need not agree
        plain(root / "sketch" / f"sketch{folder}" / f"sketch{number:04}{other}", 10 * number)
        listed[part].append({"image_name": f"photo{folder}/image{number:04}", "style": style, "hair": 0})
    for part, annotations in listed.items():
        (root / f"anno_{part}.json").write_text(json.dumps(annotations))
    return root


def colours(pairs):
    """Of each pair, the green of the middle of its photo and the grey of its sketch, in tens."""
    middles = [
        (pairs.photo(index, 8).getpixel((4, 4))[1], pairs.sketch(index, 8).getpixel((4, 4))[0])
        for index in range(len(pairs))
    ]
    return [(round(green / 10), round(grey / 10)) for green, grey in middles]


# ---------------------------------------------------------------------------------------------------------------------
# CUFS and FS2K


def test_cufs_pairs_share_a_name(tmp_path):
    root = cufs(cufs(tmp_path), ["07.jpg"], part="test")
    pairs = open_pairs(f"cufs:{root}")
    assert (pairs.names, pairs.problems, pairs.part) == (["00", "01", "b"], [], "train")
    assert colours(pairs) == [(0, 0), (1, 1), (2, 2)]
    assert open_pairs(f"cufs:{root}", part="test").names == ["07"]
    assert pairs.photos(8).names == ["train/photos/00.jpg", "train/photos/01.jpg", "train/photos/b.png"]
    assert pairs.sketches(8).names[2] == "train/sketches/b.png"


@pytest.mark.parametrize(
    ("options", "numbers"), [("", [0, 1, 2, 3, 5]), ("?style=1", [0, 1]), ("?style=2", [2, 5]), ("?style=3", [3])]
)
def test_fs2k_counts_styles_from_one_by_the_annotation_not_the_folder(tmp_path, options, numbers):
    pairs = open_pairs(f"fs2k:{fs2k(tmp_path)}{options}")
    assert colours(pairs) == [(number, number) for number in numbers]
    assert [int(name[-4:]) for name in pairs.names] == numbers
    assert pairs.problems == []
    assert pairs.photos(8).names[0].startswith("photo/photo")


def test_fs2k_test_part(tmp_path):
    root = fs2k(tmp_path)
    assert colours(open_pairs(f"fs2k:{root}", part="test")) == [(4, 4)]
    with pytest.raises(ValueError, match="no pair of style 3 in its test part"):
        open_pairs(f"fs2k:{root}?style=3", part="test")


def test_photos_and_sketches_are_square_rgb(tmp_path):
    pairs = open_pairs(f"cufs:{cufs(tmp_path)}")
    for picture in (pairs.photo(1, 12), pairs.sketch(1, 12)):
        assert (picture.mode, picture.size) == ("RGB", (12, 12))
    item = pairs.sketches(12)[1]
    assert (item["image"].shape, item["image"].dtype, item["index"]) == ((3, 12, 12), torch.uint8, 1)
    assert np.array_equal(item["image"].permute(1, 2, 0).numpy(), np.asarray(pairs.sketch(1, 12)))
    with pytest.raises(IndexError):
        pairs.photo(3, 12)
    with pytest.raises(ValueError, match="image_size must be 1 to 8192 pixels, got 0"):
        pairs.photos(0)


def damaged_cufs(root):
    cufs(root, [f"{index:02}.png" for index in range(10)])
    photos, sketches = root / "train" / "photos", root / "train" / "sketches"
    (sketches / "01.png").unlink()
    (photos / "02.png").unlink()
    (sketches / "03.png").rename(sketches / "o3.png")
    plain(sketches / "04.png", 0, size=(20, 20))
    (photos / "05.png").write_text("no picture")
    Image.effect_noise((30, 20), 50).save(sketches / "06.png")
    whole = (sketches / "06.png").read_bytes()
    (sketches / "06.png").write_bytes(whole[: len(whole) // 2])
    plain(photos / "07.jpg", 0)
    (photos / "notes.txt").write_text("not a picture's name")
    return root


def test_missing_mismatched_and_damaged_pairs_of_cufs_are_left_out_and_named(tmp_path):
    pairs = open_pairs(f"cufs:{damaged_cufs(tmp_path)}")
    assert pairs.names == ["00", "08", "09"]
    assert colours(pairs) == [(0, 0), (8, 8), (9, 9)]
    reasons = [
        ("01", "photo without sketch", "photos/01.png"),
        ("02", "sketch without photo", "sketches/02.png"),
        ("03", "photo without sketch", "photos/03.png"),
        ("04", "differ in aspect ratio, 30x20 and 20x20", "sketches/04.png"),
        ("05", "not a picture", "photos/05.png"),
        ("06", "damaged or cut off", "sketches/06.png"),
        ("07", "several files of one name", "photos/07.jpg"),
        ("o3", "sketch without photo", "sketches/o3.png"),
    ]
    assert len(pairs.problems) == len(reasons)
    for problem, (name, reason, file) in zip(pairs.problems, reasons, strict=True):
        assert problem.startswith(f"{name}: ")
        assert reason in problem
        assert file in problem
    assert pairs.photos(8).unreadable == pairs.problems
    with pytest.raises(ValueError, match=r"8 cannot be used: 01: .*; 05: .*; and 3 more; fix .*strict off$"):
        open_pairs(f"cufs:{tmp_path}", strict=True)


def test_faulty_annotations_of_fs2k_are_left_out_and_named(tmp_path):
    root = fs2k(tmp_path)
    (root / "sketch" / "sketch1" / "sketch0000.jpg").unlink()
    (root / "photo" / "photo1" / "image0001.png").unlink()
    more = [
        {"image_name": "photo2/image9999", "style": 0},
        {"image_name": "../photo1/image0000", "style": 0},
        {"style": 0},
        "photo1/image0000",
        {"image_name": "photo3/image0003", "style": 3},
        {"image_name": "photo3/image0003"},
        {"image_name": "photo3/image0003", "style": 2},
    ]
    annotations = json.loads((root / "anno_train.json").read_text()) + more
    (root / "anno_train.json").write_text(json.dumps(annotations))
    pairs = open_pairs(f"fs2k:{root}")
    assert colours(pairs) == [(2, 2), (3, 3), (5, 5)]
    starts = [
        "photo1/image0000: photo without sketch",
        "photo1/image0001: sketch without photo",
        "photo2/image9999: annotation without file",
        "anno_train.json, annotation 7: image_name is '../photo1/image0000', not like",
        "anno_train.json, annotation 8: image_name is None",
        "anno_train.json, annotation 9: image_name is None",
        "anno_train.json, annotation 10: the style of photo3/image0003 is 3, not 0, 1 or 2",
        "anno_train.json, annotation 11: the style of photo3/image0003 is None",
        "anno_train.json, annotation 12: photo3/image0003 came before",
    ]
    assert len(pairs.problems) == len(starts)
    for problem, start in zip(pairs.problems, starts, strict=True):
        assert problem.startswith(start)


def test_aspect_ratios_are_those_of_the_upright_pictures_up_to_rounding(tmp_path):
    root = cufs(tmp_path, ["turned.jpg", "half.png"])
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    plain(root / "train" / "photos" / "turned.jpg", (0, 0, 0), size=(20, 30), exif=exif)
    plain(root / "train" / "photos" / "half.png", (0, 0, 0), size=(301, 201))
    plain(root / "train" / "sketches" / "half.png", 0, size=(150, 100))
    assert open_pairs(f"cufs:{root}", strict=True).names == ["half", "turned"]


def test_a_photo_damaged_after_opening_is_named_when_read(tmp_path):
    pairs = open_pairs(f"cufs:{cufs(tmp_path)}")
    (tmp_path / "train" / "photos" / "01.jpg").write_bytes(b"")
    with pytest.raises(UnreadablePicture, match=r"photos/01\.jpg: the file is empty"):
        pairs.photo(1, 8)


def test_a_selection_keeps_pairs_together_and_a_pickle_too(tmp_path):
    pairs = open_pairs(f"fs2k:{fs2k(tmp_path)}")
    chosen = pickle.loads(pickle.dumps(pairs.select([4, 0, 2]).select(np.array([2, 0]))))
    assert chosen.names == [pairs.names[2], pairs.names[4]]
    assert colours(chosen) == [(2, 2), (5, 5)]
    assert len(chosen) == len(chosen.photos(8)) == len(chosen.sketches(8)) == 2


# ---------------------------------------------------------------------------------------------------------------------
# Doodles


@pytest.mark.parametrize("tool", [None, "pencil", "ink", "brush"])
def test_doodles_are_the_photo_and_the_sketch_of_one_scene(tool):
    pairs = open_pairs(f"doodles?count=40{f'&tool={tool}' if tool else ''}")
    assert len(pairs) == len(set(pairs.names)) == 40
    for index in (0, 3, 38):
        scene = doodle(KINDS[index % len(KINDS)], index // len(KINDS))
        assert pairs.photo(index, 32).tobytes() == scene.photo(32).tobytes()
        assert pairs.sketch(index, 32).tobytes() == scene.sketch(32, style=tool).convert("RGB").tobytes()


def test_training_and_test_part_share_no_doodle():
    train, test = (open_pairs("doodles", part=part) for part in ("train", "test"))
    assert len(train) == len(test) == 350
    assert not set(train.names) & set(test.names)
    assert [name.split()[0] for name in train.names] == [name.split()[0] for name in test.names] == list(KINDS) * 10
    photos = [[pairs.photo(index, 16).tobytes() for index in range(35)] for pairs in (train, test)]
    assert len({*photos[0], *photos[1]}) == 70
    seeds = {name.split()[1] for name in open_pairs("doodles?count=1000000").names}
    assert not seeds & {name.split()[1] for name in test.names}  # nor with the most that can be asked for
    for seed in (0, 1):  # nor with what backbones are tuned on
        tuned_on = set(open_sketches("doodles", 16, per_class=1000, seed=seed).rows["seed"])
        assert not tuned_on & {int(name.split()[1]) for name in test.names}
    assert open_sketches("doodles", 16, per_class=1).picture(0).tobytes() != test.sketch(0, 16).tobytes()


# ---------------------------------------------------------------------------------------------------------------------
# What a source says


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "'' does not say which pairs: give cufs:PATH, fs2k:PATH.style=1, or doodles.tool=ink"),
        ("nowhere", "does not say which pairs: give cufs:PATH"),
        ("cuhk:/data", "does not say which pairs: give cufs:PATH"),
        ("cufs:", "does not say which pairs"),
        ("doodles:cat", "does not say which pairs"),
        ("cufs:nowhere", "nowhere does not exist; give the folder of the set, cufs:PATH"),
        (f"fs2k:{__file__}", r"test_pairs\.py is a file, not a folder; give the folder of the set"),
        ("fs2k:~nobody here/x", "that user has no home folder; write the path in full"),
        ("fs2k:x?style=0", "style is '0'; choose from 1, 2, 3"),
        ("fs2k:x?style=", "style is ''; choose from 1, 2, 3"),
        ("fs2k:x?stile=1", "fs2k has no option 'stile'; it takes style"),
        ("fs2k:x?style=1&style=2", "style is given twice"),
        ("fs2k:x?style", "what follows the last '.' is 'style'; write options as name=value, joined by &"),
        ("cufs:x?style=1", "cufs has no option 'style'; it takes none"),
        ("doodles?style=1", "doodles has no option 'style'; it takes tool and count"),
        ("doodles?tool=pen", "tool is 'pen'; choose from pencil, ink, brush"),
        ("doodles?count=0", "count is '0'; give a number of pairs from 1 to 1000000"),
        ("doodles?count=1000001", "count is '1000001'"),
        ("doodles?count=ten", "count is 'ten'"),
        ("doodles?count=-3", "count is '-3'"),
    ],
)
def test_sources_of_another_form_are_refused_in_one_line(source, reason):
    with pytest.raises(ValueError, match=reason) as error:
        open_pairs(source)
    assert "\n" not in str(error.value)


def without_lists(root):
    fs2k(root)
    for path in root.glob("*.json"):
        path.unlink()


def rewritten(text):
    return lambda root: (fs2k(root) / "anno_train.json").write_text(text)


def without_pictures(root):
    (root / "train" / "photos").mkdir(parents=True)
    (root / "train" / "sketches").mkdir()


def nothing_whole(root):
    for path in cufs(root, ["a\nb.png"]).rglob("*.png"):
        path.write_bytes(b"")


@pytest.mark.parametrize(
    ("make", "kind", "reason"),
    [
        (
            cufs,
            "fs2k",
            r"not laid out as fs2k, it has no anno_train\.json and no photo and no sketch; give cufs:/.*set$",
        ),
        (fs2k, "cufs", "not laid out as cufs, it has no train/photos and no train/sketches; give fs2k:/.*set$"),
        (lambda root: cufs(root, part="test"), "cufs", "no train/photos and no train/sketches; give the folder with"),
        (without_lists, "fs2k", r"no anno_train\.json; give the folder with anno_train\.json, photo, sketch"),
        (rewritten("[{"), "fs2k", r"anno_train\.json is no JSON \(.*\): copy or make it again"),
        (rewritten("{}"), "fs2k", r"anno_train\.json holds '\{\}': it must hold a list"),
        (rewritten("[]"), "fs2k", "there is no pair in its train part"),
        (without_pictures, "cufs", "there is no pair in its train part"),
        (nothing_whole, "cufs", "no pair is left; 1 cannot be used: a b: .*the file is empty"),
    ],
)
def test_folders_that_will_not_do_are_refused_in_one_line(tmp_path, make, kind, reason):
    make(tmp_path / "set")
    with pytest.raises(ValueError, match=reason) as error:
        open_pairs(f"{kind}:{tmp_path / 'set'}")
    assert str(tmp_path / "set") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_plain_folder_is_told_its_kind(tmp_path):
    with pytest.raises(ValueError, match=f"does not say which pairs: give fs2k:{tmp_path}$"):
        open_pairs(fs2k(tmp_path))


def test_home_is_expanded_and_options_follow_the_last_question_mark(tmp_path, monkeypatch):
    fs2k(tmp_path / "what?" / "set")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(open_pairs("fs2k:~/what?/set?style=1")) == 2
    assert len(open_pairs("fs2k:~/what?/set?")) == 5


# ---------------------------------------------------------------------------------------------------------------------
# The real sets, as counted where they were fetched


def test_real_fs2k(data_folder):
    source = f"fs2k:{data_folder / 'fs2k'}"
    counts = {
        part: [len(open_pairs(f"{source}?style={style}", part=part, strict=True)) for style in (1, 2, 3)]
        for part in ("train", "test")
    }
    assert counts == {"train": [357, 350, 351], "test": [298, 203, 22]}
    assert (len(open_pairs(source)), len(open_pairs(source, part="test"))) == (1058, 523)
    assert open_pairs(source).names[0] == "photo1/image0110"


def test_real_cufs(data_folder):
    source = f"cufs:{data_folder / 'cufs'}"
    assert [len(open_pairs(source, part=part, strict=True)) for part in ("train", "test")] == [88, 100]
    pairs = open_pairs(source)
    photo, sketch = (np.asarray(side(0, 64).convert("RGB"), dtype=float) for side in (pairs.photo, pairs.sketch))
    assert np.ptp(photo, axis=2).mean() > 30  # coloured
    assert np.ptp(sketch, axis=2).mean() < 5  # grey
