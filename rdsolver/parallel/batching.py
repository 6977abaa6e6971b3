"""Runs that step together on one device: the steps of several are one compiled program of fixed width.

Every member is a run as it is when alone, with its own step size, acceptance, events and end, in a thread of
its own. Where its integrator wants a step it waits until `width` members of the same shape want one, and
these go to the device at once (jax.vmap). With more members than the width somebody always waits, and no
place stays empty until the last few runs. A member sees nothing of the others: its results are, bit for bit,
those of the same run alone at that width. Against a run outside a company they differ by round-off, since the
compiler fuses otherwise.

What a step leaves stays stacked on the device, and a member is handed its row of it (`Held`): so the host
handles a few arrays a step, not those of every member, and what is small comes to the host for all at once.
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
IN_VAIN = 1.2  # work done over work needed, above which a program waits for others to choose from
PATIENCE = 8  # programs that go before a member, while others fit better
# programs given to the device at once: it never waits for the host, and those that wait can be chosen from
AHEAD = 2

_member: ContextVar[_Member | None] = ContextVar("member", default=None)


def together(
    function: Callable[..., tuple[Any, Any]], *arguments: Any, trips: tuple[int, ...] = (), beside: int = 1
) -> tuple[Any, Any]:
    """function(*arguments, *trips) of this member of a company, computed with others.

    function   pure; gives a tuple of dicts of arrays, which stay on the device (`Held`), and a tree of small
               arrays, which come to the host
    arguments  trees of arrays, NumPy numbers, or what was Held before
    trips      of its loops; all that go together make as many as the one that asks for most: function sees to
               it that those beyond its own change nothing
    beside     work beside the trips, in trips; calls of similar work go together
    """
    member = _member.get()
    assert member is not None
    return member.company.call(_Request(member, function, arguments, trips, beside))


def width() -> int:
    """Of the company that this run steps with; 0: it is alone. Results depend on it in their last bits."""
    member = _member.get()
    return 0 if member is None else member.company.width


@contextmanager
def alongside(width: int) -> Iterator[None]:
    """A member of a company that has no other; of width 0: of none."""
    with Company(width).member() if width else nullcontext():
        yield


# --- one member's part --------------------------------------------------------------------------------------


class Held(Mapping[str, Array]):
    """One row of fields that are stacked on the device; read like a dict of arrays, which are then its own
    (`apart`).
    """

    def __init__(self, stack: _Stack, row: int) -> None:
        self.stack, self.row, self._own = stack, row, None

    def apart(self) -> dict[str, Array]:
        if self._own is None:
            self._own = _rows(self.stack.tree, np.int32(self.row))
        return self._own

    def __getitem__(self, name: str) -> Array:
        return self.apart()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.stack.tree)

    def __len__(self) -> int:
        return len(self.stack.tree)


def apart(fields: Any) -> Any:
    """As arrays of its own, for programs of this member alone."""
    return fields.apart() if isinstance(fields, Held) else fields


@dataclass(frozen=True, eq=False)
class _Stack:
    """Arrays with a row for each of several members; kind: what those of one row look like."""

    tree: Any
    kind: Hashable


class _Shelf:
    """Where arguments that no step has left are stacked, a row a member: systems, and states right after an
    event.
    """

    def __init__(self, rows: int) -> None:
        self.tree: Any = None
        self.has: list[tuple[_Member, Any] | None] = [None] * rows

    def row(self, member: _Member, values: Any) -> int:
        """Of a member, with these values in it."""
        mine = (i for i, has in enumerate(self.has) if has and has[0] is member)
        free = (i for i, has in enumerate(self.has) if not has)
        row = next(mine, None)
        row = next(free, None) if row is None else row
        if row is None or self.tree is None:
            row = self._grown(values)
        has = self.has[row]
        if has is None or has[0] is not member or has[1] is not values:
            self.tree = _with_row(self.tree, np.int32(row), values)
            self.has[row] = member, values
        return row

    def kept(self) -> bool:
        """Whether anyone's is left; those of members that have left are forgotten."""
        self.has = [has if has and not has[0].left else None for has in self.has]
        return any(self.has)

    def _grown(self, values: Any) -> int:
        """Room for as many more; gives the first new row."""
        count = len(self.has)
        fresh = jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), values)
        if self.tree is None:
            self.tree = fresh
            return 0
        self.tree = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), self.tree, fresh)
        self.has += [None] * count
        return count


@dataclass(eq=False)
class _Member:
    """known: of each argument that is neither Held nor a number the last value, with its kind."""

    company: Company
    stepping: bool = False
    left: bool = False
    known: dict[int, tuple[Any, Hashable]] = field(default_factory=dict)

    def kind(self, position: int, value: Any) -> Hashable:
        if isinstance(value, Held):
            return value.stack.kind
        if isinstance(value, NUMBERS):
            return value.shape, value.dtype
        last = self.known.get(position)
        if last is None or last[0] is not value:
            self.known[position] = last = value, _kind(value)
        return last[1]


_kinds: dict[Hashable, object] = {}  # long descriptions, each compared once


def _kind(tree: Any, rows: int = 0) -> Hashable:
    """What stands for its structure, and for shapes after so many axes and types of its arrays."""
    leaves, structure = jax.tree.flatten(tree)
    return _kinds.setdefault((structure, tuple((x.shape[rows:], x.dtype) for x in leaves)), object())


@cache
def _program(function: Callable[..., Any], arguments: int, trips: int) -> Callable[..., Any]:
    return jax.jit(jax.vmap(function, in_axes=(0,) * arguments + (None,) * trips))


@jax.jit
def _rows(tree: Any, rows: Array) -> Any:
    """One row, or several."""
    return jax.tree.map(lambda x: x[rows], tree)


@partial(jax.jit, donate_argnums=0)
def _merged(into: Any, tree: Any, rows: Array, there: Array) -> Any:
    """The rows of `tree` where `there` says so."""

    def pick(a: Array, b: Array) -> Array:
        return jnp.where(there.reshape((-1,) + (1,) * (a.ndim - 1)), b[rows], a)

    return jax.tree.map(pick, into, tree)


@partial(jax.jit, donate_argnums=0)
def _with_row(tree: Any, row: Array, values: Any) -> Any:
    return jax.tree.map(lambda x, v: x.at[row].set(v), tree, values)


# --- all of them --------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Request:
    """passed: how often others were taken instead; leads: those whose step this member's thread is to compute
    with its own; told: when there is something for its thread to do.
    """

    member: _Member
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    trips: tuple[int, ...]
    beside: int
    passed: int = 0
    leads: Sequence[_Request] = ()
    finished: bool = False
    result: Any = None
    error: BaseException | None = None
    told: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.work = self.beside + sum(self.trips)
        self.kinds = tuple(self.member.kind(i, x) for i, x in enumerate(self.arguments))
        self.kind = self.function, self.kinds


class Company:
    """width: members of one program.

    executed, needed   work done on the device, and work that the runs asked for: the ratio is the padding
                       waste
    """

    def __init__(self, width: int) -> None:
        self.width, self.executed, self.needed = width, 0, 0
        self._lock = threading.Lock()
        self._dispatching, self._given = False, 0  # programs with the device
        self._waiting: list[_Request] = []
        self._live = self._stepping = 0  # members; those of them that have asked for a step
        self._shelves: dict[Hashable, _Shelf] = {}

    @contextmanager
    def member(self) -> Iterator[None]:
        """What is done inside is done by a member: everyone waits for it, until it leaves."""
        member = _Member(self)
        with self._lock:
            self._live += 1
        token = _member.set(member)
        try:
            yield
        finally:
            _member.reset(token)
            with self._lock:
                member.left = True
                self._live -= 1
                self._stepping -= member.stepping
                self._next()

    def call(self, request: _Request) -> Any:
        with self._lock:
            self._stepping += not request.member.stepping
            request.member.stepping = True
            self._waiting.append(request)
            self._next()
        while not request.finished:
            request.told.wait()
            request.told.clear()
            if request.leads:
                self._compute(request.leads)
        if request.error is not None:
            raise request.error
        return request.result

    def _next(self) -> None:
        """Has one of those that are ready compute the step of all of them.

        To be called with the lock, whenever something has changed.
        """
        if not self._dispatching and self._given < AHEAD and (batch := self._ready()):
            self._dispatching = True
            self._given += 1
            batch[0].leads = batch
            batch[0].told.set()

    def _ready(self) -> list[_Request]:
        """A full program of those that fit together; when all that step wait, of those that fit best; when
        everyone waits, what there is of the kind that most wait for.
        """
        if len(self._waiting) < min(self.width, self._live):
            return []
        kinds: dict[Hashable, list[_Request]] = {}
        for request in self._waiting:
            kinds.setdefault(request.kind, []).append(request)
        most = max(kinds.values(), key=len, default=[])
        if not most or (len(most) < self.width and len(self._waiting) < self._live):
            return []
        batch = _alike(most, self.width)
        if _vain(batch) > IN_VAIN and len(self._waiting) < self._stepping:
            return []
        self._waiting = [r for r in self._waiting if r not in batch]
        for request in most:
            request.passed += 1
        return batch

    def _compute(self, batch: Sequence[_Request]) -> None:
        """While this waits for the device, the next may be given to it."""
        try:
            try:
                held, told = self._dispatched(batch)
            except BaseException:
                self._shelves.clear()  # one may have been lost on the way
                raise
            finally:
                with self._lock:
                    self._dispatching = False
                    self._next()
            told = jax.device_get(told)
        except BaseException as error:  # each member fails by it, with its own state kept
            for request in batch:
                request.error = error
        else:
            for i, request in enumerate(batch):
                request.result = (
                    tuple(Held(stack, i) for stack in held),
                    jax.tree.map(lambda x, i=i: x[i], told),
                )
        with self._lock:
            self._given -= 1
            for request in batch:
                request.finished, request.leads = True, ()
                request.told.set()
            self._next()

    def _dispatched(self, batch: Sequence[_Request]) -> tuple[tuple[_Stack, ...], Any]:
        first = batch[0]
        program = _program(first.function, len(first.arguments), len(first.trips))
        trips = [max(each) for each in zip(*(r.trips for r in batch), strict=True)]
        for kind, shelf in list(self._shelves.items()):
            if not shelf.kept():
                del self._shelves[kind]
        self.executed += self.width * (first.beside + sum(trips))
        self.needed += sum(r.work for r in batch)
        filled = [*batch, *[first] * (self.width - len(batch))]
        arguments = [self._stacked(k, filled) for k in range(len(first.arguments))]
        held, told = program(*arguments, *map(np.int32, trips))
        return tuple(_Stack(tree, _kind(tree, 1)) for tree in held), told

    def _stacked(self, position: int, batch: Sequence[_Request]) -> Any:
        """An argument of all, a row each."""
        values = [r.arguments[position] for r in batch]
        if isinstance(values[0], NUMBERS):
            return np.stack(values)
        found = [self._found(r, position) for r in batch]
        rows = np.array([row for _, row in found], np.int32)
        whole, *others = dict.fromkeys(source for source, _ in found)
        if not others and isinstance(whole, _Stack) and np.array_equal(rows, np.arange(self.width)):
            return whole.tree
        tree = _rows(whole.tree, np.where([source is whole for source, _ in found], rows, 0))
        for other in others:
            there = np.array([source is other for source, _ in found])
            tree = _merged(tree, other.tree, np.where(there, rows, 0), there)
        return tree

    def _found(self, request: _Request, position: int) -> tuple[_Stack | _Shelf, int]:
        """Where an argument is stacked, and in which row."""
        value = request.arguments[position]
        if isinstance(value, Held):
            return value.stack, value.row
        shelf = self._shelves.setdefault((position, request.kinds[position]), _Shelf(self.width))
        return shelf, shelf.row(request.member, value)


def _alike(requests: Sequence[_Request], width: int) -> list[_Request]:
    """As many calls as the batch is wide, with the least padding waste, and none passed over for long."""
    ordered = sorted(requests, key=lambda r: r.work)
    count, first = min(width, len(ordered)), requests[0]
    windows = [ordered[i : i + count] for i in range(len(ordered) - count + 1)]
    return min((w for w in windows if first.passed < PATIENCE or first in w), key=_vain)


def _vain(batch: Sequence[_Request]) -> float:
    """Work that is done for these over what they ask for, at most."""
    return len(batch) * max(r.work for r in batch) / sum(r.work for r in batch)
