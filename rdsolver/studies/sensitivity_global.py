"""Global sensitivity: what uncertain parameters do to the observables over their whole plausible ranges, through SALib.

Morris (screening): the mean absolute elementary effect mu*, the change of the observable over a parameter's whole range, and the spread
sigma of these effects, large where the parameter acts through others or not in proportion. Sobol: shares of the variance, S1 by the
parameter alone and ST with all it interacts with. Each sample is a run of its own on a coarse section.

Morris 1991, Technometrics 33:161; Campolongo et al. 2007, Environ. Model. Softw. 22:1509; Saltelli et al. 2010, Comput. Phys. Commun.
181:259; Herman & Usher 2017, SALib, 10.21105/joss.00097.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from types import ModuleType

import numpy as np

from .. import device
from ..course import model_of
from ..domain.grid import Grid
from ..domain.section import Section
from ..errors import InputError, RdsolverError, RunError
from ..models.base import Parameter
from ..problem import Problem, Solver
from ..simulation import Simulation
from .sensitivity import NOT_DIFFERENTIATED, Tell, chosen, observables_of, taken

METHODS = ("morris", "sobol")
SAMPLES = {"morris": 10, "sobol": 64}  # trajectories; base samples
LEVELS = 4  # of Morris' grid: the ends of each range, and two values between
ACROSS = 32  # cells along the longest axis of the section that is run
TOLERANCE = 1e-3
MOST_STEPS = 3000  # a sample that takes more is given up; a run takes about 100
ABOVE = 1.1  # kon over rankl_loss/K_eff at least, so that koff > 0


@dataclass(frozen=True)
class Range:
    """What a parameter is sampled over: uniform between low and high, or uniform in the logarithm."""

    parameter: Parameter
    low: float
    high: float
    logarithmic: bool

    def at(self, share: float, low: float | None = None) -> float:
        """The value at a share of the range, in [0, 1]; low: instead of its own."""
        least = self.low if low is None else low
        if self.logarithmic:
            return exp(log(least) + share * (log(self.high) - log(least)))
        return least + share * (self.high - least)


@dataclass(frozen=True)
class Effect:
    """Of a parameter on an observable. Morris: size mu*, spread sigma, in the unit of the observable over the whole range; Sobol:
    size ST, spread S1. confidence: half of the 95 % interval of size."""

    observable: str
    parameter: Parameter
    size: float
    spread: float
    confidence: float


@dataclass(frozen=True)
class Scan:
    """What a global analysis found.

    samples, failed  how many were run, and why some gave nothing: (reason, number)
    blocks, whole    trajectories (Morris) or base samples (Sobol), and those of them without a failed sample, which alone are used
    """

    method: str
    effects: tuple[Effect, ...]
    ranges: tuple[Range, ...]
    left_out: tuple[tuple[str, str], ...]
    samples: int
    failed: tuple[tuple[str, int], ...]
    blocks: int
    whole: int
    section: str

    @property
    def observables(self) -> list[str]:
        return list(dict.fromkeys(e.observable for e in self.effects))

    def of(self, observable: str) -> list[Effect]:
        """Those on one observable, the largest first."""
        return sorted((e for e in self.effects if e.observable == observable), key=lambda e: -e.size)


def salib() -> tuple[ModuleType, ModuleType]:
    """SALib's samplers and analyses. Raises InputError where it is not installed."""
    try:
        import SALib.analyze.morris
        import SALib.analyze.sobol
        import SALib.sample.morris
        import SALib.sample.sobol
    except ImportError:
        raise InputError(
            '--global needs SALib, which is not installed. Install it, in rdsolver\'s folder, with: pip install ".[sensitivity]"'
        ) from None
    return SALib.sample, SALib.analyze


def ranges(problem: Problem, asked: Sequence[str] | None) -> tuple[list[Range], list[tuple[str, str]]]:
    """What is sampled, and what is left out and why. Default: all that is assumed or general knowledge (marks A, U).

    Raises InputError for a name that is not known or cannot be sampled.
    """
    rows = {row.name: row for row in problem.rows}
    names, left_out = chosen("--parameters", asked, list(rows)), []
    for name in names:
        row, why = rows[name], None
        if name in NOT_DIFFERENTIATED:
            why = NOT_DIFFERENTIATED[name]
        elif asked is None:
            why = _certain(row, problem.parameters[name])
        if why and asked is not None:
            raise InputError(f"--parameters {name} cannot be sampled: it {why}.")
        if why and (name in NOT_DIFFERENTIATED or set(row.mark) & {"A", "U"}):
            left_out.append((name, why))
        names = [n for n in names if n != name] if why else names
    return [_range(rows[n], problem.parameters[n]) for n in names], left_out


def _certain(row: Parameter, value: float) -> str | None:
    """Why a parameter is not among the uncertain ones; None where it is."""
    if not set(row.mark) & {"A", "U"}:
        return "is sourced"
    if row.source.startswith("definition"):
        return "is a definition"
    return "is 0 in this run: what it stands for is switched off" if value == 0 else None


def _range(row: Parameter, value: float) -> Range:
    """Its plausible range, and the run's own value; by the logarithm where it spans more than 10. A range that begins at 0 and goes to
    ten times the value and more is taken as far down as up from the value."""
    low, high = min(row.low, value), max(row.high, value)
    if low == 0 and 0 < 10 * value <= high:
        low = value**2 / high
    return Range(row, low, high, low > 0 and high > 10 * low)


def coarse(section: Section) -> Section:
    """The section with whole numbers of cells made one, so that about ACROSS lie along its longest axis."""
    grid, n = section.grid, max(1, round(max(section.grid.shape) / ACROSS))
    if n == 1:
        return section
    along = [min(n, k) for k in grid.shape]
    shape = tuple(k // m for k, m in zip(grid.shape, along, strict=True))  # what is left over at the far ends is dropped

    def mean(a: np.ndarray) -> np.ndarray:
        kept = a[tuple(slice(0, k * m) for k, m in zip(shape, along, strict=True))]
        blocks = kept.reshape([x for pair in zip(shape, along, strict=True) for x in pair])
        return blocks.mean(axis=tuple(range(1, 2 * len(shape), 2)))

    inside = mean(section.active.astype(float))
    bone = np.where(inside > 0, mean(section.bone * section.active) / np.where(inside > 0, inside, 1), 0)
    spacing = tuple(h * m for h, m in zip(grid.spacing, along, strict=True))
    return Section(Grid(shape, spacing, borders=grid.borders, thickness=grid.thickness), np.clip(bone, 0, 1), inside >= 0.5, section.record)


def parameters_at(problem: Problem, found: Sequence[Range], x: np.ndarray) -> dict[str, float]:
    """A value for every parameter at a point of the unit cube. A kon that is sampled stays above what keeps its koff positive."""
    values = dict(problem.parameters)
    for r, share in sorted(zip(found, x, strict=True), key=lambda pair: pair[0].parameter.name.endswith("_kon")):
        name, low = r.parameter.name, r.low
        if name.endswith("_kon"):
            low = min(max(low, ABOVE * values["rankl_loss"] / values[f"{name.removesuffix('_kon')}_K_eff"]), r.high)
        values[name] = r.at(float(share), low)
    return values | typical(values)


def typical(p: Mapping[str, float]) -> dict[str, float]:
    """The scales that go with other parameters: where the baseline search begins, and what tolerances are relative to.

    The steady state of a well-mixed surface, w = 1: L = S_L/(d_L (1 + O/K)), O = S_O/(d_O + d_L L/K), P = s_P/(d_P + p0),
    C = p0 P/d_C; the defaults of the scales at the defaults of all else. From scales 100 times off Newton's step overshoots.
    """
    supply, bound = p["opg_production"], p["opg_K_eff"]
    rankl = 0.0
    for _ in range(100):  # alternates around the solution; halfway between converges
        opg = supply / max(p["opg_loss"] + p["rankl_loss"] * rankl / bound, 1e-9)
        rankl = (rankl + p["rankl_production"] / p["rankl_loss"] / (1 + opg / bound)) / 2
    precursors = p["precursor_supply"] / (p["precursor_loss"] + p["differentiation"])
    found = rankl, opg, precursors, p["differentiation"] * precursors / p["osteoclast_death"]
    names = "rankl_scale", "opg_scale", "precursor_scale", "osteoclast_scale"
    return {name: max(value, 1e-12) for name, value in zip(names, found, strict=True)}


def outcome(problem: Problem, observables: Sequence[str]) -> list[float]:
    """The observables of one run. Raises RunError for one that cannot be done."""
    for b in (*problem.agents, None):
        name, p = "opg" if b is None else b.name, problem.parameters
        if p[f"{name}_kon"] * p[f"{name}_K_eff"] <= p["rankl_loss"]:
            raise RunError("koff would not be above 0")
    simulation, seen = Simulation(problem), []
    for chunk in simulation.chunks():
        seen.append({"time": chunk.t} | chunk.observed)
        if len(seen) > MOST_STEPS:
            raise RunError(f"more than {MOST_STEPS} steps")
    series: Mapping[str, np.ndarray] = {k: np.array([s[k] for s in seen]) for k in seen[0]}
    parts = (name.rsplit(".", 1) for name in observables)
    return [taken(kind, series["time"], series[name], simulation.course.events)[0] for name, kind in parts]


def scan(
    problem: Problem,
    method: str = "morris",
    samples: int | None = None,
    seed: int = 1,
    parameters: Sequence[str] | None = None,
    observables: Sequence[str] | None = None,
    tell: Tell = lambda what, share, seconds: None,
) -> Scan:
    """Sample the ranges, run every sample, and say how much each parameter acts.

    samples: trajectories (Morris) or base samples (Sobol, a power of 2). A sample that fails (no baseline, koff not above 0, no end)
    takes its whole trajectory or base sample out of the analysis. Raises InputError for bad input, RunError when too little is left.
    """
    sample, analyze = salib()
    if method not in METHODS:
        raise InputError(f"--global {method} is not known. Allowed: {', '.join(METHODS)}.")
    if problem.initial is not None:
        raise InputError("initial: a run that goes on from another has its section and start from there. Take a run from its baseline.")
    count = SAMPLES[method] if samples is None else samples
    if count < 2 or (method == "sobol" and count & (count - 1)):
        raise InputError(f"--samples {count}: give {'a power of 2, at least 2' if method == 'sobol' else 'at least 2 trajectories'}.")
    known = observables_of(problem, [s.name for s in model_of(problem).series])
    wanted = chosen("--observables", observables, known)
    found, left_out = ranges(problem, parameters)
    if len(found) < 2:
        raise InputError("--parameters: a global analysis needs two parameters or more.")
    space = {"num_vars": len(found), "names": [r.parameter.name for r in found], "bounds": [[0.0, 1.0]] * len(found)}
    if method == "morris":
        x, block = sample.morris.sample(space, count, num_levels=LEVELS, seed=seed), len(found) + 1
    else:
        x, block = sample.sobol.sample(space, count, calc_second_order=False, seed=seed), len(found) + 2
    solver = Solver("tr-bdf2", TOLERANCE, "float64", problem.solver.device)
    base = replace(problem, section=coarse(problem.section), solver=solver, save=())
    y, failed = _all(base, found, x, wanted, tell)
    whole: np.ndarray = np.isfinite(y).reshape(-1, block * len(wanted)).all(axis=1)  # pyright: ignore[reportAssignmentType]
    if whole.sum() < 2:
        why = max(failed, key=lambda reason: failed[reason])
        raise RunError(
            f"{sum(failed.values())} of {len(x)} samples failed (most often: {why}), and {whole.sum()} of {len(whole)} blocks are whole. "
            "Sample fewer parameters with --parameters, or more samples with --samples."
        )
    kept = np.repeat(whole, block)
    effects = []
    for name, values in zip(wanted, y[kept].T, strict=True):
        for r, (size, spread, confidence) in zip(found, _effects(analyze, method, space, x[kept], values, seed), strict=True):
            effects.append(Effect(name, r.parameter, size, spread, confidence))
    return Scan(
        method,
        tuple(effects),
        tuple(found),
        tuple(left_out),
        len(x),
        tuple(sorted(failed.items())),
        len(whole),
        int(whole.sum()),
        base.section.describe(),
    )


def _all(base: Problem, found: list[Range], x: np.ndarray, wanted: list[str], tell: Tell) -> tuple[np.ndarray, dict[str, int]]:
    """The observables of every sample, NaN where it failed, and how often for what reason."""
    began, y, failed = time.perf_counter(), np.full((len(x), len(wanted)), np.nan), {}
    with device.on(base.solver.device):
        for i, point in enumerate(x):
            try:
                y[i] = outcome(replace(base, parameters=parameters_at(base, found, point)), wanted)
            except RdsolverError as stopped:
                reason = re.sub(r"\b\d[\d.e+-]*", "…", re.split(r" \(|;", str(stopped))[0])  # without its numbers, to be counted
                failed[reason] = failed.get(reason, 0) + 1
            tell("samples", (i + 1) / len(x), time.perf_counter() - began)
    return y, failed


def _effects(analyze: ModuleType, method: str, space: dict, x: np.ndarray, y: np.ndarray, seed: int) -> list[tuple[float, float, float]]:
    """(size, spread, confidence) of each parameter; 0 where the observable is the same in every sample."""
    if np.ptp(y) == 0:
        return [(0.0, 0.0, 0.0)] * space["num_vars"]
    if method == "morris":
        s = analyze.morris.analyze(space, x, y, num_levels=LEVELS, seed=seed)
        columns = s["mu_star"], s["sigma"], s["mu_star_conf"]
    else:
        s = analyze.sobol.analyze(space, y, calc_second_order=False, seed=seed)
        columns = s["ST"], s["S1"], s["ST_conf"]
    return [(float(a), float(b), float(c)) for a, b, c in zip(*columns, strict=True)]
