"""The tumour and what passes between it and bone: growth, invasion, PTHrP, TGF-beta, and what they do to bone
cells.

T is a fraction of the volume. The tumour never removes bone itself; osteoclasts do.

    dT/dt = div(D_T (1-b) grad[T/(1-b+0.01)]) + g_T [f_0 + (1-f_0) G/(K_G+G)] (1-T-b)+ T³/(T_1²+T²) - d_T T
    dH/dt = div(D_H grad H) + d_H (T - H)                                    PTHrP, relative
    dG/dt = div(D_G grad G) + d_G (rel/rel_0 - G)                            TGF-beta set free by resorption, relative

Rates: Bishop et al. 2024, Nat Commun 15:2458. The vicious cycle: Mundy; Boyce & Xing 2007,
10.1007/s11914-007-0024-y. Pointwise functions, any shape.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from ...operators.faces import Wrap, lower, upper
from ...operators.transport import Faces
from ..base import Field, Group

Fields = dict[str, Array]
Numbers = dict[str, Array]

FIELDS = (
    Field("tumour", "1", 0.01, "tumour, fraction of the volume"),
    Field("pthrp", "1", 1.0, "PTHrP, relative"),
    Field("tgf_beta", "1", 1.0, "TGF-beta set free from bone, relative"),
)
NAMES = tuple(f.name for f in FIELDS)
BEFORE = (
    Group("tumour", ("tumour",), "transport", 2, "tumour"),
    Group("pthrp", ("pthrp",), "transport", 1, "marrow"),
)
"""In the cascade ahead of RANKL, which follows them."""
AFTER = (Group("tgf_beta", ("tgf_beta",), "transport", 1, "marrow"),)
"""Behind the osteoclasts, which it follows."""

MOVES = (
    ("tumour", "motility", "tumour"),
    ("pthrp", "diffusivity", "marrow"),
    ("tgf_beta", "diffusivity", "marrow"),
)
"""Field, the parameter of its diffusivity, and the medium it moves in."""

CROWDED = 0.3  # smoothed tumour density at which formation is suppressed in full
ROOM = 0.01  # beside the marrow, so that T over the room has a meaning inside bone


def density(u: Fields) -> Array:
    """T where it is a density: what the solver left below zero, within its tolerance, would grow."""
    return jnp.maximum(u["tumour"], 0)


def growth(p: Numbers, u: Fields) -> Array:
    """g_T [f_0 + (1-f_0) G/(K_G+G)] T²/(T_1²+T²), 1/d, where there is room; T_1: less than a cell."""
    g, t, least = jnp.maximum(u["tgf_beta"], 0), density(u), p["tumour_least"]
    basal = p["tumour_basal_growth"]
    whole = t**2 / (t**2 + jnp.maximum(least, 1e-12) ** 2)
    return p["tumour_growth"] * (basal + (1 - basal) * g / (p["tgf_beta_half"] + g)) * whole


def net_growth(p: Numbers, u: Fields) -> Array:
    """The pointwise part of dT/dt, 1/d."""
    t = density(u)
    return growth(p, u) * jnp.maximum(1 - t - u["bone"], 0) * t - p["tumour_death"] * u["tumour"]


def loss(name: str, p: Numbers, u: Fields) -> Array:
    """Of one of the fields, 1/d: minus the slope of its rate where that is a loss.

    Growth itself is taken from the predictor: an M-matrix, and second order still. Never 0, or a cell inside
    bone, which nothing reaches, would have no equation in the baseline.
    """
    if name != "tumour":
        return jnp.full_like(u[name], 1) * p[f"{name}_turnover"]
    t = density(u)
    slope = jnp.where(t + u["bone"] < 1, growth(p, u) * (1 - 2 * t - u["bone"]), 0)
    return jnp.maximum(p["tumour_death"] - slope, 1e-6)


def signal(p: Numbers, u: Fields) -> Array:
    """h = H/(K_H + H): how much of its effect PTHrP has."""
    h = jnp.maximum(u["pthrp"], 0)
    return h / (p["pthrp_half"] + h)


def suppression(p: Numbers, smoothed: Array) -> Array:
    """eta = 1 - psi min(1, T_s/0.3): formation beside the tumour, relative; T_s smoothed like bone."""
    return 1 - p["formation_suppression"] * jnp.clip(smoothed / CROWDED, 0, 1)


def released(k_res: Array, w: Array, j: Array) -> Array:
    """rel = k_res w j, 1/d: resorption, and the growth factors that it sets free.

    All of it, as in NTX: counted where there is bone alone, cells that the surface cuts would count in full,
    an error of first order in the cell size that a tumour's growth multiplies (DECISIONS.md).
    """
    return k_res * w * j


def invasion(marrow: Array, active: Array, c: Faces, wrap: Wrap) -> tuple[Faces, Faces]:
    """div((1-b) grad[T/m]), m = 1-b+0.01, as diffusion with upwind drift: (face coefficients, drift over
    D_T), both 1/um².

    c: face coefficients of (1-b). With a = c/m of the lower and b = c/m of the upper cell the flux upwards is
    a T_low - b T_up = min(a, b) (T_low - T_up) + (a - b)+ T_low - (b - a)+ T_up: what upwind makes of a drift
    a - b, exactly.
    """
    inverse = active / (marrow + ROOM)
    below, above = ([side(inverse, a, wrap) for a in range(active.ndim)] for side in (lower, upper))
    both = list(zip(c, below, above, strict=True))
    return tuple(k * jnp.minimum(x, y) for k, x, y in both), tuple(k * (x - y) for k, x, y in both)
