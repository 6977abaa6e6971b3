"""Functions that the commands share: an app that expands paths, loading of a config, and printing."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import STDOUT, writing
from ..utils.home import homely

if TYPE_CHECKING:
    from ..config.config import Config


def same_command(*more: str) -> str:
    """The command line as it was typed, quoted for a shell, with the missing ones of `more` appended."""
    typed = sys.argv[1:]
    return shlex.join(["rdsolver", *typed, *(word for word in more if word not in typed)])


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


def load(path: Path, overrides: Sequence[str] | None, allow_python: bool) -> Config:
    from ..config.load import load_config

    return load_config(path, overrides or (), allow_python)
