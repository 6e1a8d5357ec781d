"""The cache pages as a client without script sees them: tree, filters, the count before a purge, one response."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pytest
from pytest_aiohttp import AiohttpClient

from proxy.policy.codings import coded_key
from proxy.policy.messages import Fields, StoredResponse
from proxy.storage.base import Entry
from tests.dashboard.shelf import NOW
from webui.listing import entry_id
from webui.query import CacheQuery

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.test_utils import TestClient

    from tests.dashboard.conftest import EdgeUnderView

    Client = TestClient[web.Request, web.Application]

LIVE = {"HX-Request": "true"}
HOST = "http://127.0.0.1:8080"
HOSTILE = "/<script>alert(1)</script>\"'&"


@pytest.fixture
async def client(edge: EdgeUnderView, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(edge.application())


async def _page(client: Client, path: str, status: int = 200, **headers: str) -> str:
    answer = await client.get(path, headers=headers)
    text = await answer.text()
    assert answer.status == status, text
    return text


def _head(entry: Entry, *lines: tuple[str, str]) -> StoredResponse:
    return StoredResponse(
        key=entry.key,
        vary=entry.vary,
        method="GET",
        url=entry.url,
        status=entry.status,
        reason="OK",
        fields=Fields(lines),
        request_time=entry.stored_at,
        response_time=entry.stored_at,
        length=entry.length,
        checksum=0,
        route=entry.route,
        fresh_until=entry.fresh_until,
    )


class TestTheTree:
    async def test_a_place_is_opened_by_its_link_and_closed_by_the_same(
        self, edge: EdgeUnderView, client: Client
    ) -> None:
        for path in ("/api/1", "/api/2", "/page"):
            edge.store(path)
        closed = await _page(client, "/cache")
        opened = f"/cache?at={quote(f'{HOST}/api/', safe='')}"
        assert f'href="{opened}" aria-expanded="false"' in closed
        page = await _page(client, opened)
        assert f'href="/cache?at={quote(f"{HOST}/", safe="")}" aria-expanded="true"' in page
        assert re.findall(r'class="address"[^>]*>([^<]*)</a>', page) == ["1", "2", "page"]

    async def test_a_path_alone_opens_it_on_the_host_that_has_it(self, edge: EdgeUnderView, client: Client) -> None:
        for path in ("/api/a/1", "/api/a/2", "/api/b/1", "/api/b/2", "/x"):
            edge.store(path)
        page = await _page(client, "/cache?at=/api/a/")
        assert re.findall(r'class="address"[^>]*>([^<]*)</a>', page) == ["1", "2", "x"]

    async def test_counts_bytes_freshness_and_hits_stand_at_every_place(
        self, edge: EdgeUnderView, client: Client
    ) -> None:
        edge.store("/api/1", length=2048, hits=3)
        edge.store("/api/2", length=2048, hits=4, fresh_until=NOW - 1)
        edge.store("/page")
        row = re.search(r'<tr class="depth-1">.*?</tr>', await _page(client, "/cache"), re.DOTALL)
        assert row is not None
        for figure in ("api/", "4.0 KiB", "50.0 % fresh", ">7<", ">2<"):
            assert figure in row[0]

    async def test_a_place_with_too_many_children_says_how_to_find_the_others(
        self, edge: EdgeUnderView, client: Client
    ) -> None:
        for i in range(80):
            edge.store(f"/api/{i:02}", length=100 + i)
        page = await _page(client, "/cache?sort=size")
        assert "30 more here, with 30 stored responses" in page
        assert f'href="/cache?view=list&amp;at={quote(f"{HOST}/api/", safe="")}"' in page

    async def test_coded_copies_are_told_with_what_they_are_copies_of(
        self, edge: EdgeUnderView, client: Client
    ) -> None:
        source = edge.store("/a.css")
        edge.store("/a.css", key=coded_key(source.key, "br"), length=400)
        page = await _page(client, "/cache")
        assert "+ br" in page
        assert '<span id="cache-total">1</span>' in page
        assert "without those of 1 compressed copies (400 B)" in page

    async def test_hostile_urls_and_tags_are_shown_as_text_wherever_they_stand(
        self, edge: EdgeUnderView, client: Client
    ) -> None:
        entry = edge.store(HOSTILE, content_type=HOSTILE, tags=(HOSTILE,), route=HOSTILE, key=f"GET {HOSTILE}")
        edge.store(f"{HOSTILE}/2")
        edge.store(f"{HOSTILE}/2?{HOSTILE}", vary=((HOSTILE, HOSTILE),))
        edge.shelf.heads[entry.key] = _head(entry, (HOSTILE, HOSTILE), ("ETag", HOSTILE))
        deep = quote(f"{HOST}{HOSTILE}/", safe="")
        paths = [f"/cache?at={deep}", f"/cache?view=list&at={deep}", f"/cache?tag={deep}&type={deep}&route={deep}"]
        for path in (*paths, f"/cache/purge/count?at={deep}&tag={deep}", f"/cache/{entry_id(entry)}"):
            page = await _page(client, path)
            assert "<script>alert" not in page
            assert "&lt;script&gt;alert(1)" in page

    async def test_secrets_in_queries_are_hidden_in_labels_titles_and_addresses(
        self, edge: EdgeUnderView, client: Client
    ) -> None:
        entry = edge.store("/reset?token=geheim")
        edge.store("/reset?token=geheim", vary=(("accept", "x"),))
        edge.store("/reset?token=geheim2")
        for path in (
            "/cache",
            f"/cache?at={quote(f'{HOST}/reset?', safe='')}",
            "/cache?view=list",
            f"/cache/{entry_id(entry)}",
        ):
            page = await _page(client, path)
            assert "geheim" not in page
            assert "token=********" in page

    @pytest.mark.parametrize("guess", ["token=g", "token=x", "geheim", "m&page="])
    async def test_secrets_cannot_be_guessed_through_the_search_either(
        self, edge: EdgeUnderView, client: Client, guess: str
    ) -> None:
        edge.store("/reset?token=geheim&page=1")
        asked = quote(guess, safe="")
        assert "token=********" not in await _page(client, f"/cache?q={asked}")
        assert '<strong id="purge-count">' not in await _page(client, f"/cache/purge/count?q={asked}")
        at = quote(f"{HOST}/reset?{guess}", safe="")
        assert "token=********" not in await _page(client, f"/cache?view=list&at={at}")
        assert await edge.purge(CacheQuery(text=guess)) == 0

    @pytest.mark.parametrize("text", ["reset?tok", "TOKEN=****", "*&page=1", "page=1"])
    async def test_what_is_seen_is_found(self, edge: EdgeUnderView, client: Client, text: str) -> None:
        edge.store("/reset?token=geheim&page=1")
        page = await _page(client, f"/cache?q={quote(text, safe='')}")
        assert f"{HOST}/reset?token=********&amp;page=1" in page

    async def test_a_place_within_a_query_opens_no_host_by_its_secret(
        self, edge: EdgeUnderView, client: Client
    ) -> None:
        edge.store("/reset", url="http://a.example/reset?token=aaa")
        edge.store("/reset", key="b", url="http://b.example/reset?token=gggghhhh")
        right, wrong = [
            await _page(client, f"/cache?view=tree&at={quote(f'/reset?token={guess}', safe='')}", 200, **LIVE)
            for guess in ("gggg", "xxxx")
        ]
        assert right.replace("gggg", "") == wrong.replace("xxxx", "")


class TestTheQuestionBeforeAPurge:
    async def test_it_counts_and_changes_nothing(self, edge: EdgeUnderView, client: Client) -> None:
        for path in ("/api/1", "/api/2", "/page"):
            edge.store(path)
        page = await _page(client, f"/cache/purge/count?view=list&at={quote(f'{HOST}/api/', safe='')}")
        assert '<strong id="purge-count">2</strong> stored responses with <strong>2.0 KiB</strong>' in page
        assert f"{HOST}/api/1" in page
        assert len(edge.entries) == 3
        assert edge.timeline.events() == []

    @pytest.mark.parametrize(("how", "left", "told"), [("hard", 1, "Purged 2"), ("soft", 3, "Marked 2")])
    async def test_its_form_purges_exactly_that_and_returns_to_the_list(
        self, edge: EdgeUnderView, client: Client, how: str, left: int, told: str
    ) -> None:
        for path in ("/api/1", "/api/2", "/page"):
            edge.store(path)
        query = urlencode({"view": "list", "at": f"{HOST}/api/", "list": "view=list&sort=size"})
        page = await _page(client, f"/cache/purge/count?{query}")
        form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
        form = {name: html.unescape(value) for name, value in form.items()}
        answer = await client.post("/cache/purge", data={**form, "how": how}, allow_redirects=False)
        assert answer.status == 303
        assert answer.headers["Location"].startswith("/cache?view=list&sort=size&")
        assert told in await _page(client, answer.headers["Location"])
        assert len(edge.entries) == left
        assert sum(entry.fresh_until <= NOW for entry in edge.entries) == (2 if how == "soft" else 0)

    async def test_it_is_told_on_the_timeline_in_words(self, edge: EdgeUnderView, client: Client) -> None:
        edge.store("/api/1", tags=("t",))
        await client.post("/cache/purge", data={"all": "yes", "what": "view=list&tag=t", "list": ""})
        event = edge.timeline.events()[0]
        assert (event.kind, event.by, event.text) == ("purge", "operator", "what is tagged t was purged")
        assert event.figures["purged"] == 1

    async def test_a_coded_copy_goes_with_its_source_even_if_the_filter_would_leave_it(
        self, edge: EdgeUnderView, client: Client
    ) -> None:
        source = edge.store("/a.css", length=5000)
        edge.store("/a.css", key=coded_key(source.key, "br"), length=400)
        await client.post("/cache/purge", data={"all": "yes", "what": "view=list&larger=1KiB", "list": ""})
        assert edge.entries == []

    async def test_nothing_that_matches_leaves_nothing_to_press(self, client: Client) -> None:
        page = await _page(client, "/cache/purge/count?tag=none")
        assert "Nothing that is stored matches" in page
        assert "<button" not in page.partition("<main")[2].partition("</main")[0]

    async def test_what_to_purge_must_be_a_filter_that_is_understood(self, edge: EdgeUnderView, client: Client) -> None:
        edge.store("/a")
        answer = await client.post("/cache/purge", data={"all": "yes", "what": "status=teapot", "list": ""})
        assert answer.status == 400
        assert "status must be a whole number" in await answer.text()
        assert len(edge.entries) == 1


class TestOneResponse:
    async def test_everything_about_it_but_its_secrets(self, edge: EdgeUnderView, client: Client) -> None:
        entry = edge.store("/a", tags=("t1",), hits=7, vary=(("accept-language", "de"),))
        edge.shelf.heads[entry.key] = _head(
            entry,
            ("Cache-Control", "max-age=660"),
            ("ETag", '"v1"'),
            ("Set-Cookie", "session=geheim"),
            ("X-Api-Key", "geheim"),
            ("Location", "/next?token=geheim"),
        )
        page = html.unescape(await _page(client, f"/cache/{entry_id(entry)}"))
        for said in (
            "200 OK",
            "10:00 more",
            "11 min: the application says so (max-age)",
            "The next request is answered from it; the origin is not asked.",
            'ETag: "v1"',
            "accept-language: de",
            "/next?token=********",
            f"/traffic/explain?url={quote(entry.url, safe='')}",
        ):
            assert said in page
        assert "geheim" not in page

    async def test_all_that_is_stored_under_its_url_and_in_which_codings(
        self, edge: EdgeUnderView, client: Client
    ) -> None:
        first = edge.store("/a", vary=(("accept-language", "de"),))
        second = edge.store("/a", vary=(("accept-language", None),))
        own = edge.store("/a", key='GET /a partition="abcdef" cookies={"theme":["geheim"]}')
        edge.store("/a", key=coded_key(first.key, "zstd"), vary=first.vary, length=77)
        page = await _page(client, f"/cache/{entry_id(first)}")
        for said in ("This response", "accept-language: de", "without accept-language", "zstd", "77 B"):
            assert said in page
        for other in (second, own):
            assert f'href="/cache/{entry_id(other)}"' in page
        assert "one user's own copy" in html.unescape(page)
        for secret in ("abcdef", "geheim"):
            assert secret not in page

    async def test_its_id_stays_when_it_is_fetched_anew(self, edge: EdgeUnderView, client: Client) -> None:
        first = edge.store("/a", length=1)
        await _page(client, "/cache?view=list")
        edge.shelf.shelved.remove(first)
        edge.store("/a", length=4321)
        assert "4.2 KiB" in await _page(client, f"/cache/{entry_id(first)}")

    async def test_one_that_is_gone_is_told_apart_from_a_fault(self, edge: EdgeUnderView, client: Client) -> None:
        entry = edge.store("/a")
        address = f"/cache/{entry_id(entry)}"
        await _page(client, address)
        edge.shelf.shelved.clear()
        assert "is not stored (any more)" in await _page(client, address, 404)
        # Who looks at it live is told in the page, which would otherwise stand still.
        assert "is not stored (any more)" in await _page(client, address, 200, **LIVE)

    async def test_a_head_that_cannot_be_read_leaves_the_rest(self, edge: EdgeUnderView, client: Client) -> None:
        entry = edge.store("/a")
        page = await _page(client, f"/cache/{entry_id(entry)}")
        assert "Its head cannot be read now" in page
        assert "1000 B" in page

    async def test_it_is_marked_stale_and_looked_at_again(self, edge: EdgeUnderView, client: Client) -> None:
        entry = edge.store("/a")
        other = edge.store("/b")
        id_ = entry_id(entry)
        form = {"id": id_, "how": "soft", "from": "detail"}
        answer = await client.post("/cache/purge", data=form, allow_redirects=False)
        assert answer.headers["Location"] == f"/cache/{id_}?stale=1"
        assert "Marked 1 stored response stale." in await _page(client, answer.headers["Location"])
        assert [each.fresh_until <= NOW for each in edge.entries] == [True, False]
        assert other in edge.entries

    async def test_it_is_purged_with_its_copies_and_the_list_is_next(self, edge: EdgeUnderView, client: Client) -> None:
        entry = edge.store("/a")
        edge.store("/a", key=coded_key(entry.key, "gzip"))
        form = {"id": entry_id(entry), "how": "hard", "from": "detail"}
        answer = await client.post("/cache/purge", data=form, allow_redirects=False)
        assert answer.headers["Location"] == "/cache?purged=1"
        assert edge.entries == []


@pytest.mark.parametrize(
    ("broken", "path"),
    [
        ("tree", "/cache"),
        ("listed", "/cache?view=list"),
        ("listed", "/cache/purge/count"),
        ("detail", f"/cache/{'0' * 32}"),
    ],
)
async def test_a_fault_behind_a_page_is_no_empty_page(
    edge: EdgeUnderView, client: Client, monkeypatch: pytest.MonkeyPatch, broken: str, path: str
) -> None:
    async def fails(*_: object) -> None:
        raise OSError("secret detail")

    monkeypatch.setattr(edge.cache, broken, fails)
    page = await _page(client, path, 500)
    assert "could not be read" in page
    assert "secret detail" not in page
