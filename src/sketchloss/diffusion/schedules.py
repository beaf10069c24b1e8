"""The noise that a text-to-image model is trained with."""

from collections.abc import Mapping
from typing import Any

from diffusers import schedulers
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from sketchloss.diffusion.arithmetic import check_prediction
from sketchloss.diffusion.quiet import quiet


def noise_schedule(config: Mapping[str, Any]) -> DDPMScheduler:
    """Return the noise that a model is trained with, from the configuration of any scheduler that samples from it.

    A schedule rescaled to zero terminal SNR (Lin et al. 2024) stays so: its last ᾱ is 0.

    Raises:
        ValueError: for schedulers without the ᾱ of Ho et al. 2020 (flow matching), and as `check_prediction`.
    """
    kind = config.get("_class_name")
    with quiet():  # of settings that only the other scheduler has
        scheduler = getattr(schedulers, str(kind), None)
        if scheduler is None or not hasattr(scheduler.from_config(dict(config)), "alphas_cumprod"):
            raise ValueError(f"its scheduler is a {kind}: one of noise or velocity is needed, such as DDIMScheduler")
        schedule: Any = DDPMScheduler.from_config(dict(config))
    check_prediction(schedule)
    return schedule
