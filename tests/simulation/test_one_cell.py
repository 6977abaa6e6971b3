"""One cell along an axis: a line is a model in 1D; a block one cell thick is a section of that thickness."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdsolver import load_config, simulate
from rdsolver.errors import InputError
from rdsolver.figures import profile
from rdsolver.figures.maps import map_size
from rdsolver.figures.overview import compose, overview
from rdsolver.figures.planes import slices_through
from rdsolver.geometry.grid import Grid
from rdsolver.geometry.section import Section
from rdsolver.geometry.trabeculae import trabecular
from rdsolver.models.base import Field
from rdsolver.models.pointwise import ReactionDiffusion
from rdsolver.parallel import device
from rdsolver.problem import ModelProblem
from rdsolver.simulation.bone_scenario import BoneScenario
from rdsolver.simulation.model_scenario import ModelScenario
from tests.support.problems import problem

DECAY = ReactionDiffusion(
    "decay", (Field("c", "nM", 1.0, "c"),), lambda u, p, at: {"c": -p["loss"] * u["c"]}, {"c": "D"}
)
LINE = """
model = "line.py:DECAY"
[section]
kind = "box"
size = ["5 um", "640 um"]
spacing = "5 um"
thickness = "5 um"
[time]
end = "2 d"
save = "1 d"
[solver]
integrator = "etdrk4"
precision = "float64"
tolerance = 1e-6
"""
MODEL = """
import numpy as np
from rdsolver.models.base import Field, Parameter
from rdsolver.models.pointwise import ReactionDiffusion
ROWS = (Parameter("loss", 0.1, "1/d", "loss", "", "A", 0, 9),
        Parameter("D", 1000.0, "um^2/d", "D", "", "A", 0, 1e4))
UNKNOWNS = (Field("c", "nM", 1.0, "c"),)
def rates(u, p, at): return {"c": -p["loss"] * u["c"]}
DECAY = ReactionDiffusion("decay", UNKNOWNS, rates, {"c": "D"}, parameters=ROWS,
                          initial=lambda where: {"c": 1 + np.cos(np.pi * where.x / 640)})
"""


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    folder = tmp_path_factory.mktemp("line")
    (folder / "line.py").write_text(MODEL)
    (folder / "line.toml").write_text(LINE)
    return folder / "line.toml"


def test_a_line_of_cells_runs_from_a_config_and_its_overview_shows_profiles(line, tmp_path):
    with simulate(line, allow_python=True) as run:
        x, decay = run.centres("x"), np.exp(-0.1 * 2)
        wave = np.exp(-1000 * (np.pi / 640) ** 2 * 2) * np.cos(np.pi * x / 640)
        np.testing.assert_allclose(run["c"][-1][0], decay * (1 + wave), atol=1e-4)
        assert profile.line(run) == "x"
        figure = compose(run)
        assert figure.axes[0].get_xlabel() == "x (µm)"
        assert min(map_size(slices_through(run, (0, 0)), 3)) > 0.3
        assert overview(run, tmp_path / "line.png").stat().st_size > 10_000


def test_a_stride_leaves_two_cells_where_there_are_as_many(line):
    def asked(**output):
        return (
            load_config(line, [f"output.{k}={v}" for k, v in output.items()], allow_python=True)
            .problem()
            .output
        )

    assert asked(stride=127).stride == 127
    assert asked(crop=[[0, 1], [4, 5]], stride=9).crop == ((0, 1), (4, 5))
    with pytest.raises(InputError, match=r"output\.stride = 128 leaves one cell of 128"):
        asked(stride=128)
    with pytest.raises(InputError, match=r"output\.stride = 9 leaves one cell of 8"):
        asked(crop=[[0, 1], [0, 8]], stride=9)


def test_cells_across_a_periodic_line_change_nothing():
    """The rates of a line are those of each row of cells that are the same: nothing passes between a cell and
    itself.
    """

    def rates(shape: tuple[int, ...]) -> np.ndarray:
        ndim = len(shape)
        grid = Grid(
            shape, (10.0,) * ndim, borders=("periodic",) * ndim, thickness=10.0 if ndim == 2 else None
        )
        start = np.broadcast_to(np.random.default_rng(1).random(12), shape)
        scenario = ModelScenario(ModelProblem(DECAY, grid, {"loss": 0.1, "D": 100.0}, {"c": start}, 1.0))
        return np.asarray(jax.jit(scenario.system.rates)(jnp.zeros(()), scenario.u)["c"]).reshape(-1, 12)[0]

    with device.on("cpu"):
        wide = rates((5, 12))
        for shape in ((1, 12), (1, 1, 12)):
            np.testing.assert_allclose(rates(shape), wide, rtol=1e-5, atol=1e-6)


def test_bone_one_cell_thick_is_a_section_of_that_thickness():
    flat = trabecular(Grid((24, 24), (20.0, 20.0), thickness=20.0), 0.3, 120.0, 1)
    block = Section(Grid((1, 24, 24), (20.0,) * 3), flat.bone[None], flat.active[None])
    noise = np.random.default_rng(1).random((24, 24))
    found = []
    with device.on("cpu"):
        for section in (flat, block):
            scenario = BoneScenario(problem(section=section, agents=("rank_fc",)), begin=False)
            u = scenario.model.initial(
                scenario.system.place.bone, scenario.system.place.active, scenario.problem.parameters
            )
            u = {k: x * (1 + 0.3 * noise.reshape(x.shape)) if k != "bone" else x for k, x in u.items()}
            rates, observed = jax.jit(lambda t, u, s=scenario.system: (s.rates(t, u), s.observe(t, u)))(
                jnp.zeros(()), u
            )
            found.append(({k: np.asarray(x).reshape(24, 24) for k, x in rates.items()}, observed))
    (two, of_two), (three, of_three) = found
    for name, rate in two.items():
        np.testing.assert_allclose(three[name], rate, rtol=1e-8, atol=1e-9 * np.abs(rate).max() + 1e-30)
    assert {k: float(x) for k, x in of_three.items()} == pytest.approx(
        {k: float(x) for k, x in of_two.items()}, rel=1e-9
    )
