"""Who may speak to the admin listener, over real HTTP."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp import AiohttpClient

from webui.attempts import FREE
from webui.auth import _credentials, _host_name
from webui.listing import entry_id

if TYPE_CHECKING:
    from aiohttp.test_utils import TestClient

    from tests.dashboard.conftest import EdgeUnderView

    Client = TestClient[web.Request, web.Application]

TOKEN = "tökén-of-32-characters-or-so"


async def _client(edge: EdgeUnderView, aiohttp_client: AiohttpClient, token: str | None = None, *hosts: str) -> Client:
    return await aiohttp_client(edge.application(token, *hosts))


async def _status(client: Client, path: str = "/", **headers: str) -> int:
    return (await client.get(path, headers=headers)).status


async def _purge(client: Client, edge: EdgeUnderView, **headers: str) -> int:
    entry = edge.store("/a")
    answer = await client.post("/cache/purge", data={"id": entry_id(entry)}, headers=headers, allow_redirects=False)
    return answer.status


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8081", "127.0.0.1:8081", "127.9.9.9", "[::1]:8081", "localhost.", "Ops.Example:1"]
)
async def test_loopback_names_and_allowed_hosts_are_answered(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, host: str
) -> None:
    assert await _status(await _client(edge, aiohttp_client, None, "ops.example"), Host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.0.2.1",
        "a@localhost",
        "",
        "localhost/",
        "[::",
    ],
)
async def test_any_other_host_is_refused_because_a_hostile_name_may_lead_here(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, host: str
) -> None:
    edge.store("/a")
    client = await _client(edge, aiohttp_client)
    answer = await client.get("/cache", headers={"Host": host})
    assert answer.status in (400, 421)
    assert "/a" not in await answer.text()


async def test_any_host_name_will_do_where_a_token_is_asked_for(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient
) -> None:
    client = await _client(edge, aiohttp_client, TOKEN)
    bearer = f"Bearer {TOKEN}"
    assert await _status(client, Host="192.0.2.1:8081", Authorization=bearer) == 200
    assert await _status(client, Host="edge.internal:8081", Authorization=bearer) == 200
    assert await _status(client, Host="edge.internal:8081") == 401


async def test_whoever_guesses_tokens_waits_and_learns_nothing_meanwhile(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient
) -> None:
    clock = [0.0]
    client = await aiohttp_client(edge.application(TOKEN, now=lambda: clock[0]))
    guesses = [{"Authorization": f"Bearer guess-{number}"} for number in range(FREE)]
    guesses[1] = {"Authorization": f"Basic {b64encode(b'me:guess').decode()}"}
    assert [await _status(client, **guess) for guess in guesses] == [401] * (FREE - 1) + [429]
    clock[0] += 12
    answer = await client.get("/", headers={"Authorization": f"Bearer {TOKEN}"})
    assert (answer.status, answer.headers["Retry-After"]) == (429, "18")
    assert "try again in 18 s" in await answer.text()
    assert await _status(client, "/healthz") != 429
    clock[0] += 18
    assert await _status(client, Authorization=f"Bearer {TOKEN}") == 200


async def test_a_script_with_an_old_token_locks_nobody_out(edge: EdgeUnderView, aiohttp_client: AiohttpClient) -> None:
    client = await _client(edge, aiohttp_client, TOKEN)
    for _ in range(3 * FREE):
        assert await _status(client, Authorization="Bearer the-old-one") == 401
    assert await _status(client, Authorization=f"Bearer {TOKEN}") == 200


async def test_without_the_token_nothing_is_shown(edge: EdgeUnderView, aiohttp_client: AiohttpClient) -> None:
    client = await _client(edge, aiohttp_client, TOKEN)
    for path in ("/", "/cache", "/static/app.css", "/nothing-here", f"/?token={TOKEN}"):
        answer = await client.get(path)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert "Content-Security-Policy" in answer.headers
    assert edge.looks == 0


async def test_the_token_is_taken_as_bearer_and_as_anybodys_password(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient
) -> None:
    client = await _client(edge, aiohttp_client, TOKEN)
    basic = f"Basic {b64encode(f'anybody:{TOKEN}'.encode()).decode()}"
    assert await _status(client, Authorization=f"Bearer {TOKEN}") == 200
    assert await _status(client, Authorization=f"bearer {TOKEN}") == 200
    assert await _status(client, Authorization=basic) == 200


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer wrong",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Basic {b64encode(b'u:wrong').decode()}",
        f"Basic {b64encode(TOKEN.encode()).decode()}",
        "Basic ???",
        "Digest x",
        "x",
    ],
)
async def test_anything_else_is_not_the_token(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, authorization: str
) -> None:
    assert await _status(await _client(edge, aiohttp_client, TOKEN), Authorization=authorization) == 401


@given(st.text(max_size=40), st.binary(max_size=40))
def test_no_authorization_field_makes_the_check_stumble(text: str, raw: bytes) -> None:
    for value in (text, f"Basic {text}", f"Bearer {text}", raw.decode("utf-8", "surrogateescape")):
        given = _credentials(value)
        assert given is None or isinstance(given, bytes)
    assert _credentials(f"Basic {b64encode(b'u:' + raw).decode()}") == raw


@given(st.text(max_size=40))
def test_a_host_name_never_holds_what_a_host_name_cannot(text: str) -> None:
    host = _host_name(text)
    assert host is None or not set(host) & set("/@?#[] \t\r\n")


async def test_a_probe_needs_no_token(edge: EdgeUnderView, aiohttp_client: AiohttpClient) -> None:
    app = edge.application(TOKEN)

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    app.router.add_get("/healthz", alive)
    client = await aiohttp_client(app)
    assert await _status(client, "/healthz") == 200
    assert await _status(client, "/healthz", Host="edge.internal:8081") == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:1"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[bad"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
async def test_a_change_from_another_site_is_refused(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, headers: dict[str, str]
) -> None:
    client = await _client(edge, aiohttp_client)
    assert await _purge(client, edge, **headers) == 403
    assert len(edge.entries) == 1


async def test_a_change_from_our_own_pages_or_from_no_browser_is_accepted(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient
) -> None:
    client = await _client(edge, aiohttp_client)
    own = f"http://127.0.0.1:{client.port}"
    assert await _purge(client, edge, **{"Sec-Fetch-Site": "same-origin"}) == 303
    assert await _purge(client, edge, Origin=own, Host=f"127.0.0.1:{client.port}") == 303
    assert await _purge(client, edge) == 303


async def test_looking_from_another_site_changes_nothing_and_is_not_framed(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient
) -> None:
    client = await _client(edge, aiohttp_client)
    answer = await client.get("/cache/purge")
    assert answer.status == 405
    assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("path", ["/", "/cache", "/static/app.css", "/nothing", "/cache?sort=colour"])
async def test_every_answer_carries_the_security_headers(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, path: str
) -> None:
    headers = (await (await _client(edge, aiohttp_client)).get(path)).headers
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Python" not in headers["Server"]


async def test_a_fault_behind_the_pages_leaks_nothing(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: str) -> int:
        raise OSError("secret detail")

    monkeypatch.setattr(edge, "purge_entry", broken)
    answer = await (await _client(edge, aiohttp_client)).post("/cache/purge", data={"id": "x"})
    assert answer.status == 500
    assert await answer.text() == "Internal error; the log has the details.\n"
    assert "Content-Security-Policy" in answer.headers


@pytest.mark.parametrize(
    ("read_only", "headers", "said"),
    [
        (True, {}, "admin.read_only is true"),
        (False, {"Sec-Fetch-Site": "cross-site"}, "from this dashboard&#39;s own pages only"),
    ],
)
async def test_a_browser_that_is_refused_a_change_stays_within_the_dashboard(
    edge: EdgeUnderView,
    aiohttp_client: AiohttpClient,
    read_only: bool,
    headers: dict[str, str],
    said: str,
) -> None:
    client: Client = await aiohttp_client(edge.application(read_only=read_only))
    answer = await client.post("/cache/purge", data={"id": "x"}, headers={"Accept": "text/html", **headers})
    page = await answer.text()
    assert answer.status == 403
    assert said in page
    assert "<nav" in page, "with a way back"
    assert "Content-Security-Policy" in answer.headers


async def test_who_may_not_see_the_pages_is_shown_none_of_them(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient
) -> None:
    client: Client = await aiohttp_client(edge.application("t" * 16))
    for headers in ({"Host": "elsewhere.example"}, {}):
        answer = await client.get("/", headers={"Accept": "text/html", **headers})
        assert answer.status == 401
        assert "<nav" not in await answer.text()
