"""Freed memory is given back when much was freed, and only then."""

from __future__ import annotations

import ctypes

import pytest

from proxy.operations.heap import LEAST, Heap, malloc_trim


class Tier:
    """What is held, and how often memory was given back."""

    def __init__(self) -> None:
        self.held = 0
        self.trims = 0
        self.heap = Heap(lambda: self.held, self._trim)

    def _trim(self) -> None:
        self.trims += 1

    async def after(self, *held: int) -> int:
        for self.held in held:
            await self.heap.look()
        return self.trims


async def test_memory_is_given_back_once_when_much_was_let_go_of() -> None:
    assert await Tier().after(64 * LEAST, 16 * LEAST, 16 * LEAST) == 1


async def test_little_by_little_is_much_in_the_end() -> None:
    assert await Tier().after(4 * LEAST, 4 * LEAST - LEAST // 2, 3 * LEAST, 3 * LEAST - 1) == 1


async def test_a_tier_that_grows_or_comes_and_goes_gives_nothing_back() -> None:
    assert await Tier().after(0, LEAST, 8 * LEAST, 8 * LEAST - 1000, 8 * LEAST, 7 * LEAST + 1, 8 * LEAST) == 0


async def test_where_the_c_library_cannot_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert malloc_trim() is None
    heap = Heap(lambda: 0, None)
    await heap.look()
    await heap.keep()
