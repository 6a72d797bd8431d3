"""One process of a crowd: `crowd_worker.py ACTION CLONE …`.

It prints `ready`, waits for a line, works, and prints one JSON line. The actions:

write NAME COUNT         store COUNT values of its own, and one that all share
sign_on [SESSION]        sign on
sync NAME COUNT EVERY    store, sync every so often, then sync until nothing is queued
offline NAME COUNT       store, some under keys that all share, while the remote is away
count NAME COUNT         add 1 to a shared counter COUNT times, by conditional write
timed NAME COUNT         store COUNT times; each op with the moments around it
confirmed NAME COUNT     the same, each edit confirmed by the remote
offer NAME RATE SECONDS  store so often a second; when each edit was synced
race NAME ROUNDS         claim a resource a round, waiting for a line before each
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
"""Actions whose processes have a clone and a machine name each."""


def store_own_and_shared(
    coordinator: Coordinator, name: str, count: int
) -> dict[str, Any]:
    """Store values; the ops acknowledged."""
    author = coordinator.authors.person(name)
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


def store_and_sync(
    coordinator: Coordinator, name: str, count: int, every: int
) -> dict[str, Any]:
    """Store values, syncing meanwhile, then sync until nothing is queued."""
    author, ops = coordinator.authors.person(name), []
    for number in range(count):
        ops.append(
            coordinator.edits.put(
                author, f"own:{name}", f"k{number}", number
            ).op
        )
        if number % every == 0:
            coordinator.syncing.sync()
    attempts = 0
    while coordinator.store.branch.queue() and attempts < 100:
        coordinator.syncing.sync()
        attempts += 1
    return {"ops": ops, "state": str(coordinator.store.sync_status.state)}


def store_offline(
    coordinator: Coordinator, name: str, times: int
) -> dict[str, Any]:
    """Store values, one in ten under a key that all share, trying to sync all the while."""
    author, ops, states = coordinator.authors.person(name), [], set[str]()
    for number in range(times):
        scope = "shared" if number % 10 == 0 else f"own:{name}"
        value = f"{name} {number}"
        ops.append(coordinator.edits.put(author, scope, f"k{number}", value).op)
        if number % 50 == 0:
            states.add(str(coordinator.syncing.sync().state))
    return {"ops": ops, "states": sorted(states)}


def count_up(coordinator: Coordinator, name: str, times: int) -> dict[str, Any]:
    """Add 1 so many times; how often another clone was first."""
    author, done, refused = coordinator.authors.person(name), 0, 0
    coordinator.start()
    while done < times:
        found = coordinator.values.retrieve("shared", "counter")
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


def store_timed(
    coordinator: Coordinator, name: str, times: int, *, confirm: bool = False
) -> dict[str, Any]:
    """Store so many values; each op with the moments between which it was made."""
    author, made = coordinator.authors.person(name), []
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


def store_own(coordinator: Coordinator, name: str, value: int) -> str:
    """Store a value under the process's own name; the op."""
    return str(
        coordinator.edits.put(
            coordinator.authors.person(name), f"own:{name}", "k", value
        ).op
    )


def offer(
    coordinator: Coordinator, name: str, rate: float, seconds: float
) -> dict[str, Any]:
    """Store at a steady rate, with the sync in the background.

    Returns each op with the moments at which it was made, and was seen to be synced.
    """
    author, made, synced = (
        coordinator.authors.person(name),
        dict[str, float](),
        dict[str, float](),
    )
    coordinator.start()
    began, base = time.monotonic(), None

    troubles = set[str]()

    def look() -> None:
        nonlocal base
        status = coordinator.store.sync_status
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
    """Sync until an edit's outcome is known; the outcome."""
    fate = coordinator.store.fate(op)
    while fate.where == "local":
        coordinator.syncing.sync()
        fate = coordinator.store.fate(op)
    return fate.outcome


def race(coordinator: Coordinator, name: str, rounds: int) -> dict[str, Any]:
    """Claim one resource a round; the rounds that were won."""
    coordinator.authors.sign_on(name)
    coordinator.start()
    won = []
    for number in range(rounds):
        print("round", flush=True)
        sys.stdin.readline()
        resource = f"round:{number}"
        answer = coordinator.claims.claim(name, [resource])
        while answer.status == "provisional":
            coordinator.syncing.sync()
            with suppress(ClaimLost):  # the next answer reports the loss too
                answer = coordinator.claims.claim(name, [resource])
        if answer.status == "granted":
            won.append(number)
    coordinator.syncing.sync()
    return {"won": won}


def main(action: str, directory: str, *rest: str) -> None:
    """Wait at the gate, and do one action."""
    flags = {"timeout": 60, "machine": rest[0] if action in ALONE else "one"}
    coordinator = open_coordinator(Path(directory), flags)
    if action == "offer":
        settled(coordinator, store_own(coordinator, rest[0], 0))
    print("ready", flush=True)
    sys.stdin.readline()
    if action == "write":
        answer = store_own_and_shared(coordinator, rest[0], int(rest[1]))
    elif action == "offline":
        answer = store_offline(coordinator, rest[0], int(rest[1]))
    elif action == "count":
        answer = count_up(coordinator, rest[0], int(rest[1]))
    elif action == "race":
        answer = race(coordinator, rest[0], int(rest[1]))
    elif action in {"timed", "confirmed"}:
        answer = store_timed(
            coordinator, rest[0], int(rest[1]), confirm=action == "confirmed"
        )
    elif action == "offer":
        answer = offer(coordinator, rest[0], float(rest[1]), float(rest[2]))
    elif action == "sync":
        answer = store_and_sync(
            coordinator, rest[0], int(rest[1]), int(rest[2])
        )
    else:
        answer = {
            "session": coordinator.authors.sign_on(
                rest[0] if rest else None
            ).session
        }
    print(json.dumps(answer), flush=True)
    sys.stdin.read()  # claims last until every process has answered
    coordinator.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
