"""The event loop's lag: by how much a timer comes late."""

from __future__ import annotations

import asyncio

from proxy.operations.pulse import Pulse


async def test_a_loop_that_was_held_up_shows() -> None:
    pulse = Pulse()
    pulse.start()
    assert pulse._timer is not None
    due = pulse._timer.when()
    pulse._timer.cancel()
    loop = asyncio.get_running_loop()
    # The beat that was due 300 ms ago.
    pulse._timer = loop.call_at(due - 1.3, pulse._beat, loop)
    await asyncio.sleep(0)
    while not pulse.lags.count:
        await asyncio.sleep(0)
    pulse.stop()
    assert pulse.lag >= 0.3
    assert pulse.largest == pulse.lag
    assert pulse._timer is None


async def test_it_beats_again_and_again_until_it_is_stopped() -> None:
    pulse = Pulse()
    pulse.start()
    first = pulse._timer
    assert first is not None
    pulse._beat(asyncio.get_running_loop())
    assert pulse._timer is not None
    assert pulse._timer is not first
    assert pulse.lags.count == 1
    pulse.stop()
    pulse.stop()
