"""A decorator that keeps the compiler from merging a piece of a large program into its neighbours.

XLA on a CPU fuses a cheap producer into every consumer, so a chain of stencils is evaluated again for each
neighbour that reads it: a V-cycle took four times its work. Barriers are dropped before fusion; a call that
is not inlined stays (openxla/xla pull request 23947), and the V-cycle compiles three times faster too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental.xla_metadata import set_xla_metadata

P = ParamSpec("P")
R = TypeVar("R")


def on_cpu() -> bool:
    """True if the code being traced will run on a CPU. A GPU fuses differently, and takes no calls."""
    device = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    return (jax.default_backend() if device is None else getattr(device, "platform", str(device))) == "cpu"


def as_one(numbers: dict[str, Array]) -> Callable[[Array], dict[str, Array]]:
    """Numbers that kernels read from one array on a GPU.

    A kernel there takes at most 96 arrays, and each number by itself would be one, so that what could be one
    kernel is cut in two. The function gives the numbers for a trip of a loop; its argument is a value that
    changes from trip to trip, without which the compiler would take the array apart before the loop.
    """
    if on_cpu() or not numbers:
        return lambda _: numbers
    stack = jnp.stack(list(numbers.values()))

    def in_trip(count: Array) -> dict[str, Array]:
        one, _ = lax.optimization_barrier((stack, count))
        return {name: one[i] for i, name in enumerate(numbers)}

    return in_trip


def no_fusion(*static: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function of arrays on its own wherever it is called.

    static: the names of those of its arguments that are no arrays.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def body(*args: P.args, **kwargs: P.kwargs) -> R:
            with set_xla_metadata(inlineable=None):  # functions that it calls are inlined as usual
                return function(*args, **kwargs)

        compiled = jax.jit(body, static_argnames=static)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if not on_cpu():
                return function(*args, **kwargs)
            with set_xla_metadata(inlineable="false"):
                return compiled(*args, **kwargs)

        return call

    return decorate
