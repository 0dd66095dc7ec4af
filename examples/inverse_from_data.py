"""Invert a curve that is known from noisy measurements only: three x for one y.

Run with ``python examples/inverse_from_data.py``.
"""

import numpy as np

import fastinv as fi


def main() -> None:
    wave = fi.problems.wave  # y = x + 0.3 sin(2 pi x) + noise, several x for a y
    X, y = wave.sample(500, random_state=0, noise=0.02)
    solver = fi.TwinSolver(n_candidates=20, random_state=0).fit(X, y)
    direct = fi.DirectSolver(random_state=0).fit(X, y)

    target = 0.5
    exact = wave.preimages([target])[0].ravel()
    print(f"x with f(x) = {target}: {np.round(exact, 3)}")
    found = solver.solve(target, k=10)
    print("twin network, best first, with the residual by the forward function that it learned:")
    for x, residual in zip(found.x[0, :, 0], found.residual[0], strict=True):
        print(f"  {x:.3f}  {residual:.1e}")
    print(f"one network trained on the inverse: {np.round(direct.solve(target).x.ravel(), 3)}")


if __name__ == "__main__":
    main()
