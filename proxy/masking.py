"""What must not be read off a screen: secrets in URLs and in fields."""

from __future__ import annotations

import re

HIDDEN = "********"


def masked(url: str) -> str:
    """A URL or target for eyes: the values of query parameters that sound like secrets are hidden."""
    return _SECRET.sub(rf"\1{HIDDEN}", url) if "?" in url else url


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
# The name is looked at once and then taken whole: a target made of nothing but such words costs no more than another.
_SECRET = re.compile(
    rf"([?&;](?={_SIGNED}|[^=&;]*(?:{_SECRETS}|{_WORDS}))[^=&;]*+=)[^&;]*+",
    re.IGNORECASE,
)
_SECRET_FIELD = re.compile(
    r"cookie|authorization|authentication|token|secret|passw|api-?key|session|csrf|xsrf|jwt|credential", re.IGNORECASE
)
_URLS = frozenset(("location", "content-location", "link", "refresh"))
