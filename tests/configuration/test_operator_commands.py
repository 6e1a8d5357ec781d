"""explain, purge and warm against real listeners: what they ask for, what they print, how they fail."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result

from proxy.cli import main
from proxy.commands.options import AddressType
from proxy.commands.warm import cache_verdict

Invoke = Callable[..., Awaitable[Result]]
Serve = Callable[[web.Application], Awaitable[TestServer]]


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs a command in a thread, so that the listeners of the test can answer it."""
    monkeypatch.chdir(tmp_path)

    async def run(*arguments: str, **environment: str) -> Result:
        return await asyncio.to_thread(CliRunner(env=environment).invoke, main, arguments, prog_name="cachewire")

    return run


def write(name: str, text: str) -> None:
    Path(name).write_text(text)


class AdminApi:
    """An admin listener that writes down what it is asked and answers as it is told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, list[tuple[str, str]], Any, str | None]] = []
        self.answer: dict[str, Any] = {}
        self.status = 200

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        authorization = request.headers.get("Authorization")
        self.asked.append((request.method, request.path, list(request.query.items()), body, authorization))
        kind = "application/json" if self.status < 400 else "application/problem+json"
        return web.Response(status=self.status, text=json.dumps(self.answer), content_type=kind)

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.handle)
        return application


@pytest.fixture
async def admin(aiohttp_server: Serve) -> tuple[AdminApi, str]:
    api = AdminApi()
    server = await aiohttp_server(api.application())
    return api, f"{server.host}:{server.port}"


async def test_explain_prints_the_sentences_of_the_admin_api(invoke: Invoke, admin: tuple[AdminApi, str]) -> None:
    api, address = admin
    api.answer = {"lines": ["Taken by route `api`.", "Nothing is stored."]}
    result = await invoke("explain", "/api/reports?q=ä b", "--admin", address, "-H", "Accept-Language: de, en;q=0.5")
    assert (result.exit_code, result.stdout) == (0, "Taken by route `api`.\nNothing is stored.\n")
    query = [("url", "http://127.0.0.1:8080/api/reports?q=%C3%A4%20b"), ("header", "Accept-Language: de, en;q=0.5")]
    assert api.asked == [("GET", "/api/explain", query, None, None)]


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["/a"], {"url": "http://127.0.0.1:8080/a"}),
        (["https://example.com/a#top"], {"url": "https://example.com/a"}),
        (["--prefix", "/uploads/"], {"prefix": "/uploads/"}),
        (["--glob", "/api/**"], {"glob": "/api/**"}),
        (["--tag", "report-17"], {"tag": "report-17"}),
        (["--route", "api"], {"route": "api"}),
        (["--everything"], {"everything": True}),
    ],
)
async def test_purge_asks_for_exactly_what_was_selected(
    invoke: Invoke, admin: tuple[AdminApi, str], arguments: list[str], asked: dict[str, object]
) -> None:
    api, address = admin
    api.answer = {"count": 12}
    result = await invoke("purge", *arguments, "--admin", address)
    assert (result.exit_code, result.stdout) == (0, "purged 12 stored responses\n")
    assert api.asked == [("POST", "/api/cache/purge", [], {**asked, "soft": False, "dry_run": False}, None)]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--soft"], "marked 1 stored response stale\n"),
        (["--dry-run"], "would purge 1 stored response\n"),
        (["--soft", "--dry-run"], "would mark 1 stored response stale\n"),
    ],
)
async def test_purge_says_what_was_or_would_be_done(
    invoke: Invoke, admin: tuple[AdminApi, str], options: list[str], sentence: str
) -> None:
    api, address = admin
    api.answer = {"count": 1}
    result = await invoke("purge", "--everything", *options, "--admin", address)
    assert result.stdout == sentence
    assert api.asked[0][3] == {"everything": True, "soft": "--soft" in options, "dry_run": "--dry-run" in options}


@pytest.mark.parametrize("arguments", [[], ["/a", "--everything"], ["--tag", "x", "--route", "y"], ["--tag", ""]])
async def test_a_purge_of_nothing_or_of_several_things_is_refused_before_anything_is_asked(
    invoke: Invoke, admin: tuple[AdminApi, str], arguments: list[str]
) -> None:
    api, address = admin
    result = await invoke("purge", *arguments, "--admin", address)
    assert result.exit_code == 2
    assert "everything" in result.stderr
    assert api.asked == []


async def test_address_and_token_come_from_the_configuration(invoke: Invoke, admin: tuple[AdminApi, str]) -> None:
    api, address = admin
    api.answer = {"count": 0}
    write("config.yaml", f"admin: {{listen: '{address}', token: from-the-file}}\n")
    assert (await invoke("purge", "--everything")).exit_code == 0
    assert (await invoke("purge", "--everything", CACHEWIRE__ADMIN__TOKEN="from-outside")).exit_code == 0
    assert [asked[4] for asked in api.asked] == ["Bearer from-the-file", "Bearer from-outside"]


async def test_a_problem_document_of_the_admin_api_is_told_in_its_words(
    invoke: Invoke, admin: tuple[AdminApi, str]
) -> None:
    api, address = admin
    api.status, api.answer = 400, {"title": "bad glob", "detail": "`{` is never closed"}
    result = await invoke("purge", "--glob", "/{a", "--admin", address)
    assert result.exit_code == 1
    assert result.stderr == "cachewire: error: bad glob: `{` is never closed\n"


async def test_a_missing_token_is_told_with_the_remedy(invoke: Invoke, admin: tuple[AdminApi, str]) -> None:
    api, address = admin
    api.status = 401
    result = await invoke("purge", "--everything", "--admin", address)
    assert result.exit_code == 1
    assert "wants its token; set CACHEWIRE__ADMIN__TOKEN" in result.stderr


async def test_a_listener_that_is_no_admin_api_is_recognised(invoke: Invoke, aiohttp_server: Serve) -> None:
    server = await aiohttp_server(web.Application())
    result = await invoke("explain", "/", "--admin", f"{server.host}:{server.port}")
    assert result.exit_code == 1
    assert "is not Cachewire's admin API (it answered 404)" in result.stderr


@pytest.mark.parametrize("command", [["explain", "/"], ["purge", "/"], ["warm", "/"]])
async def test_a_server_that_is_not_running_is_told_with_what_to_do(invoke: Invoke, command: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    option = "--listen" if command[0] == "warm" else "--admin"
    result = await invoke(*command, option, address)
    assert result.exit_code == 1
    assert f"no Cachewire answers on {address} (connection refused); start it with `cachewire serve`" in result.stderr


async def test_a_configured_port_0_cannot_be_found_and_says_so(invoke: Invoke) -> None:
    result = await invoke("purge", "/", CACHEWIRE__ADMIN__LISTEN="127.0.0.1:0")
    assert result.exit_code == 2
    assert "admin.listen asks for any free port; name the one in use with --admin H:P" in result.stderr


@pytest.mark.parametrize(
    "text", ["example.com/a", "ftp://h/a", "http://", "//h/a", "http://u:p@h/", "http://h:99999/", ""]
)
async def test_what_is_neither_url_nor_path_is_refused(invoke: Invoke, text: str) -> None:
    result = await invoke("explain", text)
    assert result.exit_code == 2
    assert "is neither a URL nor a path" in result.stderr


@pytest.mark.parametrize("field", ["no colon", "Na me: x", "X: a\r\nY: b", ": x"])
async def test_what_is_no_header_field_is_refused(invoke: Invoke, field: str) -> None:
    result = await invoke("explain", "/", "-H", field)
    assert result.exit_code == 2
    assert "is not a header field; write 'Name: value'" in result.stderr


class Public:
    """A public listener: answers by path and counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.encodings: set[str | None] = set()
        self.open = self.most_open = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.headers["Host"], request.path_qs))
        self.encodings.add(request.headers.get("Accept-Encoding"))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(0.01)
            return await self.answer(request)
        finally:
            self.open -= 1

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/gone":
            return web.Response(status=404, headers={"Cache-Status": "cachewire; fwd=miss"})
        if request.path == "/short":
            response = web.StreamResponse(headers={"Content-Length": "100"})
            await response.prepare(request)
            await response.write(b"only this")
            assert request.transport is not None
            request.transport.abort()
            return response
        status = 'origin; hit, cachewire; fwd=uri-miss; stored; key="a, b; c"; detail="x"'
        return web.Response(body=b"body", headers={"Cache-Status": status})


@pytest.fixture
async def public(aiohttp_server: Serve) -> tuple[Public, str]:
    listener = Public()
    application = web.Application()
    application.router.add_get("/{path:.*}", listener.handle)
    server = await aiohttp_server(application)
    return listener, f"{server.host}:{server.port}"


async def test_warm_asks_for_every_url_and_prints_its_verdict(invoke: Invoke, public: tuple[Public, str]) -> None:
    listener, address = public
    result = await invoke("warm", "/a?x=1", "http://example.com/b", "--listen", address)
    assert result.exit_code == 0
    assert sorted(listener.asked) == [(address, "/a?x=1"), ("example.com", "/b")]
    lines = result.stdout.splitlines()
    assert [line[:6] for line in lines] == ["[1/2] ", "[2/2] "]
    assert all('ok      200  fwd=uri-miss; stored; detail="x"' in line and "4 B" in line for line in lines)


async def test_warm_asks_for_the_variant_that_browsers_select(invoke: Invoke, public: tuple[Public, str]) -> None:
    listener, address = public
    await invoke("warm", "/a", "--listen", address)
    await invoke("warm", "/a", "--listen", address, "-H", "Accept-Encoding: br")
    assert listener.encodings == {"gzip, deflate, br, zstd", "br"}


async def test_warm_reads_urls_from_a_file(invoke: Invoke, public: tuple[Public, str]) -> None:
    listener, address = public
    write("urls.txt", "# pages\n/a\n\n  /b  \n")
    result = await invoke("warm", "--file", "urls.txt", "--listen", address)
    assert result.exit_code == 0
    assert sorted(path for _, path in listener.asked) == ["/a", "/b"]


async def test_warm_goes_on_after_a_failure_and_ends_with_status_1(invoke: Invoke, public: tuple[Public, str]) -> None:
    _, address = public
    result = await invoke("warm", "/gone", "/short", "/a", "--listen", address)
    assert result.exit_code == 1
    assert sorted(line[6:12] for line in result.stdout.splitlines()) == ["FAILED", "FAILED", "ok    "]
    assert "2 of 3 failed" in result.stderr


async def test_warm_asks_a_few_at_a_time(invoke: Invoke, public: tuple[Public, str]) -> None:
    listener, address = public
    paths = [f"/{number}" for number in range(20)]
    result = await invoke("warm", *paths, "--listen", address, "--concurrency", "3")
    assert result.exit_code == 0
    assert len(listener.asked) == 20
    assert listener.most_open == 3


async def test_warm_without_urls_is_refused(invoke: Invoke) -> None:
    result = await invoke("warm")
    assert result.exit_code == 2
    assert "name at least one URL or path" in result.stderr


@pytest.mark.parametrize(
    ("field", "verdict"),
    [
        ("cachewire; hit; ttl=30", "hit; ttl=30"),
        ('other; hit; detail="cachewire; x", cachewire; fwd=stale; key="a,b"', "fwd=stale"),
        ('"cachewire"; hit', "no Cache-Status"),
        (None, "no Cache-Status"),
        ("cachewire", ""),
    ],
)
def test_the_verdict_is_cachewires_own_member_without_its_key(field: str | None, verdict: str) -> None:
    assert cache_verdict(field) == verdict


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("http://127.0.0.1:8081/", "127.0.0.1:8081"),
        ("http://[::1]:8081", "[::1]:8081"),
        ("HTTP://shop.example/", "shop.example:80"),
        ("shop.example:8081", "shop.example:8081"),
    ],
)
def test_the_url_of_an_address_is_taken_for_it(written: str, address: str) -> None:
    assert str(AddressType().convert(written, None, None)) == address


@pytest.mark.parametrize("written", ["https://shop.example/", "http://shop.example/path", "http://", "http://a@b:1/"])
def test_a_url_that_says_more_than_an_address_is_refused_with_what_would_be_right(written: str) -> None:
    with pytest.raises(click.BadParameter, match="write HOST:PORT"):
        AddressType().convert(written, None, None)
