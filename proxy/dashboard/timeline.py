"""The timeline, as its page lists it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from proxy.dashboard.readings import WRITTEN
from proxy.operations import timeline
from proxy.operations.timeline import Event, Timeline
from webui.timeline_shown import KINDS, Happening, TimelineList, TimelineQuery

LONGEST = 500
"""Characters of a text that are shown: one event must not fill the page."""


class TimelineSource:
    """What the edge's timeline holds."""

    def __init__(self, kept: Timeline, now: Callable[[], float]) -> None:
        self._kept = kept
        self._now = now

    def happenings(self, query: TimelineQuery, most: int) -> TimelineList:
        """The events that a query asks for, `most` of them at most."""
        events = self._kept.events()
        chosen = [event for event in events if _is_asked_for(event, query)]
        counted = Counter(event.kind for event in events)
        return TimelineList(
            events=tuple(_shown(event) for event in chosen[:most]),
            counts={kind: counted[kind] for kind in KINDS},  # type: ignore[index] # the same words
            most=timeline.MOST,
            more=len(chosen) > most,
            now=self._now(),
        )


def _is_asked_for(event: Event, query: TimelineQuery) -> bool:
    older = not query.before or event.number < query.before
    return older and query.accepts(event.kind, event.by)


def _shown(event: Event) -> Happening:
    figures = tuple(_figure(name, value) for name, value in event.figures.items())
    return Happening(event.number, event.at, event.kind, event.by, _shortened(event.text), figures)


def _figure(name: str, value: object) -> tuple[str, str]:
    if name in WRITTEN and isinstance(value, int | float):
        label, written = WRITTEN[name]
        return label, written(value)
    return _label(name), _text(value)


def _label(name: str) -> str:
    # A key of the configuration is written as in the file; our own names of figures are words.
    return name if "." in name else name.replace("_", " ")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else _shortened(str(value))


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
