"""One peer on one case, in a process of its own, with one line of JSON for each tolerance.

In its own process, no thread pool of another peer disturbs it.

    python -m benchmarks.peers.worker "numba rkc2" w1-256 float64 --tolerances 1e-3 1e-4 --repeats 5
        --cache FOLDER
"""

from __future__ import annotations

import argparse
import json
import time
from importlib import import_module
from pathlib import Path

from ..measure import timed
from ..problems import case
from ..reference import DEFAULT, reference
from . import PEERS, TOLERANCES


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("case", type=case)
    parser.add_argument("precision")
    parser.add_argument("--tolerances", type=float, nargs="+", default=TOLERANCES)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--budget", type=float, default=30.0, help="s for the repeats of one tolerance")
    parser.add_argument("--cache", type=Path, default=DEFAULT)
    a = parser.parse_args()
    peer, want = PEERS[a.peer], reference(a.case, a.cache)
    began = time.perf_counter()
    solve = import_module(f".{peer.module}", __package__).build(a.case, a.precision, **peer.options)
    compile_seconds = time.perf_counter() - began
    for tolerance in a.tolerances if peer.adaptive else (None,):
        if peer.chooses:
            solve(tolerance)  # the chosen method may not be compiled yet
        timing, (states, counts) = timed(
            lambda tolerance=tolerance: solve(tolerance),
            a.repeats,
            a.budget,
            lambda found: found[1].get("seconds"),
        )
        errors = [a.case.error(u, v) for u, v in zip(states, want, strict=True)]
        row = {
            "tolerance": tolerance,
            "error_early": errors[0],
            "error_end": errors[1],
            "compile_seconds": compile_seconds,
        }
        print(json.dumps(row | counts | timing.figures()), flush=True)


if __name__ == "__main__":
    main()
