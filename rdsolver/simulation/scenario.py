"""The scenario of a run: its start, its events, and the system between two events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ..models.base import Field, Model
from ..problem import ModelProblem, Problem
from ..timestepping.system import Fields, System
from . import initial_state
from .bone_scenario import BoneScenario, model_of
from .initial_state import InitialState
from .model_scenario import ModelScenario


class Scenario(Protocol):
    """Everything that happens in a run.

    u       the state at time 0
    events  increasing times after 0 at which the right-hand side jumps, including the end
    """

    @property
    def model(self) -> Model: ...
    @property
    def dtype(self) -> np.dtype: ...
    @property
    def fields(self) -> tuple[Field, ...]: ...
    @property
    def u(self) -> Fields: ...
    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings about its rates."""
        ...

    @property
    def events(self) -> list[float]: ...
    @property
    def system(self) -> System:
        """The system before any event, for estimates."""
        ...

    @property
    def surprised(self) -> bool:
        """True if events have been added since the system was last asked for."""
        ...

    @property
    def levels(self) -> Mapping[str, float]:
        """The observables that may add events, with the value at which they must be looked at (inf: never).

        The names stay the same during a run.
        """
        ...

    def between(self, begin: float, end: float) -> System:
        """The system from one event to the next. This must be called in order of time."""
        ...

    def watched(self, t: float, days: float, observed: dict[str, float]) -> dict[str, float]:
        """The observables at t, after an accepted step of this many days, with those that are followed
        outside the tissue.

        This may add events from t on: then `surprised` is True.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """All data that change during a run, which can be written as JSON."""
        ...

    def load_state(self, state: Mapping[str, Any], begin: float, end: float) -> System:
        """Load the result of `state_dict` between these two events. Return the system there."""
        ...

    def end_state(self, t: float) -> dict[str, Any]:
        """The data that another run needs to continue from time t, beside the fields and the reference."""
        ...

    @property
    def reference(self) -> dict[str, np.ndarray]:
        """The reference values of the healthy baseline, with the bone that it belongs to."""
        ...


def scenario_of(problem: Problem | ModelProblem) -> Scenario:
    """The scenario of a problem, from its start.

    Raises InputError when the run from which it continues does not fit, or when the rates of its model cannot
    be used; RunError when no healthy baseline is found.
    """
    if isinstance(problem, Problem):
        return BoneScenario(problem, _earlier(problem))
    scenario = ModelScenario(problem, initial_state.of_model(problem))
    scenario.check_rates()
    return scenario


def resumed_scenario(
    problem: Problem | ModelProblem, fields: Mapping[str, Any], reference: Mapping[str, np.ndarray]
) -> Scenario:
    """The scenario of a run that was begun before, with these fields and the reference they belong to.

    The rest is loaded with its `load_state`.
    """
    if isinstance(problem, Problem):
        return BoneScenario(problem, InitialState(fields, reference))
    return ModelScenario(problem, fields)


def warnings_at_start(problem: Problem | ModelProblem) -> tuple[str, ...]:
    """The warnings that can be given only where a run begins. No baseline is computed.

    Raises InputError as `scenario_of` does.
    """
    if isinstance(problem, Problem):
        return BoneScenario(problem, _earlier(problem), begin=False).warnings
    return scenario_of(problem).warnings


def _earlier(problem: Problem) -> InitialState | None:
    return initial_state.of_bone(problem, model_of(problem).fields(problem.parameters))
