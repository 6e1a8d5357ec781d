"""Photos and avatars: real image files of real sizes, drawn once."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from PIL import Image

from demo.drawing.scenes import SUBJECTS, scene
from demo.pictures import Pictures
from demo.seed import REPORTS, photo_count
from demo.vocabulary import CATEGORIES

Client = TestClient[Any, Any]


async def test_the_photos_of_the_first_page_are_jpegs_of_5_to_300_kilobytes(origin: Client) -> None:
    async with origin.get("/api/reports") as response:
        urls = [url for report in (await response.json())["reports"] for url in report["photos"]]
    assert len(urls) >= 12
    for url in urls:
        async with origin.get(url) as response:
            assert response.content_type == "image/jpeg"
            body = await response.read()
        assert 5 * 1024 <= len(body) <= 300 * 1024
        with Image.open(io.BytesIO(body)) as image:
            image.load()
            assert image.width >= 600


async def test_an_avatar_is_a_png_of_5_to_300_kilobytes(origin: Client) -> None:
    async with origin.get("/avatars/u50.png") as response:
        body = await response.read()
        assert response.headers["Cache-Control"] == "public, max-age=86400"
    assert 5 * 1024 <= len(body) <= 300 * 1024
    with Image.open(io.BytesIO(body)) as image:
        assert (image.format, image.size) == ("PNG", (192, 192))


async def test_a_photo_has_validators_and_ranges_but_no_lifetime(origin: Client) -> None:
    async with origin.get("/uploads/r1-1.jpg") as response:
        whole = await response.read()
        fields = response.headers
        assert fields["Accept-Ranges"] == "bytes"
        assert {name: name in fields for name in ("ETag", "Last-Modified", "Cache-Control", "Expires")} == {
            "ETag": True,
            "Last-Modified": True,
            "Cache-Control": False,
            "Expires": False,
        }
    async with origin.get("/uploads/r1-1.jpg", headers={"Range": "bytes=100-199", "If-Range": fields["ETag"]}) as part:
        assert part.status == 206
        assert await part.read() == whole[100:200]


@pytest.mark.parametrize(
    "path",
    [
        "/uploads/r201-1.jpg",
        "/uploads/r1-9.jpg",
        "/uploads/r1-0.jpg",
        "/uploads/r01-1.jpg",
        "/uploads/..%2fapplication.py",
        "/avatars/u51.png",
        "/avatars/u0.png",
        "/avatars/u1.jpg",
    ],
)
async def test_a_picture_that_does_not_exist_is_a_404(origin: Client, path: str) -> None:
    async with origin.get(path) as response:
        assert response.status == 404


async def test_photos_cost_no_query(origin: Client) -> None:
    async with origin.get("/uploads/r1-1.jpg") as response:
        assert response.status == 200
    async with origin.get("/demo/stats") as response:
        assert (await response.json())["sql_queries"] == 0


def test_the_same_seed_draws_the_same_pixels_and_another_seed_others() -> None:
    assert scene("a", "pothole").tobytes() == scene("a", "pothole").tobytes()
    assert scene("a", "pothole").tobytes() != scene("b", "pothole").tobytes()


def test_every_category_has_a_subject_to_draw() -> None:
    assert set(SUBJECTS) == set(CATEGORIES)


def test_every_report_has_one_to_three_photos() -> None:
    assert {photo_count(report) for report in range(1, REPORTS + 1)} == {1, 2, 3}


async def test_many_who_ask_at_once_get_one_drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def counting(seed: str, category: str) -> Image.Image:
        drawn.append(seed)
        return scene(seed, category)

    monkeypatch.setattr("demo.pictures.scene", counting)
    pictures = Pictures(tmp_path, lambda: {7: "accident"})
    answers = await asyncio.gather(*(pictures.photo("r7-1.jpg") for _ in range(20)))
    pictures.close()
    assert len(drawn) == 1
    assert len({picture.body for picture in answers if picture is not None}) == 1


async def test_a_kept_picture_is_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Pictures(tmp_path, lambda: {7: "accident"})
    drawn = await first.photo("r7-1.jpg")
    first.close()
    monkeypatch.setattr("demo.pictures.scene", None)
    second = Pictures(tmp_path, lambda: {7: "accident"})
    assert await second.photo("r7-1.jpg") == drawn
    second.close()
    kept = [path.name for folder in os.scandir(tmp_path) for path in os.scandir(folder)]
    assert kept == ["r7-1.jpg"], "no draft is left behind"
