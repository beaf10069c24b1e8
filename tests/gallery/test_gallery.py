"""Oracles: pictures embedded one by one with the backbone and compared by brute force; an unbroken `add`."""

import os
import pickle
import shutil
import signal
import struct
import tempfile
import textwrap
import zlib
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from child_process import forked
from sketchloss import Backbone, load_backbone, save_backbone
from sketchloss.data.doodles.kinds import KINDS, doodle
from sketchloss.gallery import Gallery
from sketchloss.gallery.adding import Adding, AddReport
from sketchloss.gallery.damage import GalleryError, told
from sketchloss.gallery.settings import write_settings
from sketchloss.gallery.table import LOCK, PictureTable, Row, writing
from sketchloss.metrics.ranking import nearest
from sketchloss.system.images import UnreadablePicture, fit_square, open_picture, to_tensor

SIZE = 32


def draw(path: Path, seed: int, kind: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    doodle(kind or KINDS[seed % len(KINDS)], seed).sketch(SIZE).save(path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    save_backbone(Backbone(width=0.1), folder)
    return folder


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> Path:
    """24 drawings in three class folders, for tests that change none of them."""
    folder = tmp_path_factory.mktemp("drawings")
    for seed in range(24):
        kind = ("cat", "house", "fish")[seed % 3]
        draw(folder / kind / f"{seed}.png", seed, kind)
    return folder


@pytest.fixture
def build(weights, tmp_path):
    def built(*folders: Path, name: str = "gallery", **settings) -> Gallery:
        settings = {"weights": weights, "image_size": SIZE, **settings}
        return Gallery.build(tmp_path / name, folders, **settings)[0]

    return built


def embed_by_hand(weights, paths) -> torch.Tensor:
    backbone = load_backbone(weights)
    with torch.inference_mode():
        return torch.cat([backbone.embed(to_tensor(fit_square(open_picture(path), SIZE))[None]) for path in paths])


def contents(gallery: Gallery) -> dict[bytes, tuple[str, int, str | None]]:
    """What a gallery holds, after a check that every row is whole."""
    rows = gallery.table.rows()
    for row in rows:
        assert np.isfinite(row.embedding).all()
        assert np.linalg.norm(row.embedding) == pytest.approx(1, abs=1e-4)
        assert len(row.hash) == 64
        assert row.size > 0
        assert row.id
    assert len({row.path for row in rows}) == len(rows)
    assert len({row.id for row in rows}) == len(rows)
    return {row.path: (row.hash, row.size, row.label) for row in rows}


def counted(report: AddReport) -> dict[str, int]:
    names = ("added", "unchanged", "moved", "changed", "embedded", "relabelled", "pruned")
    found = {name: getattr(report, name) for name in names} | {
        "missing": len(report.missing),
        "unreadable": len(report.unreadable),
    }
    return {name: count for name, count in found.items() if count}


# Searching -----------------------------------------------------------------------------------------------------------


def test_a_search_finds_what_brute_force_finds(build, drawings, weights, tmp_path):
    gallery = build(drawings)
    paths = sorted(drawings.rglob("*.png"))
    queries = [draw(tmp_path / f"query{seed}.png", seed, "cat") for seed in (100, 101)]
    similarity, rows = nearest(embed_by_hand(weights, queries), embed_by_hand(weights, paths), 7)
    found = gallery.search([queries[0], open_picture(queries[1])], k=7)
    assert len(found) == 2
    for matches, values, indices in zip(found, similarity.tolist(), rows.tolist(), strict=True):
        assert [match.similarity for match in matches] == pytest.approx(values, abs=1e-5)
        assert [match.path for match in matches] == [paths[index] for index in indices]
        for match in matches:
            assert match.label == match.path.parent.name
            assert match.size == match.path.stat().st_size


def test_label_and_least_similarity_leave_out_the_others(build, drawings):
    gallery = build(drawings)
    query = drawings / "cat" / "0.png"
    (everything,) = gallery.search(query, k=100)
    assert len(everything) == 24
    assert everything[0].path == query
    assert everything[0].similarity == pytest.approx(1, abs=1e-5)
    (cats,) = gallery.search(query, k=100, label="cat")
    assert cats == [match for match in everything if match.label == "cat"]
    least = everything[9].similarity
    assert gallery.search([query], k=100, min_similarity=least) == [everything[:10]]
    assert gallery.search([query], k=3, label="fish", min_similarity=0.999999) == [[]]
    farthest = everything[-1].label  # few of the label among the nearest of all: the label must come first
    expected = [match for match in everything if match.label == farthest][:4]
    assert gallery.search([query], k=4, label=farthest) == [expected]


def test_copies_are_all_found_by_path(weights, tmp_path):
    original = draw(tmp_path / "a" / "one" / "x.png", 1)
    shutil.copy(original, draw(tmp_path / "a" / "two" / "y.png", 2))
    gallery, report = Gallery.build(tmp_path / "g", [tmp_path / "a"], weights=weights, image_size=SIZE)
    assert counted(report) == {"added": 2, "embedded": 1}
    (matches,) = gallery.search(original, copies=True)
    assert [match.path.name for match in matches] == ["x.png", "y.png"]
    assert matches[0].similarity == matches[1].similarity


def test_a_smaller_k_gives_the_beginning_of_a_greater_one(tmp_path):
    table = PictureTable.create(tmp_path, 32, exact_below=1000)
    (vector, *others) = clustered(20)
    equal = [Row(f"{i:032x}", b"/%03d" % (199 - i), "0" * 64, 1, None, vector) for i in range(200)]
    table.write([*equal, *(Row(f"x{i}", b"/x%d" % i, f"{i:064x}", 1, None, other) for i, other in enumerate(others))])
    everything = table.nearest(vector, 2**40)
    assert len(everything) == 219
    for k in (1, 3, 13, 199, 201, 219):
        assert table.nearest(vector, k) == everything[:k]
    assert [row.path for row, _ in everything[:200]] == [b"/%03d" % i for i in range(200)]


def clustered(count: int, dimension: int = 32, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(60, dimension))
    rows = centres[generator.integers(0, 60, count)] + generator.normal(size=(count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def fill(table: PictureTable, vectors: np.ndarray, start: int = 0) -> None:
    numbered = enumerate(vectors, start)
    table.write([Row(f"{i:032x}", b"/%d" % i, f"{i:064x}", 1, None, vector) for i, vector in numbered])


def recall(table: PictureTable, queries: np.ndarray, vectors: np.ndarray, **settings) -> float:
    hits = 0
    for query in queries:
        truth = np.argsort(-(vectors @ query))[:10]
        hits += len({int(row.id, 16) for row, _ in table.nearest(query, 10, **settings)} & set(truth.tolist()))
    return hits / (10 * len(queries))


def test_the_index_finds_at_least_95_of_100_nearest_neighbours(tmp_path):
    table = PictureTable.create(tmp_path, 32, exact_below=2000)
    vectors, queries = clustered(3000), clustered(50, seed=1)
    fill(table, vectors[:1999])
    assert not table.tidy()
    assert not table.uses_index()
    assert recall(table, queries, vectors[:1999]) == 1

    fill(table, vectors[1999:2500], 1999)
    assert table.tidy()
    assert table.uses_index()
    assert table.table.index_stats("embedding_idx").num_indexed_rows == 2500
    assert recall(table, queries, vectors[:2500]) >= 0.95
    assert recall(table, queries, vectors[:2500], exact=True) == 1

    # Rows that came after the index are found before and after it has them.
    fill(table, vectors[2500:2600], 2500)
    assert not table.tidy()
    assert table.table.index_stats("embedding_idx").num_unindexed_rows == 100
    assert recall(table, queries, vectors[:2600]) >= 0.95
    assert int(table.nearest(vectors[2599], 1)[0][0].id, 16) == 2599
    fill(table, vectors[2600:], 2600)
    assert table.tidy()
    assert table.table.index_stats("embedding_idx").num_indexed_rows == 3000
    assert recall(table, queries, vectors) >= 0.95

    # With few rows it is not used.
    table.delete([f"{i:032x}" for i in range(1000, 3000)])
    assert not table.uses_index()
    assert recall(table, queries, vectors[:1000]) == 1


def test_the_index_looks_into_a_part_of_the_rows(tmp_path):
    table = PictureTable.create(tmp_path, 32, exact_below=2000)
    vectors = clustered(3000)
    fill(table, vectors)
    table.tidy()
    query = table.table.search(vectors[0], vector_column_name="embedding").distance_type("cosine").limit(3000)
    probed = query.nprobes(1).select(["id"]).to_arrow().num_rows
    assert probed < 1000
    for k in (1000, 2500, 3000):  # more than that part holds
        found = [int(row.id, 16) for row, _ in table.nearest(vectors[0], k)]
        similarity = vectors.astype(np.float64) @ vectors[0]
        assert len(set(found)) == k
        # note: two may be as near as float32 can tell, and then stand in either order
        np.testing.assert_allclose(similarity[found], np.sort(similarity)[::-1][:k], atol=1e-6)


def test_building_and_adding_make_the_index(build, drawings, tmp_path):
    gallery = build(drawings, exact_below=20)
    assert not gallery.info().exact
    small = build(drawings / "cat", name="small", exact_below=20)
    assert small.info().exact
    small.add([drawings])
    assert not small.info().exact
    query = draw(tmp_path / "new" / "query.png", 7)
    small.add([query.parent])
    assert small.search(query, k=1)[0][0].path == query


def test_many_small_commits_are_merged(build, tmp_path, drawings):
    gallery = build(drawings / "cat")
    for seed in range(40):
        draw(tmp_path / "more" / f"{seed}.png", seed)
    before = contents(gallery)
    gallery.add([tmp_path / "more"], commit_rows=1)
    fragments = gallery.table.table.stats()["fragment_stats"]["num_fragments"]
    assert fragments < 5
    assert len(contents(gallery)) == len(before) + 40


# Adding --------------------------------------------------------------------------------------------------------------


def test_what_is_there_is_known_by_its_content(build, weights, tmp_path):
    folder = tmp_path / "pictures"
    for seed in range(6):
        draw(folder / "cat" / f"{seed}.png", seed)
    gallery = build(folder)
    assert counted(gallery.add([folder])) == {"unchanged": 6}
    before = contents(gallery)

    (folder / "cat" / "0.png").rename(draw(folder / "dog" / "moved.png", 99))  # over another file
    draw(folder / "cat" / "1.png", 50)
    (folder / "cat" / "2.png").unlink()
    (folder / "cat" / "3.png").rename(folder / "swap")
    (folder / "cat" / "4.png").rename(folder / "cat" / "3.png")
    (folder / "swap").rename(folder / "cat" / "4.png")
    draw(folder / "new.png", 51)
    shutil.copy(folder / "cat" / "5.png", folder / "cat" / "copy.png")
    (folder / "bad.png").write_bytes((folder / "new.png").read_bytes()[:90])
    report = gallery.add([folder])
    assert counted(report) == {
        **{"added": 2, "moved": 1, "changed": 3, "unchanged": 1},
        **{"embedded": 2, "missing": 1, "unreadable": 1},
    }
    assert report.missing == (folder / "cat" / "2.png",)
    assert report.unreadable[0].startswith(f"{folder}/bad.png: damaged or cut off")
    assert report.rows == 8

    after = contents(gallery)
    moved = after[os.fsencode(folder / "dog" / "moved.png")]
    assert moved == (*before[os.fsencode(folder / "cat" / "0.png")][:2], "dog")
    assert after[os.fsencode(folder / "new.png")][2] is None
    paths = [Path(os.fsdecode(path)) for path in after if Path(os.fsdecode(path)).exists()]
    by_hand = dict(zip(map(os.fsencode, paths), embed_by_hand(weights, paths).numpy(), strict=True))
    for row in gallery.table.rows():
        if row.path in by_hand:
            assert row.embedding == pytest.approx(by_hand[row.path], abs=1e-5)

    assert counted(gallery.add([folder / "dog"], prune=True)) == {"unchanged": 1}  # nothing is gone below that one
    report = gallery.add([folder], prune=True)
    assert counted(report) == {"unchanged": 7, "missing": 1, "pruned": 1, "unreadable": 1}
    assert os.fsencode(folder / "cat" / "2.png") not in contents(gallery)


def test_content_overwritten_between_commits_is_embedded_again(build, tmp_path):
    folder = tmp_path / "pictures"
    for seed, name in enumerate("abc"):
        draw(folder / f"{name}.png", seed)
    gallery = build(folder)
    # The only row with the content of a is overwritten, and committed, before c is to take that content over.
    (folder / "a.png").rename(folder / "swap")
    (folder / "b.png").rename(folder / "a.png")
    (folder / "c.png").rename(folder / "b.png")
    (folder / "swap").rename(folder / "c.png")
    assert counted(gallery.add([folder], commit_rows=1, workers=1))["changed"] == 3
    fresh = build(folder, name="fresh")
    assert contents(gallery) == contents(fresh)
    expected = {row.path: row.embedding for row in fresh.table.rows()}
    for row in gallery.table.rows():
        assert row.embedding == pytest.approx(expected[row.path], abs=1e-5)


def test_each_copy_elsewhere_is_looked_for_once(build, tmp_path, monkeypatch):
    original = draw(tmp_path / "old" / "0.png", 0)
    for place in ("old", "new"):
        for i in range(1, 30):
            (tmp_path / place).mkdir(exist_ok=True)
            shutil.copy(original, tmp_path / place / f"{i}.png")
    gallery = build(tmp_path / "old")
    looked, plain = [], os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: looked.append(path) or plain(path))
    report = gallery.add([tmp_path / "new"])
    assert (report.added, report.copies, report.embedded) == (29, 29, 0)
    assert len(looked) <= 2 * 30


def test_a_build_that_stores_nothing_leaves_nothing_it_made(weights, tmp_path, drawings):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").write_bytes(b"no picture")
    settings = {"weights": weights, "image_size": SIZE}
    (tmp_path / "there").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for folder in ("deep/new", "there"):
        with pytest.raises(ValueError, match="none of the 1 drawing can be read"):
            Gallery.build(tmp_path / folder, [tmp_path / "bad"], **settings)
        assert sorted(tmp_path.rglob("*")) == before
    gallery, _ = Gallery.build(tmp_path / "there", [drawings], **settings | {"image_size": 64})
    assert gallery.info().image_size == 64


def interrupt(folder: Path, pictures: Path, patch, after: int, **settings) -> None:
    """Build a gallery, and stop before it writes for the time after so many."""
    writes, plain = [], PictureTable.write

    def write(table, *rows) -> None:
        if len(writes) == after:
            raise KeyboardInterrupt
        writes.append(plain(table, *rows))

    def often(adding, *args, **settings):
        adding.commit_rows = 2
        return run(adding, *args, **settings)

    run = Adding.run
    with patch.context() as during:
        during.setattr(PictureTable, "write", write)
        during.setattr(Adding, "run", often)
        with pytest.raises(KeyboardInterrupt):
            Gallery.build(folder, [pictures], **settings)


def test_a_gallery_begun_without_rows_is_begun_anew_with_other_settings(weights, tmp_path, drawings, monkeypatch):
    folder, settings = tmp_path / "gallery", {"weights": weights, "image_size": SIZE}
    interrupt(folder, drawings, monkeypatch, 0, **settings)
    with pytest.raises(ValueError, match="is empty, building it was interrupted: run `sketchloss gallery build` again"):
        Gallery.open(folder).search(drawings / "cat" / "0.png")
    with pytest.raises(ValueError, match="image_size is 4: relu5_3 needs at least 16"):
        Gallery.build(folder, [drawings], weights=weights, image_size=4)
    gallery, report = Gallery.build(folder, [drawings], weights=weights, image_size=64)
    assert (gallery.info().image_size, gallery.info().built, report.added) == (64, True, 24)


def test_a_gallery_begun_without_rows_is_begun_anew_with_another_network(weights, tmp_path, drawings, monkeypatch):
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    ResNetModel(ResNetConfig(**sizes)).save_pretrained(tmp_path / "resnet")
    other = f"transformers:{tmp_path / 'resnet'}"
    interrupt(tmp_path / "gallery", drawings, monkeypatch, 0, weights=weights, image_size=SIZE)
    gallery, report = Gallery.build(tmp_path / "gallery", [drawings], weights=other)
    assert (gallery.settings.layer, gallery.settings.weights, report.added) == ("stage2", other, 24)
    interrupt(tmp_path / "begun", drawings, monkeypatch, 1, weights=weights, image_size=SIZE)
    with pytest.raises(ValueError, match=r"was made with the weights .* these are transformers:"):
        Gallery.build(tmp_path / "begun", [drawings], weights=other)


def test_adding_leaves_an_interrupted_gallery_to_be_built(weights, tmp_path, drawings, monkeypatch):
    folder, settings = tmp_path / "gallery", {"weights": weights, "image_size": SIZE}
    interrupt(folder, drawings, monkeypatch, 1, **settings)
    assert 0 < len(Gallery.open(folder)) < 24
    with pytest.raises(ValueError, match="image_size is 4: relu5_3 needs at least 16"):
        Gallery.build(folder, [drawings], weights=weights, image_size=4)
    Gallery.open(folder).add([drawings / "house"])
    assert not Gallery.open(folder).info().built
    gallery, report = Gallery.build(folder, [drawings], **settings)
    assert report.rows == 24
    assert gallery.info().built
    assert Gallery.create(tmp_path / "created", **settings).info().built


def test_folders_that_overlap_count_each_picture_once(build, drawings):
    gallery = build(drawings, drawings / "cat", drawings)
    assert gallery.info().labels == {"cat": 8, "fish": 8, "house": 8}


def test_what_is_still_there_is_neither_moved_nor_missing(build, drawings, tmp_path):
    gallery = build(drawings / "cat")
    shutil.copy(drawings / "cat" / "0.png", draw(tmp_path / "other" / "copy.png", 1))
    report = gallery.add([tmp_path / "other"])  # a walk that does not meet the original
    assert counted(report) == {"added": 1}
    assert gallery.holds(drawings / "cat" / "0.png")
    draw(tmp_path / "other" / ".hidden" / "x.png", 2)
    assert counted(gallery.add([tmp_path / "other" / ".hidden"])) == {"added": 1, "embedded": 1}
    assert counted(gallery.add([tmp_path / "other"], prune=True)) == {"unchanged": 1}


def test_labels_are_the_folders_below_the_given_one(build, tmp_path):
    root = tmp_path / "root"
    draw(root / "cat" / "deep" / "1.png", 1)
    draw(root / "dog" / "2.png", 2)
    draw(root / "3.png", 3)
    gallery = build(root, labels="none")
    assert gallery.info().labels == {None: 3}
    assert counted(gallery.add([root])) == {"unchanged": 3, "relabelled": 2}
    assert gallery.info().labels == {None: 1, "cat": 1, "dog": 1}
    assert counted(gallery.add([root / "dog"])) == {"unchanged": 1}  # which knows no label and takes none away
    draw(root / "dog" / "2.png", 4)
    (root / "cat" / "deep" / "1.png").rename(root / "1.png")
    assert counted(gallery.add([root / "dog"])) == {"changed": 1, "embedded": 1}
    assert counted(gallery.add([root])) == {"unchanged": 2, "moved": 1}
    assert gallery.info().labels == {None: 1, "cat": 1, "dog": 1}


NAMES = (b"with space.png", b'it\'s "quoted".png', "naïve 日本.png".encode(), b"new\nline.png", b"stray \xe9\xff.png")


def test_names_of_any_kind(build, tmp_path):
    folder = tmp_path / 'O\'Brien "x" %20#?'
    for seed, name in enumerate(NAMES):
        draw(Path(os.fsdecode(os.fsencode(folder / "it's; --") + b"/" + name)), seed)
    gallery = build(folder)
    assert {os.path.basename(path) for path in contents(gallery)} == set(NAMES)  # noqa: PTH119 (bytes)
    assert counted(gallery.add([folder])) == {"unchanged": len(NAMES)}
    for path in folder.rglob("*.png"):
        (match,) = gallery.search(path, k=1, label="it's; --")[0]
        assert match.path == path
        assert match.path.exists()
        assert gallery.holds(path)
        assert gallery.remove([path]) == [path]
        assert not gallery.holds(path)
    assert len(gallery) == 0


def test_symlink_loops_and_pipes_end(build, tmp_path):
    folder = tmp_path / "pictures"
    draw(folder / "deep" / "x.png", 1)
    (folder / "deep" / "up").symlink_to(folder)
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "broken.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "pipe.png")
    gallery = build(folder)
    assert list(contents(gallery)) == [os.fsencode(folder / "deep" / "x.png")]
    report = gallery.add([folder])
    assert len(report.unreadable) == 3
    assert any("pipe.png: no regular file" in line for line in report.unreadable)


def test_a_picture_that_claims_to_be_huge_is_refused_and_named(build, tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    draw(tmp_path / "pictures" / "good.png", 1)
    bomb = tmp_path / "pictures" / "bomb.png"
    bomb.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )
    gallery = build(tmp_path / "pictures")
    (line,) = gallery.add([tmp_path / "pictures"]).unreadable
    assert line.startswith(f"{bomb}: too large (Image size (900000000 pixels)")
    assert len(gallery) == 1


def test_a_picture_the_weights_see_nothing_in_is_named(tmp_path, drawings):
    backbone = Backbone(width=0.1)
    with torch.no_grad():
        backbone.features[28].weight.fill_(-1)  # relu5_3 is zero everywhere
        backbone.features[28].bias.fill_(-1)
    with pytest.raises(ValueError, match=r"none of the 24 drawings can be read.*the weights see nothing in it"):
        Gallery.build(tmp_path / "g", [drawings], weights=backbone, image_size=SIZE)
    with torch.no_grad():
        backbone.features[28].bias.fill_(torch.nan)
    with pytest.raises(ValueError, match="not finite: are these weights from a diverged run"):
        Gallery.build(tmp_path / "h", [drawings], weights=backbone, image_size=SIZE)


def test_a_gallery_is_used_from_another_folder(build, drawings, tmp_path, monkeypatch, weights):
    monkeypatch.chdir(drawings)
    Gallery.build("../relative-gallery", ["cat"], weights=os.path.relpath(weights), image_size=SIZE)
    monkeypatch.chdir(tmp_path)
    gallery = Gallery.open(drawings.parent / "relative-gallery")
    query = drawings / "cat" / "0.png"
    assert gallery.search(query, k=1)[0][0].path == query
    assert counted(gallery.add([drawings / "cat"])) == {"unchanged": 8}
    monkeypatch.chdir(drawings)
    assert gallery.remove(["cat/3.png"]) == [drawings / "cat" / "3.png"]


def test_paths_and_labels_are_removed(build, drawings):
    gallery = build(drawings)
    with pytest.raises(ValueError, match=r"nowhere\.png is not in the gallery"):
        gallery.remove([drawings / "cat" / "0.png", drawings / "nowhere.png"])
    with pytest.raises(ValueError, match="nothing is named"):
        gallery.remove()
    assert len(gallery) == 24
    gone = gallery.remove([drawings / "cat" / "0.png"], label="fish")
    assert sorted(gone) == sorted([drawings / "cat" / "0.png", *(drawings / "fish").iterdir()])
    assert len(gallery.remove([drawings / "cat"])) == 7
    assert gallery.info().labels == {"house": 8}
    assert counted(gallery.add([drawings]))["added"] == 16


# Weights -------------------------------------------------------------------------------------------------------------


def test_other_weights_are_refused_by_name(build, drawings, weights, tmp_path):
    build(drawings)
    query = drawings / "cat" / "0.png"  # refused also where its embedding is there
    other = Gallery.open(tmp_path / "gallery", weights="imagenet")
    for use in (lambda: other.search(query), lambda: other.add([drawings])):
        with pytest.raises(ValueError, match=rf"made with the weights {weights} .*these are imagenet .*use the former"):
            use()
    copied = tmp_path / "copied"
    shutil.copytree(weights, copied)
    assert Gallery.open(tmp_path / "gallery", weights=copied).search(query, k=1)[0][0].path == query


def test_weights_that_changed_under_their_name_are_refused(drawings, tmp_path):
    folder = tmp_path / "weights"
    torch.manual_seed(1)
    backbone = Backbone(width=0.1)
    save_backbone(backbone, folder)
    Gallery.build(tmp_path / "g", [drawings], weights=folder, image_size=SIZE)
    with torch.no_grad():
        backbone.features[0].weight[0, 0, 0, 0] += 0.01
    save_backbone(backbone, folder)
    query = draw(tmp_path / "new.png", 100)
    with pytest.raises(ValueError, match="the weights of that name have changed"):
        Gallery.open(tmp_path / "g").search(query)
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match="made with weights that are gone"):
        Gallery.open(tmp_path / "g").search(query)


def test_a_backbone_in_python_serves_too(drawings, tmp_path):
    backbone = Backbone(width=0.1)
    Gallery.build(tmp_path / "g", [drawings / "cat"], weights=backbone, image_size=SIZE)
    with pytest.raises(ValueError, match=r"made with a backbone given in Python: open it with weights="):
        Gallery.open(tmp_path / "g").search(draw(tmp_path / "new.png", 100))
    gallery = Gallery.open(tmp_path / "g", weights=backbone)
    assert gallery.search(drawings / "cat" / "0.png", k=1)[0][0].path == drawings / "cat" / "0.png"


# Mistakes and damage -------------------------------------------------------------------------------------------------


def test_mistakes_are_named(build, drawings, weights, tmp_path):
    gallery = build(drawings)
    query = drawings / "cat" / "0.png"
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("no picture")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    small = {"weights": weights, "image_size": SIZE}
    for error, said, call in (
        (ValueError, "k is 0: it must be at least 1", lambda: gallery.search(query, k=0)),
        (ValueError, r"min_similarity is 1.5: a cosine is in", lambda: gallery.search(query, min_similarity=1.5)),
        (ValueError, r"min_similarity is nan", lambda: gallery.search(query, min_similarity=float("nan"))),
        (ValueError, "the label 'Cats': did you mean 'cat'", lambda: gallery.search(query, label="Cats")),
        (ValueError, "'zebra': choose from cat, fish, house$", lambda: gallery.remove(label="zebra")),
        (UnreadablePicture, "note.txt: not a picture", lambda: gallery.search(tmp_path / "note.txt")),
        (UnreadablePicture, "nowhere.png: no such file", lambda: gallery.search("nowhere.png")),
        (ValueError, "no folder is given", lambda: gallery.add([])),
        (ValueError, "empty holds no pictures", lambda: gallery.add([tmp_path / "empty"])),
        (FileNotFoundError, "nowhere does not exist", lambda: gallery.add([tmp_path / "nowhere"])),
        (ValueError, "0.png is not a folder", lambda: gallery.add([query])),
        (ValueError, "commit_rows is 0", lambda: gallery.add([drawings], commit_rows=0)),
        (FileNotFoundError, "nowhere does not exist.*gallery build", lambda: Gallery.open(tmp_path / "nowhere")),
        (ValueError, "empty is no gallery", lambda: Gallery.open(tmp_path / "empty")),
        (ValueError, "is a gallery already", lambda: Gallery.create(gallery.folder, **small)),
        (ValueError, "full is there and is no empty folder", lambda: Gallery.create(tmp_path / "full", **small)),
        (ValueError, "24 drawings already: use `sketchloss gallery add`", lambda: build(drawings)),
        (ValueError, "image_size is 8: relu5_3 needs", lambda: build(drawings, name="x", image_size=8)),
        (ValueError, "layer 'relu9' is unknown", lambda: build(drawings, name="x", layer="relu9")),
        (ValueError, "exact_below is 0", lambda: build(drawings, name="x", exact_below=0)),
        (ValueError, "weights 'foto' are unknown", lambda: build(drawings, name="x", weights="foto")),
        (ValueError, "cannot hold a gallery", lambda: build(drawings, name="new\nline")),
        (ValueError, "cannot hold a gallery", lambda: build(drawings, name=os.fsdecode(b"stray \xe9"))),
        (ValueError, "holds no pictures", lambda: build(tmp_path / "empty", name="x")),
    ):
        with pytest.raises(error, match=said) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "x").exists()  # a mistake leaves nothing behind
    with pytest.raises(ValueError, match="is empty: add drawings first"):
        Gallery.create(tmp_path / "x", **small).search(query)


def damage_data(folder: Path) -> None:
    for file in (folder / "pictures.lance" / "data").iterdir():
        file.write_bytes(file.read_bytes()[:100])


def damage_versions(folder: Path) -> None:
    for file in (folder / "pictures.lance" / "_versions").iterdir():
        file.write_bytes(file.read_bytes()[:10])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_data, "the gallery is damaged"),
        (damage_versions, "the gallery is damaged"),
        (lambda folder: shutil.rmtree(folder / "pictures.lance"), "the gallery is damaged"),
        (lambda folder: (folder / "gallery.json").write_text("{"), "gallery.json is damaged"),
        (lambda folder: (folder / "gallery.json").write_text('{"format": 1, "version": 1}'), "another program's"),
        (
            lambda folder: (folder / "gallery.json").write_text('{"format": "sketchloss gallery", "version": 9}'),
            "version 9: update sketchloss",
        ),
    ],
)
def test_damage_is_told_in_one_line(damage, said, build, drawings):
    folder = build(drawings / "cat").folder
    damage(folder)
    with pytest.raises(ValueError, match=said) as caught:
        Gallery.open(folder).search(drawings / "cat" / "0.png")
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_gallery_whose_settings_are_gone_is_not_made_anew(build, drawings, tmp_path):
    folder = build(drawings / "cat").folder
    (folder / "gallery.json").unlink()
    with pytest.raises(ValueError, match="is no empty folder"):
        build(drawings / "cat")


@pytest.fixture
def unprivileged():
    """Run as a user whom permissions bind, since nothing is read-only for root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_gallery_is_searched_but_not_written_to(weights, drawings, request):
    # Not below tmp_path, whose parents only their owner may enter.
    place = Path(tempfile.mkdtemp(prefix="sketchloss-test-"))
    try:
        for name, source in (("drawings", drawings), ("weights", weights)):
            shutil.copytree(source, place / name)
        Gallery.build(place / "gallery", [place / "drawings" / "cat"], weights=place / "weights", image_size=SIZE)
        for path in [place, *place.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        request.getfixturevalue("unprivileged")
        gallery = Gallery.open(place / "gallery")
        assert gallery.search(place / "drawings" / "cat" / "0.png", k=1)[0][0].similarity > 0.999
        for write in (lambda: gallery.add([place / "drawings"]), lambda: gallery.remove([place / "drawings"])):
            with pytest.raises(ValueError, match="gallery: no permission for this; change the folder's permissions"):
                write()
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        for path in [place, *place.rglob("*")]:
            path.chmod(0o755)
        shutil.rmtree(place)


# Processes that die, and that meet -----------------------------------------------------------------------------------

ADD = """
import os, signal, sys, threading, time
import torch
from sketchloss.gallery import Gallery
from sketchloss.gallery.table import PictureTable

torch.set_num_threads(1)
moment, folder, weights, *pictures = sys.argv[1:]
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
writes = 0
plain_write, plain_tidy = PictureTable.write, PictureTable.tidy

def write(self, new, replaced=()):
    global writes
    writes += 1
    if moment == f"during write {writes}":
        threading.Timer(0.002, die).start()
    plain_write(self, new, replaced)
    if moment == f"during write {writes}":
        time.sleep(60)  # if it was quicker than its death
    if moment == f"after write {writes}":
        die()

def tidy(self):
    if moment == "before the index":
        die()
    if moment != "during the index":
        return plain_tidy(self)
    threading.Timer(0.02, die).start()
    plain_tidy(self)
    time.sleep(60)

PictureTable.write, PictureTable.tidy = write, tidy
settings = dict(weights=weights, image_size=32, exact_below=30)
if moment == "never":
    print("ready", flush=True)
    while not os.path.exists(f"{folder}.go"):
        time.sleep(0.001)
if os.path.exists(f"{folder}/gallery.json"):
    report = Gallery.open(folder).add(pictures, commit_rows=4)
else:
    _, report = Gallery.build(folder, pictures, **settings)
print(report.added, report.unchanged)
"""


@pytest.mark.usefixtures("cpu_with_bfloat16")
def test_a_gallery_in_bfloat16_embeds_queries_so_too_and_finds_the_same(build, drawings, weights, tmp_path):
    exact, half = build(drawings), build(drawings, name="half", precision="bf16")
    assert half.info().precision == Gallery.open(half.folder).settings.precision == "bf16"
    with torch.autocast("cpu", torch.bfloat16):
        expected = embed_by_hand(weights, sorted(drawings.rglob("*.png"))).numpy()
    rows = sorted(half.table.rows(), key=lambda row: row.path)
    near = np.stack([row.embedding for row in rows])
    assert np.abs(near - expected).max() < 0.01  # in another batch
    assert np.abs(
        near - np.stack([row.embedding for row in sorted(exact.table.rows(), key=lambda row: row.path)])
    ).any()
    path = draw(tmp_path / "query.png", 100, "cat")
    with torch.autocast("cpu", torch.bfloat16):
        query = embed_by_hand(weights, [path]).numpy()
    (found,) = half.search(path, k=1)
    assert found[0].similarity == pytest.approx(float((near @ query[0]).max()), abs=0.01)


def test_a_precision_is_kept_and_checked(build, drawings, weights):
    gallery = build(drawings, precision="bf16")
    gallery._mark(built=False)
    with pytest.raises(ValueError, match="was begun with precision bf16, not no: use that"):
        Gallery.build(gallery.folder, [drawings], weights=weights, precision="no")
    stored = (gallery.folder / "gallery.json").read_text()
    (gallery.folder / "gallery.json").write_text(stored.replace('"bf16"', '"fp8"'))
    with pytest.raises(ValueError, match=r"is damaged \(.*precision is 'fp8': it must be no or bf16"):
        Gallery.open(gallery.folder)


def kill(moment: str, gallery: Path, weights: Path, *pictures: Path) -> dict[bytes, tuple[str, int, str | None]]:
    """Run a process that dies at a moment, and return what it leaves, after a check that every row is whole."""
    with forked(ADD, moment, gallery, weights, *pictures) as child:
        assert child.exit_code() == -signal.SIGKILL, child.complaints()
    return contents(Gallery.open(gallery))


def test_what_a_killed_process_leaves_is_whole_and_another_completes_it(weights, drawings, tmp_path):
    more = tmp_path / "more"
    shutil.copytree(drawings, more)
    for seed in range(24, 40):
        draw(more / "bird" / f"{seed}.png", seed)
    settings = {"weights": weights, "image_size": SIZE, "exact_below": 30}
    whole, _ = Gallery.build(tmp_path / "whole", [drawings, more], **settings)
    expected = contents(whole)

    folder = tmp_path / "killed"
    built = kill("before the index", folder, weights, drawings)
    assert len(built) == 24
    assert not Gallery.open(folder).info().built
    with pytest.raises(ValueError, match="was begun with image_size 32, not 64"):
        Gallery.build(folder, [drawings], **settings | {"image_size": 64})
    gallery, report = Gallery.build(folder, [drawings], **settings)  # the same command goes on
    assert (report.added, report.unchanged) == (0, 24)
    assert gallery.info().built

    left = [built]
    for moment in ("during write 2", "after write 1", "during the index"):
        left.append(kill(moment, folder, weights, more))
        assert left[-2].items() < left[-1].items() <= expected.items()
    assert left[1] != expected
    assert left[3] == expected
    report = gallery.add([drawings, more])
    assert (report.added, report.unchanged) == (0, 64)
    assert contents(gallery) == expected
    assert not gallery.info().exact
    for row in gallery.table.rows():
        assert gallery.table.nearest(row.embedding, 1)[0][1] == pytest.approx(1, abs=1e-5)


def test_a_panic_of_the_database_is_one_line(tmp_path):
    class RustPanic(Exception):  # noqa: N818 (its name there)
        """As LanceDB's, of a damaged manifest."""

    with pytest.raises(GalleryError, match=r"the gallery is damaged \(rust future panicked"), told(tmp_path):
        raise RustPanic("rust future panicked: unknown error")
    with pytest.raises(KeyError), told(tmp_path):  # a mistake of ours is not hidden
        raise KeyError("x")


@pytest.mark.parametrize("write", ["build", "add", "remove"])
def test_whoever_writes_next_removes_what_a_killed_writer_had_begun(write, build, drawings, weights):
    gallery = build(drawings)
    begun = gallery.folder / ".gallery.0123456789abcdef.json"
    begun.write_text("{")
    if write == "build":  # which goes on where another was killed
        write_settings(gallery.folder, replace(gallery.settings, built=False))
        Gallery.build(gallery.folder, [drawings], weights=weights)
    elif write == "add":
        gallery.add([drawings])
    else:
        gallery.remove([next(drawings.rglob("*.png"))])
    assert not begun.exists()


def test_however_it_is_held_a_drawing_finds_itself(build, drawings):
    gallery = build(drawings)
    path = next(drawings.rglob("*.png"))
    with Image.open(path) as opened:
        held = [path, path.read_bytes(), opened, np.array(opened.convert("RGB")), to_tensor(path)]
        for matches in [gallery.search(one, 1)[0] for one in held] + gallery.search(held, 1):
            assert matches[0].similarity == pytest.approx(1, abs=1e-3)


def test_a_gallery_is_sent_to_another_process(build, drawings):
    gallery = build(drawings)
    sent = pickle.loads(pickle.dumps(gallery))
    assert len(sent) == len(gallery)
    path = next(drawings.rglob("*.png"))
    assert sent.search(path, 3)[0] == gallery.search(path, 3)[0]


def test_a_gallery_whose_settings_were_being_written_at_the_kill_is_made_anew(weights, drawings, tmp_path):
    folder = tmp_path / "gallery"
    script = """
        import os, signal, sys
        from pathlib import Path
        import sketchloss.system.files
        from sketchloss.gallery import Gallery
        replace = Path.replace
        def die(self, target):
            if Path(target).name == "gallery.json":
                os.kill(os.getpid(), signal.SIGKILL)
            return replace(self, target)
        Path.replace = die
        Gallery.build(sys.argv[1], [sys.argv[2]], weights=sys.argv[3], image_size=32)
    """
    with forked(textwrap.dedent(script), folder, drawings, weights) as child:
        assert child.exit_code() == -signal.SIGKILL, child.complaints()
    assert [path.name for path in folder.glob(".gallery.*.json")]
    _, report = Gallery.build(folder, [drawings], weights=weights, image_size=32)
    assert report.added == 24
    assert not list(folder.glob(".*.json"))


def test_a_gallery_that_was_never_finished_making_is_made_anew(build, drawings, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sketchloss.gallery.gallery.write_settings", stop)
        with pytest.raises(KeyboardInterrupt):
            build(drawings / "cat")
    assert (tmp_path / "gallery" / "pictures.lance").is_dir()
    with pytest.raises(ValueError, match="is no gallery"):
        Gallery.open(tmp_path / "gallery")
    assert len(build(drawings / "cat")) == 8


def test_every_version_that_was_ever_committed_holds_whole_rows(build, tmp_path):
    # What a process that is killed can leave behind is one of these.
    folder = tmp_path / "pictures"
    for seed in range(9):
        draw(folder / "cat" / f"{seed}.png", seed)
    gallery = build(folder)
    (folder / "cat" / "0.png").rename(folder / "cat" / "moved.png")
    for seed in (1, 2, 20, 21, 22):
        draw(folder / "cat" / f"{seed}.png", seed + 30)
    gallery.add([folder], commit_rows=2, prune=True)
    gallery.remove([folder / "cat" / "3.png"])
    last = contents(gallery)
    versions = [version["version"] for version in gallery.table.table.list_versions()]
    assert len(versions) > 6
    for version in versions:
        gallery.table.table.checkout(version)
        contents(gallery)
    assert contents(gallery) == last


def test_two_processes_that_add_at_once_lose_nothing(weights, drawings, tmp_path):
    folder = tmp_path / "gallery"
    Gallery.create(folder, weights=weights, image_size=SIZE)
    with ExitStack() as stack:
        both = [
            stack.enter_context(forked(ADD, "never", folder, weights, drawings / name, drawings / "fish"))
            for name in ("cat", "house")
        ]
        for child in both:
            child.wait_until(lambda child=child: child.said() == "ready\n")
        folder.with_suffix(".go").touch()
        for child in both:
            assert child.exit_code() == 0, child.complaints()
        results = [tuple(map(int, child.said().split()[1:])) for child in both]
    assert sum(added for added, _ in results) == 24
    assert sum(unchanged for _, unchanged in results) == 8  # fish, for whoever came second
    found = contents(Gallery.open(folder))
    assert set(found) == {os.fsencode(path) for path in drawings.rglob("*.png")}


def test_a_writer_that_does_not_wait_says_why(build, drawings):
    gallery = build(drawings / "cat")
    with writing(gallery.folder, wait=None):
        for write in (lambda: gallery.add([drawings], wait=0.01), lambda: gallery.remove([drawings], wait=0)):
            with pytest.raises(ValueError, match="another process is writing to this gallery; try again"):
                write()
        assert len(gallery.search(drawings / "cat" / "0.png")[0]) == 8  # readers do not wait
    assert (gallery.folder / LOCK).exists()
    assert gallery.add([drawings], wait=0).added == 16


def test_info_counts_what_is_there(build, tmp_path, weights):
    for seed in range(5):
        draw(tmp_path / "pictures" / ("cat" if seed < 3 else "dog") / f"{seed}.png", seed)
    gallery = build(tmp_path / "pictures")
    (tmp_path / "pictures" / "dog" / "4.png").unlink()
    info = gallery.info()
    assert (info.rows, info.labels, info.exact, info.built) == (5, {"cat": 3, "dog": 2}, True, True)
    assert (info.weights, info.image_size, info.layer, info.dimension) == (str(weights), SIZE, "relu5_3", 51)
    assert info.missing == (tmp_path / "pictures" / "dog" / "4.png",)
    files = [file for file in gallery.folder.rglob("*") if file.is_file()]
    assert info.disk_bytes == sum(file.stat().st_size for file in files)


def test_a_picture_in_memory_of_any_mode_is_a_query(build, drawings):
    gallery = build(drawings / "cat")
    picture = Image.open(drawings / "cat" / "0.png")
    for mode in ("L", "RGB", "P"):
        assert gallery.search(picture.convert(mode), k=1)[0][0].path == drawings / "cat" / "0.png"
    picture.close()
