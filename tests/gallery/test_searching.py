"""Oracles: similarities of all pairs by brute force; the search with files, which `test_gallery.py` holds to it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from sketchloss import Backbone, save_backbone
from sketchloss.data.doodles.kinds import doodle
from sketchloss.gallery import Gallery, searching
from sketchloss.gallery.table import PictureTable, Row

KINDS = ("cat", "house", "fish")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """15 drawings in 3 folders, 3 copies of one of them and 1 of another, and a gallery of all."""
    place = tmp_path_factory.mktemp("searching")
    torch.manual_seed(0)
    save_backbone(Backbone(width=0.1), place / "weights")
    for seed in range(15):
        path = place / "drawings" / KINDS[seed % 3] / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        doodle(KINDS[seed % 3], seed).sketch(32).save(path)
    drawings = place / "drawings"
    for name in ("cat/copy1.png", "cat/copy2.png", "fish/copy3.png"):
        shutil.copy(drawings / "cat" / "0.png", drawings / name)
    shutil.copy(drawings / "fish" / "2.png", drawings / "house" / "copy4.png")
    Gallery.build(place / "gallery", [drawings], weights=place / "weights", image_size=32)
    return place


@pytest.fixture
def gallery(place) -> Gallery:
    return Gallery.open(place / "gallery")


@pytest.fixture
def no_network(monkeypatch) -> None:
    def refuse(*_):
        raise AssertionError("a network was loaded")

    monkeypatch.setattr(searching, "load_matching", refuse)


def by_hand(gallery: Gallery, path: Path, k: int, *, copies: bool) -> list[tuple[Path, float, tuple[Path, ...]]]:
    """Every other row, the most similar first; those of one content put together unless `copies`."""
    rows = sorted(gallery.table.rows(), key=lambda row: row.path)
    own = next(row for row in rows if Path(row.path.decode()) == path)
    pairs = [(row, float(row.embedding @ own.embedding)) for row in rows if row.id != own.id]
    pairs.sort(key=lambda pair: -round(pair[1], 5))
    groups: dict[str, list] = {}
    for row, similarity in pairs:
        groups.setdefault(row.id if copies else row.hash, []).append((Path(row.path.decode()), similarity))
    return [(*group[0], tuple(path for path, _ in group[1:])) for group in list(groups.values())[:k]]


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("k", [1, 4, 100])
def test_a_picture_of_the_gallery_finds_the_others(gallery, place, copies, k):
    queries = [place / "drawings" / name for name in ("cat/0.png", "cat/copy2.png", "house/1.png")]
    for query, matches in zip(queries, gallery.search_like(queries, k, copies=copies), strict=True):
        expected = by_hand(gallery, query, k, copies=copies)
        assert [(match.path, match.copies) for match in matches] == [(path, others) for path, _, others in expected]
        assert [match.similarity for match in matches] == pytest.approx([value for _, value, _ in expected], abs=1e-5)
    assert gallery.search_like(queries[0], k, copies=copies) == gallery.search_like([queries[0]], k, copies=copies)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("how", [{}, {"copies": True}, {"label": "cat"}, {"min_similarity": 0.9}, {"label": "house/"}])
def test_all_find_what_each_finds_alone(gallery, how):
    for k in (1, 3, 50):
        found = gallery.search_all(k, **how)
        paths = [path for path, _ in found]
        assert paths == sorted(paths, key=str)
        assert len(paths) == len(gallery) == 19
        for (_, matches), alone in zip(found, gallery.search_like(paths, k, **how), strict=True):
            assert [match.path for match in matches] == [match.path for match in alone]
            assert [match.copies for match in matches] == [match.copies for match in alone]
            assert [match.similarity for match in matches] == pytest.approx([m.similarity for m in alone], abs=1e-5)


@pytest.mark.usefixtures("no_network")
def test_a_file_whose_content_is_there_is_not_embedded_wherever_it_lies(gallery, place, tmp_path):
    elsewhere = shutil.copy(place / "drawings" / "fish" / "5.png", tmp_path / "x.png")
    (match, *_) = gallery.search(elsewhere, 3)[0]
    assert match.path == place / "drawings" / "fish" / "5.png"
    assert match.similarity == pytest.approx(1, abs=1e-6)
    doodle("cat", 99).sketch(32).save(tmp_path / "new.png")
    assert list(gallery.stored([elsewhere, tmp_path / "new.png", tmp_path / "nowhere.png"])) == [elsewhere]
    with pytest.raises(AssertionError, match="a network was loaded"):
        gallery.search(tmp_path / "new.png")
    with pytest.raises(AssertionError, match="a network was loaded"):  # the stored one is of another picture
        gallery.search(elsewhere, invert=True)


def test_old_and_new_files_are_answered_in_their_order(gallery, place, tmp_path):
    doodle("cat", 99).sketch(32).save(tmp_path / "new.png")
    old = place / "drawings" / "house" / "4.png"
    queries = [tmp_path / "new.png", old, (tmp_path / "new.png").read_bytes(), str(old)]
    found = gallery.search(queries, 3)
    assert found[1] == found[3]
    assert found[1][0].path == old
    (alone,) = gallery.search(tmp_path / "new.png", 3)
    for matches in (found[0], found[2]):
        assert [match.path for match in matches] == [match.path for match in alone]


def test_k_matches_are_k_different_drawings(gallery, place):
    (matches,) = gallery.search(place / "drawings" / "cat" / "copy1.png", 15)
    assert len({match.hash for match in matches}) == 15
    cat = place / "drawings" / "cat"
    assert matches[0].path == cat / "0.png"
    assert matches[0].copies == (cat / "copy1.png", cat / "copy2.png", place / "drawings" / "fish" / "copy3.png")
    assert sum(1 + len(match.copies) for match in matches) == 19
    (labelled,) = gallery.search(cat / "copy1.png", 1, label="cat")
    assert labelled[0].copies == (cat / "copy1.png", cat / "copy2.png")
    (matches,) = gallery.search(cat / "copy1.png", 4, copies=True)
    assert [match.copies for match in matches] == [()] * 4
    assert [match.similarity for match in matches] == [matches[0].similarity] * 4


@pytest.mark.parametrize("exact_below", [10, 10_000])
def test_many_copies_are_one_of_k_contents(tmp_path, exact_below):
    table = PictureTable.create(tmp_path, 8, exact_below)
    vectors = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = vectors @ vectors[0]
    order = np.argsort(-similarity)
    times = {int(order[0]): 90, int(order[2]): 70}
    rows = [
        Row(f"{content}-{copy}", b"/%d/%03d" % (content, copy), f"{content:064x}", 1, None, vectors[content])
        for content in range(30)
        for copy in range(times.get(content, 1))
    ]
    table.write(rows)
    table.tidy()
    assert table.uses_index() == (exact_below == 10)
    for k in (1, 2, 3, 4):
        found = [row.hash for row, _ in table.nearest(vectors[0], k, contents=True, exact=k == 2)]
        assert list(dict.fromkeys(found)) == [f"{content:064x}" for content in order[:k]]
        assert len(found) == sum(times.get(int(content), 1) for content in order[:k])


@pytest.mark.parametrize(
    ("search", "said"),
    [
        (
            lambda gallery: gallery.search_like("nowhere/copy9.png"),
            r"copy9\.png is not in the gallery .*did you mean /.*",
        ),
        (lambda gallery: gallery.search_like("zzz"), "zzz is not in the gallery .*: `sketchloss gallery add`"),
        (lambda gallery: gallery.search_like(gallery.folder, k=0), "k is 0"),
        (lambda gallery: gallery.search_all(0), "k is 0"),
        (lambda gallery: gallery.search_all(min_similarity=-1.5), "min_similarity is -1.5"),
        (lambda gallery: gallery.search_all(label="dog"), "has the label 'dog'"),
        (lambda gallery: gallery.search_like([], label="cat/x"), "lies in 'cat/x'"),
    ],
)
def test_mistakes(gallery, search, said):
    with pytest.raises(ValueError, match=said) as caught:
        search(gallery)
    assert "\n" not in str(caught.value)


def test_a_gallery_of_one_drawing_has_no_others(tmp_path, place):
    (tmp_path / "one").mkdir()
    shutil.copy(place / "drawings" / "cat" / "0.png", tmp_path / "one" / "x.png")
    gallery, _ = Gallery.build(tmp_path / "g", [tmp_path / "one"], weights=place / "weights", image_size=32)
    assert gallery.search_like(tmp_path / "one" / "x.png") == [[]]
    assert gallery.search_all() == [(tmp_path / "one" / "x.png", [])]
