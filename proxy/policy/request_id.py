"""The names of one request in everybody's logs: X-Request-Id, and the trace of W3C Trace Context."""

from __future__ import annotations

import re

from proxy.policy.messages import Fields

REQUEST_ID = "X-Request-Id"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,128}")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def request_id(fields: Fields) -> str | None:
    """The id that a request brings, if it is one that may stand in a log and a header: once, short, plain."""
    values = fields.all(REQUEST_ID)
    return values[0] if len(values) == 1 and _WELL_FORMED.fullmatch(values[0]) else None


def trace_id(fields: Fields) -> str:
    """The trace that a request belongs to (W3C Trace Context section 3.2); empty when it names none."""
    values = fields.all("traceparent")
    match = _TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    return match[1] if match else ""


class RequestIds:
    """Ids that no other process of this `prefix` makes: counted, since a random one would cost every request more."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._made = 0

    def make(self) -> str:
        self._made += 1
        return f"{self._prefix}-{self._made:x}"
