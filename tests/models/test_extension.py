"""What a user adds to the bone model: a cell type, a source, a binder made in the tissue."""

import re

import numpy as np
import pytest
from typer.testing import CliRunner

from rdsolver import load_config, open_run, simulate
from rdsolver.cli.main import app
from rdsolver.errors import InputError
from rdsolver.models.base import Field, Parameter
from rdsolver.models.bone.binders import Binder
from rdsolver.models.bone.extension import Extension
from rdsolver.parallel import device
from rdsolver.simulation.time_loop import Simulation
from rdsolver.timestepping.trbdf2 import TRBDF2
from tests.support.places import ROOT
from tests.support.problems import errors, fixed_steps, problem, replace, run, series, square, state

pytestmark = pytest.mark.long

T_CELLS = Extension(
    "T cells",
    unknowns=(Field("t_cells", "1/mm^3", 100.0, "T cells"),),
    parameters=(
        Parameter("t_cell_rankl_rate", 5e-4, "nM mm^3/d", "RANKL made by a T cell", "assumed", "A", 0.0, 0.1),
        Parameter("t_cell_growth", 0.1, "1/d", "growth of T cells", "assumed", "A", 0.0, 1.0),
        Parameter("t_cell_motility", 200.0, "um^2/d", "motility of T cells", "assumed", "A", 0.0, 1e4),
    ),
    rates=lambda u, p, at: {
        "t_cells": p["t_cell_growth"] * u["t_cells"] * (1 - u["t_cells"] / 200),
        "rankl": p["t_cell_rankl_rate"] * u["t_cells"],
    },
    moves={"t_cells": "t_cell_motility"},
    medium="cells",
    start={"t_cells": 50.0},
)
SECOND = Binder("decoy", "opg", "second decoy", drug=False)
DECOY = Extension(
    "a second decoy",
    binders=(SECOND,),
    parameters=(
        Parameter("decoy_production", 2.4, "nM/d", "its production in marrow", "assumed", "A", 0.0, 100.0),
    ),
    rates=lambda u, p, at: {"decoy": p["decoy_production"] * at["marrow"]},
)


def extended(added, n=16, end=10.0, **changed):
    return problem(square(n), end=end, tolerance=1e-4, extension=added, changed=changed)


def seen(p, name):
    """An observable over a run."""
    return series(run(p)[1])[name]


def test_cells_of_their_own_grow_move_and_make_rankl():
    plain = seen(problem(), "mean_free_rankl")
    simulation, chunks = run(extended(T_CELLS))
    rankl = series(chunks)["mean_free_rankl"]
    assert rankl[0] == pytest.approx(plain[0], rel=1e-6)  # the same baseline
    assert rankl[-1] > 1.05 * plain[-1]
    logistic = 200 / (1 + 3 * np.exp(-0.1 * 10.0))
    cells = state(simulation)["t_cells"]
    assert cells.max() == pytest.approx(logistic, rel=0.05)
    assert cells.min() < cells.max() / 1.5  # they began in marrow alone


def test_the_switch_turns_it_off():
    simulation, chunks = run(extended(T_CELLS, extension=0.0))
    assert series(chunks)["osteoclast_number"][-1] == pytest.approx(
        seen(problem(), "osteoclast_number")[-1], rel=1e-6
    )
    assert np.abs(state(simulation)["t_cells"]).max() < 0.1


def test_what_is_added_counts_in_the_budgets():
    with device.on("cpu"):
        for added in (T_CELLS, DECOY):
            simulation = Simulation(extended(added, end=4.0))
            for _ in simulation.steps():
                pass
            for name, found in simulation.budgets().items():
                assert abs(found["imbalance"]) < 1e-9, name


def test_a_binder_made_in_the_tissue_is_one_more_decoy():
    free, still = (
        seen(extended(replace(DECOY, healthy=healthy)), "mean_free_rankl") for healthy in (False, True)
    )
    assert free[-1] < 0.8 * free[0]
    # part of the healthy section: what the other one comes to
    assert still[0] == pytest.approx(free[-1], rel=0.02)
    assert np.ptp(still) < 1e-6 * still[0]


def test_second_order_with_what_it_adds():
    with device.on("cpu"):
        simulation, _ = run(extended(T_CELLS, end=4.0))  # past the jump of day 0
        system = simulation.scenario.between(0.0, 4.0)
        exact, *coarse = (fixed_steps(TRBDF2(), system, 0.0, simulation.u, 4.0, n) for n in (256, 8, 16, 32))
    found = [max(errors(u, exact, simulation).values()) for u in coarse]
    assert found[0] / found[1] > 3.2
    assert found[1] / found[2] > 3.2


# --- from a config ------------------------------------------------------------------------------------------

PAGE = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
SHED, CELLS, JOINT = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[-3:]
DRUG_TOML, CELLS_TOML, JOINT_TOML = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[3:]
SMALL = ('section.size=["480 um", "480 um"]', "section.spacing=30 um", "time.end=12 d")
BARE = CELLS_TOML[CELLS_TOML.index("[section]") :].replace(
    '[[dose]]\nagent = "fc_opg"\namount = "1 mg/kg"\nat = "10 d"\n', ""
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {"shed_rank.py": SHED, "t_cells.py": CELLS, "joint.py": JOINT, "t_cells.toml": CELLS_TOML}
    files |= {
        "joint.toml": JOINT_TOML + BARE,
        "drug.toml": BARE + DRUG_TOML,
        "shed.toml": 'model = "shed_rank.py:SHED_RANK"\n' + BARE,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def loaded(name, *overrides):
    return load_config(name, [*SMALL, *overrides], allow_python=True)


def test_the_cell_type_of_the_page_runs_from_config_to_figure(folder):
    words = ["run", "t_cells.toml", "--allow-python", *(w for o in SMALL for w in ("--set", o))]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "T cells; from" in done.stdout
    with open_run(folder / "outputs" / "t_cells" / "run.h5") as kept:
        assert kept["t_cells"].unit == "1/mm^3"
        assert kept.series["mean_t_cells"][-1] > 1.5 * kept.series["mean_t_cells"][0]
        assert kept.series["plasma_fc_opg"].max() > 0
        assert kept.provenance["extension"] == "T cells"
        assert kept.provenance["model_source"] == CELLS
        assert {"t_cell_growth", "extension"} <= {row["name"] for row in kept.parameter_table}
    assert (folder / "outputs" / "t_cells" / "overview.png").stat().st_size > 20_000


def test_the_binders_and_the_source_of_the_page_run(folder):
    drug, shed, joint = (simulate(loaded(name)) for name in ("drug.toml", "shed.toml", "joint.toml"))
    assert drug.series["tissue_decoy_x"].max() > 0
    assert drug.series["mean_free_rankl"].min() < 0.5 * drug.series["mean_free_rankl"][0]
    assert "rankl_shed_rank" in shed
    # part of the healthy section
    assert np.ptp(shed.series["mean_free_rankl"]) < 1e-4 * shed.series["mean_free_rankl"][0]
    time, rankl = joint.series["time"], joint.series["mean_free_rankl"]
    assert np.ptp(rankl[time <= 5.0]) < 1e-4 * rankl[0]
    assert rankl[time > 6.0].min() > 1.2 * rankl[0]


def test_a_tumour_and_an_extension_in_one_run(folder):
    both = simulate(
        loaded(
            "t_cells.toml",
            'tumour={at = [["240 um", "240 um"]], radius = "80 um"}',
            "time.end=4 d",
            "dose=[]",
        )
    )
    assert {"tumour", "t_cells"} <= set(both)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ('"t_cells", "1/mm^3"', '"bone", "1/mm^3"', ['unknowns hold "bone", which is taken']),
        ('"t_cell_growth", 0.1', '"rankl_loss", 0.1', ['parameters hold "rankl_loss", which is taken']),
        ('start={"t_cells": 50.0}', 'start={"cells": 50.0}', ['start names "cells"', "t_cells"]),
        (
            'start={"t_cells": 50.0}',
            'start={"t_cells": -1}',
            ["start gives t_cells the value -1", "at least 0"],
        ),
        ("t_cells", "free_rankl", ['unknowns hold "free_rankl", which is taken']),
        ("t_cells", "x", ['unknowns hold "x", which is taken']),
        ('"t_cell_growth", 0.1', '"extension", 0.1', ['parameters hold "extension", which is taken']),
        (
            'start={"t_cells": 50.0}',
            'start={"t_cells": 50.0}, healthy=True',
            ["start is given, and healthy too"],
        ),
        ("    return {", "    return None and {", ["the rates of extension T cells give NoneType"]),
        ('p["t_cell_release"] * cells', 'p["t_cell_releas"] * cells', ["t_cells.py, line 9: KeyError"]),
        ('p["t_cell_release"] * cells', "cells / 0.0", ["that of rankl is not finite at the start"]),
        ('medium="cells"', 'medium="blood"', ["medium", '"marrow" or "cells"']),
        (
            '"rankl": p["t_cell_release"]',
            '"bone": p["t_cell_release"]',
            ["give ['bone', 't_cells']", "of every field: t_cells, and may give what is added to rankl"],
        ),
    ],
)
def test_slips_in_an_extension_are_errors_of_the_input(folder, old, new, parts):
    (folder / "t_cells.py").write_text(CELLS.replace(old, new))
    done = CliRunner().invoke(app, ["run", "t_cells.toml", "--allow-python", "--out", "out"])
    assert done.exit_code == 2, done.output
    for part in parts:
        assert part in done.output.replace("\n", " ")


def test_an_extension_belongs_to_bone(folder):
    with pytest.raises(InputError, match=r'model.from belongs to bone, and this run.s tissue is "artery"'):
        loaded("t_cells.toml", 'model={from = "t_cells.py:T_CELLS", name = "artery"}')
