"""Timing, the machine, JSON and tables, for all modes."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "rdsolver",
    "jax",
    "jaxlib",
    "numpy",
    "scipy",
    "h5py",
    "numba",
    "py-pde",
    "scikit-sundae",
    "diffrax",
)
RESULTS = Path(__file__).parent / "results"


@dataclass
class Timing:
    """The seconds of repeated runs: median, lowest, highest; cpu: the processor time of all threads,
    median.
    """

    wall: list[float]
    cpu: list[float]

    def figures(self) -> dict[str, float]:
        found = {
            "seconds": statistics.median(self.wall),
            "seconds_low": min(self.wall),
            "seconds_high": max(self.wall),
        }
        return found | {"cpu_seconds": statistics.median(self.cpu), "repeats": len(self.wall)}


def timed(
    work: Callable[[], Any],
    repeats: int,
    budget: float = float("inf"),
    own: Callable[[Any], float | None] = lambda _: None,
) -> tuple[Timing, Any]:
    """Run `repeats` times (at least once, fewer when `budget` seconds are spent). Return the timing and the
    last result.

    own: a function that gives the seconds that a result itself reports, if the call does more than is to be
    timed.
    """
    timing, result, began = Timing([], []), None, time.perf_counter()
    while len(timing.wall) < max(1, repeats) and (
        not timing.wall or time.perf_counter() - began < budget / 2
    ):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        took = time.perf_counter() - wall
        counted = own(result)
        timing.wall.append(took if counted is None else counted)
        timing.cpu.append(time.process_time() - cpu)
    return timing, result


def machine() -> dict[str, Any]:
    """The processor, cores this process may use, versions, and load of the machine: on a busy one timings
    mean little.
    """
    try:
        rows = dict(
            line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line
        )
        name = next(v.strip() for k, v in rows.items() if k.strip() == "model name")
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "cpu": name,
        "cores": cores,
        "load": load,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def device_name(asked: str) -> str:
    """cpu, or the GPU's own name."""
    if not asked.startswith("gpu"):
        return "cpu"
    import jax

    return jax.devices("gpu")[int(asked.partition(":")[2] or 0)].device_kind


def write(
    mode: str, results: Sequence[Mapping[str, Any]], path: Path | None, device: str = "cpu", **more: Any
) -> Path:
    """Write one JSON file for one run: under benchmarks/results/ unless a path is given."""
    now = datetime.now(UTC)
    if path is None:
        path = RESULTS / f"{mode}-{re.sub(r'[^a-z0-9]+', '-', device.lower())}-{now:%Y%m%d-%H%M%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "mode": mode,
        "command": sys.argv[1:],
        "time": now.isoformat(timespec="seconds"),
        "device": device,
        "machine": machine(),
    }
    path.write_text(json.dumps(record | more | {"results": list(results)}, indent=1, allow_nan=True) + "\n")
    return path


def show(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print a plain table of some columns, with numbers to three digits, and "-" for a missing value."""
    cells = [[_text(row.get(c)) for c in columns] for row in rows]
    widths = [max(len(c), *(len(r[i]) for r in cells), 0) if cells else len(c) for i, c in enumerate(columns)]
    print(f"\n{title}")
    for line in [list(columns), *cells]:
        print(
            "  ".join(
                x.ljust(w) if i == 0 else x.rjust(w)
                for i, (x, w) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
        )
    sys.stdout.flush()


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1e}" if value and not 1e-2 <= abs(value) < 1e5 else f"{value:.3g}"
    return str(value)
