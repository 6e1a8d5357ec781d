"""PURE: one exchange as one line, for a terminal or for machines.

The rule of this room: whatever a client sends, a line stays one line, no control character reaches a terminal, and
no secret of a query is readable.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

from proxy.masking import masked
from proxy.outcome import Outcome

Line = Callable[[Outcome], str]

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode

_COLOURS = {"hit": "32", "revalidated": "36", "stale": "33", "miss": "34", "error": "1;31", "refused": "31"}
_WRONG = "1;31"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def json_line(outcome: Outcome) -> str:
    """One JSON object. Times are seconds; what is not known is left out."""
    line: dict[str, object] = {
        "time": _moment(outcome.started).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "request_id": outcome.request_id,
        "client": outcome.client,
        "method": outcome.method,
        "target": masked(outcome.target),
        "status": outcome.status,
        "verdict": outcome.verdict,
        "reason": outcome.reason,
        "route": outcome.route,
        "strategy": outcome.strategy,
        "duration": round(outcome.duration, 6),
        "bytes_in": outcome.bytes_in,
        "bytes_out": outcome.bytes_out,
    }
    if outcome.origin_duration is not None:
        line["origin_duration"] = round(outcome.origin_duration, 6)
    if outcome.trace_id:
        line["trace_id"] = outcome.trace_id
    line |= {name: True for name in ("collapsed", "stored") if getattr(outcome, name)}
    if outcome.closed:
        line["closed"] = outcome.closed
    if not outcome.complete:
        line["complete"] = False
    return _encode(line)


def text_line(outcome: Outcome, *, coloured: bool = False) -> str:
    """Columns for eyes: when, what, how it was answered and why, how long, how much, for whom."""
    status, verdict = f"{outcome.status or '-':>3}", f"{outcome.verdict:<11}"
    broken = "" if outcome.complete else " broken off"
    if coloured:
        verdict = _in_colour(verdict, _COLOURS.get(outcome.verdict))
        status = _in_colour(status, _WRONG if outcome.status >= 500 else None)
        broken = _in_colour(broken, _WRONG if broken else None)
    took = spoken_duration(outcome.duration)
    asked = "" if outcome.origin_duration is None else f" (origin {spoken_duration(outcome.origin_duration)})"
    what = plain(f"{outcome.method or '-'} {masked(outcome.target) or '-'}")
    why = plain(f"{outcome.reason}: {outcome.closed}" if outcome.closed else outcome.reason or "-")
    return (
        f"{_moment(outcome.started).isoformat(timespec='milliseconds')[11:23]} {status} {verdict} "
        f"{took:>8} {spoken_size(outcome.bytes_out):>9}  {what}  {why}{broken}{asked}  "
        f"{plain(outcome.client or '-')} {plain(outcome.route or '-')} {outcome.request_id or '-'}"
    )


def _in_colour(text: str, colour: str | None) -> str:
    return text if colour is None else f"\x1b[{colour}m{text}\x1b[0m"


def plain(text: str) -> str:
    """Without anything a terminal acts on; what is not printable ASCII is written as its escape."""
    if text.isascii() and text.isprintable():
        return text
    return text.encode("unicode_escape", "backslashreplace").decode("ascii")


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def spoken_duration(seconds: float) -> str:
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f}us"
    return f"{seconds * 1e3:.1f}ms" if seconds < 1 else f"{seconds:.2f}s"


def spoken_size(count: float) -> str:
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
