"""The eigenbasis of the finite-volume Laplacian of transport.py in a box, axis by axis.

In this basis, diffusion in a box is diagonal.

    closed ends   v_k(i) = cos(πk (i + ½)/n)             λ_k = -4/h² sin²(πk/2n)    (DCT-II)
    periodic      v_k(i) = cos, sin(2πk (i + ½)/n)       λ_k = -4/h² sin²(πk/n)

The transforms are dense products, not an FFT: they are as fast or faster through JAX up to 256 cells per axis
in 2D, and 128 in 3D (docs/numerics.md). Every mode is even or odd about the middle, so a long axis is folded
there: two matrices of half the size, and half the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .array_types import Cells
from .faces import Wrap, part

FOLDED = 100  # cells along an axis; on a shorter axis the fold costs more than it saves


@partial(jax.tree_util.register_dataclass, data_fields=["modes", "eigenvalues"], meta_fields=[])
@dataclass(frozen=True)
class Axis:
    """The eigenvectors of the second difference along one axis.

    modes         rows of unit length: one matrix (n, n), or, if folded, the even ones on the first ⌈n/2⌉
                  cells and the odd ones on the first ⌊n/2⌋
    eigenvalues   (n,), 1/um², in the order of the rows
    """

    modes: tuple[Array, ...]
    eigenvalues: Array


Basis = tuple[Axis, ...]


def _axis(n: int, h: float, periodic: bool, dtype: Any) -> Axis:
    cells = np.arange(n) + 0.5
    if periodic:
        even, odd = np.arange((n + 1) // 2), np.arange(1, n // 2 + 1)
        waves = np.cos(2 * np.pi / n * np.outer(even, cells)), np.sin(2 * np.pi / n * np.outer(odd, cells))
    else:
        even, odd = np.arange(0, n, 2), np.arange(1, n, 2)
        waves = np.cos(np.pi / n * np.outer(even, cells)), np.cos(np.pi / n * np.outer(odd, cells))
    unit = [w / np.linalg.norm(w, axis=1, keepdims=True) for w in waves]
    modes = [np.concatenate(unit)] if n < FOLDED else [unit[0][:, : n - n // 2], unit[1][:, : n // 2]]
    angle = np.pi * np.concatenate([even, odd]) / (n if periodic else 2 * n)
    return Axis(
        tuple(jnp.asarray(m, dtype) for m in modes), jnp.asarray(-4 / h**2 * np.sin(angle) ** 2, jnp.float64)
    )


@lru_cache(maxsize=8)
def basis(shape: tuple[int, ...], spacing: tuple[float, ...], wrap: Wrap, dtype: Any) -> Basis:
    """The modes of a box in the run's precision; eigenvalues in float64."""
    return tuple(_axis(n, h, periodic, dtype) for n, h, periodic in zip(shape, spacing, wrap, strict=True))


def products(basis: Basis) -> int:
    """The number of multiplications and additions of one transform, per cell."""
    return sum(2 * axis.modes[0].shape[1] for axis in basis)


def eigenvalues(basis: Basis) -> Array:
    """The eigenvalues of the Laplacian, 1/um², on the grid of modes, float64."""
    d = len(basis)
    return sum(a.eigenvalues.reshape([-1 if i == j else 1 for j in range(d)]) for i, a in enumerate(basis))  # pyright: ignore[reportReturnType]


def forward(u: Cells, basis: Basis) -> Cells:
    """The coefficients of u in the basis, with the shape of u."""
    for a, axis in enumerate(basis):
        if len(axis.modes) == 1:
            u = _product(axis.modes[0], u, a)
            continue
        n = u.shape[a]
        low, middle, high = (
            part(u, a, 0, n // 2),
            part(u, a, n // 2, n - n // 2),
            jnp.flip(part(u, a, n - n // 2, n), a),
        )
        even = jnp.concatenate([low + high, middle], a)
        u = jnp.concatenate([_product(axis.modes[0], even, a), _product(axis.modes[1], low - high, a)], a)
    return u


def inverse(v: Cells, basis: Basis) -> Cells:
    """The field with coefficients v: the transpose of `forward`, as the basis is orthonormal."""
    for a, axis in enumerate(basis):
        if len(axis.modes) == 1:
            v = _product(axis.modes[0].T, v, a)
            continue
        n = v.shape[a]
        even = _product(axis.modes[0].T, part(v, a, 0, n - n // 2), a)
        odd = _product(axis.modes[1].T, part(v, a, n - n // 2, n), a)
        both, middle = part(even, a, 0, n // 2), part(even, a, n // 2, n - n // 2)
        v = jnp.concatenate([both + odd, middle, jnp.flip(both - odd, a)], a)
    return v


def _product(matrix: Array, u: Array, axis: int) -> Array:
    """The product matrix · u along an axis, without a transpose of u, which would cost as much as the
    product.
    """
    rows, before, after = matrix.shape[0], u.shape[:axis], u.shape[axis + 1 :]
    if not after:
        return lax.dot_general(u, matrix, (((axis,), (1,)), ((), ())), precision="highest")
    slices = u.reshape(-1, u.shape[axis], int(np.prod(after)))
    each = jnp.broadcast_to(matrix, (slices.shape[0], *matrix.shape))
    return lax.dot_general(each, slices, (((2,), (1,)), ((0,), (0,))), precision="highest").reshape(
        *before, rows, *after
    )
