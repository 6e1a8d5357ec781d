"""Figures as text: short, of one width where it can be, and an en dash where there is no figure."""

from __future__ import annotations

from datetime import UTC, datetime

NOTHING = "–"


def size(count: float | None) -> str:
    """Bytes in binary units, as the configuration writes them: `512 B`, `1.5 MiB`."""
    if count is None:
        return NOTHING
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def duration(seconds: float | None) -> str:
    """A latency: `350 µs`, `4.2 ms`, `1.24 s`."""
    if seconds is None:
        return NOTHING
    # Rounding decides the unit, so that 0.9999 ms reads 1.0 ms and not 1000 µs.
    if round(seconds * 1e6) < 1000:
        return f"{seconds * 1e6:.0f} µs"
    if round(seconds * 1e3) < 1000:
        milliseconds = seconds * 1e3
        return f"{milliseconds:.1f} ms" if milliseconds < 9.95 else f"{milliseconds:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 60 else age(seconds)


def age(seconds: float | None) -> str:
    """A span in its two largest units: `5 s`, `3 min`, `2 h 5 min`, `4 d 1 h`."""
    if seconds is None:
        return NOTHING
    left = max(int(seconds), 0)
    if left < 60:
        return f"{left} s"
    if left < 3600:
        return f"{left // 60} min"
    if left < 86400:
        return _two(left // 3600, "h", left % 3600 // 60, "min")
    return _two(left // 86400, "d", left % 86400 // 3600, "h")


def countdown(seconds: float) -> str:
    """A span that is watched running out, to the second while that matters: `42 s`, `4:09`, `2 h 5 min`."""
    left = max(int(seconds), 0)
    return f"{left // 60}:{left % 60:02}" if 60 <= left < 3600 else age(left)


def rate(per_second: float | None) -> str:
    """Events per second, without the unit: `0.4`, `12.5`, `1,204`."""
    if per_second is None:
        return NOTHING
    return f"{per_second:.1f}" if per_second < 99.95 else f"{per_second:,.0f}"


def ratio(share: float | None) -> str:
    """A share of one as per cent: `93.1 %`. Only the whole is `100 %`, only nothing is `0 %`; beyond it as it is."""
    if share is None:
        return NOTHING
    if share in (0, 1):
        return f"{share * 100:.0f} %"
    if share > 1:
        return f"{share * 100:.1f} %"  # of a budget more can be in use than there is
    return f"{min(max(share * 100, 0.1), 99.9):.1f} %"


def count(number: int | None) -> str:
    """A whole number with thousands set apart: `12,345`."""
    return NOTHING if number is None else f"{number:,}"


def clock(moment: float) -> str:
    """The time of day of an epoch moment, in UTC: `14:03:59`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S")


def timestamp(moment: float) -> str:
    """An epoch moment as RFC 3339 text in UTC, for `datetime` attributes."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"
