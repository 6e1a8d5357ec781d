"""What explain foretells is what then happens, on generated traffic."""

from __future__ import annotations

import asyncio
import html
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.explain import explain
from proxy.policy.messages import Fields, Request
from tests.edge import EdgeUnderTest, edge_before
from tests.origin import ScriptedOrigin, reply

CACHE_CONTROL = ["", "max-age=10", "max-age=0", "no-cache", "no-store", "private", "public, max-age=20", "s-maxage=15",
                 "max-age=5, stale-while-revalidate=30", "max-age=5, must-revalidate"]  # fmt: skip
ASKED = [{}, {"Cache-Control": "no-cache"}, {"Cache-Control": "max-age=3"}, {"Cache-Control": "max-stale"},
         {"Cache-Control": "min-fresh=8"}, {"Cache-Control": "only-if-cached"}, {"Cookie": "session=anna"},
         {"Accept-Language": "de"}, {"Authorization": "Bearer x"}]  # fmt: skip
responses = st.fixed_dictionaries(
    {"Cache-Control": st.sampled_from(CACHE_CONTROL)},
    optional={"ETag": st.just('"v1"'), "Vary": st.just("Accept-Language"), "Age": st.sampled_from(["3", "100"])},
)
steps_taken = st.lists(
    st.tuples(st.sampled_from(["/a", "/b"]), st.sampled_from(ASKED), st.integers(0, 12)), min_size=1, max_size=8
)


@pytest.mark.parametrize(
    "strategy", ["network-first", "cache-first", "stale-while-revalidate", "cache-only", "network-only"]
)
@pytest.mark.parametrize("credentials", ["bypass", "partition"])
@pytest.mark.parametrize("heuristic", [0, "6s"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(response=responses, taken=steps_taken)
def test_explain_agrees_with_what_then_happens(
    strategy: str,
    credentials: str,
    heuristic: str | int,
    response: dict[str, str],
    taken: list[tuple[str, dict[str, str], int]],
) -> None:
    asyncio.run(_walk(strategy, credentials, heuristic, response, taken))


async def _walk(
    strategy: str,
    credentials: str,
    heuristic: str | int,
    response: dict[str, str],
    taken: list[tuple[str, dict[str, str], int]],
) -> None:
    route: dict[str, Any] = {"name": "all", "match": "/**", "strategy": strategy, "credentials": credentials}
    route["expiration"] = {"max_age": "1m"}
    cache = {"heuristic": heuristic}
    async with ScriptedOrigin() as origin, edge_before(origin, routes=[route], cache=cache) as edge:
        origin.default = reply(body=b"one", headers={name: value for name, value in response.items() if value})
        for target, headers, pause in taken:
            edge.clock.advance(pause)
            told = await _told(edge, target, headers)
            before = origin.count()
            answer = await edge.get(target, headers)
            await edge.background_done()
            asked = origin.requests[before:]
            what = (told, answer.cache_status, headers)
            if told["next"] == "hit":
                assert not asked, what
                assert answer.cache_status.startswith("cachewire; hit"), what
            elif told["next"] == "hit-and-refresh":
                assert answer.cache_status.startswith("cachewire; hit"), what
                assert len(asked) == 1, what
            elif told["next"] == "refuse":
                assert not asked, what
                assert answer.status == 504 or "stale" in answer.cache_status, what
            else:
                assert asked, what
                conditional = asked[0].header("If-None-Match") is not None
                assert conditional == (told["next"] == "ask-if-changed"), what


async def _told(edge: EdgeUnderTest, target: str, headers: dict[str, str]) -> dict[str, Any]:
    request = Request("GET", target, edge.host, Fields([("Host", edge.host), *headers.items()]))
    return await explain(edge.app.server._edge, edge.app.routes, request)


async def _row(edge: EdgeUnderTest) -> str:
    """What the page says of the newest row of the traffic."""
    url = f"http://{edge.app.admin_address}/traffic/explain?of={edge.app.ledger.total}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return html.unescape(await response.text())


CHOSEN = {"Accept-Encoding": "gzip, br", "Accept-Language": "de", "X-Theme": "dark", "Cookie": "session=geheim"}


async def test_a_row_is_explained_with_the_fields_and_the_host_that_chose_its_answer() -> None:
    async with ScriptedOrigin() as origin, edge_before(origin) as edge:
        vary = {"Cache-Control": "public, max-age=60", "Vary": "Accept-Encoding, Accept-Language, X-Theme"}
        origin.default = reply(body=b"one", headers=vary)
        for host in (edge.host, "www.example.org"):
            for _ in range(2):
                await edge.get("/page", {"Host": host, **CHOSEN})
            said = await _row(edge)
            assert "The next such request is a hit" in said
            assert f"GET http://{host}/page" in said
            assert "accept-encoding: gzip, br" in said
            assert "x-theme: dark" in said
            assert "geheim" not in said


async def test_what_differs_from_the_stored_variant_is_named_with_both_values() -> None:
    async with ScriptedOrigin() as origin, edge_before(origin) as edge:
        headers = {"Cache-Control": "max-age=60", "Vary": "Accept-Language, X-Theme", "Content-Language": "de"}
        origin.default = reply(body=b"one", headers=headers)
        await edge.get("/page", {"Accept-Language": "de", "X-Theme": "dark"})
        told = await _told(edge, "/page", {"Accept-Language": "fr", "X-Theme": "dark"})
        assert "One variant is stored" in told["lines"][2]
        assert "accept-language is 'fr' here, and was 'de' there." in told["lines"][2]
        told = await _told(edge, "/page", {"Accept-Language": "de"})
        assert "x-theme is absent here, and was 'dark' there." in told["lines"][2]


async def test_no_credential_is_kept_to_explain_a_row_and_its_absence_is_said() -> None:
    async with ScriptedOrigin() as origin, edge_before(origin) as edge:
        headers = {"Cache-Control": "public, max-age=60", "Vary": "Cookie, X-Session-Token, Accept"}
        origin.default = reply(body=b"one", headers=headers)
        await edge.get("/page", {"Cookie": "a=geheim", "X-Session-Token": "geheim", "Accept": "x" * 600})
        assert "geheim" not in repr(edge.app.ledger.recent(1))
        assert len(repr(edge.app.ledger.recent(1))) < 1500
        said = await _row(edge)
        assert "explained without: accept, cookie, x-session-token." in said
        assert "geheim" not in said


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("/r?q=café", "/r?q=caf%C3%A9"),
        ("/r?q=<script>", "/r?q=%3Cscript%3E"),
        ("/naïve menu?q=a b", "/na%C3%AFve%20menu?q=a%20b"),
        ("/{it's}?q={it's|so}", "/%7Bit's%7D?q={it%27s|so}"),
        ("/r?q=caf%C3%A9#top", "/r?q=caf%C3%A9"),
    ],
)
async def test_a_typed_url_is_explained_as_what_a_browser_makes_of_it(typed: str, asked: str) -> None:
    async with ScriptedOrigin() as origin, edge_before(origin) as edge:
        origin.default = reply(body=b"one", headers={"Cache-Control": "max-age=60"})
        await edge.get(asked)
        for url in (typed, f"http://{edge.host}{typed}"):
            address = f"http://{edge.app.admin_address}"
            async with aiohttp.ClientSession() as session:
                async with session.get(f"{address}/api/explain", params={"url": url}) as response:
                    assert (await response.json())["next"] == "hit"
                async with session.get(f"{address}/traffic/explain", params={"url": url}) as response:
                    assert "The next such request is a hit" in await response.text()
                purge = {"url": url, "dry_run": True}
                async with session.post(f"{address}/api/cache/purge", json=purge) as response:
                    assert (await response.json())["count"] == 1


async def test_a_url_is_purged_as_browsers_and_as_other_clients_ask_for_it() -> None:
    async with ScriptedOrigin() as origin, edge_before(origin) as edge:
        origin.default = reply(body=b"one", headers={"Cache-Control": "max-age=60"})
        await edge.get("/r?q=it's")
        await edge.get("/r?q=it%27s")
        purge = {"url": f"http://{edge.host}/r?q=it's", "dry_run": True}
        address = f"http://{edge.app.admin_address}/api/cache/purge"
        async with aiohttp.ClientSession() as session, session.post(address, json=purge) as response:
            assert (await response.json())["count"] == 2
