"""What every test of the room compares with: a narrow network, and two folders of small doodles."""

import pytest
import torch

from sketchloss import Backbone, SketchLoss, save_backbone
from sketchloss.data.doodles.kinds import doodle


@pytest.fixture(scope="session")
def loss() -> SketchLoss:
    torch.manual_seed(0)
    return SketchLoss(Backbone(width=1 / 16), check=False)


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> str:
    """The same loss's weights on disk, rounded as they are there."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    save_backbone(Backbone(width=1 / 16), folder, dtype=torch.float32)
    return str(folder)


@pytest.fixture
def doodles(tmp_path, monkeypatch):
    """The folder that holds `old` and `new`: `cat` is the same in both, `house` and `tree` are others."""
    monkeypatch.chdir(tmp_path)
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
        doodle("cat", 1).sketch(48).save(tmp_path / folder / "cat.png")
        for kind in ("house", "tree"):
            doodle(kind, len(folder) + len(kind) * (folder == "new")).sketch(48).save(tmp_path / folder / f"{kind}.png")
    return tmp_path
