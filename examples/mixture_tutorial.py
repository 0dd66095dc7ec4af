"""Why regression fails on an inverse problem, and what a mixture density network does instead.

The forward network fits ``y = x + 0.3 sin 2πx + noise``. The same network on the swapped data
learns the mean of all x that share a y, which is no solution: put back into f it misses y. The
mixture density network keeps each branch apart.

Run with ``python examples/mixture_tutorial.py [picture.png]``.
"""

import sys

import numpy as np
from matplotlib.figure import Figure

import fastinv as fi
from fastinv.plots import plot_conditional
from fastinv.solvers.mixture import MixtureSolver

WAVE = fi.problems.wave


def regressor() -> fi.MLPRegressor:
    return fi.MLPRegressor(
        (64, 64),
        "tanh",
        loss="squared_error",
        learning_rate="cosine",
        learning_rate_init=3e-3,
        batch_size=128,
        max_iter=500,
        n_iter_no_change=None,
        random_state=0,
    )


def resimulation_error(x, y) -> float:
    """Mean of |f(x) - y|, f without noise."""
    return float(np.abs(WAVE.forward(x.reshape(-1, 1)).ravel() - y).mean())


def draw(x, y, forward, inverse, mdn, path) -> None:
    figure = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for axes, model, data in ((left, forward, (x, y)), (middle, inverse, (y, x))):
        line = np.linspace(data[0].min(), data[0].max(), 400)
        axes.plot(*data, ".", color="0.6", markersize=2)
        axes.plot(line, model.predict(line[:, None]).ravel(), color="#D55E00", linewidth=2)
    plot_conditional(mdn, y, x, right)
    left.set(title="forward: a network fits", xlabel="x", ylabel="y")
    middle.set(title="inverse: the same network takes the mean", xlabel="y", ylabel="x")
    right.set(title="inverse: a mixture has every branch", xlabel="y", ylabel="x")
    figure.savefig(path, dpi=120)


def main() -> None:
    x, y = WAVE.sample(2000, random_state=0)
    _, held_out = WAVE.sample(500, random_state=1)
    targets = held_out.ravel()

    forward = regressor().fit(x, y.ravel())
    inverse = regressor().fit(y, x.ravel())
    solver = MixtureSolver(forward, random_state=0).fit(x, y)

    grid = np.linspace(0, 1, 501)[:, None]
    forward_error = float(np.abs(forward.predict(grid) - WAVE.forward(grid).ravel()).mean())
    direct = resimulation_error(inverse.predict(held_out), targets)
    best = resimulation_error(solver.solve(held_out).best, targets)
    print(f"forward network, |prediction - f(x)|:                {forward_error:.3f}")
    print(f"inverse network, |f(prediction) - y|:                {direct:.3f}")
    print(f"mixture density network, best mode, |f(mode) - y|:   {best:.3f}")

    target = 0.4
    exact = WAVE.preimages(target)[0].ravel()
    modes = solver.posterior(target).modes()
    print(f"modes of p(x | y = {target}): {np.sort(modes.x[0, : modes.count[0], 0]).round(2)}")
    print(f"solutions of f(x) = {target} without noise: {exact.round(2)}")
    if len(sys.argv) > 1:
        draw(x, y, forward, inverse, solver.density_, sys.argv[1])


if __name__ == "__main__":
    main()
