"""Values: what the store has under a key, and which keys and scopes it has."""

from csc_git.coordinator.past import Past
from csc_git.coordinator.results.data import Keys, Retrieved, Scopes
from csc_git.coordinator.summary import Summary
from csc_git.coordinator.writer import Writer
from csc_git.core.key import format_scope
from csc_git.core.pattern import matching, part
from csc_git.core.session import resolve_key, resolve_scope
from csc_git.store.store import Store


class Values:
    """Reads values, here and now or as they were.

    Args:
        store: The clone's store.
        writer: Asks the remote for a read that shall be fresh.
        past: Reads the store as it was.
        summary: Answers with a value.
        machine: Completes `session:claude_1` to `session:claude_1@<machine>`.
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
        """A key's value.

        Args:
            scope: Its scope.
            key: Its name.
            fresh: Ask the remote first; if it does not answer in time, read what is here.
            at: Read the past, as of a time or a commit.

        Raises:
            UnreadableValue: somebody edited its file by hand, and it is no value any more.
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
        self, scope: str, after: str | None = None, limit: int | None = None
    ) -> Keys:
        """The keys of a scope, in the order of their names.

        Args:
            scope: The scope.
            after: Only the names behind this one.
            limit: How many at most; None: all.
        """
        segments = resolve_scope(scope, self._machine)
        names = self._store.snapshot().names(segments)
        page, more = part(names, after, limit)
        return Keys(scope=format_scope(segments), keys=page, more=more)

    def list_scopes(
        self,
        pattern: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Scopes:
        """The scopes that hold keys, in the order of their names.

        Args:
            pattern: A glob that they match; None: all of them.
            after: Only those behind this one.
            limit: How many at most; None: all.
        """
        scopes = self._store.snapshot().scope_texts()
        if pattern is not None:
            scopes = matching(pattern, scopes)
        page, more = part(scopes, after, limit)
        return Scopes(scopes=page, more=more)
