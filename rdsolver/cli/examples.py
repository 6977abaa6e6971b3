"""The configs and sweeps that come with rdsolver: list, print, and copy with every file they need."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError, unknown, writing


def folder() -> Path:
    """The folder of the examples: in the wheel, or in the checkout that rdsolver runs from."""
    package = Path(__file__).resolve().parents[1]
    return next(
        (found for found in (package / "configs", package.parent / "configs") if found.is_dir()), package
    )


def named() -> dict[str, Path]:
    """The path of every example by name: configs, then sweeps."""
    configs = {path.stem: path for path in sorted(folder().glob("*.toml"))}
    return configs | {f"sweeps/{path.stem}": path for path in sorted(folder().glob("sweeps/*.toml"))}


def find(name: str) -> Path:
    """The path of a config, a sweep, or a Python file beside them. Raises InputError for an unknown name."""
    files = named() | {path.name: path for path in sorted(folder().glob("*.py"))}
    path = files.get(name.removesuffix(".toml"))
    if path is None:
        raise InputError(f"example {name} {unknown('example', name, files)}")
    return path


def title(path: Path) -> str:
    return tomllib.loads(path.read_text(encoding="utf-8")).get("title", "")


def printed(path: Path) -> str:
    """The text of an example; the base of a sweep is named as if it were in the same folder."""
    return path.read_text(encoding="utf-8").replace('base = "../', 'base = "')


def copy(name: str, to: Path, force: bool = False) -> list[Path]:
    """Copy an example and every file that it needs into one folder.

    Raises InputError if a different file of that name exists, unless forced.
    """
    wanted = {to / file: content for file, content in _needed(find(name))}
    for path, content in wanted.items():
        if not force and path.exists() and not (path.is_file() and path.read_bytes() == content):
            raise InputError(
                f"{path} exists and is a different file. Choose another folder, or overwrite it with --force."
            )
    for path, content in wanted.items():
        with writing(path):
            path.write_bytes(content)
    return list(wanted)


def _needed(path: Path) -> Iterator[tuple[str, bytes]]:
    """The names and contents of the files of an example, laid out as in configs/, where names may repeat."""
    place = path.parent.relative_to(folder())
    yield str(place / path.name), path.read_bytes()
    if path.suffix != ".toml":
        return
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    model, section, sample = (tables.get(table, {}) for table in ("model", "section", "sample"))
    for beside in (
        tables.get("base"),
        sample.get("table"),
        _file(model if isinstance(model, str) else model.get("from", "")),
    ):
        if beside:
            yield from _needed((path.parent / beside).resolve())
    if section.get("kind") == "image":
        yield str(place / section["image"]), _scan(2 if "thickness" in section else 3)


def _file(reference: str) -> str:
    """The file part of "FILE.py:NAME"."""
    return reference.rpartition(":")[0]


def _scan(axes: int) -> bytes:
    """A synthetic scan as a TIFF, to be replaced by the user's own.

    It is blurred noise, a quarter of it bone, with noise on the grey values.
    """
    import io

    import numpy as np
    import tifffile
    from scipy.ndimage import gaussian_filter

    random, shape = np.random.default_rng(1), ((128, 64)[axes - 2],) * axes
    field = gaussian_filter(random.normal(size=shape), 2.5)
    bone = gaussian_filter((field > np.quantile(field, 0.75)).astype(float), 0.7)
    grey = 60 + 120 * bone + random.normal(0, 6, shape)
    file = io.BytesIO()
    tifffile.imwrite(file, grey.clip(0, 255).astype(np.uint8), photometric="minisblack")
    return file.getvalue()
