"""The components of remodelling: OPG of young osteocytes, mineral, osteomorphs; and where RANKL is made."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from rdsolver.models.bone.component import Component
from rdsolver.models.bone.components import NAMES, component, every
from rdsolver.models.bone.components.mineral import Mineral
from rdsolver.models.bone.components.osteocyte_opg import OsteocyteOpg
from rdsolver.models.bone.components.osteomorphs import Osteomorphs
from rdsolver.models.bone.pharmacokinetics import Dose
from tests.models.test_component import conditions, rates
from tests.support.problems import problem, run, series, square, state

pytestmark = pytest.mark.usefixtures("double")
ALL = ("mineral", "osteocyte_opg", "osteomorphs", "membrane_rankl")
COURSE = (Dose("denosumab", 1.0, "sc", 0.0), Dose("denosumab", 1.0, "sc", 182.0))


@pytest.mark.parametrize("name", NAMES)
def test_components_of_one_kind_are_equal_so_that_they_share_programs(name):
    one, other = component(name)(), component(name)()
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize("part", every(), ids=lambda part: part.name)
def test_a_closed_form_solves_the_equation_of_a_stage(part: Component):
    """σ (u - ψ) = rates, at the solution."""
    c, sigma = conditions([part]), jnp.asarray(0.3)
    for group in (g for g in part.groups if g.solve == "pointwise"):
        psi = {name: 0.7 * c.u[name] + 0.1 for name in group.fields}
        solved = part.pointwise(group.name, psi, sigma, c)
        there = c.model.conditions(c.u | solved, c.p, c.place, c.geometry, c.inputs)
        for name in group.fields:
            np.testing.assert_allclose(
                sigma * (solved[name] - psi[name]), part.reaction(there)[name], rtol=1e-9, atol=1e-12
            )


def test_all_together_leave_a_healthy_section_as_it_is_and_close_the_budgets():
    simulation, chunks = run(problem(components=ALL, agents=("denosumab",), end=365.0))
    for name in ("bone_volume_fraction", "bone_mineral", "osteoclast_number"):
        assert np.abs(series(chunks)[name] / series(chunks)[name][0] - 1).max() < 5e-4, name
    assert max(abs(b["imbalance"]) for b in simulation.budgets().values()) < 1e-11


def test_budgets_close_while_a_drug_covers_rankl_on_membranes():
    doses = (Dose("denosumab", 1.0, "sc", 0.0),)
    simulation, _ = run(problem(components=ALL, agents=("denosumab",), doses=doses, end=30.0))
    assert max(abs(b["imbalance"]) for b in simulation.budgets().values()) < 1e-11
    assert state(simulation)["rankl_denosumab"].max() > 0


def test_both_integrators_agree_on_all_of_them():
    doses = (Dose("denosumab", 1.0, "iv", 0.0),)
    ends = [
        state(
            run(
                problem(
                    square(8, 60.0),
                    integrator=i,
                    tolerance=1e-5,
                    components=ALL,
                    agents=("denosumab",),
                    doses=doses,
                    end=3.0,
                )
            )[0]
        )
        for i in ("tr-bdf2", "rkc2")
    ]
    for name in ("osteoclasts", "young_osteocytes", "mineral", "osteomorphs", "rankl_membrane", "bone"):
        scale = np.abs(ends[0][name]).max()
        np.testing.assert_allclose(ends[1][name], ends[0][name], atol=2e-3 * scale, err_msg=name)


def test_opg_falls_when_remodelling_is_suppressed_for_long_and_resorption_then_overshoots():
    def course(*components: str):
        p = problem(components=components, agents=("denosumab",), doses=COURSE, end=600.0)
        return series(run(p)[1])

    plain, with_it = course(), course("osteocyte_opg")
    assert plain["ntx"].max() < 1.02
    assert with_it["ntx"].max() > 1.08
    assert with_it["mean_free_rankl"].max() > 1.1 * with_it["mean_free_rankl"][0]


def test_osteomorphs_are_made_for_want_of_rankl_alone_and_come_back_as_osteoclasts():
    c = conditions([Osteomorphs()])
    found, plain = rates(c), rates(conditions([]))
    fused = found["osteoclasts"] - plain["osteoclasts"]
    lost = c.p["osteomorph_loss"] * c.u["osteomorphs"]
    made = found["osteomorphs"] + fused + lost
    starved = np.asarray(c.relative_occupancy < 1)
    assert starved.any()
    assert not starved.all()
    assert np.all(np.asarray(made)[starved] > 0)
    np.testing.assert_allclose(np.asarray(made)[~starved], 0, atol=1e-12)
    assert np.all(fused > 0)


def test_mineral_of_bone_at_rest_is_below_that_of_old_bone_and_rises_when_turnover_stops():
    p = problem(components=("mineral",), agents=("denosumab",), doses=COURSE, end=364.0)
    simulation, chunks = run(p)
    s, end = series(chunks), state(simulation)
    begun = s["bone_mineral"][0] / s["bone_volume_fraction"][0]
    assert 0.85 < begun < 0.98
    assert s["bone_mineral"][-1] / s["bone_volume_fraction"][-1] > begun + 0.02
    assert np.all(end["mineral"] <= end["bone"] + 1e-9)


def test_new_bone_brings_its_first_mineral_and_resorption_takes_the_mineral_that_is_there():
    part = Mineral()
    c = conditions([part], mineral_maturation=1e12)
    speed, f, j = c.place.reference["k_res"] * c.geometry.w, c.formation, c.resorption
    inner = np.asarray((c.u["bone"] > 0.5) & (c.u["bone"] < 0.94))
    want = c.p["mineral_at_first"] * speed * f - speed * j * c.u["mineral"] / c.u["bone"]
    np.testing.assert_allclose(
        np.asarray(part.reaction(c)["mineral"])[inner], np.asarray(want)[inner], rtol=1e-6, atol=1e-11
    )


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_osteocytes_leaves_all_rankl_that_a_healthy_section_makes(share):
    c = conditions([], osteocyte_rankl_share=share)
    made = c.rankl_production.sum() / (c.p["rankl_production"] * c.p["rankl_production_factor"])
    assert float(made) == pytest.approx(float(c.geometry.w.sum()), rel=1e-12)
    inside = c.rankl_production * (c.geometry.w == 0)
    assert (float(inside.sum()) > 0) == (share > 0)


def test_each_source_of_rankl_can_be_knocked_out():
    gone = {"osteocyte_rankl_factor": 0.0, "surface_rankl_factor": 0.0}
    assert float(jnp.abs(conditions([], **gone).rankl_production).max()) == 0
    c = conditions([], rank_factor=0.0)
    assert float(jnp.abs(c.model.occupancy(c)).max()) == 0


def test_young_osteocytes_are_the_surface_at_rest():
    simulation, _ = run(problem(components=("osteocyte_opg",), end=1.0))
    u = {k: jnp.asarray(x) for k, x in state(simulation).items()}
    w = simulation.scenario.system.update_coefficients(u).w
    np.testing.assert_allclose(u["young_osteocytes"], w, rtol=1e-6, atol=1e-9)
    assert OsteocyteOpg().healthy


BIRTHS = {
    "wild type": ({}, 0.99, 1.01, 0),
    "OPG": ({"opg_production_factor": 0.0}, 2.0, 30.0, -1),
    "RANKL": ({"rankl_production_factor": 0.0}, -1e-9, 1e-9, 1),
    "RANK": ({"rank_factor": 0.0}, -1e-9, 1e-9, 1),
    "OPG x 10": ({"opg_production_factor": 10.0}, 0.0, 0.5, 1),
}
"""What differs, the least and the most osteoclasts over those of wild type, and the way that bone takes."""


@pytest.mark.parametrize(("changed", "low", "high", "way"), BIRTHS.values(), ids=[*BIRTHS])
def test_a_knock_out_from_birth_begins_in_its_own_steady_state(changed, low, high, way):
    healthy, chunks = run(problem(components=("osteocyte_opg",), end=0.5))
    begun = series(chunks)["osteoclast_number"][0]
    p = problem(components=("osteocyte_opg",), end=0.5, changed=changed, from_birth=True)
    simulation, chunks = run(p)
    s = series(chunks)
    assert low <= s["osteoclast_number"][0] / begun <= high
    # cytokines are in a steady state: nothing jumps when the run begins
    assert s["mean_free_rankl"][-1] == pytest.approx(s["mean_free_rankl"][0], rel=2e-3, abs=1e-9)
    gained = simulation.scenario.bone_changes
    assert np.sign(gained if abs(gained) > 1e-4 else 0.0) == way
    for name, value in healthy.scenario.reference.items():
        np.testing.assert_allclose(simulation.scenario.reference[name], value, rtol=1e-9)
