"""The page's scripts, styles and fonts, published under names that contain the hash of their content."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from aiohttp import web

from demo.answers import strong_tag, text_answer
from demo.problems import not_found

SOURCES = Path(__file__).parent / "page"
REFERENCE = re.compile(r"(?<=[\"'(]\./)[\w/.-]+\.(?:js|css|woff2)(?=[\"')])")
TYPES = {".js": "text/javascript", ".css": "text/css", ".woff2": "font/woff2"}
FOREVER = "public, max-age=31536000, immutable"


class Assets(Mapping[str, str]):
    """Source names (`app.js`) to their published URLs (`/assets/app.1f2e3d4c5b.js`).

    A file is published after the files it refers to as `./name`, with the references rewritten: its hash changes
    when theirs do, so no published file ever refers to an older one.
    """

    def __init__(self, sources: Path = SOURCES) -> None:
        self._sources = sources
        self._names: dict[str, str] = {}
        self.published: dict[str, bytes] = {}
        for path in sorted(sources.rglob("*")):
            if path.suffix in TYPES:
                self._publish(path.relative_to(sources).as_posix(), ())

    def __getitem__(self, name: str) -> str:
        return f"/assets/{self._names[name]}"

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _publish(self, name: str, waiting: tuple[str, ...]) -> str:
        if name in waiting:
            raise ValueError(f"{' refers to '.join((*waiting, name))}: a circle has no hash")
        if name not in self._names:
            path = self._sources / name
            body = path.read_bytes()
            if path.suffix != ".woff2":
                body = REFERENCE.sub(lambda match: self._publish(match[0], (*waiting, name)), body.decode()).encode()
            digest = hashlib.sha256(body).hexdigest()[:10]
            self._names[name] = f"{path.stem}.{digest}{path.suffix}"
            self.published[self._names[name]] = body
        return self._names[name]


ASSETS = web.AppKey("assets", Assets)


async def show_asset(request: web.Request) -> web.Response:
    """A published file. Its URL names its content, so that it never changes (RFC 8246)."""
    name = request.match_info["name"]
    body = request.app[ASSETS].published.get(name)
    if body is None:
        raise not_found(f"asset {name[:60]!r}")
    kind = TYPES[Path(name).suffix]
    headers = {"Cache-Control": FOREVER, "ETag": strong_tag(body)}
    if kind == "font/woff2":
        return web.Response(body=body, content_type=kind, headers=headers)
    del headers["ETag"]
    return text_answer(request, body.decode(), kind, headers)
