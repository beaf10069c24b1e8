"""Oracles: captions written by the test itself, pictures fitted again by `fit_square`, files counted by hand."""

import json
import pickle
import re
import shutil

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sketchloss.data.captions.captioned import open_captioned
from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.data.loading import HeldPictures, hold_if_small, load_batches
from sketchloss.metrics.features import pixels_digest
from sketchloss.system.images import UnreadablePicture, fit_square


def noise(seed, size=(40, 30)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))


def save(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise(seed).save(path)


def class_folders(root, names=("ant", "n02123045", "hot_air_balloon"), count=3):
    for number, name in enumerate(names):
        for index in range(count):
            save(root / name / f"{index}.png", 10 * number + index)
    return root


def flat_folder(root, count=4):
    for index in range(count):
        save(root / f"{index}.png", index)
    return root


def text_folder(root, captions=("a cat", "two dogs", "a house", "a tree")):
    flat_folder(root, len(captions))
    for index, caption in enumerate(captions):
        (root / f"{index}.txt").write_text(caption)
    return root


def write_lines(path, rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


def metadata_folder(root, rows=None):
    flat_folder(root)
    write_lines(root / "metadata.jsonl", rows or [{"file_name": f"{i}.png", "text": f"caption {i}"} for i in range(4)])
    return root


def parquet(root, columns, features):
    root.mkdir(exist_ok=True)
    pictures = [noise(index) for index in range(len(next(iter(columns.values()))))]
    features = datasets.Features({"image": datasets.Image()} | features)
    datasets.Dataset.from_dict({"image": pictures} | columns, features=features).to_parquet(root / "0.parquet")
    return root


STRING = datasets.Value("string")


def same_pixels(item, seed, size):
    return np.array_equal(item["image"].permute(1, 2, 0).numpy(), np.asarray(fit_square(noise(seed), size)))


# ---------------------------------------------------------------------------------------------------------------------
# Captions from classes


def test_class_folders_are_captioned_by_their_readable_names(tmp_path):
    captioned = open_captioned(class_folders(tmp_path), 24, template="{}, drawn")
    assert captioned.classes == ["ant", "hot_air_balloon", "n02123045"]
    assert captioned.class_prompts == ["ant, drawn", "hot air balloon, drawn", "tabby, drawn"]
    assert captioned.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert captioned.labels.dtype == np.int64
    assert captioned.captions == ["ant, drawn"] * 3 + ["hot air balloon, drawn"] * 3 + ["tabby, drawn"] * 3
    assert (len(captioned), captioned.image_size, captioned.name) == (9, 24, str(tmp_path))
    assert captioned.unreadable == []
    for index, seed in enumerate([0, 1, 2, 20, 21, 22, 10, 11, 12]):
        assert set(captioned[index]) == {"image", "index"}
        assert captioned[index]["image"].dtype == torch.uint8
        assert captioned[index]["index"] == index
        assert same_pixels(captioned[index], seed, 24)
    assert captioned.picture(1).tobytes() == fit_square(noise(1), 24).tobytes()
    with pytest.raises(IndexError):
        captioned[9]


def test_some_classes_are_kept_with_their_captions_and_pictures(tmp_path):
    kept = open_captioned(class_folders(tmp_path), 24).select_classes(["n02123045", "Hot-air balloon"])
    assert kept.classes == ["hot_air_balloon", "n02123045"]
    assert kept.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert kept.captions == ["a sketch of a hot air balloon"] * 3 + ["a sketch of a tabby"] * 3
    for index, seed in enumerate([20, 21, 22, 10, 11, 12]):
        assert same_pixels(kept[index], seed, 24)
    with pytest.raises(ValueError, match="has no class 'aunt': did you mean 'ant'"):
        open_captioned(tmp_path, 24).select_classes(["aunt"])


def test_pictures_without_classes_have_none_to_keep(tmp_path):
    noise(0).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("a thing")
    with pytest.raises(ValueError, match="has no classes: leave classes out"):
        open_captioned(tmp_path, 24).select_classes(["thing"])


@pytest.mark.parametrize("count", [1, 3])
def test_one_class_will_do_and_so_will_one_picture(tmp_path, count):
    captioned = open_captioned(class_folders(tmp_path, ("cat",), count), 16)
    assert captioned.captions == ["a sketch of a cat"] * count
    assert captioned.class_prompts == ["a sketch of a cat"]
    train, held = captioned.split(0.3, seed=0)
    assert (len(train), len(held)) == ((1, 0) if count == 1 else (2, 1))


def test_a_text_beside_a_picture_in_a_class_folder_takes_the_place_of_the_class(tmp_path):
    class_folders(tmp_path, ("ant", "bee"))
    (tmp_path / "ant" / "1.txt").write_text("an ant at work")
    (tmp_path / "bee" / "2.txt").write_text("")
    captioned = open_captioned(tmp_path, 16)
    ant, bee = "a sketch of a ant", "a sketch of a bee"
    assert captioned.captions == [ant, "an ant at work", ant, bee, bee]
    assert captioned.labels.tolist() == [0, 0, 0, 1, 1]
    assert captioned.class_prompts == [ant, bee]
    assert len(captioned.unreadable) == 1
    assert "2.txt: empty; write the caption" in captioned.unreadable[0]


def test_an_empty_class_folder_is_named_or_refused(tmp_path):
    class_folders(tmp_path, ("ant", "bee"))
    (tmp_path / "moth").mkdir()
    (tmp_path / ".hidden").mkdir()
    captioned = open_captioned(tmp_path, 16)
    assert captioned.classes == ["ant", "bee"]
    assert captioned.unreadable == [
        f"{tmp_path / 'moth'}: a class folder without pictures; put some in it or remove it"
    ]
    with pytest.raises(ValueError, match=r"1 cannot be used: .*moth: a class folder without pictures"):
        open_captioned(tmp_path, 16, strict=True)


def test_doodles_with_their_kinds():
    captioned = open_captioned("doodles?tool=ink", 32, per_class=2, seed=1)
    assert captioned.classes == list(KINDS)
    assert captioned.captions[3] == f"a sketch of a {KINDS[1].replace('_', ' ')}"
    assert (
        captioned.picture(3).tobytes() == doodle(KINDS[1], 1_000_001).sketch(32, style="ink").convert("RGB").tobytes()
    )


def test_quickdraw_with_its_words(tmp_path):
    rows = [{"word": "ice cream", "drawing": [[[0, 255], [0, 255]]]}] * 3
    write_lines(tmp_path / "ice cream.ndjson", [*rows, "{}"])
    captioned = open_captioned(tmp_path, 16)
    assert captioned.captions == ["a sketch of a ice cream"] * 3
    assert "ice cream.ndjson:4: no 'word'" in captioned.unreadable[0]


def test_several_sources_are_captioned_by_their_classes_alone(tmp_path):
    one, other = class_folders(tmp_path / "one", ("ant", "hot_air-balloon")), tmp_path / "strokes"
    (one / "ant" / "1.txt").write_text("an ant at work")
    other.mkdir()
    write_lines(other / "ant.ndjson", [{"word": "Ant", "drawing": [[[0, 255], [0, 255]]]}] * 2)
    captioned = open_captioned(f"{one},{other}", 16)
    ant, balloon = "a sketch of a ant", "a sketch of a hot air balloon"
    assert captioned.captions == [ant] * 3 + [balloon] * 3 + [ant] * 2
    assert captioned.class_prompts == [ant, balloon]
    assert captioned.labels.tolist() == [0, 0, 0, 1, 1, 1, 0, 0]
    for index, seed in enumerate([0, 1, 2, 10, 11, 12]):
        assert same_pixels(captioned[index], seed, 16)
    assert len(open_captioned(f"{one},{other}", 16, limit=5)) == 5
    with pytest.raises(ValueError, match=r"captions is 'text', but .* has no columns: leave captions out"):
        open_captioned(f"{one},{other}", 16, captions="text")


def test_limit_samples_with_the_seed_and_leaves_out_classes_that_it_empties(tmp_path):
    root = class_folders(tmp_path, [f"class {number:02}" for number in range(12)], 2)
    chosen = [open_captioned(root, 16, limit=6, seed=seed) for seed in (0, 0, 1)]
    assert chosen[0].captions == chosen[1].captions != chosen[2].captions
    for captioned in chosen:
        assert len(captioned) == 6
        assert captioned.captions == [captioned.class_prompts[label] for label in captioned.labels]
        assert sorted(set(captioned.captions)) == captioned.class_prompts
    assert len(open_captioned(root, 16, limit=100)) == 24
    assert np.bincount(open_captioned(root, 16, per_class=1).labels).tolist() == [1] * 12


# ---------------------------------------------------------------------------------------------------------------------
# Columns of a data set


def test_a_column_of_captions(tmp_path):
    texts = [" a cat\non a mat ", "a dog", None, "   "]
    captioned = open_captioned(
        parquet(tmp_path / "set", {"url": ["x"] * 4, "text": texts}, {"url": STRING, "text": STRING}), 24
    )
    assert captioned.captions == ["a cat on a mat", "a dog"]
    assert (captioned.classes, captioned.labels, captioned.class_prompts) == ([], None, [])
    assert same_pixels(captioned[1], 1, 24)
    assert captioned.unreadable == [
        f"{tmp_path / 'set'} row {row}: no caption; add one or remove the row" for row in (2, 3)
    ]
    with pytest.raises(ValueError, match=r"2 cannot be used: .*row 2: no caption"):
        open_captioned(tmp_path / "set", 16, strict=True)


def test_of_a_list_of_captions_the_first(tmp_path):
    texts = [["one", "two"], [], ["three"]]
    root = parquet(tmp_path / "set", {"captions": texts}, {"captions": datasets.Sequence(STRING)})
    captioned = open_captioned(root, 16)
    assert captioned.captions == ["one", "three"]
    assert same_pixels(captioned[1], 2, 16)


def labelled_and_captioned(root):
    columns = {"label": [1, 0, 1, -1], "text": ["a cat", "an ant", "two cats", "nothing"], "size": [1, 2, 3, 4]}
    features = {"label": datasets.ClassLabel(names=["ant", "cat"]), "text": STRING, "size": datasets.Value("int64")}
    return parquet(root, columns, features)


def test_classes_go_before_captions_unless_the_column_is_named(tmp_path):
    root = labelled_and_captioned(tmp_path / "set")
    by_class = open_captioned(root, 16)
    assert by_class.captions == ["a sketch of a cat", "a sketch of a ant", "a sketch of a cat"]
    by_caption = open_captioned(root, 16, captions="text")
    assert by_caption.captions == ["a cat", "an ant", "two cats"]
    for captioned in (by_class, by_caption):
        assert captioned.classes == ["ant", "cat"]
        assert captioned.labels.tolist() == [1, 0, 1]
        assert captioned.class_prompts == ["a sketch of a ant", "a sketch of a cat"]
        assert "row 3: no class" in captioned.unreadable[0]
    assert len(open_captioned(root, 16, captions="text", per_class=1)) == 2


@pytest.mark.parametrize(
    ("captions", "reason"),
    [
        ("texts", "captions is 'texts', but .*set has the columns image, label, text, size: name one of them"),
        ("size", "captions is 'size', a column of .*set that does not hold text: choose from text"),
        ("image", "captions is 'image', .*does not hold text"),
    ],
)
def test_columns_that_will_not_do(tmp_path, captions, reason):
    with pytest.raises(ValueError, match=reason):
        open_captioned(labelled_and_captioned(tmp_path / "set"), 16, captions=captions)


def test_a_data_set_of_the_hub_with_words_for_classes_and_a_row_without_a_picture(monkeypatch):
    table = datasets.Dataset.from_dict(
        {"sketch": [noise(0), None, noise(2)], "breed": ["tabby", "tabby", "siamese"]},
        features=datasets.Features({"sketch": datasets.Image(), "breed": STRING}),
    )
    monkeypatch.setattr(datasets, "load_dataset", {"someone/cats": datasets.DatasetDict(train=table)}.__getitem__)
    captioned = open_captioned("someone/cats", 16)
    assert captioned.captions == ["a sketch of a tabby", "a sketch of a siamese"]
    assert captioned.classes == ["siamese", "tabby"]
    assert captioned.unreadable == ["someone/cats row 1: no picture; add one or remove the row"]
    assert open_captioned("someone/cats", 16, captions="breed").captions == ["tabby", "siamese"]


def test_a_data_set_without_captions_or_classes(tmp_path):
    root = parquet(tmp_path / "set", {"a": ["x"], "b": ["y"]}, {"a": STRING, "b": STRING})
    with pytest.raises(
        ValueError, match="no column is plainly the captions or the classes, among image, a, b; name one"
    ):
        open_captioned(root, 16)
    assert open_captioned(root, 16, captions="b").captions == ["y"]


# ---------------------------------------------------------------------------------------------------------------------
# Files of captions


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_metadata_captions_pictures_at_any_depth(tmp_path, kind):
    save(tmp_path / "a.png", 1)
    save(tmp_path / "deep" / "b.png", 2)
    captions = ['a "cat", asleep', "None"]
    if kind == "csv":
        (tmp_path / "metadata.csv").write_text('file_name,text\ndeep/b.png,"a ""cat"", asleep"\r\na.png,None\n')
    else:
        rows = zip(["deep/b.png", "a.png"], captions, strict=True)
        write_lines(tmp_path / "metadata.jsonl", [{"file_name": name, "text": text} for name, text in rows])
    captioned = open_captioned(tmp_path, 16, strict=True)
    assert captioned.captions == captions
    assert captioned.classes == []
    assert same_pixels(captioned[0], 2, 16)
    assert same_pixels(captioned[1], 1, 16)


def test_metadata_agrees_with_the_imagefolder_of_datasets(tmp_path):
    root = metadata_folder(tmp_path)
    ours = open_captioned(root, 16)
    theirs = datasets.load_dataset("imagefolder", data_dir=str(root), split="train")
    expected = {row["text"]: fit_square(row["image"].convert("RGB"), 16).tobytes() for row in theirs}
    assert {ours.captions[index]: ours.picture(index).tobytes() for index in range(4)} == expected


def test_metadata_with_classes(tmp_path):
    words = ["n02123045", "ant", "ant", "ant"]
    rows = [{"file_name": f"{index}.png", "label": word, "text": f"no. {index}"} for index, word in enumerate(words)]
    root = metadata_folder(tmp_path, rows)
    captioned = open_captioned(root, 16)
    assert captioned.captions == ["a sketch of a tabby"] + ["a sketch of a ant"] * 3
    assert open_captioned(root, 16, captions="text").captions == ["no. 0", "no. 1", "no. 2", "no. 3"]
    assert len(open_captioned(root, 16, per_class=2)) == 3


def test_what_is_wrong_in_metadata_is_left_out_and_named(tmp_path):
    root = flat_folder(tmp_path / "set", 5)
    save(tmp_path / "outside.png")
    save(tmp_path / "set2" / "outside.png")  # whose path begins with the folder's
    (root / "4.png").write_bytes(b"")
    good = [{"file_name": "0.png", "text": "zero"}, {"file_name": "./1.png", "text": ["one", "uno"]}]
    rows = [
        good[0], '{"file_name": "2.png"', '["2.png"]', "", {"file_name": "2.png", "text": " "},
        {"file_name": "2.png", "text": 7}, {"text": "seven"}, {"file_name": "8.png", "text": "eight"},
        {"file_name": "../outside.png", "text": "nine"}, {"file_name": str(tmp_path / "outside.png"), "text": "ten"},
        {"file_name": "../set2/outside.png", "text": "eleven"}, {"file_name": "4.png", "text": "twelve"}, good[1],
    ]  # fmt: skip
    write_lines(root / "metadata.jsonl", rows)
    captioned = open_captioned(root, 16)
    assert captioned.captions == ["zero", "one"]
    assert same_pixels(captioned[1], 1, 16)
    expected = [
        ":2: malformed JSON", ":3: not an object", "3.png: no caption; add a line to metadata.jsonl",
        ":5: no caption; write one", ":6: no caption", ":7: no file_name", ":8: .*8.png: no such file; check the path",
        r":9: '../outside\.png' lies outside .*set; copy it into the folder", ":10: .*lies outside",
        ":11: .*lies outside", r":12: .*4\.png: the file is empty",
    ]  # fmt: skip
    assert len(captioned.unreadable) == len(expected)
    for fault, reason in zip(captioned.unreadable, expected, strict=True):
        assert re.search(reason, fault)
        assert "\n" not in fault
    with pytest.raises(ValueError, match=r"11 cannot be used: .*and 6 more; fix or remove them, or leave strict off"):
        open_captioned(root, 16, strict=True)


def test_texts_beside_pictures(tmp_path):
    text_folder(tmp_path, ("a cat", "\n  two   dogs \nmore of them\n", "", "\N{BYTE ORDER MARK}ein Häuschen"))
    save(tmp_path / "deep" / "9.png", 9)
    save(tmp_path / "no text.png")
    (tmp_path / "deep" / "9.txt").write_text("deep down")
    captioned = open_captioned(tmp_path, 16)
    assert captioned.captions == ["a cat", "two dogs", "ein Häuschen", "deep down"]
    assert same_pixels(captioned[3], 9, 16)
    assert (captioned.classes, captioned.labels) == ([], None)
    empty, missing = captioned.unreadable
    assert "2.txt: empty; write the caption" in empty
    assert "no text.txt: no such file; write the caption" in missing
    (tmp_path / "0.txt").write_bytes(b"\xff\xfe\xff")
    assert "0.txt: not UTF-8 text" in open_captioned(tmp_path, 16).unreadable[0]
    with pytest.raises(ValueError, match="3 cannot be used: "):
        open_captioned(tmp_path, 16, strict=True)


def test_a_picture_damaged_after_opening_is_named_when_read(tmp_path):
    captioned = open_captioned(text_folder(tmp_path), 16)
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(UnreadablePicture, match=r"1\.png: the file is empty"):
        captioned[1]


# ---------------------------------------------------------------------------------------------------------------------
# What is refused


def metadata_below(root):
    metadata_folder(root / "train")


def both_metadata(root):
    (metadata_folder(root) / "metadata.csv").write_text("file_name,text\n0.png,a cat\n")


def csv_of(text):
    return lambda root: (flat_folder(root) / "metadata.csv").write_text(text)


def nothing_but_empty_texts(root):
    text_folder(root, ("", " "))


@pytest.mark.parametrize(
    ("make", "options", "reason"),
    [
        (
            flat_folder, {},
            r"set holds pictures without captions: put .* each class in a folder .* a \.txt .* metadata\.jsonl",
        ),
        (nothing_but_empty_texts, {}, r"no picture with a caption in it; 2 cannot be used: .*0\.txt: empty"),
        (lambda root: metadata_folder(root, ["{", "}"]), {}, r"jsonl holds no row; 2 cannot be read: .*:1: malformed"),
        (csv_of(""), {}, r"metadata\.csv holds no row; write file_name and text"),
        (csv_of("file_name;text\n0.png;a\n"), {}, "has no column file_name, among file_name;text: name the file"),
        (csv_of("file_name,note\n0.png,a\n"), {}, "no column is plainly the captions or the classes, among note; name"),
        (csv_of("file_name\n0.png\n"), {}, "no column is plainly .* among none"),
        (csv_of('file_name,text\n0.png,"a cat\n'), {}, r"metadata\.csv is not a table .*unexpected end of data"),
        (csv_of("file_name,text\n0.png,a cat, asleep\n"), {}, r"csv:2: more fields than the header; put captions that"),
        (csv_of("file_name,text\n0.png,\n"), {}, r"no picture with a caption in it; .*csv:2: no caption; write one"),
        (both_metadata, {}, r"holds both metadata\.jsonl and metadata\.csv: remove one"),
        (metadata_below, {}, r"set has its captions in .*set/train/metadata\.jsonl: give the folder .*set/train$"),
        (metadata_folder, {"captions": "caption"}, r"captions is 'caption', but .*jsonl has the columns text: "),
        (
            lambda root: metadata_folder(root, [{"file_name": "0.png", "text": "a", "size": 0}]), {"captions": "size"},
            r"captions is 'size', a column of .*metadata\.jsonl that does not hold text: choose from text",
        ),
        (text_folder, {"captions": "text"}, r"captions is 'text', but .*set has its captions in \.txt files: leave"),
        (class_folders, {"captions": "text"}, "captions is 'text', but .*set has no columns: leave captions out"),
        (lambda root: class_folders(root / "a" / "b"), {}, "two folders down; give one of the folders in it"),
        (lambda root: root.mkdir(), {}, "set holds no pictures; give 'doodles'"),
        (class_folders, {"template": "a sketch"}, r"template is 'a sketch': write one \{\}"),
        (metadata_folder, {"template": "a sketch"}, r"template is 'a sketch': write one \{\}"),
        (class_folders, {"image_size": 0}, "image_size must be 1 to 8192 pixels, got 0"),
        (class_folders, {"limit": 0}, "limit must be 1 or more, got 0"),
        (class_folders, {"per_class": 0}, "per_class must be 1 or more, got 0"),
        (class_folders, {"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)  # fmt: skip
def test_what_will_not_do_is_refused_in_one_line(tmp_path, make, options, reason):
    make(tmp_path / "set")
    with pytest.raises(ValueError, match=reason) as error:
        open_captioned(tmp_path / "set", **{"image_size": 16} | options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("source", ["", "nowhere", "~nobody-of-that-name/x", __file__])
def test_sources_that_are_not_there_are_refused_in_one_line(source):
    with pytest.raises(ValueError, match=r"no data source|does not exist|no home folder|is a file") as error:
        open_captioned(source, 16)
    assert "\n" not in str(error.value)


# ---------------------------------------------------------------------------------------------------------------------
# The set


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=8), st.integers(1, 40))
def test_a_selection_keeps_each_picture_with_its_caption(captioned_four, chosen, size):
    picked = captioned_four.select(chosen).with_size(size)
    assert picked.captions == [f"caption {index}" for index in chosen]
    assert len(picked) == len(chosen)
    assert all(same_pixels(picked[place], index, size) for place, index in enumerate(chosen))
    assert [picked[place]["index"] for place in range(len(chosen))] == list(range(len(chosen)))


@pytest.fixture(scope="module")
def captioned_four(tmp_path_factory):
    return open_captioned(metadata_folder(tmp_path_factory.mktemp("metadata")), 16)


def test_a_split_is_by_class_and_keeps_relatives_together(tmp_path):
    for name, wnid in (("cat", "n02121620"), ("dog", "n02103406")):
        for photo in range(6):
            for number in (1, 2):
                save(tmp_path / "folders" / name / f"{wnid}_{photo}-{number}.png", photo)
    train, held = open_captioned(tmp_path / "folders", 16).split(0.34, seed=0)
    assert np.bincount(held.labels).tolist() == [4, 4]
    assert not set(train.sketches.groups) & set(held.sketches.groups)
    assert held.captions == ["a sketch of a cat"] * 4 + ["a sketch of a dog"] * 4

    rows = [{"file_name": f"{i % 4}.png", "text": f"caption {i}"} for i in range(12)]  # three captions a picture
    whole = open_captioned(metadata_folder(tmp_path / "several", rows), 16)
    parts = [whole.split(0.25, seed=seed) for seed in range(8)]
    for train, held in parts:
        assert sorted(train.captions + held.captions) == sorted(whole.captions)
        assert len(held) == 3
        assert len({int(caption.split()[1]) % 4 for caption in held.captions}) == 1
    assert len({tuple(held.captions) for _, held in parts}) > 1
    assert parts[3][1].captions == whole.split(0.25, seed=3)[1].captions


def test_batches_memory_digest_and_pickle(tmp_path):
    captioned = open_captioned(text_folder(tmp_path), 24)
    again = pickle.loads(pickle.dumps(captioned))
    assert again.captions == captioned.captions
    held = hold_if_small(captioned, workers=0)
    assert type(held) is HeldPictures
    for pictures in (captioned, again, held):
        batches = list(load_batches(pictures, batch_size=3, workers=0))
        assert [batch["index"].tolist() for batch in batches] == [[0, 1, 2], [3]]
        assert all(set(batch) == {"image", "index"} for batch in batches)
        images = torch.cat([batch["image"] for batch in batches])
        assert torch.equal(images, torch.stack([captioned[index]["image"] for index in range(4)]))
    digest = pixels_digest(captioned.sketches, workers=0)
    shutil.copytree(tmp_path, tmp_path / "copy" / "of it")
    assert digest == pixels_digest(open_captioned(tmp_path / "copy" / "of it", 24).sketches, workers=0)
    noise(77).save(tmp_path / "2.png")
    assert digest != pixels_digest(captioned.sketches, workers=0)


def test_real_class_folders(data_folder):
    captioned = open_captioned(data_folder / "sketchy", 28, strict=True)
    assert (len(captioned), len(captioned.classes)) == (1000, 125)
    folders = sorted(path.name for path in (data_folder / "sketchy").iterdir() if path.is_dir())
    assert captioned.class_prompts == [f"a sketch of a {folder.replace('_', ' ')}" for folder in folders]
    assert "a sketch of a hot-air balloon" in captioned.captions
    few = open_captioned(data_folder / "sketchy", 28, per_class=2, limit=50)
    assert len(few) == 50
    assert all(few[index]["image"].min() < 200 for index in range(50))  # ink in each
