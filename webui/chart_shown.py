"""The charts of the last fifteen minutes: which series each has, what its legend says, and what stands in for it
without script. Values come in columns, oldest first, None where there is nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from webui import formats
from webui.charts import broken_line

Unit = Literal["rate", "ratio", "seconds", "count"]
Columns = Mapping[str, Sequence[float | None]]

STAND_IN_POINTS = 90

_FORMATS: dict[Unit, Callable[[float | None], str]] = {
    "rate": formats.rate,
    "ratio": formats.ratio,
    "seconds": formats.duration,
    "count": lambda value: formats.count(None if value is None else round(value)),
}


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart. `style` names its look in the style sheet: a colour and a dash."""

    name: str
    label: str
    style: str
    values: Sequence[float | None]
    now: str

    def path(self, ceiling: float) -> str:
        """The line as SVG path data, for whoever has no script."""
        stride = max(1, len(self.values) // STAND_IN_POINTS)
        return broken_line(self.values[::-stride][::-1], ceiling)


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. `told` is its content in a sentence."""

    name: str
    title: str
    note: str
    unit: Unit
    series: tuple[Series, ...]
    told: str

    @property
    def ceiling(self) -> float:
        """The value at the chart's top."""
        if self.unit == "ratio":
            return 1.0
        return max((value for each in self.series for value in each.values if value is not None), default=0.0) or 1.0

    @property
    def top(self) -> str:
        return _FORMATS[self.unit](self.ceiling)

    @property
    def empty(self) -> bool:
        """There is nothing to draw yet."""
        return all(value is None for each in self.series for value in each.values)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a chart is about: its series by column name, with their labels and styles."""

    name: str
    title: str
    note: str
    unit: Unit
    series: tuple[tuple[str, str, str], ...]


HTTP = (
    Kind("requests", "Requests", "per second", "rate", (
        ("requests", "all", "all"), ("from_store", "from the store", "store"),
        ("from_origin", "from the origin", "origin"), ("errors", "errors", "bad"),
    )),
    Kind("hit-ratio", "Hit ratio", "share that came from the store", "ratio", (
        ("hit_ratio", "of requests", "store"), ("byte_hit_ratio", "of bytes", "origin"),
    )),
    Kind("latency", "Latency", "to the last byte", "seconds", (
        ("p50", "half within", "store"), ("p95", "95 % within", "origin"), ("p99", "99 % within", "bad"),
        ("origin_p95", "origin, 95 %", "all"),
    )),
)  # fmt: skip
REALTIME = (
    Kind("messages", "Messages", "per second", "rate", (
        ("messages", "accepted", "origin"), ("deliveries", "delivered", "store"),
    )),
    Kind("quality", "Connections", "sessions by quality", "count", (
        ("excellent", "excellent", "store"), ("good", "good", "origin"), ("poor", "poor", "bad"),
    )),
)  # fmt: skip


def charts(columns: Columns, kinds: Sequence[Kind]) -> tuple[Chart, ...]:
    """The charts of these kinds, filled from columns."""
    return tuple(_chart(kind, columns) for kind in kinds)


def _chart(kind: Kind, columns: Columns) -> Chart:
    series = tuple(
        Series(name, label, style, columns.get(name, ()), _last(columns.get(name, ()), kind.unit))
        for name, label, style in kind.series
    )
    told = "; ".join(_told(each, kind.unit) for each in series)
    return Chart(kind.name, kind.title, kind.note, kind.unit, series, f"{kind.title}, {kind.note}: {told}.")


def _last(values: Sequence[float | None], unit: Unit) -> str:
    return _FORMATS[unit](values[-1] if values else None)


def _told(series: Series, unit: Unit) -> str:
    known = [value for value in series.values if value is not None]
    if not known:
        return f"{series.label}: nothing yet"
    said = _FORMATS[unit]
    return f"{series.label}: now {series.now}, between {said(min(known))} and {said(max(known))}"
