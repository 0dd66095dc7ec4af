"""The status of a solution."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """The status of one solution. The description of each member is its message."""

    CONVERGED = 0, "the residual is within the tolerance"
    APPROXIMATE = 1, "the residual is above the tolerance"
    EXTRAPOLATED = 2, "the network left the region that its training pairs were drawn from"
    OUT_OF_BOUNDS = 3, "on the bounds the residual is above the tolerance"
    UNREACHABLE = 4, "nothing found is near enough to the target"
    INVALID = 5, "the target, the solution or its image is not finite"

    description: str

    def __new__(cls, value: int, description: str) -> Status:
        member = int.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member
