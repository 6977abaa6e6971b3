"""A run from the terminal: its folder, its limits, what is told and left when it ends. Imports nothing heavy before it is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .errors import InputError, RdsolverError

if TYPE_CHECKING:
    from .output.reader import Run
    from .progress import Reporter
    from .stopping import Stop


def attended(folder: Path, go: Callable[[Reporter, Stop], Run], goes_on: bool) -> None:
    """A run from the terminal: told there and in run.log, ended by SIGTERM and SIGINT, drawn at its end."""
    from .progress import LogReporter, Tee, TerminalReporter
    from .stopping import Signals

    log = LogReporter(folder / "run.log", goes_on)
    reporter = Tee(TerminalReporter(), log)
    try:
        with Signals() as signals, go(reporter, signals) as result:
            if signals.received:
                raise typer.Exit(signals.status)
            from .figures.overview import overview

            try:
                reporter.say("", str(overview(result, folder / "overview.png")))
            except InputError as error:  # the run itself is whole
                reporter.warn(str(error))
    except RdsolverError as error:
        log.say("error", str(error))
        raise
    finally:
        log.close()


def seconds(text: str | None, option: str) -> Any:
    """Of an option; None where it is not given."""
    if text is None:
        return None
    from .units import quantity

    found = quantity(text, "s", option)
    if found <= 0:
        raise InputError(f'{option} = "{text}" must be above 0, for example {option} 8h.')
    return found


def run_folders(configs: Sequence[Path], out: Path | None, force: bool) -> list[Path]:
    """Where each run goes; none of them holds a run already, unless it may be overwritten."""
    names = [path.stem for path in configs]
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise InputError(
            f"{twice}: several configs have this name, and their runs would go into one folder. Rename one, or run them apart."
        )
    base = out or Path("outputs")
    folders = [out] if out and len(configs) == 1 else [base / name for name in names]
    for folder in folders:
        if (folder / "run.h5").exists() and not force:
            raise InputError(f"{folder / 'run.h5'} exists already. Choose another folder with --out, or overwrite it with --force.")
    return folders
