"""The report of the targets as one page: figures, table, tuned parameters, open conflicts.

The page needs no other files.
"""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ...figures.style import POWERS
from ..verification.figures import COLOURS
from ..verification.results import Curve
from .run import CONFLICTS, tuning
from .target import Target

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 78em;
  margin: 2.5em auto; padding: 0 1.5em }
h1 { font-size: 1.6em; margin-bottom: .2em } h2 { font-size: 1.15em; margin-top: 2em }
table { border-collapse: collapse; font-size: .9em }
td, th { padding: .35em .7em; text-align: left; vertical-align: top }
tr { border-bottom: 1px solid #e3e3e3 }
th { border-bottom: 2px solid #bbb; position: sticky; top: 0; background: #fff }
td:nth-child(4) { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
td:nth-child(5) { white-space: nowrap }
.pass td:first-child { color: #2f7d4f }
.miss td:first-child, .miss td:nth-child(4) { color: #a3195b; font-weight: bold }
.report td:first-child { color: #999 } .figures { display: flex; flex-wrap: wrap; gap: 1em }
.figures img { width: 23.5em; max-width: 100% }
"""


def as_html(targets: Sequence[Target], curves: Sequence[Curve] = ()) -> str:
    """The report as one page. curves: curves for its figures, one figure for each panel."""
    judged = [t for t in targets if t.band != "report"]
    met = sum(t.passed for t in judged)
    head = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>rdsolver:'
        f" targets</title><style>{STYLE}</style>"
    )
    said = (
        f"{met} of {len(judged)} figures lie within their bands; {len(targets) - len(judged)} more are"
        " reported without one."
    )
    chosen = "".join(f"<li>{html.escape(x)}</li>" for x in tuning(targets))
    return "\n".join(
        (
            head,
            f"<h1>Targets of the bone model</h1><p>{said}</p>",
            f'<div class="figures">{"".join(_figures(curves))}</div>',
            f"<h2>Every figure</h2><table>{''.join(_rows(targets))}</table>",
            *((f"<h2>What was tuned, on which target</h2><ul>{chosen}</ul>",) if chosen else ()),
            f"<h2>Open conflicts</h2><p>{html.escape(CONFLICTS)}</p></html>",
            "",
        )
    )


def _rows(targets: Sequence[Target]) -> list[str]:
    columns = ("", "target", "what", "ours", "band", "kind", "published")
    rows = [f"<tr>{''.join(f'<th>{c}</th>' for c in columns)}</tr>"]
    for t in targets:
        verdict = {"ok": "pass"}.get(t.verdict, t.verdict.lower())
        unit = "" if t.unit == "1" else f" {t.unit}"
        cells = (verdict, t.name, t.what, f"{t.ours:.4g}{unit}", t.band, t.kind, t.published)
        rows.append(f'<tr class="{verdict}">{"".join(f"<td>{html.escape(c)}</td>" for c in cells)}</tr>')
    return rows


def _figures(curves: Sequence[Curve]) -> list[str]:
    panels = dict.fromkeys(c.panel for c in curves)
    with matplotlib.rc_context(POWERS):
        return [_figure(panel, [c for c in curves if c.panel == panel]) for panel in panels]


def _figure(panel: str, curves: Sequence[Curve]) -> str:
    """One image of a page; a panel is named "target: x axis (x), contents"."""
    figure = Figure(figsize=(3.6, 2.4), layout="constrained")
    axes = figure.subplots()
    series = any(len(c.x) > 10 for c in curves)  # the curves are over time, not over doses
    for c, colour in zip(curves, COLOURS, strict=False):
        axes.plot(
            c.x, c.y, color=colour, linewidth=1.2, marker=None if series else "o", markersize=3, label=c.label
        )
    name, _, axis = panel.partition(": ")
    x, _, y = axis.partition(" (x), ")
    if not series:
        _logarithmic(figure, curves)
    axes.set_xlabel(x)
    axes.set_title(f"{name}: {y}", loc="left", wrap=True)
    axes.spines[["top", "right"]].set_visible(False)
    if len(curves) > 1:
        axes.legend(frameon=False)
    out = BytesIO()
    figure.savefig(out, format="png", dpi=160)
    return (
        f'<img alt="{html.escape(panel)}" src="data:image/png;base64,{b64encode(out.getvalue()).decode()}">'
    )


def _logarithmic(figure: Figure, curves: Sequence[Curve]) -> None:
    """Set a logarithmic axis for doses and ratios; 0 keeps a place at the left."""
    x = np.concatenate([np.asarray(c.x, float) for c in curves])
    least = float(x[x > 0].min())
    axes = figure.axes[0]
    if x.min() > 0:
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=least, linscale=0.5)
        axes.set_xlim(left=-0.2 * least)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
