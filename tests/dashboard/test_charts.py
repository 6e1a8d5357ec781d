"""Charts as path data."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.operations import history as kept
from proxy.operations.history import History, Sample
from proxy.operations.ledger import RING_SECONDS, Ledger
from webui import charts as paths
from webui.chart_shown import HTTP, REALTIME, charts
from webui.charts import broken_line
from webui.pages import history as page


def test_an_area_spans_the_width_and_closes_at_the_bottom() -> None:
    assert paths.area([0, 5, 10], 10, width=100, height=50) == "M0 50L0 50L50 25L100 0L100 50Z"


def test_a_line_is_the_upper_edge_alone() -> None:
    assert paths.line([10, 0], 10, width=100, height=50) == "M0 0L100 50"


def test_fewer_than_two_values_draw_nothing() -> None:
    assert paths.area([3], 5) == paths.line([], 5) == ""


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30), st.floats(0, 1e6))
def test_whatever_the_values_the_drawing_stays_inside_its_box(values: list[float], ceiling: float) -> None:
    points = paths.line(values, ceiling).removeprefix("M").split("L")
    assert all(0 <= float(y) <= paths.HEIGHT for _, y in (point.split() for point in points))


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), max_size=50))
def test_a_broken_line_begins_anew_after_every_gap(values: list[float | None]) -> None:
    path = broken_line(values, 1e6)
    runs = sum(value is not None and (i == 0 or values[i - 1] is None) for i, value in enumerate(values))
    known = sum(value is not None for value in values)
    if len(values) < 2:
        assert path == ""
    else:
        assert path.count("M") == runs
        assert path.count("M") + path.count("L") == known
        assert "nan" not in path


COLUMNS: dict[str, list[float | None]] = {"hit_ratio": [None, 0.5, 0.9], "byte_hit_ratio": [None, None, None]}


def test_a_chart_says_in_a_sentence_what_it_shows() -> None:
    (chart,) = charts(COLUMNS, [HTTP[1]])
    assert chart.told == (
        "Hit ratio, share that came from the store:"
        " of requests: now 90.0 %, between 50.0 % and 90.0 %; of bytes: nothing yet."
    )
    assert [each.now for each in chart.series] == ["90.0 %", "–"]
    assert not chart.empty


def test_ratios_are_drawn_against_the_whole_and_everything_else_against_its_peak() -> None:
    assert charts(COLUMNS, [HTTP[1]])[0].ceiling == 1
    assert charts({"requests": [3.0, 7.0]}, [HTTP[0]])[0].ceiling == 7
    assert charts({}, [HTTP[0]])[0].ceiling == 1
    assert charts({}, [HTTP[0]])[0].empty


def test_every_series_of_a_chart_is_a_column_of_the_history() -> None:
    history = History(Ledger(lambda: 100.0), Sample, lambda: 100.0).columns(60, 5)
    named = {name for kind in (*HTTP, *REALTIME) for name, _, _ in kind.series}
    assert named <= history.keys()


def test_the_steps_that_are_offered_are_those_that_are_kept() -> None:
    assert page.STEPS == kept.STEPS
    assert page.MOST_SECONDS == RING_SECONDS
