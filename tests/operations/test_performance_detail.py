"""The detailed performance report, on a running edge, and as its documentation shows it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.edge import EdgeUnderTest, edge_before
from tests.live import connected, member, message
from tests.origin import ScriptedOrigin, reply

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
REPORT = {"cachedProfiles": 12, "activeSubscriptions": 3, "pendingUpdates": 1, "latency": 250, "retries": 2}


@pytest.fixture
async def edge() -> AsyncIterator[EdgeUnderTest]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"one", headers={"Cache-Control": "max-age=60"})
        async with edge_before(origin, realtime={"auth": "trusted"}) as edge:
            yield edge


async def asked(edge: EdgeUnderTest, query: str = "?detail=1", expected: int = 200) -> Any:
    where = f"http://{edge.app.admin_address}/api/performance{query}"
    async with aiohttp.ClientSession() as session, session.get(where) as response:
        assert response.status == expected
        return await response.json(content_type=None)


async def test_each_section_says_what_happened(edge: EdgeUnderTest) -> None:
    for _ in range(4):
        await edge.get("/a")
    async with connected(f"http://{edge.host}") as anna:
        await member(anna, "u1", "c1")
        await anna.ask("client_metrics", REPORT)
        await anna.ask("send_message", message("c1", "u1", "hello"))
        report = await asked(edge)
    server, client, realtime = report["server"], report["client"], report["realtime"]
    assert server["requests"]["total"] == 5  # the handshake is one
    assert server["latency"]["grade"] == "excellent"
    assert server["errors"] == {"share": 0.0, "grade": "good"}
    assert server["memory"]["used"] > 10_000_000
    assert server["memory"]["budget"] > server["memory"]["used"]
    assert server["cpu"]["seconds"] > 0
    assert (client["sessions"], client["reporting"], client["cached_profiles"], client["retries"]) == (1, 1, 12, 2)
    assert (client["latency"]["p95"], client["latency"]["grade"]) == (0.25, "good")
    assert client["quality"]["good"] == 1
    assert client["quality"]["trend"][-1] == {"excellent": 0.0, "good": 1.0, "poor": 0.0}
    assert realtime["sessions"] == {"websocket": 1, "polling": 0}
    assert (realtime["users"], realtime["conversations"], realtime["deliveries"]) == (1, 1, 1)
    assert (realtime["messages"]["total"], realtime["batches"]) == (1, {"total": 1, "mean_messages": 1.0})
    assert report["cache"]["stored"] == 1
    assert report["cache"]["hit_ratio"]["requests"] == 0.75
    assert report["origin"]["state"] == "up"
    assert report["origin"]["pool"]["most"] == 100


async def test_without_traffic_there_are_no_figures_and_nothing_fails(edge: EdgeUnderTest) -> None:
    report = await asked(edge)
    assert report["server"]["latency"]["mean"] is None
    assert report["server"]["latency"]["grade"] is None
    assert report["client"]["latency"]["grade"] is None
    assert report["realtime"]["batches"]["mean_messages"] is None
    assert report["origin"]["state"] == "unknown"


async def test_without_the_realtime_core_its_sections_are_empty() -> None:
    async with ScriptedOrigin() as origin, edge_before(origin, realtime={"enabled": False}) as edge:
        report = await asked(edge)
    assert report["client"] is None
    assert report["realtime"] is None
    assert report["server"]["connections"] == 0


async def test_without_detail_it_is_the_public_report_and_anything_else_is_explained(edge: EdgeUnderTest) -> None:
    five = ["uptime", "connectionsActive", "messagesProcessed", "averageResponseTime", "messagesPerSecond"]
    assert list(await asked(edge, "")) == five
    assert list(await asked(edge, "?detail=0")) == five
    assert (await asked(edge, "?detail=yes", 400))["detail"] == "detail is 0 or 1"
    public = await edge.get("/api/performance?detail=1")
    assert list(json.loads(public.body)) == five


async def test_the_example_of_the_documentation_has_the_shape_of_a_real_report(edge: EdgeUnderTest) -> None:
    section = PAGE.read_text().partition("## Performance report")[2]
    (example,) = re.findall(r"^```json\n(\{\n.*?)^```", section, re.DOTALL | re.MULTILINE)
    assert shape(json.loads(example)) == shape(await asked(edge))


def shape(value: Any) -> Any:
    """The names and how they lie within each other; lists and figures are what they are."""
    return {name: shape(each) for name, each in value.items()} if isinstance(value, dict) else None
