"""The commands of a single run: run, resume, check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from ..utils.path_kinds import RUN, run_file
from . import completion
from .app import load, print_json
from .options import AsJson, Checkpoint, Overrides, Python, Quiet, Walltime
from .terminal_run import attended, check_free, not_begun, run_folders, seconds

if TYPE_CHECKING:
    from ..output.reader import Run
    from ..utils.reporting import Reporter
    from ..utils.signals import Stop


def run(
    configs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="CONFIG...", help="Config files (TOML). All are checked before the first one runs."
        ),
    ] = None,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Output folder (default: outputs/<config name>).")] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="cpu, gpu, or one GPU of several, such as gpu:1.", autocompletion=completion.devices
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="float32 or float64; overrides the config.", autocompletion=completion.precisions),
    ] = None,
    walltime: Walltime = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing run.")] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--resume-if-exists", help="Continue an existing run; a finished one is left unchanged."
        ),
    ] = False,
    checkpoint: Checkpoint = "10 min",
    repeated: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="RUN", help="Repeat this run from its run file, instead of reading a config."
        ),
    ] = None,
    quiet: Quiet = False,
    allow_python: Python = False,
) -> None:
    """Run one or more configs, one after another."""
    if bool(configs) == bool(repeated):
        raise InputError("rdsolver run takes CONFIG..., or --from RUN alone: that repeats a run as it was.")
    with not_begun():
        limits = {
            "walltime": seconds(walltime, "--walltime"),
            "checkpoint": seconds(checkpoint, "--checkpoint"),
        }
        names = [Path(f"{run_file(repeated).absolute().parent.name}.toml")] if repeated else configs or []
        folders = run_folders(names, out)
        loaded = [
            load(path, [*(overrides or []), *_precision(precision)], allow_python) for path in configs or []
        ]

        from ..output.writer import check_folder
        from ..runs.check import check_start
        from ..runs.run import begun, carry_on, problem_of

        problems = [config.problem() for config in loaded]
        if repeated:
            from ..output.reader import open_run

            with open_run(run_file(repeated)) as earlier:
                problems = [problem_of(earlier, allow_python, overrides or ())]
        there = [again and begun(folder / RUN) for folder in folders]
        for problem, exists in zip(problems, there, strict=True):
            if not exists:
                check_start(problem, device)
        if not (force or again):
            check_free(folders)
        for folder in folders:
            check_folder(folder / RUN)

    for i, (problem, folder, exists) in enumerate(zip(problems, folders, there, strict=True)):

        def go(reporter: Reporter, stop: Stop, problem=problem, folder=folder, exists=exists) -> Run:
            more = {"reporter": reporter, "device": device, "stop": stop, **limits}
            return carry_on(problem, folder, exists, force=force or again, **more)

        attended(folder, go, exists, quiet, folders[i + 1 :])


def resume_command(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="run.h5 or its folder.")],
    device: Annotated[
        str | None,
        typer.Option(
            help="cpu, gpu, or one GPU of several, such as gpu:1 (default: the device of the run).",
            autocompletion=completion.devices,
        ),
    ] = None,
    walltime: Walltime = None,
    checkpoint: Checkpoint = "10 min",
    moved: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=FILE",
            help='New location of a file that was moved, e.g. "section.image=scan.tif".',
        ),
    ] = None,
    quiet: Quiet = False,
    allow_python: Python = False,
) -> None:
    """Continue a run that was stopped, killed or failed, from its last checkpoint."""
    limits = {"walltime": seconds(walltime, "--walltime"), "checkpoint": seconds(checkpoint, "--checkpoint")}

    with not_begun():
        from ..runs.run import resume

    def go(reporter: Reporter, stop: Stop) -> Run:
        return resume(
            path,
            device=device,
            reporter=reporter,
            stop=stop,
            allow_python=allow_python,
            moved=moved or (),
            **limits,
        )

    attended(run_file(path).parent, go, True, quiet)


def check(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file that describes the run.")],
    overrides: Overrides = None,
    solver: Annotated[
        bool,
        typer.Option(
            "--solver",
            help="Also compute the healthy steady state and measure how fast the multigrid converges.",
        ),
    ] = False,
    as_json: AsJson = False,
    allow_python: Python = False,
) -> None:
    """Check a config: show how it was understood and what the run would cost. Nothing is run or written."""
    loaded = load(config, overrides, allow_python)
    problem = loaded.problem()

    from ..runs.check import as_plain, check_start, describe, forecast, solver_report
    from ..utils.reporting import on_terminal

    unusual = check_start(problem)
    reporter = on_terminal(quiet=as_json)
    warnings = [*loaded.warnings, *unusual]
    for warning in warnings:
        reporter.warn(warning)
    if as_json:
        told = [*describe(problem), *forecast(problem), *(solver_report(problem) if solver else ())]
        units = {"units": {name: row.unit for name, row in loaded.rows.items()}}
        lines = [{"topic": topic, "text": text} for topic, text in told]
        print_json(
            {"config": str(config), "warnings": warnings, **as_plain(problem), **units, "lines": lines}
        )
        return
    for topic, text in [*describe(problem), *forecast(problem)]:
        reporter.say(topic, text)
    for c in problem.changes:
        reporter.say(
            "change",
            f"{c.parameter} x {c.factor:g} from {c.start:g}"
            f" d{'' if c.end == float('inf') else f' until {c.end:g} d'}",
        )
    for name in loaded.model.parameters:
        unit = loaded.rows[name].unit
        reporter.say("parameter", f"{name} = {problem.parameters[name]:g}{'' if unit == '1' else ' ' + unit}")
    for topic, text in solver_report(problem) if solver else ():
        reporter.say(topic, text)


def _precision(precision: str | None) -> list[str]:
    return [] if precision is None else [f"solver.precision={precision}"]
