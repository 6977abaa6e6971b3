"""Paths as people type them: `~` is expanded to the home folder wherever a path enters.

A shell expands it only at the beginning of a word (not in --out=~/run), and Python never does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from ..errors import InputError


def at_home(path: str | os.PathLike[str]) -> Path:
    """The path with its `~` expanded. A name such as ~scan, which is no user, is kept.

    Raises InputError for a path in the home folder of a user that has none: it would lie in a folder named ~.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(
            f"{path!r:.60} is of type {type(path).__name__}, and a path belongs here. Give it as text or a"
            " Path."
        )
    expanded = os.path.expanduser(os.fspath(path))
    if expanded.startswith("~" + os.sep) or expanded == "~":
        raise InputError(
            f"{path}: ~ cannot be resolved: HOME is not set. Set it, or give the path without ~."
        )
    return Path(expanded)


def homely(command: Callable[..., Any]) -> Callable[..., Any]:
    """The function with `~` expanded in arguments that are paths or lists of paths."""

    @wraps(command)
    def called(*given: Any, **named: Any) -> Any:
        return command(*map(_expanded, given), **{name: _expanded(value) for name, value in named.items()})

    return called


def _expanded(value: Any) -> Any:
    if isinstance(value, list):
        return [_expanded(each) for each in value]
    return at_home(value) if isinstance(value, Path) else value
