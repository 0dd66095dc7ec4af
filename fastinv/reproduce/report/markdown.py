"""Tables and numbers in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

_SMALL = 1e-3


def markdown_table(heading: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table with one line per row of `body`."""
    lines = [heading, ["---"] * len(heading), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """The number with four decimals; a smaller one as a power of ten."""
    return f"{value:.4f}" if value == 0.0 or value >= _SMALL else f"{value:.1e}"


def number_and_spread(mean: float, std: float) -> str:
    """Mean ± standard deviation with equal decimals; the mean alone without a spread."""
    if std == 0.0:
        return number(mean)
    return f"{number(mean)} ± {std:.4f}" if mean >= _SMALL else f"{number(mean)} ± {std:.1e}"


def ratio(value: float) -> str:
    """The ratio with its significant digits."""
    if value < 0.01:
        return "< .01"
    return f"{value:.2f}" if value < 10.0 else f"{value:.0f}"
