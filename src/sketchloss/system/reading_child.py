"""The process that reads SVG, PDF and HEIF for another one: `python -m sketchloss.system.reading_child`.

It answers one request after another, until nobody can ask any more. A request is a line of JSON (`kind`, `page`,
`count_only`, `most_pixels`, `most_seconds`, `bytes`) and the bytes of a file. An answer is the length of its JSON (8
bytes, big-endian), the JSON, and the pixels of a picture. `reading_process.py` asks. A file that takes too long, or too
much memory, ends this process and no other.
"""

import faulthandler
import json
import os
import signal
import sys
from typing import Any

from PIL import Image

from sketchloss.system.drawn_page import CannotRead

#: Bytes of memory that this process may reserve, where the system can hold it to that.
MOST_MEMORY = 4 * 2**30


def answer(request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Answer one request: a picture, or only how many the file holds."""
    match request["kind"]:
        case "SVG":
            from sketchloss.system.svg_pictures import draw_svg

            if request["count_only"]:
                return {"pages": 1}, b""
            picture = draw_svg(data)
        case "PDF":
            from sketchloss.system.pdf_pages import count_pages, draw_page

            if request["count_only"]:
                return {"pages": count_pages(data)}, b""
            picture = draw_page(data, request["page"])
        case kind:
            assert kind == "HEIF", kind
            from sketchloss.system.heif_pictures import count_pictures, read_heif

            if request["count_only"]:
                return {"pages": count_pictures(data)}, b""
            picture = read_heif(data, request["page"])
    width, height = picture.size
    limit = request["most_pixels"]
    if limit is not None and width * height > limit:
        raise Image.DecompressionBombError(f"{width} by {height} pixels, more than {limit} in all")
    pixels = picture.tobytes()
    return {"mode": picture.mode, "size": picture.size, "bytes": len(pixels)}, pixels


def main() -> None:
    """Answer requests from stdin on stdout; libraries that print there print nowhere."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the process that asks, which ends this one
    Image.MAX_IMAGE_PIXELS = None  # the request says how many
    nowhere = os.open(os.devnull, os.O_WRONLY)
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    _set_limits()
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["bytes"])
        # note: its own thread waits without Python's lock, which a library holds while it draws
        faulthandler.dump_traceback_later(request["most_seconds"], exit=True)
        try:
            found, pixels = answer(request, data)
        except BaseException as error:  # noqa: BLE001 (a panic of Rust is no Exception)
            kind = next((kind for kind in (CannotRead, Image.DecompressionBombError) if isinstance(error, kind)), None)
            text = " ".join(str(error).split())[:300] or type(error).__name__
            found, pixels = {"error": text, "raised": kind.__name__ if kind else ""}, b""
        faulthandler.cancel_dump_traceback_later()
        text = json.dumps(found).encode()
        answers.write(len(text).to_bytes(8) + text + pixels)
        answers.flush()


def _set_limits() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no file behind
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    except (ImportError, ValueError, OSError):  # Windows, or a system that has a lower limit
        pass


if __name__ == "__main__":
    main()
