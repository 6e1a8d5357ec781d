"""Who may log in to the dashboard, as the configuration has it."""

from __future__ import annotations

import time
from functools import partial

from proxy.config.admin import Admin
from proxy.operations.timeline import Timeline
from proxy.passwords import PasswordHash
from webui.login import Login, Verify
from webui.sessions import Role, Sessions


def login_of(admin: Admin, timeline: Timeline) -> Login | None:
    """The login of this listener; None where nobody has a password."""
    hashes: dict[Role, str | None] = {"operator": admin.password_hash, "viewer": admin.viewer_password_hash}
    passwords: dict[Role, Verify] = {role: PasswordHash.parse(text).verifies for role, text in hashes.items() if text}
    if not passwords:
        return None
    sessions = Sessions(admin.session.max_age, admin.session.idle)
    return Login(passwords, sessions, now=time.monotonic, audit=partial(timeline.add, "access"))
