"""What came of a sweep: the table, the series on one grid, read back, drawn and reported, from whatever there
is.
"""

import builtins
import json
import shutil
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser
from scipy import stats
from typer.testing import CliRunner

from rdsolver import open_sweep
from rdsolver.cli import examples
from rdsolver.cli.main import app
from rdsolver.cli.plot import SWEEP_KINDS
from rdsolver.cli.sweep import collect_command
from rdsolver.errors import InputError
from rdsolver.figures import style
from rdsolver.figures.factors import factors, measure
from rdsolver.figures.sweep import compose, default
from rdsolver.models.base import Series
from rdsolver.sweep.collect import collect, grid
from rdsolver.sweep.design import load
from rdsolver.sweep.reader import STATISTICS
from tests.support.drawn_runs import inside
from tests.support.sweeps import BASE, SERIES, STEPS, depth_of, design, put_run, put_sweep, series

pytestmark = pytest.mark.long

SAMPLES = """
base = "base.toml"
[sample]
n = 16
"dose.0.amount" = { between = ["0.1 mg/kg", "10 mg/kg"], scale = "log" }
"section.bone_fraction" = { between = [0.1, 0.3] }
"""
RATIO = """
base = "base.toml"
[grid]
"dose.0.amount" = ["0 mg/kg", "0.3 mg/kg", "1 mg/kg", "3 mg/kg"]
"section.bone_fraction" = [0.2, 0.3]
[together]
"section.seed" = [5, 7]
label = ["animal A", "animal B"]
"""
ANIMALS = 'base = "base.toml"\n[together]\n"section.seed" = [5, 7]\nlabel = ["1", "2"]\n'


def rdsolver(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module")
def doses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doses")
    put_sweep(folder / "out", design(folder))
    collect(folder / "out")
    return folder / "out"


@pytest.fixture
def copied(doses, tmp_path):
    return shutil.copytree(doses, tmp_path / "copy")


# --- the table ----------------------------------------------------------------------------------------------


def test_a_sweep_is_opened_by_its_folder_or_a_file_in_it(doses):
    assert all(
        list(open_sweep(given)) == list(open_sweep(doses))
        for given in (str(doses), doses / "sweep.json", doses / "series.h5")
    )


def test_each_run_has_its_row_with_what_varied_and_what_came_out(doses, tmp_path):
    sweep, made = open_sweep(doses), design(tmp_path)
    assert list(sweep.columns)[:3] == ["name", "dose.0.agent", "dose.0.amount"]
    assert sweep.columns["name"].tolist() == list(made.names) == list(sweep)
    # all in the unit of the first
    assert sweep.columns["dose.0.amount"].tolist() == pytest.approx([300, 300, 1000, 1000, 3000, 3000] * 2)
    assert sweep.units["dose.0.amount"] == "ug/kg"
    assert sweep.columns["section.seed"].tolist() == [row["section.seed"] for row in made.rows]
    for i, row in enumerate(made.rows):
        values = series(depth_of(row))
        found = {s: sweep.columns[f"ntx.{s}"][i] for s in STATISTICS}
        low = values["ntx"].argmin()
        assert (found["end"], found["min"], found["min_time"]) == (
            values["ntx"][-1],
            values["ntx"][low],
            STEPS[low],
        )
        assert (found["max"], found["max_time"]) == (values["ntx"][0], 0)
        fine = np.linspace(0, 10, 20_001)
        assert found["mean"] == pytest.approx(series(depth_of(row), fine)["ntx"].mean(), rel=0.01)
    assert set(sweep.columns["steps"]) == {len(STEPS) - 1}
    assert set(sweep.columns["rejected"]) == {2}


def test_two_collections_are_the_same_bytes_but_for_the_wall_time(doses, tmp_path):
    put_sweep(tmp_path / "again", design(tmp_path), wall=7.25)
    (tmp_path / "again" / "sweep.json").write_bytes((doses / "sweep.json").read_bytes())
    sweep = collect(tmp_path / "again")
    assert set(sweep.columns["wall_time"]) == {7.25}
    assert (tmp_path / "again" / "series.h5").read_bytes() == (doses / "series.h5").read_bytes()
    assert (tmp_path / "again" / "summary.csv").read_text().replace(",7.25,", ",1.0,") == (
        doses / "summary.csv"
    ).read_text()


def test_partial_results_say_which_runs_are_missing(tmp_path):
    made = design(tmp_path)
    out = put_sweep(tmp_path / "out", made, missing=("01", "03", "05", "07", "09"))
    put_run(out, "01", series(0.5), status="failed", error="no step was accepted, at t = 3 d")
    (out / "runs" / "03").mkdir()
    (out / "runs" / "03" / "run.h5").write_bytes(b"begun")
    put_run(out, "05", series(0.5), wall=None)
    (out / "runs" / "05" / "run.h5").write_bytes(b"cut short")
    put_run(out, "07", series(0.5), status="stopped")
    sweep = collect(out)
    status = dict(zip(sweep.names, sweep.columns["status"].tolist(), strict=True))
    assert {k: status[k] for k in ("01", "03", "05", "07", "09")} == {
        "01": "failed",
        "03": "running",
        "05": "failed",
        "07": "stopped",
        "09": "waiting",
    }
    assert sweep.counts == {"finished": 7, "failed": 2, "running": 1, "stopped": 1, "waiting": 1}
    assert sweep.columns["error"][1] == "no step was accepted, at t = 3 d"
    assert "run.h5 cannot be read" in sweep.columns["error"][5]
    assert str(tmp_path) not in (out / "summary.csv").read_text()
    finished = np.isfinite(sweep.curves("ntx")).all(1)
    assert (finished == sweep.finished).all()
    assert (np.isnan(sweep.columns["ntx.min"]) == ~sweep.finished).all()
    assert not list(out.glob(".*"))  # nothing is left beside


def test_nothing_finished_yet_is_a_table_all_the_same(tmp_path):
    out = put_sweep(tmp_path / "out", made := design(tmp_path), missing=design(tmp_path).names)
    sweep = collect(out)
    assert sweep.counts == {"waiting": len(made)}
    assert sweep.observables == ()
    with pytest.raises(InputError, match="none of its 12 runs has finished"):
        compose(sweep, "bands")
    assert "no run has finished" in rdsolver("report", out).output + (out / "report.html").read_text()


def test_a_failure_leaves_the_earlier_files(copied, monkeypatch):
    before = {name: (copied / name).read_bytes() for name in ("summary.csv", "series.h5")}
    put = "rdsolver.sweep.collect._Block.add"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(put, full)
    with pytest.raises(InputError, match=r"series\.h5 cannot be written: No space left"):
        collect(copied)
    assert {name: (copied / name).read_bytes() for name in before} == before
    assert not list(copied.glob(".*"))


def test_an_observable_that_is_called_like_a_column_is_said(tmp_path):
    made = design(tmp_path, ANIMALS)
    out = put_sweep(tmp_path / "out", made, missing=made.names)
    put_run(out, "1", {"time": STEPS, "status": STEPS}, kinds=[Series("status", "1", "status")])
    with pytest.raises(InputError, match="An observable is called status"):
        collect(out)


def test_a_run_whose_times_do_not_increase_hurts_no_other(tmp_path):
    made = design(tmp_path, ANIMALS)
    out = put_sweep(tmp_path / "out", made, missing=("0",))
    put_run(out, "0", series(0.5, STEPS[::-1]))
    assert collect(out).columns["status"].tolist() == ["failed", "finished"]


# --- the series ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_series_open_in_xarray_with_names_units_and_what_varied(doses, engine):
    script = f"""
import xarray
d = xarray.open_dataset({str(doses / "series.h5")!r}, engine={engine!r})
tree = xarray.open_datatree({str(doses / "series.h5")!r}, engine={engine!r})
assert tree.ntx.sizes == {{"run": 12, "time": 21}}
assert d.ntx.dims == ("run", "time") and d.sizes == {{"run": 12, "time": 21}}, d
assert d.time.values[1] == 0.5 and d.time.attrs["units"] == "d" and d.time.dtype == float
named = lambda units, readable, name: {{"units": units, "units_readable": readable, "long_name": name}}
assert d["dose.0.amount"].attrs == named("ug kg-1", "ug/kg", "dose.0.amount")
assert d.osteoclast_number.attrs == named("mm-3", "1/mm^3", "osteoclasts"), d.osteoclast_number.attrs
varied = {{"dose.0.agent", "dose.0.amount", "replicate", "section.seed"}}
assert set(d.coords) == {{"run", "time", "status"}} | varied
assert d.sel(run="07")["dose.0.agent"].item() == "fc_opg"
of = d.where((d["dose.0.agent"] == "rank_fc").compute(), drop=True)
assert of.sizes["run"] == 6
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_series_follow_the_steps_and_never_leave_their_range(doses, tmp_path):
    sweep, row = open_sweep(doses), design(tmp_path).rows[4]
    exact = series(depth_of(row), sweep.curves("time"))
    assert np.abs(sweep.curves("ntx")[4] - exact["ntx"]).max() < 0.01  # of steps that are up to 1.5 d apart
    plasma = sweep.curves("plasma_rank_fc")[4]
    assert plasma[sweep.curves("time") <= 2].max() == 0  # up to the dose
    assert plasma.min() == 0
    assert plasma.max() <= series(0.5)["plasma_rank_fc"].max()


def test_series_end_with_their_run_and_skip_what_a_run_does_not_measure(tmp_path):
    text = 'base = "base.toml"\n[grid]\n"time.end" = ["4 d", "240 h"]\n[keep]\ntimes = "1 d"'
    made = design(tmp_path, text)
    out = put_sweep(tmp_path / "out", made, missing=made.names)
    put_run(out, "0", series(0.5, np.linspace(0, 4, 9)), kinds=SERIES[:1])
    values = series(0.5)
    values["osteoclast_number"][:5] = np.nan
    put_run(out, "1", values, kinds=SERIES[1:])
    sweep = collect(out)
    assert sweep.columns["time.end"].tolist() == [4, 10]
    assert sweep.units["time.end"] == "d"
    ntx, cells = sweep.curves("ntx"), sweep.curves("osteoclast_number")
    assert np.isfinite(ntx[0]).tolist() == [True] * 5 + [False] * 6
    assert np.isnan(ntx[1]).all()
    assert np.isfinite(cells[1]).tolist() == [False] * 3 + [True] * 8
    assert (
        sweep.columns["osteoclast_number.min_time"][1]
        == STEPS[5:][series(0.5)["osteoclast_number"][5:].argmin()]
    )


@pytest.mark.parametrize(
    ("times", "expected"),
    [('times = "4 d"', [0, 4, 8, 10]), ('times = ["9 d", "1 d", 2]', [1, 2, 9]), ("", [0, 5, 10])],
)
def test_the_common_grid_is_keep_times_or_the_saved_times_of_the_base(tmp_path, times, expected):
    made = design(tmp_path, f'base = "base.toml"\n[grid]\n"section.seed" = [1, 2]\n[keep]\n{times}')
    assert grid(made.as_json()).tolist() == expected


def test_the_default_grid_is_that_of_a_run(tmp_path):
    made = design(
        tmp_path, 'base = "base.toml"\n[grid]\n"time.end" = ["7 d"]', BASE.replace('save = "5 d"', "")
    )
    assert grid(made.as_json()).tolist() == made.config(0).time.saved()


def test_many_runs_are_written_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("rdsolver.sweep.collect.ROWS", 2)
    made = design(tmp_path, 'base = "base.toml"\n[grid]\n"section.seed" = [1, 2, 3, 4, 5, 6, 7]')
    out = put_sweep(tmp_path / "out", made, missing=made.names)
    for i in (0, 3, 6):
        put_run(out, str(i), series(0.1 * (i + 1)))
    found = collect(out).curves("ntx")
    for i in range(7):
        expected = series(0.1 * (i + 1), np.array([0.0]))["ntx"] if i in (0, 3, 6) else [np.nan]
        assert found[i, :1] == pytest.approx(expected, nan_ok=True)
    assert found[[0, 3, 6], -1] == pytest.approx([series(0.1 * (i + 1))["ntx"][-1] for i in (0, 3, 6)])


# --- read back ----------------------------------------------------------------------------------------------


def test_a_sweep_is_a_mapping_of_its_runs(doses):
    sweep = open_sweep(doses)
    assert len(sweep) == 12
    assert "03" in sweep
    with sweep["03"] as run, sweep[3] as same, sweep[-1] as last:
        assert run.file.filename == same.file.filename
        assert (
            run.series["ntx"].tolist()
            == series(depth_of({"dose.0.amount": "1 mg/kg", "replicate": 2}))["ntx"].tolist()
        )
        assert last.file.filename.endswith("11/run.h5")
    with pytest.raises(KeyError, match="this sweep has 00, 01"):
        sweep["nix"]
    assert (
        repr(sweep) == "<Sweep 'Two drugs & <doses>': 12 runs over dose.0.agent, dose.0.amount; 12 finished>"
    )


def test_the_table_is_a_data_frame_or_a_structured_array(doses, monkeypatch):
    pandas = pytest.importorskip("pandas")
    framed = open_sweep(doses).table
    assert isinstance(framed, pandas.DataFrame)
    mean = framed[framed["dose.0.agent"] == "rank_fc"].groupby("dose.0.amount")["ntx.min"].mean()
    assert (np.diff(mean) < 0).all()
    real = builtins.__import__

    def without(name, *rest):
        if name in ("pandas", "xarray"):
            raise ImportError(name, name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    sweep = open_sweep(doses)
    assert sweep.table["ntx.min"].tolist() == framed["ntx.min"].tolist()
    assert sweep.table["name"][3] == "03"
    with pytest.raises(InputError, match="needs xarray, which is not installed"):
        _ = sweep.series


def test_labels_and_names_stay_text(tmp_path):
    sweep = collect(put_sweep(tmp_path / "out", design(tmp_path, ANIMALS)))
    assert sweep.columns["label"].tolist() == ["1", "2"]
    assert sweep.columns["name"].tolist() == ["0", "1"]
    assert sweep.varied == ("section.seed", "label")


def test_a_sweep_is_read_without_jax_and_pydantic(doses):
    script = f"""
import sys
from rdsolver import open_sweep
sweep = open_sweep({str(doses)!r})
sweep.table, sweep[0].series["ntx"]
assert not {{"jax", "pydantic", "pint", "scipy"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_what_is_no_sweep_or_not_collected_is_said(copied, tmp_path):
    with pytest.raises(InputError, match=r"is not a sweep: it contains no sweep\.json"):
        open_sweep(tmp_path)
    (copied / "series.h5").rename(copied / "away.h5")
    with pytest.raises(InputError, match=r"has not been collected.*rdsolver sweep collect"):
        open_sweep(copied)
    (copied / "series.h5").write_bytes(b"no")
    with pytest.raises(InputError, match=r"series\.h5 cannot be read"):
        open_sweep(copied)
    (copied / "away.h5").replace(copied / "series.h5")
    table = copied / "summary.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match=r"summary\.csv does not hold the runs"):
        open_sweep(copied)
    for text in (
        "{}",
        "nonsense",
        "[]",
        '{"schema": 1}',
        '{"schema": "1"}',
        '{"schema": 1, "columns": 1, "rows": 2, "names": 3}',
    ):
        (copied / "sweep.json").write_text(text)
        with pytest.raises(InputError, match=r"sweep\.json is damaged, or is not the design of a sweep"):
            open_sweep(copied)


# --- figures and report -------------------------------------------------------------------------------------


def drawn(sweep, kind, names=()):
    """The axes of a figure, after nothing in it is clipped or set too small."""
    with matplotlib.rc_context(style.RC):
        figure = compose(sweep, kind, names)
        return figure, inside(figure)


def test_dose_response_shows_replicates_and_the_t_interval_of_their_mean(doses):
    sweep = open_sweep(doses)
    assert default(sweep) == "dose-response"
    figure, texts = drawn(sweep, "dose-response", ["ntx.min", "osteoclast_number.min_time"])
    assert {"dose amount (ug/kg)", "RANK-Fc", "fc_opg", "NTX (relative to\nbaseline),\nlowest"} <= texts
    assert any("day of lowest (d)" in t for t in texts)
    ax = figure.axes[0]
    assert ax.get_xscale() == "log"
    bars = ax.containers[0]
    mean, (caps, half) = bars[0].get_ydata(), (bars[1], bars[2][0].get_segments())
    of = [sweep.columns["ntx.min"][sweep.columns["dose.0.agent"] == "rank_fc"][i : i + 2] for i in (0, 2, 4)]
    assert mean == pytest.approx([x.mean() for x in of])
    assert len(caps) == 2
    for segment, x in zip(half, of, strict=True):
        assert segment[:, 1] == pytest.approx(stats.t.interval(0.95, 1, x.mean(), stats.sem(x)))
    assert len(ax.collections[0].get_offsets()) == 6


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    found = {}
    for name, text in {"samples": SAMPLES, "ratio": RATIO, "animals": ANIMALS}.items():
        folder = tmp_path_factory.mktemp(name)
        found[name] = collect(put_sweep(folder / "out", design(folder, text)))
    return found


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("which", "kind"),
    [
        ("samples", "scatter"),
        ("samples", "surface"),
        ("samples", "dose-response"),
        ("samples", "bands"),
        ("ratio", "surface"),
        ("ratio", "dose-response"),
        ("ratio", "scatter"),
        ("ratio", "bands"),
        ("animals", "bands"),
    ],
)
def test_every_design_is_drawn_in_every_way_that_fits(others, which, kind):
    drawn(others[which], kind)


@pytest.mark.filterwarnings("error")
def test_labels_of_a_sweep_are_shown_as_they_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(MathTextParser, "parse", None)
    labels = RATIO.replace('"animal A", "animal B"', r"'cost $5 & 50% of \nas$', '_{b^2}$\x$'")
    sweep = collect(put_sweep(tmp_path / "out", design(tmp_path, labels)))
    for kind in SWEEP_KINDS:
        drawn(sweep, kind)


def test_the_default_kind_follows_the_design(others):
    assert {name: default(sweep) for name, sweep in others.items()} == {
        "samples": "scatter",
        "ratio": "surface",
        "animals": "bands",
    }


def test_columns_that_move_together_are_one_factor(others):
    assert [f.key for f in factors(others["ratio"])] == ["dose.0.amount", "section.bone_fraction", "label"]
    assert [f.key for f in factors(others["animals"])] == ["label"]
    assert [f.key for f in factors(others["samples"])] == ["dose.0.amount", "section.bone_fraction"]
    assert [f.scale for f in factors(others["ratio"])[:2]] == ["symlog", "linear"]
    assert [f.scale for f in factors(others["samples"])] == ["log", "linear"]


def test_of_many_numbers_those_are_drawn_that_act_most(tmp_path):
    keys = [
        "opg_loss",
        "rankl_loss",
        "formation_delay",
        "chemotaxis",
        "drift_limit",
        "activation_share",
        "vessel_exchange",
    ]
    between = "\n".join(f'"model.parameters.{key}" = {{ between = [0.1, 0.4] }}' for key in keys)
    made = design(
        tmp_path,
        f'base = "base.toml"\n[sample]\nmethod = "uniform"\nn = 12\n{between}',
        BASE.replace("[[dose]]", "").split("agent")[0] + "[time]\nend = 10",
    )
    out = put_sweep(tmp_path / "out", made, missing=made.names)
    for name, row in zip(made.names, made.rows, strict=True):
        put_run(out, name, series(row["model.parameters.vessel_exchange"]))
    figure, texts = drawn(collect(out), "scatter", ["ntx.min"])
    assert len(figure.axes) == 6
    assert {"the 6 of 7 numbers that act most", "vessel_exchange", "ρ = −1.00"} <= texts


def test_bands_hold_the_quantiles_of_a_group(others):
    sweep = others["samples"]
    figure, _ = drawn(sweep, "bands", ["ntx"])
    ax, curves = figure.axes[0], sweep.curves("ntx")
    assert ax.lines[0].get_ydata() == pytest.approx(np.median(curves, axis=0))
    heights = [np.ptp(c.get_paths()[0].vertices[:, 1]) for c in ax.collections]
    spans = [np.quantile(curves, [low, 1 - low], axis=0) for low in (0.1, 0.25)]
    assert heights == pytest.approx([high.max() - low.min() for low, high in spans])


def test_a_surface_shows_the_mean_of_its_cell(others):
    sweep = others["ratio"]
    figure, _ = drawn(sweep, "surface", ["bone_volume_fraction.end"])
    cells = figure.axes[0].collections[0].get_array()
    assert cells.shape == (2, 4)
    assert np.unique(cells) == pytest.approx(100 * sweep.columns["bone_volume_fraction.end"][0])
    assert len({ax.collections[0].get_clim() for ax in figure.axes[:2]}) == 1  # animals on one scale
    assert measure(sweep, "bone_volume_fraction", "end").label == "BV/TV (%),\nat the end"


def test_plot_and_report_take_the_folder_of_a_sweep(copied):
    done = rdsolver("plot", copied)
    assert done.stdout.strip() == str(copied / "dose-response.png")
    done = rdsolver(
        "plot", copied, "--kind", "bands", "--field", "ntx,bone_volume_fraction", "--out", copied / "b.svg"
    )
    assert done.exit_code == 0, done.output
    assert "<svg" in (copied / "b.svg").read_text()
    collected = json.loads((copied / "sweep.json").read_text())
    shutil.rmtree(copied / "runs" / "02")
    put_run(copied, "02", series(0.5), status="failed", error="diverged <here>")
    collect(copied)
    assert rdsolver("report", copied).stdout.strip() == str(copied / "report.html")
    page = (copied / "report.html").read_text()
    assert "<h1>Two drugs &amp; &lt;doses&gt;</h1>" in page
    assert "12 runs: 11 finished, 1 failed" in page
    assert "diverged &lt;here&gt;" in page
    assert page.count("<img") == 2
    assert "rankl_loss" in page
    assert collected["base"]["section"]["kind"] in page
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--kind", "maps"],
            "maps is not known for a sweep. Allowed: dose-response, surface, bands, scatter",
        ),
        (["--field", "nix"], "--field nix: no run of"),
        (["--field", "ntx.nix"], "an observable has end, min"),
        (["--kind", "surface"], "needs 2 numbers that vary"),
        (["--time", "3 d"], "Leave them out for a sweep"),
        (["--out", "f.bmp"], "Allowed: .png"),
    ],
)
def test_what_cannot_be_drawn_is_said(doses, arguments, said):
    done = rdsolver("plot", doses, *arguments)
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_kind_of_sweeps_is_not_for_a_run(doses):
    done = rdsolver("plot", doses / "runs" / "00", "--kind", "bands")
    assert done.exit_code == 2
    assert "--kind bands draws a sweep" in done.stderr


# --- the command, and what comes with it --------------------------------------------------------------------


def test_collect_says_what_there_is(copied, capsys):
    (copied / "summary.csv").unlink()
    collect_command(copied)
    assert capsys.readouterr().out.splitlines() == [
        "12 runs: 12 finished",
        str(copied / "summary.csv"),
        str(copied / "series.h5"),
    ]


@pytest.mark.parametrize(
    ("name", "runs"), [("dose_response", 36), ("rankl_opg_ratio", 14), ("sobol_uncertainty", 128)]
)
def test_the_sweeps_that_come_with_it_are_valid_listed_and_printed(name, runs, tmp_path):
    path = examples.folder() / "sweeps" / f"{name}.toml"
    made = load(path)
    assert len(made) == runs
    assert path.read_text().startswith("# ")
    assert f"sweeps/{name}" in rdsolver("example").stdout
    (tmp_path / "mine.toml").write_text(rdsolver("example", f"sweeps/{name}").stdout)
    base = path.read_text().split('base = "../')[1].split('"')[0]
    (tmp_path / base).write_text(rdsolver("example", base.removesuffix(".toml")).stdout)
    assert load(tmp_path / "mine.toml").rows == made.rows
