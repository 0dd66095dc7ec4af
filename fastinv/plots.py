"""Plots of robot arms, branches of functions of one variable, predicted distributions and their
calibration.

Functions take and return Matplotlib's Axes. Without one they make a new figure that no
global state refers to: save it with ``axes.figure.savefig(path)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.stats import binom
from sklearn.utils.validation import check_is_fitted

from fastinv._common.arrays import Float64Array
from fastinv._common.validation import as_float64, check_number, check_pairs, check_targets
from fastinv.calibration import Calibration
from fastinv.solutions import Status
from fastinv.solvers import BaseSolver

__all__ = [
    "ArmStyle",
    "plot_arm_solutions",
    "plot_branches",
    "plot_calibration",
    "plot_conditional",
]


class ArmStyle(NamedTuple):
    """How arms are drawn, and their name in a legend."""

    color: str
    line: str
    label: str


# Colours of Okabe and Ito's palette for the colour-blind. Different meanings also differ in line or
# marker, for print without colours.
BENT_LEFT = ArmStyle("#0072B2", "-", "bent to the left")
BENT_RIGHT = ArmStyle("#D55E00", "--", "bent to the right")
_CURVE = "0.6"
_MARKERS = {
    Status.CONVERGED: ("o", "#0072B2"),
    Status.APPROXIMATE: ("s", "#E69F00"),
    Status.EXTRAPOLATED: ("^", "#D55E00"),
    Status.OUT_OF_BOUNDS: ("v", "#CC79A7"),
    Status.UNREACHABLE: ("x", "black"),
}
_N_CURVE_POINTS = 1001
_N_TARGETS = 60
_N_CONDITIONS, _N_VALUES = 160, 200  # grid of a predicted distribution, across and up
_FAINT = 0.01  # relative to the densest mode: fainter modes are not drawn
_MARGIN = 0.05  # margin around the data, relative to their range


def plot_arm_solutions(
    solutions: Sequence[ArrayLike],
    targets: ArrayLike,
    ax: Axes | None = None,
    *,
    link_lengths: ArrayLike | None = None,
    styles: tuple[ArmStyle, ArmStyle] = (BENT_LEFT, BENT_RIGHT),
    miss_color: str | None = None,
) -> Axes:
    """Draw planar arms with their base at the origin, and the targets of their hands.

    Parameters
    ----------
    solutions : sequence of n array-likes of shape (m_i, p)
        Joint angles for each target in radians, each relative to the previous link.
    targets : array-like of shape (n, 2)
    ax : Axes, default=None
        None makes a figure.
    link_lengths : array-like of shape (p,), default=None
        None takes 1 for all.
    styles : tuple of two ArmStyle
        Styles of arms whose second angle is positive, and of the others.
    miss_color : str, default=None
        Colour of a line from each hand to its target; None draws no such line.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        Wrong shapes, or not as many sets of solutions as targets.
    """
    goals = check_targets(targets, 2)
    if len(solutions) != len(goals):
        raise ValueError(
            f"solutions must hold one array for each of {len(goals)} targets, got {len(solutions)}"
        )
    ax = _new_axes() if ax is None else ax
    for x, goal in zip(solutions, goals, strict=True):
        angles = as_float64(x, "solutions")
        for joints, bent_left in zip(
            _joints(angles, link_lengths), angles[:, 1:2] > 0, strict=True
        ):
            _draw_arm(ax, joints, styles[0] if bent_left.all() else styles[1])
            if miss_color is not None:
                ends = np.stack([joints[-1], goal], axis=1)
                ax.plot(*ends, color=miss_color, linewidth=2.2, zorder=4, label="miss")
    ax.plot(
        *goals.T,
        "o",
        markersize=14,
        markerfacecolor="none",
        markeredgecolor="black",
        markeredgewidth=1.6,
        zorder=5,
        label="target",
    )
    ax.plot(0.0, 0.0, "s", color="black", markersize=9, zorder=6, label="base")
    ax.set_aspect("equal")
    ax.set_xlabel("y₁")
    ax.set_ylabel("y₂")
    return ax


def plot_branches(
    solver: BaseSolver,
    targets: ArrayLike | None = None,
    ax: Axes | None = None,
    *,
    k: int | None = None,
) -> Axes:
    """Draw a function of one variable, the anchors on it, and the solutions of some targets.

    Like figures 2, 5 and 6 of Wetzel (2026), "Inverting Non-Injective Functions with Twin Neural
    Network Regression".

    Parameters
    ----------
    solver : BaseSolver
        Fitted, from one input to one output.
    targets : array-like of shape (n,) or (n, 1), default=None
        None takes 60 between the smallest and the largest y of the anchors.
    ax : Axes, default=None
        None makes a figure.
    k : int, default=None
        Solutions per target, as in :meth:`BaseSolver.solve`; their markers tell their status.

    Returns
    -------
    Axes

    Raises
    ------
    NotFittedError
    ValueError
        If x or y has more than one component, or what `solver.solve` refuses.
    """
    check_is_fitted(solver, "anchors_x_")
    shape = (solver.n_features_in_, solver.n_outputs_)
    if shape != (1, 1):
        raise ValueError(
            f"solver must go from one input to one output, got {shape[0]} to {shape[1]}"
        )
    anchors_x, anchors_y = solver.anchors_x_.ravel(), solver.anchors_y_.ravel()
    if targets is None:
        targets = np.linspace(anchors_y.min(), anchors_y.max(), _N_TARGETS)
    solutions = solver.solve(targets, k)
    ends = solver.anchors_x_ if solver.bounds_ is None else solver.bounds_
    curve = np.linspace(ends.min(), ends.max(), _N_CURVE_POINTS)
    ax = _new_axes() if ax is None else ax
    ax.plot(curve, solver.predict(curve[:, None]).ravel(), "-", color=_CURVE, label="f")
    ax.plot(anchors_x, anchors_y, "|", color="black", markersize=5, label="anchors")
    y = np.broadcast_to(solutions.targets, solutions.status.shape)
    for status, (marker, color) in _MARKERS.items():
        rows = solutions.status == status
        if rows.any():
            label = status.name.lower().replace("_", " ")
            ax.plot(solutions.x[rows, 0], y[rows], marker, color=color, markersize=4, label=label)
    ax.set_xlabel("x")
    ax.set_ylabel("y")
    return ax


def plot_conditional(model: Any, X: ArrayLike, y: ArrayLike, ax: Axes | None = None) -> Axes:
    """Draw the density p(y | x) that a model predicts, its modes, and data.

    Parameters
    ----------
    model : estimator with ``predict_distribution``
        Fitted, from one input to one output; for the inverse of f pass y as `X` and x as `y`.
    X : array-like of shape (n, 1)
        Data; the picture extends a little beyond them.
    y : array-like of shape (n,) or (n, 1)
    ax : Axes, default=None
        None makes a figure.

    Returns
    -------
    Axes
        Densities are divided by the largest at the same x, so that every x shows its branches.

    Raises
    ------
    NotFittedError
    ValueError
        If x or y has more than one component, or as :func:`fastinv._common.validation.check_pairs`.
    """
    inputs, outputs = check_pairs(X, y)
    shape = inputs.shape[1], outputs.shape[1]
    if shape != (1, 1):
        raise ValueError(f"X and y must have one column each, got {shape[0]} and {shape[1]}")
    across, up = _grid(inputs, _N_CONDITIONS), _grid(outputs, _N_VALUES)
    mixture = model.predict_distribution(across[:, None])
    density = np.stack([mixture.log_prob(np.full((len(across), 1), value)) for value in up])
    density = np.exp(density - density.max(axis=0))
    modes = mixture.modes()
    ax = _new_axes() if ax is None else ax
    ax.pcolormesh(across, up, density, cmap="Blues", vmin=0.0, vmax=1.5, rasterized=True)
    ax.plot(inputs, outputs, ".", color="black", markersize=1.5, alpha=0.4, label="data")
    drawn = modes.log_prob >= modes.log_prob[:, :1] + np.log(_FAINT)
    x_of_modes = np.broadcast_to(across[:, None], drawn.shape)[drawn]
    ax.plot(x_of_modes, modes.x[drawn, 0], ".", color="#D55E00", markersize=4, label="modes")
    ax.set_xlabel("x")
    ax.set_ylabel("y")
    return ax


def plot_calibration(
    calibration: Calibration, ax: Axes | None = None, *, confidence: float = 0.95
) -> Axes:
    """Draw coverage against level: the diagonal is right; below it, the model is too narrow.

    Parameters
    ----------
    calibration : Calibration
    ax : Axes, default=None
        None makes a figure.
    confidence : float, default=0.95
        Probability that the coverage of a correct distribution lies in the grey band at one level:
        quantiles of the binomial distribution for the number of held-out values.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If `confidence` is not between 0 and 1.
    """
    check_number(confidence, "confidence", above=0.0, below=1.0)
    n, levels = len(calibration), np.linspace(0.0, 1.0, 201)
    tail = (1.0 - confidence) / 2.0
    band = binom.ppf([[tail], [1.0 - tail]], n, levels) / n
    ax = _new_axes() if ax is None else ax
    label = f"{confidence:.0%} of {n} values"
    ax.fill_between(levels, *band, color="0.85", linewidth=0.0, label=label)
    ax.plot([0.0, 1.0], [0.0, 1.0], "-", color=_CURVE, linewidth=1.0)
    for i, coverage in enumerate(calibration.central_coverage.T):
        label = "central interval" if i == 0 else "_"
        ax.plot(calibration.levels, coverage, "o--", color="#0072B2", markersize=4, label=label)
    ax.plot(
        calibration.levels,
        calibration.hdr_coverage,
        "s-",
        color="#D55E00",
        markersize=4,
        label="highest-density region",
    )
    ax.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0), xlabel="level", ylabel="coverage", aspect="equal")
    ax.legend(loc="upper left")
    return ax


def _grid(values: Float64Array, n: int) -> Float64Array:
    """`n` numbers across the range of `values`, and a little beyond."""
    low, high = float(values.min()), float(values.max())
    margin = _MARGIN * (high - low)
    return np.linspace(low - margin, high + margin, n)


def _new_axes() -> Axes:
    axes: Axes = Figure(layout="constrained").subplots()
    return axes


def _joints(angles: ArrayLike, link_lengths: ArrayLike | None) -> Float64Array:
    """Positions (m, p + 1, 2) of base, elbows and hand for joint angles (m, p)."""
    x = as_float64(angles, "solutions")
    if x.ndim != 2:
        raise ValueError(f"solutions must hold arrays of shape (m, p), got {x.shape}")
    lengths = (
        np.ones(x.shape[1]) if link_lengths is None else as_float64(link_lengths, "link_lengths")
    )
    if lengths.shape != (x.shape[1],):
        raise ValueError(f"link_lengths must have shape ({x.shape[1]},), got {lengths.shape}")
    directions = np.cumsum(x, axis=1)
    links = lengths[:, None] * np.stack([np.cos(directions), np.sin(directions)], axis=2)
    base = np.zeros((len(x), 1, 2))
    return np.concatenate([base, np.cumsum(links, axis=1)], axis=1)


def _draw_arm(ax: Axes, joints: Float64Array, style: ArmStyle) -> None:
    color = style.color
    ax.plot(*joints.T, style.line, color=color, linewidth=2.0, zorder=2, label=style.label)
    ax.plot(*joints[1:-1].T, "o", color=color, markersize=5, zorder=3)
    ax.plot(*joints[-1], "o", color=color, markersize=6, zorder=3)
