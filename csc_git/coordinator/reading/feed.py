"""The change feed, which reports the changes that this clone and other clones have made.

A cursor contains the snapshot that the caller has seen, and the last commit that was then known to
be on the remote. The feed compares that snapshot with the newest snapshot and reports the
differences. So a replay does not cause a change to be reported twice or not at all. For instance,
an edit may be reported while the edit is local. If the replay then does not alter the edit, there
is no new difference to report.

If there are too many changes for one answer, the cursor also contains the snapshot from which the
changes are counted, and the number of changes that were already reported.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from csc_git.coordinator import clock
from csc_git.coordinator.reading.sync_summary import contact_age
from csc_git.coordinator.results.changes import Changed, Changes, SettledEdit
from csc_git.coordinator.sessions.sessions import Sessions
from csc_git.core.clock import format_time
from csc_git.core.commit import CommitInfo
from csc_git.core.edit import Record
from csc_git.core.key import Key, format_scope
from csc_git.core.lease import SESSIONS, lease_key
from csc_git.core.pattern import compile_pattern
from csc_git.errors import CursorExpired, InputError
from csc_git.store.commit_walk import commits_back_to, descent, is_commit
from csc_git.store.past_edits import keys_of, removals
from csc_git.store.store import Store
from csc_git.store.tree.difference import Change, changed_keys
from csc_git.store.tree.snapshot import Snapshot
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
    """The position of a caller in the change feed.

    Attributes:
        tip: The snapshot that the caller has seen. None means the empty store.
        base: The last commit that was known to be on the remote; None if there was no such commit.
        start: The snapshot from which the changes up to `tip` are counted, if only some of these
            changes were reported. None means the empty store.
        reported: The number of changes between `start` and `tip` that were reported; 0 if all
            changes were reported.
    """

    tip: str | None
    base: str | None
    start: str | None = None
    reported: int = 0

    def __str__(self) -> str:
        tip = self.tip or _NONE
        base = self.base or _NONE
        text = f"{tip}.{base}"
        if not self.reported:
            return text
        start = self.start or _NONE
        return f"{text}.{start}.{self.reported}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read a cursor from its text.

        Raises:
            InputError: the text is not a cursor.
        """
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise InputError(
                f"since {text[:80]!a} is not a cursor",
                then="Give the cursor of an earlier answer, or omit `since` to begin from now",
            )
        return cls(
            tip=_commit(match["tip"]),
            base=_commit(match["base"]),
            start=_commit(match["start"]),
            reported=int(match["reported"] or 0),
        )


class Feed:
    """Reports changes to callers that wait for them.

    Args:
        store: The clone's store.
        watch: The object that wakes a waiting caller when the store may have changed.
        sessions: The sessions of this process. If an edit of one of these sessions is confirmed,
            the feed reports this.
        lost: A function that returns notices of the claims that a session lost. Each notice is
            returned only once.
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
        """Return a cursor at the current position, after all changes up to now."""
        branch = self._store.branch
        # The base is read before the tip. So an edit that is confirmed between the two reads is
        # reported later.
        base = branch.base
        return Cursor(branch.tip, base)

    def wait(  # noqa: PLR0913  each option limits what to wait for
        self,
        since: str | None = None,
        scopes: Sequence[str] | None = None,
        timeout: float = 30.0,
        *,
        others_only: bool = False,
        reports_losses: bool = True,
        sync_state: str | None = None,
        given_up: Callable[[], bool] | None = None,
    ) -> Changes:
        """Wait until there are changes since a cursor, or until `timeout` seconds have passed.

        Args:
            since: The cursor of an earlier answer. If None, only changes from now on are reported.
            scopes: Patterns of the scopes to watch. None means all scopes except `sessions`. Leases
                in the scope `sessions` are renewed all the time.
            timeout: Wait at most this many seconds. If 0, return at once.
            others_only: Whether to leave out changes by the sessions of this process.
            reports_losses: Whether the answer includes the claims that the sessions of this process
                lost. A loss is reported only once, so the answer must reach the sessions.
            sync_state: The sync state that the caller knows. If the state changes, the wait ends.
                If None, a change of the state does not end the wait.
            given_up: A function that returns whether the caller has stopped waiting. If the
                caller has stopped waiting, the feed reports no loss. None if the caller never stops
                waiting early.

        Raises:
            InputError: `since` is not a cursor, one of `scopes` is not a pattern, `timeout` is out
                of range, or the caller has stopped waiting.
            CursorExpired: this clone no longer has the snapshot of the cursor.
        """
        if not 0 <= timeout <= MAX_TIMEOUT:
            raise InputError(
                f"timeout {timeout} is out of range; "
                f"it must be 0 to {MAX_TIMEOUT:.0f} seconds"
            )
        if since is None:
            cursor = self.now()
        else:
            cursor = Cursor.parse(since)
        is_wanted = _filter(scopes)
        deadline = clock.instant().seconds + timeout
        with self._watch.listening() as may_have_changed:
            while True:
                if given_up is not None and given_up():
                    raise InputError("The caller has stopped waiting")
                found = self._look(cursor, is_wanted, others_only=others_only)
                if reports_losses:
                    losses = self._losses()
                    found = found.model_copy(update={"lost_claims": losses})
                if _has_news(found, sync_state):
                    return found
                left = deadline - clock.instant().seconds
                if not may_have_changed(left):
                    return found

    def _losses(self) -> list[str]:
        """Return one notice for each claim that a session of this process has lost."""
        notices: list[str] = []
        for session in self._sessions.here:
            notices += self._lost(session)
        return notices

    def _look(
        self,
        cursor: Cursor,
        is_wanted: Callable[[Key], bool],
        *,
        others_only: bool,
    ) -> Changes:
        """Return at most 200 changes since a cursor. Lost claims are not part of the result."""
        start, now = self._span(cursor)
        changes = self._differences(start, now.tip, is_wanted)
        first = cursor.reported
        end = first + MOST_CHANGES
        page = list(islice(changes, first, end + 1))
        more = len(page) > MOST_CHANGES
        if more:
            now = replace(now, start=start, reported=end)
            page = page[:MOST_CHANGES]
        if others_only:
            here = self._sessions.here
            page = [one for one in page if one.session not in here]
        settled = self._settled(cursor.base, now.base)
        status = self._store.sync_status
        return Changes(
            changes=page,
            settled=list(settled),
            lost_claims=[],
            cursor=str(now),
            more=more,
            contact_age=contact_age(status),
            sync_state=str(status.state),
        )

    def _span(self, cursor: Cursor) -> tuple[str | None, Cursor]:
        """Return the snapshot from which the next changes are counted, and the next cursor."""
        objects = self._store.repository.objects
        for commit in (cursor.tip, cursor.base, cursor.start):
            if commit is not None and not is_commit(objects, commit):
                raise CursorExpired(
                    "The cursor names a snapshot that this clone no longer has"
                )
        now = self._consistent(self.now(), cursor.base)
        if cursor.reported:
            # Continue with the changes that were only partly reported.
            rest = Cursor(cursor.tip, now.base)
            return cursor.start, rest
        return cursor.tip, now

    def _consistent(
        self,
        now: Cursor,
        reported: str | None,
    ) -> Cursor:
        """Return a cursor whose tip contains its base.

        A sync changes the base first and the tip later. If the feed used the new base with the old
        tip, the feed would report an edit as confirmed before it reports the change itself. So the
        cursor keeps the earlier base until the tip has changed too.
        """
        if now.base is None or now.base == reported:
            return now
        if self._contains(now.tip, now.base):
            return now
        return replace(now, base=reported)

    def _contains(
        self,
        tip: str | None,
        base: str,
    ) -> bool:
        if tip is None:
            return False
        objects = self._store.repository.objects
        between = descent(
            objects,
            base,
            tip,
            most=_MOST_SEARCHED,
        )
        return between is not None

    def _differences(
        self,
        start: str | None,
        end: str | None,
        is_wanted: Callable[[Key], bool],
    ) -> Iterator[Changed]:
        objects = self._store.repository.objects
        before = Snapshot(objects, start)
        after = Snapshot(objects, end)
        changes: list[Change] = []
        gone = set[Key]()
        for change in changed_keys(objects, before, after):
            if not is_wanted(change.key):
                continue
            changes.append(change)
            new = change.after
            if new is None or not new.is_readable:
                gone.add(change.key)
        removed_by = removals(
            objects,
            gone,
            start,
            end,
            _MOST_SEARCHED,
        )
        for change in changes:
            yield _changed(change, removed_by)

    def _settled(
        self,
        old: str | None,
        new: str | None,
    ) -> Iterator[SettledEdit]:
        """Yield the edits of this process's sessions that the remote confirmed since `old`."""
        if old == new or not self._sessions.handles:
            return
        objects = self._store.repository.objects
        for commit in commits_back_to(objects, old, new, _MOST_SEARCHED):
            record = Record.parse(commit.message)
            if record is None:
                continue
            made = self._made_here(commit, record)
            if made is None or self._is_lease(made):
                continue
            outcome = record.outcome or "applied"
            yield SettledEdit(
                op=record.op,
                outcome=str(outcome),
            )

    def _made_here(
        self,
        commit: CommitInfo,
        record: Record,
    ) -> CommitInfo | None:
        """Return an edit's original commit if a session of this process made the edit; else None.

        The session's name is no proof, because two clones can use the same name before they know of
        each other. If the edit was replayed, only the clone that made the edit has the original
        commit. If the edit was not replayed, the commit's tree contains the session's record with
        the id of this clone.
        """
        if record.session not in self._sessions.handles:
            return None
        objects = self._store.repository.objects
        if record.origin is not None:
            if objects.has(record.origin):
                return objects.commit(record.origin)
            return None
        after = Snapshot(objects, commit.id)
        key = lease_key(record.session)
        lease = after.get(key)
        if lease is None:
            return None
        if self._sessions.presence.is_here(lease):
            return commit
        return None

    def _is_lease(self, edit: CommitInfo) -> bool:
        """Return whether an edit is a sign-on, a renewal or a sign-off."""
        keys = keys_of(self._store.repository, edit)
        scopes = {key.scope for key in keys}
        return scopes == {SESSIONS}


def _has_news(
    found: Changes,
    sync_state: str | None,
) -> bool:
    """Return whether an answer has news for a caller, such as changes or a new sync state."""
    if sync_state not in {None, found.sync_state}:
        return True
    if found.changes or found.more:
        return True
    return bool(found.settled or found.lost_claims)


def _changed(
    change: Change,
    removed_by: Mapping[Key, Record],
) -> Changed:
    key, old, new = change
    who = ""
    when = ""
    if new is not None and new.is_readable:
        who = new.entry.session
        when = format_time(new.entry.time)
    elif key in removed_by:
        removal = removed_by[key]
        who = removal.session
        when = format_time(removal.clock)
    return Changed.of(
        key,
        old,
        new,
        session=readable(who, _LONGEST_NAME),
        time=when,
    )


def _filter(scopes: Sequence[str] | None) -> Callable[[Key], bool]:
    """Return a function that decides whether the scope of a key matches one of the patterns."""
    if scopes is None:
        return _is_outside_sessions
    patterns = [compile_pattern(scope) for scope in scopes]

    def is_wanted(key: Key) -> bool:
        scope = format_scope(key.scope)
        return any(pattern.match(scope) for pattern in patterns)

    return is_wanted


def _is_outside_sessions(key: Key) -> bool:
    return key.scope[:1] != SESSIONS


def _commit(text: str | None) -> str | None:
    if text == _NONE:
        return None
    return text
