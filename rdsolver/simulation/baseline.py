"""The healthy baseline of a section: the steady state of its discretised equations at frozen bone.

The implicit stage with σ = 0 is one Newton step on 0 = f(u). It is repeated, with θ0 taken from the RANKL
found so far, until the corrections of all groups are at round-off. So no second solver is needed, and no
second compilation.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np

from ..errors import RunError
from ..models.bone.model import BoneModel
from ..models.bone.static_fields import of_section
from ..models.bone.tissue import TissueModel
from ..timestepping.system import Fields, System

ENOUGH = {"float32": 4e-6, "float64": 2e-12}  # relative size of the last corrections
MOST_ITERATIONS = 80
BASES = {"theta0": "RANK occupancy", "jbar": "resorption"}  # all other values are relative to these


@jax.jit
def _reference(system: System, u: Fields) -> dict[str, jax.Array]:
    assert isinstance(system.model, BoneModel | TissueModel)  # the models that have a baseline
    return system.model.reference(u, system.p, of_section(system.place))


@jax.jit
def _change(system: System, u: Fields, found: Fields, tol: jax.Array) -> jax.Array:
    return system.norm({k: found[k] - u[k] for k in u}, found, tol)


def with_reference(system: System, reference: dict[str, jax.Array]) -> System:
    return replace(system, place=replace(of_section(system.place), reference=reference))


def baseline(system: System, u: Fields) -> tuple[Fields, dict[str, jax.Array], int]:
    """The baseline state and reference of a section, and the number of V-cycles it took.

    system  the system of the healthy section (model.healthy), with any reference
    u       a first guess, with the bone

    Raises RunError when it does not converge.
    """
    dtype = system.place.active.dtype
    tol = np.asarray(ENOUGH[str(dtype)], dtype)
    cycles = sum(g.cycles for g in system.model.groups)
    change, before, n = np.inf, np.inf, 0
    for n in range(1, MOST_ITERATIONS + 1):
        reference = _reference(system, u)
        system = with_reference(system, reference)
        found, _, _ = system.stage(np.float64(0), u, u, np.zeros((), dtype), tol)
        change = float(_change(system, u, found, tol))
        if not np.isfinite([float(reference[name]) for name in BASES if name in reference]).all():
            break
        u = found
        # round-off may keep the change just above the goal; the change has then stopped falling
        if change <= 1 or (change < 30 and change >= before):
            return u, _checked(_reference(system, u)), n * cycles
        before = change
    raise RunError(
        f"the healthy baseline of the section was not found in {n} iterations (last change {change:g} of"
        " round-off). Look at the model.parameters that were changed: the healthy section must have a steady"
        " state."
    )


def _checked(reference: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Return the reference, if its values can be divided by. Raises RunError if not."""
    for name, what in BASES.items():
        if name in reference and not float(reference[name]) > 1e-12:
            raise RunError(
                f"the healthy baseline has no {what} ({name} is {float(reference[name]):.3g}), and everything"
                " is relative to it. Give RANKL production, precursor supply and differentiation above 0; a"
                " disease that lacks one of them is a [[change]]."
            )
    return reference
