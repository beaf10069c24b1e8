"""Doodles of made things: each function composes one kind from shapes, its proportions from `rng`."""

from collections.abc import Callable

import numpy as np

from sketchloss.data.doodle_shapes import (
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
    spokes = int(rng.choice((0, 4, 6)))
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


def book(rng: np.random.Generator) -> list[Part]:
    """An open book."""
    cover = one_of(rng, PAINTS)
    wide, tall, lift, lean = rng.uniform((0.34, 0.36, 0.04, 0.0), (0.46, 0.52, 0.12, 0.08))
    parts = []
    for side in (-1, 1):
        parts.append(
            fill(
                shape(
                    (0, 0.05),
                    (side * (wide + 0.03), -lift + 0.04 - lean),
                    (side * (wide + 0.03), tall - lift + 0.04 - lean),
                    (0, tall + 0.05),
                ),
                cover,
                bulge=0.1,
            )
        )
    lines = int(rng.integers(3, 6))
    for side in (-1, 1):
        top = curve((0, 0), (side * wide * 0.35, -lift), (side * wide, -lift * 0.6 - lean))
        parts.append(fill(np.concatenate([top, (top + (0, tall))[::-1]]), WHITE, bulge=0.2))
        for y in np.linspace(0.2, 0.8, lines).tolist():
            inset = top[3:-3] * (0.92, 1) + (side * wide * 0.03, tall * y)
            parts.append(line(inset[: len(inset) if rng.random() < 0.8 else 11], GREY, thickness=0.01))
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


def chair(rng: np.random.Generator) -> list[Part]:
    """A wooden chair, seen a little from above."""
    wood, seat_colour = one_of(rng, (WOOD, CREAM, GREY, RED, BLUE)), one_of(rng, (WOOD, RED, BLUE, CREAM))
    wide, deep, tall, leg, thick = rng.uniform((0.17, 0.1, 0.38, 0.28, 0.018), (0.22, 0.15, 0.52, 0.38, 0.026))
    skew = rng.uniform(0.06, 0.12)
    parts = [
        fill(box(x + skew - thick, -deep, x + skew + thick, leg - deep * 0.8), darker(wood, 0.8), bulge=0.2)
        for x in (-wide, wide)
    ]
    for x in (-wide, wide):
        parts.append(fill(box(x + skew - thick, -deep - tall, x + skew + thick, -deep + 0.03), wood, bulge=0.2))
    if rng.random() < 0.5:
        for y in np.linspace(0.12, 0.95, int(rng.integers(2, 4))).tolist():
            parts.append(
                fill(box(-wide + skew, -deep - tall * y - 0.035, wide + skew, -deep - tall * y + 0.03), wood, bulge=0.2)
            )
    else:
        parts += [
            fill(box(x + skew - 0.012, -deep - tall + 0.05, x + skew + 0.012, -deep), wood, bulge=0.2)
            for x in np.linspace(-wide, wide, int(rng.integers(4, 6))).tolist()[1:-1]
        ]
        parts.append(
            fill(box(-wide + skew - thick, -deep - tall, wide + skew + thick, -deep - tall + 0.09), wood, bulge=0.2)
        )
    for x in (-wide, wide):
        parts.append(fill(box(x - thick, 0.02, x + thick, leg), wood, bulge=0.2))
    parts.append(fill(box(-wide - thick, 0.02, wide + thick, 0.06), darker(seat_colour, 0.8), bulge=0.1))
    parts.append(
        fill(
            shape(
                (-wide + skew - thick, -deep), (wide + skew + thick, -deep), (wide + thick, 0.02), (-wide - thick, 0.02)
            ),
            seat_colour,
            bulge=0.2,
        )
    )
    return parts


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
    wide, tall = rng.uniform((0.36, 0.22), (0.46, 0.32))
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


def guitar(rng: np.random.Generator) -> list[Part]:
    """An acoustic guitar."""
    wood = one_of(rng, (WOOD, (206, 150, 84), RED, (120, 66, 44)))
    lower, upper, waist, neck = rng.uniform((0.17, 0.12, 0.09, 0.34), (0.22, 0.16, 0.12, 0.46))
    half = [(0.0, -0.17), (upper * 0.8, -0.13), (upper, -0.02), (waist, 0.1), (lower, 0.26), (lower * 0.75, 0.4)]
    body = curve(*half, (0.0, 0.43), *[(-x, y) for x, y in half[:0:-1]], closed=True)
    parts = [fill(body, wood, bulge=0.5), fill(ellipse(0, 0.07, 0.062), BLACK, bulge=0.1)]
    parts.append(fill(box(-0.08, 0.27, 0.08, 0.305), darker(wood, 0.5), bulge=0.2))
    parts.append(fill(box(-0.026, -0.17 - neck, 0.026, 0.02), (90, 60, 44), bulge=0.2))
    pegs = int(rng.integers(2, 4))
    for y in np.linspace(-0.2 - neck, -0.28 - neck, pegs).tolist():
        parts.append(line(shape((-0.075, y), (0.075, y)), METAL, thickness=0.018))
    parts.append(fill(box(-0.034, -0.32 - neck, 0.034, -0.17 - neck, taper=-0.012), darker(wood, 0.7), bulge=0.2))
    for y in np.linspace(-0.12 - neck, -0.2, int(rng.integers(0, 6))).tolist():
        parts.append(line(shape((-0.026, y), (0.026, y)), METAL, thickness=0.006))
    for x in (-0.012, 0.012) if rng.random() < 0.5 else (-0.016, 0.0, 0.016):
        parts.append(line(shape((x, -0.17 - neck), (x * 1.3, 0.28)), METAL, thickness=0.005))
    return turned(parts, rng.uniform(-0.9, 0.9))


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
    band = rng.uniform(0.05, 0.09)
    lean = {0: 0.0, 1: band * 0.12, 2: band * wide / (tall * 1.5)}[int(form)]
    upper = ellipse(0, -band, wide - lean, droop * 0.6, start=0.75, stop=0.25)
    parts.append(fill(np.concatenate([foot, upper]), ribbon, bulge=0.5))
    return parts


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


def ladder(rng: np.random.Generator) -> list[Part]:
    """A ladder, leaning a little."""
    wood = one_of(rng, (WOOD, METAL, (206, 160, 100), RED))
    foot, top, tall, thick = rng.uniform((0.15, 0.1, 0.85, 0.02), (0.22, 0.15, 1.0, 0.03))
    rungs = int(rng.integers(4, 8))
    parts = []
    for share in ((np.arange(rungs) + 0.6) / (rungs + 0.2)).tolist():
        half, y = foot + (top - foot) * share, -tall * share
        parts.append(fill(box(-half, y - 0.02, half, y + 0.02), wood, bulge=0.3))
    for side in (-1, 1):
        parts.append(
            fill(
                shape(
                    (side * foot - thick, 0),
                    (side * top - thick, -tall),
                    (side * top + thick, -tall),
                    (side * foot + thick, 0),
                ),
                darker(wood, 0.9),
                bulge=0.3,
            )
        )
    return turned(parts, rng.uniform(-0.3, 0.3))


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
    parts.append(fill(np.concatenate([ellipse(0, pole + 0.06, foot, 0.09, start=-0.25, stop=0.25)]), stand, bulge=0.6))
    shade = np.concatenate([shape((-top, -tall), (top, -tall)), curve((wide, 0), (0, 0.035), (-wide, 0))])
    parts.append(fill(shade, cloth, bulge=0.5))
    for x in np.linspace(-1, 1, int(rng.choice((0, 5, 7)))).tolist()[1:-1]:
        parts.append(line(shape((top * x, -tall), (wide * x, 0.025)), darker(cloth, 0.8), thickness=0.008))
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
    for number, (left, right) in enumerate(zip(ribs, ribs[1:], strict=False)):
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
    book,
    car,
    chair,
    clock,
    cup,
    envelope,
    guitar,
    hat,
    house,
    ice_cream,
    key,
    ladder,
    lamp,
    scissors,
    spectacles,
    table,
    umbrella,
)
