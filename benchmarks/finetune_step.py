"""Fine-tuning at 64 pixels: images a second, and the share of a step spent waiting for data.

    python benchmarks/finetune_step.py [--data doodles] [--steps 40]

The same batches once decoded in a worker process and once held in memory, which is what `sketchloss finetune` does with
sets of up to 1 GiB; in turn, in one run.
"""

import argparse
import statistics
import time

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
    options = parser.parse_args()

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


if __name__ == "__main__":
    main()
