"""The report of the targets: every figure beside what was published, met or not."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import device
from ..errors import RdsolverError
from .scenes import Stage
from .targets import STUDIES, Study, Target

SEEDS = {True: (1,), False: (1, 2)}  # of quick
CONFLICTS = (
    "Two conflicts in the literature are open. ODE models take RANK as the tighter receptor (29 pM against 1 nM for OPG), while "
    "soluble-protein biochemistry finds OPG about 500 times tighter (Nelson 2012, 10.1016/j.str.2012.08.030). And OPG's functional "
    "constant in cell culture (tens of pM) is far below its soluble one (10 nM, Schneeweis 2005, 10.1074/jbc.M506366200). "
    "O0 is an effective value, not a measured one."
)


def validate(quick: bool = False, tell: Callable[[Target], None] = lambda _: None, studies: Sequence[Study] | None = None) -> list[Target]:
    """Run the targets; the figures are means over the seeds. quick: 64 x 64 at 20 um and one seed; else 128 x 128 at 10 um and two."""
    found: list[Target] = []
    with device.on("cpu"):
        stages = [Stage(quick, seed) for seed in SEEDS[quick]]
        for study in STUDIES if studies is None else studies:
            try:
                each = [list(study(stage)) for stage in stages]
            except RdsolverError as stopped:
                each = [[Target(study.__name__.upper(), f"stopped: {stopped}", "", float("nan"), None, None, "", "property")]]
            for same in zip(*each, strict=True):
                target = replace(same[0], ours=float(np.mean([t.ours for t in same])))
                found.append(target)
                tell(target)
    return found


def as_json(target: Target) -> dict[str, Any]:
    return {
        "target": f"{target.name}: {target.what}",
        "published": target.published,
        "ours": target.ours if np.isfinite(target.ours) else None,
        "unit": target.unit,
        "band": target.band,
        "kind": target.kind,
        "pass": target.passed,
    }


def line(target: Target) -> str:
    unit = "" if target.unit == "1" else f" {target.unit}"
    verdict = "ok" if target.passed else "MISS"
    return f"{verdict:5}{target.name:4} {target.what:72} {target.ours:>9.4g}{unit:8} {target.band:>14}  {target.kind:12} {target.published}"


STYLE = (
    "body { font: 15px sans-serif; margin: 2em } td, th { padding: .3em .7em; text-align: left; border-bottom: 1px solid #ddd } "
    ".miss td:first-child { color: #a3195b; font-weight: bold }"
)


def as_html(targets: Sequence[Target]) -> str:
    """One page: the table, and the open conflicts."""
    columns = ("", "target", "what", "ours", "band", "kind", "published")
    rows = [f"<tr>{''.join(f'<th>{c}</th>' for c in columns)}</tr>"]
    for t in targets:
        cells = ("pass" if t.passed else "miss", t.name, t.what, f"{t.ours:.4g} {t.unit}", t.band, t.kind, t.published)
        rows.append(f'<tr class="{cells[0]}">{"".join(f"<td>{html.escape(c)}</td>" for c in cells)}</tr>')
    head = f'<!doctype html><meta charset="utf-8"><title>rdsolver: targets</title><style>{STYLE}</style>'
    return "\n".join((head, "<h1>Targets</h1>", "<table>", *rows, "</table>", f"<p>{html.escape(CONFLICTS)}</p>", ""))
