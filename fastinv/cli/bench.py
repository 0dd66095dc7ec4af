"""``fastinv bench``: times next to those of other packages, on this machine."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fastinv.cli._console import (
    JsonOption,
    check_settings,
    fail,
    output,
    print_json,
    say,
)

Peer = Literal["torch", "jax", "sklearn", "keras", "cKDTree", "pykdtree", "all", "none"]
_Event = dict[str, Any]
_NOTES = """\
Median times of runs that alternate in one process, on the same processors, after their answers
were compared; of a training step, or of a whole job. Single calls: p50 / p99 / p99.9.
Ratio: the median of the other package over ours. Ceiling: what ours reaches of the rate of fused
multiply-adds (FMA) or of copying memory (copy), measured on the same processors. Workspace: peak
memory beyond inputs and results."""


def bench(
    vs: Annotated[Peer, typer.Option(help="Package to compare with.")] = "all",
    work: Annotated[
        list[str] | None,
        typer.Option(help="Work to measure; may be repeated.", show_default="all"),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="For all but single calls.", show_default="1 or 2 by work"),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Samples per work and package.")] = 7,
    quick: Annotated[
        bool, typer.Option("--quick", help="Three samples, without the large works.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare this package with other installed packages and with the machine's limits."""
    check_settings()
    # Imported here: the works need all solvers, and the other commands do without them.
    from fastinv.benchmarks import PEERS, Settings, find_works, works
    from fastinv.benchmarks.machine import describe_machine
    from fastinv.benchmarks.peers.peers import usable_processors

    n_processors = len(usable_processors())
    if threads is not None and threads > n_processors:
        raise typer.BadParameter(
            f"{threads} is more than the processors that this process may use, {n_processors}",
            param_hint="--threads",
        )
    try:
        chosen = find_works(work or works())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--work") from error
    if quick and not work:
        chosen = [one for one in chosen if not one.heavy]
    peers = {"all": tuple(PEERS), "none": ()}.get(vs, (vs,))
    settings = Settings(peers, 3 if quick else repeats, quick, threads)
    machine = describe_machine()  # first, so that its load is not ours
    events = _collect(chosen, settings)
    results = [_without_event(event) for event in events if event["event"] == "result"]
    order = [one.name for one in chosen]
    results.sort(key=lambda result: order.index(result["work"]))
    left_out = [_without_event(event) for event in events if event["event"] == "skipped"]
    wrong = [_without_event(event) for event in events if event["event"] == "mismatch"]
    if as_json:
        print_json({"machine": machine, "works": results, "skipped": left_out, "wrong": wrong})
    else:
        output().print(_table(results, machine))
        typer.echo(_NOTES)
    if wrong:
        names = ", ".join(f"{event['peer']} in {event['work']}" for event in wrong)
        fail(f"answers differ, so that their times were not taken: {names}")


def _collect(chosen: list[Any], settings: Any) -> list[_Event]:
    """All events, reported on standard error as they come; missing packages only once."""
    from fastinv import benchmarks
    from fastinv.benchmarks.children import ChildFailed

    events, told = [], set()
    try:
        for event in benchmarks.run_in_children(chosen, settings):
            events.append(event)
            message = _message(event)
            if message is not None and message not in told:
                say(message)
                told.add(message)
    except ChildFailed as error:
        fail(str(error))
    return events


def _message(event: _Event) -> str | None:
    match event["event"]:
        case "started":
            return f"{event['work']}: {event['title']} ..."
        case "skipped":
            return f"{event['peer']}: {event['reason']}"
        case "mismatch":
            return f"{event['peer']} in {event['work']}: {event['reason']}"
    return None


def _without_event(event: _Event) -> _Event:
    return {name: value for name, value in event.items() if name != "event"}


def _table(results: list[_Event], machine: _Event) -> Table:
    """For each work a title line, one line for us, and one for each other package."""
    title = f"{machine['processor']}, {machine['instruction_set']}"
    if machine["load_average"] is not None:
        title += f", load before {machine['load_average']:.1f} of {machine['processors']}"
    table = Table(title=title, box=SIMPLE_HEAD)
    table.add_column("work")
    for heading in ("time", "ratio", "ceiling", "workspace"):
        table.add_column(heading, justify="right")
    for result in results:
        ours, n = result["ours"], result["n_threads"]
        table.add_row(f"{result['title']}, {n} thread{'s' * (n > 1)}")
        table.add_row("  fastinv", _times(ours), "", _ceiling(result["ceiling"]), _workspace(ours))
        for peer in result["peers"].values():
            ratio = f"{peer['ratio']:.2f}"
            table.add_row(f"  {peer['label']}", _times(peer), ratio, "", _workspace(peer))
        table.add_section()
    return table


def _times(side: _Event) -> str:
    """The median, and for single calls the 99th and 99.9th percentiles, all in one unit."""
    names = ("median", "p99", "p99.9") if "p99" in side else ("median",)
    units = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
    unit, size = next((unit for unit in units if side["median"] >= unit[1]), units[-1])
    return " / ".join(f"{side[name] / size:.3g}" for name in names) + f" {unit}"


def _ceiling(reached: _Event | None) -> str:
    if reached is None:
        return ""
    names = {"fma": "FMA", "copy": "copy"}
    return f"{reached['fraction']:.0%} {names[reached['kind']]}"


def _workspace(side: _Event) -> str:
    """Peak memory; empty for single calls, or if the system does not tell."""
    size = side.get("workspace_bytes")
    return "" if size is None else f"{size / 2**20:.1f} MiB"
