"""The figures as a terminal shows them: from 80 columns and 24 lines on, wider where there is room."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from proxy.access_log.lines import plain, spoken_duration, spoken_size
from proxy.top.figures import GRADES, Figures

_BARS = " ▁▂▃▄▅▆▇█"
_NOTHING = "–"
_VERDICT_STYLES = {"hit": "green", "revalidated": "cyan", "stale": "yellow", "miss": "blue", "error": "bold red"}


def screen(address: str, figures: Figures | None, history: Sequence[float], notice: str = "") -> RenderableType:
    """The whole screen. `history` are requests per second, oldest first; `notice` says why figures are old."""
    head = _head(address, figures, notice)
    if figures is None:
        return Group(head)
    right = [_origin(figures), *([_realtime(figures)] if figures.realtime else [])]
    halves = Table.grid(expand=True)
    halves.add_column(ratio=1)
    halves.add_column(ratio=1)
    halves.add_row(Group(_traffic(figures, history), _store(figures)), Group(*right))
    return Group(head, halves, _routes(figures))


def _head(address: str, figures: Figures | None, notice: str) -> Text:
    text = Text.assemble(("cachewire top", "bold"), "  ", address, ("  q quit  p pause  ", "dim"))
    if notice:
        return text.append(notice, "bold yellow")
    if figures is None:
        return text.append("taking the first two looks ...", "dim")
    sentence, style = _health(figures)
    return text.append(sentence, style)


def _health(figures: Figures) -> tuple[str, str]:
    """One sentence, the worst finding first."""
    if figures.firing:
        return f"ALERT: {', '.join(figures.firing)}", "bold red"
    if figures.origin_up is False:
        return "the origin is down; stored responses stand in", "bold yellow"
    if (figures.error_ratio or 0.0) >= 0.05:
        return f"{_share(figures.error_ratio)} of answers are server errors", "bold red"
    return "healthy", "green"


def _traffic(figures: Figures, history: Sequence[float]) -> Panel:
    grid = _grid()
    grid.add_row("requests", f"{_rate(figures.requests)}/s  {spoken_size(figures.bytes_out)}/s")
    grid.add_row("hit ratio", f"{_share(figures.hit_ratio)}  bytes {_share(figures.byte_hit_ratio)}")
    grid.add_row("p50 95 99", f"{_time(figures.p50)}  {_time(figures.p95)}  {_time(figures.p99)}")
    grid.add_row("errors", f"{_share(figures.error_ratio)}  {figures.in_flight:.0f} in flight")
    verdicts = Text("  ").join(
        Text(f"{verdict} {_rate(rate)}", _VERDICT_STYLES.get(verdict, "")) for verdict, rate in figures.verdicts.items()
    )
    bars = Text(sparkline(history), "green", no_wrap=True)
    return Panel(Group(grid, verdicts, bars), title="traffic", box=box.ROUNDED)


def _origin(figures: Figures) -> Panel:
    state = {True: Text("up", "green"), False: Text("DOWN", "bold red"), None: Text("not asked yet", "dim")}
    grid = _grid()
    grid.add_row("state", state[figures.origin_up])
    grid.add_row("asked", f"{_rate(figures.origin_requests)}/s  {_rate(figures.origin_errors)}/s failed")
    grid.add_row("latency", f"p95 {_time(figures.origin_p95)}")
    grid.add_row("outbox", f"{figures.outbox.get('queued', 0):.0f} waiting, {figures.outbox.get('dead', 0):.0f} dead")
    return Panel(grid, title="origin", box=box.ROUNDED)


def _store(figures: Figures) -> Panel:
    grid = _grid()
    grid.add_row("stored", f"{figures.stored:,.0f} responses")
    for tier, (entries, size) in figures.tiers.items():
        grid.add_row(tier, f"{spoken_size(size)} in {entries:,.0f}")
    if figures.cpu is not None:
        grid.add_row("process", f"{_share(figures.cpu)} of a core")
    if figures.resident is not None:
        grid.add_row("memory", spoken_size(figures.resident))
    return Panel(grid, title="store and process", box=box.ROUNDED)


def _realtime(figures: Figures) -> Panel:
    grid = _grid()
    transports = ", ".join(f"{count:.0f} {name}" for name, count in figures.sessions.items() if count)
    grid.add_row("sessions", transports or "none")
    grid.add_row("users", f"{figures.users:.0f}")
    grid.add_row("messages", f"{_rate(figures.messages)}/s in, {_rate(figures.deliveries)}/s out")
    grades = "  ".join(f"{figures.quality.get(grade, 0):.0f} {grade}" for grade in GRADES)
    return Panel(Group(grid, Text(grades)), title="realtime", box=box.ROUNDED)


def _routes(figures: Figures) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    table.add_column("route", ratio=2, no_wrap=True)
    table.add_column("strategy", ratio=2, no_wrap=True)
    for name in ("requests/s", "hit ratio", "errors/s"):
        table.add_column(name, justify="right", no_wrap=True)
    for route in figures.routes[:10]:
        errors = Text(_rate(route.errors), "bold red" if route.errors else "dim")
        table.add_row(
            plain(route.name), route.strategy or _NOTHING, _rate(route.per_second), _share(route.hit_ratio), errors
        )
    if not figures.routes:
        table.add_row(Text("no requests in this interval", "dim"), "", "", "", "")
    return table


def sparkline(values: Sequence[float], width: int = 34) -> str:
    """The last values as bars of one line; the highest is full."""
    shown = list(values)[-width:]
    peak = max(shown, default=0.0)
    if not peak:
        return _BARS[1] * len(shown)
    return "".join(_BARS[max(1, round(value / peak * (len(_BARS) - 1)))] for value in shown)


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    return grid


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _share(value: float | None) -> str:
    return _NOTHING if value is None else f"{value * 100:.1f} %"


def _time(value: float | None) -> str:
    return _NOTHING if value is None else spoken_duration(value)
