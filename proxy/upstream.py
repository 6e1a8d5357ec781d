"""The origin as the edge sees it: ask it, and know how it is.

Only the host and port of `origin.url` are ever contacted. There is no cookie jar, no redirect, no decompression:
what was asked goes out as it is, and what comes back comes back as it is.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from proxy.config.model import Origin as OriginSettings
from proxy.errors import (
    BodyIncomplete,
    ConfigurationError,
    OriginError,
    OriginTimeout,
    OriginUnreachable,
    RequestRefused,
)
from proxy.origin_connection import Interim, Limits, OriginConnection, Owner
from proxy.origin_pool import OriginPool
from proxy.origin_probe import Knock
from proxy.origin_request import IDEMPOTENT, OriginRequest, request_head
from proxy.origin_response import OriginResponse
from proxy.tunnel import Tunnel

__all__ = ["Origin", "OriginHealth", "OriginRequest", "OriginResponse", "Tunnel"]

_log = logging.getLogger("cachewire.origin")

_BACK_OFF = (0.025, 0.05, 0.1)
_KNOWN_DOWN = 1.0
_TELL_EVERY = 5.0
_DOWN_AFTER = 3
_DOWN_AFTER_PROBES = 2

_P = TypeVar("_P", bound=asyncio.Protocol)


@dataclass(frozen=True, slots=True)
class OriginHealth:
    """How the origin fared, as seen in real traffic, and by a probe where there is none. Times are seconds since the
    epoch.

    `down` after a failed connection (of two probes in a row), or three failures of any kind in a row; the next response
    makes it `up`, and so does a probe that connects, if the last failure was that nothing did. The counts and
    `last_success` are of requests alone.
    `unanswered_since` is the first request since the last response, also when whoever asked has left since.
    `errors` counts requests without a response and bodies that broke off; `retries` counts requests sent again,
    those on a stale connection included.
    """

    state: Literal["up", "down", "unknown"] = "unknown"
    since: float | None = None
    consecutive_failures: int = 0
    last_error: str = ""
    last_success: float | None = None
    last_failure: float | None = None
    unanswered_since: float | None = None
    requests: int = 0
    errors: int = 0
    retries: int = 0
    connect_errors: int = 0
    open_connections: int = 0
    idle_connections: int = 0
    waiting_requests: int = 0
    tunnels: int = 0


class Sleep(Protocol):
    def __call__(self, delay: float, /) -> Awaitable[None]: ...


class Origin:
    """A pooled HTTP/1.1 client of one origin. Close it when done.

    Raises ConfigurationError when `tls_ca_file` cannot be used.
    """

    def __init__(
        self, settings: OriginSettings, *, now: Callable[[], float] = time.time, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._settings = settings
        self._now = now
        self._sleep = sleep
        self._secure, self._host, self._port = _address(settings.url)
        self._tls = _tls_context(settings) if self._secure else None
        self._limits = Limits(
            settings.response_timeout, settings.body_timeout, settings.idle_timeout, settings.max_head
        )
        self._pool = OriginPool(self._connect, settings.max_connections, self._body_broke_off)
        self.on_up: Callable[[], None] | None = None
        """Called when the origin answers again after it was down."""
        self._closed = False
        self._state: Literal["up", "down", "unknown"] = "unknown"
        self._since: float | None = None
        self._failures = 0
        self._last_error = ""
        self._last_success: float | None = None
        self._last_failure: float | None = None
        self._unanswered_since: float | None = None
        self._refused_at: float | None = None
        self._unconnected = False
        self._probes_failed = 0
        self._told_at: float | None = None
        self._untold = 0
        self._requests = self._errors = self._retries = self._connect_errors = 0

    @property
    def health(self) -> OriginHealth:
        return OriginHealth(
            state=self._state,
            since=self._since,
            consecutive_failures=self._failures,
            last_error=self._last_error,
            last_success=self._last_success,
            last_failure=self._last_failure,
            unanswered_since=self._unanswered_since,
            requests=self._requests,
            errors=self._errors,
            retries=self._retries,
            connect_errors=self._connect_errors,
            open_connections=self._pool.taken,
            idle_connections=self._pool.idle_connections,
            waiting_requests=self._pool.waiting,
            tunnels=self._pool.tunnels,
        )

    async def send(self, request: OriginRequest, *, interim: Interim | None = None) -> OriginResponse:
        """The final response, as soon as its head is complete; close it when done.

        `interim` is called for each 1xx in order, before this returns. With `Expect: 100-continue` the body waits
        for a 100, a final response, or one second. Raises OriginUnreachable, OriginTimeout, OriginProtocolError,
        RequestRefused, and whatever the request's body raises.
        """
        answer = await self._answer(request, request_head(request), interim, upgrade=False)
        assert isinstance(answer, OriginResponse)
        return answer

    async def upgrade(self, request: OriginRequest, *, interim: Interim | None = None) -> OriginResponse | Tunnel:
        """A tunnel when the origin switches to the protocol that `Upgrade` names, otherwise its answer."""
        if "Upgrade" not in request.fields:
            raise RequestRefused(400, "no-upgrade-field", "an upgrade must name a protocol in its Upgrade field")
        return await self._answer(request, request_head(request, upgrade=True), interim, upgrade=True)

    async def watch(self) -> None:
        """Probe whenever nothing was asked for `origin.probe`, until cancelled; returns at once if that is 0."""
        while self._settings.probe:
            before = self._requests
            await self._sleep(self._settings.probe)
            if self._requests == before:
                await self.probe()

    async def probe(self) -> None:
        """Make a connection and close it again, without a request, to learn whether somebody is there."""
        try:
            knock = await self._dial(Knock)
        except OriginError as error:
            self._probe_failed(error)
        else:
            self._probe_connected()
            await knock.leave()

    async def close(self) -> None:
        """Close every connection and tunnel; whoever still waits gets OriginUnreachable or BodyIncomplete."""
        self._closed = True
        await self._pool.close()

    # -- one answer, over as many attempts as are safe

    async def _answer(
        self, request: OriginRequest, head: bytes, interim: Interim | None, *, upgrade: bool
    ) -> OriginResponse | Tunnel:
        self._requests += 1
        if self._unanswered_since is None:
            self._unanswered_since = self._now()
        deadline = asyncio.get_running_loop().time() + self._settings.response_timeout
        idempotent = request.method in IDEMPOTENT
        left = self._settings.retries if idempotent and not self._known_down() else 0
        stale_once = idempotent
        retries = 0
        while True:
            connection: OriginConnection | None = None
            try:
                connection = await self._pool.acquire(deadline)
                answer = await connection.exchange(request, head, deadline, interim=interim, upgrade=upgrade)
            except OriginUnreachable as error:
                if stale_once and connection is not None and connection.reused and connection.untouched:
                    # The origin closed an idle connection just as we chose it: no sign of trouble.
                    stale_once = False
                    self._pool.retire_idle()
                elif left > retries and not self._closed and self._repeatable(error, connection):
                    self._attempt_failed(error)
                    await self._back_off(retries, deadline, error)
                    retries += 1
                else:
                    self._request_failed(error)
                    raise
                self._retries += 1
            except OriginError as error:
                self._request_failed(error)
                raise
            else:
                self._succeeded()
                return answer

    def _repeatable(self, error: OriginUnreachable, connection: OriginConnection | None) -> bool:
        if connection is not None:
            return connection.untouched
        return not isinstance(error.__cause__, ssl.SSLCertVerificationError)

    async def _back_off(self, retries: int, deadline: float, error: OriginUnreachable) -> None:
        pause = _BACK_OFF[min(retries, len(_BACK_OFF) - 1)]
        if asyncio.get_running_loop().time() + pause >= deadline:
            self._errors += 1
            raise error
        await self._sleep(pause)

    async def _connect(self, owner: Owner) -> OriginConnection:
        try:
            return await self._dial(lambda: OriginConnection(owner, self._limits, self._now))
        except OriginError:
            self._connect_errors += 1
            raise

    async def _dial(self, protocol: Callable[[], _P]) -> _P:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                _, connection = await loop.create_connection(
                    protocol,
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls is not None else None,
                )
        except TimeoutError:
            self._refused_at = self._now()
            raise OriginTimeout(
                f"no connection to the origin {self._settings.url} within {self._settings.connect_timeout:g} s",
                connected=False,
            ) from None
        except OSError as error:
            self._refused_at = self._now()
            raise OriginUnreachable(
                f"no connection to the origin {self._settings.url}: {error}", connected=False
            ) from error
        return connection

    # -- health

    def _known_down(self) -> bool:
        """No connection could be made just now: further attempts of every request would only cost time."""
        return self._refused_at is not None and self._now() - self._refused_at < _KNOWN_DOWN

    def _succeeded(self) -> None:
        self._last_success = self._now()
        self._unanswered_since = None
        self._connected()
        self._become("up", self._last_success)

    def _connected(self) -> None:
        self._refused_at = None
        self._failures = self._probes_failed = 0

    def _attempt_failed(self, error: OriginError) -> None:
        self._tell(error)
        self._failures += 1
        self._failed(error, down=isinstance(error, OriginUnreachable) or self._failures >= _DOWN_AFTER)

    def _probe_failed(self, error: OriginError) -> None:
        self._probes_failed += 1
        if self._state == "down" or self._probes_failed >= _DOWN_AFTER_PROBES:
            self._failed(error, down=True)

    def _probe_connected(self) -> None:
        """Whoever hangs or breaks off also lets one connect: only after a connection that failed it says enough."""
        self._probes_failed = 0
        if self._state != "down" or self._unconnected:
            self._connected()
            self._become("up", self._now())

    def _failed(self, error: OriginError, *, down: bool) -> None:
        self._last_failure = self._now()
        self._last_error = str(error)
        if error.connected:
            self._unconnected = False
        elif isinstance(error, OriginUnreachable) or self._state != "down":
            # A connection that is refused also ends what hung before; one that takes too long may be the same hang.
            self._unconnected = True
        if down:
            self._become("down", self._last_failure)

    def _tell(self, error: OriginError | BodyIncomplete) -> None:
        """Log a failure; in an outage one line now and then, with how many it stands for."""
        self._untold += 1
        now = self._now()
        if self._told_at is None or now - self._told_at >= _TELL_EVERY:
            more = f" (and {self._untold - 1} more)" if self._untold > 1 else ""
            _log.info("the origin failed: %s%s", error, more)
            self._told_at, self._untold = now, 0

    def _request_failed(self, error: OriginError) -> None:
        self._errors += 1
        self._attempt_failed(error)

    def _body_broke_off(self, error: BodyIncomplete) -> None:
        # Its head did arrive, so the origin stays up; the operator sees the count and the text.
        self._errors += 1
        self._last_error = str(error)
        self._tell(error)
        self._last_failure = self._now()

    def _become(self, state: Literal["up", "down"], at: float) -> None:
        if self._state != state:
            if state == "down":
                _log.warning("the origin %s is down: %s", self._settings.url, self._last_error)
            elif self._since is not None:
                _log.warning("the origin %s is up again after %.0f s", self._settings.url, at - self._since)
            returned = self._state == "down"
            self._state = state
            self._since = at
            if returned and self.on_up is not None:
                self.on_up()


def _address(url: str) -> tuple[bool, str, int]:
    """Whether TLS is spoken, and the host and port; `url` was parsed by the configuration."""
    match = re.fullmatch(r"(https?)://(?:\[([^\]]+)\]|([^:/]+))(?::(\d+))?/?", url)
    if match is None:
        raise ConfigurationError(f"origin.url: {url!r} is not an origin; write http://host:port")
    secure = match[1] == "https"
    return secure, match[2] or match[3], int(match[4]) if match[4] else 443 if secure else 80


def _tls_context(settings: OriginSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca_file)
    except OSError as error:  # SSLError is an OSError
        raise ConfigurationError(
            f"origin.tls_ca_file: {settings.tls_ca_file} cannot be used ({error}); name a file of PEM certificates"
        ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context
