"""Logging in to the dashboard, over real HTTP: the form, the cookie, the limits, and those who may only look."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientResponse, web
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp import AiohttpClient

from webui import streams
from webui.asking import actor, lasts
from webui.attempts import FREE
from webui.auth import local_path
from webui.listing import entry_id
from webui.login import AT_ONCE, MOST_WAITING, Login, Verify
from webui.sessions import Role, Sessions

if TYPE_CHECKING:
    from aiohttp.test_utils import TestClient

    from tests.dashboard.conftest import EdgeUnderView

    Client = TestClient[web.Request, web.Application]

PASSWORD, VIEWERS = "correct horse", "only looking"
TOKEN = "token-of-a-script"
HTML = {"Accept": "text/html,*/*"}


class Door:
    """A login whose clock and hashes a test has in hand, and what its audit heard."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.notes: list[str] = []
        self.tried = 0
        passwords: dict[Role, Verify] = {"operator": self._is(PASSWORD), "viewer": self._is(VIEWERS)}
        self.login = Login(passwords, Sessions(43200, 3600), now=lambda: self.now, audit=self._note)

    def _is(self, right: str) -> Callable[[str], bool]:
        def verify(password: str) -> bool:
            self.tried += 1
            return password == right

        return verify

    def _note(self, by: str, text: str, **figures: object) -> None:
        self.notes.append(f"{by}: {text}")


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
async def client(edge: EdgeUnderView, aiohttp_client: AiohttpClient, door: Door) -> Client:
    return await aiohttp_client(edge.application(TOKEN, login=door.login))


async def log_in(client: Client, password: str = PASSWORD, to: str = "/", **headers: str) -> ClientResponse:
    return await client.post("/login", data={"password": password, "to": to}, headers=headers, allow_redirects=False)


def same_origin(client: Client) -> dict[str, str]:
    return {"Origin": f"http://127.0.0.1:{client.port}"}


async def purge(client: Client, edge: EdgeUnderView, **headers: str) -> int:
    entry = edge.store("/a")
    answer = await client.post("/cache/purge", data={"id": entry_id(entry)}, headers=headers, allow_redirects=False)
    return answer.status


async def test_a_page_leads_to_the_login_and_after_it_back(client: Client, edge: EdgeUnderView) -> None:
    answer = await client.get("/cache?q=a+b&sort=url", headers=HTML, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/login?to=/cache?q%3Da%2Bb%26sort%3Durl")
    form = await client.get("/cache?q=a+b&sort=url", headers=HTML)
    text = await form.text()
    assert '<input type="hidden" name="to" value="/cache?q=a+b&amp;sort=url">' in text
    assert 'autocomplete="current-password"' in text
    assert "Log out" not in text
    assert edge.looks == 0
    answer = await log_in(client, to="/cache?q=a+b&sort=url")
    assert (answer.status, answer.headers["Location"]) == (303, "/cache?q=a+b&sort=url")
    assert "Log out" in await (await client.get("/cache")).text()


async def test_the_login_page_may_have_its_style_and_nothing_else_is_shown(client: Client, edge: EdgeUnderView) -> None:
    assert (await client.get("/static/app.css")).status == 200
    for path in ("/", "/cache", "/nothing-here", "/api/anything", "/metrics", "/static/../cache"):
        answer = await client.get(path, allow_redirects=False)
        assert answer.status in (303, 401, 404), path
        assert "Stored responses" not in await answer.text()
    assert edge.looks == 0


async def test_the_cookie_is_kept_from_scripts_and_from_other_sites(client: Client) -> None:
    cookie = SimpleCookie((await log_in(client)).headers["Set-Cookie"])["cachewire-session"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert cookie["max-age"] == "43200"
    assert not cookie["secure"]
    assert not cookie["domain"]


async def test_over_https_the_cookie_is_bound_to_it(client: Client) -> None:
    answer = await log_in(client, Origin="https://ops.example", Host="ops.example")
    cookie = SimpleCookie(answer.headers["Set-Cookie"])["__Host-cachewire-session"]
    assert (cookie["secure"], cookie["path"], cookie["httponly"]) == (True, "/", True)
    assert not cookie["domain"]
    client.session.cookie_jar.clear()
    sent = {"Cookie": f"__Host-cachewire-session={cookie.value}"}
    assert (await client.get("/", headers=sent)).status == 200


@pytest.mark.parametrize("password", ["wrong", "", "CORRECT HORSE", "correct horse "])
async def test_a_wrong_password_is_told_nothing_about(client: Client, password: str) -> None:
    answer = await log_in(client, password)
    text = await answer.text()
    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers
    assert "<strong>That did not work.</strong> Try again." in text
    assert 'role="alert"' in text
    assert (await client.get("/cache", headers=HTML, allow_redirects=False)).status == 303


async def test_after_some_failures_an_address_is_locked_out_and_told_for_how_long(client: Client, door: Door) -> None:
    for _ in range(FREE - 1):
        assert (await log_in(client, "wrong")).status == 403
    answer = await log_in(client, "wrong")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "30")
    assert "Locked out for 30 s." in await answer.text()
    looked_at = door.tried
    door.now += 12
    answer = await log_in(client, PASSWORD)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "18")
    assert door.tried == looked_at
    door.now += 18
    assert (await log_in(client, PASSWORD)).status == 303


async def test_whoever_is_logged_in_is_not_locked_out_with_the_others(client: Client, door: Door) -> None:
    await log_in(client)
    for _ in range(FREE + 1):
        await log_in(client, "wrong")
    assert (await client.get("/cache")).status == 200
    assert (await client.get("/cache", headers={"Authorization": f"Bearer {TOKEN}"})).status == 200


async def test_behind_a_trusted_proxy_each_address_is_locked_out_for_itself(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, door: Door
) -> None:
    client: Client = await aiohttp_client(edge.application(login=door.login, proxies=("127.0.0.0/8",)))
    for _ in range(FREE):
        answer = await log_in(client, "wrong", **{"X-Forwarded-For": "1.1.1.1, 192.0.2.1"})
    assert answer.status == 429
    assert (await log_in(client, "wrong", **{"X-Forwarded-For": "2.2.2.2, 192.0.2.1"})).status == 429
    assert (await log_in(client, **{"X-Forwarded-For": "192.0.2.1, 192.0.2.2"})).status == 303
    assert door.notes[-1] == "operator (session): logged in"
    assert "192.0.2.1 is locked out" in door.notes[-2]


async def test_a_strangers_word_about_addresses_is_not_believed(client: Client) -> None:
    for number in range(FREE):
        answer = await log_in(client, "wrong", **{"X-Forwarded-For": f"192.0.2.{number}"})
    assert answer.status == 429


async def test_the_audit_hears_of_logins_and_of_failures_together(client: Client, door: Door) -> None:
    for _ in range(FREE):
        await log_in(client, "wrong-secret")
    door.now += 30
    await log_in(client)
    await client.post("/logout", headers=same_origin(client))
    assert door.notes == [
        "somebody: a login failed, from 127.0.0.1",
        "somebody: 4 logins failed, the last from 127.0.0.1",
        "automatic: 127.0.0.1 is locked out for 30 s: too many failed logins",
        "operator (session): logged in",
        "operator (session): logged out",
    ]
    assert "wrong-secret" not in "".join(door.notes)


async def test_after_the_logout_a_cookie_is_worth_nothing_even_if_it_was_copied(client: Client) -> None:
    stolen = SimpleCookie((await log_in(client)).headers["Set-Cookie"])["cachewire-session"].value
    answer = await client.post("/logout", headers=same_origin(client), allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/login")
    assert 'cachewire-session=""' in answer.headers["Set-Cookie"]
    sent = {"Cookie": f"cachewire-session={stolen}", **HTML}
    assert (await client.get("/cache", headers=sent, allow_redirects=False)).status == 303


async def test_a_session_ends_when_nobody_uses_it_and_at_its_age(client: Client, door: Door) -> None:
    await log_in(client)
    for _ in range(13):
        door.now += 3300
        assert (await client.get("/cache", headers=HTML, allow_redirects=False)).status == 200
    door.now += 300
    assert (await client.get("/cache", headers=HTML, allow_redirects=False)).status == 303
    await log_in(client)
    door.now += 3600
    assert (await client.get("/cache", headers=HTML, allow_redirects=False)).status == 303


async def test_scripts_are_told_what_they_need_and_browsers_get_no_prompt_of_their_own(client: Client) -> None:
    for path in ("/api/outbox", "/metrics"):
        answer = await client.get(path, headers=HTML)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Cachewire"'
        assert (await answer.json(content_type="application/problem+json"))["status"] == 401
    live = await client.get("/cache", headers={"HX-Request": "true", **HTML})
    assert (live.status, live.headers["HX-Refresh"]) == (401, "true")
    assert (await client.get("/cache", headers={"Accept": "text/event-stream"})).status == 401
    assert (await client.get("/cache", headers={"Authorization": f"Bearer {TOKEN}"})).status == 200


async def test_a_form_sent_after_the_session_ended_leads_to_the_login(client: Client, edge: EdgeUnderView) -> None:
    edge.store("/a")
    answer = await client.post("/cache/purge", data={"all": "yes"}, headers=HTML, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/login")
    assert len(edge.entries) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://evil.example"},
    ],
)
async def test_a_session_changes_nothing_unless_the_browser_says_it_comes_from_here(
    client: Client, edge: EdgeUnderView, headers: dict[str, str]
) -> None:
    await log_in(client)
    assert await purge(client, edge, **headers) == 403
    assert (await client.post("/logout", headers=headers, allow_redirects=False)).status == 403
    assert len(edge.entries) == 1
    assert await purge(client, edge, **same_origin(client)) == 303


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}])
async def test_nobody_is_logged_in_by_another_sites_form(client: Client, headers: dict[str, str]) -> None:
    answer = await log_in(client, **headers)
    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "to",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "\\/evil.example",
        "javascript:alert(1)",
        "/a\r\nX: y",
        "/\t/evil.example",
        "",
        "cache",
        "/login?to=/",
        "/logout",
        "/" + "a" * 3000,
    ],
)
async def test_after_the_login_nobody_is_led_elsewhere(client: Client, to: str) -> None:
    answer = await log_in(client, to=to)
    assert (answer.status, answer.headers["Location"]) == (303, "/")


@given(st.text(max_size=60))
def test_where_one_is_led_is_always_a_path_of_this_listener(text: str) -> None:
    for given_path in (text, f"/{text}"):
        path = local_path(given_path)
        assert path.startswith("/")
        assert path[1:2] not in ("/", "\\")
        assert path.isascii()
        assert path.isprintable()


async def test_viewers_see_everything_and_change_nothing(
    client: Client, edge: EdgeUnderView, caplog: pytest.LogCaptureFixture
) -> None:
    await log_in(client, VIEWERS)
    edge.store("/seen")
    text = await (await client.get("/cache")).text()
    assert "/seen" in text
    assert "Read only" in text
    assert '<body class="may-only-look">' in text
    assert await purge(client, edge, **same_origin(client)) == 403
    answer = await client.post("/api/realtime/publish", json={}, headers=same_origin(client))
    assert answer.status == 403
    assert "operators' password" in (await answer.json(content_type="application/problem+json"))["detail"]
    assert (await client.post("/logout", headers=same_origin(client), allow_redirects=False)).status == 303


async def test_read_only_refuses_every_change_whoever_asks_but_what_the_application_publishes(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, door: Door
) -> None:
    app = edge.application(TOKEN, login=door.login, read_only=True)

    async def publish(_: web.Request) -> web.Response:
        return web.Response(text="published")

    app.router.add_post("/api/realtime/publish", publish)
    client: Client = await aiohttp_client(app)
    token = {"Authorization": f"Bearer {TOKEN}"}
    assert await purge(client, edge, **token) == 403
    assert (await client.post("/api/realtime/publish", headers=token)).status == 200
    await log_in(client)
    answer = await client.post("/cache/purge", data={"all": "yes"}, headers=same_origin(client))
    assert (answer.status, await answer.text()) == (403, "Nothing can be changed here: admin.read_only is true.\n")
    assert len(edge.entries) == 1


async def test_an_open_listener_can_be_read_only_as_well(edge: EdgeUnderView, aiohttp_client: AiohttpClient) -> None:
    client: Client = await aiohttp_client(edge.application(read_only=True))
    assert await purge(client, edge) == 403
    assert "Read only" in await (await client.get("/cache")).text()


async def test_every_change_leaves_a_line_that_says_who_and_no_secret(
    client: Client, edge: EdgeUnderView, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cachewire.audit")
    await log_in(client)
    assert await purge(client, edge, **same_origin(client)) == 303
    assert await purge(client, edge, Authorization=f"Bearer {TOKEN}") == 303
    told = [record.getMessage() for record in caplog.records if record.name == "cachewire.audit"]
    lines = [line for line in told if line.startswith("POST")]
    assert len(told) == 4  # and what it did, by the room that did it
    assert lines == [
        "POST /cache/purge by operator (session) from 127.0.0.1: 303",
        "POST /cache/purge by token from 127.0.0.1: 303",
    ]


async def test_the_line_of_a_change_has_the_name_of_what_was_changed_and_never_an_id(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    caplog.set_level(logging.INFO, "cachewire.audit")
    app = edge.application()
    app.router.add_post("/api/alerts/{name}/reset", answer)
    app.router.add_delete("/api/outbox/{id}", answer)
    client: Client = await aiohttp_client(app)
    await client.post("/api/alerts/error-rate/reset")
    await client.post("/api/alerts/x%0AGET%20forged/reset")
    await client.delete("/api/outbox/unguessable")
    lines = [record.getMessage() for record in caplog.records if record.name == "cachewire.audit"]
    assert lines == [
        "POST /api/alerts/error-rate/reset by operator from 127.0.0.1: 200",
        "POST /api/alerts/{name}/reset by operator from 127.0.0.1: 200",
        "DELETE /api/outbox/{id} by operator from 127.0.0.1: 200",
    ]


async def test_pages_know_who_asks_and_long_answers_whether_they_may_go_on(
    edge: EdgeUnderView, aiohttp_client: AiohttpClient, door: Door
) -> None:
    app = edge.application(TOKEN, login=door.login)
    asked: list[web.Request] = []

    async def who(request: web.Request) -> web.Response:
        asked.append(request)
        assert request["actor"] == actor(request)
        return web.Response(text=actor(request))

    app.router.add_get("/who", who)
    client: Client = await aiohttp_client(app)
    assert await (await client.get("/who", headers={"Authorization": f"Bearer {TOKEN}"})).text() == "token"
    await log_in(client)
    assert await (await client.get("/who")).text() == "operator (session)"
    door.now += 3000
    assert lasts(asked[-1])
    door.now += 3000
    assert lasts(asked[-1])
    await client.post("/logout", headers=same_origin(client))
    assert not lasts(asked[-1])
    assert lasts(asked[0])


async def test_only_a_few_passwords_are_looked_at_at_once_and_only_a_few_wait(edge: EdgeUnderView) -> None:
    running, most = 0, 0
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(_: str) -> bool:
        nonlocal running, most
        running += 1
        most = max(most, running)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        running -= 1
        return True

    login = Login({"operator": slow}, Sessions(100, 100), now=lambda: 0.0, audit=lambda *_, **__: None)
    tries = [asyncio.create_task(login.attempt("x", f"192.0.2.{number}")) for number in range(50)]
    done, _ = await asyncio.wait(tries, timeout=0.2)
    assert len(done) == 50 - AT_ONCE - MOST_WAITING
    assert {getattr(task.result(), "wait", None) for task in done} == {5.0}
    release.set()
    await asyncio.gather(*tries)
    assert most == AT_ONCE


async def test_a_form_that_is_none_or_too_large_is_refused(client: Client, door: Door) -> None:
    assert (await client.post("/login", data={"password": "x" * 20_000})).status == 413
    assert (await client.post("/login", data=b"\xff\x00")).status == 403
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    chunked = await client.post("/login", data=iter_of(b"password=" + b"x" * 2_000_000), headers=form)
    assert chunked.status == 413
    assert door.tried <= 2


async def iter_of(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_a_stream_ends_with_its_session(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT", 0.05)
    await log_in(client)
    looking = await client.get("/live", params={"page": "/cache"})
    assert looking.status == 200
    await looking.content.readuntil(b"event: live\n")
    await client.post("/logout", headers=same_origin(client))
    async with asyncio.timeout(10):
        assert (await looking.content.read()).endswith(b"event: end\ndata: \n\n")
    assert (await client.get("/live", params={"page": "/cache"})).status == 401
