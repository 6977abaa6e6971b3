"""Runs that step together on one device: the steps of several are one compiled program of fixed width.

Every member is a run as it is when alone, with its own step size, acceptance, events and end, in a thread of its own. Where its integrator
computes a step it waits until `width` members of the same shape want the same, and these go to the device at once (jax.vmap). With more
members than the width somebody always waits, and no place stays empty until the last few runs. A member sees nothing of the others: its
results are, bit for bit, those of the same run alone at that width. Against a run outside a company they differ by round-off, since the
compiler fuses otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_company: ContextVar[Company | None] = ContextVar("company", default=None)


def together(function: Callable[..., Any], *arguments: Any, work: int = 1) -> Any:
    """function(*arguments), compiled, arrays in and out; with the company where there is one. work: what it costs, in units of its own:
    calls of similar work go together, since all of a program wait for the longest."""
    company = _company.get()
    return function(*arguments) if company is None else company.call(function, arguments, work)


def width() -> int:
    """Of the company that this run steps with; 0: it is alone. Results depend on it in their last bits."""
    company = _company.get()
    return 0 if company is None else company.width


@dataclass(eq=False)
class _Request:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    work: int
    kind: Hashable
    finished: bool = False
    result: Any = None
    error: BaseException | None = None


class Company:
    """width: members of one program.

    executed, needed   work that was done on the device and what its members asked for: their ratio is what fixed width costs
    """

    def __init__(self, width: int) -> None:
        self.width, self.executed, self.needed = width, 0, 0
        self._changed = threading.Condition()
        self._computing = False
        self._waiting: list[_Request] = []
        self._live = 0
        self._programs: dict[Callable[..., Any], Callable[..., Any]] = {}

    @contextmanager
    def member(self) -> Iterator[None]:
        """What is done inside is done by a member: everyone waits for it, until it leaves."""
        with self._changed:
            self._live += 1
        token = _company.set(self)
        try:
            yield
        finally:
            _company.reset(token)
            with self._changed:
                self._live -= 1
                self._changed.notify_all()

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...], work: int) -> Any:
        leaves, structure = jax.tree.flatten(arguments)
        kind = function, structure, tuple((np.shape(x), jnp.result_type(x)) for x in leaves)
        request = _Request(function, arguments, work, kind)
        with self._changed:
            self._waiting.append(request)
        while batch := self._next(request):
            self._compute(batch)
        if request.error is not None:
            raise request.error
        return request.result

    def _next(self, own: _Request) -> list[_Request]:
        """What this thread is to compute, as soon as something is ready; none once its own request is finished."""
        with self._changed:
            while not own.finished:
                if not self._computing and (batch := self._ready()):
                    self._computing = True
                    return batch
                self._changed.wait()
            return []

    def _ready(self) -> list[_Request]:
        """A full program; or, when everyone waits, what there is of the kind that most wait for."""
        kinds: dict[Hashable, list[_Request]] = {}
        for request in self._waiting:
            kinds.setdefault(request.kind, []).append(request)
        most = max(kinds.values(), key=len, default=[])
        if not most or (len(most) < self.width and len(self._waiting) < self._live):
            return []
        batch = _alike(most, self.width)
        self._waiting = [r for r in self._waiting if r not in batch]
        return batch

    def _compute(self, batch: Sequence[_Request]) -> None:
        function = batch[0].function
        program = self._programs.setdefault(function, jax.jit(_side_by_side(function)))
        members = [r.arguments for r in batch]
        try:
            results = program(*members, *members[:1] * (self.width - len(batch)))
        except BaseException as error:  # each member fails by it, with its own state kept
            for request in batch:
                request.error = error
        else:
            self.executed += self.width * max(r.work for r in batch)
            self.needed += sum(r.work for r in batch)
            for request, result in zip(batch, results, strict=False):
                request.result = result
        with self._changed:
            self._computing = False
            for request in batch:
                request.finished = True
            self._changed.notify_all()


def _alike(requests: Sequence[_Request], width: int) -> list[_Request]:
    """As many as the width, nearest in work to the one that has waited longest."""
    first = requests[0]
    return sorted(requests, key=lambda r: (abs(r.work - first.work), r is not first))[:width]


def _side_by_side(function: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
    def all_of_them(*members: tuple[Any, ...]) -> tuple[Any, ...]:
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *members)
        results = jax.vmap(function)(*stacked)
        return tuple(jax.tree.map(lambda x, i=i: x[i], results) for i in range(len(members)))

    return all_of_them
