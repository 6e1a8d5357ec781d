"""The series of what browsers report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.edge import EdgeUnderTest, edge_before
from tests.live import connected, member
from tests.origin import ScriptedOrigin


@pytest.fixture
async def edge() -> AsyncIterator[EdgeUnderTest]:
    async with ScriptedOrigin() as origin, edge_before(origin, realtime={"auth": "trusted"}) as edge:
        yield edge


async def samples(edge: EdgeUnderTest) -> dict[str, Any]:
    """The values of these series by name and labels."""
    where = f"http://{edge.app.admin_address}/metrics"
    async with aiohttp.ClientSession() as session, session.get(where) as response:
        families = text_string_to_metric_families(await response.text())
    return {
        f"{sample.name}{''.join(sample.labels.values())}": sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith(
            ("cachewire_realtime_client_", "cachewire_realtime_slow", "cachewire_realtime_queued")
        )
    }


async def test_reports_are_added_up_and_leave_with_their_sessions(edge: EdgeUnderTest) -> None:
    url = f"http://{edge.host}"
    async with connected(url) as anna, connected(url) as ben:
        for client, latency in ((anna, 100), (ben, 300)):
            await member(client, f"u{latency}", "c1")
            await client.ask("client_metrics", {"cachedProfiles": 4, "latency": latency, "retries": 1})
        found = await samples(edge)
        assert found["cachewire_realtime_client_reporting_sessions"] == 2
        assert found["cachewire_realtime_client_cached_profiles"] == 8
        assert found["cachewire_realtime_client_retries"] == 2
        assert found["cachewire_realtime_client_latency_secondsmean"] == 0.2
        assert found["cachewire_realtime_client_latency_secondslargest"] == 0.3
        assert found["cachewire_realtime_slow_sessions"] == 0
        edge.app.realtime.disconnect(anna.sid)  # type: ignore[union-attr] # it is there
        edge.app.realtime.disconnect(ben.sid)  # type: ignore[union-attr]
        await anna.closed()
        await ben.closed()
    left = await samples(edge)
    assert left["cachewire_realtime_client_reporting_sessions"] == 0
    assert "cachewire_realtime_client_latency_secondsmean" not in left


async def test_no_series_bears_what_clients_call_themselves(edge: EdgeUnderTest) -> None:
    async with connected(f"http://{edge.host}") as anna:
        await member(anna, "secret-user", "secret-place")
        await anna.ask("client_metrics", {"latency": 1})
        assert not [name for name in await samples(edge) if "secret" in name]


async def test_without_the_core_there_are_none() -> None:
    async with ScriptedOrigin() as origin, edge_before(origin, realtime={"enabled": False}) as edge:
        assert await samples(edge) == {}
