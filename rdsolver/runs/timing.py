"""The seconds of a run by kind of work: compiling, its baseline, stepping.

JAX reports how long it traced, lowered and compiled, by `jax.monitoring`, in the thread that did so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import cache
from typing import Literal

EVENTS = "/jax/core/compile/"

Part = Literal["baseline", "stepping"]


class Timer:
    """The seconds of all sessions of a run, by kind of work.

    Time in which JAX compiles counts as compiling, not as the present kind of work. A timer belongs to the
    thread that makes it; `seconds` may be called from any.
    """

    def __init__(self, before: Mapping[str, float] | None = None) -> None:
        self._seconds = {"compiling": 0.0, "baseline": 0.0, "stepping": 0.0} | dict(before or {})
        self._heard = _heard_in(threading.get_ident())
        self._part: Part = "baseline"
        self._since, self._compiled = time.perf_counter(), self._heard.seconds

    def turn(self, part: Part) -> None:
        """From now on time counts for this part."""
        self.seconds()
        self._part = part

    def seconds(self) -> dict[str, float]:
        """The seconds of each part until now."""
        now, compiled = time.perf_counter(), self._heard.seconds
        compiling = compiled - self._compiled
        self._seconds["compiling"] += compiling
        self._seconds[self._part] += now - self._since - compiling
        self._since, self._compiled = now, compiled
        return dict(self._seconds)


class _Heard:
    """The seconds of one thread in which JAX compiled.

    Events are reported at their end, an inner one before the one that contains it.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._spans: list[tuple[float, float]] = []

    def add(self, begin: float, end: float) -> None:
        while self._spans and self._spans[-1][0] >= begin:
            inner = self._spans.pop()
            self.seconds -= inner[1] - inner[0]
        begin = max(begin, self._spans[-1][1]) if self._spans else begin
        self._spans.append((begin, end))
        self.seconds += end - begin


_threads: dict[int, _Heard] = {}


def _heard_in(thread: int) -> _Heard:
    _listen()
    return _threads.setdefault(thread, _Heard())


@cache
def _listen() -> None:
    from jax import monitoring

    def hear(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event.startswith(EVENTS):
            now = time.perf_counter()
            _threads.setdefault(threading.get_ident(), _Heard()).add(now - duration_secs, now)

    monitoring.register_event_duration_secs_listener(hear)
