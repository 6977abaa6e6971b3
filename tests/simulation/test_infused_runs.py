"""Whole runs with infusions and steady states: their events, their plasma, and runs that continue them."""

from dataclasses import replace

import numpy as np
import pytest

from rdsolver.errors import InputError
from rdsolver.models.bone.pharmacokinetics import Dose, Treatment, curve
from rdsolver.output.reader import open_run
from rdsolver.runs.run import simulate
from rdsolver.simulation.bone_scenario import BoneScenario
from tests.support.problems import problem, run, series

pytestmark = pytest.mark.long

END = 2.0
DOSES = (
    Dose("fc_opg", 3.0, "iv", 0.3, 0.4),
    Dose("fc_opg", 2.0, "iv", 0.5, 3.0),  # beyond the end
    Dose("fc_opg", 1.0, "sc", 0.6, 0.1 + 3e-12),  # ends with the first one, but for rounding
)


def infused(doses=DOSES, **rest):
    return problem(agents=("fc_opg",), components=("bisphosphonate",), doses=doses, **({"end": END} | rest))


def test_a_step_ends_at_the_end_of_each_infusion_and_plasma_is_the_curve():
    p = infused()
    simulation, steps = run(p)
    found = series(steps)
    assert simulation.scenario.events == [0.3, 0.5, 0.6, 0.7, END]
    assert {0.3, 0.5, 0.6, 0.7, END} <= {*found["time"]}
    assert np.diff(found["time"]).min() > 1e-6
    want = curve("fc_opg", p.parameters, p.doses, found["time"]) / p.parameters["fc_opg_molar_mass"]
    given = [0.3, 0.5, 0.6]
    assert found["plasma_fc_opg"] == pytest.approx(want, rel=1e-5, abs=1e-6)
    assert found["plasma_fc_opg"][found["time"] <= given[0]].max() == 0


def test_a_bisphosphonate_is_infused():
    found = series(run(infused((Dose("bisphosphonate", 4 / 70, "iv", 0.5, 0.25),)))[1])
    during = (found["time"] > 0.5) & (found["time"] <= 0.75)
    assert found["bisphosphonate"][during] == pytest.approx((found["time"][during] - 0.5) / 0.25, rel=2e-3)
    assert found["bisphosphonate"][found["time"] <= 0.5].max() == 0
    release = np.log(2) / 300
    whole = -np.expm1(-release * 0.25) / (release * 0.25)
    assert found["bisphosphonate"][-1] == pytest.approx(whole * np.exp(-release * 1.25), rel=1e-6)


def test_a_run_begins_in_steady_state_in_plasma_and_healthy_in_tissue():
    course = tuple(Dose("fc_opg", 3.0, "sc", float(t), 0.0, 0.0 if t else 1.0) for t in range(2))
    p = infused(course)
    found = series(run(p)[1])
    many = [Dose("fc_opg", 3.0, "sc", float(t)) for t in range(120)]
    molar_mass = p.parameters["fc_opg_molar_mass"]
    want = curve("fc_opg", p.parameters, many, np.array([118.0, 118.5, 119.0 + 0.999])) / molar_mass
    got = np.interp([0.0, 0.5, 1.999], found["time"], found["plasma_fc_opg"])
    assert got == pytest.approx(want, rel=1e-2)
    assert found["plasma_fc_opg"][0] == pytest.approx(want[0], rel=1e-5)
    assert found["ntx"][0] == pytest.approx(1.0, abs=1e-6)


def test_a_run_continues_the_infusions_of_the_one_before(tmp_path):
    at = {"precision": "float64", "tolerance": 1e-4}
    straight = run(infused(end=4.0, **at))[1][-1].observed
    simulate(infused(**at), out=tmp_path / "first").close()
    first = tmp_path / "first" / "run.h5"
    second = replace(infused((), **at), initial=first)
    with simulate(second, out=tmp_path / "second") as found:
        assert found.series["plasma_fc_opg"][-1] == pytest.approx(straight["plasma_fc_opg"], rel=1e-6)
        assert found.series["ntx"][-1] == pytest.approx(straight["ntx"], rel=1e-3)
        (left,) = found.provenance["doses"]
        assert (left["time"], left["route"]) == (0.0, "iv")
        assert left["amount"] == pytest.approx(2.0 / 3.0 * 1.5)
        assert left["duration"] == pytest.approx(1.5)
        assert 1.5 in found.series["time"]
    anew = replace(infused((Dose("fc_opg", 1.0, "sc", 0.0, 0.0, 7.0),), **at), initial=first)
    with simulate(anew, out=tmp_path / "anew") as found:
        assert [d["steady_interval"] for d in found.provenance["doses"]] == [7.0]
    with open_run(first) as found:
        assert found.state["infusions_fc_opg"].tolist() == pytest.approx([1.0, 1.0, 1.5])


@pytest.mark.usefixtures("double")
def test_infusions_that_wait_for_a_lesion_end_when_they_should():
    waiting = Treatment(0.01, (Dose("fc_opg", 1.0, "iv", 0.2, 0.1), Dose("fc_opg", 1.0, "iv", 0.3, 0.2)))
    scenario = BoneScenario(replace(infused(()), treatments=(waiting,)), begin=False)
    scenario.watched(0.1, 0.1, {"lesion_area": 0.02, "bone_volume_fraction": 0.3})
    assert scenario.events == pytest.approx([0.3, 0.4, 0.6, END], rel=1e-15)
    assert [d.amount for d in scenario._infusions("fc_opg", 0.3, 0.4)] == [1.0]
    assert scenario._infusions("fc_opg", 0.3, 0.4) != scenario._infusions("fc_opg", 0.4, 0.6)
    assert scenario._infusions("fc_opg", 0.6, END) == ()


def test_a_steady_state_that_is_never_reached_is_refused_before_anything_is_computed():
    still = {"fc_opg_clearance": 0.0, "fc_opg_saturable_elimination": 0.0}
    doses = (Dose("fc_opg", 1.0, "sc", 0.0, 0.0, 7.0),)
    with pytest.raises(InputError, match="has no steady state"):
        BoneScenario(infused(doses, changed=still), begin=False)
