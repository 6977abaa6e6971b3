"""Paths: ~ is the home folder wherever a path enters, on the command line, in a file and in Python."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rdsolver import load_config, open_run, open_sweep, resume, simulate
from rdsolver.cli.app import App
from rdsolver.cli.main import app
from rdsolver.cli.sweep import sweeps
from rdsolver.errors import InputError
from rdsolver.images.load import section_from_image
from rdsolver.sweep.design import load
from rdsolver.utils.home import at_home
from tests.support.drawn_runs import write
from tests.support.sweep_files import BONE


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder with a config and a run, and another one to work in."""
    home, work = tmp_path / "home", tmp_path / "work"
    for folder in (home / "run", work):
        folder.mkdir(parents=True)
    (home / "mine.toml").write_text(BONE)
    write(home / "run" / "run.h5")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    yield home
    assert list(work.iterdir()) == []  # above all no folder named ~


def rdsolver(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_command_takes_it():
    assert isinstance(app, App)
    assert isinstance(sweeps, App)


def test_on_the_command_line(home):
    rdsolver("check", "~/mine.toml")
    rdsolver("info", "~/run")
    for words, left in (
        (("plot", "~/run/run.h5", "--kind=timeseries", "--out=~/figures/a.png"), "figures/a.png"),
        (("export", "~/run", "--to=npz", "--out=~/a.npz"), "a.npz"),
        (("report", "~/run", "~/run", "--out=~/a.html"), "a.html"),
        (("movie", "~/run", "--out=~/a.gif", "--time=5"), "a.gif"),
    ):
        assert str(home / left) in rdsolver(*words)
        assert (home / left).is_file()


def test_in_files(home):
    (home / "rows.csv").write_text("section.seed\n1\n2\n")
    sweep = home / "sweep.toml"
    sweep.write_text('base = "~/mine.toml"\n[sample]\ntable = "~/rows.csv"\n')
    assert [row["section.seed"] for row in load("~/sweep.toml").rows] == [1, 2]
    with pytest.raises(InputError, match=str(home / "no.tif")):
        section_from_image("~/no.tif", threshold=0.5, voxel=10.0)


def test_in_python(home):
    config = load_config("~/mine.toml")
    with open_run("~/run/run.h5") as run:
        assert len(run.times) == 3
    with pytest.raises(InputError, match=f"{home}/run/run.h5 exists already"):
        simulate(config, out="~/run")
    with pytest.raises(InputError, match=f"{home}/run/none.h5 does not exist"):
        resume("~/run/none.h5")
    with pytest.raises(InputError, match=f"{home}/none is not a sweep"):
        open_sweep("~/none")


def test_a_name_that_begins_so_is_a_name():
    assert at_home("~nobody.of.this.name/a") == Path("~nobody.of.this.name/a")
    assert at_home("scan~") == Path("scan~")


def test_without_a_home_it_is_said(monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(InputError, match="~/run: ~ cannot be resolved"):
        at_home("~/run")
    assert at_home("run") == Path("run")
