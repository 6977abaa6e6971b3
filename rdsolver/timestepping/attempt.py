"""An attempted step, traced: the conditions it is under, and how it is accepted or rejected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ..operators.array_types import Count, Float, Number, OneNumber, Truth
from . import linear_solver_control
from .base import Integrator, Lane, StepState, data, hermite
from .step_control import UNSOLVED, clipped, judge
from .system import Fields, System

Values = Float[Array, "numbers"]

MOST_REJECTIONS = 30  # most rejections in a row
NEAR = 30  # a change of a steady state that is so many times the goal may be round-off

RUNNING, LANDED, FAILED, SLOW, TRIGGERED, IDLE = range(6)
"""The status of a lane. All but RUNNING end the call: LANDED at the end of the leg; FAILED to find a step;
SLOW: a linear solver should be accelerated; TRIGGERED: an observable has reached a level; IDLE: no run.
"""
NUMBERS = "outcome", "t", "dt", "error", "finite", "lowest", "unsolved", "rejections", "stages"
"""The first numbers of a row."""
NOTHING, REJECTED, ACCEPTED, UNDONE = range(4)
"""The outcome of an attempt. UNDONE: it would have been accepted, but its interpolant is negative at a saved
time, so that the step must end there.
"""


@data("system", "end", "shortest", "longest", "levels", "tol", "forced")
@dataclass(frozen=True)
class Leg:
    """The conditions between two events. Times are in the model's unit.

    system    its cycles are the fewest of each group
    end       time of the next event
    shortest  a step that is shorter fails
    longest   the longest step (inf: any)
    levels    for each of these observables, the value at which the host must look (inf: never)
    tol       tolerance, in the precision of the fields
    forced    True if every attempt is accepted: for a steady state, and to repeat steps
    """

    system: System
    end: OneNumber
    shortest: OneNumber
    longest: OneNumber
    levels: Mapping[str, OneNumber]
    tol: OneNumber
    forced: OneNumber


@data("accept", "t", "dt", "u", "step_state", "accepted", "rejected", "row")
@dataclass(frozen=True)
class Tried:
    """An attempt. accepted, rejected: (dt, cycles, status) of the lane after it; row: its numbers."""

    accept: Truth
    t: Number
    dt: Number
    u: Fields
    step_state: StepState
    accepted: tuple[Number, Mapping[str, Count], Count]
    rejected: tuple[Number, Mapping[str, Count], Count]
    row: Values


def attempt(integrator: Integrator, leg: Leg, lane: Lane) -> Tried:
    """One step from the state of a lane, and what becomes of the lane if it is accepted or rejected."""
    steady = jnp.isinf(lane.dt)
    system = replace(leg.system, cycles=lane.cycles)
    if integrator.implicit:
        system = _at_rest(system, lane.u, steady)
    limits = integrator.limits(system, lane.t, lane.u)
    left = lane.landing - lane.t
    dt = clipped(jnp.minimum(jnp.minimum(lane.dt, limits.longest), leg.longest), left)
    on = lane.status == RUNNING
    failed = ~leg.forced & ((dt < leg.shortest) | (lane.streak > MOST_REJECTIONS))

    a = integrator.step(system, lane, dt, leg.tol, limits)
    solved = {group: n for group, n in lane.cycles.items() if group in a.report}
    verdict = judge(a, dt, solved, integrator.error_order)
    plan = linear_solver_control.more(solved, a.report)
    # the same step is tried again with more V-cycles
    again = a.finite & (a.error <= 1) & (verdict.unsolved > UNSOLVED) & plan.better
    slow = jnp.any(
        jnp.stack([jnp.zeros((), bool), *(plan.slow[g] for g in plan.slow if g not in system.krylov)])
    )
    rejected = (
        jnp.where(again, lane.dt, verdict.dt),
        pick(again, {**lane.cycles, **plan.cycles}, {**lane.cycles}),
        jnp.where(again & slow, SLOW, RUNNING),
    )

    # not t + dt where it lands, because a step must end exactly there
    t = jnp.where(steady, lane.t, jnp.where(dt == left, lane.landing, lane.t + dt))
    # round-off may keep the change of a steady state just above the goal; it has then stopped falling
    found = (a.error <= 1) | ((a.error < NEAR) & (a.error >= lane.error))
    status = jnp.where(jnp.where(steady, found, t >= leg.end), LANDED, RUNNING)
    status = jnp.where(steady & ~a.finite, FAILED, status)
    for name, level in leg.levels.items():
        status = jnp.where(a.observed[name] >= level, TRIGGERED, status)
    # a step that was shortened to land is no reason against a longer next step
    longer = (dt < lane.dt) & (verdict.dt >= dt)
    fewer = linear_solver_control.fewer(solved, leg.system.cycles, a.report)
    accepted = (
        jnp.where(steady, lane.dt, jnp.where(longer, jnp.maximum(verdict.dt, lane.dt), verdict.dt)),
        pick(verdict.unsolved > 0, {**lane.cycles, **fewer}, {**lane.cycles}),
        status,
    )
    numbers = (
        on & ~failed, t, dt, a.error, a.finite, a.lowest, verdict.unsolved, lane.streak, a.stages
    )  # fmt: skip
    more = _by_kind(a.report, plan.slow, lane.cycles, a.passed, a.observed)
    row = jnp.stack([jnp.asarray(x, jnp.float64) for x in (*numbers, *more.values())])
    stays = jnp.where(on, FAILED, lane.status)
    return Tried(
        on & ~failed & (leg.forced | verdict.accept),
        t,
        dt,
        a.u,
        a.step_state,
        accepted,
        pick(on & ~failed, rejected, (lane.dt, lane.cycles, stays)),
        row,
    )


def _at_rest(system: System, u: Fields, steady: Truth) -> System:
    """The system; while a steady state is sought, with u as the state to which its rates refer."""
    before, tree = jax.tree.flatten(system)
    moved = [i for i, x in enumerate(jax.tree.leaves(system.at_rest(u))) if x is not before[i]]
    if not moved:
        return system

    def at_rest() -> list[Array]:
        leaves = jax.tree.leaves(system.at_rest(u))
        return [leaves[i] for i in moved]

    found = jax.lax.cond(steady, at_rest, lambda: [before[i] for i in moved])
    after = dict(zip(moved, found, strict=True))
    return jax.tree.unflatten(tree, [after.get(i, x) for i, x in enumerate(before)])


def row_names(leg: Leg, lane: Lane, solved: bool) -> tuple[str, ...]:
    """The names of the numbers of a row, in their order. solved: the integrator solves equations."""
    groups, system = lane.cycles, leg.system
    observed = jax.eval_shape(lambda s, t, u: s.observe(t, u), system, lane.t, lane.u)
    slow = groups if solved else {}
    report = dict.fromkeys(x for g in slow for x in (g, f"{g}.contraction"))
    return (*NUMBERS, *_by_kind(report, slow, groups, lane.step_state.flows, observed))


def _by_kind(
    report: Mapping[str, Any],
    slow: Mapping[str, Any],
    cycles: Mapping[str, Any],
    passed: Mapping[str, Any],
    observed: Mapping[str, Any],
) -> dict[str, Any]:
    """The numbers of a row after NUMBERS, in their order."""
    kinds = {"report": report, "slow": slow, "cycles": cycles, "passed": passed, "observed": observed}
    return {f"{kind}.{name}": of[name] for kind, of in kinds.items() for name in sorted(of)}


def pick(here: Truth, a: Any, b: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(here, x, y).astype(jnp.asarray(y).dtype), a, b)


def settle(lane: Lane, tried: Tried, landing: Number, end: Number, negative: Truth) -> tuple[Lane, Number]:
    """The lane after an attempt, and the outcome; negative: the interpolant is below zero, so that the step
    must end at `landing`.
    """
    good = tried.accept & ~negative
    undone = tried.accept & negative
    dt, cycles, status = pick(good, tried.accepted, tried.rejected)
    attempted = tried.row[0] > 0
    after = replace(
        lane,
        t=jnp.where(good, tried.t, lane.t),
        dt=jnp.where(undone, lane.dt, dt),
        u=pick(good, tried.u, lane.u),
        step_state=pick(good, tried.step_state, lane.step_state),
        cycles=pick(undone, lane.cycles, cycles),
        landing=jnp.where(good, end, jnp.where(undone, landing, lane.landing)),
        error=jnp.where(good, tried.row[NUMBERS.index("error")], lane.error),
        streak=jnp.where(good, 0, lane.streak + (attempted & ~undone)).astype(lane.streak.dtype),
        status=jnp.where(undone, RUNNING, status).astype(lane.status.dtype),
    )
    outcome = jnp.where(good, ACCEPTED, jnp.where(undone, UNDONE, jnp.where(attempted, REJECTED, NOTHING)))
    return after, outcome.astype(jnp.float64)


def reach(leg: Leg, lane: Lane) -> Number:
    """The time that the next step reaches at most."""
    return jnp.minimum(lane.t + jnp.minimum(lane.dt, leg.longest), lane.landing)


def between(integrator: Integrator, leg: Leg, lane: Lane, tried: Tried, when: Number) -> tuple[Fields, Truth]:
    """The state at a saved time inside the step, and True if a density is negative there."""
    f0, f1 = lane.step_state.f, tried.step_state.f
    if integrator.dense:
        u = hermite(lane.u, f0, tried.u, f1, tried.dt, (when - lane.t) / tried.dt)
    else:
        system = replace(leg.system, cycles=lane.cycles)
        limits = integrator.limits(system, lane.t, lane.u)
        u = integrator.step(system, lane, when - lane.t, leg.tol, limits).u
    ends_there = when == tried.t
    return pick(ends_there, tried.u, u), ~ends_there & (leg.system.valid(u, leg.tol)[1] < -1)
