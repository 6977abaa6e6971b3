"""The pointwise part of an implicit group: the small linear system of each cell, and its solution."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax

from .array_types import Cells, Count, Matrices, PerField, Vector

Local = dict[str, Cells]  # cell-wise coefficients


@runtime_checkable
class Block(Protocol):
    """The pointwise part of a group: a pytree of numbers that acts with cell-wise coefficients `local`.

    `local["active"]` (1 inside the field of view) is always present. Every coefficient is 0 outside the field
    of view, and a mean on coarser levels.
    """

    def minus_jacobian(self, local: Local, v: Vector) -> Vector:
        """The product -J v in each cell."""
        ...

    def factor(self, local: Local, diagonal: PerField) -> Any:
        """Compute, once per level and stage, the factors with which `solve` needs no divisions for diagonal -
        J.
        """
        ...

    def solve(self, factors: Any, r: Vector) -> Vector:
        """The solution x of (diagonal - J) x = r in each cell."""
        ...


@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["n"])
@dataclass(frozen=True)
class Dense:
    """The block of any reaction between n fields, given by its Jacobian in every cell.

    local["j_i_k"] is entry (i, k) of -J, 1/d; entries left out are zero.
    """

    n: int

    def minus_jacobian(self, local: Local, v: Vector) -> Vector:
        def row(i: int) -> Cells:
            terms = [local[f"j_{i}_{k}"] * v[k] for k in range(self.n) if f"j_{i}_{k}" in local]
            return sum(terms[1:], terms[0]) if terms else jnp.zeros_like(v[i])

        return tuple(row(i) for i in range(self.n))

    def factor(self, local: Local, diagonal: PerField) -> Matrices:
        """The inverse in each cell, (n, n, *cells)."""
        zero = jnp.zeros_like(diagonal[0])
        rows = [
            [local.get(f"j_{i}_{k}", zero) + (diagonal[i] if i == k else 0) for k in range(self.n)]
            for i in range(self.n)
        ]
        return inverse(jnp.stack([jnp.stack(row) for row in rows]))

    def solve(self, factors: Matrices, r: Vector) -> Vector:
        return tuple(
            sum((factors[i, k] * r[k] for k in range(1, self.n)), factors[i, 0] * r[0]) for i in range(self.n)
        )


def inverse(m: Matrices) -> Matrices:
    """The inverse of the n x n matrix of each cell, by Gauss-Jordan elimination without pivoting.

    m: (n, n, *cells). The elimination is stable where the diagonal dominates, as it does in a step that
    resolves the reaction.
    """
    n = m.shape[0]
    at = jnp.arange(n).reshape(n, *(1,) * (m.ndim - 2))

    def eliminate(k: Count, m: Matrices) -> Matrices:
        here = at == k
        row = jnp.where(here, 1, m[k]) / m[k, k]
        column = jnp.where(here, 0, m[:, k])
        rest = jnp.where(here[None], 0, m) - column[:, None] * row[None]
        return jnp.where(here[:, None], row[None], rest)

    return lax.fori_loop(0, n, eliminate, m)
