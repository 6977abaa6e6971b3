"""Run files of known contents, and their readers in processes of their own."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np

from rdsolver.geometry.grid import Grid
from rdsolver.models.base import Field, Series
from rdsolver.output.writer import RunWriter
from rdsolver.utils import provenance

FIELDS = [
    Field("rankl", "nM", 0.02, "free RANKL"),
    Field("bone", "", 1.0, "bone"),
    Field("osteoclasts", "1/mm^3", 10.0, "osteoclasts"),
]
SERIES = [Series("ntx", "1", "NTX"), Series("mean_free_rankl", "nM", "mean free RANKL")]
META = {
    "config": json.dumps({"title": "µ", "long": "x" * 70_000}),
    "parameters": [
        {
            "name": "rankl_loss",
            "value": 10.13,
            "unit": "1/d",
            "meaning": "loss",
            "source": "none",
            "mark": "A",
        }
    ],
    **provenance.collect("cpu", "float32", None),
    "run_id": "0123",
}
GRIDS = {
    "2d": Grid((70, 90), (10.0, 12.0), origin=(5.0, -7.0), thickness=8.0),
    "3d": Grid((5, 17, 70), (20.0, 10.0, 12.0), origin=(1.0, 2.0, 3.0)),
}
N = 3


def values(grid, step):
    """Something different in every cell, field and time."""
    base = np.arange(grid.cells, dtype="f8").reshape(grid.shape)
    return {f.name: base * (k + 1) + 1000 * step for k, f in enumerate(FIELDS)}


def circle(grid):
    y, x = (np.linspace(-1, 1, n) for n in grid.shape[-2:])
    return np.broadcast_to(y[:, None] ** 2 + x**2 <= 1, grid.shape)


def selection(fields=None, stride=1, crop=None):
    return SimpleNamespace(fields=fields, stride=stride, crop=crop)


def write(path, grid, active=None, finish=True, **options):
    writer = RunWriter(
        path,
        grid,
        FIELDS,
        SERIES,
        active=circle(grid) if active is None else active,
        meta=META,
        title="a test",
        **options,
    )
    with writer:
        writer.set_reference({"bone": values(grid, 0)["bone"], "theta0": 0.25})
        for step in range(N):
            writer.append(step / 3, values(grid, step))
            writer.append_series(
                {
                    "time": np.array([step / 3, step / 3 + 0.1]),
                    "ntx": np.ones(2),
                    "mean_free_rankl": np.full(2, step),
                }
            )
        if finish:
            writer.set_state(
                {k: v.astype("f4") for k, v in values(grid, N).items()}, {"time": 1.0, "plasma": [1.0, 2.0]}
            )
            writer.finish(summary={"nadir": np.float32(0.5), "budgets": {"rankl": 1e-7}})
    return writer


READ_VTK = """
import json, sys
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOHDF import vtkHDFReader
reader = vtkHDFReader()
reader.SetFileName(sys.argv[1])
reader.UpdateInformation()
reader.SetStep(reader.GetNumberOfSteps() - 1)
reader.Update()
info = reader.GetOutputInformation(0)
days = list(info.Get(reader.GetExecutive().TIME_STEPS()))
image = reader.GetOutputDataObject(0)
points = image.GetPointData()
names = map(points.GetArrayName, range(points.GetNumberOfArrays()))
arrays = {name: vtk_to_numpy(points.GetArray(name)).astype("f8").tolist() for name in names}
print(json.dumps({"steps": reader.GetNumberOfSteps(), "days": days,
                  "shape": image.GetDimensions(), "spacing": image.GetSpacing(),
                  "origin": image.GetOrigin(), "arrays": arrays}))
"""


def elsewhere(code, *arguments):
    """Readers whose HDF5 libraries clash with h5py's get a process of their own."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
