"""The loop of one run on the host over compiled steps, with events, saved times and observables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import RunError
from ..parallel.batching import unstack
from ..problem import ModelProblem, Problem
from ..timestepping import linear_solver_control
from ..timestepping.base import StepAttempt, StepState, event, hermite, start
from ..timestepping.choice import choose
from ..timestepping.step_control import UNSOLVED, clipped, judge
from ..timestepping.system import Fields, System
from .failure import culprit
from .scenario import Scenario, scenario_of

SHORTEST = 1e-11  # share of the run; a shorter step means that the equations cannot be solved
MOST_REJECTIONS = 30  # most rejections in a row
# in the error norm: a smaller correction is near the round-off of float32, and its contraction means little
NOTICEABLE = 0.1


@dataclass(frozen=True)
class Chunk:
    """One accepted step: all data that leave the device, and all that a checkpoint would hold.

    saved     (time, fields) of every saved time passed, NumPy
    observed  the series at t
    stats     statistics of the step: error, solver contraction, rejections before it
    plan      linear solver of the next step: V-cycles of each group, and the groups that are accelerated
    """

    t: float
    dt: float
    u: Fields
    step_state: StepState
    observed: dict[str, float]
    saved: list[tuple[float, dict[str, np.ndarray]]]
    stats: dict[str, float]
    plan: tuple[dict[str, int], tuple[str, ...]]


class Abandoned(Exception):
    """A step was abandoned between two stages because the run is to stop; the state before it is valid."""


@dataclass
class Totals:
    """The totals of a whole run."""

    steps: int = 0
    rejected: int = 0
    solves: int = 0
    seconds: float = 0.0
    first: float = 0.0  # seconds until the end of the first step, mostly compilation
    contraction: float = 0.0


@dataclass(frozen=True)
class SimulationState:
    """The state from which a run continues bit for bit, right after an accepted step.

    dt          the step to try next
    segment     the events between which the run is
    step_state  data that the integrator carries from step to step
    cycles      V-cycles of each group in the next step
    krylov      the groups whose solve is accelerated
    integrator  its name, and why it was chosen
    budget      sources and losses of each budget so far; held_at_start: its amount at the start
    scenario    its state_dict
    """

    t: float
    dt: float
    segment: tuple[float, float]
    u: Mapping[str, Any]
    step_state: StepState
    cycles: Mapping[str, int]
    krylov: tuple[str, ...]
    integrator: tuple[str, str]
    totals: Totals
    budget: Mapping[str, float]
    held_at_start: Mapping[str, float]
    scenario: Mapping[str, Any]


class Simulation:
    """A run from its start to its end: `chunks()` advances.

    scenario    its scenario; a bone scenario has found its baseline once this object exists
    integrator  the integrator in use; `why`: the reason for its choice
    stop        called between the stages of a step: True to abandon the step (Abandoned)

    It must be used inside device.on().
    """

    def __init__(
        self,
        problem: Problem | ModelProblem,
        scenario: Scenario | None = None,
        state: SimulationState | None = None,
    ) -> None:
        """scenario: default: that of the problem, from its start. state: the state to continue from, with a
        scenario made from its fields.
        """
        self.problem, self.tol = problem, problem.solver.tolerance
        self.scenario = scenario or scenario_of(problem)
        self.model, self.fields, self.u = self.scenario.model, self.scenario.fields, self.scenario.u
        self.dtype = np.dtype(problem.solver.precision)
        self.stop: Callable[[], bool] = lambda: False
        self.begun = state is not None
        if state is not None:
            self._load_state(state)
            return
        self.integrator, self.why = choose(
            problem.solver, self.scenario.system, self.u, problem.end, len(self.scenario.events)
        )
        self.totals = Totals()
        self.t, self.budget = 0.0, {}
        self.held_at_start = self._held()

    def system_at_start(self) -> System:
        """The system before the first event, for diagnosis."""
        return self.scenario.between(0.0, self.scenario.events[0])

    # --- the loop -------------------------------------------------------------------------------------------

    def chunks(self) -> Iterator[Chunk]:
        """Yield accepted steps until the end; a step ends at every event and at the end.

        The first chunk is the start itself (dt 0), unless the run continues from a state. Raises RunError
        when no acceptable step is found, Abandoned when the run is to stop; the last chunk yielded is then
        the last good state.
        """
        if not self.begun:
            self.begun, began = True, time.perf_counter()
            self.segment = self.t, self._next_event()
            self.system = self.scenario.between(*self.segment)
            self.step_state = start(self.system, np.float64(self.t), self.u)
            self.dt = self.first_step(self.system, self.step_state)
            yield self._opening(self.step_state)
        else:
            began = time.perf_counter() - self.totals.seconds
        most = self.problem.solver.max_steps
        while self.t < self.problem.end:
            if most is not None and self.totals.steps >= most:
                raise RunError(
                    f"{most:,} steps reached {self.t:g} of {self.problem.end:g} {self.model.time_unit}, "
                    "and solver.max_steps allows no more. "
                    "The state is kept. Raise it and run again, or look at what makes the steps so short."
                )
            if self.t >= self.segment[1] or self.scenario.surprised:
                self._cross()
            attempt, saved, stats = self._step(self.step_state, self.segment[1])
            self.u, self.step_state, self.t = attempt.u, attempt.step_state, attempt.t
            self.totals.steps += 1
            self.totals.seconds = time.perf_counter() - began
            self.totals.first = self.totals.first or self.totals.seconds
            for k, v in attempt.passed.items():
                self.budget[k] = self.budget.get(k, 0.0) + float(v)
            observed = self.scenario.watched(
                self.t, attempt.dt, {k: float(v) for k, v in attempt.observed.items()}
            )
            yield Chunk(self.t, attempt.dt, self.u, self.step_state, observed, saved, stats, self._plan)

    def _cross(self) -> None:
        """Replace the system before an event by the one after it."""
        self.segment = self.t, self._next_event()
        after = linear_solver_control.carried(self.system, self.scenario.between(*self.segment))
        step_state = replace(
            self.step_state, **{k: unstack(getattr(self.step_state, k)) for k in ("f", "flows", "middle")}
        )
        self.step_state = event(self.system, after, np.float64(self.t), unstack(self.u), step_state)
        self.dt = min(self.dt, self.first_step(after, self.step_state))
        self.system = after

    def state(self) -> SimulationState:
        """The state from which to continue; it must be asked for right after a chunk was yielded."""
        cycles, krylov = self._plan
        return SimulationState(
            t=self.t,
            dt=self.dt,
            segment=self.segment,
            u=self.u,
            step_state=self.step_state,
            cycles=cycles,
            krylov=krylov,
            integrator=(self.integrator.name, self.why),
            totals=replace(self.totals),
            budget=dict(self.budget),
            held_at_start=self.held_at_start,
            scenario=self.scenario.state_dict(),
        )

    def _load_state(self, state: SimulationState) -> None:
        name, self.why = state.integrator
        solver = replace(self.problem.solver, integrator=name)
        self.integrator, _ = choose(solver, self.scenario.system, self.u, self.problem.end, 0)
        self.totals, self.budget = replace(state.totals), dict(state.budget)
        self.t, self.dt, self.held_at_start = state.t, state.dt, dict(state.held_at_start)
        self.segment = state.segment
        system = self.scenario.load_state(state.scenario, *self.segment)
        cycles = {k: np.int32(n) for k, n in state.cycles.items()}
        self.system = replace(system, cycles=cycles, krylov=state.krylov)
        self.u, step = _on_device(state.u), state.step_state
        slope = _on_device(step.f)
        middle = slope if step.middle is step.f else _on_device(step.middle)
        self.step_state = StepState(slope, _on_device(step.flows), middle, step.middle_age)

    def _next_event(self) -> float:
        return min(t for t in self.scenario.events if t > self.t)

    def first_step(self, system: System, step_state: StepState) -> float:
        """The first step: the model's own, or an estimate from the slopes.

        The estimate is the time in which the slopes would move the worst field by a tenth of √tolerance of
        its size.
        """
        if self.model.first_step is not None:
            return self.model.first_step
        fastest = float(_norm(system, step_state.f, unstack(self.u), np.ones((), self.dtype)))
        return (
            self.problem.end / 100 if fastest == 0 else min(self.problem.end, 0.1 * sqrt(self.tol) / fastest)
        )

    def _opening(self, step_state: StepState) -> Chunk:
        observed = self.scenario.watched(
            self.t, 0.0, {k: float(v) for k, v in _observe(self.system, np.float64(self.t), self.u).items()}
        )
        saved = [(self.t, jax.device_get(self.u))] if self.t in self.problem.save else []
        return Chunk(self.t, 0.0, self.u, step_state, observed, saved, {}, self._plan)

    @property
    def _plan(self) -> tuple[dict[str, int], tuple[str, ...]]:
        return {name: int(n) for name, n in self.system.cycles.items()}, self.system.krylov

    def _step(self, step_state: StepState, end: float) -> tuple[StepAttempt, list, dict[str, float]]:
        """Try steps until one is accepted. Return it with the saved times it passed."""
        landing, rejections, reason, attempt = end, 0, "", None
        bound = self.integrator.largest_dt(self.system, self.t, self.u)
        asked = self.problem.solver.longest_step or float("inf")
        while True:
            dt = clipped(min(self.dt, bound, asked), landing - self.t)
            if dt < SHORTEST * self.problem.end or rejections > MOST_REJECTIONS:
                raise RunError(self._failure(dt, bound, rejections, reason, step_state, attempt))
            attempt = self._try(step_state, dt)
            verdict = judge(attempt, self.integrator.error_order)
            self.totals.solves += int(attempt.stats["stages"])
            if not verdict.accept:
                rejections, reason = rejections + 1, verdict.reason
                self.totals.rejected += 1
                unsolved = attempt.finite and attempt.error <= 1 and attempt.unsolved > UNSOLVED
                better = linear_solver_control.more(self.system, attempt.stats) if unsolved else None
                if better is None:
                    self.dt = verdict.dt
                else:  # the same step is tried again with more V-cycles
                    self.system = better
                continue
            if dt == landing - self.t:
                attempt = replace(
                    attempt, t=landing
                )  # not t + dt, because a step must end exactly at its landing
            saved, early = self._saved_between(step_state, attempt)
            if early is not None:
                landing = early  # the interpolant is below zero there, so the step must end there
                continue
            # a step that was shortened to land is no reason against a longer next step
            self.dt = max(verdict.dt, self.dt) if dt < self.dt and verdict.dt >= dt else verdict.dt
            if attempt.unsolved:
                self.system = linear_solver_control.fewer(self.system, attempt.stats)
            return attempt, saved, {"error": attempt.error, "rejections": rejections} | attempt.stats

    def _failure(
        self,
        dt: float,
        bound: float,
        rejections: int,
        reason: str,
        step_state: StepState,
        attempt: StepAttempt | None,
    ) -> str:
        """A message that says what failed, when, in which field and cell, and what to change."""
        unit = self.model.time_unit
        if bound < SHORTEST * self.problem.end:
            return (
                f"at {self.t:g} {unit} {self.integrator.name} may step no further than {bound:.2g} {unit}:"
                " its number of stages or a drift sets this bound. The state before it is kept. Use"
                ' solver.integrator = "tr-bdf2", or look at diffusivities and drift.'
            )
        tried, slopes = (
            {k: np.asarray(x, float) for k, x in fields.items()}
            for fields in (attempt.u if attempt else self.u, step_state.f)
        )
        why = f" after {rejections} rejections in a row: {reason}" if rejections else ""
        return (
            f"the step at {self.t:g} {unit} fell to {dt:.2g} {unit}{why}; "
            f"{culprit(self.fields, self.problem.grid, tried, slopes)}. "
            "The state before it is kept. Look at the parameters that act there, or raise solver.tolerance."
        )

    def _try(self, step_state: StepState, dt: float) -> StepAttempt:
        attempt = None
        for piece in self.integrator.pieces(self.system, self.t, self.u, step_state, dt, self.tol):
            attempt = piece
            if self.stop():
                raise Abandoned
        assert attempt is not None  # the last piece is the attempt
        if attempt.unsolved > NOTICEABLE and attempt.error <= 1:
            self.totals.contraction = max(
                self.totals.contraction, *(v for k, v in attempt.stats.items() if k.endswith("contraction"))
            )
        return attempt

    def _saved_between(self, step_state: StepState, attempt: StepAttempt) -> tuple[list, float | None]:
        """The states at the saved times in (t, t + dt], by the Hermite interpolant or a step that ends there.

        If a density is negative at one of them, the first such time is returned instead.
        """
        saved = []
        for when in self.problem.save:
            if not self.t < when <= attempt.t:
                continue
            if when == attempt.t:
                saved.append((when, jax.device_get(unstack(attempt.u))))
                continue
            if self.integrator.dense:
                share = np.float64((when - self.t) / attempt.dt)
                ends = (unstack(fields) for fields in (self.u, step_state.f, attempt.u, attempt.step_state.f))
                state = hermite(*ends, np.float64(attempt.dt), share)
            else:
                state = self._try(step_state, when - self.t).u
            if float(_lowest(self.system, state, np.asarray(self.tol, self.dtype))) < -1:
                return [], when
            saved.append((when, jax.device_get(state)))
        return saved, None

    # --- budgets --------------------------------------------------------------------------------------------

    def _held(self) -> dict[str, float]:
        """The amount in each budget, summed over cells in float64 on the host."""
        fields = self.model.budgets.items()
        return {
            k: sum(float(np.sum(np.asarray(self.u[f]), dtype=float)) for f in members)
            for k, members in fields
        }

    def budgets(self) -> dict[str, dict[str, float]]:
        """Each budget of the model, in nmol (nM in um3; amounts over the section).

        It has the amounts at start and end, the source, the loss, and the imbalance relative to the
        throughput.
        """
        unit = self.problem.grid.cell_volume * 1e-15  # nM um3 = 1e-15 nmol
        out, now = {}, self._held()
        for name in self.model.budgets if self.budget else ():
            came, lost = self.budget[f"{name}.source"], self.budget[f"{name}.loss"]
            change = now[name] - self.held_at_start[name]
            through = max(abs(came) + abs(lost), abs(now[name]), 1e-300)
            out[name] = {
                "start": self.held_at_start[name] * unit,
                "end": now[name] * unit,
                "source": came * unit,
                "loss": lost * unit,
                "imbalance": (change - came + lost) / through,
            }
        return out


def _on_device(fields: Mapping[str, Any]) -> Fields:
    return {k: jnp.asarray(x) for k, x in fields.items()}


_observe = jax.jit(System.observe)
_norm = jax.jit(System.norm)
_lowest = jax.jit(lambda system, u, tol: system.valid(u, tol)[1])
