"""Oracles: what was painted, Pillow's own resize and crop, a numpy generator drawn again, files counted by hand."""

import os
import pickle
import shutil

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.data.photos import open_photos, open_style
from sketchloss.system.images import UnreadablePicture, fill_square, open_picture


def noise(seed, size=(40, 30), mode="RGB"):
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], *channels), dtype=np.uint8))


def photo_folder(root, count=6):
    for index in range(count):
        place = root / ["", "deep", "deep/er"][index % 3]
        place.mkdir(parents=True, exist_ok=True)
        noise(index).save(place / f"{index}.png")
    return root


def as_array(item):
    return item["image"].permute(1, 2, 0).numpy()


# ---------------------------------------------------------------------------------------------------------------------
# fill_square


def test_what_is_too_long_is_cut_off_at_both_ends():
    bands = Image.new("RGB", (110, 30), "red")
    bands.paste("lime", (35, 0, 75, 30))  # the middle, and 5 pixels on either side that the filter may reach
    bands.paste("blue", (75, 0, 110, 30))
    for size in (7, 30, 45):
        assert fill_square(bands, size).getcolors() == [(size * size, (0, 255, 0))]
        upright = bands.transpose(Image.Transpose.ROTATE_90)
        assert fill_square(upright, size).getcolors() == [(size * size, (0, 255, 0))]


def test_it_is_the_shorter_side_resized_and_the_middle_cut_out():
    picture = noise(0, (120, 80))
    resized = picture.resize((60, 40), Image.Resampling.BILINEAR).crop((10, 0, 50, 40))
    difference = np.asarray(fill_square(picture, 40), dtype=int) - np.asarray(resized)
    assert np.abs(difference).max() <= 1
    assert fill_square(picture.crop((0, 0, 80, 80)), 80).tobytes() == picture.crop((0, 0, 80, 80)).tobytes()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.sampled_from(["L", "RGB"]))
def test_any_picture_fills_any_square_and_its_mirror_image_the_mirrored_one(width, height, size, mode):
    picture = noise(width * 71 + height, (width, height), mode)
    square = fill_square(picture, size)
    assert (square.size, square.mode) == ((size, size), mode)
    mirrored = fill_square(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), size)
    again = mirrored.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert np.abs(np.asarray(square, dtype=int) - np.asarray(again)).max() <= 1
    low, high = np.asarray(picture).min(), np.asarray(picture).max()
    assert low <= np.asarray(square).min() <= np.asarray(square).max() <= high  # nothing overshoots


def test_a_long_strip_needs_no_more_memory_than_a_square():
    strip = Image.new("L", (1_000_000, 2), 77)  # resized as a whole it would have 1.6e10 pixels
    assert fill_square(strip, 128).getcolors() == [(128 * 128, 77)]


def test_a_square_of_nothing_and_other_modes_are_refused():
    with pytest.raises(ValueError, match="size must be at least 1 pixel, got 0"):
        fill_square(noise(0), 0)
    with pytest.raises(ValueError, match="mode L or RGB, got RGBA"):
        fill_square(noise(0, mode="RGBA"), 8)


# ---------------------------------------------------------------------------------------------------------------------
# Sources


def test_a_folder_of_any_depth(tmp_path):
    photos = open_photos(photo_folder(tmp_path), 16)
    assert photos.names == ["0.png", "3.png", "deep/1.png", "deep/4.png", "deep/er/2.png", "deep/er/5.png"]
    assert photos.unreadable == []
    assert len(photos) == 6
    for index, seed in enumerate([0, 3, 1, 4, 2, 5]):
        item = photos[index]
        assert set(item) == {"image", "index"}
        assert item["image"].dtype == torch.uint8
        assert item["image"].shape == (3, 16, 16)
        assert item["index"] == index
        assert np.array_equal(as_array(item), np.asarray(fill_square(noise(seed), 16)))
    with pytest.raises(IndexError):
        photos[6]


def test_one_picture(tmp_path):
    noise(3).save(tmp_path / "one.png")
    for opener in (open_photos, open_style):
        pictures = opener(tmp_path / "one.png", 16)
        assert pictures.names == ["one.png"]
        assert pictures.picture(0).tobytes() == fill_square(noise(3), 16).tobytes()


def test_grey_alpha_16_bit_and_turned_files_are_upright_rgb_on_white(tmp_path):
    noise(0, mode="L").save(tmp_path / "a grey.png")
    Image.new("RGBA", (20, 10), (255, 0, 0, 0)).save(tmp_path / "b alpha.png")
    Image.fromarray(np.full((10, 20), 257 * 100, dtype=np.uint16)).save(tmp_path / "c 16 bit.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side: a quarter turn clockwise sets it upright
    noise(1).save(tmp_path / "d turned.png", exif=exif)
    photos = open_photos(tmp_path, 16)
    assert len(photos) == 4
    pictures = [photos.picture(index) for index in range(4)]
    assert {picture.mode for picture in pictures} == {"RGB"}
    assert pictures[0].tobytes() == fill_square(noise(0, mode="L"), 16).convert("RGB").tobytes()
    assert pictures[1].getcolors() == [(256, (255, 255, 255))]
    assert pictures[2].getcolors() == [(256, (100, 100, 100))]
    assert pictures[3].tobytes() == fill_square(noise(1).transpose(Image.Transpose.ROTATE_270), 16).tobytes()


def test_damaged_files_are_left_out_and_named_or_refused(tmp_path):
    root = photo_folder(tmp_path)
    (root / "deep" / "empty.png").write_bytes(b"")
    (root / "deep" / "text.jpg").write_text("hello")
    whole = (root / "3.png").read_bytes()
    (root / "3.png").write_bytes(whole[: len(whole) // 2])
    photos = open_photos(root, 16)
    assert photos.names == ["0.png", "deep/1.png", "deep/4.png", "deep/er/2.png", "deep/er/5.png"]
    for fault, name in zip(photos.unreadable, ["3.png", "empty.png", "text.jpg"], strict=True):
        assert f"{name}: " in fault
    with pytest.raises(ValueError, match=r"3 cannot be read: .*3\.png.*empty\.png.*text\.jpg.*leave strict off"):
        open_photos(root, 16, strict=True)


def test_a_file_damaged_after_opening_is_named_when_read(tmp_path):
    photos = open_photos(photo_folder(tmp_path), 16)
    (tmp_path / "deep" / "1.png").write_bytes(b"")
    with pytest.raises(UnreadablePicture, match=r"deep/1\.png: the file is empty"):
        photos[2]


def test_a_file_whose_name_is_not_text(tmp_path):
    root = photo_folder(tmp_path)
    try:
        shutil.copy(root / "0.png", os.fsencode(root) + b"/\xff.png")
    except OSError:
        pytest.skip("this file system takes no such name")
    photos = open_photos(root, 16)
    assert len(photos) == 7
    odd = photos.names.index(os.fsdecode(b"\xff.png"))
    assert torch.equal(photos[odd]["image"], photos[0]["image"])
    assert len(photos.digest()) == 16


def test_a_limit_draws_a_sample_with_the_seed(tmp_path):
    root = photo_folder(tmp_path, count=40)
    everything = open_photos(root, 8).names
    samples = [open_photos(root, 8, limit=12, seed=seed).names for seed in (0, 0, 1)]
    assert all(len(set(names)) == 12 and set(names) <= set(everything) for names in samples)
    assert samples[0] == samples[1] != samples[2]
    assert samples[0] == [name for name in everything if name in samples[0]]  # in their order
    assert open_photos(root, 8, limit=99).names == everything
    assert len(open_style("doodles?count=20", 8, limit=7)) == 7


def test_the_sides_of_pairs():
    photos, sketches = open_photos("doodles?count=40", 24), open_style("doodles?tool=ink&count=40", 24)
    for index, kind, seed in ((0, KINDS[0], 0), (36, KINDS[1], 1)):
        assert photos.picture(index).tobytes() == doodle(kind, seed).photo(24).tobytes()
        expected = doodle(kind, seed).sketch(24, style="ink").convert("RGB")
        assert sketches.picture(index).tobytes() == expected.tobytes()
    assert np.array_equal(as_array(sketches[36]), np.asarray(sketches.picture(36)))


def nothing_readable(root):
    photo_folder(root)
    for path in root.rglob("*.png"):
        path.write_bytes(b"")


def strokes(root):
    root.mkdir()
    (root / "cat.ndjson").write_text("{}\n")


def cufs_folder(root):
    for side in ("photos", "sketches"):
        photo_folder(root / "train" / side)


def fs2k_folder(root):
    photo_folder(root / "photo")
    photo_folder(root / "sketch")
    (root / "anno_train.json").write_text("[]")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda root: root.mkdir(), "holds no pictures; give a folder of pictures, a picture,"),
        (nothing_readable, r"no readable picture in it; 6 cannot be read: .*0\.png: the file is empty.*and 1 more"),
        (strokes, "holds QuickDraw strokes, no pictures"),
        (cufs_folder, "holds photos and sketches side by side; give cufs:/.*set$"),
        (fs2k_folder, "holds photos and sketches side by side; give fs2k:/.*set$"),
        (lambda root: root.write_text("hello"), "set: not a picture that can be read here"),
        (lambda root: root.write_bytes(b""), "set: the file is empty"),
    ],
)
def test_folders_and_files_that_will_not_do_are_refused_in_one_line(tmp_path, make, reason):
    make(tmp_path / "set")
    for opener in (open_photos, open_style):
        with pytest.raises(ValueError, match=reason) as error:
            opener(str(tmp_path / "set"), 16)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "no pictures given; give a folder"),
        ("nowhere", "nowhere does not exist; give a folder of pictures, a picture, a hub name"),
        ("fsk2:/data", "fsk2:/data does not exist; give .*fs2k:PATH"),
        ("~nobody here/photos", "that user has no home folder; write the path in full"),
        ("cufs:nowhere", "nowhere does not exist; give the folder of the set, cufs:PATH"),
        ("doodles?tool=pen", "tool is 'pen'; choose from pencil, ink, brush"),
        ("nobody/nothing", "nobody/nothing is not a folder here, and could not be opened .* HF_HOME"),
    ],
)
def test_sources_that_are_not_there_are_refused_in_one_line(source, reason):
    with pytest.raises(ValueError, match=reason) as error:
        open_photos(source, 16)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("size", "options", "reason"),
    [
        (0, {}, "image_size must be 1 to 8192 pixels, got 0"),
        (8193, {}, "image_size must be 1 to 8192 pixels, got 8193"),
        (16, {"limit": 0}, "limit must be at least 1 picture, got 0"),
        (16, {"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_bad_options_are_refused(size, options, reason):
    with pytest.raises(ValueError, match=reason):
        open_photos("doodles", size, **options)
    with pytest.raises(ValueError, match="image_size must be 1 to 8192 pixels, got 0"):
        open_photos("doodles", 8).with_size(0)


def hub_dataset(pictures):
    return datasets.Dataset.from_dict(
        {"note": ["x"] * len(pictures), "image": pictures},
        features=datasets.Features({"note": datasets.Value("string"), "image": datasets.Image()}),
    )


def test_a_dataset_of_the_hub_without_labels(monkeypatch):
    table = hub_dataset([noise(0), None, noise(2), noise(3)])
    splits = datasets.DatasetDict(validation=hub_dataset([noise(9)]), train=table)
    monkeypatch.setattr(datasets, "load_dataset", {"someone/photos": splits}.__getitem__)
    photos = open_photos("someone/photos", 16)
    assert photos.names == ["row 0", "row 2", "row 3"]
    assert photos.unreadable == ["someone/photos: 1 row without a picture"]
    assert photos.picture(1).tobytes() == fill_square(noise(2), 16).tobytes()
    cells = table.cast_column("image", datasets.Image(decode=False))
    assert photos.sizes.tolist() == [len(cells[row]["image"]["bytes"]) for row in (0, 2, 3)]
    assert len(open_photos("someone/photos", 16, limit=2)) == 2
    with pytest.raises(ValueError, match="1 cannot be read: someone/photos: 1 row without a picture"):
        open_photos("someone/photos", 16, strict=True)


def test_a_damaged_cell_of_a_dataset_is_named_when_read(monkeypatch):
    cells = [{"bytes": b"no picture", "path": None}, {"bytes": b"nor this", "path": "a.png"}]
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict(train=hub_dataset(cells)))
    photos = open_photos("someone/photos", 16)
    for index in range(2):
        with pytest.raises(UnreadablePicture, match=f"someone/photos row {index}: not a picture"):
            photos[index]


def test_a_dataset_whose_pictures_are_files(tmp_path, monkeypatch):
    root = photo_folder(tmp_path)
    cells = [{"bytes": None, "path": str(root / "3.png")}]
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict(train=hub_dataset(cells)))
    assert open_photos("someone/photos", 16).picture(0).tobytes() == fill_square(noise(3), 16).tobytes()


def test_a_folder_of_parquet_as_downloaded_from_the_hub(tmp_path):
    hub_dataset([noise(0), noise(1)]).to_parquet(tmp_path / "0000.parquet")
    photos = open_photos(tmp_path, 16)
    assert photos.picture(1).tobytes() == fill_square(noise(1), 16).tobytes()


# ---------------------------------------------------------------------------------------------------------------------
# The dataset


def test_a_selection_keeps_its_pictures_and_they_come_at_any_size(tmp_path):
    photos = open_photos(photo_folder(tmp_path), 16)
    chosen = photos.select([4, 2, 1]).select(np.array([2, 0]))
    assert chosen.names == ["3.png", "deep/er/2.png"]
    assert [torch.equal(chosen[i]["image"], photos[j]["image"]) for i, j in ((0, 1), (1, 4))] == [True, True]
    assert chosen.sizes.tolist() == [(tmp_path / name).stat().st_size for name in chosen.names]
    assert chosen[1]["index"] == 1
    larger = photos.with_size(40)
    assert larger.picture(0).tobytes() == fill_square(noise(0), 40).tobytes()


def test_pickled_and_in_two_workers_they_are_the_same(tmp_path):
    for source in (photo_folder(tmp_path), "doodles?count=6"):
        pictures = open_photos(source, 16)
        again = pickle.loads(pickle.dumps(pictures))
        assert again.names == pictures.names
        batches = list(DataLoader(again, batch_size=4, num_workers=2))
        assert torch.equal(
            torch.cat([batch["image"] for batch in batches]), torch.stack([i["image"] for i in pictures])
        )
        assert torch.cat([batch["index"] for batch in batches]).tolist() == list(range(6))


def test_a_digest_follows_names_sizes_order_and_image_size_and_nothing_else(tmp_path):
    root = photo_folder(tmp_path / "set")
    photos = open_photos(root, 16)
    shutil.copytree(root, tmp_path / "copy")
    shutil.copytree(root, tmp_path / "renamed")
    shutil.copytree(root, tmp_path / "changed")
    (tmp_path / "renamed" / "0.png").rename(tmp_path / "renamed" / "1.png")
    noise(0, (40, 31)).save(tmp_path / "changed" / "0.png")
    others = [
        open_photos(tmp_path / "renamed", 16),
        open_photos(tmp_path / "changed", 16),
        photos.select(range(5)),
        photos.select(range(6)[::-1]),
        photos.with_size(17),
        open_photos("doodles", 16),
        open_style("doodles", 16),
        open_style("doodles?tool=ink", 16),
    ]
    shutil.rmtree(root)  # so that nothing can be read for it
    digests = {photos.digest(), *(other.digest() for other in others)}
    assert len(digests) == 1 + len(others)
    assert open_photos(tmp_path / "copy", 16).digest() == photos.digest()
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in digests)


def test_real_photos(data_folder):
    photos = open_photos(data_folder / "photos", 32)
    assert (len(photos), photos.unreadable) == (1835, [])
    path = data_folder / "photos" / photos.names[17]
    assert photos.picture(17).tobytes() == fill_square(open_picture(path), 32).tobytes()
