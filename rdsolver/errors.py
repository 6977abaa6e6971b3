"""The errors a user can meet, each with the exit status the command line gives it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb

LONGEST = 2000  # characters of a message
STDOUT = Path("-")
"""A file that is no file: what would go into it is printed."""


class RdsolverError(Exception):
    """Anything rdsolver says in one paragraph instead of a traceback."""

    exit_status = 3

    def __init__(self, message: str = "") -> None:
        text = printable(message)
        super().__init__(text if len(text) < LONGEST else f"{text[: LONGEST - 40]} ... (and {len(text) - LONGEST + 40:,} characters more)")


def printable(text: str) -> str:
    """Text as it can be shown: what would steer a terminal, and what no terminal can show, becomes a question mark."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


class InputError(RdsolverError):
    """The input is at fault: found before anything is computed or written (exit status 2).

    The message names the file, the key, what was found and what is allowed.
    """

    exit_status = 2


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What keeps a file from being written is an InputError; its folder is made first."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}. Choose another file.") from error


class RunError(RdsolverError):
    """The run had to stop; what it had computed is on disk (exit status 3)."""

    exit_status = 3


def traced(error: BaseException, file: str) -> str:
    """An error that a user's own code raised, with the line of `file` it comes from: "mine.py, line 12: NameError: ..."."""
    if isinstance(error, SyntaxError) and error.filename == file:
        line = error.lineno
        text = error.msg
    else:
        line = next((f.lineno for f in reversed(extract_tb(error.__traceback__)) if f.filename == file), None)
        text = str(error).strip().partition("\n")[0]
    return f"{file}{f', line {line}' if line else ''}: {type(error).__name__}{f': {text}' if text else ''}"
