"""A run started from the terminal: its folder, its time limits, its log, and what is printed when it ends.

It imports nothing heavy before it is needed.
"""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import InputError, RdsolverError
from ..utils.path_kinds import RUN
from .app import same_command

if TYPE_CHECKING:
    from ..output.reader import Run
    from ..utils.reporting import Reporter
    from ..utils.signals import Stop


def attended(
    folder: Path,
    go: Callable[[Reporter, Stop], Run],
    goes_on: bool,
    quiet: bool = False,
    left: Sequence[Path] = (),
) -> None:
    """Run `go` with progress on the terminal and in run.log; stop it on SIGTERM or SIGINT; draw its overview.

    left: folders of the runs that come after it.
    """
    from ..runs.session import discard
    from ..utils.reporting import LogReporter, Tee, on_terminal
    from ..utils.signals import Signals

    terminal, log = on_terminal(quiet), LogReporter(folder / "run.log", goes_on)
    reporter = Tee(terminal, log)
    again = f"rdsolver resume {shlex.quote(str(folder))}" if goes_on else same_command()

    def before_it_ran(name: str) -> None:
        told = (
            f"the run is unchanged; continue with: {again}"
            if goes_on
            else f"nothing was started; start it with: {again}"
        )
        reporter.say("stopped", f"by {name} before the first step")
        reporter.say("", told)
        with suppress(OSError):
            folder.rmdir()  # the folder was made for the run; only an empty one is removed

    try:
        with Signals() as signals:
            signals.last_words, signals.begins = before_it_ran, again
            with go(reporter, signals) as result:
                if signals.received and not goes_on and len(result.series["time"]) <= 1:
                    result.close()
                    reporter.say("", discard(folder / RUN, signals))
                elif signals.received and left:
                    reporter.say(
                        "",
                        f"{len(left)} more runs were not started; run all with:"
                        f" {same_command('--resume-if-exists')}",
                    )
                if signals.received:
                    raise typer.Exit(signals.status)
                from ..figures.overview import overview

                try:
                    reporter.say("", str(overview(result, folder / "overview.png")))
                except InputError as error:  # the run itself is intact
                    reporter.warn(str(error))
    except RdsolverError as error:
        log.say("error", str(error))
        raise
    finally:
        terminal.close()
        log.close()


@contextmanager
def not_begun() -> Iterator[None]:
    """Handle Ctrl-C while the input is read and checked: nothing was started."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"Interrupted: nothing was started. Start it with: {same_command()}", err=True)
        raise typer.Exit(128 + signal.SIGINT) from None


CLOCK = re.compile(
    r"(?:(?P<d>\d+)-(?P<dh>\d+)(?::(?P<dm>\d\d)(?::(?P<ds>\d\d))?)?|(?:(?P<h>\d+):)?(?P<m>\d+):(?P<s>\d\d))"
)
"""The time formats of Slurm: days-hours[:minutes[:seconds]], [hours:]minutes:seconds."""
UNIT = {"d": 86400, "dh": 3600, "dm": 60, "ds": 1, "h": 3600, "m": 60, "s": 1}  # s
MOST = {"dh": 23, "dm": 59, "ds": 59, "s": 59}  # the most where a larger part is given


def seconds(text: str | None, option: str) -> Any:
    """The seconds of a duration given as an option; None if the option is not given.

    A duration is written as 8h, or as schedulers write it: 08:00:00, 2-12:00:00, 30:00. A number without a
    unit is refused, because many users mean hours, Slurm means minutes, and others mean seconds.
    """
    if text is None:
        return None
    text = text.strip()
    if match := CLOCK.fullmatch(text):
        parts = {name: int(value) for name, value in match.groupdict().items() if value is not None}
        if any(
            parts.get(name, 0) > most for name, most in (MOST | ({"m": 59} if "h" in parts else {})).items()
        ):
            raise InputError(
                f'{option} = "{text}" is not a time: hours go to 23 after days, minutes and seconds to 59. '
                f"Give days-hours:minutes:seconds, for example {option} 2-12:00:00, or {option} 60h."
            )
        found = float(sum(UNIT[name] * value for name, value in parts.items()))
    else:
        from ..units import number, split_unit

        try:
            bare = not split_unit(text)[1]
            found = number(text, "s")
        except ValueError:
            raise InputError(
                f'{option} = "{text}" is not a duration. Give 8h, 90min or 08:00:00, for example {option} 8h.'
            ) from None
        if bare:
            raise InputError(
                f"{option} = {text} has no unit: many mean hours, and schedulers such as Slurm minutes. "
                f"Say which: {option} {text}h, or {option} {text}min."
            )
    if found <= 0:
        raise InputError(f'{option} = "{text}" must be above 0, for example {option} 8h.')
    return found


def run_folders(configs: Sequence[Path], out: Path | None) -> list[Path]:
    """The output folder of each run. Raises InputError if two would share one."""
    names = [path.stem for path in configs]
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise InputError(
            f"{twice}: several configs have this name, and their runs would go into one folder. Rename one,"
            " or run them apart."
        )
    base = out or Path("outputs")
    return [out] if out and len(configs) == 1 else [base / name for name in names]


def check_free(folders: Sequence[Path]) -> None:
    """Raise InputError if one of the folders already contains a run."""
    for folder in folders:
        if (folder / RUN).exists():
            raise InputError(
                f"{folder / RUN} exists already. Choose another folder with --out, or overwrite it with"
                " --force."
            )
