"""python -m benchmarks MODE [options]: copy, step, simulate, workprecision, peers, io, batch, gpu-programs.

README.md says how to read them.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from rdsolver.errors import InputError

from . import measure
from .reference import DEFAULT

MODES = {
    "copy": "memory bandwidth of a JAX copy",
    "step": (
        "a sweep, a V-cycle and an implicit stage as a fraction of that copy; fusions and copies in the"
        " compiled loop"
    ),
    "simulate": "a whole run of a config, compilation apart",
    "workprecision": "error against time over tolerances and integrators",
    "peers": "W1 and W2 side by side with other solvers and with hand-written floors",
    "io": "what the run file costs the solver",
    "batch": "many runs one after another, and together on one device at a fixed width",
    "gpu-programs": "what XLA compiles for a GPU that need not be there: launches, waits, bytes",
}


def _module(mode: str) -> Any:
    return import_module(f".modes.{mode.replace('-', '_')}", __package__)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    modes = top.add_subparsers(dest="mode", required=True, metavar="MODE")
    for name, text in MODES.items():
        one = modes.add_parser(name, help=text, description=text)
        _module(name).arguments(one)
        one.add_argument(
            "--json", type=Path, metavar="FILE", help="where the figures go (default: benchmarks/results/)"
        )
        one.add_argument(
            "--cache", type=Path, default=DEFAULT, metavar="FOLDER", help="where references are kept"
        )
    return top


def main(argv: list[str] | None = None) -> None:
    a = parser().parse_args(argv)
    try:
        results = _module(a.mode).main(a)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    device = (
        a.target if a.mode == "gpu-programs" else measure.device_name(getattr(a, "device", None) or "cpu")
    )
    print(f"\nwritten to {measure.write(a.mode, results, a.json, device)}")


if __name__ == "__main__":
    main()
