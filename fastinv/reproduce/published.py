"""The paper's own numbers, which come with the package."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Literal

from fastinv._common.validation import check_integer
from fastinv.reproduce.errors import Errors, Moments

Setting = Literal["known_forward", "noisy_data"]
PaperResult = Moments  # over five seeds


@cache
def paper_result(number: int, setting: Setting = "known_forward") -> PaperResult:
    """The published numbers of an experiment.

    Parameters
    ----------
    number : int
        1 to 9.
    setting : {"known_forward", "noisy_data"}, default="known_forward"
        Table 1 or table 2; the paper has no direct network in the latter.

    Raises
    ------
    TypeError, ValueError
        There is no such experiment or setting.
    """
    number = check_integer(number, "number")
    text = resources.files("fastinv").joinpath("data/paper_results.json").read_text("utf-8")
    published = json.loads(text)
    if setting not in ("known_forward", "noisy_data"):
        raise ValueError(f"setting must be 'known_forward' or 'noisy_data', got {setting!r}")
    if str(number) not in published[setting]:
        raise ValueError(f"number must be one of the experiments 1 to 9, got {number}")
    methods = published[setting][str(number)]
    return PaperResult(_published(methods, "mean"), _published(methods, "std"))


def _published(methods: dict[str, dict[str, list[float]]], moment: str) -> Errors:
    learned, direct = methods.get("twin_best_learned"), methods.get("direct")
    return Errors(
        nearest_by_anchor=tuple(methods["nearest_by_anchor"][moment]),
        twin_by_anchor=tuple(methods["twin_by_anchor"][moment]),
        twin_best=methods["twin_best"][moment][0],
        twin_best_learned=None if learned is None else learned[moment][0],
        direct=None if direct is None else direct[moment][0],
    )
