"""Low-rank adapters for Stable Diffusion: add one to a UNet, keep it in diffusers' file, draw with it, merge it.

    from sketchloss.lora import draw, load_lora
    from sketchloss.diffusion.pipeline import load_text_to_image

    pipeline = load_text_to_image("stable-diffusion-v1-5/stable-diffusion-v1-5")
    load_lora(pipeline, "my-run")
    for drawing in draw(pipeline, ["a sketch of a cat"], seeds=[0, 1]):
        drawing.picture.save(f"cat_{drawing.seed}.png")

Needs the extra `diffusion`.
"""

from typing import TYPE_CHECKING

from sketchloss.system.lazy_names import lazy_names

if TYPE_CHECKING:
    from sketchloss.lora.adapters import LoraTargets, add_lora, find_lora, load_lora, merge_lora, read_about, save_lora
    from sketchloss.lora.sampling import Drawing, draw, find_cut

__all__ = [
    "Drawing",
    "LoraTargets",
    "add_lora",
    "draw",
    "find_cut",
    "find_lora",
    "load_lora",
    "merge_lora",
    "read_about",
    "save_lora",
]

_SAMPLING = ("Drawing", "draw", "find_cut")

__getattr__ = lazy_names(__name__, {name: "sampling" if name in _SAMPLING else "adapters" for name in __all__})
