"""Calls of the program of a run (timestepping/advance.py), alone or with the runs of its batch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any, NamedTuple

import jax
import numpy as np

from ..parallel.batching import Done, batched_call, width
from ..timestepping.advance import ROWS, Advanced, advance, saves_ahead
from ..timestepping.advance import Saved as SavedOnDevice
from ..timestepping.attempt import NOTHING, RUNNING, Leg
from ..timestepping.base import Integrator, Lane, StepState
from ..timestepping.system import Fields, System

CALL = 1.0  # s that a call should take, so that a run can report and stop
BUFFER = 1 << 26  # bytes of the buffer of saved states, if a step does not pass more
MOST_SAVED = 32  # states in it, if a step does not pass more

Row = dict[str, float]
"""The numbers of an attempt (advance.py)."""
Saved = list[tuple[float, Mapping[str, np.ndarray]]]
"""(time, fields) of saved times."""


@dataclass(frozen=True)
class Call:
    """What a run wishes of a call.

    most   number of attempts, at most
    pace   s of an attempt (0: not known yet)
    ahead  the saved times
    """

    most: int = ROWS
    pace: float = 0.0
    ahead: Sequence[float] = ()


@dataclass(frozen=True)
class Called:
    """What a call brought to a run.

    now    the lane without its fields, on the host
    rows   a row for each attempt
    saved  the states at the saved times that were passed
    pace   s of an attempt; compilation, if there was any, included
    """

    lane: Lane
    now: Lane
    rows: list[Row]
    saved: Saved
    pace: float


def leg(
    system: System,
    end: float,
    tol: float,
    shortest: float = 0.0,
    longest: float = inf,
    levels: Mapping[str, float] | None = None,
    forced: bool = False,
) -> Leg:
    """The conditions between two events, from numbers of the host."""
    dtype, values = system.place.active.dtype, {k: np.float64(x) for k, x in (levels or {}).items()}
    times, tolerance = [np.float64(x) for x in (end, shortest, longest)], np.asarray(tol, dtype)
    return Leg(system, times[0], times[1], times[2], values, tolerance, np.bool_(forced))


def lane(
    t: float,
    dt: float,
    u: Fields,
    step_state: StepState,
    cycles: Mapping[str, Any],
    landing: float,
    streak: int = 0,
) -> Lane:
    """A lane from numbers of the host."""
    return Lane(
        np.float64(t),
        np.float64(dt),
        u,
        step_state,
        {k: np.int32(n) for k, n in cycles.items()},
        np.float64(landing),
        np.int32(streak),
        np.float64(inf),
        np.int32(RUNNING),
    )


def call(integrator: Integrator, leg: Leg, lane: Lane, wish: Call) -> Called:
    """Call the program for a run; in a batch, together with others of the same shape."""
    seat = _Seat(wish, leg, lane)
    if width():
        return batched_call(_together, integrator, (leg, lane), seat)
    return seat.answer(_called(integrator, leg, lane, [seat], many=False).lane)


def forced(
    integrator: Integrator,
    leg: Leg,
    t: float,
    dt: float,
    u: Fields,
    step_state: StepState,
    cycles: Mapping[str, Any],
) -> Called:
    """One step of dt, by the run's own program, whatever its error."""
    leg = replace(leg, forced=np.bool_(True), end=np.float64(inf), longest=np.float64(inf))
    return call(integrator, leg, lane(t, dt, u, step_state, cycles, inf), Call(1))


class _Seat:
    """A run for which the program is called, and what it has been brought so far."""

    def __init__(self, wish: Call, leg: Leg, lane: Lane) -> None:
        self.most, self.ahead, self.pace = wish.most, list(wish.ahead), wish.pace
        self.now, self.longest = lane, float(leg.longest)
        self.rows: list[Row] = []
        self.saved: Saved = []
        self.began = time.perf_counter()

    def due(self) -> int:
        """The number of saved times that the next step may pass."""
        reach = min(float(self.now.t) + min(float(self.now.dt), self.longest), float(self.now.landing))
        return sum(when <= reach for when in self.ahead)

    def stays(self) -> bool:
        """True if the host need not look yet."""
        late = time.perf_counter() - self.began > CALL or len(self.saved) >= MOST_SAVED
        return bool(self.now.status == RUNNING) and len(self.rows) < self.most and not late

    def answer(self, lane: Lane) -> Called:
        return Called(lane, self.now, self.rows, self.saved, self.pace)


def _called(
    integrator: Integrator, leg: Leg, lane: Lane, seats: Sequence[_Seat | None], many: bool
) -> Advanced:
    """Call the program once for the runs on these seats, and tell them."""
    here = [seat for seat in seats if seat is not None]
    space = _space(lane.u, many, sum(seat.due() for seat in here))
    saves: Any = np.stack([saves_ahead(seat.ahead if seat else (), space) for seat in seats])
    on: Any = np.array([seat is not None for seat in seats])
    most = min(_soon(max(seat.pace for seat in here)), *(seat.most - len(seat.rows) for seat in here))
    began = time.perf_counter()
    found = advance(integrator, leg, lane, on, saves, np.int32(most), space, many)
    no_fields = replace(found.lane.step_state, f={}, flows={}, middle={})
    now = replace(found.lane, u={}, step_state=no_fields)
    now, rows, attempts, kept = jax.device_get((now, found.rows.values, found.attempts, found.saved.kept))
    saved = _taken(found.saved) if kept.any() else None
    rows = rows[: int(attempts)].reshape(int(attempts), len(seats), -1)
    for i, seat in enumerate(seats):
        if seat is None:
            continue
        seat.now = jax.tree.map(lambda x, i=i: x[i], now) if many else now
        done = (dict(zip(found.rows.names, row, strict=True)) for row in rows[:, i].tolist())
        seat.rows += [row for row in done if row["outcome"] != NOTHING]
        passed = [] if saved is None else saved.of(i, seat.ahead)
        seat.saved += passed
        seat.ahead = seat.ahead[len(passed) :]
        seat.pace = (time.perf_counter() - began) / max(1, len(rows))
    return found


def _together(integrator: Integrator, tree: tuple[Leg, Lane], seats: Sequence[_Seat | None]) -> Done:
    """Call the program for the runs of a deck; its work is counted in attempts."""
    legs, lanes = tree
    before = sum(len(seat.rows) for seat in seats if seat)
    found = _called(integrator, legs, lanes, seats, many=True)
    answers = [None if seat is None or seat.stays() else seat.answer for seat in seats]
    pace = max(seat.pace for seat in seats if seat)
    needed = sum(len(seat.rows) for seat in seats if seat) - before
    executed = len(seats) * int(found.attempts)
    return Done((legs, found.lane), found.lane, answers, executed, needed, pace)


def _soon(pace: float) -> int:
    """The number of attempts of a call that lasts about CALL, at most ROWS."""
    return max(1, min(int(CALL / pace), ROWS)) if pace else 1


def _space(u: Fields, many: bool, due: int) -> int:
    """The number of states that the buffer holds: a power of 2, at least what the next steps may pass."""
    lanes = len(next(iter(u.values()))) if many else 1
    usual = buffer_size(sum(x.nbytes for x in u.values()), lanes)
    return max(usual, 1 << (due - 1).bit_length()) if due else usual


def buffer_size(size: int, lanes: int) -> int:
    """The number of states that the buffer holds if no step passes more: a power of 2. size: bytes of the
    states of all lanes.
    """
    share = min(MOST_SAVED, BUFFER // (size // lanes))
    usual = max(1, share, share * lanes // 4)  # all lanes share it
    return 1 << (usual.bit_length() - 1)


@partial(jax.jit, static_argnames="count")
def _first(states: Fields, count: int) -> Fields:
    return {k: x[:count] for k, x in states.items()}


def _taken(saved: SavedOnDevice) -> _Taken:
    """The saved states of a call, on their way to the host."""
    lane, number, count, kept = jax.device_get((saved.lane, saved.number, saved.count, saved.kept))
    states = _first(saved.states, 1 << (int(count) - 1).bit_length())
    for x in states.values():  # they are read later, by the thread that writes
        x.copy_to_host_async()
    return _Taken(states, lane[:count], number, kept)


class _Taken(NamedTuple):
    states: Fields
    lane: np.ndarray
    number: np.ndarray
    kept: np.ndarray

    def of(self, lane: int, ahead: Sequence[float]) -> Saved:
        """(time, fields) of the saved times that a lane passed."""
        place = {int(self.number[i]): int(i) for i in np.flatnonzero(self.lane == lane)}
        return [(ahead[n], _State(self.states, place[n])) for n in range(int(self.kept[lane]))]


class _State(Mapping[str, np.ndarray]):
    """One of the states, which comes to the host when it is read."""

    def __init__(self, states: Fields, place: int) -> None:
        self.states, self.place = states, place

    def __getitem__(self, name: str) -> np.ndarray:
        return np.asarray(self.states[name])[self.place]

    def __iter__(self) -> Iterator[str]:
        return iter(self.states)

    def __len__(self) -> int:
        return len(self.states)
