"""Problems with known answers: the nine experiments on inverse twin networks, and the wave.

The experiments are those of S. J. Wetzel, *Inverting Non-Injective Functions with Twin Neural
Network Regression*, appendix A, with the domains and the noise of its published code. The wave,
``y = x + 0.3 sin 2πx`` with noise, is the example that mixture density networks are taught on.

Examples
--------
>>> import fastinv as fi
>>> fi.problems.cubic.preimages([0.0])[0].ravel().round(6).tolist()
[-1.0, 0.0, 1.0]
>>> fi.problems.experiment(7).name
'two_link_arm'
"""

from __future__ import annotations

from fastinv._common.validation import check_integer
from fastinv.problems.arms import three_link_arm, two_link_arm, yaw_pitch_arm
from fastinv.problems.ball import half_ball
from fastinv.problems.curves import cubic, quartic, sine, wave
from fastinv.problems.polynomials import bivariate, trivariate
from fastinv.problems.problem import Noise, Problem

__all__ = [
    "ALL",
    "Noise",
    "Problem",
    "bivariate",
    "cubic",
    "experiment",
    "half_ball",
    "quartic",
    "sine",
    "three_link_arm",
    "trivariate",
    "two_link_arm",
    "wave",
    "yaw_pitch_arm",
]

ALL: tuple[Problem, ...] = (
    cubic,
    quartic,
    sine,
    half_ball,
    bivariate,
    trivariate,
    two_link_arm,
    three_link_arm,
    yaw_pitch_arm,
    wave,
)


def experiment(number: int) -> Problem:
    """The problem of one of the paper's experiments, 1 to 9."""
    for problem in ALL:
        if problem.experiment == check_integer(number, "number"):
            return problem
    raise ValueError(f"number must be one of the experiments 1 to 9, got {number}")
