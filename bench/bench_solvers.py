"""Solvers beside each other, on the same targets: whole batches, defaults, one thread."""

import numpy as np
import pytest

import fastinv as fi

ARM = fi.problems.two_link_arm


@pytest.fixture(scope="module")
def solvers():
    """Trained for a few epochs only: that does not change what solving costs."""
    given = {"bounds": ARM.bounds, "random_state": 0, "n_threads": 1}
    twin = fi.TwinSolver(ARM.forward, **given).set_params(network__max_iter=1)
    mixture = fi.MixtureSolver(ARM.forward, **given).set_params(density__max_iter=30)
    return {"TwinSolver": twin.fit(), "MixtureSolver": mixture.fit()}


@pytest.mark.benchmark(group="4,000 targets of the two-link arm, 1 thread")
@pytest.mark.parametrize("name", ["TwinSolver", "MixtureSolver"])
def bench_solve(benchmark, solvers, name):
    _, y = ARM.sample(4000, random_state=42)
    found = benchmark.pedantic(solvers[name].solve, args=(y,), rounds=5, warmup_rounds=1)
    assert np.mean(found.status[:, 0] == fi.Status.CONVERGED) > 0.9
