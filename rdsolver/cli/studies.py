"""The commands of the studies: verify, validate, sensitivity."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from ..errors import STDOUT, writing
from . import completion
from .app import load, speaker, write_json
from .options import Jobs, JsonFile, Overrides, Python, Quiet


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
        with writing(figures / "exact.png"):  # checked before minutes are spent
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
    loaded = load(config, overrides, allow_python)

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
