"""workprecision: error against time over tolerances and integrators, for W1, W2, W3 and a config.

For W3 CVODE is included. W1 and W2 are compared with the references of `peers`, W3 and configs with rkc2 in
float64 at a tight tolerance, or with the integrator that --reference-by names; this reference is kept in the
cache. Errors are the worst difference in NTX(t) and the worst field at the end (relative L2, floored at 1e-2
of its scale).
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rdsolver.parallel import device
from rdsolver.problem import Problem, Solver
from rdsolver.timestepping.registry import GENERAL

from .. import bone, measure
from ..problems import case
from ..reference import reference
from .peers import time_at

COLUMNS = (
    "case",
    "integrator",
    "precision",
    "tolerance",
    "error",
    "error_end",
    "worst_field",
    "seconds",
    "cpu",
    "steps",
    "solves",
    "sweeps",
    "note",
)
EQUAL = (3e-4, 1e-3)  # levels of error at which W3 is compared
WANTED = {"w3-128": 8.0, "w3-256": 12.0, "w3-64-3d": 8.0}  # least speed-up over our own rkc2
Row = dict[str, Any]
Solve = Callable[[float], tuple[bone.Found, Row]]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--case",
        action="append",
        help="w1-N, w2-N, w3-N, each with -3d for a block, or a config (default: w1-128 w2-128 w3-48)",
    )
    parser.add_argument(
        "--integrator",
        action="append",
        help=f"ours, or cvode, cvode-dct for W3 and configs (default: {' '.join(GENERAL)})",
    )
    parser.add_argument("--precision", action="append", choices=("float64", "float32"))
    parser.add_argument("--tolerances", type=float, nargs="+", default=[1e-2, 1e-3, 1e-4])
    parser.add_argument(
        "--reference", type=float, default=2e-5, help="tolerance of the reference of W3 and configs"
    )
    parser.add_argument(
        "--reference-by",
        default="rkc2",
        help="integrator of that reference; it shares its method with one of the rows",
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of a config")
    parser.add_argument("--end", type=float, default=bone.END, help="d, of W3")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--budget", type=float, default=60.0, help="s for the repeats of one tolerance")
    parser.add_argument("--device", default="cpu")


def main(a: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    with device.on(a.device):
        for name in a.case or ("w1-128", "w2-128", "w3-48"):
            found = list(_binding(name, a) if name[:2] in ("w1", "w2") else _bone(name, a))
            for row in found:
                row["case"], row["cpu"] = name, row.get("cpu_seconds")
            rows += found
            measure.show(f"{name}: error against time, compile apart", found, COLUMNS)
            if name.startswith("w3"):
                measure.show(
                    f"{name}: times slower than tr-bdf2 at equal error",
                    compared(name, found),
                    ("peer", "error", "ours", "theirs", "ratio", "wanted"),
                )
    return rows


def _binding(name: str, a: argparse.Namespace) -> Iterator[Row]:
    from ..peers import ours

    of = case(name)
    want = reference(of, a.cache)
    for integrator in a.integrator or GENERAL:
        for precision in a.precision or ("float64", "float32"):
            solve = ours.build(of, precision, integrator)
            for tolerance in a.tolerances:
                solve(tolerance)  # the method that "auto" chose may not be compiled yet
                timing, (states, counts) = measure.timed(
                    lambda t=tolerance, run=solve: run(t), a.repeats, a.budget
                )
                errors = [of.error(u, v) for u, v in zip(states, want, strict=True)]
                head = {"integrator": integrator, "precision": precision, "tolerance": tolerance}
                yield (
                    head
                    | {"error": max(errors), "error_early": errors[0], "error_end": errors[1]}
                    | counts
                    | timing.figures()
                )


def _bone(name: str, a: argparse.Namespace) -> Iterator[Row]:
    def problem(solver: Solver) -> Problem:
        if name.startswith("w3"):
            return bone.problem(*bone.parse(name), solver, a.end)
        from rdsolver import load_config

        found = load_config(name, a.set).problem()
        assert isinstance(found, Problem), "a config of the bone model"
        return replace(found, solver=solver, save=())

    of = f"{name} {a.end} {a.reference} {a.reference_by} {a.set}"
    want = kept(a.cache, of, lambda: bone.run(problem(Solver(a.reference_by, a.reference, "float64")))[1])
    for integrator in a.integrator or GENERAL:
        for precision in ("float64",) if "cvode" in integrator else a.precision or ("float64", "float32"):
            head = {"integrator": integrator, "precision": precision}
            if "cvode" in integrator and find_spec("sksundae") is None:
                yield head | {"note": "not installed: sksundae"}
                continue
            solve = (
                _by_cvode(problem, integrator)
                if "cvode" in integrator
                else _by_us(problem, integrator, precision)
            )
            for tolerance in a.tolerances:
                timing, (found, counts) = measure.timed(
                    lambda t=tolerance, run=solve: run(t), a.repeats, a.budget, lambda r: r[1]["seconds"]
                )
                errors = found.errors(want)
                yield (
                    head
                    | {"tolerance": tolerance, "error": errors["error_ntx"]}
                    | errors
                    | counts
                    | timing.figures()
                )


def _by_cvode(problem: Callable[[Solver], Problem], which: str) -> Solve:
    from ..peers.cvode_bone import solve

    return lambda tolerance: solve(problem(Solver("tr-bdf2", tolerance, "float64")), which, tolerance)


def _by_us(problem: Callable[[Solver], Problem], integrator: str, precision: str) -> Solve:
    """The seconds from the baseline to the end; a first run compiles."""

    def solve(tolerance: float) -> tuple[bone.Found, Row]:
        solver: Any = Solver(integrator, tolerance, precision)  # pyright: ignore[reportArgumentType]
        simulation, found = bone.run(problem(solver))
        totals = simulation.totals
        return found, {
            "seconds": totals.seconds,
            "steps": totals.steps,
            "rejected": totals.rejected,
            "solves": totals.solves,
        }

    solve(1e-2)
    return solve


def kept(cache: Path, name: str, compute: Callable[[], bone.Found]) -> bone.Found:
    """A result from the cache, or one that is computed and put there."""
    file = cache / f"bone-{hashlib.sha256(name.encode()).hexdigest()[:16]}.pickle"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        found = compute()
        file.write_bytes(pickle.dumps(found))
    return pickle.loads(file.read_bytes())


def compared(name: str, rows: list[Row]) -> list[Row]:
    """The time of every other integrator over that of tr-bdf2 at equal error: the worse of NTX and fields."""
    found, curves = [], {}
    for r in rows:
        if "seconds" in r:
            curves.setdefault(r["integrator"], {}).setdefault(r["precision"], []).append(
                (max(r["error"], r["error_end"]), r["seconds"])
            )
    for peer in curves.keys() - {"tr-bdf2"}:
        for error in EQUAL:
            ours, theirs = (time_at(error, list(curves.get(k, {}).values())) for k in ("tr-bdf2", peer))
            ratio = theirs / ours if ours and theirs else None
            wanted = f">= {WANTED[name]:g}" if peer == "rkc2" and name in WANTED else ""
            found.append(
                {
                    "peer": peer,
                    "error": error,
                    "ours": ours,
                    "theirs": theirs,
                    "ratio": ratio,
                    "wanted": wanted,
                }
            )
    return found
