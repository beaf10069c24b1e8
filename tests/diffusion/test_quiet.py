"""Oracle: what another process writes to stderr, and the two libraries' own settings."""

import sys

from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from child_process import finished
from sketchloss.diffusion.quiet import quiet

OPEN_AND_SAVE = """
import sys
from sketchloss.diffusion.pipeline import build_tiny, load_text_to_image, save_pipeline
save_pipeline(build_tiny(["a cat"], image_size=16), sys.argv[1])
load_text_to_image(sys.argv[1])
"""


def test_building_saving_and_opening_say_nothing(tmp_path):
    done = finished([sys.executable, "-c", OPEN_AND_SAVE, tmp_path / "model"], seconds=240)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_settings_come_back_also_after_an_error():
    libraries = (diffusers_logging, transformers_logging)
    before = [(library.get_verbosity(), library.is_progress_bar_enabled()) for library in libraries]
    try:
        for library in libraries:
            library.set_verbosity_info()
            library.enable_progress_bar()
        try:
            with quiet():
                assert not any(library.is_progress_bar_enabled() for library in libraries)
                assert all(library.get_verbosity() == library.ERROR for library in libraries)
                raise KeyError
        except KeyError:
            pass
        assert all(library.is_progress_bar_enabled() for library in libraries)
        assert all(library.get_verbosity() == library.INFO for library in libraries)
        diffusers_logging.disable_progress_bar()
        with quiet():
            pass
        assert not diffusers_logging.is_progress_bar_enabled()
    finally:
        for library, (verbosity, bars) in zip(libraries, before, strict=True):
            library.set_verbosity(verbosity)
            (library.enable_progress_bar if bars else library.disable_progress_bar)()
