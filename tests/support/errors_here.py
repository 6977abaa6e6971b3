"""What the cases of test_errors.py have at hand: a folder, runs, images, configs and models that can be
changed, code that fails.
"""

import errno
import fcntl
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from rdsolver import load_config
from rdsolver.cli.main import app
from rdsolver.errors import RdsolverError
from rdsolver.geometry.boundary_conditions import Border
from rdsolver.geometry.grid import Grid
from rdsolver.models.base import Field, Series
from rdsolver.models.pointwise import ReactionDiffusion
from rdsolver.output import layout
from rdsolver.output.reader import Run, open_run
from rdsolver.output.writer import RunWriter
from rdsolver.problem import ModelProblem
from rdsolver.runs import checkpoint_file
from rdsolver.runs.run import simulate
from tests.support.drawn_runs import FLAT
from tests.support.drawn_runs import write as drawn
from tests.support.images import GREY, STACK
from tests.support.images import write as written

SLAB = """
[section]
kind = "slab"
size = ["160 um", "320 um"]
spacing = "20 um"
thickness = "10 um"
[time]
end = "10 d"
"""
BARE = "model.without=['mineral', 'osteocyte_opg']"
DOSE = 'dose=[{agent="fc_opg", amount="3 mg/kg", at="0 d"}]'
EVENTS = 'file = "a.csv"\ntime_unit = "h"\namount_unit = "mg/kg"\nagent = "fc_opg"'
IMAGE = """
[section]
kind = "image"
image = "a.tif"
voxel = "20 um"
threshold = 110
thickness = "10 um"
[time]
end = "10 d"
"""
BOX = """
model = "own.py:MINE"
[section]
kind = "box"
size = ["16 um", "16 um"]
spacing = "1 um"
thickness = "1 um"
[time]
end = "2 d"
save = "1 d"
[solver]
integrator = "tr-bdf2"
"""
OWN = """
import jax.numpy as jnp
from rdsolver.models.base import Field, Parameter
from rdsolver.models.bone.binders import Binder
from rdsolver.models.bone.extension import Extension
from rdsolver.models.pointwise import ReactionDiffusion
def rates(u, p, at): return {"u": -p["k"] * u["u"]}
K, D = (Parameter(n, 1.0, unit, n, "", "A", 0.1, 9.0) for n, unit in (("k", "1/d"), ("D", "um^2/d")))
UNKNOWNS = (Field("u", "1", 1.0, "u"),)
MINE = ReactionDiffusion("mine", UNKNOWNS, rates, {"u": "D"}, parameters=(K, D), initial={"u": 1.0})
"""
NEW = """
def more(u, p, at): return {"extra": 0 * u["extra"]}
ROWS = (Parameter("extra_diffusivity", 1.0, "um^2/d", "", "", "A", 0.1, 9.0),)
ADDED = dict(unknowns=(Field("extra", "nM", 1.0, "extra"),), rates=more, parameters=ROWS,
             moves={"extra": "extra_diffusivity"})
MINE = Extension("mine", **(ADDED | dict(CHANGED)))
"""
FIELDS = [Field("rankl", "nM", 0.02, "free RANKL")]


class Here:
    """An empty folder, with runs at hand in another and a way to change the code for a while."""

    def __init__(self, runs: Path, patch: pytest.MonkeyPatch) -> None:
        self.runs, self.patch = runs, patch

    def cli(self, *words) -> tuple[str, int]:
        done = CliRunner().invoke(app, list(map(str, words)))
        assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
        return done.stderr, done.exit_code

    def check(self, *overrides: str, text: str = SLAB, command: str = "check") -> tuple[str, int]:
        Path("mine.toml").write_text(text)
        return self.cli(command, "mine.toml", "--allow-python", *(w for o in overrides for w in ("--set", o)))

    def events(self, *rows: str, columns: str = "TIME,AMT,CMT", **keys: str) -> tuple[str, int]:
        """With a table of events in mg/kg and hours, of one drug."""
        Path("a.csv").write_text("\n".join((columns, *rows)))
        said = {"file": "a.csv", "time_unit": "h", "amount_unit": "mg/kg", "agent": "fc_opg"} | keys
        return self.check(*(f"events.0.{k}={v}" for k, v in said.items() if v))

    def image(self, values=GREY, name: str = "a.tif", *overrides: str) -> tuple[str, int]:
        if values is not None:
            written(Path(name), values)
        return self.check(f"section.image={name}", *overrides, text=IMAGE)

    def own(self, old: str = "", new: str = "", *overrides: str, command: str = "check") -> tuple[str, int]:
        """With the model's file changed."""
        assert old in OWN
        Path("own.py").write_text(OWN.replace(old, new) if old else OWN)
        return self.check(*overrides, text=BOX, command=command)

    def added(self, *overrides: str, **changed: str) -> tuple[str, int]:
        """With an extension of the bone model that is changed."""
        Path("own.py").write_text(
            OWN + NEW.replace("CHANGED", f"[{', '.join(f'({k!r}, {v})' for k, v in changed.items())}]")
        )
        return self.check("model.from=own.py:MINE", *overrides)

    def goes_on(self, *overrides: str, run: str = "done") -> tuple[str, int]:
        return self.check(f"initial.from={self.runs / run / 'run.h5'}", *overrides)

    def copy(self, run: str = "stopped") -> Path:
        return Path(shutil.copytree(self.runs / run, "copy")) / "run.h5"

    def edited(self, edit: Callable[[h5py.File], object], run: str = "stopped") -> Path:
        path = self.copy(run)
        with h5py.File(path, "r+") as file:
            edit(file)
        return path

    def few(
        self, name: str, steps: int = 3, times: int = 2, fields=FIELDS, series: str = "ntx", title: str = ""
    ) -> Path:
        """A run that holds little."""
        with RunWriter(
            name, FLAT, fields, [Series(series, "1", "")], active=np.ones(FLAT.shape, bool), title=title
        ) as writer:
            for t in range(times):
                writer.append(float(t), {f.name: np.zeros(FLAT.shape) for f in fields})
            writer.append_series({"time": np.arange(float(steps)), series: np.ones(steps)})
            writer.finish()
        return Path(name)

    def raised(self, do: Callable[[], object]) -> tuple[str, int]:
        with pytest.raises(RdsolverError) as caught:
            do()
        return str(caught.value), caught.value.exit_status


def then(*steps):
    """The last of several results."""
    return steps[-1]


def changes(name: str, factor: object = 2, **more) -> list[str]:
    return [
        f"change.0.parameter={name}",
        f"change.0.factor={factor}",
        *(f"change.0.{k}={v}" for k, v in more.items()),
    ]


def border(**keys) -> list[str]:
    return [f"border.0.{k}={v}" for k, v in ({"field": "rankl", "side": "x-low"} | keys).items()]


def fails(error: Exception, after: int = 0) -> Callable[..., object]:
    asked = []

    def failing(*_, **__):
        asked.append(1)
        if len(asked) > after:
            raise error

    return failing


FULL = OSError(errno.ENOSPC, "no room")
BLOCK = 'section={kind="slab", size=[160, 160, 160], spacing=20, thickness=10}'
RINGS = 'section={kind="rings", size=[320, 320], spacing=20, thickness=10, radius=100, wall=%s}'
TRABECULAR = 'section={kind="trabecular", size=[320, 320], spacing=20, thickness=10, %s}'
PLAIN = 'section={kind="slab", size=[160, 320], spacing=20, %s}'


def tiff(name: str, *pages: np.ndarray, **options) -> None:
    with tifffile.TiffWriter(name) as tif:
        for page in pages:
            tif.write(page, metadata=None, **options)


def slices(**arrays: np.ndarray) -> None:
    Path("s").mkdir()
    for name, values in arrays.items():
        written(Path("s") / f"{name}.tif", values)


def hdf5(scaled: bool = False, **arrays: np.ndarray) -> None:
    with h5py.File("a.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
        if scaled:
            file.create_dataset("one", data=GREY, scaleoffset=0, chunks=GREY.shape)


def axes(*names: str, values: np.ndarray = STACK, **attributes: object) -> None:
    """An HDF5 file that names its axes."""
    hdf5(scan=values)
    with h5py.File("a.h5", "r+") as file:
        file["scan"].attrs.update({"axes": list(names)} | attributes)


def said(values: object, **metadata: Any) -> None:
    """A TIFF of ImageJ, with what it says."""
    options = {k: metadata.pop(k) for k in ("compression", "shape", "dtype", "imagej") if k in metadata}
    tifffile.imwrite("a.tif", values, **{"imagej": True, "metadata": metadata or None} | options)


def nrrd(*lines: str) -> None:
    head = ("NRRD0004", "type: uint8", "dimension: 2", "sizes: 30 24", "encoding: raw", *lines)
    Path("a.nrrd").write_bytes("\n".join(head).encode() + b"\n\n" + GREY.tobytes())


def metaimage(*lines: str) -> None:
    head = ("NDims = 2", "DimSize = 30 24", "ElementType = MET_UCHAR", *lines, "ElementDataFile = LOCAL\n")
    Path("a.mha").write_bytes("\n".join(head).encode() + GREY.tobytes())


def emptied(name: str) -> None:
    """The pieces of the heap of an HDF5 file become free, and of no size."""
    data = bytearray(Path(name).read_bytes())
    at = data.index(b"GCOL") + 16
    data[at : at + 16] = bytes(16)
    Path(name).write_bytes(data)


def linked() -> None:
    """An HDF5 file whose values lie in another."""
    hdf5(two=GREY)
    with h5py.File("a.h5", "r+") as file:
        file["one"] = h5py.ExternalLink("b.h5", "/one")


OME = (
    '<?xml version="1.0"?><OME>'
    + "".join(f'<TiffData><UUID FileName="{n}.tif">urn:uuid:{n}</UUID></TiffData>' for n in "ab")
    + "</OME>"
)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def newer(path: Path) -> None:
    """Both checkpoints of a run as of a later rdsolver."""
    for file in checkpoint_file.files(path):
        if file.exists():
            with h5py.File(file, "r+") as opened:
                opened.attrs["schema"] = 99
            with file.open("r+b") as raw:
                digest = checkpoint_file._digest(raw)
                raw.seek(0)
                raw.write(f"{checkpoint_file.MARK} {digest}\n".encode())


def misnumbered(path: Path, times: object) -> None:
    """Both checkpoints with a number that is none."""
    found, _ = checkpoint_file.load(path, open_run(path).provenance["run_id"])
    for _ in range(2):
        checkpoint_file.save(path, {**found.numbers, "times": times}, found.arrays)


def other(file: h5py.File, name: str, values: np.ndarray) -> None:
    """Other values under a name, with the attributes of those before."""
    had = dict(file[name].attrs)
    del file[name]
    file[name] = values
    file[name].attrs.update({k: v for k, v in had.items() if k == "media_type"})


def damaged(path: Path) -> None:
    for file in checkpoint_file.files(path):
        file.write_bytes(b"x" * 2000)


def shortened(file: h5py.File) -> None:
    file["time"].resize(0, 0)
    file["series/time"].resize(0, 0)


def lock(path: Path) -> object:
    held = path.open("rb")
    fcntl.flock(held, fcntl.LOCK_EX)
    HELD.append(held)
    return held


HELD = []


def refuses_to_write(h: Here) -> None:
    opened = h5py.File
    h.patch.setattr(
        h5py,
        "File",
        lambda p, mode="r", **k: fails(PermissionError(13, "no"))() if mode == "r+" else opened(p, mode, **k),
    )


def removes(h: Here) -> None:
    append = RunWriter.append
    h.patch.setattr(
        RunWriter, "append", lambda self, *a: (self.path.unlink(missing_ok=True), append(self, *a))
    )


def load_own(**more) -> ModelProblem:
    rates = {"rates": lambda u, p, at: {"u": -u["u"]}, "moves": {"u": "D"}} | more.pop("model", {})
    model = ReactionDiffusion(more.pop("name", "mine"), (Field("u", "1", 1.0, "u"),), **rates)
    given = {"parameters": {"D": 1.0}, "initial": {"u": 1.0}, "end": 1.0} | more
    return ModelProblem(model, Grid((8, 8), (1.0, 1.0), thickness=1.0), **given)


def met(side: Border, borders: str = "no-flux", active: bool = True) -> object:
    grid = Grid((8, 8), (1.0, 1.0), thickness=1.0, borders=(borders,) * 2)
    return side.contact(grid, np.full(grid.shape, active))


def side(**keys) -> Border:
    return Border(**({"field": "rankl", "kind": "value", "axis": "x", "side": "low", "value": 1.0} | keys))


def of_image(file: h5py.File) -> None:
    """A run that an older rdsolver made from an image, which is gone."""
    meta = layout.take(file["meta"])
    config = json.loads(meta["config"])
    config["section"] = {
        "kind": "image",
        "image": "/none/a.tif",
        "voxel": 20,
        "threshold": 110,
        "thickness": 10,
    }
    layout.put(file["meta"], "config", json.dumps(config))
    layout.put(file["meta"], "section", {"kind": "image", "sha256": "0" * 64})


def opened(h: Here) -> Run:
    return open_run(h.runs / "flat" / "run.h5")


def ended(path: Path, grid: Grid, model: str, state: dict[str, float], bone: np.ndarray) -> None:
    """A run that came to its end, as far as another one reads it."""
    meta = {"model": model, "parameters": [{"name": "turnover_speed", "value": 0.05}]}
    with RunWriter(
        path, grid, FIELDS, [Series("ntx", "1", "")], active=np.ones(grid.shape, bool), meta=meta
    ) as writer:
        writer.set_reference({"bone": bone, "settled": 1.0})
        writer.set_state({name: np.full(grid.shape, value) for name, value in state.items()}, {"time": 1.0})
        writer.finish()


def make_runs(folder: Path) -> Path:
    """One of bone and one of another model that came to their end, one that was stopped, and one that is
    drawn.
    """
    (folder / "a.toml").write_text(SLAB)
    (folder / "own.toml").write_text(BOX)
    (folder / "own.py").write_text(OWN)
    section = load_config(folder / "a.toml").problem().section
    ended(folder / "done" / "run.h5", section.grid, "bone", {"rankl": 0.01, "fc_opg": 1.0}, section.bone)
    box = load_config(folder / "own.toml", allow_python=True).problem()
    ended(folder / "other" / "run.h5", box.grid, "mine", {"w": 1.0}, np.zeros(box.grid.shape))
    simulate(box, out=folder / "stopped", walltime=1e-9).close()
    drawn(folder / "flat" / "run.h5")
    return folder
