"""The figures as a terminal shows them.

The rule of this room: where there is too little space, what matters least goes first. State, alerts, rates, hit ratio
and the busiest routes are always there; then come the origin, realtime, and the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from proxy.access_log.lines import plain, spoken_duration, spoken_size
from proxy.top.figures import GRADES, Figures
from proxy.top.tuned import Tuned

WIDE = 76
"""Columns from which on panels stand side by side."""

_MOST_ROUTES = 10
_LEAST_ROUTES = 3

_BARS = " ▁▂▃▄▅▆▇█"
_NOTHING = "–"
_VERDICT_STYLES = {"hit": "green", "revalidated": "cyan", "stale": "yellow", "miss": "blue", "error": "bold red"}


@dataclass(frozen=True, slots=True)
class Screen:
    """The whole screen. `history` are requests per second, oldest first; `notice` says why figures are old; `height` is
    how many lines there are, None for as many as it takes.
    """

    address: str
    figures: Figures | None
    history: Sequence[float]
    notice: str = ""
    tuned: Tuned | None = None
    height: int | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide, figures = options.max_width >= WIDE, self.figures
        head: list[RenderableType] = _head(self.address, figures, self.notice, wide)
        if figures is None:
            yield Group(*head)
            return
        if self.tuned is not None:
            head.append(_tuning(self.tuned))
        least = 2 + min(_LEAST_ROUTES, max(len(figures.routes), 1))
        for panels in _panels(figures, self.history):
            upper = Group(*head, *(_side_by_side(panels) if wide else panels))
            rows = _MOST_ROUTES
            if self.height is not None:
                left = self.height - len(console.render_lines(upper, options, pad=False))
                if left < least:
                    continue
                rows = min(rows, left - 2)
            break
        else:
            upper, rows = Group(*head, _in_brief(figures)), _MOST_ROUTES
        yield upper
        yield _routes(figures, rows, wide)


def _panels(figures: Figures, history: Sequence[float]) -> list[list[RenderableType]]:
    """The panels as they would be shown, and again without what matters least, down to the first alone."""
    realtime = [_realtime(figures)] if figures.realtime else []
    panels: list[RenderableType] = [_traffic(figures, history), _origin(figures), *realtime, _store(figures)]
    return [panels[:count] for count in range(len(panels), 0, -1)]


def _side_by_side(panels: Sequence[RenderableType]) -> list[RenderableType]:
    """The first and the last below each other on the left, as they are the long ones; the others on the right."""
    if len(panels) < 3:
        left, right = panels[:1], panels[1:]
    else:
        left, right = (panels[0], panels[-1]), panels[1:-1]
    halves = Table.grid(expand=True)
    halves.add_column(ratio=1)
    halves.add_column(ratio=1)
    halves.add_row(Group(*left), Group(*right))
    return [halves]


def _head(address: str, figures: Figures | None, notice: str, wide: bool) -> list[RenderableType]:
    if notice:
        state = Text(notice, "bold yellow")
    elif figures is None:
        state = Text("taking the first two looks ...", "dim")
    else:
        state = Text(*_health(figures))
    title = Text.assemble(("cachewire top", "bold"), "  ", address)
    if not wide:
        title.no_wrap, title.overflow = True, "ellipsis"
        return [title, state]
    return [title.append("  q quit  p pause  ", "dim").append_text(state)]


def _tuning(tuned: Tuned) -> Text:
    """One line: the preset, and what alerts and people have made of the values."""
    automatic = "automatic: " + (", ".join(tuned.by_alerts) or "nothing") if tuned.automatic else "automatic off"
    by_hand = f"; by hand: {', '.join(tuned.by_hand)}" if tuned.by_hand else ""
    text = Text.assemble(("preset ", "dim"), tuned.preset, "  ", no_wrap=True, overflow="ellipsis")
    return text.append(plain(automatic + by_hand), "yellow" if tuned.by_alerts else "dim")


def _in_brief(figures: Figures) -> Text:
    return Text(
        f"{_rate(figures.requests)}/s  hit {_share(figures.hit_ratio)}  p95 {_time(figures.p95)}"
        f"  errors {_share(figures.error_ratio)}",
        no_wrap=True,
        overflow="ellipsis",
    )


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
    if figures.reporting:
        retries = f"{figures.retries:.0f} retries"
        grid.add_row("browsers", f"{figures.reporting:.0f}, p95 {_time(figures.browsers_p95)}, {retries}")
    grades = "  ".join(f"{figures.quality.get(grade, 0):.0f} {grade}" for grade in GRADES)
    return Panel(Group(grid, Text(grades)), title="realtime", box=box.ROUNDED)


def _routes(figures: Figures, rows: int, wide: bool) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False, show_edge=False)
    table.add_column("route", ratio=1, no_wrap=True)
    if wide:
        table.add_column("strategy", ratio=1, no_wrap=True)
    for name in ("requests/s", "hit ratio", "errors/s") if wide else ("req/s", "hit", "err/s"):
        table.add_column(name, justify="right", no_wrap=True)
    for route in figures.routes[:rows]:
        errors = Text(_rate(route.errors), "bold red" if route.errors else "dim")
        strategy = [route.strategy or _NOTHING] if wide else []
        table.add_row(plain(route.name), *strategy, _rate(route.per_second), _share(route.hit_ratio), errors)
    if not figures.routes:
        table.add_row(Text("no requests in this interval", "dim"))
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
