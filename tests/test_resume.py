"""A run that is stopped anywhere and goes on gives the same bits as one that was not."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from problems import Dose, problem, square
from test_tumour import ill

from rdsolver.domain.grid import Grid
from rdsolver.models.base import Field, Parameter
from rdsolver.models.bone.pharmacokinetics import Treatment
from rdsolver.models.pointwise import ReactionDiffusion
from rdsolver.output.reader import open_run
from rdsolver.problem import Change, ModelProblem
from rdsolver.run import resume, simulate
from rdsolver.stopping import Stop

GROUPS = ("", "series", "state", "reference")
TOLD = ("status", "message", "budgets", "steps", "rejected")


class After(Stop):
    """Asks for a stop when it was asked so often: between two stages of some step."""

    def __init__(self, asked: int) -> None:
        super().__init__()
        self.left = asked

    @property
    def name(self) -> str:
        self.left -= 1
        return "" if self.left >= 0 else "a test"


def contents(path: Path) -> dict[str, bytes]:
    """Every array of a run file, and the attributes of its last state."""
    with h5py.File(path) as file:
        nodes = {f"{g}/{k}": n[()].tobytes() for g in GROUPS for k, n in (file[g or "/"]).items() if isinstance(n, h5py.Dataset)}
        return nodes | {f"state@{k}": np.asarray(v).tobytes() for k, v in file["state"].attrs.items()}


def same(one: Path, other: Path) -> None:
    a, b = contents(one), contents(other)
    assert a.keys() == b.keys()
    assert [k for k in a if a[k] != b[k]] == []
    with open_run(one) as x, open_run(other) as y:
        assert x.summary == y.summary
        assert (x.status, x.message) == (y.status, y.message) == ("finished", "")
        assert x.provenance.get("doses") == y.provenance.get("doses")


def treated(**rest):
    """Doses, one at a time that is saved, and a parameter changed for a while."""
    doses = (Dose("fc_opg", 3.0, "sc", 0.0), Dose("fc_opg", 3.0, "sc", 2.0), Dose("fc_opg", 1.0, "iv", 3.5))
    changes = (Change("rankl_production", 2.0, 1.0, 3.0),)
    return problem(square(24), agents=("fc_opg",), doses=doses, changes=changes, end=5.0, save=(0.0, 0.7, 2.0, 5.0), **rest)


def waiting():
    """A tumour, and a treatment that begins when its lesion is large enough."""
    doses = tuple(Dose("fc_opg", 3.0, "sc", t) for t in (0.0, 3.0))
    return ill(end=60.0, precision="float32", agents=("fc_opg",), treatments=(Treatment(0.002, doses),), save=(0.0, 31.0, 60.0))


def own():
    """A whole model of one's own."""

    def rates(u, p, at):
        return {"a": p["growth"] * u["a"] * (1 - u["a"]) - u["a"] * u["b"], "b": u["a"] - u["b"]}

    rows = tuple(Parameter(k, v, "1", "", "", "A", 0.0, 9.0) for k, v in {"growth": 2.0, "diffusivity": 0.5}.items())
    model = ReactionDiffusion("own", (Field("a", "1", 1.0, "a"), Field("b", "1", 1.0, "b")), rates, {"a": "diffusivity"}, parameters=rows)
    start = np.random.default_rng(1).random((16, 16))
    values = {p.name: p.value for p in rows}
    return ModelProblem(model, Grid((16, 16), (1.0, 1.0), thickness=1.0), values, {"a": start}, 6.0, save=(0.0, 2.5, 6.0))


CASES = {
    "tr-bdf2": lambda: treated(precision="float64"),
    "float32": lambda: treated(precision="float32"),
    "rkc2": lambda: replace(treated(precision="float64", integrator="rkc2"), end=1.5, save=(0.3, 1.5)),
    "waiting": waiting,
    "own": own,
}


@pytest.mark.parametrize("case", CASES)
def test_stopped_and_resumed_is_uninterrupted_bit_for_bit(case, tmp_path):
    p = CASES[case]()
    simulate(p, out=tmp_path / "straight").close()
    straight, often = tmp_path / "straight" / "run.h5", tmp_path / "often" / "run.h5"
    stops, status = 0, ""
    with simulate(p, out=often.parent, stop=After(1)) as run:
        assert run.status == "stopped"
    while status != "finished":
        stops += 1
        with resume(often, p, stop=After(23 + 10 * stops)) as run:
            status = run.status
    assert stops >= 3
    same(straight, often)
    assert {x.name for x in often.parent.iterdir()} == {"run.h5"}
