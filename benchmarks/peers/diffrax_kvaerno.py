"""diffrax: Kvaerno3 (implicit, order 3) with a Newton iteration on matrix-free GMRES, PID step control."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import diffrax  # pyright: ignore[reportMissingImports]
import jax
import jax.numpy as jnp
import lineax  # pyright: ignore[reportMissingImports]
import numpy as np
import optimistix  # pyright: ignore[reportMissingImports]

from ..problems import DIFFUSIVITY, KOFF, KON, LOSS, MARKS, SPACING, Case

SCALE = 0.1  # nM; absolute over relative tolerance
SIGNS = (-1, -1, 1)


def build(case: Case, precision: str) -> Callable[[float], tuple[list[np.ndarray], dict[str, Any]]]:
    """Return solve(tolerance) -> states at MARKS, counts with the seconds of solving alone.

    Its tolerances are constants of the compiled program, so each is compiled separately.
    """
    jax.config.update("jax_enable_x64", precision == "float64")
    live, source = jnp.asarray(case.active, precision), jnp.asarray(case.sources, precision)

    def spread(u: jax.Array) -> jax.Array:
        out = jnp.zeros_like(u)
        for axis, n in enumerate(u.shape):
            low, high = (
                jax.lax.slice_in_dim(x, *ends, axis=axis) for x, ends in ((u, (0, n - 1)), (u, (1, n)))
            )
            faces = jax.lax.slice_in_dim(live, 0, n - 1, axis=axis) * jax.lax.slice_in_dim(
                live, 1, n, axis=axis
            )
            ends = [(0, 0)] * u.ndim
            ends[axis] = (1, 1)
            out += jnp.diff(jnp.pad(faces * (high - low), ends), axis=axis)
        return out / SPACING**2

    def rates(t: jax.Array, u: jax.Array, _: Any) -> jax.Array:
        binding = (KON * u[0] * u[1] - KOFF * u[2]) * live
        parts = zip(u, DIFFUSIVITY, SIGNS, LOSS, source, strict=True)
        return jnp.stack([d * spread(x) + sign * binding - loss * x + s for x, d, sign, loss, s in parts])

    @cache
    def compiled(tolerance: float) -> Any:
        return jax.jit(partial(run, tolerance)).lower(jnp.zeros((3, *case.shape), precision)).compile()

    def run(tolerance: float, start: jax.Array) -> Any:
        root = optimistix.Newton(
            rtol=0.1 * tolerance,
            atol=0.1 * SCALE * tolerance,
            linear_solver=lineax.GMRES(0.01 * tolerance, 0.01 * SCALE * tolerance),
        )
        return diffrax.diffeqsolve(
            diffrax.ODETerm(rates),  # pyright: ignore[reportArgumentType]
            diffrax.Kvaerno3(root_finder=root),
            0.0,
            MARKS[-1],
            1.0,
            start,
            saveat=diffrax.SaveAt(ts=jnp.array(MARKS)),
            stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=SCALE * tolerance),
            max_steps=100_000,
        )

    def solve(tolerance: float) -> tuple[list[np.ndarray], dict[str, Any]]:
        work, began = compiled(tolerance), time.perf_counter()
        found = jax.block_until_ready(work(jnp.zeros((3, *case.shape), precision)))
        seconds = time.perf_counter() - began
        states = [np.asarray(found.ys[i], float) for i in range(len(MARKS))]  # pyright: ignore[reportOptionalSubscript]
        return states, {
            "seconds": seconds,
            "steps": int(found.stats["num_accepted_steps"]),
            "rejected": int(found.stats["num_rejected_steps"]),
        }

    return solve
