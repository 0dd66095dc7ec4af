"""Shared by all commands: where output goes, and how a user's error ends a command."""

from __future__ import annotations

import json
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from fastinv._common.threads import resolve_n_threads
from fastinv.backends import get_backend

FAILED = 1
WRONG_USE = 2

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of data and networks.")]


def output() -> Console:
    """Standard output at the time the command runs."""
    return Console(highlight=False)


def print_json(content: dict[str, Any]) -> None:
    typer.echo(json.dumps(content, indent=2, allow_nan=False))


def say(message: str) -> None:
    """Tell the user about progress on standard error."""
    Console(stderr=True, highlight=False).print(message, markup=False)


def fail(message: str, exit_code: int = FAILED) -> NoReturn:
    """End the command with a message on standard error."""
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(exit_code)


def check_settings() -> None:
    """End the command if ``FASTINV_ISA`` or the number of threads in the environment is wrong."""
    try:
        get_backend()
        resolve_n_threads()
    except ValueError as error:
        fail(str(error), WRONG_USE)
