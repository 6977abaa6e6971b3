"""One run: the host loop over compiled steps, with events, saved times, observables and the run file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import steady
from .errors import RunError
from .integrators import INTEGRATORS
from .integrators.base import Integrator, Memory, Trial, event, hermite, start
from .integrators.control import clipped, judge
from .models.bone.model import BoneModel
from .models.bone.pharmacokinetics import Plasma
from .operators import multigrid
from .problem import Problem
from .system import Fields, Forcing, System

SHORTEST = 1e-9  # d; a step below it means that the equations cannot be followed
MOST_REJECTIONS = 30  # in a row
NOTICEABLE = 0.1  # of the error norm: a correction below it is near the round-off of float32, and its contraction means little
KNOTS = 1024  # of a plasma curve between two events: one size, one compilation


@dataclass(frozen=True)
class Chunk:
    """One accepted step: all that leaves the device, and all that a checkpoint would hold.

    saved     (time, fields) of every saved time passed, NumPy
    observed  the series at t
    stats     of the step: error, solver contraction, rejections before it
    """

    t: float
    dt: float
    u: Fields
    memory: Memory
    observed: dict[str, float]
    saved: list[tuple[float, dict[str, np.ndarray]]]
    stats: dict[str, float]


@dataclass
class Totals:
    """What a whole run did."""

    steps: int = 0
    rejected: int = 0
    solves: int = 0
    seconds: float = 0.0
    first: float = 0.0  # seconds until the first step was done: compilation, mostly
    contraction: float = 0.0


class Simulation:
    """A run from its baseline to its end.

    After construction the baseline is known (`reference`, `u`); `chunks()` then advances. Must be used inside device.on().
    """

    def __init__(self, problem: Problem, initial: Mapping[str, Any] | None = None) -> None:
        """initial: state, reference and plasma of another run (`[initial] from`)."""
        self.problem = problem
        self.dtype = np.dtype(problem.solver.precision)
        self.model = BoneModel(problem.agents)
        self.fields = self.model.fields(problem.parameters)
        self.integrator: Integrator = INTEGRATORS[problem.solver.integrator]()
        self.tol = problem.solver.tolerance
        self.totals = Totals()
        self.plasma = {a.name: Plasma(a.name, problem.parameters) for a in problem.agents}
        self.t, self.budget = 0.0, {}
        self._segment: tuple[float, dict[str, Plasma]] = (0.0, self.plasma)
        self._system = self._bare_system()
        if initial is None:
            self._find_baseline()
        else:
            self._continue_from(initial)
        self.held_at_start = self._held()

    # --- setting up ---------------------------------------------------------------------------------------------------

    def _numbers(self, t: float) -> dict[str, jax.Array]:
        """Parameters in force right after time t."""
        values = dict(self.problem.parameters)
        for c in self.problem.changes:
            if c.start <= t < c.end:
                values[c.parameter] *= c.factor
        return {k: jnp.asarray(v, self.dtype) for k, v in values.items()}

    def _bare_system(self) -> System:
        section, model, values = self.problem.section, self.model, self.problem.parameters
        active = jnp.asarray(section.active, self.dtype)
        place = model.prepare(section.grid, active, values, model.blank_reference(active))
        shape = multigrid.Shape.of(section.grid.shape, section.grid.spacing, place.wrap)
        scale = {f.name: jnp.asarray(f.scale, self.dtype) for f in self.fields}
        return System(model, shape, place, self._numbers(-1.0), self._curves({}, 0.0, 1.0), scale)

    def _find_baseline(self) -> None:
        section, model = self.problem.section, self.model
        system = replace(self._system, p=model.healthy(self._system.p))
        bone = jnp.asarray(section.bone * section.active, self.dtype)
        u, reference, self.baseline_cycles = steady.baseline(system, model.initial(bone, system.place.active, self.problem.parameters))
        self._system = steady.with_reference(self._system, reference)
        self.u = model.balanced(u, system.p, self._system.place)

    def _continue_from(self, initial: Mapping[str, Any]) -> None:
        state, reference = initial["state"], initial["reference"]
        self._system = steady.with_reference(self._system, {k: jnp.asarray(v, self.dtype) for k, v in reference.items() if k != "bone"})
        zero = jnp.zeros(self.problem.section.grid.shape, self.dtype)
        self.u = {f.name: jnp.asarray(state[f.name], self.dtype) if f.name in state else zero for f in self.fields}
        for name, amounts in initial["plasma"].items():
            self.plasma[name].amounts = np.asarray(amounts, float)
        self.baseline_cycles = 0

    def _curves(self, plasma: Mapping[str, Plasma], begin: float, end: float) -> Forcing:
        """The drugs in plasma between two events; moves the compartments on."""
        rows = [p.advance(begin, end) for p in plasma.values()] or [(np.array([begin, end]), np.zeros(2), np.zeros(2))]
        rows += [rows[0]] * (len(self.problem.agents) - len(rows))
        size = max(KNOTS, *(1 << int(np.ceil(np.log2(len(r[0])))) for r in rows))
        table = np.stack([[np.pad(x, (0, size - len(x)), mode="edge") for x in row] for row in rows])
        knots, values, slopes = (jnp.asarray(table[:, i], jnp.float64) for i in range(3))
        return Forcing(knots, values, slopes, self.model.inputs)

    @property
    def events(self) -> list[float]:
        """Times at which the right-hand side jumps, and the end."""
        p = self.problem
        times = {d.time for d in p.doses} | {t for c in p.changes for t in (c.start, c.end)}
        return sorted(t for t in times | {p.end} if 0 < t <= p.end)

    def system_at_start(self) -> System:
        """The system before the first event, for diagnosis."""
        return self._between(0.0, self.events[0])

    def _between(self, begin: float, end: float) -> System:
        """The system from one event to the next: doses given, parameters changed."""
        for dose in self.problem.doses:
            if dose.time == begin:
                self.plasma[dose.agent].give(dose)
        self._segment = begin, {k: replace(p) for k, p in self.plasma.items()}
        return replace(self._system, p=self._numbers(begin), forcing=self._curves(self.plasma, begin, end))

    def plasma_now(self) -> dict[str, Plasma]:
        """The drugs in plasma at the present time, from which another run goes on; a dose due now is not in it."""
        begin, plasma = self._segment
        for p in plasma.values():
            if self.t > begin:
                p.advance(begin, self.t)
        return plasma

    @property
    def reference(self) -> dict[str, np.ndarray]:
        """Of the healthy baseline, with the bone it belongs to."""
        found = {k: np.asarray(v, float) for k, v in self._system.place.reference.items()}
        return found | {"bone": np.asarray(self.problem.section.bone * self.problem.section.active, float)}

    # --- the loop -----------------------------------------------------------------------------------------------------

    def chunks(self) -> Iterator[Chunk]:
        """Accepted steps until the end; lands on every event and the end. The first chunk is the start itself (dt 0).

        Raises RunError when no acceptable step is found; the last chunk given is then the last good state.
        """
        began = time.perf_counter()
        ends = self.events
        system = self._between(0.0, ends[0])
        memory = start(system, np.float64(self.t), self.u)
        self.dt = self.integrator.start_dt
        yield self._opening(system, memory)
        for i, end in enumerate(ends):
            while self.t < end:
                trial, saved, stats = self._step(system, memory, end)
                self.u, memory, self.t = trial.u, trial.memory, trial.t
                self.totals.steps += 1
                self.totals.seconds = time.perf_counter() - began
                self.totals.first = self.totals.first or self.totals.seconds
                for k, v in trial.passed.items():
                    self.budget[k] = self.budget.get(k, 0.0) + float(v)
                yield Chunk(self.t, trial.dt, self.u, memory, {k: float(v) for k, v in trial.observed.items()}, saved, stats)
            if i + 1 < len(ends):
                after = self._between(end, ends[i + 1])
                memory = event(system, after, np.float64(end), self.u, memory)
                self.dt = min(self.dt, self.integrator.start_dt)
                system = after

    def _opening(self, system: System, memory: Memory) -> Chunk:
        observed = {k: float(v) for k, v in _observe(system, np.float64(self.t), self.u).items()}
        saved = [(self.t, jax.device_get(self.u))] if self.t in self.problem.save else []
        return Chunk(self.t, 0.0, self.u, memory, observed, saved, {})

    def _step(self, system: System, memory: Memory, end: float) -> tuple[Trial, list, dict[str, float]]:
        """Try until a step is accepted, with the saved times it passed."""
        landing, rejections, reason = end, 0, ""
        bound = self.integrator.largest_dt(system, self.t, self.u)
        while True:
            dt = clipped(min(self.dt, bound), landing - self.t)
            if dt < SHORTEST or rejections > MOST_REJECTIONS:
                raise RunError(
                    f"the step at {self.t:g} d fell to {dt:.2g} d after {rejections} rejections in a row: {reason}. "
                    "The state before it is kept. Look at the parameters that make it this fast, or raise solver.tolerance."
                )
            trial = self._try(system, memory, dt)
            verdict = judge(trial, self.integrator.order)
            self.totals.solves += int(trial.stats["stages"])
            if not verdict.accept:
                rejections, self.dt, reason = rejections + 1, verdict.dt, verdict.reason
                self.totals.rejected += 1
                continue
            if dt == landing - self.t:
                trial = replace(trial, t=landing)  # not t + dt: landings are exact
            saved, early = self._saved_between(system, memory, trial)
            if early is not None:
                landing = early  # the interpolant fell below zero there: land on it instead
                continue
            # a step shortened to land says nothing against the longer one
            self.dt = max(verdict.dt, self.dt) if dt < self.dt and verdict.dt >= dt else verdict.dt
            return trial, saved, {"error": trial.error, "rejections": rejections} | trial.stats

    def _try(self, system: System, memory: Memory, dt: float) -> Trial:
        *_, trial = self.integrator.pieces(system, self.t, self.u, memory, dt, self.tol)
        assert trial is not None  # the last piece is the trial
        if trial.unsolved > NOTICEABLE:
            self.totals.contraction = max(self.totals.contraction, trial.stats["molecules.contraction"])
        return trial

    def _saved_between(self, system: System, memory: Memory, trial: Trial) -> tuple[list, float | None]:
        """States at the saved times in (t, t + dt], by the Hermite interpolant; or the first time where it is negative."""
        saved = []
        for when in self.problem.save:
            if not self.t < when <= trial.t:
                continue
            if when == trial.t:
                saved.append((when, jax.device_get(trial.u)))
                continue
            share = np.float64((when - self.t) / trial.dt)
            state = hermite(self.u, memory.f, trial.u, trial.memory.f, np.float64(trial.dt), share)
            if float(_lowest(system, state, np.asarray(self.tol, self.dtype))) < -1:
                return [], when
            saved.append((when, jax.device_get(state)))
        return saved, None

    # --- budgets ------------------------------------------------------------------------------------------------------

    def _held(self) -> dict[str, float]:
        """The amount in each budget, summed over cells in float64 on the host."""
        fields = self.model.budgets.items()
        return {k: sum(float(np.sum(np.asarray(self.u[f]), dtype=float)) for f in members) for k, members in fields}

    def budgets(self) -> dict[str, dict[str, float]]:
        """For RANKL and each binder, in nmol (amounts over the section): held at start and end, what came in, what was lost,
        and the imbalance relative to what passed through."""
        unit = self.problem.section.grid.cell_volume * 1e-15  # nM um3 = 1e-15 nmol
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
_lowest = jax.jit(lambda system, u, tol: system.valid(u, tol)[1])
