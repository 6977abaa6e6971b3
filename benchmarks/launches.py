"""The cost of small grids on a GPU: a multigrid's coarsest level done in several ways.

Each way does the same smoothing of the same fields.

    python -m benchmarks.launches [--cells 16] [--fields 5]

XLA reads its flags once in a process, so each setting of command buffers is a process of its own: the caller
must set XLA_FLAGS.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import measure
from .hlo import counts

SWEEPS = 16
WEIGHT = 0.8
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=16)
    parser.add_argument("--fields", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=200, help="in one compiled loop")
    a = parser.parse_args()
    for row in rows(a.cells, a.fields, a.repeats):
        print(json.dumps(row), flush=True)


def _spread(u: jax.Array) -> jax.Array:
    """The sum over axes of second differences in a no-flux box, on the last two axes."""
    wide = jnp.pad(u, [(0, 0)] * (u.ndim - 2) + [(1, 1), (1, 1)], mode="edge")
    return wide[..., :-2, 1:-1] + wide[..., 2:, 1:-1] + wide[..., 1:-1, :-2] + wide[..., 1:-1, 2:] - 4 * u


def smoothed(v: jax.Array, r: jax.Array) -> jax.Array:
    """A Jacobi smoothing of (1 - ∇²) v = r."""
    return v + WEIGHT / 5 * (r - v + _spread(v))


def rows(cells: int, fields: int, repeats: int) -> list[Row]:
    """Microseconds of the 16 smoothings of all fields, each way, and the number of fusions in its loop; and
    the same for a loop that does almost nothing.
    """
    r = jnp.asarray(np.random.default_rng(0).normal(size=(fields, cells, cells)), jnp.float32)
    apart = tuple(r)

    def smoothing(unroll: int) -> Callable[[Any], Any]:
        def sweep(_: int, v: Any) -> Any:
            return jax.tree.map(smoothed, v, apart if isinstance(v, tuple) else r)

        return lambda v: jax.lax.fori_loop(0, SWEEPS, sweep, v, unroll=unroll)

    n = cells * cells
    each = np.array(jax.vmap(lambda e: smoothing_matrix(e, cells))(jnp.eye(n, dtype=jnp.float32)))
    inverse = jnp.asarray(np.linalg.inv(each.T.astype(float)), jnp.float32)

    def direct(v: Any) -> Any:
        return jnp.matmul(
            r.reshape(fields, n) + 1e-9 * v.reshape(fields, n), inverse.T, precision="highest"
        ).reshape(v.shape)

    ways: dict[str, tuple[Callable[[Any], Any], Any]] = {
        "a loop of nothing": (lambda v: v + 1, jnp.zeros(())),
        "fields apart": (smoothing(1), apart),
        "fields apart, unrolled by 4": (smoothing(4), apart),
        "fields apart, unrolled": (smoothing(SWEEPS), apart),
        "fields stacked": (smoothing(1), r),
        "fields stacked, unrolled": (smoothing(SWEEPS), r),
        "direct solve, fields stacked": (direct, r),
    }
    return [
        {"way": name, "cells": cells, "fields": fields} | _timed(work, v, repeats)
        for name, (work, v) in ways.items()
    ]


def smoothing_matrix(e: jax.Array, cells: int) -> jax.Array:
    """(1 - ∇²) e, flat."""
    u = e.reshape(cells, cells)
    return (u - _spread(u)).ravel()


def _timed(work: Callable[[Any], Any], v: Any, repeats: int) -> Row:
    loop = (
        jax.jit(lambda v, times: jax.lax.fori_loop(0, times, lambda _, x: work(x), v)).lower(v, 1).compile()
    )
    jax.block_until_ready(loop(v, 1))
    timing, _ = measure.timed(lambda: jax.block_until_ready(loop(v, repeats)), 5)
    found = counts(str(loop.as_text()))
    return {
        "us": 1e6 * float(np.median(timing.wall)) / repeats,
        "fusions": found["fusion"],
        "copies": found["copy"],
    }


if __name__ == "__main__":
    main()
