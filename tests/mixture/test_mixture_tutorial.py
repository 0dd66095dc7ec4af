"""The tutorial: regression fits forward, collapses to the mean backward, a mixture does not; and
the modes of the mixture are every branch there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

import fastinv as fi
from fastinv.estimators.mdn import MixtureDensityNetwork

EXAMPLE = Path(__file__).parents[2] / "examples" / "mixture_tutorial.py"
NOISE = 0.1
MIN_SHARE = 0.05  # of the posterior's probability, for a branch that must be found


def test_errors_are_in_the_order_that_the_tutorial_teaches(tmp_path):
    picture = tmp_path / "tutorial.png"
    done = subprocess.run(
        [sys.executable, EXAMPLE, picture], capture_output=True, text=True, check=True
    )
    forward, inverse, mixture = (
        float(line.rsplit(":", 1)[1]) for line in done.stdout.splitlines()[:3]
    )
    assert forward < 0.02
    assert mixture < 0.07  # the mean of the noise is 0.05
    assert inverse > 2.0 * mixture
    assert picture.read_bytes().startswith(b"\x89PNG")


def branches(y, min_share=MIN_SHARE):
    """Intervals of {x: |y - f(x)| <= NOISE}, where p(x | y) is uniform, that hold `min_share`."""
    grid = np.linspace(0.0, 1.0, 4001)
    inside = np.abs(fi.problems.wave.forward(grid[:, None]).ravel() - y) <= NOISE
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside, [0]])))
    intervals = [(grid[a], grid[b - 1]) for a, b in edges.reshape(-1, 2)]
    total = sum(high - low for low, high in intervals)
    return [(low, high) for low, high in intervals if high - low >= min_share * total]


def test_branches_are_where_the_wave_is_cut():
    (only,) = branches(0.0)
    assert only[0] == 0.0
    np.testing.assert_allclose(branches(0.4), [(0.11, 0.21), (0.5, 0.79)], atol=0.002)


def test_modes_find_every_branch():
    x, y = fi.problems.wave.sample(2000, random_state=0)
    model = MixtureDensityNetwork(10, n_iter_no_change=None, random_state=0).fit(y, x)
    _, targets = fi.problems.wave.sample(500, random_state=1)
    modes = model.predict_distribution(targets).modes().x[:, :, 0]
    found = [
        all(((low - 0.02 <= x) & (x <= high + 0.02)).any() for low, high in branches(target))
        for target, x in zip(targets.ravel(), modes, strict=True)
    ]
    assert np.mean(found) >= 0.99
