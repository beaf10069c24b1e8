"""Cores of the page's computations."""

import threading

import pytest
import torch

from sketchloss.app import cores
from sketchloss.app.cores import share_cores


@pytest.fixture(autouse=True)
def four(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(cores, "ALL", 4)
    monkeypatch.setattr(cores, "_counted", -cores.REMEMBERED)
    yield
    torch.set_num_threads(before)


def test_one_computation_has_all_cores_and_two_share_them(monkeypatch):
    found, inside, go_on = {}, threading.Event(), threading.Event()

    @share_cores()
    def first():
        found["alone"] = torch.get_num_threads()
        inside.set()
        go_on.wait(60)

    @share_cores()
    def second(when):
        found[when] = torch.get_num_threads()

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(60)
    second("beside")
    go_on.set()
    thread.join(60)
    second("soon after")
    monkeypatch.setattr(cores, "REMEMBERED", 0)
    second("later")
    assert found == {"alone": 4, "beside": 2, "soon after": 2, "later": 4}


def test_more_computations_than_cores_have_one_each_and_an_error_ends_its_share(monkeypatch):
    monkeypatch.setattr(cores, "REMEMBERED", 0)
    with share_cores(), share_cores(), share_cores(), share_cores(), share_cores():
        assert torch.get_num_threads() == 1
        with pytest.raises(ValueError, match="no drawing"), share_cores():
            raise ValueError("no drawing")
    with share_cores():
        assert torch.get_num_threads() == 4
