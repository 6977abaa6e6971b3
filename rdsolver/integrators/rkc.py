"""RKC2: stabilised explicit Runge-Kutta-Chebyshev of order 2. Any model, no solver: the independent check.

s stages reach dt with dt ρ <= β(s) ~ 2/3 (s² - 1), ρ the spectral radius. Stages carry z = y - y(t), so that float32
keeps its digits over hundreds of stages. What follows the slow fields (surface, mobility) is frozen over a step at the
bone extrapolated to its middle, and the slope at the start is evaluated again with it.

Sommeijer, Shampine & Verwer 1997, J. Comput. Appl. Math. 88:315, eqs 2.1 to 2.10; error estimate 2.11.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import ceil, sqrt
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..system import Fields, System
from .base import Memory, Trial

EPSILON = 2 / 13  # damping
MOST_STAGES = 1000
PIECE = 64  # stages between two chances to report or to stop
ROWS = MOST_STAGES + 1


@lru_cache(maxsize=256)
def coefficients(s: int) -> np.ndarray:
    """Rows (μ, ν, μ̃, γ̃, c) of stages 1 .. s in row j, padded to ROWS so that one compilation serves every s."""
    w0 = 1 + EPSILON / s**2
    T, dT, d2T = np.zeros(s + 1), np.zeros(s + 1), np.zeros(s + 1)
    T[0], T[1], dT[1] = 1, w0, 1
    for j in range(2, s + 1):
        T[j] = 2 * w0 * T[j - 1] - T[j - 2]
        dT[j] = 2 * T[j - 1] + 2 * w0 * dT[j - 1] - dT[j - 2]
        d2T[j] = 4 * dT[j - 1] + 2 * w0 * d2T[j - 1] - d2T[j - 2]
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
    table[2 : s + 1] = np.stack([2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2], weight, -a[j - 1] * weight, c[j]], axis=1)
    return table


def stages_for(dt: float, radius: float) -> int:
    return max(2, ceil(1 + sqrt(1 + 1.54 * dt * radius)))


def longest(stages: int, radius: float) -> float:
    """The largest dt that `stages` stages hold."""
    return ((stages - 1) ** 2 - 1) / (1.54 * radius)


@jax.jit
def _bounds(system: System, u: Fields) -> Array:
    """(spectral radius, largest rate of leaving a cell by drift), 1/d."""
    return jnp.stack(system.bounds(u))


@jax.jit
def _begin(system: System, t: Array, u: Fields, f: Fields, dt: Array) -> tuple[Any, Fields]:
    ahead = u | {k: u[k] + (dt / 2).astype(u[k].dtype) * f[k] for k in system.model.slow}
    aux = system.refresh(ahead)
    return aux, system.rates(t, u, aux)


@jax.jit
def _advance(
    system: System, t: Array, u: Fields, f0: Fields, aux: Any, z: Fields, older: Fields, dt: Array, table: Array, span: Array
) -> tuple[Fields, Fields]:
    """Stages span[0] .. span[1] - 1 of a step: z of the last and of the one before."""
    dtype = system.place.active.dtype

    def stage(i: Array, state: tuple[Fields, Fields]) -> tuple[Fields, Fields]:
        now, before = state
        row = table[i]
        mu, nu, weight, start = (x.astype(dtype) for x in (row[0], row[1], row[2] * dt, row[3] * dt))
        f = system.rates(t + table[i - 1, 4] * dt, {k: u[k] + now[k] for k in u}, aux)
        return {k: mu * now[k] + nu * before[k] + weight * f[k] + start * f0[k] for k in u}, now

    return jax.lax.fori_loop(span[0], span[1], stage, (z, older))


@jax.jit
def _finish(system: System, t: Array, u: Fields, f0: Fields, aux: Any, z: Fields, dt: Array, tol: Array):
    dtype = system.place.active.dtype
    end = {k: u[k] + z[k] for k in u}
    f = system.rates(t, end, aux)
    h = dt.astype(dtype)
    error = {k: jnp.asarray(-0.8, dtype) * z[k] + jnp.asarray(0.4, dtype) * h * (f0[k] + f[k]) for k in u}
    norm = system.norm(error, end, tol)
    finite, lowest = system.valid(end, tol)
    verdict = jnp.stack([norm, finite.astype(norm.dtype), lowest])
    return end, system.rates(t, end), verdict, system.observe(t, end)


class RKC2:
    name: ClassVar[str] = "rkc2"
    order: ClassVar[int] = 2

    def largest_dt(self, system: System, t: float, u: Fields) -> float:
        """Drift is stable while it empties no cell in a step; stages are capped."""
        radius, leaving = (float(x) for x in _bounds(system, u))
        return min(longest(MOST_STAGES, radius), 1 / leaving if leaving > 0 else float("inf"))

    def pieces(self, system: System, t: float, u: Fields, memory: Memory, dt: float, tol: float) -> Iterator[Trial | None]:
        radius = float(_bounds(system, u)[0])
        stages = min(stages_for(dt, radius), MOST_STAGES)
        table, h, now = coefficients(stages), np.float64(dt), np.float64(t)
        aux, f0 = _begin(system, now, u, memory.f, h)
        yield None
        first = np.asarray(table[1, 2] * dt, system.place.active.dtype)
        z, older = {k: first * f0[k] for k in u}, {k: jnp.zeros_like(x) for k, x in u.items()}
        for i in range(2, stages + 1, PIECE):
            span = np.array([i, min(i + PIECE, stages + 1)])
            z, older = _advance(system, now, u, f0, aux, z, older, h, table, span)
            yield None
        tolerance = np.asarray(tol, system.place.active.dtype)
        new, f, verdict, observed = _finish(system, np.float64(t + dt), u, f0, aux, z, h, tolerance)
        verdict, observed = jax.device_get((verdict, observed))
        yield Trial(
            t=t + dt,
            dt=dt,
            u=new,
            memory=Memory(f, {}, f, float("inf")),
            observed=observed,
            passed={},  # fluxes and binding cancel in every stage; counting what passes would cost a third of a sweep
            error=float(verdict[0]),
            finite=bool(verdict[1]),
            lowest=float(verdict[2]),
            unsolved=0.0,
            stats={"stages": stages + 1},
        )
