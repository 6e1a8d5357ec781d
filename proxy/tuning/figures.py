"""PURE: the figures that steps are judged by: whether one could help now, and whether it has made things worse.

The rule of this room: a figure that is missing, or cannot be told, speaks against nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

Figures = Mapping[str, float | None]

MEMORY_TIER = "memory_tier"
"""What the memory tier holds, in bytes."""

MESSAGES = "messages_per_second"
"""Chat messages accepted per second, in the last minute."""
