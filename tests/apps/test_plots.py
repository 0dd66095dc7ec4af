"""Pictures: what is drawn is where it should be."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.exceptions import NotFittedError

import fastinv as fi
from fastinv.plots import ArmStyle, plot_arm_solutions, plot_branches
from fastinv.solutions import Status


def lines(axes, label):
    return [line.get_xydata() for line in axes.lines if line.get_label() == label]


def test_arms_end_where_the_formula_says():
    arm = fi.problems.two_link_arm
    targets = arm.forward(np.array([[0.3, 1.2], [-0.5, 0.8]]))
    axes = plot_arm_solutions(arm.preimages(targets), targets)
    left, right = lines(axes, "bent to the left"), lines(axes, "bent to the right")
    assert len(left) + len(right) == sum(len(x) for x in arm.preimages(targets))
    for joints in [*left, *right]:
        assert joints.shape == (3, 2)
        assert joints[0].tolist() == [0.0, 0.0]
        np.testing.assert_allclose(np.linalg.norm(np.diff(joints, axis=0), axis=1), 1.0)
        assert np.linalg.norm(targets - joints[-1], axis=1).min() < 1e-9
    assert axes.get_aspect() == 1.0


def test_second_angle_decides_the_style():
    styles = (ArmStyle("red", "-", "plus"), ArmStyle("blue", ":", "minus"))
    axes = plot_arm_solutions([[[0.0, 0.5], [0.0, -0.5]]], [[0.0, 0.0]], styles=styles)
    (plus,) = lines(axes, "plus")
    (minus,) = lines(axes, "minus")
    assert plus[-1, 1] > 0 > minus[-1, 1]


def test_links_may_have_any_length_and_number():
    x = np.array([[0.0, np.pi / 2, np.pi / 2]])
    axes = plot_arm_solutions([x], [[0.0, 0.0]], link_lengths=[3.0, 2.0, 1.0])
    (joints,) = lines(axes, "bent to the left")
    np.testing.assert_allclose(joints, [[0, 0], [3, 0], [3, 2], [2, 2]], atol=1e-12)


def test_miss_goes_from_hand_to_target():
    axes = plot_arm_solutions([[[0.0, 0.0]]], [[1.5, 0.5]], miss_color="red")
    (miss,) = lines(axes, "miss")
    np.testing.assert_allclose(miss, [[2.0, 0.0], [1.5, 0.5]])


def test_targets_without_solutions_are_drawn_all_the_same():
    axes = plot_arm_solutions([np.empty((0, 2)), [[0.0, 0.0]]], [[9.0, 0.0], [2.0, 0.0]])
    (targets,) = lines(axes, "target")
    assert targets.tolist() == [[9.0, 0.0], [2.0, 0.0]]
    assert plot_arm_solutions([], np.empty((0, 2))).has_data()


def test_given_axes_are_used():
    axes = Figure().subplots()
    assert plot_arm_solutions([], np.empty((0, 2)), axes) is axes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [[1.0, 1.0]]), "solutions must hold one array for each of 1 targets, got 0"),
        (([[0.0, 0.0]], [[1.0, 1.0]]), r"solutions must hold arrays of shape \(m, p\)"),
        (([[[0.0, 0.0]]], [[1.0, 1.0, 1.0]]), "y must have shape"),
    ],
)
def test_wrong_shapes(arguments, message):
    with pytest.raises(ValueError, match=message):
        plot_arm_solutions(*arguments)


def test_wrong_link_lengths():
    with pytest.raises(ValueError, match=r"link_lengths must have shape \(2,\), got \(3,\)"):
        plot_arm_solutions([[[0.0, 0.0]]], [[1.0, 1.0]], link_lengths=[1, 1, 1])


@pytest.fixture(scope="module")
def cubic():
    problem = fi.problems.cubic
    return fi.NearestSolver(problem.forward, bounds=problem.bounds, random_state=0).fit()


def test_branches_are_on_the_curve(cubic):
    axes = plot_branches(cubic, [0.0, 1.0], k=3)
    (curve,) = lines(axes, "f")
    np.testing.assert_allclose(curve[:, 1], curve[:, 0] ** 3 - curve[:, 0], atol=1e-12)
    assert curve[[0, -1], 0].tolist() == [-2.0, 2.0]
    (anchors,) = lines(axes, "anchors")
    assert len(anchors) == len(cubic.anchors_x_)
    drawn = [p for s in Status for p in lines(axes, s.name.lower().replace("_", " "))]
    points = np.concatenate(drawn)
    assert sorted(points[:, 1]) == [0.0] * 3 + [1.0] * 3
    np.testing.assert_allclose(points[:, 0] ** 3 - points[:, 0], points[:, 1], atol=0.1)


def test_branches_choose_targets_and_survive_bad_ones(cubic):
    assert len(plot_branches(cubic).lines) > 2
    axes = plot_branches(cubic, [np.nan, 0.0, 1e9])
    assert len(lines(axes, "unreachable")) == 1
    assert not lines(axes, "invalid")
    axes.figure.savefig(io.BytesIO(), format="png")


def test_branches_of_data_without_bounds():
    x = np.linspace(-1, 1, 33)[:, None]
    solver = fi.NearestSolver(lambda x: x**2).fit(x)
    (curve,) = lines(plot_branches(solver, [0.5]), "f")
    assert curve[[0, -1], 0].tolist() == [-1.0, 1.0]


def test_branches_refuse_other_dimensions_and_unfitted_solvers():
    arm = fi.problems.two_link_arm
    solver = fi.NearestSolver(arm.forward, bounds=arm.bounds).fit()
    with pytest.raises(ValueError, match="one input to one output, got 2 to 2"):
        plot_branches(solver)
    with pytest.raises(NotFittedError):
        plot_branches(fi.NearestSolver(arm.forward))


def test_importing_fastinv_loads_no_matplotlib_and_plots_no_pyplot():
    code = (
        "import sys, fastinv; assert 'matplotlib' not in sys.modules; "
        "import fastinv.plots; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
