"""The replay of a run, step by step, with its derivatives by the parameters (forward mode).

The steps of the run are kept, so that the differentiated map is smooth: baseline, doses, stages, observables.
A stage is one Newton step with a fixed number of V-cycles, and its derivative is that of this very work; the
number of V-cycles is that of the run plus MORE, so that it is also the derivative of the equations. Where the
model has a kink (max, min, the upwind side), the derivative is that of the side on which the run is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...models.bone.model import BoneModel
from ...models.bone.static_fields import of_section
from ...models.bone.tissue import TissueModel
from ...simulation.baseline import with_reference
from ...timestepping import trbdf2
from ...timestepping.system import System
from .inputs import Dual, Inputs, Lift, Recorded, lifted

# change of the baseline's derivatives by ln p from one Newton step to the next, relative to the fields
SETTLED = 1e-9
MOST_STEPS = 60  # most Newton steps for the derivatives of the baseline
TOLERANCE = np.float64(1e-3)  # a stage measures its corrections with it, but they are not used here


# --- the parts of a step: f(still, *moving) ----------------------------------------------------------------


def _put(system: System, p: Any, reference: Any, curves: Any) -> System:
    forcing = replace(system.forcing, values=curves[0], slopes=curves[1])
    return replace(with_reference(system, reference), p=p, forcing=forcing)


def _stage(still: Any, p: Any, reference: Any, curves: Any, predicted: Any, psi: Any) -> Any:
    system, t, sigma = still
    return _put(system, p, reference, curves).stage(t, predicted, psi, sigma, TOLERANCE)[0]


def _ahead(row: Any, u: Any, *slopes: Any) -> Any:
    return trbdf2.ahead(u, slopes, row)


def _slope(sigma: Any, found: Any, psi: Any) -> Any:
    return trbdf2.slope_of(found, psi, sigma)


@jax.jit
def _rates(still: Any, p: Any, reference: Any, curves: Any, p_before: Any, u: Any) -> Any:
    """du/dt, with the coefficients from the bone as they were before an event (timestepping/base.py)."""
    system, t = still
    return _put(system, p, reference, curves).rates(
        t, u, _put(system, p_before, reference, curves).update_coefficients(u)
    )


def _moved(_: Any, f: Any, before: Any, after: Any) -> Any:
    """The slope after an event."""
    return {k: f[k] + (after[k] - before[k]) for k in f}


@jax.jit
def _observe(still: Any, p: Any, reference: Any, curves: Any, u: Any) -> Any:
    system, t = still
    return _put(system, p, reference, curves).observe(t, u)


@jax.jit
def _reference(system: System, p: Any, u: Any) -> Any:
    assert isinstance(system.model, BoneModel | TissueModel)
    return system.model.reference(u, p, of_section(system.place))


def _balanced(system: System, p: Any, reference: Any, u: Any) -> Any:
    assert isinstance(system.model, BoneModel | TissueModel)
    return system.model.balanced(u, p, with_reference(system, reference).place)


# --- the replay ---------------------------------------------------------------------------------------------


class Replay:
    """The replay of a run. lift: `lifted`, on Duals; or `plain`, on arrays (for finite differences).

    steps_of_newton  number of Newton steps of the baseline; None (with `lifted`): until its derivatives have
                     converged. `changes` keeps their changes
    """

    def __init__(self, run: Recorded, lift: Lift = lifted, steps_of_newton: int | None = None) -> None:
        self.run, self.lift, self.steps_of_newton = run, lift, steps_of_newton
        self.changes: list[float] = []

    def baseline(self, x: Inputs) -> tuple[Any, Any]:
        """The state and the reference at the start: Newton's step on the steady state is repeated from the
        converged state.

        By the implicit function theorem the derivatives converge as the steps themselves do.
        """
        scenario, lift = self.run.scenario, self.lift
        work = self.run.segments[0].system
        drugs = {name for a in scenario.model.agents for name in (a.name, a.complex)}
        closed = tuple(e for e in scenario.system.edges if e.field not in drugs)
        system = replace(work, edges=closed)
        planted = {name: scenario.u[name] for name in scenario.planted}
        begin = scenario.u | {name: jnp.zeros_like(x) for name, x in planted.items()}
        u = self._constant(begin, x)
        curves = self._constant((jnp.zeros_like(work.forcing.values),) * 2, x)
        still = (system, np.float64(0), np.float64(0))
        for _ in range(self.steps_of_newton or MOST_STEPS):
            before = u
            u = lift(_stage)(still, x.healthy, lift(_reference)(system, x.healthy, u), curves, u, u)
            if self.steps_of_newton is None:
                self.changes.append(_change(before, u))
                if self.changes[-1] < SETTLED:
                    break
        reference = lift(_reference)(system, x.healthy, u)
        u = lift(_balanced)(system, x.healthy, reference, u)
        return lift(_planted)(planted, u), reference

    def _constant(self, value: Any, x: Inputs) -> Any:
        """A constant value, as a Dual if Duals are used."""
        if not isinstance(x.healthy, Dual):
            return value
        n = len(next(iter(x.healthy.along.values())))
        return Dual(value, jax.tree.map(lambda v: jnp.zeros((n, *v.shape), v.dtype), value))

    def series(self, x: Inputs) -> Iterator[dict[str, Any]]:
        """The observables at each of the run's times, with their derivatives along each direction if Duals
        are used.
        """
        lift = self.lift
        u, reference = self.baseline(x)
        f = age = last = None
        middle = None
        for i, (segment, p, curves) in enumerate(zip(self.run.segments, x.p, x.curves, strict=True)):
            system, t = segment.system, segment.begin
            if last is None:
                f = lift(_rates)((system, np.float64(t)), p, reference, curves, p, u)
                yield lift(_observe)((system, np.float64(t)), p, reference, curves, u)
            else:
                before, now = x.p[i - 1], np.float64(t)
                old = lift(_rates)((last, now), before, reference, x.curves[i - 1], before, u)
                f = lift(_moved)(0, f, old, lift(_rates)((system, now), p, reference, curves, before, u))
            middle, age = f, np.inf
            for reached, dt in segment.steps:
                sigma = np.float64(trbdf2.rate(dt))

                def ahead(u: Any, slopes: Any, row: trbdf2.Row) -> Any:
                    return lift(_ahead)(row, u, *slopes)

                def solve(
                    when: Any, predicted: Any, psi: Any, at: Any = (system, sigma, p, curves)
                ) -> tuple[Any]:
                    system, sigma, p, curves = at
                    return (lift(_stage)((system, when, sigma), p, reference, curves, predicted, psi),)

                def slope(found: Any, psi: Any, sigma: Any = sigma) -> Any:
                    return lift(_slope)(sigma, found, psi)

                (_, middle_now, _), (u, f, _) = _stages(t, dt, age, u, middle, f, ahead, solve, slope)
                middle, age, t = middle_now, float(trbdf2.middle_age(dt)), reached
                yield lift(_observe)((system, np.float64(t)), p, reference, curves, u)
            last = system


def _stages(
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
    carry derivatives, or do not.
    """
    last = f
    for stage_time, row in zip(*trbdf2.schedule(t, dt, age), strict=True):
        predicted, psi = ahead(u, (middle, f, last), row)
        new, *rest = solve(np.float64(stage_time), predicted, psi)
        last = slope(new, psi)
        yield new, last, rest


def _planted(planted: Any, u: Any) -> Any:
    return u | planted


@jax.jit
def _largest_change(before: Dual, after: Dual) -> jax.Array:
    def of(a: jax.Array, b: jax.Array, value: jax.Array) -> jax.Array:
        scale = jnp.max(jnp.abs(value))
        return jnp.where(scale > 0, jnp.max(jnp.abs(b - a)) / jnp.where(scale > 0, scale, 1), 0)

    return jnp.max(jnp.stack(jax.tree.leaves(jax.tree.map(of, before.along, after.along, after.value))))


def _change(before: Dual, after: Dual) -> float:
    """The largest change of the derivative of a field, relative to the field's largest value."""
    return float(_largest_change(before, after))
