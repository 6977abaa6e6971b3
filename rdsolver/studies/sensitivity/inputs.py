"""The inputs of a replayed run: its steps, and the numbers that depend on parameters, with their derivatives.

Plasma curves are no function of arrays: their derivatives, at the knots of the run's own, are central
differences of the host's solver (models/bone/pharmacokinetics.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...models.bone.model import BoneModel
from ...models.bone.tissue import TissueModel
from ...problem import Problem
from ...simulation.bone_scenario import BoneScenario
from ...simulation.time_loop import Simulation
from ...timestepping.system import Forcing, System

MORE = 2  # V-cycles of each group in addition to the most that the run took
CURVE_STEP = 1e-3  # relative: h² and the plasma solver's 1e-9/h are both below 1e-5


@partial(jax.tree_util.register_dataclass, data_fields=["value", "along"], meta_fields=[])
@dataclass(frozen=True)
class Dual:
    """Arrays, and their derivatives along several directions: the same tree with one more axis in front."""

    value: Any
    along: Any


Lift = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A function that turns f(still, *moving) into a compiled function of the same arguments."""


@cache
def lifted(f: Callable[..., Any]) -> Callable[..., Any]:
    """f on Duals: moving arguments carry derivatives, `still` ones none. A tuple gives a tuple of Duals."""

    @jax.jit
    def call(still: Any, *moving: Dual) -> Any:
        values = tuple(m.value for m in moving)

        def along(direction: tuple[Any, ...]) -> tuple[Any, Any]:
            return jax.jvp(lambda *x: f(still, *x), values, direction)

        value, found = jax.vmap(along, out_axes=(None, 0))(tuple(m.along for m in moving))
        return tuple(map(Dual, value, found)) if isinstance(value, tuple) else Dual(value, found)

    return call


def plain(f: Callable[..., Any]) -> Callable[..., Any]:
    """f on arrays: the same work without derivatives."""
    return f


# --- a recorded run -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Segment:
    """A segment from one event to the next: the system, and the accepted steps (time reached, step), d."""

    system: System
    begin: float
    steps: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Recorded:
    """A completed run: its scenario, segments, times, and the series at them."""

    scenario: BoneScenario
    segments: tuple[Segment, ...]
    times: np.ndarray
    series: dict[str, np.ndarray]

    @property
    def steps(self) -> int:
        return len(self.times) - 1


def recorded(problem: Problem, tell: Callable[[float], None] = lambda _: None) -> Recorded:
    """Do a run once with its own steps, and keep them. tell: a function that receives the completed share.

    This must be used inside device.on().
    """
    simulation = Simulation(problem)
    scenario = simulation.scenario
    assert isinstance(scenario, BoneScenario)
    taken, cycles = [], {k: int(n) for k, n in scenario.system.cycles.items()}
    for step in simulation.steps():
        taken.append((step.t, step.dt, step.observed))
        cycles = {k: max(n, int(step.stats.get(f"{k}.cycles", n))) for k, n in cycles.items()}
        tell(step.t / problem.end)
    more = {k: np.int32(n + MORE) for k, n in cycles.items()}
    work = {"cycles": more, "krylov": simulation.system.krylov}
    segments, landed = [], {t for t, *_ in taken}
    for begin, end in pairwise([0.0, *(t for t in scenario.events if t in landed)]):
        steps = tuple((t, dt) for t, dt, _ in taken if begin < t <= end)
        segments.append(Segment(replace(scenario.between(begin, end), **work), begin, steps))
    series = {k: np.array([observed[k] for *_, observed in taken]) for k in taken[0][2]}
    return Recorded(scenario, tuple(segments), np.array([t for t, *_ in taken]), series)


def _healthy(system: System, p: Any) -> Any:
    assert isinstance(system.model, BoneModel | TissueModel)
    return system.model.healthy(p)


# --- directions ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inputs:
    """The numbers that depend on parameters: p right after each segment's start, plasma curves (values,
    slopes), and the healthy p.
    """

    p: tuple[Any, ...]
    curves: tuple[Any, ...]
    healthy: Any


def values_of(run: Recorded, values: Mapping[str, float]) -> Inputs:
    """The run's inputs at these values of the parameters."""
    scenario = run.scenario.with_parameters(dict(values))
    systems = _between(run, scenario)
    p = tuple(s.p for s in systems)
    model = run.scenario.model
    healthy = model.healthy({k: jnp.asarray(v, jnp.float64) for k, v in values.items()})
    return Inputs(p, tuple((s.forcing.values, s.forcing.slopes) for s in systems), healthy)


def _between(run: Recorded, scenario: BoneScenario) -> list[System]:
    return [scenario.between(s.begin, s.steps[-1][0], s.system.forcing) for s in run.segments]


def directions(run: Recorded, names: Sequence[str]) -> Inputs:
    """The inputs as Duals, with one direction for each name: along ln p, or along p where p is 0 (`size`)."""
    values = run.scenario.problem.parameters
    base = values_of(run, values)
    seeds = {k: jnp.asarray([size(values[k]) if n == k else 0.0 for n in names]) for k in values}
    p = []
    for segment, now in zip(run.segments, base.p, strict=True):
        factors = run.scenario.factors(segment.begin)
        p.append(Dual(now, {k: v * factors.get(k, 1.0) for k, v in seeds.items()}))
    healthy = lifted(_healthy)(
        run.scenario.system, Dual({k: jnp.asarray(v, jnp.float64) for k, v in values.items()}, seeds)
    )
    moved = [_curves_along(run, name) for name in names]
    curves = []
    for i, now in enumerate(base.curves):
        each = tuple(jnp.stack([m[i][j] if m else jnp.zeros_like(now[j]) for m in moved]) for j in (0, 1))
        curves.append(Dual(now, each))
    return Inputs(tuple(p), tuple(curves), healthy)


def size(value: float) -> float:
    """The length of a direction: the parameter's own value, so that derivatives are with respect to its
    logarithm; 1 where it is 0.
    """
    return value or 1.0


def _curves_along(run: Recorded, name: str) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """The derivative of the plasma curves at their knots, by central differences (one-sided from above where
    the parameter is 0).
    """
    problem = run.scenario.problem
    if not any(name.startswith(f"{drug}_") for drug in problem.drugs):
        return None
    value = problem.parameters[name]
    step = CURVE_STEP * size(value)

    def at(change: float) -> list[Forcing]:
        scenario = run.scenario.with_parameters(problem.parameters | {name: value + change})
        return [s.forcing for s in _between(run, scenario)]

    weights = ((-step, -0.5), (step, 0.5)) if value else ((0.0, -1.5), (step, 2.0), (2 * step, -0.5))
    parts = [(w / CURVE_STEP, at(change)) for change, w in weights]
    return [
        (
            sum(w * np.asarray(f[i].values) for w, f in parts),
            sum(w * np.asarray(f[i].slopes) for w, f in parts),
        )  # pyright: ignore[reportReturnType]
        for i in range(len(run.segments))
    ]
