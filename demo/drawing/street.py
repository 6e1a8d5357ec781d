"""The things that stand in a street: houses, trees, lamps, signs, cars."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from demo.drawing.canvas import Canvas, Colour, Point, mix

WALLS: tuple[Colour, ...] = (
    (196, 120, 92), (222, 190, 150), (168, 178, 186), (206, 160, 110), (178, 96, 82), (226, 214, 196), (140, 156, 148),
    (204, 176, 186),
)  # fmt: skip
ROOFS: tuple[Colour, ...] = ((112, 58, 48), (78, 74, 80), (130, 80, 58), (64, 70, 84))
PAINTS: tuple[Colour, ...] = (
    (196, 48, 44), (40, 96, 168), (236, 238, 240), (60, 64, 70), (232, 178, 48), (46, 120, 96), (150, 158, 168),
    (214, 110, 52),
)  # fmt: skip
LEAVES: tuple[Colour, ...] = ((70, 122, 62), (96, 142, 70), (58, 104, 74), (176, 120, 50))
LIT: Colour = (255, 214, 140)
BLACK: Colour = (16, 18, 22)


@dataclass(frozen=True, slots=True)
class Light:
    """The hour: what every colour is tinted with, by how much, and whether lamps are on."""

    tint: Colour
    share: float
    lamps: bool

    def on(self, colour: Colour) -> Colour:
        """`colour` as it looks in this light."""
        return mix(colour, self.tint, self.share)


def houses(canvas: Canvas, source: random.Random, light: Light, ground: float) -> None:
    """A closed row of houses along the pavement."""
    x = -source.uniform(0, 60)
    while x < 1000:
        width = source.uniform(110, 210)
        _house(canvas, source, light, x, x + width, ground)
        x += width + source.choice((0, 0, 0, 26))


def _house(canvas: Canvas, source: random.Random, light: Light, left: float, right: float, ground: float) -> None:
    floors = source.choice((2, 2, 3, 3, 4))
    storey = ground * 0.155
    top = ground - floors * storey - 12
    wall = source.choice(WALLS)
    roof = light.on(source.choice(ROOFS))
    canvas.box(left, top, right, ground, light.on(wall))
    canvas.box(right - 9, top, right, ground, light.on(mix(wall, BLACK, 0.22)))
    match source.choice(("gable", "hip", "flat")):
        case "gable":
            canvas.polygon(((left - 7, top), ((left + right) / 2, top - storey * 0.75), (right + 7, top)), roof)
        case "hip":
            canvas.polygon(((left - 6, top), (left + 24, top - 34), (right - 24, top - 34), (right + 6, top)), roof)
        case _:
            canvas.box(left - 4, top - 9, right + 4, top + 3, roof)
    _windows(canvas, source, light, (left, right), (ground, storey, floors), wall)
    _ground_floor(canvas, source, light, (left, right), ground, storey)


def _windows(
    canvas: Canvas,
    source: random.Random,
    light: Light,
    walls: tuple[float, float],
    storeys: tuple[float, float, int],
    wall: Colour,
) -> None:
    left, right = walls
    ground, storey, floors = storeys
    columns = max(2, int((right - left) // 52))
    step = (right - left) / columns
    frame = light.on(mix(wall, (255, 255, 255), 0.55))
    for floor in range(1, floors):
        bottom = ground - floor * storey - storey * 0.18
        for column in range(columns):
            x = left + step * (column + 0.5)
            warm = source.random() < (0.55 if light.lamps else 0.06)
            glass = LIT if warm else light.on((96, 124, 148))
            canvas.box(x - 15, bottom - storey * 0.62, x + 15, bottom + 3, frame)
            canvas.box(x - 12, bottom - storey * 0.58, x + 12, bottom, glass)
            canvas.line(((x, bottom - storey * 0.58), (x, bottom)), frame, 2)
            if not warm:
                shine = light.on((150, 178, 196))
                canvas.polygon(((x - 12, bottom), (x - 12, bottom - 20), (x - 2, bottom - storey * 0.58)), shine)


def _ground_floor(
    canvas: Canvas, source: random.Random, light: Light, walls: tuple[float, float], ground: float, storey: float
) -> None:
    left, right = walls
    door = left + (right - left) * source.choice((0.24, 0.5, 0.76))
    if source.random() < 0.4:
        canvas.box(left + 8, ground - storey * 0.82, right - 14, ground - 6, light.on((52, 58, 66)))
        glass = mix(LIT, (180, 120, 60), 0.25) if light.lamps else light.on((120, 150, 168))
        canvas.box(left + 13, ground - storey * 0.76, right - 19, ground - 12, glass)
        _awning(canvas, source, light, left, right, ground - storey * 0.9)
    canvas.box(door - 17, ground - storey * 0.74, door + 17, ground, light.on((58, 44, 40)))
    canvas.box(door - 13, ground - storey * 0.7, door + 13, ground, light.on(source.choice(PAINTS)))
    canvas.ellipse(door + 8, ground - storey * 0.32, 2, 2, light.on((230, 210, 150)))


def _awning(canvas: Canvas, source: random.Random, light: Light, left: float, right: float, top: float) -> None:
    colour = source.choice(PAINTS)
    stripe = (right - left - 4) / 8
    for number in range(8):
        shade = colour if number % 2 else (244, 240, 232)
        x = left + 2 + number * stripe
        canvas.polygon(((x, top), (x + stripe, top), (x + stripe + 1, top + 26), (x - 1, top + 26)), light.on(shade))


def tree(canvas: Canvas, source: random.Random, light: Light, x: float, ground: float) -> None:
    height = ground * source.uniform(0.3, 0.46)
    leaf = source.choice(LEAVES)
    canvas.polygon(
        ((x - 7, ground), (x - 4, ground - height), (x + 4, ground - height), (x + 7, ground)), light.on((84, 62, 46))
    )
    for layer in (0.28, 0.12, 0.0):
        for _ in range(11):
            angle, distance = source.uniform(0, math.tau), source.uniform(0, 40)
            radius = source.uniform(15, 31)
            colour = light.on(mix(leaf, BLACK, layer + source.uniform(0, 0.08)))
            lift = height + 12 - layer * 90
            canvas.ellipse(
                x + math.cos(angle) * distance, ground - lift + math.sin(angle) * distance * 0.9, radius, radius, colour
            )


def lamp(canvas: Canvas, light: Light, x: float, ground: float, *, works: bool) -> None:
    """A street lamp; on a dark street a working one glows."""
    top = ground * 0.34
    steel = light.on((70, 76, 84))
    canvas.box(x - 8, ground - 16, x + 8, ground, steel)
    canvas.box(x - 3.5, top, x + 3.5, ground, steel)
    canvas.arc(x + 30, top, 30, 180, 285, steel, 7)
    canvas.box(x + 22, top - 36, x + 66, top - 27, steel, round_by=4)
    shines = works and light.lamps
    canvas.box(x + 30, top - 28, x + 60, top - 22, (255, 240, 196) if shines else light.on((120, 126, 130)))
    if shines:
        canvas.glow(x + 45, top - 20, 150, (255, 226, 150), 0.55)


def sign(canvas: Canvas, light: Light, x: float, ground: float, kind: str, *, lean: float = 0) -> None:
    """A traffic sign (`stop`, `limit`, `no-parking`, `warning`) on a pole that leans by `lean` units."""
    top = ground - 178
    centre = (x + lean, top)
    canvas.line(((x, ground), centre), light.on((150, 156, 162)), 8)
    cx, cy = centre
    red, white = light.on((204, 32, 38)), light.on((246, 246, 244))
    match kind:
        case "stop":
            corners = [math.radians(22.5 + 45 * step) + lean / 160 for step in range(8)]
            canvas.polygon([(cx + 42 * math.cos(a), cy + 42 * math.sin(a)) for a in corners], white)
            canvas.polygon([(cx + 37 * math.cos(a), cy + 37 * math.sin(a)) for a in corners], red)
            canvas.box(cx - 23, cy - 6, cx + 23, cy + 6, white)
        case "limit":
            canvas.ellipse(cx, cy, 40, 40, red)
            canvas.ellipse(cx, cy, 30, 30, white)
            _thirty(canvas, cx, cy, light.on(BLACK))
        case "no-parking":
            canvas.ellipse(cx, cy, 40, 40, red)
            canvas.ellipse(cx, cy, 31, 31, light.on((34, 78, 160)))
            canvas.line(((cx - 23, cy - 23), (cx + 23, cy + 23)), red, 9)
        case _:
            canvas.polygon(((cx, cy - 46), (cx + 46, cy + 32), (cx - 46, cy + 32)), red)
            canvas.polygon(((cx, cy - 30), (cx + 31, cy + 23), (cx - 31, cy + 23)), white)
            canvas.box(cx - 4, cy - 14, cx + 4, cy + 8, light.on(BLACK))
            canvas.ellipse(cx, cy + 15, 4, 4, light.on(BLACK))


def _thirty(canvas: Canvas, x: float, y: float, colour: Colour) -> None:
    canvas.arc(x - 11, y - 7, 7, 200, 90, colour, 4)
    canvas.arc(x - 11, y + 7, 7, 270, 160, colour, 4)
    canvas.ellipse(x + 11, y, 9, 14, colour)
    canvas.ellipse(x + 11, y, 4.5, 9.5, (238, 238, 236))


def car(canvas: Canvas, source: random.Random, light: Light, x: float, ground: float, size: float = 1.0) -> None:
    """A car seen from the side, its middle at `x`, wheels on `ground`; some are vans."""
    paint = source.choice(PAINTS)
    van = source.random() < 0.22
    facing = source.choice((-1, 1))
    body, shade = light.on(paint), light.on(mix(paint, BLACK, 0.3))
    glass = light.on((70, 96, 116))

    def at(dx: float, dy: float) -> tuple[float, float]:
        return x + facing * dx * size, ground - dy * size

    canvas.soft(((x, ground, 122 * size, 9 * size),), BLACK, 5, 150)
    roof = 112 if van else 90
    if van:
        cabin = [at(-108, 50), at(-108, roof), at(36, roof), at(70, 62), at(112, 54)]
        panes = [
            [at(18, 60), at(18, roof - 10), at(34, roof - 10), at(56, 60)],
            [at(-30, 64), at(-30, 102), at(8, 102), at(8, 64)],
        ]
    else:
        cabin = [at(-82, 56), at(-56, roof), at(22, roof), at(62, 56)]
        panes = [
            [at(-68, 57), at(-49, roof - 7), at(-18, roof - 7), at(-18, 57)],
            [at(-10, 57), at(-10, roof - 7), at(18, roof - 7), at(48, 57)],
        ]
    canvas.polygon(cabin, body)
    canvas.polygon((at(-112, 18), at(-112, 48), at(-96, 58), at(66, 58), at(108, 46), at(116, 34), at(116, 18)), body)
    canvas.polygon((at(-112, 18), at(-112, 30), at(116, 30), at(116, 18)), shade)
    for pane in panes:
        canvas.polygon(pane, glass)
    _car_details(canvas, light, at, size, shade)


def _car_details(canvas: Canvas, light: Light, at: Callable[[float, float], Point], size: float, shade: Colour) -> None:
    for wheel in (-66, 68):
        wx, wy = at(wheel, 20)
        canvas.ellipse(wx, wy, 25 * size, 25 * size, shade)
        canvas.ellipse(wx, wy, 21 * size, 21 * size, light.on((24, 26, 30)))
        canvas.ellipse(wx, wy, 11 * size, 11 * size, light.on((164, 170, 176)))
        canvas.ellipse(wx, wy, 4 * size, 4 * size, light.on((90, 94, 100)))
    canvas.line((at(-14, 56), at(-14, 26)), shade, 2 * size)
    canvas.line((at(-8, 46), at(4, 46)), shade, 3 * size)
    front, back = at(109, 39), at(-110, 42)
    canvas.ellipse(*front, 7 * size, 5 * size, (255, 244, 206) if light.lamps else light.on((232, 232, 220)))
    canvas.ellipse(*back, 4 * size, 7 * size, light.on((190, 36, 36)))
    if light.lamps:
        canvas.glow(*front, 60 * size, (255, 240, 190), 0.5)


def cone(canvas: Canvas, light: Light, x: float, ground: float) -> None:
    orange, white = light.on((240, 104, 32)), light.on((248, 246, 240))
    canvas.box(x - 26, ground - 7, x + 26, ground, orange, round_by=3)
    canvas.polygon(((x - 18, ground - 7), (x - 4, ground - 66), (x + 4, ground - 66), (x + 18, ground - 7)), orange)
    canvas.polygon(((x - 12, ground - 30), (x - 8, ground - 46), (x + 8, ground - 46), (x + 12, ground - 30)), white)
