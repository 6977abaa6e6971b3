"""Targets of the model that one run can show, against their published bands (docs/model.md)."""

import numpy as np
import pytest

from rdsolver.config.load import config_from
from rdsolver.models.bone import cells, matrix
from rdsolver.problem import Change
from rdsolver.studies.validation.drugs import FROZEN
from rdsolver.studies.validation.mechanisms import ADDED, SWITCHES, TUMOUR, as_markdown, rebounds, table
from rdsolver.studies.validation.scenes import Scene, SceneRunner, every
from rdsolver.studies.validation.tumour import far
from tests.support.problems import Dose, problem, run, series, square, values

pytestmark = pytest.mark.long


def dosed(amount, end):
    """24 x 24 cells and one dose of Fc-OPG, mg/kg, on day 0."""
    doses = (Dose("fc_opg", amount, "sc", 0.0),)
    return problem(square(24, 20.0), agents=("fc_opg",), doses=doses, end=end, precision="float32")


def test_bone_markers_after_one_dose_of_fc_opg():
    """T3: 3 mg/kg s.c. in women, change of NTX and BSAP in % (Bekker 2001, 10.1359/jbmr.2001.16.2.348).

    Calibration (K_eff, e, tau).
    """
    _, chunks = run(dosed(3.0, 42.0))
    s = series(chunks)

    def change(name: str, day: float) -> float:
        return 100 * (np.interp(day, s["time"], s[name]) - 1)

    assert change("ntx", 0.5) <= -15
    assert -88 <= change("ntx", 4) <= -70
    assert -25 <= change("ntx", 42) <= 10
    assert change("bsap", 21) > -25
    assert -40 <= change("bsap", 42) <= -20


@pytest.mark.parametrize(
    ("amount", "low", "high"), [(0.1, -30, 0), (0.3, -60, -30), (1.0, -100, -60), (3.0, -100, -75)]
)
def test_ntx_nadir_falls_with_the_dose_of_fc_opg(amount, low, high):
    """T4: Fc-OPG, NTX nadir in % (Zierhut 2008, Body 2003). Calibration."""
    _, chunks = run(dosed(amount, 14.0))
    assert low < 100 * (series(chunks)["ntx"].min() - 1) < high


QUICK = SceneRunner(True, 1)
SMALL = SceneRunner(True, 1, size=480.0)
SMALL.spacing = 30.0  # 16 x 16 cells


def test_bone_falls_and_osteoclasts_rise_with_the_ratio_of_rankl_to_opg():
    """T2: human trabeculae, 180 days (Boaretti 2023, 10.3389/fbioe.2023.1091294). Calibration."""
    placebo = every("denosumab", 0.0, 182.0, 182.0)  # the program of the test below
    found = [
        SMALL(Scene(180.0, doses=placebo, changes=(Change("rankl_production", r, 0.0),)))
        for r in (0.5, 1.0, 4.0, 8.0, 16.0)
    ]
    assert np.all(np.diff([r.end("bone_volume_fraction") for r in found]) < 0)
    # at 16 the surface that osteoclasts live on is going
    assert np.all(np.diff([r.end("osteoclast_number") for r in found[:-1]]) > 0)


def test_osteoclasts_overshoot_after_denosumab_only_where_precursors_pile_up():
    """T10 (10.3389/fbioe.2022.886579). Calibration (the pool)."""
    doses = every("denosumab", 1.0, 182.0, 182.0)
    free, frozen = (
        SMALL(Scene(400.0, doses=doses, changed=changed)).relative("osteoclast_number")
        for changed in ((), FROZEN)
    )
    assert free.max() > 1.03
    assert frozen.max() < 1.005
    assert free.min() < 0.1


def test_a_decoy_does_not_act_on_a_tumour_away_from_bone():
    """T6: growth outside bone unchanged (Morony 2001). The same model, the nest 1.1 mm from a slab."""
    alone, treated = (QUICK(far(*every("fc_opg", amount, 2.0, 28.0))) for amount in (0.0, 10.0))
    assert alone.end("tumour_burden") > 1.5 * alone.series["tumour_burden"][0]
    assert treated.end("tumour_burden") == pytest.approx(alone.end("tumour_burden"), rel=3e-3)
    assert treated.end("mean_free_rankl") < 0.1 * alone.end("mean_free_rankl")


def test_the_bone_of_compared_grids_is_the_same_bone():
    fine, coarse = (
        config_from(SMALL.tables(Scene(1.0, spacing=h)), "scene").problem().section for h in (10.0, 20.0)
    )
    assert fine.grid.shape == (48, 48)
    np.testing.assert_allclose(fine.bone.reshape(24, 2, 24, 2).mean(axis=(1, 3)), coarse.bone, atol=1e-12)


def test_switches_leave_no_answer_to_the_occupancy():
    u = np.array([0.3, 1.0, 4.0])
    off = values() | {k: x for s in SWITCHES for k, x in s.off.items()}
    for answer in (cells.differentiation, cells.activation, cells.death):
        assert np.ptp(np.asarray(answer(values(), u))) > 0.1 * float(answer(values(), u)[1])
        np.testing.assert_allclose(
            np.asarray(answer(off, u)), float(answer(values(), np.ones(1))[0]), rtol=1e-6
        )
    assert np.all(np.asarray(cells.drift_speed(off, u)) == 0)
    np.testing.assert_allclose(np.asarray(matrix.formed_after(off, u, np.ones(3), 1.0)), 1.0, rtol=0.02)


def test_each_mechanism_switched_off_changes_the_metastasis():
    rows = list(table(SMALL, days=40.0))
    found = {switch.name: figures for switch, figures in rows}
    whole = found.pop("none")
    assert set(found) == {s.name for s in (*SWITCHES, *TUMOUR, *ADDED)}
    less = {  # of osteoclasts or of tumour, by how much at least
        "differentiation": ("osteoclasts, /mm³", 0.9),
        "survival": ("osteoclasts, /mm³", 0.8),
        "PTHrP on host RANKL": ("osteoclasts, /mm³", 0.7),
        "PTHrP on precursors": ("osteoclasts, /mm³", 0.7),
        "PTHrP": ("osteoclasts, /mm³", 0.4),
        "TGF-beta": ("tumour, share of the section", 0.8),
        "tumour RANKL": ("osteoclasts, /mm³", 0.999),
    }
    for name, (figure, most) in less.items():
        assert found[name][figure] < most * whole[figure], name
    for name in ("activation", "chemotaxis", "uncoupling by the tumour"):
        assert found[name]["BV/TV"] > whole["BV/TV"] + 1e-4, name
    assert found["coupling"]["BV/TV"] < whole["BV/TV"] - 1e-4
    assert as_markdown(rows, 40.0).count("\n| ") == len(found) + 3


def test_opg_of_young_osteocytes_makes_the_rebound():
    """T19, coarse: what the other mechanisms leave of it."""
    rows = {switch.name: figures for switch, figures in rebounds(SMALL)}
    peak = "NTX at its most after it, %"
    assert rows["none"][peak] > 20
    assert rows["OPG of young osteocytes"][peak] < 5
    assert rows["(on) osteomorphs"][peak] == pytest.approx(rows["none"][peak], abs=8)
    assert (
        rows["supply of precursors"]["NTX before a fifth dose, %"]
        > rows["none"]["NTX before a fifth dose, %"] + 10
    )
