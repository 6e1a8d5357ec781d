"""Listening, also before there is an edge: whoever connects while it is built waits, and is not refused.

Clients of a process that was restarted come back at once and try few times; most of a start is imports.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import sys
from collections.abc import Callable

from proxy.config.units import Address
from proxy.errors import CachewireError

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


async def listen(
    factory: Callable[[], asyncio.Protocol], address: Address, key: str, early: socket.socket | None = None
) -> tuple[asyncio.Server, Address]:
    """A server, and where it listens: on `early` if there is one, else at `address`, the value of the setting `key`.

    Raises CachewireError with a sentence about what would be right.
    """
    loop = asyncio.get_running_loop()
    try:
        if early is not None:
            server = await loop.create_server(factory, sock=early, backlog=BACKLOG)
        else:
            server = await loop.create_server(factory, address.host, address.port, backlog=BACKLOG)
    except OSError as error:
        raise CachewireError(_cannot_listen(address, key, error)) from error
    return server, Address(address.host, server.sockets[0].getsockname()[1])


def _cannot_listen(address: Address, key: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"{address} ({key}) is taken by another program; stop that one,"
            f" or choose another address: --set {key}={address.host}:{address.port + 1}"
        )
    if error.errno == errno.EACCES:
        return f"{address} ({key}) may not be used by this user; ports below 1024 belong to root, choose a higher one"
    return f"cannot listen on {address} ({key}): {error.strerror or error}"
