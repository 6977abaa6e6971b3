"""Export of a run to the formats of other programs, with coordinates and units.

Fields and times are chosen.
"""

from __future__ import annotations

import csv
import json
import os
import warnings
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

from ..errors import InputError, writing
from ..geometry.grid import Grid
from ..models.base import Field, Series
from ..utils.extras import install
from ..utils.home import homely
from .describe import summary
from .layout import LENGTH_UNIT, TIME_UNIT, put
from .reader import Run
from .writer import RunWriter

IMAGEJ_LIMIT = 2**32 - 2**25  # largest size in bytes of a TIFF that ImageJ opens


@homely
def export(run: Run, to: str, out: Path, names: Sequence[str], indices: Sequence[int]) -> list[Path]:
    """Write fields at saved times in a format of FORMATS. Return the files (with tiff one for each field).

    Raises InputError for another format, a path that cannot be written or is the run itself, and when a
    package is missing.
    """
    if to not in FORMATS:
        raise InputError(f"--to {to} is not known. Allowed: {', '.join(FORMATS)}.")
    if not names or not indices:
        raise InputError(f"{run.file.filename} holds no field at a saved time: there is nothing to export.")
    return _written(run, out, lambda: FORMATS[to].write(run, out, names, indices))


@homely
def export_series(run: Run, out: Path, names: Sequence[str]) -> list[Path]:
    """Write observables at every accepted step as CSV, one column each, time first; units in the header."""

    def write() -> list[Path]:
        columns = {name: run.series[name] for name in ("time", *names)}
        with out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([_header(name, run.series.unit(name)) for name in columns])
            writer.writerows(
                zip(*(map(repr, map(float, values)) for values in columns.values()), strict=True)
            )
        return [out]

    return _written(run, out, write)


def _written(run: Run, out: Path, write: Callable[[], list[Path]]) -> list[Path]:
    """Run `write` and translate its errors; refuse to overwrite the run itself."""
    if out.exists() and os.path.samefile(out, run.file.filename):
        raise InputError(f"{out} is the run itself. Choose another file with --out.")
    with writing(out):
        return write()


def _tiff(run: Run, out: Path, names: Sequence[str], indices: Sequence[int]) -> list[Path]:
    """Write ImageJ hyperstacks, float32, (T, (Z), Y, X), one for each field.

    The spacing is in um, and row 0 is the lowest y. If there are several fields, each file name ends with the
    field's name.
    """
    import tifffile

    files = []
    days = run.times[list(indices)]
    for name in names:
        shape = (len(indices), *run.shape)
        if 4 * np.prod(shape, dtype=float) > IMAGEJ_LIMIT:
            raise InputError(
                f"{name} at {len(indices)} times is over 4 GB, which ImageJ does not open. Choose fewer with"
                " --time."
            )
        stack = np.stack([run[name][k].astype("f4") for k in indices])
        depth = run.shape[0] if len(run.shape) == 3 else 1
        label = _header(run[name].label, run[name].unit)
        metadata: dict[str, Any] = {
            "axes": "T" + "".join(run.axes).upper(),
            "unit": LENGTH_UNIT,
            "finterval": float(np.diff(days).mean()) if len(days) > 1 else 0.0,
            "tunit": TIME_UNIT,
            "Labels": [f"{label}, {day:g} d" for day in days for _ in range(depth)],
            "Info": json.dumps(
                {"field": name, "units": run[name].unit, "times_d": days.tolist(), "origin_um": run.origin}
                | _name(run)
            ),
        }
        if np.isfinite(stack).any():
            metadata |= {"min": float(np.nanmin(stack)), "max": float(np.nanmax(stack))}
        if len(run.shape) == 3:
            metadata["spacing"] = run.spacing[0]
        file = out if len(names) == 1 else out.with_name(f"{out.stem}_{name}{out.suffix or '.tif'}")
        per_um = 1 / run.spacing[-1], 1 / run.spacing[-2]
        tifffile.imwrite(
            file, stack, imagej=True, resolution=per_um, resolutionunit="NONE", metadata=metadata
        )
        files.append(file)
    return files


def _csv(run: Run, out: Path, names: Sequence[str], indices: Sequence[int]) -> list[Path]:
    """Write one row for each time and cell of the field of view: time, coordinates, and one column for each
    field.

    Units are in the header.
    """
    inside = run.active
    places = [grid[inside] for grid in np.meshgrid(*(run.centres(axis) for axis in run.axes), indexing="ij")]
    heads = [_header("time", TIME_UNIT), *(_header(axis, LENGTH_UNIT) for axis in run.axes)]
    heads += [_header(name, run[name].unit) for name in names]
    forms = ["%.10g"] * (1 + len(run.axes)) + [
        "%.9g" if run[name].dtype.itemsize == 4 else "%.17g" for name in names
    ]
    with out.open("w", encoding="utf-8") as file:
        file.write(",".join(heads) + "\n")
        for k in indices:
            day = np.full(len(places[0]), run.times[k])
            np.savetxt(
                file,
                np.column_stack([day, *places, *(run[name][k][inside].astype("f8") for name in names)]),
                forms,
                delimiter=",",
            )
    return [out]


def _npz(run: Run, out: Path, names: Sequence[str], indices: Sequence[int]) -> list[Path]:
    """Write arrays (time, (z), y, x) by field, with `time`, the axes, `spacing`, and as JSON text `units` and
    `about`.

    There is no pickle in the file.
    """
    units = (
        {name: run[name].unit for name in names}
        | {"time": TIME_UNIT}
        | dict.fromkeys((*run.axes, "spacing"), LENGTH_UNIT)
    )
    small = {
        "time": run.times[list(indices)],
        "active": run.active,
        **{axis: run.centres(axis) for axis in run.axes},
    }
    small |= {
        "spacing": np.array(run.spacing),
        "units": np.array(json.dumps(units)),
        "about": np.array(json.dumps(_about(run))),
    }
    fields = ((name, np.stack([run[name][k] for k in indices])) for name in names)  # one at a time in memory
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        for name, array in chain(small.items(), fields):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return [out]


def _vtkhdf(run: Run, out: Path, names: Sequence[str], indices: Sequence[int]) -> list[Path]:
    """Write a smaller run file, with these fields and times and the whole series.

    ParaView opens it, and so does everything that reads a run.
    """
    grid = Grid(run.shape, run.spacing, origin=run.origin, thickness=run.thickness)
    fields = [
        Field(name, run[name].unit, 1.0, run[name].label, signed=name not in run.clipped) for name in names
    ]
    observed = [name for name in run.series if name != "time"]
    series = [
        Series(n, run.series.unit(n), run.series.label(n), levels=run.series.levels(n)) for n in observed
    ]
    meta = {**run.provenance, "config": json.dumps(run.config), "parameters": run.parameter_table}
    meta |= {"message": run.message, "summary": run.summary}
    dtype = str(np.result_type(*(run[name].dtype for name in names)))
    with RunWriter(
        out, grid, fields, series, active=run.active, dtype=dtype, meta=meta, title=run.title, overwrite=True
    ) as writer:
        for k in indices:
            writer.append(float(run.times[k]), {name: run[name][k] for name in names})
        writer.set_clipped(
            {
                name: (cells[list(indices)], lowest[list(indices)])
                for name, (cells, lowest) in run.clipped.items()
            }
        )
        writer.append_series({name: run.series[name] for name in ("time", *observed)})
        put(writer.file.require_group("meta"), "status", run.status)
    return [out]


def _zarr(run: Run, out: Path, names: Sequence[str], indices: Sequence[int]) -> list[Path]:
    """Write a Zarr store as xarray does, with coordinates and units.

    The attributes of its root hold the metadata of the run (as JSON text). It is consolidated, so that it is
    opened with one read.
    """
    try:
        import xarray  # noqa: F401
        import zarr
    except ImportError as e:
        raise InputError(f"--to zarr needs {e.name}, which is not installed. {install('export')}.") from e
    if out.exists():
        raise InputError(f"{out} exists already. Choose another folder with --out, or remove it.")
    about = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in _about(run).items()
    }
    for name in names:  # one at a time in memory
        chosen = run.to_xarray(name).isel(time=list(indices)).assign_attrs(about)
        chosen.to_zarr(out, mode="a", consolidated=False)
    # the warning says that the Zarr 3 specification has no consolidated metadata yet; all readers open the
    # store either way
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(out)
    return [out]


def _xdmf(run: Run, out: Path, names: Sequence[str], indices: Sequence[int]) -> list[Path]:
    """Write a sidecar for VisIt and ParaView: XML that points into run.h5 relative to its own folder.

    Values at the cell centres are those of points. A section is a block one point thick, as VTK misreads
    2DCoRectMesh: time, the first axis of its fields, takes the place of z.
    """
    file = Path(os.path.relpath(run.file.filename, out.parent)).as_posix()
    flat = [1] * (3 - len(run.shape))
    dimensions = _row([*flat, *run.shape])
    root = ElementTree.Element("Xdmf", Version="2.0")
    series = _item(_item(root, "Domain"), "Grid", GridType="Collection", CollectionType="Temporal")
    _item(series, "Information", Name="run_id", Value=_name(run)["run_id"])
    for k in indices:
        grid = _item(series, "Grid", Name=run.title or "run", GridType="Uniform")
        _item(grid, "Time", Value=repr(float(run.times[k])))
        _item(grid, "Topology", TopologyType="3DCoRectMesh", Dimensions=dimensions)
        geometry = _item(grid, "Geometry", GeometryType="ORIGIN_DXDYDZ")
        corner, steps = [0.0] * len(flat), [run.thickness or 1.0] * len(flat)
        for values in (
            [*corner, *(float(run.centres(axis)[0]) for axis in run.axes)],
            [*steps, *run.spacing],
        ):
            _item(geometry, "DataItem", _row(values), Dimensions="3", Format="XML")
        cut = [[k, *[0] * len(run.shape)], [1] * (1 + len(run.shape)), [1, *run.shape]]
        for name in names:
            node = _item(
                grid, "Attribute", Name=_header(name, run[name].unit), AttributeType="Scalar", Center="Node"
            )
            slab = _item(node, "DataItem", ItemType="HyperSlab", Type="HyperSlab", Dimensions=dimensions)
            _item(
                slab,
                "DataItem",
                "  ".join(map(_row, cut)),
                Dimensions=f"3 {1 + len(run.shape)}",
                Format="XML",
            )
            shape = _row([len(run.times), *run.shape])
            bits = {"NumberType": "Float", "Precision": str(run[name].dtype.itemsize)}
            _item(slab, "DataItem", f"{file}:/{name}", Format="HDF", Dimensions=shape, **bits)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(out, encoding="utf-8", xml_declaration=True)
    return [out]


def _name(run: Run) -> dict[str, str]:
    """The identity of a run."""
    return {"title": run.title, "run_id": run.provenance.get("run_id", "")}


def _about(run: Run) -> dict[str, Any]:
    """All metadata of a run."""
    said = summary(run)
    kept = ("status", "message", "provenance", "parameters", "summary", "clipped")
    return _name(run) | {key: said[key] for key in kept} | {"config": run.config}


def _item(
    parent: ElementTree.Element, tag: str, text: str | None = None, **attributes: str
) -> ElementTree.Element:
    node = ElementTree.SubElement(parent, tag, attributes)
    node.text = text
    return node


def _row(values: Sequence[float]) -> str:
    return " ".join(map(repr, values))


def _header(name: str, unit: str) -> str:
    return name if unit in ("", "1") else f"{name} ({unit})"


class Format(NamedTuple):
    """An export format. suffix: the suffix of its files, unless the user names them."""

    suffix: str
    write: Callable[[Run, Path, Sequence[str], Sequence[int]], list[Path]]


FORMATS = {
    "tiff": Format(".tif", _tiff),
    "csv": Format(".csv", _csv),
    "vtkhdf": Format(".vtkhdf", _vtkhdf),
    "zarr": Format(".zarr", _zarr),
    "npz": Format(".npz", _npz),
    "xdmf": Format(".xdmf", _xdmf),
}
