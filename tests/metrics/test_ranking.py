"""Oracle: brute force over all pairs in float64, written with NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sketchloss.metrics import ranking
from sketchloss.metrics.ranking import nearest, top_k_accuracy


def brute_force(queries, gallery, k, exclude_self=False):
    q, g = queries.double().numpy(), gallery.double().numpy()
    q, g = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (q, g))
    similarity = q @ g.T
    if exclude_self:
        np.fill_diagonal(similarity, -np.inf)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(similarity, order, 1), order


@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("chunk", [1, 100, 2**24])
def test_nearest_agrees_with_brute_force(monkeypatch, chunk, exclude_self):
    monkeypatch.setattr(ranking, "CHUNK_ELEMENTS", chunk)
    rows = torch.randn(40, 16, generator=torch.Generator().manual_seed(0))
    similarity, indices = nearest(rows, rows, 5, exclude_self=exclude_self)
    expected_similarity, expected = brute_force(rows, rows, 5, exclude_self)
    assert (indices.numpy() == expected).all()
    np.testing.assert_allclose(similarity.numpy(), expected_similarity, atol=1e-6)


@given(copies=st.integers(2, 12), k=st.integers(1, 6), axis=st.integers(0, 7))
def test_equal_rows_come_in_their_order(copies, k, axis):
    # Every gallery row is the same, so every tie reaches across the k-th place. An axis: exact in floating point.
    row = torch.eye(8)[axis : axis + 1]
    k = min(k, copies)
    similarity, indices = nearest(row, row.repeat(copies, 1), k)
    assert indices[0].tolist() == list(range(k))
    assert similarity[0].tolist() == [1.0] * k


def test_top_k_accuracy_of_a_known_arrangement():
    gallery = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    labels = torch.tensor([0, 1, 1])
    queries = torch.tensor([[1.0, 0.01], [0.1, 1.0]])
    # First query: nearest is row 0 (class 0), second nearest row 1 (its own class 1). Second query: row 2 at once.
    accuracy = top_k_accuracy(queries, torch.tensor([1, 1]), gallery, labels, k=(1, 2))
    assert accuracy == {1: 0.5, 2: 1.0}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": 0}, "k is 0"),
        ({"k": 5}, "1 to 4"),
        ({"queries": torch.zeros(3, 2)}, "zero or not finite, first row 0"),
        ({"gallery": torch.full((4, 2), float("nan"))}, "4 rows of gallery"),
        ({"queries": torch.ones(3, 5)}, "embed alike"),
        ({"queries": torch.ones(3)}, "shape \\(3,\\)"),
        ({"queries": torch.ones(3, 2, dtype=torch.int64)}, "torch.int64"),
        ({"exclude_self": True}, "the same rows twice"),
    ],
)
def test_bad_input_is_named(change, words):
    arguments = {"queries": torch.ones(3, 2), "gallery": torch.ones(4, 2), "k": 1} | change
    with pytest.raises(ValueError, match=words):
        nearest(**arguments)


def test_labels_must_match_rows():
    with pytest.raises(ValueError, match="gallery labels"):
        top_k_accuracy(torch.ones(2, 2), torch.zeros(2), torch.ones(3, 2), torch.zeros(2), k=(1,))
    with pytest.raises(ValueError, match="k is empty"):
        top_k_accuracy(torch.ones(2, 2), torch.zeros(2), torch.ones(3, 2), torch.zeros(3), k=())


@pytest.mark.parametrize("length", [1.0, 1 + 5e-7, 1 + 1e-4, 3.0, 1e-30, 1e30])
def test_rows_of_any_length_and_with_gradients_stay_as_they_are_and_give_cosines(length):
    unit = torch.nn.functional.normalize(torch.randn(30, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    rows = (unit * length).requires_grad_()
    before = rows.detach().clone()
    similarity, indices = nearest(rows, rows, 3)
    assert torch.equal(rows.detach(), before)
    assert not similarity.requires_grad
    expected_similarity, expected = brute_force(before, before, 3)
    assert (indices.numpy() == expected).all()
    np.testing.assert_allclose(similarity.numpy(), expected_similarity, atol=2e-6)


@pytest.mark.parametrize("size", [25, 512])
@pytest.mark.parametrize("queries", [1, 2, 13, 33])
@pytest.mark.parametrize("copies", [7, 33, 1001, 4099])
def test_copies_of_one_row_tie_wherever_they_stand(copies, queries, size):
    generator = torch.Generator().manual_seed(copies)
    row = torch.nn.functional.normalize(torch.randn(1, size, generator=generator), dim=1)
    others = torch.randn(queries, size, generator=generator)
    _, indices = nearest(others, row.repeat(copies, 1), 5)
    assert (indices == torch.arange(5)).all()
    similarity, indices = nearest(row.repeat(queries, 1), row.repeat(copies, 1), 5)
    assert (indices == torch.arange(5)).all()
    assert similarity.max() <= 1


def test_copies_among_others_come_in_their_order_and_a_longer_list_begins_with_the_shorter():
    generator = torch.Generator().manual_seed(0)
    gallery = torch.randn(300, 64, generator=generator)
    copies = torch.tensor([3, 50, 51, 120, 299])
    gallery[copies] = gallery[3].clone()
    query = gallery[3:4] + 0.1 * torch.randn(1, 64, generator=generator)
    longest = nearest(query, gallery, 20)[1][0].tolist()
    assert longest[:5] == copies.tolist()
    assert all(nearest(query, gallery, k)[1][0].tolist() == longest[:k] for k in range(1, 20))
