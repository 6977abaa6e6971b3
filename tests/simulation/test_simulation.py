"""Whole runs on small sections: what stays, what moves, what closes, what two integrators agree on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from rdsolver import simulate
from rdsolver.errors import InputError
from rdsolver.geometry.boundary_conditions import Border
from rdsolver.geometry.grid import Grid
from rdsolver.geometry.section import Section, slab
from rdsolver.geometry.trabeculae import trabecular
from rdsolver.models.bone import model as bone_model
from rdsolver.models.bone.binders import OPG
from rdsolver.models.bone.binding import binding_rate
from rdsolver.parallel import device
from rdsolver.problem import Change
from rdsolver.simulation.time_loop import Simulation
from rdsolver.timestepping.rkc import RKC2
from rdsolver.timestepping.step_control import clipped
from rdsolver.timestepping.trbdf2 import TRBDF2
from tests.support.problems import (
    SPACING,
    Dose,
    errors,
    fixed_steps,
    problem,
    replace,
    run,
    series,
    square,
    state,
    under_a_drug,
)

pytestmark = pytest.mark.long

DOSED = {"grid": square(), "agents": ("fc_opg",), "doses": (Dose("fc_opg", 1.0, "sc", 2.0),), "end": 12.0}


@pytest.fixture(scope="module")
def dosed():
    """Fc-OPG on day 2, 12 days, default tolerance."""
    return run(problem(**DOSED, save=(0.0, 1.0, 2.5, 4.0, 8.5, 12.0)))


@pytest.fixture(scope="module")
def tight():
    """The same by the other integrator, tightly."""
    return run(problem(**DOSED, integrator="rkc2", tolerance=1e-5, save=(0.0, 1.0, 2.5, 4.0, 8.5, 12.0)))


# --- the healthy section stays, and comes back --------------------------------------------------------------


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("binary", [False, True])
def test_an_untreated_section_keeps_its_bone_for_a_year(ndim, binary):
    grid = square() if ndim == 2 else square(16, 30.0, 3)
    section = trabecular(grid, 0.3, 120.0, 1)
    if binary:
        section = replace(section, bone=(section.bone > 0.5).astype(float))
    simulation, chunks = run(problem(section=section, end=365.0, precision="float32"))
    bv = series(chunks)["bone_volume_fraction"]
    assert np.abs(bv / bv[0] - 1).max() < 5e-4
    assert np.abs(state(simulation)["bone"] - section.bone).max() < 1e-3
    assert simulation.totals.steps < 40


def test_a_pulse_of_rankl_is_overcome():
    """RANKL production doubled for 10 days: osteoclasts are back within 2 % after a year, and lost bone is
    partly refilled.
    """
    _, chunks = run(problem(end=365.0, changes=(Change("rankl_production", 2.0, 10.0, 20.0),)))
    s = series(chunks)
    oc, bv = (
        s["osteoclast_number"] / s["osteoclast_number"][0],
        s["bone_volume_fraction"] / s["bone_volume_fraction"][0],
    )
    assert oc.max() > 1.5
    assert abs(oc[-1] - 1) < 0.02
    assert bv.min() < 0.995
    assert bv[-1] - bv.min() > 0.3 * (1 - bv.min())
    assert 10.0 in s["time"]
    assert 20.0 in s["time"]


def front(h: float, preset: str, end: float, changes: tuple[Change, ...]) -> np.ndarray:
    """Where the surface of a slab stands at 0, 60 and `end` days, um."""
    section = slab(Grid((4, int(640 / h)), (h, h), thickness=10.0), thickness=400.0)
    p = problem(section=section, end=end, preset=preset, save=(0.0, 60.0, end), changes=changes)
    _, chunks = run(p)
    return np.array([f["bone"].mean(0).sum() * h for c in chunks for _, f in c.saved])


def test_a_resorption_front_runs_at_the_same_speed_on_both_grids():
    changes = (Change("rankl_production", 10.0, 0.0),)
    coarse, fine = (front(h, "human", 120.0, changes) for h in (10.0, 5.0))
    assert fine[0] - fine[2] > 5
    assert coarse[0] - coarse[2] == pytest.approx(fine[0] - fine[2], rel=0.02)
    assert coarse[1] - coarse[2] == pytest.approx(fine[1] - fine[2], rel=0.02)


def test_a_slab_eroded_by_200_um_refills_and_stays_bounded():
    """Far from where the surface was at baseline the reference still holds: bone comes back, within [0, 1],
    nothing runs away.
    """
    section = slab(Grid((4, 48), (20.0, 20.0), thickness=10.0), thickness=600.0)
    changes = (Change("rankl_production", 20.0, 0.0, 60.0),)
    p = problem(section=section, end=660.0, preset="mouse", save=(0.0, 60.0, 660.0), changes=changes)
    with device.on("cpu"):
        simulation, steps = Simulation(p, attempts=1), []
        for step in simulation.steps():
            steps.append(step)
            bone = np.asarray(simulation.u["bone"])
            assert bone.min() > -1e-3
            assert bone.max() < 1 + 1e-3
    before, eroded, after = (f["bone"].mean(0).sum() * 20.0 for step in steps for _, f in step.saved)
    assert before - eroded > 200
    assert eroded + 10 < after < before + 1
    s = series(steps)
    assert np.all(np.isfinite(s["bsap"]))
    assert s["bsap"][-1] < 3


# --- budgets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("precision", "bound"), [("float64", 1e-11), ("float32", 1e-5)])
def test_budgets_of_rankl_and_of_each_binder_close(precision, bound):
    simulation, _ = run(problem(**DOSED, precision=precision))
    budgets = simulation.budgets()
    assert set(budgets) == {"rankl", "opg", "fc_opg"}
    for b in budgets.values():
        assert abs(b["imbalance"]) < bound
        assert b["source"] > 0


def test_one_wrong_sign_in_the_binding_breaks_the_budgets(monkeypatch):
    reaction = bone_model.BoneModel.reaction

    def wrong(self, u, p, place, s, inputs):
        out = reaction(self, u, p, place, s, inputs)
        net = binding_rate(p, OPG, u["rankl"], u["opg"], u["rankl_opg"])
        return out | {"opg": out["opg"] + 2 * net}

    monkeypatch.setattr(bone_model.BoneModel, "reaction", wrong)
    own = square(15, 32.0)  # what is compiled from the wrong rates serves no other test
    changes = (Change("rankl_production", 2.0, 0.2),)
    simulation, _ = run(problem(own, end=1.0, changes=changes))
    assert abs(simulation.budgets()["opg"]["imbalance"]) > 1e-3


# --- time integration ---------------------------------------------------------------------------------------


def test_the_two_integrators_agree_within_tolerance(dosed, tight):
    simulation, chunks = dosed
    found = errors(state(simulation), state(tight[0]), simulation)
    assert max(found.values()) < 2e-3
    a, b = series(chunks), series(tight[1])
    assert np.abs(np.interp(a["time"], b["time"], b["ntx"]) - a["ntx"]).max() < 1e-3


def test_a_dose_is_given_once_however_often_the_course_is_asked():
    p = problem(
        agents=("fc_opg",),
        doses=(Dose("fc_opg", 1.0, "iv", 0.0), Dose("fc_opg", 1.0, "sc", 2.0)),
        end=4.0,
    )
    with device.on("cpu"):
        scenario = Simulation(p).scenario
        first, again = ((scenario.between(0.0, 2.0), scenario.between(2.0, 4.0)) for _ in range(2))
        for one, other in zip(first, again, strict=True):
            assert np.array_equal(one.forcing.values, other.forcing.values)
        inside = scenario.plasma_at(1.0)["fc_opg"]  # between two events
        inside.advance(1.0, 2.0)
        np.testing.assert_allclose(inside.amounts, scenario.plasma_at(2.0)["fc_opg"].amounts, rtol=1e-4)
        assert np.array_equal(
            scenario.plasma_at(1.0)["fc_opg"].amounts, scenario.plasma_at(1.0)["fc_opg"].amounts
        )


def test_states_saved_between_steps_are_within_tolerance(dosed, tight):
    """The Hermite interpolant against steps that land: each field within 2 tolerances of scale + size."""
    simulation, chunks = dosed
    saved, want = ({t: f for c in chunks_ for t, f in c.saved} for chunks_ in (chunks, tight[1]))
    assert list(saved) == [0.0, 1.0, 2.5, 4.0, 8.5, 12.0]
    for t in saved:
        for f in simulation.fields:
            off = np.abs(saved[t][f.name] - want[t][f.name])
            assert np.sqrt(np.mean((off / (1e-3 * (f.scale + np.abs(want[t][f.name])))) ** 2)) < 2


def test_float32_takes_the_steps_of_float64(dosed):
    simulation, _ = run(problem(**DOSED, precision="float32"))
    assert abs(simulation.totals.solves - dosed[0].totals.solves) <= 0.1 * dosed[0].totals.solves
    # docs/reproducibility.md
    assert max(errors(state(simulation), state(dosed[0]), simulation).values()) < 1e-4
    assert dosed[0].totals.contraction < 0.35
    assert simulation.totals.contraction < 0.35


def test_steps_do_not_depend_on_the_spacing(dosed):
    finer, _ = run(problem(**DOSED | {"grid": square(32, SPACING / 2)}))
    assert finer.totals.solves == pytest.approx(dosed[0].totals.solves, rel=0.15)


def test_error_falls_with_the_tolerance(dosed, tight):
    want = series(tight[1])
    after = want["time"] >= 2.0  # the dose bends the curve
    exact = CubicSpline(want["time"][after], want["ntx"][after])  # the reference takes long steps too

    def distance(integrator, tolerance):
        _, chunks = run(problem(**DOSED, integrator=integrator, tolerance=tolerance))
        s = series(chunks)
        late = s["time"] > 3
        return np.abs(exact(s["time"]) - s["ntx"])[late].max()

    found = [distance("tr-bdf2", tol) for tol in (1e-2, 1e-3, 1e-4)]
    assert found[0] > found[1] > found[2]
    assert np.log10(found[0] / found[2]) / 2 > 0.5


@pytest.mark.parametrize(("integrator", "steps"), [(TRBDF2(), (8, 16)), (RKC2(), (16, 32))])
def test_second_order_with_fixed_work(integrator, steps):
    """Fixed steps over four days of a falling drug, from a smooth state: the error falls by four with half
    the step.
    """
    with device.on("cpu"):
        simulation = under_a_drug()
        begin = integrator, simulation.scenario.between(2.0, 6.0), 2.0, simulation.u
        reference = fixed_steps(*begin, 6.0, 256)
        coarse, fine = (errors(fixed_steps(*begin, 6.0, n), reference, simulation) for n in steps)
    for name in ("osteoclasts", "precursors", "bone", "formation_signal", "r1", "r2"):
        assert np.log2(coarse[name] / fine[name]) > 1.85, name


def test_landings():
    assert clipped(1.0, 0.9) == 0.9
    assert clipped(1.0, 1.5) == 0.75  # halved rather than a sliver left
    assert clipped(1.0, 2.0) == 1.0


def test_two_runs_give_the_same_bits(dosed):
    again, _ = run(problem(**DOSED, save=(0.0, 1.0, 2.5, 4.0, 8.5, 12.0)))
    assert all(
        np.array_equal(a, b) for a, b in zip(state(again).values(), state(dosed[0]).values(), strict=True)
    )


# --- place --------------------------------------------------------------------------------------------------


def test_nothing_lives_or_flows_outside_the_field_of_view():
    grid = square()
    y, x = np.meshgrid(*[np.linspace(-1, 1, 16)] * 2, indexing="ij")
    active = y**2 + x**2 < 0.95
    section = Section(grid, trabecular(grid, 0.3, 120.0, 1).bone * active, active)
    simulation, chunks = run(
        problem(section=section, agents=("fc_opg",), doses=(Dose("fc_opg", 3.0, "sc", 0.0),), end=3.0)
    )
    for name, values in state(simulation).items():
        assert np.abs(values[~active]).max() == 0, name
    assert all(abs(b["imbalance"]) < 1e-11 for b in simulation.budgets().values())
    assert state(simulation)["fc_opg"][active].min() > 0
    assert series(chunks)["ntx"][-1] < 0.5


def test_a_transposed_section_gives_the_transposed_result():
    section = trabecular(square(), 0.3, 110.0, 2)
    turned = replace(section, bone=section.bone.T.copy())
    results = [
        state(run(problem(section=s, end=5.0, changes=(Change("rankl_production", 2.0, 1.0),)))[0])
        for s in (section, turned)
    ]
    for name in results[0]:
        assert np.allclose(results[0][name], results[1][name].T, rtol=1e-9, atol=1e-12)


def test_most_osteoclasts_keep_to_bone():
    from scipy.ndimage import distance_transform_edt

    section = trabecular(square(64, 10.0), 0.25, 120.0, 1)
    with device.on("cpu"):
        osteoclasts = state(Simulation(problem(section=section)))["osteoclasts"]
    bone = section.bone > 0.5
    distance = np.maximum(distance_transform_edt(bone), distance_transform_edt(~bone)) * 10.0 - 5.0
    assert osteoclasts[distance <= 30].sum() > 0.9 * osteoclasts.sum()


# --- runs that go on from runs, files -----------------------------------------------------------------------


def test_a_run_goes_on_from_another(tmp_path):
    """Two runs of 4 d, the second from the first, against one of 8 d with the dose in the first half."""
    base = problem(
        square(), agents=("fc_opg",), doses=(Dose("fc_opg", 1.0, "sc", 1.0),), end=4.0, tolerance=1e-4
    )
    whole, _ = run(replace(base, end=8.0, save=(8.0,)))
    simulate(base, out=tmp_path / "first").close()
    second = replace(base, doses=(), initial=tmp_path / "first" / "run.h5", save=(0.0, 4.0))
    with simulate(second) as result:
        got = {k: result.state[k] for k in state(whole)}
        assert result.series["plasma_fc_opg"][0] > 0
        assert max(errors(got, state(whole), whole).values()) < 3e-4
    elsewhere = replace(second, section=trabecular(square(), 0.3, 110.0, 9))
    with pytest.raises(InputError, match="another section"):
        simulate(elsewhere)
    with pytest.raises(InputError, match=r"fc_opg.*\[\[agent\]\]"):
        simulate(replace(problem(end=1.0), initial=second.initial))


def test_the_wall_time_stops_a_run_and_keeps_it(tmp_path):
    with simulate(problem(end=400.0), out=tmp_path, walltime=1e-3) as result:
        assert result.status == "stopped"
        assert "walltime" in result.message
        assert result.state["time"] == result.series["time"][-1]


def test_the_file_and_memory_hold_the_same(tmp_path):
    p = problem(end=2.0, save=(0.0, 1.0, 2.0))
    with simulate(p, out=tmp_path) as file, simulate(p) as memory:
        assert np.array_equal(file["rankl"][:], memory["rankl"][:])
        assert np.array_equal(file.series["ntx"], memory.series["ntx"])
        assert file.reference["bone"].shape == (16, 16)
        assert file.parameters == p.parameters
    with pytest.raises(InputError, match="--force"):
        simulate(p, out=tmp_path)


def test_a_gpu_that_is_not_there_is_named_before_anything_is_written(tmp_path):
    if any(d.platform == "gpu" for d in jax.devices()):
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match="gpu"):
        simulate(problem(), out=tmp_path / "new", device="gpu")
    assert not (tmp_path / "new").exists()


def test_x64_is_as_the_caller_left_it():
    simulate(problem(end=0.5)).close()
    assert jnp.zeros(1).dtype == jnp.float32


def test_open_borders_are_in_the_baseline_and_in_the_budgets():
    """RANKL held at one side, OPG exchanged at another: nothing changes untreated, and what passes is
    counted.
    """
    borders = (
        Border("rankl", "value", "x", "low", value=0.05),
        Border("opg", "exchange", "y", "high", value=0.0, exchange=200.0),
    )
    dose = (Dose("fc_opg", 1.0, "sc", 1.0),)
    quiet, chunks = run(problem(borders=borders, agents=("fc_opg",), end=2.0))
    assert np.allclose(series(chunks)["ntx"], 1, atol=1e-6)
    assert state(quiet)["rankl"][:, 0].min() > 5 * np.median(state(quiet)["rankl"][:, -1])
    treated, _ = run(problem(borders=borders, agents=("fc_opg",), doses=dose, end=3.0))
    assert {abs(b["imbalance"]) < 1e-12 for b in treated.budgets().values()} == {True}
    explicit, _ = run(
        problem(
            borders=borders,
            agents=("fc_opg",),
            doses=dose,
            end=3.0,
            integrator="rkc2",
            tolerance=1e-4,
        )
    )
    assert max(errors(state(treated), state(explicit), treated).values()) < 5e-3


def test_a_border_on_a_drug_waits_for_the_run():
    """The healthy section has no drug, whatever a side lets in; then it comes in through that side."""
    entry = (Border("fc_opg", "exchange", "y", "high", value=10.0, exchange=1e4),)
    simulation, chunks = run(problem(agents=("fc_opg",), borders=entry, end=0.5))
    assert series(chunks)["tissue_fc_opg"][0] == 0
    drug = state(simulation)["fc_opg"]
    assert drug[-1].mean() > 2 * drug[0].mean() > 0
    assert all(abs(b["imbalance"]) < 1e-12 for b in simulation.budgets().values())
