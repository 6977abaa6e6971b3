"""The one list of integrators, and who reads it."""

from itertools import combinations

import jax
import pytest

from rdsolver.config.json_schema import schema
from rdsolver.errors import InputError
from rdsolver.problem import Solver
from rdsolver.timestepping.registry import GENERAL, INTEGRATORS, NAMES, exponential


@pytest.mark.parametrize("name", INTEGRATORS)
def test_an_entry_is_the_integrator_that_it_names(name):
    found = INTEGRATORS[name].load()
    assert found.name == name
    assert 0 < found.error_order <= found.order
    assert str(found.order) in INTEGRATORS[name].what
    assert INTEGRATORS[name].load() is not found  # what one keeps between steps is its own


def test_no_program_is_taken_for_that_of_another_integrator():
    """JAX compares the static fields of two dataclasses, not their classes."""
    trees = [jax.tree.structure(entry.load()) for entry in INTEGRATORS.values()]
    assert all(a != b for a, b in combinations(trees, 2))


def test_config_and_problem_take_what_is_listed_and_nothing_else():
    assert schema()["$defs"]["SolverTable"]["properties"]["integrator"]["enum"] == list(NAMES)
    assert [Solver(name).integrator for name in NAMES] == list(NAMES)
    with pytest.raises(InputError, match="Allowed: 'auto', 'tr-bdf2'"):
        Solver("euler")


def test_a_bone_section_is_left_to_the_general_ones():
    assert set(GENERAL) == {name for name in INTEGRATORS if not exponential(name)}
    assert not exponential("auto")
