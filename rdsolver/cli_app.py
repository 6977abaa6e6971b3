"""What the groups of commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from .paths import homely


class App(typer.Typer):
    """Commands whose paths may begin with `~`."""

    def command(self, *given: Any, **named: Any) -> Callable[..., Any]:
        register = super().command(*given, **named)
        return lambda function: register(homely(function))
