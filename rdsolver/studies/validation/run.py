"""The report of the targets: every figure beside the published one, whether met or not."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ...errors import RdsolverError
from ...output.reader import open_run
from ...parallel import device
from ...sweep.on_demand import on_demand
from ...sweep.worker_pool import available_cores
from ...utils.home import at_home
from ..verification.results import Curve
from .denosumab import readings, t16, t17, t18, t19
from .drugs import t3, t4, t5, t10, t11
from .genotypes import t21, t22
from .healthy import m3, t0, t1, t2, t12, t15
from .scenes import SceneResult, SceneRunner, Tables
from .scope import affinities, grids, rank_fc_constant
from .target import Study, Target
from .tumour import t6, t7, t8, t9, t13, t14, t20, t23

STUDIES: Sequence[Study] = (
    *(t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15, t16, t17, t18, t19),
    *(readings, t20, t21, t22, t23),
    *(m3, grids, affinities, rank_fc_constant),
)
AHEAD = 2  # number of studies in progress for each run at once
SEEDS = {True: (1,), False: (1, 2)}  # by the value of quick
CONFLICTS = (
    "Two conflicts in the literature are open. ODE models take RANK as the tighter receptor (29 pM against 1"
    " nM for OPG), while soluble-protein biochemistry finds OPG about 500 times tighter (Nelson 2012,"
    " 10.1016/j.str.2012.08.030). And OPG's functional constant in cell culture (tens of pM) is far below its"
    " soluble one (10 nM, Schneeweis 2005, 10.1074/jbc.M506366200). Ours lies between: RANK on cells 29 pM,"
    " OPG 30 pM; the rows SETS show the main figures with RANK tighter and with OPG tighter. O0 is an"
    " effective value, not a measured one."
)


def validate(
    quick: bool = False,
    tell: Callable[[Target], None] = lambda _: None,
    studies: Sequence[Study] | None = None,
    draw: Callable[[Curve], None] = lambda _: None,
    out: Path | None = None,
    jobs: int | None = None,
    working: Callable[[str, float, float], None] = lambda what, share, seconds: None,
) -> list[Target]:
    """Run the targets; the figures are means over the seeds. quick: 64 x 64 at 20 um and one seed; otherwise
    128 x 128 at 10 um and two.

    draw     receives the curves of the first seed
    out      folder that keeps the runs, and continues with existing ones (None: they are not kept)
    jobs     number of runs at once (None: one for each core)
    working  receives the present work, its completed share, and seconds since it began

    Raises InputError when the folder cannot be written, or is in use.
    """
    chosen, found, began = STUDIES if studies is None else studies, [], time.perf_counter()
    done, runs = 0, itertools.count(1)

    def run(tables: Tables) -> SceneResult:
        with open_run(compute(tables)) as of:
            outcome = SceneResult.of(of)
        working(
            f"{done} of {len(chosen)} targets, {next(runs)} runs",
            done / len(chosen),
            time.perf_counter() - began,
        )
        return outcome

    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory())) if out is None else at_home(out)
        # threads of studies that wait for their runs
        pool = stack.enter_context(ThreadPoolExecutor(AHEAD * (jobs or len(available_cores()))))
        compute = stack.enter_context(on_demand(folder, jobs))
        # after an interrupt no further study begins, and then runs are stopped
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        runners = [SceneRunner(quick, seed, run) for seed in SEEDS[quick]]
        waiting = [[pool.submit(_of, study, run_scene) for run_scene in runners] for study in chosen]
        for done, (study, each) in enumerate(zip(chosen, waiting, strict=True)):  # noqa: B007  `run` tells it
            for target in _means(study, each, draw):
                found.append(target)
                tell(target)
    return found


def _of(study: Study, run_scene: SceneRunner) -> list[Target | Curve]:
    with device.on("cpu"):
        return list(study(run_scene))


def _means(
    study: Study, each: Sequence[Future[list[Target | Curve]]], draw: Callable[[Curve], None]
) -> Iterator[Target]:
    """Each target, averaged over the seeds."""
    try:
        found = [future.result() for future in each]
    except RdsolverError as stopped:
        yield Target(
            study.__name__.upper(), f"stopped: {stopped}", "", float("nan"), None, None, "", "property"
        )
        return
    for same in zip(*found, strict=True):
        if isinstance(same[0], Curve):
            draw(same[0])
        else:
            yield replace(same[0], ours=float(np.mean([t.ours for t in same if isinstance(t, Target)])))


def as_json(target: Target) -> dict[str, Any]:
    return {
        "target": f"{target.name}: {target.what}",
        "published": target.published,
        "ours": target.ours if np.isfinite(target.ours) else None,
        "unit": target.unit,
        "band": target.band,
        "kind": target.kind,
        "tuned": list(target.tuned),
        "pass": None if target.verdict == "report" else target.passed,
    }


def line(target: Target) -> str:
    """The line of a target, without the verdict."""
    unit = "" if target.unit == "1" else f" {target.unit}"
    found = f"{target.ours:>9.4g}{unit:8} {target.band:>14}"
    return f"{target.name:6}{target.what:88} {found}  {target.kind:12} {target.published}"


def tuning(targets: Sequence[Target]) -> list[str]:
    """The parameters that were chosen by each target, one line for each target."""
    found: dict[str, dict[str, None]] = {}
    for t in targets:
        if t.tuned:
            found.setdefault(t.name, {}).update(dict.fromkeys(t.tuned))
    return [f"{name}: {', '.join(parameters)}" for name, parameters in found.items()]
