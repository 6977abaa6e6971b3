"""A run file: what is written is read back, every reader opens it, a killed run keeps what it flushed."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from rdsolver.errors import InputError, RunError
from rdsolver.geometry.grid import Grid
from rdsolver.geometry.section import Section
from rdsolver.models.base import Field
from rdsolver.output import layout
from rdsolver.output.describe import describe, summary
from rdsolver.output.reader import Run, open_run
from rdsolver.output.writer import RunWriter, estimate_size
from rdsolver.utils import provenance
from tests.support.run_files import (
    FIELDS,
    GRIDS,
    META,
    READ_VTK,
    SERIES,
    N,
    circle,
    elsewhere,
    selection,
    values,
    write,
)

pytestmark = pytest.mark.long


@pytest.fixture(scope="module", params=list(GRIDS))
def saved(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run.h5"
    write(path, GRIDS[request.param])
    return path, GRIDS[request.param]


def test_what_is_written_comes_back(saved):
    path, grid = saved
    with open_run(path) as run:
        assert list(run) == [f.name for f in FIELDS]
        np.testing.assert_array_equal(run.times, np.arange(N) / 3)
        for step in range(N):
            for name, expected in values(grid, step).items():
                np.testing.assert_array_equal(
                    run[name][step], np.where(circle(grid), expected, np.nan).astype("f4")
                )
        np.testing.assert_array_equal(run.active, circle(grid))
        np.testing.assert_array_equal(run.series["mean_free_rankl"], [0, 0, 1, 1, 2, 2])
        assert (run["rankl"].unit, run["bone"].unit, run.series.unit("mean_free_rankl")) == ("nM", "1", "nM")
        assert run.config == json.loads(META["config"])
        assert run.parameters == {"rankl_loss": 10.13}
        assert (
            run.provenance.items()
            >= {k: META[k] for k in ("versions", "device", "seed", "git_commit", "git_dirty")}.items()
        )
        assert (run.status, run.summary) == ("finished", {"nadir": 0.5, "budgets": {"rankl": 1e-7}})
        assert (run.shape, run.spacing, run.origin, run.thickness) == (
            grid.shape,
            grid.spacing,
            grid.origin,
            grid.thickness,
        )
        np.testing.assert_array_equal(run.reference["bone"], values(grid, 0)["bone"])
        assert run.reference["theta0"] == 0.25
        np.testing.assert_array_equal(run.state["rankl"], values(grid, N)["rankl"].astype("f4"))
        assert run.state["time"] == 1
        np.testing.assert_array_equal(run.state["plasma"], [1, 2])


def test_a_run_is_opened_by_its_file_or_its_folder(saved, monkeypatch):
    path, _ = saved
    monkeypatch.setenv("HOME", str(path.parent.parent))
    for given in (path, path.parent, str(path.parent), f"~/{path.parent.name}"):
        with open_run(given) as run:
            assert Path(run.path) == path
    with pytest.raises(InputError, match=r"run\.h5 does not exist"):
        open_run(path.parent.parent)


def test_fields_slice_like_arrays(saved):
    with open_run(saved[0]) as run:
        lazy, whole = run["rankl"], np.asarray(run["rankl"])
        assert lazy.shape == whole.shape
        for key in (
            -1,
            slice(1, None),
            slice(None, None, 2),
            [0, 2],
            (-1, 3),
            (slice(-2, None), ..., 2),
            ...,
            (..., slice(0, 4)),
        ):
            np.testing.assert_array_equal(lazy[key], whole[key], err_msg=str(key))
        with pytest.raises(IndexError):
            lazy[N]
        with pytest.raises(KeyError, match="rankl"):
            run["no_such_field"]


def test_layout(saved):
    path, grid = saved
    with h5py.File(path) as f:
        assert f.id.get_create_plist().get_version()[0] <= 2
        assert f["time"].maxshape == (None,)
        assert np.isnan(f["time"].fillvalue)
        for name in (s.name for s in FIELDS):
            d = f[name]
            assert d.chunks[0] == 1
            assert max(d.chunks) <= 64
            assert (d.compression, d.compression_opts, d.shuffle) == ("gzip", 1, True)
            assert d.attrs["_FillValue"].shape == (1,)
            assert d.attrs["_FillValue"].dtype == d.dtype
            assert [dim[0].name for dim in d.dims] == [f"/{axis}" for axis in ("time", *grid.axes)]
            assert f[f"VTKHDF/PointData/{name}"] == d
            np.testing.assert_array_equal(f[f"VTKHDF/Steps/PointDataOffsets/{name}"], range(N))
        assert f["VTKHDF/Steps"].attrs["NSteps"] == N
        assert f["active"].dtype == np.uint8


def test_no_variable_length_text_and_no_odd_types(saved):
    def look(name, node):
        types = [h5py.h5a.open(node.id, key.encode()).get_type() for key in node.attrs]
        if isinstance(node, h5py.Dataset):
            types.append(node.id.get_type())
            assert node.dtype not in (np.float16, np.bool_), name
        assert not any(isinstance(t, h5py.h5t.TypeStringID) and t.is_variable_str() for t in types), name

    with h5py.File(saved[0]) as f:
        f.visititems(look)


READ_XARRAY = """
import json, sys, xarray
fields, series = (xarray.open_dataset(sys.argv[1], engine=sys.argv[2], group=g) for g in (None, "series"))
sums = {n: float(fields[n][-1].astype("f8").sum()) for n in fields if n != "active"}
print(json.dumps({"time": str(fields.time.dtype), "series": str(series.series_time.dtype),
                  "x": fields.x.values.tolist(),
                  "days": fields.time.values.tolist(),
                  "units": {n: v.attrs.get("units") for n, v in fields.variables.items()},
                  "dims": list(fields.rankl.dims), "ntx_unit": series.ntx.attrs["units"],
                  "sums": sums, "ntx": series.ntx.values.tolist()}))
"""
READ_TREE = """
import json, sys, xarray
tree = xarray.open_datatree(sys.argv[1], engine=sys.argv[2]).load()
series, clipped = tree["series"].to_dataset(), tree["clipped"].to_dataset()
print(json.dumps({"groups": sorted(tree.groups), "ntx": list(series.ntx.dims),
                  "days": series.ntx.series_time.values.tolist(),
                  "near": float(series.mean_free_rankl.sel(series_time=0.7, method="nearest")),
                  "saved": tree.time.values.tolist(),
                  "reference": list(tree["reference"].bone.dims), "state": list(tree["state"].rankl.shape),
                  "clipped": clipped.cells.values.tolist(),
                  "clipped_at": clipped.cells.time.values.tolist()}))
"""


@pytest.mark.parametrize(("engine", "module"), [("h5netcdf", "h5netcdf"), ("netcdf4", "netCDF4")])
def test_xarray_reads_it(saved, engine, module):
    if not all(map(importlib.util.find_spec, ("xarray", module))):
        pytest.skip(f"{module} is not installed")
    path, grid = saved
    got = elsewhere(READ_XARRAY, path, engine)
    assert (got["time"], got["series"]) == ("float64", "float64")
    assert got["x"] == grid.centres(-1).tolist()
    assert got["days"] == [step / 3 for step in range(N)]
    assert got["dims"] == ["time", *grid.axes]
    of_fields = (
        {"rankl": "nmol L-1", "bone": "1", "osteoclasts": "mm-3"}
        | {"time": "d", "active": "1"}
        | dict.fromkeys(grid.axes, "um")
    )
    assert (got["units"], got["ntx_unit"]) == (of_fields, "1")
    assert got["ntx"] == [1.0] * 2 * N
    assert got["sums"] == {
        name: v.astype("f4")[circle(grid)].astype("f8").sum() for name, v in values(grid, N - 1).items()
    }


@pytest.mark.parametrize(("engine", "module"), [("h5netcdf", "h5netcdf"), ("netcdf4", "netCDF4")])
@pytest.mark.parametrize("part", [None, selection(("rankl",), 2, ((1, 60), (3, 64)))])
def test_xarray_opens_all_of_a_run_as_a_tree(tmp_path, engine, module, part):
    """No group has a dimension of the root's name in another length: the series have more times, the state
    has more cells.
    """
    if not all(map(importlib.util.find_spec, ("xarray", module))):
        pytest.skip(f"{module} is not installed")
    grid = GRIDS["2d"]
    write(tmp_path / "run.h5", grid, selection=part)
    kept = {"active": circle(grid), "selection": part, "times": N, "rows": 2 * N, "spent": 0.0}
    with RunWriter.reopened(tmp_path / "run.h5", grid, **kept) as writer:
        writer.set_section(Section(grid, circle(grid) * 0.5, circle(grid), {}))
    got = elsewhere(READ_TREE, tmp_path / "run.h5", engine)
    assert set(got["groups"]) >= {"/", "/series", "/reference", "/state", "/section", "/clipped", "/meta"}
    assert got["saved"] == got["clipped_at"] == [step / 3 for step in range(N)]
    assert (got["ntx"], got["near"]) == (["series_time"], 2.0)
    np.testing.assert_allclose(got["days"], [0, 0.1, 1 / 3, 1 / 3 + 0.1, 2 / 3, 2 / 3 + 0.1])
    assert got["reference"] == (["y", "x"] if part is None else ["grid_y", "grid_x"])
    assert got["state"] == list(grid.shape)
    assert got["clipped"] == [[0] * (3 if part is None else 1)] * N
    with open_run(tmp_path / "run.h5") as run:
        np.testing.assert_array_equal(run.file["series/time"], run.file["series/series_time"])
        cut = (slice(None),) * 2 if part is None else (slice(1, 60, 2), slice(3, 64, 2))
        np.testing.assert_array_equal(run.saved_cells(run.reference["bone"]), values(grid, 0)["bone"][cut])
        assert run.state.keys() == {f.name for f in FIELDS} | {"time", "plasma"}


def test_units_stand_in_the_file_for_programs_and_for_people(saved):
    with h5py.File(saved[0]) as f:
        for name, units, readable in (
            ("rankl", "nmol L-1", "nM"),
            ("osteoclasts", "mm-3", "1/mm^3"),
            ("bone", "1", "1"),
            ("x", "um", "um"),
            ("time", "d", "d"),
            ("series/mean_free_rankl", "nmol L-1", "nM"),
            ("series/series_time", "d", "d"),
        ):
            assert (
                layout.as_text(f[name].attrs["units"]),
                layout.as_text(f[name].attrs["units_readable"]),
            ) == (units, readable)


@pytest.mark.parametrize(
    # UDUNITS 2.2 (cf-units 3.3) reads every one of the first half, as the same quantity
    ("unit", "expected"),
    [
        ("nM", "nmol L-1"),
        ("1/mm^3", "mm-3"),
        ("/mm^3", "mm-3"),
        ("cells/mm^3", "mm-3"),
        ("um^2/d", "um2 d-1"),
        ("µm²/d", "um2 d-1"),
        ("mg/kg", "mg kg-1"),
        ("1/(nM d)", "nmol-1 L d-1"),
        ("1/(d (nM um^2))", "d-1 nmol-1 L um-2"),
        ("nM mm^3/d", "nmol L-1 mm3 d-1"),
        ("m**2/s", "m2 s-1"),
        ("days", "d"),  # xarray would make "days" a timedelta
        ("nmol L-1", "nmol L-1"),
        ("", "1"),
        ("1", "1"),
        *(
            (same, same)
            for same in (
                "a.u.",
                "bananas",
                "12",
                "10^3/uL",
                "1.5 m",
                "log10 M",
                "(m",
                "m)",
                "1/",
                "*m",
                "m//s",
                "m-12",
                "%",
                "kDa",
            )
        ),
    ],
)
def test_units_as_udunits_reads_them_and_unknown_ones_as_they_are(unit, expected):
    assert layout.described(unit, "")["units"] == expected


def test_what_is_below_zero_within_the_tolerance_is_saved_as_zero_and_counted(tmp_path):
    """No viewer takes a density for a field of two signs; a field that may be negative, and the state, stay
    as they are.
    """
    grid, inside = GRIDS["2d"], circle(GRIDS["2d"])
    fields = [
        Field("drug", "nM", 1.0, "drug"),
        Field("charge", "1", 1.0, "charge", signed=True),
        Field("rankl", "nM", 1.0, "RANKL"),
    ]
    drug = np.where(np.indices(grid.shape)[1] < 45, -1e-9, 2.0)
    with RunWriter(tmp_path / "run.h5", grid, fields, SERIES, active=inside) as writer:
        for t, state in enumerate((np.full(grid.shape, 2.0), drug)):
            writer.append(float(t), {"drug": state, "charge": state, "rankl": np.zeros(grid.shape)})
        writer.set_state({"drug": drug}, {"time": 1.0})
        writer.finish()
    with open_run(tmp_path / "run.h5") as run:
        np.testing.assert_array_equal(
            run["drug"][1], np.where(inside, np.maximum(drug, 0), np.nan).astype("f4")
        )
        assert np.nanmin(run["charge"][1]) == np.float32(-1e-9)
        np.testing.assert_array_equal(run.state["drug"], drug)
        assert run.clipped.keys() == {"drug", "rankl"}
        cells, lowest = run.clipped["drug"]
        assert cells.tolist() == [0, inside[:, :45].sum()]
        assert lowest.tolist() == [0, np.float32(-1e-9)]
        assert not run.clipped["rankl"][0].any()
        assert summary(run)["clipped"] == {"drug": {"cells": int(cells[1]), "times": 1, "lowest": lowest[1]}}
        assert f"{cells[1]:,} values of drug at 1 time, the lowest -1e-09 nM, are saved as 0" in describe(run)
    # counts go with the times
    with RunWriter.reopened(tmp_path / "run.h5", grid, active=inside, times=1, rows=0, spent=0.0) as writer:
        writer.append(3.0, {"drug": np.abs(drug), "charge": drug, "rankl": drug})
    with open_run(tmp_path / "run.h5") as run:
        assert {name: cells.tolist() for name, (cells, _) in run.clipped.items()} == {
            "drug": [0, 0],
            "rankl": [0, inside[:, :45].sum()],
        }


@pytest.mark.skipif(not importlib.util.find_spec("vtkmodules"), reason="vtk is not installed")
def test_paraview_reads_it(saved):
    path, grid = saved
    got = elsewhere(READ_VTK, path)
    flat = 3 - grid.ndim
    assert got["steps"] == N
    assert got["days"] == [step / 3 for step in range(N)]
    assert sorted(got["arrays"]) == sorted(f.name for f in FIELDS)
    assert got["shape"] == [*reversed(grid.shape), *[1] * flat]
    assert got["spacing"][: grid.ndim] == [*reversed(grid.spacing)]
    assert got["origin"] == [*(grid.centres(axis)[0] for axis in reversed(range(grid.ndim))), *[0] * flat]
    for name, expected in values(grid, N - 1).items():
        np.testing.assert_array_equal(
            np.reshape(got["arrays"][name], grid.shape), np.where(circle(grid), expected, np.nan)
        )


@pytest.mark.skipif(not importlib.util.find_spec("vtkmodules"), reason="vtk is not installed")
@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 6, 7)])
def test_paraview_reads_what_is_one_cell_thick_as_cells(shape, tmp_path):
    ndim = len(shape)
    grid = Grid(shape, (10.0, 20.0, 30.0)[-ndim:], (5.0,) * ndim, thickness=7.0 if ndim == 2 else None)
    with RunWriter(tmp_path / "run.h5", grid, FIELDS[:1], [], active=np.ones(shape, bool)) as writer:
        for t in range(2):
            writer.append(float(t), {FIELDS[0].name: np.arange(np.prod(shape)).reshape(shape) + t})
    got = elsewhere(READ_VTK.replace("GetPointData", "GetCellData"), tmp_path / "run.h5")
    assert got["shape"] == [n + 1 for n in reversed(shape)] + [1] * (3 - ndim)
    assert got["origin"] == [5.0] * ndim + [0.0] * (3 - ndim)
    np.testing.assert_array_equal(got["arrays"][FIELDS[0].name], np.arange(np.prod(shape)) + 1.0)


def test_to_xarray_carries_units(saved):
    pytest.importorskip("xarray")
    path, grid = saved
    with open_run(path) as run:
        fields, series = run.to_xarray("rankl"), run.series.to_xarray()
    assert fields.rankl.dims == ("time", *grid.axes)
    assert (fields.rankl.attrs["units"], fields.x.attrs["units"], series.mean_free_rankl.attrs["units"]) == (
        "nmol L-1",
        "um",
        "nmol L-1",
    )
    assert fields.rankl.attrs["units_readable"] == "nM"
    assert series.ntx.dims == ("series_time",)  # as in the file
    assert fields.time.dtype == np.float64


@pytest.mark.parametrize("name", GRIDS)
def test_a_selection_keeps_its_place(tmp_path, name):
    grid = GRIDS[name]
    crop = ((1, 5), (2, 17), (3, 64))[-grid.ndim :]
    write(tmp_path / "run.h5", grid, selection=selection(("rankl",), 2, crop))
    cut = tuple(slice(a, b, 2) for a, b in crop)
    with open_run(tmp_path / "run.h5") as run:
        assert list(run) == ["rankl"]
        np.testing.assert_array_equal(
            run["rankl"][-1], np.where(circle(grid), values(grid, N - 1)["rankl"], np.nan)[cut]
        )
        for axis, label in enumerate(grid.axes):
            np.testing.assert_array_equal(run.centres(label), grid.centres(axis)[cut[axis]])
        assert run.spacing == tuple(2 * h for h in grid.spacing)
        assert run.state["bone"].shape == grid.shape  # another run goes on from the whole grid
        vtk = run.file["VTKHDF"].attrs
        np.testing.assert_array_equal(vtk["Spacing"][: grid.ndim], run.spacing[::-1])
        np.testing.assert_array_equal(
            vtk["Origin"][: grid.ndim], [run.centres(a)[0] for a in reversed(grid.axes)]
        )
        np.testing.assert_array_equal(vtk["WholeExtent"][1 : 2 * grid.ndim : 2] + 1, run.shape[::-1])


def test_one_plane_of_a_block(tmp_path):
    grid = GRIDS["3d"]
    write(tmp_path / "run.h5", grid, selection=selection(crop=((2, 3), (0, 17), (0, 70))))
    with open_run(tmp_path / "run.h5") as run:
        assert (run.shape, run.spacing, run.origin) == ((1, 17, 70), grid.spacing, (41.0, 2.0, 3.0))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (selection(fields=("rankl", "opg")), "opg"),
        (selection(stride=0), "stride"),
        (selection(crop=((0, 70), (5, 5))), "crop"),
        (selection(crop=((0, 71), (0, 90))), "crop"),
        (selection(crop=((0, 70),)), "crop"),
    ],
)
def test_a_selection_off_the_grid_is_refused(tmp_path, wrong, says):
    with pytest.raises(InputError, match=says):
        write(tmp_path / "run.h5", GRIDS["2d"], selection=wrong)
    assert not any(tmp_path.iterdir())


def test_static_fields(tmp_path):
    grid = GRIDS["2d"]
    write(
        tmp_path / "run.h5", grid, static=[(Field("kappa", "1", 1.0, "mobility"), np.full(grid.shape, 0.5))]
    )
    with open_run(tmp_path / "run.h5") as run:
        assert "kappa" not in run
        np.testing.assert_array_equal(run.static["kappa"], np.where(run.active, np.float32(0.5), np.nan))


def test_memory_equals_file(saved):
    path, grid = saved
    memory = Run(write(None, grid).file)
    with open_run(path) as run:
        assert list(memory) == list(run)
        for name in run:
            np.testing.assert_array_equal(memory[name][:], run[name][:])
        for name in run.series:
            np.testing.assert_array_equal(memory.series[name], run.series[name])
        assert memory.summary == run.summary


def test_describe_tells_what_the_file_holds(saved):
    with open_run(saved[0]) as run:
        told = describe(run)
    for word in (
        "a test",
        "finished",
        "osteoclasts (1/mm^3)",
        "mean_free_rankl: 0 -> 2 nM",
        "budgets.rankl",
        "versions.h5py",
        "cpu",
    ):
        assert word in told


def test_drugs_and_doses_are_described_as_a_person_writes_them(tmp_path):
    doses = [{"agent": "mine", "amount": 3.0, "route": "sc", "time": t} for t in (10.0, 38.0)]
    agents = [
        {"name": "rank_fc", "like": "rank_fc", "label": "RANK-Fc"},
        {"name": "mine", "like": "fc_opg", "label": "Mine"},
    ]
    doses += [{"agent": "rank_fc", "amount": 0.5, "route": "iv", "time": float(t)} for t in range(9)]
    doses += [doses[0] | {"duration": 0.5 / 24, "steady_interval": 0.0}]
    doses += [doses[0] | {"duration": 0.0, "steady_interval": 1.5}]
    grid = Grid((4, 4), (10.0, 10.0), thickness=10.0)
    fields, active = [Field("a", "nM", 1.0, "A")], np.ones((4, 4), bool)
    meta = {"agents": agents, "doses": doses, "width": 0, "xla_flags": "", "sizes": [1.5, 2]}
    with RunWriter(tmp_path / "run.h5", grid, fields, [], active=active, meta=meta):
        pass
    with open_run(tmp_path / "run.h5") as run:
        told = {" ".join(line.split()) for line in describe(run).splitlines()}
    assert {
        "drug RANK-Fc",
        "drug Mine (mine, like fc_opg)",
        "dose Mine 3 mg/kg sc at 10, 38 d",
        "dose Mine 3 mg/kg sc over 30 min at 10 d",
        "dose Mine 3 mg/kg sc in steady state of one every 1.5 d at 10 d",
        "dose RANK-Fc 0.5 mg/kg iv at 0, 1, 2, 3, 4, 5 ... d",
        "sizes 1.5, 2",
    } <= told
    assert not any(line.startswith(("width", "batch", "xla")) for line in told)


def test_the_summary_is_plain_json_and_holds_all_that_describe_tells(saved):
    path, grid = saved
    with open_run(path) as run:
        found = json.loads(json.dumps(summary(run), allow_nan=False))
        assert describe(run).startswith("title")
    assert (found["title"], found["status"], found["saved"]) == (
        "a test",
        "finished",
        [k / 3 for k in range(N)],
    )
    assert (found["section"]["cells"], found["section"]["spacing_um"]) == (
        list(grid.shape),
        list(grid.spacing),
    )
    assert found["fields"]["osteoclasts"] == {"unit": "1/mm^3", "label": "osteoclasts"}
    assert found["series"]["observables"]["mean_free_rankl"] == {
        "unit": "nM",
        "label": "mean free RANKL",
        "first": 0.0,
        "last": 2.0,
    }
    assert found["series"]["steps"] == 2 * N
    assert found["parameters"] == META["parameters"]
    assert found["provenance"]["versions"] == META["versions"]
    assert found["summary"] == {"nadir": 0.5, "budgets": {"rankl": 1e-7}}


WRITE_ON = """
import sys, numpy as np
from rdsolver.geometry.grid import Grid
from rdsolver.models.base import Field, Series
from rdsolver.output.writer import RunWriter
grid = Grid((64, 64), (10.0, 10.0), thickness=10.0)
fields = [Field(f"f{i}", "nM", 1.0, "") for i in range(4)]
writer = RunWriter(sys.argv[1], grid, fields, [Series("ntx", "1", "")], active=np.ones(grid.shape, bool))
noise = np.random.default_rng(0).random(grid.shape)
for n in range(100_000):
    writer.append(float(n), {f.name: noise + n for f in fields})
    writer.append_series({"time": np.array([float(n)]), "ntx": np.array([1.0 + n])})
    print(n + 1, flush=True)
"""


@pytest.mark.parametrize("flushed", [1, 7, 40])
def test_a_killed_run_keeps_every_flushed_time(tmp_path, flushed):
    path = tmp_path / "run.h5"
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_ON, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        for _ in range(flushed):
            seen = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        seen = max([seen, *(int(line) for line in process.stdout if line.endswith("\n"))])
    with open_run(path) as run:
        assert len(run.times) >= seen
        assert run.status == "running"
        for n in range(len(run.times)):
            assert run.times[n] == n
            assert run["f3"][n].min() >= n
        np.testing.assert_array_equal(run.series["ntx"], 1.0 + run.series["time"])
        assert run.file["VTKHDF/Steps"].attrs["NSteps"] <= len(run.times)


def test_a_time_cut_off_halfway_does_not_count(tmp_path):
    write(tmp_path / "run.h5", GRIDS["2d"], finish=False)
    with h5py.File(tmp_path / "run.h5", "r+") as f:
        f["rankl"].resize(N + 1, 0)
        f["rankl"][N] = -1
    with open_run(tmp_path / "run.h5") as run:
        assert len(run["rankl"][:]) == N
        np.testing.assert_array_equal(run["rankl"][-1], run["rankl"][N - 1])


def test_a_run_is_readable_while_it_is_written(tmp_path):
    grid = GRIDS["2d"]
    with RunWriter(tmp_path / "run.h5", grid, FIELDS, SERIES, active=circle(grid), meta=META) as writer:
        writer.append(0.0, values(grid, 0))
        code = (
            "import sys; from rdsolver import open_run; print(len(open_run(sys.argv[1],"
            " locking=False).times))"
        )
        assert elsewhere(code, tmp_path / "run.h5") == 1


FILL_DISK = """
import resource, signal, sys, numpy as np
from rdsolver.geometry.grid import Grid
from rdsolver.errors import RunError
from rdsolver.models.base import Field, Series
from rdsolver.output.writer import RunWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
grid = Grid((64, 64), (10.0, 10.0), thickness=10.0)
fields, series, active = [Field("a", "nM", 1.0, "")], [Series("ntx", "1", "")], np.ones(grid.shape, bool)
with RunWriter(sys.argv[1], grid, fields, series, active=active) as writer:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    noise = np.random.default_rng(0).random(grid.shape)
    done = 0
    try:
        while done < 1000:
            writer.append(float(done), {"a": noise + done})
            done += 1
    except RunError as e:
        writer.finish("failed", str(e))
print(done)
"""


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="needs posix_fallocate")
def test_a_full_disk_costs_no_saved_time(tmp_path):
    done = elsewhere(FILL_DISK, tmp_path / "run.h5")
    assert 1 < done < 1000
    with open_run(tmp_path / "run.h5") as run:
        assert len(run.times) == done
        assert run["a"][-1].min() >= done - 1
        assert run.status == "failed"
        assert "cannot be written any further" in run.message


def test_a_failing_disk_is_a_run_error(tmp_path, monkeypatch):
    grid = GRIDS["2d"]
    with RunWriter(tmp_path / "run.h5", grid, FIELDS, SERIES, active=circle(grid)) as writer:
        monkeypatch.setattr(writer.file, "flush", lambda: (_ for _ in ()).throw(RuntimeError("no such luck")))
        with pytest.raises(RunError, match=r"run\.h5.*no such luck"):
            writer.append(0.0, values(grid, 0))


def test_an_existing_run_is_not_overwritten_unasked(tmp_path):
    path = tmp_path / "run.h5"
    write(path, GRIDS["2d"])
    before = path.read_bytes()
    with pytest.raises(InputError, match="--force"):
        write(path, GRIDS["3d"])
    with pytest.raises(InputError, match="opg"):  # fails while the new file is made: the old one stays
        write(path, GRIDS["3d"], overwrite=True, selection=selection(fields=("opg",)))
    assert path.read_bytes() == before
    write(path, GRIDS["3d"], overwrite=True)
    with open_run(path) as run:
        assert run.shape == GRIDS["3d"].shape
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "run.h5", Path("/proc/rdsolver/run.h5")):
        with pytest.raises(InputError, match=str(path)):
            write(path, GRIDS["2d"])


def test_files_that_are_no_runs_are_refused_in_a_sentence(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    with h5py.File(tmp_path / "other.h5", "w") as f:
        f["a"] = 1
    write(tmp_path / "newer.h5", GRIDS["2d"])
    with h5py.File(tmp_path / "newer.h5", "r+") as f:
        f.attrs[layout.SCHEMA_KEY] = layout.RUN_SCHEMA + 1
    whole = (tmp_path / "newer.h5").read_bytes()
    (tmp_path / "short.h5").write_bytes(whole[: len(whole) // 2])
    expected = {
        "missing": "does not exist",
        "text": "not an HDF5",
        "other": "not a run",
        "newer": "Upgrade",
        "short": "cut short",
    }
    for name, says in expected.items():
        with pytest.raises(InputError, match=rf"{name}\.h5.*{says}"):
            open_run(tmp_path / f"{name}.h5")


def test_the_estimate_follows_the_selection():
    grid = GRIDS["2d"]
    assert estimate_size(grid, FIELDS, 10) == 3 * 10 * 70 * 90 * 4
    assert (
        estimate_size(grid, FIELDS, 10, "float64", selection(("rankl",), 2, ((0, 70), (0, 45))))
        == 10 * 35 * 23 * 8
    )


def test_output_and_reader_import_no_model_and_no_jax():
    code = """
import json, sys, rdsolver.output.reader, rdsolver.output.writer, rdsolver.output.describe
import rdsolver.utils.provenance
heavy = ("jax", "pydantic", "pint", "xarray", "rdsolver.config.load", "rdsolver.models.bone")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""
    assert elsewhere(code) == []


def test_provenance_names_no_one_elses_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    assert provenance.git_state() == ("unknown", None)
    assert provenance.version("no-such-package-anywhere") == "not installed"
