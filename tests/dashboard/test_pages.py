"""The pages as a client without script sees them, over real HTTP."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpClient

from webui.frame import Frame
from webui.listing import entry_id
from webui.snapshot import RecentExchange

if TYPE_CHECKING:
    from aiohttp.test_utils import TestClient

    from tests.dashboard.conftest import EdgeUnderView

    Client = TestClient[web.Request, web.Application]

HOSTILE = "/<script>alert(1)</script>\"'&"
LIVE = {"HX-Request": "true"}


async def _client(edge: EdgeUnderView, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(edge.application())


async def _page(client: Client, path: str, **headers: str) -> str:
    answer = await client.get(path, headers=headers)
    assert answer.status == 200, await answer.text()
    assert answer.content_type == "text/html"
    return await answer.text()


async def test_the_overview_shows_its_figures_without_script(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient
) -> None:
    page = await _page(await _client(edge, aiohttp_client), "/")
    for figure in ("12.5", "93.1 %", "87.4 %", "900 µs", "42 ms", "1,234", "512 KiB", "/api/reports?page=1", "Healthy"):
        assert figure in page


async def test_a_poll_gets_the_same_live_part_without_the_frame(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient
) -> None:
    client = await _client(edge, aiohttp_client)
    for path in ("/", "/cache"):
        whole, part = await _page(client, path), await _page(client, path, **LIVE)
        live = part[part.index("<main") :].strip()
        assert live in whole
        assert "<html" in whole
        assert "<html" not in part
        assert re.search(r"<title>\w+ · Cachewire</title>", part)


async def test_whole_page_and_live_part_are_never_confused_by_a_cache(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient
) -> None:
    answer = await (await _client(edge, aiohttp_client)).get("/")
    assert answer.headers["Vary"] == "HX-Request"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_hostile_urls_are_shown_as_text(edge: EdgeUnderView, aiohttp_client: AiohttpClient) -> None:
    edge.show(recent=(RecentExchange(1.0, "GET", HOSTILE, 200, "hit", HOSTILE, 0.1),))
    edge.store(HOSTILE, content_type=HOSTILE, tags=(HOSTILE,), route=HOSTILE)
    client = await _client(edge, aiohttp_client)
    for path in ("/", "/cache", f"/cache?q={quote('<script>alert(1)')}"):
        page = await _page(client, path)
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page


async def test_no_page_contains_inline_script_or_style(edge: EdgeUnderView, aiohttp_client: AiohttpClient) -> None:
    edge.store("/a")
    client = await _client(edge, aiohttp_client)
    for path in ("/", "/cache"):
        page = await _page(client, path)
        assert not re.search(r"\sstyle=|<style|\son\w+=|hx-on|javascript:|<script(?![^>]*\ssrc=)", page)


async def test_nothing_stored_is_told_apart_from_nothing_found(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient
) -> None:
    client = await _client(edge, aiohttp_client)
    empty = await _page(client, "/cache")
    assert "Nothing stored yet" in empty
    assert 'href="http://127.0.0.1:8080/"' in empty
    edge.store("/a")
    assert "None of the 1 stored responses matches" in await _page(client, "/cache?q=zzz")


async def test_no_traffic_yet_invites_to_click_around(edge: EdgeUnderView, aiohttp_client: AiohttpClient) -> None:
    edge.show(recent=(), hit_ratio=None, p50=None, series=())
    page = await _page(await _client(edge, aiohttp_client), "/")
    assert "Nothing has passed through yet" in page
    assert 'href="http://127.0.0.1:8080/"' in page


@pytest.mark.parametrize("path", ["/", "/cache"])
async def test_figures_that_cannot_be_read_are_a_failure_and_not_an_empty_page(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("secret detail")

    monkeypatch.setattr(edge, "overview", broken)
    monkeypatch.setattr(edge, "cache", broken)
    answer = await (await _client(edge, aiohttp_client)).get(path)
    page = await answer.text()
    assert answer.status == 500
    assert "could not be read" in page
    assert "secret detail" not in page
    assert "Content-Security-Policy" in answer.headers


async def test_a_wrong_parameter_is_answered_with_what_would_be_right(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient
) -> None:
    answer = await (await _client(edge, aiohttp_client)).get("/cache?sort=colour")
    assert answer.status == 400
    assert "sort must be one of stored, url" in await answer.text()


async def test_filter_order_and_page_stand_in_every_address_of_the_list(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient
) -> None:
    for i in range(60):
        edge.store(f"/r/{i}")
    page = await _page(await _client(edge, aiohttp_client), "/cache?q=/r/&state=fresh&sort=hits")
    assert 'hx-get="/cache?q=%2Fr%2F&amp;state=fresh&amp;sort=hits"' in page
    assert 'href="/cache?q=%2Fr%2F&amp;state=fresh&amp;sort=hits&amp;page=2"' in page
    assert 'href="/cache?q=%2Fr%2F&amp;state=fresh&amp;sort=size"' in page
    assert 'aria-sort="descending"' in page


async def test_one_entry_is_purged_by_a_plain_form(edge: EdgeUnderView, aiohttp_client: AiohttpClient) -> None:
    doomed = edge.store("/doomed")
    edge.store("/kept")
    client = await _client(edge, aiohttp_client)
    form = {"id": entry_id(doomed), "list": "q=doomed"}
    answer = await client.post("/cache/purge", data=form, allow_redirects=False)
    assert answer.status == 303
    assert answer.headers["Location"] == "/cache?q=doomed&purged=1"
    assert [entry.url for entry in edge.entries] == ["http://127.0.0.1:8080/kept"]
    assert "Purged 1 stored response." in await _page(client, answer.headers["Location"])


async def test_one_entry_is_purged_by_htmx_and_the_list_and_the_message_come_back(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient
) -> None:
    doomed = edge.store("/doomed")
    edge.store("/kept")
    client = await _client(edge, aiohttp_client)
    answer = await client.post("/cache/purge", data={"id": entry_id(doomed), "list": ""}, headers=LIVE)
    part = await answer.text()
    assert answer.status == 200
    assert "Purged http://127.0.0.1:8080/doomed." in part
    assert "/kept" in part
    assert part.count("/doomed") == 1


async def test_an_entry_that_is_gone_already_is_no_error(edge: EdgeUnderView, aiohttp_client: AiohttpClient) -> None:
    client = await _client(edge, aiohttp_client)
    answer = await client.post("/cache/purge", data={"id": "0" * 32, "list": ""})
    assert "gone already" in await answer.text()


async def test_what_the_filter_found_is_purged_together(edge: EdgeUnderView, aiohttp_client: AiohttpClient) -> None:
    for path in ("/api/1", "/api/2", "/page"):
        edge.store(path)
    client = await _client(edge, aiohttp_client)
    answer = await client.post("/cache/purge", data={"all": "yes", "list": "q=/api/"}, allow_redirects=False)
    assert answer.headers["Location"].endswith("purged=2")
    assert [entry.url for entry in edge.entries] == ["http://127.0.0.1:8080/page"]


@pytest.mark.parametrize("form", [{}, {"all": "no"}, {"id": ""}, {"list": "q=a"}])
async def test_a_purge_that_does_not_say_what_purges_nothing(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, form: dict[str, str]
) -> None:
    edge.store("/a")
    answer = await (await _client(edge, aiohttp_client)).post("/cache/purge", data=form)
    assert answer.status == 400
    assert len(edge.entries) == 1


@pytest.mark.parametrize("back", ["//evil.example/", "https://evil.example/", "q=x&purged=%0d%0aSet-Cookie:a"])
async def test_the_way_back_from_a_purge_leads_nowhere_else(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, back: str
) -> None:
    client = await _client(edge, aiohttp_client)
    answer = await client.post("/cache/purge", data={"id": "x", "list": back}, allow_redirects=False)
    assert answer.headers["Location"].startswith("/cache?")
    assert "evil" not in answer.headers["Location"]
    assert "Set-Cookie" not in answer.headers


async def test_a_count_in_the_address_is_a_count_or_nothing(edge: EdgeUnderView, aiohttp_client: AiohttpClient) -> None:
    page = await _page(await _client(edge, aiohttp_client), "/cache?purged=<b>1</b>")
    assert 'class="message"' not in page


async def test_static_files_are_kept_for_good_under_the_digest_of_their_content(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient
) -> None:
    client = await _client(edge, aiohttp_client)
    addresses = re.findall(r'(?:src|href)="(/static/[^"]+\?v=[0-9a-f]{16})"', await _page(client, "/"))
    assert len(addresses) >= 5
    for address in addresses:
        answer = await client.get(address)
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]
        known = await client.get(address, headers={"If-None-Match": answer.headers["ETag"]})
        assert (known.status, await known.read()) == (304, b"")
        outdated = await client.get(address[:-16] + "0" * 16)
        assert outdated.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("name", ["nothing.css", "../pyproject.toml", "%2e%2e/pyproject.toml", "vendor/LICENSE-htmx"])
async def test_only_known_static_files_are_served(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, name: str
) -> None:
    answer = await (await _client(edge, aiohttp_client)).get(f"/static/{name}")
    assert answer.status == 404


async def test_templates_are_compiled_before_anybody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look at a page must not be the one that waits."""
    monkeypatch.setattr("webui.frame._BETWEEN_TEMPLATES", 0)
    frame = Frame(web.Application())
    await frame.prepare()
    cache = frame._environment.cache
    assert cache is not None
    assert len(cache) == len(list((Path(__file__).parents[2] / "webui" / "templates").glob("*.html")))


async def test_or_as_soon_as_somebody_looks_at_one(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edge that has just been restarted has others to serve, until then."""
    monkeypatch.setattr("webui.frame._BETWEEN_TEMPLATES", 0)
    made: list[Frame] = []
    init = Frame.__init__

    def watched(self: Frame, app: web.Application) -> None:
        made.append(self)
        init(self, app)

    monkeypatch.setattr(Frame, "__init__", watched)
    client = await _client(edge, aiohttp_client)
    (frame,) = made
    preparing = asyncio.create_task(frame.prepare(3600.0))
    await asyncio.sleep(0)
    cache = frame._environment.cache
    assert cache is not None
    assert len(cache) == 0
    await _page(client, "/")
    async with asyncio.timeout(20):
        await preparing
    assert len(cache) == len(list((Path(__file__).parents[2] / "webui" / "templates").glob("*.html")))


@pytest.mark.parametrize(
    ("path", "status", "sentence", "back"),
    [
        ("/nowhere", 404, "Nothing of this dashboard has this address.", '<a href="/">Go to Overview</a>'),
        ("/cache?status=x", 400, "status must be a whole number from 100 to 599.", '<a href="/cache">Go to Cache</a>'),
        ("/cache?q=%3Cb%3E&sort=%3Cb%3E", 400, "sort must be one of", '<a href="/cache">Go to Cache</a>'),
    ],
)
async def test_a_wrong_address_is_a_page_for_people_and_a_line_for_scripts(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, path: str, status: int, sentence: str, back: str
) -> None:
    client = await aiohttp_client(edge.application())
    answer = await client.get(path, headers={"Accept": "text/html,*/*"})
    page = await answer.text()
    assert (answer.status, answer.content_type) == (status, "text/html")
    assert '<nav aria-label="Pages">' in page
    assert sentence in page
    assert back in page
    assert "Content-Security-Policy" in answer.headers
    line = await client.get(path)
    assert (line.status, line.content_type) == (status, "text/plain")
    assert "<" not in await line.text()
