"""The file of a checkpoint: numbers and arrays, in two files beside run.h5.

`checkpoint.h5` is the last checkpoint, `checkpoint-before.h5` the one before it. Each is written beside its
final name, flushed to the disk and then renamed, so a killed process leaves intact files. Its first 512 bytes
are a line of text with the SHA-256 of the rest, which is plain HDF5: if a file is damaged, the one before is
used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from ..errors import InputError, RunError
from ..output import layout
from ..output.writer import reason
from ..utils import atomic, locks
from ..utils.safe_files import array, attribute, open_hdf5, reading

CHECKPOINT_SCHEMA = 1
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
"""The numbers that every checkpoint has, and their types."""


class Content(NamedTuple):
    """The content of a checkpoint file.

    numbers  values that can be written as JSON
    arrays   u, slope, middle and flows, each by name of its field
    """

    numbers: dict[str, Any]
    arrays: Mapping[str, Mapping[str, Any]]


def files(run: Path) -> tuple[Path, Path]:
    """The checkpoints of a run file: the last, and the one before."""
    return run.with_name(NAMES[0]), run.with_name(NAMES[1])


def save(run: Path, numbers: Mapping[str, Any], arrays: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a checkpoint of the run file `run`.

    Raises RunError when it cannot be written; earlier checkpoints then still exist.
    """
    last, before = files(run)
    try:
        with atomic.replacing(last, before=before) as fresh:
            with locks.hdf5(fresh, "w", libver=layout.LIBVER, userblock_size=HEAD) as file:
                file.attrs["schema"] = CHECKPOINT_SCHEMA
                layout.put(file.create_group("numbers"), "all", dict(numbers))
                for kind, fields in arrays.items():
                    group = file.create_group(kind, track_order=True)
                    for name, values in fields.items():
                        group.create_dataset(name, data=np.asarray(values))
            with fresh.open("r+b") as raw:
                head = f"{MARK} {_digest(raw)}\n".encode()
                raw.seek(0)
                raw.write(head)
    except (OSError, RuntimeError) as e:  # h5py raises either
        raise RunError(f"{last} cannot be written: {reason(e)}. The checkpoints before it are kept.") from e


def load(run: Path, run_id: str) -> tuple[Content, list[str]]:
    """The last intact checkpoint of a run, and the faults of any that was skipped.

    Raises InputError when there is none: the run has to start again.
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
    """Remove the checkpoints of a run that has finished, or of an earlier run."""
    for path in (*files(run), atomic.fresh_name(files(run)[0])):
        path.unlink(missing_ok=True)


def _read(path: Path) -> Content:
    with path.open("rb") as raw:
        head = raw.read(HEAD).split(b"\n")[0].decode("ascii", "replace")
        if head != f"{MARK} {_digest(raw)}":
            raise InputError("it is damaged (its SHA-256 does not fit)")
    with open_hdf5(path) as file:
        if int(attribute(file, "schema")) > CHECKPOINT_SCHEMA:
            raise InputError("a newer rdsolver wrote it")
        groups = {name: node for name, node in file.items() if isinstance(node, h5py.Group)}
        numbers = layout.take(groups.pop("numbers"))["all"]
        if wrong := [
            name for name, kind in NUMBERS.items() if name in numbers and not isinstance(numbers[name], kind)
        ]:
            raise InputError(f"its {wrong[0]} is not what belongs there")
        if min(numbers["times"], numbers["rows"]) < 0:
            raise InputError("it counts less than nothing")
        return Content(
            numbers,
            {
                kind: {name: array(layout.dataset(g, name)) for name in map(str, g)}
                for kind, g in groups.items()
            },
        )


def _digest(raw: Any) -> str:
    raw.seek(HEAD)
    return hashlib.file_digest(raw, "sha256").hexdigest()
