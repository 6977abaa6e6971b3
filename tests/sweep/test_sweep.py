"""Sweeps that run: they come to their end whatever is killed, here and under Dask."""

import fcntl
import json
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import time
import tomllib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from rdsolver import open_run
from rdsolver.sweep import design, driver, store
from tests.support import sweep_kill
from tests.support.places import ROOT
from tests.support.sweep_files import MODEL, made, sweep, write_bases
from tests.support.sweep_kill import equal

pytestmark = pytest.mark.long

# --- runs ---------------------------------------------------------------------------------------------------

SEEDS = '[grid]\n"initial.seed" = [1, 2, 3, 4, 5, 6, 7, 8]\n'


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The sweep of SEEDS, left alone: its file, its folder, and what was said."""
    path = tmp_path_factory.mktemp("alone")
    write_bases(path)
    (path / "sweep.toml").write_text(f'base = "own.toml"\n{SEEDS}')
    said = sweep_kill.undisturbed(path / "sweep.toml", path / "out", "--jobs", 2, "--allow-python")
    return path / "sweep.toml", path / "out", said


def test_a_sweep_leaves_every_run_with_its_config_and_its_status(alone):
    file, out, said = alone
    assert "8 of 8 runs finished" in said
    assert (out / "design.csv").read_text().splitlines()[:2] == ["name,initial.seed", "0,1"]
    assert json.loads((out / "sweep.json").read_text())["hash"] == design.load(file, (), True).hash
    assert (out / "sweep.log").read_text().count("finished: ") == 8
    for i in range(8):
        run = out / "runs" / str(i)
        assert sorted(p.name for p in run.iterdir()) == ["run.h5", "run.log", "run.toml", "status.json"]
        status = json.loads((run / "status.json").read_text())
        assert (status["status"], status["error"], status["exit_status"], status["attempts"]) == (
            "finished",
            "",
            0,
            1,
        )
        with open_run(run / "run.h5") as opened:
            assert status["steps"] == opened.summary["steps"] > 20
            assert status["stage_solves"] == opened.summary["stage_solves"]
            assert opened.provenance["command"].endswith(f"sweep one {out} {i}")
        assert tomllib.loads((run / "run.toml").read_text())["initial"]["seed"] == i + 1
        assert "done" in (run / "run.log").read_text()


def test_the_same_command_computes_nothing_again_and_another_sweep_is_refused(alone):
    file, out, _ = alone
    before = _left(out)
    assert "8 of 8 runs finished" in sweep(file, "--out", out).output
    assert _left(out) == before
    assert "8 of 8 runs done, 0 failed, 0 begun" in sweep("status", out).output
    result = sweep(file, "--out", out, "--set", "time.end=9 d")
    assert (result.exit_code, "holds another sweep" in result.output) == (2, True)
    assert _left(out) == before


def _left(out):
    """When each file was written, and the contents of the table and the series, which are written again."""
    anew = ("summary.csv", "series.h5")
    return {
        p: p.read_bytes() if p.name in anew else p.stat().st_mtime_ns
        for p in out.rglob("*")
        if p.name != "sweep.lock" and p.is_file()
    }


def test_two_drivers_in_one_folder_are_refused(alone, monkeypatch):
    file, out, _ = alone
    monkeypatch.setattr(driver, "PATIENCE", 0.2)
    with (out / "sweep.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = sweep(file, "--out", out)
        assert (result.exit_code, "a sweep is running here" in result.output) == (2, True)
        assert "driven by" in sweep("status", out).output
    assert "not running now" in sweep("status", out).output


def test_killed_drivers_and_children_leave_no_trace(alone, tmp_path):
    file, out, _ = alone
    watched = sweep_kill.disturbed(
        file, tmp_path / "out", 8, 1, 2, random.Random(4), "--jobs", "2", "--allow-python"
    )
    assert watched.drivers == 1
    assert equal(out, tmp_path / "out") == 8


@pytest.mark.slow
def test_fifteen_kills_leave_no_trace_in_two_hundred_runs():
    words = ("--runs", "200", "--driver-kills", "5", "--child-kills", "10")
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.sweep_kill", *words], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "200 of 200 runs complete and equal bit for bit; 5 drivers" in done.stdout


def test_one_child_computes_several_runs_at_once_and_leaves_no_trace_when_killed(alone, tmp_path):
    """With --batch, of a user model: its runs share the program, and have the bits of a batch."""
    file, other, _ = alone
    words = ("--batch", "2", "--allow-python")
    assert sweep(file, "--out", tmp_path / "straight", *words).exit_code == 0
    sweep_kill.disturbed(file, tmp_path / "out", 8, 1, 1, random.Random(5), *words)
    assert equal(tmp_path / "straight", tmp_path / "out") == 8
    ours, theirs = (folder / "runs" / "0" / "run.h5" for folder in (tmp_path / "out", other))
    with open_run(ours) as run, open_run(theirs) as one:
        assert (run.provenance["width"], one.provenance["width"]) == (2, 0)
        np.testing.assert_allclose(run.state["a"], one.state["a"], rtol=1e-2, atol=1e-3)
    log = (tmp_path / "out" / "sweep.log").read_text()
    assert "on 1 process here, 2 wide" in log


def test_a_stopped_sweep_keeps_what_it_has_within_ten_seconds(alone, tmp_path):
    file, out, _ = alone
    words = ("sweep", file, "--out", tmp_path / "out", "--jobs", 2, "--allow-python")
    process = sweep_kill.rdsolver(*words)
    while not list((tmp_path / "out").glob("runs/*/run.h5")):
        assert process.poll() is None
        time.sleep(0.02)
    kids = sweep_kill.children_of(process.pid)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()
    assert process.returncode == 128 + signal.SIGINT
    assert time.monotonic() - began < 12
    assert said.splitlines()[-1].endswith(
        "runs are left. Continue with: rdsolver " + shlex.join(map(str, words))
    )
    assert kids
    assert not any(_lives(kid) for kid in kids)
    assert "runs finished" in sweep(*words[1:]).output
    assert equal(out, tmp_path / "out") == 8


def _lives(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_runs_that_fail_are_recorded_and_the_rest_go_on(there):
    made('[grid]\n"initial.seed" = [1, 13, 14]\n', base="own.toml")
    words = ("sweep.toml", "--out", "out", "--jobs", "1", "--retry", "1")
    result = sweep(*words)
    assert result.exit_code == 1
    assert "1 of 3 runs finished" in result.output
    assert "failed    1: its process ended with exit status 7, 2 times in a row" in result.output
    assert "an unlucky start" in result.output
    crashed, refused = (json.loads(Path(f"out/runs/{i}/status.json").read_text()) for i in (1, 2))
    assert (crashed["status"], crashed["exit_status"], crashed["attempts"]) == ("failed", 1, 2)
    assert (refused["status"], refused["exit_status"], refused["attempts"]) == ("failed", 2, 1)
    again = sweep(*words)
    assert (again.exit_code, "failed    2" in again.output, "to do" in again.output) == (1, True, False)
    Path("model.py").write_text(MODEL.replace("13", "0").replace("14", "0"))
    result = sweep(*words, "--rerun-failed")
    assert (result.exit_code, "3 of 3 runs finished" in result.output) == (0, True), result.output


def test_too_many_failures_stop_a_sweep(there):
    made('[grid]\n"initial.seed" = [1, 14, 14, 14, 14, 14, 14, 14]\n', base="own.toml")
    result = sweep("sweep.toml", "--out", "out", "--jobs", "1", "--max-failures", "0")
    assert result.exit_code == 1
    assert "more than --max-failures 0 allows" in result.output


def test_most_failures_is_a_number_or_a_share():
    assert driver.SweepOptions(most_failures="5%").limit(200) == 10
    assert driver.SweepOptions(most_failures="3").limit(200) == 3
    assert driver.SweepOptions().limit(200) == float("inf")


def test_one_run_as_a_job_of_its_own(there, alone):
    made('[grid]\n"initial.seed" = [1, 2]\n', base="own.toml")
    lines = sweep("sweep.toml", "--out", "out", "--list").output.splitlines()
    assert lines == [f"rdsolver sweep one out {i} --allow-python" for i in "01"]
    assert sweep("one", "out", "1", "--device", "tpu").exit_code == 2
    assert not Path("out/runs").exists()
    result = sweep("one", "out", "1")
    assert result.exit_code == 0, result.output
    sweep_kill.same(Path("out/runs/1/run.h5"), alone[1] / "runs" / "1" / "run.h5")
    unknown = sweep("one", "out", "7")
    assert (unknown.exit_code, "7 is not a known run" in unknown.output) == (2, True)
    assert "1 of 2 runs done" in sweep("status", "out").output


# --- Dask ---------------------------------------------------------------------------------------------------


@contextmanager
def dask_processes(workers=2):
    """A scheduler and workers on loopback: its address, and the processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    dask = [sys.executable, "-m", "dask"]
    commands = [[*dask, "scheduler", "--host", address, "--no-dashboard"]]
    commands += [
        [*dask, "worker", address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    ] * workers
    there = [subprocess.Popen(c, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for c in commands]
    try:
        yield address, there
    finally:
        for process in there:
            process.kill()
            process.wait()


def _wait_for(path, pattern, count, process):
    while len(list(path.glob(pattern))) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_dask_completes_every_run_once_when_a_worker_is_killed(alone, tmp_path):
    file, out, _ = alone
    watched = sweep_kill.Watched(tmp_path / "out")
    with dask_processes() as (address, (_, worker, _)):
        process = sweep_kill.rdsolver(
            "sweep", file, "--out", tmp_path / "out", "--allow-python", "--engine", address
        )
        _wait_for(tmp_path / "out", "runs/*/run.h5", 1, process)
        worker.kill()
        _wait_for(tmp_path / "out", "runs/*/status.json", 4, process)
        watched.look()
        said, _ = process.communicate()
    assert (process.returncode, "8 of 8 runs finished" in said) == (0, True), said
    watched.check()
    assert equal(out, tmp_path / "out") == 8
    assert (tmp_path / "out" / "sweep.log").read_text().count("finished: ") == 8


def test_a_scheduler_that_is_lost_is_said_and_the_same_command_does_the_rest(alone, tmp_path):
    file, out, _ = alone
    words = ("sweep", file, "--out", tmp_path / "out", "--allow-python")
    with dask_processes(1) as (address, (scheduler, _)):
        process = sweep_kill.rdsolver(*words, "--engine", address)
        _wait_for(tmp_path / "out", "runs/*/run.h5", 1, process)
        scheduler.kill()
        said, _ = process.communicate()
        assert process.returncode == 3
        assert f"{address} was lost, with" in said
        assert "of 8 runs left. What has finished is kept" in said
        assert "8 of 8 runs finished" in sweep(*words[1:], "--jobs", "2").output
    assert equal(out, tmp_path / "out") == 8


def test_a_status_that_is_no_status_does_not_count(tmp_path):
    for text in ("", "[]", '{"status": "finished", "hash": "other"}'):
        (tmp_path / "status.json").write_text(text)
        assert store.status_of(tmp_path).get("hash") in (None, "other")
