"""Accurate solutions of W1 and W2 on their own grid, kept in a folder.

W1: ETDRK4 in the DCT basis by equal steps of 25 s, 1e-9 from its own limit. W2: RKC2 at a tolerance of 3e-9,
which by its ladder of tolerances is about 1e-7 from its limit. Both are in float64; neither has a line in
common with rdsolver.

    python -m benchmarks.reference w1-256 --cache FOLDER
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from .problems import Case, case

STEP = 25.0  # s; step for W1
TOLERANCE = 3e-9  # tolerance for W2
DEFAULT = Path(tempfile.gettempdir()) / "rdsolver-benchmarks"


def path(of: Case, cache: Path) -> Path:
    return cache / f"{of.name}.npy"


def reference(of: Case, cache: Path) -> np.ndarray:
    """The states at MARKS, (2, 3, ...): from the cache, or computed."""
    kept = path(of, cache)
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        found = np.array(_compute(of))
        with kept.with_suffix(".part").open("wb") as f:
            np.save(f, found)
        kept.with_suffix(".part").replace(kept)
    return np.load(kept)


def _compute(of: Case) -> list[np.ndarray]:
    if of.kind == "w1":
        from .peers.etd_dct import fixed

        return fixed(of, "etdrk4", STEP)
    from .peers.rkc2_numba import build

    return build(of, "float64")(TOLERANCE)[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("case", type=case)
    parser.add_argument("--cache", type=Path, default=DEFAULT)
    arguments = parser.parse_args()
    reference(arguments.case, arguments.cache)
