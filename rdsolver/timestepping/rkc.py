"""RKC2, the stabilised explicit Runge-Kutta-Chebyshev method of order 2, for any model.

It has no linear solver, so it is an independent check. s stages reach dt with dt ρ <= β(s) ~ 2/3 (s² - 1),
where ρ is the spectral radius. Stages carry z = y - y(t), so that float32 keeps its digits over hundreds of
stages. The coefficients that depend on the slow fields (surface, mobility) are too expensive for every stage:
they are kept from the start of a step, and their effect on the rates at the start grows in proportion to
time.

The error estimate is a third difference of stage values. Every stage is itself of second order at its own
time c_j dt, and its polynomial stays within [-1, 1] where the method is stable, so stiff modes enter the
estimate with their own size. The textbook's 0.8 (y0 - y1) + 0.4 dt (f0 + f1) multiplies them, and the
round-off in them, by dt ρ.

Sommeijer, Shampine & Verwer 1997, J. Comput. Appl. Math. 88:315, eqs 2.1 to 2.10.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..errors import RunError
from ..operators.array_types import Count, Float, Int, Number
from ..parallel.batching import batched_call, unstack, width
from .base import Span, StepAttempt, StepState, Verdict, explicit, verdict
from .system import Fields, Numbers, System

EPSILON = 2 / 13  # damping
FEWEST_STAGES, MOST_STAGES = 5, 999  # odd, as stages 2 .. s are computed in pairs
PIECE = 64  # stages between two points at which the step can report or stop; even
ROWS = MOST_STAGES + 1
# share of a cell's content that drift may remove in a step; with 1, steps of 5 and 7 stages are not stable
COURANT = 0.8
BESIDE = 2  # work of a step beside its stages, in pairs of stages
CAUTION = 2  # the estimate is this many times the leading term of a step's error, as errors of steps add up

Table = Float[Array, f"{ROWS} 5"]
"""The table of a Scheme."""
Weights = Float[Array, "3"]
Stops = Int[Array, "3"]
Bounds = Float[Array, "2"]


@dataclass(frozen=True)
class Scheme:
    """The method with s stages.

    table    rows (μ, ν, μ̃, γ̃, c) of stages 1 .. s in row j, padded to ROWS so that one compilation serves
             every s
    inner    the two stages inside the step that the error estimate uses
    weights  weights in the estimate of z at these two stages and at the last
    """

    table: np.ndarray
    inner: tuple[int, int]
    weights: np.ndarray


@lru_cache(maxsize=256)
def scheme(s: int) -> Scheme:
    """The method with s stages, whose polynomials are 1 - b_j T_j(w0) + b_j T_j(w0 + w1 x).

    These are 1 + c_j x + c_j² x²/2 + (cubic) x³ + .. . The weights of the estimate remove 1, x and x², and
    leave the x³ that the last stage lacks; this needs at least three stages of second order, so s > 3.
    """
    w0 = 1 + EPSILON / s**2
    T, dT, d2T, d3T = np.zeros((4, s + 1))
    T[0], T[1], dT[1] = 1, w0, 1
    for j in range(2, s + 1):
        T[j] = 2 * w0 * T[j - 1] - T[j - 2]
        dT[j] = 2 * T[j - 1] + 2 * w0 * dT[j - 1] - dT[j - 2]
        d2T[j] = 4 * dT[j - 1] + 2 * w0 * d2T[j - 1] - d2T[j - 2]
        d3T[j] = 6 * d2T[j - 1] + 2 * w0 * d3T[j - 1] - d3T[j - 2]
    w1 = dT[s] / d2T[s]
    b = np.empty(s + 1)
    b[2:] = d2T[2:] / dT[2:] ** 2
    b[:2] = b[2]
    a = 1 - b * T
    c = np.empty(s + 1)
    c[2:] = w1 * d2T[2:] / dT[2:]
    c[0], c[1] = 0, c[2] / dT[2]
    table = np.zeros((ROWS, 5))
    table[1] = (0, 0, b[1] * w1, 0, c[1])
    j = np.arange(2, s + 1)
    weight = 2 * b[j] * w1 / b[j - 1]
    table[2 : s + 1] = np.stack(
        [2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2], weight, -a[j - 1] * weight, c[j]], axis=1
    )
    inner = ceil(s / 2), int(0.866 * s)  # c near 1/4 and 3/4 gives the smallest weights
    cubic = b * w1**3 * d3T / 6
    at = [*inner, s]
    weights = np.linalg.solve(np.stack([c[at], c[at] ** 2, cubic[at]]), [0, 0, CAUTION * (1 / 6 - cubic[s])])
    return Scheme(table, inner, weights)


def stages_for(dt: float, radius: float) -> int:
    """The least odd number of stages with which a step of dt is stable."""
    return max(FEWEST_STAGES, 2 * ceil(sqrt(1 + 1.54 * dt * radius) / 2) + 1)


def longest(stages: int, radius: float) -> float:
    """The largest dt that is stable with `stages` stages."""
    return ((stages - 1) ** 2 - 1) / (1.54 * radius)


def longest_step(radius: float, leaving: float) -> float:
    """The largest possible dt: stable with MOST_STAGES stages, and without a cell emptied by drift."""
    return min(longest(MOST_STAGES, radius), COURANT / leaving if leaving > 0 else float("inf"))


@jax.jit
def bounds(system: System, t: Number, u: Fields) -> Bounds:
    """(Spectral radius, largest rate of leaving a cell by drift), per unit of time."""
    return jnp.stack(system.bounds(u, t))


Kept = tuple[Any, Fields, Fields | None]
"""The data kept over a step: the coefficients from the slow fields at its start, the slope there, and the
change of that slope as the slow fields move (None: nothing depends on them).
"""


@jax.jit
def _begin(
    system: System, t: Number, u: Fields, f0: Fields, dt: Number, first: Number
) -> tuple[Kept, Fields, Fields]:
    """The data kept over a step, and z of stages 1 and 0."""
    dtype = system.place.active.dtype
    turn = None
    if system.model.slow:
        ahead = u | {k: u[k] + dt.astype(dtype) * f0[k] for k in system.model.slow}
        f = system.rates(t, u, system.update_coefficients(ahead))
        turn = {k: f[k] - f0[k] for k in u}
    h = first.astype(dtype)
    return (
        (system.update_coefficients(u), f0, turn),
        {k: h * x for k, x in f0.items()},
        {k: jnp.zeros_like(x) for k, x in u.items()},
    )


@jax.jit
def _advance(
    system: System,
    t: Number,
    u: Fields,
    kept: Kept,
    z: Fields,
    older: Fields,
    dt: Number,
    table: Table,
    start: Count,
    pairs: Count,
    trips: Count | None = None,
) -> tuple[Fields, Fields]:
    """Do 2 `pairs` stages from stage `start` on. Return z of the last stage and of the one before.

    trips: the number of loop iterations, `pairs` or more; those beyond `pairs` change nothing. In pairs, XLA
    writes each z over the one that is two stages older; stage by stage, it copies every field three times.
    """
    dtype = system.place.active.dtype
    aux, f0, turn = kept

    def stage(i: Count, now: Fields, before: Fields) -> Fields:
        row, c = table[i], table[i - 1, 4]
        mu, nu, weight, beginning, turned = (
            x.astype(dtype) for x in (row[0], row[1], row[2] * dt, row[3] * dt, row[2] * dt * c)
        )
        f = system.rates(t + c * dt, {k: u[k] + now[k] for k in u}, aux)
        z = {k: mu * now[k] + nu * before[k] + weight * f[k] + beginning * f0[k] for k in u}
        return z if turn is None else {k: z[k] + turned * turn[k] for k in u}

    def pair(n: Count, state: tuple[Fields, Fields]) -> tuple[Fields, Fields]:
        now, before = state
        i = start + 2 * n
        then = stage(i, now, before)
        after = stage(i + 1, then, now), then
        return (
            after
            if trips is None
            else jax.tree.map(lambda new, old: jnp.where(n < pairs, new, old), after, state)
        )

    return jax.lax.fori_loop(0, pairs if trips is None else trips, pair, (z, older))


@jax.jit
def _finish(
    system: System, t: Number, u: Fields, seen: tuple[Fields, Fields, Fields], weights: Weights, tol: Number
) -> tuple[Fields, Fields, Verdict, Numbers]:
    """The end of the step, its slope (the first of the next step), the verdict, and the observables."""
    first, second, last = (weights[i].astype(system.place.active.dtype) for i in range(3))
    end = {k: u[k] + seen[2][k] for k in u}
    error = {k: first * seen[0][k] + second * seen[1][k] + last * seen[2][k] for k in u}
    return end, system.rates(t, end), verdict(system, error, end, tol), system.observe(t, end)


def _whole(
    system: System,
    t: Number,
    u: Fields,
    f0: Fields,
    dt: Number,
    stops: Stops,
    table: Table,
    weights: Weights,
    tol: Number,
    *trips: Count,
) -> Any:
    """The whole step in one program, for runs that step together: u and the slope at its end, the verdict,
    and the observables.

    stops: the two stages inside the step that the error estimate uses, and the last.
    """
    kept, z, older = _begin(system, t, u, f0, dt, table[1, 2] * dt)
    last, seen = jnp.asarray(1), []
    for j, most in zip(stops, trips, strict=True):
        pairs = (j - last + 1) // 2
        z, older = _advance(system, t, u, kept, z, older, dt, table, last + 1, pairs, most)
        last = last + 2 * pairs
        seen.append({k: jnp.where(last == j, z[k], older[k]) for k in u})
    end, f, *found = _finish(system, t + dt, u, tuple(seen), weights, tol)
    return (end, f), found


class RKC2:
    name: ClassVar[str] = "rkc2"
    order: ClassVar[int] = 2
    error_order: ClassVar[int] = 2
    dense: ClassVar[bool] = True

    def __init__(self) -> None:
        self._known: tuple[System, float, Fields, tuple[float, float]] | None = None

    def _limits(self, system: System, t: float, u: Fields) -> tuple[float, float]:
        """The system's bounds at (t, u).

        They are needed twice in a step and again after a rejection, so the last answer is kept. They are
        computed by a program of their own also for a run in a batch, so that a run that is resumed at u finds
        the same.
        """
        known = self._known
        if known is None or known[0] is not system or known[1] != t or known[2] is not u:
            radius, leaving = (float(x) for x in bounds(system, np.float64(t), unstack(u)))
            self._known = known = system, t, u, (radius, leaving)
        return known[3]

    def work(self, system: System, u: Fields, span: Span) -> float:
        """The predicted work: a step takes s + 3 sweeps, where s is its number of stages."""
        radius, leaving = (float(x) for x in bounds(system, jnp.zeros(()), u))
        steps = max(span.steps, ceil(span.length / longest_step(radius, leaving)))
        return steps * (stages_for(span.length / steps, radius) + 3)

    def largest_dt(self, system: System, t: float, u: Fields) -> float:
        """The longest step in which drift empties no cell, and which is stable with MOST_STAGES stages."""
        return longest_step(*self._limits(system, t, u))

    def pieces(
        self, system: System, t: float, u: Fields, step_state: StepState, dt: float, tol: float
    ) -> Iterator[StepAttempt | None]:
        """The work of one step.

        Raises RunError for a step that would be unstable even with MOST_STAGES stages.
        """
        radius, _ = self._limits(system, t, u)
        most = longest(MOST_STAGES, radius)
        if not dt <= most * (1 + 1e-12):
            raise RunError(
                f"rkc2: a step of {dt:.3g} at {t:g} needs more than {MOST_STAGES} stages (spectral radius"
                f" {radius:.3g}); {most:.3g} is the longest that is stable. Take shorter steps, or another"
                " integrator."
            )
        s = min(stages_for(dt, radius), MOST_STAGES)
        method, h, now = scheme(s), np.float64(dt), np.float64(t)
        tolerance = np.asarray(tol, system.place.active.dtype)
        end, stages = t + dt, s + 1 if system.model.slow else s
        if width():
            stops = np.array([*method.inner, s])
            odd = stops + 1 - stops % 2
            trips = tuple(int(n) for n in np.diff(odd, prepend=1) // 2)
            step = system, now, u, step_state.f, h, stops, method.table, method.weights, tolerance
            (new, f), found = batched_call(_whole, *step, trips=trips, fixed_work=BESIDE)
            yield explicit(end, dt, new, f, (found[0], found[1]), stages)
            return
        kept, z, older = _begin(system, now, u, step_state.f, h, method.table[1, 2] * h)
        yield None
        last, found = 1, {}
        for stop in sorted({j + 1 - j % 2 for j in (*method.inner, s)}):
            while last < stop:
                pairs = min(stop - last, PIECE) // 2
                where = np.int64(last + 1), np.int64(pairs)
                z, older = _advance(system, now, u, kept, z, older, h, method.table, *where)
                last += 2 * pairs
                yield None
            found |= {last: z, last - 1: older}
        seen = tuple(found[j] for j in (*method.inner, s))
        new, f, *found = _finish(system, np.float64(end), u, seen, method.weights, tolerance)
        yield explicit(end, dt, new, f, (found[0], found[1]), stages)
