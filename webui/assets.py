"""The files under `/static/`, held in memory and named by their content."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from aiohttp import web

ROOT = Path(__file__).resolve().parent.parent / "static"

_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".txt": "text/plain",
}
_YEAR = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _Asset:
    content: bytes
    content_type: str
    digest: str


class Assets:
    """What lies in a directory of static files when the process starts; files of unknown type are left out."""

    def __init__(self, root: Path = ROOT) -> None:
        self._assets = {
            path.relative_to(root).as_posix(): _asset(path)
            for path in sorted(root.rglob("*"))
            if path.suffix in _TYPES and path.is_file()
        }

    def url(self, name: str) -> str:
        """The address of a file, which changes with its content. Raises KeyError for a file that is not there."""
        return f"/static/{name}?v={self._assets[name].digest}"

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return name in self._assets

    async def serve(self, request: web.Request) -> web.Response:
        """The file, kept by the browser for good when asked for by its present digest."""
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound(text="There is no such file.\n")
        caching = _YEAR if request.query.get("v") == asset.digest else "no-cache"
        headers = {"Cache-Control": caching, "ETag": f'"{asset.digest}"'}
        known = request.if_none_match or ()
        if any(tag.value in (asset.digest, "*") for tag in known):
            return web.Response(status=304, headers=headers)
        charset = None if asset.content_type == "image/svg+xml" else "utf-8"
        return web.Response(body=asset.content, content_type=asset.content_type, charset=charset, headers=headers)


def _asset(path: Path) -> _Asset:
    content = path.read_bytes()
    return _Asset(content, _TYPES[path.suffix], sha256(content).hexdigest()[:16])
