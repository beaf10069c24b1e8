"""The process beside this one. Oracle: what is read alone; what crashes resvg; the system's list of processes."""

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from random import Random

import numpy as np
import pytest
from damage import damaged
from PIL import Image

from child_process import finished, started
from foreign_files import heic, pdf, svg
from sketchloss.data.doodles.kinds import doodle
from sketchloss.system import reading_process as module
from sketchloss.system.drawn_page import CannotRead
from sketchloss.system.images import UnreadablePicture, open_picture
from sketchloss.system.reading_process import ReadingProcess, reading_process

# What resvg 0.48 dies of: memory for a pattern of a million pixels each way, and groups nested too deep for its stack.
PATTERN = (
    '<pattern id="p" width="1e6" height="1e6" patternUnits="userSpaceOnUse"><rect width="1e6" height="1e6"/></pattern>'
    '<rect width="20" height="10" fill="url(#p)"/>'
)
DEEP = '<g opacity="0.5">' * 900 + '<rect width="9" height="9"/>' + "</g>" * 900
SLOW = (
    '<filter id="f"><feTurbulence baseFrequency="0.5" numOctaves="{}"/></filter>'
    '<rect width="20" height="10" filter="url(#f)"/>'
)


def drawing_of(kind: str) -> bytes:
    picture = doodle("cat", 1).sketch(96).convert("RGB")
    match kind:
        case "svg":
            circles = "".join(f'<circle cx="{x}" cy="5" r="2" fill="none" stroke="black"/>' for x in range(1, 20))
            return svg(f'<g id="a" opacity="0.9">{circles}</g><use href="#a"/><text y="9">cat</text>')
        case "pdf":
            return pdf([(300, 600, "0 0 150 600 re f 10 10 m 100 200 l S")])
        case "scan":
            file = BytesIO()
            picture.save(file, "PDF")
            return file.getvalue()
        case _:
            return heic(picture)


@pytest.mark.parametrize("bomb", [PATTERN, DEEP], ids=["memory", "stack"])
def test_a_crash_is_one_line_and_the_next_file_is_read(bomb):
    said = "drawing: its reader crashes on it, or runs out of memory; fetch it again, or save it as PNG"
    for _ in range(2):
        with pytest.raises(UnreadablePicture) as refused:
            open_picture(svg(bomb), name="drawing")
        assert str(refused.value) == said
        assert open_picture(svg()).size == (512, 256)


def test_what_takes_too_long_is_one_line_and_the_next_file_is_read(monkeypatch):
    monkeypatch.setattr(module, "MOST_SECONDS", 2)
    with pytest.raises(UnreadablePicture, match=r"^drawing: to read it takes longer than 2 seconds; save it as PNG$"):
        open_picture(svg(SLOW.format(1_000_000)), name="drawing")
    assert open_picture(svg()).size == (512, 256)


def test_too_many_bytes_and_pixels_are_refused(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    with pytest.raises(UnreadablePicture, match="it has 0 MB, more than 0; make it smaller"):
        open_picture(svg())
    monkeypatch.undo()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for data in (svg(), drawing_of("pdf"), drawing_of("heic")):
        with pytest.raises(UnreadablePicture, match=r"too large \(\d+ by \d+ pixels, more than 1000 in all\)"):
            open_picture(data)


@pytest.mark.parametrize("kind", ["svg", "pdf", "scan", "heic"])
def test_damaged_files_are_pictures_or_one_line(kind):
    data, random = drawing_of(kind), Random(kind)
    others = [drawing_of(other) for other in ("svg", "pdf", "heic")]
    cut = [data[: len(data) * tenth // 10] for tenth in range(1, 10)]
    refused = []
    for some in [*cut, *(damaged(data, random, others) for _ in range(60))]:
        try:
            assert open_picture(some).mode == "RGB"
        except UnreadablePicture as error:
            refused.append(str(error))
    assert len(refused) > 5
    assert all("\n" not in line and len(line) < 500 for line in refused)
    assert open_picture(data).mode == "RGB"


def test_threads_ask_in_turn_and_each_gets_its_own_picture():
    files = [pdf([(300, 300, f"0 0 {width} 300 re f")]) for width in range(0, 300, 60)]
    files += [svg(f'<rect width="{width}" height="10"/>') for width in range(0, 20, 4)]
    alone = [np.asarray(open_picture(data)).mean() for data in files]
    assert len(set(alone)) >= 9
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda data: np.asarray(open_picture(data)).mean(), 4 * files))
    assert together == 4 * alone


def test_a_fork_asks_a_process_of_its_own():
    if not hasattr(os, "fork"):
        pytest.skip("no forks here")
    code = f"""
import os, sys, threading
from sketchloss.system.images import open_picture
from sketchloss.system.drawn_page import CannotRead
from sketchloss.system.reading_process import reading_process
data = {drawing_of("pdf")!r}
sizes = [open_picture(data).size]
mine = reading_process._process.pid
stop = threading.Event()
def read():
    while not stop.is_set():
        open_picture(data)
threads = [threading.Thread(target=read) for _ in range(2)]
for thread in threads:
    thread.start()
forks = []
for _ in range(5):
    fork = os.fork()
    if not fork:
        assert open_picture(data).size == sizes[0] and reading_process._process.pid != mine
        reading_process.end()
        os._exit(0)
    forks.append(fork)
assert [os.waitpid(fork, 0)[1] for fork in forks] == 5 * [0]
stop.set()
for thread in threads:
    thread.join(60)
    assert not thread.is_alive()
assert open_picture(data).size == sizes[0] and reading_process._process.pid == mine
"""
    done = finished([sys.executable, "-W", "ignore", "-W", "error::ResourceWarning", "-c", code], check=True)
    assert done.stderr == "", "a fork leaves nothing open"


def test_it_ends_with_the_process_that_asks():
    code = """
import sys
from sketchloss.system.drawn_page import CannotRead
from sketchloss.system.reading_process import reading_process
reading_process.read("SVG", sys.argv[1].encode())
print(reading_process._process.pid, flush=True)
if len(sys.argv) > 2:
    import time
    time.sleep(100)
"""
    ended = finished([sys.executable, "-W", "error", "-c", code, svg().decode()], check=True)
    assert ended.stderr == ""
    assert_gone(int(ended.stdout))
    with started([sys.executable, "-c", code, svg().decode(), "stay"]) as child:
        child.wait_until(lambda: child.said().endswith("\n"))
        there = int(child.said())
        os.kill(there, 0)
        child.process.kill()
        child.process.wait(60)
        assert_gone(there)


def test_no_program_of_the_current_folder_runs(tmp_path):
    # Where `python -m` would find it before the standard library's, as a folder that somebody sent may hold it.
    (tmp_path / "json.py").write_text("open('ran', 'w')")
    (tmp_path / "drawing.svg").write_bytes(svg())
    code = "import sys; from sketchloss.system.images import open_picture; print(open_picture(sys.argv[1]).size)"
    script = tmp_path / "elsewhere" / "script.py"  # its folder, not the current one, is the first on the path
    script.parent.mkdir()
    script.write_text(code)
    done = finished([sys.executable, script, "drawing.svg"], cwd=tmp_path, check=True)
    assert done.stdout == "(512, 256)\n"
    assert not (tmp_path / "ran").exists()


def assert_gone(number: int) -> None:
    late = time.monotonic() + 60
    while time.monotonic() < late:
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError(f"process {number} is still there")


def test_a_process_that_answers_nothing_is_not_waited_for(monkeypatch):
    if not hasattr(signal, "SIGSTOP"):
        pytest.skip("no such signals here")
    one = ReadingProcess()
    one.read("SVG", svg())
    monkeypatch.setattr(module, "MOST_SECONDS", 0.5)
    monkeypatch.setattr(module, "GRACE", 0.5)
    assert one._process is not None
    one._process.send_signal(signal.SIGSTOP)  # nor does it end itself when its time is up
    with pytest.raises(CannotRead, match="to read it takes longer than"):
        one.read("SVG", svg())
    monkeypatch.undo()
    assert one.read("SVG", svg(attributes='width="700" height="600"')).size == (700, 600)
    one.end()


def test_ctrl_c_leaves_no_answer_to_another_question():
    # The signal comes while the other process draws; the next picture must be the one that is asked for.
    if not hasattr(signal, "pthread_kill"):
        pytest.skip("no such signals here")
    one = ReadingProcess()
    one.read("SVG", svg())
    main_thread = threading.get_ident()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a script runs in the background
    try:
        threading.Timer(0.5, lambda: signal.pthread_kill(main_thread, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            one.read("SVG", svg(SLOW.format(9000)))
    finally:
        signal.signal(signal.SIGINT, before)
    assert one.read("SVG", svg(attributes='width="700" height="600"')).size == (700, 600)
    one.end()
    assert reading_process is not one
