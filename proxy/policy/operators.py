"""What browsers send of operators that no application may see.

Cookies know no ports (RFC 6265 section 8.5): who logs in to the dashboard at a host sends that session to the edge at
the same host as well. Passed on, the application could act as the operator; and a request that bears it would count
as one with credentials, so that operators would never see what the others see.
"""

from __future__ import annotations

from proxy.policy.messages import Fields

SESSION = "cachewire-session"
_NAMES = (SESSION, f"__Host-{SESSION}")


def without_session(fields: Fields) -> Fields:
    """The fields without the dashboard's cookie; a Cookie field that held nothing else is gone."""
    values = fields.all("cookie")
    if not any(SESSION in value for value in values):
        return fields
    left = [kept for value in values if (kept := _without(value))]
    return fields.without("cookie").plus(*(("Cookie", value) for value in left))


def _without(cookies: str) -> str:
    pairs = (pair for pair in cookies.split(";") if pair.partition("=")[0].strip() not in _NAMES)
    return ";".join(pairs).strip()
