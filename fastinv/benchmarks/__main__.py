"""The child of :mod:`fastinv.benchmarks.children`: reads an order, writes an event per line."""

from __future__ import annotations

import json
import os
import sys

from fastinv.benchmarks.measure import Settings, run_works
from fastinv.benchmarks.registry import find_works


def main() -> None:
    order = json.loads(sys.argv[1])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, order["processors"])  # before a peer counts processors
    # Output of the peers must not mix with the events.
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    settings = Settings(**order["settings"] | {"vs": tuple(order["settings"]["vs"])})
    for event in run_works(find_works(order["works"]), settings):
        print(json.dumps(event), file=events, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
