"""Text with units becomes the number in the internal unit, and nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdsolver.errors import InputError
from rdsolver.models.bone.binders import LABELS, drug
from rdsolver.models.bone.parameters import parameters
from rdsolver.units import _EXAMPLES, _factor, quantity

ROWS = parameters(tuple(map(drug, LABELS)))


@pytest.mark.parametrize("unit", _EXAMPLES)
def test_text_in_the_unit_it_is_kept_in_is_what_pint_makes_of_it(unit):
    """Between brackets it is read by pint."""
    size, _ = _factor(unit)
    assert size > 0
    assert quantity(f"3 {unit}", unit, "key") == quantity(f"3 ({unit})", unit, "key") == 3.0


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("13 um^2/s", "um^2/d", 1123200.0),
        ("13um2/s", "um^2/d", 1123200.0),
        ("13 µm²/s", "um^2/d", 1123200.0),
        ("13 μm**2 s^-1", "um^2/d", 1123200.0),
        ("3 mg/kg", "mg/kg", 3.0),
        ("300 ug/kg", "mg/kg", 0.3),
        ("20 nM", "nM", 20.0),
        ("20 pM", "nM", 0.02),
        ("1 mm", "um", 1000.0),
        ("8h", "d", 1 / 3),
        ("8 h", "s", 28800.0),
        ("10.13 /d", "1/d", 10.13),
        ("1/(nM d)", "1/(nM d)", 1.0),
        ("864 1/(nM d)", "1/(nM d)", 864.0),
        ("1e7 /M/s", "1/(nM d)", 864.0),
        ("5 cells/mm^3", "1/mm^3", 5.0),
        ("168 mL/h/kg", "mL/(kg d)", 4032.0),
        ("110 kg/mol", "kDa", None),
        ("110000 g/mol", "kDa", 110.0),
        ("25 %", "1", 0.25),
        ("7", "mg/kg", 7.0),
        (7, "mg/kg", 7.0),
    ],
)
def test_a_quantity_is_read_into_the_internal_unit(text, unit, value):
    if value is None:
        with pytest.raises(InputError):
            quantity(text, unit, "key")
    else:
        assert quantity(text, unit, "key") == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_parameter_can_be_written_with_its_own_unit(row):
    unit = "" if row.unit == "1" else row.unit
    assert quantity(f"{row.value!r} {unit}", row.unit, row.name) == pytest.approx(row.value, rel=1e-14)


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        ("10 s", "um"),
        ("3 mg", "mg/kg"),
        ("3 %", "mg/kg"),
        ("3 mg/kg", "1"),
        ("3 mg/kg", "nM"),
        ("ten um", "um"),
        ("10 furlong", "um"),
        ("10,5 um", "um"),
        ("", "um"),
        ("um", "um"),
        ("nan", "um"),
        ("1e999 um", "um"),
        (float("inf"), "um"),
        (True, "um"),
        ([1], "um"),
        (None, "um"),
        ("2**99999", "um"),
        ("9^9^9^9 um", "um"),
        ("10 um^9^9", "um"),
        ("10 ((((um", "um"),
        ("__import__('os')", "um"),
        ("1 um" + "*um" * 10_000, "um"),
    ],
)
def test_anything_else_is_refused_with_key_value_and_way_out(value, unit):
    with pytest.raises(InputError) as caught:
        quantity(value, unit, "section.spacing")
    said = str(caught.value)
    assert said.startswith("section.spacing = ")
    assert str(value)[:10] in said
    assert "for example" in said
    assert len(said) < 300


@given(st.text(max_size=80))
def test_no_text_does_harm(text):
    try:
        assert isinstance(quantity(text, "um", "key"), float)
    except InputError as error:
        assert str(error).startswith("key ")  # noqa: PT017


@given(st.floats(1e-6, 1e6))
def test_a_number_and_its_text_are_the_same(x):
    assert quantity(f"{x!r} um", "um", "key") == pytest.approx(quantity(x, "um", "key"), rel=1e-14)
