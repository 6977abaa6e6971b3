"""docs/errors.md held against the code: every row has a case that provokes it, and every error that is raised has a row."""

import ast
import errno
import fcntl
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import matplotlib
import numpy as np
import PIL.Image
import pytest
import tifffile
from problems import problem, square
from test_figures import FLAT
from test_images import GREY, STACK
from test_images import write as written
from test_look import write as drawn
from typer.testing import CliRunner

from rdsolver import checkpoint, device, load_config, steady
from rdsolver.cli import app
from rdsolver.domain import readers
from rdsolver.domain.borders import Border
from rdsolver.domain.grid import Grid
from rdsolver.domain.images import section_from_array
from rdsolver.domain.section import Section
from rdsolver.domain.trabeculae import trabecular
from rdsolver.errors import RdsolverError
from rdsolver.figures import report
from rdsolver.figures.surface import triangles
from rdsolver.integrators.rkc import RKC2
from rdsolver.integrators.trbdf2 import TRBDF2
from rdsolver.models.base import Field, Series
from rdsolver.models.pointwise import ReactionDiffusion
from rdsolver.output.layout import Window
from rdsolver.output.reader import Run, open_run
from rdsolver.output.writer import RunWriter, selected_fields
from rdsolver.problem import ModelProblem, Problem, Solver
from rdsolver.run import simulate
from rdsolver.simulation import Simulation
from rdsolver.studies import sensitivity_global

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "errors.md"
SLAB = """
[section]
kind = "slab"
size = ["160 um", "320 um"]
spacing = "20 um"
thickness = "10 um"
[time]
end = "10 d"
"""
DOSE = 'dose=[{agent="fc_opg", amount="3 mg/kg", at="0 d"}]'
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
MINE = ReactionDiffusion("mine", (Field("u", "1", 1.0, "u"),), rates, {"u": "D"}, parameters=(K, D), initial={"u": 1.0})
"""
NEW = """
def more(u, p, at): return {"extra": 0 * u["extra"]}
ROWS = (Parameter("extra_diffusivity", 1.0, "um^2/d", "", "", "A", 0.1, 9.0),)
ADDED = dict(unknowns=(Field("extra", "nM", 1.0, "extra"),), rates=more, moves={"extra": "extra_diffusivity"}, parameters=ROWS)
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
        Path("own.py").write_text(OWN + NEW.replace("CHANGED", f"[{', '.join(f'({k!r}, {v})' for k, v in changed.items())}]"))
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

    def few(self, name: str, steps: int = 3, times: int = 2, fields=FIELDS, series: str = "ntx", title: str = "") -> Path:
        """A run that holds little."""
        with RunWriter(name, FLAT, fields, [Series(series, "1", "")], active=np.ones(FLAT.shape, bool), title=title) as writer:
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
    return [f"change.0.parameter={name}", f"change.0.factor={factor}", *(f"change.0.{k}={v}" for k, v in more.items())]


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


def hdf5() -> None:
    with h5py.File("a.h5", "w") as file:
        file["one"], file["two"] = GREY, GREY


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def newer(path: Path) -> None:
    """Both checkpoints of a run as of a later rdsolver."""
    for file in checkpoint.files(path):
        if file.exists():
            with h5py.File(file, "r+") as opened:
                opened.attrs["schema"] = 99
            with file.open("r+b") as raw:
                digest = checkpoint._digest(raw)
                raw.seek(0)
                raw.write(f"{checkpoint.MARK} {digest}\n".encode())


def damaged(path: Path) -> None:
    for file in checkpoint.files(path):
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
    h.patch.setattr(h5py, "File", lambda p, mode="r", **k: fails(PermissionError(13, "no"))() if mode == "r+" else opened(p, mode, **k))


def removes(h: Here) -> None:
    append = RunWriter.append
    h.patch.setattr(RunWriter, "append", lambda self, *a: (self.path.unlink(missing_ok=True), append(self, *a)))


def load_own(**more) -> ModelProblem:
    rates = {"rates": lambda u, p, at: {"u": -u["u"]}, "moves": {"u": "D"}} | more.pop("model", {})
    model = ReactionDiffusion(more.pop("name", "mine"), (Field("u", "1", 1.0, "u"),), **rates)
    given = {"parameters": {"D": 1.0}, "initial": {"u": 1.0}, "end": 1.0} | more
    return ModelProblem(model, Grid((8, 8), (1.0, 1.0), thickness=1.0), **given)


def rkc_step(h: Here) -> None:
    with device.on("cpu"):
        simulation = Simulation(load_own())
        next(RKC2().pieces(simulation.system_at_start(), 0.0, simulation.u, None, 1e12, 1e-3))


def met(side: Border, borders: str = "no-flux", active: bool = True) -> object:
    grid = Grid((8, 8), (1.0, 1.0), thickness=1.0, borders=(borders,) * 2)
    return side.contact(grid, np.full(grid.shape, active))


def side(**keys) -> Border:
    return Border(**({"field": "rankl", "kind": "value", "axis": "x", "side": "low", "value": 1.0} | keys))


def sampled(h: Here, **changed) -> object:
    h.patch.setattr(sensitivity_global, "Simulation", lambda p: SimpleNamespace(chunks=lambda: [SimpleNamespace(t=0.0, observed={})]))
    return sensitivity_global.outcome(problem(changed=changed), ["ntx.end"])


CASES: dict[str, Callable[[Here], tuple[str, int]]] = {
    # command line
    "cli-option": lambda h: h.cli("run", "mine.toml", "--fast"),
    "cli-run": lambda h: h.cli("run"),
    "cli-names": lambda h: h.cli("plot", h.runs / "flat", "--kind", "pie"),
    "cli-params": lambda h: then(h.check(), h.cli("params", "mine.toml", "--preset", "mouse")),
    "cli-time": lambda h: h.cli("run", "mine.toml", "--walltime", "0 h"),
    "cli-twice": lambda h: h.cli("run", "mine.toml", "mine.toml"),
    "cli-device": lambda h: then(h.check(), h.cli("run", "mine.toml", "--device", "tpu")),
    "cli-no-device": lambda h: then(h.check(), h.cli("run", "mine.toml", "--device", "gpu:9")),
    "cli-written": lambda h: h.cli("export", h.runs / "flat", "--to", "csv", "--out", "/proc/none/a.csv"),
    "set-form": lambda h: h.check("x"),
    "set-inside": lambda h: h.check("time.end.x=1"),
    "set-list": lambda h: h.check("dose.7.at=1"),
    # config, key by key
    "config-missing": lambda h: h.cli("check", "mine.toml"),
    "config-unreadable": lambda h: h.cli("check", "."),
    "config-large": lambda h: h.check(text="# " + "x" * 2_000_000),
    "config-toml": lambda h: h.check(text="[section]\nspacing = 10 um\n"),
    "config-schema": lambda h: h.check("schema=2"),
    "config-python": lambda h: then(h.own(), h.cli("check", "mine.toml")),
    "key-unknown": lambda h: h.check("section.spcing=1"),
    "key-missing": lambda h: h.check(text='[section]\nkind="slab"\nsize=[160, 160]\nthickness=10\n[time]\nend=1\n'),
    "key-word": lambda h: h.check("solver.precision=half"),
    "key-tables": lambda h: h.check('dose={agent="rank_fc"}'),
    "key-list": lambda h: h.check("section.size=160 um"),
    "key-entries": lambda h: h.check("section.size=[160]"),
    "key-table": lambda h: h.check("time=3"),
    "key-type": lambda h: h.check("output.stride=1.5"),
    "key-names": lambda h: h.check("output.fields=3"),
    "name-unknown": lambda h: h.check("section.kind=trabecula"),
    "drug-unknown": lambda h: h.check("dose.0.agent=rankfc", "dose.0.amount=1", "dose.0.at=1"),
    "quantity-text": lambda h: h.check("time.end=soon, maybe"),
    "quantity-finite": lambda h: h.check("time.end=inf"),
    "quantity-unit": lambda h: h.check("time.end=3 moons"),
    "quantity-dimension": lambda h: h.check("time.end=3 um"),
    "quantity-own": lambda h: h.own('"u", "1", 1.0', '"u", "IU", 1.0', 'border=[{field="u", side="x-low", value="3 nM"}]'),
    "quantity-bounds": lambda h: h.check("time.end=-1 d"),
    # config, as a whole
    "size-multiple": lambda h: h.check("section.size=[165, 160]"),
    "thickness-missing": lambda h: h.check(PLAIN % "slab_thickness=80"),
    "thickness-block": lambda h: h.check(BLOCK),
    "slab-axis": lambda h: h.check("section.axis=z"),
    "ring-wall": lambda h: h.check(RINGS % 150, "model.name=artery"),
    "box-empty": lambda h: h.check('section={kind="box", size=[160, 160], spacing=20, thickness=10}'),
    "dose-unset": lambda h: h.check('dose=[{agent="rank_fc", amount=1}]'),
    "dose-never": lambda h: h.check('dose=[{agent="rank_fc", amount=1, at=[]}]'),
    "dose-repeat": lambda h: h.check('dose=[{agent="rank_fc", amount=1, every=1}]'),
    "dose-list": lambda h: h.check('dose=[{agent="rank_fc", amount=1, at=[1], every=1, times=2}]'),
    "too-late": lambda h: h.check(DOSE, "dose.0.at=20 d"),
    "dose-name": lambda h: h.added(DOSE, unknowns='(Field("fc_opg", "nM", 1.0, "x"),)', moves="{}"),
    "agent-taken": lambda h: h.check("agent.0.name=bone", "agent.0.like=rank_fc"),
    "agent-bone-drug": lambda h: h.check("agent.0.name=bisphosphonate", "agent.0.label=x"),
    "parameter-part": lambda h: h.check("model.parameters.fc_opg_kon=900"),
    "parameter-bounds": lambda h: h.check("model.parameters.rankl_diffusivity=-1"),
    "koff": lambda h: h.check("model.parameters.opg_K_eff=1e-6"),
    "change-fixed": lambda h: h.check(*changes("smoothing_length")),
    "change-until": lambda h: h.check(*changes("rankl_loss", at=5, until=4)),
    "change-bounds": lambda h: h.check(*changes("bone_mobility", 1e3)),
    "border-kind": lambda h: h.check(*border()),
    "border-exchange": lambda h: h.check(*border(flux=1, exchange=1)),
    "border-periodic": lambda h: h.check(*border(value=1), "section.borders=periodic"),
    "border-twice": lambda h: h.check(*border(value=1), *(o.replace("border.0", "border.1") for o in border(value=1))),
    "border-negative": lambda h: h.check(*border(value=-1)),
    "tumour-nowhere": lambda h: h.check("tumour.kind=myeloma"),
    "tumour-idle": lambda h: h.check("tumour.spread=0.01", "tumour.radius=50"),
    "initial-one": lambda h: h.check("initial.from=a.h5", "initial.seed=1"),
    "initial-seed": lambda h: h.check("initial.seed=1"),
    "save-late": lambda h: h.check("time.save=[1, 11]"),
    "save-never": lambda h: h.check("time.save=[]"),
    "save-often": lambda h: h.check("time.save=1e-9"),
    "not-of-bone": lambda h: h.check("model.name=artery", "model.preset=human", RINGS % 50),
    "not-of-own": lambda h: h.own("", "", "model.preset=mouse"),
    "etd-bone": lambda h: h.check("solver.integrator=etdrk4"),
    "etd-whole": lambda h: h.own("", "", "solver.integrator=etdrk4", 'border=[{field="u", side="x-low", value=1}]'),
    "tolerance": lambda h: h.check("solver.tolerance=1e-9"),
    "stride": lambda h: h.check("output.stride=8"),
    "crop": lambda h: h.check("output.crop=[[0, 8], [0, 17]]"),
    "memory": lambda h: h.check(TRABECULAR.replace("320", "1e5").replace("spacing=20", "spacing=1") % "seed=1"),
    # section
    "trabecular-fraction": lambda h: h.check(TRABECULAR % "bone_fraction=0.95"),
    "trabecular-thin": lambda h: h.check(TRABECULAR % "trabecular_thickness=30"),
    "trabecular-thick": lambda h: h.check(TRABECULAR % "trabecular_thickness=300"),
    "ring-thin": lambda h: h.check(RINGS % 5, "model.name=artery"),
    "ring-room": lambda h: h.check(RINGS % "50, count=9", "model.name=artery"),
    "no-surface": lambda h: h.check(PLAIN % "slab_thickness=320, thickness=10"),
    "lives": lambda h: h.own("parameters=(K, D)", 'parameters=(K, D), lives="bone"'),
    "nest-small": lambda h: h.check("tumour.at=[[80, 200]]", "tumour.radius=5"),
    "nest-outside": lambda h: h.check("tumour.at=[[80, 2000]]"),
    "nest-bone": lambda h: h.check("tumour.at=[[80, 30]]", "tumour.radius=20"),
    "nest-room": lambda h: h.check("tumour.nests=500"),
    # image
    "image-missing": lambda h: h.image(None),
    "image-kind": lambda h: then(Path("a.doc").touch(), h.image(None, "a.doc")),
    "image-zero": lambda h: then(Path("a.tif").touch(), h.image(None)),
    "image-damaged": lambda h: then(Path("a.tif").write_text("no image"), h.image(None)),
    "image-cut": lambda h: then(written(Path("a.tif"), GREY), cut(Path("a.tif"), 500), h.image(None)),
    "image-empty": lambda h: h.image(np.zeros((0, 5)), "a.npy"),
    "image-large": lambda h: then(h.patch.setattr(readers, "MAX_VOXELS", 700), h.image()),
    "image-png": lambda h: then(h.patch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100), h.image(GREY, "a.png")),
    "image-colour": lambda h: then(PIL.Image.fromarray(GREY).convert("RGB").save("a.png"), h.image(None, "a.png")),
    "image-channels": lambda h: h.image(np.stack([GREY] * 3, -1), "a.npy"),
    "image-inverted": lambda h: then(tiff("a.tif", GREY, photometric="miniswhite"), h.image(None)),
    "image-axes": lambda h: h.image(np.ones((2, 3, 4, 5)), "a.npy"),
    "image-several": lambda h: then(tiff("a.tif", GREY, GREY[:9]), h.image(None)),
    "image-type": lambda h: h.image(GREY * 1j, "a.npy"),
    "image-nan": lambda h: h.image(np.where(np.eye(8), np.nan, 1.0), "a.npy"),
    "image-flat": lambda h: h.image(GREY * 0 + 7, "a.tif", "section.field_of_view=circle"),
    "image-dataset": lambda h: then(hdf5(), h.image(None, "a.h5")),
    "image-no-hdf5": lambda h: h.image(GREY, "a.tif", "section.dataset=one"),
    "image-folder": lambda h: then(slices(), h.image(None, "s")),
    "image-slice": lambda h: then(slices(a=STACK), h.image(None, "s")),
    "image-unlike": lambda h: then(slices(a=GREY, b=GREY[:9]), h.image(None, "s")),
    "image-itk": lambda h: then(
        h.patch.setitem(sys.modules, "SimpleITK", None), Path("a.nrrd").write_text("NRRD0004"), h.image(None, "a.nrrd")
    ),
    "voxel-missing": lambda h: then(written(Path("a.tif"), GREY), h.check(text=IMAGE.replace('voxel = "20 um"\n', ""))),
    "voxel-impossible": lambda h: then(
        tifffile.imwrite("a.tif", GREY, resolution=(1e-3, 1e-3), resolutionunit="CENTIMETER"),
        h.check(text=IMAGE.replace('voxel = "20 um"\n', "")),
    ),
    "voxel-other": lambda h: then(tifffile.imwrite("a.tif", GREY, resolution=(1e3, 1e3), resolutionunit="CENTIMETER"), h.image(None)),
    "length": lambda h: h.image(GREY, "a.tif", "section.voxel=2 cm"),
    "lengths": lambda h: h.image(GREY, "a.tif", "section.voxel=[1, 2, 3]"),
    "image-thickness": lambda h: then(written(Path("a.tif"), GREY), h.check(text=IMAGE.replace('thickness = "10 um"\n', ""))),
    "image-deep": lambda h: h.image(STACK),
    "image-crop": lambda h: h.image(GREY, "a.tif", "section.crop=[[0, 25], [0, 30]]"),
    "view-shape": lambda h: then(written(Path("m.tif"), GREY[:5]), h.image(GREY, "a.tif", "section.field_of_view=m.tif")),
    "view-empty": lambda h: then(written(Path("m.tif"), GREY * 0), h.image(GREY, "a.tif", "section.field_of_view=m.tif")),
    "denoise": lambda h: h.image(GREY, "a.tif", "section.denoise=900 um"),
    "denoise-rule": lambda h: h.raised(lambda: section_from_array(GREY, voxel=20.0, thickness=10.0, threshold=110, denoise="strong")),
    "threshold-rule": lambda h: h.raised(lambda: section_from_array(GREY, voxel=20.0, thickness=10.0, threshold="bright")),
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
    "own-rates": lambda h: h.own('-p["k"]', 'nothing * p["k"]'),
    "own-rates-key": lambda h: h.own('-p["k"]', '-p["q"]'),
    "own-rates-names": lambda h: h.own('{"u": -p["k"]', '{"w": -p["k"]'),
    "own-rates-shape": lambda h: h.own('-p["k"] * u["u"]', "jnp.ones(3)"),
    "own-rates-finite": lambda h: h.own('-p["k"] * u["u"]', 'jnp.log(0 * u["u"])'),
    "own-called": lambda h: h.own('ReactionDiffusion("mine"', 'ReactionDiffusion("bone"'),
    # where a run begins
    "out-exists": lambda h: then(h.check(), h.cli("run", "mine.toml", "--out", h.runs / "done")),
    "out-written": lambda h: then(h.check(), h.cli("run", "mine.toml", "--out", "/proc/none")),
    "out-folder": lambda h: then(h.check(), Path("out/run.h5").mkdir(parents=True), h.cli("run", "mine.toml", "--out", "out", "--force")),
    "initial-model": lambda h: h.goes_on("model.name=artery"),
    "initial-state": lambda h: h.check(f"initial.from={h.edited(lambda f: f.pop('state'), 'done')}"),
    "initial-section": lambda h: h.goes_on("section.slab_thickness=40"),
    "initial-lost": lambda h: h.goes_on(),
    "initial-healthy": lambda h: h.goes_on(DOSE, "model.membrane_rankl=true"),
    "initial-baseline": lambda h: h.goes_on(DOSE, "model.parameters.turnover_speed=0.07"),
    "initial-fields": lambda h: h.own("", "", f"initial.from={h.runs / 'other' / 'run.h5'}"),
    # while it goes on
    "baseline-none": lambda h: h.raised(lambda: steady._checked(dict.fromkeys(steady.BASES, np.zeros(())))),
    "baseline-lost": lambda h: then(h.patch.setattr(steady, "MOST_ITERATIONS", 0), h.check(command="run")),
    "step-small": lambda h: h.own("-p[", 'jnp.where(at["time"] > 0.5, jnp.nan, -1) * p[', command="run"),
    "step-bound": lambda h: then(
        h.patch.setattr(RKC2, "largest_dt", lambda *_: 0.0), h.own("", "", "solver.integrator=rkc2", command="run")
    ),
    "memory-out": lambda h: then(h.patch.setattr(TRBDF2, "pieces", fails(MemoryError("no"))), h.own(command="run")),
    "disk": lambda h: then(h.patch.setattr(RunWriter, "_reserve", fails(FULL, 1)), h.own(command="run")),
    "checkpoint-disk": lambda h: then(h.patch.setattr(os, "fsync", fails(FULL)), h.own(command="run")),
    "run-removed": lambda h: then(removes(h), h.own(command="run")),
    "run-locked": lambda h: then(path := h.copy(), lock(path), h.cli("resume", path, "--allow-python")),
    "run-read-only": lambda h: then(path := h.copy(), refuses_to_write(h), h.cli("resume", path, "--allow-python")),
    "run-short": lambda h: h.cli("resume", h.edited(shortened), "--allow-python"),
    "memory-command": lambda h: then(h.patch.setattr(Run, "__init__", fails(MemoryError("no"))), h.cli("plot", h.runs / "flat")),
    # a run that goes on, or is read
    "run-missing": lambda h: h.cli("info", "nowhere.h5"),
    "run-gone": lambda h: then(path := h.copy(), path.unlink(), h.cli("resume", path, "--allow-python")),
    "run-writing": lambda h: then(path := h.copy(), lock(path), h.cli("plot", path)),
    "run-damaged": lambda h: then(Path("run.h5").write_text("no HDF5"), h.cli("plot", "run.h5")),
    "run-other": lambda h: then(hdf5(), h.cli("plot", "a.h5")),
    "run-newer": lambda h: h.cli("plot", h.edited(lambda f: f.attrs.modify("rdsolver_schema", 99))),
    "run-group": lambda h: h.cli("plot", h.edited(lambda f: f.pop("series"))),
    "run-dataset": lambda h: h.cli("plot", h.edited(lambda f: (f.pop("active"), f.create_group("active")))),
    "checkpoint-none": lambda h: then(path := h.copy(), checkpoint.remove(path), h.cli("resume", path, "--allow-python")),
    "checkpoint-sum": lambda h: then(path := h.copy(), damaged(path), h.cli("resume", path, "--allow-python")),
    "checkpoint-newer": lambda h: then(path := h.copy(), newer(path), h.cli("resume", path, "--allow-python")),
    "checkpoint-precision": lambda h: h.raised(lambda: list(checkpoint.differences({"precision": "float32"}, {"precision": "float64"}))),
    "checkpoint-other": lambda h: then(
        h.patch.setattr("rdsolver.run.fingerprint", lambda p: ""), h.cli("resume", h.copy(), "--allow-python")
    ),
    "run-python": lambda h: then(h.patch.setattr(Run, "config", {}), h.cli("run", "--from", h.runs / "done", "--out", "again")),
    # figures and export
    "figure-suffix": lambda h: h.cli("plot", h.runs / "flat", "--out", "a.bmp"),
    "movie-suffix": lambda h: h.cli("movie", h.runs / "flat", "--out", "a.avi"),
    "report-suffix": lambda h: h.cli("report", h.runs / "flat", "--out", "a.pdf"),
    "figure-written": lambda h: h.cli("plot", h.runs / "flat", "--kind", "timeseries", "--out", "/proc/none/a.png"),
    "movie-ffmpeg": lambda h: then(
        h.patch.setitem(matplotlib.rcParams, "animation.ffmpeg_path", "none"), h.cli("movie", h.runs / "flat", "--out", "a.mp4")
    ),
    "movie-fps": lambda h: h.cli("movie", h.runs / "flat", "--out", "a.gif", "--fps", 0),
    "one-run": lambda h: h.cli("plot", h.runs / "flat", h.runs / "flat"),
    "compare-number": lambda h: h.cli("plot", "--kind", "compare", h.runs / "flat"),
    "compare-field": lambda h: h.cli("plot", "--kind", "compare", h.runs / "flat", h.runs / "flat", "--field", "gold"),
    "compare-nothing": lambda h: h.cli("plot", "--kind", "compare", h.few("a.h5"), h.few("b.h5", series="other")),
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
    "maps-many": lambda h: h.cli("plot", "--kind", "maps", h.few("a.h5", times=8), *(w for t in range(8) for w in ("--time", t))),
    "profile-many": lambda h: h.cli("plot", "--kind", "profile", h.few("a.h5", times=14), *(w for t in range(14) for w in ("--time", t))),
    "report-many": lambda h: h.cli("report", *[h.runs / "flat"] * 9, "--out", "a.html"),
    "report-large": lambda h: then(h.patch.setattr(report, "LIMIT", 10), h.cli("report", h.few("a.h5", times=0))),
    "surface": lambda h: then(
        h.patch.setitem(sys.modules, "skimage.measure", None), h.raised(lambda: triangles(np.ones((3, 3, 3)), (1, 1, 1)))
    ),
    "export-nothing": lambda h: h.cli("export", "--to", "npz", h.few("a.h5", fields=[])),
    "export-itself": lambda h: h.cli("export", "--to", "npz", path := h.few("a.npz"), "--out", path),
    "export-exists": lambda h: then(Path("a.zarr").mkdir(), h.cli("export", "--to", "zarr", h.runs / "flat", "--out", "a.zarr")),
    "export-zarr": lambda h: then(h.patch.setitem(sys.modules, "zarr", None), h.cli("export", "--to", "zarr", h.runs / "flat")),
    "export-imagej": lambda h: then(
        h.patch.setattr("rdsolver.output.export.IMAGEJ_LIMIT", 10), h.cli("export", "--to", "tiff", h.runs / "flat", "--out", "a.tif")
    ),
    # sensitivity
    "sensitivity-own": lambda h: h.own(command="sensitivity"),
    "sensitivity-folder": lambda h: then(h.check(), h.cli("sensitivity", "mine.toml", "--csv", "none/a.csv")),
    "sensitivity-samples": lambda h: then(h.check(), h.cli("sensitivity", "mine.toml", "--samples", 4)),
    "sensitivity-number": lambda h: then(h.check(), h.cli("sensitivity", "mine.toml", "--global", "sobol", "--samples", 3)),
    "sensitivity-name": lambda h: then(h.check(), h.cli("sensitivity", "mine.toml", "--parameters", "gold")),
    "sensitivity-fixed": lambda h: then(h.check(), h.cli("sensitivity", "mine.toml", "--parameters", "rankl_scale")),
    "sensitivity-sampled": lambda h: then(
        h.check(), h.cli("sensitivity", "mine.toml", "--global", "morris", "--parameters", "rankl_scale,opg_kon")
    ),
    "sensitivity-two": lambda h: then(h.check(), h.cli("sensitivity", "mine.toml", "--global", "morris", "--parameters", "opg_kon")),
    "sensitivity-initial": lambda h: then(
        h.check(), h.cli("sensitivity", "mine.toml", "--set", f"initial.from={h.runs / 'done' / 'run.h5'}")
    ),
    "sensitivity-initial-global": lambda h: then(
        h.check(), h.cli("sensitivity", "mine.toml", "--global", "morris", "--set", f"initial.from={h.runs / 'done' / 'run.h5'}")
    ),
    "sensitivity-salib": lambda h: then(
        h.patch.setitem(sys.modules, "SALib.analyze.morris", None), h.check(), h.cli("sensitivity", "mine.toml", "--global", "morris")
    ),
    # from Python
    "python-array": lambda h: h.raised(lambda: then(h.check(), load_config("mine.toml").problem(np.ones(5)))),
    "python-thickness": lambda h: h.raised(
        lambda: then(h.check(text=IMAGE.replace('thickness = "10 um"\n', "")), load_config("mine.toml").problem(np.ones((5, 5))))
    ),
    "python-shapes": lambda h: h.raised(lambda: Section(square(8), np.ones((8, 7)), np.ones((8, 8), bool))),
    "python-fractions": lambda h: h.raised(lambda: Section(square(8), np.full((8, 8), 2.0), np.ones((8, 8), bool))),
    "python-view": lambda h: h.raised(lambda: Section(square(8), np.ones((8, 8)), np.zeros((8, 8), bool))),
    "python-surface": lambda h: h.raised(
        lambda: Problem(Section(square(8), np.zeros((8, 8)), np.ones((8, 8), bool), {}, True), {}, 1.0, ())
    ),
    "python-seed": lambda h: h.raised(lambda: trabecular(square(32), 0.3, 120.0, -1)),
    "python-view-rule": lambda h: h.raised(
        lambda: section_from_array(GREY, voxel=20.0, thickness=10.0, threshold=110, field_of_view=5)  # pyright: ignore
    ),
    "python-circle": lambda h: h.raised(
        lambda: section_from_array(GREY, voxel=20.0, thickness=10.0, threshold=110, field_of_view={"diameter": 3})
    ),
    "python-depth": lambda h: h.raised(lambda: section_from_array(GREY, voxel=20.0, thickness=-1.0, threshold=110)),
    "python-image": lambda h: h.raised(lambda: section_from_array(np.zeros((0, 4)), voxel=20.0, thickness=10.0, threshold=110)),
    "python-two": lambda h: h.raised(lambda: simulate(problem(), section=np.ones((8, 8)))),
    "python-precision": lambda h: h.raised(lambda: simulate(problem(), precision="half")),
    "python-border": lambda h: h.raised(lambda: met(side(axis="z"))),
    "python-periodic": lambda h: h.raised(lambda: met(side(), "periodic")),
    "python-mask": lambda h: h.raised(lambda: met(side(mask=np.ones((8, 8), bool)))),
    "python-border-none": lambda h: h.raised(lambda: met(side(), active=False)),
    "python-unit": lambda h: h.raised(lambda: simulate(load_own(model={"time_unit": "s"}))),
    "python-value": lambda h: h.raised(lambda: simulate(load_own(parameters={}))),
    "python-etd": lambda h: h.raised(lambda: simulate(load_own(active=np.eye(8) > 0, solver=Solver("etdrk4")))),
    "python-stride": lambda h: h.raised(lambda: Window.of(FLAT, SimpleNamespace(stride=0, crop=None))),  # pyright: ignore
    "python-crop": lambda h: h.raised(lambda: Window.of(FLAT, SimpleNamespace(stride=1, crop=((0, 99),)))),  # pyright: ignore
    "python-fields": lambda h: h.raised(lambda: selected_fields(FIELDS, SimpleNamespace(fields=("gold",)))),  # pyright: ignore
    "python-xarray": lambda h: then(h.patch.setitem(sys.modules, "xarray", None), h.raised(lambda: opened(h).to_xarray())),
    # one sample
    "sample-koff": lambda h: h.raised(lambda: sampled(h, opg_K_eff=1e-9)),
    "sample-steps": lambda h: then(h.patch.setattr(sensitivity_global, "MOST_STEPS", 0), h.raised(lambda: sampled(h))),
    "samples-failed": lambda h: then(
        h.patch.setattr(
            sensitivity_global, "_all", lambda base, found, x, wanted, tell: (np.full((len(x), len(wanted)), np.nan), {"no": 9})
        ),
        h.check(),
        h.cli("sensitivity", "mine.toml", "--global", "morris", "--samples", 2, "--parameters", "opg_kon,rankl_loss"),
    ),
    "rkc-step": lambda h: h.raised(lambda: rkc_step(h)),
}


def opened(h: Here) -> Run:
    return open_run(h.runs / "flat" / "run.h5")


# --- the page --------------------------------------------------------------------------------------------------------


def rows() -> dict[str, tuple[str, int]]:
    """id -> (text, exit status) of every row of the page."""
    found, status = {}, 0
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            status = int(re.search(r"status (\d)|$", line)[1] or 0)
        elif match := re.fullmatch(r"\| ([a-z0-9-]+) \| `(.+)` \|.*\|", line):
            assert match[1] not in found, match[1]
            found[match[1]] = match[2], status
    return found


ROWS = rows()


def pattern(text: str) -> re.Pattern:
    """What a message that is documented so looks like."""
    parts = re.split(r"\{[^{}]*\}", text.removesuffix("…"))
    return re.compile(r"[\s\S]*?".join(map(re.escape, parts)))


def ended(path: Path, grid: Grid, model: str, state: dict[str, float], bone: np.ndarray) -> None:
    """A run that came to its end, as far as another one reads it."""
    meta = {"model": model, "parameters": [{"name": "turnover_speed", "value": 0.05}]}
    with RunWriter(path, grid, FIELDS, [Series("ntx", "1", "")], active=np.ones(grid.shape, bool), meta=meta) as writer:
        writer.set_reference({"bone": bone})
        writer.set_state({name: np.full(grid.shape, value) for name, value in state.items()}, {"time": 1.0})
        writer.finish()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One of bone and one of another model that came to their end, one that was stopped, and one that is drawn."""
    folder = tmp_path_factory.mktemp("runs")
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


def test_rows_and_cases_are_the_same():
    assert sorted(ROWS) == sorted(CASES)


@pytest.mark.parametrize("row", ROWS)
def test_the_error_is_as_documented(row, runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, status = ROWS[row]
    said, left = CASES[row](Here(runs, monkeypatch))
    while HELD:
        HELD.pop().close()
    assert pattern(text).search(said), said
    assert left == status
    assert "Traceback" not in said


# --- the code --------------------------------------------------------------------------------------------------------


def sites() -> list[tuple[str, str]]:
    """Every error that is raised, and every fault of a config or of a model: where, and its text, X for what is put in."""
    found = []
    for path in sorted((ROOT / "rdsolver").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name("InputError" | "Damaged" | "RunError"), args=[text, *_]):
                    pass
                case ast.Raise(exc=ast.Call(func=ast.Name("ValueError"), args=[text])) if path.name == "units.py":
                    pass
                case ast.Yield(value=ast.Tuple([_, text])) if path.name.startswith("config") or path.name == "own.py":
                    pass
                case _:
                    continue
            found.append((f"{path.relative_to(ROOT)}:{node.lineno}", template(text)))
    return found


def template(node: ast.expr) -> str:
    match node:
        case ast.Constant(str(text)):
            return text
        case ast.JoinedStr(parts):
            return "".join(map(template, parts))
        case ast.BinOp(left, ast.Add(), right):
            return template(left) + template(right)
    return "X"


PLACEHOLDER = re.compile(r"\{[^{}]*\}")


def letters(text: str) -> int:
    return len(re.sub(r"[^a-z]", "", PLACEHOLDER.sub("", text)))


def ends() -> list[str]:
    """Of every row its text from each of its letters on: a site may leave the file or the key before it to others."""
    texts = [text.removesuffix("…") for text, _ in ROWS.values()]
    return [text[i:] for text in texts for i in range(len(text)) if letters(text[i:]) > 8]


def test_every_error_that_is_raised_has_a_row():
    """Texts that are put together elsewhere have few letters of their own here: those are provoked above."""
    found = [(where, text.lstrip("X")) for where, text in sites() if letters(text) > 12]
    assert len(found) > 200
    plain = tuple({PLACEHOLDER.sub("X", end) for end in ends()})
    rest = [(where, text) for where, text in found if not text.startswith(plain)]
    patterns = [pattern(end) for end in ends() if end[0] in " ={."]
    assert [(where, text) for where, text in rest if not any(p.match(text) or p.match(f" {text}") for p in patterns)] == []
