"""The command line. Thin: each command reads its input, calls the library, and says what came out.

Nothing heavy is imported before it is needed, so that help and errors come at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from .attended import attended, run_folders, seconds
from .cli_app import App
from .cli_look import register, run_file
from .cli_sweep import sweeps
from .errors import InputError, RdsolverError, RunError, writing

if TYPE_CHECKING:
    from .config import Config
    from .models.base import Parameter
    from .output.reader import Run
    from .progress import Reporter
    from .stopping import Stop


class Commands(TyperGroup):
    """Says our own errors in a paragraph on stderr, and leaves with their exit status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except RdsolverError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(error.exit_status) from None
        except MemoryError as error:
            typer.echo(f"There is not enough memory for this: {error or 'no array named'}. Take a smaller section or image.", err=True)
            raise typer.Exit(RunError.exit_status) from None


app = App(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Reaction-diffusion of RANKL, OPG and RANK-Fc coupled to osteoclasts on bone sections. Start with: rdsolver example",
)

Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help='Change one key, e.g. "dose.0.amount=1 mg/kg".')]
Python = Annotated[bool, typer.Option("--allow-python", help="Execute the Python file that a config's model comes from.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Runs at once (default: one a core).")]
Checkpoint = Annotated[str, typer.Option(metavar="TIME", help="How often to keep what `rdsolver resume` goes on from, in wall time.")]
Agents = Annotated[list[str] | None, typer.Option("--agent", metavar="NAME", help="Show this drug's parameters too.")]


def _version(wanted: bool) -> None:
    if wanted:
        from . import __version__

        typer.echo(f"rdsolver {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    pass


@app.command()
def run(
    configs: Annotated[
        list[Path] | None, typer.Argument(metavar="CONFIG...", help="TOML files; all are checked before the first one runs.")
    ] = None,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Folder for run.h5 (default: outputs/<config name>).")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, gpu, or one of several such as gpu:1.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32 or float64, instead of the config's.")] = None,
    walltime: Annotated[str | None, typer.Option(help='Stop after this long and keep what there is, e.g. "8h".')] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a run that is there.")] = False,
    again: Annotated[
        bool, typer.Option("--resume-if-exists", help="Go on with a run that is there; a finished one is left as it is.")
    ] = False,
    checkpoint: Checkpoint = "10 min",
    repeated: Annotated[
        Path | None, typer.Option("--from", metavar="RUN", help="Instead of a config: repeat this run from its file.")
    ] = None,
    allow_python: Python = False,
) -> None:
    """Run one config or several, one after another."""
    if bool(configs) == bool(repeated):
        raise InputError("rdsolver run takes CONFIG..., or --from RUN alone: that repeats a run as it was.")
    limits = {"walltime": seconds(walltime, "--walltime"), "checkpoint": seconds(checkpoint, "--checkpoint")}
    names = [Path(f"{run_file(repeated).absolute().parent.name}.toml")] if repeated else configs or []
    folders = run_folders(names, out, force or again)
    loaded = [_load(path, [*(overrides or []), *_precision(precision)], allow_python) for path in configs or []]

    from .output.writer import check_folder
    from .run import begun, carry_on, check_start, problem_of

    problems = [config.problem() for config in loaded]
    if repeated:
        from .output.reader import open_run

        with open_run(run_file(repeated)) as earlier:
            problems = [problem_of(earlier, allow_python, overrides or ())]
    there = [again and begun(folder / "run.h5") for folder in folders]
    for problem, exists in zip(problems, there, strict=True):
        if not exists:
            check_start(problem, device)
    for folder in folders:
        check_folder(folder / "run.h5")

    for problem, folder, exists in zip(problems, folders, there, strict=True):

        def go(reporter: Reporter, stop: Stop, problem=problem, folder=folder, exists=exists) -> Run:
            more = {"reporter": reporter, "device": device, "stop": stop, **limits}
            return carry_on(problem, folder, exists, force=force or again, **more)

        attended(folder, go, goes_on=exists)


@app.command("resume")
def resume_command(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="run.h5 or its folder.")],
    device: Annotated[str | None, typer.Option(help="cpu, gpu, or one of several such as gpu:1 (default: that of the run).")] = None,
    walltime: Annotated[str | None, typer.Option(help='Stop after this long and keep what there is, e.g. "8h".')] = None,
    checkpoint: Checkpoint = "10 min",
    moved: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=FILE", help='Where a file lies now, e.g. "section.image=scan.tif".')
    ] = None,
    allow_python: Python = False,
) -> None:
    """Go on with a run that was stopped, killed or failed, from its last checkpoint."""
    limits = {"walltime": seconds(walltime, "--walltime"), "checkpoint": seconds(checkpoint, "--checkpoint")}

    from .run import resume

    def go(reporter: Reporter, stop: Stop) -> Run:
        return resume(path, device=device, reporter=reporter, stop=stop, allow_python=allow_python, moved=moved or (), **limits)

    attended(run_file(path).parent, go, goes_on=True)


@app.command()
def check(
    config: Annotated[Path, typer.Argument(metavar="CONFIG")],
    overrides: Overrides = None,
    solver: Annotated[bool, typer.Option("--solver", help="Also find the baseline and measure how the multigrid converges.")] = False,
    allow_python: Python = False,
) -> None:
    """Check a config and say what it was understood to be and what it would take; nothing is run or written."""
    loaded = _load(config, overrides, allow_python)
    problem = loaded.problem()

    from .progress import TerminalReporter
    from .run import check_start, describe, forecast, solver_report

    unusual = check_start(problem)
    reporter = TerminalReporter()
    for warning in (*loaded.warnings, *unusual):
        reporter.warn(warning)
    for topic, text in [*describe(problem), *forecast(problem)]:
        reporter.say(topic, text)
    for c in problem.changes:
        reporter.say("change", f"{c.parameter} x {c.factor:g} from {c.start:g} d{'' if c.end == float('inf') else f' until {c.end:g} d'}")
    for name in loaded.model.parameters:
        unit = loaded.rows[name].unit
        reporter.say("parameter", f"{name} = {problem.parameters[name]:g}{'' if unit == '1' else ' ' + unit}")
    for topic, text in solver_report(problem) if solver else ():
        reporter.say(topic, text)


@app.command()
def schema() -> None:
    """Print the JSON schema of a config, for editors that complete and check TOML."""
    import json

    from .config import schema as config_schema

    typer.echo(json.dumps(config_schema(), indent=2, ensure_ascii=False))


@app.command()
def params(
    config: Annotated[Path | None, typer.Argument(metavar="[CONFIG]", help="Those of this run, with its values.")] = None,
    preset: Annotated[str | None, typer.Option(help="Whose numbers: human (default) or mouse.")] = None,
    agents: Agents = None,
    tumour: Annotated[str | None, typer.Option(metavar="KIND", help="A tumour's too: metastasis or myeloma.")] = None,
    bisphosphonate: Annotated[bool, typer.Option("--bisphosphonate", help="A bisphosphonate's too.")] = False,
    membrane: Annotated[bool, typer.Option("--membrane", help="Those of RANKL on membranes too.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="A Markdown table, for the documentation.")] = False,
    allow_python: Python = False,
) -> None:
    """Show every parameter with value, unit, meaning, source, mark and plausible range.

    Marks: V read in a published source or its code, C computed from V, A our assumption or calibration, U general knowledge.
    """
    if config is not None:
        given = {"--agent": agents, "--tumour": tumour, "--bisphosphonate": bisphosphonate, "--membrane": membrane, "--preset": preset}
        if others := [option for option, value in given.items() if value]:
            raise InputError(f"{config} says what belongs to its run: leave out {', '.join(others)}, or leave out the config.")
        loaded = _load(config, None, allow_python)
        rows = [_row(p, loaded.values[name]) for name, p in loaded.rows.items()]
    else:
        preset = preset or "human"
        found = _parameters(preset, agents or [], tumour, bisphosphonate, membrane)
        rows = [_row(p, p.default(preset, tumour or "")) for p in found]
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


def _parameters(preset: str, agents: Sequence[str], tumour: str | None, bisphosphonate: bool, membrane: bool) -> tuple[Parameter, ...]:
    from .models.bone.binders import LABELS, drug
    from .models.bone.parameters import PRESETS, TUMOURS, parameters

    asked = [("--preset", preset, PRESETS), *(("--agent", a, LABELS) for a in agents)]
    for kind, name, allowed in (*asked, *((("--tumour", tumour, TUMOURS),) if tumour else ())):
        if name not in allowed:
            raise InputError(f"{kind} {name} is not known. Allowed: {', '.join(allowed)}.")
    return parameters(tuple(map(drug, dict.fromkeys(agents))), tumour is not None, bisphosphonate, membrane)


@app.command()
def info(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="run.h5 or its folder.")],
    followed: Annotated[bool, typer.Option("--follow", help="Tell how far it has come, until it ends.")] = False,
) -> None:
    """Say what a run file holds and how the run went."""
    from .output.describe import describe, follow
    from .output.reader import open_run

    for line in follow(run_file(path)) if followed else ():
        typer.echo(line)
    with open_run(run_file(path), live=True) as opened:
        typer.echo(describe(opened))


register(app)
app.add_typer(sweeps, name="sweep")


@app.command()
def verify(
    quick: Annotated[bool, typer.Option("--quick", help="The set that takes under a minute instead of some minutes.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write the table as JSON.")] = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the figures (default, in a checkout: docs/verification).")
    ] = None,
) -> None:
    """Check the solver against known answers: orders, exact cases, invariants. Exit status 1 when one is missed."""
    import json

    from .studies.verify import Table, figures_folder
    from .studies.verify import verify as studies
    from .studies.verify_figures import draw

    folder = figures or figures_folder()
    table = Table(typer.echo)
    rows, curves = studies(quick, table)
    table.end()
    if json_file is not None:
        _write(json_file, json.dumps([row.as_json() for row in rows], indent=2, ensure_ascii=False) + "\n")
    for path in draw(curves, folder) if folder else ():
        typer.echo(str(path))
    if not all(row.passed for row in rows):
        raise typer.Exit(1)


@app.command()
def validate(
    quick: Annotated[
        bool, typer.Option("--quick", help="64 x 64 cells of 20 um and one seed, instead of 128 x 128 of 10 um and two.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write the targets as JSON.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write them as a page.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the runs there, and go on with those that are there (default: none is kept).")
    ] = None,
    jobs: Jobs = None,
) -> None:
    """Hold the model against published targets, met or not. Exit status 1 when one is missed."""
    import json

    from .progress import TerminalReporter
    from .stopping import sigterm_unwinds
    from .studies import validate as studies

    curves, reporter = [], TerminalReporter()
    with sigterm_unwinds():
        found = studies.validate(
            quick,
            lambda target: reporter.say(target.verdict, studies.line(target)),
            draw=curves.append,
            out=out,
            jobs=jobs,
            working=reporter.working,
        )
    missed, judged = sum(not t.passed for t in found), sum(t.verdict != "report" for t in found)
    told = f"{missed} of them missed" if missed else "all within them"
    typer.echo(f"{judged} figures with a band: {told}; {len(found) - judged} more are reported")
    typer.echo("\n".join(("", "Tuned on targets, and therefore no predictions:", *studies.tuning(found), "", studies.CONFLICTS)))
    if json_file is not None:
        _write(json_file, json.dumps([studies.as_json(t) for t in found], indent=2, ensure_ascii=False) + "\n")
    if html_file is not None:
        from .studies.validate_page import as_html

        _write(html_file, as_html(found, curves))
    if missed:
        raise typer.Exit(1)


@app.command()
def sensitivity(
    config: Annotated[Path, typer.Argument(metavar="CONFIG")],
    overrides: Overrides = None,
    parameters: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="These alone (default: all; global: those marked A or U).")
    ] = None,
    observables: Annotated[str | None, typer.Option(metavar="A,B", help="These alone, e.g. ntx.min,osteoclast_number.end.")] = None,
    method: Annotated[str | None, typer.Option("--global", metavar="METHOD", help="morris or sobol, over the plausible ranges.")] = None,
    samples: Annotated[int | None, typer.Option(help="Trajectories (morris) or base samples (sobol, a power of 2).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the samples.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write everything as JSON.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Also write everything as CSV.")] = None,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The tornado figure (default: outputs/<config name>/sensitivity.png).")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="With --global: the sweep of its runs, kept and gone on with (default: none is kept)."),
    ] = None,
    jobs: Jobs = None,
    allow_python: Python = False,
) -> None:
    """Say what each parameter does to each observable: local derivatives, or over whole ranges with --global."""
    loaded = _load(config, overrides, allow_python)

    from .studies.sensitivity_command import Wanted, analyse

    wanted = Wanted(
        *(None if names is None else [n.strip() for n in names.split(",") if n.strip()] for names in (parameters, observables)),
        method=method,
        samples=samples,
        seed=seed,
        json_file=json_file,
        csv_file=csv_file,
        figure=figure or Path("outputs") / config.stem / "sensitivity.png",
        out=out,
        jobs=jobs,
    )
    analyse(loaded, wanted)


@app.command()
def example(name: Annotated[str | None, typer.Argument(help="One of those that `rdsolver example` lists.")] = None) -> None:
    """List the configs and sweeps that come with rdsolver, or print one: rdsolver example NAME > mine.toml"""
    from .config_file import examples, printed, title

    files = {path.name: path for path in sorted(examples().glob("*")) if path.suffix in (".toml", ".py")}
    configs = {path.stem: path for path in files.values() if path.suffix == ".toml"}
    configs |= {f"sweeps/{path.stem}": path for path in sorted(examples().glob("sweeps/*.toml"))}
    if name is None:
        width = max(map(len, configs), default=0) + 2
        typer.echo("\n".join(f"{n:{width}}{title(path)}" for n, path in configs.items()))
        typer.echo("\nTake one with: rdsolver example NAME > mine.toml")
    elif path := configs.get(name) or files.get(name):
        typer.echo(printed(path), nl=False)
    else:
        raise InputError(f"example {name} is not known. Allowed: {', '.join([*configs, *(n for n in files if n.endswith('.py'))])}.")


def _load(path: Path, overrides: Sequence[str] | None, allow_python: bool) -> Config:
    from .config import load_config

    return load_config(path, overrides or (), allow_python)


def _precision(precision: str | None) -> list[str]:
    return [] if precision is None else [f"solver.precision={precision}"]


def _write(path: Path, text: str) -> None:
    with writing(path):
        path.write_text(text, encoding="utf-8")


def main() -> None:
    app()
