"""What the tests of the realtime core share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.engine import EngineUnderTest, engine_with


@pytest.fixture
async def engine() -> AsyncIterator[EngineUnderTest]:
    """An Engine.IO server with a short reach and no heartbeat within a test's life."""
    async with engine_with(max_payload=10_000) as engine:
        yield engine
