"""What makes ``threadpoolctl.threadpool_limits`` reach fastinv.

It has a file of its own, which imports little, because ``import fastinv`` needs it.
"""

from __future__ import annotations

from functools import cache

import threadpoolctl


class FastinvController(threadpoolctl.LibController):  # type: ignore[misc]
    """Lets threadpoolctl read and set the limit that the extension holds, 0 standing for none.

    Other packages have extensions called ``_core``, too: `check_symbols` tells ours from theirs.
    """

    user_api = "fastinv"
    internal_api = "fastinv"
    filename_prefixes = ("_core",)
    check_symbols = ("fastinv_get_num_threads", "fastinv_set_num_threads")

    def get_num_threads(self) -> int:
        return int(self.dynlib.fastinv_get_num_threads())

    def set_num_threads(self, num_threads: int) -> None:
        self.dynlib.fastinv_set_num_threads(int(num_threads))

    def get_version(self) -> None:
        # Asked of every library whose name fits, before `check_symbols`: it may not be ours.
        return None


@cache
def register_with_threadpoolctl() -> None:
    """Make ``threadpoolctl.threadpool_limits`` limit fastinv, too. Later calls do nothing."""
    threadpoolctl.register(FastinvController)
