"""Which fields of a request chose its answer, as far as they may be remembered to explain it afterwards.

The rule of this room: never a credential, and never more than fits; what is left out is named, so that nobody takes
what is explained without it for the whole truth.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.masking import HIDDEN, masked_field
from proxy.policy.matching import CREDENTIALS
from proxy.policy.messages import Fields

Selecting = tuple[tuple[str, str | None], ...]
"""Names in lower case and values; None: it was there, and its value is not kept."""

NEGOTIATING = ("accept", "accept-encoding", "accept-language")
MOST_FIELDS, LONGEST_VALUE = 8, 512


def selecting(fields: Fields, names: Iterable[str]) -> Selecting:
    """The negotiation fields of a request, and those of `names` that it has."""
    found: list[tuple[str, str | None]] = []
    for name in NEGOTIATING:  # written out: every exchange comes through here
        value = fields.combined(name)
        if value is not None:
            found.append((name, value if len(value) <= LONGEST_VALUE else None))
    for name in dict.fromkeys(name.lower() for name in names):
        value = None if name in NEGOTIATING else fields.combined(name)
        if value is not None:
            found.append((name, value if _may_be_kept(name, value) else None))
    return tuple(found[:MOST_FIELDS])


def _may_be_kept(name: str, value: str) -> bool:
    return len(value) <= LONGEST_VALUE and name not in CREDENTIALS and masked_field(name, "") != HIDDEN
