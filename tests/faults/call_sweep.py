"""Sweep over system calls: repeat one operation, each time with a fault at its next system call.

After each fault another process uses the clone as if nothing had happened. An acknowledged edit is
in the history once, another one at most once. No lock of a dead process blocks anything, and
`git fsck` finds no error.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from typing import Any, Literal

from csc_git.coordinator.coordinator import Coordinator
from tests.faults.injection import MUTATING, Ending, Fault, FaultedProcess
from tests.git_servers import http_server
from tests.world import Progress, World, git, put, state_of

ERRORS = ("ENOSPC", "EIO", "EMFILE", "EACCES")
_CONFLICTS = 30
_SPARE = 2
"""Conflicts to have open: one, and another in case the first was resolved before an error."""

_PACKS = 4
_NEVER = 60_000
_CALL = re.compile(r"(\d+ +)?(?P<name>[a-z0-9]+)\(")
_TELLING = {"store", "overwrite", "delete", "delete_scope"}
"""Actions that make no edit if there is nothing to change."""


@dataclass
class Tally:
    """What a sweep did and saw.

    Attributes:
        faults: How many faults came about.
        acknowledged: Edits that were acknowledged, besides those made to check.
        errors: Reported errors by kind, and states other than ok that syncs ended in.
        absorbed: Errors that did no harm, by their system call and its file.
        broken: Promises that were broken.
    """

    faults: int = 0
    acknowledged: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    absorbed: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


class CallSweep:
    """One action of the faulted process, and the clone that it acts in.

    Args:
        directory: Where to work.
        action: One of `faulted_process.ACTIONS`, or `git`: a sync whose git is hit by the faults.
        stride: Inject a fault at each such call only; 1 for all.
        progress: Called with each fault.
    """

    def __init__(
        self,
        directory: Path,
        action: str,
        stride: int = 1,
        progress: Progress = lambda _: None,
    ) -> None:
        self.tally = Tally()
        self._within: Literal["", "git"] = "git" if action == "git" else ""
        self._action = "sync" if self._within else action
        self._stride = stride
        self._progress = progress
        self._acknowledged: list[str] = []
        self._number = count(1)
        self._world = World(directory)
        self._world.make_remote()
        self._resources = ExitStack()
        self._clone = self._world.clone("one", self._url())
        self._world.clone("two")
        self._prepare(self._coordinator())
        self._process = FaultedProcess(directory)
        self._step(
            lambda number: self._process.warm(self._action, self._clone, number)
        )

    def kill(self) -> Tally:
        """Kill the process at each of its system calls that change anything, in turn."""
        return self._strike_all(_is_write, [None])

    def fail(self, errors: Sequence[str] = ERRORS) -> Tally:
        """Let each of its system calls fail in turn, with the errors alternating."""
        return self._strike_all(_is_found, errors)

    def _strike_all(
        self, matters: Callable[[str], bool], errors: Sequence[str | None]
    ) -> Tally:
        """Inject a fault at each of the calls that matter."""
        turns = cycle(errors)
        with self._resources:
            for call, whens in self._points(matters).items():
                for when in whens[:: self._stride]:
                    self._strike(Fault(call, when, next(turns), self._within))
            return self._end()

    def _points(self, matters: Callable[[str], bool]) -> dict[str, list[int]]:
        """The calls made without a fault, by name: the numbers of those that matter, from 1.

        Another run may make a few calls more or less, so this is not quite all.
        """
        idle = Fault(",".join(MUTATING), _NEVER, within=self._within)
        self._step(
            lambda number: self._process.run(
                self._action, self._clone, number, idle
            )
        )
        made, found = Counter[str](), dict[str, set[int]]()
        for line in self._process.traced():
            if call := _CALL.match(line):
                made[call[0]] += 1  # counted for each process
                if matters(line):
                    found.setdefault(call["name"], set()).add(made[call[0]])
        return {call: sorted(whens) for call, whens in found.items()}

    def _url(self) -> str:
        """The remote's URL: over http if only this side's git is to be hit."""
        if not self._within:
            return str(self._world.remote)
        return self._resources.enter_context(
            http_server(self._world.directory)
        ).url("remote.git")

    def _strike(self, fault: Fault) -> None:
        self._progress(f"{self._action}: {fault}")
        ending = self._step(
            lambda number: self._process.run(
                self._action, self._clone, number, fault
            )
        )
        answer = ending.answer
        self.tally.faults += bool(ending.struck)
        if ending.struck and ending.state not in {"", "state ok"}:
            self.tally.errors[ending.state] += 1
        elif ending.struck and not ending.killed and "error" not in answer:
            self.tally.absorbed[_what(ending.struck)] += 1
        if "error" in answer:
            self.tally.errors[answer["kind"]] += 1
        if "crash" in answer:
            self._broken(fault, f"crashed with {answer['crash']}")
        if "not stored" in answer.get("error", "") and self._was_stored(answer):
            self._broken(fault, f"it was stored, although: {answer['error']}")
        if "retried" in answer and "not stored" in answer["error"]:
            self._broken(fault, f"the retry ended in {answer['retried']}")

    def _was_stored(self, answer: dict[str, Any]) -> bool:
        """Whether the repeated action found nothing to do, as the first one had stored."""
        return self._action in _TELLING and not answer["ops"]

    def _broken(self, fault: Fault, what: str) -> None:
        self.tally.broken.append(f"{self._action}, {fault}: {what}")

    def _step(self, act: Callable[[int], Ending]) -> Ending:
        """Prepare, do the action, and then use the clone as if nothing had happened."""
        number = next(self._number)
        self._set_up(self._coordinator(), number)
        ending = act(number)
        self._acknowledged += ending.ops
        self.tally.acknowledged += len(ending.ops)
        coordinator = self._coordinator()
        self._acknowledged.append(put(coordinator, "after", "k", number))
        if (
            self._action == "sync"
        ):  # only a sync has to have all edits of other clones
            assert state_of(coordinator) == "ok", coordinator.store.sync_status
            self._check(self._world.remote)
        self._check(coordinator.store.repository.path)
        self._world.close()
        return ending

    def _check(self, repository: Path) -> None:
        ops = Counter(record.op for record in self._world.log(repository))
        lost = [op for op in self._acknowledged if ops[op] != 1]
        assert not lost, f"not there once: {lost}"
        assert max(ops.values()) == 1, "an edit is there twice"
        git("fsck", "--strict", "--no-dangling", cwd=repository)

    def _end(self) -> Tally:
        self._process.close()
        coordinator = self._coordinator()
        assert state_of(coordinator) == "ok", coordinator.store.sync_status
        self._check(self._world.remote)
        self._world.close()
        return self.tally

    def _prepare(self, coordinator: Coordinator) -> None:
        """Make what the action needs once."""
        self._acknowledged.append(put(coordinator, "old", "k", 0))
        assert state_of(coordinator) == "ok"
        if self._action == "resolve":
            self._contend(
                coordinator, self._world.open("two"), range(_CONFLICTS)
            )
        self._world.close()

    def _set_up(self, coordinator: Coordinator, number: int) -> None:
        """Make what the action needs each time, and keep the packs few."""
        repository = coordinator.store.repository.path
        if len(list((repository / "objects/pack").glob("*.pack"))) > _PACKS:
            git("gc", "-q", cwd=repository)
        if self._action in {"delete", "delete_scope", "edit"}:
            for n in range(3):
                self._acknowledged.append(
                    put(coordinator, f"doomed:{number}", f"k{n}", number)
                )
        elif (
            self._action == "resolve"
            and len(coordinator.conflicts.open()) < _SPARE
        ):
            numbers = range(number * _CONFLICTS, (number + 1) * _CONFLICTS)
            self._contend(coordinator, self._world.open("two"), numbers)
        elif self._action == "sync":
            self._contend(
                coordinator, self._world.open("two"), [number], replay=False
            )
        self._world.close()

    def _contend(
        self,
        one: Coordinator,
        two: Coordinator,
        numbers: Sequence[int],
        *,
        replay: bool = True,
    ) -> None:
        """Let two clones write the same keys; the second's edits reach the remote first."""
        two.syncing.sync()
        for coordinator in (one, two):
            self._acknowledged += [
                put(
                    coordinator, "both", f"k{n}", [coordinator.clone.machine, n]
                )
                for n in numbers
            ]
        assert state_of(two) == "ok"
        assert not replay or state_of(one) == "ok"

    def _coordinator(self) -> Coordinator:
        return self._world.open("one")


def _what(traced: str) -> str:
    """A traced call without what differs between runs: its name and that of its file."""
    call, _, rest = traced.partition("(")
    quoted = rest.split('"')[1::2]
    return f"{call.split()[-1]} {'/'.join(Path(quoted[0]).parts[-2:]) if quoted else rest}"


def _is_write(traced: str) -> bool:
    if "openat(" not in traced:
        return True
    return any(flag in traced for flag in ("O_CREAT", "O_WRONLY", "O_RDWR"))


def _is_found(traced: str) -> bool:
    return "ENOENT" not in traced
