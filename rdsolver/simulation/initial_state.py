"""The last state of an earlier run, from which a run continues: read from its file and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..geometry.grid import Grid
from ..models.base import Field
from ..models.bone.parameters import AT_BASELINE
from ..models.bone.pharmacokinetics import ROUTES, Dose
from ..output.reader import open_run
from ..problem import ModelProblem, Problem
from ..problem.model_problem import check_start
from ..utils.safe_files import reading


@dataclass(frozen=True)
class InitialState:
    """The state from which a bone scenario continues.

    fields         by name, on the grid
    reference      values of the healthy baseline that the fields belong to
    plasma         the amounts of each drug
    infusions      what is left of infusions under way, each as a dose at time 0
    handed_on      values that components followed on the host, such as serum_calcium, mmol/L
    """

    fields: Mapping[str, np.ndarray]
    reference: Mapping[str, np.ndarray]
    plasma: Mapping[str, np.ndarray] = field(default_factory=dict)
    infusions: tuple[Dose, ...] = ()
    handed_on: Mapping[str, float] = field(default_factory=dict)


def of_bone(problem: Problem, model_fields: Sequence[Field]) -> InitialState | None:
    """The end of the run that `initial.from` names; None if it names none.

    Raises InputError if that run does not fit.
    """
    if problem.initial is None:
        return None
    with reading(f"initial.from: {problem.initial}"):
        bone = problem.section.bone * problem.section.active
        state, reference = _end_of(problem.initial, problem.grid, bone, problem.tissue)
        fields = {k: v for k, v in state.items() if np.ndim(v) == problem.grid.ndim}
        if wrong := [k for k, v in fields.items() if v.shape != problem.grid.shape]:
            raise InputError(
                f"initial.from: {problem.initial} is damaged: its {wrong[0]} does not fit its grid."
            )
        plasma = {k.removeprefix("plasma_"): v for k, v in state.items() if k.startswith("plasma_")}
        if "settled" not in reference:
            raise InputError(
                f"initial.from: {problem.initial} was made by an older rdsolver, whose healthy baseline is"
                " not that of this one. Start a new run."
            )
        _check_parts(problem, model_fields, fields, plasma)
        return InitialState(
            fields,
            reference,
            {k: v for k, v in plasma.items() if k in problem.drugs},
            tuple(d for name in problem.drugs for d in _infusions(name, state)),
            {k: float(v) for k, v in state.items() if np.ndim(v) == 0},
        )


def left_of(infusions: Sequence[Dose], t: float) -> np.ndarray:
    """What is left of infusions at time t, to be saved: for each the place of its route, mg/kg and days."""
    left = [(ROUTES.index(d.route), d.amount * (d.end - t) / d.duration, d.end - t) for d in infusions]
    return np.array(left, float).ravel()


def _infusions(agent: str, state: Mapping[str, Any]) -> list[Dose]:
    saved = np.asarray(state.get(f"infusions_{agent}", ())).reshape(-1, 3).tolist()
    return [Dose(agent, amount, ROUTES[int(route)], 0.0, days) for route, amount, days in saved]


def of_model(problem: ModelProblem) -> Mapping[str, np.ndarray] | None:
    """The fields at the end of the run that `initial.from` names; None if it names none.

    Raises InputError if that run does not fit.
    """
    p, path = problem, problem.initial
    if not isinstance(path, Path):
        return None
    with reading(f"initial.from: {path}"):
        state, _ = _end_of(path, p.grid, p.arrays.get("bone"), p.model.name)
    if missing := sorted({f.name for f in p.fields} - state.keys()):
        raise InputError(
            f"initial.from: {path} holds no {', '.join(missing)}. A run continues with the model it started"
            " with."
        )
    fields = {f.name: state[f.name] for f in p.fields}
    check_start(p, fields)
    return fields


def _check_parts(
    problem: Problem, model_fields: Sequence[Field], fields: Mapping[str, Any], plasma: Mapping[str, Any]
) -> None:
    """Raise InputError if the earlier run has parts that this one lacks, or another healthy baseline."""
    p, where = problem, f"initial.from: {problem.initial}"
    here = {*(f.name for f in model_fields), *(name for part in p.components for name in part.drugs)}
    held = [k for k, v in (*fields.items(), *plasma.items()) if np.any(np.asarray(v) != 0)]
    if lost := sorted({k for k in held if k not in here}):
        raise InputError(
            f"{where} holds {', '.join(lost)}, which this run's model does not have. Have it here too, so"
            " that it is not lost: a drug by [[agent]] with its name, a tumour by [tumour],"
            " rankl_membrane by model.membrane_rankl, others by model.from."
        )
    parts = [part for part in p.components if part.healthy]
    healthy = [name for part in parts for name in (*part.names, *(b.name for b in part.binders))]
    if missing := [k for k in healthy if k not in fields]:
        raise InputError(
            f"{where} holds no {', '.join(missing)}, which belongs to the healthy baseline of this run."
            " Start a new run, or leave a standard component out (model.without)."
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


def _end_of(
    path: Path, grid: Grid, bone: np.ndarray | None, expected: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The last state of the earlier run, and its reference.

    Raises InputError unless that run finished, with this model, on the same section.
    """
    where = f"initial.from: {path}"
    try:
        with open_run(path) as run:
            state, reference, model = run.state, run.reference, run.provenance.get("model", "bone")
    except InputError as error:
        raise InputError(f"initial.from: {error}") from error
    if model != expected:
        raise InputError(
            f"{where} is a run of another model ({model}), this one is of {expected}. A run continues with"
            " the model it started with."
        )
    if not state:
        raise InputError(
            f"{where} holds no state to continue from: the run did not finish. Use a finished run."
        )
    shape = next(v.shape for v in state.values() if np.ndim(v) > 1)
    there = reference.get("bone", np.zeros(shape))
    here = np.zeros(grid.shape) if bone is None else bone
    if shape != grid.shape or not np.allclose(there, here, atol=1e-6):
        raise InputError(
            f"{where} was made on another section (its grid is {shape}, this one's {grid.shape}; "
            "where they agree, the bone differs). "
            "A run continues only on the section it started with: repeat its [section]."
        )
    return state, reference
