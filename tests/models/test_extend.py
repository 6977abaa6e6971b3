"""A model of one's own: the files that docs/extend.md shows, run by the command line; what it gives, and what
is refused.
"""

import json
import re
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from typer.testing import CliRunner

from rdsolver import load_config, open_run, simulate
from rdsolver.cli.main import app
from rdsolver.errors import InputError
from rdsolver.geometry.grid import Grid
from rdsolver.geometry.trabeculae import trabecular
from rdsolver.models.base import Field
from rdsolver.models.pointwise import ReactionDiffusion
from rdsolver.models.verification import DECOY, DECOY_VALUES, FISHER, decoy_sources
from rdsolver.problem import ModelProblem, Source
from rdsolver.timestepping.registry import INTEGRATORS
from tests.support.places import ROOT

pytestmark = pytest.mark.long

PAGE = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
GRAY_SCOTT, COLONY = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[:2]
GRAY_TOML, TABLE_TOML, COLONY_TOML = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[:3]
SMALL = ('section.size=["24 um", "24 um"]', "time.end=20 d", "time.save=10 d")
COARSE = ('section.size=["480 um", "480 um"]', "section.spacing=20 um", "time.end=12 d", "time.save=6 d")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (("gray_scott", GRAY_SCOTT), ("colony", COLONY)):
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "gray_scott.toml").write_text(GRAY_TOML)
    (tmp_path / "colony.toml").write_text(COLONY_TOML)
    return tmp_path


def rdsolver(*arguments: str, allow: bool = True, overrides: tuple[str, ...] = ()):
    words = [
        *arguments,
        *(["--allow-python"] if allow else []),
        *(w for o in overrides for w in ("--set", o)),
    ]
    return CliRunner().invoke(app, words)


def gray_scott(*overrides: str):
    return load_config("gray_scott.toml", [*SMALL, *overrides], allow_python=True)


# --- what the page shows ------------------------------------------------------------------------------------


def test_the_page_shows_the_files_that_come_with_rdsolver():
    assert (ROOT / "configs" / "gray_scott.py").read_text(encoding="utf-8") == GRAY_SCOTT
    assert (ROOT / "configs" / "gray_scott.toml").read_text(encoding="utf-8") == GRAY_TOML
    assert len(GRAY_SCOTT.splitlines()) < 40
    assert "gray_scott" in rdsolver("example", allow=False).stdout
    assert rdsolver("example", "gray_scott.py", allow=False).stdout == GRAY_SCOTT


def test_a_whole_model_from_its_file_to_its_figure(folder):
    done = rdsolver("run", "gray_scott.toml", overrides=(*SMALL, "model.parameters.feed=0.2"))
    assert done.exit_code == 0, done.output
    for part in (
        "warning",
        "feed = 0.2 1/d lies outside the plausible range",
        "Gray-Scott: u (substrate)",
        "mean substrate 0.6",
    ):
        assert part in done.stdout
    out = folder / "outputs" / "gray_scott"
    assert {p.name for p in out.iterdir()} == {"run.h5", "run.log", "overview.png"}
    for p in folder.glob("*.py"):
        p.unlink()
    with open_run(out / "run.h5") as run:
        assert (list(run), run.status, list(run.times)) == (["u", "v"], "finished", [0.0, 10.0, 20.0])
        assert list(run.series) == ["time", "mean_u", "mean_v"]
        (feed,) = (row for row in run.parameter_table if row["name"] == "feed")
        assert (feed["value"], feed["unit"], feed["mark"]) == (0.2, "1/d", "U")
        assert run.provenance["model_source"] == GRAY_SCOTT
        assert run.provenance["model_sha256"] == sha256(GRAY_SCOTT.encode()).hexdigest()
        assert run.config["model"]["from"].endswith("gray_scott.py:GRAY_SCOTT")
        assert 0.5 < run.series["mean_u"][0] < run.series["mean_u"][-1] < 1
    assert "model sha256" in rdsolver("info", str(out), allow=False).stdout
    assert rdsolver("plot", str(out), "--out", "again.svg", allow=False).exit_code == 0
    for part in ("mean activator", "half the change"):
        assert part in (folder / "again.svg").read_text()


def test_the_table_sets_what_the_short_form_leaves(folder):
    (folder / "table.toml").write_text(re.sub("^model = .*$", "", GRAY_TOML, flags=re.MULTILINE) + TABLE_TOML)
    table = load_config("table.toml", allow_python=True)
    assert table.warnings == []
    assert table.values == load_config("gray_scott.toml", allow_python=True).values | {"kill": 0.062}


def test_a_mask_of_bone_is_left_alone_and_a_change_acts(folder):
    problem = load_config("colony.toml", COARSE, allow_python=True).problem()
    assert isinstance(problem, ModelProblem)
    bone = problem.arrays["bone"]
    with simulate(problem) as run, simulate(replace(problem, changes=())) as unchanged:
        cells = run["cells"][-1]
        assert (np.isnan(cells) == (bone >= 0.5)).all()
        assert run.series["time"].tolist().count(10.0) == 1
        grown = [np.interp([9.9, 12.0], r.series["time"], r.series["mean_cells"]) for r in (run, unchanged)]
        assert grown[0][0] == pytest.approx(grown[1][0], rel=1e-3)
        assert grown[0][1] < 0.9 * grown[1][1]
        assert (run.reference["bone"] == bone).all()


def test_bone_is_there_for_figures_of_a_part(folder):
    part = ("output.stride=2", "output.crop=[[4, 24], [0, 20]]", "time.end=1 d", "time.save=1 d")
    problem = load_config("colony.toml", [*COARSE[:2], *part, "change=[]"], allow_python=True).problem()
    with simulate(problem) as run:
        assert (run.saved_cells(run.reference["bone"]) == problem.arrays["bone"][4:24:2, 0:20:2]).all()


def test_the_same_config_again_is_the_same_run(folder):
    """The resolved config in the file is a config; random starts follow the seed."""
    first = gray_scott().problem()
    resolved = json.loads(first.config)
    again = load_config(
        "gray_scott.toml", [f"{k}={_toml(v)}" for k, v in resolved.items()], allow_python=True
    ).problem()
    other = gray_scott("initial.seed=2").problem()
    assert json.loads(again.config) == resolved
    assert (again.initial["v"] == first.initial["v"]).all()
    assert (other.initial["v"] != first.initial["v"]).any()


def _toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_integrators_agree(folder, integrator):
    """At 20 d in float64, with a change on the way; exponential ones in the whole box."""
    tight = (
        "solver.precision=float64",
        "solver.tolerance=1e-6",
        "change.0.parameter=kill",
        "change.0.factor=1.5",
        "change.0.at=7 d",
    )
    with (
        simulate(gray_scott("solver.integrator=rkc2", *tight)) as want,
        simulate(gray_scott(f"solver.integrator={integrator}", *tight)) as run,
    ):
        assert run.provenance["integrator"] == integrator
        assert np.allclose(run["v"][-1], want["v"][-1], atol=2e-5)


def test_a_border_lets_in_and_a_selection_is_kept(folder):
    opened = (
        "section.borders=no-flux",
        'border=[{field="u", side="x-low", value=3}]',
        'output={fields=["u"], stride=2}',
    )
    with simulate(gray_scott(*opened)) as run, simulate(gray_scott("section.borders=no-flux")) as closed:
        assert list(run) == ["u"]
        assert run["u"].shape == (3, 12, 12)
        assert run.series["mean_v"][-1] > 1.2 * closed.series["mean_v"][-1]  # what comes in feeds it


def test_a_run_goes_on_from_another(folder):
    tight = ("solver.precision=float64", "solver.tolerance=1e-6")
    simulate(gray_scott(*tight, "time.end=10 d"), out="first").close()
    with (
        simulate(gray_scott(*tight)) as whole,
        simulate(gray_scott(*tight, "time.end=10 d", "initial.from=first/run.h5")) as rest,
    ):
        assert np.allclose(rest["v"][-1], whole["v"][-1], atol=2e-5)
    smaller = gray_scott('section.size=["20 um", "20 um"]', "initial.from=first/run.h5")
    with pytest.raises(InputError, match=r"first/run\.h5 was made on another section"):
        simulate(smaller)
    (folder / "gray_scott.py").write_text(GRAY_SCOTT.replace('Field("v"', 'Field("w"').replace('"v"', '"w"'))
    with pytest.raises(InputError, match=r"first/run\.h5 holds no w"):
        simulate(gray_scott("initial.from=first/run.h5"))
    with pytest.raises(InputError, match=r"first/run\.h5 is a run of another model \(Gray-Scott\)"):
        simulate(load_config(ROOT / "configs" / "rank_fc_section_2d.toml", ["initial.from=first/run.h5"]))


# --- from Python --------------------------------------------------------------------------------------------


def test_a_model_in_python_gives_the_same_file(tmp_path):
    grid = Grid((16, 16, 12), (10.0, 10.0, 10.0))
    start = np.where(np.indices(grid.shape).sum(0) < 12, 1.0, 0.0)
    problem = ModelProblem(
        FISHER,
        grid,
        {"growth": 1.0, "diffusivity": 50.0},
        {"u": start},
        2.0,
        (0.0, 2.0),
        source=Source("f.py", "x\ny\n"),
    )
    with simulate(problem, out=tmp_path) as run:
        assert run.parameters == {"growth": 1.0, "diffusivity": 50.0}
        assert run["u"][-1].mean() > run["u"][0].mean()
    done = rdsolver("plot", str(tmp_path), allow=False)
    assert done.exit_code == 0, done.output


def test_a_model_on_a_section_lives_where_it_says():
    section = trabecular(Grid((24, 24), (20.0, 20.0), thickness=10.0), 0.3, 120.0, 1)
    inside = replace(FISHER, lives="bone", initial=lambda where: {"u": where.bone}, parameters=())
    problem = ModelProblem.on(section, inside, 1.0, parameters={"growth": 1.0, "diffusivity": 10.0})
    assert (problem.mask == (section.bone >= 0.5)).all()
    with pytest.raises(InputError, match='lives in "bone", and the section has no such cell'):
        ModelProblem.on(replace(section, bone=np.zeros(section.grid.shape), bare=True), inside, 1.0)


def test_a_run_file_is_in_days():
    grid = Grid((8, 8), (10.0, 10.0), thickness=10.0)
    with pytest.raises(InputError, match='time_unit is "s"'):
        simulate(ModelProblem(DECOY, grid, DECOY_VALUES, {}, 1.0, arrays=decoy_sources(grid)))
    with pytest.raises(InputError, match="no value for diffusivity"):
        simulate(ModelProblem(FISHER, grid, {"growth": 1.0}, {}, 1.0))


# --- what is refused ----------------------------------------------------------------------------------------


def test_nothing_is_executed_unless_it_is_allowed(folder):
    (folder / "gray_scott.py").write_text("open('was_here', 'w')\n" + GRAY_SCOTT)
    for command in ("run", "check", "params"):
        done = rdsolver(command, "gray_scott.toml", allow=False)
        assert done.exit_code == 2
        for part in ("gray_scott.toml: model.from asks to execute", "gray_scott.py", "--allow-python"):
            assert part in done.stderr
    assert not (folder / "was_here").exists()
    assert "| feed | 0.037 |" in rdsolver("params", "gray_scott.toml", "--markdown").stdout
    assert (folder / "was_here").exists()


RATES = 'return {"u": p["feed"] * (1 - u["u"]) - eaten, "v": eaten - (p["feed"] + p["kill"]) * u["v"]}'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("def rates(u, p, at):", "def rates(u, p, at)", ["gray_scott.py, line LINE: SyntaxError"]),
        (
            "import numpy as np",
            "import nowhere",
            ["gray_scott.py, line LINE: ModuleNotFoundError", "nowhere"],
        ),
        ("GRAY_SCOTT =", "OTHER =", ["holds no GRAY_SCOTT", "It holds OTHER"]),
        ("GRAY_SCOTT =", "GRAY_SCOTT = 3\nOTHER =", ["GRAY_SCOTT is an int", "ReactionDiffusion"]),
        (
            "GRAY_SCOTT =",
            "def GRAY_SCOTT(): return 1 / 0\nOTHER =",
            ["GRAY_SCOTT() fails", "line LINE: ZeroDivisionError"],
        ),
        ("import numpy as np", "raise SystemExit(5)", ["line LINE: SystemExit: 5"]),
        ('"feed", 0.037', '"feed", None', ["parameters give feed the value None"]),
        ('"feed", 0.037,', '"feed",', ["line LINE: TypeError", "high"]),
        (
            '"v": "v_diffusivity"',
            '"w": "diffusivity"',
            ['moves names "w"', "Allowed: u, v", '"diffusivity"', "u_diffusivity"],
        ),
        ('Field("v"', 'Field("time"', ['hold "time", which is taken']),
        ("    initial=initial,", '    initial=initial, lives="blood",', ['lives = "blood"', "marrow"]),
        ("    initial=initial,", '    initial=initial, time_unit="s",', ['time_unit = "s"', "days"]),
        ("    initial=initial,", "    initial=[1],", ["initial = [1] must be a dictionary"]),
        ('"kill", 0.06,', '"feed", 0.06,', ['hold "feed", which appears twice']),
        ("0.03, 0.07", '0.07, "much"', ["give kill the range 0.07 to 'much'"]),
        ('Field("v", "1", 0.3', 'Field("v", "1", 0', ["give v the scale 0"]),
        (
            "GRAY_SCOTT =",
            "from rdsolver.models.verification import FISHER as GRAY_SCOTT\nOTHER =",
            ['"diffusivity"', "parameter"],
        ),
        # seen where the run begins
        (
            "where.random",
            "where.rand",
            ["initial state of Gray-Scott fails", "gray_scott.py, line LINE: AttributeError"],
        ),
        (
            '    return {"u": np.where',
            '    return 3, {"u": np.where',
            ["initial state of Gray-Scott is of type tuple"],
        ),
        ('"v": np.where(drop', '"w": np.where(drop', ["initial state", "holds w", "Allowed: u, v"]),
        ("np.where(drop, 0.25, 0.0)", "np.zeros(3)", ["v is an array of shape (3,)", "(24, 24)"]),
        ("np.where(drop, 0.25, 0.0)", "np.where(drop, np.nan, 0.0)", ["v is not finite in"]),
        ("np.where(drop, 0.25, 0.0)", "-0.5", ["v falls to -0.5", "signed=True"]),
        ('p["kill"]', 'p["kil"]', ["gray_scott.py, line LINE: KeyError: 'kil'", "p holds", "kill"]),
        ("eaten = ", "eaten = 1 if u['u'] > 0 else ", ["gray_scott.py, line LINE", "ambiguous"]),
        (RATES, 'return {"u": eaten}', ["give ['u']", "every field: u, v"]),
        (RATES, 'return eaten, u["v"]', ["rates of Gray-Scott give tuple"]),
        (RATES, 'return {"u": eaten.mean(0), "v": eaten}', ["that of u has shape (24,)", "pointwise"]),
        (
            RATES,
            'return {"u": eaten / u["v"], "v": eaten}',
            ["that of u is not finite at the start", "v = 0"],
        ),
    ],
)
def test_a_slip_in_the_file_is_told_with_its_line(folder, old, new, said):
    text = GRAY_SCOTT.replace(old, new, 1)
    assert text != GRAY_SCOTT
    (folder / "gray_scott.py").write_text(text)
    done = rdsolver("run", "gray_scott.toml", overrides=SMALL)
    assert done.exit_code == 2, done.output
    line = next(
        i for i, (a, b) in enumerate(zip(text.split("\n"), GRAY_SCOTT.split("\n"), strict=False), 1) if a != b
    )
    for part in said:
        assert part.replace("LINE", str(line)) in done.stderr
    assert "Traceback" not in done.output
    assert not (folder / "outputs").exists()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["dose.0.agent=rank_fc", "dose.0.amount=1", "dose.0.at=0"], ["dose belongs to the bone model"]),
        (["agent.0.name=rank_fc"], ["agent belongs to the bone model"]),
        (["tumour.nests=1"], ["tumour belongs to the bone model"]),
        (
            ["model.preset=mouse", "model.membrane_rankl=true"],
            ["model.preset belongs", "model.membrane_rankl belongs"],
        ),
        (["model.parameters.fed=1"], ["model.parameters.fed", "Did you mean feed?"]),
        (["model.parameters.feed=3 um"], ["model.parameters.feed", "does not convert to 1/d"]),
        (["model.parameters.feed=-1"], ["model.parameters.feed = -1 is too small", "0.01 to 0.1"]),
        (["change.0.parameter=rankl_loss", "change.0.factor=2"], ["change.0.parameter", "feed, kill"]),
        (['border=[{field="w", side="x-low", value=1}]'], ["border.0.field", "Allowed: u, v"]),
        (["output.fields=['rankl']"], ["output.fields", "Allowed: u, v"]),
        (["initial.seed=1", "initial.from=run.h5"], ["initial.from is given, and seed too"]),
        (["initial.from=run.h5"], ["run.h5 does not exist"]),
        (["model=gray_scott.py"], ["names no object", "gray_scott.py:MY_MODEL"]),
        (["model=grey_scott.py:GRAY_SCOTT"], ["grey_scott.py cannot be read"]),
        (['section.kind="slab"', "section.slab_thickness=40 um"], ["bone everywhere"]),
    ],
)
def test_what_does_not_belong_is_refused(folder, overrides, said):
    done = rdsolver("run", "gray_scott.toml", overrides=(*SMALL, *overrides))
    assert done.exit_code == 2, done.output
    assert "gray_scott.toml" in done.stderr or "initial.from" in done.stderr
    for part in said:
        assert part in done.stderr


def test_an_exponential_integrator_needs_a_whole_box(folder):
    done = rdsolver("check", "colony.toml", overrides=(*COARSE, "solver.integrator=etdrk4"))
    assert done.exit_code == 2
    assert "a mask (the model lives in marrow" in done.stderr


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            'section={kind="box", size=[320, 320], spacing=20, thickness=10}',
            'section.kind = "box" holds no bone',
        ),
        ("solver.integrator=etdrk4", 'solver.integrator = "etdrk4"'),
        ("initial.seed=1", "initial.seed belongs to a user model"),
    ],
)
def test_what_belongs_to_such_a_model_is_refused_for_bone(override, said):
    with pytest.raises(InputError, match=re.escape(said)):
        load_config(ROOT / "configs" / "rank_fc_section_2d.toml", [override])


def test_a_field_in_a_unit_of_its_own_takes_bare_numbers(folder):
    text = GRAY_SCOTT.replace('Field("u", "1"', 'Field("u", "IU"')
    (folder / "gray_scott.py").write_text(text)
    opened = ("section.borders=no-flux", 'border=[{field="u", side="x-low", value="3 nM"}]')
    with pytest.raises(InputError, match="IU is not a unit that is known here"):
        gray_scott(*opened).problem()
    assert gray_scott(opened[0], opened[1].replace(' nM"', '"')).problem().borders[0].value == 3.0


def test_a_model_says_what_it_is_before_it_runs(folder):
    done = rdsolver("check", "gray_scott.toml", "--solver", overrides=(*SMALL, "model.parameters.kill=0.061"))
    assert done.exit_code == 0, done.output
    for part in ("box 24 x 24", "Gray-Scott", "least predicted work", "kill = 0.061 1/d", "multigrid fields"):
        assert part in done.stdout
    assert sorted(p.suffix for p in folder.iterdir()) == [".py", ".py", ".toml", ".toml"]


def test_a_model_called_bone_is_refused():
    model = ReactionDiffusion("bone", (Field("u", "1", 1.0, "u"),), lambda u, p, at: {"u": -u["u"]}, {})
    with pytest.raises(InputError, match="name of one of rdsolver"):
        simulate(ModelProblem(model, Grid((8, 8), (1.0, 1.0), thickness=1.0), {}, {"u": 1.0}, 1.0))
