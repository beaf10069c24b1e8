"""Doodles of things about the house: each function composes one kind from shapes, its proportions from `rng`."""

from collections.abc import Callable

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
    one_of,
    rotate,
    shape,
    turned,
)


def book(rng: np.random.Generator) -> list[Part]:
    """An open book."""
    cover = one_of(rng, PAINTS)
    wide, tall, lift, lean = rng.uniform((0.34, 0.36, 0.04, 0.0), (0.46, 0.52, 0.12, 0.08))
    edge, rise = wide + 0.03, 0.04 - lift - lean
    parts = [
        fill(shape((0, 0.05), (x, rise), (x, tall + rise), (0, tall + 0.05)), cover, bulge=0.1) for x in (-edge, edge)
    ]
    lines = int(rng.integers(2, 5))
    for side in (-1, 1):
        top = curve((0, 0), (side * wide * 0.35, -lift), (side * wide, -lift * 0.6 - lean))
        parts.append(fill(np.concatenate([top, top[::-1] + np.array([0, tall])]), WHITE, bulge=0.2))
        for y in np.linspace(0.2, 0.8, lines).tolist():
            inset = top[3:-3] * (0.92, 1) + np.array([side * wide * 0.03, tall * y])
            parts.append(line(inset[: len(inset) if rng.random() < 0.8 else 11], GREY, thickness=0.01))
    return parts


def chair(rng: np.random.Generator) -> list[Part]:
    """A wooden chair, seen a little from above."""
    wood, seat_colour = one_of(rng, (WOOD, CREAM, GREY, RED, BLUE)), one_of(rng, (WOOD, RED, BLUE, CREAM))
    wide, deep, tall, leg, thick = rng.uniform((0.17, 0.1, 0.38, 0.28, 0.018), (0.22, 0.15, 0.52, 0.38, 0.026))
    skew = rng.uniform(0.06, 0.12)
    parts = [
        fill(box(x + skew - thick, -deep, x + skew + thick, leg - deep * 0.8), darker(wood, 0.8), bulge=0.2)
        for x in (-wide, wide)
    ]
    left, right, top = skew - wide, skew + wide, -deep - tall
    parts += [fill(box(x - thick, top, x + thick, -deep + 0.03), wood, bulge=0.2) for x in (left, right)]
    if rng.random() < 0.5:
        heights = (-deep - tall * np.linspace(0.12, 0.95, int(rng.integers(2, 4)))).tolist()
        parts += [fill(box(left, y - 0.035, right, y + 0.03), wood, bulge=0.2) for y in heights]
    else:
        parts += [
            fill(box(x - 0.012, top + 0.05, x + 0.012, -deep), wood, bulge=0.2)
            for x in np.linspace(left, right, int(rng.integers(4, 6))).tolist()[1:-1]
        ]
        parts.append(fill(box(left - thick, top, right + thick, top + 0.09), wood, bulge=0.2))
    parts += [fill(box(x - thick, 0.02, x + thick, leg), wood, bulge=0.2) for x in (-wide, wide)]
    parts.append(fill(box(-wide - thick, 0.02, wide + thick, 0.06), darker(seat_colour, 0.8), bulge=0.1))
    seat = shape((left - thick, -deep), (right + thick, -deep), (wide + thick, 0.02), (-wide - thick, 0.02))
    return [*parts, fill(seat, seat_colour, bulge=0.2)]


def clock(rng: np.random.Generator) -> list[Part]:
    """A round clock, on a wall or an alarm clock on its feet."""
    rim = one_of(rng, PAINTS)
    radius, edge = 0.36, rng.uniform(0.03, 0.07)
    parts = []
    if rng.random() < 0.5:
        for side in (-1, 1):
            parts.append(line(shape((side * 0.2, 0.28), (side * 0.28, 0.44)), METAL, thickness=0.04))
            bell = rotate(ellipse(0, -radius - 0.03, 0.13, 0.11, start=-0.25, stop=0.25), side * 0.6)
            parts.append(fill(bell, METAL, bulge=0.8))
        parts.append(line(shape((0, -radius), (0, -radius - 0.1)), METAL, thickness=0.03))
    parts += [fill(ellipse(0, 0, radius), rim, bulge=0.6), fill(ellipse(0, 0, radius - edge), WHITE, bulge=0.2)]
    marks = int(rng.choice((4, 12, 12)))
    for mark in range(marks):
        stroke = shape((0, -radius + edge + 0.02), (0, -radius + edge + 0.06))
        parts.append(line(rotate(stroke, 2 * np.pi * mark / marks), BLACK, thickness=0.014))
    minute, hour = rng.uniform(0, 2 * np.pi, 2)
    for angle, reach in ((minute, 0.21), (hour, 0.13)):
        parts.append(line(rotate(shape((0, 0), (0, -reach)), angle), BLACK, thickness=0.022))
    parts.append(fill(ellipse(0, 0, 0.02), BLACK))
    return parts


def cup(rng: np.random.Generator) -> list[Part]:
    """A cup with a handle, often on a saucer, often steaming."""
    china = one_of(rng, (*PAINTS, WHITE, WHITE))
    wide, tall, taper, lip = rng.uniform((0.2, 0.3, -0.02, 0.03), (0.3, 0.46, 0.08, 0.07))
    foot = wide - taper
    handle = rng.uniform(0.1, 0.16)
    parts = []
    if rng.random() < 0.5:
        parts.append(fill(ellipse(0, tall + 0.01, wide * 1.5, 0.07), WHITE, bulge=0.4))
    grip = curve(
        (wide * 0.9, tall * 0.18),
        (wide + handle, tall * 0.15),
        (wide + handle * 1.15, tall * 0.45),
        (wide * 0.85, tall * 0.72),
    )
    hole = curve(
        (wide * 0.9, tall * 0.3),
        (wide + handle * 0.6, tall * 0.28),
        (wide + handle * 0.7, tall * 0.45),
        (wide * 0.85, tall * 0.6),
    )
    parts.append(fill(np.concatenate([grip, hole[::-1]]), china, bulge=0.4))
    base = ellipse(0, tall, foot, lip * 0.7, start=0.25, stop=0.75)
    parts.append(fill(np.concatenate([shape((-wide, 0), (wide, 0)), base]), china, bulge=0.7))
    parts.append(fill(ellipse(0, 0, wide, lip), darker(china, 0.85), bulge=0.1))
    if rng.random() < 0.6:
        parts.append(fill(ellipse(0, lip * 0.15, wide * 0.86, lip * 0.68), (104, 66, 40), bulge=0.1))
    for x in np.linspace(-0.1, 0.1, int(rng.choice((0, 2, 3)))).tolist():
        steam = curve((x, -0.08), (x + 0.035, -0.14), (x - 0.02, -0.21), (x + 0.02, -0.29))
        parts.append(line(steam, (226, 228, 232), thickness=0.016))
    if rng.random() < 0.35:
        parts += [
            line(shape((-wide * 0.9, tall * y), (wide * 0.9, tall * y)), darker(china), thickness=0.02)
            for y in (0.35, 0.45)
        ]
    return parts


def envelope(rng: np.random.Generator) -> list[Part]:
    """A letter from behind with its flap, or from the front with stamp and address."""
    paper = one_of(rng, (WHITE, CREAM, (214, 184, 140), (190, 210, 226)))
    wide, tall = rng.uniform((0.38, 0.22), (0.46, 0.3))
    parts = [fill(box(-wide, -tall, wide, tall), paper, bulge=0.1)]
    drop = rng.uniform(0.0, 0.3) * tall
    flap = shape((-wide, -tall), (wide, -tall), (0, drop))
    parts += [
        line(shape((side * wide, tall), (0, -drop * 0.4)), darker(paper, 0.8), thickness=0.01) for side in (-1, 1)
    ]
    parts.append(fill(flap, darker(paper, 0.95), bulge=0.1))
    if rng.random() < 0.5:
        parts.append(fill(ellipse(0, drop - 0.02, 0.05), RED, bulge=0.6))
    return parts


def hat(rng: np.random.Generator) -> list[Part]:
    """A hat with a brim and a ribbon: tall, round, or a wizard's."""
    felt, ribbon = one_of(rng, (BLACK, WOOD, GREY, *PAINTS)), one_of(rng, (RED, WHITE, YELLOW, BLUE))
    brim, wide, tall, droop = rng.uniform((0.36, 0.18, 0.26, 0.04), (0.48, 0.25, 0.44, 0.09))
    parts = [fill(ellipse(0, 0, brim, droop), felt, bulge=0.4)]
    form = rng.integers(3)
    foot = ellipse(0, 0, wide, droop * 0.6, start=0.25, stop=0.75)
    if form == 0:
        taper = rng.uniform(-0.04, 0.04)
        crown = np.concatenate([ellipse(0, -tall, wide - taper, droop * 0.5, start=-0.25, stop=0.25), foot])
    elif form == 1:
        crown = np.concatenate([ellipse(0, 0, wide, tall, start=-0.25, stop=0.25), foot[1:-1]])
    else:
        taper, tip = 0.0, rng.uniform(-0.12, 0.12)
        crown = np.concatenate([shape((-wide, 0), (tip, -tall * 1.5), (wide, 0)), foot[1:-1]])
    parts.append(fill(crown, felt, bulge=0.7))
    band = rng.uniform(0.07, 0.12)
    lean = {0: 0.0, 1: band * 0.12, 2: band * wide / (tall * 1.5)}[int(form)]
    upper = ellipse(0, -band, wide - lean, droop * 0.6, start=0.75, stop=0.25)
    parts.append(fill(np.concatenate([foot, upper]), ribbon, bulge=0.5))
    return parts


def key(rng: np.random.Generator) -> list[Part]:
    """A door key."""
    metal = one_of(rng, (GOLD, METAL, (176, 120, 80)))
    bow, shaft, thick = rng.uniform((0.12, 0.42, 0.022), (0.18, 0.6, 0.036))
    parts = []
    for tooth in range(int(rng.integers(2, 4))):
        x, long = bow + shaft - 0.05 - 0.085 * tooth, rng.uniform(0.08, 0.17)
        parts.append(fill(box(x - 0.028, thick * 0.5, x + 0.028, thick + long), metal, bulge=0.3))
    parts.append(fill(box(bow * 0.9, -thick, bow + shaft, thick), metal, bulge=0.4))
    if rng.random() < 0.5:
        parts.append(fill(box(bow + 0.03, -thick - 0.025, bow + 0.065, thick + 0.025), metal, bulge=0.3))
    form = rng.integers(3)
    if form == 0:
        parts += [
            fill(ellipse(0, 0, bow), metal, bulge=0.5),
            fill(ellipse(-bow * 0.1, 0, bow * rng.uniform(0.4, 0.62)), (96, 92, 92), bulge=0),
        ]
    elif form == 1:
        heart = curve(
            (bow, 0),
            (bow * 0.3, -bow),
            (-bow * 0.8, -bow * 0.85),
            (-bow * 0.75, 0),
            (-bow * 0.8, bow * 0.85),
            (bow * 0.3, bow),
            closed=True,
        )
        parts += [fill(heart, metal, bulge=0.5), fill(heart * 0.5, (96, 92, 92), bulge=0)]
    else:
        for x, y in ((-bow * 0.8, 0.0), (0.0, -bow * 0.7), (0.0, bow * 0.7)):
            parts += [
                fill(ellipse(x, y, bow * 0.55), metal, bulge=0.5),
                fill(ellipse(x, y, bow * 0.28), (96, 92, 92), bulge=0),
            ]
        parts.append(fill(ellipse(0, 0, bow * 0.4), metal, bulge=0.5))
    return turned(parts, rng.uniform(-0.9, 0.9))


def lamp(rng: np.random.Generator) -> list[Part]:
    """A table lamp with a shade."""
    cloth, stand = one_of(rng, (CREAM, YELLOW, *PAINTS)), one_of(rng, (METAL, WOOD, GOLD, BLACK, WHITE))
    wide, top, tall, pole, foot = rng.uniform((0.22, 0.09, 0.24, 0.22, 0.12), (0.34, 0.18, 0.36, 0.42, 0.2))
    parts = []
    if rng.random() < 0.5:
        parts.append(line(shape((wide * 0.45, 0), (wide * 0.45, rng.uniform(0.1, 0.2))), GREY, thickness=0.012))
    if rng.random() < 0.4:
        vase = curve(
            (-0.03, 0),
            (-0.03, pole * 0.25),
            (-0.12, pole * 0.65),
            (-0.07, pole),
            (0.07, pole),
            (0.12, pole * 0.65),
            (0.03, pole * 0.25),
            (0.03, 0),
            closed=True,
        )
        parts.append(fill(vase, one_of(rng, PAINTS), bulge=0.9))
    else:
        parts.append(fill(box(-0.022, -0.02, 0.022, pole), stand, bulge=0.5))
    parts.append(fill(ellipse(0, pole + 0.06, foot, 0.09, start=-0.25, stop=0.25), stand, bulge=0.6))
    shade = np.concatenate([shape((-top, -tall), (top, -tall)), curve((wide, 0), (0, 0.035), (-wide, 0))])
    parts.append(fill(shade, cloth, bulge=0.5))
    pleats = np.linspace(-1, 1, int(rng.choice((0, 5, 7)))).tolist()[1:-1]
    parts += [line(shape((top * x, -tall), (wide * x, 0.025)), darker(cloth, 0.8), thickness=0.008) for x in pleats]
    return parts


def scissors(rng: np.random.Generator) -> list[Part]:
    """A pair of scissors, more or less open."""
    grip = one_of(rng, PAINTS)
    spread, blade, ring, thick = rng.uniform((0.16, 0.38, 0.09, 0.035), (0.42, 0.52, 0.13, 0.05))
    parts = []
    for side in (-1, 1):
        edge = shape((-thick, 0.05), (-thick, -0.08), (thick * side * 0.4, -blade), (thick, -0.08), (thick, 0.05))
        parts.append(fill(rotate(edge, side * spread), METAL, bulge=0.3))
        shank = rotate(shape((0, 0.03), (0, 0.2)), side * spread)
        parts.append(line(shank, METAL, thickness=0.035))
        x, y = rotate(shape((-side * 0.03, 0.19 + ring)), side * spread)[0].tolist()
        loop = ellipse(x, y, ring * 0.8, ring * 1.1, tilt=side * spread)
        parts += [fill(loop, grip, bulge=0.4), fill((loop - (x, y)) * 0.58 + (x, y), (176, 172, 166), bulge=0)]
    parts.append(fill(ellipse(0, 0, 0.02), GREY))
    return turned(parts, rng.uniform(-1.2, 1.2))


def spectacles(rng: np.random.Generator) -> list[Part]:
    """A pair of spectacles from the front, the temples behind."""
    frame, lens = one_of(rng, (BLACK, WOOD, RED, GOLD, BLUE)), one_of(rng, (GLASS, GLASS, (90, 96, 110)))
    wide, tall, bridge, arm = rng.uniform((0.14, 0.11, 0.04, 0.1), (0.2, 0.18, 0.09, 0.22))
    round_lens = rng.random() < 0.55
    parts = []
    for side in (-1, 1):
        x = side * (bridge + wide)
        far = side * (bridge + 2 * wide)
        parts.append(
            line(
                curve(
                    (far, -tall * 0.4),
                    (far + side * 0.04, -tall * 0.6 - arm * 0.5),
                    (far - side * 0.02, -tall - arm),
                    (far - side * 0.06, -tall - arm * 0.7),
                ),
                frame,
                thickness=0.024,
            )
        )
        rim = (
            ellipse(x, 0, wide, tall)
            if round_lens
            else shape(
                (x - wide, -tall), (x + wide, -tall), (x + wide * 0.85, tall * 0.85), (x - wide * 0.85, tall * 0.85)
            )
        )
        parts += [fill(rim, frame, bulge=0.3), fill((rim - (x, 0)) * 0.84 + (x, 0), lens, bulge=0.2)]
        if rng.random() < 0.5:
            parts.append(line(shape((x - 0.05, 0.03), (x + 0.03, -0.06)), WHITE, thickness=0.012))
    parts.append(line(ellipse(0, -tall * 0.1, bridge * 1.15, 0.06, start=-0.25, stop=0.25), frame, thickness=0.026))
    return parts


def table(rng: np.random.Generator) -> list[Part]:
    """A table, its top seen from above at a slant, now and then with something on it."""
    wood = one_of(rng, (WOOD, (190, 140, 90), WHITE, GREY))
    wide, deep, leg, thick, skew = rng.uniform((0.34, 0.1, 0.3, 0.02, -0.06), (0.44, 0.18, 0.44, 0.035, 0.1))
    parts = [
        fill(
            box(x + skew - thick * 0.8, -deep * 0.3, x + skew + thick * 0.8, leg - deep * 0.9),
            darker(wood, 0.7),
            bulge=0.2,
        )
        for x in (-wide * 0.84, wide * 0.84)
    ]
    parts += [fill(box(x - thick, 0.03, x + thick, leg), wood, bulge=0.2) for x in (-wide * 0.94, wide * 0.94)]
    parts.append(fill(box(-wide, 0.0, wide, 0.055), darker(wood, 0.85), bulge=0.1))
    parts.append(
        fill(
            shape((-wide * 0.84 + skew, -deep), (wide * 0.84 + skew, -deep), (wide, 0.0), (-wide, 0.0)), wood, bulge=0.2
        )
    )
    if rng.random() < 0.4:
        x = rng.uniform(-0.5, 0.5) * wide
        parts += [
            line(
                curve((x, -deep * 0.5 - 0.12), (x + 0.02, -deep * 0.5 - 0.2), (x + 0.01, -deep * 0.5 - 0.25)),
                (80, 130, 70),
            ),
            fill(ellipse(x + 0.01, -deep * 0.5 - 0.27, 0.045), one_of(rng, PAINTS), bulge=0.7),
        ]
        parts.append(
            fill(
                box(x - 0.045, -deep * 0.5 - 0.14, x + 0.045, -deep * 0.5, taper=0.015), one_of(rng, PAINTS), bulge=0.7
            )
        )
    return parts


COMPOSERS: tuple[Callable[[np.random.Generator], list[Part]], ...] = (
    book,
    chair,
    clock,
    cup,
    envelope,
    hat,
    key,
    lamp,
    scissors,
    spectacles,
    table,
)
