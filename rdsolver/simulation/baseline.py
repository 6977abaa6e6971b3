"""The healthy baseline of a section: the steady state of its discretised equations at frozen bone.

A step of infinite length is one Newton step on 0 = f(u). It is repeated, with θ0 taken from the RANKL found
so far, until the corrections of all groups are at round-off, by the program that advances the run. So no
second solver is needed, and no second compilation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import inf

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import RunError
from ..models.bone.model import BoneModel
from ..models.bone.static_fields import of_section
from ..models.bone.tissue import TissueModel
from ..timestepping.advance import ROWS
from ..timestepping.attempt import LANDED, RUNNING
from ..timestepping.base import StepState
from ..timestepping.system import Fields, System
from ..timestepping.trbdf2 import TRBDF2
from . import program

ENOUGH = {"float32": 4e-6, "float64": 2e-12}  # relative size of the last corrections
MOST_ITERATIONS = 80
BASES = {"theta0": "RANK occupancy", "jbar": "resorption"}  # all other values are relative to these


@jax.jit
def _reference(system: System, u: Fields) -> dict[str, jax.Array]:
    assert isinstance(system.model, BoneModel | TissueModel)  # the models that have a baseline
    return system.model.reference(u, system.p, of_section(system.place))


def with_reference(system: System, reference: dict[str, jax.Array]) -> System:
    return replace(system, place=replace(of_section(system.place), reference=reference))


def baseline(
    system: System, u: Fields, levels: Iterable[str] = ()
) -> tuple[Fields, dict[str, jax.Array], int]:
    """The baseline state and the settled reference of a section, and the number of V-cycles it took.

    system  the system of the healthy section (model.healthy), with any reference that is not settled
    u       a first guess, with the bone
    levels  names of the observables for which the run's program watches

    Raises RunError when it does not converge.
    """
    u, cycles = steady(system, u, levels, "healthy baseline")
    found = _checked(_reference(system, u))
    return u, found | {"settled": jnp.ones_like(found["settled"])}, cycles


def steady(system: System, u: Fields, levels: Iterable[str], what: str) -> tuple[Fields, int]:
    """The steady state of a system at frozen bone, and the number of V-cycles it took. what: its name.

    Raises RunError when it does not converge.
    """
    tol, n = ENOUGH[str(system.place.active.dtype)], 0
    leg = program.leg(system, inf, tol, levels=dict.fromkeys(levels, inf), forced=True)
    zero = {k: jnp.zeros_like(x) for k, x in u.items()}
    flows = {k: jnp.zeros(x.shape, x.dtype) for k, x in jax.eval_shape(System.flows, system, 0.0, u).items()}
    lane = program.lane(0.0, inf, u, StepState(zero, flows, zero, np.float64(inf)), system.cycles, inf)
    status, change, pace = RUNNING, inf, 0.0
    while status == RUNNING and n < MOST_ITERATIONS:
        found = program.call(TRBDF2(), leg, lane, program.Call(min(MOST_ITERATIONS - n, ROWS), pace))
        lane, status, pace = found.lane, int(found.now.status), found.pace
        n, change = n + len(found.rows), found.rows[-1]["error"]
    if status == LANDED:
        return lane.u, n * sum(g.cycles for g in system.model.groups)
    raise RunError(
        f"the {what} of the section was not found in {n} iterations (last change {change:g} of"
        " round-off). Look at the model.parameters that were changed: cytokines and cells must have a steady"
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
