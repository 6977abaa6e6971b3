"""The times of a run that count as the same: those within 1e-9 of its length.

Times are results of arithmetic: three times 8 h and 1 d, or 0.1 + 0.2 and 0.3, may differ in their last
digit. A step from one to the other would be 1e-15 d long, and an event at one would miss the other. So before
the run begins, each of its times is replaced by the instant that it belongs to. From then on equal times are
equal numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise

from ..errors import InputError

SIMULTANEOUS = 1e-9
"""The relative distance below which times count as the same, over the length of a run."""


class Instants:
    """The distinct times of a run from 0 to `end`.

    Times with no gap of more than 1e-9 of the run between them are one instant: 0 or the end if it is among
    them, otherwise the time with the fewest digits. Raises InputError if a whole row of such times is longer
    than that, because no step can tell them apart.
    """

    def __init__(self, end: float, times: Iterable[float] = ()) -> None:
        self.end, self.within = end, SIMULTANEOUS * end
        ordered = sorted({0.0, end, *times})
        groups = [[ordered[0]]]
        for before, t in pairwise(ordered):
            if t - before > self.within:
                groups.append([])
            groups[-1].append(t)
        for group in groups:
            if group[-1] - group[0] > self.within:
                raise InputError(
                    f"{len(group)} times from {group[0]!r} to {group[-1]!r} are closer together than"
                    f" {SIMULTANEOUS:g} of the run, {self.within:.2g}, and cannot be distinguished. Make"
                    " them equal, or move them apart."
                )
        self._known = [min(group, key=self._rank) for group in groups]

    def _rank(self, t: float) -> tuple[bool, int, float]:
        return t not in (0.0, self.end), len(repr(t)), t

    def __call__(self, t: float) -> float:
        """The instant to which a time belongs, or the time itself if there is none."""
        i = bisect_left(self._known, t)
        near = [known for known in self._known[max(i - 1, 0) : i + 1] if abs(t - known) <= self.within]
        return min(near, key=lambda known: abs(t - known), default=t)

    def over(self, t: float) -> bool:
        """True if the run has ended at this time."""
        return self(t) >= self.end
