"""Messages, warnings and progress of a run: on a terminal, in a log, or nowhere."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Protocol, TextIO

from .path_kinds import RUN

TOPIC_WIDTH = 10
BAR_WIDTH = 10
CLEAR_LINE = "\r\x1b[2K"


class Reporter(Protocol):
    """Receives the messages, warnings and progress of a run. The silent one is `Silent`."""

    def say(self, topic: str, text: str) -> None:
        """One line, e.g. ("baseline", "found in 62 V-cycles"); an empty topic continues the line before."""
        ...

    def warn(self, text: str) -> None:
        """A warning; the run continues."""
        ...

    def progress(self, t: float, end: float, dt: float, solves: int, seconds: float) -> None:
        """Where the run stands: time reached and end (d), step (d), stage solves so far, wall seconds since
        the first step.
        """
        ...


class ProgressReporter(Protocol):
    """Receives the messages and progress of work on many runs."""

    def say(self, topic: str, text: str) -> None:
        """One line."""
        ...

    def working(self, what: str, share: float, seconds: float) -> None:
        """What is being done, the share of it that is done, and wall seconds since it began."""
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


class TerminalReporter:
    """Lines on a terminal, and below them one that tells where the run stands; on a pipe, lines alone and few
    of those.

    A reader that goes away (`rdsolver run ... | head`) ends the talking, not the run.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        from rich.console import Console

        self._stream = stream or sys.stdout
        self._console = Console(file=self._stream, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._marks = _Marks()
        self._shown = False
        self._closed = False

    def say(self, topic: str, text: str) -> None:
        self._print(topic, text, "bold")

    def warn(self, text: str) -> None:
        self._print("warning", text, "yellow")

    def close(self) -> None:
        """End the line that tells where the run stands, so that whatever is said next has one of its own."""
        if self._shown:
            self._write("\n")
            self._shown = False

    def progress(self, t: float, end: float, dt: float, solves: int, seconds: float) -> None:
        self._line(progress_line(t, end, dt, solves, seconds), t / end, seconds)

    def working(self, what: str, share: float, seconds: float) -> None:
        """Where something else than a run stands: the share of it that is done, and wall seconds since it
        began.
        """
        self._line(working_line(what, share, seconds), share, seconds)

    def _line(self, line: str, share: float, seconds: float) -> None:
        if self._console.is_terminal:
            self._write(f"{CLEAR_LINE}{line[: max(self._console.width - 1, 1)]}")
            self._shown = True
        elif self._marks.passed(share, seconds):
            self._write(f"{line}\n")

    def _print(self, topic: str, text: str, style: str) -> None:
        from rich.text import Text

        if self._shown:
            self._write(CLEAR_LINE)
            self._shown = False
        with self._console.capture() as captured:
            self._console.print(
                Text(f"{topic:<{TOPIC_WIDTH}}", style),
                Text(text.replace("\n", "\n" + " " * TOPIC_WIDTH)),
                sep="",
            )
        self._write(captured.get())

    def _write(self, text: str) -> None:
        if self._closed:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            self._closed = True
            # else Python complains when it flushes at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        except (OSError, ValueError):  # the terminal is gone, or the stream closed
            self._closed = True


def on_terminal(quiet: bool = False, aside: bool = False) -> TerminalReporter | Quiet:
    """The reporter of a command. aside: on stderr, if stdout is for something else."""
    return Quiet() if quiet else TerminalReporter(sys.stderr if aside else None)


class LogReporter:
    """Plain lines with the time of day, into a file beside the run: once a new run.h5 is there, so that a run
    that was refused leaves no log and touches none that belongs to an earlier run.

    goes_on: the run that is there is resumed, and so is its log.
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
        """What distinguishes one run.h5 from another."""
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
        except OSError:  # a full disk, or no file may be there: the run itself goes on, or says so
            self._waiting.clear()


class _Marks:
    """When a reader who cannot be overwritten hears of progress: at every tenth of the run, and at least
    every ten minutes of a long one, but never within ten seconds.
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
    """ "37.2 of 60 d  ======>----  62 %  step 1.3 d  80 solves/s  1 s left"."""
    share = min(max(t / end, 0.0), 1.0)
    speed = f"  {solves / seconds:.0f} solves/s" if seconds > 0 else ""
    return f"{t:.4g} of {end:g} d  {_bar(share)}  step {dt:.2g} d{speed}{_left(share, seconds)}"


def working_line(what: str, share: float, seconds: float) -> str:
    """ "derivatives  ======>----  62 %  40 s left"."""
    share = min(max(share, 0.0), 1.0)
    return f"{what}  {_bar(share)}{_left(share, seconds)}"


def _bar(share: float) -> str:
    done = round(share * BAR_WIDTH)
    bar = ("=" * done + ">" + "-" * (BAR_WIDTH - done))[: BAR_WIDTH + 1]
    return f"{bar}  {share:.0%}".replace("%", " %")


def _left(share: float, seconds: float) -> str:
    return f"  {duration(seconds * (1 - share) / share)} left" if share > 0 else ""


def byte_size(count: float) -> str:
    """Bytes in words: "1.2 GB"."""
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"


def duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
