"""Time of the KD-tree beside others' in the same run; all must find the same distances.

Run with ``pytest bench/bench_kdtree.py``.
"""

from works import sides_of, time_side


@sides_of("knn-")
def bench_tree(benchmark, work, side):
    time_side(benchmark, work, side)
