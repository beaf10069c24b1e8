"""Check an installation: what is there, what is missing for which purpose, and whether the loss works here.

    sketchloss doctor
    sketchloss doctor --json

Libraries beyond the core are looked up in the packages' metadata, not imported.
"""

import json
import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import torch
from packaging.requirements import Requirement

from sketchloss.data.doodles.kinds import doodle
from sketchloss.loss.loss import SketchLoss
from sketchloss.networks.backbone import Backbone
from sketchloss.networks.weights import CONFIG, NAMES, TENSORS, bundled_folder, load_backbone
from sketchloss.system.device import bfloat16_of
from sketchloss.system.images import to_tensor

CORE = "core"


@dataclass(frozen=True)
class Doctor:
    """Show what is installed, what is missing for which purpose and how to get it, and test the loss."""

    json: bool = False
    """Print JSON and nothing else."""


def doctor(config: Doctor) -> int:
    """Run the command and return the exit code: 0, or 1 if the loss does not work here."""
    report = examine()
    text = json.dumps(report, indent=2, allow_nan=False) if config.json else _to_text(report)
    sys.stdout.write(text + "\n")
    return 0 if report["works"] else 1


def examine() -> dict[str, Any]:
    """Collect everything that the command shows, as JSON-ready values."""
    self_test = run_self_test()
    return {
        "works": all(check["passed"] for check in self_test),
        "python": platform.python_version(),
        "sketchloss": metadata.version("sketchloss"),
        "system": platform.platform(),
        "devices": _devices(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "libraries": find_libraries(),
        "torchvision": {"installed": _version("torchvision"), "needed": False},
        "weights": _weights(),
        "self_test": self_test,
    }


# What is there -------------------------------------------------------------------------------------------------------


def find_libraries() -> dict[str, dict[str, Any]]:
    """Look up the libraries of the core and of each extra, as the package's own metadata lists them.

    Returns:
        `core` and each extra -> `libraries` (name -> `installed` version or None, `wanted` versions, `fits`),
        `complete`, and `fix`, the pip command that completes it (None if it is complete).
    """
    requirements = [Requirement(text) for text in metadata.requires("sketchloss") or ()]
    extras = metadata.metadata("sketchloss").get_all("Provides-Extra") or []
    found: dict[str, dict[str, Any]] = {}
    for extra in (CORE, *sorted(set(extras) - {"all"})):
        libraries = {}
        for requirement in requirements:
            if _belongs(requirement, extra):
                installed = _version(requirement.name)
                fits = installed is not None and requirement.specifier.contains(installed, prereleases=True)
                wanted = str(requirement.specifier)
                libraries[requirement.name] = {"installed": installed, "wanted": wanted, "fits": fits}
        complete = all(library["fits"] for library in libraries.values())
        target = "sketchloss" if extra == CORE else f"sketchloss[{extra}]"
        fix = None if complete else f"pip install --upgrade '{target}'"
        found[extra] = {"complete": complete, "libraries": libraries, "fix": fix}
    return found


def _belongs(requirement: Requirement, extra: str) -> bool:
    if requirement.name == "sketchloss":
        return False
    without_extra = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    if extra == CORE:
        return without_extra
    return not without_extra and requirement.marker is not None and requirement.marker.evaluate({"extra": extra})


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> list[dict[str, Any]]:
    devices: list[dict[str, Any]] = [
        {"device": "cpu", "name": platform.processor() or platform.machine(), "bfloat16": bfloat16_of("cpu")}
    ]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            devices.append(
                {
                    "device": f"cuda:{index}",
                    "name": properties.name,
                    "memory_GiB": round(properties.total_memory / 2**30, 1),
                    "bfloat16": bfloat16_of("cuda"),
                }
            )
    if torch.backends.mps.is_available():
        devices.append({"device": "mps", "name": "Apple GPU", "bfloat16": bfloat16_of("mps")})
    return devices


def _weights() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in NAMES:
        file = bundled_folder(name) / TENSORS
        there = file.is_file() and file.with_name(CONFIG).is_file()
        fix = None if there else "reinstall: pip install --force-reinstall --no-deps sketchloss"
        found[name] = {"found": there, "MiB": round(file.stat().st_size / 2**20, 1) if there else None, "fix": fix}
    return found


# Does it work --------------------------------------------------------------------------------------------------------


def run_self_test(weights: str | Backbone | None = None) -> list[dict[str, Any]]:
    """Try the loss on small drawings made here.

    Args:
        weights: what to try; by default the bundled weights, `sketch` if it is there.

    Returns:
        For each check its name, whether it passed, and what was found.
    """
    checks: list[dict[str, Any]] = []

    def check(name: str, passed: bool, found: str) -> None:
        checks.append({"name": name, "passed": passed, "found": found})

    if weights is None:
        weights = "sketch" if (bundled_folder("sketch") / TENSORS).is_file() else "imagenet"
    label = weights if isinstance(weights, str) else "given"
    try:
        loss = SketchLoss(load_backbone(weights) if isinstance(weights, str) else weights)
        cat, other = doodle("cat", seed=1, style="ink"), doodle("house", seed=1, style="ink")
        drawing, redrawn, different = (to_tensor(each.sketch(64))[None] for each in (cat, cat.redrawn(hand=1), other))
        shifted = drawing.roll(3, dims=-1).requires_grad_()
        same, near, far = (loss(each, drawing).item() for each in (drawing, redrawn, different))
        moved = loss(shifted, drawing)
        moved.backward()
    except Exception as error:  # noqa: BLE001 (whatever it is, it is the finding)
        check(f"the loss runs ({label} weights)", False, f"{type(error).__name__}: {' '.join(str(error).split())}")
        return checks
    gradient = shifted.grad
    assert gradient is not None
    finite = bool(gradient.isfinite().all())
    check(f"the loss runs ({label} weights)", True, f"{len(loss.layers)} layers")
    check("a drawing is at distance 0 from itself", same == 0, f"{same:.4g}")
    check("a shifted one is farther", moved.item() > 0, f"{moved.item():.4g}")
    check("its gradient is finite and not zero", finite and bool(gradient.any()), "finite" if finite else "not finite")
    check("another drawing is farther than the same redrawn", 0 < near < far, f"{far:.4g} and {near:.4g}")
    return checks


# Text ----------------------------------------------------------------------------------------------------------------


def _to_text(report: dict[str, Any]) -> str:
    lines = [
        f"sketchloss {report['sketchloss']}, Python {report['python']}, {report['system']}",
        f"{report['threads']} threads on {report['cores']} cores",
        "",
        "Devices",
    ]
    for device in report["devices"]:
        memory = f", {device['memory_GiB']} GiB" if "memory_GiB" in device else ""
        half = device["bfloat16"]
        instead = ", so the precision bf16 is float32 there" if half == "emulated" else ""
        lines.append(f"  {device['device']}: {device['name']}{memory}; bfloat16 {half}{instead}")

    lines += ["", "Weights"]
    for name, weights in report["weights"].items():
        state = f"{weights['MiB']} MiB" if weights["found"] else f"missing; {weights['fix']}"
        lines.append(f"  {_mark(weights['found'])} {name}: {state}")

    lines += ["", "Libraries"]
    for extra, state in report["libraries"].items():
        named = [_describe(name, library) for name, library in state["libraries"].items()]
        lines.append(f"  {_mark(state['complete'])} {extra}: {', '.join(named)}")
        if state["fix"]:
            lines.append(f"       {state['fix']}")
    installed = report["torchvision"]["installed"]
    lines.append(f"     torchvision: not needed{f' ({installed} is installed)' if installed else ''}")

    lines += ["", "Self-test"]
    lines += [f"  {_mark(check['passed'])} {check['name']}: {check['found']}" for check in report["self_test"]]
    lines += ["", "sketchloss works here." if report["works"] else "sketchloss does not work here: see the self-test."]
    return "\n".join(lines)


def _mark(good: bool) -> str:
    return "ok" if good else "--"


def _describe(name: str, library: dict[str, Any]) -> str:
    if library["installed"] is None:
        return f"{name} missing"
    return f"{name} {library['installed']}" + ("" if library["fits"] else f" (needs {library['wanted']})")
