"""What a run says and keeps of its problem: one account of the bone model, one of any other model, the same
questions to both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import InputError
from ..geometry.grid import Grid
from ..models.base import Field, Model, Parameter
from ..models.bone import calcium
from ..models.bone.parameters import AT_BASELINE, TISSUES
from ..models.bone.pharmacokinetics import BISPHOSPHONATE, Dose
from ..output.reader import open_run
from ..problem.checks import check_start
from ..problem.problem import ModelProblem, Problem, Source, describe_doses, expected_solves
from ..simulation.scenario import BoneScenario, ModelScenario, model_of
from ..utils.safe_files import reading

Lines = list[tuple[str, str]]  # (topic, text)
Row = Mapping[str, float]

MOST_TOLD = 3  # series in the last line of a run


class Account(Protocol):
    """Of a problem:

    fields     what is solved; active: in which cells; record: how the place was made; where: the place in words
    preparing  what happens before the first step
    describe   what the model was understood to be
    work       what a run would take, as far as it can be told without starting one
    check      raises InputError for what is seen only where a run begins; gives what is unusual there
    scenario     what it goes through, from its start; resumed: from given fields and the reference they belong to
    begun      how it began
    meta       what the file notes at the start
    watch      is told every row of the series; kept: what it has noted of them, JSON-able; recall: takes that up again
    state      numbers beside the last state; noted: what the file notes at the end; summary: figures of the run
    headline   what came out, in a line, from the first and the last row
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

    def describe(self) -> Lines: ...
    def work(self) -> Lines: ...
    def check(self) -> tuple[str, ...]: ...
    def scenario(self) -> Any: ...
    def resumed(self, fields: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> Any: ...
    def begun(self, scenario: Any) -> Lines: ...
    def meta(self) -> dict[str, Any]: ...
    def watch(self, row: Row) -> None: ...
    def kept(self) -> dict[str, Any]: ...
    def recall(self, kept: Mapping[str, Any]) -> None: ...
    def state(self, scenario: Any, t: float) -> dict[str, Any]: ...
    def noted(self, scenario: Any) -> dict[str, Any]: ...
    def summary(self, scenario: Any) -> dict[str, Any]: ...
    def headline(self, scenario: Any, first: Row, last: Row) -> str: ...


def account_of(problem: Problem | ModelProblem) -> Account:
    return BoneAccount(problem) if isinstance(problem, Problem) else ModelAccount(problem)


class BoneAccount:
    """Of the bone model, and of other tissues: drugs, tumour, the healthy baseline, NTX at its lowest."""

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
        self._calcium = 0.0  # at its highest, mmol/L

    def describe(self) -> Lines:
        p = self.problem
        name = f"bone ({p.preset})" if p.tissue == "bone" else p.tissue
        found = [("model", f"{name}: {len(self.fields)} fields; {describe_doses(p) or 'no drug'}")]
        if p.extension:
            found.append(("extension", f"{p.extension.name}{_origin(p.source)}"))
        return found if p.tumour is None else [*found, ("tumour", p.tumour.describe())]

    def work(self) -> Lines:
        problem, p = self.problem, self.problem.parameters
        fastest = 4 * p["rankl_diffusivity"] * sum(1 / h**2 for h in problem.grid.spacing)
        if problem.tissue == "bone":
            slowest, what = p["turnover_speed"] * p["surface_reference"], "bone turnover"
        else:
            slowest, what = p["response_rate"], "response"
        solves, unknowns = expected_solves(problem), problem.grid.cells * len(self.fields)
        ratio = f"a ratio of {fastest / slowest:.0e}"
        return [
            (
                "stiffness",
                f"{fastest:.2g} /d (diffusion across a cell) to {slowest:.2g} /d ({what}): {ratio}",
            ),
            ("work", f"about {solves} stage solves of {unknowns:,} unknowns (tr-bdf2, tolerance 1e-3)"),
        ]

    def check(self) -> tuple[str, ...]:
        return BoneScenario(self.problem, self._initial(), begin=False).warnings

    def scenario(self) -> BoneScenario:
        return BoneScenario(self.problem, self._initial())

    def resumed(self, fields: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> BoneScenario:
        return BoneScenario(self.problem, {"state": fields, "reference": reference, "plasma": {}})

    def _initial(self) -> dict[str, Any] | None:
        with reading(f"initial.from: {self.problem.initial}"):
            return self._found()

    def _found(self) -> dict[str, Any] | None:
        """State, reference and plasma of the run that this one goes on from, checked against the problem."""
        if self.problem.initial is None:
            return None
        bone = self.problem.section.bone * self.problem.section.active
        state, reference = _last(self.problem.initial, self.problem.grid, bone, self.problem.tissue)
        fields = {k: v for k, v in state.items() if np.ndim(v) == self.problem.grid.ndim}
        if wrong := [k for k, v in fields.items() if v.shape != self.problem.grid.shape]:
            raise InputError(
                f"initial.from: {self.problem.initial} is damaged: its {wrong[0]} does not fit its grid."
            )
        plasma = {k.removeprefix("plasma_"): v for k, v in state.items() if k.startswith("plasma_")}
        self._check_parts(fields, plasma)
        drugs = {
            *(a.name for a in self.problem.agents),
            *((BISPHOSPHONATE,) if self.problem.bisphosphonate else ()),
        }
        found = {
            "state": fields,
            "reference": reference,
            "plasma": {k: v for k, v in plasma.items() if k in drugs},
        }
        return found | ({"serum_calcium": float(state["serum_calcium"])} if "serum_calcium" in state else {})

    def _check_parts(self, fields: Mapping[str, Any], plasma: Mapping[str, Any]) -> None:
        """Raises InputError where the run to go on from has what this one has not, or another healthy
        baseline.
        """
        p, where = self.problem, f"initial.from: {self.problem.initial}"
        here = {*(f.name for f in self.fields), *((BISPHOSPHONATE,) if p.bisphosphonate else ())}
        held = [k for k, v in (*fields.items(), *plasma.items()) if np.any(np.asarray(v) != 0)]
        if lost := sorted({k for k in held if k not in here}):
            raise InputError(
                f"{where} holds {', '.join(lost)}, which this run's model does not have. Have it here too, so"
                " that it is not lost: a drug by [[agent]] with its name, a tumour by [tumour],"
                " rankl_membrane by model.membrane_rankl, others by model.from."
            )
        healthy = ["rankl_membrane"] if p.membrane else []
        if p.extension and p.extension.healthy:
            healthy += [*p.extension.names, *(b.name for b in p.extension.binders)]
        if missing := [k for k in healthy if k not in fields]:
            raise InputError(
                f"{where} holds no {', '.join(missing)}, which belongs to the healthy baseline of this run."
                " Start it anew."
            )
        assert p.initial is not None
        with open_run(p.initial) as run:
            there = run.parameters
        rows = {r.name: r for r in p.rows}
        for name in AT_BASELINE:
            if name in rows and name in there and not np.isclose(there[name], p.parameters[name], rtol=1e-9):
                raise InputError(
                    f"{where} was made with {name} = {there[name]:g}, and this run has {p.parameters[name]:g}"
                    " (model.preset or model.parameters). It acts through the healthy baseline, which comes"
                    " from that run: give the same value."
                )

    def begun(self, scenario: BoneScenario) -> Lines:
        cycles = scenario.baseline_cycles
        found = [("baseline", f"found in {cycles} V-cycles" if cycles else f"from {self.problem.initial}")]
        came = self.problem.tumour is not None and "tumour" not in scenario.planted
        return [*found, ("tumour", "comes with that run; none is planted")] if came else found

    def meta(self) -> dict[str, Any]:
        p = self.problem
        added = {"extension": p.extension.name} if p.extension else {}
        return {
            "model": p.tissue,
            **added,
            **_source(p.source),
            "parameters": _table(self.problem.rows, self.problem.parameters),
            "doses": _doses(self.problem.doses),
            "agents": [{"name": a.name, "like": a.like, "label": a.label} for a in self.problem.agents],
        }

    def watch(self, row: Row) -> None:
        if row.get("ntx", np.inf) < self._nadir[1]:
            self._nadir = (row["time"], row["ntx"])
        self._calcium = max(self._calcium, row.get("serum_calcium", 0.0))

    def kept(self) -> dict[str, Any]:
        return {"nadir": list(self._nadir), "calcium": self._calcium}

    def recall(self, kept: Mapping[str, Any]) -> None:
        (when, lowest), self._calcium = kept["nadir"], kept["calcium"]
        self._nadir = (when, lowest)

    def state(self, scenario: BoneScenario, t: float) -> dict[str, Any]:
        plasma = {f"plasma_{k}": p.amounts for k, p in scenario.plasma_at(t).items()}
        return plasma | ({"serum_calcium": scenario.calcium} if self.problem.tumour is not None else {})

    def noted(self, scenario: BoneScenario) -> dict[str, Any]:
        return {"doses": _doses(scenario.doses)}  # those that waited for a lesion among them

    def summary(self, scenario: BoneScenario) -> dict[str, Any]:
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
            return _told(self._model, first, last)
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


class ModelAccount:
    """Of any other model: its series, and the file it came from.

    Raises InputError for a model in another unit of time than the day: a run file is in days.
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
        return [("model", f"{p.model.name}: {fields}{_origin(p.source)}")]

    def work(self) -> Lines:
        from ..simulation.time_loop import Simulation

        found = Simulation(self.problem, self.scenario())
        return [("work", f"{found.integrator.name}, {found.why}")]

    def check(self) -> tuple[str, ...]:
        return self.scenario().warnings

    def scenario(self) -> ModelScenario:
        p = self.problem
        start = p.initial
        if isinstance(start, Path):
            with reading(f"initial.from: {start}"):
                state, _ = _last(start, p.grid, p.arrays.get("bone"), p.model.name)
            missing = sorted({f.name for f in self.fields} - state.keys())
            if missing:
                raise InputError(
                    f"initial.from: {start} holds no {', '.join(missing)}. A run goes on with the model it"
                    " started with."
                )
            start = {f.name: state[f.name] for f in self.fields}
        if isinstance(p.initial, Path):
            check_start(p, start)
        scenario = ModelScenario(p, start)
        scenario.check_rates()
        return scenario

    def resumed(self, fields: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> ModelScenario:
        return ModelScenario(self.problem, fields)

    def begun(self, scenario: ModelScenario) -> Lines:
        return [("start", f"from {self.problem.initial}")] if isinstance(self.problem.initial, Path) else []

    def meta(self) -> dict[str, Any]:
        p = self.problem
        given = [Parameter(k, v, "", "", "", "A", -np.inf, np.inf) for k, v in p.parameters.items()]
        return {
            "model": p.model.name,
            "parameters": _table(p.model.parameters or given, p.parameters),
        } | _source(p.source)

    def watch(self, row: Row) -> None:
        pass

    def kept(self) -> dict[str, Any]:
        return {}

    def recall(self, kept: Mapping[str, Any]) -> None:
        pass

    def state(self, scenario: ModelScenario, t: float) -> dict[str, Any]:
        return {}

    def noted(self, scenario: ModelScenario) -> dict[str, Any]:
        return {}

    def summary(self, scenario: ModelScenario) -> dict[str, Any]:
        return {}

    def headline(self, scenario: ModelScenario, first: Row, last: Row) -> str:
        return _told(self.problem.model, first, last)


def _told(model: Model, first: Row, last: Row) -> str:
    """The first few series, from their first value to their last."""
    told = [(s, "" if s.unit == "1" else f" {s.unit}") for s in model.series if s.name in first][:MOST_TOLD]
    return ", ".join(f"{s.label} {first[s.name]:.3g} -> {last[s.name]:.3g}{unit}" for s, unit in told)


def _last(
    path: Path, grid: Grid, bone: np.ndarray | None, expected: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """State and reference of the run to go on from.

    Raises InputError unless it came to an end, with this model, on the same section.
    """
    where = f"initial.from: {path}"
    try:
        with open_run(path) as run:
            state, reference, model = run.state, run.reference, run.provenance.get("model", "bone")
    except InputError as error:
        raise InputError(f"initial.from: {error}") from error
    if model != expected:
        raise InputError(
            f"{where} is a run of another model ({model}), this one is of {expected}. A run goes on with the"
            " model it started with."
        )
    if not state:
        raise InputError(
            f"{where} holds no state to go on from: the run did not come to an end. Take a finished run."
        )
    shape = next(v.shape for v in state.values() if np.ndim(v) > 1)
    there = reference.get("bone", np.zeros(shape))
    here = np.zeros(grid.shape) if bone is None else bone
    if shape != grid.shape or not np.allclose(there, here, atol=1e-6):
        raise InputError(
            f"{where} was made on another section (its grid is {shape}, this one's {grid.shape}; "
            "where they agree, the bone differs). "
            "A run goes on only on the section it started with: repeat its [section]."
        )
    return state, reference


def _origin(source: Source | None) -> str:
    return "" if source is None else f"; from {source.path}, SHA-256 {source.hash[:12]}"


def _source(source: Source | None) -> dict[str, str]:
    return (
        {}
        if source is None
        else {"model_file": source.path, "model_sha256": source.hash, "model_source": source.text}
    )


def _table(rows: Iterable[Parameter], values: Mapping[str, float]) -> list[dict[str, Any]]:
    keys = ("unit", "meaning", "symbol", "source", "mark")
    return [{"name": p.name, "value": values[p.name]} | {k: getattr(p, k) for k in keys} for p in rows]


def _doses(doses: Sequence[Dose]) -> list[dict[str, Any]]:
    return [{"agent": d.agent, "amount": d.amount, "route": d.route, "time": d.time} for d in doses]
