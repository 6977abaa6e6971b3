"""The system of a run, which is everything that an integrator sees: du/dt and the implicit stage.

It is made from a model, a section, parameters and the forcing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..models.base import Coefficients, Group, Model, StaticFields
from ..operators import multigrid
from ..operators.array_types import Cells, Count, Fields, Float, Number, Numbers, OneNumber, PerField, Truth
from ..operators.boundary_fluxes import Edge, exchange
from ..operators.faces import Wrap
from ..operators.no_fusion import no_fusion
from ..operators.reductions import Pockets, all_sums, mean_squares
from ..operators.transport import Faces, diffusion, drift, fitted, own_diffusion, own_drift

Sums = dict[str, Number]  # for each budget "<name>.source" and "<name>.loss", summed over cells, float64


Curves = Float[Array, "inputs knots"]


@partial(
    jax.tree_util.register_dataclass, data_fields=["knots", "values", "slopes", "end"], meta_fields=["names"]
)
@dataclass(frozen=True)
class Forcing:
    """The curves that drive the model from outside between two events: cubic Hermite through knots.

    knots, values, slopes  (inputs, K), float64; unused knots at the end repeat the last one
    end                    the next event. Rates that jump there have their values from before it
    """

    knots: Curves
    values: Curves
    slopes: Curves
    end: Number
    names: tuple[str, ...]

    @staticmethod
    def none(end: float = np.inf) -> Forcing:
        """The forcing without inputs other than the time."""
        empty = jnp.zeros((0, 2), jnp.float64)
        return Forcing(empty, empty, empty, jnp.asarray(end, jnp.float64), ())

    def time(self, t: Number, dtype: np.dtype) -> Number:
        """The time t (d) that rates see. At the next event and beyond, it is the last number before the
        event.
        """
        before = jnp.nextafter(self.end.astype(dtype), jnp.asarray(-jnp.inf, dtype))
        return jnp.minimum(jnp.asarray(t).astype(dtype), before)

    def at(self, t: Number, dtype: np.dtype) -> Numbers:
        """The value of each input at time t (d)."""
        out = {}
        for i, name in enumerate(self.names):
            k = self.knots[i]
            # the knots up to t are counted: a search is a loop, which a GPU's host would drive trip by trip
            j = jnp.clip(jnp.sum(k <= t) - 1, 0, len(k) - 2)
            h = k[j + 1] - k[j]
            x = jnp.clip((t - k[j]) / jnp.where(h > 0, h, 1), 0, 1)
            y0, y1, d0, d1 = (
                self.values[i, j],
                self.values[i, j + 1],
                h * self.slopes[i, j],
                h * self.slopes[i, j + 1],
            )
            y = y0 + x * (d0 + x * (3 * (y1 - y0) - 2 * d0 - d1 + x * (2 * (y0 - y1) + d0 + d1)))
            out[name] = y.astype(dtype)
        return out


@dataclass(frozen=True)
class Box:
    """A box in which every field diffuses at a constant rate, without mask, drift or open boundary."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    wrap: Wrap


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["place", "p", "forcing", "scale", "cycles", "cells", "edges", "pockets"],
    meta_fields=["model", "shape", "signed", "krylov"],
)
@dataclass(frozen=True)
class System:
    """The equation du/dt = f(t, u) of a model on a section.

    model, shape   static: the model with its switches, and the multigrid hierarchy
    place          the model's arrays that are fixed in a run
    p              parameters, numbers of the run's precision
    forcing        inputs between two events
    scale          for each field its typical size, to which tolerances are relative
    cells          number of active cells
    edges          open boundary conditions
    signed         fields that may be negative
    pockets        regions between which nothing passes (None: one region)
    cycles         V-cycles of each transport group; krylov: groups that are accelerated. The host plans both
                   and changes them between steps; the work inside a step is fixed
    """

    model: Model
    shape: multigrid.Shape
    place: StaticFields
    p: Numbers
    forcing: Forcing
    scale: Numbers
    cycles: Mapping[str, np.int32 | Count]  # arrays inside a program
    cells: OneNumber
    edges: tuple[Edge, ...] = ()
    signed: tuple[str, ...] = ()
    pockets: Pockets | None = None
    krylov: tuple[str, ...] = ()

    @property
    def _dtype(self) -> np.dtype:
        return self.place.active.dtype

    @property
    def box(self) -> Box | None:
        """The box, if the system is nothing else, as methods that diagonalise diffusion require; otherwise
        None.
        """
        if not self.place.uniform or self.edges:
            return None
        return Box(self.place.active.shape, self.place.spacing, self.place.wrap)

    def update_coefficients(self, u: Fields) -> Coefficients:
        """The coefficients that depend on the slow fields."""
        return self.model.update_coefficients(u, self.p, self.place)

    def at_rest(self, u: Fields) -> System:
        """The system whose rates refer to u as their steady state, if they refer to any."""
        return replace(self, place=self.model.at_rest(u, self.p, self.place))

    def inputs(self, t: Number) -> Numbers:
        """The inputs that drive the model from outside at time t, including the time itself."""
        return self.forcing.at(t, self._dtype) | {"time": self.forcing.time(t, self._dtype)}

    def rates(self, t: Number, u: Fields, aux: Coefficients | None = None) -> Fields:
        """The whole right-hand side.

        aux: the coefficients that depend on the slow fields, where they are kept over a step (default:
        computed from u).
        """
        aux = self.update_coefficients(u) if aux is None else aux
        out = self.local_rates(t, u, aux)
        wrap = self.place.wrap
        drifting = self.model.drift(u, self.p, self.place, aux)
        for name in self.model.diffusivity(self.p):
            d, c = self._moves(name, aux, drifting)
            out[name] = out[name] + d * diffusion(u[name], c, wrap)
        for name, v in drifting.items():
            out[name] = out[name] + drift(u[name], v, wrap)
        return out

    def local_rates(self, t: Number, u: Fields, aux: Coefficients | None = None) -> Fields:
        """The pointwise part of the right-hand side: the reaction, and the exchange with borders."""
        aux = self.update_coefficients(u) if aux is None else aux
        out = self.model.reaction(u, self.p, self.place, aux, self.inputs(t))
        for name, (loss, source) in self._exchanges(aux).items():
            out[name] = out[name] + source - loss * u[name]
        return out

    def diffusivities(self) -> Numbers:
        """The diffusivity of each field that diffuses."""
        return {name: d for name, (d, _) in self.model.diffusivity(self.p).items()}

    def _exchanges(self, aux: Coefficients) -> dict[str, tuple[Cells, Cells]]:
        """For each field with an open boundary: (loss, source) of the cells beside it."""
        moving, out = self.model.diffusivity(self.p), {}
        for name in dict.fromkeys(e.field for e in self.edges):
            d, medium = moving[name]
            edges = [e for e in self.edges if e.field == name]
            out[name] = exchange(edges, d, aux.mobility[medium], self.place.spacing)
        return out

    def _moves(self, name: str, aux: Coefficients, drifting: dict[str, Faces]) -> tuple[Number, Faces]:
        """The diffusivity and the face coefficients of a field (where it drifts, 1 and fitted ones)."""
        moving = self.model.diffusivity(self.p)
        if name not in moving:
            return jnp.zeros((), self._dtype), next(iter(aux.media.values()))
        d, medium = moving[name]
        if name not in drifting or name in self.model.fitted:
            return d, aux.media[medium]
        return jnp.ones_like(d), fitted(tuple(d * c for c in aux.media[medium]), drifting[name])

    def flows(self, t: Number, u: Fields, aux: Coefficients | None = None) -> Sums:
        """The gains and losses of each budget per unit of time, summed over cells. The net flux through a
        boundary is a gain.
        """
        aux = self.update_coefficients(u) if aux is None else aux
        flows, passing = self.model.flows(u, self.p, self.place, aux, self.inputs(t)), self._exchanges(aux)
        cells = {}
        for budget, (source, loss) in flows.items():
            for name in (name for name in self.model.budgets[budget] if name in passing):
                leaves, comes = passing[name]
                source = source + comes - leaves * u[name]
            cells |= {f"{budget}.source": source, f"{budget}.loss": loss}
        return dict(zip(cells, all_sums(tuple(cells.values()), None), strict=True))

    def observe(self, t: Number, u: Fields) -> Numbers:
        seen = self.model.observe(u, self.p, self.place, self.update_coefficients(u), self.inputs(t))
        return {k: v.astype(jnp.float64) for k, v in seen.items()}

    def norm(self, e: Fields, u: Fields, tol: Number) -> Number:
        """The root mean square over active cells of e / (tol (scale + |u|)), for the worst of the fields."""
        relative = [x / (tol * (self.scale[k] + jnp.abs(u[k]))) for k, x in e.items()]
        return jnp.sqrt(jnp.max(mean_squares(relative, self.cells)))

    def valid(self, u: Fields, tol: Number) -> tuple[Truth, Number]:
        """(True if all values are finite, lowest value over the tolerance of its field; below -1, a density
        is negative).
        """
        # cell by cell first, so that each is one reduction
        finite = reduce(jnp.logical_and, (jnp.isfinite(x) for x in u.values()))
        none = jnp.zeros((), self._dtype)
        densities = (x / (tol * self.scale[k]) for k, x in u.items() if k not in self.signed)
        return jnp.all(finite), jnp.min(reduce(jnp.minimum, densities, none)).astype(jnp.float64)

    def bounds(self, u: Fields, t: Number | float = 0.0) -> tuple[Number, Number]:
        """(Spectral radius of the right-hand side, largest rate at which drift empties a cell), 1/time; by
        Gershgorin's circles.
        """
        aux = self.update_coefficients(u)
        wrap = self.shape.wrap
        moving = [
            2 * d * jnp.max(own_diffusion(aux.media[m], wrap))
            for d, m in self.model.diffusivity(self.p).values()
        ]
        leaving = [jnp.max(own_drift(v, wrap)) for v in self.model.drift(u, self.p, self.place, aux).values()]
        beside = [jnp.max(loss) for loss, _ in self._exchanges(aux).values()]
        none = jnp.zeros((), self._dtype)
        fastest = jnp.max(jnp.stack([none, *leaving]))
        pointwise = self.model.reaction_bound(u, self.p, self.place, aux, self.inputs(jnp.asarray(t)))
        return (
            jnp.max(jnp.stack([none, *moving]))
            + 2 * fastest
            + pointwise
            + jnp.max(jnp.stack([none, *beside])),
            fastest,
        )

    # --- one implicit stage ---------------------------------------------------------------------------------

    @jax.jit
    def stage(
        self, t: Number, predicted: Fields, psi: Fields, sigma: Number, tol: Number
    ) -> tuple[Fields, Sums, Numbers]:
        """Solve σ (u - ψ) = f(t, u) from a predictor, group by group, with a fixed amount of work.

        Surface and coefficients follow the predicted bone. A transport group takes one Newton step (Jacobian
        at the predictor), solved by its number of V-cycles. σ = 0 gives the steady state at frozen bone.
        Returns u, the flows of the budgets at u, and for each transport group {"<group>": size of the last
        V-cycle's correction in the error norm, "<group>.contraction": its ratio to the cycle before}. It is
        compiled on its own, once for the baseline and all steps, because it is nearly all there is to
        compile.
        """
        u, report = dict(predicted), {}
        aux = _refreshed(self, predicted)
        for group in self.model.groups:
            if group.solve == "transport":
                found, report[group.name], report[f"{group.name}.contraction"] = self._transport(
                    group, t, u, psi, sigma, tol, aux
                )
            else:
                found = self.model.pointwise(
                    group.name, u, psi, sigma, self.p, self.place, aux, self.inputs(t)
                )
            u |= found
        return u, self.flows(t, u, aux), report

    def _transport(
        self, group: Group, t: Number, u: Fields, psi: Fields, sigma: Number, tol: Number, aux: Coefficients
    ) -> tuple[Fields, Number, Number]:
        def size(change: multigrid.Vector) -> Number:
            return self.norm(dict(zip(group.fields, change, strict=True)), u, tol)

        problem = self._linear(group, t, u, psi, sigma, aux)
        scales = tuple(self.scale[n] for n in group.fields) if group.name in self.krylov else None
        with jax.named_scope(f"cycles_{group.name}"):
            change, last, contraction = multigrid.solve(
                *problem, self.shape, self.cycles[group.name], size, scales
            )
        return {n: u[n] + c for n, c in zip(group.fields, change, strict=True)}, last, contraction

    def _linear(
        self, group: Group, t: Number, u: Fields, psi: Fields, sigma: Number, aux: Coefficients
    ) -> tuple[multigrid.Operator, tuple[multigrid.Level, ...], multigrid.Vector, PerField]:
        """Newton's equations of a group at u: operator, levels, residual, and the residual summed without
        fluxes.
        """
        wrap, names = self.shape.wrap, group.fields
        local_rates = _local_rates(self, t, u, aux)
        drifting = self.model.drift(u, self.p, self.place, aux) if len(names) == 1 else {}
        carried = drifting.get(names[0])
        ways = [self._moves(name, aux, drifting) for name in names]

        local, right = [], []
        for name, (d, c) in zip(names, ways, strict=True):
            here = (sigma * (psi[name] - u[name]) + local_rates[name]) * self.place.active
            moved = d * diffusion(u[name], c, wrap)
            local.append(here)
            right.append(here + moved if carried is None else here + moved + drift(u[name], carried, wrap))

        block, coefficients = self.model.linearise(group.name, u, self.p, self.place, aux, self.inputs(t))
        op = multigrid.Operator(sigma, tuple(d for d, _ in ways), block)
        open_to = self._exchanges(aux)
        held = (
            tuple(open_to[n][0] if n in open_to else jnp.zeros_like(u[n]) for n in names)
            if open_to.keys() & set(names)
            else None
        )
        levels = multigrid.hierarchy(
            multigrid.level(ways[0][1], coefficients, carried, wrap, held, self.pockets), self.shape
        )
        return op, levels, tuple(right), all_sums(local, self.pockets)

    def contraction(self, t: Number, u: Fields, sigma: Number, cycles: int = 8) -> dict[str, list[float]]:
        """For each transport group, the factors by which the residual of a random start falls in each V-cycle
        at this σ.
        """
        aux, out = self.update_coefficients(u), {}
        for group in self.model.groups:
            if group.solve == "transport":
                op, levels, _, _ = self._linear(group, t, u, u, sigma, aux)
                out[group.name] = multigrid.contraction(op, levels, self.shape, cycles)
        return out


# In a stage, several computations read the results of these functions, and XLA would compute them again for
# each: at 64^3 a stage takes an eighth less. In an explicit step, no result is read twice.
_refreshed = no_fusion()(System.update_coefficients)
_local_rates = no_fusion()(System.local_rates)
