"""Feed the readers with files that are damaged or made to harm: python -m tests.fuzz --n 10000 [--seed 1]
[--only image] [--case 17].

Each case is drawn from the seed and its number, and read in a worker process of bounded memory. It may work,
or be refused by an InputError or a RunError of one readable paragraph. Anything else - another exception,
death by a signal, more than LONGEST of computing, memory that runs out - is a failure: it is told with its
number, and its files are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from rdsolver.errors import LONGEST as LONGEST_MESSAGE
from rdsolver.errors import InputError, RunError
from tests.fuzz import mutations, schedules
from tests.fuzz import seeds as fuzz_seeds
from tests.support.places import ROOT

MEMORY = 2 * 2**30  # bytes that a worker may take beyond what it has at its start
LONGEST = 10.0  # s of computing for one case
WAIT = 120.0  # s in all, on a busy machine
CHOICES = ("0", "0", "1", "3", "99", '"slices"', '"bone"', '"DAPI"')
WAYS_OUT = (
    ("section.thickness is missing", "thickness", '"10 um"'),
    ("Leave thickness out", "thickness", ""),
    ("Leave section.voxel out", "voxel", ""),
    ("section.voxel is missing", "voxel", '"20 um"'),
    ("section.channel = 0 to", "channel", "0"),
    ("section.frame = 0 to", "frame", "0"),
    ("section.channel is given", "channel", ""),
    ("section.frame is given", "frame", ""),
    ("name one, for example dataset", "dataset", '"scan"'),
    ('threshold is "', "threshold", '"otsu"'),
)
"""What a refusal says, and what its reader then does: a key, and its value, none for left out."""


class Reached(Exception):
    """The file was read to the point where a run would compute."""


# --- what is exercised --------------------------------------------------------------------------------------


def exercise(kind: str, path: Path) -> None:
    kinds = {"config": config, "image": image, "declared": image, "run": run, "checkpoint": resumed}
    (kinds | {"schedule": schedules.walk})[kind](path)


def config(path: Path) -> None:
    from rdsolver.config.load import load_config

    loaded = load_config(path)
    loaded.warnings  # noqa: B018
    loaded.problem()


def image(path: Path) -> None:
    """Flat, and as a stack where it is none; of what says that it holds several, one is asked for, and ways
    out that are told are gone.
    """
    rng = Random(path.stat().st_size)
    said = path.name.startswith("said")
    keys = {"image": json.dumps(path.name), "voxel": '"20 um"', "thickness": '"10 um"'}
    keys["threshold"] = rng.choice(('"otsu"', "110", '"fraction"', '"binary"'))
    if path.name not in ("a.tif", "a.png"):
        del keys["thickness"]
    if rng.random() > 0.7:
        del keys["voxel"]
    keys |= {key: rng.choice(CHOICES) for key in ("channel", "frame") if said and rng.random() < 0.2}
    for _ in range(6 if said else 1):
        table = "\n".join(f"{key} = {value}" for key, value in keys.items())
        (path.parent / "image.toml").write_text(f'[section]\nkind = "image"\n{table}\n[time]\nend = 1\n')
        try:
            return config(path.parent / "image.toml")
        except InputError as error:
            told = next(((key, value) for words, key, value in WAYS_OUT if words in str(error)), None)
            if told is None or keys.get(told[0]) == told[1]:
                raise
            refusal, (key, value) = error, told
            keys = {k: v for k, v in (keys | {key: value}).items() if v}
    raise refusal


def run(path: Path) -> None:
    """All that a Run offers, `info`, `--from` and initial.from."""
    from dataclasses import replace

    from rdsolver.output.describe import describe, follow
    from rdsolver.output.reader import open_run
    from rdsolver.runs.run import begun, fingerprint, problem_of
    from rdsolver.runs.summary import summary_of
    from rdsolver.simulation import initial_state

    begun(path)
    next(follow(path), "")
    problem = replace(whole(), initial=path)
    fields = summary_of(problem).fields
    wrong = tried(lambda: initial_state.of_bone(problem, fields)) or tried(lambda: resumed(path))
    with open_run(path, live=True) as opened:
        told = describe(opened) + repr(opened) + repr(opened.series) + repr([opened[name] for name in opened])
        assert told.isprintable() or "\x1b" not in told, "steers the terminal"
        for name in (
            "config",
            "parameters",
            "provenance",
            "summary",
            "reference",
            "state",
            "active",
            "static",
            "message",
            "of_bone",
        ):
            getattr(opened, name)
        for name in opened.series:
            (
                opened.series[name],
                opened.series.unit(name),
                opened.series.label(name),
                opened.series.levels(name),
            )
        for name in opened:
            for key in (slice(None), -1, (0, ..., 0), [0]) if len(opened.times) else (slice(None),):
                opened[name][key]
        opened.to_xarray(), opened.series.to_xarray()
        if "bone" in opened.reference:
            opened.saved_cells(opened.reference["bone"])
        fingerprint(problem_of(opened))
    if wrong:
        raise wrong


@cache
def whole() -> Any:
    """What the run was made from before it was damaged."""
    from rdsolver.output.reader import open_run
    from rdsolver.runs.run import problem_of

    with open_run(fuzz_seeds.DATA / "layout_1.h5") as there:
        return problem_of(there)


def resumed(path: Path) -> None:
    import rdsolver.runs.run

    def reached(*_: Any) -> Any:
        raise Reached

    with patch.object(rdsolver.runs.run, "summary_of", reached):
        rdsolver.runs.run.resume(path.parent).close()


def tried(what: Any) -> Exception | None:
    try:
        what()
    except (InputError, RunError) as error:
        return error
    except Reached:
        pass
    return None


def outcome(kind: str, path: Path) -> tuple[str, str]:
    """worked, refused or failed, and what was said."""
    try:
        exercise(kind, path)
    except Reached:
        return "worked", ""
    except (InputError, RunError) as error:
        text = str(error)
        shown = (
            text.strip() and len(text) < LONGEST_MESSAGE and all(c.isprintable() or c in "\n\t" for c in text)
        )
        return ("refused" if shown else "failed"), text
    except BaseException:
        return "failed", traceback.format_exc()[-3000:]
    return "worked", ""


# --- workers ------------------------------------------------------------------------------------------------


def prepare(seeds: Path, work: Path, seed: int, pipes: list[tuple[int, int]]) -> None:
    """Import all that reads, once, and fork a worker for every pair of pipes."""
    import h5py  # noqa: F401
    import SimpleITK  # noqa: F401
    import xarray  # noqa: F401

    import rdsolver.config.build
    import rdsolver.geometry.trabeculae as trabeculae
    import rdsolver.images.load
    import rdsolver.output.reader
    import rdsolver.runs.run
    import rdsolver.runs.summary

    rdsolver.output.reader.LIVE_TRIES, rdsolver.output.reader.LIVE_PAUSE = 2, 0
    rdsolver.config.build.host_memory = lambda: 8 * 2**20  # small sections alone are generated
    trabeculae.LATTICE_MAX = {2: 256, 3: 32}
    whole()
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    for lines, told in pipes:
        if os.fork() == 0:
            try:
                keep(lines, told, seeds, work, seed)
            finally:
                os._exit(0)
    for _ in pipes:
        os.wait()


def keep(lines: int, told: int, seeds: Path, work: Path, seed: int) -> None:
    """One process after another that takes cases, from a pipe, and tells their outcomes, into another."""
    while True:
        child = os.fork()
        if child == 0:
            try:
                serve(lines, told, seeds, work, seed)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            return
        tell(told, died=os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


def serve(lines: int, told: int, seeds: Path, work: Path, seed: int) -> None:
    """Cases, one a line, until there are no more."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tell(told, pid=os.getpid())
    while line := take(lines):
        n, kind = line.split()
        path = work / n
        shutil.copytree(seeds, path)
        was = os.times()
        what, said = "failed", "the case could not be made"
        try:
            case = mutations.KINDS[kind](path, Random(f"{seed} {n} {kind}"))
            what, said = outcome(kind, case)
        except Exception:
            said = f"the case could not be made: {traceback.format_exc()[-2000:]}"
        now, used = os.times(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start
        tell(
            told,
            outcome=what,
            said=said,
            memory=used * 1024,
            seconds=now.user + now.system - was.user - was.system,
        )


def tell(pipe: int, **said: Any) -> None:
    os.write(pipe, json.dumps(said).encode() + b"\n")


def take(pipe: int) -> str:
    """A line, and no more: what follows is for whoever reads next."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(pipe, 1)):
        line += byte
    return line.decode()


@dataclass
class Tally:
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    seconds: Counter[str] = field(default_factory=Counter)
    memory: int = 0
    slowest: tuple[float, int] = (0.0, 0)  # s, case


class Worker:
    """A process that takes cases, one after another: its pipes, as seen from here."""

    def __init__(self, lines: int, told: int) -> None:
        self.lines, self.told, self.child = os.fdopen(lines, "wb", 0), os.fdopen(told, "rb", 0), 0

    def one(self, n: int, kind: str) -> dict[str, Any]:
        while not self.child:
            self.child = self._line(None)["pid"]
        self.lines.write(f"{n} {kind}\n".encode())
        began, had, killed = time.monotonic(), computed(self.child), ""
        while True:
            said = self._line(0.5)
            if said is None:
                if not killed and (computed(self.child) - had > LONGEST or time.monotonic() - began > WAIT):
                    killed = f"hangs: {computed(self.child) - had:.0f} s of computing"
                    os.kill(self.child, 9)
            elif "died" in said:
                self.child = 0
                return {
                    "outcome": "failed",
                    "said": killed or f"the process died by signal {said['died']}",
                    "memory": 0,
                    "seconds": 0,
                }
            else:
                return said

    def _line(self, wait: float | None) -> dict[str, Any] | None:
        if not select.select([self.told], [], [], wait)[0]:
            return None
        line = self.told.readline()
        if not line:
            raise RuntimeError("the worker is gone")
        return json.loads(line)

    def close(self) -> None:
        self.lines.close()
        self.told.close()


@contextmanager
def started(seeds: Path, work: Path, seed: int, count: int) -> Iterator[list[Worker]]:
    there, here = zip(
        *(((a, d), (b, c)) for (a, b), (c, d) in ((os.pipe(), os.pipe()) for _ in range(count))), strict=True
    )
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        "--worker",
        str(seeds),
        str(work),
        str(seed),
        json.dumps(there),
    ]
    with subprocess.Popen(command, pass_fds=[end for pair in there for end in pair], cwd=ROOT):
        for pair in there:
            for end in pair:
                os.close(end)
        workers = [Worker(b, c) for b, c in here]
        try:
            yield workers
        finally:
            for worker in workers:
                worker.close()


def computed(pid: int) -> float:
    """s of computing that a process took so far."""
    try:
        parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def fuzz(cases: list[int], seed: int, only: str | None, kept: Path, workers: int = 2) -> Tally:
    """Run the cases of these numbers; the files of those that fail are left in `kept`."""
    tally, todo, lock = Tally(), queue.SimpleQueue(), threading.Lock()
    for n in cases:
        todo.put(n)
    names = list(mutations.KINDS)
    with tempfile.TemporaryDirectory() as folder:
        seeds, work = Path(folder) / "seeds", Path(folder) / "work"
        seeds.mkdir()
        work.mkdir()
        fuzz_seeds.seeds(seeds)

        def go(worker: Worker) -> None:
            with suppress(queue.Empty):
                while True:
                    n = todo.get_nowait()
                    kind = only or names[n % len(names)]
                    said = worker.one(n, kind)
                    with lock:
                        tally.counts[said["outcome"]] += 1
                        tally.counts[f"{kind} {said['outcome']}"] += 1
                        tally.seconds[kind] += said["seconds"]
                        tally.memory = max(tally.memory, said["memory"])
                        tally.slowest = max(tally.slowest, (said["seconds"], n))
                        if said["outcome"] == "failed":
                            tally.failures.append((n, kind, said["said"]))
                            shutil.move(work / str(n), kept / str(n))
                    shutil.rmtree(work / str(n), ignore_errors=True)

        with started(seeds, work, seed, workers) as ready, ThreadPoolExecutor(workers) as pool:
            list(pool.map(go, ready))
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=list(mutations.KINDS))
    parser.add_argument("--case", type=int, help="this one alone")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        seeds, work, seed, pipes = asked.worker
        prepare(Path(seeds), Path(work), int(seed), json.loads(pipes))
        return
    kept, began = Path(tempfile.mkdtemp(prefix="fuzz-")), time.monotonic()
    tally = fuzz(
        [asked.case] if asked.case is not None else list(range(asked.n)),
        asked.seed,
        asked.only,
        kept,
        asked.workers,
    )
    for n, kind, said in sorted(tally.failures):
        print(f"--- case {n} ({kind}), kept in {kept / str(n)}:\n{said}")
    total = sum(tally.counts[k] for k in ("worked", "refused", "failed"))
    print(
        f"{total} cases: {', '.join(f'{tally.counts[k]} {k}' for k in ('worked', 'refused', 'failed'))}",
        end="; ",
    )
    seconds, case = tally.slowest
    print(f"{time.monotonic() - began:.0f} s, the slowest, case {case}, {seconds:.1f} s; ", end="")
    print(f"at most {tally.memory / 2**20:.0f} MiB beyond the start")
    print(", ".join(f"{k} {v:.0f} s" for k, v in sorted(tally.seconds.items())), "of computing")
    print(", ".join(f"{k} {v}" for k, v in sorted(tally.counts.items()) if " " in k))
    sys.exit(bool(tally.failures))
