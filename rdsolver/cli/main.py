"""The commands. Each reads its input, calls the library and prints the result.

Nothing heavy is imported before it is needed, so that help and errors appear at once.
"""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from ..errors import STDOUT, InputError, RdsolverError, RunError, writing
from ..utils.path_kinds import RUN, run_file
from . import completion
from .app import App, AsJson, JsonFile, Quiet, print_json, speaker, write_json
from .plot import register
from .sweep import sweeps
from .terminal_run import attended, check_free, not_begun, run_folders, seconds

if TYPE_CHECKING:
    from ..config.config import Config
    from ..models.base import Parameter
    from ..output.reader import Run
    from ..utils.reporting import Reporter
    from ..utils.signals import Stop


class Commands(TyperGroup):
    """Prints rdsolver's own errors as a paragraph on stderr and exits with their status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except RdsolverError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(error.exit_status) from None
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(128 + signal.SIGINT) from None
        except (ValueError, ImportError) as error:
            from ..parallel.device import refused

            if (told := refused(error)) is None:
                raise
            typer.echo(str(told), err=True)
            raise typer.Exit(told.exit_status) from None
        except MemoryError as error:
            typer.echo(
                f"There is not enough memory for this: {error or 'no array named'}. Use a smaller section or"
                " image.",
                err=True,
            )
            raise typer.Exit(RunError.exit_status) from None


app = App(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Simulate how RANKL, OPG and RANK-Fc diffuse and react in bone, how osteoclasts respond, and how bone"
        " is lost or gained. Start with: rdsolver example"
    ),
)

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help='Change one key, e.g. "dose.0.amount=1 mg/kg".'),
]
Python = Annotated[
    bool, typer.Option("--allow-python", help="Allow the config to execute the Python file of its model.")
]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Number of runs at the same time (default: one per core).")
]
Walltime = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Stop after this time and keep the results so far: 8h, 90min, or 08:00:00 as in Slurm.",
    ),
]
Checkpoint = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="Wall time between checkpoints, from which `rdsolver resume` continues."
    ),
]
Agents = Annotated[
    list[str] | None,
    typer.Option(
        "--agent", metavar="NAME", help="Add the parameters of this drug.", autocompletion=completion.agents
    ),
]


def _version(wanted: bool) -> None:
    if wanted:
        from .._version import __version__

        typer.echo(f"rdsolver {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
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
            _load(path, [*(overrides or []), *_precision(precision)], allow_python) for path in configs or []
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


@app.command("resume")
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


@app.command()
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
    loaded = _load(config, overrides, allow_python)
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


@app.command()
def schema() -> None:
    """Print the JSON schema of a config, for editors that complete and check TOML."""
    import json

    from ..config.json_schema import schema as config_schema

    typer.echo(json.dumps(config_schema(), indent=2, ensure_ascii=False))


@app.command()
def params(
    config: Annotated[
        Path | None,
        typer.Argument(metavar="[CONFIG]", help="Show the parameters of this config, with its values."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Default values: human (default) or mouse.", autocompletion=completion.presets),
    ] = None,
    agents: Agents = None,
    tumour: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Add the parameters of a tumour: metastasis or myeloma.",
            autocompletion=completion.tumours,
        ),
    ] = None,
    bisphosphonate: Annotated[
        bool, typer.Option("--bisphosphonate", help="Add the parameters of a bisphosphonate.")
    ] = False,
    membrane: Annotated[
        bool, typer.Option("--membrane", help="Add the parameters of membrane-bound RANKL.")
    ] = False,
    components: Annotated[
        list[str] | None,
        typer.Option("--component", metavar="NAME", help="Add the parameters of a component. Repeatable."),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a Markdown table, for the documentation.")
    ] = False,
    as_json: AsJson = False,
    allow_python: Python = False,
) -> None:
    """List all parameters with value, unit, meaning, source, mark and plausible range.

    Marks: V = published value, C = computed from V, A = assumption or calibration, U = general knowledge.
    """
    if config is not None:
        given = {
            "--agent": agents,
            "--tumour": tumour,
            "--bisphosphonate": bisphosphonate,
            "--membrane": membrane,
            "--component": components,
            "--preset": preset,
        }
        if others := [option for option, value in given.items() if value]:
            raise InputError(
                f"{config} determines which parameters are shown: leave out {', '.join(others)}, or leave"
                " out the"
                " config."
            )
        loaded = _load(config, None, allow_python)
        found = [(p, loaded.values[name]) for name, p in loaded.rows.items()]
    else:
        preset = preset or "human"
        names = [*(["tumour"] if tumour else []), *(["bisphosphonate"] if bisphosphonate else [])]
        names += [*(["membrane_rankl"] if membrane else []), *(components or [])]
        asked = _parameters(preset, agents or [], tumour, names)
        found = [(p, p.default(preset, tumour or "")) for p in asked]
    if as_json:
        about = ("name", "unit", "meaning", "source", "mark", "low", "high")
        print_json([{"value": value} | {key: getattr(p, key) for key in about} for p, value in found])
        return
    rows = [_row(p, value) for p, value in found]
    if markdown:
        lines = [COLUMNS, ("---",) * len(COLUMNS), *rows]
        typer.echo("\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*COLUMNS, show_edge=False, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 200, markup=False, highlight=False).print(table)


COLUMNS = ("name", "value", "unit", "meaning", "source", "mark", "range")


def _row(p: Parameter, value: float) -> tuple[str, ...]:
    return (p.name, f"{value:.6g}", p.unit, p.meaning, p.source, p.mark, f"{p.low:g} to {p.high:g}")


def _parameters(
    preset: str, agents: Sequence[str], tumour: str | None, components: Sequence[str]
) -> tuple[Parameter, ...]:
    from ..models.bone.binders import LABELS, drug
    from ..models.bone.components import NAMES, component
    from ..models.bone.parameters import PRESETS, TUMOURS, parameters

    asked = [("--preset", preset, PRESETS), *(("--agent", a, LABELS) for a in agents)]
    asked += [("--component", name, NAMES) for name in components]
    for kind, name, allowed in (*asked, *((("--tumour", tumour, TUMOURS),) if tumour else ())):
        if name not in allowed:
            raise InputError(f"{kind} {name} is not known. Allowed: {', '.join(allowed)}.")
    there = (component(name)() for name in NAMES if name in components)
    return parameters(tuple(map(drug, dict.fromkeys(agents))), there)


@app.command()
def info(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="run.h5 or its folder.")],
    followed: Annotated[
        bool, typer.Option("--follow", help="Show the progress of a run until it ends.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a run file contains and how the run went."""
    from ..output.describe import describe, follow, summary
    from ..output.reader import open_run

    for line in follow(run_file(path)) if followed else ():
        typer.echo(line, err=as_json)
    with open_run(run_file(path), live=True) as opened:
        if as_json:
            print_json(summary(opened))
        else:
            typer.echo(describe(opened))


register(app)
app.add_typer(sweeps, name="sweep")


@app.command()
def verify(
    quick: Annotated[
        bool, typer.Option("--quick", help="Run a smaller set of studies, in under a minute.")
    ] = False,
    json_file: JsonFile = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also draw the figures into this folder.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Compare the solver with known solutions: orders of convergence, exact cases, invariants.

    The exit status is 1 if a check fails.
    """
    from ..studies.verification.figures import draw
    from ..studies.verification.run import Table
    from ..studies.verification.run import verify as studies

    say = speaker(quiet, json_file)
    if figures is not None:
        with writing(figures / "exact.png"):  # before minutes are spent
            figures.mkdir(exist_ok=True)
    table = Table(say)
    rows, curves = studies(quick, table)
    table.end()
    write_json(json_file, [row.as_json() for row in rows])
    for path in draw(curves, figures) if figures else ():
        say(str(path))
    if missed := [row for row in rows if row.passed is False]:
        for row in missed if quiet else ():
            typer.echo(f"missed: {row.study}, expected {row.expected}, observed {row.observed:.4g}", err=True)
        raise typer.Exit(1)


@app.command()
def validate(
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Use 64 x 64 cells of 20 um and one seed instead of 128 x 128 of 10 um and two."
        ),
    ] = False,
    json_file: JsonFile = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write the results as an HTML page.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep the runs in this folder, and reuse those already in it (default: runs are not kept).",
        ),
    ] = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Compare the model with published figures, each met or missed.

    The exit status is 1 if one is missed.
    """
    from ..studies.validation import run as studies
    from ..utils.reporting import on_terminal
    from ..utils.signals import sigterm_unwinds

    curves, say, reporter = [], speaker(quiet, json_file), on_terminal(quiet, json_file == STDOUT)
    with sigterm_unwinds(), closing(reporter):
        found = studies.validate(
            quick,
            lambda target: reporter.say(target.verdict, studies.line(target)),
            draw=curves.append,
            out=out,
            jobs=jobs,
            working=reporter.working,
        )
    missed, judged = [t for t in found if not t.passed], sum(t.verdict != "report" for t in found)
    told = f"{len(missed)} of them missed" if missed else "all within them"
    say(f"{judged} figures with a band: {told}; {len(found) - judged} more are reported")
    say(
        "\n".join(
            (
                "",
                "Tuned on targets, and therefore no predictions:",
                *studies.tuning(found),
                "",
                studies.CONFLICTS,
            )
        )
    )
    for target in missed if quiet else ():
        typer.echo(f"missed: {studies.line(target)}", err=True)
    write_json(json_file, [studies.as_json(t) for t in found])
    if html_file is not None:
        from ..studies.validation.page import as_html

        with writing(html_file):
            html_file.write_text(as_html(found, curves), encoding="utf-8")
    if missed:
        raise typer.Exit(1)


@app.command()
def sensitivity(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file that describes the run.")],
    overrides: Overrides = None,
    parameters: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C", help="Parameters to vary (default: all; with --global: those marked A or U)."
        ),
    ] = None,
    observables: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Observables to report, e.g. ntx.min,osteoclast_number.end (default: all)."
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--global",
            metavar="METHOD",
            help="Vary parameters over their plausible ranges: morris or sobol.",
            autocompletion=completion.methods,
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(help="Number of trajectories (morris) or base samples (sobol; a power of 2)."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the samples.")] = 1,
    json_file: JsonFile = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also write the results as CSV.")
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File of the tornado figure (default: outputs/<config name>/sensitivity.png).",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="With --global: keep the runs in this folder, and reuse those already in it (default: not"
            " kept).",
        ),
    ] = None,
    jobs: Jobs = None,
    quiet: Quiet = False,
    allow_python: Python = False,
) -> None:
    """Show how much each parameter changes each observable.

    By local derivatives, or over the plausible ranges with --global.
    """
    loaded = _load(config, overrides, allow_python)

    from ..studies.sensitivity.command import AnalysisOptions, analyse

    options = AnalysisOptions(
        *(
            None if names is None else [n.strip() for n in names.split(",") if n.strip()]
            for names in (parameters, observables)
        ),
        method=method,
        samples=samples,
        seed=seed,
        json_file=json_file,
        csv_file=csv_file,
        figure=figure or Path("outputs") / config.stem / "sensitivity.png",
        out=out,
        jobs=jobs,
        quiet=quiet,
    )
    analyse(loaded, options)


@app.command()
def example(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Name of an example; without one, all are listed.", autocompletion=completion.examples
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]", help="With --copy: the folder to copy to (default: the current folder)."
        ),
    ] = None,
    copied: Annotated[
        bool,
        typer.Option(
            "--copy", help="Copy the example with every file that it needs: model, base, table, scan."
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="With --copy: overwrite existing files.")] = False,
) -> None:
    """List the example configs and sweeps, print one, or copy one with all the files that it needs."""
    from . import examples

    if not copied and (folder or force):
        raise InputError(
            f"{folder or '--force'} belongs to --copy: rdsolver example NAME --copy [DIR]. Give it too, or"
            " leave this out."
        )
    if name is None:
        if copied:
            raise InputError("--copy needs the name of an example. `rdsolver example` lists them.")
        names = examples.named()
        width = max(map(len, names), default=0) + 2
        typer.echo("\n".join(f"{n:{width}}{examples.title(path)}" for n, path in names.items()))
        typer.echo("\nCopy one with: rdsolver example NAME --copy")
    elif copied:
        files = examples.copy(name, folder or Path(), force)
        typer.echo("\n".join(map(str, files)))
        it = shlex.quote(str(files[0]))
        if any(path.suffix in (".tif", ".tiff") for path in files):
            typer.echo("The scan is synthetic, so that the config runs as it is. Replace it by your own.")
        if files[0].suffix == ".toml":
            trusted = " --allow-python" if any(path.suffix == ".py" for path in files) else ""
            typer.echo(
                f"Run it with: rdsolver {'sweep' if name.startswith('sweeps/') else 'run'} {it}{trusted}"
            )
    else:
        typer.echo(examples.printed(examples.find(name)), nl=False)


def _load(path: Path, overrides: Sequence[str] | None, allow_python: bool) -> Config:
    from ..config.load import load_config

    return load_config(path, overrides or (), allow_python)


def _precision(precision: str | None) -> list[str]:
    return [] if precision is None else [f"solver.precision={precision}"]


def main() -> None:
    app()
