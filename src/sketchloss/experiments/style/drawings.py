"""Photo to sketch with the loss of each arm, measured against the true sketches (Seo 2025, Table 1 and Figure 2).

    sketchloss style table --preset demo --out runs/table              minutes on two cores, on built-in doodles
    sketchloss style table --content PHOTOS --sets cufs:CUFS 'fs2k:FS2K?style=1' --tuning runs/tuning --out runs/table1
    sketchloss style table --preset paper --out runs/paper \\
        --sets cufs:CUFS 'fs2k:FS2K?style=1' 'fs2k:FS2K?style=2' 'fs2k:FS2K?style=3' \\
        --tuning runs/paper-tuning --attention-tuning runs/paper-attention

For every set and arm one network is trained on the photos with the style of the set's training part (`style train`),
and draws the photos of its test part. `--resume` trains only what is not there yet.
"""

import hashlib
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from sketchloss.data.left_out import say_left_out
from sketchloss.data.loading import hold_if_small, load_batches, to_unit_range
from sketchloss.data.pairs import Pairs, open_pairs
from sketchloss.data.photos import open_photos
from sketchloss.data.pictures import Pictures
from sketchloss.experiments.page_judges import judge_pages
from sketchloss.experiments.section import Figure, write_results
from sketchloss.experiments.style.settings import StyleTable, folder_name
from sketchloss.experiments.style.table import GREY_PHOTO, OTHER_SKETCHES, sections
from sketchloss.experiments.style.transfer import RESULT, open_loss, style_transfer
from sketchloss.experiments.style.transfer_settings import StyleSettings, StyleTransfer
from sketchloss.figures.grid import draw_grid
from sketchloss.metrics.distances import distribution_distance
from sketchloss.metrics.extractors import Extractor, embed_images, open_extractors, shared_layer
from sketchloss.metrics.ssim import ssim
from sketchloss.metrics.statistics import spread
from sketchloss.networks.stylizer import Stylizer, load_stylizer
from sketchloss.system.files import read_json
from sketchloss.system.images import save_picture, to_picture
from sketchloss.system.memory import reuse_freed_memory
from sketchloss.training.held_folder import hold_run_folder
from sketchloss.training.run import check_run_folder, open_run_folder

BATCH = 16


def style_table(config: StyleTable) -> dict[str, Any]:
    """Run `sketchloss style table`.

    Returns:
        What `results.json` holds: `sets`, each with its `rows`, one for each arm and each of the references.

    Raises:
        ValueError: as `StyleTable`, `open_pairs` and `style_transfer`.
        TrainingStopped: if a loss is not finite.
    """
    if not config.extractor_layer:
        config = replace(config, extractor_layer=shared_layer(config.extractors))  # so that config.json names it
    check_run_folder(config.out, config, config.resume)
    with hold_run_folder(config.out):
        return _style_table(config)


def _style_table(config: StyleTable) -> dict[str, Any]:
    # Set-up ----------------------------------------------------------------------------------------------------------
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    reuse_freed_memory()
    extractors = open_extractors(  # a mistake in any of these is said before the first hour, not after
        config.extractors,
        layer=config.extractor_layer,
        image_size=config.image_size,
        inception=config.inception,
        device=device,
    )
    for arm in config.arms():
        open_loss(config, arm)

    # Data ------------------------------------------------------------------------------------------------------------
    content = open_photos(config.content, config.image_size, limit=config.limit, seed=config.seed)
    say_left_out(config.content, content.unreadable, content.passed_over)
    parts: dict[str, tuple[Pairs, Pairs]] = {}
    digests = [content.digest()]
    for source in config.sets:
        train, test = (open_pairs(source, part=part, strict=config.strict) for part in ("train", "test"))
        say_left_out(source, test.problems)
        if min(len(train), len(test)) < 2:
            raise ValueError(f"{source} has {len(train)} training and {len(test)} test pairs: at least two are needed")
        parts[source] = train, test
        sides = (train.sketches, test.sketches, test.photos)
        digests += [side(config.image_size).digest() for side in sides]
    digest = hashlib.sha256(" ".join(digests).encode()).hexdigest()
    open_run_folder(config.out, config, config.resume, data=digest)

    # Training --------------------------------------------------------------------------------------------------------
    trained: dict[str, dict[str, Any]] = {}
    for source in config.sets:
        for arm in config.arms():
            training = _training(config, source, arm)
            if not _is_trained(training):
                print(f"\n{source}, {arm}")
                style_transfer(training)
            trained[source] = read_json(training.out / RESULT)

    # Evaluation ------------------------------------------------------------------------------------------------------
    sets: dict[str, Any] = {}
    examples = []
    for source, (train, test) in parts.items():
        pairs = test.select(_sample(len(test), config.pairs or len(test), config.seed))
        true = _decoded(pairs.sketches(config.image_size), config, device)
        photos = _decoded(pairs.photos(config.image_size), config, device)
        others = train.sketches(config.image_size).select(_sample(len(train), len(true), config.seed))
        others = _decoded(others, config, device)
        # Equal numbers for all: the distances depend on them, and there may be fewer other sketches than pairs.
        compared = _sample(len(true), len(others), config.seed)
        drawn = {
            arm: _draw(
                load_stylizer(trained_network(config.out, source, arm)).to(device), photos, name=f"{source}, {arm}"
            )
            for arm in config.arms()
        }
        grey = photos.mean(1, keepdim=True).expand(-1, 3, -1, -1)
        candidates = {**drawn, GREY_PHOTO: grey, OTHER_SKETCHES: others}
        known = [embed_images(extractor, true[compared].split(BATCH)) for extractor in extractors]
        rows: dict[str, Any] = {}
        for name, pictures in candidates.items():
            rows[name] = {
                "ssim": None if pictures is others else asdict(spread(ssim(pictures, true).tolist())),
                "pages": {} if pictures is others else judge_pages(pictures, true),
                "distances": [
                    _distance(config, extractor, pictures if pictures is others else pictures[compared], features)
                    for extractor, features in zip(extractors, known, strict=True)
                ],
            }
        sets[source] = {"folder": folder_name(source), "pairs": len(true), "compared": len(compared), "rows": rows}
        shown = torch.linspace(0, len(true) - 1, min(config.examples, len(true))).round().int().tolist()
        examples += [[photos[index], true[index], *(sketches[index] for sketches in drawn.values())] for index in shown]

    # Report ----------------------------------------------------------------------------------------------------------
    results = {
        "format": "sketchloss style table",
        **{"content": config.content, "image_size": config.image_size, "width": config.width, "seed": config.seed},
        **{name: trained[config.sets[0]][name] for name in ("photos", "steps")},
        "sketches": {source: result["sketches"] for source, result in trained.items()},
        "batch_size": config.batch_size,
        "only": list(config.only),
        "weights": {arm: config.weights_of(arm) for arm in config.arms()},
        "balance": {name: getattr(config, name) for name in _BALANCE},
        "sets": sets,
    }
    columns = ("photo", "true sketch", *config.arms())
    rows_of_pictures = [[to_picture(image) for image in row] for row in examples]
    grid = {"side": max(128, config.image_size), "column_names": columns}
    figure = Figure(
        "Photos, true sketches, and what the networks draw",
        lambda path: save_picture(draw_grid(rows_of_pictures, **grid), path),
    )
    *others_made, last = sections([results])
    write_results(config.out, results, [*others_made, last.with_figures({"figure.png": figure})])
    return results


_BALANCE = ("balance", "content_weight", "style_weight", "variation_weight")


# Training ------------------------------------------------------------------------------------------------------------


def trained_network(out: Path, source: str, arm: str) -> Path:
    """Return where in a table's run folder the network of a set and arm is."""
    return out / "runs" / folder_name(source) / arm


def _training(config: StyleTable, source: str, arm: str) -> StyleTransfer:
    settings = {item.name: getattr(config, item.name) for item in fields(StyleSettings)}
    out = trained_network(config.out, source, arm)
    begun = (out / "config.json").is_file()
    return StyleTransfer(
        content=config.content, style=source, out=out, arm=config.entries()[arm].named(), resume=begun, **settings
    )


def _is_trained(training: StyleTransfer) -> bool:
    """Tell whether a network was trained to the end, with these settings.

    Raises:
        ValueError: if it was trained with others.
    """
    if training.resume:
        check_run_folder(training.out, training, resume=True)
    return (training.out / RESULT).is_file()


# Evaluation ----------------------------------------------------------------------------------------------------------


def _sample(count: int, most: int, seed: int) -> list[int]:
    """Return at most so many places, drawn with a seed, in order; sets are sorted by where photos came from."""
    return sorted(np.random.default_rng(seed).permutation(count)[:most].tolist())


def _decoded(pictures: Pictures, config: StyleTable, device: torch.device) -> Float[Tensor, "n 3 s s"]:
    batches = load_batches(hold_if_small(pictures, workers=config.workers), batch_size=BATCH)
    return torch.cat([to_unit_range(batch["image"].to(device)) for batch in batches])


@torch.inference_mode()
def _draw(stylizer: Stylizer, photos: Float[Tensor, "n 3 s s"], *, name: str) -> Float[Tensor, "n 3 s s"]:
    """Return the sketches of photos as a picture file would hold them, rounded to 8 bits."""
    stylizer.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    drawn = [stylizer(part).float() for part in tqdm(photos.split(BATCH), desc=name, disable=None, leave=False)]
    return ((torch.cat(drawn) * 255).round() / 255).expand(-1, 3, -1, -1)


def _distance(config: StyleTable, extractor: Extractor, pictures: Tensor, true: Float[Tensor, "n d"]) -> dict[str, Any]:
    found = distribution_distance(
        embed_images(extractor, pictures.split(BATCH)),
        true,
        extractor_name=extractor.name,
        bootstrap=config.bootstrap,
        seed=config.seed,
    )
    return asdict(found)
