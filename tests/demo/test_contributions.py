"""Likes, comments and new reports."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient
from PIL import Image

Client = TestClient[Any, Any]
Fetch = Callable[..., Awaitable[Any]]
REPORT = {"author_id": "u4", "category": "accident", "title": "Scooter down", "text": "By the kiosk."}


def picture_file(kind: str = "PNG", size: tuple[int, int] = (1600, 900)) -> bytes:
    file = io.BytesIO()
    Image.effect_mandelbrot(size, (-2, -1, 1, 1), 30).convert("RGB").save(file, kind)
    return file.getvalue()


def form(photo: bytes | None = None, **changes: str) -> FormData:
    data = FormData(default_to_multipart=True)
    for name, value in (REPORT | changes).items():
        data.add_field(name, value)
    if photo is not None:
        data.add_field("photo", io.BytesIO(photo), filename="photo.png", content_type="image/png")
    return data


async def test_a_like_counts_once_however_often_it_is_given(fetch: Fetch) -> None:
    before = await fetch("/api/reports/r1")
    user = next(f"u{number}" for number in range(1, 51) if f"u{number}" not in before["liked_by"])
    for _ in range(2):
        after = await fetch("/api/reports/r1/likes", method="POST", json={"user": user})
        assert after["like_count"] == before["like_count"] + 1
    assert "r1" in (await fetch(f"/api/likes?user={user}"))["report_ids"]
    after = await fetch("/api/reports/r1/likes", method="DELETE", json={"user": user})
    assert after == before


async def test_a_like_tells_caches_which_answers_it_changed(origin: Client) -> None:
    async with origin.post("/api/reports/r9/likes", json={"user": "u1"}) as response:
        assert response.headers["Content-Location"] == "/api/reports/r9"
        assert response.headers["Cache-Group-Invalidation"] == '"reports", "report-r9"'
        tag, document = response.headers["ETag"], await response.json()
    async with origin.get("/api/reports/r9") as response:
        assert response.headers["ETag"] == tag
        assert await response.json() == document


async def test_the_list_shows_a_new_like_to_the_next_who_asks_with_the_old_tag(origin: Client) -> None:
    async with origin.get("/api/reports") as response:
        tag, document = response.headers["ETag"], await response.json()
    youngest = document["reports"][0]
    liked_by = await (await origin.get(f"/api/reports/{youngest['id']}")).json()
    user = next(f"u{number}" for number in range(1, 51) if f"u{number}" not in liked_by["liked_by"])
    await origin.post(f"/api/reports/{youngest['id']}/likes", json={"user": user})
    async with origin.get("/api/reports", headers={"If-None-Match": tag}) as response:
        assert response.status == 200
        assert (await response.json())["reports"][0]["like_count"] == youngest["like_count"] + 1


async def test_a_like_by_nobody_or_of_nothing_is_refused(fetch: Fetch) -> None:
    await fetch("/api/reports/r1/likes", 401, method="POST")
    await fetch("/api/reports/r1/likes", 400, method="POST", json={"user": "u51"})
    await fetch("/api/reports/r999/likes", 404, method="POST", json={"user": "u1"})


async def test_a_session_likes_without_a_body_and_not_for_others(fetch: Fetch) -> None:
    await fetch("/api/auth/login", method="POST", json={"user": "u7"})
    assert "u7" in (await fetch("/api/reports/r2/likes", method="POST"))["liked_by"]
    await fetch("/api/reports/r2/likes", 403, method="POST", json={"user": "u8"})


async def test_a_comment_appears_last_with_its_author(fetch: Fetch) -> None:
    body = {"text": "  <b>Fixed</b> 👍 ", "author_id": "u2"}
    written = await fetch("/api/reports/r3/comments", 201, method="POST", json=body)
    assert written["text"] == "<b>Fixed</b> 👍"
    assert (await fetch("/api/reports/r3"))["comments"][-1] == written
    assert written["author"]["id"] == "u2"


@pytest.mark.parametrize("text", [None, "", "   ", 5, "x" * 1001, "a\x00b", "half \ud83d"])
async def test_a_comment_without_a_proper_text_is_a_bad_request(fetch: Fetch, text: object) -> None:
    before = await fetch("/api/reports/r3")
    body = {"text": text, "author_id": "u2"}
    problem = await fetch("/api/reports/r3/comments", 400, method="POST", json=body)
    assert problem["detail"].startswith("text ")
    assert await fetch("/api/reports/r3") == before


async def test_a_new_report_is_found_at_its_location_and_first_in_the_list(origin: Client, fetch: Fetch) -> None:
    async with origin.post("/api/reports", json=REPORT) as response:
        assert response.status == 201
        assert response.headers["Location"] == "/api/reports/r201"
        written = await response.json()
    assert await fetch("/api/reports/r201") == written
    page = await fetch("/api/reports")
    assert page["reports"][0]["id"] == "r201"
    assert page["total"] == 201


async def test_a_photo_comes_back_smaller_as_jpeg_and_without_metadata(origin: Client) -> None:
    exif = Image.Exif()
    exif[0x010E] = "my home"
    file = io.BytesIO()
    Image.effect_mandelbrot((2000, 1000), (-2, -1, 1, 1), 30).convert("RGB").save(file, "JPEG", exif=exif)
    async with origin.post("/api/reports", data=form(file.getvalue())) as response:
        assert response.status == 201, await response.text()
        assert (await response.json())["photos"] == ["/uploads/r201-1.jpg"]
    async with origin.get("/uploads/r201-1.jpg") as response:
        body = await response.read()
        assert response.content_type == "image/jpeg"
    with Image.open(io.BytesIO(body)) as image:
        assert image.size == (1280, 640)
        assert not image.getexif()
    assert len(body) <= 300 * 1024
    assert b"my home" not in body


async def test_a_photo_that_is_no_image_is_refused_and_no_report_made(origin: Client, fetch: Fetch) -> None:
    half = picture_file()[:2000]
    for content in (b"GIF89a", b"<svg xmlns='http://www.w3.org/2000/svg'/>", half):
        async with origin.post("/api/reports", data=form(content)) as response:
            assert response.status == 400
            assert "JPEG, PNG or WebP" in (await response.json(content_type=None))["detail"]
    assert (await fetch("/api/reports"))["total"] == 200


async def test_a_small_file_that_claims_gigapixels_is_refused(origin: Client) -> None:
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    assert len(file.getvalue()) < 100_000
    async with origin.post("/api/reports", data=form(file.getvalue())) as response:
        assert response.status in (400, 413)


async def test_a_photo_above_the_limit_is_refused(origin: Client) -> None:
    async with origin.post("/api/reports", data=form(b"\0" * (6 * 2**20 + 1))) as response:
        assert response.status == 413


@pytest.mark.parametrize(
    "change", [{"category": "ufo"}, {"title": ""}, {"title": "x" * 121}, {"text": ""}, {"author_id": "u51"}]
)
async def test_a_report_that_lacks_something_is_a_bad_request(fetch: Fetch, change: dict[str, str]) -> None:
    await fetch("/api/reports", 400, method="POST", json=REPORT | change)
    await fetch("/api/reports", 400, method="POST", data=form(None, **change))
    assert (await fetch("/api/reports"))["total"] == 200


async def test_a_broken_form_is_a_bad_request(fetch: Fetch) -> None:
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        await fetch("/api/reports", 400, method="POST", data=b"--y\r\nnonsense", headers={"Content-Type": kind})


async def test_a_repeated_report_is_written_once(origin: Client, fetch: Fetch) -> None:
    headers = {"Idempotency-Key": '"4f1c"'}
    answers = []
    for _ in range(3):
        async with origin.post("/api/reports", data=form(picture_file()), headers=headers) as response:
            assert response.status == 201
            answers.append((await response.json(), response.headers["Location"]))
    assert answers[0] == answers[1] == answers[2]
    assert (await fetch("/api/reports"))["total"] == 201


async def test_the_same_key_for_another_request_is_refused(fetch: Fetch) -> None:
    headers = {"Idempotency-Key": "k1"}
    await fetch("/api/reports", 201, method="POST", json=REPORT, headers=headers)
    problem = await fetch("/api/reports", 422, method="POST", json=REPORT | {"title": "Other"}, headers=headers)
    assert "different request" in problem["detail"]


async def test_a_failed_write_does_not_use_up_its_key(fetch: Fetch) -> None:
    headers = {"Idempotency-Key": "k2"}
    body = REPORT | {"author_id": "u51"}
    await fetch("/api/reports", 400, method="POST", json=body, headers=headers)
    await fetch("/api/reports", 201, method="POST", json=REPORT, headers=headers)
