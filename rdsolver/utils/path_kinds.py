"""The kinds of paths (config, sweep file, run, sweep folder, image), and the command that takes each.

Only this module tells them apart. Readers ask it first, so that a user who gives a path to the wrong command
is told both its kind and the right command.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from shlex import quote
from typing import Literal

from ..errors import InputError
from .safe_toml import LONGEST, excess

Kind = Literal["config", "sweep file", "run", "sweep", "image", "model", ""]

RUN, DESIGN = "run.h5", "sweep.json"  # files in the folder of a run, and in that of a sweep
RUN_MARK = "rdsolver_schema"  # attribute of a run file
HDF5 = b"\x89HDF\r\n\x1a\n"
IMAGES = (
    ".tif",
    ".tiff",
    ".png",
    ".npy",
    ".nrrd",
    ".mha",
    ".mhd",
    ".nii",
    ".nii.gz",
    ".jpg",
    ".jpeg",
    ".bmp",
    ".dcm",
)
SLICES = (".tif", ".tiff", ".png")

NAMES: dict[Kind, str] = {
    "config": "a config",
    "sweep file": "a sweep file",
    "run": "a run",
    "sweep": "the folder of a sweep",
    "image": "an image",
    "model": "a Python file",
}


def kind_of(path: Path) -> Kind:
    """The kind of a path; empty if it is none of the known kinds, or does not exist."""
    try:
        if path.is_dir():
            return _of_folder(path)
        with path.open("rb") as file:
            begin = file.read(LONGEST + 1)
    except (OSError, ValueError):
        return ""
    if begin.startswith(HDF5):
        return "run" if _is_run(path) else ""
    if path.name.lower().endswith(IMAGES):
        return "image"
    if path.suffix.lower() == ".py":
        return "model"
    return _of_text(begin) if len(begin) <= LONGEST else ""


def expect(path: Path, *wanted: Kind) -> None:
    """Raise InputError for a path that is known to be of another kind than `wanted`.

    Its reader reports all other faults.
    """
    kind = kind_of(path)
    if kind and kind not in wanted:
        belongs = " or ".join(NAMES[k] for k in wanted)
        raise InputError(
            f"{path} is {NAMES[kind]}, and {belongs} belongs here. {_way_out(kind, path, wanted)}"
        )


def run_file(path: Path) -> Path:
    """The file of a run that was given by its file or its folder.

    Raises InputError for a path that is known to be no run.
    """
    expect(path, "run")
    return path / RUN if path.is_dir() else path


def _of_folder(path: Path) -> Kind:
    if (path / DESIGN).is_file():
        return "sweep"
    if (path / RUN).is_file():
        return "run"
    kinds = {f.suffix.lower() for f in path.iterdir() if not f.name.startswith(".")}
    return "image" if len(kinds) == 1 and kinds <= {*SLICES} else ""


def _is_run(path: Path) -> bool:
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            return RUN_MARK in file.attrs
    except (OSError, RuntimeError):
        return path.name == RUN  # the file is damaged, or being written


def _of_text(text: bytes) -> Kind:
    try:
        decoded = text.decode("utf-8-sig")
        tables = {} if excess(decoded) else tomllib.loads(decoded)
    except (ValueError, RecursionError):
        return ""
    if isinstance(tables.get("base"), str):
        return "sweep file"
    return "config" if isinstance(tables.get("section"), dict) else ""


def _way_out(kind: Kind, path: Path, wanted: tuple[Kind, ...]) -> str:
    """The commands that take such a path."""
    it, out = quote(str(path)), Path("outputs") / path.stem
    there = f"What it wrote is in {out}. " if {"run", "sweep"} & {*wanted} else ""
    match kind:
        case "config":
            return f"{there if (out / RUN).is_file() else ''}Run it with: rdsolver run {it}"
        case "sweep file":
            way = f"Check it with `rdsolver sweep {it} --dry-run`, run it with: rdsolver sweep {it}"
            return f"{there if (out / DESIGN).is_file() else ''}{way}"
        case "run":
            return (
                f"Look at it: rdsolver info {it}, continue it: rdsolver resume {it}, repeat it:"
                f" rdsolver run --from {it}"
            )
        case "sweep":
            more = "The command that started it continues it. " if wanted == ("sweep file",) else ""
            runs = f"Each of its runs is a folder in {path / 'runs'}. "
            return f"{more}{runs}Look at all with: rdsolver sweep status {it}, or rdsolver plot {it}"
        case "image":
            way = "A config names it; `rdsolver example microct_slice_2d --copy` gives you one. Then: "
            return f"{way}rdsolver run microct_slice_2d.toml --set {quote(f'section.image={path}')}"
        case _:
            return (
                f'A config names it: model = "{path}:NAME" (docs/extend.md). Then: rdsolver run CONFIG'
                " --allow-python"
            )
