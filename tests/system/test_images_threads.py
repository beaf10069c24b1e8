"""Reading pictures in threads and forked processes. Oracles: threads that meet inside, a child that ends."""

import os
import sys
import textwrap
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

import sketchloss.system.images
from child_process import finished
from sketchloss.data.doodles.kinds import doodle
from sketchloss.system.images import open_picture, to_tensor


def test_threads_decode_at_once_and_warnings_come_back(tmp_path, monkeypatch):
    doodle("cat", 1).sketch(64).save(tmp_path / "cat.png")
    meeting = threading.Barrier(4)
    decode = sketchloss.system.images._decode

    def meet(file, paper):
        meeting.wait(20)  # broken unless all four are inside
        warnings.warn("of a picture", UserWarning, stacklevel=1)  # an error in these tests, unless silenced
        return decode(file, paper)

    monkeypatch.setattr(sketchloss.system.images, "_decode", meet)
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        sizes = [picture.size for picture in pool.map(open_picture, [tmp_path / "cat.png"] * 4)]
    assert sizes == [(64, 64)] * 4
    assert list(warnings.filters) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_that_was_forked_while_a_thread_was_reading_can_read(tmp_path):
    doodle("cat", 1).sketch(64).save(tmp_path / "cat.png")
    script = """
        import os, sys, threading, warnings
        import sketchloss.system.images as images
        inside, go = threading.Event(), threading.Event()
        decode = images._decode
        def wait(file, paper):
            inside.set()
            go.wait(30)
            return decode(file, paper)
        images._decode = wait
        reader = threading.Thread(target=images.open_picture, args=(sys.argv[1],))
        reader.start()
        assert inside.wait(30)
        warnings.filterwarnings("default")
        child = os.fork()
        if not child:
            images._decode = decode
            print(images.open_picture(sys.argv[1]).size, flush=True)
            os._exit(0)
        print(os.waitpid(child, 0)[1], flush=True)
        go.set()
        reader.join(30)
    """
    done = finished([sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), tmp_path / "cat.png"], seconds=60)
    assert done.stdout.split("\n")[:2] == ["(64, 64)", "0"], done.stderr


def test_however_it_is_held_a_picture_is_the_same(tmp_path):
    drawing = doodle("cat", 1).sketch(64).convert("RGB")
    drawing.save(tmp_path / "cat.png")
    array = np.array(drawing)
    held = [
        tmp_path / "cat.png", str(tmp_path / "cat.png"), (tmp_path / "cat.png").read_bytes(), drawing, array,
        array.astype(np.float32) / 255, to_tensor(drawing),
    ]  # fmt: skip
    for one in held:
        assert (np.array(open_picture(one)) == array).all()
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert np.array(open_picture(clear)).min() == 255  # transparency is paper
    turned = Image.new("L", (4, 8), 255)
    turned.getexif()[274] = 6
    turned.save(tmp_path / "turned.png", exif=turned.getexif())
    with Image.open(tmp_path / "turned.png") as opened:
        assert open_picture(opened).size == open_picture(tmp_path / "turned.png").size == (8, 4)
    with pytest.raises(ValueError, match="one of the batch"):
        open_picture(torch.rand(2, 3, 4, 4))
