"""The command `sketchloss app`: start the server, and leave nothing behind when it ends.

sketchloss app
sketchloss app --galleries my-drawings/ --styles runs/pencil --study demo --open
sketchloss app --host 0.0.0.0 --auth user:password
"""

import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path

# note: read by Gradio when it is imported, which must be after this
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr

from sketchloss.app.page import build_page, looks
from sketchloss.app.services import Services, open_services
from sketchloss.app.settings import PORT, App, is_loopback
from sketchloss.memory import share_freed_memory

DEMO = Path("demo")


def app(config: App) -> None:
    """Run `sketchloss app` until it is interrupted.

    Raises:
        ValueError: as `open_services`, or for a port that is taken.
        FileNotFoundError: for a folder that does not exist.
    """
    share_freed_memory()
    services = open_services(
        weights=config.weights,
        galleries=config.galleries,
        styles=config.styles,
        study=config.study or (DEMO if (DEMO / "report.html").is_file() else None),
        say=lambda line: sys.stdout.write(f"{line}\n"),
    )
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())  # so that what follows `finally` happens then, too
    private = Path(tempfile.mkdtemp(prefix="sketchloss-"))  # readable by this user alone
    page = None
    try:
        page = serve(services, config, private)
        stop.wait()
    except KeyboardInterrupt:  # the way to stop a server
        sys.stdout.write("stopped\n")
    finally:
        if page is not None:
            page.close(verbose=False)
        services.pool.shutdown(wait=False, cancel_futures=True)
        shutil.rmtree(private, ignore_errors=True)


def serve(services: Services, config: App, private: Path) -> gr.Blocks:
    """Start the server and return at once.

    Args:
        services: as `open_services` gives it.
        config: host, port, login and limits.
        private: folder for what visitors give.

    Raises:
        ValueError: if the port is taken or the address is not this computer's.
    """
    try:
        with socket.create_server(
            (config.host, config.port or 0)
        ):  # refused at once, where Gradio tries a hundred ports
            pass
    except OSError as error:
        raise ValueError(_cannot_answer(config, error)) from None
    os.environ["GRADIO_TEMP_DIR"] = str(private)
    page = build_page(services, private, keep_seconds=60 * config.keep_minutes)
    login = config.login()
    if not is_loopback(config.host):
        sys.stdout.write(
            f"{config.host}: every computer that reaches this one can open the page and, with the password, see the "
            "galleries; what is sent is not encrypted\n"
        )
    try:
        _, url, _ = page.launch(
            server_name=config.host,
            server_port=config.port,
            auth=login,
            inbrowser=config.open,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            enable_monitoring=False,
            max_file_size=f"{config.upload_mb}mb",
            **looks(),
        )
    except OSError as error:
        raise ValueError(_cannot_answer(config, error)) from None
    sys.stdout.write(f"sketchloss is at {url} (Ctrl+C stops it)\n")
    sys.stdout.flush()
    return page


def _cannot_answer(config: App, error: OSError) -> str:
    mend = "choose another --port, or leave it out" if config.port else "choose a --port, or another --host"
    reason = (error.strerror or " ".join(str(error).split())).lower()
    return f"cannot answer at {config.host}:{config.port or PORT} ({reason}): {mend}"
