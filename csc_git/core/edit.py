"""Edits: one atomic set of puts and deletes, and the commit message that records it.

Each commit of the branch is one edit. The commit's tree holds the new state of all keys. The
commit's message records who made the edit, and which conditions the edit has. The subject is for
people, and the trailers are for machines:

```
store issue:15/status

Csc-Op: 0f8d…                      unique id of the edit, the same before and after replay
Csc-Session: claude_1@laptop
Csc-Fence: 3                       the session's fence when it wrote, if it had one
Csc-Clock: 2026-11-22T18:05:11.123456Z    the latest time in this history
Csc-Requires: 8baef1b… issue/15/status.json      or `absent …`; one line for each condition
Csc-Kind: delete-scope             `claim` or `join`; only where it changes the replay rules
Csc-Origin: 3f1c…                  on replay: the commit that was first acknowledged
Csc-Outcome: applied               on replay: applied, equal, merged, lost or refused
```

In a condition, the key is written as a path, since every path fits on one line.

A later version of csc-git may add trailers. This version keeps unknown trailers unchanged when it
replays an edit. If a new trailer changes how an edit must be replayed, the edit also has a
`Csc-Kind` that this version does not know. This version never replays an edit of an unknown kind
(`Record.needs_later`).
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
"""If a key must have no value, its condition contains this text instead of a revision."""

PROBE: Final = "try the remote"
"""The subject of a probe begins with this text. A probe is an edit that changes no key, made to
check that the remote takes edits."""

_TRAILER: Final = re.compile(r"(Csc-[A-Za-z]+): (.*)")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_OP: Final = re.compile(r"[0-9A-Za-z]{1,64}")
"""The form of an op. Refs and files are named after ops, so the form of each op is checked. Anybody
with write access to the remote can push a commit with any text as the op."""

_SUBJECT_LENGTH: Final = 120
_SHORT: Final = 1000
"""If a message has more characters than this, its record is not cached."""


Trailers = tuple[tuple[str, str], ...]
"""The trailers of a commit message, in order. Each trailer is a name and a text."""


class Kind(StrEnum):
    """The kind of an edit. The kind determines by which rules the edit is replayed."""

    EDIT = "edit"
    DELETE_SCOPE = "delete-scope"
    CLAIM = "claim"
    JOIN = "join"


class Outcome(StrEnum):
    """The result of replaying an edit on a newer base."""

    APPLIED = "applied"
    EQUAL = "equal"
    MERGED = "merged"
    LOST = "lost"
    REFUSED = "refused"


@dataclass(frozen=True)
class Record:
    """The record of an edit in its commit's message.

    Attributes:
        subject: One line that describes the edit for people, without the outcome.
        op: The edit's unique id.
        session: Name of the session or person that made the edit.
        clock: The latest time in the history up to this commit.
        fence: The session's fence; None if the author had no fence.
        requires: The edit's conditions. Each condition maps the path of a key, joined by `/`, to
            the revision that the key must have, or to `ABSENT`.
        kind: The kind of the edit. The kind determines by which rules the edit is replayed.
        secret: Which values looked like credentials, and why they were allowed. None if no value
            looked like a credential.
        origin: Id of the commit that was made when the edit was accepted; None before the first
            replay.
        outcome: The result of the last replay; None before the first replay.
        extra: Trailers that only a later version of csc-git knows.
        needs_later: A trailer that is needed to replay the edit correctly, but that only a later
            version of csc-git knows. Empty if there is no such trailer.
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
    extra: Trailers = ()
    needs_later: str = ""

    def message(self) -> str:
        """Write the commit message."""
        subject = self.subject[:_SUBJECT_LENGTH]
        if self.outcome not in {None, Outcome.APPLIED}:
            subject += f" ({self.outcome})"
        lines = [
            subject,
            "",
        ]
        for name, value in self._trailers():
            line = f"{name}: {value}"
            lines.append(line)
        printable = map(_printable, lines)
        text = "\n".join(printable)
        return text + "\n"

    def _trailers(self) -> Iterator[tuple[str, object]]:
        yield "Csc-Op", self.op
        yield "Csc-Session", self.session
        if self.fence is not None:
            yield "Csc-Fence", self.fence
        yield "Csc-Clock", format_time(self.clock)
        conditions = sorted(self.requires.items())
        for path, revision in conditions:
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
        self,
        origin: str,
        outcome: Outcome,
        clock: datetime,
    ) -> "Record":
        """Make the record for the commit that replays this edit on a newer base.

        Args:
            origin: Id of the commit that was made when the edit was accepted.
            outcome: The result of the replay.
            clock: The latest time in the history up to the new commit.
        """
        return replace(
            self,
            origin=origin,
            outcome=outcome,
            clock=clock,
        )

    @classmethod
    def parse(cls, message: str) -> "Record | None":
        """Read a commit message; return None if csc-git did not write the message."""
        if len(message) <= _SHORT:
            return _parsed(message)
        return cls._parse(message)

    @classmethod
    def _parse(cls, message: str) -> "Record | None":
        subject, _, body = message.partition("\n")
        found: dict[str, list[str]] = {}
        extra: list[tuple[str, str]] = []
        needs_later = ""
        for line in _last_paragraph(body):
            match = _TRAILER.fullmatch(line)
            if match is None:
                continue
            name, text = match.groups()
            if not _is_understood(name, text):
                needs_later = line
            if name not in _KNOWN or line == needs_later:
                extra.append((name, text))
            else:
                texts = found.setdefault(name, [])
                texts.append(text)
        try:
            return cls._from_trailers(
                subject=subject,
                found=found,
                extra=tuple(extra),
                needs_later=needs_later,
            )
        except (KeyError, ValueError):
            return None

    @classmethod
    def _from_trailers(
        cls,
        subject: str,
        found: Mapping[str, list[str]],
        extra: Trailers,
        needs_later: str,
    ) -> "Record":
        """Make a record from trailers; raise KeyError or ValueError if one is missing or bad."""
        first = {name: texts[0] for name, texts in found.items()}
        op = first["Csc-Op"]
        if not _OP.fullmatch(op):
            raise ValueError(op)
        fence = None
        if "Csc-Fence" in first:
            fence = int(first["Csc-Fence"])
        outcome = None
        if "Csc-Outcome" in first:
            outcome = Outcome(first["Csc-Outcome"])
            subject = subject.removesuffix(f" ({outcome})")
        kind = first.get("Csc-Kind", Kind.EDIT)
        conditions = found.get("Csc-Requires", [])
        return cls(
            subject=subject,
            op=op,
            session=first["Csc-Session"],
            clock=parse_time(first["Csc-Clock"]),
            fence=fence,
            requires=dict(map(_condition, conditions)),
            kind=Kind(kind),
            secret=first.get("Csc-Secret"),
            origin=first.get("Csc-Origin"),
            outcome=outcome,
            extra=extra,
            needs_later=needs_later,
        )


_KNOWN: Final = frozenset(
    {
        "Csc-Op",
        "Csc-Session",
        "Csc-Fence",
        "Csc-Clock",
        "Csc-Requires",
        "Csc-Kind",
        "Csc-Secret",
        "Csc-Origin",
        "Csc-Outcome",
    }
)
_READABLE: Final = {
    "Csc-Kind": frozenset(Kind),
    "Csc-Outcome": frozenset(Outcome),
}
"""The trailers that decide how an edit is replayed. For each trailer, the set contains the texts
that this version understands.
"""


def _last_paragraph(text: str) -> list[str]:
    """Return the lines after the last empty line of a text."""
    paragraphs = text.rstrip("\n").rsplit("\n\n", 1)
    return paragraphs[-1].split("\n")


def _is_understood(name: str, text: str) -> bool:
    """Check whether this version can replay an edit that has this trailer."""
    readable = _READABLE.get(name)
    if readable is None:
        return True
    return text in readable


@lru_cache(maxsize=4096)
def _parsed(message: str) -> Record | None:
    """Parse a message. The result is cached, since the newest messages are read repeatedly."""
    return Record._parse(message)  # noqa: SLF001  its own cache


def _printable(line: str) -> str:
    """Replace the control characters in a line of a message.

    Hosts that check objects refuse every push with a commit that contains a NUL. If a text that
    somebody typed contained a line end, the next line could look like a trailer.
    """
    return _CONTROL.sub(" ", line)


def path_text(key: Key) -> str:
    """Format a key as the path that conditions contain: `issue/15/status.json`."""
    path = b"/".join(key.path)
    return path.decode()


def _condition(line: str) -> tuple[str, str]:
    revision, _, path = line.partition(" ")
    return path, revision
