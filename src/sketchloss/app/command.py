"""The command `sketchloss app`: start the server, and leave nothing behind when it ends.

sketchloss app
sketchloss app --galleries my-drawings/ --styles runs/pencil --study demo --open
sketchloss app --host 0.0.0.0 --auth user:password
"""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

# note: read by Gradio when it is imported, which must be after this
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr

from sketchloss.app.page import build_page, looks
from sketchloss.app.services import Services, open_services
from sketchloss.app.settings import PORT, App, is_loopback

DEMO = Path("demo")


def app(config: App) -> None:
    """Run `sketchloss app` until it is interrupted.

    Raises:
        ValueError: as `open_services`, or for a port that is taken.
        FileNotFoundError: for a folder that does not exist.
    """
    services = open_services(
        weights=config.weights,
        galleries=config.galleries,
        styles=config.styles,
        study=config.study or (DEMO if (DEMO / "report.html").is_file() else None),
        say=lambda line: sys.stdout.write(f"{line}\n"),
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that what follows `finally` happens then, too
    private = Path(tempfile.mkdtemp(prefix="sketchloss-"))  # readable by this user alone
    page = None
    try:
        page = serve(services, config, private)
        page.block_thread()
    finally:
        if page is not None:
            page.close()
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
        where = f"{config.host}:{config.port or PORT}"
        mend = "choose another --port" if config.port else "choose a --port, or another --host"
        raise ValueError(f"cannot answer at {where} ({' '.join(str(error).split())}): {mend}") from None
    sys.stdout.write(f"sketchloss is at {url} (Ctrl+C stops it)\n")
    sys.stdout.flush()
    return page
