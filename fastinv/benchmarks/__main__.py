"""The child process of :mod:`fastinv.benchmarks.children`: one order in, one event a line out."""

from __future__ import annotations

import json
import os
import sys

from fastinv.benchmarks.measure import Settings, run_works
from fastinv.benchmarks.registry import find_works


def main() -> None:
    order = json.loads(sys.argv[1])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, order["processors"])  # before a peer counts them
    # What the peers print must not come between the events.
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
