"""A process that faults are injected into: it does one operation at a time, in a forked child.

`python -m tests.faults.faulted_process FD` serves requests on a socket: JSON of an action, a clone
and a number. It forks for each. The child sends its pid, waits for a message while a tracer
attaches, does the action and sends the result. Forking saves the imports, and keeps the faults out
of them. It uses sockets, not pipes, because no fault is injected into their system calls.
"""

import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.edits import Change
from csc_git.coordinator.factory import open_coordinator
from csc_git.errors import CscError, as_csc_error

FLAGS = {"timeout": 20, "machine": "one"}
_SET_TRACER = 0x59616D61
_open: list[Coordinator] = []


Acting = Generator[None, None, list[str | None]]
"""An action. No fault hits what comes before its `yield`. It returns the acknowledged ops; `sync`,
which acknowledges none, returns the state it ended in.
"""


def store(clone: Path, number: int) -> Acting:
    """A new key."""
    yield
    return [_stored(opened(clone), "new", f"k{number}", number)]


def overwrite(clone: Path, number: int) -> Acting:
    """Another value of a key that is there."""
    yield
    return [_stored(opened(clone), "old", "k", ["at", number])]


def delete(clone: Path, number: int) -> Acting:
    """One key."""
    yield
    coordinator = opened(clone)
    return [
        coordinator.edits.delete(
            coordinator.authors.person("victim"), f"doomed:{number}", "k1"
        ).op
    ]


def delete_scope(clone: Path, number: int) -> Acting:
    """All keys of a scope."""
    yield
    coordinator = opened(clone)
    return [
        coordinator.edits.delete_scope(
            coordinator.authors.person("victim"), f"doomed:{number}"
        ).op
    ]


def edit(clone: Path, number: int) -> Acting:
    """Thirty keys at once, which become a pack, with a condition on each."""
    yield
    coordinator = opened(clone)
    changes = [
        Change(f"many:{number}", f"k{n}", "put", [number, n], "absent")
        for n in range(29)
    ] + [Change(f"doomed:{number}", "k1", "delete")]
    return [
        coordinator.edits.edit(coordinator.authors.person("victim"), changes).op
    ]


def resolve(clone: Path, number: int) -> Acting:
    """The first open conflict."""
    yield
    coordinator = opened(clone)
    conflict = coordinator.conflicts.open()[0].conflict
    author = coordinator.authors.person("victim")
    return [
        coordinator.conflicts.resolve(
            author, conflict, "value", ["by", number]
        ).op
    ]


def sign_on(clone: Path, _: int) -> Acting:
    """Sign on; the next process takes the name of a dead one."""
    yield
    opened(clone).authors.sign_on()
    return []


def sign_off(clone: Path, _: int) -> Acting:
    """A session's end."""
    coordinator = opened(clone)
    name = coordinator.authors.sign_on().session
    yield
    coordinator.authors.sign_off(name)
    return []


def claim(clone: Path, number: int) -> Acting:
    """A name and a pattern. Claims of dead sessions are free."""
    coordinator = opened(clone)
    name = coordinator.authors.sign_on().session
    yield
    coordinator.claims.claim(
        name, [f"thing:{number % 2}", f"src/{number % 2}/**"]
    )
    return []


def release(clone: Path, number: int) -> Acting:
    """One of two."""
    coordinator = opened(clone)
    name = coordinator.authors.sign_on().session
    resources = [f"thing:{number % 2}", f"src/{number % 2}/**"]
    coordinator.claims.claim(name, resources)
    yield
    coordinator.claims.release(name, resources[:1])
    return []


def sync(clone: Path, _: int) -> Acting:
    """Fetch, replay and push."""
    yield
    return [f"state {opened(clone).syncing.sync().state}"]


def opened(clone: Path) -> Coordinator:
    """A coordinator of this process."""
    coordinator = open_coordinator(clone, FLAGS)
    _open.append(coordinator)
    return coordinator


def _stored(
    coordinator: Coordinator, scope: str, key: str, value: Any
) -> str | None:
    return coordinator.edits.put(
        coordinator.authors.person("victim"), scope, key, value
    ).op


ACTIONS: dict[str, Callable[[Path, int], Acting]] = {
    action.__name__: action
    for action in (
        store, overwrite, delete, delete_scope, edit, resolve, sign_on, sign_off, claim, release,
        sync,
    )
}  # fmt: skip


def prepare(asked: dict[str, Any]) -> Acting:
    """An action, ready to be made."""
    acting = ACTIONS[asked["action"]](Path(asked["clone"]), asked["number"])
    next(acting)
    return acting


def perform(acting: Acting) -> dict[str, Any]:
    """Make an action; what was acknowledged."""
    try:
        next(acting)
    except StopIteration as end:
        return {"ops": [op for op in end.value if op]}
    raise AssertionError


def attempt(acting: Acting, asked: dict[str, Any]) -> dict[str, Any]:
    """Make it; after an error, once more."""
    try:
        return perform(acting)
    except (CscError, OSError) as error:
        reported = as_csc_error(error)
    answer = {
        "ops": [],
        "error": str(reported),
        "kind": type(reported).__name__,
    }
    try:
        return answer | perform(prepare(asked))
    except CscError as error:
        return answer | {"retried": type(error).__name__}


def main(descriptor: int) -> None:
    """Serve until the socket is closed."""
    with socket.socket(fileno=descriptor) as channel:
        while request := channel.recv(65_536):
            asked = json.loads(request)
            if asked["warm"]:
                channel.send(json.dumps(perform(prepare(asked))).encode())
                _open.pop().close()  # a child would inherit its locks
                continue
            child = os.fork()
            if not child:
                _die_with(asked, channel)
            status = os.waitpid(child, 0)[1]
            channel.send(
                json.dumps({"exit": os.waitstatus_to_exitcode(status)}).encode()
            )


def _die_with(asked: dict[str, Any], channel: socket.socket) -> None:
    # Where Yama lets only parents trace (prctl(2), PR_SET_PTRACER), strace needs a permission.
    ctypes.CDLL(None).prctl(_SET_TRACER, ctypes.c_ulong(-1))
    acting = prepare(asked)
    channel.send(json.dumps({"pid": os.getpid()}).encode())
    channel.recv(16)
    try:
        channel.send(json.dumps(attempt(acting, asked)).encode())
    except BaseException as error:  # noqa: BLE001  the test reports any error
        channel.send(json.dumps({"crash": repr(error)}).encode())
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
