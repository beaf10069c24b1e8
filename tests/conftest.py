"""Every test: shapes and types in signatures are enforced, caches are temporary, and the network is out of reach."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import jaxtyping
import pytest
import torch

# Before anything imports sketchloss or a Hugging Face library: both read these once, at import.
_caches = tempfile.TemporaryDirectory(prefix="sketchloss-tests-")
os.environ |= {"HF_HOME": _caches.name, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
for _name in ("HF_DATASETS_CACHE", "HF_HUB_CACHE", "HF_TOKEN", "HUGGINGFACE_HUB_CACHE"):
    os.environ.pop(_name, None)
jaxtyping.install_import_hook("sketchloss", "beartype.beartype")
torch.set_num_threads(1)  # on tensors this small, threads only wait for one another


def pytest_unconfigure():
    _caches.cleanup()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real drawings: `quickdraw/`, `sketchy/`, `pacs_sketch/` and others, where SKETCHLOSS_DATA says."""
    place = os.environ.get("SKETCHLOSS_DATA")
    if not place:
        pytest.skip("SKETCHLOSS_DATA is not set")
    return Path(place)


@pytest.fixture
def fresh_accelerate() -> Iterator[None]:
    """For tests that train: accelerate keeps device and precision for the whole process."""
    from accelerate.state import AcceleratorState, PartialState

    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState._reset_state()


@pytest.fixture(scope="session")
def narrow(tmp_path_factory) -> str:
    """A backbone's weights folder, called `narrow`: random, an eighth as wide."""
    from sketchloss import Backbone, save_backbone

    folder = tmp_path_factory.mktemp("weights") / "narrow"
    torch.manual_seed(0)
    save_backbone(Backbone(width=0.125), folder)
    return str(folder)


@pytest.fixture(scope="session")
def untrained_base(tmp_path_factory) -> str:
    """A whole text-to-image pipeline for pictures of 16 pixels, untrained."""
    from sketchloss.diffusion.pipeline import build_tiny, save_pipeline

    folder = tmp_path_factory.mktemp("base") / "model"
    torch.manual_seed(0)
    save_pipeline(build_tiny(["a sketch of a cat", "a house", "a star"], image_size=16), folder, dtype=torch.float32)
    return str(folder)


@pytest.fixture
def small_disk() -> Callable[[int], AbstractContextManager[None]]:
    """`with small_disk(1000):` no file can grow beyond 1,000 bytes, as on a full disk."""
    resource = pytest.importorskip("resource")  # Windows has none

    @contextmanager
    def limited(limit: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited
