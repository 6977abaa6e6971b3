"""Which targets each parameter moves: every study is run again with one parameter a tenth higher.

What is 0 is switched off and moves nothing.

python -m rdsolver.studies.validation.influence        writes models/bone/influence.json

A parameter moves a target if one of the target's figures changes by more than a twentieth of the width of its
band (of the bound, where it has one only). The section is a quarter of that of `validate --quick`. What costs
most runs is left out: T2, T7, T8, T14, T15, T23, GRID, SETS and K_EFF; so are T0, T11 and T16, which read no
more than a few parameters each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from ...config.load import config_from
from ...errors import RdsolverError
from ...models.bone.binders import drug
from ...models.bone.components import every
from ...models.bone.influence import FILE
from ...models.bone.parameters import parameters
from .denosumab import t17, t18, t19
from .drugs import t3, t4, t5, t10
from .genotypes import t21, t22
from .healthy import t1, t12
from .scenes import SceneResult, SceneRunner, here
from .target import Study, Target
from .tumour import t6, t9, t13, t20

STUDIES: Sequence[Study] = (t1, t3, t4, t5, t6, t9, t10, t12, t13, t17, t18, t19, t20, t21, t22)
AGENTS = ("fc_opg", "rank_fc", "denosumab")
RISE, SHARE = 1.1, 0.05
SMALL = 640.0  # um, the edge of the section


class Raised:
    """Runs the configs of scenes with one parameter raised, each of them once.

    raised: its name (None: none is raised)
    """

    def __init__(self, raised: str | None, known: dict[str, SceneResult]) -> None:
        self.raised, self.known = raised, known

    def __call__(self, tables: dict[str, Any]) -> SceneResult:
        config = config_from(tables, "scene")
        value = config.values.get(self.raised or "", 0.0)
        if value:
            assert self.raised is not None
            model, most = tables["model"], config.rows[self.raised].maximum
            # a share that is 1 can only be lowered
            changed = model["parameters"] | {
                self.raised: value * RISE if value * RISE <= most else value / RISE
            }
            tables = tables | {"model": model | {"parameters": changed}}
        key = json.dumps(tables)
        if key not in self.known:
            self.known[key] = here(tables)
        return self.known[key]


def figures(raised: str | None, known: dict[str, SceneResult]) -> dict[str, Target]:
    """Every figure, by its text. A study that cannot be run with the parameter raised is left out."""
    run_scene, found = SceneRunner(True, 1, Raised(raised, known), size=SMALL), {}
    for study in STUDIES:
        try:
            found |= {t.what: t for t in study(run_scene) if isinstance(t, Target)}
        except RdsolverError:
            continue
    return found


def moved(before: dict[str, Target], after: dict[str, Target]) -> Iterator[str]:
    """The targets with a figure that moved."""
    for what, target in before.items():
        bounds = [x for x in (target.low, target.high) if x is not None]
        if what in after and bounds:
            width = max(bounds) - min(bounds) if len(bounds) == 2 else abs(bounds[0])
            if abs(after[what].ours - target.ours) > SHARE * (width or 1.0):
                yield target.name


def influence(names: Sequence[str]) -> dict[str, list[str]]:
    """For each parameter the targets that it moves, in their order."""
    known: dict[str, SceneResult] = {}
    before = figures(None, known)
    order = [t.name for t in before.values()]
    kept = dict(known)
    found = {}
    for name in names:
        after = {*moved(before, figures(name, dict(kept)))}
        found[name] = sorted(after, key=order.index)
    return found


def main(processes: int = 2) -> None:
    names = [p.name for p in parameters(tuple(map(drug, AGENTS)), every())]
    shares = [names[i::processes] for i in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        found = {name: rows for part in pool.map(influence, shares) for name, rows in part.items()}
    lines = (f"  {json.dumps(name)}: {json.dumps(found[name])}" for name in names)
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
