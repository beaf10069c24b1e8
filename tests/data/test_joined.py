"""Several sources as one set. Oracles: each source opened alone, pictures fitted again by `fit_square`, and counts by
hand."""

import json
import pickle
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from sketchloss.data.doodles.kinds import KINDS
from sketchloss.data.joined import JoinedRows, plain_name
from sketchloss.data.labelled import LINE_WIDTH
from sketchloss.data.quickdraw.ndjson import read_ndjson, to_unit_square
from sketchloss.data.quickdraw.painting import draw_strokes
from sketchloss.data.sources import open_sketches, split_sources
from sketchloss.system.images import fit_square


def noise(seed, size=(20, 16)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))


def class_folders(root, names, count=3, first=0, file="{index}"):
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for index in range(count):
            noise(first + 10 * number + index).save(root / name / f"{file.format(number=number, index=index)}.png")
    return root


def sketchy(root, names, photos=6):
    """Two sketches of each photo, under Sketchy's names."""
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for index in range(2 * photos):
            file = f"n0000000{number}_{index // 2}-{index % 2 + 1}.png"
            noise(500 + 20 * number + index).save(root / name / file)
    return root


def strokes(root, words, count=8):
    root.mkdir()
    rng = np.random.default_rng(0)
    for word in words:
        rows = [{"word": word, "drawing": rng.integers(0, 256, (2, 2, 5)).tolist()} for _ in range(count)]
        (root / f"{word}.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def joined(*sources):
    return ",".join(map(str, sources))


def same_pictures(sketches, indices, other, others):
    return all(
        torch.equal(sketches[int(index)]["image"], other[int(place)]["image"])
        for index, place in zip(indices, others, strict=True)
    )


# Classes -------------------------------------------------------------------------------------------------------------


def test_classes_of_one_name_are_one(tmp_path):
    one = class_folders(tmp_path / "one", ("Hot_Air-Balloon", "ant"))
    other = class_folders(tmp_path / "other", ("bee", "hot air  balloon"), 2, first=100)
    sketches = open_sketches(joined(one, other), 24)
    assert sketches.classes == ["ant", "bee", "hot air balloon"]
    assert sketches.labels.tolist() == [2, 2, 2, 0, 0, 0, 1, 1, 2, 2]
    assert sketches.labels.dtype == np.int64
    assert sketches.name == f"{one},{other}"
    for index, seed in enumerate([0, 1, 2, 10, 11, 12, 100, 101, 110, 111]):
        expected = np.asarray(fit_square(noise(seed), 24))
        assert np.array_equal(sketches[index]["image"].permute(1, 2, 0).numpy(), expected)


def test_one_source_keeps_the_names_as_they_are(tmp_path):
    assert open_sketches(class_folders(tmp_path, ("Ant", "bee_hive")), 16).classes == ["Ant", "bee_hive"]


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        *[("Jack-o-Lantern", "jack o lantern"), ("jack_o_lantern ", "jack o lantern"), ("n02123045", "n02123045")],
        *[("ÉCLAIR", "éclair"), ("-", "-"), ("_ _", "_ _")],
    ],
)
def test_names_are_compared_without_case_hyphens_and_underscores(name, plain):
    assert plain_name(name) == plain == plain_name(plain)


def test_sources_of_one_class_each_will_do_together_but_not_if_it_is_the_same(tmp_path):
    roots = [class_folders(tmp_path / name, (name,)) for name in ("ant", "bee")]
    assert open_sketches(joined(*roots), 16).classes == ["ant", "bee"]
    third = class_folders(tmp_path / "third", ("ANT",))
    with pytest.raises(ValueError, match="only one class, 'ant'"):
        open_sketches(joined(roots[0], third), 16)
    assert len(open_sketches(joined(roots[0], third), 16, allow_one_class=True)) == 6


def test_at_most_so_many_of_a_class_from_each_source(tmp_path):
    roots = class_folders(tmp_path / "a", ("cat", "dog"), 5), strokes(tmp_path / "b", ("cat", "ant"), 5)
    sketches = open_sketches(joined(*roots), 16, per_class=2)
    assert sketches.classes == ["ant", "cat", "dog"]
    assert np.bincount(sketches.labels).tolist() == [2, 4, 2]


def test_a_data_set_of_the_hub_can_be_one_of_several(monkeypatch):
    label = datasets.ClassLabel(names=["Pear", "apple"])
    table = datasets.Dataset.from_dict(
        {"image": [noise(index) for index in range(4)], "label": [0, 1, 0, 1]},
        features=datasets.Features({"image": datasets.Image(), "label": label}),
    )
    hub = {"someone/sketches": datasets.DatasetDict(train=table), "someone/more": datasets.DatasetDict(test=table)}
    monkeypatch.setattr(datasets, "load_dataset", hub.__getitem__)
    sketches = open_sketches("someone/sketches, doodles?tool=ink,someone/more", 16, per_class=1)
    assert sketches.classes == sorted({"apple", "pear", *map(plain_name, KINDS)})
    counts = np.bincount(sketches.labels)
    assert [counts[sketches.classes.index(name)] for name in ("pear", "cat")] == [2, 1]


# Rows and pictures ---------------------------------------------------------------------------------------------------


def test_rows_are_numbered_one_table_after_another():
    tables = [["a", "b"], [], ["c"], ["d", "e"]]
    rows = JoinedRows(tuple(tables), (0, 2, 2, 3))
    assert len(rows) == 5
    expected = [{"part": part, "row": row} for part, table in enumerate(tables) for row in table]
    assert [rows[row] for row in range(5)] == expected
    assert rows.part_of(np.arange(5)).tolist() == [0, 0, 2, 3, 3]


@pytest.mark.parametrize("first", ["folder", "doodles", "strokes"])
def test_pictures_are_those_of_each_source_alone_whichever_comes_first(tmp_path, first):
    sources = {
        "folder": str(class_folders(tmp_path / "folder", ("ant", "cat"))),
        "doodles": "doodles",
        "strokes": str(strokes(tmp_path / "strokes", ("cat", "dog"))),
    }
    order = sorted(sources, key=lambda kind: kind != first)
    sketches = open_sketches(joined(*(sources[kind] for kind in order)), 48, per_class=2)
    start = 0
    for kind in order:
        alone = open_sketches(sources[kind], 48, per_class=2)
        places = range(start, start + len(alone))
        start += len(alone)
        names = [plain_name(alone.classes[label]) for label in alone.labels]
        assert [sketches.classes[sketches.labels[place]] for place in places] == names
        if kind != "strokes" or kind == first:  # another place, another random width
            assert same_pictures(sketches, places, alone, range(len(alone)))
    assert len(sketches) == start


def test_widths_of_strokes_lie_in_their_range_also_behind_another_source(tmp_path):
    folder = class_folders(tmp_path / "folder", ("ant",), 1)
    drawn = strokes(tmp_path / "strokes", ("cat",), 12)
    sketches = open_sketches(joined(folder, drawn), 128)
    again = open_sketches(joined(folder, drawn), 128)
    assert same_pictures(sketches, range(13), again, range(13))
    shares = []
    for index, (_, drawing) in enumerate(read_ndjson(drawn / "cat.ndjson"), start=1):
        ink = [
            (255 - np.asarray(picture, dtype=float)).sum()
            for picture in (
                sketches.picture(index),
                *(draw_strokes(to_unit_square(drawing), 128, line_width=width * 128) for width in LINE_WIDTH),
            )
        ]
        shares.append((ink[0] - ink[1]) / (ink[2] - ink[1]))
    assert -0.01 < min(shares) < 0.4
    assert 0.6 < max(shares) < 1.01


def test_a_line_width_that_is_given_holds_for_strokes_and_doodles(tmp_path):
    sources = str(strokes(tmp_path / "strokes", ("cat",), 2)), "doodles"
    sketches = open_sketches(joined(*sources), 64, per_class=2, line_width=(0.05, 0.05))
    start = 0
    for source in sources:
        alone = open_sketches(source, 64, per_class=2, line_width=(0.05, 0.05), allow_one_class=True)
        assert same_pictures(sketches, range(start, start + len(alone)), alone, range(len(alone)))
        start += len(alone)


def test_a_joined_set_can_be_pickled_and_read_by_a_worker(tmp_path):
    source = joined(class_folders(tmp_path / "a", ("cat", "dog")), strokes(tmp_path / "b", ("cat",)), "doodles")
    sketches = open_sketches(source, 24, per_class=2)
    again = pickle.loads(pickle.dumps(sketches))
    assert again.classes == sketches.classes
    assert same_pictures(again, range(8), sketches, range(8))
    few = sketches.select([0, 5, 7, 2])
    batches = DataLoader(few, batch_size=2, num_workers=1)
    images = torch.cat([batch["image"] for batch in batches])
    assert torch.equal(images, torch.stack([few[index]["image"] for index in range(4)]))


def test_what_is_damaged_in_any_source_is_named_and_a_source_without_a_readable_sketch_refused(tmp_path):
    one = class_folders(tmp_path / "one", ("ant", "bee"))
    other = strokes(tmp_path / "other", ("cat",))
    (one / "ant" / "0.png").write_bytes(b"")
    with (other / "cat.ndjson").open("a") as file:
        file.write("{}\n")
    sketches = open_sketches(joined(one, other), 16)
    assert len(sketches) == 5 + 8
    assert [("0.png" in line, "cat.ndjson:9" in line) for line in sketches.unreadable] == [(True, False), (False, True)]
    with pytest.raises(ValueError, match=r"2 cannot be read: .*0\.png.*cat\.ndjson:9"):
        open_sketches(joined(one, other), 16, strict=True)
    (other / "cat.ndjson").write_text("{}\n")
    with pytest.raises(ValueError, match=r"other: no readable sketch in it; 1 cannot be read: .*cat\.ndjson:1"):
        open_sketches(joined(one, other), 16)


# Splits --------------------------------------------------------------------------------------------------------------


def sides(sketches):
    """Of each row, whether it is held out."""
    train, held = sketches.split_indices(0.25, seed=3)
    return {int(sketches.order[index]): side for side, part in enumerate((train, held)) for index in part}


@pytest.mark.parametrize("with_relatives", [False, True])
def test_a_sketch_lies_on_the_same_side_alone_and_joined_and_whatever_is_left_out(tmp_path, with_relatives):
    sources = [class_folders(tmp_path / "folder", ("ant", "cat", "dog"), 9), strokes(tmp_path / "s", ("cat", "owl"))]
    if with_relatives:
        sources.append(sketchy(tmp_path / "sketchy", ("cat", "dog")))
    whole = open_sketches(joined(*sources), 16)
    together, start = sides(whole), 0
    for source in sources:
        alone = open_sketches(source, 16)
        assert sides(alone) == {row: together[start + row] for row in range(len(alone.rows))}
        start += len(alone.rows)
    fewer = whole.select_classes(["cat"], leave_out=True)
    assert sides(fewer) == {row: together[row] for row in fewer.order.tolist()}
    assert len(fewer) < len(whole)


def test_doodles_in_two_tools_lie_on_one_side():
    sketches = open_sketches("doodles?tool=ink,doodles?tool=pencil", 16, per_class=4)
    held, half = sides(sketches), len(sketches) // 2
    assert [held[row] for row in range(half)] == [held[half + row] for row in range(half)]
    assert sum(held.values()) == 2 * len(KINDS)


def test_sketches_are_related_within_their_source_only(tmp_path):
    names = ("cat", "dog")
    one, other = (class_folders(tmp_path / name, names, first=seed) for name, seed in (("one", 0), ("other", 100)))
    drawn = sketchy(tmp_path / "sketchy", names)
    for order in ((one, other, drawn), (drawn, one, other), (strokes(tmp_path / "s", names), drawn)):
        sketches = open_sketches(joined(*order), 16)
        groups = sketches.groups
        assert all(isinstance(group, str) for group in groups)
        # Files of the same name in two folders are not related; two sketches of each of 12 photos are.
        assert len(set(groups)) == len(sketches) - 12
        train, held = sketches.split(0.3, seed=0)
        assert not set(train.groups) & set(held.groups)
        assert len(held) > 6


def test_without_relatives_in_any_source_there_are_none(tmp_path):
    sketches = open_sketches(joined("doodles", strokes(tmp_path / "s", ("cat",))), 16, per_class=1)
    assert sketches.relatives is None
    assert sketches.groups == [str(row) for row in range(len(sketches))]


# Where commas are ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("doodles", ["doodles"]),
        ("quickdraw, sketchy ,doodles?tool=ink", ["quickdraw", "sketchy", "doodles?tool=ink"]),
        ("user/one,user/other", ["user/one", "user/other"]),
        (Path("quickdraw,doodles"), [Path("quickdraw,doodles")]),
        (",".join("x" * 300 + str(number) for number in range(20)), ["x" * 300 + str(number) for number in range(20)]),
    ],
)
def test_commas_part_sources(source, parts):
    assert split_sources(source) == parts


def test_a_folder_with_a_comma_in_its_name_is_one_source(tmp_path, monkeypatch):
    class_folders(tmp_path / "cats,dogs", ("ant", "bee"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for source in (tmp_path / "cats,dogs", f"{tmp_path}/cats,dogs", "~/cats,dogs"):
        assert len(open_sketches(source, 16)) == 6
    (tmp_path / "a,b.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a,b\.png is a file; give the folder"):
        open_sketches(f"{tmp_path}/a,b.png", 16)


def test_the_home_folder_is_found_in_each_source(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("ants", "bees"):
        class_folders(tmp_path / name, (name,))
    assert open_sketches("~/ants,~/bees", 16).classes == ["ants", "bees"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("doodles,", "doodles, has a comma with no source beside it"),
        (",doodles", "comma with no source beside it"),
        ("doodles,,drawings", "comma with no source beside it"),
        (",", "comma with no source beside it"),
        ("doodles,doodles", "names doodles twice: its sketches would count double"),
        ("drawings,doodles,./drawings/", r"names \./drawings/ twice"),
        ("doodles,nowhere", "nowhere does not exist; give 'doodles'"),
        ("doodles,~nobody-here/x", "that user has no home folder"),
        ("doodles?tool=ink,pencil", "pencil does not exist"),
    ],
)
def test_sources_that_cannot_be_joined_are_refused_in_one_line(source, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    class_folders(tmp_path / "drawings", ("ant", "bee"))
    with pytest.raises(ValueError, match=words) as error:
        open_sketches(source, 16)
    assert "\n" not in str(error.value)


def test_real_sources_together(data_folder):
    parts = [data_folder / name for name in ("quickdraw", "sketchy", "pacs_sketch")]
    sketches = open_sketches(joined(*parts), 28, per_class=8)
    alone = [open_sketches(part, 28, per_class=8) for part in parts]
    assert len(sketches) == sum(map(len, alone))
    assert set(sketches.classes) == {plain_name(name) for each in alone for name in each.classes}
    assert len(set(sketches.groups)) == sum(len(set(each.groups)) for each in alone)
