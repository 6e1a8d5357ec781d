"""A listening socket before there is an edge: whoever connects while it is built waits, and is not refused.

Clients of a process that was restarted come back at once and try few times; most of a start is imports.
"""

from __future__ import annotations

import ipaddress
import socket
import sys

from proxy.config.units import Address

BACKLOG = 4096
"""Connections that may wait for the edge; the kernel has a bound of its own (net.core.somaxconn)."""


def listening_early(address: Address) -> socket.socket | None:
    """A socket that listens; None where the address is a name or cannot be had, which the edge will find out itself."""
    try:
        family = socket.AF_INET if ipaddress.ip_address(address.host).version == 4 else socket.AF_INET6
    except ValueError:
        return None
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address.host, address.port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        return None
    return listener
