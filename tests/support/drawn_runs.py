"""Runs whose fields and series are known, made without computing, for what draws and shows them."""

from types import SimpleNamespace

import numpy as np
from matplotlib.text import Text

from rdsolver.figures import style
from rdsolver.geometry.grid import Grid
from rdsolver.models.base import Field, Series
from rdsolver.output.reader import Run
from rdsolver.output.writer import RunWriter

FLAT = Grid((24, 30), (10.0, 10.0), thickness=10.0)
BLOCK = Grid((6, 10, 12), (20.0, 20.0, 20.0))
FIELDS = [
    Field("rankl", "nM", 0.02, "free RANKL"),
    Field("osteoclasts", "1/mm^3", 10.0, "osteoclasts"),
    Field("bone", "1", 1.0, "bone"),
]
SERIES = [
    *(Series(name, "1", name) for name in ("ntx", "bsap", "bone_volume_fraction", "mean_occupancy")),
    Series("osteoclast_number", "1/mm^3", "osteoclasts"),
    Series("mean_free_rankl", "nM", "free RANKL in marrow"),
]
DRUGS = {"rank_fc": "RANK-Fc", "denosumab": "denosumab"}


def dose(time, agent="rank_fc", amount=3.0):
    return {"agent": agent, "amount": amount, "route": "sc", "time": time}


def effect(t, doses):
    """Fraction of RANKL that is left: down at the dose, back after some 10 d."""
    return np.prod(
        [1 - 0.99 * np.exp(-(((t - d["time"]) / 8) ** 4)) * (t > d["time"]) for d in doses], axis=0
    ) * np.ones_like(t)


def make(
    grid=FLAT,
    saved=range(0, 41, 2),
    doses=(),
    fields=None,
    active=None,
    status="finished",
    steps=None,
    constant=None,
    **selection,
):
    """A run in memory in which RANKL falls by 100 after each dose, and osteoclasts and NTX with it."""
    agents = sorted({d["agent"] for d in doses}, reverse=True)
    drug_series = [
        Series(f"{place}_{a}", "nM", f"{a} in {place}") for a in agents for place in ("plasma", "tissue")
    ]
    selection = SimpleNamespace(fields=fields, **{"stride": 1, "crop": None, **selection})
    active = np.ones(grid.shape, bool) if active is None else active
    meta = {"doses": list(doses), "agents": [{"name": a, "like": a, "label": DRUGS[a]} for a in agents]}
    writer = RunWriter(
        None, grid, FIELDS, [*SERIES, *drug_series], active=active, selection=selection, meta=meta
    )
    bone = np.clip(2 * np.sin(np.indices(grid.shape).sum(0) / 3.0), 0, 1)
    for t in np.array(saved, float):
        left = effect(t, doses)
        if constant is not None:
            writer.append(t, {field.name: np.full(grid.shape, constant) for field in FIELDS})
            continue
        writer.append(
            t,
            {
                "rankl": 0.003 * left * (1 + 0.2 * bone),
                "osteoclasts": 20 * left * bone * (1 - bone),
                "bone": bone,
            },
        )
    t = np.linspace(0, 40, 81) if steps is None else np.array(steps, float)
    left = effect(t, doses)
    relative = dict.fromkeys(("ntx", "bsap", "mean_occupancy"), 0.2 + 0.8 * left)
    values = {
        "time": t,
        "bone_volume_fraction": np.full_like(t, 0.25),
        "osteoclast_number": 5 * left,
        "mean_free_rankl": 3e-3 * left,
    }
    for a in agents:
        since = np.min(
            [np.where(t > d["time"], t - d["time"], np.inf) for d in doses if d["agent"] == a], axis=0
        )
        values |= {f"plasma_{a}": 200 * np.exp(-since / 3), f"tissue_{a}": 100 * np.exp(-since / 3)}
    writer.append_series(values | relative)
    writer.finish(status)
    return Run(writer.file)


def disc(grid):
    y, x = (np.linspace(-1, 1, n) for n in grid.shape)
    return y[:, None] ** 2 + x**2 <= 1


def write(path, grid=FLAT, title="a run", scale=1.0, tumour_at=None):
    """A run whose RANKL is known: 3 + scale * day at every cell, nM; NTX 1 + scale * day."""
    fields = [
        Field("rankl", "nM", 0.02, "free RANKL"),
        Field("osteoclasts", "1/mm^3", 10.0, "osteoclasts"),
        Field("bone", "1", 1.0, "bone"),
    ]
    if tumour_at is not None:
        fields.append(Field("tumour", "1", 1.0, "tumour"))
    active = np.ones(grid.shape, bool)
    active[..., 0, :] = False
    bone = np.clip(2 * np.sin(np.indices(grid.shape).sum(0) / 3.0), 0, 1)
    tumour = np.zeros(grid.shape)
    tumour[tuple(tumour_at or (0,) * grid.ndim)] = 1.0
    meta = {"doses": [dose(5.0)], "agents": [{"name": "rank_fc", "like": "rank_fc", "label": "RANK-Fc"}]}
    meta["warnings"] = ["a <b>low</b> value"]
    meta["parameters"] = [
        {
            "name": "k<1>",
            "value": 1.5,
            "unit": "1/d",
            "meaning": "a & b",
            "source": "<script>no</script>",
            "mark": "A",
        }
    ]
    with RunWriter(
        path, grid, fields, [Series("ntx", "1", "NTX")], active=active, title=title, meta=meta
    ) as writer:
        for t in (0.0, 5.0, 10.0):
            state = {
                "rankl": np.full(grid.shape, 3 + scale * t),
                "osteoclasts": 20 * bone * (1 - bone) * (1 + t),
                "bone": bone,
            }
            writer.append(t, state | ({"tumour": tumour} if tumour_at is not None else {}))
        time = np.linspace(0, 10, 11)
        writer.append_series({"time": time, "ntx": 1 + scale * time})
        writer.finish(
            summary={"steps": 10, "budgets": {"rankl": {"start": 1.0, "end": 2.0, "imbalance": 1e-9}}}
        )
    return path


def inside(figure):
    """Nothing is clipped or set too small."""
    figure.draw_without_rendering()
    used = figure.get_tightbbox()
    texts = [t for t in figure.findobj(Text) if t.get_text() and t.get_visible()]
    assert min(t.get_fontsize() for t in texts) >= style.SMALL
    assert min(used.x0, used.y0) >= 0
    assert used.x1 <= figure.get_figwidth() + 1e-3
    assert used.y1 <= figure.get_figheight() + 1e-3
    return {t.get_text() for t in texts}
