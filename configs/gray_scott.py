"""Gray-Scott: a substrate is fed in, and an activator eats it to make more of itself.

du/dt = Du lap u - u v² + F (1 - u),    dv/dt = Dv lap v + u v² - (F + k) v
"""

import numpy as np

from rdsolver.models.base import Field, Parameter
from rdsolver.models.pointwise import ReactionDiffusion

PEARSON = "Pearson 1993, Science 261:189"


def rates(u, p, at):
    eaten = u["u"] * u["v"] ** 2
    return {"u": p["feed"] * (1 - u["u"]) - eaten, "v": eaten - (p["feed"] + p["kill"]) * u["v"]}


def initial(where):
    drops = where.random.uniform(0, where.size[-2:], (12, 2))
    away = [np.hypot(where.y - y, where.x - x) for y, x in drops]
    drop = np.min(away, axis=0) < 5
    return {"u": np.where(drop, 0.5, 1.0), "v": np.where(drop, 0.25, 0.0)}


GRAY_SCOTT = ReactionDiffusion(
    "Gray-Scott",
    (Field("u", "1", 1.0, "substrate"), Field("v", "1", 0.3, "activator")),
    rates,
    moves={"u": "u_diffusivity", "v": "v_diffusivity"},
    parameters=(
        Parameter("u_diffusivity", 0.2, "um^2/d", "diffusivity of the substrate", PEARSON, "U", 0.01, 10),
        Parameter("v_diffusivity", 0.1, "um^2/d", "diffusivity of the activator", PEARSON, "U", 0.01, 10),
        Parameter("feed", 0.037, "1/d", "feed of substrate and washout of both", PEARSON, "U", 0.01, 0.1),
        Parameter("kill", 0.06, "1/d", "loss of the activator", PEARSON, "U", 0.03, 0.07),
    ),
    initial=initial,
)
