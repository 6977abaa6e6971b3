"""A target of the model: the published figure, our figure, and the band in which it counts as met."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from ..verification.results import Curve
from .scenes import SceneRunner

Kind = Literal["calibration", "prediction", "mechanism", "property", "verification"]


@dataclass(frozen=True)
class Target:
    """One figure and its band.

    published  the published figure with its citation
    low, high  the band, in `unit` (None: open, both None: report)
    kind       calibration: parameters were chosen by it, and `tuned` names them; a missed target is reported
    """

    name: str
    what: str
    published: str
    ours: float
    low: float | None
    high: float | None
    unit: str
    kind: Kind
    tuned: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        ok = np.isfinite(self.ours)
        return bool(
            ok
            and (self.low is None or self.ours >= self.low)
            and (self.high is None or self.ours <= self.high)
        )

    @property
    def verdict(self) -> str:
        """The verdict: "ok", "MISS", or "report" if there is no band."""
        return "MISS" if not self.passed else "report" if self.band == "report" else "ok"

    @property
    def band(self) -> str:
        if self.low is None and self.high is None:
            return "report"
        if self.low is None or self.high is None:
            return f"<= {self.high:g}" if self.low is None else f">= {self.low:g}"
        return f"{self.low:g} to {self.high:g}"


Study = Callable[[SceneRunner], Iterator[Target | Curve]]


def percent(x: float) -> float:
    return 100 * (x - 1)


def largest_rise(x: Sequence[float]) -> float:
    """The largest rise from one value to the next, % of the first value."""
    return max(100 * (b - a) / x[0] for a, b in pairwise(x))


def least_fall(x: Sequence[float]) -> float:
    """The smallest fall from one value to the next, %."""
    return min(percent(a / b) for a, b in pairwise(x))
