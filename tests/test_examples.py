"""The examples run as a user would run them, on a small file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rdsolver.geometry.grid import Grid
from rdsolver.models.base import Field, Series
from rdsolver.output.writer import RunWriter
from rdsolver.sweep.collect import collect
from tests.support.places import ROOT
from tests.support.sweeps import design, put_sweep

pytestmark = pytest.mark.long

EXAMPLES = ROOT / "examples"


def write_small_run(path: Path, shape: tuple[int, ...]) -> None:
    grid = Grid(shape, (10.0,) * len(shape), thickness=10.0 if len(shape) == 2 else None)
    active = np.ones(shape, bool)
    active[..., 0, :] = False
    series = [Series("ntx", "1", "NTX"), Series("bone_volume_fraction", "1", "BV/TV")]
    with RunWriter(
        path, grid, [Field("rankl", "nM", 0.02, "free RANKL")], series, active=active, title="small"
    ) as writer:
        for t in (0.0, 1.0, 2.0):
            writer.append(t, {"rankl": np.full(shape, 0.02 - 0.005 * t)})
        time = np.linspace(0, 2, 9)
        writer.append_series(
            {"time": time, "ntx": 1 - 0.3 * np.sin(time), "bone_volume_fraction": 0.25 + 0.001 * time}
        )
        writer.finish()


@pytest.mark.parametrize("shape", [(12, 14), (6, 12, 14)])
def test_analyse_run_tells_the_nadir_and_draws(tmp_path, shape):
    pytest.importorskip("h5netcdf")
    write_small_run(tmp_path / "run.h5", shape)
    command = [
        sys.executable,
        str(EXAMPLES / "analyse_run.py"),
        str(tmp_path / "run.h5"),
        str(tmp_path / "figure.png"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "agree" in done.stdout
    assert "0.701 at its lowest (day 1.5)" in done.stdout
    assert (tmp_path / "figure.png").stat().st_size > 5000


def run_example(name, *arguments):
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_tumour_run(path: Path, title: str, growth: float, shape: tuple[int, ...] = (21, 21)) -> Path:
    """Osteoclasts on a ring of 50 um around the tumour in the middle; a lesion that grows at a constant rate
    after day 10.
    """
    grid = Grid(shape, (10.0,) * len(shape), thickness=10.0 if len(shape) == 2 else None)
    distance = np.sqrt(
        sum((g - 10 * n / 2) ** 2 for g, n in zip(np.indices(shape) * 10.0 + 5, shape, strict=True))
    )
    fields = [Field("osteoclasts", "1/mm^3", 10.0, "osteoclasts"), Field("tumour", "1", 1.0, "tumour")]
    series = [
        Series(n, u, n)
        for n, u in (
            ("ntx", "1"),
            ("bone_volume_fraction", "1"),
            ("tumour_burden", "1"),
            ("lesion_area", "mm^2"),
        )
    ]
    with RunWriter(path, grid, fields, series, active=np.ones(shape, bool), title=title) as writer:
        for t in (0.0, 20.0, 40.0):
            ring = np.exp(-(((distance - 50) / 20) ** 2))
            writer.append(t, {"osteoclasts": 20 * ring * (1 + t), "tumour": 1.0 * (distance < 25)})
        time = np.linspace(0, 40, 81)
        values = {
            "ntx": 1 - growth * time / 4,
            "bone_volume_fraction": 0.25 - growth * time / 4,
            "lesion_area": growth * (time - 10).clip(0),
        }
        writer.append_series({"time": time, "tumour_burden": 0.01 * 2 ** (time / 8), **values})
        writer.finish()
    return path


def test_lesion_growth_finds_the_rate_and_the_doubling_time(tmp_path):
    runs = [
        write_tumour_run(tmp_path / f"{k}.h5", f"run {k}", growth) for k, growth in enumerate((0.01, 0.0))
    ]
    said = run_example("lesion_growth", *runs, "--out", tmp_path / "f.png")
    assert "run 0: lesion 0.3 mm^2 at most, growing 0.01 mm^2/d" in said
    assert "run 1: lesion 0 mm^2 at most, growing 0 mm^2/d" in said
    assert said.count("first doubled in 8.0 d") == 2
    assert (tmp_path / "f.png").stat().st_size > 5000


@pytest.mark.parametrize("shape", [(21, 21), (15, 15, 15)])
def test_radial_profile_finds_the_ring_of_osteoclasts(tmp_path, shape):
    run = write_tumour_run(tmp_path / "run.h5", "ring", 0.01, shape)
    said = run_example("radial_profile", run, "osteoclasts", "tumour", "--out", tmp_path / "f.png")
    assert f"x {5 * shape[-1]} um" in said
    for day in (0, 20, 40):
        assert f"osteoclasts, day {day}: highest at 50 um" in said
    assert (tmp_path / "f.png").stat().st_size > 5000


def test_compare_therapies_tabulates_differences_from_the_first(tmp_path):
    for k, growth in enumerate((0.01, 0.002)):
        (tmp_path / str(k)).mkdir()
        write_tumour_run(tmp_path / str(k) / "run.h5", f"run {k}", growth)
    said = run_example(
        "compare_therapies",
        tmp_path / "0",
        tmp_path / "1",
        "--csv",
        tmp_path / "t.csv",
        "--out",
        tmp_path / "f.png",
    )
    assert "run 1, day 40: BV/TV (%) 23 (+8)" in said
    table = (tmp_path / "t.csv").read_text().splitlines()
    assert table[0] == "day 40,BV/TV (%),tumour (%),lesion (mm²),NTX (relative),lowest NTX"
    assert [float(v) for v in table[1].split(",")[1:]] == pytest.approx([15, 32, 0.3, 0.9, 0.9])
    assert [float(v) for v in table[2].split(",")[1:]] == pytest.approx([23, 32, 0.06, 0.98, 0.98])


def test_dose_response_finds_the_dose_of_half_the_effect(tmp_path):
    collect(put_sweep(tmp_path / "out", design(tmp_path)))
    said = run_example("dose_response", tmp_path / "out", "--out", tmp_path / "f.png").splitlines()
    for line, agent, most in zip(said, ("rank_fc", "fc_opg"), (0.9, 0.6), strict=False):
        assert line.startswith(f"{agent}: 6 runs, ntx.min from 1 to ")
        assert float(line.split(" to ")[1].split(",")[0]) == pytest.approx(1 - most, abs=0.03)
        assert float(line.split("half of that at ")[1].split()[0]) == pytest.approx(500, rel=0.1)  # ug/kg
    assert (tmp_path / "f.png").stat().st_size > 5000
