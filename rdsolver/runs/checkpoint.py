"""Checkpoints: what a run goes on from, bit for bit, in two files beside run.h5.

`checkpoint.h5` is the last, `checkpoint-before.h5` the one before it. Each is written beside its final name,
flushed to the disk and then renamed, so a killed process leaves whole files. Its first 512 bytes are a line
of text with the SHA-256 of all that follows, which is plain HDF5: a damaged file is passed over for the one
before.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import InputError, RunError
from ..output import layout
from ..output.writer import reason
from ..utils import locks
from ..utils.provenance import PACKAGES
from ..utils.safe_files import array, attribute, open_hdf5, reading

SCHEMA = 1
NAMES = ("checkpoint.h5", "checkpoint-before.h5")
HEAD = 512  # bytes before the HDF5 file
MARK = "rdsolver checkpoint"
NUMBERS: dict[str, Any] = {
    "run_id": str,
    "fingerprint": str,
    "times": int,
    "rows": int,
    "spent": (int, float),
}
NUMBERS |= dict.fromkeys(("simulation", "account", "first", "last"), dict)
"""What a run goes on from, beside arrays."""


@dataclass(frozen=True)
class Checkpoint:
    """What was written.

    numbers  JSON-able: of the simulation, and what run.h5 held at that moment
    arrays   u, slope, middle and flows, each by name
    """

    numbers: dict[str, Any]
    arrays: dict[str, dict[str, np.ndarray]]


def files(run: Path) -> tuple[Path, Path]:
    """The checkpoints of a run file: the last, and the one before."""
    return run.with_name(NAMES[0]), run.with_name(NAMES[1])


def _fresh(run: Path) -> Path:
    """What a checkpoint is called while it is written."""
    return run.with_name(NAMES[0] + ".new")


def save(run: Path, numbers: Mapping[str, Any], arrays: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a checkpoint of the run file `run`.

    Raises RunError when it cannot be written; those before it are then still there.
    """
    last, before = files(run)
    fresh = _fresh(run)
    try:
        with locks.hdf5(fresh, "w", libver=layout.LIBVER, userblock_size=HEAD) as file:
            file.attrs["schema"] = SCHEMA
            layout.put(file.create_group("numbers"), "all", dict(numbers))
            for kind, fields in arrays.items():
                group = file.create_group(kind, track_order=True)
                for name, values in fields.items():
                    group.create_dataset(name, data=np.asarray(values))
        with fresh.open("r+b") as raw:
            head = f"{MARK} {_digest(raw)}\n".encode()
            raw.seek(0)
            raw.write(head)
            raw.flush()
            os.fsync(raw.fileno())
        if last.exists():
            os.replace(last, before)
        os.replace(fresh, last)
        _sync_folder(run.parent)
    except (OSError, RuntimeError) as e:  # h5py raises either
        fresh.unlink(missing_ok=True)
        raise RunError(f"{last} cannot be written: {reason(e)}. The checkpoints before it are kept.") from e


def load(run: Path, run_id: str) -> tuple[Checkpoint, list[str]]:
    """The last whole checkpoint of a run, and what is wrong with one that was passed over.

    Raises InputError when there is none: the run has to begin again.
    """
    wrong = []
    for path in files(run):
        if not path.exists():
            continue
        try:
            with reading(path):
                found = _read(path)
        except InputError as e:
            wrong.append(f"{path} is passed over: {e}")
            continue
        if found.numbers["run_id"] == run_id:
            return found, wrong
        wrong.append(f"{path} is passed over: it belongs to another run")
    said = "; ".join(wrong) or f"{files(run)[0]} is not there"
    raise InputError(
        f"{run.parent} holds no checkpoint to continue from: {said}. Start again: rdsolver run --force, or"
        f" --from {run}."
    )


def remove(run: Path) -> None:
    """Those of a run that has finished, or of one that was there before."""
    for path in (*files(run), _fresh(run)):
        path.unlink(missing_ok=True)


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What no longer is as it was when the run began, of all that the bits of a result depend on.

    Raises InputError for another precision.
    """
    if then["precision"] != now["precision"]:
        raise InputError(
            f"the run was made in {then['precision']} and cannot continue in {now['precision']}. Start a new"
            " run."
        )
    rows = [
        ("device", then["device"], now["device"]),
        ("XLA_FLAGS", then.get("xla_flags", ""), now.get("xla_flags", "")),
    ]
    rows += [
        ("commit", then.get("git_commit"), now.get("git_commit")),
        ("machine", then.get("platform"), now.get("platform")),
    ]
    rows += [("CPU", then["cpu"], now.get("cpu"))] if "cpu" in then else []  # older files do not say
    rows += [("runs that stepped together", then.get("width", 0), now.get("width", 0))]
    rows += [(name, then["versions"].get(name), now["versions"].get(name)) for name in ("python", *PACKAGES)]
    yield from (f"{name} was {old}, now {new}" for name, old, new in rows if old != new)


def _read(path: Path) -> Checkpoint:
    with path.open("rb") as raw:
        head = raw.read(HEAD).split(b"\n")[0].decode("ascii", "replace")
        if head != f"{MARK} {_digest(raw)}":
            raise InputError("it is damaged (its SHA-256 does not fit)")
    with open_hdf5(path) as file:
        if int(attribute(file, "schema")) > SCHEMA:
            raise InputError("a newer rdsolver wrote it")
        groups = {name: node for name, node in file.items() if isinstance(node, h5py.Group)}
        numbers = layout.take(groups.pop("numbers"))["all"]
        if wrong := [
            name for name, kind in NUMBERS.items() if name in numbers and not isinstance(numbers[name], kind)
        ]:
            raise InputError(f"its {wrong[0]} is not what belongs there")
        if min(numbers["times"], numbers["rows"]) < 0:
            raise InputError("it counts less than nothing")
        return Checkpoint(
            numbers,
            {
                kind: {name: array(layout.dataset(g, name)) for name in map(str, g)}
                for kind, g in groups.items()
            },
        )


def _digest(raw: Any) -> str:
    raw.seek(HEAD)
    return hashlib.file_digest(raw, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    with _opened(folder) as descriptor:
        os.fsync(descriptor)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
