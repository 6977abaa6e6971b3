"""Sweeps: what a sweep file makes, what is refused, and runs that come to their end whatever is killed."""

import fcntl
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from contextlib import contextmanager
from pathlib import Path

import pytest
import sweep_kill
from sweep_kill import equal
from typer.testing import CliRunner

from rdsolver import open_run
from rdsolver.cli import app
from rdsolver.errors import InputError
from rdsolver.sweep import children, design, engines, estimate, folder, runner

BONE = """
title = "bone"
[section]
kind = "trabecular"
size = ["320 um", "320 um"]
spacing = "20 um"
thickness = "10 um"
trabecular_thickness = "80 um"
[[dose]]
agent = "rank_fc"
amount = "3 mg/kg"
at = "1 d"
[time]
end = "3 d"
save = "1 d"
"""

MODEL = """
import os
from rdsolver.models.base import Field, Parameter
from rdsolver.models.pointwise import ReactionDiffusion

def rates(u, p, at):
    return {"a": p["growth"] * u["a"] * (1 - u["a"])}

def initial(where):
    seed = where.random.bit_generator.seed_seq.entropy
    if seed == 13:
        os._exit(7)
    if seed == 14:
        raise ValueError("an unlucky start")
    return {"a": 0.01 + 0.1 * where.random.random(where.x.shape)}

ROWS = (Parameter("growth", 2.0, "1/d", "growth", "", "A", 0.0, 9.0), Parameter("spread", 5.0, "um^2/d", "spread", "", "A", 0.0, 99.0))
MODEL = ReactionDiffusion("colony", (Field("a", "1", 1.0, "density"),), rates, {"a": "spread"}, parameters=ROWS, initial=initial)
"""

OWN = """
title = "own"
model = "model.py:MODEL"
[section]
kind = "box"
size = ["16 um", "16 um"]
spacing = "1 um"
thickness = "1 um"
[time]
end = "8 d"
save = "2 d"
[solver]
integrator = "tr-bdf2"
tolerance = 1e-6
precision = "float64"
"""


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder with both bases, and the current one."""
    monkeypatch.chdir(tmp_path)
    _bases(tmp_path)
    return tmp_path


def _bases(path):
    for name, text in (("bone.toml", BONE), ("own.toml", OWN), ("model.py", MODEL)):
        (path / name).write_text(text)


def made(text, *overrides, base="bone.toml", allow=True):
    Path("sweep.toml").write_text(f'base = "{base}"\n{text}')
    return design.load("sweep.toml", overrides, allow)


def sweep(*words):
    return CliRunner().invoke(app, ["sweep", *map(str, words), *(["--allow-python"] if "status" not in words else [])])


# --- what a file makes ------------------------------------------------------------------------------------------------


def test_grid_together_samples_and_replicates_multiply(there):
    d = made("""
replicates = 2
seed = 3
[grid]
"dose.0.amount" = ["1 mg/kg", "3 mg/kg"]
[together]
"section.bone_fraction" = [0.2, 0.3]
label = ["young", "old"]
[sample]
n = 4
"model.parameters.rank_fc_K_eff" = { between = ["0.03 nM", "10 nM"], scale = "log" }
"time.end" = { between = [3, 5], scale = "integer" }
""")
    assert len(d) == 2 * 2 * 4 * 2
    assert d.columns[:3] == ("dose.0.amount", "section.bone_fraction", "label")
    assert d.columns[3:] == ("model.parameters.rank_fc_K_eff", "time.end", "replicate", "section.seed")
    assert (d.names[0], d.names[-1]) == ("00", "31")
    first, second, third = d.rows[:3]
    assert {k: v for k, v in first.items() if k not in ("replicate", "section.seed")}.items() <= second.items()
    assert first["section.seed"] != second["section.seed"]
    assert first["section.seed"] == third["section.seed"]  # replicate 1 is the same section in every combination
    config = d.config(31)
    assert config.title == "bone"
    assert config.dose[0].amount == 3
    assert config.section.bone_fraction == 0.3
    assert config.section.seed == d.rows[31]["section.seed"]
    assert 0.03 <= config.values["rank_fc_K_eff"] <= 10
    assert config.time.end in (3, 4, 5)
    assert config.output.fields == []
    assert set(d.groups) == {0}  # seeds, doses and bone fractions share compiled programs


def test_the_same_file_makes_the_same_design_and_another_one_another(there):
    text = '[sample]\nmethod = "{}"\nn = 8\n"dose.0.amount" = {{ between = ["1 mg/kg", "9 mg/kg"] }}'
    hashes = {}
    for method in ("sobol", "latin_hypercube", "uniform"):
        one, again = made(text.format(method)), made(text.format(method))
        assert one == again
        assert one.hash == design.Design.from_json(json.loads(json.dumps(one.as_json())), "sweep.toml", True).hash
        hashes[method] = one.hash
        amounts = [one.config(i).dose[0].amount for i in range(8)]
        assert all(1 <= a < 9 for a in amounts)
        assert len(set(amounts)) == 8
    assert len(set(hashes.values())) == 3
    assert made(text.format("sobol"), "section.seed=2").hash != hashes["sobol"]


def test_a_table_names_the_runs(there):
    Path("design.csv").write_text("name,dose.0.amount, label\nlow,1 mg/kg,a\nhigh,3 mg/kg,3\n")
    d = made('[sample]\ntable = "design.csv"\n[grid]\n"section.seed" = [1]')
    assert d.names == ("low", "high")
    assert d.columns == ("section.seed", "dose.0.amount", "label")
    assert d.rows[1] == {"section.seed": 1, "dose.0.amount": "3 mg/kg", "label": "3"}
    assert made('replicates = 2\n[sample]\ntable = "design.csv"').names == ("low-1", "low-2", "high-1", "high-2")


FAULTS = {
    "an empty list": ('[grid]\n"section.seed" = []', ["grid.section.seed = [] names no value"]),
    "ragged lists": ('[together]\n"section.seed" = [1, 2]\nlabel = ["a"]', ["together", "section.seed 2, label 1", "equally long"]),
    "an unknown key of a run": ('[grid]\n"dose.0.amont" = [1]', ["dose.0.amont", "Did you mean amount?", "run 0"]),
    "an unknown key": ("replicate = 3", ["replicate is not a known key", "Did you mean replicates?"]),
    "a key varied twice": (
        '[grid]\n"section.seed" = [1]\n[together]\n"section.seed" = [1]',
        ["together.section.seed", "[grid] already"],
    ),
    "one inside another": ('[grid]\n"dose.0" = ["a"]\n[together]\n"dose.0.amount" = [1]', ["is varied in [grid] already, as dose.0"]),
    "names that collide": ('[together]\nname = ["a", "A"]', ["two runs are named 'A'"]),
    "names that name no folder": ('[together]\nname = ["../a"]', ["name = '../a' cannot name a folder"]),
    "too many": ("[sample]\nn = 1048576\n'time.end' = { between = [3, 4] }\n[keep]\ntimes = '1 d'", ["1048576", "1000000"]),
    "too many in all": (f'replicates = 1000\n[grid]\n"section.seed" = {list(range(1001))}', ["1,001,000 runs", "at most 1,000,000"]),
    "bounds reversed": ('[sample]\nn = 2\n"time.end" = { between = ["9 d", "3 d"] }', ["sample.time.end.between", "not in order"]),
    "bounds of two dimensions": ('[sample]\nn = 2\n"time.end" = { between = ["3 d", "9 um"] }', ["sample.time.end.between", "9 um"]),
    "a bound without unit": ('[sample]\nn = 2\n"time.end" = { between = ["3 d", 9] }', ["a unit in one place"]),
    "log from zero": ('[sample]\nn = 2\n"time.end" = { between = [0, 9], scale = "log" }', ["above 0", "log"]),
    "halves": ('[sample]\nn = 2\n"section.seed" = { between = [1.5, 3], scale = "integer" }', ["no whole numbers"]),
    "no power of 2": ('[sample]\nn = 6\n"time.end" = { between = [3, 9] }', ["n = 6 is no power of 2", "Give 4 or 8"]),
    "times after the end": ('[grid]\n"time.end" = ["9 d", "4 d"]\n[keep]\ntimes = "5 d"', ["keep.times holds 5 d", "run 1", "(4 d)"]),
    "a value of one run": ('[grid]\n"section.seed" = [1, "x", 2]', ['run 1 (section.seed = "x")', "section.seed"]),
    "nothing to replicate": ("replicates = 2\n[grid]\n'section.seed' = [1]", ["nothing in bone.toml is drawn at random beyond"]),
    "no such table": ('[sample]\ntable = "none.csv"', ['sample.table = "none.csv"', "cannot be read"]),
    "a table and points": ('[sample]\ntable = "x.csv"\nn = 3', ["sample.table", "Give one of them"]),
    "a section that cannot be made": ('[grid]\n"section.bone_fraction" = [0.999]', ["run 0"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_before_anything_runs(fault, there):
    text, words = FAULTS[fault]
    with pytest.raises(InputError) as said:
        made(text)
    assert all(word in str(said.value) for word in ("sweep.toml", *words)), said.value


def test_faults_of_many_runs_are_told_once(there):
    with pytest.raises(InputError, match=r"\(and 9 more runs\)") as said:
        made(f'[grid]\n"section.seed" = {list(range(10))}\n"dose.0.amont" = [1]')
    assert str(said.value).count("amont") == 1 + str(said.value).count("dose.0.amont = 1")


def test_a_base_that_is_not_there_and_python_that_is_not_allowed(there):
    with pytest.raises(InputError, match="there is no such file"):
        made("", base="none.toml")
    with pytest.raises(InputError, match="--allow-python"):
        made("", base="own.toml", allow=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--engine", "tcp://127.0.0.1:9"), "no Dask scheduler is reached"),
        (("--engine", "ray"), "--engine ray is not known. Allowed: local, tcp://HOST:PORT"),
        (("--engine", "slurm:none.toml"), "none.toml: there is no such file"),
        (("--device", "gpu:99"), "no such GPU is found"),
        (("--max-failures", "half"), "--max-failures half is no number"),
    ],
)
def test_what_is_not_there_is_said(words, said, there, monkeypatch):
    monkeypatch.setattr(engines, "CONNECTING", 0.5)
    made('[grid]\n"section.seed" = [1]')
    result = sweep("sweep.toml", "--out", "out", *words)
    assert (result.exit_code, said in result.output) == (2, True), result.output
    assert not Path("out/runs").exists()


def test_dask_that_is_not_installed_is_said(there, monkeypatch):
    made('[grid]\n"section.seed" = [1]')
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = sweep("sweep.toml", "--engine", "tcp://127.0.0.1:9")
    assert result.exit_code == 2
    assert 'needs distributed, which is not installed: pip install "rdsolver[cluster]"' in result.output


# --- what it would take -----------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_it_takes_and_writes_nothing(there, monkeypatch):
    made('[grid]\n"section.seed" = [1, 2]\n"section.spacing" = ["20 um", "40 um"]')
    said = sweep("sweep.toml", "--dry-run", "--jobs", "2").output
    assert all(words in said for words in ("runs      4", "groups    2", "at once   2", "disk ", "time      about"))
    assert not Path("outputs").exists()
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    for words in ((), ("--dry-run",)):
        result = sweep("sweep.toml", *words)
        assert (result.exit_code, "of disk, and 0.001 MB are free" in result.output) == (2, True)


def test_slurm_gets_a_script(there):
    made('[grid]\n"section.seed" = [1]')
    profile = {"jobs": 3, "cores": 4, "memory": "8GB", "walltime": "02:00:00", "queue": "short", "interface": "lo"}
    _profile(profile | {"job_extra_directives": ["--gres=gpu:1"]})
    said = sweep("sweep.toml", "--dry-run", "--engine", "slurm:profile.toml").output
    for line in ("#SBATCH -p short", "#SBATCH --cpus-per-task=4", "#SBATCH -t 02:00:00", "#SBATCH --gres=gpu:1", "--nworkers 4 --nanny"):
        assert line in said
    for change, words in (
        ({"cuores": 1}, "cuores is not a known key. Did you mean cores?"),
        ({"jobs": 0}, "jobs = 0 is no number"),
        ({"interface": None}, "neither interface nor host"),
        ({"memory": None}, "memory is missing"),
    ):
        _profile(profile | change)
        result = sweep("sweep.toml", "--dry-run", "--engine", "slurm:profile.toml")
        assert (result.exit_code, words in result.output) == (2, True), result.output


def test_nothing_is_bound_but_what_the_profile_names(there):
    _profile({"jobs": 1, "cores": 1, "memory": "1GB", "host": "127.0.0.1"})
    with engines._cluster(engines._profile(Path("profile.toml")), Path("profile.toml")) as cluster:
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
        assert {s.getsockname()[0] for s in cluster.scheduler.http_server._sockets.values()} == {"127.0.0.1"}


def test_a_job_that_slurm_refuses_is_said(there, monkeypatch):
    made('[grid]\n"section.seed" = [1]')
    _profile({"jobs": 1, "cores": 1, "memory": "1GB", "host": "127.0.0.1", "queue": "nowhere"})
    monkeypatch.setenv("PATH", str(there))
    words = ("sweep.toml", "--out", "out", "--engine", "slurm:profile.toml")
    assert "sbatch cannot be called here" in sweep(*words).output
    Path("sbatch").write_text("#!/bin/sh\necho invalid partition: nowhere >&2\nexit 1\n")
    Path("sbatch").chmod(0o755)
    result = sweep(*words)
    assert (result.exit_code, "Slurm does not take the job: invalid partition: nowhere." in result.output) == (2, True), result.output


def _profile(settings):
    lines = (f"{k} = {json.dumps(v)}" for k, v in settings.items() if v is not None)
    Path("profile.toml").write_text("\n".join(lines))


def test_children_are_seated_on_cores_and_gpus(monkeypatch):
    monkeypatch.setattr(children, "available_cores", lambda: [0, 1, 4, 5])
    assert [s.cores for s in children.seats(2, "cpu", 1, 9)] == [(0, 4), (1, 5)]
    assert [s.cores for s in children.seats(None, "cpu", 1, 3)] == [(0, 5), (1,), (4,)]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    seats = children.seats(None, "gpu", 2, 9)
    assert [s.environment["CUDA_VISIBLE_DEVICES"] for s in seats] == ["2", "3", "2", "3"]
    assert {s.environment["XLA_CLIENT_MEM_FRACTION"] for s in seats} == {"0.450"}
    assert [s.environment for s in children.seats(None, "gpu:1", 1, 9)] == [{"CUDA_VISIBLE_DEVICES": "3"}]


def test_each_group_of_runs_stays_with_one_child(there):
    d = made('[grid]\n"section.spacing" = ["20 um", "40 um"]\n"section.seed" = [1, 2, 3, 4, 5]')
    order = runner._heads_first(d, range(10), 2)
    assert order == [0, 5, 1, 2, 3, 4, 6, 7, 8, 9]
    gate, seen = threading.Barrier(2, timeout=10), []

    def work(task):
        seen.append((threading.get_ident(), task["group"]))
        gate.wait()

    pool = children.ChildPool([children.Seat(), children.Seat()])
    futures = [pool.submit(work, {"group": d.groups[i]}) for i in order]
    pool.shutdown()
    assert [f.result() for f in futures] == [None] * 10
    assert len(set(seen)) == 2


# --- runs -------------------------------------------------------------------------------------------------------------

SEEDS = '[grid]\n"initial.seed" = [1, 2, 3, 4, 5, 6, 7, 8]\n'


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The sweep of SEEDS, left alone: its file, its folder, and what was said."""
    path = tmp_path_factory.mktemp("alone")
    _bases(path)
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
        assert (status["status"], status["error"], status["exit_status"], status["attempts"]) == ("finished", "", 0, 1)
        with open_run(run / "run.h5") as opened:
            assert status["steps"] == opened.summary["steps"] > 20
            assert status["stage_solves"] == opened.summary["stage_solves"]
            assert opened.provenance["command"].endswith(f"sweep one {out} {i}")
        assert tomllib.loads((run / "run.toml").read_text())["initial"]["seed"] == i + 1
        assert "done" in (run / "run.log").read_text()


def test_the_same_command_computes_nothing_again_and_another_sweep_is_refused(alone):
    file, out, _ = alone
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.name != "sweep.lock"}
    assert "8 of 8 runs finished" in sweep(file, "--out", out).output
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.name != "sweep.lock"} == before
    assert "8 of 8 runs done, 0 failed, 0 begun" in sweep("status", out).output
    result = sweep(file, "--out", out, "--set", "time.end=9 d")
    assert (result.exit_code, "holds another sweep" in result.output) == (2, True)
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.name != "sweep.lock"} == before


def test_two_drivers_in_one_folder_are_refused(alone, monkeypatch):
    file, out, _ = alone
    monkeypatch.setattr(runner, "PATIENCE", 0.2)
    with (out / "sweep.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = sweep(file, "--out", out)
        assert (result.exit_code, "a sweep is at work here" in result.output) == (2, True)
        assert "driven by" in sweep("status", out).output
    assert "nobody drives it now" in sweep("status", out).output


def test_killed_drivers_and_children_leave_no_trace(alone, tmp_path):
    file, out, _ = alone
    watched = sweep_kill.disturbed(file, tmp_path / "out", 8, 1, 2, random.Random(4), "--jobs", "2", "--allow-python")
    assert watched.drivers == 1
    assert equal(out, tmp_path / "out") == 8


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
    assert "Go on with the same command" in said
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
    assert runner.most_failures("5%", 200) == 10
    assert runner.most_failures("3", 200) == 3
    assert runner.most_failures(None, 200) == float("inf")


def test_one_run_as_a_job_of_its_own(there, alone):
    made('[grid]\n"initial.seed" = [1, 2]\n', base="own.toml")
    lines = sweep("sweep.toml", "--out", "out", "--list").output.splitlines()
    assert lines == [f"rdsolver sweep one out {i} --allow-python" for i in "01"]
    result = sweep("one", "out", "1")
    assert result.exit_code == 0, result.output
    sweep_kill.same(Path("out/runs/1/run.h5"), alone[1] / "runs" / "1" / "run.h5")
    unknown = sweep("one", "out", "7")
    assert (unknown.exit_code, "7 is not a known run" in unknown.output) == (2, True)
    assert "1 of 2 runs done" in sweep("status", "out").output


# --- Dask -------------------------------------------------------------------------------------------------------------


@contextmanager
def dask_processes(workers=2):
    """A scheduler and workers on loopback: its address, and the processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    dask = [sys.executable, "-m", "dask"]
    commands = [[*dask, "scheduler", "--host", address, "--no-dashboard"]]
    commands += [[*dask, "worker", address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]] * workers
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
        process = sweep_kill.rdsolver("sweep", file, "--out", tmp_path / "out", "--allow-python", "--engine", address)
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
        assert f"{address} is lost, with" in said
        assert "of 8 runs left. What has finished is kept" in said
        assert "8 of 8 runs finished" in sweep(*words[1:], "--jobs", "2").output
    assert equal(out, tmp_path / "out") == 8


def test_a_status_that_is_no_status_does_not_count(tmp_path):
    for text in ("", "[]", '{"status": "finished", "hash": "other"}'):
        (tmp_path / "status.json").write_text(text)
        assert folder.status_of(tmp_path).get("hash") in (None, "other")
