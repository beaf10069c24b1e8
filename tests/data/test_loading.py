"""Oracles: the items themselves, one by one; a seed drawn again."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from sketchloss.data import loading
from sketchloss.data.loading import HeldPictures, HeldSketches, hold_if_small, load_batches, remember_pictures
from sketchloss.data.photos import open_photos
from sketchloss.data.sources import open_sketches


@pytest.fixture
def pictures(tmp_path):
    for index in range(7):
        pixels = np.random.default_rng(index).integers(0, 256, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    return open_photos(tmp_path, 8)


@pytest.fixture
def sketches():
    return open_sketches("doodles", 16, per_class=2).select([5, 3, 40, 8])


@pytest.mark.parametrize("kind", ["pictures", "sketches"])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_hold_the_items_in_order(kind, workers, request):
    stored = request.getfixturevalue(kind)
    keys = {"image", "index"} | ({"label"} if kind == "sketches" else set())
    batches = list(load_batches(stored, batch_size=3, workers=workers))
    assert [len(batch["image"]) for batch in batches] == ([3, 3, 1] if kind == "pictures" else [3, 1])
    assert all(set(batch) == keys for batch in batches)
    items = [stored[index] for index in range(len(stored))]
    assert torch.equal(torch.cat([batch["image"] for batch in batches]), torch.stack([item["image"] for item in items]))
    for key in keys - {"image"}:
        assert torch.cat([batch[key] for batch in batches]).tolist() == [item[key] for item in items]


@pytest.mark.parametrize(("kind", "held_as"), [("pictures", HeldPictures), ("sketches", HeldSketches)])
def test_what_is_held_in_memory_has_the_same_items_and_needs_no_workers(kind, held_as, request):
    stored = request.getfixturevalue(kind)
    held = hold_if_small(stored, workers=0)
    assert type(held) is held_as
    assert len(held) == len(stored)
    for index in range(len(stored)):
        expected, found = stored[index], held[index]
        assert torch.equal(found.pop("image"), expected.pop("image"))
        assert found == expected
    loader = load_batches(held, batch_size=2, workers=5)
    assert isinstance(loader, DataLoader)
    assert loader.num_workers == 0


def test_what_is_too_large_is_not_held(pictures, monkeypatch):
    monkeypatch.setattr(loading, "MEMORY_LIMIT", 7 * 3 * 8 * 8)
    assert isinstance(hold_if_small(pictures, workers=0), HeldPictures)
    monkeypatch.setattr(loading, "MEMORY_LIMIT", 7 * 3 * 8 * 8 - 1)
    assert hold_if_small(pictures, workers=0) is pictures


def test_the_seed_gives_the_order(pictures):
    def order(stored, seed):
        batches = load_batches(stored, batch_size=3, shuffle=True, workers=0, seed=seed)
        return [torch.cat([batch["index"] for batch in batches]).tolist() for _ in range(2)]

    first, second = order(pictures, 0)
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second  # each epoch another
    assert order(hold_if_small(pictures, workers=0), 0) == [first, second] != order(pictures, 1)


def test_the_same_pictures_are_decoded_once_where_that_is_asked_for():
    def opened(source: str = "doodles", seed: int = 0):
        return open_sketches(source, 16, per_class=2, seed=seed)

    outside = hold_if_small(opened(), workers=0)
    with remember_pictures():
        first = hold_if_small(opened(), workers=0)
        assert hold_if_small(opened(), workers=0) is first
        assert torch.equal(first.images, outside.images)
        others = [
            opened(seed=1),
            opened("doodles?tool=ink"),
            opened().with_size(17),
            opened().select([0, 1]),
            opened().select([1, 0]),
        ]
        for other in others:
            held = hold_if_small(other, workers=0)
            assert held is not first
            assert torch.equal(held.images[0], other[0]["image"])
        with remember_pictures():
            assert hold_if_small(opened(), workers=0) is first
    assert hold_if_small(opened(), workers=0) is not first


def test_what_is_remembered_stays_within_the_limit(monkeypatch):
    pictures = open_sketches("doodles", 16, per_class=1)
    size = len(pictures) * 3 * 16**2
    monkeypatch.setattr(loading, "MEMORY_LIMIT", 2 * size)
    sets = [open_sketches("doodles", 16, per_class=1, seed=seed) for seed in range(3)]
    with remember_pictures():
        held = [hold_if_small(one, workers=0) for one in sets[:2]]
        assert hold_if_small(sets[0], workers=0) is held[0]  # and so the second is the longest unused
        third = hold_if_small(sets[2], workers=0)
        assert hold_if_small(sets[0], workers=0) is held[0]
        assert hold_if_small(sets[2], workers=0) is third
        assert hold_if_small(sets[1], workers=0) is not held[1]
