"""Kill a sweep's driver and its children while they work: python -m tests.support.sweep_kill --runs 200
--driver-kills 5 --child-kills 10.

SIGKILL comes at random moments; after the driver's, the same command is given again. In the end every run
must have the bits of a sweep left alone, and no run that had finished may have been touched.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

try:
    from .kill import same
except ImportError:  # in tests
    from tests.support.kill import same

BASE = """
[section]
kind = "trabecular"
size = ["1280 um", "1280 um"]
spacing = "20 um"
thickness = "10 um"
[[dose]]
agent = "rank_fc"
amount = "3 mg/kg"
at = "5 d"
[time]
end = "30 d"
save = "1 d"
"""
SWEEP = """
base = "base.toml"
[sample]
method = "latin_hypercube"
n = {runs}
"section.seed" = {{ between = [1, 1000000], scale = "integer" }}
"dose.0.amount" = {{ between = ["0.3 mg/kg", "10 mg/kg"], scale = "log" }}
"""
DELAY = 0.5  # s from the run that ended to the kill, at most
AGAIN = 1000  # --retry: a run may be hit by every kill


@dataclass
class Watched:
    """Files of the runs that had finished when they were last looked at, and what hit the sweep."""

    folder: Path
    finished: dict[str, tuple[int, int]] = field(default_factory=dict)
    drivers: int = 0
    children: int = 0

    def look(self) -> int:
        """Raises AssertionError when a finished run was written again."""
        for path in (self.folder / "runs").glob("*/status.json"):
            if path.parent.name not in self.finished and json.loads(path.read_text())["status"] == "finished":
                found = (path.parent / "run.h5").stat()
                self.finished[path.parent.name] = found.st_ino, found.st_mtime_ns
        return len(self.finished)

    def check(self) -> None:
        now = {name: (self.folder / "runs" / name / "run.h5").stat() for name in self.finished}
        assert {name: (s.st_ino, s.st_mtime_ns) for name, s in now.items()} == self.finished


def rdsolver(*words: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", "from rdsolver.cli.main import main; main()", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def undisturbed(sweep: Path, out: Path, *options: str) -> str:
    process = rdsolver("sweep", sweep, "--out", out, *options)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said


def disturbed(
    sweep: Path, out: Path, runs: int, drivers: int, kids: int, rng: random.Random, *options: str
) -> Watched:
    """The same sweep with so many kills. Raises AssertionError unless it comes to its end."""
    watched = Watched(out)
    hits = ["driver"] * drivers + ["child"] * kids
    rng.shuffle(hits)
    moments = sorted(rng.randrange(runs) for _ in hits)  # runs that have finished by then
    words = ("sweep", sweep, "--out", out, "--retry", AGAIN, *options)
    process = rdsolver(*words)
    for hit, moment in zip(hits, moments, strict=True):
        while watched.look() < moment or not children_of(process.pid):
            assert process.poll() in (None, -signal.SIGKILL), process.communicate()
            if process.poll() is not None:
                break
            time.sleep(0.02)
        time.sleep(rng.random() * DELAY)
        if hit == "child" and (there := children_of(process.pid)):
            os.kill(rng.choice(there), signal.SIGKILL)
            watched.children += 1
        elif hit == "driver" and process.poll() is None:
            process.kill()
            process.communicate()
            watched.drivers += 1
            process = rdsolver(*words)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    watched.look()
    watched.check()
    return watched


def children_of(parent: int) -> list[int]:
    rows = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    words = (row.split(None, 2) for row in rows)
    return [int(pid) for pid, ppid, args in words if int(ppid) == parent and "rdsolver.sweep.worker" in args]


def equal(one: Path, other: Path) -> int:
    """How many runs; raises AssertionError where their bits differ."""
    names = sorted(p.name for p in (one / "runs").iterdir())
    assert names == sorted(p.name for p in (other / "runs").iterdir())
    for name in names:
        a, b = one / "runs" / name, other / "runs" / name
        assert sorted(p.name for p in a.iterdir()) == sorted(p.name for p in b.iterdir())
        same(a / "run.h5", b / "run.h5")
        was, now = (json.loads((p / "status.json").read_text()) for p in (a, b))
        assert [was[k] for k in was if k not in ("wall_time", "attempts")] == [
            now[k] for k in now if k not in ("wall_time", "attempts")
        ]
    if (one / "summary.csv").exists():
        assert table(one) == table(other)
        assert (one / "series.h5").read_bytes() == (other / "series.h5").read_bytes()
    return len(names)


def table(sweep: Path) -> list[dict[str, str]]:
    """The summary but for the wall time."""
    with (sweep / "summary.csv").open(newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k != "wall_time"} for row in csv.DictReader(file)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--driver-kills", type=int, default=5)
    parser.add_argument("--child-kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", default="2")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    (folder / "base.toml").write_text(BASE)
    sweep = folder / "sweep.toml"
    sweep.write_text(SWEEP.format(runs=asked.runs))
    began = time.perf_counter()
    undisturbed(sweep, folder / "alone", "--jobs", asked.jobs)
    alone = time.perf_counter() - began
    rng = random.Random(asked.seed)
    watched = disturbed(
        sweep, folder / "killed", asked.runs, asked.driver_kills, asked.child_kills, rng, "--jobs", asked.jobs
    )
    seconds = time.perf_counter() - began - alone
    count = equal(folder / "alone", folder / "killed")
    print(
        f"{count} of {asked.runs} runs complete and equal bit for bit; {watched.drivers} drivers and"
        f" {watched.children} children killed"
    )
    print(f"{alone:.0f} s left alone, {seconds:.0f} s with the kills; no finished run was written again")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
