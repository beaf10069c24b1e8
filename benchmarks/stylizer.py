"""Photo to sketch at 256 and 1024 pixels: the ways to run a stylizer, against the usual one.

    python benchmarks/stylizer.py [--sizes 256 1024] [--rounds 7]

Usual: float32, the default memory layout, one picture at a time, as it was trained. All variants in turn, in one run;
the time is the network's alone, without files. `style apply` runs what `prepare_stylizer` returns.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from sketchloss.figures.tables import markdown_table
from sketchloss.networks.stylizer import Stylizer, StylizerConfig
from sketchloss.stylize.exported import load_exported
from sketchloss.stylize.exporting import export_stylizer
from sketchloss.stylize.pictures import prepare_stylizer
from sketchloss.stylize.tiles import stylize_tiled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()

    torch.manual_seed(0)
    rows = []
    for width in (1.0, 0.5):
        stylizer = Stylizer(StylizerConfig(width=width)).eval()
        variants = make_variants(stylizer)
        for size in options.sizes:
            image = torch.rand(1, 3, size, size)
            seconds: dict[str, list[float]] = {name: [] for name in variants}
            with torch.inference_mode():
                reference = stylizer(image)
                errors = {name: (run(image).float() - reference).abs().max().item() for name, run in variants.items()}
                for _ in range(options.rounds):
                    for name, run in variants.items():
                        start = time.perf_counter()
                        run(image)
                        seconds[name].append(time.perf_counter() - start)
            medians = {name: statistics.median(times) for name, times in seconds.items()}
            rows += [
                [name, f"{width:g}", str(size), f"{median:.3f}", f"{medians['usual'] / median:.2f}x", f"{error:.0e}"]
                for (name, median), error in zip(medians.items(), errors.values(), strict=True)
            ]
    print(f"{torch.get_num_threads()} threads\n")
    print(markdown_table(["variant", "width", "pixels", "seconds", "speed", "off by at most"], rows))


def make_variants(stylizer: Stylizer) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return name -> function of one image n×3×h×w."""
    last = torch.channels_last
    plain = Stylizer(stylizer.config).eval()
    plain.load_state_dict(stylizer.state_dict())
    float32, bfloat16 = (prepare_stylizer(stylizer, device="cpu", precision=name) for name in ("no", "bf16"))
    plain.to(memory_format=last)  # pyright: ignore[reportCallIssue]
    with tempfile.TemporaryDirectory() as folder:
        export_stylizer(stylizer, Path(folder) / "model.onnx")
        exported = load_exported(Path(folder) / "model.onnx", device="cpu")

    def autocast(image: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return plain(image.contiguous(memory_format=last))

    return {
        "usual": lambda image: stylizer(image),
        "  channels_last": lambda image: plain(image.contiguous(memory_format=last)),
        "  channels_last, autocast": autocast,
        "prepared, float32": lambda image: float32(image.contiguous(memory_format=last)),
        "prepared, bfloat16": lambda image: bfloat16(image.to(torch.bfloat16, memory_format=last)),
        "  in tiles of 512": lambda image: stylize_tiled(bfloat16, image)[None],
        "ONNX Runtime, float32": lambda image: exported(image),
    }


if __name__ == "__main__":
    main()
