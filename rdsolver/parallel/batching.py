"""Batches of runs on one device, which advance together in one compiled program of fixed width.

Every run of a batch is as it is when alone, with its own step size, acceptance, events and end; what it does
on the host it does in a thread of its own. Where it needs its program, it takes a seat in a deck: `width`
runs of one shape, whose arrays are stacked on the device. The deck's thread calls the program again and
again. A run keeps its seat until the host is needed, at an event or at its end, and then another takes it.
On a GPU there are up to two decks of a shape, so that one computes while the other is looked after. Decks of
unlike shape do not wait for one another.

A run does not depend on the others: its results are, bit for bit, those of the same run alone at that width.
They differ by round-off from those of a run outside a batch, since the compiler then fuses differently.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .device import computing_on

DECKS = 2  # decks of one shape on a GPU; on a CPU, which looks after itself, one
PATIENCE = 0.1  # s that a deck with free seats waits at most for runs that are busy on the host

_current: ContextVar[Batch | None] = ContextVar("run of a batch", default=None)


class Done(NamedTuple):
    """What a call of the program did.

    tree      the stacked arrays after it; taken: the part of which a run takes its row when it leaves
    answers   for each seat, a function of that row that gives what the run is told; None: it stays
    executed  work that was done on the device; needed: the part that runs asked for
    seconds   time of a step of all
    """

    tree: Any
    taken: Any
    answers: Sequence[Callable[[Any], Any] | None]
    executed: int
    needed: int
    seconds: float


Program = Callable[[Any, Any, Sequence[Any]], Done]
"""(shared, stacked arrays, for each seat the wish of its run or None) -> Done."""


def batched_call(program: Program, shared: Any, own: Any, wish: Any) -> Any:
    """Take a seat in a deck of this program, and return what the run is told when it leaves.

    shared  a tree of arrays that is the same for all runs
    own     a tree of arrays of this run
    wish    what it asks for, on the host
    """
    batch = _current.get()
    assert batch is not None
    return batch.call(_Request(program, shared, own, wish))


def width() -> int:
    """The width of the batch that this run is in; 0 outside a batch. Results depend on it in their last
    bits.
    """
    batch = _current.get()
    return 0 if batch is None else batch.width


@contextmanager
def alone_in_batch(width: int) -> Iterator[None]:
    """Inside, a run is the only one of a batch of this width; with width 0 it is in no batch."""
    with Batch(width).join() if width else nullcontext():
        yield


@dataclass(eq=False)
class _Request:
    program: Program
    shared: Any
    own: Any
    wish: Any
    result: Any = None
    error: BaseException | None = None
    finished: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.device = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
        leaves, structure = jax.tree.flatten((self.shared, self.own))
        self.kind = (
            self.program,
            self.device,
            structure,
            tuple((np.shape(x), x.dtype) for x in leaves),
        )


class Batch:
    """Runs that advance together.

    width     number of seats of a deck
    executed  work that was done on the device
    needed    work that the runs asked for; executed over needed is the cost of a fixed width
    """

    def __init__(self, width: int) -> None:
        self.width, self.executed, self.needed = width, 0, 0
        self.changed = threading.Condition()
        self.waiting: dict[Hashable, deque[_Request]] = {}
        self.decks: dict[Hashable, int] = {}
        self.members = self.calling = 0  # runs in it, and those that wait or have a seat

    @contextmanager
    def join(self) -> Iterator[None]:
        """A run that is computed inside belongs to the batch."""
        token = _current.set(self)
        with self.changed:
            self.members += 1
        try:
            yield
        finally:
            _current.reset(token)
            with self.changed:
                self.members -= 1
                self.changed.notify_all()

    def call(self, request: _Request) -> Any:
        with self.changed:
            queue = self.waiting.setdefault(request.kind, deque())
            queue.append(request)
            self.calling += 1
            decks = self.decks.get(request.kind, 0)
            more = decks < DECKS and request.device.platform != "cpu" and len(queue) >= self.width
            if decks == 0 or more:
                self.decks[request.kind] = decks + 1
                threading.Thread(target=_Deck(self, request).work, name="rdsolver deck", daemon=True).start()
            self.changed.notify_all()
        request.finished.wait()
        if request.error is not None:
            raise request.error
        return request.result


class _Deck:
    """Runs of one shape, on their seats."""

    def __init__(self, batch: Batch, first: _Request) -> None:
        self.batch, self.kind, self.device = batch, first.kind, first.device
        self.program, self.shared = first.program, first.shared
        self.seats: list[_Request | None] = [None] * batch.width
        self.tree: Any = None
        self.seconds = 0.0

    def work(self) -> None:
        """Call the program until nobody waits and every seat is free."""
        with computing_on(self.device):
            while (new := self._filled()) is not None:
                try:
                    for i in new:
                        self._seat(i)
                    self._call()
                except BaseException as error:
                    self.tree = None  # each run fails with this error; its own state stays valid
                    for i, request in enumerate(self.seats):
                        if request is not None:
                            request.error = error
                            self._leave(i)

    def _filled(self) -> list[int] | None:
        """Give free seats to those who wait. Return the seats taken; None: the deck is given up.

        While some seats are free and runs are busy on the host, it waits for them, as long as a step takes.
        """
        batch, new, until = self.batch, [], time.monotonic() + min(self.seconds, PATIENCE)
        with batch.changed:
            while True:
                queue = batch.waiting[self.kind]
                for i, seat in enumerate(self.seats):
                    if seat is None and queue:
                        self.seats[i] = queue.popleft()
                        new.append(i)
                if not any(self.seats):
                    batch.decks[self.kind] -= 1
                    return None
                left = until - time.monotonic()
                if all(self.seats) or batch.members == batch.calling or left <= 0:
                    return new
                batch.changed.wait(left)

    def _seat(self, i: int) -> None:
        """Put the arrays of a run into the stack."""
        request = self.seats[i]
        assert request is not None
        if self.tree is None:
            shape = (self.batch.width,)
            self.tree = jax.tree.map(lambda x: jnp.zeros((*shape, *np.shape(x)), x.dtype), request.own)
        self.tree = _set_row(self.tree, np.int32(i), request.own)

    def _call(self) -> None:
        wishes = [None if request is None else request.wish for request in self.seats]
        done = self.program(self.shared, self.tree, wishes)
        self.tree, self.seconds = done.tree, done.seconds
        with self.batch.changed:
            self.batch.executed += done.executed
            self.batch.needed += done.needed
        for i, (request, answer) in enumerate(zip(self.seats, done.answers, strict=True)):
            if request is not None and answer is not None:
                request.result = answer(_row(done.taken, np.int32(i)))
                self._leave(i)

    def _leave(self, i: int) -> None:
        request, self.seats[i] = self.seats[i], None
        assert request is not None
        with self.batch.changed:
            self.batch.calling -= 1
        request.finished.set()


@jax.jit
def _row(tree: Any, row: Array) -> Any:
    return jax.tree.map(lambda x: x[row], tree)


@partial(jax.jit, donate_argnums=0)
def _set_row(tree: Any, row: Array, values: Any) -> Any:
    return jax.tree.map(lambda x, v: x.at[row].set(v), tree, values)
