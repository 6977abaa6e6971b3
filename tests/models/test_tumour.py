"""The tumour and what passes between it and bone; serum calcium; drugs that wait for a lesion; a
bisphosphonate; RANKL on membranes.
"""

import re

import numpy as np
import pytest

from rdsolver import load_config, open_run, simulate
from rdsolver.errors import InputError
from rdsolver.geometry.section import Section
from rdsolver.geometry.tumour_seeding import Nests
from rdsolver.models.bone import calcium
from rdsolver.models.bone.binders import drug
from rdsolver.models.bone.components.tumour import SerumCalcium, Tumour
from rdsolver.models.bone.parameters import parameters
from rdsolver.models.bone.pharmacokinetics import Treatment
from rdsolver.parallel import device
from rdsolver.simulation.time_loop import Simulation
from rdsolver.timestepping.trbdf2 import TRBDF2
from tests.support.places import CONFIGS
from tests.support.problems import (
    NEST,
    Dose,
    errors,
    fixed_steps,
    ill,
    problem,
    replace,
    run,
    series,
    square,
    state,
)

pytestmark = pytest.mark.long

CALCIUM = {p.name: p.value for p in parameters(components=(Tumour(),))}


@pytest.fixture(scope="module")
def untreated():
    return run(ill(save=(0.0, 40.0)))


# --- where it begins ----------------------------------------------------------------------------------------


def test_nests_fill_marrow_alone_and_are_the_same_at_any_spacing():
    p = problem(tumour=NEST)
    planted = NEST.planted(p.section)
    assert planted.max() <= 0.5
    assert np.all(planted + p.section.bone <= 1 + 1e-12)
    areas = []
    for n, h in ((32, 20.0), (64, 10.0)):
        free = replace(problem(square(n, h)).section, bone=np.full((n, n), 1e-3))
        areas.append(NEST.planted(free).sum() * h**2)
    assert areas[0] == pytest.approx(areas[1], rel=0.01)
    assert areas[1] == pytest.approx(0.5 * np.pi * 80**2, rel=0.01)


def test_random_nests_lie_in_marrow_apart_and_repeat():
    section = problem().section
    nests = Nests(count=3, radius=40.0, seed=4)
    first, again = nests.planted(section), nests.planted(section)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, replace(nests, seed=5).planted(section))


@pytest.mark.parametrize(
    ("nests", "said"),
    [
        (Nests(at=((5000.0, 100.0),)), "is outside the section"),
        (Nests(at=((100.0, 100.0, 100.0),)), "is outside the section"),
        (Nests(count=500, radius=60.0), "there is room for"),
    ],
)
def test_nests_that_do_not_fit_are_refused(nests, said):
    with pytest.raises(InputError, match=said):
        nests.planted(problem().section)


# --- what it does -------------------------------------------------------------------------------------------


def test_without_the_cycle_it_is_the_healthy_section(untreated):
    """The baseline does not know of the tumour."""
    healthy, _ = run(problem(end=1.0))
    with device.on("cpu"):
        ours = Simulation(ill())
    for name in ("rankl", "opg", "osteoclasts", "precursors"):
        np.testing.assert_allclose(
            np.asarray(ours.u[name]), np.asarray(healthy.scenario.u[name]), rtol=1e-8, atol=1e-12
        )


def test_a_tumour_is_conserved_by_its_transport_and_keeps_its_share_of_the_room():
    """No growth, no death: its amount stays to round-off, no density falls below the tolerance, and T over
    the room becomes level.
    """
    grid = square()
    y, x = np.meshgrid(grid.centres(0), grid.centres(1), indexing="ij")
    # marrow everywhere, of any share
    bone = 0.5 + 0.4 * np.cos(2 * np.pi * x / 480) * np.cos(2 * np.pi * y / 480)
    still = dict.fromkeys(
        (
            "tumour_growth",
            "tumour_death",
            "pthrp_rankl",
            "pthrp_precursors",
            "tumour_rankl",
            "formation_suppression",
        ),
        0.0,
    )
    place = Section(grid, bone, np.ones(grid.shape, bool))
    simulation, _ = run(
        problem(
            section=place,
            tumour=Nests(at=((240.0, 100.0),)),
            end=100.0,
            changed=still | {"tumour_motility": 1e4},
        )
    )
    start, end = np.asarray(simulation.scenario.u["tumour"]), state(simulation)["tumour"]
    assert end.sum() == pytest.approx(start.sum(), rel=1e-10)
    assert end.min() > -1e-3
    share = end / (1 - state(simulation)["bone"] + 0.01)
    assert np.ptp(share) < 0.05 * share.max()
    assert np.ptp(end) > 0.5 * end.max()


def test_the_vicious_cycle_and_each_of_its_arms(untreated):
    s = series(untreated[1])
    assert s["tumour_burden"][-1] > 3 * s["tumour_burden"][0]
    assert s["ntx"][-1] > 2
    assert s["bone_volume_fraction"][-1] < s["bone_volume_fraction"][0]
    assert s["serum_calcium"][-1] > s["serum_calcium"][0] + 0.05

    def last(**changed):
        found = series(run(ill(changed=changed))[1])
        return {k: found[k][-1] for k in ("ntx", "tumour_burden", "bone_volume_fraction", "bsap")}

    whole = last()
    # bone feeds it
    assert last(tumour_basal_growth=0.4, tgf_beta_half=100.0)["tumour_burden"] < 0.9 * whole["tumour_burden"]
    assert last(pthrp_rankl=0.0)["ntx"] < 0.9 * whole["ntx"]  # the host's RANKL
    assert last(pthrp_precursors=0.0)["ntx"] < 0.9 * whole["ntx"]
    quiet = last(pthrp_rankl=0.0, tumour_rankl=0.0)["ntx"]  # the three other sources, each without the host's
    for source in ("tumour_rankl", "stroma_rankl", "t_cell_rankl"):
        assert last(pthrp_rankl=0.0, **{"tumour_rankl": 0.0, source: 3.0})["ntx"] > 1.05 * quiet, source
    assert last(opg_suppression=0.9)["ntx"] > whole["ntx"]
    assert last(tumour_opg=30.0)["ntx"] < whole["ntx"]
    assert last(formation_suppression=0.0)["bone_volume_fraction"] > whole["bone_volume_fraction"]


def test_a_decoy_arrests_it(untreated):
    doses = tuple(Dose("fc_opg", 3.0, "sc", t) for t in (0.0, 7.0, 14.0, 21.0, 28.0, 35.0))
    s, ill_ = series(run(ill(agents=("fc_opg",), doses=doses))[1]), series(untreated[1])
    assert s["ntx"][-1] < 0.05 * ill_["ntx"][-1]
    assert s["tumour_burden"][-1] < ill_["tumour_burden"][-1]
    assert s["serum_calcium"].max() < ill_["serum_calcium"].max()


def test_both_integrators_agree_on_it():
    """Serum calcium follows a step's mean release, so it wants short steps of both."""
    (one, fine), (other, chunks) = (
        run(ill(end=20.0, tolerance=3e-4)),
        run(ill(end=20.0, integrator="rkc2", tolerance=1e-4)),
    )
    assert max(errors(state(other), state(one), other).values()) < 1e-2
    assert series(chunks)["serum_calcium"][-1] == pytest.approx(series(fine)["serum_calcium"][-1], abs=2e-3)


def test_second_order_with_a_tumour():
    with device.on("cpu"):
        simulation = Simulation(ill(end=20.0, tolerance=1e-5))
        for _ in simulation.steps():
            pass
        begin = TRBDF2(), simulation.scenario.between(20.0, 24.0), 20.0, simulation.u
        reference = fixed_steps(*begin, 24.0, 256)
        coarse, fine = (errors(fixed_steps(*begin, 24.0, n), reference, simulation) for n in (16, 32))
    for name in ("tumour", "pthrp", "tgf_beta", "osteoclasts", "bone"):
        assert np.log2(coarse[name] / fine[name]) > 1.8, name


def test_budgets_close_with_a_tumour(untreated):
    assert max(abs(b["imbalance"]) for b in untreated[0].budgets().values()) < 1e-11


# --- serum calcium ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("release", "level"), [(0.0, 2.40), (10.0, 2.76), (20.0, 3.09), (30.0, 3.40)])
def test_serum_calcium_in_balance(release, level):
    assert calcium.steady(release, 0.0, CALCIUM) == pytest.approx(level, abs=0.005)
    assert calcium.later(2.4, 60.0, release, 0.0, CALCIUM) == pytest.approx(
        calcium.steady(release, 0.0, CALCIUM), rel=1e-6
    )


def test_serum_calcium_stays_above_zero_however_much_bone_takes_up():
    assert calcium.later(2.4, 100.0, -1e4, 0.0, CALCIUM) > 0
    # PTHrP: kidneys take more back
    assert calcium.steady(10.0, 1.0, CALCIUM) > calcium.steady(10.0, 0.0, CALCIUM)
    assert calcium.steady(10.0, 0.0, CALCIUM | {"calcium_clearance": 0.7}) > calcium.steady(
        10.0, 0.0, CALCIUM
    )
    assert [calcium.grade(x) for x in (2.4, 2.7, 3.2, 3.6)] == ["none", "mild", "moderate", "severe"]


# --- drugs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0.0, 5.0])
def test_doses_that_wait_for_a_lesion_are_given_from_then_on(delay):
    lesion = 0.004  # mm2
    doses = (Dose("fc_opg", 3.0, "sc", delay), Dose("fc_opg", 3.0, "sc", delay + 7.0))
    waiting = ill(end=75.0, precision="float32", agents=("fc_opg",), treatments=(Treatment(lesion, doses),))
    simulation, chunks = run(waiting)
    s = series(chunks)
    begun = s["time"][np.argmax(s["lesion_area"] >= lesion)] + delay
    assert [d.time for d in simulation.scenario.doses] == pytest.approx([begun, begun + 7.0])
    assert np.all(s["plasma_fc_opg"][s["time"] <= begun] == 0)
    assert s["plasma_fc_opg"][s["time"] > begun + 0.5].min() > 0
    assert s["ntx"][s["time"] > begun].min() < 0.2 * s["ntx"].max()


def test_a_bisphosphonate_shortens_the_life_of_osteoclasts():
    p = problem(
        end=60.0,
        components=("bisphosphonate",),
        doses=(Dose("bisphosphonate", 4 / 70, "iv", 0.0),),
    )
    s = series(run(p)[1])
    assert s["bisphosphonate"][1] == pytest.approx(1.0, abs=0.01)
    assert s["bisphosphonate"][-1] == pytest.approx(0.5 ** (60 / 300), rel=1e-3)
    assert s["osteoclast_number"][-1] < 0.6 * s["osteoclast_number"][0]
    assert s["mean_free_rankl"][-1] == pytest.approx(s["mean_free_rankl"][0], rel=0.05)


def test_serum_calcium_does_not_depend_on_how_much_healthy_bone_the_section_holds():
    p = CALCIUM
    small, large = SerumCalcium(4e-3, p, None), SerumCalcium(1e-3, p, None)  # a crop, and four times as much
    for host, lost in ((small, 0.02), (large, 0.005)):
        host.after(0.0, {"bone_volume_fraction": 0.25, "mean_pthrp": 0.0}, p)
        host.after(5.0, {"bone_volume_fraction": 0.25 - lost, "mean_pthrp": 0.0}, p)
    assert small.calcium > 2.6
    assert small.calcium == pytest.approx(large.calcium, rel=1e-9)


# --- options ------------------------------------------------------------------------------------------------


def option(kind: str = "metastasis", agents: tuple[str, ...] = (), **changed: float):
    """The end of a short run of a tumour of this kind, with these parameters."""
    rows = parameters(tuple(map(drug, agents)), (Tumour(),))
    of_kind = {row.name: row.default("human", kind) for row in rows} | changed
    doses = tuple(Dose(a, 3.0, "sc", t) for a in agents for t in (0.0, 3.5, 7.0, 10.5))
    p = problem(tumour=NEST, agents=agents, doses=doses, end=14.0, changed=of_kind)
    simulation, chunks = run(p)
    return series(chunks), state(simulation)


def test_a_tumour_takes_up_opg():
    (_, plain), (_, hungry) = option(), option(tumour_opg_uptake=300.0)
    inside = plain["tumour"] > 0.2
    assert inside.any()
    assert hungry["opg"][inside].mean() < 0.5 * plain["opg"][inside].mean()
    assert hungry["rankl"][inside].mean() > 1.1 * plain["rankl"][inside].mean()


def test_trail_kills_unless_what_is_made_of_opg_binds_it():
    grown = {
        agent: option(agents=(agent,), trail_death=0.3)[0]["tumour_burden"][-1]
        for agent in ("fc_opg", "denosumab")
    }
    free = option(agents=("denosumab",))[0]["tumour_burden"][-1]
    assert grown["denosumab"] < 0.5 * free
    assert grown["fc_opg"] > 1.5 * grown["denosumab"]


def test_decoys_do_not_prevent_an_osteoblastic_lesion():
    gains = {
        agents: option("osteoblastic", agents)[0]["bone_volume_fraction"] for agents in ((), ("fc_opg",))
    }
    for gained in gains.values():
        assert gained[-1] > gained[0] * 1.005


# --- RANKL on membranes -------------------------------------------------------------------------------------


def test_rankl_on_membranes_keeps_the_balance_and_the_budgets():
    simulation, chunks = run(problem(components=("membrane_rankl",), end=200.0))
    s = series(chunks)
    assert np.abs(s["bone_volume_fraction"] / s["bone_volume_fraction"][0] - 1).max() < 5e-4
    assert max(abs(b["imbalance"]) for b in simulation.budgets().values()) < 1e-11
    assert state(simulation)["rankl_membrane"].max() > 0


def test_a_decoy_covers_rankl_on_membranes_too():
    dose = (Dose("fc_opg", 3.0, "sc", 0.0),)
    s = series(run(problem(components=("membrane_rankl",), agents=("fc_opg",), doses=dose, end=10.0))[1])
    assert s["ntx"].min() < 0.4


# --- the configs that come with it --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [p for p in sorted(CONFIGS.glob("*.toml")) if "microct" not in p.stem], ids=lambda p: p.stem
)
def test_a_config_says_what_it_shows_and_can_be_run(path):
    header = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert header.startswith("# ")
    assert re.search(r"10\.\d{4}|PNAS|Cancer Res|docs/|rdsolver params|MODEL", header), "no source"
    config = load_config(path, allow_python=True)
    assert config.problem().end == config.time.end
    assert not config.warnings


# --- what is refused, and what is said ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["tumour.radius=5 um"], r"tumour\.radius = 5 um is less than a cell, 10 um"),
        (["model.parameters.opg_suppression=2"], r"opg_suppression = 2 is too large\. Allowed: 0 to 1"),
        (
            ['agent=[{name="bisphosphonate", like="rank_fc"}]'],
            r"agent\.0\.like is given, and a bisphosphonate does not bind",
        ),
        (['agent=[{name="time", like="rank_fc"}]'], r"agent\.0\.name = \"time\" is taken"),
        (
            ['change=[{parameter="opg_surface_share", factor=4}]'],
            r"change\.0\.factor = 4 makes opg_surface_share 2",
        ),
    ],
)
def test_what_cannot_be_is_refused(overrides, said):
    with pytest.raises(InputError, match=said):
        load_config(CONFIGS / "metastasis_osteolytic.toml", overrides).problem()


def test_calcium_is_in_balance_whatever_the_kidneys():
    for changed in (
        {"calcium_intake": 0.0},
        {"calcium_filtration": 1.0},
        {"calcium_clearance": 0.05},
        {"calcium_reabsorption": 0.0},
    ):
        p = CALCIUM | changed
        level = calcium.steady(0.0, 0.0, p)
        assert calcium.excreted(level, 0.0, p) == pytest.approx(p["calcium_intake"], abs=1e-9)
        assert calcium.excreted(level + 0.01, 0.0, p) > p["calcium_intake"]


def test_a_run_goes_on_only_with_what_the_other_one_had(tmp_path):
    base = CONFIGS / "treat_bisphosphonate.toml"
    coarse = [
        "section.spacing=40 um",
        "time.end=2 d",
        "time.save=2 d",
        "dose.0.at=1 d",
        "dose.0.times=1",
        "tumour.radius=120 um",
    ]
    simulate(load_config(base, coarse), out=tmp_path / "first").close()
    on = [*coarse, f"initial.from={tmp_path / 'first' / 'run.h5'}"]
    for wrong, said in (
        (["dose.0.agent=rank_fc"], "holds bisphosphonate, which this run's model does not have"),
        (["model.membrane_rankl=true"], "holds no rankl_membrane, which belongs to the healthy baseline"),
        (["model.preset=mouse"], r"was made with turnover_speed = 0.027, and this run has 0.65"),
    ):
        with pytest.raises(InputError, match=said):
            simulate(load_config(base, [*on, *wrong]))
    with simulate(load_config(base, on)) as again, open_run(tmp_path / "first" / "run.h5") as first:
        assert again["tumour"][0].mean() == pytest.approx(first["tumour"][-1].mean(), rel=1e-5)


def test_a_treatment_that_never_begins_is_said(tmp_path):
    changed = ["section.spacing=40 um", "time.end=2 d", "tumour.radius=120 um", "dose.0.times=1"]
    changed += ["dose.0.agent=bisphosphonate"]  # compiled already
    with simulate(load_config(CONFIGS / "hypercalcaemia.toml", changed)) as short:
        assert short.summary["treatments_never_begun"] == 1
        assert short.provenance["doses"] == []
