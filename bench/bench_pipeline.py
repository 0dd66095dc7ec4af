"""One target to ranked solutions, and many at once, beside the same steps from general parts:
SciPy's cKDTree, PyTorch and NumPy (where PyTorch is installed)."""

from works import sides_of, time_side


@sides_of("solve-one-")
def bench_one_target(benchmark, work, side):
    time_side(benchmark, work, side)


@sides_of("solve-many-")
def bench_many_targets(benchmark, work, side):
    time_side(benchmark, work, side)
