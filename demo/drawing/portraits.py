"""Portraits for people who do not exist."""

from __future__ import annotations

import random

from PIL import Image

from demo.drawing.canvas import Canvas, Colour, mix

SIZE = 192
BACKDROPS: tuple[tuple[Colour, Colour], ...] = (
    ((255, 190, 120), (236, 110, 110)), ((120, 200, 220), (70, 110, 200)), ((170, 220, 150), (60, 150, 130)),
    ((220, 170, 240), (130, 100, 210)), ((250, 220, 130), (240, 150, 70)), ((190, 200, 215), (110, 125, 150)),
)  # fmt: skip
SKINS: tuple[Colour, ...] = ((255, 219, 188), (240, 190, 150), (208, 150, 108), (160, 106, 72), (110, 70, 48))
HAIR: tuple[Colour, ...] = ((38, 30, 28), (84, 54, 36), (150, 98, 50), (214, 170, 96), (120, 120, 124), (140, 52, 36))
SHIRTS: tuple[Colour, ...] = ((44, 74, 120), (180, 60, 60), (50, 110, 84), (230, 230, 226), (90, 70, 120), (40, 42, 48))
BEARDED = frozenset({"short", "bald"})


def portrait(seed: str) -> Image.Image:
    """The portrait of this seed."""
    source = random.Random(seed)
    canvas = Canvas(SIZE, SIZE)
    top, bottom = source.choice(BACKDROPS)
    skin, hair, shirt = source.choice(SKINS), source.choice(HAIR), source.choice(SHIRTS)
    cut = source.choice(("short", "long", "bun", "bald", "curly"))
    canvas.gradient(top, bottom, 0, 1000)
    canvas.glow(300, 260, 520, (255, 255, 255), 0.35)
    _hair_behind(canvas, source, hair, cut)
    canvas.ellipse(500, 1060, 370, 330, shirt)
    canvas.box(420, 600, 580, 800, mix(skin, (90, 40, 30), 0.18), round_by=60)
    canvas.ellipse(500, 800, 96, 60, mix(skin, (90, 40, 30), 0.12))
    for side in (-1, 1):
        canvas.ellipse(500 + side * 204, 500, 36, 54, mix(skin, (120, 50, 40), 0.14))
    canvas.ellipse(500, 480, 206, 246, skin)
    _hair_in_front(canvas, source, hair, cut)
    _face(canvas, source, skin, hair, beard=cut in BEARDED and source.random() < 0.35)
    return canvas.finished(source, grain=0.02)


def _hair_behind(canvas: Canvas, source: random.Random, hair: Colour, cut: str) -> None:
    if cut == "long":
        canvas.box(262, 300, 738, 830, mix(hair, (0, 0, 0), 0.2), round_by=200)
    elif cut == "bun":
        canvas.ellipse(500, 180, 110, 100, hair)
    elif cut == "curly":
        for _ in range(34):
            canvas.ellipse(500 + source.uniform(-230, 230), 360 + source.uniform(-190, 150), 84, 84, hair)


def _hair_in_front(canvas: Canvas, source: random.Random, hair: Colour, cut: str) -> None:
    if cut == "bald":
        return
    parting = source.uniform(380, 620)
    left = [(284, 500), (274, 380), (320, 270), (430, 214), (parting, 222), (parting - 40, 330), (340, 400), (310, 470)]
    right = [
        (716, 500),
        (726, 380),
        (680, 270),
        (570, 214),
        (parting, 222),
        (parting + 50, 320),
        (670, 400),
        (690, 470),
    ]
    canvas.polygon(left, hair)
    canvas.polygon(right, hair)
    canvas.ellipse(500, 290, 196, 92, hair)


def _face(canvas: Canvas, source: random.Random, skin: Colour, hair: Colour, *, beard: bool) -> None:
    dark = mix(hair, (20, 16, 16), 0.6)
    for side in (-1, 1):
        x = 500 + side * 84
        canvas.ellipse(x, 500, 24, 27, (252, 252, 250))
        canvas.ellipse(x + 3, 503, 15, 18, (46, 34, 30))
        canvas.ellipse(x + 8, 496, 5, 5, (255, 255, 255))
        canvas.line(((x - 38, 446), (x, 434 - source.uniform(0, 8)), (x + 38, 446)), dark, 14)
        canvas.ellipse(500 + side * 122, 580, 38, 26, mix(skin, (230, 90, 90), 0.22))
    canvas.line(((500, 500), (488, 566), (508, 572)), mix(skin, (110, 50, 40), 0.34), 11)
    canvas.arc(500, 596, 74, 28, 152, mix((170, 50, 50), skin, 0.25), 17)
    if source.random() < 0.3:
        for side in (-1, 1):
            canvas.arc(500 + side * 84, 502, 60, 0, 360, (40, 40, 46), 10)
        canvas.line(((476, 498), (524, 498)), (40, 40, 46), 10)
    if beard:
        canvas.arc(500, 560, 150, 24, 156, mix(hair, (0, 0, 0), 0.1), 46)
