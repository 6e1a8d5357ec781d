"""The part of the configuration model that is about the operators' listener and who may use it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from proxy.config.section import Section
from proxy.config.units import Address, Duration, ListenAddress
from proxy.config.values import HostName
from proxy.passwords import PasswordHash


class AdminSession(Section):
    """How long somebody who logged in stays so. All sessions end with the process."""

    max_age: Duration = 43200.0
    """A session ends this long after its login, whatever happens."""
    idle: Duration = 3600.0
    """A session ends after this time without a request; an open page asks by itself, unless paused or hidden."""


class Admin(Section):
    """The operators' listener: dashboard, API, metrics."""

    listen: ListenAddress = Address("127.0.0.1", 8081)
    """Where operators connect; anything but loopback needs a password or a token."""
    token: Annotated[str, Field(min_length=1)] | None = Field(default=None, repr=False)
    """Secret that scripts present as bearer token, beyond loopback 16 characters or more; better set as
    CACHEWIRE__ADMIN__TOKEN than in a file."""
    purge_token: Annotated[str, Field(min_length=16)] | None = Field(default=None, repr=False)
    """Switches PURGE and BAN on at the public listener, for those who present this secret as a bearer token."""
    password_hash: str | None = Field(default=None, repr=False)
    """What `cachewire password` printed: people then log in with that password, on a page of the dashboard's own."""
    viewer_password_hash: str | None = Field(default=None, repr=False)
    """The same for a second password, whose holders see everything and change nothing."""
    session: AdminSession = AdminSession()
    """How long a login holds."""
    read_only: bool = False
    """Whether every change on this listener is refused, whoever asks; the application may still publish."""
    allowed_hosts: tuple[HostName, ...] = ()
    """Names, without port, by which an open listener may be asked besides loopback: those of a proxy in front."""

    @field_validator("password_hash", "viewer_password_hash")
    @classmethod
    def _is_a_hash(cls, value: str | None) -> str | None:
        return None if value is None else str(PasswordHash.parse(value))

    @property
    def guarded(self) -> bool:
        """Whether somebody must say who they are."""
        return bool(self.token or self.password_hash or self.viewer_password_hash)
