"""The general cell block of multigrid: n fields coupled by any Jacobian."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
from jax import Array

Vector = tuple[Array, ...]


@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["n"])
@dataclass(frozen=True)
class Dense:
    """-J of n fields with cell-wise entries local["j_i_k"]; solved by elimination without pivoting (diagonals dominate for small steps)."""

    n: int

    def _entries(self, local: dict[str, Array]) -> list[list[Array]]:
        return [[local[f"j_{i}_{k}"] for k in range(self.n)] for i in range(self.n)]

    def minus_jacobian(self, local: dict[str, Array], v: Vector) -> Vector:
        return tuple(sum((a * x for a, x in zip(row[1:], v[1:], strict=True)), row[0] * v[0]) for row in self._entries(local))

    def solve(self, local: dict[str, Array], diagonal: Vector, r: Vector) -> Vector:
        a = self._entries(local)
        for i, d in enumerate(diagonal):
            a[i][i] = a[i][i] + d
        x = list(r)
        for k in range(self.n):
            for i in range(k + 1, self.n):
                factor = a[i][k] / a[k][k]
                x[i] = x[i] - factor * x[k]
                for j in range(k + 1, self.n):
                    a[i][j] = a[i][j] - factor * a[k][j]
        for i in reversed(range(self.n)):
            x[i] = (x[i] - sum(a[i][k] * x[k] for k in range(i + 1, self.n))) / a[i][i]
        return tuple(x)
