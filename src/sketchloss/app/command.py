"""The command `sketchloss app`: start the server, and leave nothing behind when it ends.

    sketchloss app
    sketchloss app --galleries my-drawings/ --styles runs/pencil --study demo --open
    sketchloss app --host 0.0.0.0 --auth user:password

In Python, see `sketchloss.app.page`.
"""

import os
import socket
import sys
import tempfile
from pathlib import Path

from sketchloss.app.originals import forget_pictures
from sketchloss.app.private import PrivateFolder
from sketchloss.app.services import open_services
from sketchloss.app.settings import App
from sketchloss.system.interrupts import EndOfService
from sketchloss.system.memory import share_freed_memory

#: Folders of `make study` and `make demo`, whose report is shown if none is named.
MADE = (Path("study"), Path("demo"))


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
        study=config.study or next((folder for folder in MADE if (folder / "report.html").is_file()), None),
        say=lambda line: sys.stdout.write(f"{line}\n"),
    )
    services.full_paths = config.only_here()
    end = EndOfService()  # so that what follows `finally` happens then, too
    private = PrivateFolder(60 * config.keep_minutes, config.keep_mb, forget=forget_pictures)
    page = None
    try:
        set_up_gradio(private.root)
        from sketchloss.app.server import serve

        page = serve(services, config, private)
        end.wait()
    except KeyboardInterrupt:  # the way to stop a server
        sys.stdout.write("stopped\n")
    finally:
        if page is not None:
            page.close(verbose=False)
        private.remove()
    # note: not by returning. A server that an interruption has kept from being handed over would hold the process, and
    # a thread that computes in torch while the interpreter ends would abort it.
    sys.stdout.flush()
    os._exit(0)


def set_up_gradio(folder: Path) -> None:
    """Set what Gradio reads when it is imported: where files go, and nothing that the environment says of another page.

    Args:
        folder: for all files, of Python's `tempfile` too.
    """
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(folder)}
    tempfile.tempdir = str(folder)


def _check_address(config: App) -> None:
    """Refuse an address that cannot be used at once; Gradio would try a hundred ports."""
    try:
        with socket.create_server((config.host, config.port or 0)):
            pass
    except OSError as error:
        raise config.cannot_answer(error) from None
