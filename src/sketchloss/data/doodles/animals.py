"""Doodles of animals and people: each function composes one kind from shapes, its proportions from `rng`."""

from collections.abc import Callable

import numpy as np

from sketchloss.data.doodles.shapes import (
    BARK,
    BLACK,
    BLUE,
    CREAM,
    GREY,
    LEAF,
    ORANGE,
    PAINTS,
    PINK,
    RED,
    SKIN,
    WHITE,
    YELLOW,
    Colour,
    Part,
    curve,
    darker,
    ellipse,
    fill,
    line,
    one_of,
    rotate,
    shape,
    turned,
)

FURS: tuple[Colour, ...] = (GREY, ORANGE, BARK, CREAM, (90, 88, 96), (196, 150, 108))


def _eye(x: float, y: float, radius: float, *, open_wide: bool) -> list[Part]:
    if not open_wide:
        return [fill(ellipse(x, y, radius * 0.5), BLACK)]
    return [fill(ellipse(x, y, radius), WHITE), fill(ellipse(x, y, radius * 0.4), BLACK)]


def bird(rng: np.random.Generator) -> list[Part]:
    """A small bird from the side, standing."""
    feathers = one_of(rng, PAINTS)
    fat, head, tail, lift = rng.uniform((0.17, 0.1, 0.18, -0.08), (0.25, 0.15, 0.36, 0.12))
    head_x, head_y = 0.27, -fat - 0.04
    parts = [
        line(shape((x, fat * 0.8), (x + 0.02, fat + 0.2), (x + 0.09, fat + 0.21)), ORANGE, thickness=0.02)
        for x in (-0.02, 0.08)
    ]
    parts.append(
        fill(
            shape((-0.2, -0.04), (-0.26 - tail, -0.06 - lift), (-0.24 - tail, 0.07 - lift), (-0.16, 0.09)),
            darker(feathers),
        )
    )
    body = curve(
        (0.3, -0.12),
        (0.27, 0.08),
        (0.08, fat),
        (-0.16, fat * 0.7),
        (-0.3, -0.02),
        (-0.12, -0.6 * fat),
        (0.12, -fat),
        closed=True,
    )
    parts.append(fill(body, feathers, bulge=0.8))
    beak = rng.uniform(0.09, 0.2)
    parts.append(
        fill(
            shape(
                (head_x + head * 0.8, head_y - 0.04),
                (head_x + head + beak, head_y + 0.02),
                (head_x + head * 0.8, head_y + 0.06),
            ),
            ORANGE,
        )
    )
    parts.append(fill(ellipse(head_x, head_y, head), feathers, bulge=0.9))
    parts += _eye(head_x + head * 0.35, head_y - head * 0.15, 0.04, open_wide=bool(rng.random() < 0.4))
    wing = rng.uniform(0.2, 0.34)
    parts.append(
        fill(
            curve((0.1, -0.05), (0.06, 0.09), (-0.08, 0.11), (-wing, 0.02 - lift), (-0.05, -0.09), closed=True),
            darker(feathers, 0.8),
        )
    )
    for feather in range(int(rng.integers(0, 4))):
        x = 0.03 - 0.07 * feather
        parts.append(line(curve((x, 0.0), (x - 0.03, 0.035), (x - 0.08, 0.03)), darker(feathers, 0.5)))
    return parts


def butterfly(rng: np.random.Generator) -> list[Part]:
    """A butterfly from above, wings spread."""
    upper, lower = one_of(rng, PAINTS), one_of(rng, PAINTS)
    span, rise, low_span, drop = rng.uniform((0.34, 0.24, 0.22, 0.24), (0.48, 0.42, 0.36, 0.38))
    spots = rng.integers(0, 3)
    parts = []
    for side in (-1, 1):
        parts.append(
            fill(
                curve(
                    (side * 0.03, 0.04),
                    (side * low_span, 0.08),
                    (side * low_span * 0.95, drop),
                    (side * 0.12, drop * 0.9),
                    closed=True,
                ),
                lower,
                bulge=0.4,
            )
        )
        parts.append(
            fill(
                curve(
                    (side * 0.03, 0.03),
                    (side * 0.1, -rise * 0.7),
                    (side * span * 0.85, -rise),
                    (side * span, -rise * 0.3),
                    (side * span * 0.7, 0.07),
                    closed=True,
                ),
                upper,
                bulge=0.4,
            )
        )
        if spots:
            parts.append(fill(ellipse(side * span * 0.66, -rise * 0.5, 0.07), lower))
        if spots > 1:
            parts.append(fill(ellipse(side * low_span * 0.6, drop * 0.55, 0.05), upper))
        parts.append(line(curve((side * 0.01, -0.15), (side * 0.05, -0.25), (side * 0.12, -0.32)), BLACK))
    parts.append(fill(ellipse(0, 0.03, 0.035, 0.19), BLACK))
    parts.append(fill(ellipse(0, -0.17, 0.045), BLACK))
    return turned(parts, rng.normal(0, 0.25))


def cat(rng: np.random.Generator) -> list[Part]:
    """The face of a cat."""
    fur = one_of(rng, FURS)
    wide, tall, ear, apart = rng.uniform((0.3, 0.24, 0.18, 0.4), (0.4, 0.33, 0.3, 0.6))
    parts = []
    for side in (-1, 1):
        outer, inner, tip = (
            (side * wide * 0.93, -tall * 0.2),
            (side * wide * 0.25, -tall * 0.85),
            (side * wide * rng.uniform(0.75, 1), -tall * 0.75 - ear),
        )
        parts.append(fill(shape(outer, tip, inner), fur))
        if rng.random() < 0.6:
            middle = np.mean([outer, inner, tip], axis=0)
            parts.append(fill(middle + (shape(outer, tip, inner) - middle) * 0.55, PINK))
    parts.append(fill(ellipse(0, 0, wide, tall), fur, bulge=0.8))
    eye, slit = rng.uniform((0.05, 0.008), (0.085, 0.03))
    iris = one_of(rng, (YELLOW, LEAF, (150, 190, 120), WHITE))
    for side in (-1, 1):
        x, y = side * wide * apart, -tall * 0.15
        parts += [fill(ellipse(x, y, eye, eye * 0.85), iris), fill(ellipse(x, y, slit, eye * 0.7), BLACK)]
        for whisker in range(int(rng.integers(2, 4))):
            start, drop = (side * wide * 0.35, tall * (0.32 + 0.12 * whisker)), tall * (0.1 + 0.28 * whisker)
            end = (side * wide * rng.uniform(1.2, 1.5), drop)
            parts.append(
                line(
                    curve(start, ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 - 0.015), end),
                    WHITE,
                    thickness=0.007,
                )
            )
        parts.append(
            line(
                curve(
                    (0, tall * 0.36), (side * 0.015, tall * 0.5), (side * 0.06, tall * 0.55), (side * 0.1, tall * 0.46)
                ),
                BLACK,
            )
        )
    parts.append(fill(shape((-0.04, tall * 0.2), (0.04, tall * 0.2), (0, tall * 0.36)), PINK))
    for stripe in range(int(rng.choice((0, 0, 3)))):
        x = (stripe - 1) * 0.06
        parts.append(line(shape((x, -tall * 0.92), (x * 0.8, -tall * 0.55)), darker(fur), thickness=0.02))
    return parts


def fish(rng: np.random.Generator) -> list[Part]:
    """A fish from the side."""
    scales = one_of(rng, PAINTS)
    long, deep, fork, spread = rng.uniform((0.3, 0.16, 0.04, 0.13), (0.42, 0.27, 0.14, 0.24))
    fin = darker(scales, 0.8)
    tail = shape((-long * 0.8, 0), (-long - 0.24, -spread), (-long - 0.24 + fork, 0), (-long - 0.24, spread))
    parts = [fill(tail, fin, bulge=0.2)]
    height = rng.uniform(0.06, 0.16)
    parts.append(
        fill(
            curve((-long * 0.5, -deep * 0.5), (-long * 0.2, -deep - height), (long * 0.3, -deep * 0.8), closed=True),
            fin,
            bulge=0.2,
        )
    )
    parts.append(
        fill(
            curve(
                (-long * 0.2, deep * 0.8), (-long * 0.3, deep + height * 0.7), (long * 0.15, deep * 0.9), closed=True
            ),
            fin,
            bulge=0.2,
        )
    )
    body = curve(
        (long, 0.01),
        (long * 0.6, -deep * 0.75),
        (0, -deep),
        (-long * 0.6, -deep * 0.5),
        (-long, 0),
        (-long * 0.6, deep * 0.5),
        (0, deep),
        (long * 0.6, deep * 0.75),
        closed=True,
    )
    parts.append(fill(body, scales, bulge=0.9))
    parts.append(line(ellipse(long * 0.2, 0, 0.1, deep * 0.72, start=0.05, stop=0.45), fin))
    parts += _eye(long * 0.62, -deep * 0.22, rng.uniform(0.035, 0.06), open_wide=bool(rng.random() < 0.7))
    parts.append(line(curve((long * 0.97, 0.04), (long * 0.85, 0.07), (long * 0.76, 0.05)), BLACK))
    for row in range(int(rng.integers(0, 4))):
        x = long * (0.08 - 0.24 * row)
        for y in (-deep * 0.35, deep * 0.25):
            parts.append(line(ellipse(x, y, 0.05, 0.06, start=0.05, stop=0.45), fin, thickness=0.01))
    if rng.random() < 0.4:
        parts += [
            fill(ellipse(long + 0.08 + 0.05 * k, -0.1 - 0.11 * k, 0.025 + 0.01 * k), (206, 226, 236)) for k in range(3)
        ]
    return turned(parts, rng.normal(0, 0.12))


def person(rng: np.random.Generator) -> list[Part]:
    """A standing person, arms at some angle."""
    shirt, trousers, hair = (
        one_of(rng, PAINTS),
        one_of(rng, (BLUE, BARK, GREY, BLACK)),
        one_of(rng, (BLACK, BARK, YELLOW, ORANGE)),
    )
    head, shoulder, hip, leg, stance = rng.uniform((0.085, 0.1, 0.08, 0.3, 0.04), (0.12, 0.15, 0.13, 0.42, 0.12))
    skirt = rng.random() < 0.35
    body = 0.3
    parts = []
    for side in (-1, 1):
        foot = side * (hip * 0.5 + stance)
        limb = shape(
            (side * hip * 0.95, body),
            (foot + side * 0.045, body + leg),
            (foot - side * 0.035, body + leg),
            (side * 0.005, body + 0.06),
        )
        parts += [
            fill(limb, SKIN if skirt else trousers),
            fill(ellipse(foot + side * 0.03, body + leg + 0.015, 0.065, 0.03), BLACK),
        ]
    for side in (-1, 1):
        angle = rng.uniform(0.15, 2.4)
        arm = 0.3 * np.array([side * np.sin(angle), np.cos(angle)])
        root = np.array([side * (shoulder - 0.03), 0.05])
        across = 0.032 * np.array([np.cos(angle), -side * np.sin(angle)])
        parts.append(fill(np.stack([root - across, root + arm - across, root + arm + across, root + across]), shirt))
        hand_x, hand_y = (root + arm * 1.08).tolist()
        parts.append(fill(ellipse(hand_x, hand_y, 0.04), SKIN))
    if skirt:
        parts.append(
            fill(
                shape(
                    (-shoulder, 0.0),
                    (shoulder, 0.0),
                    (hip * 0.8, 0.17),
                    (hip * 1.9, body + 0.14),
                    (-hip * 1.9, body + 0.14),
                    (-hip * 0.8, 0.17),
                ),
                shirt,
            )
        )
    else:
        parts.append(fill(shape((-shoulder, 0.0), (shoulder, 0.0), (hip, body + 0.02), (-hip, body + 0.02)), shirt))
    y = -head - 0.015
    if skirt or rng.random() < 0.3:
        parts.insert(
            0,
            fill(
                curve(
                    (0, y - head * 1.2),
                    (head * 1.2, y),
                    (head * 1.15, y + head * 1.5),
                    (-head * 1.15, y + head * 1.5),
                    (-head * 1.2, y),
                    closed=True,
                ),
                hair,
            ),
        )
    parts.append(fill(ellipse(0, y, head * 0.92, head), SKIN, bulge=0.8))
    parts.append(
        fill(
            np.concatenate(
                [
                    ellipse(0, y, head * 0.98, head * 1.06, start=-0.2, stop=0.2),
                    curve((head * 0.5, y - head * 0.45), (-head * 0.5, y - head * 0.5)),
                ]
            ),
            hair,
        )
    )
    parts += [fill(ellipse(side * head * 0.36, y, 0.01), BLACK) for side in (-1, 1)]
    parts.append(
        line(ellipse(0, y + head * 0.2, head * 0.45, head * 0.35, start=0.33, stop=0.67), RED, thickness=0.012)
    )
    return parts


def rabbit(rng: np.random.Generator) -> list[Part]:
    """A rabbit from the front, sitting, its ears up or one of them folded."""
    fur = one_of(rng, (WHITE, GREY, (190, 160, 130), BARK))
    ear, slim, head, fat = rng.uniform((0.26, 0.05, 0.14, 0.19), (0.4, 0.075, 0.18, 0.27))
    parts = [fill(ellipse(0, 0.33, fat, 0.26), fur, bulge=0.8)]
    parts.append(fill(ellipse(0, 0.38, fat * 0.6, 0.17), WHITE, bulge=0.4))
    for side in (-1, 1):
        parts.append(fill(ellipse(side * fat * 0.62, 0.57, 0.1, 0.055), fur))
        tilt = side * rng.uniform(0.05, 0.45)
        root = np.array([side * head * 0.45, -head * 0.75])
        for width, length, colour in ((slim, ear * 0.55, fur), (slim * 0.5, ear * 0.4, PINK)):
            parts.append(fill(root + rotate(ellipse(0, -ear * 0.5, width, length), tilt), colour))
    parts.append(fill(ellipse(0, 0, head * 1.05, head), fur, bulge=0.8))
    for side in (-1, 1):
        parts += _eye(side * head * 0.42, -head * 0.15, 0.035, open_wide=False)
        for rise in (-0.02, 0.03):
            parts.append(
                line(
                    shape((side * head * 0.3, head * 0.35), (side * head * 1.3, head * 0.3 + rise)),
                    GREY,
                    thickness=0.007,
                )
            )
        parts.append(
            line(curve((0, head * 0.35), (side * 0.02, head * 0.5), (side * 0.05, head * 0.45)), BLACK, thickness=0.01)
        )
    parts.append(fill(ellipse(0, head * 0.27, 0.026, 0.018), PINK))
    return parts


def snail(rng: np.random.Generator) -> list[Part]:
    """A snail with a spiral shell."""
    shell, slug = one_of(rng, PAINTS), one_of(rng, ((196, 170, 120), (170, 150, 130), (180, 180, 110)))
    radius, turns, neck = rng.uniform((0.2, 1.8, 0.2), (0.29, 2.8, 0.32))
    parts = []
    for x in (0.36, 0.45):
        parts.append(
            line(curve((x, -neck * 0.6), (x + 0.01, -neck - 0.06), (x + 0.03, -neck - 0.13)), slug, thickness=0.018)
        )
        parts.append(fill(ellipse(x + 0.03, -neck - 0.14, 0.02), BLACK))
    body = curve(
        (-0.52, 0.2),
        (-0.25, 0.1),
        (0.15, 0.08),
        (0.3, -0.02),
        (0.33, -neck),
        (0.43, -neck - 0.02),
        (0.49, -neck * 0.6),
        (0.46, 0.06),
        (0.36, 0.2),
        (0.0, 0.21),
        closed=True,
    )
    parts.append(fill(body, slug, bulge=0.5))
    x, y = -0.06, 0.1 - radius * 0.85
    parts.append(fill(ellipse(x, y, radius, radius * 0.95), shell, bulge=0.9))
    t = np.linspace(0, 1, 60)
    angle = 2 * np.pi * (0.4 - turns * t)
    reach = radius * (1 - t) ** 0.9
    spiral = np.stack([x + reach * np.sin(angle), y - 0.95 * reach * np.cos(angle)], axis=1)
    parts.append(line(spiral[4:], darker(shell), thickness=0.022))
    parts.append(line(curve((0.47, -neck * 0.45), (0.43, -neck * 0.35), (0.4, -neck * 0.4)), BLACK, thickness=0.01))
    return parts


COMPOSERS: tuple[Callable[[np.random.Generator], list[Part]], ...] = (
    bird,
    butterfly,
    cat,
    fish,
    person,
    rabbit,
    snail,
)
