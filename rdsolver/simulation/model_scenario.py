"""The scenario of any model, which starts from a state or from the end of a run; parameters may change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..models.base import Field
from ..models.bone.pharmacokinetics import Dose
from ..models.pointwise import StaticFields
from ..operators import boundary_fluxes, multigrid
from ..operators.reductions import Pockets
from ..problem import ModelProblem, Problem
from ..problem.changes import in_force
from ..timestepping import linear_solver_control
from ..timestepping.system import Forcing, System
from ..utils.instants import Instants
from .check_rates import follows_time, try_observers, try_rates, unseen


def event_times(p: Problem | ModelProblem, doses: Sequence[Dose] = ()) -> list[float]:
    """The times after 0 at which the right-hand side jumps, and the end."""
    times = {p.end, *p.breaks, *(d.time for d in doses), *(t for c in p.changes for t in (c.start, c.end))}
    if ends := {d.end for d in doses if d.duration}:  # sums, so they may differ by rounding
        ends = set(map(Instants(p.end, times), ends)) - times
        times |= set(map(Instants(p.end, ends), ends))
    return sorted(t for t in times if 0 < t <= p.end)


def scales(fields: tuple[Field, ...], dtype: np.dtype) -> dict[str, jax.Array]:
    return {f.name: jnp.asarray(f.scale, dtype) for f in fields}


class ModelScenario:
    """Any model from a given state, or from the end of another run, with changes of parameters.

    initial: the fields of that other run.
    """

    surprised = False
    levels: Mapping[str, float] = {}
    warnings: tuple[str, ...] = ()

    def __init__(self, problem: ModelProblem, initial: Mapping[str, Any] | None = None) -> None:
        p, grid = problem, problem.grid
        self.dtype = dtype = np.dtype(p.solver.precision)
        self.problem, self.model = p, p.model
        self.fields = p.fields
        inside = p.mask.astype(dtype)
        place = p.model.prepare(grid, jnp.asarray(inside), p.medium, p.arrays)
        edges = tuple(boundary_fluxes.edge(b, grid, p.mask, dtype) for b in p.borders)
        self.system = System(
            p.model,
            multigrid.Shape.of(grid.shape, grid.spacing, place.wrap),
            place,
            self._numbers(-1.0),
            Forcing.none(),
            scales(self.fields, dtype),
            linear_solver_control.least(p.model.groups),
            np.float64(p.mask.sum()),
            edges,
            tuple(f.name for f in self.fields if f.signed),
            Pockets.of(p.mask, place.wrap),
        )
        start = p.initial if initial is None else initial
        assert not isinstance(start, Path)  # if the problem names a run, its fields are given in `initial`
        fields = {f.name: np.asarray(start.get(f.name, 0.0), dtype) for f in self.fields}
        self.u = {name: jnp.asarray(np.broadcast_to(x, grid.shape) * inside) for name, x in fields.items()}

    def check_rates(self) -> None:
        """Try the model's rates once. Raises InputError when they cannot be used."""
        p, place = self.problem, self.system.place
        assert isinstance(place, StaticFields)
        at = place.arrays | {"active": place.active} | self.system.inputs(jnp.zeros(()))
        try_rates(
            p.model.name, p.model.rates, self.u, self.system.p, at, p.mask, [f.name for f in self.fields]
        )
        self.warnings = unseen(p.model.name, p, follows_time(p.model.rates, self.u, self.system.p, at))
        taken = ["time", *(f"mean_{f.name}" for f in self.fields)]
        try_observers(p.model.name, p.model.observers, taken, self.u, self.system.p, at, p.grid.spacing)

    def _numbers(self, t: float) -> dict[str, jax.Array]:
        return {
            k: jnp.asarray(v, self.dtype)
            for k, v in in_force(self.problem.parameters, self.problem.changes, t).items()
        }

    @property
    def events(self) -> list[float]:
        return event_times(self.problem)

    def between(self, begin: float, end: float) -> System:
        return replace(self.system, p=self._numbers(begin), forcing=Forcing.none(end))

    def watched(self, t: float, days: float, observed: dict[str, float]) -> dict[str, float]:
        return observed

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: Mapping[str, Any], begin: float, end: float) -> System:
        return self.between(begin, end)

    def end_state(self, t: float) -> dict[str, Any]:
        return {}

    @property
    def reference(self) -> dict[str, np.ndarray]:
        """The bone on which the model is solved, if there is a section."""
        return {k: np.asarray(v, float) for k, v in self.problem.arrays.items() if k == "bone"}
