"""A path of another kind than a command takes is recognised, and the command that takes it is named."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from rdsolver import load_config, open_run, open_sweep
from rdsolver.cli.main import app
from rdsolver.errors import InputError
from rdsolver.utils.path_kinds import expect, kind_of
from tests.support.drawn_runs import write
from tests.support.sweep_files import BONE
from tests.support.sweeps import design, put_sweep

pytestmark = pytest.mark.long


@pytest.fixture
def there(tmp_path, monkeypatch):
    """One thing of every kind, in a folder with a space in its name."""
    folder = tmp_path / "my things"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("mine.toml").write_text(BONE)
    Path("s.toml").write_text('base = "mine.toml"\n[grid]\n"section.seed" = [1, 2]\n')
    Path("a run").mkdir()
    write(Path("a run/run.h5"))
    put_sweep(Path("a sweep"), design(Path("of")))
    tifffile.imwrite("a scan.tif", np.zeros((4, 4), "u1"))
    Path("slices").mkdir()
    for i in range(2):
        tifffile.imwrite(f"slices/{i}.tif", np.zeros((4, 4), "u1"))
    Path("model.py").write_text("")
    Path("notes.txt").write_text("nothing")
    Path("profile.toml").write_text('jobs = 1\nmemory = "1 GB"\n')
    with h5py.File("data.h5", "w") as file:
        file["a"] = 1
    return folder


def test_each_kind_is_told_apart(there):
    kinds = {
        "mine.toml": "config",
        "s.toml": "sweep file",
        "a run": "run",
        "a run/run.h5": "run",
        "a sweep": "sweep",
        "a scan.tif": "image",
        "slices": "image",
        "model.py": "model",
    }
    assert {name: kind_of(Path(name)) for name in kinds} == kinds
    for other in ("notes.txt", "profile.toml", "data.h5", ".", "nowhere", "of"):
        assert kind_of(Path(other)) == "", other
        expect(Path(other), "config")  # what is not known is left to who reads it


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "s.toml"], "rdsolver sweep s.toml"),
        (["check", "s.toml"], "rdsolver sweep s.toml --dry-run"),
        (["params", "s.toml"], "rdsolver sweep s.toml"),
        (["sensitivity", "s.toml"], "rdsolver sweep s.toml"),
        (["sweep", "mine.toml"], "rdsolver run mine.toml"),
        (["sweep", "mine.toml", "--dry-run"], "rdsolver run mine.toml"),
        (["info", "a sweep"], "rdsolver sweep status 'a sweep'"),
        (["resume", "a sweep"], "a sweep/runs"),
        (["export", "a sweep", "--to", "npz"], "a sweep/runs"),
        (["movie", "a sweep"], "a sweep/runs"),
        (["plot", "a sweep", "a run", "--kind", "compare"], "a sweep/runs"),
        (["run", "--from", "a sweep"], "a sweep/runs"),
        (["plot", "mine.toml"], "rdsolver run mine.toml"),
        (["info", "mine.toml"], "rdsolver run mine.toml"),
        (["report", "s.toml"], "rdsolver sweep s.toml"),
        (["sweep", "a sweep"], "The command that started it continues it"),
        (["sweep", "status", "a run"], "rdsolver info 'a run'"),
        (["sweep", "collect", "a run"], "rdsolver info 'a run'"),
        (["sweep", "one", "a run", "0"], "rdsolver info 'a run'"),
        (["sweep", "status", "s.toml"], "rdsolver sweep s.toml"),
        (["sweep", "run", "a run"], "rdsolver info 'a run'"),
        (["run", "a run/run.h5"], "rdsolver run --from 'a run/run.h5'"),
        (["run", "a run"], "rdsolver resume 'a run'"),
        (["check", "a scan.tif"], "--set 'section.image=a scan.tif'"),
        (["run", "slices"], "--set section.image=slices"),
        (["run", "model.py"], 'model = "model.py:NAME"'),
    ],
)
def test_the_command_that_takes_it_is_named(there, words, said):
    before = sorted(there.rglob("*"))
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert said in done.stderr
    assert " belongs here. " in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(there.rglob("*")) == before


def test_where_it_wrote_to_is_named(there):
    write_to = Path("outputs/mine")
    write_to.mkdir(parents=True)
    write(write_to / "run.h5")
    assert "What it wrote is in outputs/mine." in CliRunner().invoke(app, ["info", "mine.toml"]).stderr


def test_a_python_caller_is_told_the_same(there):
    with pytest.raises(InputError, match=r"rdsolver sweep s\.toml"):
        load_config("s.toml")
    with pytest.raises(InputError, match=r"rdsolver run mine\.toml"):
        open_run("mine.toml")
    with pytest.raises(InputError, match="rdsolver info 'a run'"):
        open_sweep("a run")
    with open_run("a run") as run:  # a folder will do
        assert run.title == "a run"


def test_a_config_is_faulted_before_the_folder_that_is_taken(there):
    words = ["run", "mine.toml", "--out", "a run"]
    assert "exists already" in CliRunner().invoke(app, words).stderr
    said = CliRunner().invoke(app, [*words, "--set", "time.end=-1 d"]).stderr
    assert "time.end" in said
    assert "exists" not in said
    said = CliRunner().invoke(app, ["sweep", "s.toml", "--out", "a sweep", "--set", "time.end=-1 d"]).stderr
    assert "time.end" in said
    assert "another sweep" not in said
