"""The real application on a real port, freshly seeded for each test; pictures are drawn once for all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from demo.application import build

Client = TestClient[Any, Any]


@pytest.fixture(scope="session")
def picture_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture
async def origin(aiohttp_client: AiohttpClient, picture_directory: Path) -> Client:
    return await aiohttp_client(build(picture_directory))


@pytest.fixture
def fetch(origin: Client) -> Callable[..., Awaitable[Any]]:
    """The JSON document at a path, whose status must be `status`."""

    async def document(path: str, status: int = 200, **options: Any) -> Any:
        async with origin.request(options.pop("method", "GET"), path, **options) as response:
            assert response.status == status, await response.text()
            return await response.json(content_type=None)

    return document
