"""Models with known solutions, and models with which others compare solvers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..geometry.grid import Grid
from ..operators.array_types import Surroundings
from ..operators.faces import lower
from ..operators.transport import Faces
from .base import Field
from .pointwise import Fields, Numbers, ReactionDiffusion, StaticFields


def _decay(u: Fields, p: Numbers, at: Surroundings) -> Fields:
    return {"u": at["source"] - p["loss"] * u["u"]}


DECAY = ReactionDiffusion(
    "diffusion and decay", (Field("u", "1", 1.0, "u", signed=True),), _decay, {"u": "diffusivity"}
)
"""du/dt = D lap u - d u + s(x): cosine modes decay at d + D k²; a source in a plane falls off over √(D/d).

Array: source.
"""


def _fisher(u: Fields, p: Numbers, at: Surroundings) -> Fields:
    return {"u": p["growth"] * u["u"] * (1 - u["u"])}


FISHER = ReactionDiffusion("Fisher", (Field("u", "1", 1.0, "density"),), _fisher, {"u": "diffusivity"})
"""du/dt = D lap u + r u (1 - u): fronts advance at 2 √(r D) (Fisher 1937, Ann. Eugen. 7:355, eq. 8)."""


def _gray_scott(u: Fields, p: Numbers, at: Surroundings) -> Fields:
    made = u["u"] * u["v"] ** 2
    return {"u": p["feed"] * (1 - u["u"]) - made, "v": made - (p["feed"] + p["kill"]) * u["v"]}


GRAY_SCOTT = ReactionDiffusion(
    "Gray-Scott",
    (Field("u", "1", 1.0, "substrate"), Field("v", "1", 0.3, "activator")),
    _gray_scott,
    {"u": "u_diffusivity", "v": "v_diffusivity"},
)
"""du/dt = Du lap u - u v² + F (1 - u), dv/dt = Dv lap v + u v² - (F + k) v.

Source: Pearson 1993, Science 261:189.
"""


def _decoy(u: Fields, p: Numbers, at: Surroundings) -> Fields:
    net = p["kon"] * u["rankl"] * u["opg"] - p["koff"] * u["bound"]
    return {
        "rankl": at["rankl_source"] - net - p["rankl_loss"] * u["rankl"],
        "opg": at["opg_source"] - net - p["opg_loss"] * u["opg"],
        "bound": net - p["bound_loss"] * u["bound"],
    }


DECOY = ReactionDiffusion(
    "decoy binding",
    (
        Field("rankl", "nM", 1.0, "RANKL"),
        Field("opg", "nM", 1.0, "OPG"),
        Field("bound", "nM", 1.0, "RANKL bound to OPG"),
    ),
    _decoy,
    {"rankl": "rankl_diffusivity", "opg": "opg_diffusivity", "bound": "bound_diffusivity"},
    time_unit="s",
)
"""The benchmark of solvers: L + O <-> X on a box, with sources in two balls (um, s, nM).

Arrays: rankl_source, opg_source.
"""

DECOY_VALUES = {
    "rankl_diffusivity": 30.0,
    "opg_diffusivity": 25.0,
    "bound_diffusivity": 18.0,
    "kon": 1e-3,
    "koff": 1e-4,
    "rankl_loss": 2e-4,
    "opg_loss": 1e-4,
    "bound_loss": 1e-4,
}


def decoy_sources(grid: Grid) -> dict[str, np.ndarray]:
    """The sources: 2e-3 nM/s of RANKL in a ball of radius 0.2 box sizes, centred at 0.35 in all coordinates,
    and 1e-3 nM/s of OPG in a ball of radius 0.25 centred at 0.65.
    """
    size = grid.shape[0] * grid.spacing[0]
    places = np.meshgrid(*(grid.centres(a) for a in range(grid.ndim)), indexing="ij")

    def ball(centre: float, radius: float) -> np.ndarray:
        return np.sum([(x - centre * size) ** 2 for x in places], axis=0) < (radius * size) ** 2

    return {"rankl_source": 2e-3 * ball(0.35, 0.2), "opg_source": 1e-3 * ball(0.65, 0.25)}


def _stiff(u: Fields, p: Numbers, at: Surroundings) -> Fields:
    # on the grid, div(D grad mode) = -decay mode exactly, so that the whole error is an error in time
    swing, turning = (
        jnp.cos(p["frequency"] * at["time"]),
        -p["frequency"] * jnp.sin(p["frequency"] * at["time"]),
    )
    wanted = 1 + 0.5 * swing * at["mode"]
    moved = 0.5 * (turning + p["decay"] * swing) * at["mode"]
    off = u["u"] - wanted
    return {"u": moved - p["stiffness"] * (off + off**3)}


STIFF = ReactionDiffusion(
    "stiff relaxation",
    (Field("u", "1", 1.0, "u", signed=True),),
    _stiff,
    {"u": "diffusivity"},
    first_step=1e-3,
)
"""du/dt = D lap u - λ (e + e³) + ∂φ/∂t - D lap φ with e = u - φ, φ = 1 + cos(ω t) mode/2: the solution is φ
for any λ (Prothero & Robinson 1974, Math. Comp. 28:145, eq. 1.5, made nonlinear and spatial).

Array: mode, an eigenvector of diffusion on the grid for its rate `decay`.
"""


class Carried(ReactionDiffusion):
    """One field in a given flow.

    Arrays "flow_0", "flow_1" ..: velocity divided by spacing on the upper face of each cell, 1/time.
    """

    def drift(self, u: Fields, p: Numbers, place: StaticFields, aux: StaticFields) -> dict[str, Faces]:
        name = self.unknowns[0].name
        return {
            name: tuple(lower(place.arrays[f"flow_{a}"], a, place.wrap) for a in range(place.active.ndim))
        }


def _still(u: Fields, p: Numbers, at: Surroundings) -> Fields:
    return {k: 0 * x for k, x in u.items()}


CARRIED = Carried(
    "a density in a flow", (Field("c", "1", 1.0, "density"),), _still, {"c": "diffusivity"}, first_step=1e-3
)
"""dc/dt = div(D grad c) - div(v c): where div v = 0, no value leaves the range in which it started."""


def driven(t: Any, p: Mapping[str, Any], xp: Any) -> Any:
    """The source of DRIVEN at time t; xp: numpy or jax.numpy."""
    day = p["day"] * (1 + xp.sin(2 * np.pi * t))
    pulse = p["pulse"] * xp.where((t >= p["on"]) & (t < p["off"]), 1.0, 0.0)
    since = xp.maximum(t - p["given"], 0.0)
    dose = p["dose"] * (xp.exp(-0.2 * since) - xp.exp(-3.0 * since))
    return day + pulse + dose


DRIVEN = ReactionDiffusion(
    "driven by time",
    (Field("u", "1", 1.0, "u"),),
    lambda u, p, at: {"u": driven(at["time"], p, jnp) * at["active"] - p["loss"] * u["u"]},
    {"u": "diffusivity"},
    breaks=lambda p: (
        ([p["on"], p["off"]] if p["pulse"] and not p["undeclared"] else [])
        + ([p["given"]] if p["dose"] else [])
    ),
)
"""du/dt = D lap u + s(t) - d u, where s has a cycle of day and night, a pulse, and a plasma curve after a
dose.

The solution is uniform, so the equation is an ODE.
"""
