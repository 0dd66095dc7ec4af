"""``fastinv reproduce``: the paper's experiments, its numbers beside ours."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from fastinv.cli._console import JsonOption, SeedOption, check_settings, output, print_json, say
from fastinv.problems import Problem, experiment
from fastinv.reproduce import Errors, ExperimentResult, PaperResult, paper_result, run_experiment

_QUICK = "1,7"
_ALL = "1,2,3,4,5,6,7,8,9"
_NOTES = """\
RMSE in y, known forward function; the paper's: mean and standard deviation over five seeds.
The paper's 1st anchor is the second nearest, so that it tries anchors 2 to 6: see the column
"anchors 2-6". The column "anchors 1-5" has the same networks with the five nearest.
Ours replaces a candidate that is worse than its own anchor by that anchor.
The direct network is trained with the absolute error, as in the paper. With one unknown it
learns the median of the solutions, which can be a solution itself."""


def reproduce(
    quick: Annotated[bool, typer.Option("--quick", help="Experiments 1 and 7 only.")] = False,
    experiments: Annotated[
        str | None, typer.Option(help="Experiments to run, like 1,7.", show_default="all nine")
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Run experiments of the paper on inverse twin networks, one seed, known forward function."""
    if quick and experiments is not None:
        raise typer.BadParameter("give either --quick or --experiments, not both")
    problems = _parse(experiments or (_QUICK if quick else _ALL))
    check_settings()
    results = []
    for problem in problems:
        say(f"Experiment {problem.experiment}: {problem.title}, {problem.formula}")
        results.append(run_experiment(problem, seed, verbose=1))
    if as_json:
        print_json({"random_state": seed, "experiments": [_with_paper(r) for r in results]})
        return
    for problem, result in zip(problems, results, strict=True):
        output().print(_table(problem, result))
        seconds = result.fit_seconds
        typer.echo(
            f"Training: twin network {seconds['twin']:.1f} s, direct network "
            f"{seconds['direct']:.1f} s.\n"
        )
    typer.echo(_NOTES)


def _parse(text: str) -> tuple[Problem, ...]:
    try:
        return tuple(experiment(int(number)) for number in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} must be numbers from 1 to 9 like 1,7", param_hint="--experiments"
        ) from error


def _with_paper(result: ExperimentResult) -> dict[str, object]:
    assert result.number is not None
    return result.summary() | {"paper": paper_result(result.number).summary()}


def _table(problem: Problem, result: ExperimentResult) -> Table:
    assert result.number is not None
    table = Table(
        title=f"Experiment {result.number}: {problem.title}\n{result.n_anchors} anchors, "
        f"{result.n_targets} targets, seed {result.random_state}"
    )
    table.add_column("RMSE in y")
    for heading in ("paper", "ours, anchors 2-6", "ours, anchors 1-5"):
        table.add_column(heading, justify="right")
    published = _rows_of_paper(paper_result(result.number))
    ours = (_values(result.paper_protocol), _values(result.nearest_five))
    for name, paper in published.items():
        table.add_row(name, paper, *(f"{values[name]:.4f}" for values in ours))
    return table


def _rows_of_paper(paper: PaperResult) -> dict[str, str]:
    spread = _values(paper.std)
    return {name: f"{mean:.4f} ± {spread[name]:.4f}" for name, mean in _values(paper.mean).items()}


def _values(errors: Errors) -> dict[str, float]:
    """The rows of the table."""
    return {
        "kNN, 1st anchor": errors.nearest_by_anchor[0],
        "direct network": errors.direct,
        "twin, 1st anchor": errors.twin_by_anchor[0],
        "twin, best": errors.twin_best,
    }
