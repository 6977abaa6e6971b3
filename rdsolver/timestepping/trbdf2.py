"""TR-BDF2, the default integrator: L-stable, of second order, with two implicit stages in each step.

Stage times are 0, 2γ, 1 with γ = 1 - 1/√2; rows (γ, γ) and (a, a, γ), a = √2/4. Both stages have the same σ =
1/(γ dt) and one compiled form: every coefficient is an argument, so one compilation serves both (on a CPU
they are one loop, because what is called twice is compiled twice). A step of infinite length is a step of
Newton's iteration towards the steady state, with σ = 0 in both stages. Slopes
after the first are algebraic, σ (u - ψ); the last is the first of the next step.

Predictors integrate the line through known slopes: for the first stage through the slopes now and in the
middle of the last step, for the second through those at 0 and 2γ. With Euler predictors, a fixed number of
V-cycles reduces the order to one.

Bank et al. 1985, IEEE Trans. Electron Devices 32:1992; error estimate: Hosea & Shampine 1996, Appl. Numer.
Math. 20:21.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from ..operators.array_types import Count, Number, Truth
from ..operators.no_fusion import no_fusion, on_cpu
from .base import Lane, Limits, Span, StepAttempt, StepState, data, unlimited, verdict
from .system import Fields, Numbers, Sums, System

Weights = Sequence[Number | float]
Row = tuple[Number | float, ...]
"""Six weights: of ψ, and of the predictor, for the slopes in the middle of the last step, now and at 2γ."""

GAMMA = 1 - 1 / sqrt(2)
A = sqrt(2) / 4
MIDDLE = 2 * GAMMA
WEIGHTS = (A, A, GAMMA)
# cost of a V-cycle of all fields in sweeps: 22 to 24 on three fields, about 10 on the bone model (measured)
CYCLE = 20
ERROR_WEIGHTS = (A - (1 - A) / 3, A - (3 * A + 1) / 3, GAMMA - GAMMA / 3)


def _sum(weights: Weights, parts: Sequence[Fields]) -> Fields:
    dtype = next(iter(parts[0].values())).dtype
    w = [jnp.asarray(x, dtype) for x in weights]
    return {
        k: sum((c * p[k] for c, p in zip(w[1:], parts[1:], strict=True)), w[0] * parts[0][k])
        for k in parts[0]
    }


@jax.jit
def ahead(u: Fields, slopes: tuple[Fields, Fields, Fields], row: Row) -> tuple[Fields, Fields]:
    """The predictor and ψ of a stage.

    slopes  (middle of the last step, 0, 2γ)
    row     weights of these slopes in ψ and in the predictor
    """
    return tuple({k: u[k] + x for k, x in _sum(w, slopes).items()} for w in (row[3:], row[:3]))  # pyright: ignore[reportReturnType]


@jax.jit
def slope_of(found: Fields, psi: Fields, sigma: Number) -> Fields:
    """The slope σ (u - ψ)."""
    return {k: sigma * (found[k] - psi[k]) for k in found}


def _finish(
    system: System,
    t: Number,
    before: Fields,
    u: Fields,
    slopes: tuple[Fields, ...],
    flows: tuple[Sums, ...],
    dt: Number,
    tol: Number,
) -> tuple[tuple[Number, Truth, Number], Numbers, Sums]:
    """The verdict (error in the norm, validity), the observables at the end, and the integrals of the
    budgets. The error of a step of infinite length is its change.
    """
    steady = jnp.isinf(dt)
    error = _sum([jnp.where(steady, 0, w * dt) for w in ERROR_WEIGHTS], slopes)
    error = {k: x + jnp.where(steady, u[k] - before[k], 0) for k, x in error.items()}
    passed = {k: dt * sum(w * f[k] for w, f in zip(WEIGHTS, flows, strict=True)) for k in flows[0]}
    return verdict(system, error, u, tol), system.observe(t, u), passed


# A program of a whole step keeps its pieces apart: each is compiled once, and no stencil is done twice.
_ahead, _slope_of, _end = no_fusion()(ahead), no_fusion()(slope_of), no_fusion()(_finish)
_stage = no_fusion()(System.stage)


def rate(dt: Number | float) -> Number | float:
    """The rate σ = 1/(γ dt) of both stages, 1/d."""
    return 1 / (GAMMA * dt)


def middle_age(dt: Number | float) -> Number | float:
    """The time from the middle slope to the end of a step, d."""
    return (1 - MIDDLE) * dt


def schedule(
    t: Number | float, dt: Number | float, age: Number | float
) -> tuple[tuple[Number | float, Number | float], tuple[Row, Row]]:
    """The schedule of the two stages of a step from t: their times, and their rows of weights (`ahead`)."""
    reach = MIDDLE * dt
    bend = reach**2 / 2 / age
    first = (0.0, GAMMA * dt, 0.0, -bend, reach + bend, 0.0)
    second = (0.0, A * dt, A * dt, 0.0, dt - dt / (2 * MIDDLE), dt / (2 * MIDDLE))
    return (t + reach, t + dt), (first, second)


class _Stages(NamedTuple):
    """What a stage leaves: the state, its slope and flows, those of the stage before, and the report."""

    u: Fields
    slope: Fields
    before: Fields
    flows: Sums
    flows_before: Sums
    report: Numbers


@data(static=("name",))
@dataclass(frozen=True)
class TRBDF2:
    name: str = "tr-bdf2"
    order: ClassVar[int] = 2
    error_order: ClassVar[int] = 2
    dense: ClassVar[bool] = True
    implicit: ClassVar[bool] = True

    def prepared(self, system: System) -> TRBDF2:
        return self

    def work(self, system: System, u: Fields, span: Span) -> float:
        """The predicted work: a stage costs its V-cycles whatever the step, CYCLE sweeps each."""
        cycles = sum(
            int(system.cycles[g.name]) * len(g.fields) for g in system.model.groups if g.solve == "transport"
        ) / len(u)
        return span.steps * 2 * cycles * CYCLE

    def limits(self, system: System, t: Number, u: Fields) -> Limits:
        return unlimited()

    def step(self, system: System, lane: Lane, dt: Number, tol: Number, limits: Limits) -> StepAttempt:
        t, u, step_state = lane.t, lane.u, lane.step_state
        steady, f, middle = jnp.isinf(dt), step_state.f, step_state.middle
        sigma = jnp.asarray(rate(dt)).astype(tol.dtype)
        times, rows = schedule(t, dt, step_state.middle_age)
        times = jnp.where(steady, t, jnp.stack(times))
        rows = jnp.where(steady, 0.0, jnp.stack([jnp.stack(jnp.broadcast_arrays(*row)) for row in rows]))

        def stage(i: Count, found: _Stages) -> _Stages:
            predicted, psi = _ahead(u, (middle, f, found.slope), tuple(rows[i]))
            new, flows, report = _stage(system, times[i], predicted, psi, sigma, tol)
            worst = {k: jnp.maximum(x, report[k]) for k, x in found.report.items()}
            return _Stages(new, _slope_of(new, psi, sigma), found.slope, flows, found.flows, worst)

        groups = (g.name for g in system.model.groups if g.solve == "transport")
        none = {name: jnp.zeros(()) for g in groups for name in (g, f"{g}.contraction")}
        start = _Stages(u, f, f, step_state.flows, step_state.flows, none)
        found = jax.lax.fori_loop(0, 2, stage, start, unroll=not on_cpu())
        slopes, flows = (f, found.before, found.slope), (step_state.flows, found.flows_before, found.flows)
        judged, observed, passed = _end(system, t + dt, u, found.u, slopes, flows, dt, tol)
        after = StepState(found.slope, found.flows, found.before, middle_age(dt))
        return StepAttempt(found.u, after, observed, passed, *judged, found.report, 2)
