"""Straight-line programs: one description of f for the compiler, for its rounding, and for proofs.

A :class:`Formula` gives the source of a function for ``fi.forward``, a bound on the rounding error
of that function in float64, and the function itself with its derivative in ball arithmetic (Arb, by
python-flint), to as many digits as are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

import fastinv as fi

Array = NDArray[np.float64]
UNIT = 2.0**-53  # rounding of one operation, relative
ctx.prec = 200  # bits: 60 digits


@dataclass
class Formula:
    """f from R^p to R^q, operation by operation.

    Attributes
    ----------
    p : int
    steps : list of tuple
        ``(name, arguments)``: numbers of earlier steps, and constants for "x", "constant" and
        "power". Step i computes v_i.
    outputs : list of int
        The steps that are the outputs.
    """

    p: int
    steps: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def _step(self, name: str, *arguments: Any) -> int:
        self.steps.append((name, arguments))
        return len(self.steps) - 1

    def x(self, i: int) -> int:
        return self._step("x", i)

    def constant(self, value: float) -> int:
        return self._step("constant", float(value))

    def add(self, a: int, b: int) -> int:
        return self._step("add", a, b)

    def subtract(self, a: int, b: int) -> int:
        return self._step("subtract", a, b)

    def multiply(self, a: int, b: int) -> int:
        return self._step("multiply", a, b)

    def divide(self, a: int, b: int) -> int:
        return self._step("divide", a, b)

    def power(self, a: int, n: int) -> int:
        return self._step("power", a, int(n))

    def sin(self, a: int) -> int:
        return self._step("sin", a)

    def exp(self, a: int) -> int:
        return self._step("exp", a)

    def times(self, a: int, value: float) -> int:
        return self.multiply(a, self.constant(value))

    def plus(self, a: int, value: float) -> int:
        return self.add(a, self.constant(value))

    @property
    def q(self) -> int:
        return len(self.outputs)

    @cached_property
    def source(self) -> str:
        """Of ``f(x, y)``."""
        lines = [f"    v{i} = {_SOURCE[name](*given)}" for i, (name, given) in self._numbered]
        results = [f"    y[{j}] = v{i}" for j, i in enumerate(self.outputs)]
        return "\n".join(["def f(x, y):", *lines, *results, ""])

    @property
    def _numbered(self) -> Any:
        return enumerate(self.steps)

    @cached_property
    def compiled(self) -> fi.ForwardFunction:
        names: dict[str, Any] = {"np": np}
        exec(self.source, names)
        return fi.forward(n_inputs=self.p, n_outputs=self.q)(names["f"])

    def rounding(self, X: Array) -> Array:
        """Bounds ``(n, q)`` on how far the compiled f may be from the true one at `X` (n, p).

        The error of each step is at most what its arguments' errors make of it, and its own
        rounding: half an ulp for arithmetic, one for sin and exp, n halves for a power n.
        """
        values: list[Any] = []
        errors: list[Any] = []
        with np.errstate(all="ignore"):
            for name, given in self.steps:
                if name == "x":
                    value, error = X[:, given[0]], 0.0
                elif name == "constant":
                    value, error = given[0], 0.0
                else:
                    arguments = [(values[i], errors[i]) for i in given if name != "power"]
                    if name == "power":
                        arguments = [(values[given[0]], errors[given[0]]), given[1]]
                    value, error = _ROUNDING[name](*arguments)
                values.append(value)
                errors.append(error)
        n = len(X)
        return np.stack([np.broadcast_to(errors[i], n) for i in self.outputs], axis=1)

    @cached_property
    def _exact(self) -> Any:
        """``exact(x, with_derivative, known)`` as Python source over Arb's balls, compiled."""
        lines, slopes = [], []
        depends: list[set[int]] = []
        for i, (name, given) in self._numbered:
            lines.append(f"    v{i} = {_EXACT[name](*given)}")
            lines.append(f"    if {i} in known: v{i} = known[{i}]")
            if name == "x":
                depends.append({given[0]})
                slopes.append(f"    d{i}_{given[0]} = one")
                continue
            of = given[:1] if name == "power" else given
            on = set() if name == "constant" else set().union(*(depends[a] for a in of))
            depends.append(on)
            slopes.extend(f"    d{i}_{k} = {slope(name, i, given, k, depends)}" for k in sorted(on))
        values = ", ".join(f"v{i}" for i in self.outputs)
        rows = ", ".join(
            "[" + ", ".join(f"d{i}_{k}" if k in depends[i] else "zero" for k in range(self.p)) + "]"
            for i in self.outputs
        )
        source = ["def exact(x, with_derivative, known):", *lines]
        source += ["    if not with_derivative:", f"        return [{values}], None", *slopes]
        names: dict[str, Any] = {"arb": arb, "one": arb(1), "zero": arb(0)}
        exec("\n".join([*source, f"    return [{values}], [{rows}]", ""]), names)
        return names["exact"]

    def exact(self, x: Any, known: dict[int, Any] | None = None) -> list[Any]:
        """f at a point, or a box, of balls: q balls. `known` replaces steps by values."""
        values, _ = self._exact(x, False, known or {})
        return values  # type: ignore[no-any-return]

    def exact_derivative(self, x: Any) -> tuple[list[Any], list[list[Any]]]:
        """f (q) and df/dx (q, p)."""
        return self._exact(x, True, {})  # type: ignore[no-any-return]


_SOURCE = {
    "x": lambda i: f"x[{i}]",
    "constant": repr,
    "add": lambda a, b: f"v{a} + v{b}",
    "subtract": lambda a, b: f"v{a} - v{b}",
    "multiply": lambda a, b: f"v{a} * v{b}",
    "divide": lambda a, b: f"v{a} / v{b}",
    "power": lambda a, n: f"v{a} ** {n}",
    "sin": lambda a: f"np.sin(v{a})",
    "exp": lambda a: f"np.exp(v{a})",
}

_EXACT = _SOURCE | {
    "constant": lambda value: f"arb({value!r})",
    "sin": lambda a: f"v{a}.sin()",
    "exp": lambda a: f"v{a}.exp()",
}


def slope(name: str, i: int, given: tuple[Any, ...], k: int, depends: list[set[int]]) -> str:
    """Source of dv_i / dx_k."""
    has = [f"d{a}_{k}" if k in depends[a] else "" for a in given[: 1 if name == "power" else 2]]
    if name in ("add", "subtract"):
        sign = "+" if name == "add" else "-"
        return f"{has[0] or 'zero'} {sign} {has[1]}" if has[1] else has[0]
    if name == "multiply":
        terms = [f"{d} * v{other}" for d, other in zip(has, given[::-1], strict=True) if d]
        return " + ".join(terms)
    if name == "divide":
        above = f"({has[0]} - v{i} * {has[1]})" if has[0] and has[1] else has[0]
        return f"{above or f'-v{i} * {has[1]}'} / v{given[1]}"
    if name == "power":
        return f"{given[1]} * v{given[0]} ** {given[1] - 1} * {has[0]}"
    return f"v{i} * {has[0]}" if name == "exp" else f"v{given[0]}.cos() * {has[0]}"


def _sum(a: Any, b: Any, sign: float = 1.0) -> Any:
    value = a[0] + sign * b[0]
    return value, a[1] + b[1] + UNIT * np.abs(value)


def _product(a: Any, b: Any) -> Any:
    value = a[0] * b[0]
    return value, np.abs(a[0]) * b[1] + np.abs(b[0]) * a[1] + a[1] * b[1] + UNIT * np.abs(value)


def _quotient(a: Any, b: Any) -> Any:
    value = a[0] / b[0]
    return value, (a[1] + np.abs(value) * b[1]) / (np.abs(b[0]) - b[1]) + UNIT * np.abs(value)


def _power(a: Any, n: int) -> Any:
    value, size = a[0] ** n, np.abs(a[0])
    spread = np.where(a[1] < 1e-3 * size, n * size ** (n - 1) * a[1] * 1.1, (size + a[1]) ** n)
    return value, spread * (a[1] > 0) + n * UNIT * np.abs(value)


def _sine(a: Any) -> Any:
    value = np.sin(a[0])
    return value, np.abs(np.cos(a[0])) * a[1] + 0.5 * a[1] ** 2 + 2 * UNIT * np.abs(value)


def _exponential(a: Any) -> Any:
    value = np.exp(a[0])
    return value, value * (np.expm1(a[1]) + 2 * UNIT)


_ROUNDING = {
    "add": _sum,
    "subtract": lambda a, b: _sum(a, b, -1.0),
    "multiply": _product,
    "divide": _quotient,
    "power": _power,
    "sin": _sine,
    "exp": _exponential,
}
