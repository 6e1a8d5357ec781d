"""WebSocket upgrades to the origin, and TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.config.model import Origin as OriginSettings
from proxy.errors import (
    BodyIncomplete,
    ConfigurationError,
    OriginProtocolError,
    OriginTimeout,
    OriginUnreachable,
    RequestRefused,
)
from proxy.policy.messages import Fields
from proxy.upstream import Origin, OriginRequest, OriginResponse, Tunnel
from tests.origin import Script, ScriptedOrigin, Wire, hang_up, head, interim, raw, reply, silence, steps

SWITCH = {"Connection": "Upgrade", "Upgrade": "websocket"}


@asynccontextmanager
async def client(origin: ScriptedOrigin, **settings: Any) -> AsyncIterator[Origin]:
    upstream = Origin(OriginSettings(url=origin.url, **settings))
    try:
        yield upstream
    finally:
        await upstream.close()
        assert (upstream.health.open_connections, upstream.health.tunnels) == (0, 0)


def get(*lines: tuple[str, str], target: str = "/") -> OriginRequest:
    return OriginRequest("GET", target, Fields((("Host", "app.example"), *lines)))


WEBSOCKET = get(("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x"))


def echo(first: bytes = b"") -> Script:
    """Switch, send `first` in the same segment as the head, then echo until the other side closes."""

    async def script(wire: Wire) -> None:
        await wire.send(head(101, SWITCH) + first)
        while data := await wire.read_raw():
            await wire.send(data)
        wire.close()

    return script


async def opened(upstream: Origin) -> Tunnel:
    tunnel = await upstream.upgrade(WEBSOCKET)
    assert isinstance(tunnel, Tunnel)
    return tunnel


async def read_exactly(tunnel: Tunnel, size: int) -> bytes:
    read = b""
    while len(read) < size:
        part = await tunnel.read()
        assert part
        read += part
    return read


async def test_an_upgrade_opens_a_tunnel_that_starts_with_the_bytes_after_the_head(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 7.8, RFC 9110 section 15.2.2."""
    origin.on("/", echo(b"first"))
    async with client(origin) as upstream:
        tunnel = await opened(upstream)
        assert (tunnel.head.status, tunnel.head.fields.first("Upgrade")) == (101, "websocket")
        assert await read_exactly(tunnel, 5) == b"first"
        await tunnel.write(b"\x81\x00ping\xff")
        assert await read_exactly(tunnel, 7) == b"\x81\x00ping\xff"
        await tunnel.close()
        await origin.until_all_closed()
        assert await tunnel.read() == b""
    assert b"\r\nUpgrade: websocket\r\n" in origin.requests[0].raw_head
    assert origin.requests[0].all("Connection") == ["Upgrade"]


async def test_an_upgrade_that_is_declined_is_an_ordinary_response(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 7.8."""
    origin.on("/", reply(403, b"no"))
    async with client(origin) as upstream:
        response = await upstream.upgrade(WEBSOCKET)
        assert isinstance(response, OriginResponse)
        assert (response.head.status, [part async for part in response.chunks()]) == (403, [b"no"])
        assert upstream.health.idle_connections == 1


async def test_a_switch_to_another_protocol_than_asked_is_a_protocol_error(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 7.8."""
    origin.on("/", raw(head(101, {"Connection": "Upgrade", "Upgrade": "h2c"})))
    async with client(origin) as upstream:
        with pytest.raises(OriginProtocolError, match="h2c"):
            await upstream.upgrade(WEBSOCKET)


async def test_an_interim_response_may_come_before_the_switch(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 15.2."""
    origin.on("/", steps(interim(103, {"Link": "</a>"}), echo()))
    seen: list[int] = []
    async with client(origin) as upstream:
        tunnel = await upstream.upgrade(WEBSOCKET, interim=lambda status, _: seen.append(status))
        assert isinstance(tunnel, Tunnel)
        assert seen == [103]


async def test_an_upgrade_without_a_protocol_is_refused(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 7.8."""
    async with client(origin) as upstream:
        with pytest.raises(RequestRefused):
            await upstream.upgrade(get())
    assert origin.opened == 0


async def test_open_tunnels_leave_room_for_requests(origin: ScriptedOrigin) -> None:
    origin.on("/", echo())
    async with client(origin, max_connections=1, response_timeout="5s") as upstream:
        tunnels = [await opened(upstream) for _ in range(3)]
        assert (await upstream.send(get(target="/other"))).head.status == 404
        assert upstream.health.tunnels == len(tunnels)


async def test_the_origins_end_of_stream_ends_reading_but_not_writing(origin: ScriptedOrigin) -> None:
    heard = asyncio.Event()

    async def says_goodbye_first(wire: Wire) -> None:
        await wire.send(head(101, SWITCH) + b"bye")
        wire.shut_down_tcp()
        assert await wire.read_raw() == b"bye too"
        heard.set()

    origin.on("/", says_goodbye_first)
    async with client(origin) as upstream:
        tunnel = await opened(upstream)
        assert (await tunnel.read(), await tunnel.read()) == (b"bye", b"")
        await tunnel.write(b"bye too")
        async with asyncio.timeout(5):
            await heard.wait()
        await tunnel.close()


async def test_our_end_of_stream_reaches_the_origin_while_it_still_talks(origin: ScriptedOrigin) -> None:
    async def listens_to_the_end(wire: Wire) -> None:
        await wire.send(head(101, SWITCH))
        while await wire.read_raw():
            pass
        await wire.send(b"heard it all")
        wire.close()

    origin.on("/", listens_to_the_end)
    async with client(origin) as upstream:
        tunnel = await opened(upstream)
        await tunnel.write(b"all")
        tunnel.write_eof()
        assert await read_exactly(tunnel, 12) == b"heard it all"
        await tunnel.close()


async def test_both_directions_of_a_tunnel_wait_for_the_slower_side(origin: ScriptedOrigin) -> None:
    total = 16 * 2**20
    received = 0
    read_now = asyncio.Event()

    async def floods_then_reads(wire: Wire) -> None:
        nonlocal received
        await wire.send(head(101, SWITCH) + b"x" * total)
        await read_now.wait()
        while received < total:
            received += len(await wire.read_raw())
        wire.close()

    origin.on("/", floods_then_reads)
    async with client(origin) as upstream:
        tunnel = await opened(upstream)
        await asyncio.sleep(0.1)
        assert tunnel.buffered < 2**20
        assert await read_exactly(tunnel, total) == b"x" * total
        writing = asyncio.ensure_future(tunnel.write(b"y" * total))
        await asyncio.sleep(0.05)
        assert not writing.done()
        read_now.set()
        await writing
        assert await tunnel.read() == b""
    assert received == total


async def test_writing_to_a_tunnel_that_the_origin_closed_is_an_error(origin: ScriptedOrigin) -> None:
    origin.on("/", steps(raw(head(101, SWITCH)), hang_up()))
    async with client(origin) as upstream:
        tunnel = await opened(upstream)
        assert await tunnel.read() == b""
        await tunnel.close()
        with pytest.raises(OriginUnreachable):
            await tunnel.write(b"late")


async def test_a_client_that_leaves_during_the_upgrade_leaves_no_tunnel(origin: ScriptedOrigin) -> None:
    origin.on("/", echo())
    async with client(origin) as upstream:
        leaving = asyncio.ensure_future(upstream.upgrade(WEBSOCKET))
        while not upstream.health.tunnels:
            await asyncio.sleep(0)
        assert not leaving.done()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await origin.until_all_closed()
        assert upstream.health.tunnels == 0


# -- TLS


@pytest.fixture
async def secure(certificate: Path) -> AsyncIterator[ScriptedOrigin]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with ScriptedOrigin(tls=context) as origin:
        yield origin


async def test_a_tls_origin_is_asked_over_verified_tls_and_kept_alive(
    secure: ScriptedOrigin, certificate: Path
) -> None:
    """RFC 9110 section 4.3.4."""
    secure.on("/", reply(body=b"secret" * 100_000))
    async with client(secure, tls_ca_file=certificate) as upstream:
        for _ in range(3):
            response = await upstream.send(get())
            assert b"".join([part async for part in response.chunks()]) == b"secret" * 100_000
    assert secure.opened <= 2  # a session ticket that arrives late costs one connection


async def test_a_certificate_that_nobody_vouches_for_is_refused_and_not_tried_again(secure: ScriptedOrigin) -> None:
    """RFC 9110 section 4.3.4."""
    async with client(secure) as upstream:
        with pytest.raises(OriginUnreachable, match="certificate verify failed"):
            await upstream.send(get())
        assert upstream.health.connect_errors == 1
    assert secure.count() == 0


async def test_a_certificate_for_another_name_is_refused(secure: ScriptedOrigin, certificate: Path) -> None:
    """RFC 9110 section 4.3.4."""
    upstream = Origin(OriginSettings(url=f"https://127.0.0.1:{secure.port}", tls_ca_file=certificate))
    with pytest.raises(OriginUnreachable, match="certificate"):
        await upstream.send(get())
    await upstream.close()


@pytest.mark.parametrize("how", ["reset", "end of stream without close_notify"])
async def test_under_tls_a_cut_connection_never_passes_for_the_end_of_a_body(
    secure: ScriptedOrigin, certificate: Path, how: str
) -> None:
    """RFC 9112 section 9.8. Whoever can cut the TCP connection could otherwise shorten a body that has no length."""

    async def cut(wire: Wire) -> None:
        await wire.send(head(200) + b"half")
        if how == "reset":
            wire.reset()
        else:
            wire.shut_down_tcp()
            await wire.read_raw()

    secure.on("/", cut)
    async with client(secure, tls_ca_file=certificate) as upstream:
        response = await upstream.send(get())
        async with asyncio.timeout(5):
            with pytest.raises(BodyIncomplete, match="closed"):
                [part async for part in response.chunks()]


async def test_under_tls_a_close_notify_ends_a_body_without_length(secure: ScriptedOrigin, certificate: Path) -> None:
    """RFC 9112 section 9.8."""
    secure.on("/", steps(raw(head(200), b"whole" * 100_000), hang_up()))
    async with client(secure, tls_ca_file=certificate) as upstream:
        response = await upstream.send(get())
        assert b"".join([part async for part in response.chunks()]) == b"whole" * 100_000


async def test_a_tunnel_works_over_tls(secure: ScriptedOrigin, certificate: Path) -> None:
    secure.on("/", echo(b"hi"))
    async with client(secure, tls_ca_file=certificate) as upstream:
        tunnel = await opened(upstream)
        await tunnel.write(b" there")
        tunnel.write_eof()
        assert await read_exactly(tunnel, 8) == b"hi there"
        await tunnel.close()


async def test_a_server_that_never_finishes_its_handshake_is_given_up(origin: ScriptedOrigin) -> None:
    origin.on("/", silence())
    settings = OriginSettings(url=f"https://localhost:{origin.port}", connect_timeout="0.1s")
    upstream = Origin(settings)
    with pytest.raises(OriginTimeout):
        await upstream.send(get())
    await upstream.close()


def test_a_ca_file_that_cannot_be_used_is_a_configuration_error(tmp_path: Path) -> None:
    not_pem = tmp_path / "ca.pem"
    not_pem.write_text("not a certificate")
    for path in (not_pem, tmp_path / "missing.pem"):
        with pytest.raises(ConfigurationError, match="tls_ca_file"):
            Origin(OriginSettings(url="https://localhost", tls_ca_file=path))
