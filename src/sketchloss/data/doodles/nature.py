"""Doodles of what grows and of the sky: each function composes one kind from shapes, its proportions from `rng`."""

from collections.abc import Callable

import numpy as np

from sketchloss.data.doodles.shapes import (
    BARK,
    BLACK,
    BLUE,
    CREAM,
    GOLD,
    LEAF,
    ORANGE,
    PINK,
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
    rotate,
    shape,
    turned,
)


def apple(rng: np.random.Generator) -> list[Part]:
    """An apple with its stalk, a leaf or two, and often a gleam."""
    wide, tall, dip = rng.uniform((0.34, 0.34, 0.04), (0.46, 0.42, 0.1))
    skin = one_of(rng, (RED, RED, LEAF, YELLOW, (176, 190, 70)))
    lean = rng.uniform(-0.1, 0.1)
    half = [(0, -tall + dip), (0.45 * wide, -tall), (0.95 * wide, -0.55 * tall), (0.95 * wide, 0.1 * tall)]
    half += [(0.6 * wide, 0.85 * tall), (0.2 * wide, tall), (0, tall - 0.04)]
    stalk = curve((0.0, -tall + dip + 0.03), (lean * 0.4, -tall - 0.06), (lean, -tall - 0.17))
    parts = [fill(curve(*mirrored(*half), closed=True), skin, bulge=1), line(stalk, BARK, thickness=0.03)]
    for side in rng.choice((-1, 1), size=rng.integers(1, 3), replace=False):
        reach = rng.uniform(0.16, 0.26)
        blade = curve(
            (0, -tall - 0.03),
            (side * reach * 0.5, -tall - 0.14),
            (side * reach, -tall - 0.12),
            (side * reach * 0.6, -tall - 0.02),
            closed=True,
        )
        parts.append(fill(blade, LEAF))
    if rng.random() < 0.6:
        parts.append(
            line(
                ellipse(0, 0, wide * 0.72, tall * 0.7, start=0.62, stop=0.62 + rng.uniform(0.08, 0.2)),
                darker(skin, 1.2),
            )
        )
    return parts


def cactus(rng: np.random.Generator) -> list[Part]:
    """A cactus with arms, mostly in a pot."""
    thick, tall = rng.uniform((0.09, 0.5), (0.14, 0.68))
    green = one_of(rng, (LEAF, (70, 130, 84), (120, 156, 84)))
    parts = []
    for side in rng.choice((-1, 1), size=rng.integers(1, 3), replace=False):
        height, out, up, arm = rng.uniform((0.3, 0.12, 0.14, 0.05), (0.55, 0.2, 0.28, 0.07))
        y, x = -tall * height, side * (thick + out)
        outline = curve(
            (side * thick * 0.5, y + arm),
            (x, y + arm),
            (x + side * arm, y),
            (x + side * arm, y - up),
            (x, y - up - arm),
            (x - side * arm, y - up),
            (x - side * arm, y - arm),
            (side * thick * 0.5, y - arm),
            closed=True,
        )
        parts.append(fill(outline, green, bulge=0.7))
    trunk = np.concatenate(
        [shape((thick, 0.02)), ellipse(0, -tall + thick, thick, start=0.25, stop=-0.25), shape((-thick, 0.02))]
    )
    parts.append(fill(trunk, green, bulge=0.8))
    for _ in range(int(rng.integers(5, 14))):
        x, y = rng.uniform((-0.7 * thick, -tall + thick), (0.7 * thick, -0.06))
        parts.append(line(shape((x, y), (x + 0.02, y - 0.035)), CREAM, thickness=0.008))
    if rng.random() < 0.75:
        wide, deep = rng.uniform((0.17, 0.18), (0.24, 0.28))
        pot = one_of(rng, (ORANGE, (188, 96, 64), BLUE, CREAM))
        parts += [
            fill(box(-wide * 0.85, 0.04, wide * 0.85, deep, taper=-0.03), pot),
            fill(box(-wide, -0.02, wide, 0.06), pot),
        ]
    else:
        parts.append(line(curve((-0.4, 0.02), (-0.1, 0.0), (0.15, 0.03), (0.42, 0.01)), WOOD, thickness=0.02))
    return parts


def flower(rng: np.random.Generator) -> list[Part]:
    """A flower with petals around a disc, on a stem with leaves."""
    petals = int(rng.integers(5, 10))
    long, heart, stem, bend = rng.uniform((0.15, 0.07, 0.45, -0.1), (0.23, 0.12, 0.66, 0.1))
    wide = min(0.62 * long, (long + heart) * np.sin(np.pi / petals) * rng.uniform(0.75, 1.05))
    colour = one_of(rng, (RED, PINK, YELLOW, WHITE, ORANGE, (150, 110, 190), BLUE))
    parts = [line(curve((0, 0), (bend, stem * 0.5), (bend * 0.4, stem)), LEAF, thickness=0.028)]
    for side in rng.choice((-1, 1), size=rng.integers(1, 3), replace=False):
        y, reach = stem * rng.uniform(0.5, 0.75), rng.uniform(0.17, 0.27)
        x = bend * 0.85
        parts.append(
            fill(
                curve(
                    (x, y),
                    (x + side * reach * 0.4, y - 0.11),
                    (x + side * reach, y - 0.13),
                    (x + side * reach * 0.65, y - 0.01),
                    closed=True,
                ),
                LEAF,
            )
        )
    phase = rng.uniform(0, 2 * np.pi)
    for petal in range(petals):
        outline = ellipse(0, -heart * 0.8 - long * 0.5, wide, long * 0.6)
        parts.append(fill(rotate(outline, phase + 2 * np.pi * petal / petals), colour, bulge=0.5))
    parts.append(fill(ellipse(0, 0, heart), one_of(rng, (YELLOW, BARK, ORANGE)), bulge=0.8))
    return parts


def leaf(rng: np.random.Generator) -> list[Part]:
    """One broad leaf with veins."""
    wide, widest, stalk, bend = rng.uniform((0.16, -0.05, 0.12, -0.06), (0.27, 0.14, 0.26, 0.06))
    green = one_of(rng, (LEAF, (150, 170, 60), ORANGE, RED, (60, 120, 70)))
    half = mirrored((wide * 0.6, -0.26), (wide, widest), (wide * 0.55, 0.3), (0, 0.4))
    blade = curve((bend, -0.5), *half, closed=True)
    parts = [fill(blade, green, bulge=0.3)]
    vein = darker(green, 0.72)
    parts.append(line(curve((bend, -0.42), (0, 0), (0, 0.4), (-bend, 0.4 + stalk)), vein, thickness=0.02))
    count = int(rng.integers(3, 6))
    for y in np.linspace(-0.22, 0.28, count).tolist():
        reach = wide * 0.72 * (1 - abs(y - widest) / 0.75)
        ribs = [curve((0, y), (x * 0.5, y - 0.07), (x, y - 0.11)) for x in (-reach, reach)]
        parts += [line(rib, vein, thickness=0.01) for rib in ribs]
    return turned(parts, rng.normal(0.5, 0.5))


def mushroom(rng: np.random.Generator) -> list[Part]:
    """A toadstool, with spots or gills."""
    wide, tall, stalk, foot = rng.uniform((0.3, 0.22, 0.07, 0.28), (0.44, 0.4, 0.13, 0.42))
    cap = one_of(rng, (RED, RED, ORANGE, (160, 112, 76), (140, 92, 140)))
    stem = curve(
        (-stalk, -0.04),
        (-stalk * 0.8, foot * 0.5),
        (-stalk * 1.3, foot),
        (0, foot + 0.03),
        (stalk * 1.3, foot),
        (stalk * 0.8, foot * 0.5),
        (stalk, -0.04),
        closed=True,
    )
    parts = [fill(stem, CREAM, bulge=0.8)]
    if rng.random() < 0.4:
        parts.append(
            fill(
                curve(
                    (-stalk, foot * 0.3),
                    (-stalk * 1.5, foot * 0.5),
                    (0, foot * 0.56),
                    (stalk * 1.5, foot * 0.5),
                    (stalk, foot * 0.3),
                    closed=True,
                ),
                WHITE,
            )
        )
    rim = rng.uniform(0.0, 0.07)
    dome = ellipse(0, 0, wide, tall, start=-0.25, stop=0.25)
    parts.append(fill(np.concatenate([dome, curve((wide, 0), (0, rim), (-wide, 0))[1:-1]]), cap, bulge=0.8))
    for x, y, radius in (
        (-0.5, -0.35, 0.05),
        (0.05, -0.68, 0.06),
        (0.52, -0.4, 0.055),
        (0.05, -0.22, 0.04),
        (-0.3, -0.72, 0.03),
    )[: int(rng.integers(2, 6))]:
        size = radius * rng.uniform(0.8, 1.3)
        parts.append(fill(ellipse(x * wide, y * tall, size, size * 0.8), WHITE))
    if rng.random() < 0.5:
        parts += [
            line(curve((x, foot + 0.04), (x + rng.normal(0, 0.02), foot - rng.uniform(0.04, 0.1))), LEAF)
            for x in (-0.24, -0.19, 0.2, 0.26)
        ]
    return parts


def star(rng: np.random.Generator) -> list[Part]:
    """A star with five points, now and then six, plump or sharp."""
    points = int(rng.choice((5, 5, 5, 6)))
    inner = rng.uniform(0.38, 0.55) * (1.15 if points == 6 else 1)
    angles = np.pi * np.arange(2 * points) / points
    reach = np.where(np.arange(2 * points) % 2 == 0, 0.45, 0.45 * inner)
    outline = np.stack([reach * np.sin(angles), -reach * np.cos(angles)], axis=1)
    colour = one_of(rng, (YELLOW, YELLOW, GOLD, RED, ORANGE))
    parts = [fill(outline, colour, bulge=0.7)]
    if rng.random() < 0.4:
        parts += [fill(ellipse(side * 0.08, -0.05, 0.02, 0.032), BLACK) for side in (-1, 1)]
        parts.append(line(ellipse(0, 0.03, 0.1, 0.07, start=0.32, stop=0.68), BLACK, thickness=0.018))
    elif rng.random() < 0.4:
        parts.append(fill(outline * rng.uniform(0.5, 0.7), darker(colour, 1.1)))
    return turned(parts, rng.normal(0, 0.25))


def sun(rng: np.random.Generator) -> list[Part]:
    """The sun: a disc, its rays lines or triangles, sometimes a face."""
    radius, gap, long = rng.uniform((0.17, 0.02, 0.1), (0.25, 0.07, 0.2))
    rays, pointed, uneven = int(rng.integers(8, 15)), rng.random() < 0.45, rng.uniform(0.5, 1)
    parts = []
    for ray in range(rays):
        reach = long * (uneven if ray % 2 else 1)
        if pointed:
            half = np.pi * (radius + gap * 0.5) / rays * 0.8
            outline = shape((-half, -radius - gap * 0.4), (0, -radius - gap - reach), (half, -radius - gap * 0.4))
            parts.append(fill(rotate(outline, 2 * np.pi * ray / rays), ORANGE, bulge=0.2))
        else:
            stroke = shape((0, -radius - gap), (0, -radius - gap - reach))
            parts.append(line(rotate(stroke, 2 * np.pi * ray / rays), ORANGE, thickness=0.025))
    parts.append(fill(ellipse(0, 0, radius), YELLOW, bulge=0.8))
    if rng.random() < 0.45:
        parts += [fill(ellipse(side * radius * 0.38, -radius * 0.2, 0.018, 0.028), BLACK) for side in (-1, 1)]
        parts.append(line(ellipse(0, 0, radius * 0.6, radius * 0.55, start=0.32, stop=0.68), BLACK, thickness=0.018))
    return parts


def tree(rng: np.random.Generator) -> list[Part]:
    """A tree: a fir in tiers, or a trunk under a crown of bumps."""
    green = one_of(rng, (LEAF, (60, 126, 70), (120, 150, 60), (206, 140, 60)))
    trunk, height, flare = rng.uniform((0.035, 0.24, 0.02), (0.07, 0.38, 0.06))
    parts = [
        fill(
            shape(
                (-trunk, -0.1),
                (trunk, -0.1),
                (trunk + flare * 0.4, height * 0.8),
                (trunk + flare, height),
                (-trunk - flare, height),
                (-trunk - flare * 0.4, height * 0.8),
            ),
            BARK,
        )
    ]
    if rng.random() < 0.35:
        tiers, wide = int(rng.integers(2, 5)), rng.uniform(0.22, 0.34)
        step = 0.62 / tiers
        for tier in range(tiers):
            y, half = 0.08 - tier * step, wide * (1 - 0.62 * tier / tiers)
            parts.append(fill(shape((0, y - step * 1.55), (half, y), (-half, y)), green, bulge=0.4))
    else:
        bumps, wide, tall = int(rng.integers(6, 11)), rng.uniform(0.26, 0.38), rng.uniform(0.22, 0.33)
        angles = 2 * np.pi * (np.arange(bumps) + rng.uniform(-0.15, 0.15, bumps)) / bumps
        depth = rng.uniform(0.14, 0.3)
        t = np.linspace(0, 1, 9)[:-1]
        arcs = []
        for start, stop in zip(angles, [*angles[1:], angles[0] + 2 * np.pi], strict=True):
            angle = start + (stop - start) * t
            out = 0.85 + depth * np.sqrt(np.sin(np.pi * t))
            arcs.append(np.stack([wide * out * np.sin(angle), -0.3 - tall * out * np.cos(angle)], axis=1))
        parts.append(fill(np.concatenate(arcs), green, bulge=0.8))
        fruit = one_of(rng, (RED, ORANGE, YELLOW))
        for _ in range(int(rng.choice((0, 0, 5)))):
            x, y = rng.uniform(-0.6, 0.6, 2)
            parts.append(fill(ellipse(x * wide, -0.3 + y * tall, 0.028), fruit))
        for side in rng.choice((-1, 0, 1), size=rng.integers(0, 3), replace=False):
            x, y = side * wide * 0.4, -0.3 - 0.2 * side * tall
            parts.append(line(ellipse(x, y, wide * 0.25, tall * 0.2, start=0.3, stop=0.7), darker(green)))
    if rng.random() < 0.4:
        parts.append(
            line(
                curve((-0.36, height), (-0.1, height + 0.015), (0.12, height - 0.01), (0.38, height + 0.01)),
                LEAF,
                thickness=0.02,
            )
        )
    return parts


COMPOSERS: tuple[Callable[[np.random.Generator], list[Part]], ...] = (
    apple,
    cactus,
    flower,
    leaf,
    mushroom,
    star,
    sun,
    tree,
)
