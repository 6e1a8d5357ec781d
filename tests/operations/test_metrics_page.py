"""docs/metrics.md lists what is exposed: every series, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.edge import EdgeUnderTest, edge_before
from tests.origin import ScriptedOrigin, reply

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


class Listed(NamedTuple):
    name: str
    kind: str
    meaning: str


def listed() -> list[Listed]:
    """The rows of the page's tables."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| [^|]* \| ([^|]+) \|$", PAGE.read_text(), re.MULTILINE)
    return [Listed(*row) for row in rows]


def labels_listed() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `(\w+)` \| \w+ \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


async def exposed() -> list[tuple[Listed, set[str]]]:
    """What an edge with the access log on says of itself after some traffic, and a browser's report."""
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"ok")
        async with edge_before(origin, log={"access": {"format": "json", "file": "/dev/null"}}) as edge:
            await edge.get("/a")
            await _reported(edge)
            text, _ = await _scraped(edge.app.admin_address.host, edge.app.admin_address.port)
    return list(_families(text))


async def _reported(edge: EdgeUnderTest) -> None:
    """A session whose browser tells of itself, and which stays."""
    session = "/socket.io/?EIO=4&transport=polling"
    session += "&sid=" + json.loads((await edge.get(session)).body[1:])["sid"]
    packets = "40\x1e" + '42["client_metrics",{"latency":40}]'
    assert (await edge.ask("POST", session, body=packets.encode())).status == 200


async def _scraped(host: str, port: int) -> tuple[str, int]:
    import aiohttp

    async with aiohttp.ClientSession() as client, client.get(f"http://{host}:{port}/metrics") as response:
        return await response.text(), response.status


def _families(text: str) -> Iterator[tuple[Listed, set[str]]]:
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels if label != "le"}
        yield Listed(name, family.type, family.documentation), labels


async def test_the_page_lists_every_series_with_its_type_and_meaning() -> None:
    found = {each for each, _ in await exposed()}
    assert found - set(listed()) == set(), "exposed and not listed (or listed otherwise)"
    assert set(listed()) - found == set(), "listed and not exposed (or otherwise)"


async def test_the_page_names_exactly_the_labels_that_series_have() -> None:
    known = labels_listed()
    for each, labels in await exposed():
        assert labels == known[each.name], each.name


def test_no_label_is_of_a_kind_that_grows_with_users_or_urls() -> None:
    for name, labels in labels_listed().items():
        assert not labels & {"user", "url", "path", "client", "conversation", "channel", "sid"}, name


@pytest.mark.parametrize("row", listed(), ids=lambda row: row.name)
def test_names_follow_the_conventions_of_prometheus(row: Listed) -> None:
    """https://prometheus.io/docs/practices/naming/: counters end in _total, units are base units."""
    assert (row.kind == "counter") is row.name.endswith("_total")
    assert not re.search(r"_(ms|milliseconds|kb|mb|minutes|percent)(_|$)", row.name)
    assert row.meaning.endswith(".")
