from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.storage.tiers import Tiers
from tests.storage.samples import tiers

Open = Callable[..., Awaitable[Tiers]]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens stores on one directory, and closes those that the test left open."""
    stores: list[Tiers] = []

    async def open_store(**settings: Any) -> Tiers:
        store = tiers(tmp_path / "cache", **settings)
        await store.open()
        stores.append(store)
        return store

    yield open_store
    for store in stores:
        await store.close()
