"""The photos and avatars: drawn when first asked for, kept as files, each drawn once however many ask."""

from __future__ import annotations

import asyncio
import io
import os
import re
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from PIL import Image, ImageOps, UnidentifiedImageError

from demo.answers import edition_of, file_answer
from demo.drawing.portraits import portrait
from demo.drawing.scenes import scene
from demo.problems import Problem, bad_request, not_found
from demo.seed import LATEST, REPORTS, USERS, photo_count, report_moment

PHOTO = re.compile(r"r([1-9][0-9]{0,8})-([1-9])\.jpg", re.ASCII)
AVATAR = re.compile(r"u([1-9][0-9]?)\.png", re.ASCII)
LARGEST_SIDE = 1280
LARGEST_FILE = 300 * 2**10
MOST_PIXELS = 40_000_000
ROOM_FOR_SUBMITTED = 64 * 2**20
"""Bytes of submitted photos this process keeps in memory before it refuses more."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The bytes of an image file and when it was last modified."""

    body: bytes
    modified: datetime


class Pictures:
    """Every picture of this application.

    Seeded ones are drawn on demand and kept below `directory`, in a folder named for the code that draws them.
    Submitted ones live in memory, as long as the reports they belong to.
    """

    def __init__(self, directory: Path, categories: Callable[[], dict[int, str]]) -> None:
        drawing = Path(__file__).parent / "drawing"
        self._directory = directory / f"pictures-{edition_of(*drawing.glob('*.py'), Path(__file__))}"
        self._categories = categories
        self._submitted: dict[str, Picture] = {}
        self._drawing: dict[str, asyncio.Task[bytes]] = {}
        # One thread: drawing is work for a processor and must leave the others to the application.
        self._painter = ThreadPoolExecutor(1, thread_name_prefix="painter")

    async def photo(self, name: str) -> Picture | None:
        """The photo of this file name, or None when there is none."""
        if name in self._submitted:
            return self._submitted[name]
        match = PHOTO.fullmatch(name)
        if match is None or int(match[1]) > REPORTS or int(match[2]) > photo_count(int(match[1])):
            return None
        category = self._categories()[int(match[1])]
        body = await self._kept(name, lambda: _jpeg(scene(f"scene {name}", category)))
        return Picture(body, report_moment(int(match[1])))

    async def avatar(self, name: str) -> Picture | None:
        """The avatar of this file name, or None when there is none."""
        match = AVATAR.fullmatch(name)
        if match is None or int(match[1]) > USERS:
            return None
        body = await self._kept(name, lambda: _png(portrait(f"portrait {name}")))
        return Picture(body, LATEST - timedelta(days=400))

    async def developed(self, upload: bytes) -> Picture:
        """A submitted image as a JPEG of bounded size, without its metadata; a 400 when it is not an image."""
        loop = asyncio.get_running_loop()
        body = await loop.run_in_executor(self._painter, _develop, upload)
        return Picture(body, datetime.now(UTC).replace(microsecond=0))

    def keep(self, name: str, picture: Picture) -> None:
        """Keep a submitted photo under this file name; a 507 when there is no room for more."""
        kept = sum(len(known.body) for known in self._submitted.values())
        if kept + len(picture.body) > ROOM_FOR_SUBMITTED:
            raise Problem(507, "This demo has no room for more photos; restarting it makes room.")
        self._submitted[name] = picture

    def close(self) -> None:
        self._painter.shutdown(cancel_futures=True)

    async def _kept(self, name: str, draw: Callable[[], bytes]) -> bytes:
        """The kept file, drawn first when it is not there; those who ask meanwhile wait for the same one."""
        task = self._drawing.get(name)
        if task is None:
            task = asyncio.create_task(self._read_or_draw(self._directory / name, draw))
            self._drawing[name] = task
            task.add_done_callback(lambda _: self._drawing.pop(name, None))
        # Shielded: one client that leaves must not take the picture from the others.
        return await asyncio.shield(task)

    async def _read_or_draw(self, path: Path, draw: Callable[[], bytes]) -> bytes:
        try:
            return await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            return await asyncio.get_running_loop().run_in_executor(self._painter, _draw_and_keep, path, draw)


PICTURES = web.AppKey("pictures", Pictures)


async def show_photo(request: web.Request) -> web.Response:
    """A photo with validators and ranges but no lifetime: how long to keep it is left to the caches."""
    return await _answer(request, request.app[PICTURES].photo, "image/jpeg", {})


async def show_avatar(request: web.Request) -> web.Response:
    return await _answer(request, request.app[PICTURES].avatar, "image/png", {"Cache-Control": "public, max-age=86400"})


async def _answer(
    request: web.Request, find: Callable[[str], Awaitable[Picture | None]], kind: str, headers: dict[str, str]
) -> web.Response:
    name = request.match_info["name"]
    picture = await find(name)
    if picture is None:
        raise not_found(f"picture {name[:40]!r}")
    return file_answer(request, picture.body, kind, picture.modified, headers)


def _draw_and_keep(path: Path, draw: Callable[[], bytes]) -> bytes:
    body = draw()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written aside and renamed: a process that dies meanwhile leaves no half picture under the real name.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(body)
    Path(draft).replace(path)
    return body


def _jpeg(image: Image.Image) -> bytes:
    """A JPEG below the size limit, as good as that allows."""
    for quality in (86, 76, 64, 50, 36, 22):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality, optimize=True)
        if file.tell() <= LARGEST_FILE:
            break
    return file.getvalue()


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _develop(upload: bytes) -> bytes:
    try:
        with Image.open(io.BytesIO(upload), formats=("JPEG", "PNG", "WEBP")) as image:
            # Asked before a pixel is decoded: a small file may claim gigapixels.
            if image.width * image.height > MOST_PIXELS:
                raise Problem(413, f"The photo has more than {MOST_PIXELS} pixels.")
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
        raise bad_request("photo must be a JPEG, PNG or WebP image.") from None
    upright.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return _jpeg(upright)
