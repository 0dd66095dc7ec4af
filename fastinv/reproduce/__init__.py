"""The experiments of the paper on inverse twin networks, with its numbers next to ours.

S. J. Wetzel (2026), "Inverting Non-Injective Functions with Twin Neural Network Regression",
section 5 and appendix A: table 1, known forward function, and table 2, noisy data.
"""

from __future__ import annotations

from fastinv.reproduce.ablations import AblationRow, ablation
from fastinv.reproduce.data import Split
from fastinv.reproduce.errors import Errors, Moments
from fastinv.reproduce.experiment import ExperimentResult, run_experiment
from fastinv.reproduce.published import PaperResult, paper_result
from fastinv.reproduce.runs import Table, run_tables
from fastinv.reproduce.training.recipes import FAST, PAPER, RECIPES, Recipe

__all__ = [
    "FAST",
    "PAPER",
    "RECIPES",
    "AblationRow",
    "Errors",
    "ExperimentResult",
    "Moments",
    "PaperResult",
    "Recipe",
    "Split",
    "Table",
    "ablation",
    "paper_result",
    "run_experiment",
    "run_tables",
]
