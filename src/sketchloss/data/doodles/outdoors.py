"""Doodles of things met out of doors: each function composes one kind from shapes, its proportions from `rng`."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from sketchloss.data.doodles.shapes import (
    BLACK,
    BLUE,
    CREAM,
    GLASS,
    GOLD,
    GREY,
    METAL,
    PAINTS,
    RED,
    WHITE,
    WOOD,
    YELLOW,
    Part,
    box,
    curve,
    darker,
    ellipse,
    fill,
    line,
    mirrored,
    one_of,
    shape,
    turned,
)


def airplane(rng: np.random.Generator) -> list[Part]:
    """An airliner from the side, one wing towards us."""
    body, wing = one_of(rng, (WHITE, METAL, WHITE, YELLOW)), one_of(rng, PAINTS)
    fat, sweep, reach, fin = rng.uniform((0.06, 0.12, 0.2, 0.14), (0.1, 0.26, 0.32, 0.22))
    parts = [
        fill(
            shape(
                (0.08, -fat * 0.7),
                (-0.06, -fat * 0.7),
                (-0.08 - sweep * 0.8, -fat - reach * 0.5),
                (-0.02 - sweep * 0.8, -fat - reach * 0.5),
            ),
            wing,
            bulge=0.2,
        ),
        fill(
            shape(
                (-0.28, -fat * 0.7),
                (-0.38 - fin * 0.6, -fat - fin),
                (-0.46 - fin * 0.6, -fat - fin),
                (-0.44, -fat * 0.3),
            ),
            wing,
            bulge=0.2,
        ),
        fill(
            curve(
                (0.5, 0.02),
                (0.4, -fat * 0.75),
                (0.25, -fat),
                (-0.3, -fat * 0.9),
                (-0.52, -fat * 0.5),
                (-0.3, fat * 0.7),
                (0.25, fat),
                (0.43, fat * 0.7),
                closed=True,
            ),
            body,
            bulge=0.9,
        ),
        fill(shape((-0.34, -fat * 0.1), (-0.42, 0.0), (-0.58, 0.08), (-0.52, 0.09)), wing, bulge=0.2),
    ]
    count = int(rng.integers(3, 7))
    radius = rng.uniform(0.014, 0.022)
    parts += [fill(ellipse(x, -fat * 0.3, radius), BLUE) for x in np.linspace(-0.2, 0.24, count).tolist()]
    parts.append(fill(shape((0.42, -fat * 0.5), (0.34, -fat * 0.6), (0.33, -fat * 0.15), (0.47, -fat * 0.15)), GLASS))
    parts.append(
        fill(
            shape((0.12, fat * 0.35), (-0.08, fat * 0.35), (-0.1 - sweep, reach), (-0.02 - sweep, reach)),
            wing,
            bulge=0.2,
        )
    )
    return turned(parts, rng.uniform(-0.4, 0.1))


def bicycle(rng: np.random.Generator) -> list[Part]:
    """A bicycle from the side."""
    paint = one_of(rng, PAINTS)
    radius, base, rise = rng.uniform((0.17, 0.27, 0.2), (0.22, 0.33, 0.3))
    seat, hub, bars = (-0.12, -rise), (-0.02, 0.02), (0.19, -rise + 0.03)
    parts = []
    spokes = int(rng.choice((0, 0, 3, 4)))
    for x in (-base, base):
        turn = np.pi * (np.arange(spokes) + rng.random()) / max(1, spokes)
        for dx, dy in (radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)).tolist():
            parts.append(line(shape((x - dx, -dy), (x + dx, dy)), METAL, thickness=0.006))
        circle = ellipse(x, 0, radius)
        parts.append(line(np.concatenate([circle, circle[:1]]), BLACK, thickness=0.03))
        parts.append(fill(ellipse(x, 0, 0.02), GREY))
    frame = [((-base, 0), hub, bars, seat, (-base, 0)), (seat, hub)]
    parts += [line(shape(*corners), paint, thickness=0.028) for corners in frame]
    parts.append(line(shape((base, 0), bars, (bars[0] - 0.02, bars[1] - 0.09)), paint, thickness=0.028))
    grip = rng.uniform(0.06, 0.12)
    parts.append(
        line(
            curve(
                (bars[0] - 0.02, bars[1] - 0.09),
                (bars[0] + grip * 0.7, bars[1] - 0.12),
                (bars[0] + grip, bars[1] - 0.05),
            ),
            BLACK,
            thickness=0.022,
        )
    )
    parts.append(line(shape(seat, (seat[0] - 0.02, seat[1] - 0.06)), paint, thickness=0.022))
    parts.append(
        fill(
            curve(
                (seat[0] - 0.11, seat[1] - 0.08),
                (seat[0] + 0.07, seat[1] - 0.07),
                (seat[0] - 0.08, seat[1] - 0.04),
                closed=True,
            ),
            BLACK,
        )
    )
    parts.append(line(shape((hub[0] + 0.05, hub[1] + 0.08), (hub[0] - 0.05, hub[1] - 0.08)), GREY, thickness=0.018))
    parts.append(fill(ellipse(*hub, 0.04), GREY))
    return parts


def boat(rng: np.random.Generator) -> list[Part]:
    """A sailing boat on waves."""
    hull, cloth = one_of(rng, (WOOD, RED, BLUE, WHITE)), one_of(rng, (WHITE, CREAM, WHITE, RED, YELLOW))
    long, deep, mast, sail = rng.uniform((0.3, 0.1, 0.5, 0.2), (0.42, 0.17, 0.68, 0.3))
    x = rng.uniform(-0.08, 0.06)
    parts = [line(shape((x, 0.02), (x, -mast)), WOOD, thickness=0.024)]
    boom = -rng.uniform(0.06, 0.12)
    belly = rng.uniform(0.0, 0.07)
    main = np.concatenate(
        [
            shape((x + 0.015, -mast + 0.03)),
            curve((x + 0.02 + belly, -mast + 0.06), (x + sail * 0.6 + belly, -mast * 0.55), (x + sail, boom)),
            shape((x + 0.015, boom)),
        ]
    )
    parts.append(fill(main, cloth, bulge=0.3))
    if rng.random() < 0.75:
        parts.append(
            fill(
                shape((x - 0.015, -mast + 0.1), (x - 0.015, boom), (x - sail * rng.uniform(0.6, 0.95), boom)),
                cloth,
                bulge=0.3,
            )
        )
    if rng.random() < 0.5:
        parts.append(fill(shape((x, -mast), (x, -mast - 0.08), (x - 0.12, -mast - 0.04)), RED, bulge=0.1))
    sheer = rng.uniform(0, 0.05)
    parts.append(
        fill(
            np.concatenate(
                [curve((-long, -sheer), (0, 0.02), (long, -sheer)), shape((long * 0.74, deep), (-long * 0.74, deep))]
            ),
            hull,
        )
    )
    if rng.random() < 0.5:
        parts.append(line(shape((-long * 0.9, deep * 0.35), (long * 0.9, deep * 0.35)), darker(hull)))
    waves = int(rng.integers(3, 6))
    wide = 0.52
    t = np.linspace(-1, 1, 12 * waves)
    height = deep + 0.02 - 0.035 * np.abs(np.sin(np.pi * waves * (t + 1) / 2))
    parts.append(line(np.stack([wide * t, height], axis=1), BLUE, thickness=0.03))
    return parts


def car(rng: np.random.Generator) -> list[Part]:
    """A car from the side."""
    paint = one_of(rng, PAINTS)
    deep, cabin, front, back, wheel = rng.uniform((0.14, 0.14, 0.1, 0.12, 0.075), (0.2, 0.22, 0.24, 0.34, 0.105))
    bonnet = 0.47
    slope = rng.uniform(0.05, 0.14)
    body = curve(
        (-bonnet, 0.02),
        (-bonnet + 0.02, deep),
        (bonnet - 0.01, deep),
        (bonnet + 0.01, 0.05),
        (bonnet - 0.06, -0.01),
        (bonnet - front, -0.02),
        (-bonnet + 0.1, -0.02),
        closed=True,
        steps=5,
    )
    body = (
        np.concatenate(
            [
                shape((-bonnet, deep), (-bonnet, 0.03)),
                curve((-bonnet + 0.02, 0), (0, -0.02), (bonnet - 0.08, 0.01), (bonnet, 0.06)),
                shape((bonnet + 0.01, deep)),
            ]
        )
        if rng.random() < 0.6
        else body
    )
    roof_back, roof_front = -bonnet + back * 0.5 + 0.04, bonnet - front - slope - 0.02
    roof = shape(
        (-bonnet + back * 0.4 - 0.02, 0.01),
        (roof_back + 0.03, -cabin),
        (roof_front, -cabin),
        (roof_front + slope, 0.01),
    )
    parts = [fill(roof, paint, bulge=0.4)]
    centre = roof.mean(axis=0)
    glass = centre + (roof - centre) * (0.86, 0.72)
    parts.append(fill(glass, GLASS, bulge=0.2))
    middle = rng.uniform(-0.06, 0.06) + centre[0]
    parts.append(fill(box(middle - 0.012, -cabin + 0.01, middle + 0.012, 0.0), paint, bulge=0.1))
    parts.append(fill(body, paint, bulge=0.7))
    parts.append(line(shape((middle + 0.01, 0), (middle, deep * 0.8)), darker(paint), thickness=0.01))
    parts.append(line(shape((middle - 0.09, 0.06), (middle - 0.03, 0.06)), darker(paint, 0.5), thickness=0.014))
    parts.append(fill(ellipse(bonnet - 0.03, 0.075, 0.022, 0.03), YELLOW))
    for x in (-bonnet * 0.58, bonnet * 0.58):
        parts += [fill(ellipse(x, deep, wheel), BLACK), fill(ellipse(x, deep, wheel * 0.5), METAL)]
    return parts


def guitar(rng: np.random.Generator) -> list[Part]:
    """An acoustic guitar."""
    wood = one_of(rng, (WOOD, (206, 150, 84), RED, (120, 66, 44)))
    lower, upper, waist, neck = rng.uniform((0.17, 0.12, 0.09, 0.34), (0.22, 0.16, 0.12, 0.46))
    half = [(0, -0.17), (upper * 0.8, -0.13), (upper, -0.02), (waist, 0.1), (lower, 0.26), (lower * 0.75, 0.4)]
    body = curve(*mirrored(*half, (0, 0.43)), closed=True)
    parts = [fill(body, wood, bulge=0.5), fill(ellipse(0, 0.07, 0.062), BLACK, bulge=0.1)]
    parts.append(fill(box(-0.08, 0.27, 0.08, 0.305), darker(wood, 0.5), bulge=0.2))
    parts.append(fill(box(-0.026, -0.17 - neck, 0.026, 0.02), (90, 60, 44), bulge=0.2))
    pegs = (np.linspace(-0.2, -0.28, int(rng.integers(2, 4))) - neck).tolist()
    parts += [line(shape((-0.075, y), (0.075, y)), METAL, thickness=0.018) for y in pegs]
    parts.append(fill(box(-0.034, -0.32 - neck, 0.034, -0.17 - neck, taper=-0.012), darker(wood, 0.7), bulge=0.2))
    frets = np.linspace(-0.12 - neck, -0.2, int(rng.integers(0, 6))).tolist()
    parts += [line(shape((-0.026, y), (0.026, y)), METAL, thickness=0.006) for y in frets]
    strings = (-0.012, 0.012) if rng.random() < 0.5 else (0.0,)
    parts += [line(shape((x, -0.17 - neck), (x * 1.3, 0.28)), METAL, thickness=0.005) for x in strings]
    return turned(parts, rng.uniform(-0.9, 0.9))


def house(rng: np.random.Generator) -> list[Part]:
    """A house with a pitched roof, a door, windows, and perhaps a chimney."""
    wall, tiles, door = (
        one_of(rng, (CREAM, WHITE, (206, 150, 120), (190, 200, 210), YELLOW)),
        one_of(rng, (RED, WOOD, GREY, (150, 70, 60))),
        one_of(rng, PAINTS),
    )
    wide, tall, roof, eaves = rng.uniform((0.24, 0.26, 0.16, 0.02), (0.4, 0.42, 0.32, 0.08))
    ridge = rng.choice((0.0, 0.0, wide * 0.5))
    parts = []
    if rng.random() < 0.6:
        x, up = rng.uniform(0.4, 0.65) * wide, roof * rng.uniform(0.85, 1.2)
        parts.append(fill(box(x - 0.045, -up, x + 0.045, -0.02), (170, 90, 70), bulge=0.2))
        parts.append(fill(box(x - 0.06, -up - 0.03, x + 0.06, -up + 0.01), GREY, bulge=0.2))
        if rng.random() < 0.5:
            parts.append(
                line(
                    curve((x, -up - 0.06), (x + 0.05, -up - 0.12), (x + 0.01, -up - 0.17), (x + 0.07, -up - 0.23)),
                    (224, 226, 230),
                    thickness=0.03,
                )
            )
    parts.append(fill(box(-wide, -0.01, wide, tall), wall, bulge=0.15))
    parts.append(fill(shape((-wide - eaves, 0), (-ridge, -roof), (ridge, -roof), (wide + eaves, 0)), tiles, bulge=0.2))
    entry, high = rng.uniform(-0.35, 0.35) * wide, tall * rng.uniform(0.5, 0.65)
    parts.append(fill(box(entry - 0.055, tall - high, entry + 0.055, tall), door, bulge=0.2))
    parts.append(fill(ellipse(entry + 0.033, tall - high * 0.45, 0.01), GOLD))
    for side in (-1, 1):
        x, half, y = side * wide * 0.66, rng.uniform(0.045, 0.07), tall * 0.32
        if abs(x - entry) < half + 0.06:
            continue
        parts.append(fill(box(x - half, y - half, x + half, y + half), GLASS, bulge=0.2))
        parts += [line(shape((x, y - half), (x, y + half)), WHITE), line(shape((x - half, y), (x + half, y)), WHITE)]
    if rng.random() < 0.4:
        parts.append(fill(ellipse(0, -roof * 0.42, 0.05), GLASS, bulge=0.2))
    return parts


def ice_cream(rng: np.random.Generator) -> list[Part]:
    """Scoops of ice cream in a wafer cone."""
    scoops, radius, cone = int(rng.integers(1, 4)), rng.uniform(0.15, 0.2), rng.uniform(0.38, 0.52)
    flavours = ((240, 206, 214), CREAM, (120, 80, 58), (180, 214, 170), (246, 226, 150), (200, 110, 130))
    parts = [fill(shape((-radius * 0.95, 0), (radius * 0.95, 0), (0, cone)), (214, 164, 98), bulge=0.4)]
    lines = int(rng.integers(2, 5))
    for k in range(1, lines + 1):  # the wafer's grid: each line runs from the rim to the opposite side
        x = radius * 0.95 * (2 * k / (lines + 1) - 1)
        for side in (-1, 1):
            depth = (radius * 0.95 + side * x) / (2 * radius * 0.95)
            parts.append(
                line(shape((x, 0.0), (x - side * depth * radius * 0.95, cone * depth)), (170, 118, 66), thickness=0.01)
            )
    for scoop in range(scoops):
        y, size = -radius * (0.4 + 1.15 * scoop), radius * (1.08 - 0.12 * scoop)
        top = ellipse(0, y, size, size, start=-0.3, stop=0.3)
        (right, low), drips = top[-1].tolist(), int(rng.integers(3, 6))
        t = np.linspace(1, -1, 6 * drips + 1)
        fringe = np.stack([right * t, low + 0.045 * np.abs(np.sin(np.pi * drips * (t + 1) / 2))], axis=1)
        parts.append(fill(np.concatenate([top, fringe[1:-1]]), one_of(rng, flavours), bulge=0.9))
    if rng.random() < 0.5:
        y = -radius * (0.4 + 1.15 * (scoops - 1)) - radius * 1.1
        parts += [
            line(curve((0, y), (0.03, y - 0.08), (0.08, y - 0.12)), (90, 120, 60)),
            fill(ellipse(0, y - 0.01, 0.05), RED, bulge=0.9),
        ]
    return parts


def ladder(rng: np.random.Generator) -> list[Part]:
    """A ladder, leaning a little."""
    wood = one_of(rng, (WOOD, METAL, (206, 160, 100), RED))
    foot, top, tall, thick = rng.uniform((0.15, 0.1, 0.85, 0.02), (0.22, 0.15, 1.0, 0.03))
    rungs = int(rng.integers(4, 8))
    parts = []
    for share in ((np.arange(rungs) + 0.6) / (rungs + 0.2)).tolist():
        half, y = foot + (top - foot) * share, -tall * share
        parts.append(fill(box(-half, y - 0.02, half, y + 0.02), wood, bulge=0.3))
    for low, high in ((-foot, -top), (foot, top)):
        rail = shape((low - thick, 0), (high - thick, -tall), (high + thick, -tall), (low + thick, 0))
        parts.append(fill(rail, darker(wood, 0.9), bulge=0.3))
    return turned(parts, rng.uniform(-0.3, 0.3))


def umbrella(rng: np.random.Generator) -> list[Part]:
    """An open umbrella with a crooked handle."""
    first, second = one_of(rng, PAINTS), one_of(rng, PAINTS)
    wide, tall, pole, crook = rng.uniform((0.36, 0.26, 0.36, 0.05), (0.46, 0.42, 0.5, 0.09))
    parts = [
        line(
            np.concatenate(
                [shape((0, -tall - 0.07), (0, pole)), ellipse(crook, pole, crook, start=-0.25, stop=-0.75)[1:]]
            ),
            BLACK,
            thickness=0.026,
        )
    ]
    panels = int(rng.choice((3, 4, 5, 6)))
    edges = np.sin(np.linspace(-np.pi / 2, np.pi / 2, panels + 1)) * wide
    ribs = [curve((0, -tall), (x * 0.72, -tall * 0.72), (x, 0)) for x in edges.tolist()]
    for number, (left, right) in enumerate(pairwise(ribs)):
        (x0, _), (x1, _) = left[-1], right[-1]
        scallop = ellipse((x0 + x1) / 2, 0, (x1 - x0) / 2, 0.05, start=-0.25, stop=0.25)
        parts.append(
            fill(np.concatenate([left, scallop[1:-1], right[::-1]]), second if number % 2 else first, bulge=0.3)
        )
    return turned(parts, rng.normal(0, 0.2))


COMPOSERS: tuple[Callable[[np.random.Generator], list[Part]], ...] = (
    airplane,
    bicycle,
    boat,
    car,
    guitar,
    house,
    ice_cream,
    ladder,
    umbrella,
)
