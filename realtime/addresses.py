"""PURE: clients by where they come from, for limits that one host must not get around by coming more often."""

from __future__ import annotations

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=4096)
def place_of(peer: str) -> str:
    """What counts as one place: an IPv4 address, or the /64 of an IPv6 one, which is what a single host is given.

    What is no address is a place of its own name.
    """
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
