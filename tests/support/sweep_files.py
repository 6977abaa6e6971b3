"""Sweep files for tests, over bone and over a model of one's own that fails where it is told to."""

from pathlib import Path

from typer.testing import CliRunner, Result

from rdsolver.cli.main import app
from rdsolver.sweep.design import Design, load

BONE = """
title = "bone"
[section]
kind = "trabecular"
size = ["320 um", "320 um"]
spacing = "20 um"
thickness = "10 um"
trabecular_thickness = "80 um"
[[dose]]
agent = "rank_fc"
amount = "3 mg/kg"
at = "1 d"
[time]
end = "3 d"
save = "1 d"
"""

MODEL = """
import os
from rdsolver.models.base import Field, Parameter
from rdsolver.models.pointwise import ReactionDiffusion

def rates(u, p, at):
    return {"a": p["growth"] * u["a"] * (1 - u["a"])}

def initial(where):
    seed = where.random.bit_generator.seed_seq.entropy
    if seed == 13:
        os._exit(7)
    if seed == 14:
        raise ValueError("an unlucky start")
    return {"a": 0.01 + 0.1 * where.random.random(where.x.shape)}

ROWS = (Parameter("growth", 2.0, "1/d", "growth", "", "A", 0.0, 9.0),
        Parameter("spread", 5.0, "um^2/d", "spread", "", "A", 0.0, 99.0))
UNKNOWNS = (Field("a", "1", 1.0, "density"),)
MODEL = ReactionDiffusion("colony", UNKNOWNS, rates, {"a": "spread"}, parameters=ROWS, initial=initial)
"""

OWN = """
title = "own"
model = "model.py:MODEL"
[section]
kind = "box"
size = ["16 um", "16 um"]
spacing = "1 um"
thickness = "1 um"
[time]
end = "8 d"
save = "2 d"
[solver]
integrator = "tr-bdf2"
tolerance = 1e-4
precision = "float64"
"""


def write_bases(path: Path) -> None:
    for name, text in (("bone.toml", BONE), ("own.toml", OWN), ("model.py", MODEL)):
        (path / name).write_text(text)


def made(text: str, *overrides: str, base: str = "bone.toml", allow: bool = True) -> Design:
    """Of a file that is written into the current folder."""
    Path("sweep.toml").write_text(f'base = "{base}"\n{text}')
    return load("sweep.toml", overrides, allow)


def sweep(*words: object) -> Result:
    return CliRunner().invoke(
        app, ["sweep", *map(str, words), *(["--allow-python"] if "status" not in words else [])]
    )
