"""What must not be read off a screen: secrets in URLs."""

from __future__ import annotations

import re


def masked(url: str) -> str:
    """A URL or target for eyes: the values of query parameters that sound like secrets are hidden."""
    return _SECRET.sub(r"\1********", url) if "?" in url else url


_SECRET = re.compile(
    r"([?&;][^=&;]*(?:token|secret|passw|pwd|api_?key|auth|session|signature|code|jwt)[^=&;]*=)[^&;]*", re.IGNORECASE
)
