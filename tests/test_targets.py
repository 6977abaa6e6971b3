"""Targets of the model that one run can show, against their published bands (docs/model.md)."""

import numpy as np
import pytest
from problems import Dose, problem, run, series, square


def test_bone_markers_after_one_dose_of_fc_opg():
    """T3: 3 mg/kg s.c. in women, change of NTX and BSAP in % (Bekker 2001, 10.1359/jbmr.2001.16.2.348). Calibration (K_eff, e, tau)."""
    dose = Dose("fc_opg", 3.0, "sc", 0.0)
    _, chunks = run(problem(square(48), agents=("fc_opg",), doses=(dose,), end=42.0, precision="float32"))
    s = series(chunks)

    def change(name: str, day: float) -> float:
        return 100 * (np.interp(day, s["time"], s[name]) - 1)

    assert change("ntx", 0.5) <= -15
    assert -88 <= change("ntx", 4) <= -70
    assert -25 <= change("ntx", 42) <= 10
    assert change("bsap", 21) > -25
    assert -40 <= change("bsap", 42) <= -20


@pytest.mark.parametrize(("amount", "low", "high"), [(0.1, -30, 0), (0.3, -60, -30), (1.0, -100, -60), (3.0, -100, -75)])
def test_ntx_nadir_falls_with_the_dose_of_fc_opg(amount, low, high):
    """T4: Fc-OPG, NTX nadir in % (Zierhut 2008, Body 2003). Calibration."""
    dose = Dose("fc_opg", amount, "sc", 0.0)
    _, chunks = run(problem(square(48), agents=("fc_opg",), doses=(dose,), end=14.0, precision="float32"))
    assert low < 100 * (series(chunks)["ntx"].min() - 1) < high
