"""What a browser wants a response for: a page, an image, a script, ... (Fetch standard, "destination")."""

from __future__ import annotations

from typing import Literal

from proxy.policy.messages import Request
from proxy.policy.routes import content_type_of

Destination = Literal["html", "image", "style", "script", "font", "media", "data"]


def destination(request: Request) -> Destination | None:
    """What `request` is for: by Sec-Fetch-Dest, else by what Accept names first, else by extension.

    Browsers send Sec-Fetch-Dest to secure origins only, and some kinds of request have `Accept: */*`. None: nobody
    says.
    """
    said = (request.fields.first("Sec-Fetch-Dest") or "").lower()
    return _DESTINATIONS.get(said) or _of_accept(request) or destination_of_path(request.path)


def destination_of_path(path: str) -> Destination | None:
    """The destination that the extension of a path names; None without a known one."""
    kind = content_type_of(path.partition("?")[0])
    return None if kind is None else _of_type(kind)


_DESTINATIONS: dict[str, Destination] = {
    "document": "html",
    "iframe": "html",
    "frame": "html",
    "embed": "html",
    "object": "html",
    "fencedframe": "html",
    "image": "image",
    "style": "style",
    "xslt": "style",
    "script": "script",
    "worker": "script",
    "sharedworker": "script",
    "serviceworker": "script",
    "audioworklet": "script",
    "paintworklet": "script",
    "font": "font",
    "audio": "media",
    "video": "media",
    "track": "media",
    "empty": "data",
    "json": "data",
    "manifest": "data",
}


def _of_accept(request: Request) -> Destination | None:
    for member in request.fields.members("Accept"):
        kind = member.partition(";")[0].strip().lower()
        if kind != "*/*":
            return _of_type(kind)
    return None


def _of_type(kind: str) -> Destination | None:
    main, _, sub = kind.partition("/")
    if main in ("image", "font"):
        return "image" if main == "image" else "font"
    if main in ("audio", "video"):
        return "media"
    if kind in ("text/html", "application/xhtml+xml"):
        return "html"
    if kind == "text/css":
        return "style"
    if kind in ("text/javascript", "application/javascript"):
        return "script"
    return "data" if sub.endswith(("json", "xml")) else None
