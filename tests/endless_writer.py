"""A process that writes without end, and prints the op of each edit that was acknowledged.

    python -m tests.endless_writer CLONE SCOPE [sync]

With `sync` it syncs before each fifth edit.
"""

import json
import sys
from pathlib import Path

from csc_git.coordinator.factory import open_coordinator


def main(clone: str, scope: str, *options: str) -> None:
    coordinator = open_coordinator(
        Path(clone), {"timeout": 20, "machine": "one"}
    )
    author, number = coordinator.authors.person("writer"), 0
    while True:
        if "sync" in options and number % 5 == 4:
            coordinator.syncing.sync()
        stored = coordinator.edits.put(author, scope, f"k{number}", number)
        print(json.dumps(stored.op), flush=True)
        number += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
