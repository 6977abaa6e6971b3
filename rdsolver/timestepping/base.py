"""The interface of an integrator.

A step is one traced function with a fixed amount of work. It is accepted or rejected outside (advance.py). An
integrator is pure: nothing is kept between calls, so a step can be repeated with another dt, done again from
a checkpoint before it, or vmapped over a batch of runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array

from ..operators.array_types import Count, Number, OneNumber, Truth
from .system import Fields, Numbers, Sums, System

T = TypeVar("T")


def data(*names: str, static: tuple[str, ...] = ()) -> Callable[[type[T]], type[T]]:
    """Make a dataclass a pytree with these fields as arrays.

    static: fields that tell programs apart. Classes that are given to one function must differ in them, as
    JAX takes two dataclasses for the same whose arrays and static fields are, whatever the class.
    """
    return partial(jax.tree_util.register_dataclass, data_fields=list(names), meta_fields=list(static))


@data("f", "flows", "middle", "middle_age")
@dataclass(frozen=True)
class StepState:
    """The state that is carried from step to step.

    f            slope at the present time
    flows        flows of the budgets there (empty: the integrator needs none)
    middle       slope inside the last step, `middle_age` days ago (inf: there was no step, and middle is f;
                 empty: the integrator needs none)
    """

    f: Fields
    flows: Sums
    middle: Fields
    middle_age: OneNumber


@data("t", "dt", "u", "step_state", "cycles", "landing", "streak", "error", "status")
@dataclass(frozen=True)
class Lane:
    """The state of a run that goes on, bit for bit.

    t, u, step_state  where it is, from which an integrator steps
    dt                the step to try next
    cycles            V-cycles of each group in the next step
    landing           time at which a step must end: that of the event, or of a saved time where the
                      interpolant is negative
    streak            number of rejections in a row
    error             that of the last accepted step
    status            RUNNING, or why a call ends (attempt.py)
    """

    t: OneNumber
    dt: OneNumber
    u: Fields
    step_state: StepState
    cycles: Mapping[str, OneNumber]
    landing: OneNumber
    streak: OneNumber
    error: OneNumber
    status: OneNumber


@data("u", "step_state", "observed", "passed", "error", "finite", "lowest", "report", "stages")
@dataclass(frozen=True)
class StepAttempt:
    """An attempted step, with everything that is needed to judge it.

    u, step_state  the state at its end
    observed       the observables there
    passed         integrals of the budgets' sources and losses over the step
    error          error of the step, in the error norm (1: the tolerance)
    finite         True if every value is finite
    lowest         lowest value over the tolerance of its field; below -1, a density is negative
    report         for each group that is solved: "<group>", the largest last correction of its solves in the
                   error norm, and "<group>.contraction", the worst contraction
    stages         number of stages
    """

    u: Fields
    step_state: StepState
    observed: Numbers
    passed: Sums
    error: Number
    finite: Truth
    lowest: Number
    report: Numbers
    stages: int | Count


def verdict(system: System, error: Fields, u: Fields, tol: Number) -> tuple[Number, Truth, Number]:
    """The verdict on a step that ends at u: error in the norm, True if every value is finite, and the lowest
    value over the tolerance.
    """
    return system.norm(error, u, tol), *system.valid(u, tol)


def explicit(
    u: Fields, f: Fields, observed: Numbers, judged: tuple[Number, Truth, Number], stages: int | Count
) -> StepAttempt:
    """The attempt of an explicit step, which solves nothing and carries only its slope f.

    There are no budgets: fluxes and binding cancel in every stage, and computing the flows would cost a large
    part of a stage.
    """
    return StepAttempt(u, StepState(f, {}, {}, never()), observed, {}, *judged, {}, stages)


def never() -> Number:
    """The age of a slope that there is not: inf."""
    return jnp.asarray(jnp.inf, jnp.float64)


class Limits(NamedTuple):
    """The bounds on a step from some state.

    longest  longest step, d (inf: any)
    radius   spectral radius of the right-hand side, 1/d (0: not needed)
    """

    longest: Number
    radius: Number


def unlimited() -> Limits:
    """The bounds of an integrator that has none."""
    return Limits(never(), jnp.zeros(()))


STEPS = 25, 10  # steps of a segment: while they grow from the first step, and then at tolerance 1e-3


@dataclass(frozen=True)
class Span:
    """The stretch of time for which an integrator predicts its work.

    length     length of the run, d
    segments   number of segments, from event to event
    tolerance  tolerance of each step
    longest    longest step that the user allows, d (None: any)
    """

    length: float
    segments: int
    tolerance: float
    longest: float | None = None

    @property
    def least(self) -> float:
        """The number of steps that any integrator takes at least."""
        return 0.0 if self.longest is None else self.length / self.longest

    @property
    def steps(self) -> float:
        """The number of steps that a method of order 2 takes: N = 25 + 10 (1e-3/tolerance)^(1/3) in each
        segment.
        """
        wanted = self.segments * (STEPS[0] + STEPS[1] * (1e-3 / self.tolerance) ** (1 / 3))
        return max(self.least, wanted)


@runtime_checkable
class Integrator(Protocol):
    """An integrator: a pytree, whose arrays are the same for all runs of a batch."""

    @property
    def name(self) -> str:
        """Its name in the registry; a static field, so that no program is taken for another integrator's."""
        ...

    order: ClassVar[int]
    """The order of the solution that is carried on."""
    error_order: ClassVar[int]
    """The order of the error estimate, which sets the steps."""
    dense: ClassVar[bool]
    """True if a cubic Hermite through a step is as accurate as the step; otherwise a step that ends at the
    saved time gives the state there.
    """
    implicit: ClassVar[bool]
    """True if it carries the flows of the budgets and the slope inside the last step."""

    def prepared(self, system: System) -> Integrator:
        """The integrator with the arrays that it needs for such a system."""
        ...

    def work(self, system: System, u: Fields, span: Span) -> float | None:
        """The predicted work of a run, in sweeps of the right-hand side; None if "auto" does not choose
        it.
        """
        ...

    def limits(self, system: System, t: Number, u: Fields) -> Limits:
        """The bounds on a step from this state; traced."""
        ...

    def step(self, system: System, lane: Lane, dt: Number, tol: Number, limits: Limits) -> StepAttempt:
        """One step of dt, which is within the limits, from where a run is; traced."""
        ...


@partial(jax.jit, static_argnames="implicit")
def start(system: System, t: Number, u: Fields, implicit: bool = True) -> StepState:
    """The step state from plain rates, at a start only."""
    aux = system.update_coefficients(u)
    f = system.rates(t, u, aux)
    if not implicit:
        return StepState(f, {}, {}, never())
    return StepState(f, system.flows(t, u, aux), f, never())


@jax.jit
def event(before: System, after: System, t: Number, u: Fields, step_state: StepState) -> StepState:
    """The step state after a dose or a change of parameters, with the slope f + f(t+, u) - f(t-, u).

    The difference keeps the algebraic slope of the solver's state. Plain rates would multiply the solver's
    error by dt λ, about 2,000, and that noise would reduce the step.
    """
    aux = before.update_coefficients(u)

    def moved(old: dict[str, Array], minus: dict[str, Array], plus: dict[str, Array]) -> dict[str, Array]:
        return {k: x + (plus[k] - minus[k]) for k, x in old.items()}

    f = moved(step_state.f, before.rates(t, u, aux), after.rates(t, u, aux))
    flows = moved(step_state.flows, before.flows(t, u, aux), after.flows(t, u, aux))
    return StepState(f, flows, f if step_state.middle else {}, never())


@jax.jit
def hermite(u0: Fields, f0: Fields, u1: Fields, f1: Fields, dt: Number, x: Number) -> Fields:
    """The cubic Hermite through states and slopes at both ends, at the fraction x of the step, so that saving
    costs no steps.
    """
    out = {}
    for k in u0:
        d, s, h = (v.astype(u0[k].dtype) for v in (dt, x, jnp.asarray(1.0)))
        rise = u1[k] - u0[k]
        out[k] = (
            u0[k]
            + s
            * (d * f0[k] + s * (3 * rise - d * (2 * f0[k] + f1[k]) + s * (d * (f0[k] + f1[k]) - 2 * rise)))
            * h
        )
    return out
