"""What goes wrong around a run: folders, memory, the file at its end.

It is said before anything is computed, or the state is kept.
"""

import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

from rdsolver import load_config
from rdsolver.cli.main import app
from rdsolver.errors import InputError, RunError
from rdsolver.figures import report
from rdsolver.output.describe import describe
from rdsolver.output.reader import open_run
from rdsolver.output.writer import RunWriter
from rdsolver.runs.run import resume, simulate
from rdsolver.simulation import program
from tests.support import kill
from tests.support.kill import same
from tests.support.problems import problem

pytestmark = pytest.mark.long


def small(**rest):
    return problem(end=3.0, save=(0.0, 3.0), **rest)


def ends_like_one_left_alone(folder):
    """Resumed, a run of `small` has the bits of one that did not fail."""
    straight = folder.with_name("straight")
    resume(folder, small()).close()
    simulate(small(), out=straight).close()
    same(straight / "run.h5", folder / "run.h5")


def rdsolver(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(kill.CONFIG.format(place=kill.PLACES["2d"]))
    return path


@pytest.mark.parametrize("out", ["/proc/rdsolver", "file", "file/below", "held"])
def test_a_folder_that_cannot_be_written_is_said_before_anything_is_computed(
    config, tmp_path, monkeypatch, out
):
    (tmp_path / "file").write_text("")
    (tmp_path / "held" / "run.h5").mkdir(parents=True)
    monkeypatch.setattr(
        "rdsolver.simulation.bone_scenario.BoneScenario.__init__",
        lambda *_: pytest.fail("something was computed"),
    )
    monkeypatch.setattr("rdsolver.runs.check.check_start", lambda *_: None)
    done = rdsolver("run", config, "--out", tmp_path / out, "--force")
    assert done.exit_code == 2, done.output
    assert str(tmp_path / out) in done.stderr
    with pytest.raises(InputError, match=r"run\.h5"):
        simulate(small(), out=tmp_path / out, force=True)


def broken(monkeypatch, error, after=4):
    """Calls of a run's program after its baseline, one attempt each, of which one fails."""
    call, done = program.call, []

    def failing(integrator, leg, *rest):
        done.extend([1] if np.isfinite(leg.end) else [])
        if len(done) == after:
            raise error
        return call(integrator, leg, *rest)

    monkeypatch.setattr(program, "call", failing)
    monkeypatch.setattr(program, "CALL", 0.0)


NO_ROOM = (
    MemoryError("Unable to allocate 9 GiB"),
    jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 bytes"),
    jax.errors.JaxRuntimeError("INTERNAL: Error dispatching computation: Out of memory allocating 9 bytes."),
)


@pytest.mark.parametrize("error", NO_ROOM)
def test_memory_that_runs_out_ends_the_run_with_its_state_kept(tmp_path, monkeypatch, error):
    broken(monkeypatch, error)
    with pytest.raises(
        RunError,
        match=r"memory ran out: 256 cells with .* float64 need about .* Use a coarser section\.spacing",
    ):
        simulate(small(), out=tmp_path / "a")
    with open_run(tmp_path / "a" / "run.h5") as run:
        assert run.status == "failed"
        assert "memory ran out" in run.message
        assert run.state["time"] > 0
    ends_like_one_left_alone(tmp_path / "a")


def test_memory_that_runs_out_before_the_file_is_made_is_said_too(tmp_path, monkeypatch):
    monkeypatch.setattr("rdsolver.runs.run.scenario_of", lambda _: np.empty(10**16))
    with pytest.raises(RunError, match="memory ran out"):
        simulate(small(), out=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["set_state", "finish"])
def test_a_file_that_fails_at_the_very_end_says_so_and_can_be_resumed(tmp_path, monkeypatch, method):
    works, asked = getattr(RunWriter, method), []

    def fails(writer, *arguments):
        asked.append(1)
        if len(asked) == 1:
            raise RunError("no more")
        works(writer, *arguments)

    monkeypatch.setattr(RunWriter, method, fails)
    with pytest.raises(RunError, match="no more"):
        simulate(small(), out=tmp_path / "a")
    with open_run(tmp_path / "a" / "run.h5") as run:
        assert (run.status, run.message) == ("failed", "no more")
    ends_like_one_left_alone(tmp_path / "a")


def test_a_summary_that_fails_leaves_a_run_that_failed(tmp_path, monkeypatch):
    monkeypatch.setattr("rdsolver.simulation.time_loop.Simulation.budgets", lambda _: np.empty(10**16))
    with pytest.raises(RunError, match="memory ran out"):
        simulate(small(), out=tmp_path)
    with open_run(tmp_path / "run.h5") as run:
        assert run.status == "failed"


def test_a_run_whose_file_is_gone_cannot_be_resumed_and_says_why(tmp_path):
    simulate(small(), out=tmp_path, walltime=1e-9).close()
    (tmp_path / "run.h5").unlink()
    done = rdsolver("resume", tmp_path)
    assert (done.exit_code, "checkpoint alone is not enough" in done.stderr) == (2, True)


FULL = """
import resource, sys
from rdsolver.cli.main import main
import rdsolver.runs.session
go = rdsolver.runs.session.Session.run
def limited(self, *arguments):
    taken = int(open("/proc/self/statm").read().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (taken + 2**20, resource.RLIM_INFINITY))
    self.problem_of_memory = bytearray(2**30)
    return go(self, *arguments)
rdsolver.runs.session.Session.run = limited
main()
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_that_is_limited_leaves_status_3_and_no_traceback(config, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, "run", str(config), "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3, done.stderr
    assert "memory ran out" in done.stderr
    assert "Traceback" not in done.stderr


def test_warnings_are_kept_and_shown(config, tmp_path):
    odd = [
        "--set",
        "model.parameters.opg_kon=1e6 1/(nM d)",
        "--set",
        "change.0.parameter=rankl_production",
        "--set",
        "change.0.factor=1e4",
    ]
    done = rdsolver(
        "run", config, *odd, "--set", "time.end=3.5 d", "--out", tmp_path / "a", "--walltime", "0.001 s"
    )
    assert done.exit_code == 0, done.output
    told = load_config(config, [o for o in odd if o != "--set"]).warnings
    assert ["opg_kon" in told[0], "change.0.factor = 10000: rankl_production = " in told[1]] == [True, True]
    with open_run(tmp_path / "a" / "run.h5") as run:
        assert run.provenance["warnings"] == told
        assert [f"warning{' ' * 20}"[:8] in describe(run), told[0] in describe(run)] == [True, True]
        assert all(report._safe(text) in report.page([run]) for text in told)
    assert told[1] in done.stdout


def test_a_log_that_cannot_be_written_does_not_stop_the_run(config, tmp_path):
    (tmp_path / "out" / "run.log").mkdir(parents=True)
    (tmp_path / "out" / "overview.png").mkdir()
    done = rdsolver("run", config, "--out", tmp_path / "out", "--walltime", "0.001 s")
    assert done.exit_code == 0, done.output
    assert "overview.png cannot be written" in done.stdout
