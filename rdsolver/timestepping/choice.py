"""The choice of a run's integrator: the one asked for, or with "auto" the one with the least predicted work.

Each integrator predicts its own work (Integrator.work), counted in sweeps of the right-hand side. Only ratios
matter, and not much: near a tie both are equally good. Measurements are in docs/numerics.md.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..errors import InputError
from .base import Integrator, Span
from .registry import ANYWHERE, AUTO, INTEGRATORS, exponential
from .system import Fields, System


@runtime_checkable
class Asked(Protocol):
    """The settings that a run asks for; problem.Solver is such a class."""

    @property
    def integrator(self) -> str: ...
    @property
    def tolerance(self) -> float: ...
    @property
    def longest_step(self) -> float | None: ...


def choose(solver: Asked, system: System, u: Fields, span: float, segments: int) -> tuple[Integrator, str]:
    """The integrator of a run over `span`, with `segments` from event to event, and the reason for the
    choice.

    Raises InputError for an exponential integrator if the system is more than a box of constant diffusion.
    """
    if solver.integrator != AUTO:
        if exponential(solver.integrator) and system.box is None:
            raise InputError(
                f'solver.integrator = "{solver.integrator}" needs constant diffusivities in a box, without'
                f" mask, drift or open boundary. Allowed here: {ANYWHERE}."
            )
        return INTEGRATORS[solver.integrator].load().prepared(system), "asked for"
    wanted = Span(span, segments, solver.tolerance, solver.longest_step)
    found = [(i.work(system, u, wanted), i) for i in (e.load() for e in INTEGRATORS.values())]
    ordered = sorted(((work, i) for work, i in found if work is not None), key=lambda pair: pair[0])
    told = ", ".join(f"{i.name} {float(f'{work:.2g}'):,.0f} sweeps" for work, i in ordered)
    return ordered[0][1].prepared(system), f"least predicted work: {told}"
