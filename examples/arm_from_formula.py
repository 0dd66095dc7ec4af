"""Both elbows of a two-link arm, and the one that moves least.

Run with ``python examples/arm_from_formula.py``.
"""

import numpy as np

import fastinv as fi


@fi.forward(n_inputs=2, n_outputs=2)
def arm(x, y):
    y[0] = np.cos(x[0]) + np.cos(x[0] + x[1])
    y[1] = np.sin(x[0]) + np.sin(x[0] + x[1])


def main() -> None:
    solver = fi.TwinSolver(arm, bounds=[(-np.pi / 2, np.pi / 2)] * 2, random_state=0, verbose=1)
    solver.fit()

    target = [1.5, 0.6]
    solutions = solver.solve(target, k=10)
    print(f"joint angles that reach {target}:")
    for x, residual, status in zip(
        solutions.x[0], solutions.residual[0], solutions.status[0], strict=True
    ):
        print(f"  ({x[0]: .4f}, {x[1]: .4f})  off by {residual:.1e}  {fi.Status(status).name}")

    state = [0.8, -1.0]
    nearest = solver.solve(target, near=state).best[0]
    print(f"from the state {state}: go to ({nearest[0]:.4f}, {nearest[1]:.4f})")


if __name__ == "__main__":
    main()
