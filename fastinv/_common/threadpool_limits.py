"""Makes ``threadpoolctl.threadpool_limits`` apply to fastinv.

This file is separate and imports little because ``import fastinv`` needs it.
"""

from __future__ import annotations

from functools import cache

import threadpoolctl


class FastinvController(threadpoolctl.LibController):  # type: ignore[misc]
    """Lets threadpoolctl read and set the limit in the extension; 0 means no limit.

    Other packages also have extensions called ``_core``: `check_symbols` recognises ours.
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
        # Called for every library with a matching name, before `check_symbols`: it may not be ours.
        return None


@cache
def register_with_threadpoolctl() -> None:
    """Make ``threadpoolctl.threadpool_limits`` limit fastinv, too. Later calls do nothing."""
    threadpoolctl.register(FastinvController)
