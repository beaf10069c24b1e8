"""The command `sketchloss app`: start the server, and leave nothing behind when it ends.

    sketchloss app
    sketchloss app --galleries my-drawings/ --styles runs/pencil --study demo --open
    sketchloss app --host 0.0.0.0 --auth user:password

In Python, see `sketchloss.app.page`.
"""

import os
import signal
import socket
import sys
import threading
from pathlib import Path

# note: read by Gradio when it is imported, which must be after this
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
from gradio import processing_utils
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from sketchloss.app.page import build_page, looks
from sketchloss.app.private import PrivateFolder
from sketchloss.app.services import Services, open_services
from sketchloss.app.settings import PORT, App, is_loopback
from sketchloss.app.uploads import mistake
from sketchloss.memory import share_freed_memory

DEMO = Path("demo")
#: Visits that are remembered at once; the oldest is forgotten first.
MOST_SESSIONS = 500


def app(config: App) -> None:
    """Run `sketchloss app` until it is interrupted.

    Raises:
        ValueError: as `open_services`, or for an address or port that cannot be had.
        FileNotFoundError: for a folder that does not exist.
    """
    _check_address(config)  # before the work
    share_freed_memory()
    services = open_services(
        weights=config.weights,
        galleries=config.galleries,
        styles=config.styles,
        study=config.study or (DEMO if (DEMO / "report.html").is_file() else None),
        say=lambda line: sys.stdout.write(f"{line}\n"),
    )
    stop = threading.Event()
    for name in ("SIGTERM", "SIGHUP"):  # so that what follows `finally` happens then, too; Windows has but one
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: stop.set())
    private = PrivateFolder(60 * config.keep_minutes)
    page = None
    try:
        page = serve(services, config, private)
        stop.wait()
    except KeyboardInterrupt:  # the way to stop a server
        sys.stdout.write("stopped\n")
    finally:
        if page is not None:
            page.close(verbose=False)
        private.remove()


def serve(services: Services, config: App, private: PrivateFolder) -> gr.Blocks:
    """Start the server and return at once.

    Args:
        services: as `open_services` gives it.
        config: host, port, login and limits.
        private: for what visitors give.

    Raises:
        ValueError: if the port is taken or the address is not this computer's.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(private.root)
    for name in ("NO_PROXY", "no_proxy"):  # Gradio asks its own server whether it is there
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1,localhost")))
    # Gradio fetches what a request names by its address. Nothing here is to be fetched.
    processing_utils.async_ssrf_protected_download = _refuse_address
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
            enable_monitoring=False,
            max_file_size=f"{config.upload_mb}mb",
            state_session_capacity=MOST_SESSIONS,
            app_kwargs={"middleware": [Middleware(TrustedHostMiddleware, allowed_hosts=hosts)]},
            **looks(),
        )
    except OSError as error:
        raise ValueError(_cannot_answer(config, error)) from None
    private.start()
    sys.stdout.write(f"sketchloss is at {url} (Ctrl+C stops it)\n")
    sys.stdout.flush()
    return page


async def _refuse_address(url: str, cache_dir: str) -> str:  # noqa: ARG001 (as Gradio calls it)
    raise mistake("addresses are not fetched here: upload the file")


def _check_address(config: App) -> None:
    """Refuse at once what cannot be had, where Gradio tries a hundred ports."""
    try:
        with socket.create_server((config.host, config.port or 0)):
            pass
    except OSError as error:
        raise ValueError(_cannot_answer(config, error)) from None


def _cannot_answer(config: App, error: OSError) -> str:
    mend = "choose another --port, or leave it out" if config.port else "choose a --port, or another --host"
    reason = (error.strerror or " ".join(str(error).split())).lower()
    return f"cannot answer at {config.host}:{config.port or PORT} ({reason}): {mend}"
