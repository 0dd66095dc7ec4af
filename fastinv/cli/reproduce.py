"""``fastinv reproduce``: the paper's experiments, with its numbers next to ours."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table as RichTable

from fastinv._common.files import replace_file
from fastinv.cli._console import (
    JsonOption,
    SeedOption,
    check_settings,
    fail,
    output,
    print_json,
    say,
)
from fastinv.problems import Problem, experiment
from fastinv.reproduce import (
    RECIPES,
    AblationRow,
    Errors,
    ExperimentResult,
    PaperResult,
    Recipe,
    Table,
    ablation,
    paper_result,
    run_experiment,
    run_tables,
)
from fastinv.reproduce.ablations import EXPERIMENTS as ABLATED
from fastinv.reproduce.report.circumstances import circumstances
from fastinv.reproduce.report.report import report_text, results_content

_QUICK = "1,7"
_ALL = "1,2,3,4,5,6,7,8,9"
_TABLES = {"1": (1,), "2": (2,), "both": (1, 2)}
_N_SEEDS_OF_TABLES = 5
_NOTES = """\
RMSE in y, known forward function; the paper's: mean and standard deviation over five seeds.
The paper's 1st anchor is the second nearest, so that it tries anchors 2 to 6: see the column
"anchors 2-6". The column "anchors 1-5" has the same networks with the five nearest.
With the recipe fast a candidate that is worse than its own anchor is replaced by that anchor.
The direct network is trained with the absolute error, as in the paper. With one unknown it
learns the median of the solutions, which may be one itself or far from all."""


def reproduce(
    quick: Annotated[bool, typer.Option("--quick", help="Experiments 1 and 7 only.")] = False,
    experiments: Annotated[
        str | None, typer.Option(help="Experiments to run, like 1,7.", show_default="all nine")
    ] = None,
    seed: SeedOption = 0,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many, from --seed on.",
            show_default="1; 5 with --table, --out, --jobs or --ablation",
        ),
    ] = None,
    table: Annotated[
        Literal["1", "2", "both"] | None,
        typer.Option(
            help="1: known forward function. 2: noisy data.", show_default="1; both with --out"
        ),
    ] = None,
    recipe: Annotated[
        Literal["paper", "fast"], typer.Option(help="Whose networks and trainings.")
    ] = "fast",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.md, results.json and figures.", show_default=False),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    with_ablation: Annotated[
        bool,
        typer.Option(
            "--ablation",
            help="Also change one ingredient at a time: in experiments 1, 5 and 7, or in those "
            "that are given.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the experiments of the paper on inverse twin networks.

    Without --table, --out, --jobs, --seeds or --ablation: a quick look at table 1, one seed.
    """
    if quick and experiments is not None:
        raise typer.BadParameter("give either --quick or --experiments, not both")
    problems = _parse(experiments or (_QUICK if quick else _ALL))
    check_settings()
    chosen = RECIPES[recipe]
    if table is None and out is None and seeds is None and jobs == 1 and not with_ablation:
        _quick_look(problems, seed, chosen, as_json)
        return
    n_seeds = _N_SEEDS_OF_TABLES if seeds is None else seeds
    wanted = _TABLES[table or ("both" if out is not None else "1")]
    numbers = [problem.experiment for problem in problems if problem.experiment is not None]
    if out is not None:
        _make_folder(out)
    tried = list(range(seed, seed + n_seeds))
    start = time.perf_counter()
    tables = _run_with_progress(numbers, wanted, tried, chosen, jobs)
    rows: list[AblationRow] = []
    if with_ablation:
        changed = numbers if quick or experiments is not None else list(ABLATED)
        rows = _ablate_with_progress(changed, tried, chosen, jobs)
    options = _options(numbers, tried, wanted, recipe, with_ablation)
    about = circumstances(options, time.perf_counter() - start, jobs)
    report = _Report(tables, chosen, tried, rows, about)
    if as_json:
        print_json(report.content)
    else:
        typer.echo(report.text())
    if out is not None:
        _write(out, report)


def _options(
    numbers: list[int], seeds: list[int], tables: tuple[int, ...], recipe: str, ablated: bool
) -> dict[str, Any]:
    """The options that give the same numbers again."""
    return {
        "experiments": ",".join(map(str, numbers)),
        "seed": seeds[0],
        "seeds": len(seeds),
        "table": "both" if len(tables) > 1 else tables[0],
        "recipe": recipe,
        "ablation": ablated,
    }


@dataclass(frozen=True)
class _Report:
    """The settings and results of a run."""

    tables: Mapping[int, Table]
    recipe: Recipe
    seeds: list[int]
    rows: list[AblationRow]
    circumstances: str

    @property
    def content(self) -> dict[str, Any]:
        return results_content(self.tables, self.recipe, self.seeds, self.rows)

    def text(self, figures: Sequence[str] = ()) -> str:
        return report_text(
            self.tables, self.recipe, self.seeds, figures, self.rows, self.circumstances
        )


def _quick_look(problems: tuple[Problem, ...], seed: int, recipe: Recipe, as_json: bool) -> None:
    results = []
    for problem in problems:
        say(f"Experiment {problem.experiment}: {problem.title}, {problem.formula}")
        results.append(run_experiment(problem, seed, recipe=recipe, verbose=1))
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


def _run_with_progress(
    numbers: list[int], tables: tuple[int, ...], seeds: list[int], recipe: Recipe, n_jobs: int
) -> dict[int, Table]:
    with _progress("experiments") as (progress, task):
        progress.update(task, total=len(numbers) * len(tables) * len(seeds))
        return run_tables(
            numbers,
            tables=tables,
            seeds=seeds,
            recipe=recipe,
            n_jobs=n_jobs,
            on_result=lambda result: progress.advance(task),
        )


def _ablate_with_progress(
    numbers: list[int], seeds: list[int], recipe: Recipe, n_jobs: int
) -> list[AblationRow]:
    with _progress("one change at a time") as (progress, task):
        return ablation(
            numbers,
            seeds=seeds,
            recipe=recipe,
            n_jobs=n_jobs,
            on_start=lambda n: progress.update(task, total=n),
            on_result=lambda: progress.advance(task),
        )


@contextmanager
def _progress(what: str) -> Iterator[tuple[Progress, TaskID]]:
    """A progress bar on standard error, without a total at first."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield progress, progress.add_task(what, total=None)


def _make_folder(out: Path) -> None:
    """Make the folder before hours of training, not after."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{out} is no folder: {error}", param_hint="--out") from error


def _write(out: Path, report: _Report) -> None:
    from fastinv.reproduce.report.figures import draw_figures  # Matplotlib is slow to import

    try:
        results = json.dumps(report.content, indent=1, allow_nan=False)
        replace_file(out / "results.json", results.encode())
        say("Drawing figures")
        names = draw_figures(report.tables, report.recipe, out)
        replace_file(out / "report.md", report.text(names).encode())
    except OSError as error:
        fail(f"cannot write the report: {error}")
    say(f"Wrote {out / 'report.md'}")


def _parse(text: str) -> tuple[Problem, ...]:
    try:
        return tuple(experiment(number) for number in dict.fromkeys(map(int, text.split(","))))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} must be numbers from 1 to 9 like 1,7", param_hint="--experiments"
        ) from error


def _with_paper(result: ExperimentResult) -> dict[str, object]:
    assert result.number is not None
    return result.summary() | {"paper": paper_result(result.number).summary()}


def _table(problem: Problem, result: ExperimentResult) -> RichTable:
    assert result.number is not None
    table = RichTable(
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
    """The values of the table's rows."""
    assert errors.direct is not None
    return {
        "kNN, 1st anchor": errors.nearest_by_anchor[0],
        "direct network": errors.direct,
        "twin, 1st anchor": errors.twin_by_anchor[0],
        "twin, best": errors.twin_best,
    }
