"""How commands reach a running Cachewire: the admin API as a client sees it, and URLs on the public listener."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import click

from proxy.commands.options import loaded
from proxy.config.units import Address
from proxy.errors import CachewireError

TIMEOUT = 30.0
_LARGEST_ANSWER = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Listeners:
    """Where a running Cachewire listens, and the token for its admin API."""

    public: Address
    admin: Address
    token: str | None
    timeout: float = TIMEOUT

    @classmethod
    def of(cls, path: Path | None, public: Address | None = None, admin: Address | None = None) -> Listeners:
        """From the configuration that the running one was given, or as named. Raises ConfigurationError."""
        config = loaded(path).config
        return cls(public or config.server.listen, admin or config.admin.listen, config.admin.token)

    def url(self, text: str) -> str:
        """An absolute URL from a URL, or from a path on the public listener. Raises UsageError."""
        return absolute_url(text, self.public)

    def get(self, path: str, query: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """The admin API's answer to a GET. Raises CachewireError."""
        return self._ask("GET", f"{path}?{urlencode(query)}", None)

    def text(self, path: str) -> str:
        """What the admin listener answers to a GET, as text. Raises CachewireError."""
        status, content = self._exchange("GET", path, None, "text/plain")
        if status != HTTPStatus.OK:
            _answer(self.admin, status, content)
        return content.decode("utf-8", "replace")

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The admin API's answer to a POST of JSON. Raises CachewireError."""
        return self._ask("POST", path, json.dumps(body).encode())

    def _ask(self, method: str, target: str, body: bytes | None) -> dict[str, Any]:
        return _answer(self.admin, *self._exchange(method, target, body, "application/json"))

    def _exchange(self, method: str, target: str, body: bytes | None, accept: str) -> tuple[int, bytes]:
        fields = {"Accept": accept}
        if body is not None:
            fields["Content-Type"] = "application/json"
        if self.token:
            fields["Authorization"] = f"Bearer {self.token}"
        connection = connect(self.admin, "admin.listen", "--admin", self.timeout)
        try:
            connection.request(method, target, body, fields)
            response = connection.getresponse()
            return response.status, response.read(_LARGEST_ANSWER)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CachewireError(f"the admin API on {self.admin} did not answer: {_reason(error)}") from None
        finally:
            connection.close()


def connect(address: Address, setting: str, option: str, timeout: float = TIMEOUT) -> http.client.HTTPConnection:
    """A connection to a listener. Raises CachewireError that says what to do when nothing listens there."""
    if address.port == 0:
        raise click.UsageError(f"{setting} asks for any free port; name the one in use with {option} H:P")
    connection = http.client.HTTPConnection(reachable_host(address.host), address.port, timeout=timeout)
    try:
        connection.connect()
    except OSError as error:
        raise CachewireError(
            f"no Cachewire answers on {address} ({_reason(error)}); start it with `cachewire serve`, give the --config"
            f" it runs with, or name its address with {option} H:P"
        ) from None
    return connection


def reachable_host(host: str) -> str:
    """The host to connect to for a listener's host: a wildcard address is reached over loopback."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared with, not bound


def absolute_url(text: str, public: Address) -> str:
    """An absolute URL from a URL, or from a path on the public listener; what URLs cannot hold is percent-encoded.

    Raises UsageError for anything else.
    """
    text = quote(text.strip(), safe="!#$%&'()*+,/:;=?@[]~")
    if text.startswith("/") and not text.startswith("//"):
        return f"http://{Address(reachable_host(public.host), public.port)}{text}".partition("#")[0]
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
        valid = valid and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise click.UsageError(f"{text!r} is neither a URL nor a path; write /path or http://host/path")
    return text.partition("#")[0]


def _answer(address: Address, status: int, content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if status == HTTPStatus.UNAUTHORIZED:
        raise CachewireError(
            f"the admin API on {address} wants its token; set CACHEWIRE__ADMIN__TOKEN to admin.token"
            " (a password is for people only)"
        )
    if not isinstance(answer, dict):
        raise CachewireError(f"what listens on {address} is not Cachewire's admin API (it answered {status})")
    if status >= HTTPStatus.BAD_REQUEST:
        parts = [str(answer[key]) for key in ("title", "detail") if answer.get(key)]
        raise CachewireError(": ".join(parts) or f"the admin API answered {status}")
    return answer


def _reason(error: Exception) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]
