"""The host's part of a run: events, messages, and what its program (timestepping/advance.py) brings."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf, sqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import RunError
from ..problem import ModelProblem, Problem
from ..timestepping.advance import ROWS
from ..timestepping.attempt import ACCEPTED, FAILED, REJECTED, SLOW
from ..timestepping.base import Lane, StepState, event, start
from ..timestepping.choice import choose
from ..timestepping.step_control import reason
from ..timestepping.system import Fields, System
from . import program
from .failure import culprit
from .program import Row, Saved
from .scenario import Scenario, scenario_of

SHORTEST = 1e-11  # share of the run; a shorter step means that the equations cannot be solved
# in the error norm: a smaller correction is near the round-off of float32, and its contraction means little
NOTICEABLE = 0.1


@dataclass(frozen=True)
class Step:
    """An accepted step; the first of a run is its start, with dt 0.

    observed  the series at t
    stats     error, rejections before it, stages, and for each group its last correction, its contraction
              and its V-cycles ("<group>", "<group>.contraction", "<group>.cycles")
    saved     (time, fields) of every saved time passed; fields come to the host when they are read
    """

    t: float
    dt: float
    observed: dict[str, float]
    stats: dict[str, float] = field(default_factory=dict)
    saved: Saved = field(default_factory=list)


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
    """The state from which a run continues bit for bit, after a call of its program.

    lane        its state on the device, which a checkpoint holds to the last bit
    segment     the events between which the run is
    krylov      the groups whose solve is accelerated
    integrator  its name, and why it was chosen
    budget      sources and losses of each budget so far; held_at_start: its amount at the start
    scenario    its state_dict
    """

    lane: Lane
    segment: tuple[float, float]
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
    t, dt, u    time, next step and fields after the last chunk

    It must be used inside device.on().
    """

    def __init__(
        self,
        problem: Problem | ModelProblem,
        scenario: Scenario | None = None,
        state: SimulationState | None = None,
        attempts: int | None = None,
    ) -> None:
        """scenario: default: that of the problem, from its start. state: the state to continue from, with a
        scenario made from its fields. attempts: the number of attempts in one call (default: those of about a
        second); no result depends on it.
        """
        self.problem, self.tol = problem, problem.solver.tolerance
        self.scenario = scenario or scenario_of(problem)
        self.model, self.fields = self.scenario.model, self.scenario.fields
        self.dtype = np.dtype(problem.solver.precision)
        # attempts of a call; s of an attempt, once it is known; row of the last rejection
        self.attempts, self._pace = attempts, 0.0
        self._rejected: Row | None = None
        self.begun = state is not None
        if state is not None:
            self._load_state(state)
            return
        self.u, system, events = self.scenario.u, self.scenario.system, len(self.scenario.events)
        self.integrator, self.why = choose(problem.solver, system, self.u, problem.end, events)
        self.totals = Totals()
        self.t, self.budget = 0.0, {}
        self.held_at_start = self._held()

    def system_at_start(self) -> System:
        """The system before the first event, for diagnosis."""
        return self.scenario.between(0.0, self.scenario.events[0])

    # --- the loop -------------------------------------------------------------------------------------------

    def steps(self) -> Iterator[Step]:
        """Yield the accepted steps until the end. Raises RunError as `chunks`."""
        for chunk in self.chunks():
            yield from chunk

    def chunks(self) -> Iterator[list[Step]]:
        """Yield the accepted steps of each call of the program until the end. A step ends at every event.

        The first chunk is the start itself (dt 0), unless the run continues from a state. Raises RunError
        when no acceptable step is found; the last chunk yielded is then the last good state.
        """
        began = time.perf_counter() - (self.totals.seconds if self.begun else 0.0)
        if not self.begun:
            self.begun = True
            yield [self._start()]
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
            elif self._now.status == FAILED:
                raise RunError(self._failure())
            steps = self._advance()
            self.totals.seconds = time.perf_counter() - began
            self.totals.first = self.totals.first or self.totals.seconds
            yield steps

    def _start(self) -> Step:
        self.segment = self.t, self._next_event()
        system, now, u = self.scenario.between(*self.segment), np.float64(self.t), self.u
        step_state = start(system, now, u, implicit=self.integrator.implicit)
        dt = self.first_step(system, u, step_state.f)
        self._set_leg(system)
        self._set_lane(dt, u, step_state, system.cycles)
        seen = {k: float(v) for k, v in _observe(system, now, u).items()}
        saved = [(self.t, jax.device_get(u))] if self.t in self.problem.save else []
        return Step(self.t, 0.0, self.scenario.watched(self.t, 0.0, seen), saved=saved)

    def _cross(self) -> None:
        """Replace the system before an event by the one after it."""
        self.segment = self.t, self._next_event()
        lane, before = self._lane, self.system
        after = replace(self.scenario.between(*self.segment), krylov=before.krylov)
        step_state = event(before, after, np.float64(self.t), lane.u, lane.step_state)
        dt = min(self.dt, self.first_step(after, lane.u, step_state.f))
        self._set_leg(after)
        self._set_lane(dt, lane.u, step_state, self.cycles)

    def _set_leg(self, system: System) -> None:
        self.system, solver = system, self.problem.solver
        steps = SHORTEST * self.problem.end, solver.longest_step or inf
        self._leg = program.leg(system, self.segment[1], self.tol, *steps, self.scenario.levels)

    def _set_lane(
        self,
        dt: float,
        u: Fields,
        step_state: StepState,
        cycles: Mapping[str, Any],
        landing: float | None = None,
        streak: int = 0,
    ) -> None:
        landing = self.segment[1] if landing is None else landing
        self._lane = self._now = program.lane(self.t, dt, u, step_state, cycles, landing, streak)
        self.u, self.dt = u, dt

    @property
    def cycles(self) -> Mapping[str, Any]:
        """V-cycles of each group in the next step."""
        return self._now.cycles

    def _advance(self) -> list[Step]:
        """Call the program once. Return the steps that were accepted."""
        ahead = [t for t in self.problem.save if t > self.t]
        wish = program.Call(self._most(), self._pace, ahead)
        found = program.call(self.integrator, self._leg, self._lane, wish)
        self._now, self._lane, self.u = found.now, found.lane, found.lane.u
        self.t, self.dt = float(found.now.t), float(found.now.dt)
        if found.now.status == SLOW:
            slow = {k.removeprefix("slow.") for k, x in found.rows[-1].items() if k.startswith("slow.") and x}
            self._set_leg(replace(self.system, krylov=tuple(sorted({*self.system.krylov, *slow}))))
        self._pace = found.pace if self.totals.first else 0.0  # the first call is mostly compilation
        steps = (self._account(row, found.saved) for row in found.rows)
        return [step for step in steps if step is not None]

    def _most(self) -> int:
        """The number of attempts of the next call, at most."""
        allowed = self.problem.solver.max_steps
        left = ROWS if allowed is None else allowed - self.totals.steps
        return min(left, ROWS if self.attempts is None else self.attempts)

    def _account(self, row: Row, saved: Saved) -> Step | None:
        """Count an attempt. Return the step if it was accepted, with the saved times that it passed."""

        def part(kind: str) -> dict[str, float]:
            return {k.removeprefix(kind): x for k, x in row.items() if k.startswith(kind)}

        totals, report = self.totals, part("report.")
        totals.solves += int(row["stages"])
        if row["unsolved"] > NOTICEABLE and row["error"] <= 1:
            worst = [x for k, x in report.items() if k.endswith("contraction")]
            totals.contraction = max(totals.contraction, *worst)
        if row["outcome"] == REJECTED:
            totals.rejected += 1
            self._rejected = row
        if row["outcome"] != ACCEPTED:
            return None
        totals.steps += 1
        for k, v in part("passed.").items():
            self.budget[k] = self.budget.get(k, 0.0) + v
        t, dt = row["t"], row["dt"]
        observed = self.scenario.watched(t, dt, part("observed."))
        stats = {k: row[k] for k in ("error", "rejections", "stages")} | report
        stats |= {f"{k}.cycles": n for k, n in part("cycles.").items()}
        passed = []
        while saved and saved[0][0] <= t:
            passed.append(saved.pop(0))
        return Step(t, dt, observed, stats, passed)

    def state(self) -> SimulationState:
        """The state from which to continue; it must be asked for right after a chunk was yielded."""
        return SimulationState(
            lane=self._lane,
            segment=self.segment,
            krylov=self.system.krylov,
            integrator=(self.integrator.name, self.why),
            totals=replace(self.totals),
            budget=dict(self.budget),
            held_at_start=self.held_at_start,
            scenario=self.scenario.state_dict(),
        )

    def _load_state(self, state: SimulationState) -> None:
        name, self.why = state.integrator
        lane: Lane = jax.tree.map(jnp.asarray, state.lane)
        solver = replace(self.problem.solver, integrator=name)
        self.integrator, _ = choose(solver, self.scenario.system, lane.u, self.problem.end, 0)
        if not self.integrator.implicit:  # older files hold more
            lane = replace(lane, step_state=replace(lane.step_state, flows={}, middle={}))
        self.totals, self.budget = replace(state.totals), dict(state.budget)
        self.segment, self.held_at_start = state.segment, dict(state.held_at_start)
        self.t = float(lane.t)
        system = self.scenario.load_state(state.scenario, *self.segment)
        self._set_leg(replace(system, krylov=state.krylov))
        rest = lane.u, lane.step_state, lane.cycles, float(lane.landing), int(lane.streak)
        self._set_lane(float(lane.dt), *rest)

    def _next_event(self) -> float:
        return min(t for t in self.scenario.events if t > self.t)

    def first_step(self, system: System, u: Fields, slope: Fields) -> float:
        """The first step: the model's own, or an estimate from the slopes.

        The estimate is the time in which the slopes would move the worst field by a tenth of √tolerance of
        its size.
        """
        if self.model.first_step is not None:
            return self.model.first_step
        fastest = float(_norm(system, slope, u, np.ones((), self.dtype)))
        return (
            self.problem.end / 100 if fastest == 0 else min(self.problem.end, 0.1 * sqrt(self.tol) / fastest)
        )

    def _failure(self) -> str:
        """A message that says what failed, when, in which field and cell, and what to change."""
        unit, now = self.model.time_unit, np.float64(self.t)
        lane = self._lane
        system, streak = replace(self.system, cycles=self.cycles), int(self._now.streak)
        bound = float(_limits(self.integrator, system, now, lane.u).longest)
        if bound < SHORTEST * self.problem.end:
            return (
                f"at {self.t:g} {unit} {self.integrator.name} may step no further than {bound:.2g} {unit}:"
                " its number of stages or a drift sets this bound. The state before it is kept. Use"
                ' solver.integrator = "tr-bdf2", or look at diffusivities and drift.'
            )
        tried, why = lane.u, ""
        if streak:
            why = f" after {streak} rejections in a row"
        if streak and self._rejected is not None:  # the attempt is repeated, for its fields
            why = f"{why}: {reason(self._rejected)}"
            again = self._rejected["dt"], lane.u, lane.step_state, self.cycles
            tried = program.forced(self.integrator, self._leg, self.t, *again).lane.u
        fields, slopes = (
            {k: np.asarray(x, float) for k, x in found.items()} for found in (tried, lane.step_state.f)
        )
        dt = min(self.dt, bound, float(self._now.landing) - self.t)
        return (
            f"the step at {self.t:g} {unit} fell to {dt:.2g} {unit}{why}; "
            f"{culprit(self.fields, self.problem.grid, fields, slopes)}. "
            "The state before it is kept. Look at the parameters that act there, or raise solver.tolerance."
        )

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


_observe = jax.jit(System.observe)
_norm = jax.jit(System.norm)
_limits = jax.jit(lambda integrator, system, t, u: integrator.limits(system, t, u))
