"""io: the cost of the run file, with every field written at every accepted step.

The cost is the share of the wall time in which the solver waits.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import jax

from rdsolver.output.background import Background
from rdsolver.output.writer import RunWriter
from rdsolver.parallel import device
from rdsolver.problem import Solver
from rdsolver.simulation.time_loop import Simulation

from .. import bone, measure

COLUMNS = ("grid", "precision", "steps", "seconds", "writing", "share", "MB", "MB/s", "on disk")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cells", type=int, default=256, help="along each axis")
    parser.add_argument("--end", type=float, default=bone.END, help="d")
    parser.add_argument("--precision", default="float32", choices=("float32", "float64"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)


def main(a: argparse.Namespace) -> list[dict[str, Any]]:
    problem = bone.problem(a.cells, 2, Solver("tr-bdf2", 1e-3, a.precision, a.device), a.end)
    with device.on(a.device), tempfile.TemporaryDirectory() as folder:
        _written(problem, Path(folder) / "warm.h5")  # compiles
        found = [_written(problem, Path(folder) / f"{i}.h5") for i in range(a.repeats)]
    row = sorted(found, key=lambda r: r["share"])[len(found) // 2] | {
        "grid": f"{a.cells}^2",
        "precision": a.precision,
    }
    row |= {
        "share_low": min(r["share"] for r in found),
        "share_high": max(r["share"] for r in found),
        "repeats": a.repeats,
    }
    measure.show("every field at every accepted step, written as the solver goes", [row], COLUMNS)
    return [row]


def _written(problem: Any, path: Path) -> dict[str, Any]:
    simulation = Simulation(problem, attempts=1)
    section, writing, raw = problem.section, 0.0, 0
    began = time.perf_counter()
    with (
        Background() as thread,
        RunWriter(
            path,
            section.grid,
            simulation.fields,
            simulation.model.series,
            active=section.active,
            dtype=problem.solver.precision,
        ) as writer,
    ):
        for step in simulation.steps():
            jax.block_until_ready(simulation.u)
            before = time.perf_counter()
            fields = jax.device_get(simulation.u)
            thread.do(writer.append, step.t, fields)
            writing += time.perf_counter() - before
            raw += sum(x.nbytes for x in fields.values())
        before = time.perf_counter()
        thread.wait()
        writer.finish()
        writing += time.perf_counter() - before
    seconds, disk = time.perf_counter() - began, path.stat().st_size
    path.unlink()
    found = {
        "steps": simulation.totals.steps,
        "seconds": seconds,
        "writing": writing,
        "share": writing / seconds,
    }
    return found | {"MB": raw / 1e6, "MB/s": raw / 1e6 / writing, "on disk": disk / raw}
