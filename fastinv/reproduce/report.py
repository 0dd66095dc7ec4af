"""The report of a run: its numbers as JSON, and tables beside the paper's as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastinv.problems import experiment
from fastinv.reproduce.ablation import AblationRow
from fastinv.reproduce.errors import Errors, Moments
from fastinv.reproduce.published import paper_result
from fastinv.reproduce.recipes import Recipe
from fastinv.reproduce.runs import Table

# As the paper's results file calls them; the others are ours alone.
_KEYS = {
    "nearest_by_anchor": "knn_by_anchor",
    "twin_by_anchor": "itnnr_by_anchor",
    "twin_best": "itnnr_best_exact",
    "twin_best_learned": "itnnr_best_learned",
    "direct": "nn",
    "nearest_polished": "knn_polished",
    "twin_polished": "itnnr_polished",
    "nearest_recall": "knn_branch_recall",
    "twin_recall": "itnnr_branch_recall",
}
PROTOCOLS = {"paper_protocol": "Anchors 2-6", "nearest_protocol": "Anchors 1-5"}
_TITLES = {
    1: "Table 1: known forward function",
    2: "Table 2: noisy data, learned forward function",
}
_NOTES = """\
Numbers are RMSE in y by the exact forward function, mean ± standard deviation over the seeds;
where two stand in a cell, the second, in parentheses, is the paper's. The data are drawn anew for
each seed, while the paper has drawn them once.

- *Anchors 2-6* is the paper's protocol: its k-th anchor is the (k + 1)-th nearest in y.
  *Anchors 1-5* has the same networks with the five nearest.
- *kNN + polish* and *twin + polish*: damped Gauss-Newton steps from all five candidates, the best
  of them by the residual; on the exact forward function in table 1, on the learned one in table 2.
- *Branch recall*: the share of all exact solutions that the five polished candidates include, to
  1 % of the width of the domain; none where solutions form curves.
- The direct network is trained with the absolute error. With one unknown it learns the median of
  the solutions, which can be a solution itself."""


def results_content(
    tables: Mapping[int, Table], recipe: Recipe, seeds: Sequence[int]
) -> dict[str, Any]:
    """All numbers, with the keys of the paper's results.

    Returns
    -------
    dict
        ``paper_protocol`` and ``nearest_protocol`` hold ``experiments``: number, then
        ``known_forward`` or ``noisy_data``, then method, then ``mean`` and ``std``, lists.
        ``fit_seconds`` holds number, setting, then network to one time per seed.
    """
    content: dict[str, Any] = {
        "about": "RMSE in y by the exact forward function, mean and standard deviation over seeds.",
        "recipe": recipe.name,
        "seeds": list(seeds),
    }
    for protocol in PROTOCOLS:
        experiments: dict[str, Any] = {}
        for table in tables.values():
            for number in table.results:
                moments = getattr(table, protocol)(number)
                experiments.setdefault(str(number), {})[table.setting] = _by_method(moments)
        content[protocol] = {"experiments": experiments}
    seconds: dict[str, Any] = {}
    for table in tables.values():
        for number, results in table.results.items():
            seconds.setdefault(str(number), {})[table.setting] = {
                network: [result.fit_seconds[network] for result in results]
                for network in results[0].fit_seconds
            }
    return {**content, "fit_seconds": seconds}


def report_text(
    tables: Mapping[int, Table],
    recipe: Recipe,
    seeds: Sequence[int],
    figures: Iterable[str] = (),
    rows: Sequence[AblationRow] = (),
) -> str:
    """The report as Markdown.

    Parameters
    ----------
    tables : mapping of int to Table
    recipe : Recipe
    seeds : sequence of int
    figures : iterable of str
        File names beside the report.
    rows : sequence of AblationRow
    """
    parts = [
        "# Inverting non-injective functions with twin networks: the experiments",
        f"Recipe *{recipe.name}*, seeds {', '.join(map(str, seeds))}.",
        _NOTES,
    ]
    for number, table in tables.items():
        parts.append(f"## {_TITLES[number]}")
        for protocol, title in PROTOCOLS.items():
            parts += [f"### {title}", _summary(table, protocol), _by_anchor(table, protocol)]
        parts += ["### Seconds per fit", _seconds(table)]
    if rows:
        parts += ["## One ingredient at a time", ablation_text(rows)]
    drawn = [f"![{name}]({name})" for name in figures]
    if drawn:
        parts += ["## Figures", *drawn]
    return "\n\n".join(parts) + "\n"


def ablation_text(rows: Sequence[AblationRow]) -> str:
    """The rows of an ablation as a Markdown table."""
    heading = ["change", "experiment", "twin, 1st anchor", "twin, best", "twin + polish", "s/fit"]
    body = []
    for row in rows:
        mean = row.errors.mean
        errors = (mean.twin_by_anchor[0], mean.twin_best, mean.twin_polished)
        cells = [row.change, str(row.number), *(_number(error) for error in errors)]
        body.append([*cells, f"{row.seconds:.1f}"])
    return _markdown(heading, body)


def _by_method(moments: Moments) -> dict[str, dict[str, list[float]]]:
    methods = {}
    for name, key in _KEYS.items():
        mean, std = getattr(moments.mean, name), getattr(moments.std, name)
        if mean is not None:
            methods[key] = {"mean": _listed(mean), "std": _listed(std)}
    return methods


def _summary(table: Table, protocol: str) -> str:
    names = ["kNN, 1st", "direct network", "twin, 1st", "best (exact f)"]
    if table.number == 2:
        names.insert(3, "best (learned f)")
    body = []
    for number in table.results:
        ours, paper = getattr(table, protocol)(number), paper_result(number, table.setting)
        theirs = [_pair(paper, *which) for which in _columns(table.number)]
        cells = [_pair(ours, *which) for which in _columns(table.number)]
        beside = [
            cell if other == "-" else f"{cell} ({other})"
            for cell, other in zip(cells, theirs, strict=True)
        ]
        own = [_pair(ours, "nearest_polished"), _pair(ours, "twin_polished"), _recall(ours.mean)]
        body.append([f"{number}: {experiment(number).title}", *beside, *own])
    extra = ["kNN + polish", "twin + polish", "branch recall, kNN / twin"]
    return _markdown(["experiment", *names, *extra], body)


def _columns(table: int) -> list[tuple[str, int | None]]:
    columns: list[tuple[str, int | None]] = [
        ("nearest_by_anchor", 0),
        ("direct", None),
        ("twin_by_anchor", 0),
        ("twin_best", None),
    ]
    if table == 2:
        columns.insert(3, ("twin_best_learned", None))
    return columns


def _by_anchor(table: Table, protocol: str) -> str:
    body = []
    for number in table.results:
        ours, paper = getattr(table, protocol)(number), paper_result(number, table.setting)
        for name, method in (("kNN", "nearest_by_anchor"), ("twin", "twin_by_anchor")):
            cells = [
                f"{_pair(ours, method, i)} ({_pair(paper, method, i)})"
                for i in range(len(ours.mean.twin_by_anchor))
            ]
            body.append([str(number), name, *cells])
    return _markdown(["experiment", "by anchor", "1st", "2nd", "3rd", "4th", "5th"], body)


def _seconds(table: Table) -> str:
    networks = list(next(iter(table.results.values()))[0].fit_seconds)
    body = []
    for number, results in table.results.items():
        means = [
            sum(result.fit_seconds[network] for result in results) / len(results)
            for network in networks
        ]
        epochs = sum(result.twin_epochs for result in results) / len(results)
        body.append([str(number), *(f"{mean:.2f}" for mean in means), f"{epochs:.0f}"])
    return _markdown(["experiment", *networks, "epochs of the twin network"], body)


def _pair(moments: Moments, name: str, index: int | None = None) -> str:
    """Mean ± standard deviation of one method."""
    mean, std = getattr(moments.mean, name), getattr(moments.std, name)
    if mean is None:
        return "-"
    if index is not None:
        mean, std = mean[index], std[index]
    return f"{_number(mean)} ± {_number(std)}"


def _recall(mean: Errors) -> str:
    if mean.nearest_recall is None or mean.twin_recall is None:
        return "-"
    return f"{mean.nearest_recall:.0%} / {mean.twin_recall:.0%}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if value == 0.0 or value >= 1e-4 else f"{value:.0e}"


def _listed(value: float | tuple[float, ...]) -> list[float]:
    return list(value) if isinstance(value, tuple) else [value]


def _markdown(heading: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
