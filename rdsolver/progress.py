"""How a run talks: to a terminal, to a log, or to nobody."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """What the simulation tells while it runs. The silent one is `Silent`."""

    def say(self, topic: str, text: str) -> None:
        """One line, e.g. ("baseline", "found in 62 V-cycles"); an empty topic goes on from the line before."""
        ...

    def warn(self, text: str) -> None:
        """Something the user should know, though the run goes on."""
        ...

    def progress(self, t: float, end: float, dt: float, solves: int, seconds: float) -> None:
        """Where the run stands: time reached and end (d), step (d), stage solves so far, wall seconds since the first step."""
        ...


class Silent:
    """Tells nobody."""

    def say(self, topic: str, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def progress(self, t: float, end: float, dt: float, solves: int, seconds: float) -> None: ...
