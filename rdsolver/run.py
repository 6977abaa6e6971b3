"""simulate(): a problem in, a run file out, with everything said on the way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import device as devices
from .course import model_of
from .errors import InputError
from .models.base import Field
from .models.bone.pharmacokinetics import BISPHOSPHONATE, Dose
from .output.reader import Run, open_run
from .output.writer import RunWriter, estimate_size
from .problem import Problem, check_memory, describe_doses, memory_needed
from .progress import Reporter, Silent
from .provenance import collect

if TYPE_CHECKING:
    from .config import Config
    from .course import BoneCourse
    from .domain.section import Section
    from .simulation import Chunk, Simulation

REPORT_EVERY = 0.2  # s between two words about progress
FLUSH_EVERY = 2.0  # s between two writes of the series
FILE = "run.h5"
SOLVES_AT_START, SOLVES_A_JUMP = 40, 150  # stage solves measured: 172 with one dose, 684 with four in a year


def simulate(
    config: str | Path | Config | Problem,
    *,
    section: Section | np.ndarray | None = None,
    out: str | Path | None = None,
    force: bool = False,
    reporter: Reporter | None = None,
    walltime: float | None = None,
    device: str | None = None,
    precision: str | None = None,
) -> Run:
    """Run one problem and give back the run, open for reading.

    config     a TOML file, what load_config made of one, or a Problem
    section    bone fractions in [0, 1] on the config's spacing, (z, y, x) or (y, x), instead of the config's own section
    out        folder for run.h5 (None: the run is kept in memory)
    force      overwrite a run that is there
    reporter   told what happens (default: nobody)
    walltime   s after which the run stops, keeping what it has (status "stopped")
    device, precision   instead of the config's

    Raises InputError before anything is computed when the input is at fault, RunError when the run cannot go on; what it
    had computed is then in the file. KeyboardInterrupt likewise leaves a whole file.
    """
    from .course import BoneCourse
    from .simulation import Simulation

    tell = reporter or Silent()
    problem = _problem(config, section, device, precision, tell)
    initial = read_initial(problem)
    path = None if out is None else Path(out) / FILE
    if path is not None and path.exists() and not force:
        raise InputError(f"{path} exists already. Choose another folder with --out, or overwrite it with --force.")
    with devices.on(problem.solver.device) as name:
        free = devices.free_memory(problem.solver.device)
        check_memory(problem.section.grid.cells, len(_fields(problem)), problem.solver.precision, free)
        for topic, text in describe(problem):
            tell.say(topic, text)
        began = time.perf_counter()
        course = BoneCourse(problem, initial)  # before the file is touched: a baseline that is not found costs no earlier run
        simulation, cycles = Simulation(problem, course), course.baseline_cycles
        with _writer(problem, path, force, name, simulation) as writer:
            tell.say("output", f"{path or 'in memory'}, {len(problem.save)} times, at most {_bytes(_file_size(problem))}")
            if problem.solver.integrator == "auto":
                tell.say("solver", f"{simulation.integrator.name}, {simulation.why}")
            tell.say("baseline", f"found in {cycles} V-cycles" if cycles else f"from {problem.initial}")
            _Running(problem, writer, tell, began, walltime).go(simulation, course)
    return open_run(path) if path is not None else Run(writer.file)


def describe(problem: Problem) -> list[tuple[str, str]]:
    """What a problem was understood to be: (topic, text) lines."""
    s = problem.solver
    kind = problem.section.record.get("kind", "")
    doses = describe_doses(problem) or "no drug"
    return [
        ("section", f"{kind} {problem.section.describe()}".strip()),
        ("model", f"bone ({problem.preset}): {len(_fields(problem))} fields; {doses}"),
        *(() if problem.tumour is None else (("tumour", problem.tumour.describe()),)),
        ("solver", f"{s.integrator}, {s.precision}, tolerance {s.tolerance:g}, {s.device}"),
    ]


def forecast(problem: Problem) -> list[tuple[str, str]]:
    """What a run would take, before it is started: (topic, text) lines."""
    grid, p = problem.section.grid, problem.parameters
    fields, precision = len(_fields(problem)), problem.solver.precision
    fastest = 4 * p["rankl_diffusivity"] * sum(1 / h**2 for h in grid.spacing)
    slowest = p["turnover_speed"] * p["surface_reference"]
    jumps = len({d.time for d in problem.doses} | {t for c in problem.changes for t in (c.start, c.end) if t < problem.end})
    free = devices.free_memory("cpu") if problem.solver.device == "cpu" else None
    left = "" if free is None else f" of {_bytes(free)} free"
    return [
        ("cells", f"{grid.cells:,}, {int(problem.section.active.sum()):,} of them in the field of view"),
        ("memory", f"about {_bytes(memory_needed(grid.cells, fields, precision))}{left}"),
        ("file", f"{len(problem.save)} saved times, at most {_bytes(_file_size(problem))}"),
        (
            "stiffness",
            f"{fastest:.2g} /d (diffusion across a cell) to {slowest:.2g} /d (bone turnover): a ratio of {fastest / slowest:.0e}",
        ),
        (
            "work",
            f"about {SOLVES_AT_START + SOLVES_A_JUMP * jumps} stage solves of {grid.cells * fields:,} unknowns (tr-bdf2, tolerance 1e-3)",
        ),
    ]


def solver_report(problem: Problem) -> list[tuple[str, str]]:
    """How the multigrid converges on this section: its baseline is found, then V-cycles are run on a stage of a step of 1 d."""
    import jax.numpy as jnp

    from .course import BoneCourse
    from .integrators.trbdf2 import GAMMA

    with devices.on(problem.solver.device):
        course = BoneCourse(problem)
        system = course.between(0.0, course.events[0])
        found = system.contraction(jnp.zeros(()), course.u, jnp.asarray(1 / GAMMA, course.dtype))
        cycles = {g.name: g.cycles for g in course.model.groups}
    rows = [("baseline", f"found in {course.baseline_cycles} V-cycles")]
    for name, factors in found.items():
        used = float(np.prod(factors[: cycles[name]])) ** (1 / cycles[name])
        rows.append(
            (
                "multigrid",
                f"{name}: {used:.2f} a V-cycle over the {cycles[name]} of a solve; cycle by cycle {' '.join(f'{x:.2f}' for x in factors)}",
            )
        )
    return rows


def _fields(problem: Problem) -> tuple[Field, ...]:
    return model_of(problem).fields(problem.parameters)


def _file_size(problem: Problem) -> int:
    return estimate_size(problem.section.grid, _fields(problem), len(problem.save), problem.solver.precision, problem.output)


def _bytes(n: int) -> str:
    return f"{n / 1e9:.3g} GB" if n >= 1e9 else f"{n / 1e6:.3g} MB"


def _problem(config: Any, section: Any, device: str | None, precision: str | None, tell: Reporter) -> Problem:
    if isinstance(config, Problem):
        if section is not None:
            raise InputError("simulate: a Problem brings its own section; give section= with a config.")
        problem = config
    else:
        from .config import load_config

        config = load_config(config) if isinstance(config, (str, Path)) else config
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


def read_initial(problem: Problem) -> dict[str, Any] | None:
    """State, reference and plasma of the run that this one goes on from, checked against the problem."""
    if problem.initial is None:
        return None
    with open_run(problem.initial) as run:
        state, reference = run.state, run.reference
    where = f"initial.from: {problem.initial}"
    if not state:
        raise InputError(f"{where} holds no state to go on from: the run did not come to an end. Take a finished run.")
    names = {f.name for f in _fields(problem)}
    fields = {k: v for k, v in state.items() if np.ndim(v) == problem.section.grid.ndim}
    if reference["bone"].shape != problem.section.grid.shape or not np.allclose(
        reference["bone"], problem.section.bone * problem.section.active, atol=1e-6
    ):
        raise InputError(
            f"{where} was made on another section (its grid is {reference['bone'].shape}, this one's {problem.section.grid.shape}; "
            "where they agree, the bone differs). "
            "A run goes on only on the section it started with: repeat its [section]."
        )
    missing = sorted(k for k in fields if k not in names and np.any(fields[k] != 0))
    if missing:
        raise InputError(
            f"{where} holds {', '.join(missing)}, which this run's model does not have. "
            "Declare the drug, so that it is not lost: [[agent]] with its name and like."
        )
    plasma = {k.removeprefix("plasma_"): v for k, v in state.items() if k.startswith("plasma_")}
    found = {"state": fields, "reference": reference, "plasma": {k: v for k, v in plasma.items() if k in names or k == BISPHOSPHONATE}}
    return found | ({"serum_calcium": float(state["serum_calcium"])} if "serum_calcium" in state else {})


def _writer(problem: Problem, path: Path | None, force: bool, device: str, simulation: Simulation) -> RunWriter:
    section, values = problem.section, problem.parameters
    table = [
        {
            "name": p.name,
            "value": values[p.name],
            "unit": p.unit,
            "meaning": p.meaning,
            "symbol": p.symbol,
            "source": p.source,
            "mark": p.mark,
        }
        for p in problem.rows
    ]
    meta = collect(device, problem.solver.precision, section.record.get("seed")) | {
        "config": problem.config,
        "parameters": table,
        "section": section.record,
        "integrator": simulation.integrator.name,
        "integrator_choice": simulation.why,
        "tolerance": problem.solver.tolerance,
        "doses": _doses(problem.doses),
        "agents": [{"name": a.name, "like": a.like, "label": a.label} for a in problem.agents],
    }
    return RunWriter(
        path,
        section.grid,
        _fields(problem),
        simulation.model.series,
        active=section.active,
        dtype=problem.solver.precision,
        selection=problem.output,
        meta=meta,
        title=problem.title,
        overwrite=force,
    )


def _doses(doses: Sequence[Dose]) -> list[dict[str, Any]]:
    return [{"agent": d.agent, "amount": d.amount, "route": d.route, "time": d.time} for d in doses]


class _Running:
    """A run under way: what the simulation gives goes to the file and to the reporter."""

    def __init__(self, problem: Problem, writer: RunWriter, tell: Reporter, began: float, walltime: float | None) -> None:
        self.problem, self.writer, self.tell, self.began = problem, writer, tell, began
        self.deadline = float("inf") if walltime is None else began + walltime
        self.rows: list[dict[str, float]] = []
        self.flushed = self.reported = time.perf_counter()
        self.first: dict[str, float] = {}
        self.nadir: tuple[float, float] = (0.0, np.inf)

    def go(self, simulation: Simulation, course: BoneCourse) -> None:
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
        if row["ntx"] < self.nadir[1]:
            self.nadir = (chunk.t, row["ntx"])
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

    def _close(self, simulation: Simulation, course: BoneCourse, status: Any, message: str) -> None:
        self._flush()
        plasma = {f"plasma_{k}": p.amounts for k, p in course.plasma_at(simulation.t).items()}
        serum = {"serum_calcium": course.calcium} if self.problem.tumour is not None else {}
        self.writer.set_state({k: np.asarray(v) for k, v in simulation.u.items()}, {"time": simulation.t, **plasma, **serum})
        self.writer.note("doses", _doses(course.doses))  # those that waited for a lesion among them
        totals, budgets = simulation.totals, simulation.budgets()
        self.writer.finish(
            status,
            message,
            {
                "steps": totals.steps,
                "rejected": totals.rejected,
                "stage_solves": totals.solves,
                "baseline_v_cycles": course.baseline_cycles,
                "worst_contraction": totals.contraction,
                "ntx_nadir": self.nadir[1],
                "ntx_nadir_time": self.nadir[0],
                "budgets": budgets,
            },
        )

    def _say_done(self, simulation: Simulation, message: str) -> None:
        t, seconds = simulation.totals, time.perf_counter() - self.began
        first, last = self.first, self.last
        topic = "stopped" if message else "done"
        self.tell.say(
            topic,
            f"{message or f'{simulation.t:g} d'} in {seconds:.1f} s (baseline and compiling {seconds - t.seconds + t.first:.1f} s): "
            f"{t.steps} steps, {t.rejected} rejected, {t.solves} solves",
        )
        worst = max((abs(b["imbalance"]) for b in simulation.budgets().values()), default=None)
        closing = "" if worst is None else f"; budgets close to {worst:.0e}"
        self.tell.say(
            "",
            f"NTX {first['ntx']:.2f} -> {self.nadir[1]:.2f} (day {self.nadir[0]:.3g}) -> {last['ntx']:.2f}, "
            f"osteoclasts {first['osteoclast_number']:.3g} -> {last['osteoclast_number']:.3g} per mm3, "
            f"BV/TV {first['bone_volume_fraction']:.3f} -> {last['bone_volume_fraction']:.3f}{closing}",
        )
