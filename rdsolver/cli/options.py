"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors, on stderr.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs; warnings go to stderr.")]
JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Also write the results as JSON; - prints it to stdout, and all else goes to stderr.",
    ),
]
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
