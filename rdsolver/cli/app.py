"""Options and output that several groups of commands share."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import STDOUT, writing
from ..utils.home import homely

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors, on stderr.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs; warnings go to stderr.")]


def same_command(*more: str) -> str:
    """The command line as it was typed, quoted for a shell, with the missing ones of `more` appended."""
    typed = sys.argv[1:]
    return shlex.join(["rdsolver", *typed, *(word for word in more if word not in typed)])


JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Also write the results as JSON; - prints it to stdout, and all else goes to stderr.",
    ),
]


def speaker(quiet: bool, json_file: Path | None) -> Callable[[str], None]:
    """A function that prints lines: on stdout, on stderr if stdout is for JSON, nowhere if quiet."""
    return lambda text: None if quiet else typer.echo(text, err=json_file == STDOUT)


def print_json(value: Any) -> None:
    import json

    from ..output.describe import plain

    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def write_json(path: Path | None, value: Any) -> None:
    """Write JSON into a file or to stdout; without a path, do nothing."""
    import json

    if path == STDOUT:
        print_json(value)
    elif path is not None:
        with writing(path):
            path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


class App(typer.Typer):
    """A Typer application whose path arguments may begin with `~`."""

    def command(self, *given: Any, **named: Any) -> Callable[..., Any]:
        register = super().command(*given, **named)
        return lambda function: register(homely(function))
