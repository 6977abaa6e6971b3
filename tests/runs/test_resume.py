"""A run that is stopped anywhere and goes on gives the same bits as one that was not."""

import fcntl
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from rdsolver import load_config
from rdsolver.cli.main import app
from rdsolver.errors import InputError, RunError
from rdsolver.figures.overview import overview
from rdsolver.geometry.grid import Grid
from rdsolver.models.base import Field, Parameter
from rdsolver.models.bone.pharmacokinetics import Treatment
from rdsolver.models.pointwise import ReactionDiffusion
from rdsolver.output import layout
from rdsolver.output.describe import describe
from rdsolver.output.reader import open_run
from rdsolver.output.writer import RunWriter
from rdsolver.problem import Change, ModelProblem, Solver
from rdsolver.runs import checkpoint, checkpoint_file
from rdsolver.runs.run import resume, simulate
from rdsolver.simulation import program
from rdsolver.utils.signals import Stop
from tests.support import kill
from tests.support.kill import same
from tests.support.places import CONFIGS, DATA, ROOT
from tests.support.problems import Dose, ill, problem

pytestmark = pytest.mark.long


@pytest.fixture(scope="module", autouse=True)
def one_attempt_in_a_call():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "CALL", 0.0)
        yield


class After(Stop):
    """Asks for a stop when it was asked so often, which is once after each attempt."""

    def __init__(self, asked: int) -> None:
        super().__init__()
        self.left = asked

    @property
    def name(self) -> str:
        self.left -= 1
        return "" if self.left >= 0 else "a test"


def treated(end=5.0, save=(0.0, 0.7, 2.0, 5.0), **rest):
    """Doses, one at a time that is saved, and a parameter changed for a while."""
    doses = (Dose("fc_opg", 3.0, "sc", 0.0), Dose("fc_opg", 3.0, "sc", 2.0), Dose("fc_opg", 1.0, "iv", 3.5))
    changes = (Change("rankl_production", 2.0, 1.0, 3.0),)
    doses = tuple(d for d in doses if d.time < end)
    return problem(agents=("fc_opg",), doses=doses, changes=changes, end=end, save=save, **rest)


def infused():
    """Infusions that overlap, one until after the end, and a drug in steady state."""
    doses = (
        Dose("fc_opg", 3.0, "sc", 0.0, 0.0, 7.0),
        Dose("fc_opg", 3.0, "iv", 0.5, 1.0),
        Dose("fc_opg", 1.0, "sc", 1.0, 9.0),
    )
    return problem(agents=("fc_opg",), doses=doses, end=3.0, save=(0.0, 0.7, 3.0))


def waiting():
    """A tumour, and a treatment that begins when its lesion is large enough."""
    doses = tuple(Dose("fc_opg", 3.0, "sc", t) for t in (0.0, 3.0))
    return ill(
        end=60.0,
        precision="float32",
        agents=("fc_opg",),
        treatments=(Treatment(0.002, doses),),
        save=(0.0, 31.0, 60.0),
    )


def own():
    """A whole model of one's own."""

    def rates(u, p, at):
        return {"a": p["growth"] * u["a"] * (1 - u["a"]) - u["a"] * u["b"], "b": u["a"] - u["b"]}

    rows = tuple(
        Parameter(k, v, "1", "", "", "A", 0.0, 9.0) for k, v in {"growth": 2.0, "diffusivity": 0.5}.items()
    )
    model = ReactionDiffusion(
        "own",
        (Field("a", "1", 1.0, "a"), Field("b", "1", 1.0, "b")),
        rates,
        {"a": "diffusivity"},
        parameters=rows,
    )
    start = np.random.default_rng(1).random((16, 16))
    values = {p.name: p.value for p in rows}
    return ModelProblem(
        model, Grid((16, 16), (1.0, 1.0), thickness=1.0), values, {"a": start}, 6.0, save=(0.0, 2.5, 6.0)
    )


CASES = {
    "tr-bdf2": lambda: treated(precision="float64"),
    "float32": lambda: treated(precision="float32"),
    "rkc2": lambda: treated(1.5, (0.3, 1.5), precision="float64", integrator="rkc2"),
    "rkc2 float32": lambda: treated(1.5, (0.3, 1.5), precision="float32", integrator="rkc2"),
    "etdrk4": lambda: replace(own(), solver=Solver("etdrk4", 1e-7, "float64")),
    "infused": infused,
    "waiting": waiting,
    "own": own,
}


@pytest.mark.parametrize("case", CASES)
def test_stopped_and_resumed_is_uninterrupted_bit_for_bit(case, tmp_path, monkeypatch):
    p = CASES[case]()
    with monkeypatch.context() as patch:
        patch.setattr(program, "CALL", 1.0)  # many attempts in a call
        simulate(p, out=tmp_path / "straight").close()
    straight, often = tmp_path / "straight" / "run.h5", tmp_path / "often" / "run.h5"
    stops, status = 0, ""
    with simulate(p, out=often.parent, stop=After(1)) as run:
        assert run.status == "stopped"
        cost = [run.provenance["seconds"]]
    while status != "finished":
        stops += 1
        with resume(often, p, stop=After(4 + 3 * stops)) as run:
            status = run.status
            cost.append(run.provenance["seconds"])
            assert run.provenance["wall_time"] == pytest.approx(
                sum(v for k, v in cost[-1].items() if k != "writing")
            )
            assert run.provenance["peak_memory"]["host"] > 1e8
    assert cost[0].keys() == {"compiling", "baseline", "stepping", "writing"}
    assert all(0 <= cost[0][part] <= cost[-1][part] for part in cost[0])  # of all sittings together
    assert all(cost[0][part] < cost[-1][part] for part in ("baseline", "stepping", "writing"))
    assert stops >= 3
    same(straight, often)
    assert {x.name for x in often.parent.iterdir()} == {"run.h5"}


# --- from the command line, with real signals ---------------------------------------------------------------


@pytest.mark.parametrize("place", ["2d", pytest.param("3d", marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_as_if_nothing_had_been(place, tmp_path):
    met, _ = kill.kill_run(tmp_path, place, random.Random(2), kill.SIGNALS)
    assert met >= 4
    assert "continue with: rdsolver resume" in (tmp_path / "killed" / "run.log").read_text()


@pytest.mark.parametrize(("writers", "runs"), [(40, 0), pytest.param(1000, 10, marks=pytest.mark.slow)])
def test_a_killed_writer_leaves_all_that_it_flushed(writers, runs):
    words = [sys.executable, "-m", "tests.support.kill", "--n", str(writers), "--runs", str(runs)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("saved times left") == writers


def test_the_end_that_a_killed_file_states_too_early_is_mended(tmp_path):
    """Its superblock is that of an earlier flush, as when it is killed between the last parts of a flush."""
    path, grid, active = tmp_path / "run.h5", kill.GRIDS[0], np.ones(kill.GRIDS[0].shape, bool)
    with RunWriter(path, grid, kill.FIELDS, kill.SERIES, active=active) as writer:
        for n in range(9):
            writer.append(float(n), {"a": kill.values(grid, n), "b": -kill.values(grid, n)})
            if n == 4:
                early = path.read_bytes()[:48]
    path.write_bytes(early + path.read_bytes()[48:])
    with RunWriter.reopened(path, grid, active=active, times=9, rows=0, spent=0.0) as writer:
        for n in range(9, 12):
            writer.append(float(n), {"a": kill.values(grid, n), "b": -kill.values(grid, n)})
        writer.finish()
    with open_run(path) as run:
        for n in range(12):
            np.testing.assert_array_equal(run["a"][n], kill.values(grid, n))
            np.testing.assert_array_equal(run["b"][n], -kill.values(grid, n))


BLOCKED = """
import sys, time
from rdsolver.simulation import program
from rdsolver.cli.main import main
call, done = program.call, []
def slow(*arguments):
    done.append(1)
    if len(done) > 9:
        print("blocked", flush=True)
        time.sleep(60)
    return call(*arguments)
program.call, program.CALL = slow, 0.0
main()
"""


def test_a_call_that_does_not_end_is_left_to_itself(tmp_path):
    config, out = tmp_path / "a.toml", tmp_path / "out"
    config.write_text(kill.CONFIG.format(place=kill.PLACES["2d"]))
    command = [
        sys.executable,
        "-c",
        BLOCKED,
        "run",
        str(config),
        "--out",
        str(out),
        "--set",
        "solver.integrator=tr-bdf2",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert any(b"blocked" in line for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[0]  # of the 60 s
    assert process.returncode == 143
    assert b"continue with: rdsolver resume" in said
    with open_run(out / "run.h5") as run:
        assert (run.status, len(run.series["time"])) == ("stopped", 1 + run.summary["steps"])
        found, wrong = checkpoint.load(out / "run.h5", run.provenance["run_id"])
        assert not wrong
        assert found.simulation.lane.t == run.state["time"] == run.series["time"][-1] > 0


# --- a run repeated, refused, or damaged --------------------------------------------------------------------


def small(**rest):
    return problem(end=3.0, save=(0.0, 3.0), **rest)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped")
    simulate(small(), out=folder, stop=After(4)).close()
    return folder


def copied(stopped, tmp_path):
    return shutil.copytree(stopped, tmp_path / "copy")


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(stopped, tmp_path):
    folder = copied(stopped, tmp_path)
    last, before = checkpoint_file.files(folder / "run.h5")
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    run_id = open_run(folder / "run.h5").provenance["run_id"]
    found, wrong = checkpoint.load(folder / "run.h5", run_id)
    assert found.rows == 1
    assert len(wrong) == 1
    assert "SHA-256" in wrong[0]
    simulate(small(), out=tmp_path / "straight").close()
    resume(folder, small()).close()
    same(tmp_path / "straight" / "run.h5", folder / "run.h5")
    before.write_bytes(content[:700])
    last.unlink(missing_ok=True)
    with pytest.raises(InputError, match="SHA-256"):
        checkpoint.load(folder / "run.h5", run_id)


def test_what_does_not_belong_together_is_refused(stopped, tmp_path):
    folder = copied(stopped, tmp_path)
    with pytest.raises(InputError, match="float64 and cannot continue in float32"):
        resume(folder, small(precision="float32"))
    with pytest.raises(InputError, match="began with something else"):
        resume(folder, small(changed={"rankl_loss": 11.0}))
    with pytest.raises(InputError, match="came from Python"):
        resume(folder)
    with pytest.raises(InputError, match="belongs to another run"):
        checkpoint.load(folder / "run.h5", "another")


def test_what_differs_is_said():
    then = {
        "precision": "float32",
        "device": "gpu:0 (X)",
        "versions": {"jax": "0.1", "numpy": "2"},
        "git_commit": "a",
    }
    now = {
        "precision": "float32",
        "device": "cpu",
        "versions": {"jax": "0.2", "numpy": "2"},
        "git_commit": "a",
    }
    assert list(checkpoint.differences(then, now)) == [
        "device was gpu:0 (X), now cpu",
        "jax was 0.1, now 0.2",
    ]


def test_a_run_is_repeated_from_its_file(tmp_path):
    config = kill.CONFIG.format(place=kill.PLACES["2d"])
    (tmp_path / "a.toml").write_text(config.replace('end = "30 d"', 'end = "6 d"'))
    for arguments in (["run", str(tmp_path / "a.toml")], ["run", "--from", str(tmp_path / "1")]):
        out = tmp_path / ("2" if "--from" in arguments else "1")
        done = CliRunner().invoke(app, [*arguments, "--out", str(out)])
        assert done.exit_code == 0, done.output
    same(tmp_path / "1" / "run.h5", tmp_path / "2" / "run.h5")
    resumed = CliRunner().invoke(app, ["resume", str(tmp_path / "2")])
    assert (resumed.exit_code, "is finished already" in resumed.stdout) == (0, True)
    followed = CliRunner().invoke(app, ["info", "--follow", str(tmp_path / "2")])
    assert "6 of 6 d" in followed.stdout.splitlines()[0]
    assert followed.stdout.splitlines()[1] == "finished"


def test_a_model_of_ones_own_is_resumed_as_the_run_kept_it(tmp_path):
    for name in ("gray_scott.toml", "gray_scott.py"):
        shutil.copy(CONFIGS / name, tmp_path)
    small = ["section.size=['64 um', '64 um']", "time.end=40 d", "time.save=10 d"]
    config = load_config(tmp_path / "gray_scott.toml", small, allow_python=True)
    simulate(config, out=tmp_path / "straight").close()
    with simulate(config, out=tmp_path / "stopped", stop=After(10)) as run:
        assert 0 < run.state["time"] < 40
    (tmp_path / "gray_scott.py").write_text("raise SystemExit")
    with pytest.raises(InputError, match="--allow-python"):
        resume(tmp_path / "stopped")
    resume(tmp_path / "stopped", allow_python=True).close()
    same(tmp_path / "straight" / "run.h5", tmp_path / "stopped" / "run.h5")


@pytest.mark.parametrize("schema", range(1, layout.RUN_SCHEMA + 1))
def test_a_file_of_every_layout_is_read(schema, tmp_path):
    """1 is of bone, the others of a hormone that decays, as stopped_1."""
    field, shape, last, series, first, parameter = {
        1: ("rankl", (2, 8, 8), 1.0, "ntx", 1.0, "rankl_loss"),
        2: ("c", (5, 6, 8), 40.0, "mean_c", 1.0, "k"),
    }[schema]
    with open_run(DATA / f"layout_{schema}.h5") as run:
        assert int(run.file.attrs[layout.SCHEMA_KEY]) == schema
        assert (run.status, run.times[[0, -1]].tolist()) == ("finished", [0.0, last])
        assert (run[field].shape, run[field].unit) == (shape, "nM")
        assert run.series[series][0] == pytest.approx(first, abs=1e-5)
        assert run.series["time"][-1] == last
        assert set(run.series.to_xarray().sizes) == {"series_time"}
        assert run.config["title"] == f"a file of layout {schema}"
        assert {field, "time"} <= run.state.keys()
        assert run.parameters[parameter] > 0
        assert f"{field} (nM)" in describe(run)
        assert overview(run, tmp_path / "o.png").stat().st_size > 5000


def test_a_run_of_the_first_layout_goes_on(tmp_path):
    """In its own layout, to what it would have come to."""
    shutil.copytree(DATA / "stopped_1", tmp_path / "run")
    with resume(tmp_path / "run", allow_python=True) as run:
        assert int(run.file.attrs[layout.SCHEMA_KEY]) == 1
        assert (run.status, run.times.tolist()) == ("finished", [0, 10, 20, 30, 40])
        assert run.series["mean_c"][-1] == pytest.approx(0.018355532, rel=1e-5)
        assert run["c"].unit == "nM"
        assert run.series.keys() == {"time", "mean_c"}
        assert not run.clipped


# --- a run whose files lie elsewhere by now -----------------------------------------------------------------


SCAN = """
model = "own.py:MINE"
[section]
kind = "image"
image = "scan.tif"
voxel = "1 um"
threshold = 128
field_of_view = "mask.tif"
spacing = "1.5 um"
thickness = "1 um"
[time]
end = "4 d"
save = "1 d"
[solver]
integrator = "tr-bdf2"
[output]
crop = [[2, 14], [0, 20]]
"""
OWN = """
from rdsolver.models.base import Field, Parameter
from rdsolver.models.pointwise import ReactionDiffusion
ROWS = (Parameter("k", 1.0, "1/d", "k", "", "A", 0.1, 9.0),
        Parameter("D", 1.0, "um^2/d", "D", "", "A", 0.1, 9.0))
def rates(u, p, at): return {"u": at["bone"] - p["k"] * u["u"]}
def initial(where): return {"u": where.bone + where.random.random(where.bone.shape)}
UNKNOWNS = (Field("u", "1", 1.0, "u"),)
MINE = ReactionDiffusion("mine", UNKNOWNS, rates, {"u": "D"}, parameters=ROWS, initial=initial)
"""


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """A run on a scan to its end, one that was stopped, and that without its section, as older files are.

    What they were made from lies in another folder now.
    """
    folder = tmp_path_factory.mktemp("scanned")
    tifffile.imwrite(folder / "scan.tif", np.random.default_rng(3).integers(0, 255, (32, 40)).astype("u1"))
    tifffile.imwrite(folder / "mask.tif", np.uint8(np.hypot(*(np.mgrid[:32, :40] - 18)) < 15))
    (folder / "own.py").write_text(OWN)
    (folder / "scan.toml").write_text(SCAN)
    config = load_config(folder / "scan.toml", allow_python=True)
    simulate(config, out=folder / "straight").close()
    simulate(config, out=folder / "stopped", stop=After(4)).close()
    shutil.copytree(folder / "stopped", folder / "old")
    shutil.copytree(folder / "straight", folder / "old_straight")
    for old in ("old", "old_straight"):
        with h5py.File(folder / old / "run.h5", "r+") as file:
            del file["section"]
    (folder / "files").mkdir()
    for name in ("scan.tif", "mask.tif", "own.py"):
        shutil.move(folder / name, folder / "files" / name)
    return folder


def test_a_run_goes_on_and_is_repeated_without_the_files_it_was_made_from(scanned, tmp_path):
    folder = shutil.copytree(scanned / "stopped", tmp_path / "moved")
    with open_run(folder / "run.h5") as run:
        assert (run.section.record["kind"], run.section.active.all()) == ("image", False)
        assert run.shape != run.section.grid.shape  # which is the whole one
        assert run.section.grid.origin == (0.0, 0.0)
    resume(folder, allow_python=True).close()
    same(scanned / "straight" / "run.h5", folder / "run.h5")
    done = CliRunner().invoke(
        app, ["run", "--from", str(scanned / "straight"), "--allow-python", "--out", str(tmp_path / "again")]
    )
    assert done.exit_code == 0, done.output
    same(scanned / "straight" / "run.h5", tmp_path / "again" / "run.h5")


def test_a_run_without_its_section_is_told_where_the_files_are(scanned, tmp_path):
    folder, files = shutil.copytree(scanned / "old", tmp_path / "old"), scanned / "files"
    words = ["resume", str(folder), "--allow-python"]
    scan, mask = f"section.image={files}/scan.tif", f"section.field_of_view={files}/mask.tif"
    for extra, said in {
        (): f'section.image = "{scanned}/scan.tif": there is no such file. It existed when the run began',
        (scan,): f'section.field_of_view = "{scanned}/mask.tif": there is no such file.',
        (f"section.image={files}/mask.tif",): "is not the file that the run was made with: its SHA-256 is",
        ("time.end=9 d",): "Only the new location of a file can be given: section.image",
    }.items():
        done = CliRunner().invoke(app, [*words, *(word for each in extra for word in ("--set", each))])
        assert done.exit_code == 2, done.output
        assert said in done.stderr
    done = CliRunner().invoke(app, [*words, "--set", scan, "--set", mask])
    assert done.exit_code == 0, done.output
    same(scanned / "old_straight" / "run.h5", folder / "run.h5")


# --- disks that are full, files that are gone ---------------------------------------------------------------


LIMITED = """
import resource
from rdsolver.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, resource.RLIM_INFINITY))
main()
"""


def test_a_full_disk_ends_the_run_with_its_state_kept(tmp_path):
    """The largest file that a process may write stands for the disk."""
    config = tmp_path / "a.toml"
    config.write_text(kill.CONFIG.format(place=kill.PLACES["2d"]))

    command = [
        sys.executable,
        "-c",
        LIMITED,
        "run",
        str(config),
        "--out",
        str(tmp_path / "out"),
        "--checkpoint",
        "0.1 s",
    ]
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 3
    assert b"cannot be written any further" in done.stderr
    assert b"Traceback" not in done.stderr
    with open_run(tmp_path / "out" / "run.h5") as run:
        assert run.status == "failed"
        assert 0 < len(run.times) < 31
    resume(tmp_path / "out").close()
    simulate(config, out=tmp_path / "straight").close()
    same(tmp_path / "straight" / "run.h5", tmp_path / "out" / "run.h5")


class Removing(Stop):
    """Removes the file that is being written."""

    def __init__(self, path) -> None:
        super().__init__()
        self.path = path

    @property
    def name(self) -> str:
        self.path.unlink(missing_ok=True)
        return ""


def test_a_file_that_is_removed_or_locked_is_said(stopped, tmp_path):
    with pytest.raises(RunError, match="was removed"):
        simulate(small(), out=tmp_path, stop=Removing(tmp_path / "run.h5"))
    folder = copied(stopped, tmp_path)
    with (folder / "run.h5").open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        with pytest.raises(RunError, match="locked"):
            resume(folder, small())


def test_a_writer_that_fails_stops_the_run(tmp_path, monkeypatch):
    append = RunWriter.append

    def fails(writer, t, *saved):
        if t > 0:
            raise RunError("no more")
        append(writer, t, *saved)

    monkeypatch.setattr(RunWriter, "append", fails)
    with pytest.raises(RunError, match="no more"):
        simulate(small(), out=tmp_path)
    with open_run(tmp_path / "run.h5") as run:
        assert (run.status, run.message, len(run.times)) == ("failed", "no more", 1)
        assert len(run.series["time"]) == 1
