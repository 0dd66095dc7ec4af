"""Many experiments with many seeds, in parallel processes, and their means and spreads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from fastinv._validation import check_integer
from fastinv.problems import experiment
from fastinv.reproduce.errors import Moments
from fastinv.reproduce.experiment import ExperimentResult, run_experiment
from fastinv.reproduce.published import Setting
from fastinv.reproduce.recipes import FAST, Recipe

SETTINGS: dict[int, Setting] = {1: "known_forward", 2: "noisy_data"}  # by table


@dataclass(frozen=True)
class Table:
    """One of the paper's tables, from our own runs.

    Attributes
    ----------
    number : int
        1 or 2.
    results : dict of int to tuple of ExperimentResult
        By experiment, one result per seed.
    """

    number: int
    results: dict[int, tuple[ExperimentResult, ...]]

    @property
    def setting(self) -> Setting:
        return SETTINGS[self.number]

    def paper_protocol(self, number: int) -> Moments:
        """Over the seeds of an experiment, with the anchors that the paper tries."""
        return Moments.of([result.paper_protocol for result in self.results[number]])

    def nearest_protocol(self, number: int) -> Moments:
        """The same with the five nearest anchors."""
        return Moments.of([result.nearest_five for result in self.results[number]])


def run_tables(
    numbers: Sequence[int] = tuple(range(1, 10)),
    *,
    tables: Sequence[int] = (1, 2),
    seeds: Sequence[int] = tuple(range(5)),
    recipe: Recipe = FAST,
    n_jobs: int = 1,
    on_result: Callable[[ExperimentResult], Any] = lambda result: None,
) -> dict[int, Table]:
    """Run experiments for one or both tables.

    Parameters
    ----------
    numbers : sequence of int
        Experiments, 1 to 9.
    tables : sequence of int, default=(1, 2)
    seeds : sequence of int, default=(0, 1, 2, 3, 4)
    recipe : Recipe, default=FAST
    n_jobs : int, default=1
        Processes, one thread each where there are more than one. The numbers do not depend on it.
    on_result : callable
        Is told each result as it comes.

    Returns
    -------
    dict of int to Table

    Raises
    ------
    TypeError, ValueError
        An argument out of range.
    """
    n_jobs = check_integer(n_jobs, "n_jobs")
    tasks = [(table, number, seed) for table in tables for number in numbers for seed in seeds]
    found: dict[int, dict[int, tuple[ExperimentResult, ...]]] = {table: {} for table in tables}
    pool = _processes(n_jobs) if n_jobs > 1 else nullcontext()
    with pool as executor:
        for (table, number, _), result in zip(
            tasks, _results(executor, tasks, recipe), strict=True
        ):
            found[table][number] = (*found[table].get(number, ()), result)
            on_result(result)
    return {number: Table(number, results) for number, results in found.items()}


def _results(executor: Executor | None, tasks: list[tuple[int, int, int]], recipe: Recipe) -> Any:
    """Results in the order of `tasks`, each as soon as it is there."""
    if executor is None:
        yield from (_run(*task, recipe) for task in tasks)
        return
    futures: list[Future[ExperimentResult]] = [
        executor.submit(_run, *task, recipe) for task in tasks
    ]
    try:
        for future in futures:
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


def _run(table: int, number: int, seed: int, recipe: Recipe) -> ExperimentResult:
    return run_experiment(experiment(number), seed, setting=SETTINGS[table], recipe=recipe)


def _processes(n_jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(n_jobs, get_context("spawn"), initializer=_take_one_thread)


def _take_one_thread() -> None:
    os.environ["FASTINV_NUM_THREADS"] = "1"
