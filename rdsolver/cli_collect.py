"""`rdsolver sweep collect DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def collect_command(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the sweep.")]) -> None:
    """Write summary.csv and series.h5 of a sweep from the runs that there are."""
    from .sweep.collect import collect
    from .sweep.reader import SERIES, SUMMARY

    sweep = collect(folder)
    typer.echo(f"{len(sweep)} runs: {', '.join(f'{n} {status}' for status, n in sweep.counts.items())}")
    typer.echo(f"{folder / SUMMARY}\n{folder / SERIES}")
