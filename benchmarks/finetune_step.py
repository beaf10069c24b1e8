"""Fine-tuning at 64 pixels: images a second, and the share of a step spent waiting for data.

    python benchmarks/finetune_step.py [--data doodles] [--steps 40]
    python benchmarks/finetune_step.py --before OTHER/src [--data doodles] [--steps 40] [--size 64]

The same batches once decoded in a worker process and once held in memory, which is what `sketchloss finetune` does with
sets of up to 1 GiB; in turn, in one run. With `--before`: whole steps of `finetune`, with the preset `stable`, in this
checkout and in another, in processes that take turns, step by step, on one thread each; in seconds of processor time.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from sketchloss import load_backbone
from sketchloss.data.augmentation import Augment, Augmentation
from sketchloss.data.loading import HeldSketches, load_batches
from sketchloss.data.sources import open_sketches
from sketchloss.figures.tables import markdown_table

IMAGE_SIZE, BATCH_SIZE = 64, 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="doodles")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--before", metavar="SRC")
    parser.add_argument("--size", type=int, default=IMAGE_SIZE)
    parser.add_argument("--arm", help=argparse.SUPPRESS)  # of a process that takes turns
    options = parser.parse_args()
    if options.arm:
        take_turns(options)
        return
    if options.before:
        compare(options)
        return

    sketches = open_sketches(options.data, IMAGE_SIZE * 4 // 3)
    sketches = sketches.select(torch.randperm(len(sketches))[: options.steps * BATCH_SIZE].numpy())
    augment = Augment(Augmentation())
    rows = []
    for arm, attention in (("tuning", False), ("attention+tuning", True)):
        model = load_backbone("imagenet", attention=attention, gate_init="open", classes=tuple(sketches.classes))
        model = model.to(memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        for name, source in (("worker process", sketches), ("held in memory", HeldSketches(sketches))):
            waits, steps, end = [], [], time.perf_counter()
            for batch in load_batches(source, batch_size=BATCH_SIZE, shuffle=True):
                got = time.perf_counter()
                with torch.autocast("cpu", torch.bfloat16):
                    logits = model.classify(augment(batch["image"], IMAGE_SIZE))
                F.cross_entropy(logits.float(), batch["label"]).backward()
                optimizer.step()
                optimizer.zero_grad()
                waits.append(got - end)
                steps.append(time.perf_counter() - end)
                end = time.perf_counter()
            waits, steps = waits[2:], steps[2:]  # the first start the worker and warm up
            share = sum(waits) / sum(steps)
            rows.append([arm, name, f"{BATCH_SIZE / statistics.median(steps):.0f}", f"{share:.1%}"])
    print(f"{options.data}, {IMAGE_SIZE} pixels, batch {BATCH_SIZE}, bfloat16, {torch.get_num_threads()} threads\n")
    print(markdown_table(["arm", "sketches", "images/s", "waiting"], rows))


def take_turns(options: argparse.Namespace) -> None:
    """Tune, and do each step when a line comes in; write its seconds of processor time."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from sketchloss.experiments.tuning.finetune import finetune
    from sketchloss.experiments.tuning.settings import Finetune

    def turn(*_: object) -> None:
        nonlocal begun
        print("step", time.process_time() - begun, flush=True)
        if not sys.stdin.readline():
            sys.exit()
        begun = time.process_time()

    begun = time.process_time()
    register_optimizer_step_post_hook(turn)
    with tempfile.TemporaryDirectory() as folder:
        finetune(
            Finetune(data=options.data, out=Path(folder), arm=options.arm, image_sizes=(options.size,), epochs=1000)
        )


def compare(options: argparse.Namespace) -> None:
    rows = []
    for arm in ("tuning", "attention+tuning"):
        sides = []
        for source in (options.before, str(Path(__file__).parents[1] / "src")):
            command = [sys.executable, __file__, "--data", options.data, "--size", str(options.size), "--arm", arm]
            environment = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            sides.append(subprocess.Popen(command, env=environment, **pipes))
        seconds = [[], []]
        for _ in range(options.steps + 2):  # the first is the start, the second warms up
            for side, taken in zip(sides, seconds, strict=True):
                line = next((line for line in side.stdout if line.startswith("step ")), None)
                if line is None:
                    raise SystemExit(f"{side.args[0]} ended: see above")
                taken.append(float(line.split()[1]))
                side.stdin.write("\n")
                side.stdin.flush()
        for side in sides:
            side.stdin.close()
            side.stdout.read()
            side.wait()
        before, after = (statistics.median(taken[2:]) for taken in seconds)
        rows.append([arm, f"{before:.2f}", f"{after:.2f}", f"{before / after:.2f}"])
    print(f"{options.data}, {options.size} pixels, preset stable, one thread, medians of {options.steps} steps\n")
    print(markdown_table(["arm", "s a step before", "now", "times as fast"], rows))


if __name__ == "__main__":
    main()
