"""What must not be read off a screen: secrets in URLs and in fields."""

from __future__ import annotations

import re
from urllib.parse import unquote

HIDDEN = "********"


def masked(url: str) -> str:
    """A URL or target for eyes: user and password are hidden, and the values of query parameters that sound like
    secrets, however their names are percent-encoded.
    """
    if "@" in url:
        url = _USERINFO.sub(rf"\1{HIDDEN}", url)
    return _secrets_hidden(url) if "?" in url else url


def masked_field(name: str, value: str) -> str:
    """A field's value for eyes: what identifies somebody or opens something is hidden, and secrets in URLs are."""
    if _SECRET_FIELD.search(name):
        return HIDDEN
    return masked(value) if name.lower() in _URLS else value


_SECRETS = r"token|secret|passw|pwd|api[-_]?key|auth|session|signature|code|jwt"
_WORDS = r"(?<![a-z])(?:key|sig|sign|hmac)(?![a-z])|(?-i:(?<=[a-z])(?:Key|Sig)(?![a-z]))"
"""What is one as a word of a name only (`key`, `access_key`, `accessKey`), not within others (`keyword`, `design`)."""
_SIGNED = r"x-(?:amz|goog)-"
"""How the parameters of a signed URL begin, at Amazon and Google."""
_SECRET_NAME = re.compile(rf"^{_SIGNED}|{_SECRETS}|{_WORDS}", re.IGNORECASE)
_NAME = re.compile(r"[?&;]([^=&;]*+)(=?)")
_VALUE = re.compile(r"[^&;]*+")
_USERINFO = re.compile(r"(://)[^/?#\s]*(?=@)")
_SECRET_FIELD = re.compile(
    r"cookie|authorization|authentication|token|secret|passw|api-?key|session|csrf|xsrf|jwt|credential", re.IGNORECASE
)
_URLS = frozenset(("location", "content-location", "link", "refresh"))


def _secrets_hidden(url: str) -> str:
    """Each name is looked at once and then passed: a target made of nothing but names costs no more than another.

    A value is looked into, as it may be a URL with parameters, unless it is hidden.
    """
    shown, at = [], 0
    while (name := _NAME.search(url, at)) is not None:
        shown.append(url[at : name.end()])
        at = name.end()
        if name[2] and _SECRET_NAME.search(unquote(name[1])):  # as the origin reads it
            shown.append(HIDDEN)
            value = _VALUE.match(url, at)
            at = value.end() if value else at
    return "".join((*shown, url[at:]))
