"""A drawing surface in units of its own, so that one scene can be drawn at any size."""

from __future__ import annotations

import random
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Point = tuple[float, float]
OVERSAMPLING = 2
"""Pillow draws without antialiasing: everything is drawn this much larger and then reduced."""


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`one` with `share` (0 to 1) of `other` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


class Canvas:
    """A surface 1000 units wide; y grows downwards to `height`."""

    def __init__(self, width: int, height: int) -> None:
        self._final = (width, height)
        self._scale = width * OVERSAMPLING / 1000
        self.height = 1000 * height / width
        self._image = Image.new("RGB", (width * OVERSAMPLING, height * OVERSAMPLING))
        self._draw = ImageDraw.Draw(self._image)

    def gradient(self, top: Colour, bottom: Colour, start: float, end: float) -> None:
        """Fill everything between two heights, from one colour to the other."""
        first, last = round(start * self._scale), round(end * self._scale)
        ramp = Image.new("RGB", (1, 2))
        ramp.putpixel((0, 0), top)
        ramp.putpixel((0, 1), bottom)
        size = (self._image.width, max(1, last - first))
        self._image.paste(ramp.resize(size, Image.Resampling.BILINEAR, box=(0, 0.5, 1, 1.5)), (0, first))

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour, *, round_by: float = 0) -> None:
        corners = self._corners(left, top, right, bottom)
        if round_by:
            self._draw.rounded_rectangle(corners, round_by * self._scale, fill=colour)
        else:
            self._draw.rectangle(corners, fill=colour)

    def ellipse(self, x: float, y: float, across: float, down: float, colour: Colour) -> None:
        """An ellipse around (x, y) with these radii."""
        self._draw.ellipse(self._corners(x - across, y - down, x + across, y + down), fill=colour)

    def arc(self, x: float, y: float, radius: float, start: float, end: float, colour: Colour, width: float) -> None:
        corners = self._corners(x - radius, y - radius, x + radius, y + radius)
        self._draw.arc(corners, start, end, fill=colour, width=max(1, round(width * self._scale)))

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        self._draw.polygon([(x * self._scale, y * self._scale) for x, y in points], fill=colour)

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        scaled = [(x * self._scale, y * self._scale) for x, y in points]
        self._draw.line(scaled, fill=colour, width=max(1, round(width * self._scale)), joint="curve")

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float) -> None:
        """Light around (x, y) that fades out at `radius`; `strength` from 0 to 1."""
        across = max(2, round(2 * radius * self._scale))
        # Pillow's radial gradient is dark in the middle and 256 pixels wide.
        mask = Image.radial_gradient("L").point(lambda value: int(max(0, 255 - 2 * value) * strength))
        where = (round((x - radius) * self._scale), round((y - radius) * self._scale))
        self._image.paste(Image.new("RGB", (across, across), colour), where, mask.resize((across, across)))

    def soft(
        self, spots: Sequence[tuple[float, float, float, float]], colour: Colour, blur: float, opacity: int
    ) -> None:
        """Blurred ellipses (x, y, across, down), for clouds and shadows; drawn small, since blur hides detail."""
        reduced = 4
        size = (self._image.width // reduced, self._image.height // reduced)
        mask = Image.new("L", size)
        draw = ImageDraw.Draw(mask)
        scale = self._scale / reduced
        for x, y, across, down in spots:
            corners = ((x - across) * scale, (y - down) * scale, (x + across) * scale, (y + down) * scale)
            draw.ellipse(corners, fill=opacity)
        mask = mask.filter(ImageFilter.GaussianBlur(blur * scale)).resize(self._image.size, Image.Resampling.BILINEAR)
        self._image.paste(colour, (0, 0), mask)

    def finished(self, source: random.Random, *, grain: float) -> Image.Image:
        """The picture at its final size, with a camera's grain and darker corners; `grain` from 0 to 1."""
        image = self._image.resize(self._final, Image.Resampling.BOX)
        size = image.size
        vignette = Image.radial_gradient("L").resize(size).point(lambda value: int(max(0, value - 110) * 0.45))
        image.paste((8, 10, 18), (0, 0), vignette)
        noise = Image.frombytes("L", size, source.randbytes(size[0] * size[1]))
        return Image.blend(image, Image.merge("RGB", (noise, noise, noise)), grain)

    def _corners(self, left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        return left * self._scale, top * self._scale, right * self._scale, bottom * self._scale
