"""Serum calcium, computed from the calcium that bone releases.

    V_c dCa/dt = A0 + Ca_b V_T (-d<b>/dt)/<T>_0
                 - g_r [F_g Ca - T_m (1 + alpha Hm/(K_H + Hm)) Ca/(K_m + Ca)]+

Ca is in mmol/L, and Hm is the mean of PTHrP. What the section loses for each volume of tumour planted in it,
the patient loses for the tumour load V_T, so that the answer does not depend on how much healthy bone at rest
the section holds. Healthy bone that a drug or a disease moves counts as if it belonged to the tumour. The
bracket is the excretion by the kidneys: filtration less reabsorption. A net release of 0, 10, 20 and 30
mmol/d gives 2.40, 2.76, 3.09 and 3.40 mmol/L. When bone takes up calcium, the uptake falls with Ca below its
healthy level, because bone cannot take calcium that is not there. Numbers: Peterson & Riggs 2010, Bone 46:49,
as in OpenBoneMin. Serum calcium does not act on the tissue, so it is followed on the host, step by step.

This is a proxy without endogenous PTH or calcitriol, so hypocalcaemia cannot be inferred from it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

GRADES = (("mild", 2.6), ("moderate", 3.0), ("severe", 3.5))
"""The grades of hypercalcaemia, each with the serum calcium (mmol/L) from which it begins."""


def excreted(calcium: float, pthrp: float, p: Mapping[str, float]) -> float:
    """Excretion of calcium by the kidneys, mmol/d."""
    raised = 1 + p["calcium_pthrp"] * pthrp / (p["pthrp_half"] + pthrp) if pthrp > 0 else 1.0
    reabsorbed = p["calcium_reabsorption"] * raised * calcium / (p["calcium_reabsorption_half"] + calcium)
    return p["calcium_clearance"] * max(p["calcium_filtration"] * calcium - reabsorbed, 0.0)


def steady(release: float, pthrp: float, p: Mapping[str, float]) -> float:
    """Serum calcium at which the kidneys excrete intake and release (mmol/d), mmol/L.

    With neither intake nor release it is the level below which nothing is excreted.
    """
    from scipy.optimize import brentq

    raised = 1 + p["calcium_pthrp"] * pthrp / (p["pthrp_half"] + pthrp) if pthrp > 0 else 1.0
    most = p["calcium_reabsorption"] * raised
    threshold = max(most / p["calcium_filtration"] - p["calcium_reabsorption_half"], 0.0)
    entering = p["calcium_intake"] + release
    if entering <= 0:
        return threshold
    # a level at which more is excreted than enters
    above = (entering / p["calcium_clearance"] + most) / p["calcium_filtration"] + 1
    return float(brentq(lambda ca: entering - excreted(ca, pthrp, p), threshold, above))  # pyright: ignore[reportArgumentType]


def later(calcium: float, days: float, release: float, pthrp: float, p: Mapping[str, float]) -> float:
    """Serum calcium after this number of days of constant release (mmol/d), mmol/L."""
    from scipy.integrate import solve_ivp

    healthy = steady(0.0, 0.0, p) if release < 0 else calcium

    def rate(_: float, y: np.ndarray) -> list[float]:
        ca = float(y[0])
        net = release if release >= 0 else release * min(1.0, ca / healthy)
        return [(p["calcium_intake"] + net - excreted(ca, pthrp, p)) / p["calcium_volume"]]

    return float(solve_ivp(rate, (0.0, days), [calcium], method="LSODA", rtol=1e-8, atol=1e-10).y[0, -1])


def grade(calcium: float) -> str:
    """The grade of hypercalcaemia: "none", "mild", "moderate" or "severe"."""
    return next((name for name, low in reversed(GRADES) if calcium >= low), "none")
