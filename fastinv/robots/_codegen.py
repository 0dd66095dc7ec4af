"""Row functions of a chain, written as straight-line code for Numba to compile.

A loop over 4x4 matrices spends most of its time on entries that are 0 or 1. Here the product of
the chain is computed once with names in place of numbers. Constants are folded, which
leaves few scalar sums that depend on the joints, and no arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastinv.functions.compilation import RowFunction
from fastinv.robots._transforms import z_to

Float64Array = NDArray[np.float64]
Output = Literal["position", "pose"]
Entry = float | str  # a constant, or the name of a variable of the program
Vector = list[Entry]

OUTPUTS: tuple[Output, ...] = ("position", "pose")
N_OUTPUTS = {"position": 3, "pose": 12}


_ZERO: list[Vector] = [[0.0] * 3] * 3


class RowDescription(NamedTuple):
    """The description that the code of a row function is made from.

    Attributes
    ----------
    fixed : ndarray of shape (p + 1, 4, 4)
        Transform before each joint, and the one after the last.
    axes : ndarray of shape (p, 3)
        Unit vectors in the frame of each joint.
    prismatic : tuple of p bool
        Whether a joint slides along its axis; otherwise it turns about it.
    output : {"position", "pose"}
        3 coordinates, or these and the 9 entries of ``scale`` times the rotation, row by row.
    scale : float
    """

    fixed: Float64Array
    axes: Float64Array
    prismatic: tuple[bool, ...]
    output: Output
    scale: float


class _Program:
    """Lines of scalar code with folded constants."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def let(self, expression: str) -> str:
        """A new variable that holds `expression`."""
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {expression}")
        return name

    def total(self, *products: tuple[Entry, ...]) -> Entry:
        """The sum of `products`, each given by its factors."""
        constant = 0.0
        terms = []
        for factors in products:
            number = float(math.prod(f for f in factors if isinstance(f, float)))
            names = [f for f in factors if isinstance(f, str)]
            if not names:
                constant += number
            elif number != 0.0:
                size = [] if abs(number) == 1.0 else [repr(abs(number))]
                terms.append(("- " if number < 0.0 else "+ ") + " * ".join(size + names))
        if not terms:
            return constant
        if constant != 0.0:
            terms.append(f"{'-' if constant < 0.0 else '+'} {abs(constant)!r}")
        expression = " ".join(terms).removeprefix("+ ")
        return expression if expression.isidentifier() else self.let(expression)

    def combination(self, vectors: Sequence[Vector], weights: Sequence[Entry]) -> Vector:
        """The sum of ``weight * vector``."""
        pairs = list(zip(vectors, weights, strict=True))
        return [self.total(*((weight, v[i]) for v, weight in pairs)) for i in range(3)]

    def cross(self, a: Vector, b: Vector) -> Vector:
        """The vector product a × b."""
        return [self.total((a[i], b[j]), (-1.0, a[j], b[i])) for i, j in ((1, 2), (2, 0), (0, 1))]


@dataclass
class _Frames:
    """The frames of a chain, in the variables of a program.

    Attributes
    ----------
    axes, origins : list of vectors
        Direction of each joint's axis and a point on it.
    columns : list of 3 vectors
        Columns of the rotation of the end frame.
    position : vector
        Origin of the end frame.
    """

    axes: list[Vector]
    origins: list[Vector]
    columns: list[Vector]
    position: Vector


def forward_rows(name: str, described: RowDescription) -> RowFunction:
    """The function ``f(x, y)`` that writes the end frame's position or pose.

    Parameters
    ----------
    name : str
        Name of the function, in messages.
    described : RowDescription

    Returns
    -------
    callable
        A plain Python function that Numba can compile; x (p,), y (3,) or (12,).
    """
    program = _Program()
    frames = _propagate(program, described)
    image = list(frames.position)
    if described.output == "pose":
        scale = described.scale
        image += [program.total((scale, column[i])) for i in range(3) for column in frames.columns]
    program.lines += [f"y[{i}] = {entry}" for i, entry in enumerate(image)]
    return _define(name, "y", program)


def jacobian_rows(name: str, described: RowDescription) -> RowFunction:
    """The function ``jac(x, J)`` that writes ∂y_i/∂x_j of :func:`forward_rows` into ``J[i, j]``.

    A joint that turns about the axis z through o moves the end frame (R, p) by
    ``∂p = z × (p - o)`` and ``∂R = z × R``; one that slides, by ``∂p = z`` and ``∂R = 0``.

    Parameters
    ----------
    name : str
    described : RowDescription

    Returns
    -------
    callable
        A plain Python function that Numba can compile; x (p,), J (3 or 12, p).
    """
    program = _Program()
    frames = _propagate(program, described)
    scaled = [[program.total((described.scale, e)) for e in column] for column in frames.columns]
    for j, (axis, origin) in enumerate(zip(frames.axes, frames.origins, strict=True)):
        if described.prismatic[j]:
            slope, turned = list(axis), _ZERO
        else:
            lever = program.combination([frames.position, origin], [1.0, -1.0])
            slope, turned = program.cross(axis, lever), [program.cross(axis, c) for c in scaled]
        if described.output == "pose":
            slope += [column[i] for i in range(3) for column in turned]
        program.lines += [f"J[{i}, {j}] = {entry}" for i, entry in enumerate(slope)]
    return _define(name, "J", program)


def _propagate(program: _Program, described: RowDescription) -> _Frames:
    """Multiply out the chain from its base to its end."""
    columns: list[Vector] = [[float(i == j) for i in range(3)] for j in range(3)]
    position: Vector = [0.0] * 3
    joint_axes, origins = [], []
    for j, constant in enumerate(_about_z(described.fixed, described.axes)):
        weights = constant.T.tolist()
        position = program.combination([*columns, position], [*weights[3][:3], 1.0])
        columns = [program.combination(columns, weight[:3]) for weight in weights[:3]]
        if j == len(described.axes):
            break
        joint_axes.append(columns[2])
        origins.append(position)
        if described.prismatic[j]:
            position = program.combination([position, columns[2]], [1.0, program.let(f"x[{j}]")])
        else:
            angle = program.let(f"x[{j}]")
            cosine, sine = program.let(f"math.cos({angle})"), program.let(f"math.sin({angle})")
            minus = program.let(f"-{sine}")
            columns = [
                program.combination(columns[:2], [cosine, sine]),
                program.combination(columns[:2], [minus, cosine]),
                columns[2],
            ]
    return _Frames(joint_axes, origins, columns, position)


def _about_z(fixed: Float64Array, axes: Float64Array) -> Float64Array:
    """Constants (p + 1, 4, 4) of the same chain with joints about the z axes of their frames.

    Turning about a is turning about z between ``Q`` and ``Qᵀ``, where Q takes z to a; these go
    into the constants, so that a joint changes two columns of the rotation only.
    """
    constants = fixed.copy()
    for j, axis in enumerate(axes):
        turn = np.eye(4)
        turn[:3, :3] = z_to(axis)
        constants[j] = constants[j] @ turn
        constants[j + 1] = turn.T @ constants[j + 1]
    return constants


def _define(name: str, result: str, program: _Program) -> RowFunction:
    """The lines of `program` as a Python function of x and `result`."""
    lines = "".join(f"    {line}\n" for line in program.lines)
    namespace: dict[str, Any] = {"math": math, "__name__": __name__}
    code = compile(f"def row_function(x, {result}):\n{lines}", "<fastinv.robots>", "exec")
    exec(code, namespace)
    function: RowFunction = namespace["row_function"]
    function.__name__ = name  # for messages; LLVM sees __qualname__, which must be ASCII
    return function
