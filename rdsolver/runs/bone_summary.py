"""The summary of a run of the bone model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from ..models.bone import calcium
from ..problem import Problem
from ..problem.bone_problem import describe_doses
from ..simulation.bone_scenario import BoneScenario, model_of
from .model_summary import Lines, Row, origin, parameter_table, series_line, source_entry


class BoneSummary:
    """The summary of a bone run, or of another tissue: drugs, tumour, healthy baseline, lowest NTX."""

    preparing = "baseline and compiling"

    def __init__(self, problem: Problem) -> None:
        self.problem, self._model = problem, model_of(problem)
        self.fields = self._model.fields(problem.parameters)
        self.active, self.record, self.where = (
            problem.section.active,
            problem.section.record,
            problem.section.describe(),
        )
        self._nadir: tuple[float, float] = (0.0, np.inf)
        self._calcium = 0.0  # highest serum calcium, mmol/L

    def describe(self) -> Lines:
        p = self.problem
        name = f"bone ({p.preset})" if p.tissue == "bone" else p.tissue
        found = [("model", f"{name}: {len(self.fields)} fields; {describe_doses(p) or 'no drug'}")]
        for part in p.components:
            if part.user:
                found.append(("extension", f"{part.name}{origin(p.source)}"))
            elif about := part.describe():
                found.append((part.name, about))
        return found

    def opening(self, scenario: BoneScenario) -> Lines:
        cycles = scenario.baseline_cycles
        found = [("baseline", f"found in {cycles} V-cycles" if cycles else f"from {self.problem.initial}")]
        if self.problem.from_birth:
            changes = 100 * scenario.bone_changes
            bone = "too" if abs(changes) < 0.05 else f"has none: it changes by {changes:+.1f} % a year"
            said = (
                f" and cells in steady state since then; bone {bone}" if self.problem.tissue == "bone" else ""
            )
            found.append(("birth", f"cytokines{said or ' in steady state since then'}"))
        came = [
            c.name for c in self.problem.components if c.planted and not {*c.planted} & {*scenario.planted}
        ]
        return [*found, *((name, "comes with that run; none is planted") for name in came)]

    def metadata(self) -> dict[str, Any]:
        p = self.problem
        added = {"extension": p.extension.name} if p.extension else {}
        return {
            "model": p.tissue,
            **added,
            **source_entry(p.source),
            "parameters": parameter_table(self.problem.rows, self.problem.parameters),
            "doses": [asdict(d) for d in self.problem.doses],
            "agents": [{"name": a.name, "like": a.like, "label": a.label} for a in self.problem.agents],
        }

    def observe(self, row: Row) -> None:
        if row.get("ntx", np.inf) < self._nadir[1]:
            self._nadir = (row["time"], row["ntx"])
        self._calcium = max(self._calcium, row.get("serum_calcium", 0.0))

    def state_dict(self) -> dict[str, Any]:
        return {"nadir": list(self._nadir), "calcium": self._calcium}

    def load_state(self, state: Mapping[str, Any]) -> None:
        (when, lowest), self._calcium = state["nadir"], state["calcium"]
        self._nadir = (when, lowest)

    def notes(self, scenario: BoneScenario) -> dict[str, Any]:
        return {"doses": [asdict(d) for d in scenario.doses]}  # including those that waited for a lesion

    def figures(self, scenario: BoneScenario) -> dict[str, Any]:
        nadir = (
            {"ntx_nadir": self._nadir[1], "ntx_nadir_time": self._nadir[0]}
            if np.isfinite(self._nadir[1])
            else {}
        )
        peak = (
            {"serum_calcium_peak": self._calcium, "hypercalcaemia": calcium.grade(self._calcium)}
            if self._calcium
            else {}
        )
        waiting = {"treatments_never_begun": len(scenario.waiting)} if scenario.waiting else {}
        return {"baseline_v_cycles": scenario.baseline_cycles} | nadir | peak | waiting

    def headline(self, scenario: BoneScenario, first: Row, last: Row) -> str:
        if "ntx" not in first:
            return series_line(self._model, first, last)
        waiting = ", ".join(f"{t.lesion:g} mm2" for t in scenario.waiting)
        return (
            f"NTX {first['ntx']:.2f} -> {self._nadir[1]:.2f} (day {self._nadir[0]:.3g}) -> {last['ntx']:.2f},"
            f" osteoclasts {first['osteoclast_number']:.3g} -> {last['osteoclast_number']:.3g} per mm3, BV/TV"
            f" {first['bone_volume_fraction']:.3f} -> {last['bone_volume_fraction']:.3f}"
            + (f", no lesion of {waiting}: its treatment never began" if waiting else "")
            + (
                f", calcium at most {self._calcium:.2f} mmol/L ({calcium.grade(self._calcium)})"
                if self._calcium
                else ""
            )
        )
