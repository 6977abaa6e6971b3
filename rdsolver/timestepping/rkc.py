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

from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..operators.array_types import Count, Float, Number
from ..operators.no_fusion import as_one, no_fusion
from .base import Lane, Limits, Span, StepAttempt, data, explicit, verdict
from .system import Fields, System

EPSILON = 2 / 13  # damping
FEWEST_STAGES, MOST_STAGES = 5, 999  # odd, as stages 2 .. s are computed in pairs
ROWS = MOST_STAGES + 1
# share of a cell's content that drift may remove in a step; with 1, steps of 5 and 7 stages are not stable
COURANT = 0.8
CAUTION = 2  # the estimate is this many times the leading term of a step's error, as errors of steps add up

Table = Float[Array, f"{ROWS} 5"]
Weights = Float[Array, "3"]


@data("table", "inner", "weights")
@dataclass(frozen=True)
class Schemes:
    """The methods with 5, 7, .. 999 stages, along the first axis.

    table    (methods, ROWS, 5): the row (μ, ν, μ̃, γ̃, c) of stage j in row j, 0 beyond the last stage
    inner    (methods, 2): the two stages inside the step that the error estimate uses
    weights  (methods, 3): weights in the estimate of z at these two stages and at the last
    """

    table: Any
    inner: Any
    weights: Any

    def of(self, stages: int | Count) -> Schemes:
        """The method with so many stages, without the first axis."""
        return jax.tree.map(lambda x: x[(stages - FEWEST_STAGES) // 2], self)


@lru_cache(maxsize=1)
def schemes() -> Schemes:
    """The methods, whose polynomials are 1 - b_j T_j(w0) + b_j T_j(w0 + w1 x).

    These are 1 + c_j x + c_j² x²/2 + (cubic) x³ + .. . The weights of the estimate remove 1, x and x², and
    leave the x³ that the last stage lacks; this needs at least three stages of second order, so s > 3.
    """
    s = np.arange(FEWEST_STAGES, MOST_STAGES + 1, 2)
    w0, last = 1 + EPSILON / s**2, (s, np.arange(len(s)))
    T, dT, d2T, d3T = np.zeros((4, ROWS, len(s)))
    T[0], T[1], dT[1] = 1, w0, 1
    for j in range(2, ROWS):
        T[j] = 2 * w0 * T[j - 1] - T[j - 2]
        dT[j] = 2 * T[j - 1] + 2 * w0 * dT[j - 1] - dT[j - 2]
        d2T[j] = 4 * dT[j - 1] + 2 * w0 * d2T[j - 1] - d2T[j - 2]
        d3T[j] = 6 * d2T[j - 1] + 2 * w0 * d3T[j - 1] - d3T[j - 2]
    w1 = dT[last] / d2T[last]
    b, c = np.empty_like(T), np.empty_like(T)
    b[2:] = d2T[2:] / dT[2:] ** 2
    b[:2] = b[2]
    a = 1 - b * T
    c[2:] = w1 * d2T[2:] / dT[2:]
    c[0], c[1] = 0, c[2] / dT[2]
    table = np.zeros((len(s), ROWS, 5))
    table[:, 1, 2], table[:, 1, 4] = b[1] * w1, c[1]
    weight = 2 * b[2:] * w1 / b[1:-1]
    rows = 2 * b[2:] * w0 / b[1:-1], -b[2:] / b[:-2], weight, -a[1:-1] * weight, c[2:]
    table[:, 2:] = np.stack(rows, axis=-1).swapaxes(0, 1)
    table[np.arange(ROWS) > s[:, None]] = 0
    inner = np.stack([-(-s // 2), (0.866 * s).astype(int)], axis=1)  # c near 1/4 and 3/4: smallest weights
    cubic = b * w1**3 * d3T / 6
    at = [(j, last[1]) for j in (*inner.T, s)]
    matrix = np.stack([np.stack([x[k] for k in at], 1) for x in (c, c**2, cubic)], axis=1)
    right = np.stack([np.zeros(len(s)), np.zeros(len(s)), CAUTION * (1 / 6 - cubic[last])], axis=1)
    return Schemes(table, inner, np.linalg.solve(matrix, right[..., None])[..., 0])


def stages_for(dt: Number | float, radius: Number | float) -> Number:
    """The least odd number of stages with which a step of dt is stable."""
    return jnp.maximum(FEWEST_STAGES, 2 * jnp.ceil(jnp.sqrt(1 + 1.54 * dt * radius) / 2) + 1)


def longest(stages: int, radius: Number | float) -> Number:
    """The largest dt that is stable with `stages` stages."""
    return jnp.asarray(((stages - 1) ** 2 - 1) / 1.54 / radius)


def longest_step(radius: Number | float, leaving: Number | float) -> Number:
    """The largest possible dt: stable with MOST_STAGES stages, and without a cell emptied by drift."""
    return jnp.minimum(longest(MOST_STAGES, radius), COURANT / jnp.asarray(leaving))


@no_fusion()
def bounds(system: System, t: Number, u: Fields) -> tuple[Number, Number]:
    """(Spectral radius, largest rate of leaving a cell by drift), per unit of time."""
    radius, leaving = system.bounds(u, t)
    return radius.astype(jnp.float64), leaving.astype(jnp.float64)


Kept = tuple[Any, Fields, Fields | None]
"""The data kept over a step: the coefficients from the slow fields at its start, the slope there, and the
change of that slope as the slow fields move (None: nothing depends on them).
"""


@no_fusion()
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


@no_fusion()
def sweeps(
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
) -> tuple[Fields, Fields]:
    """Do 2 `pairs` stages from stage `start` on. Return z of the last stage and of the one before.

    In pairs, XLA writes each z over the one that is two stages older; stage by stage, it copies every field
    three times.
    """
    dtype = system.place.active.dtype
    aux, f0, turn = kept
    parameters = as_one(system.p)

    def stage(system: System, i: Count, now: Fields, before: Fields) -> Fields:
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
        here = replace(system, p=parameters(i))
        then = stage(here, i, now, before)
        return stage(here, i + 1, then, now), then

    with jax.named_scope("pairs"):
        return jax.lax.fori_loop(0, pairs, pair, (z, older))


@no_fusion()
def _finish(
    system: System,
    t: Number,
    u: Fields,
    seen: tuple[Fields, ...],
    weights: Weights,
    tol: Number,
) -> tuple[Fields, Fields, Any, Any]:
    """The end of the step, its slope (the first of the next step), the observables, and the verdict."""
    w = [weights[i].astype(system.place.active.dtype) for i in range(3)]
    end = {k: u[k] + seen[2][k] for k in u}
    error = {k: w[0] * seen[0][k] + w[1] * seen[1][k] + w[2] * seen[2][k] for k in u}
    return end, system.rates(t, end), system.observe(t, end), verdict(system, error, end, tol)


@data("schemes", static=("name",))
@dataclass(frozen=True)
class RKC2:
    """schemes: those of `schemes`, on the device once it is prepared."""

    schemes: Schemes | None = None

    name: str = "rkc2"
    order: ClassVar[int] = 2
    error_order: ClassVar[int] = 2
    dense: ClassVar[bool] = True
    implicit: ClassVar[bool] = False

    def prepared(self, system: System) -> RKC2:
        return RKC2(jax.tree.map(jnp.asarray, schemes()))

    def work(self, system: System, u: Fields, span: Span) -> float:
        """The predicted work: a step takes s + 3 sweeps, where s is its number of stages."""
        radius, leaving = (float(x) for x in bounds(system, jnp.zeros(()), u))
        steps = max(span.steps, ceil(span.length / float(longest_step(radius, leaving))))
        return steps * (float(stages_for(span.length / steps, radius)) + 3)

    def limits(self, system: System, t: Number, u: Fields) -> Limits:
        """The longest step in which drift empties no cell, and which is stable with MOST_STAGES stages."""
        radius, leaving = bounds(system, t, u)
        return Limits(longest_step(radius, leaving), radius)

    def step(self, system: System, lane: Lane, dt: Number, tol: Number, limits: Limits) -> StepAttempt:
        assert self.schemes is not None
        t, u, f0 = lane.t, lane.u, lane.step_state.f
        s = jnp.minimum(stages_for(dt, limits.radius), MOST_STAGES).astype(jnp.int64)
        method = self.schemes.of(s)
        kept, z, older = _begin(system, t, u, f0, dt, method.table[1, 2] * dt)
        last, seen = jnp.ones_like(s), []
        for stop in (method.inner[0], method.inner[1], s):
            pairs = (stop - last + 1) // 2
            z, older = sweeps(system, t, u, kept, z, older, dt, method.table, last + 1, pairs)
            last = last + 2 * pairs
            seen.append({k: jnp.where(last == stop, z[k], older[k]) for k in u})
        end, f, observed, judged = _finish(system, t + dt, u, tuple(seen), method.weights, tol)
        stages = s + 1 if system.model.slow else s
        return explicit(end, f, observed, judged, stages)
