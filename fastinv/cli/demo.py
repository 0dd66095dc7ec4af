"""``fastinv demo``: the main job on a robot arm with two links."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fastinv._common.files import behind_links, save_figure
from fastinv.cli._console import (
    JsonOption,
    SeedOption,
    check_settings,
    fail,
    output,
    print_json,
    say,
)

if TYPE_CHECKING:
    from fastinv.demo import Demo


def demo(
    seed: SeedOption = 0,
    targets: Annotated[int, typer.Option(min=1, help="Number of random targets.")] = 1000,
    out: Annotated[Path, typer.Option(help="File for the picture.")] = Path("fastinv_demo.png"),
    as_json: JsonOption = False,
) -> None:
    """Train on the two-link robot arm, solve random targets, and draw the solutions.

    Compares a twin network with looking up the nearest anchor and with one network trained on
    the inverse: the error in y, and the time per target.
    """
    check_settings()
    _check_picture(out)
    # Imported here: Matplotlib is slow to load, and the other commands do without it.
    from fastinv.demo import draw_demo, run_demo

    say("Training a twin network and a direct network for the two-link arm ...")
    result = run_demo(targets, seed, verbose=1)
    try:
        save_figure(draw_demo(result), out, dpi=150)
    except OSError as error:
        fail(f"cannot write the picture: {error}")
    if as_json:
        print_json(result.summary() | {"picture": str(out)})
    else:
        _print_report(result, out)


def _check_picture(out: Path) -> None:
    """Refuse a path to which the picture cannot be written, before the work is done."""
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = FigureCanvasBase.get_supported_filetypes()
    if out.suffix[1:].lower() not in kinds:
        raise typer.BadParameter(
            f"{out} must end in one of {', '.join('.' + kind for kind in sorted(kinds))}",
            param_hint="--out",
        )
    folder = behind_links(out).parent
    if not folder.is_dir():
        raise typer.BadParameter(f"there is no folder {folder}", param_hint="--out")
    places = (folder, out) if out.exists() else (folder,)  # it is written next to `out` and renamed
    if out.is_dir() or not all(os.access(place, os.W_OK) for place in places):
        raise typer.BadParameter(f"{out} cannot be written to", param_hint="--out")


def _print_report(result: Demo, out: Path) -> None:
    table = Table(
        title=f"Two-link robot arm: {len(result.targets):,} targets, {result.n_anchors:,} anchors, "
        f"seed {result.random_state}"
    )
    table.add_column("method")
    table.add_column("RMSE in y", justify="right")
    table.add_column("µs per target", justify="right")
    for method in result.methods.values():
        table.add_row(method.name, f"{method.rmse:.3g}", f"{method.microseconds_per_target:.2f}")
    output().print(table)
    seconds, latency = result.fit_seconds, result.latency
    counts = ", ".join(f"{count} {name}" for name, count in result.status.items() if count)
    typer.echo(
        f"The twin network's error is 1/{result.improvement:.1f} of the nearest anchor's.\n"
        f"One solve call for one target, all {result.n_candidates} candidates: "
        f"p50 {latency.p50:.1f} µs, p99 {latency.p99:.1f} µs ({latency.n_calls:,} calls).\n"
        f"Training: twin network {seconds['twin']:.1f} s, direct network "
        f"{seconds['direct']:.1f} s.\n"
        f"Status of the best solutions: {counts}."
    )
    for found in result.found:
        typer.echo(
            f"Of {found.n_exact:,} exact solutions, {found.n_found:,} found "
            f"({found.n_found / found.n_exact:.0%}) from {found.n_candidates} anchors per target."
        )
    every = result.enumerated
    typer.echo(
        f"solve_all found {every.n_found:,} of them ({every.n_found / every.n_exact:.0%}), "
        f"{every.n_solutions:,} solutions in all, {every.microseconds_per_target:.0f} µs per "
        "target.\n"
        f"Picture: {out}"
    )
