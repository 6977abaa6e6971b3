"""The benchmarks run, at tiny size, and write what README.md says. No timing is asserted."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from functools import partial
from math import nan
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks are run from a checkout, not installed

from benchmarks import bone, gpu, hlo, measure, prebuilt
from benchmarks.__main__ import main
from benchmarks.modes import peers
from benchmarks.peers import PEERS, Peer
from benchmarks.peers.etd_dct import fixed
from benchmarks.peers.scipy_bdf import laplacian
from benchmarks.problems import DIFFUSIVITY, LOSS, case
from rdsolver.parallel import device
from rdsolver.problem import Solver
from rdsolver.timestepping import advance

pytestmark = pytest.mark.long

CONFIG = "configs/rank_fc_section_2d.toml"
SMALL = (
    "section.size=['320 um','320 um']",
    "section.spacing=20 um",
    "section.trabecular_thickness=80 um",
    "dose.0.at=0.5 d",
    "solver.precision=float64",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("references")


def run(mode, tmp_path, cache, *options):
    path = tmp_path / "figures.json"
    main([mode, *options, "--json", str(path), "--cache", str(cache)])
    record = json.loads(path.read_text())
    assert record["mode"] == mode
    assert record["device"] == "cpu"
    assert record["machine"]["cores"] >= 1
    assert {"jax", "numpy", "scipy"} <= record["machine"]["versions"].keys()
    return record["results"]


def times(row):
    assert 0 < row["seconds_low"] <= row["seconds"] <= row["seconds_high"]


def test_copy(tmp_path, cache):
    rows = run("copy", tmp_path, cache, "--sizes", "65536", "--repeats", "2")
    assert {r["precision"] for r in rows} == {"float32", "float64"}
    assert all(0 < r["low"] <= r["bytes_per_s"] <= r["high"] for r in rows)


def test_step(tmp_path, cache):
    options = (
        "--grid",
        "16",
        "--model",
        "two-field",
        "--precision",
        "float32",
        "--seconds",
        "0.002",
        "--repeats",
        "2",
    )
    rows = run("step", tmp_path, cache, *options)
    assert [r["what"] for r in rows] == ["sweep", "v-cycle", "stage"]
    for row in rows:
        assert row["bytes_per_s"] > 0
        assert row["fusions"] > 0
        assert row["of copy"] == pytest.approx(row["bytes_per_s"] / row["copy_bytes_per_s"])
    assert rows[0]["arrays"] >= 2 * 2 + 1  # two fields read and written, and at least one static array
    assert rows[0]["fusions"] < rows[1]["fusions"] < rows[2]["fusions"]


def test_simulate_and_io_and_workprecision_of_bone(tmp_path, cache):
    settings = [x for s in (*SMALL, "time.end=1 d", "time.save=1 d") for x in ("--set", s)]
    (row,) = run("simulate", tmp_path, cache, CONFIG, *settings, "--repeats", "1")
    times(row)
    assert row["grid"] == [16, 16]
    assert row["steps"] > 5
    (row,) = run(
        "io", tmp_path, cache, "--cells", "16", "--end", "1", "--precision", "float64", "--repeats", "1"
    )
    assert 0 < row["share"] < 1
    assert row["MB"] == pytest.approx((row["steps"] + 1) * 11 * 16 * 16 * 8 / 1e6)
    options = (
        "--case",
        "w3-16",
        "--end",
        "1",
        "--integrator",
        "tr-bdf2",
        "--precision",
        "float64",
        "--tolerances",
        "1e-2",
        "1e-3",
    )
    rows = run("workprecision", tmp_path, cache, *options, "--repeats", "1", "--reference", "1e-3")
    assert [r["tolerance"] for r in rows] == [1e-2, 1e-3]
    for row in rows:
        times(row)
        assert row["error_ntx"] < 1e-2
        assert row["worst_field"]


def test_workprecision_of_binding(tmp_path, cache):
    rows = run(
        "workprecision",
        tmp_path,
        cache,
        "--case",
        "w1-16",
        "--integrator",
        "rkc2",
        "--precision",
        "float64",
        "--repeats",
        "1",
    )
    assert rows[0]["error"] > rows[-1]["error"]
    assert rows[-1]["error"] < 1e-3


def test_peers_side_by_side(tmp_path, cache):
    options = [x for p in ("rdsolver rkc2", "scipy etdrk4", "scipy bdf") for x in ("--peer", p)]
    rows = run(
        "peers",
        tmp_path,
        cache,
        "--case",
        "w1-16",
        *options,
        "--precision",
        "float64",
        "--tolerances",
        "1e-3",
        "--repeats",
        "1",
    )
    assert [r["peer"] for r in rows] == ["rdsolver rkc2", "scipy etdrk4", "scipy bdf"]
    for row in rows:
        times(row)
        assert max(row["error_early"], row["error_end"]) < 3e-3
        assert row["compile_seconds"] >= 0
    assert rows[0]["times_ours"] == pytest.approx(1)


def test_a_peer_that_is_not_there_or_does_not_fit_is_named():
    options = Namespace(precision=None)
    (row,) = peers._one(Peer("nobody", "nobody", ("no_such_package",)), case("w1-16"), "float64", options)
    assert row["note"] == "not installed: no_such_package"
    (row,) = peers._one(PEERS["scipy etdrk4"], case("w2-16"), "float64", options)
    assert "do not fit" in row["note"]


def test_time_at_equal_error_is_read_off_the_log_log_curve():
    curve, other = [(1e-2, 1.0), (1e-4, 100.0)], [(5e-3, 30.0)]
    assert peers.time_at(1e-3, [curve]) == pytest.approx(10.0)
    assert peers.time_at(1e-1, [curve]) == 1.0
    assert peers.time_at(1e-5, [curve]) is None
    # never between the points of two curves
    assert peers.time_at(1e-3, [curve, other]) == pytest.approx(10.0)


@pytest.mark.parametrize("name", ["w1-20", "w2-20", "w2-16-3d"])
def test_binding_balances(name):
    """What flows between cells, and what binds, cancels in the sums; nothing happens in impermeable cells."""
    of = case(name)
    u = np.random.default_rng(0).random((3, *of.shape)) * of.active
    rate, summed = of.rates(u), tuple(range(1, u.ndim))
    outside = rate[:, ~of.active]
    assert not outside.any()
    left = rate.sum(summed) - of.sources.sum(summed) + np.array(LOSS) * u.sum(summed)
    assert left[0] == pytest.approx(-left[2])
    assert left[1] == pytest.approx(-left[2])
    if name.startswith("w2"):
        assert 0.2 < 1 - of.active.mean() < 0.4


@pytest.mark.parametrize("name", ["w1-12", "w2-20"])
def test_peers_solve_the_same_equations(name):
    of = case(name)
    u = np.random.default_rng(1).random((3, *of.shape)) * of.active
    spread = laplacian(of)
    for i, d in enumerate(DIFFUSIVITY):
        np.testing.assert_allclose(d * (spread @ u[i].ravel()), d * of._laplacian(u[i]).ravel(), atol=1e-12)
    if not PEERS["numba rkc2"].missing:
        from benchmarks.peers.rkc2_numba import Sweeps

        sweeps = Sweeps(of, np.dtype(float))
        found = sweeps.view(sweeps.rates(sweeps.pad(u), np.zeros_like(sweeps.source)))
        np.testing.assert_allclose(found, of.rates(u), rtol=1e-12, atol=1e-15)


def test_the_reference_of_w1_is_tight():
    of = case("w1-16")
    coarse, fine = (fixed(of, "etdrk4", step) for step in (50.0, 25.0))
    assert max(of.error(a, b) for a, b in zip(coarse, fine, strict=True)) < 1e-7


def test_fusions_are_counted_in_the_loop():
    text = """HloModule m
%fused (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %n = f32[8]{0} negate(%p)
}
%once (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %g = f32[8]{0} fusion(%p), kind=kLoop, calls=%fused
}
%body (t: (s32[], f32[8])) -> (s32[], /*index=1*/f32[8]) {
  %t = (s32[], f32[8]{0}) parameter(0)
  %x = f32[8]{0} get-tuple-element(%t), index=1
  %c = f32[8]{0} copy(%x)
  %f = f32[8]{0} fusion(%c), kind=kLoop, calls=%fused
  %d = f32[8]{0} call(%f), to_apply=%once
  ROOT %r = (s32[], /*index=1*/f32[8]{0}) tuple(%i, %d)
}
%end (t: (s32[], f32[8])) -> pred[] {
  ROOT %q = pred[] constant(true)
}
ENTRY %main (a: f32[8]) -> f32[8] {
  %a = f32[8]{0} parameter(0)
  %b = f32[8]{0} fusion(%a), kind=kLoop, calls=%fused
  %w = (s32[], /*index=1*/f32[8]{0}) while(%s), condition=%end, body=%body
  ROOT %z = f32[8]{0} get-tuple-element(%w), index=1
}
"""
    assert hlo.counts(text) == {"fusion": 2, "copy": 1}


def test_the_gpu_script_needs_neither_pydantic_nor_pint_nor_peers():
    surface = ("pydantic", "pydantic_core", "pint", "typer", "rich", "matplotlib", "tifffile", "PIL")
    absent = [*surface, "numba", "pde", "sksundae", "diffrax", "lineax"]
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); import benchmarks.gpu"
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_the_gpu_script_runs_on_a_cpu(tmp_path):
    root, path = Path(__file__).parents[1], tmp_path / "gpu.json"
    options = ["--cpu", "--small", "--section", "copies", "--section", "step", "--json", str(path)]
    ran = subprocess.run(
        [root / "benchmarks" / "gpu.sh", *options],
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(path.read_text())["results"]
    assert {r["section"] for r in rows} == {"copies", "step"}
    assert all(r["figure"] > 0 for r in rows)
    # the table comes last
    assert ran.stdout.rstrip().splitlines()[-1].split()[:4] == ["step", "two-field", "16", "stage"]


def test_a_missed_bound_fails_the_gpu_script(monkeypatch, tmp_path):
    def section(_):
        yield gpu._row("a run", "float32", 3.0, "ms", most=2.0)
        yield gpu._row("a run", "float64", 3.0, "error in NTX", most=4.0)
        yield gpu._row("a run", "float32", 3.0, "error in NTX", most=nan)

    path = tmp_path / "gpu.json"
    monkeypatch.setattr(gpu, "SECTIONS", (section,))
    monkeypatch.setattr(sys, "argv", ["gpu.sh", "--cpu", "--json", str(path)])
    with pytest.raises(SystemExit) as stopped:
        gpu.main()
    assert stopped.value.code == 1
    judged = [(row.get("wanted"), row.get("missed")) for row in json.loads(path.read_text())["results"]]
    assert judged == [(None, None), ("<= 4", False), ("<= nan", True)]  # speed is not judged on a CPU


def test_constants_of_the_model_are_fitted_to_measured_steps():
    made = json.loads((measure.RESULTS / "gpu_programs_h200.json").read_text())["results"]
    rows = [
        {"section": "calls", "grid": r["grid"], "figure": 1e3 * (r["launches"] * 2e-6 + r["bytes"] / 3e12)}
        for r in made
        if r["program"] == "run, one step"
    ]
    found = {r["unit"]: r["figure"] for r in gpu.fitted(Namespace(rows=rows)) if "h200" in r["what"]}
    assert found == pytest.approx({"us": 2.0, "GB/s": 3000.0})


@pytest.fixture
def no_program_cache():
    """What comes from the cache of compiled programs cannot be kept."""
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    yield
    jax.config.update("jax_enable_compilation_cache", True)
    compilation_cache.reset_cache()


def test_a_program_compiled_beforehand_is_the_one_that_a_run_calls(tmp_path, monkeypatch, no_program_cache):
    problem, calls, compiled = bone.problem(8, 2, Solver("tr-bdf2", 1e-3, "float64"), 0.5), [], []
    name = prebuilt.name("8", "float64", 1)

    def watched(*arguments, space, many):
        calls.append(space)
        if not compiled:
            program = jax.jit(partial(advance._advance, space=space, many=many))
            compiled.append(program.lower(*arguments).compile())
            prebuilt.keep(tmp_path, name, compiled[0], arguments, space)
        return compiled[0](*arguments)

    monkeypatch.setattr(advance, "on_a_cpu", watched)
    with device.on("cpu"):
        want = bone.run(problem)[1]
        calls.clear()
        with prebuilt.used(tmp_path, name, jax.devices()[0]) as loaded:
            found = bone.run(problem)[1]
        assert not calls
        assert str(loaded).startswith("program loaded in")
        with (
            prebuilt.used(tmp_path, name, jax.devices()[0]) as loaded,
            pytest.raises(TypeError, match="does not match the input pytree"),
        ):
            bone.run(bone.problem(9, 2, problem.solver, 0.5))
        assert calls
        assert loaded.said == "it is for another model or other shapes"
    assert all(np.array_equal(want.fields[k], found.fields[k]) for k in want.fields)
