"""The change feed: what changed since a cursor, here or arriving from the remote.

A cursor names the snapshot that its holder has seen, and the last commit known to be on the remote
then. Changes are the net difference from that snapshot to the newest, so replay neither repeats
nor hides one: an edit that was reported when it was local and is placed unchanged is no
difference. If there are too many changes for one answer, the cursor also names the snapshot that
they start from, and how many of them were reported.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from csc_git.coordinator import clock
from csc_git.coordinator.results.changes import Changed, Changes, SettledEdit
from csc_git.coordinator.sessions import Sessions
from csc_git.core.clock import format_time
from csc_git.core.commit import CommitInfo
from csc_git.core.edit import Record
from csc_git.core.key import Key, format_scope
from csc_git.core.lease import SESSIONS, lease_key
from csc_git.core.pattern import compile_pattern
from csc_git.errors import CursorExpired, InputError
from csc_git.store.commit_walk import commits_back_to, descent, is_commit
from csc_git.store.difference import changed_keys
from csc_git.store.past_edits import keys_of, removals
from csc_git.store.snapshot import Snapshot, Stored
from csc_git.store.store import Store
from csc_git.store.watch import Watch
from csc_git.text import readable

MOST_CHANGES: Final = 200
MAX_TIMEOUT: Final = 600.0
_MOST_SEARCHED: Final = 5000
_LONGEST_NAME: Final = 200
_NONE: Final = "-"
_CURSOR: Final = re.compile(
    r"(?P<tip>-|[0-9a-f]{40,64})\.(?P<base>-|[0-9a-f]{40,64})"
    r"(?:\.(?P<start>-|[0-9a-f]{40,64})\.(?P<reported>[0-9]{1,9}))?"
)


@dataclass(frozen=True)
class Cursor:
    """How far somebody has read.

    Attributes:
        tip: The snapshot that was seen; None for the empty store.
        base: The last commit that was known to be on the remote.
        start: If the changes up to `tip` were reported in part: the snapshot that they start from.
        reported: How many changes between `start` and `tip` were reported.
    """

    tip: str | None
    base: str | None
    start: str | None = None
    reported: int = 0

    def __str__(self) -> str:
        parts = [self.tip or _NONE, self.base or _NONE]
        if self.reported:
            parts += [self.start or _NONE, str(self.reported)]
        return ".".join(parts)

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """The cursor that `str` wrote; raises InputError."""
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise InputError(
                f"since {text[:80]!a} is no cursor",
                then="Give the cursor of an earlier answer, or leave it out to begin from now",
            )
        tip, base, start = (
            _commit(match[name]) for name in ("tip", "base", "start")
        )
        return cls(tip, base, start, int(match["reported"] or 0))


class Feed:
    """What changed, for callers that ask or wait.

    Args:
        store: The clone's store.
        watch: Wakes when it may have changed.
        sessions: This server's, whose edits are reported when they settle.
        lost: Notices of claims that a session lost; each is returned once.
    """

    def __init__(
        self,
        store: Store,
        watch: Watch,
        sessions: Sessions,
        lost: Callable[[str], list[str]],
    ) -> None:
        self._store = store
        self._watch = watch
        self._sessions = sessions
        self._lost = lost

    def now(self) -> Cursor:
        """A cursor that has seen everything up to now."""
        branch = self._store.branch
        base = (
            branch.base
        )  # before the tip, so that nothing that settles in between is skipped
        return Cursor(branch.tip, base)

    def wait(  # noqa: PLR0913  each narrows what is waited for
        self,
        since: str | None = None,
        scopes: Sequence[str] | None = None,
        timeout: float = 30.0,
        *,
        others_only: bool = False,
        reports_losses: bool = True,
        sync_state: str | None = None,
        given_up: Callable[[], bool] = lambda: False,
    ) -> Changes:
        """Wait until something changed since a cursor, or time runs out.

        Args:
            since: The cursor of an earlier answer; None: from now.
            scopes: Globs; None: all scopes but `sessions`, whose leases are renewed all the time.
            timeout: Seconds; 0 only looks.
            others_only: Leave out what this server's own sessions wrote.
            reports_losses: Whether the answer reaches the sessions: they get each loss once.
            sync_state: How things stand with the remote, if a change of that is to be reported too.
            given_up: Whether nobody waits any more; then nothing is consumed.

        Raises:
            InputError: no cursor, no glob, or a timeout out of range.
            CursorExpired: its snapshot is gone.
        """
        if not 0 <= timeout <= MAX_TIMEOUT:
            raise InputError(
                f"timeout {timeout} is out of range; 0 to {MAX_TIMEOUT:.0f} do"
            )
        cursor = Cursor.parse(since) if since is not None else self.now()
        wanted = _filter(scopes)
        lost = self._lost if reports_losses else lambda _: []
        deadline = clock.instant().seconds + timeout
        with self._watch.listening() as may_have_changed:
            while True:
                if given_up():
                    raise InputError("The wait was given up")
                found = self._look(cursor, wanted, others_only=others_only)
                news = [
                    line for name in self._sessions.here for line in lost(name)
                ]
                turned = sync_state not in {None, found.sync_state}
                if (
                    news
                    or turned
                    or found.changes
                    or found.more
                    or found.settled
                ):
                    return found.model_copy(update={"lost_claims": news})
                if not may_have_changed(deadline - clock.instant().seconds):
                    return found

    def _look(
        self,
        cursor: Cursor,
        wanted: Callable[[Key], bool],
        *,
        others_only: bool,
    ) -> Changes:
        start, now = self._span(cursor)
        changes = self._differences(start, now.tip, wanted)
        page = list(
            islice(changes, cursor.reported, cursor.reported + MOST_CHANGES + 1)
        )
        more = len(page) > MOST_CHANGES
        if more:
            now = replace(
                now, start=start, reported=cursor.reported + MOST_CHANGES
            )
        page = page[:MOST_CHANGES]
        if others_only:
            page = [
                one for one in page if one.session not in self._sessions.here
            ]
        status = self._store.sync_status
        age = status.age(clock.instant())
        return Changes(
            changes=page,
            settled=list(self._settled(cursor.base, now.base)),
            lost_claims=[],
            cursor=str(now),
            more=more,
            contact_age=None if age is None else round(age, 1),
            sync_state=str(status.state),
        )

    def _span(self, cursor: Cursor) -> tuple[str | None, Cursor]:
        """From which snapshot to which to tell; the latter as a cursor."""
        objects = self._store.repository.objects
        for commit in (cursor.tip, cursor.base, cursor.start):
            if commit is not None and not is_commit(objects, commit):
                raise CursorExpired(
                    "The cursor names a snapshot that this clone has no more"
                )
        now = self._whole(self.now(), cursor.base)
        if cursor.reported:  # go on with a difference that was reported in part
            return cursor.start, Cursor(cursor.tip, now.base)
        return cursor.tip, now

    def _whole(self, now: Cursor, reported: str | None) -> Cursor:
        """A cursor whose tip has what its base has.

        A sync moves the base before the tip. Seen in between, edits would be settled before what
        they changed is to be seen; so until the tip follows, the base is the one reported before.
        """
        if now.base is None or now.base == reported:
            return now
        objects, follows = self._store.repository.objects, False
        if now.tip is not None:
            follows = (
                descent(objects, now.base, now.tip, most=_MOST_SEARCHED)
                is not None
            )
        return now if follows else replace(now, base=reported)

    def _differences(
        self, start: str | None, end: str | None, wanted: Callable[[Key], bool]
    ) -> Iterator[Changed]:
        objects = self._store.repository.objects
        before, after = Snapshot(objects, start), Snapshot(objects, end)
        found = [
            one
            for one in changed_keys(objects, before, after)
            if wanted(one[0])
        ]
        gone = {
            key for key, _, new in found if new is None or not new.is_readable
        }
        authors = removals(objects, gone, start, end, _MOST_SEARCHED)
        return (_changed(key, old, new, authors) for key, old, new in found)

    def _settled(
        self, old: str | None, new: str | None
    ) -> Iterator[SettledEdit]:
        """Edits of this server's sessions that the remote got since."""
        if old == new or not self._sessions.handles:
            return
        objects = self._store.repository.objects
        for commit in commits_back_to(objects, old, new, _MOST_SEARCHED):
            record = Record.parse(commit.message)
            made = self._made_here(commit, record) if record else None
            if record and made and not self._is_lease(made):
                yield SettledEdit(
                    op=record.op, outcome=str(record.outcome or "applied")
                )

    def _made_here(
        self, commit: CommitInfo, record: Record
    ) -> CommitInfo | None:
        """An edit as a session of this server made it; None if it is somebody else's.

        A name alone does not tell: two clones can take the same one before either knows. The
        commit of a replayed edit that was acknowledged first is only where that was; another edit
        stands on a record of its session, which names its owner.
        """
        if record.session not in self._sessions.handles:
            return None
        objects = self._store.repository.objects
        if record.origin is not None:
            return (
                objects.commit(record.origin)
                if objects.has(record.origin)
                else None
            )
        lease = Snapshot(objects, commit.id).get(lease_key(record.session))
        return (
            commit if lease and self._sessions.presence.is_here(lease) else None
        )

    def _is_lease(self, edit: CommitInfo) -> bool:
        """Whether an edit is a sign-on, a renewal or a sign-off: nobody waits for its fate."""
        keys = keys_of(self._store.repository, edit)
        return bool(keys) and all(key.scope == SESSIONS for key in keys)


def _changed(
    key: Key,
    old: Stored | None,
    new: Stored | None,
    deleters: dict[Key, Record],
) -> Changed:
    said = deleters.get(key)
    if new is not None and new.is_readable:
        who, when = new.entry.session, format_time(new.entry.time)
    else:
        who, when = (
            (said.session, format_time(said.clock)) if said else ("", "")
        )
    return Changed.of(
        key, old, new, session=readable(who, _LONGEST_NAME), time=when
    )


def _filter(scopes: Sequence[str] | None) -> Callable[[Key], bool]:
    if scopes is None:
        return lambda key: key.scope[:1] != SESSIONS
    patterns = [compile_pattern(scope) for scope in scopes]
    return lambda key: any(
        pattern.match(format_scope(key.scope)) for pattern in patterns
    )


def _commit(text: str | None) -> str | None:
    return None if text in {None, _NONE} else text
