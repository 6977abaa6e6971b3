"""Every error of a run, of what reads one, of a study and of a Python caller, provoked: id in docs/errors.md
-> how.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import matplotlib
import numpy as np

from rdsolver import load_config, read_events
from rdsolver.figures import report
from rdsolver.figures.surface import triangles
from rdsolver.geometry.section import Section
from rdsolver.geometry.trabeculae import trabecular
from rdsolver.images.load import section_from_array
from rdsolver.models.bone.components.tumour import Tumour
from rdsolver.models.bone.pharmacokinetics import Dose
from rdsolver.output.export import export
from rdsolver.output.layout import Window
from rdsolver.output.reader import Run
from rdsolver.output.writer import RunWriter, selected_fields
from rdsolver.problem import Problem, Solver
from rdsolver.runs import checkpoint, checkpoint_file
from rdsolver.runs.run import simulate
from rdsolver.simulation import baseline, program
from rdsolver.studies.sensitivity import global_
from rdsolver.sweep.driver import SweepResult
from tests.models.test_observers import REFUSED as REFUSED_OBSERVERS
from tests.models.test_observers import watched_decay
from tests.problem.test_python import REFUSED
from tests.support.drawn_runs import FLAT
from tests.support.errors_here import (
    BARE,
    DOSE,
    FIELDS,
    FULL,
    IMAGE,
    Here,
    damaged,
    fails,
    hdf5,
    load_own,
    lock,
    met,
    misnumbered,
    newer,
    of_image,
    opened,
    other,
    refuses_to_write,
    removes,
    shortened,
    side,
    then,
)
from tests.support.images import GREY
from tests.support.problems import problem, square

GIVEN = {
    "sides": "a border of two places",
    "idle": "a border with more",
    "number": "spacing with a unit",
    "whole": "cells that are a float",
    "least": "grid of no cells",
    "component-twice": "a component twice",
    "component-tissue": "a component of bone beyond it",
    "text": "a title of another type",
    "type": "no grid",
    "list": "one spacing for all",
    "dictionary": "parameters in a list",
    "name": "an array of no name",
    "array-shape": "a mask of another shape",
    "array-type": "an array of text",
    "array-finite": "a medium NaN",
    "array-least": "a medium below 0",
    "mask-type": "a mask of numbers",
    "bone-type": "bone of text",
    "view-type": "field of view of numbers",
    "grid-axes": "grid of one axis",
    "grid-entries": "spacings of another number",
    "grid-thickness": "no thickness",
    "change": "a change that ends before",
    "treatment": "a treatment of nothing",
    "nests": "a tumour nowhere",
    "field": "no unit",
    "koff": "koff",
    "output": "a field not there",
    "active": "a mask of nothing",
    "taken": "an array named time",
    "saved": "a save after the end",
    "path": "open a number",
    "no-array": "a ragged section",
}
"""Of test_python.py: of each row the case that provokes it."""

MORRIS = ("--global", "morris", "--samples", 2, "--parameters", "opg_kon,rankl_loss")

CASES: dict[str, Callable[[Here], tuple[str, int]]] = {
    # where a run begins
    "out-exists": lambda h: then(h.check(), h.cli("run", "mine.toml", "--out", h.runs / "done")),
    "out-written": lambda h: then(h.check(), h.cli("run", "mine.toml", "--out", "/proc/none")),
    "out-folder": lambda h: then(
        h.check(),
        Path("out/run.h5").mkdir(parents=True),
        h.cli("run", "mine.toml", "--out", "out", "--force"),
    ),
    "initial-model": lambda h: h.goes_on("model.name=artery"),
    "moved-key": lambda h: h.cli("resume", h.copy(), "--set", "time.end=9", "--allow-python"),
    "moved-missing": lambda h: h.cli("resume", h.edited(of_image), "--allow-python"),
    "moved-other": lambda h: then(
        Path("a.tif").touch(),
        h.cli("resume", h.edited(of_image), "--allow-python", "--set", "section.image=a.tif"),
    ),
    "initial-state": lambda h: h.check(f"initial.from={h.edited(lambda f: f.pop('state'), 'done')}"),
    "initial-section": lambda h: h.goes_on("section.slab_thickness=40"),
    "initial-lost": lambda h: h.goes_on(),
    "initial-healthy": lambda h: h.goes_on(DOSE, "model.membrane_rankl=true"),
    "initial-older": lambda h: then(
        path := h.edited(lambda file: file["reference"].pop("settled"), "done"),
        h.check(f"initial.from={path}", DOSE),
    ),
    "initial-calcium": lambda h: h.raised(
        lambda: Tumour().host(SimpleNamespace(), {}, {"serum_calcium": 2.4})  # pyright: ignore[reportArgumentType]
    ),
    "initial-birth": lambda h: h.goes_on(DOSE, "model.from_birth=true"),
    "initial-baseline": lambda h: h.goes_on(DOSE, BARE, "model.parameters.turnover_speed=0.07"),
    "initial-fields": lambda h: h.own("", "", f"initial.from={h.runs / 'other' / 'run.h5'}"),
    # while it goes on
    "baseline-none": lambda h: h.raised(
        lambda: baseline._checked(dict.fromkeys(baseline.BASES, np.zeros(())))
    ),
    "baseline-lost": lambda h: then(h.patch.setattr(baseline, "MOST_ITERATIONS", 0), h.check(command="run")),
    "steps": lambda h: h.own("", "", "solver.max_steps=2", command="run"),
    "step-small": lambda h: h.own("-p[", 'jnp.where(at["time"] > 0.5, jnp.nan, -1) * p[', command="run"),
    "step-bound": lambda h: h.own("", "", "solver.integrator=rkc2", "model.parameters.D=1e30", command="run"),
    "memory-out": lambda h: then(
        h.patch.setattr(program, "call", fails(MemoryError("no"))), h.own(command="run")
    ),
    "disk": lambda h: then(h.patch.setattr(RunWriter, "_reserve", fails(FULL, 1)), h.own(command="run")),
    "checkpoint-disk": lambda h: then(h.patch.setattr(os, "fsync", fails(FULL)), h.own(command="run")),
    "run-removed": lambda h: then(removes(h), h.own(command="run")),
    "run-locked": lambda h: then(path := h.copy(), lock(path), h.cli("resume", path, "--allow-python")),
    "run-read-only": lambda h: then(
        path := h.copy(), refuses_to_write(h), h.cli("resume", path, "--allow-python")
    ),
    "run-short": lambda h: h.cli("resume", h.edited(shortened), "--allow-python"),
    "memory-command": lambda h: then(
        h.patch.setattr(Run, "__init__", fails(MemoryError("no"))), h.cli("plot", h.runs / "flat")
    ),
    # a run that goes on, or is read
    "run-missing": lambda h: h.cli("info", "nowhere.h5"),
    "run-gone": lambda h: then(path := h.copy(), path.unlink(), h.cli("resume", path, "--allow-python")),
    "run-writing": lambda h: then(path := h.copy(), lock(path), h.cli("plot", path)),
    "run-damaged": lambda h: then(Path("run.h5").write_text("no HDF5"), h.cli("plot", "run.h5")),
    "run-other": lambda h: then(hdf5(one=np.ones(3)), h.cli("plot", "a.h5")),
    "run-newer": lambda h: h.cli("plot", h.edited(lambda f: f.attrs.modify("rdsolver_schema", 99))),
    "run-group": lambda h: h.cli("plot", h.edited(lambda f: f.pop("series"))),
    "run-axes": lambda h: h.cli("plot", h.edited(lambda f: f.attrs.modify("spacing", [0.0, 1.0]))),
    "run-times": lambda h: h.cli("plot", h.edited(lambda f: f["time"].__setitem__(slice(None), 5.0), "flat")),
    "run-cells": lambda h: h.cli("plot", h.edited(lambda f: other(f, "active", np.zeros((3, 3), "u1")))),
    "run-field": lambda h: h.cli("plot", h.edited(lambda f: f["rankl"].resize(1, 0), "flat")),
    "run-series": lambda h: h.cli("plot", h.edited(lambda f: f["series/ntx"].resize(1, 0), "flat")),
    "run-clipped": lambda h: h.cli("info", h.edited(lambda f: f["clipped/cells"].resize(1, 0), "flat")),
    "run-centres": lambda h: h.cli("plot", h.edited(lambda f: f["x"].__setitem__(slice(None), np.nan))),
    "run-meta": lambda h: h.cli("info", h.edited(lambda f: f["meta"].attrs.pop("status"))),
    "run-config": lambda h: h.cli(
        "resume", h.edited(lambda f: f["meta"].attrs.modify("config", "[]")), "--allow-python"
    ),
    "run-precision": lambda h: h.cli(
        "resume", h.edited(lambda f: f["meta"].attrs.modify("precision", "half")), "--allow-python"
    ),
    "run-closed": lambda h: then(run := opened(h), run.close(), h.raised(lambda: run.active)),
    "file-attribute": lambda h: h.cli(
        "plot", h.edited(lambda f: f.attrs.create("title", ["a", "b"], dtype=h5py.string_dtype()))
    ),
    "file-large": lambda h: then(
        h.patch.setattr("rdsolver.output.layout.take", fails(MemoryError())), h.cli("info", h.runs / "flat")
    ),
    "file-deep": lambda h: then(
        h.patch.setattr("rdsolver.output.layout.take", fails(RecursionError())),
        h.cli("info", h.runs / "flat"),
    ),
    "file-damaged": lambda h: h.cli("plot", h.edited(lambda f: f.attrs.pop("title"))),
    "run-dataset": lambda h: h.cli("plot", h.edited(lambda f: (f.pop("active"), f.create_group("active")))),
    "checkpoint-none": lambda h: then(
        path := h.copy(), checkpoint_file.remove(path), h.cli("resume", path, "--allow-python")
    ),
    "checkpoint-sum": lambda h: then(
        path := h.copy(), damaged(path), h.cli("resume", path, "--allow-python")
    ),
    "checkpoint-newer": lambda h: then(
        path := h.copy(), newer(path), h.cli("resume", path, "--allow-python")
    ),
    "checkpoint-entry": lambda h: then(
        path := h.copy(), misnumbered(path, "many"), h.cli("resume", path, "--allow-python")
    ),
    "checkpoint-count": lambda h: then(
        path := h.copy(), misnumbered(path, -1), h.cli("resume", path, "--allow-python")
    ),
    "checkpoint-precision": lambda h: h.raised(
        lambda: list(checkpoint.differences({"precision": "float32"}, {"precision": "float64"}))
    ),
    "checkpoint-other": lambda h: then(
        h.patch.setattr("rdsolver.runs.run.fingerprint", lambda p: ""),
        h.cli("resume", h.copy(), "--allow-python"),
    ),
    "run-python": lambda h: then(
        h.patch.setattr(Run, "config", {}), h.cli("run", "--from", h.runs / "done", "--out", "again")
    ),
    # figures and export
    "figure-suffix": lambda h: h.cli("plot", h.runs / "flat", "--out", "a.bmp"),
    "movie-suffix": lambda h: h.cli("movie", h.runs / "flat", "--out", "a.avi"),
    "report-suffix": lambda h: h.cli("report", h.runs / "flat", "--out", "a.pdf"),
    "movie-ffmpeg": lambda h: then(
        h.patch.setitem(matplotlib.rcParams, "animation.ffmpeg_path", "none"),
        h.cli("movie", h.runs / "flat", "--out", "a.mp4"),
    ),
    "movie-fps": lambda h: h.cli("movie", h.runs / "flat", "--out", "a.gif", "--fps", 0),
    "one-run": lambda h: h.cli("plot", h.runs / "flat", h.runs / "flat"),
    "compare-number": lambda h: h.cli("plot", "--kind", "compare", h.runs / "flat"),
    "compare-field": lambda h: h.cli(
        "plot", "--kind", "compare", h.runs / "flat", h.runs / "flat", "--field", "gold"
    ),
    "compare-nothing": lambda h: h.cli(
        "plot", "--kind", "compare", h.few("a.h5"), h.few("b.h5", series="other")
    ),
    "compare-empty": lambda h: h.cli("plot", "--kind", "compare", h.few("a.h5", steps=0), h.few("b.h5")),
    "draw-steps": lambda h: h.cli("plot", "--kind", "timeseries", h.few("a.h5", steps=0)),
    "draw-nothing": lambda h: h.cli("plot", h.few("a.h5", steps=0, times=0)),
    "show-nothing": lambda h: h.cli("export", "--to", "npz", h.few("a.h5", times=0)),
    "field-unsaved": lambda h: h.cli("export", h.runs / "flat", "--to", "npz", "--field", "gold"),
    "field-observable": lambda h: h.cli("export", h.runs / "flat", "--to", "csv", "--field", "gold"),
    "report-field": lambda h: h.cli("report", h.runs / "flat", "--field", "gold"),
    "time-outside": lambda h: h.cli("export", h.runs / "flat", "--to", "npz", "--time", "30 d"),
    "time-series": lambda h: h.cli("export", h.runs / "flat", "--to", "csv", "--time", "3 d"),
    "at-outside": lambda h: h.cli("plot", h.runs / "flat", "--kind", "profile", "--at", "9000,10"),
    "along": lambda h: h.cli("plot", h.runs / "flat", "--kind", "profile", "--along", "z"),
    "maps-many": lambda h: h.cli(
        "plot", "--kind", "maps", h.few("a.h5", times=8), *(w for t in range(8) for w in ("--time", t))
    ),
    "profile-many": lambda h: h.cli(
        "plot", "--kind", "profile", h.few("a.h5", times=14), *(w for t in range(14) for w in ("--time", t))
    ),
    "report-many": lambda h: h.cli("report", *[h.runs / "flat"] * 9, "--out", "a.html"),
    "report-large": lambda h: then(
        h.patch.setattr(report, "LIMIT", 10), h.cli("report", h.few("a.h5", times=0))
    ),
    "surface": lambda h: then(
        h.patch.setitem(sys.modules, "skimage.measure", None),
        h.raised(lambda: triangles(np.ones((3, 3, 3)), (1, 1, 1))),
    ),
    "fields-none": lambda h: h.cli("plot", "--kind", "maps", h.few("a.h5", fields=[])),
    "fields-outside": lambda h: h.cli(
        "plot", "--kind", "maps", h.edited(lambda f: f["active"].__setitem__(..., 0), "flat")
    ),
    "export-nothing": lambda h: h.raised(lambda: export(opened(h), "npz", Path("a.npz"), [], [0])),
    "export-itself": lambda h: h.cli("export", "--to", "npz", path := h.few("a.npz"), "--out", path),
    "export-exists": lambda h: then(
        Path("a.zarr").mkdir(), h.cli("export", "--to", "zarr", h.runs / "flat", "--out", "a.zarr")
    ),
    "export-zarr": lambda h: then(
        h.patch.setitem(sys.modules, "zarr", None), h.cli("export", "--to", "zarr", h.runs / "flat")
    ),
    "export-imagej": lambda h: then(
        h.patch.setattr("rdsolver.output.export.IMAGEJ_LIMIT", 10),
        h.cli("export", "--to", "tiff", h.runs / "flat", "--out", "a.tif"),
    ),
    # sensitivity
    "sensitivity-own": lambda h: h.own(command="sensitivity"),
    "sensitivity-folder": lambda h: then(h.check(), h.cli("sensitivity", "mine.toml", "--csv", "none/a.csv")),
    "sensitivity-samples": lambda h: then(h.check(), h.cli("sensitivity", "mine.toml", "--samples", 4)),
    "sensitivity-number": lambda h: then(
        h.check(), h.cli("sensitivity", "mine.toml", "--global", "sobol", "--samples", 3)
    ),
    "sensitivity-name": lambda h: then(h.check(), h.cli("sensitivity", "mine.toml", "--parameters", "gold")),
    "sensitivity-fixed": lambda h: then(
        h.check(), h.cli("sensitivity", "mine.toml", "--parameters", "rankl_scale")
    ),
    "sensitivity-sampled": lambda h: then(
        h.check(),
        h.cli("sensitivity", "mine.toml", "--global", "morris", "--parameters", "rankl_scale,opg_kon"),
    ),
    "sensitivity-two": lambda h: then(
        h.check(), h.cli("sensitivity", "mine.toml", "--global", "morris", "--parameters", "opg_kon")
    ),
    "sensitivity-initial": lambda h: then(
        h.check(), h.cli("sensitivity", "mine.toml", "--set", f"initial.from={h.runs / 'done' / 'run.h5'}")
    ),
    "sensitivity-birth": lambda h: then(
        h.check(), h.cli("sensitivity", "mine.toml", "--set", "model.from_birth=true")
    ),
    "sensitivity-initial-global": lambda h: then(
        h.check(),
        h.cli(
            "sensitivity",
            "mine.toml",
            "--global",
            "morris",
            "--set",
            f"initial.from={h.runs / 'done' / 'run.h5'}",
        ),
    ),
    "sensitivity-salib": lambda h: then(
        h.patch.setitem(sys.modules, "SALib.analyze.morris", None),
        h.check(),
        h.cli("sensitivity", "mine.toml", "--global", "morris"),
    ),
    # from Python
    "python-dose-long": lambda h: h.raised(lambda: Dose("rank_fc", 1.0, "iv", 0.0, 9.0, 7.0)),
    "python-events": lambda h: h.raised(lambda: read_events("a.csv", time_unit="mg", amount_unit="mg")),
    "python-events-whole": lambda h: then(
        Path("a.csv").write_text("TIME,AMT,CMT,AGENT\n0,1,1,fc_opg"),
        h.raised(lambda: read_events("a.csv", time_unit="h", amount_unit="mg")),
    ),
    "python-array": lambda h: h.raised(lambda: then(h.check(), load_config("mine.toml").problem(np.ones(5)))),
    "python-thickness": lambda h: h.raised(
        lambda: then(
            h.check(text=IMAGE.replace('thickness = "10 um"\n', "")),
            load_config("mine.toml").problem(np.ones((5, 5))),
        )
    ),
    "python-shapes": lambda h: h.raised(lambda: Section(square(8), np.ones((8, 7)), np.ones((8, 8), bool))),
    "python-fractions": lambda h: h.raised(
        lambda: Section(square(8), np.full((8, 8), 2.0), np.ones((8, 8), bool))
    ),
    "python-view": lambda h: h.raised(lambda: Section(square(8), np.ones((8, 8)), np.zeros((8, 8), bool))),
    "python-surface": lambda h: h.raised(
        lambda: Problem(Section(square(8), np.zeros((8, 8)), np.ones((8, 8), bool), {}, True), {}, 1.0, ())
    ),
    "python-seed": lambda h: h.raised(lambda: trabecular(square(32), 0.3, 120.0, -1)),
    "python-view-rule": lambda h: h.raised(
        lambda: section_from_array(GREY, voxel=20.0, thickness=10.0, threshold=110, field_of_view=5)  # pyright: ignore
    ),
    "python-circle": lambda h: h.raised(
        lambda: section_from_array(
            GREY, voxel=20.0, thickness=10.0, threshold=110, field_of_view={"diameter": 3}
        )
    ),
    "python-depth": lambda h: h.raised(
        lambda: section_from_array(GREY, voxel=20.0, thickness=-1.0, threshold=110)
    ),
    "python-image": lambda h: h.raised(
        lambda: section_from_array(np.zeros((0, 4)), voxel=20.0, thickness=10.0, threshold=110)
    ),
    "python-two": lambda h: h.raised(lambda: simulate(problem(), section=np.ones((8, 8)))),
    "python-precision": lambda h: h.raised(lambda: simulate(problem(), precision="half")),
    "python-border": lambda h: h.raised(lambda: met(side(axis="z"))),
    "python-periodic": lambda h: h.raised(lambda: met(side(), "periodic")),
    "python-mask": lambda h: h.raised(lambda: met(side(mask=np.ones((8, 8), bool), axis="", side=""))),
    "python-border-none": lambda h: h.raised(lambda: met(side(), active=False)),
    "python-unit": lambda h: h.raised(lambda: simulate(load_own(model={"time_unit": "s"}))),
    "python-value": lambda h: h.raised(lambda: simulate(load_own(parameters={}))),
    "python-etd": lambda h: h.raised(
        lambda: simulate(load_own(active=np.eye(8) > 0, solver=Solver("etdrk4")))
    ),
    "python-stride": lambda h: h.raised(lambda: Window.of(FLAT, SimpleNamespace(stride=0, crop=None))),  # pyright: ignore
    "python-crop": lambda h: h.raised(lambda: Window.of(FLAT, SimpleNamespace(stride=1, crop=((0, 99),)))),  # pyright: ignore
    "python-fields": lambda h: h.raised(lambda: selected_fields(FIELDS, SimpleNamespace(fields=("gold",)))),  # pyright: ignore
    "python-xarray": lambda h: then(
        h.patch.setitem(sys.modules, "xarray", None), h.raised(lambda: opened(h).to_xarray())
    ),
    "observer-late": lambda h: h.raised(lambda: simulate(watched_decay(REFUSED_OBSERVERS["late"][0]))),
    **{
        f"python-observer-{row}": lambda h, observer=REFUSED_OBSERVERS[row][0]: h.raised(
            lambda: simulate(watched_decay(observer))
        )
        for row in ("taken", "name", "value", "where", "fails", "number")
    },
    **{f"python-{row}": lambda h, make=REFUSED[case][0]: h.raised(make) for row, case in GIVEN.items()},
    # samples
    "samples-left": lambda h: then(
        h.patch.setattr(global_, "run_sweep", lambda *_: SweepResult({}, 6, "stopped by a test")),
        h.check(),
        h.cli("sensitivity", "mine.toml", *MORRIS),
    ),
    "samples-failed": lambda h: then(
        h.patch.setattr(
            global_,
            "_all",
            lambda design, folder, wanted, *_: (np.full((len(design), len(wanted)), np.nan), {"no": 9}),
        ),
        h.check(),
        h.cli("sensitivity", "mine.toml", *MORRIS),
    ),
}
