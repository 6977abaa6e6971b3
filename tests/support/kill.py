"""Kill processes while they write, and see what is left: python -m tests.support.kill --n 1000 [--runs 10].

A writer writes saved times, series and checkpoints as fast as it can, and says each through a pipe once it is
flushed; SIGKILL comes at a random moment after its first. What it said must be there, in its values; the file
must take more. A whole run is killed the same way and resumed, as often as it takes, and must end with the
bits of one that was left alone.

Writers are forked, so nothing here imports JAX before the last of them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np

from rdsolver.geometry.grid import Grid
from rdsolver.models.base import Field, Series
from rdsolver.output.reader import open_run
from rdsolver.output.writer import RunWriter
from rdsolver.runs import checkpoint_file

GRIDS = (Grid((96, 80), (1.0, 1.0), thickness=1.0), Grid((20, 24, 36), (1.0, 1.0, 1.0)))
FIELDS = (Field("a", "nM", 1.0, "a"), Field("b", "nM", 1.0, "b", signed=True))
SERIES = (Series("n", "1", "n"),)
GROUPS = ("", "series", "state", "reference")
REST = {
    "run_id": "kill",
    "fingerprint": "",
    "spent": 0.0,
    "simulation": {},
    "account": {},
    "first": {},
    "last": {},
}
LONGEST = 0.25  # s from the first flush to the kill
DELAY = 0.15  # s from a run's checkpoint to the signal, at most
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGKILL)
CONFIG = """
[section]
{place}
spacing = "30 um"
[[dose]]
agent = "fc_opg"
amount = "3 mg/kg"
at = ["0 d", "3 d"]
[time]
end = "30 d"
save = "1 d"
[solver]
tolerance = 1e-4
"""
PLACES = {
    "2d": 'kind = "trabecular"\nsize = ["480 um", "480 um"]\nthickness = "10 um"',
    "3d": 'kind = "slab"\nsize = ["240 um", "240 um", "240 um"]',
}


def values(grid: Grid, step: int) -> np.ndarray:
    """Noise, so that nothing compresses."""
    return np.random.default_rng(step).random(grid.shape, np.float32)


def write(path: Path, grid: Grid, say: Callable[[int], None]) -> None:
    """For ever: what is flushed is said."""
    active = np.ones(grid.shape, bool)
    with RunWriter(path, grid, FIELDS, SERIES, active=active) as writer:
        writer.set_reference({"bone": np.zeros(grid.shape)})
        for n in range(1_000_000):
            a = values(grid, n)
            writer.append(float(n), {"a": a, "b": -a})
            writer.append_series({"time": np.array([n + 0.5]), "n": np.array([float(n)])})
            if n % 3 == 0:
                checkpoint_file.save(path, REST | {"times": n + 1, "rows": n + 1}, {"u": {"a": a}})
            say(n + 1)


def kill_writer(folder: Path, rng: random.Random) -> int:
    """Kill once and return the saved times that are left. Raises AssertionError if flushed data is gone."""
    path, grid = folder / "run.h5", rng.choice(GRIDS)
    fork = multiprocessing.get_context("fork")
    heard, told = fork.Pipe(duplex=False)
    writer = fork.Process(target=write, args=(path, grid, told.send))
    writer.start()
    told.close()
    said = heard.recv()
    time.sleep(rng.random() * LONGEST)
    writer.kill()
    writer.join()
    while heard.poll():  # what it said until then, at last the end of the pipe
        try:
            said = heard.recv()
        except EOFError:
            break
    left = look(path, grid, said)
    go_on(path, grid, left)
    return left


def look(path: Path, grid: Grid, said: int) -> int:
    import xarray

    with (
        open_run(path) as run,
        h5py.File(path) as file,
        xarray.open_dataset(path, engine="h5netcdf") as dataset,
    ):
        assert run.status == "running"
        left = len(run.times)
        assert said <= left <= dataset.sizes["time"] <= left + 1
        # fields that were flushed before their time was: xarray takes the longest
        assert np.isnan(dataset["time"][left:]).all()
        assert said <= len(run.series["n"])
        assert int(file["VTKHDF/Steps"].attrs["NSteps"]) <= left
        np.testing.assert_array_equal(run.times, np.arange(left))
        np.testing.assert_array_equal(run.series["n"], np.arange(len(run.series["n"])))
        for n in {0, left // 2, left - 1}:
            np.testing.assert_array_equal(run["a"][n], values(grid, n))
            np.testing.assert_array_equal(dataset["b"][n], -values(grid, n))
    return left


def go_on(path: Path, grid: Grid, left: int) -> None:
    """From its checkpoint: what lies behind it is dropped, and the file takes more."""
    kept, wrong = checkpoint_file.load(path, "kill")
    assert not wrong
    n = kept.numbers["times"]
    assert left - 4 <= n <= left
    np.testing.assert_array_equal(kept.arrays["u"]["a"], values(grid, n - 1))
    with RunWriter.reopened(
        path, grid, active=np.ones(grid.shape, bool), times=n, rows=n, spent=0.0
    ) as writer:
        writer.append(float(n), {"a": values(grid, n), "b": -values(grid, n)})
        writer.finish()
    with open_run(path) as run:
        np.testing.assert_array_equal(run.times, np.arange(n + 1))
        np.testing.assert_array_equal(run["a"][n], values(grid, n))
        assert len(run.series["n"]) == n


def kill_run(folder: Path, place: str, rng: random.Random, numbers: Sequence[int]) -> tuple[int, float]:
    """A whole run, sent these signals one after another, each time resumed, at last to its end; how many met
    it while it ran, and the longest that it took to leave, s. Raises AssertionError unless it ends with the
    bits of a run left alone.
    """
    from rdsolver.runs.run import resume, simulate

    config, straight, killed = folder / "run.toml", folder / "straight", folder / "killed"
    config.write_text(CONFIG.format(place=PLACES[place]))
    simulate(config, out=straight).close()
    met, longest = 0, 0.0
    for number in numbers:
        before = _changed(killed)
        process = rdsolver("run", config, "--out", killed, "--resume-if-exists", "--checkpoint", "0.1 s")
        while process.poll() is None and _changed(killed) == before:
            time.sleep(0.01)
        time.sleep(rng.random() * DELAY)
        process.send_signal(number)
        asked = time.perf_counter()
        status = process.wait()
        longest = max(longest, time.perf_counter() - asked)
        assert status in (0, -number if number == signal.SIGKILL else 128 + number)
        met += status != 0
    resume(killed).close()
    same(straight / "run.h5", killed / "run.h5")
    return met, longest


def _changed(folder: Path) -> int:
    """When its last checkpoint was written."""
    try:
        return (folder / checkpoint_file.NAMES[0]).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def contents(path: Path) -> dict[str, bytes]:
    """Every array of a run file, and the attributes of its last state."""
    with h5py.File(path) as file:
        nodes = {
            f"{g}/{k}": n[()].tobytes()
            for g in GROUPS
            for k, n in (file[g or "/"]).items()
            if isinstance(n, h5py.Dataset)
        }
        return nodes | {f"state@{k}": np.asarray(v).tobytes() for k, v in file["state"].attrs.items()}


def same(one: Path, other: Path) -> None:
    a, b = contents(one), contents(other)
    assert a.keys() == b.keys()
    assert [k for k in a if a[k] != b[k]] == []
    with open_run(one) as x, open_run(other) as y:
        assert x.summary == y.summary
        assert (x.status, x.message) == (y.status, y.message) == ("finished", "")
        assert x.provenance.get("doses") == y.provenance.get("doses")


def rdsolver(*arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", "from rdsolver.cli.main import main; main()", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100, help="kills of a writer")
    parser.add_argument(
        "--runs", type=int, default=0, help="whole runs, 2D and 3D in turn, each sent five signals"
    )
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    rng, lost = random.Random(asked.seed), 0
    for what, count in (("writer", asked.n), ("run", asked.runs)):
        for i in range(count):
            folder = Path(tempfile.mkdtemp())
            try:
                if what == "writer":
                    print(f"writer {i + 1}: {kill_writer(folder, rng)} saved times left")
                else:
                    met, longest = kill_run(folder, list(PLACES)[i % 2], rng, SIGNALS)
                    print(
                        f"run {i + 1}: {met} of {len(SIGNALS)} signals met it, gone after {longest:.1f} s at"
                        " most"
                    )
                shutil.rmtree(folder)
            except Exception as e:
                lost += 1
                print(f"{what} {i + 1}: LOST, {type(e).__name__}: {e}; kept in {folder}")
    print(f"{asked.n} writers and {asked.runs} runs killed: {lost} lost")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
