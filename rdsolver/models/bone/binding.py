"""Reversible binding of RANKL to its binders: rates, and the closed-form solution of one cell's linear system.

For binder i, free A, complex Q, free RANKL L (MODEL equations in docs/model.md):

    dL/dt = S_L - d_L L - Σ (kon L A - koff Q),   dA/dt = S_A - d_A A - kon L A + koff Q,   dQ/dt = kon L A - koff Q - d_L Q
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from .binders import Binder

Numbers = dict[str, Array]


def koff(p: Numbers, binder: Binder) -> Array:
    """koff = kon K_eff - d_L, 1/d: complexes are cleared at d_L, so K_eff = K + d_L/kon is the constant that acts."""
    return p[f"{binder.name}_kon"] * p[f"{binder.name}_K_eff"] - p["rankl_loss"]


def binding_rate(p: Numbers, binder: Binder, rankl: Array, free: Array, bound: Array) -> Array:
    """kon L A - koff Q, nM/d."""
    return p[f"{binder.name}_kon"] * rankl * free - koff(p, binder) * bound


@partial(jax.tree_util.register_dataclass, data_fields=["loss", "kon", "koff", "free_loss", "exchange"], meta_fields=[])
@dataclass(frozen=True)
class Binding:
    """Block of the group (L, A_1 .. A_n, Q_1 .. Q_n): an arrow with RANKL as its hub and each binder with its complex an arm.

    loss: d_L; for each binder kon, koff, free_loss d_A and exchange kv with plasma (0 for OPG), all 1/d or 1/(nM d).
    local: "active", "rankl" (L), "marrow" (1 - b), and "free_i" (A_i), at the state where the reaction is linearised.
    """

    loss: Array
    kon: tuple[Array, ...]
    koff: tuple[Array, ...]
    free_loss: tuple[Array, ...]
    exchange: tuple[Array, ...]

    def _arms(self, local: dict[str, Array]):
        """For each binder: association seen by RANKL (kon A), by the binder (kon L), and the loss of the free binder."""
        for i, kon in enumerate(self.kon):
            yield (
                kon * local[f"free_{i}"],
                kon * local["rankl"],
                self.free_loss[i] * local["active"] + self.exchange[i] * local["marrow"],
            )

    def minus_jacobian(self, local: dict[str, Array], v: tuple[Array, ...]) -> tuple[Array, ...]:
        n = len(self.kon)
        hub, free, bound = v[0], v[1 : 1 + n], v[1 + n :]
        lost = self.loss * local["active"]
        net = [a * hub + c * x - k * y for (a, c, _), k, x, y in zip(self._arms(local), self._koff(local), free, bound, strict=True)]
        return (
            lost * hub + sum(net),
            *(d * x + b for (_, _, d), x, b in zip(self._arms(local), free, net, strict=True)),
            *(lost * y - b for y, b in zip(bound, net, strict=True)),
        )

    def _koff(self, local: dict[str, Array]) -> list[Array]:
        return [k * local["active"] for k in self.koff]

    def solve(self, local: dict[str, Array], diagonal: tuple[Array, ...], r: tuple[Array, ...]) -> tuple[Array, ...]:
        """Eliminate the arms, then RANKL. The pivot D_L + Σ kon A D_A D_Q / E is a sum of positive terms: no cancellation.

        E = D_A D_Q + D_A koff + kon L D_Q, with D the diagonals without binding.
        """
        n = len(self.kon)
        lost = self.loss * local["active"]
        pivot, right, arms = diagonal[0] + lost, r[0], []
        for i, ((a, c, d), k) in enumerate(zip(self._arms(local), self._koff(local), strict=True)):
            dA, dQ, rA, rQ = diagonal[1 + i] + d, diagonal[1 + n + i] + lost, r[1 + i], r[1 + n + i]
            inverse = 1 / (dA * dQ + dA * k + c * dQ)
            pivot = pivot + a * dA * dQ * inverse
            right = right - (c * dQ * rA - k * dA * rQ) * inverse
            arms.append((a, c, k, dA, dQ, rA, rQ, inverse))
        hub = right / pivot
        free = tuple(((dQ + k) * rA + k * rQ - a * dQ * hub) * e for a, c, k, dA, dQ, rA, rQ, e in arms)
        bound = tuple(((dA + c) * rQ + c * rA + a * dA * hub) * e for a, c, k, dA, dQ, rA, rQ, e in arms)
        return (hub, *free, *bound)


@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=[])
@dataclass(frozen=True)
class Loss:
    """Block of a single field lost at local["loss"], 1/d."""

    def minus_jacobian(self, local: dict[str, Array], v: tuple[Array, ...]) -> tuple[Array, ...]:
        return (local["loss"] * v[0],)

    def solve(self, local: dict[str, Array], diagonal: tuple[Array, ...], r: tuple[Array, ...]) -> tuple[Array, ...]:
        return (r[0] / (diagonal[0] + local["loss"]),)


def binding(p: Numbers, binders: tuple[Binder, ...]) -> Binding:
    def each(key: str) -> tuple[Array, ...]:
        return tuple(p[f"{b.name}_{key}"] for b in binders)

    zero = jnp.zeros_like(p["rankl_loss"])
    return Binding(
        p["rankl_loss"],
        each("kon"),
        tuple(koff(p, b) for b in binders),
        each("loss"),
        tuple(p["vessel_exchange"] if b.drug else zero for b in binders),
    )
