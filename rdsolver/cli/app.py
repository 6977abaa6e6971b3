"""What the groups of commands share."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import STDOUT, writing
from ..utils.home import homely

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors, on stderr.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print it as JSON, for programs; warnings go to stderr.")
]


def same_command(*more: str) -> str:
    """What was typed, as it can be typed again, with what is to be added."""
    typed = sys.argv[1:]
    return shlex.join(["rdsolver", *typed, *(word for word in more if word not in typed)])


JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Also write all of it as JSON; - prints it, and all else goes to stderr.",
    ),
]


def speaker(quiet: bool, json_file: Path | None) -> Callable[[str], None]:
    """Says lines on stdout; on stderr where that is for JSON, and nowhere where quiet."""
    return lambda text: None if quiet else typer.echo(text, err=json_file == STDOUT)


def print_json(value: Any) -> None:
    import json

    from ..output.describe import plain

    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def write_json(path: Path | None, value: Any) -> None:
    """Into a file, or to stdout; nowhere where none is given."""
    import json

    if path == STDOUT:
        print_json(value)
    elif path is not None:
        with writing(path):
            path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


class App(typer.Typer):
    """Commands whose paths may begin with `~`."""

    def command(self, *given: Any, **named: Any) -> Callable[..., Any]:
        register = super().command(*given, **named)
        return lambda function: register(homely(function))
