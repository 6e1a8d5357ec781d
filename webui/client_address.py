"""Whose address counts: the connection's, or what trusted proxies say of it.

PURE. Only a proxy the operator named is believed, and of what it passes on only what no stranger could have written.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(peer: str, forwarded: Iterable[str], trusted: Sequence[Network]) -> str:
    """The address of whoever asks, from the connection's and the X-Forwarded-For lines it came with.

    Each proxy adds the address it was asked from at the end, so the last one that is no trusted proxy's own counts.
    """
    if not trusted or not _is_trusted(peer, trusted):
        return peer
    found = peer
    for address in reversed([part.strip() for line in forwarded for part in line.split(",")]):
        if _parsed(address) is None:
            break
        found = address
        if not _is_trusted(address, trusted):
            break
    return found


def _is_trusted(text: str, trusted: Sequence[Network]) -> bool:
    address = _parsed(text)
    return address is not None and any(address in network for network in trusted)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
