"""The valid files that `python -m tests.fuzz` starts from: configs, images, a run with its checkpoint, and
packed zeros.
"""

from __future__ import annotations

import gzip
import shutil
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import PIL.Image
import tifffile

from rdsolver.output import layout
from rdsolver.output.reader import open_run
from tests.support.places import DATA

IMAGES = (
    "a.tif",
    "packed.tif",
    "imagej.tif",
    "a.png",
    "a.npy",
    "a.h5",
    "packed.h5",
    "a.nrrd",
    "a.mha",
    "a.mhd",
    "a.nii",
    "a.nii.gz",
)
BLOCK = 2**26  # bytes
BOMB = 64 * BLOCK  # 4 GiB, of 4 MiB
CONFIGS = (
    """
title = "a slab"
[section]
kind = "slab"
size = ["240 um", "240 um"]
spacing = "10 um"
thickness = "10 um"
[model.parameters]
rankl_loss = "10.13 /d"
[[agent]]
name = "my_decoy"
like = "rank_fc"
[[dose]]
agent = "fc_opg"
amount = "3 mg/kg"
every = "1 d"
times = 3
[[dose]]
agent = "my_decoy"
amount = 1
at = [0, "2 d"]
[[change]]
parameter = "rankl_production"
factor = 2
at = "1 d"
until = "3 d"
[[border]]
field = "rankl"
side = "x-low"
value = "0.01 nM"
[time]
end = "10 d"
save = "1 d"
[solver]
integrator = "auto"
tolerance = 1e-3
precision = "float64"
[output]
fields = ["rankl", "bone"]
stride = 2
crop = [[0, 12], [2, 20]]
""",
    """
[section]
kind = "trabecular"
size = [240, 240]
spacing = 10
thickness = 10
bone_fraction = 0.3
trabecular_thickness = 40
seed = 3
borders = "periodic"
[tumour]
kind = "myeloma"
at = [[120, 120]]
nests = 1
seed = 2
radius = "20 um"
density = 0.4
spread = 0.01
[time]
end = 5
save = [0, 1, 5]
""",
    """
[section]
kind = "rings"
size = [400, 400]
spacing = 20
thickness = 10
radius = 60
wall = 40
count = 2
seed = 1
[model]
name = "artery"
[time]
end = "4 weeks"
""",
    """
[section]
kind = "image"
image = "a.tif"
voxel = ["20 um", "20 um"]
threshold = "otsu"
denoise = "median"
field_of_view = "circle"
crop = [[2, 22], [2, 26]]
spacing = "40 um"
thickness = "20 um"
[initial]
from = "run.h5"
[time]
end = 3
""",
)


def seeds(folder: Path) -> None:
    """The valid files: configs, images, a run with its checkpoint, and four bombs' worth of packed zeros."""
    rng = np.random.default_rng(1)
    grey = rng.integers(0, 100, (24, 30)).astype(np.uint8)
    grey[6:18, 5:20] += 120
    stack = np.stack([np.roll(grey, i, 0) for i in range(4)])
    for i, text in enumerate(CONFIGS):
        (folder / f"{i}.toml").write_text(text)
    tifffile.imwrite(folder / "a.tif", grey, photometric="minisblack", metadata=None)
    tifffile.imwrite(
        folder / "packed.tif",
        stack,
        photometric="minisblack",
        compression="zlib",
        rowsperstrip=8,
        metadata=None,
    )
    tifffile.imwrite(
        folder / "imagej.tif",
        stack,
        imagej=True,
        resolution=(0.05, 0.05),
        metadata={"unit": "um", "spacing": 20},
    )
    PIL.Image.fromarray(grey).save(folder / "a.png")
    np.save(folder / "a.npy", stack.astype("f4"))
    with h5py.File(folder / "a.h5", "w") as file:
        file["scan"] = stack
    with h5py.File(folder / "packed.h5", "w") as file:
        file.create_dataset(
            "raw/scan",
            data=stack,
            compression="gzip",
            shuffle=True,
            chunks=(1, 24, 30),
            maxshape=(None, None, None),
        )
    import SimpleITK as sitk

    for name in IMAGES[-5:]:
        sitk.WriteImage(sitk.GetImageFromArray(stack), str(folder / name), useCompression=name == "a.nrrd")
    stopped(folder)
    part = zlib.compressobj(wbits=-15)
    block = part.compress(bytes(BLOCK)) + part.flush(zlib.Z_FULL_FLUSH)
    body = block * (BOMB // BLOCK) + part.flush()
    (folder.parent / "work" / "bomb.zlib").write_bytes(
        b"\x78\x9c" + body + struct.pack(">I", (BOMB % 65521) << 16 | 1)
    )
    head = struct.pack("<i10s18sh8h", 348, b"", b"", 0, 3, 24, 30, 4, 1, 1, 1, 1)
    start = gzip.compress(head.ljust(352, b"\0"))
    (folder.parent / "work" / "bomb.gz").write_bytes(
        start + b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + body + bytes(8)
    )


def stopped(folder: Path) -> None:
    """A run that was stopped, and its checkpoint."""
    from rdsolver.runs import checkpoint
    from rdsolver.runs.run import fingerprint, problem_of
    from rdsolver.simulation import program
    from rdsolver.simulation.time_loop import SimulationState, Totals
    from rdsolver.timestepping.base import StepState

    path = folder / "run.h5"
    shutil.copy(DATA / "layout_1.h5", path)
    with open_run(path) as run:
        marks = {"run_id": run.provenance["run_id"], "fingerprint": fingerprint(problem_of(run))}
        arrays = {k: v for k, v in run.state.items() if np.ndim(v) == 2}
    with h5py.File(path, "r+") as file:
        layout.put(file["meta"], "status", "stopped")
    step = StepState(arrays, {}, arrays, float("inf"))
    integrator = ("tr-bdf2", "asked for")
    lane = program.lane(1.0, 0.1, arrays, step, {}, 2.0)
    state = SimulationState(lane, (0.0, 2.0), (), integrator, Totals(), {}, {}, {})
    rest = {"summary": {}, "times": 1, "rows": 1, "first": {}, "last": {}, "wall_time": 1.0}
    checkpoint.save(path, checkpoint.Checkpoint(**marks, simulation=state, **rest))
    with h5py.File(folder / "other.h5", "w") as file:
        file["secret"] = np.arange(64.0).reshape(8, 8)
