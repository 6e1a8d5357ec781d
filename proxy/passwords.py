"""Passwords as hashes that cost time and memory to try (scrypt, RFC 7914), and as one line of text.

The rule of this room: a hash from a configuration file is as little trusted as any other input. Its parameters are
bounded, so that no line of text can take the memory of the machine; and no error repeats what it was given.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

SHORTEST = 8
LONGEST = 1024
"""Characters of a password. Longer ones are refused before anything is computed."""

_N, _R, _P = 2**15, 8, 3  # 32 MiB, as OWASP's cheat sheet on password storage has it
_MOST_MEMORY = 256 * 2**20
_FORM = re.compile(r"scrypt\$(\d{1,7})\$(\d{1,2})\$(\d{1,2})\$([\w-]{11,86})\$([\w-]{43,86})", re.ASCII)


@dataclass(frozen=True, slots=True, repr=False)
class PasswordHash:
    """What is kept of a password: `scrypt$n$r$p$salt$hash`, the last two in base64url without padding."""

    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, password: str) -> PasswordHash:
        """A new hash of a password. Raises ValueError for one that is too short or too long."""
        if not SHORTEST <= len(password) <= LONGEST:
            raise ValueError(f"a password has {SHORTEST} to {LONGEST} characters")
        salt = secrets.token_bytes(16)
        return cls(_N, _R, _P, salt, _scrypt(password, salt, _N, _R, _P, 32))

    @classmethod
    def parse(cls, text: str) -> PasswordHash:
        """The hash in a text. Raises ValueError that says how to make one."""
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise ValueError("is not a password hash; make one with `cachewire password`")
        n, r, p = int(match[1]), int(match[2]), int(match[3])
        if n < 2**14 or n & (n - 1) or not r or not 0 < p <= 16 or 128 * n * r > _MOST_MEMORY:
            raise ValueError("has parameters that are too weak or too costly; make another with `cachewire password`")
        return cls(n, r, p, _decoded(match[4]), _decoded(match[5]))

    def verifies(self, password: str) -> bool:
        """Whether it is the hash of this password: takes a quarter of a second or so, and the memory it was made
        with, so it belongs into a thread."""
        if len(password) > LONGEST:
            return False
        tried = _scrypt(password, self.salt, self.n, self.r, self.p, len(self.digest))
        return hmac.compare_digest(tried, self.digest)

    def __str__(self) -> str:
        return f"scrypt${self.n}${self.r}${self.p}${_encoded(self.salt)}${_encoded(self.digest)}"

    def __repr__(self) -> str:
        return f"PasswordHash(n={self.n}, r={self.r}, p={self.p})"


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int, length: int) -> bytes:
    # Keyboards differ in how they compose accents (RFC 8265 section 4.2.2); what no encoding has is replaced.
    normal = unicodedata.normalize("NFC", password).encode("utf-8", "replace")
    return hashlib.scrypt(normal, salt=salt, n=n, r=r, p=p, maxmem=128 * r * (n + p + 2) + 2**20, dklen=length)


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def _decoded(text: str) -> bytes:
    if len(text) % 4 == 1:
        raise ValueError("is not a password hash, or a piece of one; make one with `cachewire password`")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
