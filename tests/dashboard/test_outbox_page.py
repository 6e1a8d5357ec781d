"""The outbox page over a real queue before a real origin: what waits, what was given up, what becomes of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from html import unescape
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.edge import PATIENCE, EdgeUnderTest, edge_before
from tests.origin import ScriptedOrigin, reply
from webui.outbox_shown import STATES, OutboxQuery

ROUTES = [{"name": "all", "match": "/**", "strategy": "cache-first", "offline_queue": True}]
HOSTILE = "/<script>alert(1)</script>"


async def forever(_seconds: float) -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def queueing(origin: ScriptedOrigin) -> AsyncIterator[EdgeUnderTest]:
    async with edge_before(origin, sleep=forever, routes=ROUTES, origin={"retries": 0}) as edge:
        yield edge


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(201, b"written")
        origin.on("/refused", reply(422, b'{"error": "<b>too long</b>"}'))
        yield origin


@pytest.fixture
async def edge(origin: ScriptedOrigin) -> AsyncIterator[EdgeUnderTest]:
    async with queueing(origin) as edge:
        yield edge


async def post(edge: EdgeUnderTest, target: str, body: bytes = b'{"title": "geheim"}') -> None:
    assert (await edge.ask("POST", target, {"Content-Type": "application/json"}, body)).status == 202


async def page(edge: EdgeUnderTest, path: str = "/outbox", status: int = 200, **headers: str) -> str:
    url = f"http://{edge.app.admin_address}{path}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        assert answer.status == status
        return await answer.text()


async def act(edge: EdgeUnderTest, path: str, **form: str) -> str:
    """Press a button; where it leads."""
    url = f"http://{edge.app.admin_address}{path}"
    async with aiohttp.ClientSession() as session, session.post(url, data=form, allow_redirects=False) as answer:
        assert answer.status == 303
        return answer.headers["Location"]


async def api(edge: EdgeUnderTest, method: str, path: str) -> Any:
    url = f"http://{edge.app.admin_address}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url) as answer:
        return await answer.json(content_type=None)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


def counts(edge: EdgeUnderTest) -> tuple[int, int, int]:
    assert edge.app.outbox is not None
    now = edge.app.outbox.counts
    return now.queued, now.dead, now.done


def told(edge: EdgeUnderTest) -> list[str]:
    happened = edge.app.control_room.timeline.events()
    return [event.text for event in happened if event.kind == "outbox" and event.by != "automatic"]


async def given_up(edge: EdgeUnderTest, origin: ScriptedOrigin, *targets: str) -> None:
    """Writes that were queued and then refused by the origin."""
    await origin.stop()
    for target in targets:
        await post(edge, target)
    await origin.start()
    assert edge.app.outbox is not None
    edge.app.outbox.wake()
    await until(lambda: counts(edge)[0] == 0)


class TestWhatIsShown:
    async def test_without_a_queue_how_to_switch_it_on(self, origin: ScriptedOrigin) -> None:
        async with edge_before(origin) as edge:
            assert "offline_queue: true" in await page(edge)

    async def test_an_empty_queue_is_told_apart_from_none(self, edge: EdgeUnderTest) -> None:
        shown = await page(edge)
        assert "<strong>Empty.</strong>" in shown
        assert "No write waits." in shown

    async def test_what_waits_in_its_order_with_the_reason_and_without_its_content(
        self, edge: EdgeUnderTest, origin: ScriptedOrigin
    ) -> None:
        await origin.stop()
        await post(edge, "/first?token=geheim")
        await post(edge, f"{HOSTILE}")
        shown = await page(edge)
        assert "2 writes wait for it" in shown
        assert re.findall(r'data-label="Place">(\d+)<', shown) == ["1", "2"]
        assert shown.index("/first?token=********") < shown.index("&lt;script&gt;alert(1)")
        for said in ("application/json", "19 B", "the origin could not be reached", "after those before it"):
            assert said in shown
        assert "geheim" not in shown
        assert "<script>alert" not in shown

    async def test_a_later_failure_is_told_in_words_and_not_in_numbers(
        self, edge: EdgeUnderTest, origin: ScriptedOrigin
    ) -> None:
        await origin.stop()
        await post(edge, "/first")
        assert edge.app.outbox is not None
        edge.app.outbox.wake()
        async with asyncio.timeout(PATIENCE):
            while "connection refused" not in (shown := await page(edge)):
                await asyncio.sleep(0.01)
        assert "Errno" not in shown

    async def test_a_dead_letter_with_why_and_what_the_origin_said(
        self, edge: EdgeUnderTest, origin: ScriptedOrigin
    ) -> None:
        await given_up(edge, origin, "/refused")
        shown = await page(edge)
        assert "the origin answered 422" in shown
        assert '"error": "<b>too long</b>"' in unescape(shown)
        assert "<b>too long" not in shown
        assert "1 write was given up" in shown

    async def test_what_was_delivered_has_forgotten_its_content(
        self, edge: EdgeUnderTest, origin: ScriptedOrigin
    ) -> None:
        await given_up(edge, origin, "/fine")
        shown = await page(edge)
        assert '<dd id="count-done">1</dd>' in shown
        assert "content forgotten" in shown

    async def test_a_long_queue_is_paged(self, edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
        await origin.stop()
        for number in range(53):
            await post(edge, f"/{number:03}")
        assert 'href="/outbox?show=queued">All 53' in await page(edge)
        second = await page(edge, "/outbox?show=queued&page=2")
        assert re.findall(r'data-label="Place">(\d+)<', second) == ["51", "52", "53"]
        assert await page(edge, "/outbox?show=queued&page=99") == second
        assert len(await page(edge, "/outbox?show=queued")) < 200_000


class TestWhatIsDone:
    async def test_the_first_is_tried_now(self, edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
        await origin.stop()
        await post(edge, "/first")
        await origin.start()
        id_ = (await api(edge, "GET", "/api/outbox"))["writes"][0]["id"]
        assert await act(edge, "/outbox/retry", id=id_) == "/outbox?retried=1"
        await until(lambda: counts(edge) == (0, 0, 1))
        assert told(edge) == ["POST /first is tried now"]
        assert "1 write is being tried again." in await page(edge, "/outbox?retried=1")

    async def test_all_dead_letters_are_queued_again_in_their_order(
        self, edge: EdgeUnderTest, origin: ScriptedOrigin
    ) -> None:
        await given_up(edge, origin, "/refused", "/refused?2")
        origin.on("/refused", reply(201))
        origin.on("/refused?2", reply(201))
        assert await act(edge, "/outbox/retry", all="dead", list="show=dead") == "/outbox?show=dead&retried=2"
        await until(lambda: counts(edge) == (0, 0, 2))
        assert [seen.target for seen in origin.requests][-2:] == ["/refused", "/refused?2"]
        assert told(edge) == ["all dead letters were queued again"]

    async def test_nothing_is_discarded_before_the_question_is_answered(
        self, edge: EdgeUnderTest, origin: ScriptedOrigin
    ) -> None:
        await given_up(edge, origin, "/refused", "/refused?token=geheim")
        id_ = (await api(edge, "GET", "/api/outbox"))["writes"][0]["id"]
        question = await page(edge, f"/outbox/discard?id={id_}")
        assert "nobody can bring it back" in question
        assert "geheim" not in question
        assert "Discard all 2 dead letters?" in await page(edge, "/outbox/discard")
        assert counts(edge) == (0, 2, 0)
        assert await act(edge, "/outbox/discard", id=id_) == "/outbox?discarded=1"
        assert counts(edge) == (0, 1, 0)
        assert await act(edge, "/outbox/discard", all="dead") == "/outbox?discarded=1"
        assert counts(edge) == (0, 0, 0)
        assert told(edge)[0] == "all dead letters were discarded"
        assert "geheim" not in told(edge)[1]
        assert "is not here (any more)" in await page(edge, f"/outbox/discard?id={id_}")

    async def test_the_same_by_script(self, edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
        await given_up(edge, origin, "/refused", "/refused?2")
        id_ = (await api(edge, "GET", "/api/outbox"))["writes"][0]["id"]
        assert await api(edge, "DELETE", f"/api/outbox/{id_}") == {"id": id_, "deleted": True}
        assert await api(edge, "POST", "/api/outbox/dead/retry") == {"queued": 1}
        await until(lambda: counts(edge) == (0, 1, 0))
        assert await api(edge, "DELETE", "/api/outbox/dead") == {"deleted": 1}
        assert len(told(edge)) == 3

    async def test_a_write_that_is_gone_is_no_error(self, edge: EdgeUnderTest) -> None:
        assert await act(edge, "/outbox/retry", id="gone") == "/outbox?retried=0"
        assert "it was settled already" in await page(edge, "/outbox?retried=0")
        assert await act(edge, "/outbox/discard", id="gone") == "/outbox?discarded=0"
        assert told(edge) == []

    @pytest.mark.parametrize("path", ["/outbox/retry", "/outbox/discard"])
    async def test_a_form_that_does_not_say_what_does_nothing(self, edge: EdgeUnderTest, path: str) -> None:
        url = f"http://{edge.app.admin_address}{path}"
        async with aiohttp.ClientSession() as session, session.post(url, data={"all": "queued"}) as answer:
            assert answer.status == 400
            assert "all=dead" in await answer.text()


@given(st.builds(OutboxQuery, st.sampled_from(STATES), st.integers(1, 100_000)) | st.just(OutboxQuery()))
def test_a_query_written_into_a_url_is_read_back_the_same(query: OutboxQuery) -> None:
    assert OutboxQuery.parse(dict(parse_qsl(query.path.partition("?")[2]))) == query


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [({"show": "lost"}, "show must be one of queued, dead, done"), ({"page": "0"}, "page must be a whole number")],
)
def test_a_wrong_parameter_is_told_with_what_would_be_right(parameters: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        OutboxQuery.parse(parameters)
