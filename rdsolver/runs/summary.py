"""The interface of the summary of a run, which the bone model and any other model implement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ..models.base import Field
from ..problem import ModelProblem, Problem
from .bone_summary import BoneSummary
from .model_summary import Lines, ModelSummary, Row


class RunSummary(Protocol):
    """The summary of a run, from its problem, its scenario and the rows of its series.

    fields     fields that are solved
    active     cells in which they are solved
    record     record of how the section was made
    where      the section in words
    preparing  name of the work before the first step
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
        """The description of the model."""
        ...

    def metadata(self) -> dict[str, Any]:
        """The metadata that the file holds from the start."""
        ...

    def opening(self, scenario: Any) -> Lines:
        """The start of the run."""
        ...

    def observe(self, row: Row) -> None:
        """Add one row of the series."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The data from the rows so far, which can be written as JSON."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Load the result of `state_dict`."""
        ...

    def notes(self, scenario: Any) -> dict[str, Any]:
        """The entries that the file gets at the end."""
        ...

    def figures(self, scenario: Any) -> dict[str, Any]:
        """The figures of the whole run."""
        ...

    def headline(self, scenario: Any, first: Row, last: Row) -> str:
        """The results in one line, from the first and the last row."""
        ...


def summary_of(problem: Problem | ModelProblem) -> RunSummary:
    return BoneSummary(problem) if isinstance(problem, Problem) else ModelSummary(problem)
