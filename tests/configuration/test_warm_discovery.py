"""`cachewire warm --sitemap` and `--crawl`: what they find, through a real edge before a real origin."""

from __future__ import annotations

import asyncio
import gzip
import os
import pty
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from proxy.cli import main
from proxy.commands.discovery import page_assets, sitemap_urls
from proxy.errors import CachewireError
from tests.edge import EdgeUnderTest, edge_before
from tests.origin import ScriptedOrigin, reply

ROOT = Path(__file__).parents[2]
NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"
PAGE = """<!doctype html><html><head><base href="/app/">
<link rel="stylesheet" href="main.css"><link rel="preload icon" href="/favicon.ico"><link rel="canonical" href="/no">
<link rel=preload imagesrcset="big.png 2x, small.png 1x"><script src="//HOST/app.js?v=1#top"></script>
<script>var s = "<img src='/not-this.png'>";</script></head>
<body><a href="/not-followed">x</a><img src="a.png" srcset="a.png, b.png 2x,c.png 3x" alt="">
<picture><source srcset="d.webp 100w"></picture><video poster="p.jpg" src="v.mp4"></video>
<img src="http://other.example/x.png"><img src="data:image/png;base64,AAAA"><img src=""><img src="http://[bad">
<script src="main.js"></script><script src="main.js"></script>
<style>@import "more.css"; /* url(no.png) */ p { background: url( 'bg.png' ) }</style>
<p style="background: url(inline.png)">url(not-css.png)</p></body></html>"""
FOUND = [
    "/app/main.css", "/favicon.ico", "/app/big.png", "/app/small.png", "/app.js?v=1", "/app/a.png", "/app/b.png",
    "/app/c.png", "/app/d.webp", "/app/v.mp4", "/app/p.jpg", "/app/main.js", "/app/more.css", "/app/bg.png",
    "/app/inline.png",
]  # fmt: skip


def urlset(*urls: str) -> bytes:
    entries = "".join(f"<url><loc> {url} </loc><lastmod>2027-01-01</lastmod></url>" for url in urls)
    return f'<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="{NAMESPACE}">{entries}</urlset>'.encode()


def index(*urls: str) -> bytes:
    entries = "".join(f"<sitemap><loc>{url}</loc></sitemap>" for url in urls)
    return f'<sitemapindex xmlns="{NAMESPACE}">{entries}</sitemapindex>'.encode()


class TestSitemap:
    def test_its_urls_are_those_of_loc(self) -> None:
        assert sitemap_urls(urlset("http://h/a", "http://h/b?x=1&amp;y=2"), "s") == (
            ["http://h/a", "http://h/b?x=1&y=2"],
            False,
        )

    def test_an_index_lists_further_sitemaps(self) -> None:
        assert sitemap_urls(index("http://h/1.xml"), "s") == (["http://h/1.xml"], True)

    def test_it_may_be_compressed(self) -> None:
        assert sitemap_urls(gzip.compress(urlset("http://h/a")), "s") == (["http://h/a"], False)

    def test_it_may_be_one_url_per_line(self) -> None:
        assert sitemap_urls(b"\xef\xbb\xbfhttp://h/a\n\n# no\nhttp://h/b\r\n", "s") == (
            ["http://h/a", "http://h/b"],
            False,
        )

    def test_the_images_of_a_page_are_not_pages(self) -> None:
        image = '<i:image xmlns:i="http://www.google.com/schemas/sitemap-image/1.1"><i:loc>http://h/i.png</i:loc>'
        content = f'<urlset xmlns="{NAMESPACE}"><url><loc>http://h/a</loc>{image}</i:image></url></urlset>'
        assert sitemap_urls(content.encode(), "s")[0] == ["http://h/a"]

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"<html><body></body></html>", "no sitemap: its root is <html>"),
            (b"<urlset><url>", "is not XML"),
            (b"\x1f\x8bnonsense", "cannot be unpacked"),
            (b"\xff\xfe\x00", "neither XML nor text"),
            (b'<!DOCTYPE x [<!ENTITY a "b">]><urlset/>', "declares entities"),
        ],
    )
    def test_what_is_none_is_told(self, content: bytes, told: str) -> None:
        with pytest.raises(CachewireError, match=told):
            sitemap_urls(content, "s")

    def test_one_that_unpacks_to_gigabytes_is_refused(self) -> None:
        with pytest.raises(CachewireError, match="unpacks to more than"):
            sitemap_urls(gzip.compress(b"<" + b" " * (51 * 2**20)), "s")

    @given(st.binary(max_size=200))
    def test_rubbish_is_an_error_or_nothing_and_never_a_crash(self, content: bytes) -> None:
        try:
            urls, is_index = sitemap_urls(content, "s")
        except CachewireError:
            return
        assert not is_index
        assert all(urls)


class TestPage:
    def test_its_assets_are_what_a_browser_loads_from_the_same_host(self) -> None:
        found = page_assets(PAGE.replace("HOST", "h"), "http://h/reports/1")
        assert found == [f"http://h{target}" for target in FOUND]

    def test_without_a_base_references_are_relative_to_the_page(self) -> None:
        assert page_assets('<img src="a.png"><img src="/reports/">', "http://h/reports/") == ["http://h/reports/a.png"]

    @given(st.text(alphabet='<>img src="t,/ \x00\n=:&#;a[]', max_size=200))
    def test_any_text_is_a_page(self, html: str) -> None:
        assert all(url.startswith("http://h/") for url in page_assets(html, "http://h/"))


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"x", headers={"Cache-Control": "max-age=60"})
        yield origin


@pytest.fixture
async def edge(origin: ScriptedOrigin) -> AsyncIterator[EdgeUnderTest]:
    async with edge_before(origin) as edge:
        yield edge


@pytest.fixture
def warm(edge: EdgeUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Result]]:
    """Runs the command in a thread, so that the edge of the test can answer it."""
    monkeypatch.chdir(tmp_path)

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, ["warm", *arguments, "--listen", edge.host])

    return run


async def test_a_page_and_its_assets_are_hits_after_a_crawl(
    edge: EdgeUnderTest, origin: ScriptedOrigin, warm: Callable[..., Awaitable[Result]]
) -> None:
    origin.on("/reports", reply(body=PAGE.replace("HOST", edge.host).encode(), headers={"Cache-Control": "max-age=9"}))
    result = await warm("--crawl", "/reports")
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == len(FOUND) + 1
    asked = origin.count()
    for target in ("/reports", *FOUND):
        answer = await edge.get(target, {"Accept-Encoding": "gzip, deflate, br, zstd"})
        assert answer.cache_status.startswith("cachewire; hit")
    assert origin.count() == asked
    assert origin.count("/not-followed") == 0


async def test_a_sitemap_is_read_through_the_edge_with_all_it_refers_to(
    edge: EdgeUnderTest, origin: ScriptedOrigin, warm: Callable[..., Awaitable[Result]]
) -> None:
    base = f"http://{edge.host}"
    origin.on("/sitemap.xml", reply(body=index(f"{base}/1.xml.gz", f"{base}/2.xml", f"{base}/sitemap.xml")))
    origin.on("/1.xml.gz", reply(body=gzip.compress(urlset(f"{base}/a", f"{base}/b"))))
    origin.on("/2.xml", reply(body=urlset(f"{base}/b", f"{base}/c")))
    result = await warm("--sitemap", "/sitemap.xml")
    assert result.exit_code == 0, result.output
    assert sorted(line.rpartition("/")[2] for line in result.stdout.splitlines()) == ["a", "b", "c"]
    assert [origin.count(target) for target in ("/a", "/b", "/c")] == [1, 1, 1]


async def test_a_sitemap_may_be_a_file(
    origin: ScriptedOrigin, warm: Callable[..., Awaitable[Result]], tmp_path: Path
) -> None:
    (tmp_path / "sitemap.xml").write_bytes(urlset("http://app.example/a"))
    result = await warm("--sitemap", "sitemap.xml")
    assert result.exit_code == 0, result.output
    (asked,) = origin.requests
    assert (asked.header("Host"), asked.target) == ("app.example", "/a")


async def test_a_page_or_sitemap_that_cannot_be_read_is_told(
    origin: ScriptedOrigin, warm: Callable[..., Awaitable[Result]]
) -> None:
    origin.on("/gone", reply(404))
    for option in ("--crawl", "--sitemap"):
        result = await warm(option, "/gone")
        assert result.exit_code == 1
        assert "/gone cannot be read: it is answered 404" in result.stderr


async def test_on_a_terminal_there_is_a_progress_bar_and_only_failures_are_listed(
    edge: EdgeUnderTest, origin: ScriptedOrigin
) -> None:
    origin.on("/gone", reply(404))
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy", "warm", "/a", "/b", "/gone", "--listen", edge.host,
        cwd=ROOT, stdout=theirs, stderr=asyncio.subprocess.PIPE, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    os.close(theirs)
    _, told = await process.communicate()
    shown = await asyncio.to_thread(_all_of, ours)
    os.close(ours)
    assert process.returncode == 1
    assert "warming" in shown
    assert "3/3" in shown
    assert "ok   " not in shown
    assert "FAILED  404" in shown
    assert "2 of 3 asked for" in shown
    assert b"1 of 3 failed" in told


def _all_of(terminal: int) -> str:
    shown = b""
    try:
        while part := os.read(terminal, 4096):
            shown += part
    except OSError:
        pass  # how a terminal without a writer ends
    return shown.decode()


async def test_what_stylesheets_load_is_warmed_however_they_import_each_other(
    edge: EdgeUnderTest, origin: ScriptedOrigin, warm: Callable[..., Awaitable[Result]]
) -> None:
    fresh = {"Cache-Control": "max-age=9"}
    origin.on("/p", reply(body=b'<link rel="stylesheet" href="/a.css">', headers=fresh))
    origin.on("/a.css", reply(body=b'@import url("/css/b.css"); p { background: url(a.png) }', headers=fresh))
    origin.on("/css/b.css", reply(body=b"@import '/a.css'; @font-face { src: url(\"font.woff2\") }", headers=fresh))
    result = await warm("--crawl", "/p")
    warmed = {line.rpartition(edge.host)[2] for line in result.stdout.splitlines()}
    assert warmed == {"/p", "/a.css", "/css/b.css", "/a.png", "/css/font.woff2"}
