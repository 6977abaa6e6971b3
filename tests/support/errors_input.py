"""Every error of a command, a config, a section, an image or a model of one's own, provoked: id in
docs/errors.md -> how.
"""

import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import PIL.Image
import tifffile

from rdsolver.images import tiff as tiff_reader
from rdsolver.images import voxels
from rdsolver.images.load import section_from_array
from rdsolver.problem import Change, Solver
from rdsolver.utils import safe_files
from tests.support.driven import driven
from tests.support.errors_here import (
    BLOCK,
    DOSE,
    EVENTS,
    IMAGE,
    OME,
    PLAIN,
    RINGS,
    SLAB,
    TRABECULAR,
    Here,
    axes,
    border,
    changes,
    cut,
    emptied,
    fails,
    hdf5,
    linked,
    metaimage,
    nrrd,
    said,
    slices,
    then,
    tiff,
)
from tests.support.images import GREY, STACK, nifti, without_imagecodecs
from tests.support.images import write as written

LIMIT = {"RLIMIT_AS": 9, "RLIM_INFINITY": -1, "getrlimit": lambda which: (10**9, 10**9)}  # ulimit -v 1000000


def stops_at_nan(h: Here) -> tuple[str, int]:
    jax.config.update("jax_error_checking_behavior_nan", "raise")
    try:
        return h.check()
    finally:
        jax.config.update("jax_error_checking_behavior_nan", "ignore")


def in_process(h: Here, *words: object, **environment: str) -> tuple[str, int]:
    """A command in a process of its own."""
    command = [sys.executable, "-m", "rdsolver", *map(str, words)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    return done.stderr, done.returncode


CASES: dict[str, Callable[[Here], tuple[str, int]]] = {
    # command line
    "cli-option": lambda h: h.cli("run", "mine.toml", "--fast"),
    "cli-run": lambda h: h.cli("run"),
    "cli-names": lambda h: h.cli("plot", h.runs / "flat", "--kind", "pie"),
    "cli-params": lambda h: then(h.check(), h.cli("params", "mine.toml", "--preset", "mouse")),
    "cli-time": lambda h: h.cli("run", "mine.toml", "--walltime", "0 h"),
    "cli-time-bare": lambda h: h.cli("run", "mine.toml", "--walltime", "8"),
    "cli-time-form": lambda h: h.cli("run", "mine.toml", "--walltime", "8 um"),
    "cli-time-clock": lambda h: h.cli("run", "mine.toml", "--checkpoint", "0:75:00"),
    "cli-copy": lambda h: h.cli("example", "myeloma", "here"),
    "cli-copy-what": lambda h: h.cli("example", "--copy"),
    "cli-copy-there": lambda h: then(
        Path("myeloma.toml").write_text("mine"), h.cli("example", "myeloma", "--copy")
    ),
    "bare-number": lambda h: then(h.check(), h.cli("check", "mine.toml", "--json", "--set", "time.end=5")),
    "given-other": lambda h: then(Path("s.toml").write_text('base = "mine.toml"'), h.cli("run", "s.toml")),
    "cli-twice": lambda h: h.cli("run", "mine.toml", "mine.toml"),
    "cli-device": lambda h: then(h.check(), h.cli("run", "mine.toml", "--device", "tpu")),
    "cli-no-device": lambda h: then(h.check(), h.cli("run", "mine.toml", "--device", "gpu:9")),
    "jax-setting": lambda h: then(
        h.patch.setattr(
            "rdsolver.cli.run.load", lambda *_: jax.config.update("jax_numpy_rank_promotion", "perhaps")
        ),
        h.check(),
    ),
    "jax-errors": lambda h: stops_at_nan(h),
    "figures-backend": lambda h: in_process(
        h, "plot", h.runs / "flat", "--out", "a.png", MPLBACKEND="nonsense"
    ),
    "address-space": lambda h: then(
        h.patch.setattr("rdsolver.parallel.device.resource", SimpleNamespace(**LIMIT)), h.check()
    ),
    "cli-written": lambda h: h.cli("export", h.runs / "flat", "--to", "csv", "--out", "/proc/none/a.csv"),
    "path-home": lambda h: then(
        h.patch.setattr("os.path.expanduser", lambda path: path), h.cli("check", "~/mine.toml")
    ),
    "set-form": lambda h: h.check("x"),
    "set-inside": lambda h: h.check("time.end.x=1"),
    "set-list": lambda h: h.check("dose.7.at=1"),
    # config, key by key
    "config-missing": lambda h: h.cli("check", "mine.toml"),
    "config-unreadable": lambda h: h.cli("check", "."),
    "config-encoding": lambda h: then(
        Path("mine.toml").write_bytes(b"\xff\xfet"), h.cli("check", "mine.toml")
    ),
    "config-large": lambda h: h.check(text="# " + "x" * 2_000_000),
    "config-deep": lambda h: h.check(text="a = " + "[" * 5000),
    "config-toml": lambda h: h.check(text="[section]\nspacing = 10 um\n"),
    "config-schema": lambda h: h.check("schema=2"),
    "config-python": lambda h: then(h.own(), h.cli("check", "mine.toml")),
    "key-unknown": lambda h: h.check("section.spcing=1"),
    "key-missing": lambda h: h.check(
        text='[section]\nkind="slab"\nsize=[160, 160]\nthickness=10\n[time]\nend=1\n'
    ),
    "key-word": lambda h: h.check("solver.precision=half"),
    "key-tables": lambda h: h.check('dose={agent="rank_fc"}'),
    "key-list": lambda h: h.check("section.size=160 um"),
    "key-several": lambda h: h.image(GREY, "a.tif", "section.channel=1.5"),
    "key-entries": lambda h: h.check("section.size=[160]"),
    "key-table": lambda h: h.check("time=3"),
    "key-text": lambda h: h.check(text="title = 2024\n" + SLAB),
    "key-type": lambda h: h.check("output.stride=1.5"),
    "key-names": lambda h: h.check("output.fields=3"),
    "name-unknown": lambda h: h.check("section.kind=trabecula"),
    "drug-unknown": lambda h: h.check("dose.0.agent=rankfc", "dose.0.amount=1", "dose.0.at=1"),
    "quantity-text": lambda h: h.check("time.end=soon, maybe"),
    "quantity-finite": lambda h: h.check("time.end=inf"),
    "quantity-unit": lambda h: h.check("time.end=3 moons"),
    "quantity-dimension": lambda h: h.check("time.end=3 um"),
    "quantity-own": lambda h: h.own(
        '"u", "1", 1.0', '"u", "IU", 1.0', 'border=[{field="u", side="x-low", value="3 nM"}]'
    ),
    "quantity-bounds": lambda h: h.check("time.end=-1 d"),
    # config, as a whole
    "size-multiple": lambda h: h.check("section.size=[165, 160]"),
    "size-many": lambda h: h.check("section.size=[1e12, 160]"),
    "section-memory": lambda h: then(
        h.patch.setattr("rdsolver.config.sections.slab", fails(MemoryError())), h.check()
    ),
    "dose-many": lambda h: h.check(
        *(f"dose.{i}={{agent='rank_fc', amount=1, every=1e-9, times=9999}}" for i in range(2))
    ),
    "thickness-missing": lambda h: h.check(PLAIN % "slab_thickness=80"),
    "thickness-block": lambda h: h.check(BLOCK),
    "slab-axis": lambda h: h.check("section.axis=z"),
    "ring-wall": lambda h: h.check(RINGS % 150, "model.name=artery"),
    "box-empty": lambda h: h.check('section={kind="box", size=[160, 160], spacing=20, thickness=10}'),
    "dose-unset": lambda h: h.check('dose=[{agent="rank_fc", amount=1}]'),
    "dose-never": lambda h: h.check('dose=[{agent="rank_fc", amount=1, at=[]}]'),
    "dose-repeat": lambda h: h.check('dose=[{agent="rank_fc", amount=1, every=1}]'),
    "dose-list": lambda h: h.check('dose=[{agent="rank_fc", amount=1, at=[1], every=1, times=2}]'),
    "dose-once": lambda h: h.check('dose=[{agent="rank_fc", amount=1, at=0, ss=true}]'),
    "dose-loaded": lambda h: h.check(
        'dose=[{agent="rank_fc", amount=1, loading=2, every=1, times=2, ss=true}]'
    ),
    "dose-long": lambda h: h.check(
        'dose=[{agent="rank_fc", amount=1, every=1, times=2, ss=true, duration=2}]'
    ),
    "dose-whole": lambda h: h.check(DOSE, "dose.0.amount=60 mg"),
    "weight-idle": lambda h: h.check(DOSE, "model.body_weight=70 kg"),
    "steady-none": lambda h: h.check(
        'dose=[{agent="rank_fc", amount=1, every=1, times=2, ss=true}]',
        "model.parameters.rank_fc_clearance=0",
    ),
    "steady-twice": lambda h: h.check(
        *(f"dose.{i}={{agent='rank_fc', amount=1, every=1, times=2, ss=true}}" for i in range(2))
    ),
    "events-unit": lambda h: h.events("0,1,1", time_unit="mg"),
    "events-unreadable": lambda h: h.events("0,1,1", file="none.csv"),
    "events-encoding": lambda h: then(
        Path("b.csv").write_bytes(b"\xff\xfet"), h.events("0,1,1", file="b.csv")
    ),
    "events-csv": lambda h: h.events('0,"1"1,1'),
    "events-large": lambda h: h.events("0,1,1" + "1" * 1_000_001),
    "events-empty": lambda h: h.events(columns=""),
    "events-cells": lambda h: h.events("0,1"),
    "events-twice": lambda h: h.events("0,1,1,1", columns="TIME,AMT,CMT,CMT"),
    "events-unnamed": lambda h: h.events("0,1,1,1", columns="TIME,AMT,CMT,"),
    "events-other": lambda h: h.events("0,1,1,1", columns="TIME,AMT,CMT,DUR"),
    "events-column": lambda h: h.events("0,1", columns="TIME,CMT"),
    "events-one": lambda h: h.events("0,1", columns="TIME,AMT"),
    "events-ids": lambda h: h.events("1,0,1,1", "2,0,1,1", columns="ID,TIME,AMT,CMT"),
    "events-id": lambda h: h.events("1,0,1,1", columns="ID,TIME,AMT,CMT", id="3"),
    "events-none": lambda h: h.events("0,.,1"),
    "events-number": lambda h: h.events("8:30,1,1"),
    "events-evid": lambda h: h.events("0,1,1,4", columns="TIME,AMT,CMT,EVID"),
    "events-idle": lambda h: h.events("0,1,1,0", columns="TIME,AMT,CMT,EVID"),
    "events-amount": lambda h: h.events("0,.,1,1", columns="TIME,AMT,CMT,EVID"),
    "events-rate": lambda h: h.events("0,1,1,-2", columns="TIME,AMT,CMT,RATE"),
    "events-ss": lambda h: h.events("0,1,1,2,24", columns="TIME,AMT,CMT,SS,II"),
    "events-addl": lambda h: h.events("0,1,1,0.5,24", columns="TIME,AMT,CMT,ADDL,II"),
    "events-interval": lambda h: h.events("0,1,1,3", columns="TIME,AMT,CMT,ADDL"),
    "events-word": lambda h: h.events("0,1,3"),
    "events-row": lambda h: h.events("-1,1,1"),
    "events-unread": lambda h: then(
        Path("a.csv").write_text("TIME,AMT,CMT,WT\n0,1,1,70"),
        h.check(text=f"{SLAB}\n[[events]]\n{EVENTS}"),
        h.cli("check", "mine.toml", "--json"),
    ),
    "too-late": lambda h: h.check(DOSE, "dose.0.at=20 d"),
    "dose-name": lambda h: h.added(DOSE, unknowns='(Field("fc_opg", "nM", 1.0, "x"),)', moves="{}"),
    "agent-taken": lambda h: h.check("agent.0.name=bone", "agent.0.like=rank_fc"),
    "agent-bone-drug": lambda h: h.check("agent.0.name=bisphosphonate", "agent.0.label=x"),
    "component": lambda h: h.check("model.components=['heart']"),
    "component-without": lambda h: h.check("model.without=['heart']"),
    "component-both": lambda h: h.check("model.without=['mineral']", "model.components=['mineral']"),
    "component-table": lambda h: h.check("model.components=['tumour']"),
    "parameter-part": lambda h: h.check("model.parameters.fc_opg_kon=900"),
    "parameter-bounds": lambda h: h.check("model.parameters.rankl_diffusivity=-1"),
    "koff": lambda h: h.check("model.parameters.opg_K_eff=1e-6"),
    "change-fixed": lambda h: h.check(*changes("smoothing_length")),
    "change-until": lambda h: h.check(*changes("rankl_loss", at=5, until=4)),
    "change-instant": lambda h: h.check(*changes("rankl_loss", at=5, until=5 + 1e-12)),
    "change-lasts": lambda h: h.raised(
        lambda: replace(driven(), changes=(Change("loss", 2.0, 5.0, 5.0 + 1e-12),))
    ),
    "times-close": lambda h: h.raised(lambda: replace(driven(), save=(0.5, 0.5 + 5e-8, 0.5 + 1e-7))),
    "change-bounds": lambda h: h.check(*changes("bone_mobility", 1e3)),
    "border-kind": lambda h: h.check(*border()),
    "border-exchange": lambda h: h.check(*border(flux=1, exchange=1)),
    "border-periodic": lambda h: h.check(*border(value=1), "section.borders=periodic"),
    "border-twice": lambda h: h.check(
        *border(value=1), *(o.replace("border.0", "border.1") for o in border(value=1))
    ),
    "border-negative": lambda h: h.check(*border(value=-1)),
    "tumour-nowhere": lambda h: h.check("tumour.kind=myeloma"),
    "tumour-idle": lambda h: h.check("tumour.spread=0.01", "tumour.radius=50"),
    "initial-one": lambda h: h.check("initial.from=a.h5", "initial.seed=1"),
    "initial-seed": lambda h: h.check("initial.seed=1"),
    "save-late": lambda h: h.check("time.save=[1, 11]"),
    "save-never": lambda h: h.check("time.save=[]"),
    "save-often": lambda h: h.check("time.save=1e-9"),
    "save-many": lambda h: then(
        h.patch.setattr("rdsolver.config.tables.MOST_SAVED", 2), h.check("time.save=[1, 2, 3]")
    ),
    "not-of-bone": lambda h: h.check("model.name=artery", "model.preset=human", RINGS % 50),
    "not-of-own": lambda h: h.own("", "", "model.preset=mouse"),
    "etd-bone": lambda h: h.check("solver.integrator=etdrk4"),
    "etd-whole": lambda h: h.own(
        "", "", "solver.integrator=etdrk4", 'border=[{field="u", side="x-low", value=1}]'
    ),
    "longest-step": lambda h: h.raised(lambda: Solver(longest_step=0)),
    "tolerance": lambda h: h.check("solver.tolerance=1e-9"),
    "stride": lambda h: h.check("output.stride=8"),
    "crop": lambda h: h.check("output.crop=[[0, 8], [0, 17]]"),
    "memory": lambda h: h.check(
        TRABECULAR.replace("320", "1e5").replace("spacing=20", "spacing=1") % "seed=1"
    ),
    # section
    "trabecular-fraction": lambda h: h.check(TRABECULAR % "bone_fraction=0.95"),
    "trabecular-thin": lambda h: h.check(TRABECULAR % "trabecular_thickness=30"),
    "trabecular-thick": lambda h: h.check(TRABECULAR % "trabecular_thickness=300"),
    "ring-thin": lambda h: h.check(RINGS % 5, "model.name=artery"),
    "coarsen-period": lambda h: h.check("section.borders=periodic", "section.coarsen=3"),
    "ring-room": lambda h: h.check(RINGS % "50, count=9", "model.name=artery"),
    "no-surface": lambda h: h.check(PLAIN % "slab_thickness=320, thickness=10"),
    "lives": lambda h: h.own("parameters=(K, D)", 'parameters=(K, D), lives="bone"'),
    "nest-small": lambda h: h.check("tumour.at=[[80, 200]]", "tumour.radius=5"),
    "nest-outside": lambda h: h.check("tumour.at=[[80, 2000]]"),
    "nest-bone": lambda h: h.check("tumour.at=[[80, 30]]", "tumour.radius=20"),
    "nest-room": lambda h: h.check("tumour.nests=500"),
    # image
    "image-missing": lambda h: h.image(None),
    "image-link": lambda h: then(Path("a.tif").symlink_to("nowhere"), h.image(None)),
    "image-kind": lambda h: then(Path("a.doc").touch(), h.image(None, "a.doc")),
    "image-zero": lambda h: then(Path("a.tif").touch(), h.image(None)),
    "image-damaged": lambda h: then(Path("a.tif").write_text("no image"), h.image(None)),
    "image-cut": lambda h: then(written(Path("a.tif"), GREY), cut(Path("a.tif"), 500), h.image(None)),
    "image-empty": lambda h: h.image(np.zeros((0, 5)), "a.npy"),
    "image-large": lambda h: then(h.patch.setattr(voxels, "MAX_VOXELS", 700), h.image()),
    "image-png": lambda h: then(h.patch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100), h.image(GREY, "a.png")),
    "image-colour": lambda h: then(
        PIL.Image.fromarray(GREY).convert("RGB").save("a.png"), h.image(None, "a.png")
    ),
    "image-channels": lambda h: h.image(np.stack([GREY] * 3, -1), "a.npy"),
    "image-choose": lambda h: then(said(STACK, axes="CYX"), h.image(None)),
    "image-choice": lambda h: then(said(STACK, axes="TYX"), h.image(None, "a.tif", "section.frame=9")),
    "image-no-choice": lambda h: h.image(STACK, "a.tif", "section.channel=0"),
    "image-axis": lambda h: then(axes("energy", "y", "x"), h.image(None, "a.h5")),
    "image-axis-twice": lambda h: then(axes("c", "band", "x"), h.image(None, "a.h5")),
    "image-calibration": lambda h: then(said(GREY, cf=0, c0=1.0), h.image(None)),
    "image-function": lambda h: then(said(GREY, cf=4), h.image(None)),
    "image-applied": lambda h: then(said(GREY.astype("f4"), cf=0), h.image(None)),
    "image-quantised": lambda h: then(nrrd("old min: 0"), h.image(None, "a.nrrd")),
    "image-absent": lambda h: then(axes("y", "x", values=GREY, _FillValue=GREY[0, 0]), h.image(None, "a.h5")),
    "image-oblique": lambda h: then(
        nrrd("space dimension: 2", "space directions: (1,0) (1,1)"), h.image(None, "a.nrrd")
    ),
    "image-directions": lambda h: then(nifti(Path("a.nii"), sform=np.zeros((3, 3))), h.image(None, "a.nii")),
    "image-lengths": lambda h: then(metaimage("TransformMatrix = 2 0 0 2"), h.image(None, "a.mha")),
    "image-vectors": lambda h: then(
        nifti(Path("a.nii"), "CYX", slope=(2.0, 1.0), intent=1007), h.image(None, "a.nii")
    ),
    "image-sform": lambda h: then(nifti(Path("a.nii"), sform=10 * np.eye(3)), h.image(None, "a.nii")),
    "image-scales": lambda h: then(
        slices(a=GREY), said(GREY, cf=0, c0=1.0, c1=2.0), Path("a.tif").rename("s/b.tif"), h.image(None, "s")
    ),
    "image-inverted": lambda h: then(tiff("a.tif", GREY, photometric="miniswhite"), h.image(None)),
    "image-axes": lambda h: h.image(np.ones((2, 3, 4, 5)), "a.npy"),
    "image-several": lambda h: then(tiff("a.tif", GREY, GREY[:9]), h.image(None)),
    "image-type": lambda h: h.image(GREY * 1j, "a.npy"),
    "image-nan": lambda h: h.image(np.where(np.eye(8), np.nan, 1.0), "a.npy"),
    "image-flat": lambda h: h.image(GREY * 0 + 7, "a.tif", "section.field_of_view=circle"),
    "image-dataset": lambda h: then(hdf5(one=GREY, two=GREY), h.image(None, "a.h5")),
    "image-no-hdf5": lambda h: h.image(GREY, "a.tif", "section.dataset=one"),
    "image-folder": lambda h: then(slices(), h.image(None, "s")),
    "image-slice": lambda h: then(slices(a=STACK), h.image(None, "s")),
    "image-unlike": lambda h: then(slices(a=GREY, b=GREY[:9]), h.image(None, "s")),
    "image-itk": lambda h: then(
        h.patch.setitem(sys.modules, "SimpleITK", None),
        Path("a.nrrd").write_text("NRRD0004"),
        h.image(None, "a.nrrd"),
    ),
    "image-short": lambda h: then(
        written(Path("a.npy"), GREY), cut(Path("a.npy"), 300), h.image(None, "a.npy")
    ),
    "image-packed": lambda h: then(h.patch.setattr(tiff_reader, "READ", ()), h.image()),
    "image-codecs": lambda h: then(
        tiff("a.tif", GREY, compression="lzw"), without_imagecodecs(h.patch), h.image(None)
    ),
    "image-jpeg": lambda h: then(
        said(iter([b"x" * 99]), compression="jpeg", shape=(24, 30), dtype="u1", imagej=False), h.image(None)
    ),
    "image-header": lambda h: then(Path("a.mha").write_text("NDims = 9\n"), h.image(None, "a.mha")),
    "image-beside": lambda h: then(
        Path("a.mhd").write_text("NDims = 2\nElementDataFile = ../b.raw\n"), h.image(None, "a.mhd")
    ),
    "image-parts": lambda h: then(
        tifffile.imwrite("a.tif", GREY, description=OME, metadata=None), h.image(None)
    ),
    "file-elsewhere": lambda h: then(linked(), h.image(None, "a.h5")),
    "file-memory": lambda h: then(
        h.patch.setattr(safe_files, "SMALL", 0),
        h.patch.setattr(safe_files, "host_memory", lambda: 10),
        h.image(GREY, "a.npy"),
    ),
    "file-bomb": lambda h: then(
        h.patch.setattr(safe_files, "SMALL", 0),
        h.raised(lambda: safe_files.check_unpacks(zlib.compress(bytes(999)), 5, "a")),
    ),
    "file-heap": lambda h: then(
        axes("y", "x", values=GREY, note="yx"), emptied("a.h5"), h.image(None, "a.h5")
    ),
    "file-kind": lambda h: then(hdf5(one=np.zeros((9, 9), "V8")), h.image(None, "a.h5")),
    "file-packed": lambda h: then(hdf5(scaled=True), h.image(None, "a.h5")),
    "voxel-missing": lambda h: then(
        written(Path("a.tif"), GREY), h.check(text=IMAGE.replace('voxel = "20 um"\n', ""))
    ),
    "voxel-impossible": lambda h: then(
        tifffile.imwrite("a.tif", GREY, resolution=(1e-3, 1e-3), resolutionunit="CENTIMETER"),
        h.check(text=IMAGE.replace('voxel = "20 um"\n', "")),
    ),
    "voxel-other": lambda h: then(
        tifffile.imwrite("a.tif", GREY, resolution=(1e3, 1e3), resolutionunit="CENTIMETER"), h.image(None)
    ),
    "length": lambda h: h.image(GREY, "a.tif", "section.voxel=2 cm"),
    "lengths": lambda h: h.image(GREY, "a.tif", "section.voxel=[1, 2, 3]"),
    "image-thickness": lambda h: then(
        written(Path("a.tif"), GREY), h.check(text=IMAGE.replace('thickness = "10 um"\n', ""))
    ),
    "image-deep": lambda h: h.image(STACK),
    "image-crop": lambda h: h.image(GREY, "a.tif", "section.crop=[[0, 25], [0, 30]]"),
    "view-shape": lambda h: then(
        written(Path("m.tif"), GREY[:5]), h.image(GREY, "a.tif", "section.field_of_view=m.tif")
    ),
    "view-empty": lambda h: then(
        written(Path("m.tif"), GREY * 0), h.image(GREY, "a.tif", "section.field_of_view=m.tif")
    ),
    "view-calibrated": lambda h: then(
        said(GREY, cf=0, c0=1.0, c1=2.0),
        Path("a.tif").rename("m.tif"),
        h.image(GREY, "a.tif", "section.field_of_view=m.tif"),
    ),
    "denoise": lambda h: h.image(GREY, "a.tif", "section.denoise=900 um"),
    "denoise-rule": lambda h: h.raised(
        lambda: section_from_array(GREY, voxel=20.0, thickness=10.0, threshold=110, denoise="strong")
    ),
    "threshold-rule": lambda h: h.raised(
        lambda: section_from_array(GREY, voxel=20.0, thickness=10.0, threshold="bright")
    ),
    "threshold-none": lambda h: h.image(GREY, "a.tif", "section.threshold=255"),
    "threshold-fraction": lambda h: h.image(GREY * 1.5, "a.npy", "section.threshold=fraction"),
    "threshold-binary": lambda h: h.image(GREY, "a.tif", "section.threshold=binary"),
    "spacing-wide": lambda h: h.image(GREY, "a.tif", "section.spacing=1000"),
    "spacing-fine": lambda h: h.image(GREY, "a.tif", "section.spacing=1e-3"),
    # a model of one's own
    "own-object": lambda h: h.own("", "", "model=own.py"),
    "own-unreadable": lambda h: h.own("", "", "model=none.py:MINE"),
    "own-fails": lambda h: h.own("import jax", "import nowhere, jax"),
    "own-absent": lambda h: h.own("MINE =", "OTHER ="),
    "own-call": lambda h: h.own("MINE =", "def MINE(): return 1 / 0\nOTHER ="),
    "own-kind": lambda h: h.own("MINE =", "MINE = 3\nOTHER ="),
    "own-attribute": lambda h: h.own('initial={"u": 1.0}', "initial=[1]"),
    "own-names": lambda h: h.own('Field("u"', 'Field("time"'),
    "own-scale": lambda h: h.own('"1", 1.0, "u"', '"1", 0, "u"'),
    "own-value": lambda h: h.own("Parameter(n, 1.0", "Parameter(n, None"),
    "own-range": lambda h: h.own("0.1, 9.0", '9, "much"'),
    "own-moves": lambda h: h.own('{"u": "D"}', '{"w": "D"}'),
    "own-diffusivity": lambda h: h.own('{"u": "D"}', '{"u": "E"}'),
    "own-start": lambda h: h.added(start='{"none": 1.0}'),
    "own-start-value": lambda h: h.added(start='{"extra": -1.0}'),
    "own-healthy": lambda h: h.added(start='{"extra": 1.0}', healthy="True"),
    "own-drug": lambda h: h.added(binders='(Binder("mine", "fc_opg", "mine"),)'),
    "own-like": lambda h: h.added(binders='(Binder("mine", "none", "mine", drug=False),)'),
    "own-binder": lambda h: h.added(binders='(Binder("bone", "opg", "mine", drug=False),)'),
    "own-initial": lambda h: h.own('initial={"u": 1.0}', "initial=lambda where: 1 / 0"),
    "own-initial-type": lambda h: h.own('initial={"u": 1.0}', "initial=lambda where: 3"),
    "own-initial-names": lambda h: h.own('initial={"u": 1.0}', 'initial={"w": 1.0}'),
    "own-initial-shape": lambda h: h.own('initial={"u": 1.0}', 'initial={"u": jnp.ones(3)}'),
    "own-initial-finite": lambda h: h.own('initial={"u": 1.0}', 'initial={"u": float("nan")}'),
    "own-initial-negative": lambda h: h.own('initial={"u": 1.0}', 'initial={"u": -1.0}'),
    "own-breaks-fail": lambda h: h.own("parameters=(K, D)", "parameters=(K, D), breaks=lambda p: 1 / 0"),
    "own-breaks": lambda h: h.own("parameters=(K, D)", 'parameters=(K, D), breaks=("noon",)'),
    "own-rates": lambda h: h.own('-p["k"]', 'nothing * p["k"]'),
    "own-rates-key": lambda h: h.own('-p["k"]', '-p["q"]'),
    "own-rates-names": lambda h: h.own('{"u": -p["k"]', '{"w": -p["k"]'),
    "own-rates-shape": lambda h: h.own('-p["k"] * u["u"]', "jnp.ones(3)"),
    "own-rates-finite": lambda h: h.own('-p["k"] * u["u"]', 'jnp.log(0 * u["u"])'),
    "own-called": lambda h: h.own('ReactionDiffusion("mine"', 'ReactionDiffusion("bone"'),
}
