"""Beyond bone: RANKL, OPG and drugs in a vessel's wall and in other target tissue, with one response."""

import re

import numpy as np
import pytest
from typer.testing import CliRunner

from rdsolver import load_config, simulate
from rdsolver.cli.main import app
from rdsolver.config.config import Config
from rdsolver.errors import InputError
from rdsolver.figures.overview import overview
from rdsolver.geometry.grid import Grid
from rdsolver.geometry.section import rings
from rdsolver.models.bone.binders import drug
from rdsolver.models.bone.parameters import parameters
from rdsolver.models.bone.tissue import TISSUES
from rdsolver.parallel import device
from rdsolver.problem import Change, Problem, Solver
from rdsolver.simulation.time_loop import Simulation
from tests.support.places import CONFIGS
from tests.support.problems import Dose

pytestmark = pytest.mark.long

VESSEL = rings(Grid((24, 24), (40.0, 40.0), thickness=10.0), radius=350.0, wall=150.0)


def tissue(name, end=60.0, changes=(), doses=(), section=VESSEL, **changed):
    agents = tuple({d.agent: drug(d.agent) for d in doses}.values())
    values = {p.name: p.default(name) for p in parameters(agents, tissue=name)} | changed
    solver = Solver("tr-bdf2", 1e-4, "float64")
    return Problem(
        section, values, end, (), tissue=name, agents=agents, doses=doses, changes=changes, solver=solver
    )


def scenario(problem):
    with device.on("cpu"):
        simulation = Simulation(problem)
        return [{"time": c.t} | c.observed for c in simulation.steps()], simulation


# --- the section --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wall", [30.0, 100.0])
def test_a_ring_has_the_area_of_a_ring_at_any_spacing(wall):
    area = np.pi * (100.0**2 - (100.0 - wall) ** 2)
    for h in (5.0, 10.0):
        n = int(320 / h)
        ring = rings(Grid((n, n), (h, h), thickness=10.0), 100.0, wall)
        assert ring.bone.sum() * h**2 == pytest.approx(area, rel=0.01)


def test_rings_lie_whole_in_the_section_and_need_room():
    grid = Grid((64, 64), (10.0, 10.0), thickness=10.0)
    several = rings(grid, 60.0, 60.0, count=5, seed=2)
    assert several.bone.sum() * 100 == pytest.approx(5 * np.pi * 60**2, rel=0.01)
    with pytest.raises(InputError, match="there is room for"):
        rings(grid, 200.0, 50.0, count=5)
    with pytest.raises(InputError, match="there is room for 0 of 1"):
        rings(grid, 400.0, 50.0)


# --- the response -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TISSUES)
def test_healthy_tissue_stays_as_it_is(name):
    rows, _ = scenario(tissue(name))
    first, last = rows[0], rows[-1]
    for series in ("mean_free_rankl", "mean_occupancy"):
        assert last[series] == pytest.approx(first[series], rel=1e-8)
    if name == "artery":
        return
    assert 0 < first["mean_response"] < 1
    assert last["mean_response"] == pytest.approx(first["mean_response"], rel=1e-6)


def test_the_wall_calcifies_as_fast_as_the_equation_says():
    """At constant occupancy K = 1 - exp(-rate t) in every cell."""
    problem = tissue("artery", changes=(Change("opg_production_factor", 0.0, 0.0),))
    rows, simulation = scenario(problem)
    p, place = problem.parameters, simulation.system.place
    theta = np.asarray(simulation.u["rankl"]) / (p["rank_K"] + np.asarray(simulation.u["rankl"]))
    u4 = (theta / float(place.reference["theta0"])) ** 4
    rate = p["response_rate"] * VESSEL.bone * u4 / (p["response_half"] ** 4 + u4)
    expected = 1 - np.exp(-60.0 * rate)
    found = np.asarray(simulation.u["response"])
    assert np.abs(found - expected).max() < 0.02 * expected.max()  # OPG takes the first hours to go
    assert rows[-1]["mean_response"] == pytest.approx(
        (VESSEL.bone * found).sum() / VESSEL.bone.sum(), rel=1e-6
    )


def test_opg_protects_the_artery_and_a_decoy_stands_in_for_it():
    lost = (Change("opg_production_factor", 0.0, 0.0),)
    weekly = tuple(Dose("fc_opg", 3.0, "sc", 7.0 * k) for k in range(9))
    healthy, without, treated = (
        scenario(tissue("artery", **k))[0][-1]["mean_response"]
        for k in ({}, {"changes": lost}, {"changes": lost, "doses": weekly})
    )
    assert without > 5 * healthy
    assert treated < healthy


def test_rankl_drives_the_generic_responder_and_lets_it_go():
    rows, _ = scenario(tissue("mammary", 120.0, changes=(Change("rankl_production", 10.0, 5.0, 40.0),)))
    response, time = np.array([r["mean_response"] for r in rows]), np.array([r["time"] for r in rows])
    assert response[0] < 0.05
    assert np.interp(40.0, time, response) > 0.3
    assert response[-1] < 0.1


# --- from a config ------------------------------------------------------------------------------------------

ARTERY = CONFIGS / "artery_calcification.toml"
COARSE = ["section.spacing=40 um", "dose=[]", "time.end=20 d", "time.save=10 d"]


def test_a_run_of_a_tissue_from_its_config(tmp_path):
    with simulate(load_config(ARTERY, COARSE), out=tmp_path / "run") as run:
        assert "response" in run
        assert "bone" not in run
        assert run.provenance["model"] == "artery"
        response = run.series["mean_response"]
        assert response[-1] > response[0] == 0
        assert {"response_rate", "rank_K"} <= {row["name"] for row in run.parameter_table}
        overview(run, tmp_path / "overview.png")
    assert (tmp_path / "overview.png").stat().st_size > 20_000
    on = [*COARSE, f"initial.from={tmp_path / 'run' / 'run.h5'}"]
    with simulate(load_config(ARTERY, on)) as again:
        assert again.series["mean_response"][0] == pytest.approx(response[-1], rel=1e-6)
        assert again.series["mean_response"][-1] == pytest.approx(2 * response[-1], rel=0.05)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            'tumour={at = [["640 um", "640 um"]]}',
            r'tumour belongs to bone, and this run.s tissue is "artery"',
        ),
        ("model.preset=mouse", "model.preset belongs to bone"),
        (
            'dose=[{agent="bisphosphonate", amount=0.06, at=1}]',
            r'dose.0.agent = "bisphosphonate" belongs to bone',
        ),
        ('dose=[{agent="fc_opg", amount=1, lesion="0.1 mm^2"}]', r"dose.0.lesion belongs to bone"),
        ("model.parameters.turnover_speed=0.1", r"turnover_speed belongs to bone, and this run has none"),
        ("model.parameters.tumour_growth=0.1", r"tumour_growth belongs to a tumour, and this run has none"),
        ("model.name=vein", r'"vein"'),
        ("section.wall=900 um", r"section.wall = 900 um is more than the radius, 500 um"),
        ("section.count=9", r"there is room for \d of 9 rings"),
        ("change.0.parameter=chemotaxis", r'"chemotaxis" is not a known parameter'),
    ],
)
def test_what_contradicts_a_tissue_is_refused(override, said):
    with pytest.raises(InputError, match=said):
        load_config(ARTERY, [override]).problem()


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        (
            "response_rate",
            'belongs to tissue beyond bone, and this run has none. Choose one: model.name = "artery"',
        ),
        (
            "bisphosphonate_effect",
            "belongs to a bisphosphonate, and this run has none. Give a [[dose]] of it",
        ),
        (
            "membrane_share",
            "belongs to RANKL on membranes, and this run has none. Turn it on: model.membrane_rankl = true",
        ),
        ("tumour_growth", "belongs to a tumour, and this run has none. Plant one"),
    ],
)
def test_a_parameter_without_its_part_says_how_to_have_it(parameter, said):
    with pytest.raises(InputError, match=re.escape(said)):
        load_config(ARTERY.parent / "healthy_homeostasis.toml", [f"model.parameters.{parameter}=0.1"])


def test_a_config_of_a_tissue_can_be_checked_and_its_resolved_form_is_a_config(tmp_path):
    done = CliRunner().invoke(app, ["check", str(ARTERY)])
    assert done.exit_code == 0, done.output
    assert "response" in done.stdout
    config = load_config(ARTERY)
    Config.model_validate(config.resolved())
