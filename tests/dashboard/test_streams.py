"""The live part as a stream: what a page gets without asking again, over real HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientResponse
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp import AiohttpClient

from webui import streams
from webui.streams import event, pause, period_of

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.test_utils import TestClient

    from tests.dashboard.conftest import EdgeUnderView

    Client = TestClient[web.Request, web.Application]


class Reader:
    """Reads one stream event by event, as the HTML standard says."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response

    async def next(self) -> tuple[str, str]:
        """The next event's name and data; ("", "") at the end."""
        name, data = "", []
        while line := (await self.response.content.readline()).decode().rstrip("\n"):
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
        return (name, "\n".join(data)) if name or self.response.content.at_eof() else await self.next()

    async def live(self) -> str:
        """The next rendering."""
        while True:
            name, data = await self.next()
            assert name in ("live", "beat"), (name, data)
            if name == "live":
                return data


async def _look(client: Client, page: str) -> Reader:
    response = await client.get("/live", params={"page": page})
    assert response.status == 200, await response.text()
    assert response.content_type == "text/event-stream"
    return Reader(response)


@pytest.fixture
async def client(edge: EdgeUnderView, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(edge.application())


async def test_a_stream_brings_what_a_poll_would_get(client: Client) -> None:
    for page in ("/", "/cache?q=reports&sort=hits"):
        poll = await (await client.get(page, headers={"HX-Request": "true"})).text()
        assert (await (await _look(client, page)).live()).strip() == poll.strip()


async def test_a_change_comes_by_itself_and_what_stays_is_not_sent_again(edge: EdgeUnderView, client: Client) -> None:
    stream = await _look(client, "/")
    assert "1,234" in await stream.live()
    edge.show(requests_total=4321)
    assert "4,321" in await stream.live()
    assert await stream.next() == ("beat", "200")


async def test_all_who_look_at_one_address_share_its_renderings(edge: EdgeUnderView, client: Client) -> None:
    readers = [await _look(client, "/") for _ in range(5)]
    for reader in readers:
        assert "1,234" in await reader.live()
    assert edge.looks <= 2
    edge.show(requests_total=4321)
    for reader in readers:
        assert "4,321" in await reader.live()
    assert edge.looks <= 4


async def test_nothing_is_rendered_when_nobody_looks(edge: EdgeUnderView, client: Client) -> None:
    stream = await _look(client, "/")
    await stream.live()
    stream.response.close()
    edge.show(requests_total=4321)
    async with asyncio.timeout(20):
        while any(task.get_name().startswith("live ") for task in asyncio.all_tasks()):
            await asyncio.sleep(0.05)
    looks = edge.looks
    await asyncio.sleep(1.5)
    assert edge.looks == looks


async def test_figures_that_fail_are_told_as_such_and_come_back(
    edge: EdgeUnderView, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = await _look(client, "/")
    await stream.live()
    with monkeypatch.context() as broken:
        broken.setattr(edge, "figures", None)
        assert await stream.next() == ("failed", "500")
    async with asyncio.timeout(10):
        assert "1,234" in await stream.live()


@pytest.mark.parametrize(
    ("page", "status"),
    [
        ("", 400),
        ("cache", 400),
        ("//evil.example/", 400),
        ("https://evil.example/", 400),
        ("/x" * 2000, 400),
        ("/cache\r\nSet-Cookie: a", 400),
        ("/live?page=/", 404),
        ("/metrics", 404),
        ("/static/app.css", 404),
        ("/cached", 404),
    ],
)
async def test_only_pages_are_streamed(client: Client, page: str, status: int) -> None:
    answer = await client.get("/live", params={"page": page})
    assert answer.status == status
    assert answer.content_type == "text/plain"


async def test_a_bad_filter_is_told_as_the_page_would_tell_it(client: Client) -> None:
    stream = await _look(client, "/cache?sort=colour")
    assert await stream.next() == ("failed", "400")


async def test_a_stream_has_the_protection_of_every_answer(client: Client) -> None:
    stream = await _look(client, "/")
    assert "default-src 'none'" in stream.response.headers["Content-Security-Policy"]
    assert stream.response.headers["Cache-Control"] == "no-store"
    assert stream.response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_stream_needs_the_token_like_every_page(edge: EdgeUnderView, aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(edge.application("secret-token"))
    assert (await client.get("/live", params={"page": "/"})).status == 401


async def test_there_are_only_so_many_streams_and_the_next_one_may_poll(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST_STREAMS", 2)
    readers = [await _look(client, "/") for _ in range(2)]
    refused = await client.get("/live", params={"page": "/"})
    assert refused.status == 503
    assert len(readers) == 2


async def test_a_stream_ends_after_its_time_and_asks_to_come_again(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LIFETIME", 0.2)
    stream = await _look(await aiohttp_client(edge.application()), "/")
    await stream.live()
    assert await stream.next() == ("again", "")
    assert await stream.next() == ("", "")


async def test_streams_end_with_the_edge(edge: EdgeUnderView, client: Client) -> None:
    stream = await _look(client, "/")
    await stream.live()
    async with asyncio.timeout(5):
        await client.server.app.shutdown()  # type: ignore[attr-defined] # the test server's application
        while (await stream.next())[0] not in ("end", ""):
            pass


async def test_a_reader_that_takes_nothing_is_cut_off(
    edge: EdgeUnderView, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "STALLED", 0.2)
    reader, writer = await asyncio.open_connection(client.host, client.port, limit=1024)
    writer.write(b"GET /live?page=/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    async with asyncio.timeout(40):
        while any(task.get_name() == "live /" for task in asyncio.all_tasks()):
            # Nothing is read any more, and more comes than sockets and buffers take.
            edge.show(public_url="http://127.0.0.1/" + "x" * 4_000_000 + str(edge.looks), recent=())
            await asyncio.sleep(0.2)
    writer.close()


@given(st.text())
def test_no_text_can_leave_its_event(text: str) -> None:
    lines = event("live", text).decode().split("\n")
    assert lines[0] == "event: live"
    assert lines[-2:] == ["", ""]
    assert all(line.startswith("data: ") for line in lines[1:-2])
    assert not any("\r" in line for line in lines)


def test_a_page_says_itself_how_often_it_comes() -> None:
    assert period_of('<main hx-get="/" hx-trigger="every 10s">') == 10
    assert period_of('<main hx-trigger="every 0s">') == 1
    assert period_of("<main>") == 5


def test_a_costly_page_comes_less_often() -> None:
    assert pause(1, 0.005) == 1
    assert pause(1, 0.1) == pytest.approx(5)
    assert pause(1, 100) == 60
