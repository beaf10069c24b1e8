"""Every test: shapes and types in signatures are enforced, caches are temporary, and the network is out of reach."""

import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path

import jaxtyping
import pytest
import torch
from PIL import Image

from child_process import started

# Before anything imports sketchloss or a Hugging Face library: both read these once, at import.
_caches = tempfile.TemporaryDirectory(prefix="sketchloss-tests-")
os.environ |= {"HF_HOME": _caches.name, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
for _name in ("HF_DATASETS_CACHE", "HF_HUB_CACHE", "HF_TOKEN", "HUGGINGFACE_HUB_CACHE"):
    os.environ.pop(_name, None)
jaxtyping.install_import_hook("sketchloss", "beartype.beartype")
torch.set_num_threads(1)  # on tensors this small, threads only wait for one another
os.environ.setdefault("OMP_NUM_THREADS", "1")  # likewise in the processes that tests start
# What is compiled is kept, whatever the environment says: the hook compiles anew what our modules import, for seconds.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_unconfigure():
    _caches.cleanup()


def pytest_sessionstart():
    """SIGTERM ends the tests as Ctrl+C does: what they have started, in sessions of its own, is ended too."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


#: Tests that take a minute or so, and files whose tests share what does. They come first, so that no process is left
#: with one when the others are done. So does one that asks the page's server, whose other tests are early as well: the
#: same process has started it.
LONGEST = (
    "test_a_study_makes_every_table_and_figure_once_and_a_change_redoes_what_depends_on_it",
    "test_several_processes_share_the_cells",
    "test_processes_end_with_the_one_that_was_killed",
    "test_without_a_torchvision_nothing_asks_for_one",
    "test_python_runs[docs/guide/page.md]",
    "test_wheel.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first; the others stay in their order."""
    items.sort(key=lambda item: item.name not in LONGEST and item.path.name not in LONGEST)


@pytest.fixture
def without_type_checks(monkeypatch):
    """The tests check types and shapes in signatures; users do not, so our own checks must do."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


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
    from accelerate.state import AcceleratorState, GradientState, PartialState

    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    PartialState._reset_state()


class PaintedOnce:
    """A doodle that keeps the pictures it has painted."""

    def __init__(self, doodle) -> None:
        self._doodle, self._pictures = doodle, {}

    def sketch(self, size: int, **pen) -> Image.Image:
        return self._kept("sketch", size, **pen)

    def photo(self, size: int) -> Image.Image:
        return self._kept("photo", size)

    def _kept(self, what: str, size: int, **pen) -> Image.Image:
        key = (what, size, *pen.items())
        if key not in self._pictures:
            self._pictures[key] = getattr(self._doodle, what)(size, **pen)
        return self._pictures[key].copy()


@pytest.fixture(scope="session", autouse=True)
def doodles_painted_once() -> Iterator[None]:
    """Sets of doodles paint each once in a process: with types checked, painting is a third of a short training."""
    from sketchloss.data import labelled, pairs
    from sketchloss.data.doodles.kinds import doodle

    kept = cache(lambda kind, seed: PaintedOnce(doodle(kind, seed)))
    with pytest.MonkeyPatch.context() as patch:
        for module in (labelled, pairs):
            patch.setattr(module, "doodle", kept)
        yield


@pytest.fixture(scope="session")
def few_classes(tmp_path_factory) -> str:
    """A folder with six drawings of each of four classes, in which nobody changes anything."""
    from sketchloss.data.doodles.kinds import doodle

    folder = tmp_path_factory.mktemp("few")
    for kind in ("cat", "house", "star", "sun"):
        (folder / kind).mkdir()
        for seed in range(6):
            doodle(kind, seed).sketch(32).save(folder / kind / f"{seed}.png")
    return str(folder)


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
def cpu_with_bfloat16(monkeypatch) -> None:
    """As on a processor with instructions for bfloat16; here they may be emulated."""
    import torch

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})


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


#: Lines of a traceback in which the page's middleware hands a request on.
PASSED_ON = re.compile(r'File "[^"]*/sketchloss/app/guard\.py", line \d+, in \w+\n +await self\.(?:app|_answer)\(')


@pytest.fixture(scope="session")
def app_cache(tmp_path_factory) -> Path:
    """The cache folder of the page's servers, of all test processes: the gallery of doodles is made once."""
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "app-cache"
    place.mkdir(exist_ok=True)
    return place


@pytest.fixture(scope="session")
def start_app(app_cache) -> Callable[..., AbstractContextManager[str]]:
    """`with start_app("--upload-mb", "5") as url:` the page, served by a process of its own; ended by SIGTERM."""

    @contextmanager
    def serving(*arguments: str, **environment: str) -> Iterator[str]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [Path(sys.executable).with_name("sketchloss"), "app", "--port", str(port), *arguments]
        settings = {**os.environ, "XDG_CACHE_HOME": str(app_cache), "OMP_NUM_THREADS": "1", **environment}
        with started(command, seconds=7200, env=settings, cwd=app_cache) as child:

            def said() -> str:
                return child.said() + child.complaints()

            child.wait_until(lambda: "is at http" in said(), seconds=180)
            try:
                yield f"http://127.0.0.1:{port}/"
                # No traceback through our code. Gradio tells its own, which pass through our middleware.
                assert "/sketchloss/app/" not in PASSED_ON.sub("", said()), said()
            finally:
                child.process.terminate()
                child.process.wait(120)

    return serving


@pytest.fixture(scope="session")
def app_url(start_app, tmp_path_factory) -> Iterator[str]:
    """Where the page is, as `sketchloss app` serves it beside a study, whose report has a script."""
    study = tmp_path_factory.mktemp("study")
    report = "<h1>The report's title</h1><script>parent.document.title = 'taken'</script>"
    (study / "report.html").write_text(report)
    with start_app("--study", str(study)) as url:
        yield url


@pytest.fixture(scope="session")
def small_server(start_app, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """The server of `small_app`."""
    place = tmp_path_factory.mktemp("temporary")
    with start_app("--upload-mb", "2", "--keep-mb", "4", TMPDIR=str(place)) as url:
        yield url, place


@pytest.fixture
def small_app(small_server) -> tuple[str, Path]:
    """Where a page is that takes uploads of 2 MB and keeps 4, and its temporary folder, emptied."""
    url, place = small_server
    for path in filter(Path.is_file, place.rglob("*")):
        path.unlink()
    return url, place


@pytest.fixture(scope="session")
def browser():
    """Chromium, driven by Playwright; the tests are skipped where there is none."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if found is None:
        assert not os.environ.get("SKETCHLOSS_NEEDS_BROWSER"), "SKETCHLOSS_NEEDS_BROWSER is set, but no chromium"
        pytest.skip("no Chromium is installed (Debian's package: chromium)")
    quiet = ("background-networking", "component-update", "sync", "gpu", "quic", "extensions")
    camera = ("use-fake-ui-for-media-stream", "use-fake-device-for-media-stream")  # a moving test picture
    arguments = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in quiet)]
    arguments += [f"--{name}" for name in camera]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()
