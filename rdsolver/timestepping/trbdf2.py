"""TR-BDF2, the default integrator: L-stable, of second order, with two implicit stages in each step.

Stage times are 0, 2γ, 1 with γ = 1 - 1/√2; rows (γ, γ) and (a, a, γ), a = √2/4. Both stages have the same σ =
1/(γ dt) and one compiled form: every coefficient is an argument, so one compilation serves all steps. Slopes
after the first are algebraic, σ (u - ψ); the last is the first of the next step.

Predictors integrate the line through known slopes: for the first stage through the slopes now and in the
middle of the last step, for the second through those at 0 and 2γ. With Euler predictors, a fixed number of
V-cycles reduces the order to one.

Bank et al. 1985, IEEE Trans. Electron Devices 32:1992; error estimate: Hosea & Shampine 1996, Appl. Numer.
Math. 20:21.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import sqrt
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..operators.array_types import Float, Number
from ..parallel.batching import batched_call, width
from .base import Span, StepAttempt, StepState, verdict
from .system import Fields, Sums, System

Row = Float[Array, "6"]
"""Weights of ψ, and of the predictor, for the slopes in the middle of the last step, now and at 2γ."""
Rows = Float[Array, "2 6"]
"""The rows of the two stages."""
Times = Float[Array, "2"]
Weights = Float[Array, "parts"]

GAMMA = 1 - 1 / sqrt(2)
A = sqrt(2) / 4
MIDDLE = 2 * GAMMA
WEIGHTS = (A, A, GAMMA)
# cost of a V-cycle of all fields in sweeps: 22 to 24 on three fields, about 10 on the bone model (measured)
CYCLE = 20
ERROR_WEIGHTS = (A - (1 - A) / 3, A - (3 * A + 1) / 3, GAMMA - GAMMA / 3)


def _sum(weights: Weights, parts: tuple[Fields, ...]) -> Fields:
    w = [weights[i].astype(next(iter(parts[0].values())).dtype) for i in range(len(parts))]
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


@jax.jit
def _finish(
    system: System,
    t: Number,
    u: Fields,
    slopes: tuple[Fields, ...],
    flows: tuple[Sums, ...],
    dt: Number,
    tol: Number,
):
    """The verdict (error in the norm, validity), the observables at the end, and the integrals of the
    budgets.
    """
    error = _sum(jnp.asarray(ERROR_WEIGHTS) * dt, slopes)
    passed = {k: dt * sum(w * f[k] for w, f in zip(WEIGHTS, flows, strict=True)) for k in flows[0]}
    return verdict(system, error, u, tol), system.observe(t, u), passed


def _whole(
    system: System,
    u: Fields,
    f: Fields,
    middle: Fields,
    flows: Sums,
    times: Times,
    rows: Rows,
    sigma: Number,
    dt: Number,
    tol: Number,
) -> Any:
    """The whole step in one program, for runs that step together.

    Return u, slope, middle and flows at its end, and the data by which the attempt is judged.
    """

    def stage(last: Fields, at: tuple[Number, Row]) -> tuple[Fields, Any]:
        predicted, psi = ahead(u, (middle, f, last), at[1])
        new, passing, report = system.stage(at[0], predicted, psi, sigma, tol)
        last = slope_of(new, psi, sigma)
        return last, (new, last, passing, report)

    _, both = jax.lax.scan(stage, f, (times, rows))
    (_, *one), (new, *other) = (jax.tree.map(lambda x, i=i: x[i], both) for i in range(2))
    found = _finish(system, times[1], new, (f, one[0], other[0]), (flows, one[1], other[1]), dt, tol)
    return (new, other[0], one[0], other[1]), (*found, [one[2], other[2]])


def rate(dt: float) -> float:
    """The rate σ = 1/(γ dt) of both stages, 1/d."""
    return 1 / (GAMMA * dt)


def middle_age(dt: float) -> float:
    """The time from the middle slope to the end of a step, d."""
    return (1 - MIDDLE) * dt


def schedule(t: float, dt: float, age: float) -> tuple[np.ndarray, np.ndarray]:
    """The schedule of the two stages of a step from t.

    Return their times (2,), and rows of weights (2, 6) of ψ and predictor for the slopes (`ahead`).
    """
    reach = MIDDLE * dt
    bend = reach**2 / 2 / age
    first = [0, GAMMA * dt, 0, -bend, reach + bend, 0]
    second = [0, A * dt, A * dt, 0, dt - dt / (2 * MIDDLE), dt / (2 * MIDDLE)]
    return np.array([t + reach, t + dt]), np.array([first, second])


def stages(
    t: float,
    dt: float,
    age: float,
    u: Any,
    middle: Any,
    f: Any,
    ahead: Callable[..., Any],
    solve: Callable[..., Any],
    slope: Callable[..., Any],
) -> Iterator[tuple[Any, Any, Any]]:
    """The two stages of a step from t, each as u, its slope, and the other results of `solve`.

    middle, f: slopes `age` days ago and now. ahead(u, slopes, row), solve(time, predicted, ψ) and slope(u, ψ)
    are those of a run, or others that carry more than fields (studies/sensitivity/tangent.py).
    """
    last = f
    for stage_time, row in zip(*schedule(t, dt, age), strict=True):
        predicted, psi = ahead(u, (middle, f, last), row)
        new, *rest = solve(np.float64(stage_time), predicted, psi)
        last = slope(new, psi)
        yield new, last, rest


class TRBDF2:
    name: ClassVar[str] = "tr-bdf2"
    order: ClassVar[int] = 2
    error_order: ClassVar[int] = 2
    dense: ClassVar[bool] = True

    def work(self, system: System, u: Fields, span: Span) -> float:
        """The predicted work: a stage costs its V-cycles whatever the step, CYCLE sweeps each."""
        cycles = sum(
            int(system.cycles[g.name]) * len(g.fields) for g in system.model.groups if g.solve == "transport"
        ) / len(u)
        return span.steps * 2 * cycles * CYCLE

    def largest_dt(self, system: System, t: float, u: Fields) -> float:
        return float("inf")

    def pieces(
        self, system: System, t: float, u: Fields, step_state: StepState, dt: float, tol: float
    ) -> Iterator[StepAttempt | None]:
        dtype = system.place.active.dtype
        sigma, tolerance, age = (
            np.asarray(rate(dt), dtype),
            np.asarray(tol, dtype),
            float(step_state.middle_age),
        )
        if width():
            step = (*schedule(t, dt, age), sigma, np.float64(dt), tolerance)
            left, told = batched_call(
                _whole, system, u, step_state.f, step_state.middle, step_state.flows, *step
            )
            yield _trial(system, t, dt, *left, *told)
            return

        def solve(when: Any, predicted: Fields, psi: Fields) -> tuple[Fields, Sums, dict[str, Array]]:
            return system.stage(when, predicted, psi, sigma, tolerance)

        def slope(found: Fields, psi: Fields) -> Fields:
            return slope_of(found, psi, sigma)

        slopes, flows, reports, new = [step_state.f], [step_state.flows], [], u
        parts = stages(t, dt, age, u, step_state.middle, step_state.f, ahead, solve, slope)
        for found, leaving, (passing, report) in parts:
            new = found
            slopes.append(leaving)
            flows.append(passing)
            reports.append(report)
            yield None
        end = _finish(system, np.float64(t + dt), new, tuple(slopes), tuple(flows), np.float64(dt), tolerance)
        yield _trial(system, t, dt, new, slopes[2], slopes[1], flows[2], *jax.device_get((*end, reports)))


def _trial(
    system: System,
    t: float,
    dt: float,
    new: Fields,
    slope: Fields,
    middle: Fields,
    flows: Sums,
    judged: Any,
    observed: Any,
    passed: Any,
    reports: list[dict[str, Any]],
) -> StepAttempt:
    return StepAttempt(
        t=t + dt,
        dt=dt,
        u=new,
        step_state=StepState(slope, flows, middle, middle_age(dt)),
        observed=observed,
        passed=passed,
        error=float(judged[0]),
        finite=bool(judged[1]),
        lowest=float(judged[2]),
        unsolved=max((float(r[g]) for r in reports for g, n in system.cycles.items() if n > 1), default=0.0),
        stats={"stages": 2} | {k: float(max(r[k] for r in reports)) for k in reports[0]},
    )
