"""The summary of a run of any model, and the parts that the summary of a bone run has in common with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..models.base import Model, Parameter
from ..models.bone.parameters import TISSUES
from ..problem import ModelProblem, Source
from ..simulation.model_scenario import ModelScenario

Lines = list[tuple[str, str]]  # (topic, text)
Row = Mapping[str, float]

MOST_TOLD = 3  # number of series in the last line of a run


class ModelSummary:
    """The summary of a run of any other model: its series, and the file it came from.

    Raises InputError for a model in another unit of time than the day, because a run file is in days.
    """

    preparing = "compiling"

    def __init__(self, problem: ModelProblem) -> None:
        self.problem, self.fields, self.active, self.record = (
            problem,
            problem.fields,
            problem.mask,
            problem.record,
        )
        if problem.model.name in ("bone", *TISSUES):
            raise InputError(
                f'a model is called "{problem.model.name}", which is the name of one of rdsolver. Give it'
                " another name."
            )
        if problem.model.time_unit != "d":
            raise InputError(
                f'{problem.model.name}: its time_unit is "{problem.model.time_unit}", and a run file is in'
                ' days. Give "d".'
            )

    @property
    def where(self) -> str:
        grid, share = self.problem.grid, self.active.mean()
        spacing = (
            " x ".join(f"{h:g}" for h in grid.spacing)
            if len(set(grid.spacing)) > 1
            else f"{grid.spacing[0]:g}"
        )
        thick = f", {grid.thickness:g} um thick" if grid.thickness is not None else ""
        return (
            f"{' x '.join(map(str, grid.shape))}, {spacing}"
            f" um{thick}{'' if share == 1 else f', solved in {share:.0%}'}"
        )

    def describe(self) -> Lines:
        p = self.problem
        fields = ", ".join(f"{f.name} ({f.label})" for f in self.fields)
        return [("model", f"{p.model.name}: {fields}{origin(p.source)}")]

    def opening(self, scenario: ModelScenario) -> Lines:
        return [("start", f"from {self.problem.initial}")] if isinstance(self.problem.initial, Path) else []

    def metadata(self) -> dict[str, Any]:
        p = self.problem
        given = [Parameter(k, v, "", "", "", "A", -np.inf, np.inf) for k, v in p.parameters.items()]
        return {
            "model": p.model.name,
            "parameters": parameter_table(p.model.parameters or given, p.parameters),
        } | source_entry(p.source)

    def observe(self, row: Row) -> None:
        pass

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        pass

    def notes(self, scenario: ModelScenario) -> dict[str, Any]:
        return {}

    def figures(self, scenario: ModelScenario) -> dict[str, Any]:
        return {}

    def headline(self, scenario: ModelScenario, first: Row, last: Row) -> str:
        return series_line(self.problem.model, first, last)


def series_line(model: Model, first: Row, last: Row) -> str:
    """The first few series, from their first value to their last."""
    told = [(s, "" if s.unit == "1" else f" {s.unit}") for s in model.series if s.name in first][:MOST_TOLD]
    return ", ".join(f"{s.label} {first[s.name]:.3g} -> {last[s.name]:.3g}{unit}" for s, unit in told)


def origin(source: Source | None) -> str:
    return "" if source is None else f"; from {source.path}, SHA-256 {source.hash[:12]}"


def source_entry(source: Source | None) -> dict[str, str]:
    return (
        {}
        if source is None
        else {"model_file": source.path, "model_sha256": source.hash, "model_source": source.text}
    )


def parameter_table(rows: Iterable[Parameter], values: Mapping[str, float]) -> list[dict[str, Any]]:
    keys = ("unit", "meaning", "symbol", "source", "mark")
    return [{"name": p.name, "value": values[p.name]} | {k: getattr(p, k) for k in keys} for p in rows]
