"""Speed of a device in training: of a named card by its data sheet, or a measured speed."""

import math
from dataclasses import dataclass

#: Share of a card's printed peak that a study is assumed to reach. VGG-16 alone reaches more: timm has it at 546 images
#: a second (224 pixels, half precision, an RTX 3090, batches of 384: `results/benchmark-train-amp-nhwc-pt112-cu113-
#: rtx3090.csv`), 0.7 of the peak. A study has small batches, larger cards to fill, and pictures to decode.
UTILISATION = 0.3
HERE = "here"


@dataclass(frozen=True)
class Card:
    """Peak speed of a GPU that its maker states, dense, in TFLOP/s (a multiply-add counts two)."""

    name: str
    half: float
    """Peak in bfloat16 and float16, summed in float32."""
    single: float
    """Peak in float32 as PyTorch's convolutions have it by default: TF32."""


#: What `--device-speed` knows.
CARDS = {
    "a100": Card("NVIDIA A100", 312.0, 156.0),
    "h100": Card("NVIDIA H100 SXM", 989.0, 494.0),
    "h200": Card("NVIDIA H200", 989.0, 494.0),
    "l4": Card("NVIDIA L4", 121.0, 60.0),
    "rtx-3090": Card("NVIDIA RTX 3090", 71.0, 35.6),
    "rtx-4090": Card("NVIDIA RTX 4090", 165.0, 82.6),
}


@dataclass(frozen=True)
class Speed:
    """Speed that trainings are assumed to run at."""

    half: float
    """Multiply-adds a second in bfloat16 or float16."""
    single: float
    """Multiply-adds a second in float32."""
    device: str
    """Device that has this speed, in words: "one NVIDIA A100"."""
    basis: str
    """Source of these numbers, in a sentence."""

    def seconds(self, multiply_adds: float | int, precision: str) -> float:
        """Return how long a computation takes.

        Args:
            multiply_adds: multiply-adds of the whole computation.
            precision: `no` for float32, else `bf16` or `fp16`.
        """
        return multiply_adds / (self.single if precision == "no" else self.half)


def check_device_speed(text: str) -> None:
    """See that a setting names a speed.

    Raises:
        ValueError: if it is no known card, no positive number, and not `here`.
    """
    if text.lower() in CARDS or text == HERE:
        return
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(
            f"device_speed is {text!r}: name a card ({', '.join(CARDS)}), give the TFLOP/s that your trainings reach, "
            f"such as 40, or say {HERE}"
        )


def speed_of(text: str) -> Speed:
    """Return the speed of a card, or of a number of TFLOP/s; `here` has to be measured."""
    if card := CARDS.get(text.lower()):
        return Speed(
            card.half * 1e12 / 2 * UTILISATION,
            card.single * 1e12 / 2 * UTILISATION,
            f"one {card.name}",
            f"Assumed: {UTILISATION:.0%} of the peak that its maker prints, {card.half:g} TFLOP/s in bfloat16 and "
            f"float16, {card.single:g} in float32 (TF32); parts may be twice as slow or as fast, and slow disks or few "
            "cores to decode pictures are not counted.",
        )
    rate = float(text) * 1e12 / 2
    device = f"a device that reaches {float(text):g} TFLOP/s"
    return Speed(rate, rate, device, "That speed was given, not measured.")
