"""A run from its problem to its file: `simulate` starts a run, `resume` continues one."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..output.reader import Run, open_run
from ..output.writer import RunWriter, check_folder
from ..parallel import device as devices
from ..parallel.batching import width
from ..problem import ModelProblem, Problem
from ..problem.solver import LEAST_TOLERANCE
from ..simulation.scenario import resumed_scenario, scenario_of
from ..simulation.time_loop import Simulation
from ..utils import checks, locks
from ..utils.home import at_home
from ..utils.memory import check_memory, enough_memory
from ..utils.path_kinds import RUN as FILE
from ..utils.path_kinds import run_file
from ..utils.provenance import collect
from ..utils.reporting import LoggingReporter, Reporter, byte_size
from ..utils.safe_files import Damaged, reading
from ..utils.signals import Stop
from . import checkpoint as checkpoints
from . import checkpoint_file
from .check import describe, expected_file_size, run_size
from .session import CHECKPOINT_EVERY, Limits, Session
from .summary import RunSummary, summary_of
from .timing import Timer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.config import Config
    from ..geometry.section import Section


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
    checkpoint: float = CHECKPOINT_EVERY,
    stop: Stop | None = None,
) -> Run:
    """Run one problem. Return the run, open for reading.

    config     a TOML file, the result of load_config, a Problem, or a ModelProblem
    section    bone fractions in [0, 1] on the config's spacing, (z, y, x) or (y, x), instead of its section
    out        folder for run.h5 (None: the run is kept in memory)
    force      overwrite an existing run
    reporter   receives messages (default: the standard logging, logger "rdsolver")
    walltime   s after which the run stops and keeps its results so far (status "stopped")
    device, precision   instead of the config's
    allow_python   execute the Python file that a config's model comes from
    checkpoint     s between two checkpoints beside run.h5
    stop           asked between the stages of a step whether to stop (utils.signals.Signals)

    Raises InputError before anything is computed when the input is wrong, and RunError when the run cannot
    continue; the results so far are then in the file. KeyboardInterrupt likewise leaves an intact file.
    """
    limits = Limits(float("inf") if walltime is None else walltime, checkpoint, stop or Stop())
    reporter = reporter or LoggingReporter()
    problem = _problem(config, section, device, precision, allow_python)
    summary = summary_of(problem)
    path = None if out is None else at_home(out) / FILE
    if path is not None and path.exists() and not force:
        raise InputError(
            f"{path} exists already. Choose another folder with --out, or overwrite it with --force."
        )
    size = run_size(problem, summary)
    with devices.on(problem.solver.device) as name, enough_memory(*size):
        check_memory(*size, devices.free_memory(problem.solver.device))
        if path is not None:
            check_folder(path)
        for text in problem.warnings:
            reporter.warn(text)
        for topic, text in describe(problem):
            reporter.say(topic, text)
        timer = Timer()
        # before the file is changed, so that a baseline that is not found does not destroy an earlier run
        scenario = scenario_of(problem)
        for text in scenario.warnings:
            reporter.warn(text)
        simulation = Simulation(problem, scenario)
        run_id = uuid.uuid4().hex
        with _writer(problem, summary, path, force, name, simulation, run_id) as writer:
            if path is not None:
                checkpoint_file.remove(path)  # remove those of an earlier run
                for text in locks.warnings(path.parent):
                    reporter.warn(text)
                if problem.section is not None and problem.section.of_file:
                    writer.set_section(problem.section)
            reporter.say(
                "output",
                f"{path or 'in memory'}, {len(problem.save)} times, at most"
                f" {byte_size(expected_file_size(problem, summary))}",
            )
            if problem.solver.integrator == "auto":
                reporter.say("solver", f"{simulation.integrator.name}, {simulation.why}")
            for topic, text in summary.opening(scenario):
                reporter.say(topic, text)
            session = Session(problem, summary, writer, reporter, limits, run_id, fingerprint(problem), timer)
            session.run(simulation)
    return open_run(path) if path is not None else Run(writer.file)


def resume(
    run: str | Path,
    problem: Problem | ModelProblem | None = None,
    *,
    reporter: Reporter | None = None,
    walltime: float | None = None,
    device: str | None = None,
    allow_python: bool = False,
    checkpoint: float = CHECKPOINT_EVERY,
    stop: Stop | None = None,
    moved: Sequence[str] = (),
) -> Run:
    """Continue a run that was stopped, killed or failed, from its last checkpoint; a finished run is returned
    as it is.

    run      run.h5 or its folder; the part of it after the checkpoint is computed again
    problem  the problem of the run, if it was made in Python and the file cannot make it again
    moved    "section.image=FILE": the present place of a file of its config. A run on an image keeps its
             section and needs none of them; a run that an older rdsolver wrote may

    The other arguments are those of simulate. Raises InputError when the checkpoint or the problem does not
    belong to the run, or the precision differs; another device or version gives a warning.
    """
    if problem is not None:
        checks.kind("resume: problem", problem, (Problem, ModelProblem), "a Problem or a ModelProblem")
    limits = Limits(float("inf") if walltime is None else walltime, checkpoint, stop or Stop())
    reporter, path = reporter or LoggingReporter(), run_file(at_home(run))
    if not path.exists() and any(p.exists() for p in checkpoint_file.files(path)):
        raise InputError(
            f"{path} is gone, and its checkpoint alone is not enough to continue: the saved fields were in"
            " it. Run it again"
            " from its config."
        )
    before = open_run(path, live=True)
    if before.status == "finished":
        reporter.say("finished", f"{path} is finished already; there is nothing to resume")
        return before
    with before, reading(path):
        then, reference = before.provenance, before.reference
        found, wrong = checkpoints.load(path, then.get("run_id", ""))
        problem = problem or problem_of(before, allow_python, moved)
        solver = replace(problem.solver, device=device or then["device"].split(" ")[0])
        list(checkpoints.differences(then, then))  # raises if an entry that is compared below is missing
        began, warned = [*then.get("resumed", [])], [*then.get("warnings", [])]
    problem = replace(problem, solver=solver)
    summary = summary_of(problem)
    with devices.on(solver.device) as name, enough_memory(*run_size(problem, summary)):
        now = collect(name, solver.precision, summary.record.get("seed")) | {"width": width()}
        wrong += [f"not bit for bit: {text}" for text in checkpoints.differences(then, now)]
        for text in wrong:
            reporter.warn(text)
        if fingerprint(problem) != found.fingerprint:
            raise InputError(
                f"{path} began with something else: the section, a parameter or the scenario of the run"
                " differs."
            )
        with reading(f"the checkpoint of {path}"), enough_memory(*run_size(problem, summary)):
            timer = Timer(found.seconds)
            scenario = resumed_scenario(problem, dict(found.simulation.lane.u), reference)
            simulation = Simulation(problem, scenario, found.simulation)
            summary.load_state(found.summary)
        size = {"times": found.times, "rows": found.rows, "spent": found.wall_time}
        with RunWriter.reopened(
            path, problem.grid, active=summary.active, selection=problem.output, **size
        ) as writer:
            session_note = {
                "time": simulation.t,
                **{
                    k: now[k]
                    for k in ("started", "command", "device", "cpu", "threads", "versions", "git_commit")
                },
            }
            for text in locks.warnings(path.parent):
                reporter.warn(text)
            writer.note("resumed", [*began, session_note])
            writer.note("warnings", list(dict.fromkeys([*warned, *wrong])))
            reporter.say("resume", f"{path} from {simulation.t:g} d of {problem.end:g} d")
            session = Session(
                problem, summary, writer, reporter, limits, found.run_id, found.fingerprint, timer, found
            )
            session.run(simulation)
    return open_run(path)


def carry_on(
    problem: Problem | ModelProblem, out: Path, exists: bool, *, force: bool = False, **more: Any
) -> Run:
    """Resume the run that exists in the folder `out`, or start it there; other arguments as for simulate."""
    return resume(out, problem, **more) if exists else simulate(problem, out=out, force=force, **more)


def _setups(problem: Problem) -> str:
    """A text of everything that components depend on beside parameters."""
    return "; ".join(part.setup for part in problem.components if part.setup) or repr(None)


def fingerprint(problem: Problem | ModelProblem) -> str:
    """The SHA-256 hash of everything that determines a run except its start.

    These are the section, parameters, scenario, times and solver.
    """
    p, digest = problem, sha256()
    bone = isinstance(p, Problem)
    arrays = (
        {"bone": p.section.bone, "active": p.section.active}
        if bone
        else {**p.arrays, "active": p.mask, "medium": p.medium}
    )
    named = {
        "parameters": dict(sorted(p.parameters.items())),
        "course": [
            repr(p.changes),
            repr(p.borders),
            *((repr(p.doses), repr(p.treatments), _setups(p)) if bone else ()),
        ],
        "grid": repr(p.grid),
        "times": [p.end, *p.save],
        "solver": [
            p.solver.tolerance,
            p.solver.precision,
            *([p.solver.longest_step] if p.solver.longest_step else []),
        ],
        "output": repr(p.output),
        "source": p.source.hash if p.source else "",
    }
    digest.update(json.dumps(named).encode())
    for name, array in sorted(arrays.items()):
        digest.update(name.encode() + (b"" if array is None else np.ascontiguousarray(array).tobytes()))
    return digest.hexdigest()


def begun(path: Path) -> bool:
    """True if a run file holds more than a start that was cut off, so that it can be continued or is
    finished.
    """
    if not path.exists():
        return False
    with open_run(path, live=True) as run:
        return (
            run.status == "finished"
            or len(run.series["time"]) > 1
            or any(p.exists() for p in checkpoint_file.files(path))
        )


def problem_of(run: Run, allow_python: bool = False, moved: Sequence[str] = ()) -> Problem | ModelProblem:
    """The problem that a run file was made from, in the precision of the run, on the section that it kept.

    moved: "section.image=FILE", the present place of a file of its config. Raises InputError when the section
    came from Python, or when a file that is needed is missing or differs.
    """
    from ..config.load import config_of

    with reading(run.path):
        problem = config_of(run, allow_python, moved).problem(kept=run.section)
        precision = run.provenance["precision"]
        if precision not in LEAST_TOLERANCE:
            raise Damaged(f"{run.path} is damaged: its precision is {precision!r}.")
        return replace(problem, solver=replace(problem.solver, precision=precision))


def _problem(
    config: Any, section: Any, device: str | None, precision: str | None, allow_python: bool
) -> Problem | ModelProblem:
    if isinstance(config, (Problem, ModelProblem)):
        if section is not None:
            raise InputError("simulate: a problem already has a section; give section= with a config only.")
        problem = config
    else:
        from ..config.config import Config
        from ..config.load import load_config

        config = load_config(config, allow_python=allow_python) if isinstance(config, (str, Path)) else config
        problem = checks.kind(
            "simulate: config", config, Config, "a config's path, a Config, a Problem or a ModelProblem"
        ).problem(section)
    solver = problem.solver
    if device is not None:
        solver = replace(solver, device=device)
    if precision is not None:
        solver = replace(solver, precision=precision)
    return replace(problem, solver=solver)


def _writer(
    problem: Problem | ModelProblem,
    summary: RunSummary,
    path: Path | None,
    force: bool,
    device: str,
    simulation: Simulation,
    run_id: str,
) -> RunWriter:
    meta = collect(device, problem.solver.precision, summary.record.get("seed")) | {
        "config": problem.config,
        "run_id": run_id,
        "width": width(),
        "section": dict(summary.record),
        "integrator": simulation.integrator.name,
        "integrator_choice": simulation.why,
        "tolerance": problem.solver.tolerance,
        "warnings": [*problem.warnings, *simulation.scenario.warnings],
    }
    return RunWriter(
        path,
        problem.grid,
        summary.fields,
        simulation.model.series,
        at_saved=[o.series for o in simulation.model.observers if o.where == "host"],
        active=summary.active,
        dtype=problem.solver.precision,
        selection=problem.output,
        meta=meta | summary.metadata(),
        title=problem.title,
        overwrite=force,
    )
