"""The compiled forward function of a chain, which keeps its chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastinv.functions.compiled import ForwardFunction
from fastinv.robots._codegen import N_OUTPUTS, Output, forward_rows

if TYPE_CHECKING:
    from fastinv.robots.chain import SerialChain


class ChainForward(ForwardFunction):
    """Maps joint values to a position or a pose; :meth:`SerialChain.forward` makes it.

    Parameters
    ----------
    chain : SerialChain
    output : {"position", "pose"}

    Attributes
    ----------
    chain, output
        As given. Pickles hold these, and compile the function again.
    """

    def __init__(self, chain: SerialChain, output: Output) -> None:
        super().__init__(
            forward_rows(f"{chain.name} {output}", chain.row_description(output)),
            chain.n_joints,
            N_OUTPUTS[output],
            chain.jacobian_rows(output),
        )
        self.chain = chain
        self.output = output

    def __reduce__(self) -> tuple[Any, ...]:
        return ChainForward, (self.chain, self.output)
