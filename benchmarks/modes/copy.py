"""copy: memory bandwidth of a JAX loop that reads and writes every element once, the reference of `step`."""

from __future__ import annotations

import argparse
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdsolver.parallel import device

from .. import measure

SIZES = (1 << 20, 1 << 24, 1 << 28)  # bytes of the array: smaller than a cache, about its size, in memory
SECONDS = 0.05  # a timing lasts at least this long


@jax.jit
def _scaled(xs: tuple[jax.Array, ...], times: int) -> tuple[jax.Array, ...]:
    return jax.lax.fori_loop(0, times, lambda _, ys: tuple(y * np.asarray(0.999, y.dtype) for y in ys), xs)


def copy_rate(shape: tuple[int, ...], arrays: int, dtype: Any, repeats: int = 7) -> dict[str, float]:
    """Bytes per second read and written by a pass over this many arrays of this shape: median, lowest,
    highest.
    """
    xs = tuple(jnp.ones(shape, dtype) for _ in range(arrays))
    moved = 2 * arrays * int(np.prod(shape)) * np.dtype(dtype).itemsize

    def passes(n: int) -> measure.Timing:
        return measure.timed(lambda: jax.block_until_ready(_scaled(xs, n)), repeats)[0]

    jax.block_until_ready(_scaled(xs, 2))
    n = max(2, int(SECONDS / max(min(passes(8).wall) / 8, 1e-7)))
    seconds = np.array(passes(n).wall) / n
    return {
        "bytes_per_s": moved / float(np.median(seconds)),
        "low": moved / seconds.max(),
        "high": moved / seconds.min(),
    }


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="bytes")
    parser.add_argument("--repeats", type=int, default=7)


def main(a: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    with device.on(a.device):
        for size in a.sizes:
            for precision in ("float32", "float64"):
                n = size // np.dtype(precision).itemsize
                rows.append(
                    {"bytes": size, "precision": precision} | copy_rate((n,), 1, precision, a.repeats)
                )
    measure.show(
        "copy, GB/s",
        [r | {k: r[k] / 1e9 for k in ("low", "high")} | {"GB/s": r["bytes_per_s"] / 1e9} for r in rows],
        COLUMNS,
    )
    return rows


COLUMNS = ("bytes", "precision", "GB/s", "low", "high")
