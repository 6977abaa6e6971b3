"""Observers: a number of a user's own in file, table, figure and sweep, on the device and on the host."""

import re
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from rdsolver import open_run, simulate
from rdsolver.errors import InputError, RunError
from rdsolver.figures.timeseries import panels
from rdsolver.geometry.grid import Grid
from rdsolver.models.base import Field, Observer
from rdsolver.models.bone.extension import Extension
from rdsolver.models.pointwise import ReactionDiffusion
from rdsolver.output.describe import describe
from rdsolver.problem import ModelProblem
from tests.support.places import ROOT
from tests.support.problems import problem


def thickest(u, p, at):
    """The largest distance from bone to its surface, um: any Python may be used on the host."""
    return distance_transform_edt(u["bone"] > 0.5, sampling=at["spacing"]).max()


MOST = Observer("most_rankl", "nM", "largest free RANKL", lambda u, p, at: jnp.max(u["rankl"]))
DEPTH = Observer("bone_depth", "um", "depth of bone", thickest, where="host")
WATCHING = Extension("watching", observers=(MOST, DEPTH), healthy=True)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    p = problem(end=2.0, save=(0.0, 0.5, 2.0), extension=WATCHING)
    out = tmp_path_factory.mktemp("watched") / "run"
    with simulate(p, out=out):
        return out


def test_one_on_the_device_is_in_the_file_at_every_accepted_step(watched):
    with open_run(watched) as run:
        assert (run.series.unit("most_rankl"), run.series.label("most_rankl")) == ("nM", "largest free RANKL")
        assert len(run.series["most_rankl"]) == len(run.series["time"])
        assert run.series["most_rankl"][-1] == pytest.approx(np.nanmax(run["rankl"][-1]), rel=1e-6)


def test_one_on_the_host_is_in_the_file_at_the_saved_times(watched):
    with open_run(watched) as run:
        assert list(run.at_saved) == ["time", "bone_depth"]
        np.testing.assert_array_equal(run.at_saved["time"], run.times)
        bone = np.nan_to_num(run["bone"][1])
        assert run.at_saved["bone_depth"][1] == thickest({"bone": bone}, {}, {"spacing": run.spacing})
        assert (run.at_saved.unit("bone_depth"), run.at_saved.label("time")) == ("um", "time")
        assert run.at_saved.to_xarray()["bone_depth"].dims == ("time",)


def test_both_are_told_and_drawn(watched):
    with open_run(watched) as run:
        said = describe(run)
        drawn = " ".join(panel.label for panel in panels(run))
    assert re.search(r"most_rankl: .* nM", said)
    assert re.search(r"at saved times +bone_depth: .* um", said)
    assert "largest free" in drawn
    assert "depth of bone" in drawn


def test_readers_of_netcdf_find_the_saved_times(watched):
    xarray = pytest.importorskip("xarray")
    with xarray.open_datatree(watched / "run.h5", engine="h5netcdf") as tree:
        assert tree["at_saved"].ds["bone_depth"].dims == ("time",)
        assert tree["at_saved"].ds["time"].values.tolist() == [0.0, 0.5, 2.0]


def test_any_other_model_has_them_too(tmp_path):
    filled = Observer("filled", "1", "filled", lambda u, p, at: float((u["u"] > 0.5).mean()), where="host")
    with simulate(watched_decay(HIGHEST, filled), out=tmp_path / "run") as run:
        assert run.series["highest"][-1] == pytest.approx(np.exp(-2.0), rel=5e-3)
        assert run.at_saved["filled"].tolist() == [1.0, 1.0, 0.0]
        assert "filled" in " ".join(panel.label for panel in panels(run))


def watched_decay(*observers, end=2.0):
    """A problem that is cheap to run, with these observers."""
    model = ReactionDiffusion(
        "decay", (Field("u", "1", 1.0, "u"),), lambda u, p, at: {"u": -u["u"]}, {}, observers=observers
    )
    return ModelProblem(model, Grid((4, 4), (1.0, 1.0), thickness=1.0), {}, {"u": 1.0}, end, (0.0, 0.5, end))


def late(u, p, at):
    return 1 / (0 if at["time"] > 1 else 1)


HIGHEST = Observer("highest", "1", "highest", lambda u, p, at: jnp.max(u["u"]))
LATE = Observer("late", "1", "late", late, where="host")
PAGE = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs" / "extend.md").read_text(), re.DOTALL | re.MULTILINE
)


def test_the_example_of_the_page_is_what_is_watched_here():
    (text,) = (block for block in PAGE if "WATCHING" in block)
    found: dict = {"Extension": Extension, "Observer": Observer}
    exec(text, found)
    depth, most = (
        next(o for o in found["WATCHING"].observers if o.name == name)
        for name in ("bone_depth", "most_rankl")
    )
    u = {"bone": np.eye(5), "rankl": np.arange(3.0)}
    assert depth.value(u, {}, {"spacing": (2.0, 2.0)}) == thickest(u, {}, {"spacing": (2.0, 2.0)}) == 2.0
    assert most.value(u, {}, {}) == 2.0


REFUSED = {
    "taken": (replace(HIGHEST, name="mean_u"), "the observer mean_u of decay has a name that is taken"),
    "name": (replace(HIGHEST, name="a/b"), 'observers hold "a/b", which is not a name'),
    "value": (replace(HIGHEST, value=3), "observers hold highest with value = 3. Give a function"),
    "where": (replace(HIGHEST, where="gpu"), 'with where = "gpu". Allowed: device, host'),
    "fails": (replace(HIGHEST, value=lambda u, p, at: u["none"]), "the observer highest of decay fails. "),
    "number": (replace(HIGHEST, value=lambda u, p, at: u["u"]), "gives float32 of shape (4, 4)"),
    "type": (3, "must be a tuple of Observer"),
    "late": (LATE, "the observer late fails at 2 d. "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_observer_is_refused(case, tmp_path):
    observer, message = REFUSED[case]
    with pytest.raises((InputError, RunError), match=re.escape(message)):
        simulate(watched_decay(observer), out=tmp_path / "run")
    assert (tmp_path / "run" / "run.h5").exists() == (case == "late"), (
        "only that one is not seen before the run"
    )


def test_a_name_of_bone_is_taken_too():
    part = replace(WATCHING, observers=(replace(MOST, name="ntx"),))
    with pytest.raises(InputError, match=r"observer ntx of extension watching has a name that is taken"):
        simulate(problem(extension=part))


def test_one_that_fails_on_the_way_ends_the_run_and_keeps_what_it_had(tmp_path):
    with pytest.raises(RunError, match=r"the observer late fails at 2 d\. .*ZeroDivisionError"):
        simulate(watched_decay(LATE), out=tmp_path / "run")
    with open_run(tmp_path / "run") as run:
        assert run.status == "failed"
        assert run.times.tolist() == [0.0, 0.5]
