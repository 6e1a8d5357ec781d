"""What explain foretells is what then happens, on generated traffic."""

from __future__ import annotations

import asyncio
from typing import Any

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
