"""Judges solutions in high precision: is there a root of f - y within `x_error` of x?

Let f be the function that the formula stands for, with no rounding at all, and e(x) the bound on
the rounding error of the compiled one at x (`Formula.rounding`). A solution x of a target y, with
its `x_error` in units of the region's scale, is one of these:

ROOT        Inside the bounds and within `x_error` of x is a point z with f(z) = y, found by
            Newton's method from x in 60 digits. With more outputs than inputs a y that was rounded
            is no exact image: there z is the point of least squares, and |f(z) - y| <= 4 e(z) in
            each output, or the point that y is the rounded image of.
ROUNDED     No such z is known, but one with |f(z) - y| <= 4 e(z) in each output: to the accuracy of
            f in float64 it is a root. At folds and multiple roots the rounding of y can take the
            roots of f - y away, or out of the bounds.
UNDERSTATED As ROUNDED, but an exact root lies beyond `x_error`, and all of the straight line from x
            to it is ROUNDED: f cannot tell it from x, so `x_error` had to reach it.
FALSE       None of these: CONVERGED lied.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from math import hypot
from typing import Any

import numpy as np
from flint import arb, arb_mat
from formulas import Array, Formula

ACCURACY = 4.0  # of f, in bounds on its rounding error
_SLACK = 1e-15  # by which a root may be outside the bounds, relative to their size
_MOST_STEPS = 60
_ASIDE = (1e-8, -1e-8)


class Verdict(IntEnum):
    ROOT = 0
    ROUNDED = 1
    UNDERSTATED = 2
    FALSE = 3


@dataclass(frozen=True)
class Judgement:
    """Of one solution: the verdict; the distance of the nearest exact root that is known, in units
    of the scale, infinite where none is; and that root, if the verdict is ROOT."""

    verdict: Verdict
    true_error: float
    root: Any = None


class Judge:
    """Knows one function, its bounds and its scale ``(p,)``."""

    def __init__(self, formula: Formula, bounds: Array, scale: Array) -> None:
        self.formula, self.bounds, self.scale = formula, bounds, scale
        slack = _SLACK * np.abs(bounds).max(axis=1)
        self._low, self._high = bounds[:, 0] - slack, bounds[:, 1] + slack

    def judge(self, y: Array, x: Array, x_error: float, known: Iterable[Array] = ()) -> Judgement:
        """The verdict on `x`; `known` are other places where a root may be."""
        root = self.newton(y, x)
        for aside in _ASIDE if root is None else ():  # the derivative may vanish at x itself
            root = self.newton(y, x + aside * self.scale)
            if root is not None:
                break
        if root is not None and self.formula.p > self.formula.q and not self.inside(root):
            root = self.newton_on_bounds(y, root)  # of a set of roots, one that is inside
        if root is not None:
            distance = self.distance(root, x)
            if distance <= x_error and self.inside(root):
                return Judgement(Verdict.ROOT, distance, root)
        for start in known:
            other = self.newton(y, start)
            if self.formula.p < self.formula.q and self.is_rounded(y, start):
                other = start  # what y is the rounded image of
            if other is None or not self.inside(other):
                continue
            distance = self.distance(other, x)
            if distance <= x_error:
                return Judgement(Verdict.ROOT, distance, other)
            # Along a set of roots f is level: only the nearest one of it tells something.
            if self.formula.p <= self.formula.q and (
                root is None or not self.inside(root) or distance < self.distance(root, x)
            ):
                root = other
        exists = root is not None and self.inside(root)
        true_error = self.distance(root, x) if exists else np.inf
        if not self.is_rounded_near(y, x, x_error, known):
            return Judgement(Verdict.FALSE, true_error)
        if exists and self.is_level(y, x, root):
            return Judgement(Verdict.UNDERSTATED, true_error)
        return Judgement(Verdict.ROUNDED, true_error)

    def newton_on_bounds(self, y: Array, beyond: Any) -> Any:
        """From a root out of the bounds: one with the inputs that are beyond them on them."""
        values = np.array([float(v) for v in beyond])
        held = (values < self.bounds[:, 0]) | (values > self.bounds[:, 1])
        if self.formula.p - held.sum() < self.formula.q:
            return None
        start = np.clip(values, self.bounds[:, 0], self.bounds[:, 1])
        return self.newton(y, start, np.where(held, 0.0, 1.0))

    def newton(self, y: Array, start: Array, free: Any = 1.0) -> Any:
        """An exact root as balls' midpoints (p,), from `start`; None if it does not converge.

        Inputs of which `free` is 0 stay where they are.

        Towards a root of multiplicity m steps shrink by (m - 1) / m each: where they do, the next
        is taken m times as long.
        """
        f, target = self.formula, [arb(float(v)) for v in y]
        x = [arb(float(v)) for v in start]
        lengths = [np.inf]
        for _ in range(_MOST_STEPS):
            values, slopes = f.exact_derivative(x)
            gaps = [t - v for t, v in zip(target, values, strict=True)]
            if all(gap.mid() == 0 for gap in gaps):
                return x
            step = self._step(slopes, gaps, self.scale * free)
            if step is None:
                return None
            lengths.append(self._length(step))
            times = multiplicity(lengths)
            if times > 1:
                step = [d * times for d in step]
                lengths = [np.inf]  # the next two steps are compared with each other only
            x = [(v + d).mid() for v, d in zip(x, step, strict=True)]
            if not all(v.is_finite() for v in x):
                return None
            length = self._length(step)
            if length <= max(1e-40, 1e-10 * self.distance(x, start)) and length < 1e-20:
                return x if f.p >= f.q or self.is_rounded(y, x) else None
            if length > 1e6:
                return None
        return None

    def _step(self, slopes: list[list[Any]], gaps: list[Any], unit: Array) -> list[Any] | None:
        """Of least length in units of the scale, or to the least squares in units of f's slopes."""
        p, q = self.formula.p, self.formula.q
        scale = [arb(float(s)) for s in unit]
        rows = [[d * s for d, s in zip(row, scale, strict=True)] for row in slopes]
        sizes = [max((abs(float(d.mid())) for d in row), default=0.0) for row in rows]
        if min(sizes) == 0.0:
            return None
        J = arb_mat([[d.mid() / size for d in row] for row, size in zip(rows, sizes, strict=True)])
        r = arb_mat([[g.mid() / size] for g, size in zip(gaps, sizes, strict=True)])
        try:
            if p == q:
                step = J.solve(r)
            elif p > q:
                step = J.transpose() * (J * J.transpose()).solve(r)
            else:
                step = (J.transpose() * J).solve(J.transpose() * r)
        except ZeroDivisionError:
            return None
        return [step[i, 0].mid() * scale[i] for i in range(p)]

    def _length(self, step: Any) -> float:
        return hypot(*(float(d / arb(float(s))) for d, s in zip(step, self.scale, strict=True)))

    def distance(self, a: Any, b: Any) -> float:
        """Euclidean, in units of the scale."""
        return self._length([_ball(one) - _ball(other) for one, other in zip(a, b, strict=True)])

    def inside(self, x: Any) -> bool:
        values = np.array([float(v) for v in x])
        return bool(((self._low <= values) & (values <= self._high)).all())

    def is_rounded(self, y: Array, x: Any) -> bool:
        """Whether f cannot tell the image of `x` from y."""
        values = self.formula.exact([_ball(v) for v in x])
        allowed = ACCURACY * self.formula.rounding(np.array([[float(v) for v in x]]))[0]
        return all(
            abs(v - arb(float(t))) <= float(e) for v, t, e in zip(values, y, allowed, strict=True)
        )

    def is_rounded_near(self, y: Array, x: Array, x_error: float, known: Iterable[Array]) -> bool:
        """Whether f cannot tell y from the image of some point within `x_error` of `x`."""
        if self.is_rounded(y, x):
            return True
        near = [point for point in known if self.distance(point, x) <= x_error]
        return any(self.is_rounded(y, point) for point in near) or self._descends(y, x, x_error)

    def _descends(self, y: Array, x: Array, x_error: float) -> bool:
        """Levenberg-Marquardt inside the bounds and within `x_error`: for places where Newton's
        method has nowhere to go. In float64 but for the images."""
        f, point, damping = self.formula, np.array(x, dtype=float), 1e-3
        cost, J, r = self._least_squares(y, point)
        low, high = self.bounds.T
        for _ in range(40):
            # Inputs on a bound stay there if the way down leads out.
            down = J.T @ r
            J = J * ~((point <= low) & (down < 0) | (point >= high) & (down > 0))
            size = max(np.trace(J.T @ J), 1e-300)
            step = np.linalg.solve(J.T @ J + damping * size * np.eye(f.p), J.T @ r)
            moved = point + step * self.scale
            gap = (moved - x) / self.scale
            length = np.linalg.norm(gap)
            if length > x_error:
                moved = x + gap * (x_error / length) * self.scale
            moved = np.clip(moved, low, high)
            now, J_now, r_now = self._least_squares(y, moved)
            if not now < cost:
                damping *= 10.0
                continue
            point, cost, J, r, damping = moved, now, J_now, r_now, max(damping / 10.0, 1e-14)
            if self.is_rounded(y, point):
                return True
        return False

    def _least_squares(self, y: Array, x: Array) -> tuple[float, Array, Array]:
        values, slopes = self.formula.exact_derivative([arb(float(v)) for v in x])
        smallest = 1e-100  # for squares that neither overflow nor vanish
        rows = np.array([[float(d.mid()) for d in row] for row in slopes]) * self.scale
        r = np.array([float((arb(float(t)) - v).mid()) for t, v in zip(y, values, strict=True)])
        unit = np.maximum(np.abs(rows).max(axis=1), smallest * np.maximum(1.0, np.abs(r)))
        return float((r / unit) @ (r / unit)), rows / unit[:, None], r / unit

    def is_level(self, y: Array, x: Array, root: Any) -> bool:
        """Whether f cannot tell any point between `x` and the `root` from a root."""
        start = [arb(float(v)) for v in x]
        for t in (0.02, 0.1, 0.25, 0.5, 0.75, 0.9):
            point = [a + (b - a) * arb(t) for a, b in zip(start, root, strict=True)]
            if not self.is_rounded(y, point):
                return False
        return True


def multiplicity(lengths: list[float]) -> int:
    """Of the root that steps of these lengths lead to, 1 unless the last ones tell."""
    if len(lengths) < 4 or lengths[-1] == 0.0:
        return 1
    last, before = lengths[-1] / lengths[-2], lengths[-2] / lengths[-3]
    if not (0.4 < last < 0.97 and abs(last - before) < 0.02):
        return 1
    return round(1.0 / (1.0 - last))


def _ball(value: Any) -> Any:
    return value if isinstance(value, arb) else arb(float(value))
