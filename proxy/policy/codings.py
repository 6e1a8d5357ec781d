"""Content codings that the edge adds by itself: for which responses, which clients, and under which names.

The rule of this room: a coded copy is another representation with a validator of its own (RFC 9110 sections 8.4
and 8.8.3.3). Whatever a client holds, whole or in part, it is told that this is still good only if it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

from proxy.policy.dates import parse_date
from proxy.policy.directives import parse_directives, response_directives
from proxy.policy.messages import Fields, Request, StoredResponse, media_type
from proxy.policy.ranges import range_applies
from proxy.policy.validation import not_modified

LARGEST = 8 * 2**20
"""Larger bodies are not compressed. RFC 9659 also forbids zstd windows that are larger than this."""

SOURCE, DIGEST = "Cachewire-Source", "Cachewire-Digest"
"""Fields of a coded copy in the store that no client sees: what it was made of, and the digest of its own bytes."""


def accepted_codings(request: Request, offered: Sequence[str]) -> tuple[str, ...]:
    """The codings of `offered` that the client prefers to none, best first (RFC 9110 section 12.5.3).

    Weights decide, then the order of `offered`. Without Accept-Encoding there are none: most such clients could
    not decode. A member that is malformed, or weighed twice, counts as little as it can. A request may also ask for
    `no-transform` (RFC 9111 section 5.2.1.6).
    """
    value = request.fields.combined("Accept-Encoding")
    if not value or "no-transform" in parse_directives(request.fields.all("Cache-Control")):
        return ()
    # Attackers choose long values; remembering only short ones keeps the memory of the memo bounded.
    return (_remembered if len(value) <= 256 else _accepted)(value, tuple(offered))


def compressible(status: int, fields: Fields, length: int | None, minimum: int) -> bool:
    """Whether a response with a body of `length` bytes (None: not known yet) may have coded copies.

    It must be text of a size that is worth it, not be coded already, and not be bound to its bytes: by `no-transform`
    (RFC 9110 section 7.7), by a digest of them (RFC 9530) or by a signature (RFC 9421).
    """
    if status != 200 or length is None or not minimum <= length <= LARGEST:
        return False
    if any(name in fields for name in _BOUND_TO_ITS_BYTES) or not _is_text(fields.first("Content-Type") or ""):
        return False
    # A field targeted at caches replaces Cache-Control for caching, but `no-transform` speaks to every intermediary.
    stated = (response_directives(fields), parse_directives(fields.all("Cache-Control")))
    return not any("no-transform" in directives for directives in stated)


def varied(fields: Fields) -> Fields:
    """The fields, with Accept-Encoding in Vary: of every representation, coded or not (RFC 9110 section 12.5.5)."""
    members = fields.members("Vary")
    if "*" in members or any(member.lower() == "accept-encoding" for member in members):
        return fields
    return fields.replacing(("Vary", ", ".join([*members, "Accept-Encoding"])))


def coded_fields(fields: Fields, coding: str, digest: str) -> Fields:
    """The fields of a copy of the response in `coding`, whose bytes have this digest."""
    return varied(fields.without("Content-Length")).replacing(
        ("Content-Encoding", coding), ("ETag", coded_tag(fields.first("ETag"), coding, digest))
    )


def coded_tag(etag: str | None, coding: str, digest: str) -> str:
    """The entity tag of a coded copy of what has `etag` (RFC 9110 section 8.8.3.3).

    Strong where `etag` is: the digest makes it name these bytes alone, whichever library made them. Without a usable
    `etag` it is weak: a strong one would come back in an If-Match that the origin knows nothing of, and a date alone
    in an If-Range that cannot tell the copies apart.
    """
    match = _ENTITY_TAG.fullmatch(etag or "")
    if match is None:
        return f'W/"{coding}-{digest}"'
    return f'{match[1] or ""}"{match[2]}-{coding}-{digest}"'


def holds_plain(request: Request, stored: StoredResponse) -> bool:
    """Whether the client holds the representation without a coding, or a part of it, and so goes on with that one.

    Also where a range is asked for and no strong validator tells the representations apart: parts that might be put
    together must all be of the same one.
    """
    fields = stored.fields
    if not_modified(request, fields, status=stored.status, received=stored.response_time):
        return True
    if request.method != "GET" or "Range" not in request.fields:
        return False
    if "If-Range" in request.fields:
        return range_applies(request, fields, parse_date(fields.first("Date") or ""))
    return not _is_strong(fields.first("ETag"))


def held_tag(request: Request, stored: StoredResponse, codings: Sequence[str]) -> str | None:
    """The tag in If-None-Match that a copy in one of `codings` of this response had, or None.

    It holds although the copy itself is gone: the tag of what it was made of is part of it.
    """
    match = _ENTITY_TAG.fullmatch(stored.fields.first("ETag") or "")
    if match is None or not codings or "If-None-Match" not in request.fields:
        return None
    copies = re.compile(rf'(?:W/)?"{re.escape(match[2])}-(?:{"|".join(codings)})-[0-9a-f]{{16}}"')
    for tag in copies.findall(request.fields.combined("If-None-Match") or ""):
        said = f"{match[1] or ''}{tag.removeprefix('W/')}"
        if not_modified(request, Fields((("ETag", said),)), status=stored.status):
            return said
    return None


def with_source_tags(fields: Fields) -> Fields:
    """The fields of a request for the origin, which If-Match also tells the tags that coded copies were made of.

    Otherwise whoever edits what they read compressed would fail with 412: the origin never said that tag.
    """
    condition = fields.combined("If-Match")
    if condition is None:
        return fields
    sources = dict.fromkeys(f'"{name}"' for name in _STRONG_COPY.findall(condition))
    return fields.replacing(("If-Match", ", ".join([condition, *sources]))) if sources else fields


def source_name(stored: StoredResponse) -> str:
    """What a coded copy remembers of the response it was made of; another body or validator has another name."""
    validators = [stored.fields.first("ETag"), stored.fields.first("Last-Modified")]
    told = json.dumps([stored.checksum, stored.length, *validators])
    return blake2b(told.encode("latin-1"), digest_size=16).hexdigest()


def coded_key(key: str, coding: str) -> str:
    """The key under which copies in `coding` of what has `key` are stored."""
    return f"{key}{_CODING}{coding}"


def source_key(key: str) -> str:
    """The key of what a coded copy was made of; any other key as it is."""
    return key.partition(_CODING)[0]


def coding_of(key: str) -> str:
    """The coding of the copies under a key; "" when it is not one of coded copies."""
    return key.partition(_CODING)[2]


_CODING = "\ncoding="
"""No key of a request contains a line break."""

_BOUND_TO_ITS_BYTES = (
    "Content-Encoding", "Content-Range", "Content-Digest", "Repr-Digest", "Digest", "Content-MD5", "Signature-Input",
)  # fmt: skip
_TEXT = frozenset(
    (
        "application/ecmascript",
        "application/graphql",
        "application/javascript",
        "application/json",
        "application/manifest+json",
        "application/sql",
        "application/wasm",
        "application/x-javascript",
        "application/x-ndjson",
        "application/xml",
        "application/yaml",
        "font/collection",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/svg+xml",
        "image/vnd.microsoft.icon",
        "image/x-icon",
    )
)
_TEXT_SUFFIXES = ("+json", "+xml", "+yaml")
_ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_STRONG_COPY = re.compile(r'(?<!W/)"([^"]*)-(?:br|gzip|zstd)-[0-9a-f]{16}"')
_WEIGHT = re.compile(r"[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
_ALIASES = {"x-gzip": "gzip"}


def _is_text(content_type: str) -> bool:
    essence = media_type(content_type)
    if essence == "text/event-stream":
        return False
    return essence.startswith("text/") or essence in _TEXT or essence.endswith(_TEXT_SUFFIXES)


def _is_strong(etag: str | None) -> bool:
    match = _ENTITY_TAG.fullmatch(etag or "")
    return match is not None and match[1] is None


def _accepted(value: str, offered: tuple[str, ...]) -> tuple[str, ...]:
    weights: dict[str, float] = {}
    for member in value.split(","):
        name, weight = _weighed(member)
        weights[name] = min(weight, weights.get(name, 1.0))
    others, plain = weights.get("*", 0.0), weights.get("identity", 0.0)
    wanted = [(weights.get(coding, others), coding) for coding in dict.fromkeys(offered)]
    # Sorting is stable, so equal weights leave the order of `offered`.
    return tuple(c for weight, c in sorted(wanted, key=lambda each: -each[0]) if weight > 0 and weight >= plain)


_remembered = lru_cache(maxsize=256)(_accepted)


def _weighed(member: str) -> tuple[str, float]:
    name, parameter, weight = member.partition(";")
    coding = name.strip(" \t").lower()
    match = _WEIGHT.fullmatch(weight.strip(" \t"))
    return _ALIASES.get(coding, coding), (float(match[1]) if match else 0.0) if parameter else 1.0
