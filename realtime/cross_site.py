"""PURE: which pages may connect (the Origin field of RFC 6454 against the host that was asked).

Browsers let any page open a WebSocket to any host and send the host's cookies along; only the server can refuse.
"""

from __future__ import annotations

_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}


def may_connect(origin: str | None, host: str, allowed: tuple[str, ...]) -> bool:
    """A request without Origin is not from a page. Schemes are not compared: whoever ended TLS knows, we do not."""
    if origin is None or "*" in allowed:
        return True
    return is_same_host(origin, host) or _normal(origin) in map(_normal, allowed)


def is_same_host(origin: str, host: str) -> bool:
    """`origin` (scheme://host[:port]) names the host of a Host field; a port left out is the origin's default one."""
    scheme, separator, authority = origin.strip().lower().partition("://")
    port = _DEFAULT_PORTS.get(scheme)
    if not separator or port is None or not authority:
        return False
    return authority.removesuffix(f":{port}") == host.strip().lower().removesuffix(f":{port}")


def _normal(origin: str) -> str:
    scheme, separator, authority = origin.strip().lower().rstrip("/").partition("://")
    return scheme + separator + authority.removesuffix(f":{_DEFAULT_PORTS.get(scheme, '')}")
