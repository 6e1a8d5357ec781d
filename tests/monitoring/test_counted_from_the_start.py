"""What a shipped rule or panel takes a rate of exists before it first happens: rate() does not see a first step."""

from __future__ import annotations

import json
import re

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.edge import EdgeUnderTest, edge_before
from tests.monitoring.prometheus import MONITORING
from tests.origin import ScriptedOrigin, reply

RATED = re.compile(r"(?:rate|increase)\((\w+)")


def rated() -> set[str]:
    """The samples that rules and panels take a rate of."""
    rules = (MONITORING / "cachewire.rules.yml").read_text()
    panels = json.loads((MONITORING / "grafana-cachewire.json").read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return set(RATED.findall("\n".join((rules, *queries))))


async def series(edge: EdgeUnderTest) -> dict[str, set[frozenset[tuple[str, str]]]]:
    """By name of a sample, the labels that it is exposed with."""
    address = f"http://{edge.app.admin_address}/metrics"
    async with aiohttp.ClientSession() as client, client.get(address) as response:
        text = await response.text()
    found: dict[str, set[frozenset[tuple[str, str]]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).add(frozenset(sample.labels.items()))
    return found


async def test_no_series_that_a_rate_is_taken_of_begins_with_what_it_counts() -> None:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"ok", headers=[("Cache-Control", "max-age=60")])
        async with edge_before(origin) as edge:
            before = await series(edge)
            for path in ("/a", "/a", "/api/b"):
                await edge.get(path)
            origin.default = reply(500, body=b"no")
            await edge.get("/c")
            await edge.get("/socket.io/?EIO=3&transport=polling")
            after = await series(edge)
    assert len(rated()) > 20
    for name in rated():
        assert before.get(name), f"{name} is not exposed at the start"
        assert after[name] == before[name], f"series of {name} began with what they count"
