"""Derivatives of a run by its parameters: against finite differences, in files and figures; whole ranges
through SALib.
"""

import csv
import json
import sys
import tomllib
from pathlib import Path

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

from rdsolver import open_sweep
from rdsolver.cli.main import app
from rdsolver.config.load import config_from
from rdsolver.config.toml import put
from rdsolver.errors import InputError, RunError
from rdsolver.figures.tornado import Bar, Panel, tornado
from rdsolver.geometry.section import coarsened
from rdsolver.geometry.tumour_seeding import Nests
from rdsolver.models.bone import calcium
from rdsolver.models.bone.pharmacokinetics import Treatment
from rdsolver.parallel import device
from rdsolver.problem import Change
from rdsolver.simulation.bone_scenario import BoneScenario
from rdsolver.studies.sensitivity import command, global_
from rdsolver.studies.sensitivity import local as local_module
from rdsolver.studies.sensitivity.global_ import designed, scan
from rdsolver.studies.sensitivity.inputs import directions, plain, recorded, size, values_of
from rdsolver.studies.sensitivity.local import KINDS, NOT_DIFFERENTIATED, local, serum, taken
from rdsolver.studies.sensitivity.ranges import coarse, parameters_at, ranges, typical
from rdsolver.studies.sensitivity.tangent import Replay
from rdsolver.sweep.design import of_rows
from rdsolver.units import number
from rdsolver.utils.reporting import Silent
from tests.support.problems import Dose, problem, replace, square

pytestmark = pytest.mark.long

STEP = 1e-4  # of finite differences, relative
TOLERANCE = 1e-2  # of the run: what is compared is the same steps, however long they are
# of every part: molecules, cells, bone, tumour, serum calcium, plasma; one that [[change]] multiplies, one
# that is 0
NAMES = (
    "rankl_production",
    "opg_K_eff",
    "osteoclast_death",
    "chemotaxis",
    "surface_reference",
    "tumour_growth",
    "calcium_filtration",
    "rank_fc_clearance",
)
ZERO = "tumour_opg"
NEST = Nests(at=((240.0, 200.0),), radius=80.0)


def ill(end=3.0, **rest):
    """16 x 16 cells, a tumour, a dose on day 1, RANKL raised from day 1 to 2."""
    changes = (Change("rankl_production", 1.5, 1.0, 2.0),)
    return problem(
        square(16, 30.0),
        agents=("rank_fc",),
        doses=(Dose("rank_fc", 3.0, "sc", 1.0),),
        tumour=NEST,
        changes=changes,
        end=end,
        **rest,
    )


class Differences:
    """Central differences of the same steps, with everything solved anew."""

    def __init__(self, run):
        self.run, self.replay = run, Replay(run, plain, steps_of_newton=12)

    def series(self, values):
        seen = jax.device_get(list(self.replay.series(values_of(self.run, values))))
        found = {k: np.array([s[k] for s in seen]) for k in seen[0]}
        scenario = self.run.scenario.with_parameters(values)
        levels = [calcium.steady(0.0, 0.0, scenario.in_force(0.0))]
        for i, days in enumerate(np.diff(self.run.times)):
            lost = found["bone_volume_fraction"][i] - found["bone_volume_fraction"][i + 1]
            levels.append(
                scenario.hosts["tumour"].later(
                    levels[-1], days, lost, found["mean_pthrp"][i + 1], scenario.in_force(self.run.times[i])
                )
            )
        return found | {"serum_calcium": np.array(levels)}

    def by(self, name):
        """Of every series by one parameter, (T,)."""
        values = self.run.scenario.problem.parameters
        h = STEP * size(values[name])
        above, below = (self.series(values | {name: values[name] + s * h}) for s in (1, -1))
        return {k: (above[k] - below[k]) / (2 * h) for k in above}


@pytest.fixture(scope="module")
def found():
    """What the analysis says of it, and the run it is of."""
    p = ill(save=())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_module, "TOLERANCE", TOLERANCE)
        result = local(p, [*NAMES, ZERO, "rankl_scale"])
    with device.on("cpu"):
        return result, recorded(p)


def test_derivatives_are_those_of_finite_differences(found):
    result, run = found
    exact = {(d.observable.name, d.parameter.name): d for d in result.derivatives}
    with device.on("cpu"):
        differences = Differences(run)
        values = differences.series(run.scenario.problem.parameters)
        checked = 0
        for name in (*NAMES, ZERO):
            slopes = differences.by(name)
            for observable in result.observables:
                series, kind = observable.name.rsplit(".", 1)
                value, (want,) = taken(
                    kind, run.times, values[series], run.scenario.events, slopes[series][:, None]
                )
                got = exact[observable.name, name]
                assert got.observable.value == pytest.approx(value, rel=1e-6)
                if value and abs(want * size(got.at) / value) > 1e-3:
                    assert got.value == pytest.approx(want, rel=1e-3), (observable.name, name)
                    checked += 1
    assert checked > 100


def test_the_replay_is_the_run(found):
    """More V-cycles than the run took change it by less than a third of its tolerance."""
    _, run = found
    with device.on("cpu"):
        again = Differences(run).series(run.scenario.problem.parameters)
    for name, values in again.items():
        np.testing.assert_allclose(values, run.series[name], rtol=0.3 * TOLERANCE, atol=1e-9)


def test_the_baseline_moves_with_the_parameters_and_has_settled(found):
    """θ0, k_res and the state, against baselines found on their own."""
    result, run = found
    assert result.settled < 1e-8
    p = run.scenario.problem
    names = ["opg_K_eff", "precursor_loss", "turnover_speed"]
    with device.on("cpu"):
        state, reference = Replay(run).baseline(directions(run, names * 2 + names[:2]))
        for i, name in enumerate(names):
            values = [p.parameters | {name: p.parameters[name] * (1 + s * STEP)} for s in (1, -1)]
            above, below = (type(run.scenario)(replace(p, parameters=v)) for v in values)
            for key in ("theta0", "k_res", "jbar"):
                want = (above.system.place.reference[key] - below.system.place.reference[key]) / (2 * STEP)
                np.testing.assert_allclose(
                    reference.along[key][i], want, rtol=1e-4, atol=1e-6 * abs(reference.value[key])
                )
            for key in ("rankl", "osteoclasts", "formation_signal"):
                want = (above.u[key] - below.u[key]) / (2 * STEP)
                scale = float(abs(state.value[key]).max())
                np.testing.assert_allclose(state.along[key][i], want, rtol=1e-4, atol=1e-6 * scale)


def test_what_is_known_without_computing(found):
    """NTX is linear in its background; the healthy serum calcium balances intake; what sets tolerances alone
    is left out, and said.
    """
    result, run = found
    assert dict(result.left_out) == {
        "rankl_scale": NOT_DIFFERENTIATED["rankl_scale"],
        "lesion_area": dict(result.left_out)["lesion_area"],
    }
    by_zero = [d for d in result.of("ntx.mean") if d.parameter.name == ZERO]
    assert [d.logarithmic for d in by_zero] == [None]
    flat = {k: np.zeros((len(run.times), 1)) for k in ("bone_volume_fraction", "mean_pthrp")}
    values, along = serum(run, ["calcium_intake"], run.series, flat)
    np.testing.assert_allclose(values, run.series["serum_calcium"], rtol=1e-6)
    p = run.scenario.in_force(0.0)
    lower, upper = (
        calcium.steady(0.0, 0.0, p | {"calcium_intake": p["calcium_intake"] * (1 + s * 1e-4)})
        for s in (-1, 1)
    )
    assert along[0, 0] == pytest.approx((upper - lower) / 2e-4, rel=1e-3)


def test_a_treatment_that_a_lesion_started_stays_where_it_was():
    p = ill(save=(), changed={"turnover_speed": 20.0, "rankl_production_factor": 20.0})
    waiting = Treatment(1e-4, (Dose("rank_fc", 3.0, "sc", 0.0),))
    p = replace(p, doses=(), treatments=(waiting,), changes=(), end=3.0)
    with device.on("cpu"):
        run = recorded(p)
        (begun,) = [d.time for d in run.scenario.doses]
        assert 0 < begun < p.end
        seen = jax.device_get(list(Replay(run).series(directions(run, ["rank_fc_clearance"] * 8))))
        slopes = Differences(run).by("rank_fc_clearance")
    got = np.array([s.along["plasma_rank_fc"][0] for s in seen])
    assert np.all(got[run.times <= begun] == 0)
    assert got[-1] < 0
    for name in ("plasma_rank_fc", "mean_free_rankl"):
        want = slopes[name] * p.parameters["rank_fc_clearance"]
        np.testing.assert_allclose(
            [s.along[name][0] for s in seen], want, rtol=1e-3, atol=1e-5 * abs(want).max()
        )
    assert any("start when they did" in note for note in local_module.notes_of(p, run))


def test_an_extremum_lies_between_the_steps():
    times = np.array([0.0, 1.0, 2.5, 3.0, 4.0])
    shift = 1.7
    value, along = taken(
        "min", times, (times - shift) ** 2 + 2, slopes=np.stack([-2 * (times - shift), np.ones(5)], axis=1)
    )
    assert value == pytest.approx(2)
    np.testing.assert_allclose(along, [0, 1], atol=1e-12)  # the moment moves, the lowest value does not
    assert taken("min", times, (times - shift) ** 2 + 2, events=(1.0,))[0] == pytest.approx(2.49)
    assert taken("mean", np.array([0.0, 1.0, 3.0]), np.array([0.0, 1.0, 1.0]))[0] == pytest.approx(2.5 / 3)
    assert taken("max", times, np.ones(5))[0] == 1


# --- whole ranges -------------------------------------------------------------------------------------------


def test_ranges_are_those_of_the_uncertain_parameters():
    p = ill()
    found, left_out = ranges(p, None)
    names = {r.parameter.name: r for r in found}
    assert all(set(r.parameter.mark) & {"A", "U"} for r in found)
    assert {"smoothing_length", "rankl_scale", "rankl_production_factor", ZERO} <= dict(left_out).keys()
    assert names["opg_K_eff"].logarithmic
    assert not names["opg_surface_share"].logarithmic
    for r in found:
        assert (r.at(0.0), r.at(1.0)) == (pytest.approx(r.low), pytest.approx(r.high))
        assert r.low <= p.parameters[r.parameter.name] <= r.high
    fast = parameters_at(p, found, np.zeros(len(found)))
    assert fast["opg_kon"] * fast["opg_K_eff"] > fast["rankl_loss"]


def test_scales_follow_the_parameters():
    """At the defaults they are the defaults; with OPG 1000 times stronger, the baseline is found from them
    alone.
    """
    p = problem(square(16, 30.0))
    found = typical(p.parameters)
    for name, value in found.items():
        assert value == pytest.approx(p.parameters[name], rel=0.02)
    strong = p.parameters | {"opg_K_eff": 3e-3, "opg_kon": 1e5, "opg_loss": 0.4}
    with device.on("cpu"):
        with pytest.raises(RunError, match="not found"):
            BoneScenario(replace(p, parameters=strong))
        assert np.isfinite(
            float(
                BoneScenario(replace(p, parameters=strong | typical(strong))).system.place.reference["theta0"]
            )
        )


def test_a_coarse_section_keeps_its_bone():
    fine = problem(square(96, 10.0)).section
    wide = coarsened(fine, coarse(fine))
    assert (wide.grid.shape, wide.grid.spacing) == ((32, 32), (30.0, 30.0))
    assert wide.bone_volume_fraction == pytest.approx(fine.bone_volume_fraction, rel=1e-12)
    assert coarsened(wide, coarse(wide)) is wide


SAMPLED = ["chemotaxis", "osteoclast_motility", "drift_limit"]


def test_morris_and_sobol_find_what_acts(monkeypatch):
    """With an outcome that is known: ntx.end = 3 x of one parameter, and failures at one end of another."""

    def known(design, folder, wanted, *_):
        value = {
            key: np.array([number(row[f"model.parameters.{key}"], unit) for row in design.rows])
            for key, unit in UNITS.items()
        }
        failed = value["osteoclast_motility"] > 5000
        return np.where(failed, np.nan, 3 * np.log(value["chemotaxis"]))[:, None], {
            "no baseline": int(failed.sum())
        }

    UNITS = {"chemotaxis": "um^2/d", "osteoclast_motility": "um^2/d"}
    monkeypatch.setattr(global_, "_all", known)
    for method, samples in (("morris", 12), ("sobol", 16)):
        result = scan(config(), method, samples, 1, SAMPLED, ["ntx.end"])
        assert result.of("ntx.end")[0].parameter.name == "chemotaxis"
        assert result.of("ntx.end")[1].size == pytest.approx(0, abs=1e-9)
        assert dict(result.failed).keys() == {"no baseline"}
        assert 2 <= result.whole < result.blocks
        assert sum(dict(result.failed).values()) < result.samples
    size_of = scan(config(), "morris", 12, 1, SAMPLED, ["ntx.end"]).of("ntx.end")[0]
    span = next(r for r in ranges(config().problem(), SAMPLED)[0] if r.parameter.name == "chemotaxis")
    assert size_of.size == pytest.approx(3 * np.log(span.high / span.low), rel=1e-6)


def test_a_sample_is_the_config_with_other_numbers():
    """On its section made coarse, in float64; what no sample moves stays out of the design."""
    fine = config(**{"section.spacing": "2.5 um"})  # 64 cells across
    p = fine.problem()
    found, _ = ranges(p, SAMPLED)
    design = designed(fine, p, found, np.array([[0.5, 0.5, 0.5], [1.0, 0.0, 0.5]]))
    keys = {f"model.parameters.{k}" for k in SAMPLED}
    assert set(design.varied) - keys <= {
        f"model.parameters.{k}_scale" for k in ("rankl", "opg", "precursor", "osteoclast")
    }
    first, second = (design.config(i).problem() for i in range(2))
    assert (first.grid.shape, first.solver.precision, first.output.fields) == ((32, 32), "float64", ())
    assert second.parameters["chemotaxis"] == next(r.high for r in found if r.parameter.name == "chemotaxis")
    assert {k for k in first.parameters if first.parameters[k] != second.parameters[k]} == set(SAMPLED[:2])


def test_too_few_samples_are_said_not_used(monkeypatch):
    def none(design, folder, wanted, *_):
        return np.full((len(design), len(wanted)), np.nan), {"no baseline": len(design)}

    monkeypatch.setattr(global_, "_all", none)
    with pytest.raises(RunError, match=r"6 of 6 samples failed \(most often: no baseline\)"):
        scan(config(), "morris", 2, 1, ["chemotaxis", "drift_limit"], ["ntx.end"])


# --- the command --------------------------------------------------------------------------------------------

CONFIG = """
title = "small"
[section]
kind = "slab"
size = ["160 um", "160 um"]
spacing = "20 um"
thickness = "10 um"
[time]
end = "1 d"
save = "1 d"
"""


def config(**changed):
    return config_from(tables(**changed), "mine.toml")


def tables(**changed):
    found = tomllib.loads(CONFIG)
    for key, value in changed.items():
        put(found, key, value, key)
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(CONFIG)
    return tmp_path


def rdsolver(*words):
    return CliRunner().invoke(app, ["sensitivity", "mine.toml", *words])


def test_the_command_writes_table_files_and_figure(folder, found, monkeypatch):
    """Of derivatives that are there already."""
    asked = []
    monkeypatch.setattr(
        command, "local", lambda problem, names, observables, tell: asked.append(names) or found[0]
    )
    done = rdsolver("--parameters", "osteoclast_death, ntx_background", "--json", "s.json", "--csv", "s.csv")
    assert done.exit_code == 0, done.output
    assert asked == [["osteoclast_death", "ntx_background"]]
    assert "d ln O/d ln p" in done.stdout
    tree = json.loads(Path("s.json").read_text(encoding="utf-8"))
    rows = {(r["observable"], r["parameter"]): r for r in tree["sensitivities"]}
    assert {o.rsplit(".", 1)[1] for o, _ in rows} == set(KINDS)
    ntx = rows["ntx.end", "osteoclast_death"]
    assert ntx["logarithmic"] == pytest.approx(ntx["derivative"] * ntx["at"] / ntx["value"])
    with open("s.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    assert (folder / "outputs" / "mine" / "sensitivity.png").stat().st_size > 10_000


def test_the_command_samples_whole_ranges(folder):
    words = [
        "--jobs",
        "1",
        "--global",
        "morris",
        "--samples",
        "2",
        "--parameters",
        "differentiation,drift_limit",
        "--observables",
        "ntx.end,lesion_area.end",
    ]
    done = rdsolver(*words, "--json", "s.json", "--figure", "t.pdf", "--out", "runs")
    assert done.exit_code == 0, done.output
    tree = json.loads(Path("s.json").read_text(encoding="utf-8"))
    assert (tree["kind"], tree["samples"], tree["whole_blocks"]) == ("morris", 6, 2)
    assert {r["observable"]: r["mu_star"] for r in tree["sensitivities"]}["lesion_area.end"] == 0
    assert Path("t.pdf").stat().st_size > 3000
    assert open_sweep("runs").counts == {"finished": 6}
    # of the runs that are there
    assert "drift_limit" in rdsolver(*words, "--json", "s.json", "--out", "runs", "--figure", "t.pdf").stdout


def test_samples_that_cannot_be_run_are_counted(folder):
    """One whose koff is not above 0, and one that takes too many steps."""
    design = of_rows(
        "sample",
        tables(),
        [{"model.parameters.opg_kon": kon, "solver.max_steps": n} for kon, n in ((1.0, 99), (864.0, 1))],
    )
    y, failed = global_._all(design, folder / "runs", ["ntx.end"], Silent(), 1, True)
    assert np.isnan(y).all()
    assert len(failed) == 2
    koff, steps = sorted(failed)
    assert koff.startswith("model.parameters.opg_K_eff gives a dissociation rate that is not positive")
    assert steps.startswith("… steps reached … of … d, and solver.max_steps allows no more.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--parameters", "osteoclast_deth"], ["osteoclast_deth", "osteoclast_death"]),
        (["--observables", "ntx"], ["ntx", "ntx.min"]),
        (["--observables", "lesion_area.end"], ["lesion_area.end", "ntx.min"]),
        (["--figure", "t.gif"], ["t.gif", ".png"]),
        (["--json", "nowhere/s.json"], ["nowhere"]),
        (["--samples", "4"], ["--samples", "--global"]),
        (["--out", "runs"], ["--out", "--global"]),
        (["--global", "monte_carlo"], ["monte_carlo", "morris", "sobol"]),
        (["--global", "sobol", "--samples", "6"], ["6", "power of 2"]),
        (
            ["--global", "morris", "--parameters", "smoothing_length,drift_limit"],
            ["smoothing_length", "cannot be sampled"],
        ),
        (["--global", "morris", "--parameters", "drift_limit"], ["two parameters"]),
    ],
)
def test_bad_input_is_said_before_anything_is_computed(folder, words, said):
    done = rdsolver(*words)
    assert done.exit_code == 2
    assert all(word in done.output for word in said), done.output
    assert not (folder / "outputs").exists()


def test_without_salib_the_way_to_install_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "SALib.analyze.morris", None)
    with pytest.raises(InputError, match=r"pip install"):
        scan(config())


def test_a_run_that_goes_on_from_another_is_refused():
    with pytest.raises(InputError, match="continues another"):
        local(replace(ill(), initial=Path("run.h5")))


def test_a_tornado_without_bars_is_a_figure(tmp_path):
    panels = [Panel("nothing", ()), Panel("one", (Bar("a", "what it is", "A", -0.5, 0.1),))]
    assert tornado(panels, tmp_path / "t.png", "measure").stat().st_size > 5000
