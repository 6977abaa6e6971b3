"""A thread that writes in order, so that writing overlaps computing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Queue
from typing import Any

ROOM = 4  # largest number of queued calls; then the solver waits, so that memory stays bounded


class Background:
    """A thread that writes in order; as a context manager it waits until everything is written.

    An error in it is raised by the next `do` or `wait`, and no later call is made.
    """

    def __init__(self) -> None:
        self._queue: Queue[tuple[Callable[..., None], tuple[Any, ...]] | None] = Queue(ROOM)
        self._error: BaseException | None = None
        self.seconds = 0.0  # time spent on the queued calls
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
        """Clear an error, so that the end of a run can still be written.

        Return True if there was an error, so that one of the queued calls was not made.
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
            except BaseException as e:  # it is raised in the thread that computes, where it is seen
                self._error = e
            finally:
                self.seconds += time.perf_counter() - began
                self._queue.task_done()
        self._queue.task_done()
