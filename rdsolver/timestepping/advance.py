"""A stretch of a run as one compiled program: steps are tried, judged and saved on the device.

A leg goes from one event to the next. Its program does attempts until the leg ends, the host must look, or
`most` attempts are done: it takes the next step from the error, repeats what was rejected, interpolates at
saved times into a buffer, and writes a row of numbers for every attempt. The host reads them between two
calls (simulation/time_loop.py). A lane is all that goes on from call to call, so that the results do not
depend, bit for bit, on where the calls end.

A leg of infinite length finds the steady state, by steps of infinite length (trbdf2.py): the program that
compiles for minutes on some devices then serves the baseline too.

For runs that step together, every array of a lane has an axis of lanes in front, and each lane has its own
step, acceptance and end: the loop is around a vmapped attempt. A call ends as soon as one of them must leave,
so no lane waits for others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..operators.array_types import Bool, Count, Float, Int, Truth
from ..operators.no_fusion import on_cpu
from .attempt import IDLE, RUNNING, Leg, Tried, attempt, between, reach, row_names, settle
from .base import Integrator, Lane, data
from .system import Fields

Places = Int[Array, "space"]
Kept = Int[Array, "lanes"]
On = Bool[Array, "lanes"]
Ahead = Float[Array, "lanes ahead"]

ROWS = 64  # most attempts of one call
# Options of the compiler for a GPU: a loop whose trips the device decides is then part of one CUDA graph;
# else the host waits for the device in every trip.
GRAPHS = {
    "xla_gpu_enable_command_buffer": "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,WHILE,CONDITIONAL",
    "xla_gpu_graph_min_graph_size": 1,
}


@partial(jax.tree_util.register_dataclass, data_fields=["values"], meta_fields=["names"])
@dataclass(frozen=True)
class Rows:
    """A row of numbers for each attempt, (attempts, [lanes,] numbers), and what they are.

    They are outcome, t (reached), dt, error, finite, lowest, unsolved, rejections (before it, in a row),
    stages, and by prefix: report., slow. (the solver should be accelerated), cycles., passed., observed.
    """

    values: Any
    names: tuple[str, ...]


@data("states", "lane", "number", "count", "kept")
@dataclass(frozen=True)
class Saved:
    """The states at saved times: one buffer for all lanes.

    states  each field, (space, *cells)
    lane    (space,) the lane of each state
    number  (space,) its place among the saved times of that lane
    count   number of states in the buffer
    kept    ([lanes],) for each lane, the number of its saved times that were passed; of several states with
            one number, the last counts
    """

    states: Fields
    lane: Places
    number: Places
    count: Count
    kept: Kept


@data("lane", "rows", "attempts", "saved", "full")
@dataclass(frozen=True)
class Advanced:
    """What a call gives. full: True if it ended because the next step may pass more saved times than the
    buffer has room for.
    """

    lane: Lane
    rows: Rows
    attempts: Count
    saved: Saved
    full: Truth


_Recording = tuple[Saved, Array, Array]
_Loop = tuple[Truth, Lane, Array, Saved, Count]


def _record(
    integrator: Integrator, leg: Leg, lane: Lane, tried: Tried, saves: Ahead, saved: Saved, many: bool
) -> _Recording:
    """Put the states at the saved times that an accepted step passed into the buffer, one after another.

    Return it, and for each lane whether its interpolant is negative at one of these times, and that time; the
    buffer then counts none of the step.
    """
    before, lanes = saved.kept, jnp.arange(saved.kept.shape[0])

    def due(state: _Recording) -> tuple[On, Array]:
        saved, negative, _ = state
        when = jnp.take_along_axis(saves, saved.kept[:, None], 1)[:, 0]
        return tried.accept.reshape(-1) & ~negative & (when <= tried.t.reshape(-1)), when

    def save(state: _Recording) -> _Recording:
        saved, negative, landing = state
        pending, when = due(state)
        i = jnp.argmax(pending)
        here, at = lanes == i, when[i]
        mine = jax.tree.map(lambda x: x[i], (leg, lane, tried)) if many else (leg, lane, tried)
        u, below = between(integrator, mine[0], mine[1], mine[2], at)

        def put(buffer: Array, x: Array) -> Array:
            return jax.lax.dynamic_update_index_in_dim(buffer, x.astype(buffer.dtype), saved.count, 0)

        after = Saved(
            {k: put(x, u[k]) for k, x in saved.states.items()},
            put(saved.lane, i),
            put(saved.number, saved.kept[i]),
            saved.count + jnp.where(below, 0, 1),
            jnp.where(here, jnp.where(below, before, saved.kept + 1), saved.kept),
        )
        return after, negative | (here & below), jnp.where(here & below, at, landing)

    begin = saved, jnp.zeros(lanes.shape, bool), jnp.zeros(lanes.shape)
    with jax.named_scope("saves"):
        return jax.lax.while_loop(lambda state: jnp.any(due(state)[0]), save, begin)


def _advance(
    integrator: Integrator,
    leg: Leg,
    lane: Lane,
    on: On,
    saves: Ahead,
    most: Count,
    space: int,
    many: bool,
) -> Advanced:
    def each(f: Callable[..., Any]) -> Callable[..., Any]:
        """The function, for each of the lanes."""
        return jax.vmap(f) if many else f

    one_leg, one_lane = jax.tree.map(lambda x: x[0], (leg, lane)) if many else (leg, lane)
    names, count = row_names(one_leg, one_lane, integrator.implicit), len(on)

    def shaped(x: Array) -> Array:
        """A number for each lane, with the axes that the lanes have."""
        return x if many else x[0]

    def room(lane: Lane, saved: Saved) -> Truth:
        """True if the buffer can take what the next steps may pass."""
        passed = saves <= each(reach)(leg, lane).reshape(count, 1)
        due = jnp.where(lane.status.reshape(-1) == RUNNING, jnp.sum(passed, axis=1) - saved.kept, 0)
        return saved.count + jnp.sum(due) <= space

    def goes_on(lane: Lane, saved: Saved, n: Count) -> Truth:
        running = lane.status == RUNNING
        nobody_left = jnp.any(running) & jnp.all(running | (lane.status == IDLE))
        return nobody_left & (n < most) & room(lane, saved)

    def body(state: _Loop) -> _Loop:
        _, lane, rows, saved, n = state
        tried = each(partial(attempt, integrator))(leg, lane)
        saved, negative, landing = _record(integrator, leg, lane, tried, saves, saved, many)
        lane, outcome = each(settle)(lane, tried, shaped(landing), leg.end, shaped(negative))
        row = jnp.concatenate([outcome[..., None], tried.row[..., 1:]], axis=-1)
        rows = jax.lax.dynamic_update_index_in_dim(rows, row, n, 0)
        return goes_on(lane, saved, n + 1), lane, rows, saved, n + 1

    none, n = jnp.zeros(count, jnp.int32), jnp.zeros((), jnp.int32)
    buffer = {k: jnp.zeros((space, *x.shape), x.dtype) for k, x in one_lane.u.items()}
    saved = Saved(buffer, jnp.zeros(space, jnp.int32), jnp.zeros(space, jnp.int32), n, none)
    rows = jnp.zeros((ROWS, *lane.t.shape, len(names)))
    lane = replace(lane, status=shaped(jnp.where(on, RUNNING, IDLE).astype(jnp.int32)))
    with jax.named_scope("attempts"):
        begin = goes_on(lane, saved, n), lane, rows, saved, n
        _, lane, rows, saved, n = jax.lax.while_loop(lambda state: state[0], body, begin)
    return Advanced(lane, Rows(rows, names), n, saved, ~room(lane, saved))


_compiled = partial(jax.jit, _advance, static_argnames=("space", "many"))
on_a_cpu = _compiled()
on_a_gpu = _compiled(compiler_options=GRAPHS)


def advance(
    integrator: Integrator,
    leg: Leg,
    lane: Lane,
    on: Any,
    saves: Any,
    most: Any,
    space: int,
    many: bool = False,
) -> Advanced:
    """Do attempts until a lane leaves or `most` of them are done, at most ROWS.

    on     (lanes,): False for a lane that no run is in
    saves  (lanes, space + 1): for each lane the next saved times (`saves_ahead`)
    most   number of attempts
    space  number of states that the buffer of saved states holds
    many   True if the lanes are an axis of every array of leg and lane; otherwise there is one lane
    """
    program = on_a_cpu if on_cpu() else on_a_gpu
    return program(integrator, leg, lane, on, saves, most, space=space, many=many)


def saves_ahead(saves: Sequence[float], space: int) -> np.ndarray:
    """The next saved times as `advance` takes them for a lane, (space + 1,)."""
    ahead = np.full(space + 1, np.nan)
    ahead[: len(saves)] = saves[: space + 1]
    return ahead
