"""What a browser loads: pages under a strict policy, assets named by their content."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from demo.assets import Assets

Client = TestClient[Any, Any]


async def page_at(origin: Client, path: str) -> str:
    async with origin.get(path) as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        policy = response.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        return await response.text()


async def test_everything_the_page_refers_to_is_there(origin: Client) -> None:
    page = await page_at(origin, "/")
    urls = set(re.findall(r'(?:href|src)="(/[^"#]+)"', page))
    assert len([url for url in urls if url.startswith("/assets/")]) >= 8
    for url in urls:
        async with origin.get(url) as response:
            assert response.status == 200, url


async def test_the_page_has_no_inline_script_or_style(origin: Client) -> None:
    for path in ("/", "/reports/r3"):
        page = await page_at(origin, path)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\bsrc=)", page)


async def test_assets_are_immutable_and_named_by_their_content(origin: Client) -> None:
    for url in set(re.findall(r"/assets/[^\"]+", await page_at(origin, "/"))):
        async with origin.get(url) as response:
            assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            body = await response.read()
        assert hashlib.sha256(body).hexdigest()[:10] in url


async def test_scripts_import_each_other_by_published_names(origin: Client) -> None:
    page = await page_at(origin, "/")
    for url in re.findall(r"/assets/[^\"]+\.js", page):
        async with origin.get(url) as response:
            imports = re.findall(r'from "\./([^"]+)"', await response.text())
        for name in imports:
            assert f"/assets/{name}" in page


async def test_the_page_is_validated_with_its_tag(origin: Client) -> None:
    async with origin.get("/") as response:
        tag = response.headers["ETag"]
    async with origin.get("/", headers={"If-None-Match": tag}) as response:
        assert response.status == 304


async def test_a_report_page_shows_what_users_wrote_as_text(origin: Client) -> None:
    attack = "<script>alert(1)</script>"
    body = {"author_id": "u1", "category": "accident", "title": attack, "text": attack}
    async with origin.post("/api/reports", json=body) as response:
        assert response.status == 201
    page = await page_at(origin, "/reports/r201")
    assert attack not in page
    assert "&lt;script&gt;alert(1)" in page


async def test_a_report_page_has_a_validator_and_leaves_the_rest_to_caches(origin: Client) -> None:
    async with origin.get("/reports/r3") as response:
        assert "Cache-Control" not in response.headers
        tag = response.headers["ETag"]
    async with origin.get("/reports/r3", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
    async with origin.post("/api/reports/r3/comments", json={"text": "New", "author_id": "u1"}) as response:
        assert response.status == 201
    async with origin.get("/reports/r3", headers={"If-None-Match": tag}) as response:
        assert response.status == 200


async def test_robots_and_icon_are_there(origin: Client) -> None:
    async with origin.get("/robots.txt") as response:
        assert "Disallow: /api/" in await response.text()
    async with origin.get("/favicon.svg") as response:
        assert response.content_type == "image/svg+xml"


async def test_only_published_names_are_assets(origin: Client) -> None:
    for name in ("app.js", "index.html", "..%2f..%2fapplication.py", "OFL.txt"):
        async with origin.get(f"/assets/{name}") as response:
            assert response.status == 404


def test_a_changed_file_changes_the_names_of_all_that_refer_to_it(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('import "./b.js";')
    (tmp_path / "b.js").write_text("1")
    (tmp_path / "c.js").write_text("3")
    before = dict(Assets(tmp_path))
    (tmp_path / "b.js").write_text("2")
    after = dict(Assets(tmp_path))
    assert {name for name in before if before[name] != after[name]} == {"a.js", "b.js"}


def test_a_circle_of_imports_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('import "./b.js";')
    (tmp_path / "b.js").write_text('import "./a.js";')
    with pytest.raises(ValueError, match="circle"):
        Assets(tmp_path)


def test_the_font_is_small_and_comes_with_its_licence() -> None:
    fonts = Path(__file__).parents[2] / "demo" / "page" / "fonts"
    assert (fonts / "inter.woff2").stat().st_size < 60 * 1024
    assert "SIL Open Font License" in (fonts / "OFL.txt").read_text()
