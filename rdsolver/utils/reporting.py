"""Messages, warnings and progress of a run: on a terminal, in a log, or nowhere."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO, cast

from .path_kinds import RUN

if TYPE_CHECKING:
    from rich.progress import Progress

TOPIC_WIDTH = 10
BAR_WIDTH = 10
COLUMNS = ("{task.description}", "{task.percentage:.0f} %", "{task.fields[about]}")  # texts beside the bar

LOGGER = logging.getLogger("rdsolver")
LOGGER.addHandler(logging.NullHandler())  # a user who wants these messages configures logging


class Reporter(Protocol):
    """An object that receives the messages, warnings and progress of a run. The silent one is `Silent`."""

    def say(self, topic: str, text: str) -> None:
        """Receive one line, e.g. ("baseline", "found in 62 V-cycles"); an empty topic continues the line
        before.
        """
        ...

    def warn(self, text: str) -> None:
        """Receive a warning; the run continues."""
        ...

    def progress(self, t: float, end: float, dt: float, solves: int, seconds: float) -> None:
        """Receive the progress of the run: time reached and end (d), step (d), number of stage solves so far,
        wall seconds since the first step.
        """
        ...


class ProgressReporter(Protocol):
    """An object that receives the messages and progress of work on many runs."""

    def say(self, topic: str, text: str) -> None:
        """Receive one line."""
        ...

    def working(self, what: str, share: float, seconds: float) -> None:
        """Receive the present work, its completed share, and wall seconds since it began."""
        ...


class Silent:
    """A reporter that prints nothing."""

    def say(self, topic: str, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def progress(self, t: float, end: float, dt: float, solves: int, seconds: float) -> None: ...

    def working(self, what: str, share: float, seconds: float) -> None: ...


class Quiet(Silent):
    """A reporter that prints only warnings, on stderr."""

    def warn(self, text: str) -> None:
        with suppress(OSError, ValueError):
            print(f"{'warning':{TOPIC_WIDTH}}{text}", file=sys.stderr, flush=True)

    def close(self) -> None: ...


class Tee:
    """A reporter that passes everything to several others."""

    def __init__(self, *reporters: Reporter) -> None:
        self.reporters = reporters

    def say(self, topic: str, text: str) -> None:
        for r in self.reporters:
            r.say(topic, text)

    def warn(self, text: str) -> None:
        for r in self.reporters:
            r.warn(text)

    def progress(self, t: float, end: float, dt: float, solves: int, seconds: float) -> None:
        for r in self.reporters:
            r.progress(t, end, dt, solves, seconds)


class LoggingReporter:
    """A reporter that passes everything to the standard logging, to the logger `rdsolver`.

    Messages and progress are INFO, warnings are WARNING.
    """

    def __init__(self) -> None:
        self._marks = _Marks()

    def say(self, topic: str, text: str) -> None:
        LOGGER.info(f"{topic:<{TOPIC_WIDTH}}{text}")

    def warn(self, text: str) -> None:
        LOGGER.warning(text)

    def progress(self, t: float, end: float, dt: float, solves: int, seconds: float) -> None:
        if self._marks.passed(t / end, seconds):
            LOGGER.info(progress_line(t, end, dt, solves, seconds))


class TerminalReporter:
    """A reporter that prints lines on a terminal, and below them a bar that shows the progress.

    On a pipe it prints only lines, and few of progress.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        from rich.console import Console

        file = cast("TextIO", _LastingStream(stream or sys.stdout))
        self._console = Console(file=file, highlight=False, markup=False, emoji=False)
        self._marks = _Marks()
        self._bar: Progress | None = None

    def say(self, topic: str, text: str) -> None:
        self._print(topic, text, "bold")

    def warn(self, text: str) -> None:
        self._print("warning", text, "yellow")

    def close(self) -> None:
        """Leave the bar unchanged and end its line, so that the next output starts on a line of its own."""
        self._end_bar(erase=False)

    def progress(self, t: float, end: float, dt: float, solves: int, seconds: float) -> None:
        self._show(reached(t, end), t / end, pace(dt, solves, seconds), seconds)

    def working(self, what: str, share: float, seconds: float) -> None:
        """Receive the progress of work other than a run: its completed share, and wall seconds since it
        began.
        """
        self._show(what, share, "", seconds)

    def _show(self, what: str, share: float, pace: str, seconds: float) -> None:
        share = min(max(share, 0.0), 1.0)
        if self._console.is_interactive:
            now = {"description": what, "completed": share, "about": f"{pace}{_left(share, seconds)}".strip()}
            if self._bar is None:
                self._bar = self._begin_bar(now)
            else:
                self._bar.update(self._bar.task_ids[0], **now, refresh=True)
        elif self._marks.passed(share, seconds):
            self._console.print(_line(what, share, pace, seconds), soft_wrap=True)

    def _begin_bar(self, now: dict[str, Any]) -> Progress:
        from rich.progress import BarColumn, Progress, TextColumn

        columns = [TextColumn(text, markup=False) for text in COLUMNS]
        bar = Progress(
            columns[0],
            BarColumn(2 * BAR_WIDTH),
            *columns[1:],
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        bar.add_task(**now, total=1.0)
        bar.start()
        return bar

    def _end_bar(self, erase: bool) -> None:
        if self._bar is not None:
            self._bar.live.transient = erase
            self._bar.stop()
            self._bar = None

    def _print(self, topic: str, text: str, style: str) -> None:
        from rich.text import Text

        self._end_bar(erase=True)
        self._console.print(
            Text(f"{topic:<{TOPIC_WIDTH}}", style),
            Text(text.replace("\n", "\n" + " " * TOPIC_WIDTH)),
            sep="",
            soft_wrap=True,
        )


class _LastingStream:
    """A stream whose reader may end (`rdsolver run ... | head`): that ends the output, not the run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._gone = stream, False

    def write(self, text: str) -> int:
        if not self._gone:
            try:
                self._stream.write(text)
                self._stream.flush()
            except BrokenPipeError:
                self._gone = True
                # otherwise Python reports an error when it flushes at its end
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            except (OSError, ValueError):  # the terminal is gone, or the stream closed
                self._gone = True
        return len(text)

    def flush(self) -> None: ...

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def on_terminal(quiet: bool = False, aside: bool = False) -> TerminalReporter | Quiet:
    """The reporter of a command. aside: True to print on stderr, if stdout is for something else."""
    return Quiet() if quiet else TerminalReporter(sys.stderr if aside else None)


class LogReporter:
    """A reporter that writes plain lines with the time of day to a file beside the run.

    It writes once a new run.h5 exists, so that a run that was refused leaves no log and does not change the
    log of an earlier run. goes_on: True if the existing run is resumed, so that its log continues.
    """

    def __init__(self, path: Path, goes_on: bool = False) -> None:
        self._path, self._goes_on = path, goes_on
        self._before = self._run()
        self._file: TextIO | None = None
        self._waiting: list[str] = []
        self._marks = _Marks()

    def say(self, topic: str, text: str) -> None:
        self._line(f"{topic:<{TOPIC_WIDTH}}{text}")

    def warn(self, text: str) -> None:
        self.say("warning", text)

    def progress(self, t: float, end: float, dt: float, solves: int, seconds: float) -> None:
        if self._marks.passed(t / end, seconds):
            self._line(progress_line(t, end, dt, solves, seconds))

    def close(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def _run(self) -> tuple[int, int] | None:
        """The properties that distinguish one run.h5 from another."""
        try:
            found = self._path.with_name(RUN).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _line(self, text: str) -> None:
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        self._waiting.append(f"{now}  {text}\n")
        try:
            if self._file is None and self._run() not in (None, self._before):
                self._file = self._path.open("a" if self._goes_on else "w", encoding="utf-8", buffering=1)
            if self._file is not None:
                self._file.writelines(self._waiting)
                self._waiting.clear()
        except OSError:  # the disk is full, or no file may be written; the run continues or reports it itself
            self._waiting.clear()


class _Marks:
    """The times at which progress is printed as a line.

    They are every tenth of the run, and at least every ten minutes of a long one, but never less than ten
    seconds apart.
    """

    SHORTEST, LONGEST = 10.0, 600.0  # s

    def __init__(self) -> None:
        self._tenths, self._seconds = 0, 0.0

    def passed(self, share: float, seconds: float) -> bool:
        silence = seconds - self._seconds
        due = silence >= self.SHORTEST and (int(10 * share) > self._tenths or silence >= self.LONGEST)
        if due:
            self._tenths, self._seconds = int(10 * share), seconds
        return due


def progress_line(t: float, end: float, dt: float, solves: int, seconds: float) -> str:
    """A line such as "37.2 of 60 d  ======>----  62 %  step 1.3 d  80 solves/s  1 s left"."""
    return _line(reached(t, end), min(max(t / end, 0.0), 1.0), pace(dt, solves, seconds), seconds)


def reached(t: float, end: float) -> str:
    return f"{t:.4g} of {end:g} d"


def pace(dt: float, solves: int, seconds: float) -> str:
    speed = f"  {solves / seconds:.0f} solves/s" if seconds > 0 else ""
    return f"  step {dt:.2g} d{speed}"


def _line(what: str, share: float, pace: str, seconds: float) -> str:
    """The progress in one line of text."""
    done = round(share * BAR_WIDTH)
    bar = ("=" * done + ">" + "-" * (BAR_WIDTH - done))[: BAR_WIDTH + 1]
    return f"{what}  {bar}  {f'{share:.0%}'.replace('%', ' %')}{pace}{_left(share, seconds)}"


def _left(share: float, seconds: float) -> str:
    return f"  {duration(seconds * (1 - share) / share)} left" if share > 0 else ""


def byte_size(count: float) -> str:
    """Bytes in words: "1.2 GB"."""
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"


def duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
