"""Times of what this package does beside other packages' for the same work, answers compared.

:func:`works` lists the works. :func:`run_works` measures some of them in this process;
:func:`run_in_children` in processes that may use no more processors than a work has threads,
which is what ``fastinv bench`` does. Other packages are imported when they are asked for.
"""

from fastinv.benchmarks.children import run_in_children
from fastinv.benchmarks.measure import Settings, run_works
from fastinv.benchmarks.peers.peers import PEERS, PeerUnavailable
from fastinv.benchmarks.registry import find_works, works
from fastinv.benchmarks.work import Job, Side, Work, disagreement

__all__ = [
    "PEERS",
    "Job",
    "PeerUnavailable",
    "Settings",
    "Side",
    "Work",
    "disagreement",
    "find_works",
    "run_in_children",
    "run_works",
    "works",
]
