"""One process of a crowd. It says `ready`, waits for a line, works, and prints one JSON line.

worker.py write DIRECTORY NAME COUNT    stores COUNT values of its own, and one that all share
worker.py sign_on DIRECTORY [SESSION]   signs on
worker.py sync DIRECTORY NAME COUNT EVERY    stores, syncing every so often, till all is synced
worker.py offline DIRECTORY NAME COUNT  stores, some under keys that all share; the remote is away
worker.py count DIRECTORY NAME COUNT    adds 1 to a shared counter, so often, by conditional write
worker.py timed DIRECTORY NAME COUNT    stores so often; each op with the moments around it
worker.py confirmed DIRECTORY NAME COUNT     the same, each edit confirmed by the remote
worker.py offer DIRECTORY NAME RATE SECONDS  stores so often a second; when each edit was synced
worker.py race DIRECTORY NAME ROUNDS    claims a resource a round, waiting for a line before each
"""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.factory import open_coordinator
from csc_git.errors import ClaimLost, ConditionFailed

ALONE = {"sync", "offline", "count", "race", "confirmed", "offer"}
"""Actions of which each process has a clone, and a machine's name, of its own."""


def write(coordinator: Coordinator, name: str, count: int) -> dict[str, Any]:
    """Store values; the ops acknowledged."""
    author = coordinator.person(name)
    ops = []
    for number in range(count):
        ops.append(
            coordinator.edits.put(
                author, f"own:{name}", f"k{number}", number
            ).op
        )
        ops.append(
            coordinator.edits.put(author, "shared", "last", [name, number]).op
        )
    return {"ops": ops}


def sync(
    coordinator: Coordinator, name: str, count: int, every: int
) -> dict[str, Any]:
    """Store values, syncing meanwhile, then sync until nothing is queued."""
    author, ops = coordinator.person(name), []
    for number in range(count):
        ops.append(
            coordinator.edits.put(
                author, f"own:{name}", f"k{number}", number
            ).op
        )
        if number % every == 0:
            coordinator.sync()
    attempts = 0
    while coordinator.store.branch.queue() and attempts < 100:
        coordinator.sync()
        attempts += 1
    return {"ops": ops, "state": str(coordinator.store.status.state)}


def offline(coordinator: Coordinator, name: str, times: int) -> dict[str, Any]:
    """Store values, one in ten under a key that all share, trying to sync all the while."""
    author, ops, states = coordinator.person(name), [], set[str]()
    for number in range(times):
        scope = "shared" if number % 10 == 0 else f"own:{name}"
        value = f"{name} {number}"
        ops.append(coordinator.edits.put(author, scope, f"k{number}", value).op)
        if number % 50 == 0:
            states.add(str(coordinator.sync().state))
    return {"ops": ops, "states": sorted(states)}


def count(coordinator: Coordinator, name: str, times: int) -> dict[str, Any]:
    """Add 1 so many times; how often somebody else was first."""
    author, done, refused = coordinator.person(name), 0, 0
    coordinator.start()
    while done < times:
        found = coordinator.retrieve("shared", "counter")
        seen = found.revision or "absent"
        try:
            stored = coordinator.edits.put(
                author,
                "shared",
                "counter",
                (found.value or 0) + 1,
                if_revision=seen,
                confirm=True,
            )
        except ConditionFailed:
            refused += 1
            continue
        if (
            stored.status == "synced"
            or settled(coordinator, stored.op or "") != "refused"
        ):
            done += 1
            print(done, file=sys.stderr, flush=True)
    return {"done": done, "refused": refused}


def timed(
    coordinator: Coordinator, name: str, times: int, *, confirm: bool = False
) -> dict[str, Any]:
    """Store so many values; each op with the moments between which it was made."""
    author, made = coordinator.person(name), []
    if confirm:
        coordinator.start()
    for number in range(times):
        began = time.monotonic()
        place = (
            (f"own:{name}", f"k{number}")
            if number % 2
            else ("shared", f"k{name}")
        )
        stored = coordinator.edits.put(author, *place, number, confirm=confirm)
        if confirm and stored.status != "synced":
            settled(coordinator, stored.op or "")
        made.append((stored.op, began, time.monotonic()))
    return {"timed": made}


def put(coordinator: Coordinator, name: str, value: int) -> str:
    """Store a value of one's own; the op."""
    return str(
        coordinator.edits.put(
            coordinator.person(name), f"own:{name}", "k", value
        ).op
    )


def offer(
    coordinator: Coordinator, name: str, rate: float, seconds: float
) -> dict[str, Any]:
    """Store at a steady rate, the background syncing; each op with the moments it was made, and
    seen to be synced.
    """
    author, made, synced = (
        coordinator.person(name),
        dict[str, float](),
        dict[str, float](),
    )
    coordinator.start()
    began, base = time.monotonic(), None

    troubles = set[str]()

    def look() -> None:
        nonlocal base
        status = coordinator.store.status
        if str(status.state) != "ok":
            troubles.add(f"{status.state} {status.detail}")
        if (now := coordinator.store.branch.base) != base:
            base, left = now, coordinator.store.branch.queued_ops()
            seen = time.monotonic()
            synced.update(
                {op: seen for op in made if op not in synced and op not in left}
            )

    while (at := len(made) / rate) < seconds:
        while time.monotonic() - began < at:
            look()
            time.sleep(0.01)
        stored = coordinator.edits.put(
            author, f"own:{name}", f"k{len(made) % 50}", len(made)
        )
        made[str(stored.op)] = time.monotonic()
    deadline = time.monotonic() + 60
    while len(synced) < len(made) and time.monotonic() < deadline:
        look()
        time.sleep(0.01)
    return {
        "began": began,
        "made": made,
        "synced": synced,
        "troubles": sorted(troubles),
    }


def settled(coordinator: Coordinator, op: str) -> str | None:
    """Wait until an edit's fate is certain; its outcome."""
    fate = coordinator.store.fate(op)
    while fate.where == "local":
        coordinator.sync()
        fate = coordinator.store.fate(op)
    return fate.outcome


def race(coordinator: Coordinator, name: str, rounds: int) -> dict[str, Any]:
    """Claim one resource a round; those that were won."""
    coordinator.sign_on(name)
    coordinator.start()
    won = []
    for number in range(rounds):
        print("round", flush=True)
        sys.stdin.readline()
        resource = f"round:{number}"
        answer = coordinator.claims.claim(name, [resource])
        while answer.status == "provisional":
            coordinator.sync()
            with suppress(
                ClaimLost
            ):  # the news is what the next answer says too
                answer = coordinator.claims.claim(name, [resource])
        if answer.status == "granted":
            won.append(number)
    coordinator.sync()
    return {"won": won}


def main(action: str, directory: str, *rest: str) -> None:
    """Do one thing at the gate."""
    flags = {"timeout": 60, "machine": rest[0] if action in ALONE else "one"}
    coordinator = open_coordinator(Path(directory), flags)
    if action == "offer":
        settled(coordinator, put(coordinator, rest[0], 0))
    print("ready", flush=True)
    sys.stdin.readline()
    if action == "write":
        answer = write(coordinator, rest[0], int(rest[1]))
    elif action == "offline":
        answer = offline(coordinator, rest[0], int(rest[1]))
    elif action == "count":
        answer = count(coordinator, rest[0], int(rest[1]))
    elif action == "race":
        answer = race(coordinator, rest[0], int(rest[1]))
    elif action in {"timed", "confirmed"}:
        answer = timed(
            coordinator, rest[0], int(rest[1]), confirm=action == "confirmed"
        )
    elif action == "offer":
        answer = offer(coordinator, rest[0], float(rest[1]), float(rest[2]))
    elif action == "sync":
        answer = sync(coordinator, rest[0], int(rest[1]), int(rest[2]))
    else:
        answer = {
            "session": coordinator.sign_on(rest[0] if rest else None).session
        }
    print(json.dumps(answer), flush=True)
    sys.stdin.read()  # what a session holds is held until everybody has answered
    coordinator.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
