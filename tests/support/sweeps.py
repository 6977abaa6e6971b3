"""Sweeps on the disk whose answers are known: what a driver would leave, without computing."""

import json
from pathlib import Path

import numpy as np

from rdsolver.geometry.grid import Grid
from rdsolver.models.base import Field, Series
from rdsolver.output.writer import RunWriter
from rdsolver.sweep.design import Design, load

BASE = """
[section]
kind = "trabecular"
size = ["480 um", "480 um"]
spacing = "20 um"
thickness = "10 um"
bone_fraction = 0.25
trabecular_thickness = "120 um"
[model]
preset = "human"
[[dose]]
agent = "rank_fc"
amount = "3 mg/kg"
at = "2 d"
[time]
end = "10 d"
save = "5 d"
"""
DOSES = """
title = "Two drugs & <doses>"
base = "base.toml"
replicates = 2
[grid]
"dose.0.agent" = ["rank_fc", "fc_opg"]
"dose.0.amount" = ["300 ug/kg", "1 mg/kg", "3 mg/kg"]
[keep]
times = "0.5 d"
"""
SERIES = [
    Series("ntx", "1", "NTX"),
    Series("osteoclast_number", "1/mm^3", "osteoclasts"),
    Series("bone_volume_fraction", "1", "BV/TV"),
    Series("plasma_rank_fc", "nM", "RANK-Fc in plasma"),
]
STEPS = np.array([0, 0.3, 1, 2, 2.0001, 2.01, 2.1, 2.5, 3.1, 4, 5.2, 6.1, 7.3, 8.8, 10])


def design(folder: Path, text: str = DOSES, base: str = BASE) -> Design:
    """As a sweep file would be read."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "base.toml").write_text(base, encoding="utf-8")
    (folder / "s.toml").write_text(text, encoding="utf-8")
    return load(folder / "s.toml")


def series(depth: float, time: np.ndarray = STEPS) -> dict[str, np.ndarray]:
    """NTX falls by `depth` within days of day 2 and turns back; plasma jumps there and decays."""
    since = np.clip(time - 2, 0, None)
    left = 1 - depth * since * np.exp(1 - since / 2) / 2
    jump = np.where(since > 0, 100 * np.exp(-since / 3), 0)
    return {
        "time": time,
        "ntx": left,
        "osteoclast_number": 4 * left,
        "bone_volume_fraction": 0.25 + 0.001 * time,
        "plasma_rank_fc": jump,
    }


def depth_of(row: dict) -> float:
    """How far NTX falls in a run: more with the dose, less with Fc-OPG, a little else in each replicate."""
    amount = {"300 ug/kg": 0.3, "1 mg/kg": 1.0, "3 mg/kg": 3.0}.get(str(row.get("dose.0.amount")), 1.0)
    return (0.9 if row.get("dose.0.agent") != "fc_opg" else 0.6) * amount / (amount + 0.5) + 0.01 * row.get(
        "replicate", 0
    )


def put_run(
    folder: Path,
    name: str,
    values: dict[str, np.ndarray],
    kinds=SERIES,
    wall=1.0,
    status="finished",
    error="",
) -> None:
    """One run as it is left: run.h5, then status.json."""
    place = folder / "runs" / name
    place.mkdir(parents=True)
    grid, fields = Grid((4, 4), (20.0, 20.0), thickness=10.0), [Field("rankl", "nM", 0.02, "RANKL")]
    table = [
        {
            "name": "rankl_loss",
            "value": 10.13,
            "unit": "1/d",
            "meaning": "loss",
            "source": "a source",
            "mark": "V",
        }
    ]
    counts = {"steps": len(values["time"]) - 1, "rejected": 2, "stage_solves": 30}
    with RunWriter(
        place / "run.h5", grid, fields, kinds, active=np.ones((4, 4), bool), meta={"parameters": table}
    ) as w:
        w.append_series({k: values[k] for k in ("time", *(s.name for s in kinds))})
        w.finish(status, error, counts)
    said = {"status": status, "error": error, "wall_time": wall, "hash": "h"} | counts
    (place / "status.json").write_text(json.dumps(said), encoding="utf-8")


def put_sweep(folder: Path, made: Design, missing=(), wall=1.0) -> Path:
    """All runs but some of a design."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps(made.as_json() | {"hash": made.hash}), encoding="utf-8")
    for name, row in zip(made.names, made.rows, strict=True):
        if name not in missing:
            put_run(folder, name, series(depth_of(row)), wall=wall)
    return folder
