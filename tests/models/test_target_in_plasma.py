"""Target-mediated kinetics in plasma: against the model that resolves binding, and against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from rdsolver.models.bone.binders import drug
from rdsolver.models.bone.pharmacokinetics import Dose, Plasma, curve
from rdsolver.models.bone.plasma_rates import Pharmacokinetics
from tests.support.problems import values

VALUES = values((drug("denosumab"),))
KINETICS = Pharmacokinetics.of("denosumab", VALUES)
DOSE = Dose("denosumab", 1.0, "sc", 0.0)


def test_free_drug_and_what_the_target_binds_are_all_drug():
    k = KINETICS
    for whole, beyond in ((1e-3, 0.0), (1.0, -3.0), (300.0, -15.0), (1e5, 2.0)):
        y = [0.0, whole * k.molar_mass * k.central_volume, 0.0, 0.0, beyond]
        free = k.free(y) / k.molar_mass
        bound = (k.target + beyond) * free / (k.target_constant + free)
        assert free + bound == pytest.approx(whole, rel=1e-12)
        assert 0 < free <= whole


def test_without_a_target_all_drug_is_free():
    k = replace(KINETICS, target=0.0)
    y = np.array([0.0, 5e4, 0.0, 0.0, 0.0])
    assert k.free(y) == pytest.approx(5e4 / k.central_volume)
    assert k.slope(y) == pytest.approx(k.rates(y)[1] / k.central_volume)
    assert k.rates(y)[4] == 0


def test_plasma_without_drug_keeps_its_target():
    assert KINETICS.rates([0.0] * 5) == [0.0] * 5


def test_the_slope_of_free_drug_is_that_of_the_curve():
    plasma = Plasma("denosumab", VALUES)
    plasma.give(DOSE)
    times = np.linspace(0.0, 150.0, 1501)
    _, found, slopes = plasma.advance(0.0, 150.0, times)
    between = np.gradient(found, times)
    late = times > 3.0
    np.testing.assert_allclose(slopes[late][:-1], between[late][:-1], rtol=2e-3, atol=2e-3)


def test_it_is_the_limit_of_fast_binding():
    """The model with association and dissociation, Kss = (koff + kint)/kon, as binding becomes fast."""
    k, kon = KINETICS, 500.0  # 1/(nM d)
    koff = kon * k.target_constant - k.complex_loss
    litres = k.central_volume * k.molar_mass  # ng/kg in a nM

    def rates(_, y):
        depot, free, aside, target, bound = y
        binds = kon * free * target - koff * bound
        passes = k.peripheral_clearance_1 * k.molar_mass * (free - aside)
        return [
            -k.absorption * depot,
            (k.bioavailability * k.absorption * depot - k.clearance * k.molar_mass * free - passes) / litres
            - binds,
            passes / (k.peripheral_volume_1 * k.molar_mass),
            k.target_loss * (k.target - target) - binds,
            binds - k.complex_loss * bound,
        ]

    times = np.array([2.0, 10.0, 30.0, 60.0, 90.0, 120.0])
    start = [DOSE.amount * 1e6, 0.0, 0.0, k.target, 0.0]
    full = solve_ivp(rates, (0.0, 120.0), start, method="LSODA", t_eval=times, rtol=1e-9, atol=1e-9)
    found = curve("denosumab", VALUES, (DOSE,), times) / k.molar_mass
    np.testing.assert_allclose(found, full.y[1], rtol=0.01)


def test_every_molecule_is_eliminated_once():
    """What is cleared, free and with the target, is in the end what was given."""
    k = KINETICS

    def rates(_, y):
        free = k.free(y)
        bound = (k.target + y[4]) * free / (k.target_constant * k.molar_mass + free)
        cleared = k.clearance * free + k.complex_loss * bound * k.molar_mass * k.central_volume
        return [*k.rates(y[:5]), cleared]

    found = solve_ivp(
        rates, (0.0, 400.0), [0.0, 1e6, 0.0, 0.0, 0.0, 0.0], method="LSODA", rtol=1e-9, atol=1e-6
    )
    assert found.y[5, -1] == pytest.approx(1e6, rel=1e-6)
