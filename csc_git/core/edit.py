"""Edits: one atomic set of puts and deletes, and the commit message that records it.

A commit of the branch is one edit. Its tree holds what changed; its message records who did it and
under which conditions, once for people (the subject) and once for machines (the trailers):

```
store issue:15/status

Csc-Op: 0f8d…                      unique; how the edit's fate is followed
Csc-Session: claude_1@laptop
Csc-Fence: 3                       the session's fence when it wrote, if it had one
Csc-Clock: 2026-11-22T18:05:11.123456Z    this history's high-water mark
Csc-Requires: 8baef1b… issue/15/status.json      or `absent …`; one line a condition
Csc-Kind: delete-scope             `claim` or `join`; only where it changes the replay rules
Csc-Origin: 3f1c…                  on replay: the commit first acknowledged
Csc-Outcome: applied               on replay: applied, equal, merged, lost or refused
```

A condition names its key by path, so that any key fits on a line.

A later csc-git may add trailers. They are kept as they are when an edit is replayed. One that
changes how an edit must be replayed comes with a `Csc-Kind` that this version does not know; such
an edit is never replayed here (`Record.needs_later`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

from csc_git.core.clock import format_time, parse_time
from csc_git.core.key import Key

ABSENT: Final = "absent"
"""The revision of a key that has no value, in conditions."""

PROBE: Final = "try the remote"
"""How the subject of an edit begins that only shows whether the remote takes one."""

_TRAILER: Final = re.compile(r"(Csc-[A-Za-z]+): (.*)")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_OP: Final = re.compile(r"[0-9A-Za-z]{1,64}")
"""Refs and files are named after ops, and anybody may have written one."""

_SUBJECT_LENGTH: Final = 120
_SHORT: Final = 1000


class Kind(StrEnum):
    """What the replay rules must know of an edit beyond its changes."""

    EDIT = "edit"
    DELETE_SCOPE = "delete-scope"
    CLAIM = "claim"
    JOIN = "join"


class Outcome(StrEnum):
    """What became of an edit when it was replayed on a newer base."""

    APPLIED = "applied"
    EQUAL = "equal"
    MERGED = "merged"
    LOST = "lost"
    REFUSED = "refused"


@dataclass(frozen=True)
class Record:
    """The record of an edit in its commit's message.

    Attributes:
        subject: One line for people, without the outcome.
        op: The edit's unique id.
        session: Who made it.
        clock: The history's high-water mark at this commit.
        fence: The session's fence, if it had one.
        requires: Path of a key, joined by `/`, to the revision it must have, or `ABSENT`.
        kind: See `Kind`.
        secret: What seemed to be a credential, and why it was allowed.
        origin: On replay, the commit that was first acknowledged.
        outcome: On replay, what became of it.
        extra: Trailers that only a later csc-git knows, name and text, in their order.
        needs_later: A trailer that only a later csc-git knows, and without which the edit can't be
            replayed correctly. Empty if there is no such trailer.
    """

    subject: str
    op: str
    session: str
    clock: datetime
    fence: int | None = None
    requires: Mapping[str, str] = field(default_factory=dict)
    kind: Kind = Kind.EDIT
    secret: str | None = None
    origin: str | None = None
    outcome: Outcome | None = None
    extra: tuple[tuple[str, str], ...] = ()
    needs_later: str = ""

    def message(self) -> str:
        """The commit message."""
        subject = self.subject[:_SUBJECT_LENGTH]
        if self.outcome not in {None, Outcome.APPLIED}:
            subject += f" ({self.outcome})"
        lines = [f"{name}: {value}" for name, value in self._trailers()]
        return "\n".join([*map(_printable, [subject, "", *lines]), ""])

    def _trailers(self) -> Iterator[tuple[str, object]]:
        yield "Csc-Op", self.op
        yield "Csc-Session", self.session
        if self.fence is not None:
            yield "Csc-Fence", self.fence
        yield "Csc-Clock", format_time(self.clock)
        for path, revision in sorted(self.requires.items()):
            yield "Csc-Requires", f"{revision} {path}"
        if self.kind is not Kind.EDIT:
            yield "Csc-Kind", self.kind
        if self.secret is not None:
            yield "Csc-Secret", self.secret
        if self.origin is not None:
            yield "Csc-Origin", self.origin
        if self.outcome is not None:
            yield "Csc-Outcome", self.outcome
        yield from self.extra

    def replayed(
        self, origin: str, outcome: Outcome, clock: datetime
    ) -> "Record":
        """The record of this edit's commit on a newer base."""
        return replace(self, origin=origin, outcome=outcome, clock=clock)

    @classmethod
    def parse(cls, message: str) -> "Record | None":
        """Read a commit message; None where it isn't one of ours."""
        return (
            _parsed(message) if len(message) <= _SHORT else cls._parse(message)
        )

    @classmethod
    def _parse(cls, message: str) -> "Record | None":
        subject, _, body = message.partition("\n")
        found: dict[str, list[str]] = {}
        extra: list[tuple[str, str]] = []
        needs_later = ""
        for line in body.rstrip("\n").rpartition("\n\n")[2].split("\n"):
            match = _TRAILER.fullmatch(line)
            if match is None:
                continue
            name, text = match[1], match[2]
            readable = _READABLE.get(name)
            if readable is not None and text not in readable:
                needs_later = line
            if name not in _KNOWN or line == needs_later:
                extra.append((name, text))
            else:
                found.setdefault(name, []).append(text)
        try:
            return cls._from_trailers(subject, found, tuple(extra), needs_later)
        except (KeyError, ValueError):
            return None

    @classmethod
    def _from_trailers(
        cls,
        subject: str,
        found: Mapping[str, list[str]],
        extra: tuple[tuple[str, str], ...],
        needs_later: str,
    ) -> "Record":
        op = found["Csc-Op"][0]
        if not _OP.fullmatch(op):
            raise ValueError(op)
        outcome = (
            Outcome(found["Csc-Outcome"][0]) if "Csc-Outcome" in found else None
        )
        return cls(
            subject=subject.removesuffix(f" ({outcome})"),
            op=op,
            session=found["Csc-Session"][0],
            clock=parse_time(found["Csc-Clock"][0]),
            fence=int(found["Csc-Fence"][0]) if "Csc-Fence" in found else None,
            requires=dict(
                _condition(line) for line in found.get("Csc-Requires", [])
            ),
            kind=Kind(found.get("Csc-Kind", [Kind.EDIT])[0]),
            secret=found.get("Csc-Secret", [None])[0],
            origin=found.get("Csc-Origin", [None])[0],
            outcome=outcome,
            extra=extra,
            needs_later=needs_later,
        )


_KNOWN: Final = frozenset({
    "Csc-Op", "Csc-Session", "Csc-Fence", "Csc-Clock", "Csc-Requires", "Csc-Kind", "Csc-Secret",
    "Csc-Origin", "Csc-Outcome",
})  # fmt: skip
_READABLE: Final = {
    "Csc-Kind": frozenset(Kind),
    "Csc-Outcome": frozenset(Outcome),
}
"""Trailers that decide how an edit is replayed, with all texts that this version understands."""


@lru_cache(maxsize=4096)
def _parsed(message: str) -> Record | None:
    """The same messages are read again and again: of the tip, and of the queue."""
    return Record._parse(message)  # noqa: SLF001  its own cache


def _printable(line: str) -> str:
    """A line of a message without control characters.

    A NUL makes hosts that check objects refuse every push that contains the commit, and a line end
    would make a trailer of what somebody typed.
    """
    return _CONTROL.sub(" ", line)


def path_text(key: Key) -> str:
    """A key's path as conditions name it: `issue/15/status.json`."""
    return b"/".join(key.path).decode()


def _condition(line: str) -> tuple[str, str]:
    revision, _, path = line.partition(" ")
    return path, revision
