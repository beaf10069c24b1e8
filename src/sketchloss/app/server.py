"""The page's server: Gradio's, with what the page does not use taken away.

Gradio reads the environment when it is imported: `sketchloss.app.command.set_up_gradio` must come before this module.
"""

import os
import sys
from io import BytesIO
from pathlib import Path
from typing import NoReturn

import gradio as gr
from gradio import processing_utils
from PIL import Image
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from sketchloss.app.guard import Guard
from sketchloss.app.page import build_page, looks
from sketchloss.app.private import PrivateFolder
from sketchloss.app.services import Services
from sketchloss.app.settings import App, is_loopback
from sketchloss.app.uploads import mistake
from sketchloss.system.files import write_atomic

#: Visits that are remembered at once; the oldest is forgotten first.
MOST_SESSIONS = 500


def serve(services: Services, config: App, private: PrivateFolder) -> gr.Blocks:
    """Start the server and return at once.

    Args:
        services: as `open_services` gives it.
        config: host, port, login and limits.
        private: for what visitors give.

    Raises:
        ValueError: if the port is taken or the address is not this computer's.
    """
    for name in ("NO_PROXY", "no_proxy"):  # Gradio asks its own server whether it is there
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1,localhost")))
    # Gradio fetches what a request names by its address. Nothing here is to be fetched.
    processing_utils.async_ssrf_protected_download = _refuse_address
    processing_utils.async_ssrf_protected_get = _refuse_address
    processing_utils.save_pil_to_cache = save_picture_whole
    page = build_page(services, private)
    hosts = ["*"]
    if is_loopback(config.host):
        hosts = ["127.0.0.1", "localhost", config.host]  # a page of another name that leads here is somebody else's
    else:
        sys.stdout.write(
            f"{config.host}: every computer that reaches this one can open the page and, with the password, see the "
            "galleries; what is sent is not encrypted\n"
        )
    try:
        _, url, _ = page.launch(
            server_name=config.host,
            server_port=config.port,
            auth=config.login(),
            inbrowser=config.open,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            mcp_server=False,
            run_history=False,
            enable_monitoring=False,
            num_workers=0,
            max_file_size=f"{config.upload_mb}mb",
            state_session_capacity=MOST_SESSIONS,
            app_kwargs={
                "middleware": [
                    Middleware(TrustedHostMiddleware, allowed_hosts=hosts),
                    Middleware(Guard, private=private, upload_mb=config.upload_mb),
                ]
            },
            **looks(),
        )
    except OSError as error:
        raise config.cannot_answer(error) from None
    private.start()
    sys.stdout.write(f"sketchloss is at {url} (Ctrl+C stops it)\n")
    sys.stdout.flush()
    return page


def save_picture_whole(img: Image.Image, cache_dir: str, name: str = "image", format: str = "webp") -> str:
    """Keep a picture for whoever asked, in Gradio's place, and return its path.

    Gradio's own function empties the file of an equal picture before it writes: another visitor, to whom that picture
    was just being sent, got nothing. Arguments and result are its own. A PNG is packed fast rather than small: at
    zlib's usual level, packing was a fifteenth of the work of an answer.
    """
    if format.lower() == "png":
        packed = BytesIO()
        img.save(packed, format, compress_level=1)
        encoded = packed.getvalue()
    else:
        encoded = processing_utils.encode_pil_to_bytes(img, format)
    folder = Path(cache_dir).resolve() / processing_utils.hash_bytes(encoded)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.{format}"
    with write_atomic(path, durable=False) as written:
        written.write_bytes(encoded)
    return str(path)


async def _refuse_address(url: str, cache_dir: str = "") -> NoReturn:  # noqa: ARG001 (as Gradio calls it)
    raise mistake("addresses are not fetched here: upload the file")
