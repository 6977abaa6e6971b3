"""simulate(): a problem in, a run file out, with everything said on the way."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import device as devices
from .accounts import Account, account_of
from .errors import InputError
from .output.reader import Run, open_run
from .output.writer import RunWriter, estimate_size
from .problem import ModelProblem, Problem, check_memory, memory_needed
from .progress import Reporter, Silent
from .provenance import collect

if TYPE_CHECKING:
    from .config import Config
    from .course import BoneCourse, PlainCourse
    from .domain.section import Section
    from .simulation import Chunk, Simulation

REPORT_EVERY = 0.2  # s between two words about progress
FLUSH_EVERY = 2.0  # s between two writes of the series
FILE = "run.h5"


def simulate(
    config: str | Path | Config | Problem | ModelProblem,
    *,
    section: Section | np.ndarray | None = None,
    out: str | Path | None = None,
    force: bool = False,
    reporter: Reporter | None = None,
    walltime: float | None = None,
    device: str | None = None,
    precision: str | None = None,
    allow_python: bool = False,
) -> Run:
    """Run one problem and give back the run, open for reading.

    config     a TOML file, what load_config made of one, a Problem, or a ModelProblem
    section    bone fractions in [0, 1] on the config's spacing, (z, y, x) or (y, x), instead of the config's own section
    out        folder for run.h5 (None: the run is kept in memory)
    force      overwrite a run that is there
    reporter   told what happens (default: nobody)
    walltime   s after which the run stops, keeping what it has (status "stopped")
    device, precision   instead of the config's
    allow_python   execute the Python file that a config's model comes from

    Raises InputError before anything is computed when the input is at fault, RunError when the run cannot go on; what it
    had computed is then in the file. KeyboardInterrupt likewise leaves a whole file.
    """
    from .simulation import Simulation

    tell = reporter or Silent()
    problem = _problem(config, section, device, precision, tell, allow_python)
    account = account_of(problem)
    path = None if out is None else Path(out) / FILE
    if path is not None and path.exists() and not force:
        raise InputError(f"{path} exists already. Choose another folder with --out, or overwrite it with --force.")
    with devices.on(problem.solver.device) as name:
        free = devices.free_memory(problem.solver.device)
        check_memory(problem.grid.cells, len(account.fields), problem.solver.precision, free)
        for topic, text in describe(problem):
            tell.say(topic, text)
        began = time.perf_counter()
        course = account.course()  # before the file is touched: a baseline that is not found costs no earlier run
        simulation = Simulation(problem, course)
        with _writer(problem, account, path, force, name, simulation) as writer:
            tell.say("output", f"{path or 'in memory'}, {len(problem.save)} times, at most {_bytes(_file_size(problem, account))}")
            if problem.solver.integrator == "auto":
                tell.say("solver", f"{simulation.integrator.name}, {simulation.why}")
            for topic, text in account.begun(course):
                tell.say(topic, text)
            _Running(problem, account, writer, tell, began, walltime).go(simulation, course)
    return open_run(path) if path is not None else Run(writer.file)


def describe(problem: Problem | ModelProblem) -> list[tuple[str, str]]:
    """What a problem was understood to be: (topic, text) lines."""
    s, account = problem.solver, account_of(problem)
    return [
        ("section", f"{account.record.get('kind', '')} {account.where}".strip()),
        *account.describe(),
        ("solver", f"{s.integrator}, {s.precision}, tolerance {s.tolerance:g}, {s.device}"),
    ]


def forecast(problem: Problem | ModelProblem) -> list[tuple[str, str]]:
    """What a run would take, before it is started: (topic, text) lines."""
    account, cells = account_of(problem), problem.grid.cells
    free = devices.free_memory("cpu") if problem.solver.device == "cpu" else None
    left = "" if free is None else f" of {_bytes(free)} free"
    needed = memory_needed(cells, len(account.fields), problem.solver.precision)
    lines = [
        ("cells", f"{cells:,}, {int(account.active.sum()):,} of them solved"),
        ("memory", f"about {_bytes(needed)}{left}"),
        ("file", f"{len(problem.save)} saved times, at most {_bytes(_file_size(problem, account))}"),
    ]
    with devices.on(problem.solver.device):
        return lines + account.work()


def solver_report(problem: Problem | ModelProblem) -> list[tuple[str, str]]:
    """How the multigrid converges on this section, from its start: V-cycles are run on a stage of a step of 1 d."""
    import jax.numpy as jnp

    from .integrators.trbdf2 import GAMMA

    account = account_of(problem)
    with devices.on(problem.solver.device):
        course = account.course()
        system = course.between(0.0, course.events[0])
        found = system.contraction(jnp.zeros(()), course.u, jnp.asarray(1 / GAMMA, course.dtype))
        cycles = {g.name: g.cycles for g in course.model.groups}
    rows = account.begun(course)
    for name, factors in found.items():
        used = float(np.prod(factors[: cycles[name]])) ** (1 / cycles[name])
        rows.append(
            (
                "multigrid",
                f"{name}: {used:.2f} a V-cycle over the {cycles[name]} of a solve; cycle by cycle {' '.join(f'{x:.2f}' for x in factors)}",
            )
        )
    return rows


def check_start(problem: Problem | ModelProblem, device: str | None = None) -> None:
    """Raises InputError for what is seen only where a run begins: the run it goes on from, and the rates of a model of one's own."""
    with devices.on(device or problem.solver.device):
        account_of(problem).check()


def _file_size(problem: Problem | ModelProblem, account: Account) -> int:
    return estimate_size(problem.grid, account.fields, len(problem.save), problem.solver.precision, problem.output)


def _bytes(n: int) -> str:
    return f"{n / 1e9:.3g} GB" if n >= 1e9 else f"{n / 1e6:.3g} MB"


def _problem(
    config: Any, section: Any, device: str | None, precision: str | None, tell: Reporter, allow_python: bool
) -> Problem | ModelProblem:
    if isinstance(config, (Problem, ModelProblem)):
        if section is not None:
            raise InputError("simulate: a problem brings its own section; give section= with a config.")
        problem = config
    else:
        from .config import load_config

        config = load_config(config, allow_python=allow_python) if isinstance(config, (str, Path)) else config
        for warning in config.warnings:
            tell.warn(warning)
        problem = config.problem(section)
    solver = problem.solver
    if device is not None:
        solver = replace(solver, device=device)
    if precision is not None:
        if precision not in ("float32", "float64"):
            raise InputError(f'precision is "{precision}". Allowed: "float32", "float64".')
        solver = replace(solver, precision=precision)
    return replace(problem, solver=solver)


def _writer(
    problem: Problem | ModelProblem, account: Account, path: Path | None, force: bool, device: str, simulation: Simulation
) -> RunWriter:
    meta = collect(device, problem.solver.precision, account.record.get("seed")) | {
        "config": problem.config,
        "section": dict(account.record),
        "integrator": simulation.integrator.name,
        "integrator_choice": simulation.why,
        "tolerance": problem.solver.tolerance,
    }
    return RunWriter(
        path,
        problem.grid,
        account.fields,
        simulation.model.series,
        active=account.active,
        dtype=problem.solver.precision,
        selection=problem.output,
        meta=meta | account.meta(),
        title=problem.title,
        overwrite=force,
    )


class _Running:
    """A run under way: what the simulation gives goes to the file and to the reporter."""

    def __init__(
        self,
        problem: Problem | ModelProblem,
        account: Account,
        writer: RunWriter,
        tell: Reporter,
        began: float,
        walltime: float | None,
    ) -> None:
        self.problem, self.account, self.writer, self.tell, self.began = problem, account, writer, tell, began
        self.deadline = float("inf") if walltime is None else began + walltime
        self.rows: list[dict[str, float]] = []
        self.flushed = self.reported = time.perf_counter()
        self.first: dict[str, float] = {}

    def go(self, simulation: Simulation, course: BoneCourse | PlainCourse) -> None:
        self.writer.set_reference(course.reference)
        try:
            stopped = self._advance(simulation)
        except KeyboardInterrupt:
            self._close(simulation, course, "stopped", "interrupted")
            raise
        except Exception as e:
            self._close(simulation, course, "failed", str(e))
            raise
        message = f"walltime reached at {simulation.t:g} d of {self.problem.end:g} d" if stopped else ""
        self._close(simulation, course, "stopped" if stopped else "finished", message)
        self._say_done(simulation, message)

    def _advance(self, simulation: Simulation) -> bool:
        """Until the end, or the wall time: then True."""
        for chunk in simulation.chunks():
            self._keep(chunk)
            now = time.perf_counter()
            if now - self.reported > REPORT_EVERY:
                self.reported = now
                self.tell.progress(chunk.t, self.problem.end, chunk.dt, simulation.totals.solves, simulation.totals.seconds)
            if now > self.deadline and chunk.t < self.problem.end:
                return True
        return False

    def _keep(self, chunk: Chunk) -> None:
        row = {"time": chunk.t, **chunk.observed}
        self.first = self.first or row
        self.account.watch(row)
        self.rows.append(row)
        for when, fields in chunk.saved:
            self.writer.append(when, fields)
        if chunk.saved or time.perf_counter() - self.flushed > FLUSH_EVERY:
            self._flush()

    def _flush(self) -> None:
        if self.rows:
            self.writer.append_series({k: np.array([r[k] for r in self.rows]) for k in self.rows[0]})
            self.last, self.rows = self.rows[-1], []
        self.flushed = time.perf_counter()

    def _close(self, simulation: Simulation, course: BoneCourse | PlainCourse, status: Any, message: str) -> None:
        self._flush()
        beside = self.account.state(course, simulation.t)
        self.writer.set_state({k: np.asarray(v) for k, v in simulation.u.items()}, {"time": simulation.t, **beside})
        for name, value in self.account.noted(course).items():
            self.writer.note(name, value)
        totals, budgets = simulation.totals, simulation.budgets()
        self.writer.finish(
            status,
            message,
            {
                "steps": totals.steps,
                "rejected": totals.rejected,
                "stage_solves": totals.solves,
                "worst_contraction": totals.contraction,
                **self.account.summary(course),
                "budgets": budgets,
            },
        )

    def _say_done(self, simulation: Simulation, message: str) -> None:
        t, seconds = simulation.totals, time.perf_counter() - self.began
        topic = "stopped" if message else "done"
        self.tell.say(
            topic,
            f"{message or f'{simulation.t:g} d'} in {seconds:.1f} s ({self.account.preparing} {seconds - t.seconds + t.first:.1f} s): "
            f"{t.steps} steps, {t.rejected} rejected, {t.solves} solves",
        )
        worst = max((abs(b["imbalance"]) for b in simulation.budgets().values()), default=None)
        closing = "" if worst is None else f"; budgets close to {worst:.0e}"
        self.tell.say("", f"{self.account.headline(self.first, self.last)}{closing}")
