"""Exports opened again: values, places, spacing and units as in the run."""

import csv
import importlib.util
import json
import warnings
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from rdsolver.cli.main import app
from rdsolver.errors import InputError
from rdsolver.models.base import Field
from rdsolver.output.export import FORMATS, export
from rdsolver.output.reader import open_run
from rdsolver.output.writer import RunWriter
from tests.support.run_files import GRIDS, READ_VTK, circle, elsewhere, values, write

KEPT = (0, 2)  # of the saved times


@pytest.fixture(scope="module", params=list(GRIDS))
def saved(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run.h5"
    write(path, GRIDS[request.param])
    return path, GRIDS[request.param]


def exported(path, to, out, *more):
    times = ["--time", "0", "--time", str(2 / 3)]
    done = CliRunner().invoke(app, ["export", str(path), "--to", to, "--out", str(out), *times, *more])
    assert done.exit_code == 0, done.output
    return done.stdout.split()


def expected(grid, name):
    return np.stack([np.where(circle(grid), values(grid, k)[name], np.nan) for k in KEPT]).astype("f4")


def test_tiff_is_a_hyperstack_that_imagej_scales(saved, tmp_path):
    path, grid = saved
    files = exported(path, "tiff", tmp_path / "f.tif", "--field", "rankl,bone")
    assert files == [str(tmp_path / f"f_{name}.tif") for name in ("rankl", "bone")]
    with tifffile.TiffFile(files[0]) as tiff:
        assert tiff.is_imagej
        np.testing.assert_array_equal(tiff.asarray(), expected(grid, "rankl"))
        meta, tags = tiff.imagej_metadata, tiff.pages[0].tags
        assert tiff.series[0].axes == ("TZYX" if grid.ndim == 3 else "TYX")
    assert (meta["unit"], meta["tunit"], meta["finterval"]) == ("um", "d", pytest.approx(2 / 3))
    assert meta.get("spacing") == (grid.spacing[0] if grid.ndim == 3 else None)
    per_um = [np.divide(*tags[name].value) for name in ("YResolution", "XResolution")]
    np.testing.assert_allclose(per_um, [1 / h for h in grid.spacing[-2:]], rtol=1e-6)
    assert meta["Labels"][0] == "free RANKL (nM), 0 d"
    info = json.loads(meta["Info"])
    assert (info["units"], info["title"], info["run_id"]) == ("nM", "a test", "0123")
    # time is told apart from depth
    assert (meta["frames"], meta.get("slices", 1)) == (2, grid.shape[0] if grid.ndim == 3 else 1)


def test_csv_has_a_row_a_cell_of_the_field_of_view(saved, tmp_path):
    path, grid = saved
    exported(path, "csv", tmp_path / "f.csv", "--field", "rankl,osteoclasts")
    with (tmp_path / "f.csv").open() as file:
        head, *rows = csv.reader(file)
    assert head == ["time (d)", *(f"{axis} (um)" for axis in grid.axes), "rankl (nM)", "osteoclasts (1/mm^3)"]
    table = np.array(rows, float)
    inside = circle(grid)
    assert len(table) == 2 * inside.sum()
    assert np.unique(table[:, 0]) == pytest.approx([0, 2 / 3])
    at = np.meshgrid(*(grid.centres(k) for k in range(grid.ndim)), indexing="ij")
    np.testing.assert_allclose(table[: inside.sum(), 1 : 1 + grid.ndim], np.stack([a[inside] for a in at], 1))
    for column, name in ((-2, "rankl"), (-1, "osteoclasts")):
        np.testing.assert_allclose(
            table[:, column].reshape(2, -1), expected(grid, name)[:, inside], rtol=1e-8
        )


def test_csv_of_the_series_is_exact(saved, tmp_path):
    path, _ = saved
    done = CliRunner().invoke(app, ["export", str(path), "--to", "csv", "--out", str(tmp_path / "s.csv")])
    assert done.exit_code == 0, done.output
    with (tmp_path / "s.csv").open() as file:
        head, *rows = csv.reader(file)
    assert head == ["time (d)", "ntx", "mean_free_rankl (nM)"]
    with open_run(path) as run:
        np.testing.assert_array_equal(
            np.array(rows, float).T, [run.series[n] for n in ("time", "ntx", "mean_free_rankl")]
        )


def test_vtkhdf_keeps_what_was_clipped(tmp_path):
    grid = GRIDS["2d"]
    fields = [Field("drug", "nM", 1.0, "drug"), Field("charge", "1", 1.0, "charge", signed=True)]
    with RunWriter(tmp_path / "run.h5", grid, fields, [], active=np.ones(grid.shape, bool)) as writer:
        for t in range(3):
            writer.append(
                float(t), {"drug": np.full(grid.shape, 1e-9 - t * 1e-9), "charge": np.full(grid.shape, -1.0)}
            )
        writer.append_series({"time": np.array([0.0])})
        writer.finish()
    with open_run(tmp_path / "run.h5") as run:
        export(run, "vtkhdf", tmp_path / "f.vtkhdf", ["drug", "charge"], [0, 2])
    with open_run(tmp_path / "f.vtkhdf") as part:
        assert {name: cells.tolist() for name, (cells, _) in part.clipped.items()} == {
            "drug": [0, grid.cells]
        }
        assert part.clipped["drug"][1].tolist() == [0, np.float32(-1e-9)]
        assert part["charge"][-1].max() == -1


def test_npz_opens_without_pickle(saved, tmp_path):
    path, grid = saved
    exported(path, "npz", tmp_path / "f", "--field", "rankl")
    with np.load(tmp_path / "f", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["rankl"], expected(grid, "rankl"))
        np.testing.assert_allclose(file["time"], [0, 2 / 3])
        assert file["spacing"].tolist() == list(grid.spacing)
        assert file["x"].tolist() == grid.centres(-1).tolist()
        units, about = json.loads(str(file["units"])), json.loads(str(file["about"]))
    assert (about["title"], about["provenance"]["versions"]["h5py"]) == ("a test", h5py.__version__)
    assert (units["rankl"], units["time"], units["x"]) == ("nM", "d", "um")


def test_vtkhdf_is_a_smaller_run_that_paraview_opens(saved, tmp_path):
    path, grid = saved
    exported(path, "vtkhdf", tmp_path / "f.vtkhdf", "--field", "rankl")
    with open_run(path) as whole, open_run(tmp_path / "f.vtkhdf") as part:
        assert list(part) == ["rankl"]
        assert (part.shape, part.spacing, part.origin, part.thickness) == (
            whole.shape,
            whole.spacing,
            whole.origin,
            whole.thickness,
        )
        assert (part.status, part.summary, part.parameters) == (whole.status, whole.summary, whole.parameters)
        assert part.provenance == whole.provenance
        np.testing.assert_array_equal(part["rankl"][:], expected(grid, "rankl"))
        np.testing.assert_array_equal(part.series["ntx"], whole.series["ntx"])
    if not importlib.util.find_spec("vtkmodules"):
        pytest.skip("vtk is not installed")
    got = elsewhere(READ_VTK, tmp_path / "f.vtkhdf")
    assert (got["steps"], list(got["arrays"])) == (2, ["rankl"])
    assert got["spacing"][: grid.ndim] == [*reversed(grid.spacing)]
    np.testing.assert_array_equal(np.reshape(got["arrays"]["rankl"], grid.shape), expected(grid, "rankl")[-1])


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("xarray", "zarr"))), reason="xarray or zarr is not installed"
)
def test_zarr_opens_in_xarray(saved, tmp_path):
    import xarray

    path, grid = saved
    exported(path, "zarr", tmp_path / "f.zarr", "--field", "rankl")
    exported(path, "zarr", tmp_path / "two.zarr", "--field", "rankl,osteoclasts")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a store that is not consolidated, for one
        two = xarray.open_zarr(tmp_path / "two.zarr", consolidated=True)
        assert set(two.data_vars) == {"rankl", "osteoclasts", "active"}
        data = xarray.open_zarr(tmp_path / "f.zarr")
    with data, two:
        with open_run(path) as run:
            assert json.loads(data.attrs["config"]) == run.config
            assert json.loads(data.attrs["parameters"]) == run.parameter_table
            assert json.loads(data.attrs["provenance"])["versions"] == run.provenance["versions"]
            assert (data.attrs["title"], data.attrs["status"]) == (run.title, run.status)
        assert data.rankl.attrs["units_readable"] == "nM"
        assert data.rankl.dims == ("time", *grid.axes)
        np.testing.assert_array_equal(data.rankl.values, expected(grid, "rankl"))
        np.testing.assert_allclose(data.time.values, [0, 2 / 3])
        assert (data.rankl.attrs["units"], data.x.attrs["units"]) == ("nmol L-1", "um")
        assert data.x.values.tolist() == grid.centres(-1).tolist()
    with open_run(path) as run, pytest.raises(InputError, match="exists already"):
        export(run, "zarr", tmp_path / "f.zarr", ["rankl"], [0])


READ_XDMF = """
import json, sys
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOXdmf2 import vtkXdmfReader
reader = vtkXdmfReader()
reader.SetFileName(sys.argv[1])
reader.UpdateInformation()
info = reader.GetOutputInformation(0)
times = list(info.Get(reader.GetExecutive().TIME_STEPS()))
reader.UpdateTimeStep(times[-1])
image = reader.GetOutputDataObject(0)
points = image.GetPointData()
names = map(points.GetArrayName, range(points.GetNumberOfArrays()))
arrays = {name: vtk_to_numpy(points.GetArray(name)).astype("f8").tolist() for name in names}
print(json.dumps({"times": times, "spacing": image.GetSpacing(), "origin": image.GetOrigin(),
                  "arrays": arrays}))
"""


def test_xdmf_points_into_the_run(saved, tmp_path):
    path, grid = saved
    sidecar = tmp_path / "f.xdmf"
    exported(path, "xdmf", sidecar, "--field", "rankl")
    grids = ElementTree.parse(sidecar).findall(".//Grid[@GridType='Uniform']")
    assert [float(g.find("Time").get("Value")) for g in grids] == [0, pytest.approx(2 / 3)]
    for found, values_there in zip(grids, expected(grid, "rankl"), strict=True):
        assert found.find("Attribute").get("Name") == "rankl (nM)"
        origin, spacing = (
            [float(v) for v in item.text.split()] for item in found.findall("Geometry/DataItem")
        )
        flat = 3 - grid.ndim
        assert origin == [0] * flat + [grid.centres(k)[0] for k in range(grid.ndim)]
        assert spacing == [grid.thickness] * flat + list(grid.spacing)
        cut, data = found.findall("Attribute/DataItem/DataItem")
        start, stride, count = np.array(cut.text.split(), int).reshape(3, -1)
        file, _, name = data.text.partition(":")
        with h5py.File((tmp_path / file).resolve()) as run:
            part = run[name][
                tuple(slice(a, a + s * n, s) for a, s, n in zip(start, stride, count, strict=True))
            ]
            assert data.get("Dimensions") == " ".join(map(str, run[name].shape))
        np.testing.assert_array_equal(part[0], values_there)


@pytest.mark.skipif(not importlib.util.find_spec("vtkmodules"), reason="vtk is not installed")
def test_vtk_reads_the_xdmf(saved, tmp_path):
    path, grid = saved
    exported(path, "xdmf", tmp_path / "f.xdmf", "--field", "rankl")
    got = elsewhere(READ_XDMF, tmp_path / "f.xdmf")
    np.testing.assert_allclose(got["times"], [0, 2 / 3])
    assert got["spacing"][: grid.ndim] == [*reversed(grid.spacing)]
    assert got["origin"][: grid.ndim] == [grid.centres(axis)[0] for axis in reversed(range(grid.ndim))]
    np.testing.assert_array_equal(
        np.reshape(got["arrays"]["rankl (nM)"], grid.shape), expected(grid, "rankl")[-1]
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "docx"], ["docx", ", ".join(FORMATS)]),
        (["--to", "npz", "--field", "gold"], ["gold", "rankl"]),
        (["--to", "csv", "--field", "gold"], ["gold", "ntx"]),
        (["--to", "npz", "--time", "9 d"], ["9 d", "0 to 0.6"]),
        (["--to", "npz", "--out", "run.h5"], ["is the run itself"]),
        (["--to", "csv", "--time", "0"], ["--time", "--field"]),
    ],
)
def test_what_cannot_be_exported_is_said(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "run.h5", GRIDS["2d"])
    before = (tmp_path / "run.h5").read_bytes()
    done = CliRunner().invoke(app, ["export", "run.h5", *arguments])
    assert done.exit_code == 2, done.output
    for part in said:
        assert part in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]
    assert (tmp_path / "run.h5").read_bytes() == before
