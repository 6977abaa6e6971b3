"""Local sensitivity: the effect of each parameter on each observable, to first order.

The derivatives are computed by automatic differentiation.

    S = d ln O / d ln p = (p/O) dO/dp

An observable is a series and a statistic of it: `ntx.min` (the nadir), `osteoclast_number.max` (the peak),
`.end`, and `.mean` (over time). The run is replayed in float64 by TR-BDF2, see tangent.py; the baseline is
solved anew, so that θ0, j_ref and k_res change with the parameters. The times of steps, and of treatments
that a lesion has started, are fixed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax
import numpy as np

from ...errors import InputError
from ...models.base import Parameter
from ...models.bone import calcium
from ...models.bone.components.tumour import SerumCalcium
from ...parallel import device
from ...problem import Problem, Solver
from ...simulation.bone_scenario import BoneScenario, model_of
from .inputs import CURVE_STEP, Recorded, directions, recorded, size
from .tangent import Replay

TOLERANCE = 1e-4  # tolerance of the run that is replayed, unless the config's is tighter
CHUNK = 8  # number of parameters at once: their fields stay in the cache
KINDS = ("end", "mean", "min", "max")
COUNTED = ("lesion_area",)  # series that count cells
MAIN = (
    "ntx.min",
    "osteoclast_number.end",
    "bone_volume_fraction.end",
    "mean_free_rankl.mean",
    "osteoclast_number.max",
    "tumour_burden.end",
    "serum_calcium.max",
)
"""The observables that are shown, if a run has them; all are computed."""

_TOLERANCES_ALONE = "sets what tolerances are relative to, and acts on nothing"
NOT_DIFFERENTIATED = {
    "smoothing_length": "makes the weights of the smoothing, which are fixed numbers in the compiled run",
    "rankl_scale": _TOLERANCES_ALONE,
    "opg_scale": _TOLERANCES_ALONE,
    "precursor_scale": _TOLERANCES_ALONE,
    "osteoclast_scale": _TOLERANCES_ALONE,
}

Tell = Callable[[str, float, float], None]
"""A function that receives the present work, its completed share, and the seconds since it began."""


@dataclass(frozen=True)
class Observable:
    """An observable. name: "<series>.<kind>"; value: its value in the run, in unit."""

    name: str
    label: str
    unit: str
    value: float


@dataclass(frozen=True)
class Derivative:
    """dO/dp in the unit of O over that of p; logarithmic: d ln O/d ln p (None where p or O is 0)."""

    observable: Observable
    parameter: Parameter
    at: float
    value: float

    @property
    def logarithmic(self) -> float | None:
        if self.at == 0 or self.observable.value == 0:
            return None
        return self.value * self.at / self.observable.value


@dataclass(frozen=True)
class Local:
    """The result of a local analysis.

    left_out  (parameter or series, reason)
    notes     what a reader must know
    settled   relative change of the baseline's derivatives in the last Newton step
    steps     number of steps of the run
    """

    derivatives: tuple[Derivative, ...]
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    settled: float
    steps: int

    @property
    def observables(self) -> list[Observable]:
        return list({d.observable.name: d.observable for d in self.derivatives}.values())

    def of(self, observable: str) -> list[Derivative]:
        """The derivatives of one observable, the largest first; those without a logarithm come last."""
        found = [d for d in self.derivatives if d.observable.name == observable]
        return sorted(found, key=lambda d: (d.logarithmic is None, -abs(d.logarithmic or 0), -abs(d.value)))


def chosen(what: str, asked: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """The names asked for, or all. Raises InputError for one that is not known."""
    for name in asked or ():
        if name not in known:
            raise InputError(f"{what} {name} is not known here. Allowed: {', '.join(known)}.")
    return list(known) if asked is None else list(dict.fromkeys(asked))


def observables_of(problem: Problem, series: Sequence[str]) -> list[str]:
    """The names of the observables of these series, in the order of the model's."""
    names = [s.name for s in model_of(problem).series]
    return [f"{name}.{kind}" for name in names if name in series for kind in KINDS]


def described(problem: Problem, observable: str) -> tuple[str, str]:
    """(Label, unit) of an observable."""
    name, kind = observable.rsplit(".", 1)
    said = {"end": "at the end", "mean": "mean over time", "min": "lowest", "max": "highest"}[kind]
    series = next(s for s in model_of(problem).series if s.name == name)
    return f"{series.label}, {said}", series.unit


def local(
    problem: Problem,
    parameters: Sequence[str] | None = None,
    observables: Sequence[str] | None = None,
    tell: Tell = lambda what, share, seconds: None,
) -> Local:
    """The derivatives of the observables with respect to the parameters (names; default: all).

    Raises InputError for a name that is not known, for a run that continues from another, because its start
    does not depend on parameters, and for one from birth.
    """
    if problem.initial is not None:
        raise InputError(
            "initial: the start of a run that continues another cannot be differentiated. Use a run that"
            " starts from its baseline."
        )
    if problem.from_birth:
        raise InputError(
            "from_birth: a start from another steady state than the healthy one is not differentiated. Use"
            " --global, or leave model.from_birth out."
        )
    rows = {row.name: row for row in problem.rows}
    names = [n for n in chosen("--parameters", parameters, list(rows)) if n not in NOT_DIFFERENTIATED]
    series = [s.name for s in model_of(problem).series]
    there = [name for name in series if name not in COUNTED]
    wanted = chosen("--observables", observables, observables_of(problem, there))
    left_out = [
        (n, NOT_DIFFERENTIATED[n])
        for n in chosen("--parameters", parameters, list(rows))
        if n in NOT_DIFFERENTIATED
    ]
    if not names:
        why = "; ".join(f"{n}: {NOT_DIFFERENTIATED[n]}" for n, _ in left_out) or "none was named"
        raise InputError(f"--parameters leaves nothing to differentiate ({why}). Allowed: {', '.join(rows)}.")
    if observables is None:
        left_out += [
            (n, "counts cells: its derivative is 0 wherever it exists") for n in COUNTED if n in series
        ]
    asked = problem.solver
    tight = Solver(
        "tr-bdf2", min(TOLERANCE, asked.tolerance), "float64", asked.device, longest_step=asked.longest_step
    )
    with device.on(tight.device):
        began = time.perf_counter()
        run = recorded(
            replace(problem, solver=tight, save=()),
            lambda share: tell("run", share, time.perf_counter() - began),
        )
        values, slopes, settled = _derivatives(run, names, tell)
    found = []
    for name in wanted:
        series, kind = name.rsplit(".", 1)
        value, change = taken(kind, run.times, values[series], run.scenario.events, slopes[series])
        observable = Observable(name, *described(problem, name), value)
        found += [
            Derivative(observable, rows[n], problem.parameters[n], float(d))
            for n, d in zip(names, change, strict=True)
        ]
    return Local(tuple(found), tuple(left_out), tuple(notes_of(problem, run)), settled, run.steps)


def notes_of(problem: Problem, run: Recorded) -> list[str]:
    """Notes that a reader of the derivatives must know."""
    notes = [f"TR-BDF2, float64, {run.steps} steps replayed"]
    if problem.extension and callable(problem.extension.breaks):
        notes.append(
            "break times of the extension stay where they were in the run: what parameters do to them is"
            " left out"
        )
    if problem.solver.integrator not in ("auto", "tr-bdf2"):
        notes.append(
            f"the config's integrator is {problem.solver.integrator}; derivatives are those of TR-BDF2"
        )
    if problem.treatments:
        notes.append(
            "treatments that wait for a lesion start when they did in the run: what parameters do to that"
            " moment is left out"
        )
    return notes


def _derivatives(
    run: Recorded, names: list[str], tell: Tell
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], float]:
    """Each series over the steps, (T,), its derivative along each direction over the parameter's size, (T,
    P), and the convergence of the baseline.
    """
    began, columns, settled, values = time.perf_counter(), [], 0.0, {}
    starts = range(0, len(names), CHUNK)
    for start in starts:
        part = names[start : start + CHUNK]
        width = min(CHUNK, len(names))
        padded = part + [part[-1]] * (width - len(part))  # one size, so that there is one compilation
        replay, seen = Replay(run), []
        for i, duals in enumerate(replay.series(directions(run, padded))):
            seen.append(duals)
            tell(
                "derivatives",
                (start + width * i / max(run.steps, 1)) / (len(starts) * CHUNK),
                time.perf_counter() - began,
            )
        settled = max(settled, replay.changes[-1])
        seen = jax.device_get(seen)
        values = {k: np.array([s.value[k] for s in seen]) for k in seen[0].value}
        columns.append({k: np.array([s.along[k] for s in seen])[:, : len(part)] for k in values})
    slopes = {k: np.concatenate([c[k] for c in columns], axis=1) for k in values}
    if "serum_calcium" in run.series:
        values["serum_calcium"], slopes["serum_calcium"] = serum(run, names, values, slopes)
    sizes = np.array([size(run.scenario.problem.parameters[n]) for n in names])
    return values, {k: s / sizes for k, s in slopes.items()}, settled


def taken(
    kind: str,
    times: np.ndarray,
    values: np.ndarray,
    events: Sequence[float] = (),
    slopes: np.ndarray | None = None,
) -> tuple[float, np.ndarray]:
    """The end, mean, min or max of a series (T,), and its derivatives from those of the series, (T, P).

    An extremum is that of the parabola through the three steps around it: at a step itself the derivative
    would include the effect of the parameter on the time of the extremum. At either end, and at an event,
    where series have kinks, it is the value of the step.
    """
    along = np.zeros((len(times), 0)) if slopes is None else slopes
    if kind == "mean":
        span = times[-1] - times[0]
        return float(np.trapezoid(values, times) / span), np.trapezoid(along, times, axis=0) / span
    at = {"end": len(times) - 1, "min": int(np.argmin(values)), "max": int(np.argmax(values))}[kind]
    if at in (0, len(times) - 1) or times[at] in events:
        return float(values[at]), along[at]
    t, y = times[at - 1 : at + 2] - times[at], values[at - 1 : at + 2]
    rise, fall = (y[1] - y[0]) / (t[1] - t[0]), (y[2] - y[1]) / (t[2] - t[1])
    bend = (fall - rise) / (t[2] - t[0])
    top = (t[0] + t[1]) / 2 - rise / (2 * bend) if bend else 0.0
    weights = np.array(
        [np.prod([(top - t[k]) / (t[i] - t[k]) for k in range(3) if k != i]) for i in range(3)]
    )
    return float(weights @ y), weights @ along[at - 1 : at + 2]


def serum(
    run: Recorded, names: Sequence[str], values: dict[str, np.ndarray], slopes: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Serum calcium over the steps (T,) and its derivatives (T, P).

    In each step they are central differences of the host's own equation (models/bone/calcium.py), and from
    step to step they follow by the chain rule.
    """
    scenario, p = run.scenario, run.scenario.in_force(0.0)
    bone, pthrp = values["bone_volume_fraction"], values["mean_pthrp"]
    d_bone, d_pthrp = slopes["bone_volume_fraction"], slopes["mean_pthrp"]
    host = scenario.hosts["tumour"]
    assert isinstance(host, SerumCalcium)
    mmol = p["calcium_in_bone"] * p["tumour_load"] / host.planted  # calcium in a unit of BV/TV

    series = [calcium.steady(0.0, 0.0, p)]
    along = [_by_parameters(lambda q: calcium.steady(0.0, 0.0, q), p, names)]
    for i, days in enumerate(np.diff(run.times)):
        p = scenario.in_force(run.times[i])
        state = np.array([series[-1], bone[i] - bone[i + 1], pthrp[i + 1]])
        moved = along[-1], d_bone[i] - d_bone[i + 1], d_pthrp[i + 1]
        steps = np.array(
            [
                1e-4 * state[0],
                max(1e-2 * abs(state[1]), 1e-3 * days / max(mmol, 1e-30)),
                1e-3 * max(state[2], 1e-6),
            ]
        )
        after = partial(_serum_after, scenario, float(days))
        by_state = [(after(state + h, p) - after(state - h, p)) / (2 * h.sum()) for h in np.diag(steps)]
        along.append(
            sum(
                (b * m for b, m in zip(by_state, moved, strict=True)),
                _by_parameters(partial(after, state), p, names),
            )
        )
        series.append(after(state, p))
    return np.array(series), np.array(along)


def _serum_after(scenario: BoneScenario, days: float, state: np.ndarray, p: Mapping[str, float]) -> float:
    """The serum calcium after a step. state: serum calcium before, BV/TV lost in the step, PTHrP at its
    end.
    """
    before, lost, pthrp = (float(x) for x in state)
    host = scenario.hosts["tumour"]
    assert isinstance(host, SerumCalcium)
    return host.later(before, days, lost, pthrp, p)


def _by_parameters(
    f: Callable[[Mapping[str, float]], float], p: dict[str, float], names: Sequence[str]
) -> np.ndarray:
    """The derivatives of f along the directions of `names`; those of parameters that serum calcium does not
    read are 0.
    """
    out = np.zeros(len(names))
    for i, n in enumerate(names):
        if n.startswith("calcium_") or n in ("tumour_load", "pthrp_half"):
            h = CURVE_STEP * size(p[n])
            out[i] = (f(p | {n: p[n] + h}) - f(p | {n: p[n] - h})) / (2 * CURVE_STEP)
    return out
