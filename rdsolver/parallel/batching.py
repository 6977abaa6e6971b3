"""Batches of runs on one device, whose steps are one compiled program of fixed width.

Every run of a batch is as it is when alone, with its own step size, acceptance, events and end, in a thread
of its own. Where its integrator needs a step, it waits until `width` runs of the same shape need one, and
these are sent to the device at once (jax.vmap), each in a slot of the batch. With more runs than slots some
run always waits, and no slot stays empty until the last few runs. A run does not depend on the others: its
results are, bit for bit, those of the same run alone at that width. They differ by round-off from those of a
run outside a batch, since the compiler then fuses differently.

The results of a step stay stacked on the device, and a run is given its row of them (`BatchRow`). So the host
handles a few arrays in each step, not those of every run, and small results come to the host for all runs at
once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

NUMBERS = (np.ndarray, np.generic)
MOST_WASTE = 1.2  # padding waste above which a program waits until there are more requests to choose from
PATIENCE = 8  # number of programs that may go before a request, while others fit better
# programs sent to the device at once: it never waits for the host, and some requests wait to be chosen from
AHEAD = 2

_current: ContextVar[_BatchedRun | None] = ContextVar("run of a batch", default=None)


def batched_call(
    function: Callable[..., tuple[Any, Any]],
    *arguments: Any,
    trips: tuple[int, ...] = (),
    fixed_work: int = 1,
) -> tuple[Any, Any]:
    """function(*arguments, *trips) of this run, computed with the same call of other runs of its batch.

    function    a pure function; it gives a tuple of dicts of arrays, which stay on the device (`BatchRow`),
                and a tree of small arrays, which come to the host
    arguments   trees of arrays, NumPy numbers, or BatchRows of earlier calls
    trips       numbers of iterations of its loops; all calls that are computed together use the largest
                numbers asked for, and the function must make the iterations beyond its own change nothing
    fixed_work  work beside the iterations, in iterations; calls of similar work are computed together
    """
    run = _current.get()
    assert run is not None
    return run.batch.call(_Request(run, function, arguments, trips, fixed_work))


def width() -> int:
    """The width of the batch that this run is in; 0 outside a batch. Results depend on it in their last
    bits.
    """
    run = _current.get()
    return 0 if run is None else run.batch.width


@contextmanager
def alone_in_batch(width: int) -> Iterator[None]:
    """Inside, a run is the only one of a batch of this width; with width 0 it is in no batch."""
    with Batch(width).join() if width else nullcontext():
        yield


# --- one run's part -----------------------------------------------------------------------------------------


class BatchRow(Mapping[str, Array]):
    """The row of one run in fields that are stacked on the device.

    It is read like a dict of arrays, which are then taken out of the stack.
    """

    def __init__(self, stack: _Stack, row: int) -> None:
        self.stack, self.row, self._own = stack, row, None

    def unstack(self) -> dict[str, Array]:
        if self._own is None:
            self._own = _take_rows(self.stack.tree, np.int32(self.row))
        return self._own

    def __getitem__(self, name: str) -> Array:
        return self.unstack()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.stack.tree)

    def __len__(self) -> int:
        return len(self.stack.tree)


def unstack(fields: Any) -> Any:
    """The fields as arrays of their own, for programs of one run."""
    return fields.unstack() if isinstance(fields, BatchRow) else fields


@dataclass(frozen=True, eq=False)
class _Stack:
    """Arrays with a row for each of several runs. kind: a key for the shapes and types of one row."""

    tree: Any
    kind: Hashable


class _InputStack:
    """Arguments that no step has left on the device, stacked with one row for each run.

    These are systems, and states right after an event.
    """

    def __init__(self, rows: int) -> None:
        self.tree: Any = None
        self.rows: list[tuple[_BatchedRun, Any] | None] = [None] * rows

    def row(self, run: _BatchedRun, values: Any) -> int:
        """The row of a run, with these values in it."""
        mine = (i for i, has in enumerate(self.rows) if has and has[0] is run)
        free = (i for i, has in enumerate(self.rows) if not has)
        row = next(mine, None)
        row = next(free, None) if row is None else row
        if row is None or self.tree is None:
            row = self._grown(values)
        has = self.rows[row]
        if has is None or has[0] is not run or has[1] is not values:
            self.tree = _set_row(self.tree, np.int32(row), values)
            self.rows[row] = run, values
        return row

    def in_use(self) -> bool:
        """True if any row is still in use; the rows of runs that have left the batch are freed."""
        self.rows = [has if has and not has[0].left else None for has in self.rows]
        return any(self.rows)

    def _grown(self, values: Any) -> int:
        """Double the number of rows. Return the first new row."""
        count = len(self.rows)
        fresh = jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), values)
        if self.tree is None:
            self.tree = fresh
            return 0
        self.tree = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), self.tree, fresh)
        self.rows += [None] * count
        return count


@dataclass(eq=False)
class _BatchedRun:
    """A run of a batch.

    stepping  True if it has asked for a step
    left      True if it has left the batch
    known     for each argument that is neither a BatchRow nor a number, the last value with its kind
    """

    batch: Batch
    stepping: bool = False
    left: bool = False
    known: dict[int, tuple[Any, Hashable]] = field(default_factory=dict)

    def kind(self, position: int, value: Any) -> Hashable:
        if isinstance(value, BatchRow):
            return value.stack.kind
        if isinstance(value, NUMBERS):
            return value.shape, value.dtype
        last = self.known.get(position)
        if last is None or last[0] is not value:
            self.known[position] = last = value, _kind(value)
        return last[1]


_kinds: dict[Hashable, object] = {}  # keys for long descriptions, so that each is compared only once


def _kind(tree: Any, rows: int = 0) -> Hashable:
    """A key for the structure of a tree, and for the types of its arrays and their shapes behind the first
    `rows` axes.
    """
    leaves, structure = jax.tree.flatten(tree)
    return _kinds.setdefault((structure, tuple((x.shape[rows:], x.dtype) for x in leaves)), object())


@cache
def _program(function: Callable[..., Any], arguments: int, trips: int) -> Callable[..., Any]:
    return jax.jit(jax.vmap(function, in_axes=(0,) * arguments + (None,) * trips))


@jax.jit
def _take_rows(tree: Any, rows: Array) -> Any:
    """One row of each array, or several."""
    return jax.tree.map(lambda x: x[rows], tree)


@partial(jax.jit, donate_argnums=0)
def _merge_rows(into: Any, tree: Any, rows: Array, there: Array) -> Any:
    """`into`, with rows of `tree` where `there` is True."""

    def pick(a: Array, b: Array) -> Array:
        return jnp.where(there.reshape((-1,) + (1,) * (a.ndim - 1)), b[rows], a)

    return jax.tree.map(pick, into, tree)


@partial(jax.jit, donate_argnums=0)
def _set_row(tree: Any, row: Array, values: Any) -> Any:
    return jax.tree.map(lambda x, v: x.at[row].set(v), tree, values)


# --- the batch ----------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Request:
    """A call that waits to be computed with others.

    passed_over  how often others were chosen instead
    leads        the requests that this run's thread is to compute, including its own
    wake         set when there is work for its thread
    """

    run: _BatchedRun
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    trips: tuple[int, ...]
    fixed_work: int
    passed_over: int = 0
    leads: Sequence[_Request] = ()
    finished: bool = False
    result: Any = None
    error: BaseException | None = None
    wake: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.work = self.fixed_work + sum(self.trips)
        self.kinds = tuple(self.run.kind(i, x) for i, x in enumerate(self.arguments))
        self.kind = self.function, self.kinds


class Batch:
    """Runs whose steps are computed together.

    width     number of slots of one program
    executed  work that was done on the device
    needed    work that the runs asked for; executed over needed is the cost of a fixed width
    """

    def __init__(self, width: int) -> None:
        self.width, self.executed, self.needed = width, 0, 0
        self._lock = threading.Lock()
        self._dispatching, self._given = False, 0  # number of programs on the device
        self._waiting: list[_Request] = []
        self._joined = self._stepping = 0  # number of runs in it, and of those that have asked for a step
        self._inputs: dict[Hashable, _InputStack] = {}

    @contextmanager
    def join(self) -> Iterator[None]:
        """A run that is computed inside belongs to the batch: the others wait for it, until it leaves."""
        run = _BatchedRun(self)
        with self._lock:
            self._joined += 1
        token = _current.set(run)
        try:
            yield
        finally:
            _current.reset(token)
            with self._lock:
                run.left = True
                self._joined -= 1
                self._stepping -= run.stepping
                self._next()

    def call(self, request: _Request) -> Any:
        with self._lock:
            self._stepping += not request.run.stepping
            request.run.stepping = True
            self._waiting.append(request)
            self._next()
        while not request.finished:
            request.wake.wait()
            request.wake.clear()
            if request.leads:
                self._compute(request.leads)
        if request.error is not None:
            raise request.error
        return request.result

    def _next(self) -> None:
        """Let the thread of one request compute all that are ready. Call it with the lock, at any change."""
        if not self._dispatching and self._given < AHEAD and (chosen := self._ready()):
            self._dispatching = True
            self._given += 1
            chosen[0].leads = chosen
            chosen[0].wake.set()

    def _ready(self) -> list[_Request]:
        """The requests to compute next.

        They are a full program of similar work; when all runs that step wait, those that fit best; when every
        run waits, the requests of the kind that most wait for.
        """
        if len(self._waiting) < min(self.width, self._joined):
            return []
        kinds: dict[Hashable, list[_Request]] = {}
        for request in self._waiting:
            kinds.setdefault(request.kind, []).append(request)
        most = max(kinds.values(), key=len, default=[])
        if not most or (len(most) < self.width and len(self._waiting) < self._joined):
            return []
        chosen = _best_fit(most, self.width)
        if _padding_waste(chosen) > MOST_WASTE and len(self._waiting) < self._stepping:
            return []
        self._waiting = [r for r in self._waiting if r not in chosen]
        for request in most:
            request.passed_over += 1
        return chosen

    def _compute(self, chosen: Sequence[_Request]) -> None:
        """Compute these requests. While this thread waits for the device, the next program may be sent to
        it.
        """
        try:
            try:
                stacks, small = self._dispatched(chosen)
            except BaseException:
                self._inputs.clear()  # an input stack may have been lost in the failed call
                raise
            finally:
                with self._lock:
                    self._dispatching = False
                    self._next()
            small = jax.device_get(small)
        except BaseException as error:  # each run fails with this error, and its own state stays valid
            for request in chosen:
                request.error = error
        else:
            for i, request in enumerate(chosen):
                request.result = (
                    tuple(BatchRow(stack, i) for stack in stacks),
                    jax.tree.map(lambda x, i=i: x[i], small),
                )
        with self._lock:
            self._given -= 1
            for request in chosen:
                request.finished, request.leads = True, ()
                request.wake.set()
            self._next()

    def _dispatched(self, chosen: Sequence[_Request]) -> tuple[tuple[_Stack, ...], Any]:
        first = chosen[0]
        program = _program(first.function, len(first.arguments), len(first.trips))
        trips = [max(each) for each in zip(*(r.trips for r in chosen), strict=True)]
        for kind, stack in list(self._inputs.items()):
            if not stack.in_use():
                del self._inputs[kind]
        self.executed += self.width * (first.fixed_work + sum(trips))
        self.needed += sum(r.work for r in chosen)
        filled = [*chosen, *[first] * (self.width - len(chosen))]
        arguments = [self._stacked(k, filled) for k in range(len(first.arguments))]
        trees, small = program(*arguments, *map(np.int32, trips))
        return tuple(_Stack(tree, _kind(tree, 1)) for tree in trees), small

    def _stacked(self, position: int, chosen: Sequence[_Request]) -> Any:
        """One argument of all of them, one row for each."""
        values = [r.arguments[position] for r in chosen]
        if isinstance(values[0], NUMBERS):
            return np.stack(values)
        found = [self._found(r, position) for r in chosen]
        rows = np.array([row for _, row in found], np.int32)
        whole, *others = dict.fromkeys(source for source, _ in found)
        if not others and isinstance(whole, _Stack) and np.array_equal(rows, np.arange(self.width)):
            return whole.tree
        tree = _take_rows(whole.tree, np.where([source is whole for source, _ in found], rows, 0))
        for other in others:
            there = np.array([source is other for source, _ in found])
            tree = _merge_rows(tree, other.tree, np.where(there, rows, 0), there)
        return tree

    def _found(self, request: _Request, position: int) -> tuple[_Stack | _InputStack, int]:
        """The stack that holds an argument, and its row."""
        value = request.arguments[position]
        if isinstance(value, BatchRow):
            return value.stack, value.row
        stack = self._inputs.setdefault((position, request.kinds[position]), _InputStack(self.width))
        return stack, stack.row(request.run, value)


def _best_fit(requests: Sequence[_Request], width: int) -> list[_Request]:
    """As many requests as there are slots, with the least padding waste; one that was passed over often is
    included.
    """
    ordered = sorted(requests, key=lambda r: r.work)
    count, first = min(width, len(ordered)), requests[0]
    windows = [ordered[i : i + count] for i in range(len(ordered) - count + 1)]
    return min((w for w in windows if first.passed_over < PATIENCE or first in w), key=_padding_waste)


def _padding_waste(chosen: Sequence[_Request]) -> float:
    """The work that is done for these requests in one program, over the work that they ask for."""
    return len(chosen) * max(r.work for r in chosen) / sum(r.work for r in chosen)
