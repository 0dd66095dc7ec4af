"""Robot arms: every posture for a pose, the one near to the present, a path, and redundant arms.

Run with ``python examples/robot_arms.py``.
"""

import numpy as np

import fastinv as fi


def show(postures):
    for x in postures:
        print("  " + " ".join(f"{angle: .3f}" for angle in x))


def ur5():
    """Six joints: a pose of the flange has up to eight postures."""
    arm = fi.robots.ur5()
    pose = arm.forward("pose")  # compiled: joints (n, 6) to positions and rotations (n, 12)
    print(f"{arm} maps R^{pose.n_inputs} to R^{pose.n_outputs}")
    # No network is needed where f is exact: anchors lead to solutions, and are polished.
    solver = fi.NearestSolver(pose, bounds=arm.limits, periods=arm.periods, random_state=0).fit()

    now = np.array([0.3, -1.0, 1.2, 0.4, 0.9, -0.5])
    T = arm.transform(now + 0.2)
    found = solver.solve_all(arm.target(T), effort=4)
    postures = found.x[0, : found.count[0]]
    metres, radians = arm.pose_error(postures, T)
    known = len(fi.robots.ur5_inverse(T))
    print(f"{len(postures)} postures reach one pose, {known} are known in closed form:")
    show(postures)
    print(f"  off by at most {metres.max():.0e} m and {radians.max():.0e} rad")

    nearest = solver.solve_all(arm.target(T), near=now, weights=[4, 4, 2, 1, 1, 1])
    print("the one with the least motion from where the arm is, big joints counting most:")
    show(nearest.best)

    # A circle with the flange held as it is.
    turn = np.linspace(0.0, 2.0 * np.pi, 100)
    Ts = np.tile(T, (len(turn), 1, 1))
    Ts[:, 0, 3] += 0.05 * (np.cos(turn) - 1.0)
    Ts[:, 1, 3] += 0.05 * np.sin(turn)
    path = solver.solve_path(arm.targets(Ts), nearest.best[0])
    steps = np.abs(np.diff(path.x, axis=0)).max()
    print(f"a circle of 5 cm: {path}\n  no joint moves by more than {steps:.3f} rad a step")


def panda():
    """Seven joints: a pose has curves of postures."""
    arm = fi.robots.panda()
    position = arm.forward("position")
    for name, f in (("pose", arm.forward("pose")), ("position", position)):
        solver = fi.NearestSolver(f, bounds=arm.limits, periods=arm.periods, random_state=0).fit()
        x, _ = arm.sample(100, random_state=1)
        found = solver.solve_all(f(x))
        print(f"{arm}, {name}: {np.count_nonzero(found.count)} of {len(x)} reached")
    # Only the place of the flange matters: many joints are free to do something else.
    place = position(x[0])
    postures = solver.sample_solutions(place, 200, random_state=0)
    error = np.linalg.norm(position(postures) - place, axis=1).max()
    print(f"{len(postures)} postures with the flange in one place, to {error:.0e} m; joints span")
    print("  " + " ".join(f"{span:.1f}" for span in np.ptp(postures, axis=0)) + " rad")
    middle = arm.limits.mean(axis=1)
    comfortable = solver.solve_all(place, cost=lambda q: ((q - middle) ** 2).sum(axis=1))
    print("the one of solve_all that is nearest to the middle of all joints:")
    show(comfortable.best)


def scara():
    """Any other arm: by Denavit-Hartenberg parameters, or SerialChain.from_urdf("arm.urdf")."""
    arm = fi.robots.SerialChain.from_dh(
        a=[0.35, 0.25, 0.0, 0.0],
        alpha=[0.0, np.pi, 0.0, 0.0],
        d=[0.4, 0.0, 0.0, 0.05],
        joint_types=["revolute", "revolute", "prismatic", "revolute"],
        limits=[(-2.3, 2.3), (-2.5, 2.5), (0.0, 0.2), (-np.pi, np.pi)],
        name="scara",
    )
    tip = arm.forward("position")([0.5, -0.8, 0.1, 0.0])
    print(f"{arm} reaches {np.round(tip, 3).tolist()}")


if __name__ == "__main__":
    ur5()
    panda()
    scara()
