"""Programs of runs that were compiled beforehand, for a GPU that was not there, and that a GPU loads.

A program takes minutes to compile, which a short time on a GPU is too dear for. `gpu-programs --keep FOLDER`
writes what it compiles; `gpu.sh --programs FOLDER` loads it, on a GPU of the same kind with the same version
of jaxlib, and falls back to compiling where there is none, or where it does not fit.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental.serialize_executable import deserialize_and_load, serialize

from rdsolver.timestepping import advance

JAXLIB = version("jaxlib")


def name(grid: str, precision: str, wide: int) -> str:
    """The name of the program that advances `wide` runs of this grid (N, N-3d) together."""
    return f"run-{grid}-{precision}-{wide}-wide.program"


def signature(arguments: Any, space: int) -> tuple[Any, ...]:
    """What a program is made for: the model with its switches, named by the text of the tree, and shapes."""
    leaves, tree = jax.tree.flatten(arguments)
    return str(tree), space, [(np.shape(x), str(x.dtype)) for x in leaves]


def keep(folder: Path, name: str, compiled: Any, arguments: Any, space: int) -> Path:
    """Write a compiled program, with the shapes of what it takes and the version that made it."""
    folder.mkdir(parents=True, exist_ok=True)
    payload, _, _ = serialize(compiled)  # trees hold the model's own classes; they are made anew
    path = folder / name
    path.write_bytes(pickle.dumps((JAXLIB, signature(arguments, space), payload)))
    return path


@dataclass
class Loaded:
    """What became of a program. said: why it is not used ("": it is); seconds: that loading took."""

    said: str = "there is none"
    seconds: float = 0.0
    program: Any = None

    def __str__(self) -> str:
        return f"compiled here: {self.said}" if self.said else f"program loaded in {self.seconds:.1f} s"

    def load(self, path: Path, arguments: Any, space: int, many: bool, device: Any) -> None:
        """Load the program of a file, if it is the one for these arguments."""
        began = time.perf_counter()
        made_by, made_for, payload = pickle.loads(path.read_bytes())
        if made_by != JAXLIB:
            self.said = f"it was made by jaxlib {made_by}, and this is {JAXLIB}"
        elif made_for != signature(arguments, space):
            self.said = "it is for another model or other shapes"
        else:
            out = jax.eval_shape(partial(advance._advance, space=space, many=many), *arguments)
            trees = jax.tree.structure((arguments, {})), jax.tree.structure(out)
            try:
                self.program = deserialize_and_load(payload, *trees, device.client, [device])
                self.said = ""
            except Exception as error:
                self.said = f"it does not load: {type(error).__name__}: {str(error)[:200]}"
        self.seconds = time.perf_counter() - began


@contextmanager
def used(folder: Path | None, name: str, device: Any) -> Iterator[Loaded]:
    """Inside, runs are advanced by the program of this name, if there is one for their first call; otherwise
    by one that is compiled.
    """
    found, path = Loaded(), None if folder is None else folder / name
    programs = {k: getattr(advance, k) for k in ("on_a_cpu", "on_a_gpu")}
    own = programs["on_a_cpu" if device.platform == "cpu" else "on_a_gpu"]
    spaces: list[int] = []  # of the calls so far

    def program(*arguments: Any, space: int, many: bool) -> Any:
        if path is not None and path.exists() and not spaces:
            found.load(path, arguments, space, many, device)
        spaces.append(space)
        if found.program is not None and space == spaces[0]:
            return found.program(*arguments)
        return own(*arguments, space=space, many=many)

    try:
        for k in programs:
            setattr(advance, k, program)
        yield found
    finally:
        for k, before in programs.items():
            setattr(advance, k, before)
