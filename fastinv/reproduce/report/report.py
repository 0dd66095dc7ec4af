"""The report of a run: its numbers as JSON, and tables next to the paper's as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fastinv.problems import experiment
from fastinv.reproduce.ablations import AblationRow
from fastinv.reproduce.errors import Errors, Moments
from fastinv.reproduce.published import paper_result
from fastinv.reproduce.report.ablation_report import ablation_text
from fastinv.reproduce.report.markdown import markdown_table, number_and_spread, ratio
from fastinv.reproduce.runs import Table
from fastinv.reproduce.training.recipes import Recipe

# Names in the paper's results file; the others are our own.
_KEYS = {
    "nearest_by_anchor": "knn_by_anchor",
    "twin_by_anchor": "itnnr_by_anchor",
    "twin_best": "itnnr_best_exact",
    "twin_best_learned": "itnnr_best_learned",
    "direct": "nn",
    "nearest_polished": "knn_polished",
    "twin_polished": "itnnr_polished",
    "twin_polished_many": "itnnr_polished_more_anchors",
    "least": "least_possible",
    "nearest_recall": "knn_branch_recall",
    "twin_recall": "itnnr_branch_recall",
}
PROTOCOLS = {"paper_protocol": "Anchors 2-6", "nearest_protocol": "Anchors 1-5"}
_TITLES = {
    1: "Table 1: known forward function",
    2: "Table 2: noisy data, learned forward function",
}
# Columns of the ratios of table 2, whose denominator is the paper's best by the learned f.
_OVER_LEARNED = {
    "best (learned f)": "twin_best_learned",
    "twin + polish": "twin_polished",
    "twin + polish, more anchors": "twin_polished_many",
}
_ABOUT_FIGURES = "Numbered as in the paper. Figures 2 to 7 have trainings of their own, seed 0."
_CAPTIONS = {
    "figure_2.png": "2. A network for the cubic, one for its inverse, and the twin network with "
    "600 anchors, the five nearest tried.",
    "figure_3.png": "3. What the twin network predicts: two anchors with the same y on two "
    "branches take different steps to the same target, hence the input x of the anchor.",
    "figure_4.png": "4. kNN with five anchors: the nearest in y answers.",
    "figure_5.png": "5. The twin network with the same anchors, the nearest in y alone.",
    "figure_6.png": "6. From every one of these anchors, and those that agree with f.",
    "figure_7.png": "7. The half ball, from the 20 nearest of 300 anchors; circles: all solutions.",
    "figure_8.png": "8. Known forward function: error by anchor, ours filled, the paper's hollow.",
    "figure_9.png": "9. Noisy data: error by anchor, ours filled, the paper's hollow.",
}
_NOTES = """\
Numbers are RMSE in y by the exact forward function, mean ± standard deviation over the seeds (the
mean alone where nothing spreads); where two stand in a cell, the second, in parentheses, is the
paper's. The data are drawn anew for each seed, while the paper has drawn them once.

- *Anchors 2-6* is the paper's protocol: its k-th anchor is the (k + 1)-th nearest in y.
  *Anchors 1-5* has the same networks with the five nearest.
- *kNN + polish* and *twin + polish*: damped Gauss-Newton steps from all five candidates, the best
  of them by the residual. In table 1 they are steps on the exact f and end at rounding error,
  unless the branches of all five anchors fold back before the target: the twin network can jump
  to another branch, steps cannot. In table 2 nobody knows the exact f: they are steps on the f
  that was learned from the same noisy data, down to f(x) = y by that f, so that what is left
  is the error of the learned f.
- *More anchors*: the same from the {n_ranked} nearest anchors, for noisy data.
- *Least possible*: noise has moved some targets to where no x leads; this is what the best
  solutions by the exact f leave.
- *Ours / paper* divides means; below 1 ours is the more accurate. In table 2 the polished columns
  are divided by the paper's best by its learned f, for the paper does not polish.
- *Branch recall*: the share of all exact solutions that the five polished candidates include, to
  1 % of the width of the domain; none where solutions form curves.
- The direct network is trained with the absolute error. With one unknown it learns the median of
  the solutions, which may be one itself or far from all."""


def results_content(
    tables: Mapping[int, Table],
    recipe: Recipe,
    seeds: Sequence[int],
    rows: Sequence[AblationRow] = (),
) -> dict[str, Any]:
    """All numbers, with the keys of the paper's results.

    Returns
    -------
    dict
        ``paper_protocol`` and ``nearest_protocol`` hold ``experiments``: number, then
        ``known_forward`` or ``noisy_data``, then method, then ``mean`` and ``std``, lists.
        ``fit_seconds`` holds number, setting, then network to one time per seed. ``ablation`` is
        a list of the attributes of :class:`fastinv.reproduce.AblationRow`.
    """
    content: dict[str, Any] = {
        "about": "RMSE in y by the exact forward function, mean and standard deviation over seeds.",
        "recipe": recipe.name,
        "seeds": list(seeds),
    }
    for protocol in PROTOCOLS:
        experiments: dict[str, Any] = {}
        for table in tables.values():
            for of_paper in table.results:
                moments = getattr(table, protocol)(of_paper)
                experiments.setdefault(str(of_paper), {})[table.setting] = _by_method(moments)
        content[protocol] = {"experiments": experiments}
    seconds: dict[str, Any] = {}
    for table in tables.values():
        for of_paper, results in table.results.items():
            seconds.setdefault(str(of_paper), {})[table.setting] = {
                network: [result.fit_seconds[network] for result in results]
                for network in results[0].fit_seconds
            }
    return {**content, "fit_seconds": seconds, "ablation": [asdict(row) for row in rows]}


def report_text(
    tables: Mapping[int, Table],
    recipe: Recipe,
    seeds: Sequence[int],
    figures: Iterable[str] = (),
    rows: Sequence[AblationRow] = (),
    circumstances: str = "",
) -> str:
    """The report as Markdown.

    Parameters
    ----------
    tables : mapping of int to Table
    recipe : Recipe
    seeds : sequence of int
    figures : iterable of str
        File names in the folder of the report.
    rows : sequence of AblationRow
    circumstances : str
        About the run, see :func:`fastinv.reproduce.report.circumstances.circumstances`.
    """
    parts = [
        "# Inverting non-injective functions with twin networks: the experiments",
        f"Recipe *{recipe.name}*, {'seeds' if len(seeds) > 1 else 'seed'} {_joined(seeds)}.",
        *([circumstances] if circumstances else []),
        _NOTES.format(n_ranked=recipe.n_ranked),
    ]
    for which, table in tables.items():
        parts.append(f"## {_TITLES[which]}")
        for protocol, title in PROTOCOLS.items():
            parts += [f"### {title}", _summary(table, protocol), _ratios(table, protocol)]
            parts.append(_by_anchor(table, protocol))
        parts += ["### Seconds per fit", _seconds(table)]
    if rows:
        parts += ["## One ingredient at a time", ablation_text(rows)]
    drawn = [f"![{name}]({name})\n\n*{_CAPTIONS[name]}*" for name in figures]
    if drawn:
        parts += ["## Figures", _ABOUT_FIGURES, *drawn]
    return "\n\n".join(parts) + "\n"


def _by_method(moments: Moments) -> dict[str, dict[str, list[float]]]:
    methods = {}
    for name, key in _KEYS.items():
        mean, std = getattr(moments.mean, name), getattr(moments.std, name)
        if mean is not None:
            methods[key] = {"mean": _listed(mean), "std": _listed(std)}
    return methods


def _summary(table: Table, protocol: str) -> str:
    names = ["kNN, 1st", "direct network", "twin, 1st", "best (exact f)"]
    extra = ["kNN + polish", "twin + polish"]
    if table.number == 2:
        names.insert(3, "best (learned f)")
        extra += ["twin + polish, more anchors", "least possible"]
    body = []
    for of_paper in table.results:
        ours, paper = getattr(table, protocol)(of_paper), paper_result(of_paper, table.setting)
        theirs = [_pair(paper, *which) for which in _columns(table.number)]
        cells = [_pair(ours, *which) for which in _columns(table.number)]
        beside = [
            cell if other == "-" else f"{cell} ({other})"
            for cell, other in zip(cells, theirs, strict=True)
        ]
        own = [_pair(ours, "nearest_polished"), _pair(ours, "twin_polished")]
        if table.number == 2:
            own += [_pair(ours, "twin_polished_many"), _pair(ours, "least")]
        title = f"{of_paper}: {experiment(of_paper).title}"
        body.append([title, *beside, *own, _recall(ours.mean)])
    return markdown_table(["experiment", *names, *extra, "branch recall, kNN / twin"], body)


def _ratios(table: Table, protocol: str) -> str:
    """Our errors over the paper's for the same methods, and for polish with a learned f."""
    columns = {"1st anchor": ("twin_by_anchor", "twin_by_anchor")}
    if table.number == 1:
        columns["best"] = ("twin_best", "twin_best")
    else:
        for title, name in _OVER_LEARNED.items():
            columns[title] = (name, "twin_best_learned")
    body = []
    for of_paper in table.results:
        ours = getattr(table, protocol)(of_paper).mean
        paper = paper_result(of_paper, table.setting).mean
        cells = [
            _over(getattr(ours, one), getattr(paper, other)) for one, other in columns.values()
        ]
        body.append([str(of_paper), *cells])
    return markdown_table(["ours / paper, experiment", *columns], body)


def _over(ours: Any, paper: Any) -> str:
    """The ratio of two errors, or of the two errors of the first anchor."""
    if isinstance(ours, tuple):
        ours, paper = ours[0], paper[0]
    return ratio(ours / paper)


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
    for of_paper in table.results:
        ours, paper = getattr(table, protocol)(of_paper), paper_result(of_paper, table.setting)
        for name, method in (("kNN", "nearest_by_anchor"), ("twin", "twin_by_anchor")):
            cells = [
                f"{_pair(ours, method, i)} ({_pair(paper, method, i)})"
                for i in range(len(ours.mean.twin_by_anchor))
            ]
            body.append([str(of_paper), name, *cells])
    return markdown_table(["experiment", "by anchor", "1st", "2nd", "3rd", "4th", "5th"], body)


def _seconds(table: Table) -> str:
    networks = list(next(iter(table.results.values()))[0].fit_seconds)
    body = []
    for of_paper, results in table.results.items():
        means = [
            sum(result.fit_seconds[network] for result in results) / len(results)
            for network in networks
        ]
        epochs = sum(result.twin_epochs for result in results) / len(results)
        body.append([str(of_paper), *(f"{mean:.2f}" for mean in means), f"{epochs:.0f}"])
    return markdown_table(["experiment", *networks, "epochs of the twin network"], body)


def _pair(moments: Moments, name: str, index: int | None = None) -> str:
    """Mean ± standard deviation of one method."""
    mean, std = getattr(moments.mean, name), getattr(moments.std, name)
    if mean is None:
        return "-"
    if index is not None:
        mean, std = mean[index], std[index]
    return number_and_spread(mean, std)


def _recall(mean: Errors) -> str:
    if mean.nearest_recall is None or mean.twin_recall is None:
        return "-"
    return f"{mean.nearest_recall:.0%} / {mean.twin_recall:.0%}"


def _joined(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _listed(value: float | tuple[float, ...]) -> list[float]:
    return list(value) if isinstance(value, tuple) else [value]
