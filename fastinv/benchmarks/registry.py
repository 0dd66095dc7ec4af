"""All works, by name."""

from __future__ import annotations

from collections.abc import Iterable

from fastinv.benchmarks.catalog.mixtures import mixture_nll
from fastinv.benchmarks.catalog.networks import inference, training
from fastinv.benchmarks.catalog.pipeline import many_targets, one_target
from fastinv.benchmarks.catalog.trees import build, queries, single_query
from fastinv.benchmarks.work import Work

_WIDTHS = (64, 128, 640)


def works() -> dict[str, Work]:
    """Every work by its name, in the order of the table."""
    found = [
        training((6, 640, 640, 2), 32, n_threads=2),
        training((6, 640, 640, 2), 256, n_threads=2),
        training((6, 64, 64, 2), 32, n_threads=1),
        inference((6, 640, 640, 2)),
        *(one_target(width) for width in _WIDTHS),
        *(many_targets(width) for width in _WIDTHS),
        *_tree_works(),
        mixture_nll(65536, 10, 3, n_threads=2),
        mixture_nll(32, 5, 1, n_threads=1, single_calls=True),
    ]
    return {work.name: work for work in found}


def _tree_works() -> list[Work]:
    single, double = ("pykdtree",), ("cKDTree", "sklearn")
    n_queries = 100_000
    return [
        queries(100_000, n_queries, 5, "float32", single, name="knn-1e5-float32"),
        queries(1_000_000, n_queries, 5, "float32", single, name="knn-1e6-float32", heavy=True),
        queries(100_000, n_queries, 5, "float64", double, name="knn-1e5-float64"),
        queries(1_000_000, n_queries, 5, "float64", double, name="knn-1e6-float64", heavy=True),
        queries(100_000, 1000, 1000, "float32", ("pykdtree", "cKDTree"), name="knn-k1000"),
        single_query(600, 5),
        build(1_000_000),
    ]


def find_works(names: Iterable[str]) -> list[Work]:
    """The works called `names`, each once, in the order of the table.

    Raises
    ------
    ValueError
        For an unknown name; the message lists all names.
    """
    all_works, wanted = works(), list(names)
    unknown = [name for name in wanted if name not in all_works]
    if unknown:
        raise ValueError(f"no work is called {unknown[0]!r}; there are: {', '.join(all_works)}")
    return [work for name, work in all_works.items() if name in wanted]
