"""While nothing is asked of the origin, a connection that asks nothing tells how it is."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.config.model import Origin as OriginSettings
from proxy.errors import OriginError
from proxy.policy.messages import Fields
from proxy.upstream import Origin, OriginRequest
from tests.edge import edge_before
from tests.origin import ScriptedOrigin, reply, reset, silence


class Rounds:
    """A sleep that ends when the test says so, one round after the other."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._begun = asyncio.Semaphore(0)
        self._over = asyncio.Semaphore(0)

    async def __call__(self, delay: float) -> None:
        self.slept.append(delay)
        self._begun.release()
        await self._over.acquire()

    async def pass_by(self) -> None:
        """End the sleep, and wait for what is done before the next one."""
        self._over.release()
        async with asyncio.timeout(10):
            await self._begun.acquire()


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(200)
        yield origin


@asynccontextmanager
async def client(origin: ScriptedOrigin, **settings: Any) -> AsyncIterator[Origin]:
    upstream = Origin(OriginSettings.model_validate({"url": origin.url, "retries": 0, **settings}))
    try:
        yield upstream
    finally:
        await upstream.close()


async def ask(upstream: Origin, target: str = "/") -> None:
    response = await upstream.send(OriginRequest("GET", target, Fields([("Host", "app.example")])))
    await response.close()


def state(upstream: Origin) -> str:
    return upstream.health.state


async def fail(upstream: Origin, target: str, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(OriginError):
            await ask(upstream, target)


async def test_an_origin_that_dies_and_comes_back_is_noticed_although_nobody_asks_it(origin: ScriptedOrigin) -> None:
    woken: list[str] = []
    async with client(origin) as upstream:
        upstream.on_up = lambda: woken.append("up")
        await upstream.probe()
        assert state(upstream) == "up"
        await origin.stop()
        await upstream.probe()
        assert state(upstream) == "up", "one failure may be chance"
        await upstream.probe()
        assert state(upstream) == "down"
        assert "no connection" in upstream.health.last_error
        assert woken == []
        await origin.start()
        await upstream.probe()
        assert state(upstream) == "up"
        assert woken == ["up"]
        assert origin.requests == []
        assert (upstream.health.requests, upstream.health.errors, upstream.health.connect_errors) == (0, 0, 0)


async def test_two_failures_with_a_success_between_them_are_not_two_in_a_row(origin: ScriptedOrigin) -> None:
    async with client(origin) as upstream:
        for _ in range(3):
            await origin.stop()
            await upstream.probe()
            await origin.start()
            await upstream.probe()
        assert state(upstream) == "up"


async def test_after_a_refused_request_a_connection_says_that_it_is_back(origin: ScriptedOrigin) -> None:
    async with client(origin) as upstream:
        await origin.stop()
        await fail(upstream, "/")
        assert state(upstream) == "down"
        await origin.start()
        await upstream.probe()
        assert state(upstream) == "up"


@pytest.mark.parametrize(("script", "times"), [(silence(), 3), (reset(), 1)])
async def test_after_timeouts_or_broken_answers_only_an_answer_says_that_it_works(
    origin: ScriptedOrigin, script: Any, times: int
) -> None:
    origin.on("/broken", script)
    async with client(origin, response_timeout="100ms") as upstream:
        await fail(upstream, "/broken", times)
        assert state(upstream) == "down"
        await upstream.probe()
        assert state(upstream) == "down"
        await ask(upstream)
        assert state(upstream) == "up"


async def test_an_origin_that_hung_and_was_started_anew_is_back(origin: ScriptedOrigin) -> None:
    origin.on("/broken", silence())
    async with client(origin, response_timeout="100ms") as upstream:
        await fail(upstream, "/broken", 3)
        await origin.stop()
        await upstream.probe()
        await origin.start()
        await upstream.probe()
        assert state(upstream) == "up"


async def test_an_https_origin_is_probed_over_tls_that_is_verified(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with ScriptedOrigin(tls=context) as secure:
        async with client(secure, tls_ca_file=certificate) as upstream:
            await upstream.probe()
            assert state(upstream) == "up"
            await secure.until_all_closed()
        async with client(secure) as stranger:
            await stranger.probe()
            await stranger.probe()
            assert state(stranger) == "down"


async def test_it_is_probed_only_while_nothing_is_asked_of_it(origin: ScriptedOrigin) -> None:
    rounds = Rounds()
    upstream = Origin(OriginSettings.model_validate({"url": origin.url, "probe": "7s"}), sleep=rounds)
    watching = asyncio.create_task(upstream.watch())
    try:
        await rounds._begun.acquire()
        await ask(upstream)
        await rounds.pass_by()
        assert origin.opened == 1, "the request's own connection"
        await rounds.pass_by()
        await origin.until(lambda: origin.opened == 2)
        assert rounds.slept == [7.0] * 3
        assert len(origin.requests) == 1
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await upstream.close()


async def test_with_0_it_is_never_probed(origin: ScriptedOrigin) -> None:
    async with client(origin, probe=0) as upstream, asyncio.timeout(5):
        await upstream.watch()
    assert origin.opened == 0


async def test_the_edge_probes_from_its_start_and_no_more_once_it_drains(
    origin: ScriptedOrigin, tmp_path: Path
) -> None:
    async with edge_before(origin, origin={"probe": "20ms"}) as edge:
        await origin.until(lambda: origin.opened >= 2)
        assert state(edge.app.origin) == "up"
        await edge.app.drain()
        await origin.until_all_closed()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "probe"]
    assert origin.requests == []
