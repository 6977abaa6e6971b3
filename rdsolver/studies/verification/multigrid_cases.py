"""Convergence of the solver of a stage in a table of cases, from easy to hard.

A case gives the asymptotic factor by which the residual falls in a V-cycle, or the number of Krylov
iterations to 1e-6 (float32: 1e-4). The medium is generated bone in which diffusivities fall by the contrast;
coefficients are those of the bone model, with σ and losses in 1/d.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import Literal

import jax.numpy as jnp
import numpy as np

from ...geometry.grid import Grid
from ...geometry.trabeculae import trabecular
from ...models.bone.binding import Binding
from ...operators import multigrid
from ...operators.blocks import Block, Dense, Local, Vector
from ...operators.reductions import Pockets
from ...operators.transport import face_diffusion, open_faces

CYCLES, FIRST = 10, 4  # number of cycles run, and of those not counted in the asymptotic factor
ITERATIONS, GOAL = 20, {"float64": 1e-6, "float32": 1e-4}  # float32: the residual's round-off is near 1e-5
RANKL, PROTEIN, COMPLEX = 1.1232e6, 7.776e5, 6.048e5  # diffusivities, um²/d


@dataclass(frozen=True)
class Case:
    """One case.

    group  one field lost at 0.01 /d; or L, O and X of decoy binding by a dense block; or RANKL with `binders`
           binders and their complexes
    held   where a value is given at a border
    """

    name: str
    bound: float
    shape: tuple[int, ...] = (64, 64)
    spacing: tuple[float, ...] = (10.0, 10.0)
    sigma: float = 10.0
    contrast: float = 10.0
    mask: Literal["open", "circle", "impermeable"] = "open"
    group: Literal["scalar", "decoy", "binding"] = "scalar"
    binders: int = 0
    held: Literal["nowhere", "sides", "vessels"] = "nowhere"
    source: Literal["random", "sharp"] = "random"
    precision: str = "float64"
    krylov: bool = False
    quick: bool = False

    def bone(self) -> np.ndarray:
        if min(self.shape) * 9 < max(
            self.shape
        ):  # the grid is too thin for a generated section, so it has slabs across it
            return np.broadcast_to((np.sin(np.arange(self.shape[-1]) / 3) > 0.5).astype(float), self.shape)
        grid = Grid(self.shape, self.spacing, thickness=10.0 if len(self.shape) == 2 else None)
        return trabecular(
            grid, 0.25, min(n * h for n, h in zip(self.shape, self.spacing, strict=True)) / 4.5, 3
        ).bone

    def active(self, bone: np.ndarray) -> np.ndarray:
        x = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in self.shape], indexing="ij"))
        distance = np.sqrt((x[-2:] ** 2).sum(0))
        inside = {"open": distance >= 0, "circle": distance < 0.95, "impermeable": bone < 0.5}[self.mask]
        return inside & ~self._vessels() if self.held == "vessels" else inside

    def _vessels(self) -> np.ndarray:
        """Two holes at whose walls a value is given, a tenth of the section wide."""
        x = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in self.shape], indexing="ij"))[-2:]
        return np.any(
            [
                ((x - np.reshape(c, (2, *(1,) * len(self.shape)))) ** 2).sum(0) < 0.01
                for c in ((0.4, 0.3), (-0.5, -0.2))
            ],
            axis=0,
        )

    def _beside(self, active: np.ndarray) -> np.ndarray:
        """The sum of 2/h² over the faces of every cell on such a border, 1/um²."""
        out = np.zeros(self.shape)
        if self.held == "sides":
            for side in (0, -1):
                np.moveaxis(out, -1, 0)[side] += 2 / self.spacing[-1] ** 2
        if self.held == "vessels":
            there = np.pad(self._vessels(), 1)
            inner = tuple(slice(1, -1) for _ in self.shape)
            for axis, h in enumerate(self.spacing):
                for by in (1, -1):
                    out += 2 / h**2 * np.roll(there, by, axis)[inner]
        return out * active

    def build(self) -> tuple[multigrid.Operator, tuple[multigrid.Level, ...], multigrid.Shape, Vector]:
        """The operator, the levels, the hierarchy and the scales of the fields."""
        bone = self.bone()
        active, wrap = self.active(bone), (False,) * len(self.shape)
        mobility = jnp.asarray(1 - bone + bone / self.contrast, self.precision)
        inside = jnp.asarray(active, self.precision)
        c = face_diffusion(mobility, open_faces(inside, wrap), self.spacing, wrap)
        block, local, diffusivity, scales = self._block(active, bone)
        d, held = tuple(jnp.asarray(x, self.precision) for x in diffusivity), None
        if self.held != "nowhere":
            k = jnp.asarray(self._beside(active), self.precision) * mobility
            held = tuple(x * k for x in d)
        op = multigrid.Operator(jnp.asarray(self.sigma, self.precision), d, block)
        shape = multigrid.Shape.of(self.shape, self.spacing, wrap)
        levels = multigrid.hierarchy(
            multigrid.level(c, local | {"active": inside}, None, wrap, held, Pockets.of(active, wrap)), shape
        )
        return op, levels, shape, tuple(jnp.asarray(s, self.precision) for s in scales)

    def _block(
        self, active: np.ndarray, bone: np.ndarray
    ) -> tuple[Block, Local, tuple[float, ...], tuple[float, ...]]:
        def cells(x: float | np.ndarray) -> jnp.ndarray:
            return jnp.asarray(x * active, self.precision)

        def numbers(*x: float) -> Vector:
            return tuple(jnp.asarray(v, self.precision) for v in x)

        rng = np.random.default_rng(0)
        if self.group == "scalar":
            return Dense(1), {"j_0_0": cells(0.01)}, (RANKL,), (1.0,)
        if (
            self.group == "decoy"
        ):  # derivatives of L O at L = 5, O = 2 nM; the rates of W1 in 1/s are converted to 1/d
            day, on, off = 86400.0, (1e-3 * 5, 1e-3 * 2), 1e-4
            rows = {
                "0_0": on[1] + 2e-4,
                "0_1": on[0],
                "0_2": -off,
                "1_0": on[1],
                "1_1": on[0] + 1e-4,
                "1_2": -off,
            }
            rows |= {"2_0": -on[1], "2_1": -on[0], "2_2": off + 1e-4}
            return (
                Dense(3),
                {f"j_{k}": cells(day * x) for k, x in rows.items()},
                (30 * day, 25 * day, 18 * day),
                (1.0, 1.0, 1.0),
            )
        n = self.binders
        free = [0.06, *(10.0 ** rng.uniform(-1, 2, n - 1))]
        block = Binding(
            numbers(10.13)[0],
            numbers(*[864.0] * n),
            numbers(*[864.0 * k - 10.13 for k in (0.03, *[0.1] * (n - 1))]),
            numbers(40.0, *[0.0] * (n - 1)),
            numbers(0.0, *[5.0] * (n - 1)),
        )
        local = {"rankl": cells(0.002 * rng.random(self.shape)), "marrow": cells(1 - bone)}
        local |= {f"free_{i}": cells(x * (1 - 0.5 * rng.random(self.shape))) for i, x in enumerate(free)}
        return block, local, (RANKL, PROTEIN, *[COMPLEX] * (2 * n - 1)), (0.002, *free, *[0.004] * n)

    def observe(self) -> float:
        op, levels, shape, scales = self.build()
        right = self._sharp(levels[0].local["active"], scales) if self.source == "sharp" else None
        if self.krylov:
            left = list(accumulate(multigrid.contraction(op, levels, shape, ITERATIONS, scales, right), mul))
            return next((n for n, x in enumerate(left, 1) if x < GOAL[self.precision]), np.inf)
        # in float32, fewer cycles, before the residual is at its round-off
        first, cycles = (1, 4) if self.precision == "float32" else (FIRST, CYCLES)
        factors = multigrid.contraction(op, levels, shape, cycles, r=right)
        return float(np.prod(factors[first:]) ** (1 / (cycles - first)))

    def _sharp(self, active: jnp.ndarray, scales: Vector) -> Vector:
        """A tumour three cells wide that secretes a thousand times the other sources."""
        middle = tuple(slice(n // 3, n // 3 + 3) for n in self.shape)
        return tuple(active.at[middle].multiply(1000.0) * s for s in scales)


BLOCK = {"shape": (40, 40, 40), "spacing": (20.0, 20.0, 20.0)}
CASES = (
    Case("contrast 10", 0.35, quick=True),
    Case("contrast 10, long step", 0.35, sigma=0.01),
    Case("contrast 10, circle", 0.45, mask="circle", quick=True),
    Case("contrast 10, float32", 0.35, precision="float32", quick=True),
    Case("contrast 10, 3D", 0.35, **BLOCK),
    Case("contrast 10, 3D circle", 0.45, **BLOCK, mask="circle"),
    Case("voxels 1:4", 0.35, spacing=(10.0, 40.0), quick=True),
    Case("101 x 97", 0.35, shape=(101, 97)),
    Case("127 x 131", 0.35, shape=(127, 131)),
    Case("53 x 61", 0.35, shape=(53, 61), quick=True),
    Case("strip 200 x 6", 0.35, shape=(200, 6)),
    Case("slab 64 x 64 x 3", 0.35, shape=(3, 64, 64), spacing=(10.0,) * 3),
    Case("sharp source", 0.35, source="sharp"),
    *(Case(f"binders {n}", 0.35, sigma=3.4, group="binding", binders=n, quick=n == 2) for n in (1, 2, 3, 6)),
    Case("binders 2, 3D", 0.35, **BLOCK, sigma=3.4, group="binding", binders=2),
    Case("binders 2, circle", 0.45, mask="circle", sigma=3.4, group="binding", binders=2),
    Case("decoy, dense block", 0.35, group="decoy"),
    Case("values on two sides", 0.35, held="sides", quick=True),
    Case("values on two sides, long step", 0.35, sigma=0.01, held="sides"),
    Case("values on vessels", 0.45, held="vessels", quick=True),
    Case("values on vessels, long step", 0.45, sigma=0.01, held="vessels"),
    Case("Krylov: contrast 1000", 12, contrast=1000.0, krylov=True, quick=True),
    Case("Krylov: contrast 1000, circle", 12, contrast=1000.0, mask="circle", krylov=True),
    Case("Krylov: contrast 1000, 3D", 12, **BLOCK, contrast=1000.0, krylov=True),
    Case(
        "Krylov: contrast 1000, binders 2",
        12,
        contrast=1000.0,
        sigma=3.4,
        group="binding",
        binders=2,
        krylov=True,
    ),
    Case("Krylov: impermeable bone", 12, mask="impermeable", krylov=True, quick=True),
    Case("Krylov: impermeable bone, 3D", 12, **BLOCK, mask="impermeable", krylov=True),
    *(
        Case(
            f"Krylov: impermeable bone, {s:g} /d",
            12,
            sigma=s,
            mask="impermeable",
            krylov=True,
            quick=s == 0.01,
        )
        for s in (1.0, 0.3, 0.1, 0.01)
    ),
    Case("Krylov: contrast 1000, 1 /d", 12, sigma=1.0, contrast=1000.0, krylov=True),
    Case("Krylov: impermeable bone, decoy", 12, mask="impermeable", group="decoy", krylov=True),
    Case(
        "Krylov: impermeable bone, binders 2",
        12,
        sigma=3.4,
        mask="impermeable",
        group="binding",
        binders=2,
        krylov=True,
    ),
    Case("Krylov: impermeable bone, float32", 12, mask="impermeable", precision="float32", krylov=True),
)


def cases(quick: bool) -> Iterator[tuple[str, float, float]]:
    """(Name, bound, observed) of every case, or of the quick ones. This needs 64-bit types (device.on)."""
    for case in CASES:
        if case.quick or not quick:
            yield case.name, case.bound, case.observe()
