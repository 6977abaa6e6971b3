"""What is said and noted of a run: one summary of the bone model, one of any other, the same questions to
both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ..models.base import Field
from ..problem import ModelProblem, Problem
from .bone_summary import BoneSummary
from .model_summary import Lines, ModelSummary, Row


class RunSummary(Protocol):
    """What is said and noted of a run, from its problem, its scenario and the rows of its series.

    fields     what is solved
    active     in which cells
    record     how the section was made
    where      the section in words
    preparing  what happens before the first step
    """

    @property
    def fields(self) -> tuple[Field, ...]: ...
    @property
    def active(self) -> np.ndarray: ...
    @property
    def record(self) -> Mapping[str, Any]: ...
    @property
    def where(self) -> str: ...
    @property
    def preparing(self) -> str: ...

    def describe(self) -> Lines:
        """What the model was understood to be."""
        ...

    def metadata(self) -> dict[str, Any]:
        """What the file notes at the start."""
        ...

    def opening(self, scenario: Any) -> Lines:
        """How the run began."""
        ...

    def observe(self, row: Row) -> None:
        """Take in one row of the series."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What has been taken in of the rows so far, JSON-able."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        ...

    def notes(self, scenario: Any) -> dict[str, Any]:
        """What the file notes at the end."""
        ...

    def figures(self, scenario: Any) -> dict[str, Any]:
        """The figures of the whole run."""
        ...

    def headline(self, scenario: Any, first: Row, last: Row) -> str:
        """What came out, in one line, from the first and the last row."""
        ...


def summary_of(problem: Problem | ModelProblem) -> RunSummary:
    return BoneSummary(problem) if isinstance(problem, Problem) else ModelSummary(problem)
