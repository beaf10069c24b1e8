"""A program that gives losses tensors of every kind, without the checks of types that the tests have.

In: a line of JSON for each, `[WEIGHTS, SEED]`. Out: `[measured | refused | broke, what was said, what was given]`.
"""

import json
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sketchloss import SketchLoss

SIDE = 16
LAYERS = ("relu1_2", "relu2_2")
SECONDS = 60  # of the processor, for one
#: What a loss is built with; each takes values in its own range.
LOSSES: list[dict[str, Any]] = [
    {},
    {"metric": "l1", "reduction": "none"},
    {"metric": "cosine", "style_weight": 1.0},
    {"metric": "ink", "invert": True},
    {"value_range": (-1, 1), "reduction": "sum"},
]
Change = Callable[[Any], Any]


class Own(Tensor):
    """Somebody's own kind of tensor."""


def in_inference(tensor: Tensor) -> Tensor:
    with torch.inference_mode():
        return tensor.clone()


def with_one(value: float) -> Change:
    def change(tensor: Tensor) -> Tensor:
        changed = tensor.clone()
        changed.view(-1)[changed.numel() // 2] = value
        return changed

    return change


def _dtypes() -> dict[str, Change]:
    found = {str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    return {name: lambda tensor, dtype=dtype: tensor.to(dtype) for name, dtype in found.items()}


CHANGES: dict[str, Change] = {
    **_dtypes(),
    "COO": lambda tensor: tensor.to_sparse(),
    "CSR": lambda tensor: tensor[0, 0].to_sparse_csr(),
    "CSC": lambda tensor: tensor[0, 0].to_sparse_csc(),
    "BSR": lambda tensor: tensor[0, 0].to_sparse_bsr((2, 2)),
    "MKLDNN": lambda tensor: tensor.to_mkldnn(),
    "nested": lambda tensor: torch.nested.nested_tensor(list(tensor)),
    "jagged": lambda tensor: torch.nested.nested_tensor([tensor[0, 0], tensor[0, 0, :3]], layout=torch.jagged),
    "quantized": lambda tensor: torch.quantize_per_tensor(tensor, 1 / 255, 0, torch.quint8),
    "meta": lambda tensor: tensor.to("meta"),
    "conjugate": lambda tensor: torch.complex(tensor, tensor).conj(),
    "negative view": lambda tensor: torch.complex(tensor, -tensor).conj().imag,
    "one image": lambda tensor: tensor[0],
    "a dimension more": lambda tensor: tensor[None],
    "no images": lambda tensor: tensor[:0],
    "no pixels": lambda tensor: tensor[..., :0],
    "one pixel": lambda tensor: tensor[..., :1, :1],
    "narrow": lambda tensor: tensor[..., : SIDE // 2],
    "twice as many": lambda tensor: tensor.repeat(2, *[1] * (tensor.ndim - 1)),
    "first alone": lambda tensor: tensor[:1],
    "grey": lambda tensor: tensor[:, :1],
    "two channels": lambda tensor: tensor[:, :2],
    "four channels": lambda tensor: torch.cat([tensor, tensor], 1)[:, :4],
    "channels last in shape": lambda tensor: tensor.movedim(1, -1),
    "channels last in memory": lambda tensor: tensor.contiguous(memory_format=torch.channels_last),
    "turned": lambda tensor: tensor.transpose(-1, -2),
    "every second": lambda tensor: tensor.repeat_interleave(2, -1)[..., ::2],
    "expanded": lambda tensor: tensor[:1].expand_as(tensor),
    "expanded pixel": lambda tensor: tensor[..., :1, :1].expand_as(tensor),
    "flat": lambda tensor: tensor.reshape(-1),
    "a number": lambda tensor: tensor.flatten()[0],
    "NaN": with_one(float("nan")),
    "infinite": with_one(float("inf")),
    "minus infinite": with_one(-float("inf")),
    "huge": with_one(1e30),
    "tiny": lambda tensor: tensor * 1e-42,
    "a little beyond": with_one(1.005),
    "0 to 255": lambda tensor: tensor * 255,
    "-1 to 1": lambda tensor: tensor * 2 - 1,
    "white": lambda tensor: torch.ones_like(tensor),
    "black": lambda tensor: torch.zeros_like(tensor),
    "with gradient": lambda tensor: tensor.clone().requires_grad_(),
    "in a graph": lambda tensor: tensor.clone().requires_grad_() * 1,
    "inference": in_inference,
    "parameter": lambda tensor: torch.nn.Parameter(tensor),
    "own class": lambda tensor: tensor.as_subclass(Own),
    "nothing": lambda tensor: None,
    "text": lambda tensor: "drawing.png",
    "array": lambda tensor: tensor.numpy(),
    "list": lambda tensor: tensor.tolist(),
    "tuple": lambda tensor: tuple(tensor),
    "float": lambda tensor: 0.5,
    "object array": lambda tensor: np.array([tensor, None], dtype=object),
    "mapping": lambda tensor: {"relu1_2": tensor},
    "empty mapping": lambda tensor: {},
}


def changed(value: Any, role: str, random: Random, told: list[str]) -> Any:
    """Change a good tensor in up to two ways, some of which do no harm."""
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        name = random.choice(list(CHANGES))
        try:
            value = CHANGES[name](value)
        except Exception:  # noqa: BLE001 (PyTorch cannot make every combination)
            continue
        told.append(f"{role}: {name}")
    return value


def plain(value: Any) -> Any:
    """Return what a value means, in the plainest form."""
    if isinstance(value, Mapping):
        return {name: plain(tensor) for name, tensor in value.items()}
    if not isinstance(value, Tensor):
        return value
    value = value.detach().as_subclass(Tensor).resolve_neg()
    return (value if value.dtype == torch.bool else value.float()).contiguous().clone()


def measure(losses: list[SketchLoss], random: Random, told: list[str]) -> None:
    """Measure once; AssertionError if what comes back is not what plain tensors give."""
    which = random.randrange(len(losses))
    loss = losses[which]
    told.append(str(LOSSES[which]))
    generator = torch.Generator().manual_seed(random.randrange(2**31))
    low, high = loss.value_range
    pred, target, mask = (torch.rand(2, 3, SIDE, SIDE, generator=generator) * (high - low) + low for _ in range(3))
    given: dict[str, Any] = {"pred": changed(pred, "pred", random, told)}
    if random.random() < 0.3:
        features = loss.extract(target)
        tap = random.choice(LAYERS)
        given["target"] = {**features, tap: changed(features[tap], f"features of {tap}", random, told)}
    else:
        given["target"] = changed(target, "target", random, told)
    method = random.choice((loss, loss, loss.map, loss.extract, loss.per_tap))
    if method == loss.extract:
        given = {"target": given["target"]}
    elif method in (loss, loss.per_tap) and random.random() < 0.4:
        given["mask"] = changed(mask[:, :1].abs(), "mask", random, told)
    found = tensors(method(**given))
    expected = tensors(method(**{name: plain(value) for name, value in given.items()}))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32, one.dtype
        assert one.shape == other.shape, (one.shape, other.shape)
        assert one.isfinite().all(), "not finite"
        torch.testing.assert_close(plain(one), plain(other), rtol=1e-3, atol=1e-5)
    total = sum(one.sum() for one in found)
    if isinstance(total, Tensor) and total.requires_grad:
        total.backward()


def tensors(value: Any) -> list[Tensor]:
    return [one for part in value.values() for one in tensors(part)] if isinstance(value, Mapping) else [value]


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    losses: list[SketchLoss] = []
    for line in sys.stdin:
        weights, seed = json.loads(line)
        losses = losses or [SketchLoss(weights, layers=LAYERS, **settings) for settings in LOSSES]
        told: list[str] = []
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # ends the process, as nobody handles it
        outcome, said = "measured", ""
        try:
            measure(losses, Random(seed), told)
        except (ValueError, TypeError) as error:
            outcome, said = "refused", str(error)
        except BaseException as error:  # noqa: BLE001 (whatever it is, it is told)
            outcome, said = "broke", f"{type(error).__name__}: {error}"
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps([outcome, said, told]), flush=True)


main()
