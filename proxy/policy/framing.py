"""Heads that have one meaning only: where a message ends and whom it is for (RFC 9112).

The rule of this room: what two readers could understand differently is refused, never repaired. A C parser in
front refuses much of this already; nothing here relies on it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import NoReturn

from proxy.errors import RequestRefused
from proxy.policy.messages import Fields, Request


@dataclass(frozen=True, slots=True)
class Limits:
    """The most bytes of a request's target, of its head, and of the body its head announces."""

    max_target: int
    max_head: int
    max_body: int


def parse_head(
    *,
    method: str,
    target: str,
    version: tuple[int, int],
    fields: Fields,
    scheme: str,
    client: str,
    limits: Limits,
) -> Request:
    """The request that a head means, its target in origin-form (or `*`).

    Raises RequestRefused with 400 for whatever is malformed or ambiguous, 405 for CONNECT, 413, 414 and 431 beyond
    the limits, 501 for a transfer coding other than chunked (RFC 9112 section 6.1), 505 for other versions than
    1.0 and 1.1. No field of the result contains CR, LF or NUL.
    """
    if version not in ((1, 0), (1, 1)):
        _refuse(505, "http-version", "only HTTP/1.1 and HTTP/1.0 are spoken here")
    _check_size(method, target, fields, limits)
    if not _TOKEN.fullmatch(method):
        _refuse(400, "bad-method", "the method is not a token; write a name such as GET")
    if method == "TRACE":
        _refuse(405, "trace", "TRACE is not served: it would show what passes through to whoever asks")
    if method == "CONNECT":
        _refuse(405, "connect", "this is not a tunnel: CONNECT is not served")
    _check_lines(fields)
    has_body = _body_announced(version, fields, limits)
    host = _host(version, fields)
    origin_form, authority = _target(method, target, scheme)
    if authority is not None:
        # RFC 9112 section 3.2.2: the target's authority replaces a Host that may say otherwise.
        host, fields = authority.lower(), fields.replacing(("Host", authority))
    return Request(method, origin_form, host, fields, scheme, client, has_body)


def check_response_framing(status: int, fields: Fields) -> str | None:
    """A sentence that says why it is unclear where the origin's response ends, or None when it is clear.

    Equal lengths said twice are one length (RFC 9112 section 6.3).
    """
    lengths = {member.strip(" \t") for value in fields.all("content-length") for member in value.split(",")}
    codings = fields.all("transfer-encoding")
    if codings and lengths:
        return "It has both Transfer-Encoding and Content-Length."
    if len(lengths) > 1:
        return "Its Content-Length lines differ."
    if any(not _DIGITS.fullmatch(length) for length in lengths):
        return "Its Content-Length is not a number."
    if codings and not _is_chunked(codings):
        return "Its Transfer-Encoding is not exactly one chunked."
    if status < 200 or status == 204:
        if codings:
            return f"A {status} cannot have a body, yet it has Transfer-Encoding."
        if any(length.strip("0") for length in lengths):
            return f"A {status} cannot have a body, yet its Content-Length is not 0."
    return None


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DIGITS = re.compile(r"[0-9]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(r"[\x21\x22\x24-\x7e]+")
_ABSOLUTE = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?]*)(?P<rest>.*)")
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[A-Za-z0-9_~-]+(?:\.[A-Za-z0-9_~-]+)*\.?)(?::(?P<port>[0-9]*))?")
_IP_FUTURE = re.compile(r"[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+")


def _refuse(status: int, reason: str, detail: str) -> NoReturn:
    raise RequestRefused(status, reason, detail)


def _check_size(method: str, target: str, fields: Fields, limits: Limits) -> None:
    if len(target) > limits.max_target:
        _refuse(414, "target-too-long", f"the request target is longer than {limits.max_target} bytes")
    # A request line has two spaces, the version and an end; a field line a colon, a space and an end.
    size = len(method) + len(target) + 12 + sum(len(name) + len(value) + 4 for name, value in fields)
    if size > limits.max_head:
        _refuse(431, "head-too-large", f"the request head is larger than {limits.max_head} bytes")


def _check_lines(fields: Fields) -> None:
    for name, value in fields:
        if not _TOKEN.fullmatch(name):
            _refuse(400, "bad-field-name", "a field name is empty or not a token; write `Name: value`")
        if not _VALUE.fullmatch(value):
            _refuse(
                400,
                "bad-field-value",
                f"the value of {name} contains a control character or a folded line; write each field on one line",
            )


def _body_announced(version: tuple[int, int], fields: Fields, limits: Limits) -> bool:
    """Whether the framing announces content, once it is certain how much (RFC 9112 section 6)."""
    lengths, codings = fields.all("content-length"), fields.all("transfer-encoding")
    if codings:
        if lengths:
            _refuse(400, "both-lengths", "send either Transfer-Encoding or Content-Length, not both")
        if version == (1, 0):
            _refuse(400, "transfer-encoding-1.0", "HTTP/1.0 has no Transfer-Encoding; send Content-Length")
        _check_codings(codings)
        return True
    if not lengths:
        return False
    if len(lengths) > 1 or not _DIGITS.fullmatch(lengths[0]):
        _refuse(400, "bad-content-length", "Content-Length must be given once, as decimal digits")
    digits = lengths[0].lstrip("0")
    # int() refuses thousands of digits; twenty are beyond any limit anyway.
    if len(digits) > 19 or int(digits or "0") > limits.max_body:
        _refuse(413, "body-too-large", f"the announced body is larger than {limits.max_body} bytes")
    return bool(digits)


def _check_codings(values: list[str]) -> None:
    if _is_chunked(values):
        return
    codings = [coding.strip(" \t").lower() for value in values for coding in value.split(",")]
    well_formed = all(_TOKEN.fullmatch(coding) for coding in codings)
    # Without one final chunked nobody can tell where the body ends (RFC 9112 section 6.3): that comes before 501.
    if not well_formed or codings[-1] != "chunked" or codings.count("chunked") > 1:
        _refuse(400, "bad-transfer-encoding", "Transfer-Encoding must be exactly `chunked`")
    _refuse(501, "unknown-transfer-coding", "the only transfer coding understood here is chunked")


def _is_chunked(values: list[str]) -> bool:
    return len(values) == 1 and values[0].lower() == "chunked"


def _host(version: tuple[int, int], fields: Fields) -> str:
    hosts = fields.all("host")
    if len(hosts) > 1:
        _refuse(400, "repeated-host", "send one Host field")
    if not hosts:
        if version == (1, 1):
            _refuse(400, "missing-host", "HTTP/1.1 requires a Host field")
        return ""
    _check_authority(hosts[0])
    return hosts[0].lower()


def _check_authority(authority: str) -> None:
    """Refuse what is not `uri-host [ ":" port ]` (RFC 9110 section 7.2), or has no host at all (section 4.2.1).

    Of the names that RFC 3986 allows only those that name hosts pass: a comma or semicolon in one means something
    else to whoever reads X-Forwarded-Host or Forwarded.
    """
    match = _AUTHORITY.fullmatch(authority)
    if match is None or not _is_host(match["host"]):
        _refuse(400, "bad-host", "the host is not a name or address with an optional port, as in example.org:8080")
    port = match["port"]
    if port and (len(port) > 5 or not 0 < int(port) < 65536):
        _refuse(400, "bad-host", "the port must be a number from 1 to 65535")


def _is_host(host: str) -> bool:
    if not host.startswith("["):
        return True
    literal = host[1:-1]
    if _IP_FUTURE.fullmatch(literal):
        return True
    try:
        ipaddress.IPv6Address(literal)
    except ValueError:
        return False
    return "%" not in literal


def _target(method: str, target: str, scheme: str) -> tuple[str, str | None]:
    """The target in origin-form (or `*`), and the authority that an absolute-form target names."""
    if not _TARGET.fullmatch(target):
        _refuse(
            400,
            "bad-target",
            "the request target is empty or contains a fragment, a space or a character that must be percent-encoded",
        )
    if target.startswith("/") or (target == "*" and method == "OPTIONS"):
        return target, None
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        _refuse(400, "bad-target", "the request target must begin with a slash")
    if match["scheme"].lower() != scheme:
        _refuse(400, "bad-target", f"the request target names another scheme than {scheme}")
    authority, rest = match["authority"], match["rest"]
    # Userinfo needs an @, which no host contains.
    _check_authority(authority)
    if not rest and method == "OPTIONS":
        return "*", authority  # RFC 9112 section 3.2.4
    return (rest if rest.startswith("/") else "/" + rest), authority
