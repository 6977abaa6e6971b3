"""What a Python caller hands over is checked as a config is: refused with what is allowed, or taken as it is
meant, and never dropped.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from rdsolver import load_config, open_run, open_sweep, resume, simulate
from rdsolver.config.build import given_section
from rdsolver.errors import InputError
from rdsolver.geometry.boundary_conditions import Border
from rdsolver.geometry.grid import Grid
from rdsolver.geometry.section import Section, slab
from rdsolver.geometry.tumour_seeding import Nests
from rdsolver.models.base import Field, Parameter
from rdsolver.models.bone.binders import Binder
from rdsolver.models.bone.components.membrane_rankl import MembraneRankl
from rdsolver.models.bone.components.tumour import Tumour
from rdsolver.models.bone.extension import Extension
from rdsolver.models.bone.pharmacokinetics import Dose, Treatment
from rdsolver.models.pointwise import ReactionDiffusion
from rdsolver.problem import ModelProblem, Output, Solver
from rdsolver.problem.changes import Change
from tests.support.problems import problem, square

K = Parameter("k", 1.0, "1/d", "loss", "", "A", 0.1, 9.0, maximum=50.0)
D = Parameter("D", 1.0, "um^2/d", "diffusivity", "", "A", 0.1, 9.0)
BONE = slab(square(8))
MASK = np.eye(8) > 0


def model(name="u", **more):
    given = {"rates": lambda u, p, at: {name: -u[name]}, "moves": {name: "D"}} | more
    return ReactionDiffusion("mine", given.pop("unknowns", (Field(name, "nM", 1.0, name),)), **given)


def own(of=None, **more):
    of = model() if of is None else of
    return ModelProblem(
        of, **({"grid": square(8), "parameters": {"D": 1.0}, "initial": {}, "end": 1.0} | more)
    )


declared = partial(own, model(parameters=(K, D)))
bone = partial(problem, section=BONE, agents=("rank_fc",))


def dose(**more):
    return Dose(**({"agent": "rank_fc", "amount": 1.0, "route": "sc", "time": 1.0} | more))


def border(**more):
    return Border(**({"field": "u", "kind": "value", "axis": "x", "side": "low", "value": 1.0} | more))


REFUSED = {
    "grid of one axis": (lambda: Grid((8,), (1.0,)), "grid.shape = [8] has 1 axes, and a grid has 2 or 3"),
    "grid of no cells": (
        lambda: Grid((0, 8), (1.0, 1.0), thickness=1.0),
        "grid.shape.0 = 0 must be at least 1",
    ),
    "cells that are a float": (
        lambda: Grid((8.0, 8), (1.0, 1.0), thickness=1.0),
        "grid.shape.0 = 8.0 is not a whole number",
    ),
    "cells that are a bool": (
        lambda: Grid((True, 8), (1.0, 1.0), thickness=1.0),
        "grid.shape.0 = true is not a whole number",
    ),
    "one spacing for all": (
        lambda: Grid((8, 8), 1.0, thickness=1.0),
        "grid.spacing = 1.0 is not a list. Give an edge for each axis",
    ),
    "spacings of another number": (
        lambda: Grid((8, 8), (1.0,), thickness=1.0),
        "grid.spacing has 1 entries, and the grid 2 axes",
    ),
    "spacing below 0": (
        lambda: Grid((8, 8), (1.0, -1.0), thickness=1.0),
        "grid.spacing.1 = -1.0 must be above 0",
    ),
    "spacing NaN": (lambda: Grid((8, 8), (1.0, np.nan), thickness=1.0), "grid.spacing.1 = nan is not finite"),
    "spacing with a unit": (
        lambda: Grid((8, 8), ("1 um", "1 um"), thickness=1.0),
        'grid.spacing.0 = "1 um" is not a number. Give a number, taken in um',
    ),
    "no thickness": (lambda: Grid((8, 8), (1.0, 1.0)), "grid.thickness is missing"),
    "thickness of a block": (
        lambda: Grid((8, 8, 8), (1.0,) * 3, thickness=1.0),
        "grid.thickness is 1.0, and a 3D grid has none",
    ),
    "unknown borders": (
        lambda: Grid((8, 8), (1.0, 1.0), borders=("open", "open"), thickness=1.0),
        "Allowed: 'no-flux', 'periodic'",
    ),
    "borders in one word": (
        lambda: Grid((8, 8), (1.0, 1.0), borders="periodic", thickness=1.0),
        'grid.borders = "periodic" is not a list',
    ),
    "bone of text": (
        lambda: Section(square(8), np.full((8, 8), "a"), np.ones((8, 8), bool)),
        "the bone array holds <U1",
    ),
    "field of view of numbers": (
        lambda: Section(square(8), BONE.bone, np.ones((8, 8))),
        "the field of view holds float64",
    ),
    "bone NaN": (
        lambda: Section(square(8), BONE.bone * np.nan, BONE.active),
        "bone fractions must be finite",
    ),
    "a field named time": (lambda: own(model("time")), 'mine.unknowns hold "time", which is taken'),
    "a field named state": (lambda: own(model("state")), 'mine.unknowns hold "state", which is taken'),
    "a field named section": (lambda: own(model("section")), "which is taken"),
    "a field named a/b": (lambda: own(model("a/b")), 'hold "a/b", which is not a name'),
    "a field twice": (
        lambda: own(model(unknowns=(Field("u", "1", 1.0, "u"),) * 2)),
        "which appears twice",
    ),
    "a scale of 0": (lambda: own(model(unknowns=(Field("u", "1", 0.0, "u"),))), "give u the scale 0.0"),
    "no unit": (
        lambda: own(model(unknowns=(Field("u", None, 1.0, "u"),))),
        "give u the unit None. It must be text.",
    ),
    "a field for a tuple": (
        lambda: own(model(unknowns=Field("u", "1", 1.0, "u"))),
        "must be a tuple of Field",
    ),
    "moves of no field": (
        lambda: own(model(moves={"w": "D"})),
        'mine.moves names "w", which is not a known field',
    ),
    "no model": (lambda: own(3), "model = 3 is of type int, and a ReactionDiffusion belongs here"),
    "no grid": (lambda: own(grid=(8, 8)), "and a Grid belongs here"),
    "no parameter": (lambda: own(parameters={}), "mine: there is no value for D"),
    "parameters in a list": (lambda: own(parameters=[1.0]), "parameters = [1.0] is not a dictionary"),
    "a parameter with a unit": (
        lambda: own(parameters={"D": "1 um^2/d"}),
        'parameters.D = "1 um^2/d" is not a number',
    ),
    "a parameter NaN": (lambda: own(parameters={"D": np.nan}), "parameters.D = nan is not finite"),
    "a parameter unknown": (
        lambda: declared(parameters={"k": 1.0, "D": 1.0, "kk": 1.0}),
        "parameters.kk is not a known parameter",
    ),
    "a parameter out of bounds": (
        lambda: declared(parameters={"k": 99.0, "D": 1.0}),
        "parameters.k = 99.0 is too large",
    ),
    "initial of no field": (lambda: own(initial={"w": 1.0}), "holds w, which is not one of its fields"),
    "initial of another shape": (
        lambda: own(initial={"u": np.ones((4, 4))}),
        "Give a number, or an array of shape (8, 8)",
    ),
    "initial that would be broadcast": (
        lambda: own(initial={"u": np.ones(8)}),
        "u is an array of shape (8,)",
    ),
    "initial NaN": (lambda: own(initial={"u": np.nan}), "not finite"),
    "initial below 0": (lambda: own(initial={"u": -1.0}), "a density is at least 0"),
    "initial complex": (lambda: own(initial={"u": 1j}), "Give a number"),
    "a mask of numbers": (
        lambda: own(active=np.ones((8, 8))),
        "active holds float64, and a mask holds True and False",
    ),
    "a mask of another shape": (
        lambda: own(active=np.ones((4, 8), bool)),
        "active has shape (4, 8), the grid (8, 8)",
    ),
    "a mask of nothing": (lambda: own(active=np.zeros((8, 8), bool)), "active holds no cell"),
    "a medium below 0": (
        lambda: own(medium=np.full((8, 8), -1.0)),
        "medium falls to -1, and must be at least 0",
    ),
    "a medium NaN": (lambda: own(medium=np.full((8, 8), np.nan)), "medium is not finite in 64 of 64 cells"),
    "an array named time": (
        lambda: own(arrays={"time": np.ones((8, 8))}),
        'arrays holds "time", which is taken',
    ),
    "an array of text": (
        lambda: own(arrays={"a": np.full((8, 8), "a")}),
        "arrays.a holds <U1, but numbers are needed",
    ),
    "a save after the end": (lambda: own(save=(0.0, 2.0)), "save holds 2 d, after the end of the run (1 d)"),
    "a save before 0": (lambda: own(save=(-1.0, 1.0)), "save.0 = -1.0 must be at least 0"),
    "a save NaN": (lambda: own(save=(np.nan,)), "save.0 = nan is not finite"),
    "a save of one number": (lambda: own(save=0.5), "save = 0.5 is not a list"),
    "no end": (lambda: own(end=0), "end = 0.0 must be above 0"),
    "an end NaN": (lambda: own(end=np.nan), "end = nan is not finite"),
    "an end with a unit": (lambda: own(end="1 d"), 'end = "1 d" is not a number. Give a number, taken in d.'),
    "a title of another type": (lambda: own(title=3), "title = 3 is not text"),
    "a change of nothing": (
        lambda: own(changes=(Change("kk", 2.0, 0.0),)),
        'changes.0.parameter = "kk" is not a known parameter',
    ),
    "a change at the end": (
        lambda: own(changes=(Change("D", 2.0, 1.0),)),
        "changes.0.start puts the change at 1 d, when the run is over",
    ),
    "a change out of bounds": (
        lambda: declared(parameters={"k": 9.0, "D": 1.0}, changes=(Change("k", 9.0, 0.0),)),
        "changes.0.factor = 9 makes k 81",
    ),
    "a change that is no Change": (lambda: own(changes=("D",)), "and a Change belongs here"),
    "a negative factor": (lambda: Change("D", -1.0, 0.0), "change of D: factor = -1.0 must be at least 0"),
    "a change that ends before": (lambda: Change("D", 1.0, 2.0, 1.0), "end = 1 d is before start = 2 d"),
    "a border of what stays": (
        lambda: own(borders=(border(field="w"),)),
        'borders.0.field = "w" is not a known field that diffuses',
    ),
    "a border on no side": (lambda: own(borders=(border(axis="z"),)), "axis 'z'"),
    "a border of no kind": (lambda: border(kind="open"), 'kind = "open" is not known'),
    "a border with more": (lambda: border(flux=1.0), 'flux has no effect where kind = "value"'),
    "a border of two places": (lambda: border(mask=MASK), "a side and a mask are given"),
    "a border below 0": (
        lambda: own(borders=(border(value=-1.0),)),
        "borders.0.value = -1.0 must be at least 0",
    ),
    "a border twice": (lambda: own(borders=(border(), border())), "has a condition on u already"),
    "a border of another shape": (
        lambda: own(borders=(border(value=np.ones(3)),)),
        "value has shape (3,), the grid (8, 8)",
    ),
    "an integrator": (
        lambda: Solver(integrator="euler"),
        "Allowed: 'auto', 'tr-bdf2', 'rkc2', 'etdrk2', 'etdrk4'.",
    ),
    "a tolerance NaN": (lambda: Solver(tolerance=np.nan), "solver.tolerance = nan is not finite"),
    "a precision": (lambda: Solver(precision="half"), "Allowed: 'float32', 'float64'"),
    "a device": (lambda: Solver(device=3), "solver.device = 3 is not text"),
    "no steps": (lambda: Solver(max_steps=0), "solver.max_steps = 0 must be at least 1"),
    "fields in one text": (lambda: Output("u"), 'output.fields = "u" is not a list'),
    "a field not there": (
        lambda: own(output=Output(("v",))),
        'output.fields holds "v", which is not a known field',
    ),
    "a stride of a float": (lambda: Output(stride=1.5), "output.stride = 1.5 is not a whole number"),
    "a stride too wide": (lambda: own(output=Output(stride=8)), "output.stride = 8 leaves one cell of 8"),
    "a crop off the grid": (
        lambda: own(output=Output(crop=((0, 9), (0, 8)))),
        "does not fit the grid of 8 x 8 cells",
    ),
    "an amount below 0": (lambda: dose(amount=-1.0), "dose of rank_fc: amount = -1.0 must be at least 0"),
    "a route": (lambda: dose(route="oral"), "Allowed: 'sc', 'iv'"),
    "a dose before 0": (lambda: dose(time=-1.0), "time = -1.0 must be at least 0"),
    "a dose of another drug": (
        lambda: bone(doses=(dose(agent="fc_opg"),)),
        'doses.0.agent = "fc_opg" is not a known drug of this run',
    ),
    "a dose at the end": (
        lambda: bone(doses=(dose(time=10.0),)),
        "doses.0.time puts the dose at 10 d, when the run is over",
    ),
    "a treatment of nothing": (lambda: Treatment(0.1, ()), "it has no dose"),
    "nests of a float": (lambda: Nests(count=1.5), "tumour.nests = 1.5 is not a whole number"),
    "a tumour nowhere": (lambda: Nests(), "it has no starting place"),
    "a density above 1": (
        lambda: Nests(count=1, density=2.0),
        "tumour.density = 2.0 must be above 0 and at most 1",
    ),
    "no bone parameters": (lambda: replace(bone(), parameters={}), "there is no value for"),
    "a bone parameter unknown": (lambda: bone(changed={"rankl_los": 1.0}), "Did you mean rankl_loss?"),
    "a bone parameter below 0": (
        lambda: bone(changed={"rankl_loss": -1.0}),
        "parameters.rankl_loss = -1.0 is too small",
    ),
    "koff": (
        lambda: bone(changed={"opg_K_eff": 1e-6}),
        "parameters.opg_K_eff gives a dissociation rate that is not positive",
    ),
    "koff after a change": (
        lambda: bone(changes=(Change("rankl_loss", 60.0, 1.0),)),
        "changes.0.factor = 60: gives a dissociation",
    ),
    "a parameter that cannot change": (
        lambda: bone(changes=(Change("smoothing_length", 2.0, 1.0),)),
        "cannot change in time",
    ),
    "a tissue": (lambda: bone(tissue="heart"), 'tissue = "heart" is not a known tissue. Allowed: bone'),
    "drugs by their names": (lambda: replace(bone(), agents=("rank_fc",)), "and a Binder belongs here"),
    "an array for a section": (
        lambda: replace(bone(), section=np.ones((8, 8))),
        "section = an array of shape (8, 8), float64 is of type",
    ),
    "an extension with a name of bone's": (
        lambda: bone(
            extension=Extension("more", lambda u, p, at: {"bone": 0.0}, (Field("bone", "1", 1.0, "x"),))
        ),
        'more.unknowns hold "bone", which is taken',
    ),
    "a drug in an extension": (
        lambda: bone(
            extension=Extension("more", lambda u, p, at: {}, binders=(Binder("mine", "fc_opg", "mine"),))
        ),
        "hold mine with drug=True",
    ),
    "no component": (lambda: replace(bone(), components=(1,)), "components.0 = 1 is of type int"),
    "a component twice": (
        lambda: replace(bone(), components=(MembraneRankl(), MembraneRankl())),
        'components.1 is "membrane_rankl", which is there already',
    ),
    "a component of bone beyond it": (
        lambda: replace(bone(), tissue="artery", components=(Tumour(Nests(count=1)),)),
        'components.0 = "tumour" belongs to bone, and the tissue of this run is "artery"',
    ),
    "an array of no name": (lambda: own(arrays={"a b": 1.0}), 'arrays holds "a b", which is not a name'),
    "a ragged section": (
        lambda: given_section([[1, 2], [3]], None, False),
        "is not an array. Give bone fractions",
    ),
    "simulate what is none": (lambda: simulate(3), "simulate: config = 3 is of type int"),
    "simulate a typo": (lambda: simulate("non.toml"), "there is no such file"),
    "no walltime": (lambda: simulate(own(), walltime=-1), "walltime = -1.0 must be above 0"),
    "a precision of simulate": (
        lambda: simulate(own(), precision="half"),
        'solver.precision = "half" is not known',
    ),
    "overrides in one text": (
        lambda: load_config("non.toml", "section.seed=2"),
        "is not a list. Give a list of changes",
    ),
    "a path of a number": (lambda: load_config(3), "3 is of type int, and a path belongs here"),
    "open a number": (lambda: open_run(3), "and a path belongs here"),
    "open no sweep": (lambda: open_sweep(None), "and a path belongs here"),
    "resume a number": (lambda: resume(3), "and a path belongs here"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_honoured_is_refused_with_what_is_allowed(case):
    make, said = REFUSED[case]
    with pytest.raises(InputError) as caught:
        make()
    assert said in str(caught.value)


def test_saved_times_are_sorted_each_once_as_a_configs_list_is():
    assert own(save=(1.0, 0.5, 0.0, 0.5)).save == (0.0, 0.5, 1.0)
    assert own(save=np.linspace(0, 1, 3)).save == (0.0, 0.5, 1.0)
    assert own(save=[1]).save == (1.0,)
    assert bone(save=(10.0, 0.0)).save == (0.0, 10.0)


def test_numpys_numbers_and_lists_are_plain_ones():
    grid = Grid([np.int64(8), 8], np.array([1.0, 2.0]), thickness=np.float32(1))
    assert repr(grid) == repr(Grid((8, 8), (1.0, 2.0), thickness=1.0))
    p = own(
        parameters={"D": np.float64(2)},
        end=np.int64(3),
        initial={"u": [[1] * 8] * 8},
        active=MASK.tolist(),
        changes=[Change("D", 2, 0)],
    )
    assert (repr(p.parameters), repr(p.end), p.changes) == ("{'D': 2.0}", "3.0", (Change("D", 2.0, 0.0),))
    assert p.mask.dtype == bool
    assert Section(square(8), BONE.bone.astype(int).tolist(), BONE.active.tolist()).bone.dtype == np.float64
    assert repr(dose(amount=np.float32(3), time=1)) == repr(dose(amount=3.0, time=1.0))
    assert own(borders=[border(value=np.float32(2))], output=Output(["u"], np.int32(2))).output.stride == 2
    assert own(arrays={"a": 2.0, "b": np.ones((8, 8), int)}).arrays["a"] == 2.0
