"""Runs that step together are, bit for bit, what each is alone at that width.

The bone model, which takes a minute to compile at any width, is held to the same by `python -m benchmarks
batch`.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from rdsolver.errors import RunError
from rdsolver.geometry.grid import Grid
from rdsolver.models.base import Field
from rdsolver.models.pointwise import ReactionDiffusion
from rdsolver.output.reader import open_run
from rdsolver.parallel import device
from rdsolver.parallel.batching import Batch, Done, alone_in_batch, batched_call
from rdsolver.problem import Change, ModelProblem, Solver
from rdsolver.runs.run import resume, simulate
from rdsolver.simulation import program
from rdsolver.utils.signals import Stop

pytestmark = pytest.mark.long


def rates(u, p, at):
    broken = jnp.where((at["time"] > 1) & (p["breaks"] > 0), jnp.nan, 0)
    return {"a": p["growth"] * u["a"] * (1 - u["a"]) - u["a"] * u["b"] + broken, "b": u["a"] - u["b"]}


MODEL = ReactionDiffusion(
    "two", (Field("a", "1", 1.0, "a"), Field("b", "1", 1.0, "b")), rates, {"a": "diffusivity"}
)


def two(i, integrator="tr-bdf2", precision="float64", breaks=()):
    """An odd size; every member with other numbers, another start, an event on its way, another end."""
    values = {"growth": 2.0 + i / 3, "diffusivity": 0.5 + i % 2, "breaks": float(i in breaks)}
    start = np.random.default_rng(i).random((15, 13))
    changes = (Change("growth", 1.5, 1.2 + i / 9),)
    solver = Solver(integrator, 1e-4, precision)
    return ModelProblem(
        MODEL,
        Grid((15, 13), (1.0, 1.0), thickness=1.0),
        values,
        {"a": start},
        3.0 + i % 3,
        save=(0.0, 2.5),
        changes=changes,
        solver=solver,
    )


def results(p, batch):
    with batch.join():
        return read(p)


def read(p):
    with simulate(p) as run:
        return read_from(run)


def read_from(run):
    parts = {"series/": run.series, "state/": run.state, "": run}
    return {f"{kind}{name}": np.asarray(part[name]) for kind, part in parts.items() for name in part}


def together(problems, width):
    batch = Batch(width)
    with ThreadPoolExecutor(2 * width) as pool:
        return [pool.submit(results, p, batch) for p in problems], batch


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k], equal_nan=True) for k in a)


CASES = {
    "tr-bdf2": lambda i: two(i),
    "float32": lambda i: two(i, precision="float32"),
    "rkc2": lambda i: two(i, "rkc2"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_member_is_what_it_is_alone(case):
    problems = [CASES[case](i) for i in range(7)]
    found, batch = together(problems, 2)
    assert 1 <= batch.executed / batch.needed < 1.5
    for i in (0, len(problems) - 1):
        with alone_in_batch(2):
            assert same(found[i].result(), read(problems[i]))
    apart = simulate(problems[0])
    for name in apart:  # round-off, seen through the steps
        np.testing.assert_allclose(
            found[0].result()[name], apart[name][:], rtol=1e-3, atol=1e-6 * np.nanmax(np.abs(apart[name][:]))
        )


class Soon(Stop):
    """Asks for a stop when it has been asked so often itself, which is once a call."""

    def __init__(self, often):
        super().__init__()
        self.left = often

    @property
    def name(self):
        self.left -= 1
        return "SIGTERM" if self.left < 0 else ""


@pytest.mark.parametrize(("integrator", "asked"), [("tr-bdf2", 30), ("rkc2", 45)])
def test_a_member_that_was_stopped_goes_on_with_the_same_bits(tmp_path, monkeypatch, integrator, asked):
    """Its calls are of one attempt; those of the other of many."""
    p = two(1, integrator)
    with alone_in_batch(2):
        straight = read(p)
        with monkeypatch.context() as patch:
            patch.setattr(program, "CALL", 0.0)
            simulate(p, out=tmp_path, stop=Soon(asked)).close()
    with open_run(tmp_path / "run.h5") as run:
        assert (run.status, 1.4 < run.state["time"] < p.end) == ("stopped", True)  # after its event
    with alone_in_batch(2), resume(tmp_path, p) as run:
        assert same(read_from(run), straight)


def test_a_member_that_fails_harms_no_other():
    """One turns to NaN on the way."""
    found, _ = together([two(i, breaks=(1,)) for i in range(5)], 2)
    with pytest.raises(RunError, match="the step at 1"):
        found[1].result()
    alone = Batch(2)
    for i in (0, 2, 4):
        assert same(found[i].result(), results(two(i), alone))


def test_members_of_another_shape_wait_for_nobody_in_the_end():
    """A run of another size is of another program; all come to their end."""
    others = [
        two(0),
        replace(two(3), grid=Grid((9, 9), (1.0, 1.0), thickness=1.0), initial={"a": np.full((9, 9), 0.1)}),
        two(1),
    ]
    found, _ = together(others, 2)
    assert [f.exception() for f in found] == [None] * 3


class Counted:
    """A program that counts what each run wishes, one in a call, and keeps who sat together."""

    def __init__(self):
        self.together = []

    def __call__(self, shared, tree, wishes):
        here = [wish for wish in wishes if wish is not None]
        self.together.append({wish["name"] for wish in here})
        time.sleep(0.01)
        answers = []
        for wish in wishes:
            if wish is not None:
                wish["left"] -= 1
            leaves = wish is not None and wish["left"] == 0
            answers.append((lambda row, wish=wish: (wish["name"], float(row))) if leaves else None)
        return Done(tree + shared, tree + shared, answers, len(wishes), len(here), 0.01)


def test_a_run_keeps_its_seat_until_it_leaves_and_then_another_takes_it():
    """Of two seats; the long one sits beside three short ones in turn."""
    program, batch = Counted(), Batch(2)

    def go(name, calls):
        with device.on("cpu"), batch.join():
            return batched_call(program, np.float64(1), np.float64(0), {"name": name, "left": calls})

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(go, ("long", "a", "b", "c"), (12, 3, 3, 3)))
    assert sorted(found) == [("a", 3), ("b", 3), ("c", 3), ("long", 12)]
    assert all(len(names) <= 2 for names in program.together)
    for thread in (t for t in threading.enumerate() if t.name == "rdsolver deck"):
        thread.join(10)
    assert (batch.members, batch.calling, set(batch.decks.values())) == (0, 0, {0})
    assert batch.needed == 21


def test_a_program_that_fails_fails_for_those_on_its_seats():
    def program(shared, tree, wishes):
        raise ValueError("broken")

    batch = Batch(2)

    def go(_):
        with device.on("cpu"), batch.join(), pytest.raises(ValueError, match="broken"):
            batched_call(program, np.float64(1), np.float64(0), {})

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(go, range(3)))
    assert batch.calling == 0
