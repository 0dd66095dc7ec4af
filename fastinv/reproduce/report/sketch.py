"""Figure 3: a sketch of what an inverse twin network learns to predict."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from fastinv.problems import cubic
from fastinv.reproduce.report.palette import BLUE, CURVE, GREEN, ORANGE

_Y_ANCHOR, _Y_NEW = -0.25, 0.2
_ANCHOR, _NEW = r"^{\mathrm{anchor}}$", r"^{\mathrm{new}}$"
_FONT_SIZE = 12
# Boxes in units of the right half: centre, label.
_INPUTS = ((0.13, 0.8, r"$y" + _NEW), (0.13, 0.5, r"$y" + _ANCHOR), (0.13, 0.2, r"$x" + _ANCHOR))
_NETWORK, _STEP, _SOLUTION = (0.39, 0.5), (0.69, 0.5), (0.69, 0.2)
_BOX_HEIGHT = 0.13


def draw_sketch() -> Figure:
    """Left: two anchors of the cubic with the same y but different steps; right: the network."""
    figure = Figure(figsize=(10.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.1))
    _draw_anchors(left)
    _draw_network(right)
    return figure


def _draw_anchors(ax: Axes) -> None:
    x = np.linspace(-1.25, 1.25, 301)
    ax.plot(x, cubic.forward(x[:, None])[:, 0], **CURVE)
    for level, name in ((_Y_NEW, r"$y" + _NEW), (_Y_ANCHOR, r"$y" + _ANCHOR)):
        ax.axhline(level, color="0.3", linewidth=1.0, linestyle="--", zorder=1)
        ax.text(-1.78, level, name, va="bottom", fontsize=_FONT_SIZE)
    anchors, solutions = (cubic.preimages([y])[0][:, 0] for y in (_Y_ANCHOR, _Y_NEW))
    # Branches from left to right: the middle one falls, the right one rises.
    looks = ((1, ORANGE, "s", (-0.13, 0.25), "left"), (2, BLUE, "o", (1.08, 0.36), "right"))
    for branch, color, marker, at, side in looks:
        start, end = anchors[branch], solutions[branch]
        ax.plot([start, start], [_Y_ANCHOR, _Y_NEW], ":", color=color, linewidth=1.5)
        arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 2.5, "shrinkA": 0, "shrinkB": 6}
        ax.annotate("", (end, _Y_NEW), (start, _Y_NEW), arrowprops=arrow)
        ax.plot(start, _Y_ANCHOR, marker, color=color, markersize=9, zorder=4)
        ax.plot(end, _Y_NEW, marker, color=color, mfc="white", markersize=9, mew=2, zorder=4)
        step = f"$x{_NEW[:-1]} - x{_ANCHOR}"
        ax.text(*at, step, color=color, ha=side, fontsize=_FONT_SIZE)
    ax.set(xlabel="x", ylabel="y", title="filled: anchors, hollow: solutions")
    ax.set(xlim=(-1.8, 1.35), ylim=(-0.72, 0.72))


def _draw_network(ax: Axes) -> None:
    for x, y, name in _INPUTS:
        _draw_box(ax, (x, y), 0.2, name, "0.3")
        tip = (_NETWORK[0] - 0.075, 0.5 + 0.25 * (y - 0.5))
        _draw_arrow(ax, (x + 0.1, y), tip)
    _draw_box(ax, _NETWORK, 0.15, "F", BLUE, height=0.3)
    _draw_box(ax, _STEP, 0.32, f"$x{_NEW[:-1]} - x{_ANCHOR}", GREEN)
    _draw_arrow(ax, (_NETWORK[0] + 0.075, 0.5), (_STEP[0] - 0.16, 0.5))
    _draw_box(ax, _SOLUTION, 0.2, r"$x" + _NEW, ORANGE)
    half = _BOX_HEIGHT / 2
    _draw_arrow(ax, (_STEP[0], _STEP[1] - half), (_STEP[0], _SOLUTION[1] + half))
    _draw_arrow(ax, (0.23, 0.2), (_SOLUTION[0] - 0.1, 0.2))
    ax.text(0.47, 0.22, r"$+\;x" + _ANCHOR, ha="center", va="bottom", fontsize=_FONT_SIZE)
    ax.set(xlim=(0.0, 0.9), ylim=(0.05, 0.95), title="the network, eq. (5) and (6)")
    ax.axis("off")


def _draw_box(
    ax: Axes,
    centre: tuple[float, float],
    width: float,
    text: str,
    color: str,
    height: float = _BOX_HEIGHT,
) -> None:
    corner = (centre[0] - width / 2, centre[1] - height / 2)
    style = "round,pad=0,rounding_size=0.02"
    box = FancyBboxPatch(corner, width, height, style, fc="white", ec=color, lw=2.0)
    ax.add_patch(box)
    ax.text(*centre, text, ha="center", va="center", fontsize=_FONT_SIZE)


def _draw_arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    arrow = {"arrowstyle": "-|>", "color": "0.2", "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=arrow)
