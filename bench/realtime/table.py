"""Figures as lines of a table: ours, the peers', the ratio, the goal beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """Something that ours must not exceed: a number of its own, or a share of a peer's."""

    title: str
    value: float
    most: float

    @property
    def reached(self) -> bool:
        return self.value <= self.most

    def __str__(self) -> str:
        return f"{'reached' if self.reached else 'MISSED '}  {self.title}: {self.value:.2f} (at most {self.most:g})"


def figures(title: str, unit: str, rows: Mapping[str, Mapping[str, float]], ours: str) -> None:
    """A row per server, a column per measurement; peers' with ours as a share of theirs."""
    columns = list(next(iter(rows.values())))
    print(f"\n{title} [{unit}]")
    print(f"{'':34}" + "".join(f"{column:>24}" for column in columns))
    for name, row in rows.items():
        cells = []
        for column in columns:
            value = row.get(column, math.nan)
            share = rows[ours][column] / value if name != ours and ours in rows and value else math.nan
            beside = "" if math.isnan(share) else f"(ours {share:.2f}x)"
            cells.append(f"{value:>10.2f} {beside:<13}")
        print(f"{name:34}" + "".join(cells), flush=True)
