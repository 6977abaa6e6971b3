"""A table that a component declares in plain Python is read as strictly as tables of the config itself."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import ValidationError

from rdsolver.config import messages
from rdsolver.config.bare_numbers import bare_in
from rdsolver.config.component_tables import TABLES, read_as
from rdsolver.models.bone.component_table import ComponentTable, Key
from rdsolver.models.bone.components import NAMES, component


@dataclass(frozen=True)
class Nerves(ComponentTable):
    """[nerves]: fibres that release a peptide."""

    kind: Annotated[Literal["sensory", "sympathetic"], Key("The fibres.")] = "sensory"
    reach: Annotated[float, Key("How far it acts.", "um", above=0, most=1000)] = 50.0
    share: Annotated[float, Key("The share of the marrow.", least=0, most=1)] = 0.1
    at: Annotated[list[list[float]] | None, Key("Where they enter.", "um", least=0)] = None
    count: Annotated[int, Key("The number of fibres.", least=0, most=10)] = 0
    seed: Annotated[int, Key("Any whole number.")] = 1

    def faults(self, given: Collection[str]):
        if "count" in given and self.at:
            yield "count", "is given, and at too."


TABLE = read_as(Nerves)


def faults(**given) -> str:
    with pytest.raises(ValidationError) as caught:
        TABLE(**given)
    found = messages.faults(caught.value.errors(), lambda loc: dict.fromkeys(TABLE.model_fields, "?"))
    return messages.message("x.toml", found, ())


def test_quantities_are_read_into_the_unit_of_their_key_in_lists_too():
    found = TABLE(reach="0.2 mm", at=[["10 um", 2], ["1 mm", "0.5 mm"]], share="20 %", seed=-7).declared
    assert found == Nerves(reach=200.0, at=[[10.0, 2.0], [1000.0, 500.0]], share=0.2, seed=-7)
    assert TABLE().declared == Nerves()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"reach": 0}, "reach = 0 must be"),
        ({"reach": "2 mm"}, "reach = '2 mm' must be"),
        ({"reach": "2 d"}, "reach = '2 d'"),
        ({"at": [[1.0, -2.0]]}, "at.0.1 = -2.0 must be"),
        ({"share": 1.5}, "share = 1.5 must be"),
        ({"count": 11}, "count = 11: input should be less than or equal to 10"),
        ({"seed": "one"}, "seed = 'one': input should be a valid integer"),
        ({"count": 1.5}, "count = 1.5: input should be a valid integer"),
        ({"kind": "motor"}, "kind = 'motor' is not known. Allowed: 'sensory' or 'sympathetic'"),
        ({"colour": 1}, "colour"),
        ({"count": 1, "at": [[1.0, 2.0]]}, "count is given, and at too."),
    ],
)
def test_what_does_not_fit_is_refused_with_its_key(given, text):
    assert text in faults(**given).replace('"', "'")


def test_a_number_without_its_unit_is_warned_of():
    written = {"reach": 20, "share": 0.2, "at": [[1, "2 um"]]}
    assert [key for key, _ in bare_in(TABLE(**written), written)] == ["reach", "at"]


def test_descriptions_reach_editors():
    schema = TABLE.model_json_schema()
    assert schema["description"] == Nerves.__doc__
    assert schema["properties"]["kind"]["description"] == "The fibres."
    assert schema["properties"]["reach"]["unit"] == "um"


def test_every_component_that_declares_a_table_has_it_in_the_config():
    assert {"tumour"} == set(TABLES) == {name for name in NAMES if component(name).table}
    for name in TABLES:
        made = component(name).of_table(TABLES[name](nests=1).declared)
        assert isinstance(made, component(name))
