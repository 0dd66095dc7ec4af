"""Is what is called CONVERGED a solution, and is what can be reached reached? In high precision.

Run with ``python bench/campaigns/true_roots.py``: 300 random compiled functions in random units
and 100,000 targets, a third of which are out of reach, take about ten minutes on one core. It needs
python-flint, in the extra ``bench``. What is counted is defined in ``tests/helpers/root_judge.py``
and ``root_campaign.py``, beside the generator ``random_functions.py``; a smaller draw is a test.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

# The tests draw from the same functions, and do not depend on this folder.
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))

from random_functions import FAMILIES
from root_campaign import Figures, run_campaign
from root_judge import Verdict


def table(figures: Figures) -> str:
    lines = [
        "| family | targets | out of reach | of these CONVERGED | reachable, not CONVERGED "
        "| verdicts | ROOT | ROUNDED | UNDERSTATED | FALSE |",
        "|---|" + "---:|" * 9,
    ]
    for family in FAMILIES:
        kinds = {kind: n for (name, kind), n in figures.targets.items() if name == family}
        beyond = sum(n for kind, n in kinds.items() if kind == "far" or "beyond" in kind)
        lies = sum(n for (name, _), n in figures.lies.items() if name == family)
        missed = sum(n for (name, *_), n in figures.missed.items() if name == family)
        verdicts: Counter[str] = Counter()
        for (name, _, verdict), n in figures.verdicts.items():
            verdicts[verdict] += n * (name == family)
        counts = [sum(kinds.values()), beyond, lies, missed, sum(verdicts.values())]
        counts += [verdicts[verdict.name] for verdict in Verdict]
        lines.append(f"| {family} | " + " | ".join(f"{n:,}" for n in counts) + " |")
    return "\n".join(lines)


def summary(figures: Figures) -> str:
    counts: Counter[str] = Counter()
    causes: Counter[tuple[str, str]] = Counter()
    lies: Counter[str] = Counter()
    for (_, _, verdict), n in figures.verdicts.items():
        counts[verdict] += n
    for (_, kind, status), n in figures.missed.items():
        causes[kind, status] += n
    for (_, kind), n in figures.lies.items():
        lies[kind] += n
    said = ", ".join(f"{kind} {status}: {n}" for (kind, status), n in sorted(causes.items()))
    lied = ", ".join(f"{kind}: {n}" for kind, n in sorted(lies.items()) if n)
    ratios, ulps = (
        np.median(values) if values else np.nan for values in (figures.ratios, figures.ulp_ratios)
    )
    return "\n".join(
        [
            f"CONVERGED: {sum(counts.values()):,}; violations: {figures.violations}",
            f"CONVERGED without a finite x_error: {figures.unproven}",
            f"the same root counted twice by solve_all: {figures.twice}",
            f"targets out of reach that are CONVERGED: {sum(lies.values())} ({lied})",
            f"reachable targets that are not: {sum(causes.values())} ({said})",
            f"median of x_error / true error: {ratios:.3g}",
            f"median of x_error / max(true error, ulp of x): {ulps:.3g}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--functions", type=int, default=300)
    parser.add_argument("--targets", type=int, default=100_000, help="in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--examples", type=int, default=20, help="violations to show")
    arguments = parser.parse_args()
    start = time.perf_counter()

    def report(number: int, found: Any, figures: Figures) -> None:
        if number % 20 == 19:
            seconds = time.perf_counter() - start
            print(f"{number + 1} functions, {seconds:.0f} s, {figures.violations} violations",
                  file=sys.stderr)  # fmt: skip

    figures = run_campaign(arguments.functions, arguments.targets, arguments.seed, report)
    print(table(figures))
    print(summary(figures))
    for example in figures.examples[: arguments.examples]:
        print(example)
    sys.exit(figures.violations > 0 or any(figures.lies.values()))


if __name__ == "__main__":
    main()
