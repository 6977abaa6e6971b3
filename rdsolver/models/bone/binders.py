"""Binders, the soluble proteins that bind RANKL, each declared from a preset.

OPG is endogenous. A drug is declared in the same way, but has a plasma curve instead of a source in the
tissue. A binder called `rank_fc` brings the fields `rank_fc` and `rankl_rank_fc` and the parameters
`rank_fc_...`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..base import Mark, Parameter
from .plasma_rates import Pharmacokinetics

UM2_S = 86400.0  # um2/s in um2/d


@dataclass(frozen=True)
class Binder:
    """One binder of RANKL.

    name   prefix of its fields and parameters
    like   the preset from which its parameters start
    label  its name in figures and messages
    drug   True: given by dose, and exchanged with plasma; False: made in the tissue
    """

    name: str
    like: str
    label: str
    drug: bool = True

    @property
    def complex(self) -> str:
        return f"rankl_{self.name}"

    @property
    def binds_trail(self) -> bool:
        """True for OPG and what is made of it (Emery 1998, 10.1074/jbc.273.23.14363). Denosumab does not bind
        TRAIL (Kostenuik 2009, 10.1359/jbmr.081112), and RANK is taken not to.
        """
        return self.like in ("opg", "native_opg", "fc_opg")


OPG = Binder("opg", "opg", "OPG", drug=False)

LABELS = {
    "rank_fc": "RANK-Fc",
    "fc_opg": "Fc-OPG",
    "native_opg": "native OPG",
    "soluble_rank": "soluble RANK",
    "denosumab": "denosumab",
}
"""The drugs that have a preset, with their labels."""


def drug(name: str) -> Binder:
    """The binder of a preset, under the preset's own name."""
    return Binder(name, name, LABELS[name])


def binder_parameters(binder: Binder) -> tuple[Parameter, ...]:
    """The parameters of one binder; their names begin with its name."""
    b, label = binder.name, binder.label
    K, K_source, K_mark, K_low, K_high = _K_EFF[binder.like]
    opg = binder.like in ("opg", "native_opg")
    # fmt: off
    common = (
        Parameter(f"{b}_diffusivity", (9 if opg else 7) * UM2_S, "um^2/d", f"diffusivity of free {label} in marrow", "Stokes scaling from RANKL, Bishop et al. 2024", "C", 1 * UM2_S, 100 * UM2_S, f"D_{b}"),
        Parameter(f"{b}_kon", 864.0, "1/(nM d)", f"association of {label} with RANKL (1e7 /M/s)", "kept above rankl_loss / K_eff", "A", 1.0, 1e5, "kon"),
        Parameter(f"{b}_K_eff", K, "nM", f"effective constant of {label}: K + rankl_loss/kon; koff = kon K_eff - rankl_loss", K_source, K_mark, K_low, K_high, "K_eff"),
        Parameter(f"{b}_loss", 40.0 if opg else 0.0, "1/d", f"loss of free {label} in tissue", "within the published range 0.35 to 381 /d" if opg else "cleared from plasma instead", "A", 0.0, 400.0, f"d_{b}"),
    )
    # fmt: on
    if not binder.drug:
        return common
    return common + _plasma_parameters(binder)


# fmt: off
_K_EFF: dict[str, tuple[float, str, Mark, float, float]] = {
    "opg": (0.03, "assumed; OPG acts at 8-830 pM in co-culture (PMC5104940), soluble SPR gives 10 nM (Schneeweis 2005)", "A", 0.003, 10.0),
    "fc_opg": (0.014, "tuned on T3 and T4: NTX after Fc-OPG (Bekker 2001, Zierhut 2008)", "A", 0.003, 10.0),
    "native_opg": (0.03, "as endogenous OPG", "A", 0.003, 10.0),
    "rank_fc": (0.1, "assumed, to be scanned 0.03 to 10 nM", "A", 0.03, 10.0),
    "denosumab": (0.025, "tuned on T17; affinity 3 pM (recalled), half of its target bound in plasma at 1.56 nM (Choi 2025)", "A", 0.003, 2.0),
    "soluble_rank": (15.0, "500 times the OPG family, Nelson 2012", "C/U", 1.0, 100.0),
}
# fmt: on

_ZIERHUT = "Zierhut 2008, 10.1007/s10928-008-9093-5, DDMODEL00000233; absolute value for 70 kg, per kg here"
_IN_RODENTS = "; in mice and rats assumed, a half-life of 57 h"
_DENOSUMAB = (
    "Choi 2025, 10.3389/fphar.2025.1631034, as in nlmixr2lib: women with osteoporosis, 64 kg, per kg here;"
    " volumes and clearances over F"
)
_MOUSE = "no published pharmacokinetics found; mouse-like half-life of 2 d assumed"
_SHORT = "half-life 0.1 d, general knowledge"
_LN2 = 0.6931471805599453


def _of_half_life(molar_mass: float, days: float) -> Pharmacokinetics:
    """The pharmacokinetics of a protein of this molar mass (kDa) in plasma alone: it is absorbed within days,
    and eliminated with this half-life.
    """
    volume = 50.0
    return Pharmacokinetics(
        molar_mass=molar_mass,
        bioavailability=0.8,
        absorption=1.0,
        central_volume=volume,
        clearance=volume * _LN2 / days,
    )


_PLASMA: dict[str, tuple[Pharmacokinetics, str, Mark]] = {
    "fc_opg": (
        Pharmacokinetics(
            molar_mass=90.0,
            bioavailability=0.067,
            absorption=0.0131 * 24,
            central_volume=2800 / 70,
            clearance=168 * 24 / 70,
            peripheral_volume_1=443 / 70,
            peripheral_clearance_1=15.5 * 24 / 70,
            peripheral_volume_2=269 / 70,
            peripheral_clearance_2=3.02 * 24 / 70,
            saturable_elimination=13300 * 24 / 70,
            saturable_constant=6.74,
        ),
        _ZIERHUT,
        "M",
    ),
    "rank_fc": (_of_half_life(110.0, 2.0), _MOUSE, "A"),
    "denosumab": (
        Pharmacokinetics(
            molar_mass=147.0,
            bioavailability=1.0,
            absorption=0.0078 * 24,
            central_volume=1580 / 64,
            clearance=6.0 * 24 / 64,
            peripheral_volume_1=6060 / 64,
            peripheral_clearance_1=200 * 24 / 64,
            target=15.23,
            target_constant=1.56,
            target_loss=0.01 * 24 / 15.23,
            complex_loss=0.022 * 24,
        ),
        _DENOSUMAB,
        "M",
    ),
    "native_opg": (_of_half_life(120.0, 0.1), _SHORT, "U"),
    "soluble_rank": (_of_half_life(30.0, 0.1), _SHORT, "U"),
}
"""The pharmacokinetics of each preset in women and men, with the source and the mark."""

_RODENT = {"fc_opg": _of_half_life(90.0, 57 / 24)}
"""Those in mice and rats where they are other, assumed: the half-life of 57 h of another Fc protein that binds
heparin, follistatin-Fc, in mice (J Pharmacol Exp Ther, table 2 of a study of its mutants). Its clearance there,
15.9 mL/(h kg), is that of a first phase; with it and one volume the half-life would be 7 h.
"""

_PLASMA_ROWS = (
    ("molar_mass", "kDa", "molar mass (general knowledge)", 1.0, 1000.0, 1e-3),
    ("bioavailability", "1", "share of a subcutaneous dose that reaches plasma", 0.001, 1.0, 0.0),
    ("absorption", "1/d", "absorption from the subcutaneous depot", 0.01, 100.0, 0.0),
    ("central_volume", "mL/kg", "volume of the plasma compartment", 10.0, 1000.0, 1e-3),
    ("clearance", "mL/(kg d)", "linear clearance from plasma", 0.0, 1e4, 0.0),
    ("peripheral_volume_1", "mL/kg", "first peripheral volume (0: none)", 0.0, 1000.0, 0.0),
    ("peripheral_clearance_1", "mL/(kg d)", "exchange with the first peripheral volume", 0.0, 1e4, 0.0),
    ("peripheral_volume_2", "mL/kg", "second peripheral volume (0: none)", 0.0, 1000.0, 0.0),
    ("peripheral_clearance_2", "mL/(kg d)", "exchange with the second peripheral volume", 0.0, 1e4, 0.0),
    ("saturable_elimination", "ng/(kg d)", "largest rate of saturable elimination (0: none)", 0.0, 1e6, 0.0),
    ("saturable_constant", "ng/mL", "plasma level of half that rate", 0.1, 1e5, 1e-6),
    ("target", "nM", "its target in plasma without drug (0: none)", 0.0, 100.0, 0.0),
    ("target_constant", "nM", "free drug that binds half of the target", 0.01, 100.0, 1e-6),
    ("target_loss", "1/d", "loss of free target", 1e-3, 10.0, 0.0),
    ("complex_loss", "1/d", "loss of drug bound to it", 1e-2, 10.0, 0.0),
)


def _plasma_parameters(binder: Binder) -> tuple[Parameter, ...]:
    kinetics, source, mark = _PLASMA[binder.like]
    rodent = _RODENT.get(binder.like, kinetics)
    # the molar mass is the one number of these presets that is not in the source
    marks: dict[str, Mark] = {"molar_mass": "U"} if mark == "M" else {}
    return tuple(
        Parameter(
            f"{binder.name}_{key}",
            getattr(kinetics, key),
            unit,
            f"{binder.label}: {meaning}",
            source + (_IN_RODENTS if getattr(rodent, key) != getattr(kinetics, key) else ""),
            marks.get(key, mark),
            low,
            high,
            minimum=minimum,
            presets=tuple(
                (species, getattr(rodent, key))
                for species in ("mouse", "rat")
                if getattr(rodent, key) != getattr(kinetics, key)
            ),
        )
        for key, unit, meaning, low, high, minimum in _PLASMA_ROWS
    )
