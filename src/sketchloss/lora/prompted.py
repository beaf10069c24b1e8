"""The drawings with prompts that LoRAs are trained on, as their settings want them."""

from collections.abc import Callable

from sketchloss.data.captions.captioned import Captioned, open_captioned
from sketchloss.data.left_out import say_left_out
from sketchloss.lora.settings import LoraSettings


def open_prompted(settings: LoraSettings, data: str, say: Callable[[str], None]) -> Captioned:
    """Open drawings with prompts as the settings want them; name what is left out.

    Raises:
        ValueError: as `open_captioned` and `Captioned.select_classes`.
    """
    opened = open_captioned(
        data,
        settings.image_size,
        template=settings.template,
        captions=settings.captions,
        per_class=settings.per_class,
        strict=settings.strict,
        seed=settings.split_seed,
    )
    say_left_out(data, opened.unreadable, opened.passed_over, say=say)
    return opened.select_classes(settings.classes) if settings.classes else opened
