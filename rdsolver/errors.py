"""Errors that a user can meet, with their exit statuses.

The module also has phrases that several messages share.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, time
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from traceback import extract_tb
from typing import Any

LONGEST = 2000  # characters of a message
STDOUT = Path("-")
"""A path that stands for stdout: the contents are printed."""


Fault = tuple[str, str]
"""A fault: a key, and what is wrong with it; the message is "file: key text"."""


class RdsolverError(Exception):
    """An error that rdsolver reports in one paragraph instead of a traceback."""

    exit_status = 3

    def __init__(self, message: str = "") -> None:
        text = printable(message)
        super().__init__(
            text
            if len(text) < LONGEST
            else f"{text[: LONGEST - 40]} ... (and {len(text) - LONGEST + 40:,} characters more)"
        )


def printable(text: str) -> str:
    """The text with a question mark for every character that would steer a terminal, or that no terminal can
    show.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


class InputError(RdsolverError):
    """A fault of the input, found before anything is computed or written (exit status 2).

    The message names the file, the key, what was found and what is allowed.
    """

    exit_status = 2


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error of writing a file into an InputError; the folder of the file is made first."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}. Choose another file."
        ) from error


class RunError(RdsolverError):
    """An error that stops the run; its results so far are on disk (exit status 3)."""

    exit_status = 3


def traced(error: BaseException, file: str) -> str:
    """An error that a user's own code raised, with the line of `file` it comes from: "mine.py, line 12:
    NameError: ...".
    """
    if isinstance(error, SyntaxError) and error.filename == file:
        line = error.lineno
        text = error.msg
    else:
        line = next((f.lineno for f in reversed(extract_tb(error.__traceback__)) if f.filename == file), None)
        text = str(error).strip().partition("\n")[0]
    return f"{file}{f', line {line}' if line else ''}: {type(error).__name__}{f': {text}' if text else ''}"


def file_of(function: Any) -> str:
    """The file in which a function is defined; for a partial one or a callable object, that of its
    function.
    """
    while isinstance(function, partial):
        function = function.func
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return type(function).__name__ if code is None else code.co_filename


# --- words --------------------------------------------------------------------------------------------------


def unknown(kind: str, name: Any, allowed: Iterable[str]) -> str:
    """The message that `name` is not one of `allowed`, with the nearest of them, and all."""
    allowed = list(allowed)
    close = get_close_matches(str(name)[:100], allowed, 1)
    nearest = f" Did you mean {close[0]}?" if close else ""
    return f"is not a known {kind}.{nearest} Allowed: {', '.join(allowed)}."


def shown(value: Any) -> str:
    """A value as in a TOML file, shortened; an array by its shape and type."""
    if hasattr(value, "dtype") and value.shape:
        return f"an array of shape {value.shape}, {value.dtype}"
    if isinstance(value, date | time):
        return str(value)
    try:
        text = json.dumps(
            value, ensure_ascii=False, default=lambda x: x.item() if hasattr(x, "dtype") else str(x)
        )
    except (TypeError, ValueError):
        text = str(value)
    except RecursionError:
        text = "(nested too deep)"
    return shortened(text)


def shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
