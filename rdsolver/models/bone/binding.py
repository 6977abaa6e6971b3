"""Reversible binding of RANKL to its binders: rates, and the closed-form solution of a cell's linear system.

For binder i with free concentration A and complex Q, and free RANKL L (equations in docs/model.md):

    dL/dt = S_L - d_L L - Σ (kon L A - koff Q)
    dA/dt = S_A - d_A A - kon L A + koff Q
    dQ/dt = kon L A - koff Q - d_L Q
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from ...operators.array_types import Cells, Number, Numbers, PerField
from ...operators.blocks import Local, Vector
from .binders import Binder


def koff(p: Numbers, binder: Binder) -> Number:
    """The dissociation rate koff = kon K_eff - d_L, 1/d.

    Complexes are cleared at d_L, so the constant that acts is K_eff = K + d_L/kon.
    """
    return p[f"{binder.name}_kon"] * p[f"{binder.name}_K_eff"] - p["rankl_loss"]


def binding_rate(p: Numbers, binder: Binder, rankl: Cells, free: Cells, bound: Cells) -> Cells:
    """The net binding rate kon L A - koff Q, nM/d."""
    return p[f"{binder.name}_kon"] * rankl * free - koff(p, binder) * bound


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["loss", "kon", "koff", "free_loss", "exchange"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Binding:
    """The block of the group (L, A_1 .. A_n, Q_1 .. Q_n).

    It is an arrow matrix: RANKL is the hub, and each binder with its complex is an arm.

    loss is d_L. Each binder has kon, koff, free_loss (d_A) and exchange with plasma (kv; 0 for OPG), all 1/d
    or 1/(nM d). `local` holds "active", "rankl" (L), "marrow" (1 - b) and "free_i" (A_i) in the state at
    which the reaction is linearised, and "uptake" where cells take up free OPG, 1/d.
    """

    loss: Number
    kon: tuple[Number, ...]
    koff: tuple[Number, ...]
    free_loss: tuple[Number, ...]
    exchange: tuple[Number, ...]

    def _arms(self, local: Local) -> Iterator[tuple[Cells, Cells, Cells]]:
        """For each binder: the association rate of RANKL (kon A), that of the binder (kon L), and the loss of
        the free binder.
        """
        for i, kon in enumerate(self.kon):
            lost = self.free_loss[i] * local["active"] + self.exchange[i] * local["marrow"]
            taken_up = i == 0 and "uptake" in local  # OPG is the first binder
            yield (
                kon * local[f"free_{i}"],
                kon * local["rankl"],
                lost + local["uptake"] if taken_up else lost,
            )

    def minus_jacobian(self, local: Local, v: Vector) -> Vector:
        n = len(self.kon)
        hub, free, bound = v[0], v[1 : 1 + n], v[1 + n :]
        lost = self.loss * local["active"]
        net = [
            a * hub + c * x - k * y
            for (a, c, _), k, x, y in zip(self._arms(local), self._koff(local), free, bound, strict=True)
        ]
        return (
            lost * hub + sum(net),
            *(d * x + b for (_, _, d), x, b in zip(self._arms(local), free, net, strict=True)),
            *(lost * y - b for y, b in zip(bound, net, strict=True)),
        )

    def _koff(self, local: Local) -> list[Cells]:
        return [k * local["active"] for k in self.koff]

    def factor(self, local: Local, diagonal: PerField) -> tuple[Vector, ...]:
        """Eliminate the arms, then RANKL.

        The elimination uses the net binding of each arm, s = kon L A - koff Q + kon A L (perturbations). With
        D the diagonals without binding: s = g (kon L r_A/D_A - koff r_Q/D_Q + kon A L), g = 1/(1 + kon L/D_A
        + koff/D_Q), and the pivot of RANKL is D_L + Σ g kon A. All are sums of positive terms, so nothing
        cancels.
        """
        n = len(self.kon)
        lost = self.loss * local["active"]
        pivot, arms = diagonal[0] + lost, []
        for i, ((a, c, d), k) in enumerate(zip(self._arms(local), self._koff(local), strict=True)):
            free, bound = 1 / (diagonal[1 + i] + d), 1 / (diagonal[1 + n + i] + lost)
            g = 1 / (1 + c * free + k * bound)
            pivot = pivot + g * a
            arms.append((g * c * free, g * k * bound, g * a, free, bound))
        return (1 / pivot,), *arms

    def solve(self, factors: tuple[Vector, ...], r: Vector) -> Vector:
        n = len(self.kon)
        (pivot,), *arms = factors
        own = [c * x - k * y for (c, k, *_), x, y in zip(arms, r[1 : 1 + n], r[1 + n :], strict=True)]
        hub = (r[0] - sum(own)) * pivot
        net = [s + a * hub for s, (_, _, a, *_) in zip(own, arms, strict=True)]
        free = ((x - s) * inverse for x, s, (*_, inverse, _) in zip(r[1 : 1 + n], net, arms, strict=True))
        bound = ((y + s) * inverse for y, s, (*_, inverse) in zip(r[1 + n :], net, arms, strict=True))
        return (hub, *free, *bound)


@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=[])
@dataclass(frozen=True)
class Loss:
    """The block of a single field that is lost at the rate local["loss"], 1/d."""

    def minus_jacobian(self, local: Local, v: Vector) -> Vector:
        return (local["loss"] * v[0],)

    def factor(self, local: Local, diagonal: PerField) -> Cells:
        return 1 / (diagonal[0] + local["loss"])

    def solve(self, factors: Cells, r: Vector) -> Vector:
        return (factors * r[0],)


def binding(p: Numbers, binders: tuple[Binder, ...]) -> Binding:
    def each(key: str) -> tuple[Number, ...]:
        return tuple(p[f"{b.name}_{key}"] for b in binders)

    zero = jnp.zeros_like(p["rankl_loss"])
    return Binding(
        p["rankl_loss"],
        each("kon"),
        tuple(koff(p, b) for b in binders),
        each("loss"),
        tuple(p["vessel_exchange"] if b.drug else zero for b in binders),
    )
