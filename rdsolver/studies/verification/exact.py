"""Cases with known solutions: modes, decay lengths, equilibria, fronts, patterns, a published model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import minimize_scalar

from ...errors import RunError
from ...geometry.grid import Grid
from ...models import lemaire
from ...models.verification import DECAY, DECOY, DECOY_VALUES, FISHER, GRAY_SCOTT
from ...problem import ModelProblem
from ...utils.extras import install
from .replay import State, names, saved, tight
from .results import Curve, Row, at_most, not_run, report, worst

# --- linear -------------------------------------------------------------------------------------------------


def cosine_modes(quick: bool) -> Iterator[Row | Curve]:
    """The decay of cos(kx) cos(ly) at the rate d + D (k² + l²); 2 x 1 um cells, no flux.

    The grid's own rate is 4/h² sin²(kh/2) for k².
    """
    grid, end, d, loss = Grid((48, 96), (2.0, 1.0), thickness=1.0), 4.0, 10.0, 0.05
    y, x = np.meshgrid(grid.centres(0), grid.centres(1), indexing="ij")
    off = []
    for m, n in ((1, 0), (2, 3)):
        k, q = np.pi * m / 96.0, np.pi * n / 96.0
        mode = np.cos(k * y) * np.cos(q * x)
        values = {"diffusivity": d, "loss": loss}
        p = ModelProblem(
            DECAY,
            grid,
            values,
            {"u": mode},
            end,
            (end,),
            arrays={"source": np.zeros(grid.shape)},
            solver=tight(),
        )
        ((_, u),) = saved(p)
        left = float((u["u"] * mode).sum() / (mode**2).sum())
        off.append(abs(left / np.exp(-(loss + d * (k**2 + q**2)) * end) - 1))
    yield at_most("exact: decay of cosine modes, relative error of the amplitude", 2e-3, worst(off))


def decay_length(quick: bool) -> Iterator[Row | Curve]:
    """The decay of u away from a plane source as exp(-x/√(D/d)); √(D/d) = 8 cells, and the box is 12 times
    that.
    """
    grid, d, loss = Grid((48, 96), (2.0, 1.0), thickness=1.0), 6.4, 0.1
    source = np.zeros(grid.shape)
    source[:, 0] = 1.0
    p = ModelProblem(
        DECAY,
        grid,
        {"diffusivity": d, "loss": loss},
        {},
        40 / loss,
        (40 / loss,),
        arrays={"source": source},
        solver=tight(),
    )
    ((_, u),) = saved(p)
    x, profile = grid.centres(1), u["u"].mean(0)
    near = slice(3, 43)
    length = -1 / np.polyfit(x[near], np.log(profile[near]), 1)[0]
    yield at_most(
        "exact: decay length against √(D/d), relative error", 1e-3, abs(length / np.sqrt(d / loss) - 1)
    )
    yield Curve("decay length", "computed", x[:40:2], profile[:40:2] / profile[0])
    yield Curve(
        "decay length", "exp(-x/√(D/d))", x[:40], np.exp(-(x[:40] - x[0]) / np.sqrt(d / loss)), "line"
    )


# --- binding ------------------------------------------------------------------------------------------------


def binding(quick: bool) -> Iterator[Row | Curve]:
    """The equilibrium of L + O <-> X, well mixed and without losses.

    It is the root of X² - (L₀ + O₀ + K) X + L₀ O₀ = 0, K = koff/kon.
    """
    grid, rankl, opg = Grid((8, 8), (10.0, 10.0), thickness=10.0), 1.0, 2.0
    values = DECOY_VALUES | {"rankl_loss": 0.0, "opg_loss": 0.0, "bound_loss": 0.0}
    none = np.zeros(grid.shape)
    still = {"rankl_source": none, "opg_source": none}
    p = ModelProblem(
        DECOY, grid, values, {"rankl": rankl, "opg": opg}, 2e4, (2e4,), arrays=still, solver=tight()
    )
    ((_, u),) = saved(p)
    total = rankl + opg + values["koff"] / values["kon"]
    bound = (total - np.sqrt(total**2 - 4 * rankl * opg)) / 2
    yield at_most(
        "exact: binding equilibrium, relative error of the complex",
        1e-5,
        float(np.abs(u["bound"] / bound - 1).max()),
    )
    held = np.abs(u["rankl"] + u["bound"] - rankl).max()
    yield report(
        "exact: binding keeps the sum of free and bound, relative error",
        float(held) / rankl,
        "no budget declared",
    )


# --- fronts and patterns ------------------------------------------------------------------------------------


def lattice_speed(h: float) -> float:
    """The speed of Fisher's front on a grid, r = D = 1: min over λ of (2 (cosh λh - 1)/h² + 1)/λ."""
    slowest: Any = minimize_scalar(
        lambda q: (2 * (np.cosh(q * h) - 1) / h**2 + 1) / q, bounds=(0.5, 1.5), method="bounded"
    )
    return float(slowest.fun)


def fisher(quick: bool) -> Iterator[Row | Curve]:
    """The front of Fisher's equation from a step, r = D = 1.

    Speed 2 - 3/(2t) + 3√π/(2 t^1.5) (Ebert & van Saarloos 2000, Physica D 146:1).
    """
    h, end = 0.25, 40.0
    grid = Grid((4, 352), (h, h), thickness=1.0)
    x = grid.centres(1)
    times = tuple(np.arange(5.0, end + 0.5, 2.5))
    start = np.broadcast_to((x < 5).astype(float), grid.shape)
    t = np.array(times)
    middle = (t[1:] + t[:-1]) / 2
    wave = 2 - 1.5 / middle + 1.5 * np.sqrt(np.pi) / middle**1.5
    theory = wave + lattice_speed(h) - 2
    for integrator in ("tr-bdf2", "rkc2"):
        name = (
            f"exact: Fisher front by {integrator} against 2√(rD) with its approach in time (t ="
            f" {middle[-1]:g}/r), relative error"
        )
        p = ModelProblem(
            FISHER,
            grid,
            {"growth": 1.0, "diffusivity": 1.0},
            {"u": start},
            end,
            times,
            solver=tight(integrator),
        )
        try:
            where = np.array([h * u["u"].mean(0).sum() for _, u in saved(p)])
        except RunError as stopped:
            yield Row(f"{name} ({str(stopped).split(';')[0]})", "<= 0.01", float("nan"), False)
            continue
        speed = np.diff(where) / np.diff(t)
        yield at_most(name, 0.01, abs(speed[-1] / theory[-1] - 1))
        yield report(
            f"exact: Fisher front by {integrator} at t = {middle[-1]:g}/r over 2√(rD)",
            speed[-1] / 2,
            "approaches 1 as 1/t",
        )
        yield Curve("Fisher front", integrator, middle, speed)
    yield Curve("Fisher front", "2 - 3/(2t) + 3√π/(2t^1.5)", middle, wave, "line")
    yield Curve("Fisher front", "2√(rD)", middle, np.full_like(middle, 2.0), "line")


def gray_scott(quick: bool) -> Iterator[Row | Curve]:
    """A pattern compared with a separate implementation of the same grid's equations in NumPy, solved by
    SciPy's DOP853 at 1e-10.
    """
    n, end, p = (
        32,
        200.0 if quick else 1000.0,
        {"u_diffusivity": 0.16, "v_diffusivity": 0.08, "feed": 0.035, "kill": 0.06},
    )
    grid = Grid((n, n), (1.0, 1.0), borders=("periodic", "periodic"), thickness=1.0)
    y, x = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    bump = np.exp(-((y - 14.0) ** 2 + (x - 17.0) ** 2) / 12)
    u0 = np.stack([1 - 0.5 * bump, 0.25 * bump])

    def rates(t: float, flat: np.ndarray) -> np.ndarray:
        u, v = flat.reshape(2, n, n)
        lap_u, lap_v = (sum(np.roll(q, s, a) for a in (0, 1) for s in (1, -1)) - 4 * q for q in (u, v))
        eaten = u * v * v
        du = p["u_diffusivity"] * lap_u - eaten + p["feed"] * (1 - u)
        return np.concatenate(
            [du.ravel(), (p["v_diffusivity"] * lap_v + eaten - (p["feed"] + p["kill"]) * v).ravel()]
        )

    wanted = (
        solve_ivp(rates, (0, end), u0.ravel(), method="DOP853", rtol=1e-10, atol=1e-12)
        .y[:, -1]
        .reshape(2, n, n)
    )
    off = []
    for integrator in ("rkc2",) if quick else names():
        problem = ModelProblem(
            GRAY_SCOTT, grid, p, {"u": u0[0], "v": u0[1]}, end, (end,), solver=tight(integrator)
        )
        ((_, found),) = saved(problem)
        off += [
            float(np.linalg.norm(found[k] - w) / np.linalg.norm(w)) for k, w in zip("uv", wanted, strict=True)
        ]
    yield at_most(
        f"exact: Gray-Scott at t = {end:g} against an independent solution, relative L2", 2e-4, worst(off)
    )


# --- Lemaire 2004 -------------------------------------------------------------------------------------------

TREATMENT = (
    (20.0, {}),
    (80.0, {"rankl_infusion": 1e4}),
    (140.0, {"rankl_infusion": 1e4, "opg_infusion": 9e4}),
)
"""The ends of the treatments, d, and their infusions: RANKL from day 20, OPG too from day 80 (Lemaire
2004).
"""


def lemaire_2004(quick: bool) -> Iterator[Row | Curve]:
    """Target T0: the well-mixed limit agrees with the published model, as in PyPI's bone-models, within 0.1
    %.
    """
    name = "exact: Lemaire 2004 against bone-models (T0), largest relative difference"
    try:
        from bone_models.models.lemaire_model import Lemaire_Model  # pyright: ignore[reportMissingImports]
    except ImportError:
        yield not_run(name, f"it needs bone-models, which is not installed. {install('verify')}")
        return

    class Infused(Lemaire_Model):
        """The published right-hand side under constant infusions."""

        def __init__(self, infusions: Mapping[str, float]) -> None:
            super().__init__(None)
            self.infusions = infusions

        def calculate_external_injection_RANKL(self, t: float) -> float:
            return self.infusions.get("rankl_infusion", 0.0)

        def calculate_external_injection_OPG(self, t: float) -> float:
            return self.infusions.get("opg_infusion", 0.0)

        def _none(self, t: float) -> float:
            return 0.0

        calculate_external_injection_PTH = calculate_external_injection_OCa = _none
        calculate_external_injection_OBp = calculate_external_injection_OBa = _none

    grid, begin, off = Grid((4, 4), (20.0, 20.0), thickness=10.0), 0.0, []
    ours: State | dict[str, float] = lemaire.UNTREATED
    theirs = np.array(list(ours.values()))
    traces: list[tuple[float, np.ndarray, np.ndarray]] = []
    for end, infusions in TREATMENT:
        when = np.linspace(begin, end, 13)[1:]
        model = Infused(infusions)
        # the class is used without its own solver, which keeps absolute errors of 1e-8 pM and skips jumps
        solved = solve_ivp(
            lambda t, x, model=model: model.bone_cell_population_model(x, t),
            (begin, end),
            theirs,
            "LSODA",
            when,
            rtol=1e-10,
            atol=1e-15,
        )
        save = tuple(when - begin)
        p = ModelProblem(
            lemaire.LEMAIRE,
            grid,
            lemaire.values() | infusions,
            ours,
            save[-1],
            save,
            solver=tight(tolerance=1e-5),
        )
        for (_, u), x, t in zip(saved(p), solved.y.T, when, strict=True):
            traces.append((t, np.array([u[k].mean() for k in lemaire.UNTREATED]), x))
            off += [float(np.abs(u[k] / w - 1).max()) for k, w in zip(lemaire.UNTREATED, x, strict=True)]
            ours = u
        theirs, begin = solved.y[:, -1], end
    yield at_most(name, 1e-3, worst(off))
    for i, field in enumerate(lemaire.LEMAIRE.unknowns):
        yield Curve("Lemaire 2004", field.label, [t for t, *_ in traces], [1e3 * a[i] for _, a, _ in traces])
        yield Curve("Lemaire 2004", "", [t for t, *_ in traces], [1e3 * b[i] for *_, b in traces], "line")


STUDIES = (cosine_modes, decay_length, binding, fisher, gray_scott, lemaire_2004)
