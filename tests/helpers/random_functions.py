"""Random functions of eight families, in all units, with what is proven of their ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flint import arb
from formulas import Array, Formula

FAMILIES = (
    "powers",  # polynomials written in powers
    "horner",  # and as Horner writes them
    "factored",  # with double and triple roots
    "exponentials",  # over up to 26 decades
    "sines",
    "compositions",
    "rationals",
    "cancelling",  # offsets that cancel: f's rounding error is far above an ulp of f
)
# (p, q): mostly as many outputs as inputs.
_SHAPES = [(1, 1)] * 8 + [(2, 2)] * 6 + [(3, 3)] * 2 + [(1, 2), (2, 3), (2, 1), (3, 2), (3, 1)]


@dataclass
class Cap:
    """A proven bound on one output: no x at all leads beyond it."""

    output: int
    value: float  # the bound, rounded outwards
    sign: float  # 1 where it is the largest value, -1 where it is the smallest
    tight: bool  # whether f comes as near to it as rounding allows


@dataclass
class RandomFunction:
    """f, where it is defined, and what is known of it.

    Attributes
    ----------
    family : str
    formula : Formula
    bounds : ndarray of shape (p, 2)
    caps : list of Cap
    special : list of ndarray of shape (p,)
        Places of multiple roots.
    """

    family: str
    formula: Formula
    bounds: Array
    caps: list[Cap] = field(default_factory=list)
    special: list[Array] = field(default_factory=list)


class _Builder:
    """Draws the outputs of one function in unit inputs; `finish` gives them their units."""

    def __init__(self, family: str, p: int, rng: np.random.Generator) -> None:
        self.rng, self.family = rng, family
        self.f = Formula(p)
        self.middle = rng.choice([0.0, 0.0, 0.0, 1.0, 30.0], size=p)
        self.units = 10.0 ** rng.uniform(-12, 12, size=p)
        self.low, self.high = self.middle - 1.0, self.middle + 1.0
        raw = [self.f.times(self.f.x(i), float(1.0 / s)) for i, s in enumerate(self.units)]
        self.u = [self.f.plus(v, -m) if m else v for v, m in zip(raw, self.middle, strict=True)]
        self.extremes: dict[int, tuple[int, float, float]] = {}
        self.roots: list[tuple[int, float]] = []  # input, value of u

    def number(self, low: float = 0.3, high: float = 1.5) -> float:
        """Of either sign, to three digits half of the time."""
        value = self.rng.uniform(low, high) * self.rng.choice([-1.0, 1.0])
        return float(round(value, 3) if self.rng.random() < 0.5 else value)

    def mixture(self, first: int) -> int:
        """A linear combination of the inputs in which number `first` counts most."""
        f, p = self.f, len(self.u)
        total = f.times(self.u[first % p], self.number(0.8, 1.6))
        for k in range(1, p):
            total = f.add(total, f.times(self.u[(first + k) % p], self.number(0.1, 0.6)))
        return total

    def coefficients(self, n: int) -> list[float]:
        return [self.number() for _ in range(n)]

    def powers(self, j: int) -> int:
        f, v = self.f, self.mixture(j)
        degree = int(self.rng.integers(2, 6))
        total = f.times(v, self.number())
        for n in range(2, degree + 1):
            total = f.add(total, f.times(f.power(v, n), self.number()))
        return f.plus(total, self.number())

    def horner(self, j: int) -> int:
        f, v = self.f, self.mixture(j)
        total = f.plus(f.times(v, self.number()), self.number())
        for _ in range(int(self.rng.integers(1, 5))):
            total = f.plus(f.multiply(total, v), self.number())
        return total

    def factored(self, j: int) -> int:
        f, i = self.f, j % len(self.u)
        total = f.constant(self.number())
        for _ in range(int(self.rng.integers(1, 4))):
            root, n = float(self.rng.uniform(-0.9, 0.9)), int(self.rng.choice([1, 2, 2, 3]))
            total = f.multiply(total, f.power(f.plus(self.u[i], -root), n))
            if n > 1:
                self.roots.append((i, root))
        other = (i + 1) % len(self.u)
        if other != i:  # coupled, so that the other outputs move it
            total = f.add(total, f.times(self.u[other], self.number(0.05, 0.3)))
        return total

    def exponentials(self, j: int) -> int:
        f, v = self.f, self.mixture(j)
        rate = self.number(1.0, 30.0)
        grown = f.exp(f.times(v, rate))
        self.extremes[grown] = (grown, -1.0, 0.0)
        if self.rng.random() < 0.4:
            return grown
        if self.rng.random() < 0.5:
            return f.add(grown, f.times(f.exp(f.times(v, self.number(0.3, 3.0))), self.number()))
        return f.add(grown, f.times(v, self.number()))

    def sines(self, j: int) -> int:
        f, v = self.f, self.mixture(j)
        wave = f.sin(f.plus(f.times(v, self.number(1.0, 8.0)), self.number()))
        if self.rng.random() < 0.5:
            return self._monotone(wave, 1.0, 1.0)
        return f.add(wave, f.times(f.sin(f.times(v, self.number(0.3, 2.0))), self.number()))

    def compositions(self, j: int, depth: int = 3) -> int:
        f, total = self.f, self.mixture(j)
        for _ in range(int(self.rng.integers(1, depth + 1))):
            kind = self.rng.integers(5)
            inner = f.plus(f.times(total, self.number()), self.number())
            if kind == 0:
                total = f.sin(f.times(inner, 2.0))
            elif kind == 1:
                total = f.exp(inner)
            elif kind == 2:
                total = f.power(inner, 2)
            elif kind == 3:
                total = f.multiply(inner, f.sin(inner))
            else:
                total = f.divide(inner, f.plus(f.power(inner, 2), 1.0))
        if self.rng.random() < 0.5:
            return self._monotone(f.power(total, 2), 0.0, -1.0)
        return total

    def rationals(self, j: int) -> int:
        f, v = self.f, self.mixture(j)
        below = f.plus(
            f.power(f.plus(v, self.number(0.0, 0.5)), 2), float(self.rng.uniform(0.1, 1))
        )
        above = f.plus(f.times(v, self.number()), self.number())
        if self.rng.random() < 0.4:
            bell = f.divide(f.constant(1.0), f.plus(f.power(above, 2), 1.0))
            return self._monotone(bell, 1.0, 1.0)
        return f.divide(above, below)

    def cancelling(self, j: int) -> int:
        inner = getattr(self, str(self.rng.choice(["powers", "horner", "sines", "rationals"])))(j)
        offset = float(10.0 ** self.rng.uniform(0, 6))
        return self.f.plus(self.f.plus(inner, offset), -offset)

    def _monotone(self, node: int, extreme: float, sign: float) -> int:
        """Something increasing of step `node`, whose `extreme` is the largest (sign 1) or the
        smallest (-1) value that it can have."""
        f, kind = self.f, self.rng.integers(3)
        result = node
        if kind == 1:
            result = f.exp(f.times(node, float(self.rng.uniform(0.5, 3.0))))
        elif kind == 2:
            result = f.power(f.plus(node, float(self.rng.uniform(-0.5, 0.5))), 3)
        self.extremes[result] = (node, sign, extreme)
        return result

    def finish(self, drawn: list[int]) -> RandomFunction:
        """Outputs in random units, with offsets."""
        f, rng = self.f, self.rng
        bounds = np.stack([self.low * self.units, self.high * self.units], axis=1)
        found = RandomFunction(self.family, f, bounds)
        factors = 10.0 ** rng.uniform(-12, 12, size=len(drawn)) * rng.choice(
            [-1.0, 1.0], len(drawn)
        )
        for node, factor in zip(drawn, factors, strict=True):
            shifted = f.plus(node, self.number()) if rng.random() < 0.3 else node
            f.outputs.append(f.times(shifted, float(factor)))
        point = [arb(float(middle)) for middle in bounds.mean(axis=1)]
        for j, node in enumerate(drawn):
            if node in self.extremes:
                inner, sign, extreme = self.extremes[node]
                sign *= float(np.sign(factors[j]))
                ball = f.exact(point, {inner: arb(extreme)})[j]
                edge = ball.upper() if sign > 0 else ball.lower()
                found.caps.append(Cap(j, outwards(edge, sign), sign, True))
        for i, root in self.roots:
            x = rng.uniform(self.low, self.high)
            x[i] = root + self.middle[i]
            found.special.append(np.clip(x * self.units, bounds[:, 0], bounds[:, 1]))
        return found


def outwards(edge: Any, sign: float) -> float:
    """A float64 at or beyond `edge` in the direction of `sign`."""
    value = float(edge)
    while (arb(value) - edge) * int(sign) < 0:
        value = float(np.nextafter(value, sign * np.inf))
    return value


def random_function(rng: np.random.Generator, family: str | None = None) -> RandomFunction:
    """One function of a random family that is finite in its bounds and not constant there."""
    while True:
        name = str(rng.choice(FAMILIES)) if family is None else family
        p, q = _SHAPES[rng.integers(len(_SHAPES))]
        builder = _Builder(name, p, rng)
        draw: Callable[[int], int] = getattr(builder, name)
        found = builder.finish([draw(j) for j in range(q)])
        X = rng.uniform(found.bounds[:, 0], found.bounds[:, 1], size=(200, p))
        Y, rounding = found.formula.compiled(X), found.formula.rounding(X)
        if np.isfinite(Y).all() and (np.ptp(Y, axis=0) > 1e3 * rounding.max(axis=0)).all():
            found.caps += interval_caps(found)
            return found


def interval_caps(found: RandomFunction, pieces: int = 600) -> list[Cap]:
    """Bounds on each output by ball arithmetic over pieces of the box: proven, and not tight,
    but for functions of one input that rise or fall everywhere: those end at their corners."""
    f, bounds = found.formula, found.bounds
    p = f.p
    n = max(2, round(pieces ** (1 / p)))
    edges = [np.linspace(low, high, n + 1) for low, high in bounds]
    low, high = np.full(f.q, np.inf), np.full(f.q, -np.inf)
    rises, falls = np.ones(f.q, dtype=bool), np.ones(f.q, dtype=bool)
    for cell in np.ndindex(*(n,) * p):
        box = [
            arb(float(edges[i][c])).union(arb(float(edges[i][c + 1]))) for i, c in enumerate(cell)
        ]
        values, slopes = f.exact_derivative(box)
        for j, value in enumerate(values):
            if not value.is_finite():
                low[j], high[j] = -np.inf, np.inf
                continue
            low[j] = min(low[j], outwards(value.lower(), -1.0))
            high[j] = max(high[j], outwards(value.upper(), 1.0))
            if p == 1:
                rises[j] &= bool(slopes[j][0] >= 0)
                falls[j] &= bool(slopes[j][0] <= 0)
    caps = [Cap(j, low[j], -1.0, False) for j in range(f.q) if np.isfinite(low[j])]
    caps += [Cap(j, high[j], 1.0, False) for j in range(f.q) if np.isfinite(high[j])]
    if p == 1:
        for j in np.flatnonzero(rises | falls):
            ends = [f.exact([arb(float(end))])[j] for end in bounds[0]]
            bottom, top = ends if rises[j] else ends[::-1]
            caps += [
                Cap(int(j), outwards(bottom.lower(), -1.0), -1.0, True),
                Cap(int(j), outwards(top.upper(), 1.0), 1.0, True),
            ]
    return caps
