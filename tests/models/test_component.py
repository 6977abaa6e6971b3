"""Components: what each declares is what it gives, and what one does to a process is what was asked for."""

import re
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from rdsolver.errors import InputError
from rdsolver.geometry.tumour_seeding import Nests
from rdsolver.models.base import Parameter
from rdsolver.models.bone.component import PROCESSES
from rdsolver.models.bone.components import every
from rdsolver.models.bone.components.tumour import Tumour
from rdsolver.models.bone.extension import Extension
from rdsolver.models.bone.model import BoneModel
from rdsolver.models.bone.parameters import parameters
from tests.support.places import ROOT
from tests.support.problems import problem, square

pytestmark = pytest.mark.usefixtures("double")
EXAMPLE = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs" / "extend.md").read_text(), re.DOTALL | re.MULTILINE
)
INPUTS = {"time": 1.0, "bisphosphonate": 0.4}


def conditions(components, **changed):
    """A bone model with these, in a state where all of it has something to do."""
    model = BoneModel((), tuple(components))
    values = {
        row.name: row.default("human", "myeloma") for row in parameters(components=components)
    } | changed
    grid, rng = square(12), np.random.default_rng(1)
    active, bone = jnp.ones(grid.shape), jnp.asarray(np.indices(grid.shape)[0] < 5) * 0.9
    p = {name: jnp.asarray(value) for name, value in values.items()}
    place = model.prepare(grid, active, bone, values, model.blank_reference(active))
    u = {f.name: f.scale * jnp.asarray(rng.random(grid.shape)) for f in model.fields(values)} | {"bone": bone}
    place = replace(place, reference=model.reference(u, p, place))
    inputs = {name: jnp.asarray(INPUTS[name]) for name in ("time", *model.inputs)}
    return model.conditions(u, p, place, model.update_coefficients(u, p, place), inputs)


def rates(c):
    return c.model.reaction(c.u, c.p, c.place, c.geometry, c.inputs)


@pytest.mark.parametrize("part", every(), ids=lambda part: part.name)
def test_a_component_gives_what_it_declares(part):
    c = conditions([part])
    values = {row.name: row.value for row in parameters(components=[part])}
    assert tuple(f.name for f in part.fields(values)) == part.names
    assert {name for g in part.groups for name in g.fields} == {*part.names}
    assert {*part.effects} <= {*PROCESSES}
    assert {*part.fixed} <= {row.name for row in part.rows}
    assert {*part.moving} == {*part.diffusivity(c.p)} <= {*part.names}
    assert {*part.planted} <= {*part.names}
    assert {*part.kinetics(values)} == {*part.drugs}
    assert {*part.reaction(c)} >= {*part.names}
    part = replace(part, nests=Nests(count=1)) if isinstance(part, Tumour) else part
    host = part.host(problem().section, values, {})
    later = host.after(0.0, {"bone_volume_fraction": 0.3, "mean_pthrp": 0.0}, values) if host else {}
    assert [*later] == [s.name for s in part.followed]
    seen = c.model.observe(c.u, c.p, c.place, c.geometry, c.inputs)
    assert {o.name for o in part.observers} <= {*seen}
    assert {*seen} | {*later} == {s.name for s in c.model.series}
    assert {*part.flows(c)} <= {*c.model.budgets}


def test_what_acts_on_a_process_multiplies_it_and_adds_to_it():
    added = Parameter("more_opg", 0.3, "nM/d", "OPG", "", "A", 0.0, 9.0)
    acts = {
        "osteoclast_death": lambda u, p, at: (2.0, 0.0),
        "opg_production": lambda u, p, at: (1.0, p["more_opg"] * at["marrow"]),
    }
    part = Extension("more", lambda u, p, at: {}, parameters=(added,), acts_on=acts)
    c = conditions([part])
    plain, doubled = conditions([]), conditions([], osteoclast_death=2 * 0.16)
    got, want = rates(c), rates(doubled) | {"opg": rates(plain)["opg"] + 0.3 * plain.geometry.marrow}
    for name in got:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-12, atol=0, err_msg=name)
    half = conditions([part], extension=0.5)
    np.testing.assert_allclose(
        rates(half)["opg"], rates(plain)["opg"] + 0.15 * plain.geometry.marrow, rtol=1e-12
    )
    assert rates(conditions([part], extension=0.0))["osteoclasts"] == pytest.approx(
        rates(plain)["osteoclasts"]
    )


def test_two_components_act_on_one_process():
    """Factors multiply, whatever is added is added to the product."""
    first = Extension("one", lambda u, p, at: {}, healthy=True, acts_on={"formation": lambda *_: (2.0, 1.0)})
    second = Extension(
        "two", lambda u, p, at: {}, healthy=True, acts_on={"formation": lambda *_: (3.0, 10.0)}
    )
    c = conditions([first, second])
    assert float(c.process("formation", jnp.asarray(7.0))[0, 0]) == 7 * 6 + 11


def test_the_example_of_the_page_raises_formation():
    (text,) = (block for block in EXAMPLE if "ANABOLIC" in block)
    found: dict = {}
    exec(text, {"Parameter": Parameter, "Extension": Extension}, found)
    c = conditions([found["ANABOLIC"]])
    assert float(c.process("formation", jnp.asarray(2.0))[0, 0]) == 3.0


@pytest.mark.parametrize(
    ("acts_on", "message"),
    [
        (
            {"formations": abs},
            'acts_on names "formations", which is not a known process. Did you mean formation?',
        ),
        ({"formation": 2.0}, "must be a dictionary of functions of u, p and at"),
    ],
)
def test_what_is_no_process_is_refused(acts_on, message):
    with pytest.raises(InputError, match=re.escape(message)):
        problem(extension=Extension("more", lambda u, p, at: {}, acts_on=acts_on))


def test_where_a_tumour_begins_compiles_nothing_anew():
    first, second = (problem(tumour=Nests(count=n)).components for n in (1, 2))
    assert first == second
    assert hash(first) == hash(second)
    assert first[0].setup != second[0].setup
