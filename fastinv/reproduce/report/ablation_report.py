"""The ablation as Markdown: a line per change, a column per experiment."""

from __future__ import annotations

from collections.abc import Sequence

from fastinv.reproduce.ablations import AblationRow
from fastinv.reproduce.published import Setting
from fastinv.reproduce.report.markdown import markdown_table, number, ratio

_TITLES: dict[Setting, str] = {
    "known_forward": "Known forward function",
    "noisy_data": "Noisy data, learned forward function",
}
_NOTES = """\
Each line changes one thing and keeps all others. A cell has the RMSE in y of the solution from the
nearest anchor, of the one chosen among the candidates, and in parentheses the latter's ratio to
that of the unchanged recipe: above 1 the change does harm. All means over the seeds. Unless that is
what is changed, the five nearest anchors are tried (anchors 1-5) and nothing is polished.

- *Seconds*: of the training of the twin network, in *learned f* of that of the forward function.
  All trainings have the recipe's number of epochs, whatever a step costs.
- *Evaluations of f* per target, exact or learned, to choose and to polish; one value for each
  experiment.
- *Neighbouring data as pairs*: algorithm 1 on the anchors and the validation points instead of
  pairs made with the formula. *Raw*: inputs (y, y_a, x_a) and steps x - x_a as they are, one
  pass, and no candidate is replaced by its anchor where that is closer.
- *Learned f*: the same candidates, chosen by another f, or polished on it first. The exact f is the
  limit: no learner could do better."""


def ablation_text(rows: Sequence[AblationRow]) -> str:
    """Notes, and one table for each of the two settings."""
    parts = [_NOTES]
    for setting, title in _TITLES.items():
        parts += [f"### {title}", _table([row for row in rows if row.setting == setting])]
    return "\n\n".join(parts)


def _table(rows: Sequence[AblationRow]) -> str:
    numbers = sorted({row.number for row in rows})
    by_change: dict[tuple[str, str], dict[int, AblationRow]] = {}
    for row in rows:
        by_change.setdefault((row.ingredient, row.change), {})[row.number] = row
    body = []
    for (ingredient, change), found in by_change.items():
        measured = [found[n] for n in numbers if n in found]
        cells = [_cell(found[n]) if n in found else "-" for n in numbers]
        body.append([ingredient, change, *cells, _seconds(measured), _evaluations(measured)])
    columns = [f"{n}: first / chosen (ratio)" for n in numbers]
    return markdown_table(["ingredient", "change", *columns, "s/fit", "evaluations of f"], body)


def _cell(row: AblationRow) -> str:
    return f"{number(row.first)} / {number(row.best)} ({ratio(row.ratio)})"


def _seconds(rows: Sequence[AblationRow]) -> str:
    found = [row.seconds for row in rows if row.seconds is not None]
    return f"{sum(found) / len(found):.1f}" if found else "-"


def _evaluations(rows: Sequence[AblationRow]) -> str:
    found = [row.n_evaluations for row in rows if row.n_evaluations is not None]
    return " / ".join(f"{value:.0f}" for value in found) if found else "-"
