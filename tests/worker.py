"""One process of a crowd. It says `ready`, waits for a line, works, and prints one JSON line.

worker.py write DIRECTORY NAME COUNT    stores COUNT values of its own, and one that all share
worker.py sign_on DIRECTORY [SESSION]   signs on
worker.py sync DIRECTORY NAME COUNT EVERY    stores, syncing every so often, till all is synced
"""

import json
import sys
from pathlib import Path
from typing import Any

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.opening import open_coordinator


def write(coordinator: Coordinator, name: str, count: int) -> dict[str, Any]:
    """Store values; the ops acknowledged."""
    author = coordinator.person(name)
    ops = []
    for number in range(count):
        ops.append(coordinator.edits.put(author, f"own:{name}", f"k{number}", number).op)
        ops.append(coordinator.edits.put(author, "shared", "last", [name, number]).op)
    return {"ops": ops}


def sync(coordinator: Coordinator, name: str, count: int, every: int) -> dict[str, Any]:
    """Store values, syncing meanwhile, then sync until nothing is queued."""
    author, ops = coordinator.person(name), []
    for number in range(count):
        ops.append(coordinator.edits.put(author, f"own:{name}", f"k{number}", number).op)
        if number % every == 0:
            coordinator.sync()
    attempts = 0
    while coordinator.store.branch.queue() and attempts < 100:
        coordinator.sync()
        attempts += 1
    return {"ops": ops, "state": str(coordinator.store.status.state)}


def main(action: str, directory: str, *rest: str) -> None:
    """Do one thing at the gate."""
    flags = {"timeout": 60, "machine": rest[0] if action == "sync" else "one"}
    coordinator = open_coordinator(Path(directory), flags)
    print("ready", flush=True)
    sys.stdin.readline()
    if action == "write":
        answer = write(coordinator, rest[0], int(rest[1]))
    elif action == "sync":
        answer = sync(coordinator, rest[0], int(rest[1]), int(rest[2]))
    else:
        answer = {"session": coordinator.sign_on(rest[0] if rest else None).session}
    print(json.dumps(answer), flush=True)
    sys.stdin.read()  # what a session holds is held until everybody has answered
    coordinator.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
