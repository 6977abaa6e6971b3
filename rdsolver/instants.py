"""When two times of a run are the same: when they lie within 1e-9 of its length.

Times come out of arithmetic: three times 8 h and 1 d, or 0.1 + 0.2 and 0.3, may differ in their last digit. A step from one to the other
would be 1e-15 d long, and what is given at one would miss the other. So each time of a run is replaced, before the run begins, by the
instant that it belongs to. From there on equal times are equal numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

SIMULTANEOUS = 1e-9
"""Of the length of a run."""


class Instants:
    """The instants of a run from 0 to `end` with these times.

    Times within 1e-9 of the run after the first of them are one instant: 0, the end, or else the time with the fewest digits.
    """

    def __init__(self, end: float, times: Iterable[float] = ()) -> None:
        self.end, self.within = end, SIMULTANEOUS * end
        groups: list[list[float]] = []
        for t in sorted(set(times)):
            if not self._near(t, 0.0) and not self._near(t, end):
                if groups and t - groups[-1][0] <= self.within:
                    groups[-1].append(t)
                else:
                    groups.append([t])
        chosen = (min(group, key=lambda t: (len(repr(t)), t)) for group in groups)
        self._known = sorted({0.0, end, *chosen})

    def _near(self, t: float, other: float) -> bool:
        return abs(t - other) <= self.within

    def __call__(self, t: float) -> float:
        """The instant that a time belongs to; the time itself where there is none."""
        i = bisect_left(self._known, t)
        near = [known for known in self._known[max(i - 1, 0) : i + 1] if self._near(t, known)]
        return min(near, key=lambda known: (known not in (0.0, self.end), abs(t - known)), default=t)

    def over(self, t: float) -> bool:
        """Whether the run is over at this time."""
        return self(t) >= self.end
