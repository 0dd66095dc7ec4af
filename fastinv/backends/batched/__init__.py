"""The search for all solutions of an f that only Python can evaluate: many targets at a time.

It follows the rules of the compiled search (``csrc/solve/search/``), but takes each step for all
starts of a block of targets, in one call of f.
"""

from fastinv.backends.batched.search import Search

__all__ = ["Search"]
