"""Krylov acceleration by generalised conjugate residuals, preconditioned on the right.

The last directions are kept. The method is for systems that need not be symmetric, with a preconditioner that
may change between iterations. Each iteration minimises the residual along its direction, made orthogonal to
those kept; the residual grows in no iteration, whatever the preconditioner. Where the residual makes no
progress, the next direction is computed from the last image instead, as in GMRES, so that the iteration does
not stall.

Eisenstat, Elman & Schultz 1983, SIAM J. Numer. Anal. 20:345, Orthomin(k); the choice of basis: Jiránek &
Rozložník 2010, Numer. Algorithms 53:93.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from .array_types import Count, Each, Number, PerField, Vector, Vectors

KEPT = 12  # directions kept; with 4, a slow mode of each of many pockets remains (docs/numerics.md)
GAINED = 0.05  # an iteration that removes a smaller share of the squared residual has stalled


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["v", "residual", "next", "directions", "images", "taken"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Progress:
    """The state of an iteration.

    v, residual         solution and residual so far
    next                vector that gives the next direction: the residual, or the last image if the residual
                        stalls
    directions, images  the directions kept, and their images under the system, of length 1; (KEPT, *cells)
    taken               number of iterations
    """

    v: Vector
    residual: Vector
    next: Vector
    directions: Vectors
    images: Vectors
    taken: Count


def begin(r: Vector) -> Progress:
    """The state of an iteration that starts from zero."""
    none = tuple(jnp.zeros((KEPT, *x.shape), x.dtype) for x in r)
    return Progress(tuple(jnp.zeros_like(x) for x in r), r, r, none, none, jnp.zeros((), jnp.int32))


def product(a: tuple[Array, ...], b: Vector, scales: PerField) -> Number | Each:
    """The sum over fields and cells of a b / scale², float64; a may hold several vectors along its first
    axis.
    """
    cells = tuple(range(-b[0].ndim, 0))
    parts = (
        jnp.sum((x / s) * (y / s), axis=cells, dtype=jnp.float64)
        for x, y, s in zip(a, b, scales, strict=True)
    )
    return sum(parts, jnp.zeros((), jnp.float64))


def step(
    now: Progress,
    system: Callable[[Vector], Vector],
    precondition: Callable[[Vector], Vector],
    scales: PerField,
) -> Progress:
    """Do one iteration. scales: the typical size of each equation, with which its residual is compared."""
    direction = precondition(now.next)
    image = system(direction)
    whole = jnp.sqrt(product(image, image, scales))
    for _ in range(2):  # the second pass removes what round-off left
        along = product(now.images, image, scales)
        direction, image = _less(direction, along, now.directions), _less(image, along, now.images)
    length = jnp.sqrt(product(image, image, scales))
    # otherwise the image is round-off of those kept, and nothing is added
    new = length > 16 * jnp.finfo(image[0].dtype).eps * whole
    unit = jnp.where(new, 1 / jnp.where(new, length, 1), 0)
    direction, image = _times(unit, direction), _times(unit, image)
    share = product(image, now.residual, scales)
    slot = now.taken % KEPT
    left = tuple(x - share.astype(x.dtype) * d for x, d in zip(now.residual, image, strict=True))
    stalled = share**2 < GAINED * product(now.residual, now.residual, scales)

    def kept(old: Vectors, new: Vector) -> Vectors:
        return tuple(
            jax.lax.dynamic_update_index_in_dim(a, b, slot, 0) for a, b in zip(old, new, strict=True)
        )

    return Progress(
        tuple(x + share.astype(x.dtype) * d for x, d in zip(now.v, direction, strict=True)),
        left,
        tuple(jnp.where(stalled, i, x) for x, i in zip(left, image, strict=True)),
        kept(now.directions, direction),
        kept(now.images, image),
        now.taken + 1,
    )


def _times(factor: Number, v: Vector) -> Vector:
    return tuple(factor.astype(x.dtype) * x for x in v)


def _less(v: Vector, along: Each, kept: Vectors) -> Vector:
    return tuple(
        x - jnp.tensordot(along.astype(x.dtype), d, 1, precision="highest")
        for x, d in zip(v, kept, strict=True)
    )
