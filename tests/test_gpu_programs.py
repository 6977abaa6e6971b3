"""What XLA compiles for a GPU that is not there, read from its dumps; and bounds on our own programs."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import jax
import pytest

from benchmarks import bone, gpu_targets, gpu_thunks, prebuilt
from benchmarks.modes import gpu_programs
from rdsolver.errors import InputError
from rdsolver.parallel import device
from rdsolver.problem import Solver
from rdsolver.timestepping import advance
from tests.support.places import ROOT

DUMPS = Path(__file__).parent / "data" / "gpu_program"
# default, graphs: x = fori_loop(0, n, v * 0.5 + sum(v)); x = fori_loop(0, 5, roll(v, k) + v); x.at[i].add(1)
# branches: fori_loop(0, n, v + cond(isinf(dt), cumsum(sin(y) sum(v)), y))


@pytest.mark.parametrize(("name", "graphs", "waits"), [("default", 0, 4), ("graphs", 1, 0)])
def test_launches_are_counted_with_the_trips_of_their_loops(name, graphs, waits):
    """Three copies, four conditions and three bodies of three, five bodies of three, one scatter."""
    found = gpu_thunks.read(DUMPS / name, trips={"scope": 3})
    assert found.count() == 3 + 4 + 3 * 3 + 5 * 3 + 1
    assert found.count(graph=True) == graphs * found.count()
    assert found.kinds == {"kCopy": 11, "kCustomKernel": 21}
    assert found.of_one_warp == 4 + 3 + 5 + 1
    assert (found.graphs, found.waits, found.scatters) == (graphs, waits, 1)
    assert found.unknown == ["scope"]


def test_of_a_conditional_what_it_does_for_false_is_counted():
    """Two copies, a condition more than trips; a trip: counter, predicate, one branch's copy, the sum."""
    found = gpu_thunks.read(DUMPS / "branches", trips={"while": 3})
    assert found.count() == 2 + 4 + 3 * 4
    assert {x.instruction for x in found.launches if x.times == 0} == {
        "input_reduce_fusion", "loop_multiply_fusion", "loop_add_fusion"
    }  # fmt: skip


def test_bytes_are_those_of_operands_and_result():
    found = {x.instruction: x.bytes for x in gpu_thunks.read(DUMPS / "default").launches}
    assert found["copy.16"] == 2 * 4096
    assert found["loop_add_fusion"] == 2 * 4096 + 8  # the numbers, and how far they are rolled
    assert found["wrapped_compare"] == 4 + 4 + 1


HLO = """
%sliced (p: f32[100,8], i: s32[]) -> f32[1,8] {
  %p = f32[100,8]{1,0} parameter(0)
  %i = s32[] parameter(1)
  %zero = s32[] constant(0)
  ROOT %s = f32[1,8]{1,0} dynamic-slice(%p, %i, %zero), dynamic_slice_sizes={1,8}
}

%updated (q: f32[100,8], r: f32[1,8], j: s32[]) -> f32[100,8] {
  %q = f32[100,8]{1,0} parameter(0)
  %r = f32[1,8]{1,0} parameter(1)
  %j = s32[] parameter(2)
  %none = s32[] constant(0)
  ROOT %u = f32[100,8]{1,0} dynamic-update-slice(%q, %r, %j, %none)
}

ENTRY %main (a: f32[100,8], b: f32[1,8], k: s32[]) -> (f32[1,8], f32[100,8]) {
  %a = f32[100,8]{1,0} parameter(0)
  %b = f32[1,8]{1,0} parameter(1)
  %k = s32[] parameter(2)
  %one = f32[1,8]{1,0} fusion(%a, %k), kind=kLoop, calls=%sliced
  %two = f32[100,8]{1,0} fusion(%a, %b, %k), kind=kLoop, calls=%updated
  ROOT %both = (f32[1,8]{1,0}, f32[100,8]{1,0}) tuple(%one, %two)
}
"""


def test_a_slice_and_an_update_in_place_count_as_what_they_touch():
    hlo = gpu_thunks.Hlo(HLO)
    assert hlo.moved("one") == 32 + 32 + 4
    assert hlo.moved("two") == 32 + 32 + 4
    assert hlo.moved("both") == 2 * (32 + 3200)
    assert hlo.moved("not there") == 0
    assert gpu_thunks.size("(pred[3], bf16[2,2]{1,0}, f64[], s8[7])") == 3 + 8 + 8 + 7


@pytest.mark.parametrize("name", gpu_targets.TARGETS)
def test_a_target_says_what_it_is(name):
    text = gpu_targets.TARGETS[name].description
    assert text.count("{") == text.count("}")
    assert f'device_description_str: "{gpu_targets.TARGETS[name].name}"' in text


def test_without_the_plugin_the_way_out_is_told(monkeypatch):
    from jax.experimental import topologies

    def none(**_):
        raise RuntimeError("Unknown platform cuda")

    monkeypatch.setattr(topologies, "get_topology_desc", none)
    with pytest.raises(InputError, match=r"Unknown platform cuda.*gpu-check"):
        gpu_targets.sharding(gpu_targets.TARGETS["h200"])


@pytest.mark.parametrize(("grid", "ndim"), [("32", 2), ("16-3d", 3)])
def test_a_program_made_from_shapes_alone_is_the_one_that_a_run_calls(grid, ndim, monkeypatch):
    """So that what is compiled without a GPU is what runs on one."""

    class Called(Exception):
        pass

    def called(*arguments, space, many):
        raise Called(prebuilt.signature(arguments, space))

    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    solver = Solver("tr-bdf2", 1e-3, "float32")
    monkeypatch.setattr(advance, "on_a_cpu", called)
    with device.on("cpu"):
        (work,) = gpu_programs.run(gpu_programs.case_of(grid, "float32", here), 1)
        with pytest.raises(Called) as raised:
            bone.run(bone.problem(int(grid.removesuffix("-3d")), ndim, solver))
    assert raised.value.args[0] == prebuilt.signature(work.arguments, work.space)


def python_with_the_plugin() -> str | None:
    """This Python, or the one that RDSOLVER_GPU_CHECK names, if JAX compiles for CUDA there."""
    if find_spec("jax_plugins") and find_spec("jax_plugins.xla_cuda13"):
        return sys.executable
    return os.environ.get("RDSOLVER_GPU_CHECK")


# Bounds on what is compiled today for 128 x 128 cells, so that nothing makes it worse unseen.
LAUNCHES = {"Euler sweep": 3, "RKC2, 64 stages": 250, "stage": 350, "run, one step": 740}


@pytest.mark.slow
def test_programs_for_an_h200_keep_their_bounds(tmp_path):
    python = python_with_the_plugin()
    if python is None:
        pytest.skip(
            "no second Python: the extra gpu-check is not installed, and RDSOLVER_GPU_CHECK names none"
            " (make gpu-check makes one)"
        )
    words = ["--grid", "128", *(x for name in ("sweep", "rkc2", "stage", "run") for x in ("--program", name))]
    subprocess.run(
        [python, "-m", "benchmarks", "gpu-programs", *words, "--json", str(tmp_path / "rows.json")],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"},
        check=True,
    )
    rows = {r["program"]: r for r in json.loads((tmp_path / "rows.json").read_text())["results"]}
    launches = {name: rows[name]["launches"] for name in LAUNCHES}
    assert not {name: n for name, n in launches.items() if n > LAUNCHES[name]}
    assert all(row["host_waits"] == 0 for row in rows.values())
    assert rows["run, one step"]["graphs"] == 1  # whatever its steps
    assert all(row["scatters"] == 0 for row in rows.values())
    assert rows["Euler sweep"]["bytes"] < 1.2 * rows["Euler sweep"]["bytes_needed"]
