"""Read the values of keys, and list keys and scopes."""

from csc_git.coordinator.reading.past import Past
from csc_git.coordinator.reading.summary import Summary
from csc_git.coordinator.results.data import Keys, Retrieved, Scopes
from csc_git.coordinator.writer import Writer
from csc_git.core.key import format_scope
from csc_git.core.pattern import matching, part
from csc_git.core.session import resolve_key, resolve_scope
from csc_git.store.store import Store


class Values:
    """Reads current and earlier values, and lists keys and scopes.

    Args:
        store: The clone's store.
        writer: The writer, which fetches from the remote before a fresh read.
        past: The history, from which earlier values are read.
        summary: The object that makes the result of a read.
        machine: This machine's name, with which `session:claude_1` is completed to
            `session:claude_1@<machine>`.
    """

    def __init__(
        self,
        store: Store,
        writer: Writer,
        past: Past,
        summary: Summary,
        machine: str,
    ) -> None:
        self._store = store
        self._writer = writer
        self._past = past
        self._summary = summary
        self._machine = machine

    def retrieve(
        self,
        scope: str,
        key: str,
        *,
        fresh: bool = False,
        at: str | None = None,
    ) -> Retrieved:
        """Read a key's value.

        Args:
            scope: The key's scope.
            key: The key's name.
            fresh: Whether to fetch from the remote first. If the remote does not answer in time,
                the value that this clone has is returned.
            at: A time or a commit. The value that the key had at that time or commit is read. None
                means the current value.

        Raises:
            InputError: a name, the time or the commit can't be used.
            UnreadableValue: the key has a file on the branch that csc-git can't read as a value.
        """
        place = resolve_key(scope, key, self._machine)
        if fresh:
            self._writer.refresh()
        if at is None:
            snapshot = self._store.snapshot()
        else:
            snapshot = self._past.at(at)
        found = self._summary.retrieved(snapshot, place)
        if not found.found and found.revision is not None:
            raise self._past.unreadable(place, snapshot)
        return found

    def list_keys(
        self,
        scope: str,
        after: str | None = None,
        limit: int | None = None,
    ) -> Keys:
        """List the keys of a scope, in the order of their names.

        Args:
            scope: The scope.
            after: List only the names that come after this name. If None, list all names.
            limit: List at most this many keys, 1 or more. If None, list all keys.

        Raises:
            InputError: the scope or the limit can't be used.
        """
        segments = resolve_scope(scope, self._machine)
        snapshot = self._store.snapshot()
        names = snapshot.names(segments)
        page, more = part(names, after, limit)
        return Keys(
            scope=format_scope(segments),
            keys=page,
            more=more,
        )

    def list_scopes(
        self,
        pattern: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Scopes:
        """List the scopes that have keys, in the order of their names.

        Args:
            pattern: The pattern that the scopes must match. None means all scopes.
            after: List only the scopes that come after this scope. If None, list all scopes.
            limit: List at most this many scopes, 1 or more. If None, list all scopes.

        Raises:
            InputError: the pattern or the limit can't be used.
        """
        snapshot = self._store.snapshot()
        scopes = snapshot.scope_texts()
        if pattern is not None:
            scopes = matching(pattern, scopes)
        page, more = part(scopes, after, limit)
        return Scopes(scopes=page, more=more)
