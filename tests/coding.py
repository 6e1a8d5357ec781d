"""Text worth compressing, the codings' decoders, and the way to a copy, for the tests of compression."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import brotli
import zstandard

from tests.edge import EdgeUnderTest, Received

TEXT = b"".join(b"<p>Report %d: a street lamp is broken.</p>\n" % number for number in range(200))
OTHER = TEXT.replace(b"lamp", b"sign")
HEADERS = {"Content-Type": "text/html", "Cache-Control": "max-age=60"}
DECODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: zlib.decompress(data, 31),
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompress(data),
}


def wanting(coding: str, **fields: str) -> dict[str, str]:
    return {"Accept-Encoding": coding, **{name.replace("_", "-"): value for name, value in fields.items()}}


async def compressed(edge: EdgeUnderTest, target: str = "/a", coding: str = "br", **fields: str) -> Received:
    """The answer once there is a copy: the miss, the hit that wishes for it, and the one that gets it."""
    for _ in range(2):
        await edge.get(target, wanting(coding, **fields))
        await edge.background_done()
    return await edge.get(target, wanting(coding, **fields))
