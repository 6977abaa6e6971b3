"""SIGTERM and SIGINT: a run stops within seconds and keeps its last accepted state, even within a step."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# s within which the run should stop by itself; a stage of a large section, or a compilation, may take longer
GRACE = 2.0


@contextmanager
def sigterm_unwinds() -> Iterator[None]:
    """Inside, SIGTERM exits the main thread with 143, so that open files are closed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Stop:
    """A source of requests to stop a run; this one never asks.

    last_words  set by the run: a function that saves its state if it does not stop by itself in time; its
                argument names the request
    begins      the command that starts the run again, if there is one
    """

    begins = ""

    def __init__(self) -> None:
        self.last_words: Callable[[str], None] = lambda name: None

    @property
    def name(self) -> str:
        """The name of the signal; empty before one has come."""
        return ""

    @property
    def status(self) -> int:
        """The exit status of the process after the signal."""
        return 1

    def acknowledge(self) -> None:
        """Record that the run received the request and stops by itself."""


class SharedStop(Stop):
    """One of several runs that listen to the same stop, each with its own last words."""

    def __init__(self, source: Stop) -> None:
        super().__init__()
        self._source = source

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def status(self) -> int:
        return self._source.status


class Signals(Stop):
    """A listener for SIGTERM and SIGINT; a context manager for the main thread.

    received: the number of the signal, 0 before any. After GRACE, last_words are called in another thread,
    and the process ends with 128 + the signal.
    """

    def __init__(self) -> None:
        super().__init__()
        self.received = 0
        self._quiet = threading.Event()

    @property
    def name(self) -> str:
        return signal.Signals(self.received).name if self.received else ""

    @property
    def status(self) -> int:
        return 128 + self.received

    def __enter__(self) -> Signals:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before = {n: signal.signal(n, self._note) for n in (signal.SIGTERM, signal.SIGINT)}
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, name="rdsolver signals", daemon=True).start()
        return self

    def acknowledge(self) -> None:
        self._quiet.set()

    def __exit__(self, *_: object) -> None:
        self._quiet.set()
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._write)  # ends the thread that reads

    def _note(self, number: int, _: FrameType | None) -> Any:
        self.received = self.received or number

    def _watch(self) -> None:
        """Wait for signals. The C handler itself reports them, so this also works while Python waits for a
        computation.
        """
        while data := os.read(self._read, 1):
            if data[0] not in (signal.SIGTERM, signal.SIGINT):
                continue
            self.received = self.received or data[0]
            if self._quiet.wait(GRACE):
                break
            try:
                self.last_words(self.name)
            finally:
                os._exit(self.status)
        os.close(self._read)
