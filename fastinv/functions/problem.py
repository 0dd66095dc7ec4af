"""What to solve: a function and the region of its inputs."""

from __future__ import annotations

from dataclasses import dataclass

from fastinv.functions.function import Function
from fastinv.functions.region import Region


@dataclass(frozen=True, eq=False)
class Problem:
    """Find all x in a region with f(x) = y, for targets y that each call gives.

    Parameters
    ----------
    function : Function
        f
    region : Region
        The allowed x.

    Raises
    ------
    ValueError
        f has another number of inputs than the region.
    """

    function: Function
    region: Region

    def __post_init__(self) -> None:
        if self.function.n_inputs != self.region.n_inputs:
            raise ValueError(
                f"function must have as many inputs as region, {self.region.n_inputs}, "
                f"got {self.function.n_inputs}"
            )

    @property
    def n_inputs(self) -> int:
        """p"""
        return self.function.n_inputs

    @property
    def n_outputs(self) -> int:
        """q"""
        return self.function.n_outputs
