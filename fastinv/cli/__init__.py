"""The command line: ``fastinv info``, ``demo``, ``reproduce``, ``bench``.

Tables, or JSON where asked for, go to standard output; progress and messages to standard error.
The exit status is 0, 1 if something failed on the way, 2 for wrong arguments or settings, 130
after Ctrl-C.
"""

from __future__ import annotations

from typing import Annotated

import typer

import fastinv
from fastinv.cli import bench, demo, info, reproduce

__all__ = ["app"]

app = typer.Typer(
    name="fastinv",
    help="Every solution of f(x) = y, ranked, each with its true residual.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (info.info, demo.demo, reproduce.reproduce, bench.bench):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(fastinv.__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Every solution of f(x) = y, ranked, each with its true residual."""
