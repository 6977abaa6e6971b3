"""Sweeps before they run: what a file makes, what is refused, what it would take, and where."""

import json
import sys
import threading
import time
from concurrent.futures import Executor, Future
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from rdsolver.errors import InputError
from rdsolver.sweep import design, driver, estimate, executors, worker_pool
from rdsolver.utils.extras import install
from tests.support.sweep_files import made, sweep

# --- what a file makes --------------------------------------------------------------------------------------


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
    assert {
        k: v for k, v in first.items() if k not in ("replicate", "section.seed")
    }.items() <= second.items()
    assert first["section.seed"] != second["section.seed"]
    # replicate 1 is the same section in every combination
    assert first["section.seed"] == third["section.seed"]
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
        assert (
            one.hash
            == design.Design.from_json(json.loads(json.dumps(one.as_json())), "sweep.toml", True).hash
        )
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
    assert made('replicates = 2\n[sample]\ntable = "design.csv"').names == (
        "low-1",
        "low-2",
        "high-1",
        "high-2",
    )


FAULTS = {
    "an empty list": ('[grid]\n"section.seed" = []', ["grid.section.seed = [] names no value"]),
    "ragged lists": (
        '[together]\n"section.seed" = [1, 2]\nlabel = ["a"]',
        ["together", "section.seed 2, label 1", "equal lengths"],
    ),
    "an unknown key of a run": (
        '[grid]\n"dose.0.amont" = [1]',
        ["dose.0.amont", "Did you mean amount?", "run 0"],
    ),
    "an unknown key": ("replicate = 3", ["replicate is not a known key", "Did you mean replicates?"]),
    "a key varied twice": (
        '[grid]\n"section.seed" = [1]\n[together]\n"section.seed" = [1]',
        ["together.section.seed", "[grid] already"],
    ),
    "one inside another": (
        '[grid]\n"dose.0" = ["a"]\n[together]\n"dose.0.amount" = [1]',
        ["is varied in [grid] already, as dose.0"],
    ),
    "names that collide": ('[together]\nname = ["a", "A"]', ["two runs are named 'A'"]),
    "names that name no folder": ('[together]\nname = ["../a"]', ["name = '../a' cannot name a folder"]),
    "too many": (
        "[sample]\nn = 1048576\n'time.end' = { between = [3, 4] }\n[keep]\ntimes = '1 d'",
        ["1048576", "1000000"],
    ),
    "too many in all": (
        f'replicates = 1000\n[grid]\n"section.seed" = {list(range(1001))}',
        ["1,001,000 runs", "at most 1,000,000"],
    ),
    "bounds reversed": (
        '[sample]\nn = 2\n"time.end" = { between = ["9 d", "3 d"] }',
        ["sample.time.end.between", "not in order"],
    ),
    "bounds of two dimensions": (
        '[sample]\nn = 2\n"time.end" = { between = ["3 d", "9 um"] }',
        ["sample.time.end.between", "9 um"],
    ),
    "a bound without unit": (
        '[sample]\nn = 2\n"time.end" = { between = ["3 d", 9] }',
        ["a unit in one place"],
    ),
    "log from zero": (
        '[sample]\nn = 2\n"time.end" = { between = [0, 9], scale = "log" }',
        ["above 0", "log"],
    ),
    "halves": (
        '[sample]\nn = 2\n"section.seed" = { between = [1.5, 3], scale = "integer" }',
        ["not whole numbers"],
    ),
    "no power of 2": (
        '[sample]\nn = 6\n"time.end" = { between = [3, 9] }',
        ["n = 6 is not a power of 2", "Give 4 or 8"],
    ),
    "times after the end": (
        '[grid]\n"time.end" = ["9 d", "4 d"]\n[keep]\ntimes = "5 d"',
        ["keep.times holds 5 d", "run 1", "(4 d)"],
    ),
    "a value of one run": (
        '[grid]\n"section.seed" = [1, "x", 2]',
        ['run 1 (section.seed = "x")', "section.seed"],
    ),
    "nothing to replicate": (
        "replicates = 2\n[grid]\n'section.seed' = [1]",
        ["nothing in bone.toml is drawn at random beyond"],
    ),
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
        (("--engine", "ray", "--dry-run"), "--engine ray is not known"),
        (("--engine", "slurm:none.toml"), "none.toml: there is no such file"),
        (("--device", "tpu"), "--device tpu is not known. Allowed: cpu, gpu"),
        (("--device", "gpu:x"), "--device gpu:x is not known"),
        (("--device", "gpu:99"), "no such GPU is found"),
        (("--max-failures", "half"), "--max-failures half is neither a number"),
        (("--max-failures", "nan%"), "--max-failures nan% is neither a number"),
    ],
)
def test_what_is_not_there_is_said(words, said, there, monkeypatch):
    monkeypatch.setattr(executors, "CONNECTING", 0.5)
    made('[grid]\n"section.seed" = [1]')
    result = sweep("sweep.toml", "--out", "out", *words)
    assert (result.exit_code, said in result.output) == (2, True), result.output
    assert not Path("out/runs").exists()


def test_dask_that_is_not_installed_is_said(there, monkeypatch):
    made('[grid]\n"section.seed" = [1]')
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = sweep("sweep.toml", "--engine", "tcp://127.0.0.1:9")
    assert result.exit_code == 2
    assert f"needs distributed, which is not installed. {install('cluster')}." in result.output


# --- what it would take -------------------------------------------------------------------------------------


def test_a_dry_run_says_what_it_takes_and_writes_nothing(there, monkeypatch):
    made('[grid]\n"section.seed" = [1, 2]\n"section.spacing" = ["20 um", "40 um"]')
    said = sweep("sweep.toml", "--dry-run", "--jobs", "2").output
    assert all(
        words in said for words in ("runs      4", "groups    2", "at once   2", "disk ", "time      about")
    )
    assert not Path("outputs").exists()
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    for words in ((), ("--dry-run",)):
        result = sweep("sweep.toml", *words)
        assert (result.exit_code, "of disk, and 0.001 MB are free" in result.output) == (2, True)
    assert not Path("outputs").exists()


def test_slurm_gets_a_script(there):
    made('[grid]\n"section.seed" = [1]')
    profile = {
        "jobs": 3,
        "cores": 4,
        "memory": "8GB",
        "walltime": "02:00:00",
        "queue": "short",
        "interface": "lo",
    }
    _profile(profile | {"job_extra_directives": ["--gres=gpu:1"]})
    said = sweep("sweep.toml", "--dry-run", "--engine", "slurm:profile.toml").output
    assert "--no-dashboard --dashboard-address 127.0.0.1:0" in said
    for line in (
        "#SBATCH -p short",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH -t 02:00:00",
        "#SBATCH --gres=gpu:1",
        "--nworkers 4 --nanny",
    ):
        assert line in said
    for change, words in (
        ({"cuores": 1}, "cuores is not a known key. Did you mean cores?"),
        ({"jobs": 0}, "jobs = 0 is not a number"),
        ({"interface": None}, "neither interface nor host"),
        ({"memory": None}, "memory is missing"),
    ):
        _profile(profile | change)
        result = sweep("sweep.toml", "--dry-run", "--engine", "slurm:profile.toml")
        assert (result.exit_code, words in result.output) == (2, True), result.output


def test_nothing_is_bound_but_what_the_profile_names(there):
    _profile({"jobs": 1, "cores": 1, "memory": "1GB", "host": "127.0.0.1"})
    with executors._cluster(executors._profile(Path("profile.toml")), Path("profile.toml")) as cluster:
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
        assert {s.getsockname()[0] for s in cluster.scheduler.http_server._sockets.values()} == {"127.0.0.1"}


SBATCH = """#!/bin/sh
case "$1" in --test-only) exit 0;; esac
touch submitted/$$ there/$$; echo Submitted batch job $$
"""


def test_jobs_that_end_before_the_runs_are_submitted_again(there, monkeypatch):
    """Under dask-jobqueue itself, with a fake Slurm in whose queue are the files of a folder."""
    for folder in ("submitted", "there"):
        Path(folder).mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", "#!/bin/sh\nls there\n"), ("scancel", "#!/bin/sh\n")):
        Path(name).write_text(text)
        Path(name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{there}:/bin:/usr/bin")
    monkeypatch.setattr(executors, "ASK", 0.0)
    _profile({"jobs": 2, "cores": 4, "memory": "8GB", "host": "127.0.0.1"})
    with closing(executors.slurm(Path("profile.toml"), "out")) as engine:
        _until(lambda: len(list(Path("submitted").iterdir())) == 2)
        next(Path("there").iterdir()).unlink()  # its wall time
        _until(lambda: engine.width() == 0 and len(list(Path("submitted").iterdir())) == 3)
        for _ in range(5):
            engine.width()
            time.sleep(0.1)
        assert len(list(Path("submitted").iterdir())) == 3


def _until(done):
    late = time.monotonic() + 30
    while not done():
        assert time.monotonic() < late
        time.sleep(0.1)


def test_that_nobody_computes_is_said(there, monkeypatch):
    """Of jobs that wait in a queue, for example."""
    d = made('[grid]\n"section.seed" = [1]')
    futures, told = [Future()], []

    class Queue(Executor):
        def submit(self, fn, task):
            return futures[0]

    def say(topic, text):
        told.append(f"{topic}: {text}")
        futures[0].set_result({"status": "finished", "error": "", "wall_time": 1.0, "steps": 1})

    monkeypatch.setattr(driver, "NO_WORKER", 0.05)
    engine = executors.Engine(
        "2 Slurm jobs", Queue(), lambda: 0, lambda: None, lambda: None, "no job runs: `squeue --me` says why"
    )
    tell = SimpleNamespace(say=say, working=lambda *_: None)
    Path("out").mkdir()
    outcome = driver._Driver(d, Path("out"), engine, driver.SweepOptions(), tell, {}).go([0], set(), 9)
    assert (outcome.left, told) == (0, ["waiting: no job runs: `squeue --me` says why"])
    assert "no job runs" in Path("out/sweep.log").read_text()


def test_a_job_that_slurm_refuses_is_said(there, monkeypatch):
    made('[grid]\n"section.seed" = [1]')
    _profile({"jobs": 1, "cores": 1, "memory": "1GB", "host": "127.0.0.1", "queue": "nowhere"})
    monkeypatch.setenv("PATH", str(there))
    words = ("sweep.toml", "--out", "out", "--engine", "slurm:profile.toml")
    assert "sbatch cannot be called here" in sweep(*words).output
    Path("sbatch").write_text("#!/bin/sh\necho invalid partition: nowhere >&2\nexit 1\n")
    Path("sbatch").chmod(0o755)
    result = sweep(*words)
    assert (
        result.exit_code,
        "Slurm rejects the job: invalid partition: nowhere." in result.output,
    ) == (2, True), result.output


def _profile(settings):
    lines = (f"{k} = {json.dumps(v)}" for k, v in settings.items() if v is not None)
    Path("profile.toml").write_text("\n".join(lines))


def test_children_are_seated_on_cores_and_gpus(monkeypatch):
    monkeypatch.setattr(worker_pool, "available_cores", lambda: [0, 1, 4, 5])
    assert [s.cores for s in worker_pool.slots(2, "cpu", 1, 9)] == [(0, 4), (1, 5)]
    assert [s.cores for s in worker_pool.slots(None, "cpu", 1, 3)] == [(0, 5), (1,), (4,)]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    slots = worker_pool.slots(None, "gpu", 2, 9)
    assert [s.environment["CUDA_VISIBLE_DEVICES"] for s in slots] == ["2", "3", "2", "3"]
    assert {s.environment["XLA_CLIENT_MEM_FRACTION"] for s in slots} == {"0.450"}
    assert [s.environment for s in worker_pool.slots(None, "gpu:1", 1, 9)] == [
        {"CUDA_VISIBLE_DEVICES": "3", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    ]


def test_on_a_gpu_as_many_runs_step_together_as_its_memory_holds(monkeypatch, tmp_path):
    """As a fake nvidia-smi tells; with --batch W it is an error instead."""
    (tmp_path / "nvidia-smi").write_text(
        '#!/bin/sh\ncase "$*" in "-L") echo "GPU 0: x"; echo "GPU 1: y";; *) echo 40000; echo 1000;; esac\n'
    )
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert worker_pool.gpu_memory("gpu", 1) == 750 * 2**20
    assert worker_pool.gpu_memory("gpu", 3) == 300 * 2**20

    def width(megabytes, whole=99, device="gpu", **more):
        options = driver.SweepOptions(device=device, **more)
        slot, *_ = driver.slots(options, int(megabytes * 1e6), 5, whole)
        return slot.width

    assert [width(m) for m in (1, 7, 14, 29, 500)] == [64, 8, 4, 2, 0]
    # no more than there are runs
    assert [width(1, whole=n) for n in (1, 2, 3, 33, 64, 1000)] == [0, 2, 4, 64, 64, 64]
    assert width(5.2, per_gpu=3) == 4
    assert width(1, batch="off") == 0
    with pytest.raises(InputError, match=r"40 runs in flight of about 100 MB need 13[.]2 GB of memory"):
        width(100, batch="16")
    # nor than fill the GPU, if its memory is large
    monkeypatch.setattr(worker_pool, "gpu_memory", lambda *_: 10**11)
    assert [width(m) for m in (1, 15, 60, 250, 2000)] == [64, 64, 16, 4, 0]


def test_each_group_of_runs_stays_with_one_child(there):
    d = made('[grid]\n"section.spacing" = ["20 um", "40 um"]\n"section.seed" = [1, 2, 3, 4, 5]')
    order = driver._heads_first(d, range(10), 2)
    assert order == [0, 5, 1, 2, 3, 4, 6, 7, 8, 9]
    gate, seen = threading.Barrier(2, timeout=10), []

    def work(task):
        seen.append((threading.get_ident(), task["group"]))
        gate.wait()

    pool = worker_pool.WorkerPool([worker_pool.Slot(), worker_pool.Slot()])
    futures = [pool.submit(work, {"group": d.groups[i]}) for i in order]
    pool.shutdown()
    assert [f.result() for f in futures] == [None] * 10
    assert len(set(seen)) == 2
