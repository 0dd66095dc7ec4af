"""The paper's figures 2 to 9, redrawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fastinv._common.arrays import Float64Array
from fastinv._common.files import save_figure
from fastinv.problems import cubic, experiment, half_ball
from fastinv.reproduce.errors import Moments
from fastinv.reproduce.published import paper_result
from fastinv.reproduce.report.palette import BLUE, CURVE, GREEN, ORANGE, PINK, YELLOW
from fastinv.reproduce.report.sketch import draw_sketch
from fastinv.reproduce.runs import Table
from fastinv.reproduce.training.recipes import Recipe
from fastinv.solvers import NearestSolver, TwinSolver

_ANCHOR_STYLES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PINK, "v"), (YELLOW, "D"))
_FEW_ANCHORS = np.array([[-1.9], [-1.05], [-0.5], [0.4], [1.7]])  # badly placed, like the paper's
_ACCEPTED = 0.05  # residual up to which figure 6 keeps a candidate
_N_SHOWN = 1000
_FIGURE_OF_TABLE = {1: 8, 2: 9}
_LEGEND_WIDTH = 4.6  # inches
_DPI = 200


def draw_figures(tables: Mapping[int, Table], recipe: Recipe, folder: Path) -> list[str]:
    """Draw all figures into `folder`, as PNG.

    Parameters
    ----------
    tables : mapping of int to Table
        1 gives figure 8, 2 gives figure 9.
    recipe : Recipe
        Recipe of the networks for figures 2 and 4 to 7, on the paper's cubic and half ball.
    folder : Path

    Returns
    -------
    list of str
        The file names.
    """
    few = _FewAnchors(recipe)
    drawn = {
        2: _forward_and_inverse(recipe),
        3: draw_sketch(),
        4: _first_anchor(few, "from_nearest", "kNN"),
        5: _first_anchor(few, "from_twin", "twin network"),
        6: _all_anchors(few),
        7: _circles(recipe),
    }
    for number, table in tables.items():
        drawn[_FIGURE_OF_TABLE[number]] = draw_by_anchor(table)
    names = []
    for number, figure in drawn.items():
        names.append(f"figure_{number}.png")
        save_figure(figure, folder / names[-1], dpi=_DPI)
    return names


def draw_by_anchor(table: Table) -> Figure:
    """Figure 8 or 9: RMSE in y by anchor, the paper's protocol; its numbers hollow and dashed."""
    numbers = list(table.results)
    n_columns = min(3, len(numbers))
    n_rows = -(-len(numbers) // n_columns)
    size = (max(3.2 * n_columns + 0.6, _LEGEND_WIDTH), 2.6 * n_rows + 1.0)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for ax, number in zip(axes, numbers, strict=False):
        _draw_by_anchor(ax, table.paper_protocol(number), table.number == 2, ours=True)
        paper = paper_result(number, table.setting)
        _draw_by_anchor(ax, paper, table.number == 2, ours=False)
        ax.set(title=f"{number}: {experiment(number).title}", yscale="log")
        ax.set_xticks(range(1, 7), ["1st", "2nd", "3rd", "4th", "5th", "best"])
        ax.title.set_fontsize(9)
    for ax in axes[max(0, len(numbers) - n_columns) : len(numbers)]:
        ax.set_xlabel("anchor, as the paper counts")
    for ax in axes[len(numbers) :]:
        ax.set_visible(False)
    figure.supylabel("RMSE in y")
    handles, labels = axes[0].get_legend_handles_labels()  # ours, then the paper's: two columns
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _draw_by_anchor(ax: Axes, moments: Moments, learned: bool, *, ours: bool) -> None:
    """kNN and twin as lines over the anchors, the best of the twin's as single points."""
    mean, std = moments.mean, moments.std
    whose = "ours" if ours else "paper"
    shift = 0.08 if ours else -0.08
    look: dict[str, Any] = {"linestyle": "-" if ours else "--", "capsize": 2}

    def draw(x: Any, y: Any, error: Any, marker: str, color: str, name: str) -> None:
        fill = color if ours else "white"
        x = np.asarray(x) + shift
        label = f"{name}, {whose}"
        size = 9 if marker == "*" else 5
        ax.errorbar(x, y, error, fmt=marker, ms=size, color=color, mfc=fill, label=label, **look)

    anchors = np.arange(1, 6)
    draw(anchors, mean.nearest_by_anchor, std.nearest_by_anchor, "s", ORANGE, "kNN")
    draw(anchors, mean.twin_by_anchor, std.twin_by_anchor, "o", BLUE, "twin")
    draw([6], [mean.twin_best], [std.twin_best], "*", GREEN, "twin, best (exact f)")
    if learned:
        best, spread = mean.twin_best_learned, std.twin_best_learned
        draw([6], [best], [spread], "D", PINK, "twin, best (learned f)")


def _forward_and_inverse(recipe: Recipe) -> Figure:
    """Figure 2: a network for f, one for its inverse, and the twin network, for the cubic."""
    X, y = cubic.sample(1000, 0)
    forward = recipe.learner(**recipe.learned_forward, random_state=0).fit(X, y.ravel())
    inverse = recipe.network(**recipe.direct, random_state=0).fit(y, X.ravel())
    twin = _twin(recipe, 5).fit(X[:600])
    grid = np.linspace(-2.0, 2.0, 300)[:, None]
    targets = np.linspace(y.min(), y.max(), _N_SHOWN)[:, None]
    figure = Figure(figsize=(10.0, 3.4), layout="constrained")
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    found = (
        ("network for f", grid, forward.predict(grid)),
        ("network for the inverse", inverse.predict(targets), targets),
        ("twin network", twin.solve(targets).x, np.repeat(targets, 5, axis=1)),
    )
    for ax, (title, x, values) in zip(axes, found, strict=True):
        _draw_cubic(ax)
        ax.plot(np.ravel(x), np.ravel(values), ".", color=BLUE, markersize=3, label="network")
        ax.set(title=title, xlabel="x")
    axes[0].legend()
    axes[0].set_ylabel("y")
    return figure


class _FewAnchors:
    """Five anchors of the cubic, and the solutions from them: figures 4 to 6."""

    def __init__(self, recipe: Recipe) -> None:
        y = cubic.forward(np.linspace(-2.0, 2.0, 401)[:, None])
        self.targets: Float64Array = np.linspace(y.min(), y.max(), _N_SHOWN)[:, None]
        nearest = NearestSolver(cubic.forward, anchor_choice="nearest", refine=False)
        nearest.fit(_FEW_ANCHORS)
        twin = _twin(recipe, 5)
        # The network has to learn f between anchors that are far apart.
        twin.set_params(pairs__radius=1.5).fit(_FEW_ANCHORS)
        self.anchors_y = cubic.forward(_FEW_ANCHORS)
        distance = np.abs(self.targets - self.anchors_y.T)
        self.order = distance.argsort(axis=1, kind="stable")
        self.from_nearest = _FEW_ANCHORS[self.order, 0]
        solutions = twin.solve(self.targets)
        position = (solutions.anchor[:, None] == self.order[:, :, None]).argmax(axis=2)
        self.from_twin = np.take_along_axis(solutions.x[:, :, 0], position, axis=1)


def _first_anchor(few: _FewAnchors, method: str, title: str) -> Figure:
    """Figures 4 and 5: solutions from the nearest of five anchors alone."""
    figure = Figure(figsize=(4.6, 3.6), layout="constrained")
    ax = figure.subplots()
    _draw_cubic(ax)
    _draw_anchored(ax, getattr(few, method)[:, :1], few.order[:, :1], few.targets)
    _finish(ax, f"{title}, nearest of five anchors", few)
    ax.legend(fontsize=8)
    return figure


def _all_anchors(few: _FewAnchors) -> Figure:
    """Figure 6: solutions from all five anchors, and those that agree with f."""
    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    images = cubic.forward(few.from_twin.reshape(-1, 1)).reshape(few.from_twin.shape)
    agrees = np.abs(images - few.targets) <= _ACCEPTED
    accepted = np.where(agrees, few.from_twin, np.nan)
    for ax, x, title in (
        (left, few.from_twin, "from each of five anchors"),
        (right, accepted, "where f(x) agrees with y"),
    ):
        _draw_cubic(ax)
        _draw_anchored(ax, x, few.order, few.targets)
        _finish(ax, title, few)
    right.legend(fontsize=8)
    return figure


def _circles(recipe: Recipe) -> Figure:
    """Figure 7: the half ball, whose solutions are circles."""
    X = half_ball.sample(300, 0)[0]
    bounds = half_ball.bounds if recipe.inside_bounds else None
    twin = recipe.twin_solver(half_ball.forward, noisy=False, bounds=bounds, **_shared(20)).fit(X)
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    ax = figure.subplots()
    angle = np.linspace(0.0, 2.0 * np.pi, 361)
    ax.plot(*X.T, ".", color="0.7", markersize=3, label="anchors")
    for height, (color, marker) in zip((0.3, 0.6, 0.9), _ANCHOR_STYLES, strict=False):
        radius = np.sqrt(1.0 - height**2)
        ax.plot(radius * np.cos(angle), radius * np.sin(angle), "-", color="0.4", linewidth=0.8)
        found = twin.solve([[height]]).x[0]
        ax.plot(*found.T, marker, color=color, markersize=5, label=f"y = {height}")
    ax.set(xlabel="x₁", ylabel="x₂", aspect="equal", title="half ball, solutions at three heights")
    figure.legend(loc="outside right upper", fontsize=9)
    return figure


def _twin(recipe: Recipe, n_candidates: int) -> TwinSolver:
    """A solver for the cubic."""
    bounds = cubic.bounds if recipe.inside_bounds else None
    return recipe.twin_solver(cubic.forward, noisy=False, bounds=bounds, **_shared(n_candidates))


def _shared(n_candidates: int) -> dict[str, Any]:
    return {
        "n_candidates": n_candidates,
        "anchor_choice": "nearest",
        "refine": False,
        "random_state": 0,
    }


def _draw_cubic(ax: Axes) -> None:
    x = np.linspace(-2.0, 2.0, 401)
    ax.plot(x, cubic.forward(x[:, None])[:, 0], **CURVE)


def _draw_anchored(ax: Axes, x: Any, anchors: Any, targets: Float64Array) -> None:
    """Solutions x (n, k), coloured by the anchor (n, k) that they came from."""
    y = np.broadcast_to(targets, x.shape)
    for anchor, (color, marker) in enumerate(_ANCHOR_STYLES):
        mine = anchors == anchor
        # Show every fifth point in turn, so that all anchors are visible where they agree.
        shown = slice(anchor, None, len(_ANCHOR_STYLES))
        label = f"from anchor {anchor + 1}"
        ax.plot(x[mine][shown], y[mine][shown], marker, color=color, markersize=3.5, label=label)


def _finish(ax: Axes, title: str, few: _FewAnchors) -> None:
    ax.plot(_FEW_ANCHORS, few.anchors_y, "k*", markersize=10, label="anchors", zorder=5)
    ax.set(xlabel="x", ylabel="y", title=title, xlim=(-2.3, 2.3), ylim=(-7.0, 7.0))
