"""The status of a solution, and of a search for all solutions."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class _Described(IntEnum):
    """Numbers that are written as ``NAME = value, description``."""

    description: str

    def __new__(cls, value: int, description: str) -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member


class Status(_Described):
    """The status of one solution. The description of each member is its message."""

    CONVERGED = 0, "it is within the tolerance"
    APPROXIMATE = 1, "it is not within the tolerance, or no root of f - y is near it"
    EXTRAPOLATED = 2, "the network left the region that its training pairs were drawn from"
    OUT_OF_BOUNDS = 3, "like APPROXIMATE, on the bounds"
    UNREACHABLE = 4, "nothing found is near enough to the target"
    INVALID = 5, "the target, the solution or its image is not finite"


class SearchStatus(_Described):
    """How the search for all solutions of one target ended."""

    ENDED = 0, "all starts were tried"
    CUT = 1, "there are more solutions than max_solutions"
    SET = 2, "some solutions are not isolated: a few members of their set are given"
    INVALID = 3, "the target is not finite, or the call was interrupted before it"
