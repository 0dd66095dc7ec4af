"""The paragraph about the run of a report: command, time, machine and versions."""

from __future__ import annotations

from typing import Any

from fastinv._common.threads import resolve_n_threads
from fastinv.benchmarks.machine import describe_machine


def circumstances(options: dict[str, Any], seconds: float, n_jobs: int) -> str:
    """A paragraph of Markdown about the run.

    Parameters
    ----------
    options : dict
        Options of ``fastinv reproduce`` that give the same numbers again; True is a flag.
    seconds : float
        Clock time of all runs together.
    n_jobs : int
        Processes that shared the runs.
    """
    arguments = [
        f"--{name}" if value is True else f"--{name} {value}"
        for name, value in options.items()
        if value is not False
    ]
    machine = describe_machine()
    versions = machine["versions"]
    n_threads = resolve_n_threads() if n_jobs == 1 else 1
    return (
        f"`fastinv reproduce {' '.join(arguments)}`: {seconds:.0f} s by the clock, processes: "
        f"{n_jobs}, threads of each: {n_threads}. fastinv {versions['fastinv']}, Python "
        f"{versions['python']}, NumPy {versions['numpy']}; {machine['processor']}, instruction set "
        f"{machine['instruction_set']}. The same command gives the same numbers again, but for "
        "times, on any number of processes and threads, with the same instruction set."
    )
