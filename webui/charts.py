"""Small charts as SVG path data, so that a page needs neither script nor inline style to draw them."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 240
HEIGHT = 48


def area(values: Sequence[float], ceiling: float, *, width: int = WIDTH, height: int = HEIGHT) -> str:
    """A closed area under `values`, evenly spread over the width; `ceiling` is the value at full height."""
    if len(values) < 2:
        return ""
    return f"M0 {height}L{_points(values, ceiling, width, height)}L{width} {height}Z"


def line(values: Sequence[float], ceiling: float, *, width: int = WIDTH, height: int = HEIGHT) -> str:
    """The upper edge of the same area."""
    return f"M{_points(values, ceiling, width, height)}" if len(values) > 1 else ""


def _points(values: Sequence[float], ceiling: float, width: int, height: int) -> str:
    step = width / (len(values) - 1)
    heights = (height - _share(value, ceiling) * height for value in values)
    return "L".join(f"{_short(i * step)} {_short(y)}" for i, y in enumerate(heights))


def _share(value: float, ceiling: float) -> float:
    return min(max(value, 0), ceiling) / ceiling if ceiling > 0 else 0


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def broken_line(values: Sequence[float | None], ceiling: float, *, width: int = WIDTH, height: int = HEIGHT) -> str:
    """A line that stops where there is no value and begins again after; one value alone is a short dash."""
    if len(values) < 2:
        return ""
    step = width / (len(values) - 1)
    path, drawing = [], False
    for i, value in enumerate(values):
        if value is not None:
            point = f"{_short(i * step)} {_short(height - _share(value, ceiling) * height)}"
            alone = not drawing and (i + 1 == len(values) or values[i + 1] is None)
            path.append(f"{'L' if drawing else 'M'}{point}{'h1' if alone else ''}")
        drawing = value is not None
    return "".join(path)
