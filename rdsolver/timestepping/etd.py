"""ETDRK2 and ETDRK4, which solve diffusion in a box exactly, and the rest by exponential Runge-Kutta methods.

They need constant D, and no geometry.

    du/dt = L u + N(t, u),    L = D lap - c,    φ₀(z) = eᶻ,    φ_k(z) = (φ_{k-1}(z) - 1/(k-1)!)/z

    ETDRK2    a  = u + h φ₁(hL) f                             f = L u + N(u): the slope at the start
              u' = a + h φ₂(hL) (N(a) - N(u))
    ETDRK4    a  = u + ½h φ₁(½hL) f
              b  = a + h φ₂(½hL) (N(a) - N(u))
              c  = u + h φ₁(hL) f + 2h φ₂(hL) (N(b) - N(u))
              u' = u + h φ₁(hL) f + h (2φ₂ - 4φ₃)(hL) (N(a) + N(b) - 2N(u)) + h (4φ₃ - φ₂)(hL) (N(c) - N(u))

The formulas are written in differences from the start, so that a steady state stays unchanged, float32 keeps
its digits, and only the slope is carried from step to step. Each stage takes one transform in each direction
for each field. In L, c is half the mean rate at which the fastest field is lost by itself: with it, longer
steps are stable. It is the same for all fields, so that exchanges between them are conserved to round-off. A
reaction much stiffer than that needs another integrator.

Cox & Matthews 2002, J. Comput. Phys. 176:430, eq. 22; Krogstad 2005, J. Comput. Phys. 203:72, eq. 51. Error
estimates: u' - a, of order 1; N(u') in the place of N(c), of order 3 (Whalen, Brio & Moloney 2015, J. Comput.
Phys. 280:579), here without its filter, which saves two transforms and changed no step.

Both estimates compare values at the same times, so terms that depend on time alone cancel in them. These
terms are evaluated separately, with the state held: N(t, u) is integrated over the step by Simpson's rule, as
the method does it, and by the rules of degree 2 through 0, x h and h, x = 0.382 and 0.764; the largest
difference is the estimate. The first differs by h⁴/305 times the third derivative. An evaluation at an
irrational fraction of the step detects a source that switches on and off with a period of h or h/2, which the
others miss. A single evaluation may by chance agree with Simpson's rule at some phase, two hardly: over ten
phases of a period of 1 d the worst error fell from 1.3e-2 to 5.7e-5, with a quarter more steps. Rates that do
not use time cost nothing more: XLA finds that these evaluations are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import factorial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ..operators import spectral
from ..operators.array_types import Cells, Number
from ..operators.no_fusion import no_fusion
from .base import Lane, Limits, Span, StepAttempt, data, explicit, unlimited, verdict
from .system import Fields, System

LOOKS = tuple(k * (3 - 5**0.5) / 2 for k in (1, 2))
"""Fractions of a step at which the error estimate evaluates the terms that depend on time alone."""
SHARE = 0.5  # share of the mean loss that goes into L: 1 is stable for longer steps and less accurate

Phi = tuple[Cells, Cells, Cells, Cells]


def phi(z: Cells) -> Phi:
    """The functions φ₀ to φ₃ for real z: by recurrence, and where that cancels, |z| < 1, from the series of
    φ₃.
    """
    terms = 17 if z.dtype == jnp.float64 else 9
    near = jnp.abs(z) < 1
    third = jnp.full_like(z, 1 / factorial(terms + 2))
    for k in reversed(range(3, terms + 2)):
        third = third * z + 1 / factorial(k)
    second = third * z + 0.5
    e, inverse = jnp.exp(z), 1 / jnp.where(near, 1, z)
    p1 = (e - 1) * inverse
    p2 = (p1 - 1) * inverse
    p3 = (p2 - 0.5) * inverse
    return e, jnp.where(near, second * z + 1, p1), jnp.where(near, second, p2), jnp.where(near, third, p3)


def doubled(half: Phi) -> Phi:
    """φ_k(2z) from φ_k(z), by sums of positive numbers (Skaflestad & Wright 2009, Appl. Numer. Math.
    59:783).
    """
    e, p1, p2, p3 = half
    return e * e, (e + 1) * p1 / 2, (e * p2 + p1 + p2) / 4, (e * p3 + p1 / 2 + p2 + p3) / 8


def _loss(system: System, t: Number, u: Fields) -> Number:
    """The mean over the cells of -∂N/∂u of a field by itself, for the largest of the fields; 0 where all
    grow.
    """
    means = []
    for name in u:
        direction = {k: jnp.full_like(x, k == name) for k, x in u.items()}
        slope = jax.jvp(lambda v, name=name: system.local_rates(t, v)[name], (u,), (direction,))[1]
        means.append(-jnp.mean(slope, dtype=jnp.float64))
    return jnp.maximum(jnp.max(jnp.stack(means)), 0)


@no_fusion()
def _prepare(
    system: System, basis: spectral.Basis, t: Number, u: Fields, dt: Number
) -> tuple[Number, dict[str, Phi]]:
    """The rate c, and φ of each field at half a step.

    This is compiled on its own: if it were fused with its uses, XLA would evaluate φ again in each of them.
    """
    dtype, moving = system.place.active.dtype, system.diffusivities()
    c = SHARE * _loss(system, t, u)
    modes = spectral.eigenvalues(basis)
    z = {k: dt / 2 * ((moving[k] * modes if k in moving else 0.0) - c) for k in u}
    return c.astype(dtype), {k: phi(x.astype(dtype)) for k, x in z.items()}


Rates = Callable[[Number, Fields], Fields]
Change = Callable[[Fields], Fields]


def _second(
    t: Number, dt: Number, half: dict[str, Phi], slope: Fields, rest: Rates, modes: Change, plus: Change
) -> tuple[Fields, Fields]:
    """The state and the error of ETDRK2."""
    whole = {k: doubled(p) for k, p in half.items()}
    first = plus({k: whole[k][1] * s for k, s in slope.items()})
    a = modes(rest(t + dt, first))
    new = plus({k: whole[k][1] * s + whole[k][2] * a[k] for k, s in slope.items()})
    return new, {k: new[k] - first[k] for k in new}


def _fourth(
    t: Number, dt: Number, half: dict[str, Phi], slope: Fields, rest: Rates, modes: Change, plus: Change
) -> tuple[Fields, Fields]:
    """The state and the error of ETDRK4."""
    middle, end = t + dt / 2, t + dt
    whole = {k: doubled(p) for k, p in half.items()}
    a = modes(rest(middle, plus({k: half[k][1] * s / 2 for k, s in slope.items()})))
    b = modes(rest(middle, plus({k: half[k][1] * s / 2 + half[k][2] * a[k] for k, s in slope.items()})))
    last = rest(end, plus({k: p1 * slope[k] + 2 * p2 * b[k] for k, (_, p1, p2, _) in whole.items()}))
    d = modes(last)
    new = plus(
        {
            k: p1 * slope[k] + (2 * p2 - 4 * p3) * (a[k] + b[k]) + (4 * p3 - p2) * d[k]
            for k, (_, p1, p2, p3) in whole.items()
        }
    )
    return new, {k: (dt / 6).astype(x.dtype) * (x - last[k]) for k, x in rest(end, new).items()}


@no_fusion("method")
def _step(
    system: System,
    basis: spectral.Basis,
    t: Number,
    u: Fields,
    f: Fields,
    c: Number,
    half: dict[str, Phi],
    dt: Number,
    tol: Number,
    method: Callable[..., tuple[Fields, Fields]],
) -> tuple[Fields, Fields, Any, Any]:
    """The state and the slope at the end, the observables, and the verdict (error in the norm, finite,
    lowest).
    """
    h, moving = dt.astype(tol.dtype), system.diffusivities()
    start = system.local_rates(t, u)

    def rest(t: Number, v: Fields) -> Fields:
        """The difference N(v) - N(u)."""
        return {k: (r - start[k]) + c * (v[k] - u[k]) for k, r in system.local_rates(t, v).items()}

    def modes(v: Fields) -> Fields:
        return {k: spectral.forward(x, basis) if k in moving else x for k, x in v.items()}

    def plus(change: Fields) -> Fields:
        return {k: u[k] + h * (spectral.inverse(x, basis) if k in moving else x) for k, x in change.items()}

    new, error = method(t, dt, half, modes(f), rest, modes, plus)
    end = t + dt
    middle, late = (system.local_rates(t + share * dt, u) for share in (0.5, 1.0))
    looks = {share: system.local_rates(t + share * dt, u) for share in LOOKS}
    for k, x in error.items():
        missed = jnp.zeros_like(x)
        by_simpson = 2 / 3 * (middle[k] - start[k]) + 1 / 6 * (late[k] - start[k])
        for share, look in looks.items():
            weight = 1 / (6 * share * (1 - share))
            by_three = weight * (look[k] - start[k]) + (1 / 2 - share * weight) * (late[k] - start[k])
            missed = jnp.where(
                jnp.abs(by_three - by_simpson) > jnp.abs(missed), by_three - by_simpson, missed
            )
        error[k] = x + h * missed
    return new, system.rates(end, new), system.observe(end, new), verdict(system, error, new, tol)


@jax.jit
def _stiffness(system: System, t: Number, u: Fields) -> Number:
    """A bound on the reaction's rates, 1/time, with every field at its scale at least, because a start may be
    empty.
    """
    grown = {k: jnp.maximum(x, system.scale[k]) for k, x in u.items()}
    return system.model.reaction_bound(
        grown, system.p, system.place, system.update_coefficients(grown), system.inputs(t)
    )


def cost(system: System, t: float, u: Fields, span: float, tol: float, least: float = 0.0) -> float:
    """The predicted work of ETDRK4 over `span`, in sweeps of the right-hand side: inf where it does not
    apply.

    least: the number of steps that it takes at least.

    The number of steps is that of the transient, plus the span over 7 times the shortest time of the reaction
    (steps last 1 to 7 of these times). The work of a step is that of its products, at the speed of a
    processor's vector units, and of its pointwise part. The prediction is within a factor of 2 on the decoy
    model with kon from 1e-3 to 0.1 /nM/s.
    """
    box = system.box
    if box is None:
        return float("inf")
    steps = max(least, 12 * (1e-3 / tol) ** 0.25 + span * float(_stiffness(system, np.float64(t), u)) / 7)
    return steps * (
        18
        + 8
        * spectral.products(spectral.basis(box.shape, box.spacing, box.wrap, system.place.active.dtype))
        / 200
    )


@dataclass(frozen=True)
class Exponential:
    """The part that both methods share. basis: the eigenbasis of the box, once it is prepared."""

    basis: spectral.Basis | None = None

    order: ClassVar[int]
    dense: ClassVar[bool] = False
    implicit: ClassVar[bool] = False
    method: ClassVar[Callable[..., tuple[Fields, Fields]]]

    def prepared(self, system: System) -> Exponential:
        """The integrator with the eigenbasis of the system's box. Raises ValueError if it is no box."""
        box = system.box
        if box is None:
            raise ValueError(
                "exponential integrators need a box of constant diffusivities, without mask, drift or open"
                " boundary"
            )
        return type(self)(spectral.basis(box.shape, box.spacing, box.wrap, system.place.active.dtype))

    def limits(self, system: System, t: Number, u: Fields) -> Limits:
        return unlimited()

    def step(self, system: System, lane: Lane, dt: Number, tol: Number, limits: Limits) -> StepAttempt:
        assert self.basis is not None
        method, begin = type(self).method, (system, self.basis, lane.t, lane.u)
        c, half = _prepare(*begin, dt)
        new, f, observed, judged = _step(*begin, lane.step_state.f, c, half, dt, tol, method)
        return explicit(new, f, observed, judged, self.order)


@data("basis", static=("name",))
@dataclass(frozen=True)
class ETDRK2(Exponential):
    name: str = "etdrk2"
    order: ClassVar[int] = 2
    error_order: ClassVar[int] = 1
    method = staticmethod(_second)

    def work(self, system: System, u: Fields, span: Span) -> None:
        """None: it is never the fastest."""


@data("basis", static=("name",))
@dataclass(frozen=True)
class ETDRK4(Exponential):
    name: str = "etdrk4"
    order: ClassVar[int] = 4
    error_order: ClassVar[int] = 3
    method = staticmethod(_fourth)

    def work(self, system: System, u: Fields, span: Span) -> float | None:
        if system.box is None:
            return None
        return cost(system, 0.0, u, span.length, span.tolerance, span.least)
