"""Charts as path data."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webui import charts


def test_an_area_spans_the_width_and_closes_at_the_bottom() -> None:
    assert charts.area([0, 5, 10], 10, width=100, height=50) == "M0 50L0 50L50 25L100 0L100 50Z"


def test_a_line_is_the_upper_edge_alone() -> None:
    assert charts.line([10, 0], 10, width=100, height=50) == "M0 0L100 50"


def test_fewer_than_two_values_draw_nothing() -> None:
    assert charts.area([3], 5) == charts.line([], 5) == ""


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30), st.floats(0, 1e6))
def test_whatever_the_values_the_drawing_stays_inside_its_box(values: list[float], ceiling: float) -> None:
    points = charts.line(values, ceiling).removeprefix("M").split("L")
    assert all(0 <= float(y) <= charts.HEIGHT for _, y in (point.split() for point in points))
