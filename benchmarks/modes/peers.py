"""peers: W1 and W2 by rdsolver, by the libraries that people would use instead, and by hand-written floors.

The floors are written by hand as two experts would.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from .. import measure
from ..peers import FLOORS, OURS, PEERS, TOLERANCES, Peer
from ..problems import Case, case
from ..reference import path as reference_path

COLUMNS = (
    "peer",
    "precision",
    "tolerance",
    "error_early",
    "error_end",
    "seconds",
    "low",
    "high",
    "cpu",
    "x ours",
    "note",
)
# requirements for ours: levels of error, largest ratio to the faster floor, and least speed-up over py-pde
BARS = {
    "w1-256": ((1e-3, 1e-5), 1.5, 50),
    "w1-64-3d": ((1e-3, 1e-5), 1.5, 25),
    "w2-256": ((1e-3,), 1.0, None),
    "w2-64-3d": ((1e-3,), 1.0, None),
}
Row = dict[str, Any]
Curve = list[tuple[float, float]]
ROOT = Path(__file__).parents[2]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--case",
        type=case,
        action="append",
        help="w1-N, w2-N, w1-N-3d, w2-N-3d; repeatable (default: w1-256 w2-256)",
    )
    parser.add_argument("--peer", action="append", choices=PEERS, help="repeatable (default: all)")
    parser.add_argument(
        "--precision", action="append", choices=("float64", "float32"), help="repeatable (default: both)"
    )
    parser.add_argument("--tolerances", type=float, nargs="+", default=list(TOLERANCES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--limit", type=float, default=150.0, help="s that a peer may take on one case in one precision"
    )


def main(a: argparse.Namespace) -> list[Row]:
    results = []
    for of in a.case or [case("w1-256"), case("w2-256")]:
        if not reference_path(of, a.cache).exists():
            subprocess.run(
                [sys.executable, "-m", "benchmarks.reference", of.name, "--cache", a.cache.resolve()],
                check=True,
                cwd=ROOT,
            )
        rows = [
            row
            for name in a.peer or PEERS
            for precision in a.precision or ("float64", "float32")
            for row in _one(PEERS[name], of, precision, a)
        ]
        compare(rows)
        measure.show(
            f"{of.name}: relative L2 error at 600 s and 21,600 s; seconds: median, compile apart",
            [_line(r) for r in rows],
            COLUMNS,
        )
        found = bars(of.name, rows)
        if found:
            measure.show(
                f"{of.name}: bars",
                found,
                ("bar", "error", "s over", "s under", "ratio", "cpu ratio", "wanted", "met"),
            )
        results += rows + [b | {"case": of.name} for b in found]
    return results


def _one(peer: Peer, of: Case, precision: str, a: argparse.Namespace) -> list[Row]:
    """All tolerances of one peer, or one row with the reason why there are none."""
    head: Row = {"peer": peer.name, "case": of.name, "precision": precision}
    if precision not in peer.precisions:
        return [head | {"note": f"has no {precision}"}] if a.precision else []
    why = f"not installed: {', '.join(peer.missing)}" if peer.missing else peer.fits(of)
    if why:
        return [head | {"note": why}]
    command = [
        sys.executable,
        "-m",
        "benchmarks.peers.worker",
        peer.name,
        of.name,
        precision,
        "--repeats",
        str(a.repeats),
    ]
    command += [
        "--cache",
        str(a.cache.resolve()),
        "--budget",
        str(a.limit / 4),
        "--tolerances",
        *map(str, a.tolerances),
    ]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    watch = threading.Timer(a.limit, worker.kill)
    watch.start()
    out, err = worker.communicate()
    late = not watch.is_alive()
    watch.cancel()
    rows = [head | json.loads(line) for line in out.splitlines() if line.startswith("{")]
    if late:
        rows.append(head | {"note": f"stopped after {a.limit:g} s"})
    elif worker.returncode:
        rows.append(head | {"note": f"failed: {_reason(err)[:90]}"})
    for row in rows:
        what = row.get("note") or f"{row['seconds']:.3g} s"
        print(f"  {of.name} {peer.name} {precision} {row.get('tolerance') or ''} {what}", file=sys.stderr)
    return rows


def _reason(err: str) -> str:
    """The exception's own line of a traceback."""
    named = [line for line in err.splitlines() if re.match(r"[\w.]+(Error|Exception|Exit|Interrupt)\b", line)]
    return named[-1] if named else "no message"


def worst(row: Row) -> float:
    return max(row["error_early"], row["error_end"])


def curves(
    rows: list[Row], names: Iterable[str], clock: str = "seconds", precision: str | None = None
) -> list[Curve]:
    """One curve for each of these peers and precisions: (the worse error, time), in the order of the
    tolerances.
    """
    found: dict[tuple[str, str], Curve] = {}
    for r in rows:
        if (
            r["peer"] in names
            and clock in r
            and precision in (None, r["precision"])
            and math.isfinite(worst(r))
        ):
            found.setdefault((r["peer"], r["precision"]), []).append((worst(r), r[clock]))
    return list(found.values())


def time_at(error: float, curves: list[Curve]) -> float | None:
    """The least time for at most this error: measured, or between two neighbours on one log-log curve.

    It is None if no curve reaches this error.
    """
    good = [s for points in curves for e, s in points if e <= error]
    for points in curves:
        for (e1, s1), (e2, s2) in pairwise(points):
            if e2 <= error < e1:
                good.append(s1 * (s2 / s1) ** (math.log(e1 / error) / math.log(e1 / e2)))
    return min(good, default=None)


def compare(rows: list[Row]) -> None:
    """Add to each row the ratio of its time to our fastest time at the same error."""
    ours = curves(rows, OURS)
    for row in rows:
        if "seconds" in row and math.isfinite(worst(row)):
            best = time_at(worst(row), ours)
            row["times_ours"] = None if best is None else row["seconds"] / best


def bars(name: str, rows: list[Row]) -> list[Row]:
    """The requirements for this case: ours against the faster floor at each level of error, and against
    py-pde at its own error.

    The ratio of processor times is given with that of wall times, because other users of the machine affect
    it less.
    """
    if name not in BARS:
        return []
    levels, most, least = BARS[name]
    precision, floors = None, [("the faster floor", FLOORS, None)]
    if name.startswith("w2"):
        precision, floors = (
            "float32",
            [(f"numba rkc2 {p}", ("numba rkc2",), p) for p in ("float64", "float32")],
        )
    found = []
    for level in levels:
        for label, names, theirs in floors:
            both = {
                clock: (
                    time_at(level, curves(rows, OURS, clock, precision)),
                    time_at(level, curves(rows, names, clock, theirs)),
                )
                for clock in ("seconds", "cpu_seconds")
            }
            found.append(
                _bar(
                    f"ours over {label}", level, both, f"<= {most:g}", lambda ratio, most=most: ratio <= most
                )
            )
    for r in rows:
        if least is not None and r["peer"].startswith("py-pde") and "seconds" in r:
            both = {"seconds": (r["seconds"], time_at(worst(r), curves(rows, OURS)))}
            found.append(
                _bar(
                    f"{r['peer']} {r['precision']} over ours",
                    worst(r),
                    both,
                    f">= {least:g}",
                    lambda ratio, least=least: ratio >= least,
                )
            )
    return found


def _bar(
    label: str,
    error: float,
    both: Mapping[str, tuple[float | None, float | None]],
    wanted: str,
    met: Callable[[float], bool],
) -> Row:
    ratios = {clock: a / b if a and b else None for clock, (a, b) in both.items()}
    ratio, (over, under) = ratios["seconds"], both["seconds"]
    return {
        "bar": label,
        "error": error,
        "s over": over,
        "s under": under,
        "ratio": ratio,
        "cpu ratio": ratios.get("cpu_seconds"),
    } | {"wanted": wanted, "met": None if ratio is None else met(ratio)}


def _line(row: Row) -> Row:
    return row | {
        "low": row.get("seconds_low"),
        "high": row.get("seconds_high"),
        "cpu": row.get("cpu_seconds"),
        "x ours": row.get("times_ours"),
    }
