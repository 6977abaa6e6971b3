"""A thread that writes in order, so that writing overlaps computing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Queue
from typing import Any

ROOM = 4  # things waiting at most; then the solver waits, and memory stays bounded


class Background:
    """A thread that writes in order; as a context manager it waits until everything is written.

    What fails in it is raised by the next `do` or `wait`, and nothing after it is done.
    """

    def __init__(self) -> None:
        self._queue: Queue[tuple[Callable[..., None], tuple[Any, ...]] | None] = Queue(ROOM)
        self._error: BaseException | None = None
        self.seconds = 0.0  # spent on what was given
        self._thread = threading.Thread(target=self._work, name="rdsolver writer", daemon=True)
        self._thread.start()

    def do(self, work: Callable[..., None], *arguments: Any) -> None:
        """Queue a call; calls are made in order."""
        self._raise()
        self._queue.put((work, arguments))

    def wait(self) -> None:
        """Wait until all queued calls are done."""
        self._queue.join()
        self._raise()

    def forgive(self) -> bool:
        """Go on after an error, for the last words of a run; whether there was one, and so something given
        was not done.
        """
        self._queue.join()
        failed, self._error = self._error is not None, None
        return failed

    def close(self) -> None:
        """End the thread after the queued calls; errors are raised by `wait` only."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def __enter__(self) -> Background:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            work, arguments = item
            began = time.perf_counter()
            try:
                if self._error is None:
                    work(*arguments)
            except BaseException as e:  # raised where it is seen, in the thread that computes
                self._error = e
            finally:
                self.seconds += time.perf_counter() - began
                self._queue.task_done()
        self._queue.task_done()
