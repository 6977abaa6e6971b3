"""The examples run as a user would run them, on a small file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rdsolver.domain.grid import Grid
from rdsolver.models.base import Field, Series
from rdsolver.output.writer import RunWriter

EXAMPLES = Path(__file__).parent.parent / "examples"


def write_small_run(path: Path, shape: tuple[int, ...]) -> None:
    grid = Grid(shape, (10.0,) * len(shape), thickness=10.0 if len(shape) == 2 else None)
    active = np.ones(shape, bool)
    active[..., 0, :] = False
    series = [Series("ntx", "1", "NTX"), Series("bone_volume_fraction", "1", "BV/TV")]
    with RunWriter(path, grid, [Field("rankl", "nM", 0.02, "free RANKL")], series, active=active, title="small") as writer:
        for t in (0.0, 1.0, 2.0):
            writer.append(t, {"rankl": np.full(shape, 0.02 - 0.005 * t)})
        time = np.linspace(0, 2, 9)
        writer.append_series({"time": time, "ntx": 1 - 0.3 * np.sin(time), "bone_volume_fraction": 0.25 + 0.001 * time})
        writer.finish()


@pytest.mark.parametrize("shape", [(12, 14), (6, 12, 14)])
def test_analyse_run_tells_the_nadir_and_draws(tmp_path, shape):
    pytest.importorskip("h5netcdf")
    write_small_run(tmp_path / "run.h5", shape)
    command = [sys.executable, str(EXAMPLES / "analyse_run.py"), str(tmp_path / "run.h5"), str(tmp_path / "figure.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "agree" in done.stdout
    assert "0.701 at its lowest (day 1.5)" in done.stdout
    assert (tmp_path / "figure.png").stat().st_size > 5000
