"""How much keeping the frozen features saves: the whole retrieval experiment with them, and computed anew each epoch.

    python benchmarks/retrieval.py [--image-size 64] [--sample 70] [--sketches 11040] [options of sketchloss retrieval]

What is timed is a sample: of each arm the features of some sketches, and of a head some steps. The figures for the
whole experiment (arms, seeds, epochs) are those scaled, as is said where they are printed.
"""

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from sketchloss.data.loading import hold_if_small
from sketchloss.data.sources import open_sketches
from sketchloss.experiments.retrieval import heads as recipe
from sketchloss.experiments.retrieval.settings import PRESETS, Retrieval
from sketchloss.figures.tables import markdown_table
from sketchloss.metrics.features import cached_features
from sketchloss.system.command_line import parse
from sketchloss.system.memory import reuse_freed_memory

STEPS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="doodles")
    parser.add_argument("--sample", type=int, default=70, help="sketches whose features are computed, twice")
    parser.add_argument("--sketches", type=int, default=11_040, help="to scale to")
    options, others = parser.parse_known_args()
    arguments = ["--data", options.data, "--out", "unused", "--tuning", "imagenet", *others]
    config: Retrieval = parse(Retrieval, arguments, program="retrieval", presets=PRESETS)

    reuse_freed_memory()  # as the recipe does

    sketches = open_sketches(config.data, config.image_size)
    chosen = np.random.default_rng(0).permutation(len(sketches))[: options.sample]
    pictures = hold_if_small(sketches.select(chosen))
    learnt = round(options.sketches * (1 - config.held_out))
    rows, width, anew_total, kept_total = [], 0, 0.0, 0.0
    for arm in config.arms():
        backbone = config.load(arm)
        seconds = []
        for _ in range(3):  # the first warms up
            with TemporaryDirectory() as folder:
                start = time.perf_counter()
                features = cached_features(
                    backbone,
                    pictures,
                    **{"layer": config.layer, "grid": config.grid, "precision": config.precision},
                    folder=Path(folder),
                )
                seconds.append(time.perf_counter() - start)
                width = features.shape[1]
        evaluate = statistics.median(seconds[1:]) / options.sample
        step = _step(config, width)
        # note: anew each epoch, only the training part would be evaluated; once, all of it is, and the queries.
        epochs = config.epochs * config.seeds
        anew = epochs * learnt * (evaluate + step) + config.seeds * (options.sketches - learnt) * evaluate
        kept = options.sketches * evaluate + epochs * learnt * step
        anew_total, kept_total = anew_total + anew, kept_total + kept
        rows.append([arm, f"{evaluate * 1e3:.2f}", f"{step * 1e3:.2f}", *_minutes(anew, kept), f"{anew / kept:.0f}x"])
    rows.append(["all", "", "", *_minutes(anew_total, kept_total), f"{anew_total / kept_total:.0f}x"])
    print(
        f"{options.sketches:,} sketches at {config.image_size} pixels, {config.seeds} seeds of {config.epochs} epochs, "
        f"features {width:,} wide, head {config.hidden}, precision {config.precision}, "
        f"{torch.get_num_threads()} threads.\nScaled from {options.sample} sketches and {STEPS} steps; minutes of the "
        "whole experiment.\n"
    )
    header = ["arm", "ms a sketch: backbone", "head", "anew each epoch, minutes", "kept, minutes", "ratio"]
    print(markdown_table(header, rows))


def _step(config: Retrieval, features: int) -> float:
    """Return the seconds that a head's training takes for each sketch."""
    labels = torch.arange(345).repeat_interleave(4)
    size = config.classes_per_batch * config.sketches_per_class
    chosen = np.arange(len(labels))[: STEPS * size]
    rows = np.random.default_rng(0).random((len(labels), features), dtype=np.float32).astype(np.float16)
    embedder = recipe.new_embedder(config, [str(label) for label in range(345)], "", features, seed=0)
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        recipe.train_head(replace(config, epochs=1), embedder, rows, labels, chosen, seed=0)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:]) / (len(chosen) // size * size)


def _minutes(*seconds: float) -> list[str]:
    return [f"{value / 60:,.1f}" for value in seconds]


if __name__ == "__main__":
    main()
