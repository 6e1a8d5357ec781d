"""The origin that most tests of the edge and of its client have in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.origin import ScriptedOrigin


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    """One without any script; a file whose tests share scripts has an `origin` of its own."""
    async with ScriptedOrigin() as origin:
        yield origin
