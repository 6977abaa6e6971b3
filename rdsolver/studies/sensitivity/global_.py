"""Global sensitivity: the effects of uncertain parameters over their plausible ranges, through SALib.

Morris (screening): the mean absolute elementary effect mu*, which is the change of the observable over a
parameter's whole range, and the spread sigma of these effects, which is large if the parameter interacts with
others or acts nonlinearly. Sobol: shares of the variance, S1 by the parameter alone and ST with all its
interactions. Each sample is a run of its own on a coarse section.

Morris 1991, Technometrics 33:161; Campolongo et al. 2007, Environ. Model. Softw. 22:1509; Saltelli et al.
2010, Comput. Phys. Commun. 181:259; Herman & Usher 2017, SALib, 10.21105/joss.00097.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import numpy as np

from ...config.config import Config
from ...errors import InputError, RunError
from ...geometry.section import coarsened
from ...models.base import Parameter
from ...problem import Problem
from ...simulation.bone_scenario import model_of
from ...sweep.design import Design, of_rows
from ...sweep.driver import SweepOptions, run_sweep
from ...sweep.reader import open_sweep
from ...utils.extras import install
from ...utils.home import at_home
from ...utils.reporting import ProgressReporter, Silent
from .local import chosen, observables_of
from .ranges import Range, coarse, parameters_at, ranges

METHODS = ("morris", "sobol")
SAMPLES = {"morris": 10, "sobol": 64}  # default numbers of trajectories and of base samples
LEVELS = 4  # levels of Morris' grid: the ends of each range, and two values between
TOLERANCE = 1e-3
MOST_STEPS = 3000  # a sample that takes more steps fails; a run takes about 100


@dataclass(frozen=True)
class Effect:
    """The effect of a parameter on an observable.

    Morris: size mu*, spread sigma, in the unit of the observable over the whole range; Sobol: size ST, spread
    S1. confidence: half of the 95 % interval of size.
    """

    observable: str
    parameter: Parameter
    size: float
    spread: float
    confidence: float


@dataclass(frozen=True)
class Scan:
    """The result of a global analysis.

    samples, failed  number of samples, and the reasons why some failed: (reason, number)
    blocks, whole    number of trajectories (Morris) or base samples (Sobol), and of those without a failed
                     sample, which are used
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
        """The effects on one observable, the largest first."""
        return sorted((e for e in self.effects if e.observable == observable), key=lambda e: -e.size)


def salib() -> tuple[ModuleType, ModuleType]:
    """SALib's samplers and analyses. Raises InputError if it is not installed."""
    try:
        import SALib.analyze.morris
        import SALib.analyze.sobol
        import SALib.sample.morris
        import SALib.sample.sobol
    except ImportError:
        raise InputError(f"--global needs SALib, which is not installed. {install('sensitivity')}.") from None
    return SALib.sample, SALib.analyze


def scan(
    config: Config,
    method: str = "morris",
    samples: int | None = None,
    seed: int = 1,
    parameters: Sequence[str] | None = None,
    observables: Sequence[str] | None = None,
    reporter: ProgressReporter | None = None,
    out: Path | None = None,
    jobs: int | None = None,
) -> Scan:
    """Sample the ranges, run every sample, and find the effect of each parameter.

    The runs are those of a sweep.

    samples  number of trajectories (Morris) or base samples (Sobol, a power of 2). A sample that fails (no
             baseline, koff not above 0, too many steps) takes its whole trajectory or base sample out of the
             analysis
    reporter  receives progress (None: no reports)
    out      folder of the sweep, which is kept, and continued if it exists (None: it is not kept)
    jobs     number of runs at once (None: one for each core)

    Raises InputError for bad input, RunError when it is interrupted or too few samples are left.
    """
    sample, analyze = salib()
    if method not in METHODS:
        raise InputError(f"--global {method} is not known. Allowed: {', '.join(METHODS)}.")
    problem = config.problem()
    assert isinstance(problem, Problem)
    if problem.initial is not None:
        raise InputError(
            "initial: a run that continues another takes its section and start from it. Use a run that"
            " starts from its baseline."
        )
    count = SAMPLES[method] if samples is None else samples
    if count < 2 or (method == "sobol" and count & (count - 1)):
        raise InputError(
            f"--samples {count}: give"
            f" {'a power of 2, at least 2' if method == 'sobol' else 'at least 2 trajectories'}."
        )
    wanted = chosen(
        "--observables", observables, observables_of(problem, [s.name for s in model_of(problem).series])
    )
    found, left_out = ranges(problem, parameters)
    if len(found) < 2:
        raise InputError("--parameters: a global analysis needs two parameters or more.")
    space = {
        "num_vars": len(found),
        "names": [r.parameter.name for r in found],
        "bounds": [[0.0, 1.0]] * len(found),
    }
    if method == "morris":
        x, block = sample.morris.sample(space, count, num_levels=LEVELS, seed=seed), len(found) + 1
    else:
        x, block = sample.sobol.sample(space, count, calc_second_order=False, seed=seed), len(found) + 2
    design = designed(config, problem, found, x)
    with nullcontext(at_home(out)) if out else TemporaryDirectory() as folder:
        y, failed = _all(design, Path(folder), wanted, reporter or Silent(), jobs, out is not None)
    whole: np.ndarray = np.isfinite(y).reshape(-1, block * len(wanted)).all(axis=1)  # pyright: ignore[reportAssignmentType]
    if whole.sum() < 2:
        why = max(failed, key=lambda reason: failed[reason], default="an observable is missing")
        raise RunError(
            f"{sum(failed.values())} of {len(x)} samples failed (most often: {why}), and {whole.sum()} of"
            f" {len(whole)} blocks are whole. Sample fewer parameters with --parameters, or more samples with"
            " --samples."
        )
    kept = np.repeat(whole, block)
    effects = []
    for name, values in zip(wanted, y[kept].T, strict=True):
        for r, (size, spread, confidence) in zip(
            found, _effects(analyze, method, space, x[kept], values, seed), strict=True
        ):
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
        coarsened(problem.section, coarse(problem.section)).describe(),
    )


def designed(config: Config, problem: Problem, found: Sequence[Range], x: np.ndarray) -> Design:
    """The sweep of these samples: the config on its section made coarse, in float64."""
    base = config.resolved()
    base["section"]["coarsen"] *= coarse(problem.section)
    base["solver"] = {
        "integrator": "tr-bdf2",
        "tolerance": TOLERANCE,
        "precision": "float64",
        "max_steps": MOST_STEPS,
    }
    if problem.solver.longest_step is not None:
        base["solver"]["longest_step"] = problem.solver.longest_step
    base |= {"time": {"end": problem.end, "save": [problem.end]}, "output": {}}
    units = {row.name: row.unit for row in problem.rows}
    samples = [parameters_at(problem, found, point) for point in x]
    moved = [k for k in samples[0] if any(s[k] != problem.parameters[k] for s in samples)]
    rows = [
        {f"model.parameters.{k}": s[k] if units[k] == "1" else f"{s[k]!r} {units[k]}" for k in moved}
        for s in samples
    ]
    return of_rows("this analysis", base, rows, f"{config.title}: samples", config.source is not None)


def _all(
    design: Design,
    folder: Path,
    wanted: Sequence[str],
    reporter: ProgressReporter,
    jobs: int | None,
    kept: bool,
) -> tuple[np.ndarray, dict[str, int]]:
    """The observables of every sample, NaN where it failed, and the number of failures for each reason."""
    result = run_sweep(design, folder, SweepOptions(jobs=jobs, rerun_failed=True), reporter)
    if result.left:
        way = (
            f"The samples are kept in {folder}: the same command continues."
            if kept
            else "Nothing of it is kept; --out DIR would."
        )
        error = RunError(f"{result.why}, with {result.left} of {len(design)} samples left. {way}")
        if result.signal:
            error.exit_status = result.exit_status
        raise error
    columns = open_sweep(folder).columns
    failed = Counter(_reason(result.statuses[i]["error"], design.told(i)) for i in result.failed)
    nothing = np.full(len(design), np.nan)  # values of an observable that no sample has
    return np.stack([columns.get(name, nothing) for name in wanted], axis=1), dict(failed)


def _reason(error: str, told: str) -> str:
    """An error without the sample and its numbers, so that equal errors can be counted."""
    return re.sub(r"\b\d[\d.,e+-]*", "…", re.split(r" \(|;", error.removeprefix(f"{told}: "))[0])


def _effects(
    analyze: ModuleType, method: str, space: dict, x: np.ndarray, y: np.ndarray, seed: int
) -> list[tuple[float, float, float]]:
    """(Size, spread, confidence) of each parameter; 0 if the observable is the same in every sample."""
    if np.ptp(y) == 0:
        return [(0.0, 0.0, 0.0)] * space["num_vars"]
    if method == "morris":
        s = analyze.morris.analyze(space, x, y, num_levels=LEVELS, seed=seed)
        columns = s["mu_star"], s["sigma"], s["mu_star_conf"]
    else:
        s = analyze.sobol.analyze(space, y, calc_second_order=False, seed=seed)
        columns = s["ST"], s["S1"], s["ST_conf"]
    return [(float(a), float(b), float(c)) for a, b, c in zip(*columns, strict=True)]
