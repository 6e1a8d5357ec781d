"""Photographs of incidents, drawn: a street at some hour and, in the middle, what is wrong there."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import Image

from demo.drawing.canvas import Canvas, Colour, mix
from demo.drawing.street import BLACK, Light, car, cone, houses, lamp, sign, tree

SIZES = ((640, 480), (800, 600), (960, 640), (1024, 768), (1200, 800), (960, 720))
HOURS: tuple[tuple[Colour, Colour, Light], ...] = (
    ((104, 164, 220), (206, 226, 240), Light((255, 250, 236), 0.04, lamps=False)),
    ((78, 140, 206), (238, 226, 206), Light((255, 226, 180), 0.12, lamps=False)),
    ((150, 160, 172), (206, 210, 214), Light((150, 158, 168), 0.22, lamps=False)),
    ((86, 84, 140), (250, 164, 104), Light((226, 120, 78), 0.26, lamps=True)),
    ((30, 38, 78), (126, 96, 128), Light((48, 46, 92), 0.46, lamps=True)),
    ((10, 14, 34), (34, 42, 74), Light((18, 22, 48), 0.6, lamps=True)),
)
"""Sky at the top, sky at the horizon, and the light of the hour."""

NIGHT_ONLY = frozenset({"street-light"})


def scene(seed: str, category: str) -> Image.Image:
    """The street scene of this seed, showing an incident of this category."""
    source = random.Random(seed)
    width, height = source.choice(SIZES)
    canvas = Canvas(width, height)
    top, horizon, light = HOURS[source.choice((3, 4, 5) if category in NIGHT_ONLY else (0, 0, 1, 1, 2, 3, 4))]
    pavement = canvas.height * source.uniform(0.6, 0.66)
    kerb = pavement + canvas.height * 0.065
    _sky(canvas, source, light, (top, horizon), pavement)
    houses(canvas, source, light, pavement)
    _ground(canvas, source, light, pavement, kerb)
    _furniture(canvas, source, light, pavement + (kerb - pavement) * 0.5, category)
    _traffic(canvas, source, light, kerb, category)
    SUBJECTS[category](canvas, source, light, kerb)
    return canvas.finished(source, grain=source.uniform(0.03, 0.07))


def _sky(canvas: Canvas, source: random.Random, light: Light, colours: tuple[Colour, Colour], ground: float) -> None:
    top, horizon = colours
    canvas.gradient(top, horizon, 0, ground)
    x, y = source.uniform(120, 880), ground * source.uniform(0.14, 0.3)
    if light.share > 0.4:
        canvas.glow(x, y, 90, (220, 226, 244), 0.35)
        canvas.ellipse(x, y, 22, 22, (232, 234, 240))
        for _ in range(50):
            canvas.ellipse(source.uniform(0, 1000), source.uniform(0, ground * 0.5), 1.3, 1.3, (214, 218, 236))
    else:
        canvas.glow(x, y, 260, mix(horizon, (255, 250, 220), 0.6), 0.7)
    puffs = []
    for _ in range(source.randrange(2, 6)):
        cx, cy = source.uniform(0, 1000), ground * source.uniform(0.05, 0.4)
        puffs += [
            (cx + source.uniform(-80, 80), cy + source.uniform(-12, 12), source.uniform(30, 80), 18) for _ in range(6)
        ]
    canvas.soft(puffs, mix(horizon, (255, 255, 255), 0.55), 14, 200 if light.share < 0.4 else 70)


def _ground(canvas: Canvas, source: random.Random, light: Light, pavement: float, kerb: float) -> None:
    canvas.gradient(light.on((168, 164, 158)), light.on((188, 184, 176)), pavement, kerb)
    seam = light.on((140, 136, 130))
    for joint in range(-20, 1040, 46):
        canvas.line(((joint + 10, pavement), (joint - 6, kerb)), seam, 1.5)
    asphalt = source.choice(((74, 76, 82), (86, 86, 90), (66, 68, 76)))
    canvas.gradient(
        light.on(mix(asphalt, (255, 255, 255), 0.1)), light.on(mix(asphalt, BLACK, 0.2)), kerb, canvas.height
    )
    canvas.box(0, kerb - 5, 1000, kerb + 5, light.on((206, 204, 198)))
    canvas.box(0, kerb + 5, 1000, kerb + 11, light.on(mix(asphalt, BLACK, 0.45)))
    middle = kerb + (canvas.height - kerb) * 0.56
    start = source.uniform(-100, 0)
    for dash in range(8):
        x = start + dash * 160
        canvas.polygon(
            ((x, middle), (x + 86, middle), (x + 82, middle + 9), (x - 6, middle + 9)), light.on((226, 222, 206))
        )
    for _ in range(90):
        x, y = source.uniform(0, 1000), source.uniform(kerb + 14, canvas.height)
        canvas.ellipse(
            x, y, source.uniform(1, 5), 1.2, light.on(mix(asphalt, source.choice((BLACK, (200, 200, 200))), 0.2))
        )


def _furniture(canvas: Canvas, source: random.Random, light: Light, line: float, category: str) -> None:
    for x in sorted(source.sample(range(40, 980, 94), source.randrange(2, 5))):
        tree(canvas, source, light, x, line)
    if category != "street-light":
        lamp(canvas, light, source.choice((150, 820)), line + 8, works=True)


def _traffic(canvas: Canvas, source: random.Random, light: Light, kerb: float, category: str) -> None:
    if category == "accident":
        return
    lane = kerb + (canvas.height - kerb) * 0.3
    places = (40, 960) if category == "illegal-parking" else (90, 330, 640, 900)
    for x in source.sample(places, source.randrange(1, 3)):
        car(canvas, source, light, x + source.uniform(-30, 30), lane, 0.92)


def _pothole(canvas: Canvas, source: random.Random, light: Light, kerb: float) -> None:
    x, y = source.uniform(380, 620), kerb + (canvas.height - kerb) * 0.77
    for across, colour in ((150, (112, 108, 102)), (136, (48, 46, 46)), (108, (28, 27, 28))):
        points = []
        for step in range(22):
            angle, reach = math.tau * step / 22, across * source.uniform(0.84, 1.08)
            points.append((x + math.cos(angle) * reach, y + math.sin(angle) * reach * 0.32))
        canvas.polygon(points, light.on(colour))
    canvas.ellipse(x + 16, y + 9, 62, 14, light.on((92, 112, 128)))
    for _ in range(7):
        angle = source.uniform(0, math.tau)
        start = (x + math.cos(angle) * 136, y + math.sin(angle) * 44)
        bend = (start[0] + math.cos(angle) * 40, start[1] + math.sin(angle) * 8 + source.uniform(-8, 8))
        canvas.line(
            (start, bend, (bend[0] + math.cos(angle) * 34, bend[1] + source.uniform(-9, 9))), light.on((36, 36, 38)), 3
        )
    if source.random() < 0.5:
        cone(canvas, light, x + source.choice((-190, 190)), y + 14)


def _parked(canvas: Canvas, source: random.Random, light: Light, kerb: float) -> None:
    x = source.uniform(360, 620)
    sign(canvas, light, x + source.choice((-210, 210)), kerb - 8, "no-parking")
    car(canvas, source, light, x, kerb + 12, 1.3)


def _dark_lamp(canvas: Canvas, source: random.Random, light: Light, kerb: float) -> None:
    broken = source.uniform(400, 560)
    lamp(canvas, light, broken - 330, kerb, works=True)
    lamp(canvas, light, broken + 330, kerb, works=True)
    lamp(canvas, light, broken, kerb, works=False)


def _collision(canvas: Canvas, source: random.Random, light: Light, kerb: float) -> None:
    lane = kerb + (canvas.height - kerb) * 0.5
    x = source.uniform(420, 560)
    car(canvas, source, light, x - 142, lane, 1.25)
    car(canvas, source, light, x + 146, lane + 16, 1.25)
    for _ in range(40):
        shard = light.on(source.choice(((210, 224, 232), (60, 60, 64), (190, 60, 50))))
        canvas.ellipse(x + source.gauss(0, 60), lane + source.uniform(6, 46), source.uniform(2, 7), 2.4, shard)
    for place in (-330, 340):
        cone(canvas, light, x + place, lane + source.uniform(40, 60))


def _hazard(canvas: Canvas, source: random.Random, light: Light, kerb: float) -> None:
    x, y = source.uniform(400, 600), kerb + (canvas.height - kerb) * 0.74
    if source.random() < 0.5:
        for shift, colour in ((0, (30, 30, 36)), (6, (70, 62, 104)), (12, (52, 92, 104)), (18, (34, 34, 40))):
            canvas.ellipse(x + shift, y, 170 - shift * 4, 34 - shift, light.on(colour))
    else:
        bark = light.on((92, 66, 46))
        canvas.line(((x - 200, y + 16), (x - 40, y - 6), (x + 190, y + 10)), bark, 16)
        for _ in range(9):
            start = x + source.uniform(-150, 170)
            end = (start + source.uniform(-60, 60), y + source.uniform(-70, 40))
            canvas.line(((start, y), end), bark, 5)
            for _ in range(6):
                leaf = light.on(mix((78, 128, 62), BLACK, source.uniform(0, 0.3)))
                canvas.ellipse(end[0] + source.gauss(0, 16), end[1] + source.gauss(0, 10), 11, 7, leaf)
    sign(canvas, light, x + source.choice((-320, 320)), y + 30, "warning")
    cone(canvas, light, x + source.choice((-230, 230)), y + 46)


def _broken_sign(canvas: Canvas, source: random.Random, light: Light, kerb: float) -> None:
    x = source.uniform(380, 600)
    sign(
        canvas, light, x, kerb - 6, source.choice(("stop", "limit", "warning")), lean=source.choice((-74, -50, 58, 80))
    )
    for _ in range(8):
        canvas.ellipse(x + source.gauss(0, 20), kerb - 8, source.uniform(3, 8), 3, light.on((120, 100, 84)))


SUBJECTS: dict[str, Callable[[Canvas, random.Random, Light, float], None]] = {
    "pothole": _pothole,
    "illegal-parking": _parked,
    "street-light": _dark_lamp,
    "accident": _collision,
    "road-hazard": _hazard,
    "traffic-sign": _broken_sign,
}
