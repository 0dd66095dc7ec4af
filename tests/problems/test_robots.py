"""Robot arms: descriptions, compiled forward functions, Jacobians, and the UR5's inverse."""

from __future__ import annotations

import functools
import pickle
import sys

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

import fastinv as fi
from fastinv.robots import SerialChain, panda, planar, ur5, ur5_inverse

SEED_JOINTS = 801
SEED_POSES = 802
SEED_SINGULAR = 803
SEED_TURNS = 804

UR5 = ur5()
PANDA = panda()
SCARA = SerialChain.from_dh(
    a=[0.35, 0.25, 0.0, 0.0],
    alpha=[0.0, np.pi, 0.0, 0.0],
    d=[0.4, 0.0, 0.0, 0.05],
    theta_offset=[0.1, 0.0, np.pi / 2, 0.0],
    joint_types=["revolute", "revolute", "prismatic", "revolute"],
    limits=[(-2.3, 2.3), (-2.5, 2.5), (0.0, 0.2), (-np.pi, np.pi)],
    rotation_weight=0.3,
    name="scara",
)
# Axes that are no coordinate axes, and every kind of fixed transform.
SKEW = SerialChain(
    [
        np.vstack(
            [
                np.c_[Rotation.from_rotvec([0.3 * k, -0.2, 0.5]).as_matrix(), [k, 0.1, -k]],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )
        for k in range(4)
    ],
    [[1.0, 2.0, -0.5], [0.0, -3.0, 0.0], [-1.0, 1.0, 1.0]],
    ["revolute", "prismatic", "revolute"],
    [(-1.0, 2.0), (-0.5, 0.5), (-4.0, 4.0)],
    name="skew",
)
CHAINS = [UR5, PANDA, SCARA, SKEW, planar([0.7, 0.4, 0.2])]
compiled = functools.cache(SerialChain.forward)  # which takes a third of a second each time
each_chain = pytest.mark.parametrize("chain", CHAINS, ids=lambda c: c.name)


def link_file(tmp_path, joints, links=None, name="arm"):
    """A URDF file of `joints`, each (name, type, parent, child, other elements)."""
    links = links or sorted({link for _, _, *ends, _ in joints for link in ends})
    lines = [f'<robot name="{name}">', *(f'<link name="{link}"/>' for link in links)]
    for joint, kind, parent, child, rest in joints:
        lines.append(
            f'<joint name="{joint}" type="{kind}"><parent link="{parent}"/>'
            f'<child link="{child}"/>{rest}</joint>'
        )
    path = tmp_path / f"{name}.urdf"
    path.write_text("\n".join([*lines, "</robot>"]))
    return path


def origin(xyz, rpy=(0.0, 0.0, 0.0)):
    numbers = (" ".join(repr(float(value)) for value in values) for values in (xyz, rpy))
    return '<origin xyz="{}" rpy="{}"/>'.format(*numbers)


LIMIT = '<limit lower="-3" upper="2.5" effort="1" velocity="1"/>'
Z, Y = '<axis xyz="0 0 1"/>', '<axis xyz="0 1 0"/>'
QUARTER = np.pi / 2


# What the arms are.


def test_ur5_at_rest_as_the_manufacturer_draws_it():
    """All joints at 0: stretched along -x, the flange facing -y."""
    T = UR5.transform(np.zeros(6))
    expected = [-0.425 - 0.39225, -0.10915 - 0.0823, 0.089159 - 0.09465]
    np.testing.assert_allclose(T[:3, 3], expected, atol=1e-15)
    np.testing.assert_allclose(T[:3, 2], [0.0, -1.0, 0.0], atol=1e-15)


def test_panda_at_rest():
    """All joints at 0: upright, the flange 0.088 m in front and facing down."""
    T = PANDA.transform(np.zeros(7))
    np.testing.assert_allclose(T[:3, 3], [0.088, 0.0, 0.333 + 0.316 + 0.384 - 0.107], atol=1e-15)
    np.testing.assert_allclose(T[:3, :3], np.diag([1.0, -1.0, -1.0]), atol=1e-15)


@pytest.mark.parametrize("n_links", [1, 2, 7, 33])
def test_planar_by_trigonometry(n_links):
    rng = np.random.default_rng(SEED_JOINTS)
    lengths = rng.uniform(0.1, 1.0, n_links)
    X = rng.uniform(-3.0, 3.0, (7, n_links))
    directions = np.cumsum(X, axis=1)
    expected = np.stack(
        [np.cos(directions) @ lengths, np.sin(directions) @ lengths, np.zeros(7)], axis=1
    )
    arm = planar(lengths)
    np.testing.assert_allclose(arm.forward("position")(X), expected, atol=1e-13)
    np.testing.assert_allclose(arm.transform(X)[:, :3, 3], expected, atol=1e-13)


def test_modified_convention_is_the_standard_one_shifted():
    """Row j of the modified table has the twist and length of row j - 1 of the standard one."""
    rng = np.random.default_rng(SEED_JOINTS)
    a, alpha, d, offset = rng.uniform(-1.0, 1.0, (4, 5))
    kinds = ["revolute", "prismatic", "revolute", "revolute", "prismatic"]
    limits = [(-1.0, 1.0)] * 5
    standard = SerialChain.from_dh(a, alpha, d, offset, kinds, limits=limits)
    last = np.eye(4)
    last[:3, :3] = Rotation.from_rotvec([alpha[-1], 0.0, 0.0]).as_matrix()
    last[0, 3] = a[-1]
    modified = SerialChain.from_dh(
        np.r_[0.0, a[:-1]],
        np.r_[0.0, alpha[:-1]],
        d,
        offset,
        kinds,
        convention="modified",
        limits=limits,
        tool=last,
    )
    X, Ts = standard.sample(33, random_state=SEED_POSES)
    np.testing.assert_allclose(modified.transform(X), Ts, atol=1e-14)


def test_offsets_base_and_tool():
    base, tool = np.eye(4), np.eye(4)
    base[:3, :3] = Rotation.from_rotvec([0.0, 0.4, 0.2]).as_matrix()
    base[:3, 3], tool[:3, 3] = [1.0, 2.0, 3.0], [0.0, 0.1, 0.2]
    plain = SerialChain.from_dh([0.5, 0.3], [0.7, -0.4], [0.1, 0.2])
    moved = SerialChain.from_dh(
        [0.5, 0.3], [0.7, -0.4], [0.1, 0.2], [0.3, -0.2], base=base, tool=tool
    )
    x = np.array([0.4, 1.1])
    expected = base @ plain.transform(x + np.array([0.3, -0.2])) @ tool
    np.testing.assert_allclose(moved.transform(x), expected, atol=1e-15)
    np.testing.assert_allclose(
        plain.replace(tool=tool).transform(x), plain.transform(x) @ tool, atol=1e-15
    )


# Compiled code against NumPy.


@each_chain
@pytest.mark.parametrize("n", [0, 1, 7, 33])
def test_forward_agrees_with_transform(chain, n):
    X, Ts = chain.sample(n, random_state=SEED_JOINTS)
    np.testing.assert_allclose(compiled(chain)(X), chain.targets(Ts), atol=1e-14)
    np.testing.assert_allclose(compiled(chain, "position")(X), Ts[:, :3, 3], atol=1e-14)


@each_chain
def test_one_row_alone_and_any_number_of_threads_give_the_same_bits(chain):
    X, Ts = chain.sample(33, random_state=SEED_JOINTS)
    pose = compiled(chain)
    images = pose(X, n_threads=1)
    assert images.tobytes() == pose(X, n_threads=2).tobytes()
    assert images[5].tobytes() == pose(X[5]).tobytes()
    assert chain.transform(X[5]).shape == (4, 4)
    assert chain.target(Ts[5]).tolist() == chain.targets(Ts)[5].tolist()
    # The interpreter runs the same operations.
    y = np.empty(12)
    pose.python_function(X[5], y)
    np.testing.assert_allclose(y, images[5], atol=1e-15)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_marks_its_own_row(bad):
    X, _ = UR5.sample(7, random_state=SEED_JOINTS)
    X[3, 2] = bad
    images, transforms = compiled(UR5)(X), UR5.transform(X)
    assert np.flatnonzero(~np.isfinite(images).all(axis=1)).tolist() == [3]
    assert np.flatnonzero(~np.isfinite(transforms).all(axis=(1, 2))).tolist() == [3]


@each_chain
@pytest.mark.parametrize("output", ["position", "pose"])
def test_jacobian_rows_against_central_differences(chain, output):
    forward = compiled(chain) if output == "pose" else compiled(chain, output)
    rows = chain.jacobian_rows(output)
    if chain is SCARA and output == "pose":
        rows = numba.njit(rows)
    step = 1e-6
    for x in chain.sample(7, random_state=SEED_POSES)[0]:
        J = np.full((forward.n_outputs, chain.n_joints), np.nan)
        rows(x, J)
        moved = x + step * np.vstack([np.eye(chain.n_joints), -np.eye(chain.n_joints)])
        images = forward(moved)
        slopes = (images[: chain.n_joints] - images[chain.n_joints :]).T / (2.0 * step)
        np.testing.assert_allclose(J, slopes, atol=1e-8)


@each_chain
def test_geometric_jacobian_agrees_with_the_compiled_one(chain):
    X, Ts = chain.sample(7, random_state=SEED_POSES)
    rows = chain.jacobian_rows("pose")
    scale = chain.rotation_weight / np.sqrt(2.0)
    geometric = chain.jacobian(X)
    assert chain.jacobian(X[0]).tolist() == geometric[0].tolist()
    for x, T, twist in zip(X, Ts, geometric, strict=True):
        J = np.empty((12, chain.n_joints))
        rows(x, J)
        np.testing.assert_allclose(J[:3], twist[:3], atol=1e-14)
        turned = np.cross(twist[3:].T[:, :, None], T[None, :3, :3], axisa=1, axisb=1, axisc=1)
        np.testing.assert_allclose(J[3:], scale * turned.reshape(-1, 9).T, atol=1e-14)


@st.composite
def chains(draw):
    """Chains of 1 to 5 joints with right angles and zeros as often as anything else."""
    n = draw(st.integers(1, 5))
    angle = st.sampled_from([0.0, QUARTER, -QUARTER, np.pi]) | st.floats(-3.0, 3.0)
    length = st.sampled_from([0.0, 1.0]) | st.floats(-2.0, 2.0)
    kinds = draw(st.lists(st.sampled_from(["revolute", "prismatic"]), min_size=n, max_size=n))
    columns = [draw(st.lists(s, min_size=n, max_size=n)) for s in (length, angle, length, angle)]
    convention = draw(st.sampled_from(["standard", "modified"]))
    return SerialChain.from_dh(*columns, kinds, convention=convention, limits=[(-3.0, 3.0)] * n)


@given(chain=chains(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_random_chains(chain, seed):
    """The generated code, run by the interpreter, against matrix products; and its Jacobian."""
    (x,), (T,) = chain.sample(1, random_state=seed)
    y, J = np.empty(12), np.empty((12, chain.n_joints))
    forward = chain.forward().python_function
    forward(x, y)
    np.testing.assert_allclose(y, chain.target(T), atol=1e-13)
    chain.jacobian_rows()(x, J)
    for j in range(chain.n_joints):
        shift = 1e-6 * np.eye(chain.n_joints)[j]
        above, below = np.empty(12), np.empty(12)
        forward(x + shift, above)
        forward(x - shift, below)
        np.testing.assert_allclose(J[:, j], (above - below) / 2e-6, atol=1e-7)


# Poses as targets.


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_residual_is_position_error_and_weighted_angle(weight):
    arm = UR5.replace(rotation_weight=weight)
    rng = np.random.default_rng(SEED_TURNS)
    X, Ts = arm.sample(33, random_state=SEED_POSES)
    angles = np.geomspace(1e-9, np.pi - 1e-6, 33)
    axes = rng.standard_normal((33, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    moved = Ts.copy()
    moved[:, :3, :3] = Ts[:, :3, :3] @ Rotation.from_rotvec(angles[:, None] * axes).as_matrix()
    moved[:, :3, 3] += 1e-3 * axes
    residual = np.linalg.norm(arm.forward()(X) - arm.targets(moved), axis=1)
    expected = np.hypot(1e-3, 2.0 * weight * np.sin(angles / 2.0))
    np.testing.assert_allclose(residual, expected, rtol=1e-9)
    position, angle = arm.pose_error(X, moved)
    np.testing.assert_allclose(position, 1e-3, rtol=1e-9)
    np.testing.assert_allclose(angle, angles, rtol=1e-6)


def test_pose_error_of_one_and_of_many():
    X, Ts = UR5.sample(7, random_state=SEED_POSES)
    position, angle = UR5.pose_error(X, Ts)
    assert max(position.max(), angle.max()) < 1e-14
    one = UR5.pose_error(X[0], Ts[0])
    assert [np.shape(value) for value in one] == [(), ()]
    apart = np.linalg.norm(Ts[:, :3, 3] - Ts[0, :3, 3], axis=1)
    np.testing.assert_allclose(UR5.pose_error(X, Ts[0])[0], apart, atol=1e-14)
    np.testing.assert_allclose(UR5.pose_error(X[0], Ts)[0], apart, atol=1e-14)
    with pytest.raises(ValueError, match="same length, got 7 and 3"):
        UR5.pose_error(X, Ts[:3])


def with_entry(i, j, value):
    T = np.eye(4)
    T[i, j] = value
    return T


@pytest.mark.parametrize(
    ("T", "message"),
    [
        (np.eye(3), r"T must have shape \(4, 4\), got \(3, 3\)"),
        (with_entry(0, 3, np.nan), "transform 0 has NaN or infinity"),
        (with_entry(3, 0, 0.5), r"has the last row \[0.5, 0.0, 0.0, 1.0\]"),
        (with_entry(0, 0, 1.01), r"\|RᵀR - I\| up to 2.0e-02"),
        (with_entry(0, 0, -1.0), "mirrors: its rotation has determinant -1"),
    ],
)
def test_bad_targets(T, message):
    with pytest.raises(ValueError, match=message):
        UR5.target(T)


def test_bad_target_among_good_ones():
    Ts = np.tile(np.eye(4), (3, 1, 1))
    Ts[2, 1, 1] = -1.0
    with pytest.raises(ValueError, match="transform 2 mirrors"):
        UR5.targets(Ts)
    with pytest.raises(ValueError, match=r"Ts must have shape \(4, 4\) or \(n, 4, 4\)"):
        UR5.targets(np.zeros((2, 12)))
    assert UR5.targets(Ts[:0]).shape == (0, 12)
    almost = Ts[0] + with_entry(0, 1, 3e-7) - np.eye(4)  # printed with seven digits
    assert UR5.target(almost).shape == (12,)


# Limits, periods, names, and what does not change.


def test_limits_and_periods():
    np.testing.assert_array_equal(UR5.limits, np.tile([-np.pi, np.pi], (6, 1)))
    np.testing.assert_array_equal(UR5.periods, np.full(6, 2.0 * np.pi))
    np.testing.assert_array_equal(PANDA.periods, np.full(7, np.inf))
    np.testing.assert_array_equal(SCARA.periods, [np.inf, np.inf, np.inf, 2.0 * np.pi])
    assert SKEW.periods.tolist() == [np.inf, np.inf, 2.0 * np.pi]
    # A slide does not come back to itself, however long.
    slide = SerialChain.from_dh([0.0], [0.0], [0.0], joint_types="prismatic", limits=[(-9.0, 9.0)])
    assert slide.periods.tolist() == [np.inf]


def test_samples_lie_within_the_limits_and_repeat():
    X, Ts = PANDA.sample(500, random_state=SEED_JOINTS)
    low, high = PANDA.limits.T
    assert ((X - low >= 0.0) & (high - X >= 0.0)).all()
    width = high - low
    assert (np.ptp(X, axis=0) > 0.95 * width).all()
    assert X.tobytes() == PANDA.sample(500, random_state=SEED_JOINTS)[0].tobytes()
    np.testing.assert_array_equal(Ts, PANDA.transform(X))


def test_replace_keeps_the_rest():
    arm = UR5.replace(limits=[(-1.0, 1.0)] * 6, name="mine")
    assert (arm.name, arm.joint_types) == ("mine", UR5.joint_types)
    assert arm.limits[0].tolist() == [-1.0, 1.0]
    np.testing.assert_array_equal(arm.fixed, UR5.fixed)


def test_a_chain_never_changes():
    with pytest.raises(AttributeError, match="cannot set name"):
        UR5.name = "other"
    with pytest.raises(AttributeError, match="cannot delete name"):
        del UR5.name
    for array in (UR5.fixed, UR5.axes, UR5.limits, pickle.loads(pickle.dumps(UR5)).fixed):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    limits = np.array([[-1.0, 1.0]])
    slide = SerialChain.from_dh([0.0], [0.0], [0.0], joint_types="prismatic", limits=limits)
    limits[0, 0] = -5.0
    assert slide.limits[0, 0] == -1.0


@each_chain
def test_pickling(chain):
    again = pickle.loads(pickle.dumps(chain))
    for name, value in vars(chain).items():
        np.testing.assert_array_equal(getattr(again, name), value)


def test_pickling_of_the_compiled_function():
    pose = compiled(SCARA)
    again = pickle.loads(pickle.dumps(pose))
    X, _ = SCARA.sample(7, random_state=SEED_JOINTS)
    assert again(X).tobytes() == pose(X).tobytes()
    assert (again.chain.name, again.output) == ("scara", "pose")


def test_any_printable_name_will_do():
    """Names come from files, and go into messages but never into code."""
    arm = planar([1.0]).replace(name='left "arm"; é')
    assert arm.forward("position")([0.0]).tolist() == [1.0, 0.0, 0.0]
    assert arm.forward("position").name == 'left "arm"; é position'


def test_repr():
    assert repr(SCARA) == "<SerialChain scara: 4 joints RRPR>"
    assert repr(planar([1.0])) == "<SerialChain planar: 1 joint R>"
    assert repr(UR5.forward()) == "<ForwardFunction ur5 pose: R^6 -> R^12>"
    assert UR5.joint_names == ("joint1", "joint2", "joint3", "joint4", "joint5", "joint6")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"a": []}, ValueError, r"a must have shape \(p,\), one value a joint, got \(0,\)"),
        ({"alpha": [0.0]}, ValueError, "alpha must have 2 values, as a has, got 1"),
        ({"d": [0.0, np.nan]}, ValueError, "d must be finite, got"),
        ({"theta_offset": [0.0]}, ValueError, "theta_offset must have 2 values"),
        ({"convention": "craig"}, ValueError, "convention must be one of 'standard', 'modified'"),
        ({"joint_types": "helical"}, ValueError, "joint_types must be one of 'revolute'"),
        ({"joint_types": ["revolute"]}, ValueError, "one entry for each joint, 2, got 1"),
        ({"joint_types": ["revolute", "prismatic"]}, ValueError, "joint 1 has no natural range"),
        ({"limits": [(0.0, 1.0)]}, ValueError, r"limits must have shape \(2, 2\)"),
        ({"limits": [(0.0, 1.0), (2.0, 1.0)]}, ValueError, r"got \(2.0, 1.0\) for joint 1"),
        ({"limits": [(0.0, 1.0), (0.0, np.inf)]}, ValueError, "finite with low < high"),
        ({"base": np.eye(3)}, ValueError, r"base must have shape \(4, 4\)"),
        ({"tool": 2.0 * np.eye(4)}, ValueError, "tool must hold rigid transforms"),
        ({"joint_names": ["one", "one"]}, ValueError, "joint_names must differ"),
        ({"joint_names": "ab"}, TypeError, "joint_names must be a sequence of str"),
        ({"name": 3}, TypeError, "name must be str, got 3"),
        ({"name": ""}, ValueError, "name must be printable and not empty, got ''"),
        ({"name": "a\0"}, ValueError, "name must be printable"),
        ({"rotation_weight": 0.0}, ValueError, "rotation_weight must be finite and greater than"),
    ],
)
def test_bad_descriptions(arguments, error, message):
    described = {"a": [1.0, 1.0], "alpha": [0.0, 0.0], "d": [0.0, 0.0]} | arguments
    with pytest.raises(error, match=message):
        SerialChain.from_dh(**described)


def test_bad_arguments_of_methods():
    with pytest.raises(ValueError, match=r"axes must have shape \(p, 3\)"):
        SerialChain([np.eye(4)], np.empty((0, 3)))
    with pytest.raises(ValueError, match=r"longer than 0, got \[0.0, 0.0, 0.0\] for joint 0"):
        SerialChain([np.eye(4)] * 2, [[0.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match="one transform more than there are axes, 2, got 1"):
        SerialChain([np.eye(4)], [[0.0, 0.0, 1.0]])
    with pytest.raises(ValueError, match="output must be one of 'position', 'pose', got 'tip'"):
        UR5.forward("tip")
    with pytest.raises(ValueError, match=r"x must have shape \(n, 6\) or \(6,\) for ur5"):
        UR5.transform(np.zeros(5))
    with pytest.raises(ValueError, match="n must be at least 0"):
        UR5.sample(-1)
    with pytest.raises(ValueError, match=r"lengths must be finite, of shape \(p,\)"):
        planar([1.0, np.inf])


# URDF files.


def test_urdf_of_the_ur5(tmp_path):
    """The joints as ROS describes them, with axes along y, are those of the DH table."""
    pytest.importorskip("yourdfpy")
    joints = [
        ("pan", "revolute", "base", "shoulder", origin((0, 0, 0.089159)) + Z + LIMIT),
        (
            "lift",
            "revolute",
            "shoulder",
            "upper",
            origin((0, 0.13585, 0), (0, QUARTER, 0)) + Y + LIMIT,
        ),
        ("elbow", "continuous", "upper", "lower", origin((0, -0.1197, 0.425)) + Y),
        ("wrist1", "revolute", "lower", "w1", origin((0, 0, 0.39225), (0, QUARTER, 0)) + Y + LIMIT),
        ("wrist2", "revolute", "w1", "w2", origin((0, 0.093, 0)) + Z + LIMIT),
        ("wrist3", "revolute", "w2", "w3", origin((0, 0, 0.09465)) + Y + LIMIT),
        ("flange", "fixed", "w3", "tool0", origin((0, 0.0823, 0), (-QUARTER, 0, 0))),
    ]
    arm = SerialChain.from_urdf(link_file(tmp_path, joints, name="ros_ur5"))
    half_turn = np.diag([-1.0, -1.0, 1.0, 1.0])  # between the two base frames
    X, Ts = UR5.sample(33, random_state=SEED_POSES)
    np.testing.assert_allclose(half_turn @ arm.transform(X), Ts, atol=1e-14)
    np.testing.assert_allclose(arm.forward()(X), arm.targets(arm.transform(X)), atol=1e-14)
    assert (arm.name, arm.joint_names[2]) == ("ros_ur5", "elbow")
    np.testing.assert_array_equal(arm.limits[:3], [(-3, 2.5), (-3, 2.5), (-np.pi, np.pi)])
    np.testing.assert_array_equal(arm.periods[:3], [np.inf, np.inf, 2.0 * np.pi])


def test_urdf_of_the_panda_and_of_a_part_of_it(tmp_path):
    pytest.importorskip("yourdfpy")
    places = [
        ((0, 0, 0.333), 0),
        ((0, 0, 0), -QUARTER),
        ((0, -0.316, 0), QUARTER),
        ((0.0825, 0, 0), QUARTER),
        ((-0.0825, 0.384, 0), -QUARTER),
        ((0, 0, 0), QUARTER),
        ((0.088, 0, 0), QUARTER),
    ]
    joints = [
        (f"j{i + 1}", "revolute", f"l{i}", f"l{i + 1}", origin(xyz, (roll, 0, 0)) + Z + LIMIT)
        for i, (xyz, roll) in enumerate(places)
    ]
    joints.append(("j8", "fixed", "l7", "l8", origin((0, 0, 0.107))))
    joints.append(("camera", "fixed", "l7", "eye", origin((0.1, 0, 0))))
    path = link_file(tmp_path, joints)
    arm = SerialChain.from_urdf(path, end_link="l8", rotation_weight=0.5)
    X, Ts = PANDA.sample(33, random_state=SEED_POSES)
    np.testing.assert_allclose(arm.transform(X), Ts, atol=1e-14)
    assert arm.rotation_weight == 0.5
    part = SerialChain.from_urdf(path, "l2", "l5")
    assert part.joint_names == ("j3", "j4", "j5")
    with pytest.raises(ValueError, match=r"end_link must be given.*'eye', 'l8'"):
        SerialChain.from_urdf(path)
    with pytest.raises(ValueError, match="end_link 'l2' is not below base_link 'l5'"):
        SerialChain.from_urdf(path, "l5", "l2")
    with pytest.raises(ValueError, match=r"base_link must be one of the links .*, got 'floor'"):
        SerialChain.from_urdf(path, "floor")
    with pytest.raises(ValueError, match="no joint between base_link and end_link"):
        SerialChain.from_urdf(path, "l7", "l8")


def test_urdf_with_a_slide_and_a_mesh_that_does_not_exist(tmp_path):
    pytest.importorskip("yourdfpy")
    path = link_file(
        tmp_path,
        [("s", "prismatic", "a", "b", origin((0, 0, 1)) + '<axis xyz="0 0 -2"/>' + LIMIT)],
    )
    mesh = '<visual><geometry><mesh filename="package://none/b.stl"/></geometry></visual>'
    path.write_text(path.read_text().replace('<link name="b"/>', f'<link name="b">{mesh}</link>'))
    arm = SerialChain.from_urdf(path)
    assert arm.joint_types == ("prismatic",)
    assert arm.forward("position")([0.25]).tolist() == [0.0, 0.0, 0.75]


@pytest.mark.parametrize(
    ("joints", "message"),
    [
        ([("j", "floating", "a", "b", "")], "joint 'j' is floating"),
        ([("j", "planar", "a", "b", "")], "joint 'j' is planar"),
        ([("j", "revolute", "a", "b", "")], "'j' must have limits with lower < upper, found none"),
        (
            [("j", "prismatic", "a", "b", '<limit effort="1" velocity="1"/>')],
            "'j' must have limits",
        ),
        (
            [
                ("j", "revolute", "a", "b", LIMIT),
                ("k", "revolute", "b", "c", LIMIT + '<mimic joint="j"/>'),
            ],
            "joint 'k' mimics 'j'",
        ),
        (
            [("j", "revolute", "a", "c", LIMIT), ("k", "revolute", "b", "c", LIMIT)],
            "link 'c' hangs on two joints, 'j' and 'k'",
        ),
        (
            [("j", "revolute", "a", "b", LIMIT), ("k", "revolute", "b", "a", LIMIT)],
            "base_link must be given, as the links that are a root are: none",
        ),
    ],
)
def test_urdf_that_is_no_chain(tmp_path, joints, message):
    pytest.importorskip("yourdfpy")
    with pytest.raises(ValueError, match=message):
        SerialChain.from_urdf(link_file(tmp_path, joints))


@pytest.mark.parametrize(
    "text", ["", "not xml", "<robot name='r'><link", "<robot name='r'><joint name='j'/></robot>"]
)
def test_damaged_urdf(tmp_path, text):
    pytest.importorskip("yourdfpy")
    path = tmp_path / "damaged.urdf"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"damaged\.urdf is not a URDF file that can be read"):
        SerialChain.from_urdf(path)
    with pytest.raises(FileNotFoundError):
        SerialChain.from_urdf(tmp_path / "none.urdf")


def test_urdf_without_yourdfpy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yourdfpy", None)
    with pytest.raises(ImportError, match=r"pip install 'fastinv\[urdf\]'"):
        SerialChain.from_urdf(tmp_path / "arm.urdf")


# The UR5 in closed form.


def gaps(solutions, x):
    """Largest difference of a joint (m,), modulo full turns."""
    return np.abs((solutions - x + np.pi) % (2.0 * np.pi) - np.pi).max(axis=1)


def test_generating_joints_are_among_the_solutions():
    X, Ts = UR5.sample(1000, random_state=SEED_POSES)
    counts = []
    for x, T in zip(X, Ts, strict=True):
        solutions = ur5_inverse(T)
        counts.append(len(solutions))
        assert gaps(solutions, x).min() < 1e-8
        assert ((solutions > -np.pi) & (solutions <= np.pi)).all()
        assert np.abs(UR5.transform(solutions) - T).max() < 1e-9
        assert all(
            gaps(np.delete(solutions, i, 0), s).min() > 1e-7 for i, s in enumerate(solutions)
        )
    assert set(counts) <= {2, 4, 6, 8}
    assert counts.count(8) > 700


@pytest.mark.parametrize("fifth", [0.0, np.pi])
def test_singular_wrist_has_a_point_of_each_curve(fifth):
    rng = np.random.default_rng(SEED_SINGULAR)
    zeros = 0
    for x in rng.uniform(-np.pi, np.pi, (100, 6)):
        x[4] = fifth
        T = UR5.transform(x)
        solutions = ur5_inverse(T)
        assert np.abs(UR5.transform(solutions) - T).max() < 1e-9
        on_curve = solutions[gaps(solutions[:, [0, 4]], x[[0, 4]]) < 1e-6]
        assert len(on_curve) in (1, 2)  # two elbows, which merge where the arm is stretched
        zeros += (on_curve[:, 5] == 0.0).all()
        x[5] = 0.0
        assert gaps(ur5_inverse(UR5.transform(x)), x).min() < 1e-6
    assert 0 < zeros < 100  # some are out of reach with joint 6 at 0


def test_stretched_elbow_is_one_branch_and_far_poses_have_none():
    solutions = ur5_inverse(UR5.transform([0.3, -1.0, 0.0, 0.4, 0.9, -0.5]))
    near = gaps(solutions, [0.3, -1.0, 0.0, 0.4, 0.9, -0.5]) < 1e-6
    assert near.sum() == 1
    far = UR5.transform(np.zeros(6))
    far[0, 3] = 2.0
    assert ur5_inverse(far).shape == (0, 6)
    on_axis = np.eye(4)  # the wrist's centre above the base, nearer than the arm's offset
    on_axis[2, 3] = 0.5
    assert ur5_inverse(on_axis).shape == (0, 6)
    with pytest.raises(ValueError, match="mirrors"):
        ur5_inverse(np.diag([1.0, 1.0, -1.0, 1.0]))


def test_polish_reaches_a_pose_to_rounding_error():
    """The residual has a zero, and the compiled Jacobian is right on the way to it."""
    rows, pose = UR5.jacobian_rows(), compiled(UR5)

    def jacobian(x):
        J = np.empty((12, 6))
        rows(x, J)
        return J

    X, Ts = UR5.sample(7, random_state=SEED_POSES)
    for x, T in zip(X, Ts, strict=True):
        y = UR5.target(T)
        found = least_squares(
            lambda x, y=y: pose(x) - y, x + 0.05, jacobian, xtol=1e-15, ftol=None, gtol=None
        )
        assert max(UR5.pose_error(found.x, T)) < 1e-12


def test_a_solver_takes_a_chain():
    arm = planar([0.5, 0.4, 0.3])
    options = {"bounds": arm.limits, "refine": False, "y_scale": 1.0, "random_state": 0}
    solver = fi.NearestSolver(arm.forward(), **options).fit()
    _, Ts = arm.sample(7, random_state=SEED_POSES)
    solutions = solver.solve(arm.targets(Ts))
    position, angle = arm.pose_error(solutions.best, Ts)
    expected = np.hypot(position, 2.0 * np.sin(angle / 2.0))
    np.testing.assert_allclose(solutions.residual[:, 0], expected, rtol=1e-9)
