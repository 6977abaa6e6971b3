"""The commands that show information: params, schema, example, and info of a run file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from ..utils.path_kinds import run_file
from . import completion
from .app import load, print_json
from .options import AsJson, Python

if TYPE_CHECKING:
    from ..models.base import Parameter

Agents = Annotated[
    list[str] | None,
    typer.Option(
        "--agent", metavar="NAME", help="Add the parameters of this drug.", autocompletion=completion.agents
    ),
]

COLUMNS = ("name", "value", "unit", "meaning", "source", "mark", "range")


def schema() -> None:
    """Print the JSON schema of a config, for editors that complete and check TOML."""
    import json

    from ..config.json_schema import schema as config_schema

    typer.echo(json.dumps(config_schema(), indent=2, ensure_ascii=False))


def params(
    config: Annotated[
        Path | None,
        typer.Argument(metavar="[CONFIG]", help="Show the parameters of this config, with its values."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Default values: human (default), mouse or rat.", autocompletion=completion.presets
        ),
    ] = None,
    agents: Agents = None,
    tumour: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Add the parameters of a tumour: metastasis, myeloma or osteoblastic.",
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

    Marks: M = measured, or estimated from measurements, V = published model, C = computed from M or V, A =
    assumption or calibration, U = general knowledge.
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
        loaded = load(config, None, allow_python)
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
    there = (c() for name in NAMES if (c := component(name)).standard or name in components)
    return parameters(tuple(map(drug, dict.fromkeys(agents))), there)


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
