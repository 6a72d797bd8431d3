"""A plain model of clones, a remote, and replay: dictionaries and lists, no Git.

It computes the content of every clone after every step, from the rules of `docs/design.md` alone,
and shares no code with csc-git. A value is any JSON. A record of csc-git itself (a session, a
claim, a conflict) is a tuple of what matters in it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

Key = tuple[str, str]
TICK = timedelta(microseconds=1)
UNRECORDED = {"sessions", "claims", "conflicts"}
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
OVERLAPS = [{"src", "src/a.py"}, {"src", "*.py"}, {"src/a.py", "*.py"}]


@dataclass(frozen=True)
class Value:
    """What a key holds."""

    content: Any
    author: str
    time: datetime
    authors: tuple[str, ...] = ()


State = dict[Key, Value]


@dataclass
class Edit:
    """An acknowledged edit: the values before and after it, and its outcome."""

    op: str
    author: str
    time: datetime
    clock: datetime
    before: dict[Key, Value | None]
    after: dict[Key, Value | None]
    requires: dict[Key, Value | None]
    known: State
    kind: str = "edit"
    outcome: str | None = None
    answered: bool = False


@dataclass
class Placed:
    """An edit in the remote's history."""

    op: str
    clock: datetime
    deleted: tuple[Key, ...]
    author: str
    author_time: datetime


@dataclass
class Line:
    """One line of history with the state at its end."""

    state: State = field(default_factory=dict)
    placed: list[Placed] = field(default_factory=list)
    root: datetime | None = None
    """The clock of its first commit; None if there is none yet."""

    def copy(self) -> "Line":
        return Line(dict(self.state), list(self.placed), self.root)

    def clock(self, now: datetime) -> datetime | None:
        """The latest trusted time of its commits; clocks far ahead of the reader's are ignored."""
        clocks = [placed.clock for placed in reversed(self.placed)]
        clocks += [self.root] if self.root else []
        return next((clock for clock in clocks if clock - now <= TRUSTED), None)


class Remote:
    """The shared branch; None until somebody pushed it."""

    line: Line | None = None


TRUSTED: Final = timedelta(minutes=5)


class Refused(Exception):
    """A condition doesn't hold."""


class Clone:
    """One clone: what it confirmed, and its queue on top."""

    def __init__(self, remote: Remote, name: str) -> None:
        self.remote = remote
        self.name = name
        self.here = Line()
        self.base: int | None = None
        self.confirmed: State | None = None
        self.queue: list[Edit] = []
        self.reaches = True
        self.pushes = True
        self.holder: Any = None
        self.now = self.clock = LONG_AGO

    # Writing

    def write(
        self,
        op: str,
        author: str,
        now: datetime,
        puts: Mapping[Key, Any],
        deletes: tuple[Key, ...] = (),
        requires: Mapping[Key, Value | None] | None = None,
        kind: str = "edit",
    ) -> Edit | None:
        """Make an edit here; None if there was nothing to change."""
        state, requires = self.here.state, dict(requires or {})
        if any(state.get(key) != wanted for key, wanted in requires.items()):
            raise Refused
        changed = {
            key: content
            for key, content in puts.items()
            if requires or key not in state or state[key].content != content
        }
        gone = [key for key in deletes if key in state]
        if not changed and not gone and not requires:
            return None
        if kind == "edit":  # an unchanged key is a condition of the whole edit
            again = {*puts, *deletes} - {*changed, *gone}
            requires = {key: state.get(key) for key in again} | requires
        if self.here.root is None:
            self.here.root = now
        vouched = self.here.clock(now)
        seen = [vouched] if vouched else []
        seen += [state[key].time for key in (*changed, *gone) if key in state]
        time = max([now, *(one + TICK for one in seen)])
        after: dict[Key, Value | None] = {
            **{
                key: Value(content, author, time)
                for key, content in changed.items()
            },
            **dict.fromkeys(gone),
        }
        edit = Edit(
            op, author, time, time, {key: state.get(key) for key in after}, after, requires,
            dict(state), kind,
        )  # fmt: skip
        self.queue.append(edit)
        self._end(self.here, edit, after)
        return edit

    def claim(
        self, op: str, now: datetime, resources: list[str]
    ) -> Edit | None:
        """Claim resources; None if they are claimed already. Raises Refused if others overlap."""
        records = {
            key: v.content
            for key, v in self.here.state.items()
            if key[0] == "claims"
        }
        if any(self._is_rival(held, resources) for held in records.values()):
            raise Refused
        fence = 1 + max((record[2] for record in records.values()), default=0)
        wanted: dict[Key, Any] = {}
        for resource in resources:
            old = records.get(("claims", resource))
            if old is None or old[1] != self.holder or old[3] != "held":
                wanted["claims", resource] = (
                    resource,
                    self.holder,
                    fence,
                    "held",
                )
        if not wanted:
            return None
        requires = {key: self.here.state.get(key) for key in wanted}
        return self.write(
            op, self.holder[0], now, wanted, (), requires, "claim"
        )

    def release(self, op: str, now: datetime) -> Edit | None:
        """Release all claims of this clone's session."""
        mine = {
            key: (*value.content[:3], "released")
            for key, value in self.here.state.items()
            if key[0] == "claims" and value.content[1] == self.holder
            if value.content[3] == "held"
        }
        requires = {key: self.here.state[key] for key in mine}
        if not mine:
            return None
        return self.write(op, self.holder[0], now, mine, (), requires, "claim")

    def _is_rival(self, record: Any, resources: list[str]) -> bool:
        resource, holder, _, state = record
        if (
            state != "held"
            or holder == self.holder
            or not _signed_on(holder, self.here.state)
        ):
            return False
        if (
            holder[0] == self.holder[0]
        ):  # a session of this clone's past: its process is gone
            return False
        return any(_overlap(resource, wanted) for wanted in resources)

    # Syncing

    def sync(self, waiting: str | None = None) -> None:
        """One attempt; `waiting` is the op whose author still waits for its outcome."""
        if not self.reaches:
            return
        remote = self.remote.line
        if remote is not None and self.base != len(remote.placed):
            self._adopt(remote, waiting)
        if self.pushes and (remote is None or self.queue):
            if remote is None and not self.queue and self.here.root is None:
                return
            self.remote.line = self.here.copy()
            self.confirmed = dict(self.here.state)
            self.base = len(self.here.placed)
            self.queue = []

    def is_confirmed(self, keys: Iterable[Key]) -> bool:
        """Whether the remote is known to have this clone's values of some keys."""
        base, here = self.confirmed, self.here.state
        return base is not None and all(
            base.get(key) == here.get(key) for key in keys
        )

    def _adopt(self, remote: Line, waiting: str | None) -> None:
        line, chain = remote.copy(), dict[Key, str]()
        self.clock = line.clock(self.now) or LONG_AGO
        for edit in self.queue:
            self._replay(edit, line, chain, waiting)
        self.here = line
        self.base = len(remote.placed)
        self.confirmed = dict(remote.state)

    def _replay(
        self, edit: Edit, line: Line, chain: dict[Key, str], waiting: str | None
    ) -> None:
        state = line.state
        for number, key in enumerate(sorted(edit.after)):
            chain.setdefault(key, f"{edit.op}.{number}")
        touched = [
            key
            for key in sorted(edit.after)
            if state.get(key) != edit.before[key]
        ]
        changes: dict[Key, Value | None] = {}
        records: dict[Key, Any] = {}
        if edit.outcome == "refused" or self._must_refuse(edit, touched, state):
            edit.answered = edit.answered or (
                edit.outcome != "refused" and edit.op == waiting
            )
            outcomes = ["refused"]
            if not edit.answered:
                records = {
                    ("conflicts", chain[key]): (
                        key,
                        "refused",
                        *_lost(edit.after[key], edit),
                    )
                    for key in edit.after
                    if key[0] not in UNRECORDED
                }
        else:
            outcomes = ["applied"] * (len(edit.after) - len(touched))
            changes = {
                key: edit.after[key] for key in edit.after if key not in touched
            }
            for key in touched:
                outcomes.append(
                    self._settle(edit, key, line, changes, records, chain)
                )
        order = ["refused", "applied", "merged", "lost", "equal"]
        edit.outcome = min(outcomes, key=order.index, default="equal")
        if edit.clock - self.now <= TRUSTED:
            self.clock = max(self.clock, edit.clock)
        edit.clock = self.clock
        for key, record in records.items():
            changes[key] = Value(record, edit.author, edit.clock)
        self._end(line, edit, changes)

    def _must_refuse(
        self, edit: Edit, touched: list[Key], state: State
    ) -> bool:
        if any(
            state.get(key) != wanted for key, wanted in edit.requires.items()
        ):
            return True
        if edit.kind != "delete-scope" and len(edit.after) > 1 and touched:
            return True
        return edit.kind == "claim" and _contested(edit, state)

    def _settle(
        self,
        edit: Edit,
        key: Key,
        line: Line,
        changes: dict[Key, Value | None],
        records: dict[Key, Any],
        chain: dict[Key, str],
    ) -> str:
        mine, yours = edit.after[key], line.state.get(key)
        if edit.kind == "delete-scope":
            return "lost" if yours else "equal"
        if (mine and mine.content) == (yours and yours.content) and bool(
            mine
        ) == bool(yours):
            return "equal"
        merged = _merged(edit.before[key], mine, yours)
        if merged is not None:
            changes[key] = merged
            return "merged"
        me = (
            (mine.time, mine.author)
            if mine
            else (_whole(edit.time), edit.author)
        )
        you = (
            (yours.time, yours.author)
            if yours
            else self._deletion(edit, key, line)
        )
        if me > you:
            changes[key] = mine
            records["conflicts", chain[key]] = (
                key,
                "lost",
                _content(yours),
                you[1],
            )
            return "applied"
        records["conflicts", chain[key]] = (key, "lost", *_lost(mine, edit))
        return "lost"

    def _deletion(
        self, edit: Edit, key: Key, line: Line
    ) -> tuple[datetime, str]:
        """When and by whom a missing key was removed, if the history has it."""
        assert edit.before[key] is not None
        for placed in reversed(line.placed):
            if key in placed.deleted:
                return placed.author_time, placed.author
        return LONG_AGO, ""

    @staticmethod
    def _end(
        line: Line, edit: Edit, changes: Mapping[Key, Value | None]
    ) -> None:
        """Put an edit at the end of a line."""
        gone = tuple(
            key
            for key, value in changes.items()
            if value is None and key in line.state
        )
        for key, value in changes.items():
            if value is None:
                line.state.pop(key, None)
            else:
                line.state[key] = value
        line.placed.append(
            Placed(edit.op, edit.clock, gone, edit.author, _whole(edit.time))
        )


def _contested(edit: Edit, state: State) -> bool:
    wanted = [
        v.content for v in edit.after.values() if v and v.content[3] == "held"
    ]
    if not all(_signed_on(record[1], state) for record in wanted):
        return True
    unknown = [
        value.content
        for key, value in state.items()
        if key[0] == "claims"
        and value != edit.known.get(key)
        and value.content[3] == "held"
    ]
    return any(
        _overlap(mine[0], other[0])
        for mine in wanted
        for other in unknown
        if other[1] != mine[1] and _signed_on(other[1], state)
    )


def _signed_on(holder: Any, state: State) -> bool:
    record = state.get(("sessions", holder[0]))
    return record is not None and record.content == holder


def _overlap(one: str, other: str) -> bool:
    return one == other or {one, other} in OVERLAPS


def _merged(
    base: Value | None, mine: Value | None, yours: Value | None
) -> Value | None:
    if not mine or not yours:
        return None
    if not isinstance(mine.content, dict) or not isinstance(
        yours.content, dict
    ):
        return None
    old = base.content if base and isinstance(base.content, dict) else {}
    result: dict[str, Any] = {}
    for name in {*old, *mine.content, *yours.content}:
        was, ours, theirs = (
            side.get(name) for side in (old, mine.content, yours.content)
        )
        if ours not in (was, theirs) and theirs != was:
            return None
        kept = theirs if ours == was else ours
        if kept is not None:
            result[name] = kept
    later = max(mine, yours, key=lambda value: (value.time, value.author))
    people = {
        *(mine.authors or (mine.author,)),
        *(yours.authors or (yours.author,)),
    }
    authors = tuple(sorted(people)) if len(people) > 1 else ()
    return replace(later, content=result, authors=authors)


def _lost(value: Value | None, edit: Edit) -> tuple[Any, str]:
    return _content(value), value.author if value else edit.author


def _content(value: Value | None) -> Any:
    return ("deleted",) if value is None else value.content


def _whole(time: datetime) -> datetime:
    return time.replace(microsecond=0)
