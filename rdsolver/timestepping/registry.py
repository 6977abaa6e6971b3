"""Which integrator "auto" is: the one whose predicted work is least, counted in sweeps of the right-hand
side.

A run takes about N = 25 + 10 (1e-3/tolerance)^(1/3) steps from event to event with a method of order 2. A
step of rkc2 is s + 3 sweeps, s its stages; a stage of tr-bdf2 costs its V-cycles whatever the step, CYCLE
sweeps each; etdrk4 knows its own (etd.cost). Only ratios matter, and not much: near a tie both are as good.
Measured in docs/numerics.md.
"""

from __future__ import annotations

from math import ceil

import jax.numpy as jnp

from ..errors import InputError
from ..problem import Solver
from . import etd, rkc
from .base import Integrator
from .etd import ETDRK2, ETDRK4
from .rkc import RKC2
from .system import Fields, System
from .trbdf2 import TRBDF2

INTEGRATORS: dict[str, type[Integrator]] = {i.name: i for i in (TRBDF2, RKC2, ETDRK2, ETDRK4)}
STEPS = 25, 10  # from event to event: growing from the first step, and at tolerance 1e-3
# sweeps that a V-cycle of all fields costs; 22 to 24 were measured on three fields, some 10 on the bone model
CYCLE = 20


def choose(solver: Solver, system: System, u: Fields, span: float, segments: int) -> tuple[Integrator, str]:
    """The integrator of a run over `span`, in `segments` from event to event, and why.

    Raises InputError for an exponential integrator where there is more than a box of constant diffusion.
    """
    if solver.integrator != "auto":
        if solver.integrator.startswith("etd") and system.box is None:
            raise InputError(
                f'solver.integrator = "{solver.integrator}" needs constant diffusivities in a box, without'
                ' mask, drift or open boundary. Allowed here: "auto", "tr-bdf2", "rkc2".'
            )
        return INTEGRATORS[solver.integrator](), "asked for"
    costs = predicted(system, u, span, segments, solver.tolerance, solver.longest_step)
    order = sorted(costs, key=lambda name: costs[name])
    work = ", ".join(f"{name} {float(f'{costs[name]:.2g}'):,.0f} sweeps" for name in order)
    return INTEGRATORS[order[0]](), f"least predicted work: {work}"


def predicted(
    system: System, u: Fields, span: float, segments: int, tolerance: float, longest: float | None = None
) -> dict[str, float]:
    """Sweeps of each integrator that applies. longest: the step that the user allows."""
    least = 0.0 if longest is None else span / longest
    steps = max(least, segments * (STEPS[0] + STEPS[1] * (1e-3 / tolerance) ** (1 / 3)))
    radius, leaving = (float(x) for x in rkc.bounds(system, jnp.zeros(()), u))
    explicit = max(steps, ceil(span / rkc.longest_step(radius, leaving)))
    cycles = sum(
        int(system.cycles[g.name]) * len(g.fields) for g in system.model.groups if g.solve == "transport"
    ) / len(u)
    costs = {
        TRBDF2.name: steps * 2 * cycles * CYCLE,
        RKC2.name: explicit * (rkc.stages_for(span / explicit, radius) + 3),
    }
    if system.box is not None:
        costs[ETDRK4.name] = etd.cost(system, 0.0, u, span, tolerance, least)
    return costs
