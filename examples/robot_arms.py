"""Robot arms as forward functions: poses of a UR5, its eight arm postures, an arm of one's own.

Run with ``python examples/robot_arms.py``.
"""

import numpy as np

import fastinv as fi


def main() -> None:
    arm = fi.robots.ur5()
    pose = arm.forward("pose")  # compiled: joints (n, 6) to positions and rotations (n, 12)
    X, Ts = arm.sample(1000, random_state=0)
    print(f"{arm} maps R^{pose.n_inputs} to R^{pose.n_outputs}")
    print(f"compiled and plain NumPy differ by {np.abs(pose(X) - arm.targets(Ts)).max():.0e}")

    # A solver takes `pose` with bounds=arm.limits, and arm.target(T) as what to solve for. For
    # the UR5 the solutions are known in closed form, to compare with.
    T = arm.transform([0.3, -1.0, 1.2, 0.4, 0.9, -0.5])
    postures = fi.robots.ur5_inverse(T)
    position_error, angle_error = arm.pose_error(postures, T)
    print(f"{len(postures)} postures reach the same pose:")
    for x, metres, radians in zip(postures, position_error, angle_error, strict=True):
        angles = " ".join(f"{angle: .3f}" for angle in x)
        print(f"  {angles}  off by {metres:.0e} m and {radians:.0e} rad")

    # Any other arm: by Denavit-Hartenberg parameters, or SerialChain.from_urdf("arm.urdf").
    scara = fi.robots.SerialChain.from_dh(
        a=[0.35, 0.25, 0.0, 0.0],
        alpha=[0.0, np.pi, 0.0, 0.0],
        d=[0.4, 0.0, 0.0, 0.05],
        joint_types=["revolute", "revolute", "prismatic", "revolute"],
        limits=[(-2.3, 2.3), (-2.5, 2.5), (0.0, 0.2), (-np.pi, np.pi)],
        name="scara",
    )
    tip = scara.forward("position")([0.5, -0.8, 0.1, 0.0])
    print(f"{scara} reaches {np.round(tip, 3).tolist()}")


if __name__ == "__main__":
    main()
