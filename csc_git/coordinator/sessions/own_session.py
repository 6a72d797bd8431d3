"""A session of this process: its lease, its lock file, and the edits of its record."""

from dataclasses import dataclass

from csc_git.core.lease import Instant, Lease, lease_key
from csc_git.core.session import SessionName
from csc_git.errors import SessionFenced
from csc_git.files.lock import FileLock
from csc_git.store.transaction import Draft
from csc_git.store.tree.records import read_lease
from csc_git.store.tree.snapshot import Snapshot
from csc_git.text import quoted


@dataclass
class OwnSession:
    """A session of this process.

    Attributes:
        name: The full name of the session.
        lease: The record of the session, as this process last wrote it.
        lock: The lock file that this process keeps locked while the session is alive.
        op: The id of the last edit of the session's record; None before the first edit.
        renewed: The moment when the lease was last renewed.
        resumes: The resources that the session had claimed when the session's last server ended.
    """

    name: SessionName
    lease: Lease
    lock: FileLock
    op: str | None
    renewed: Instant
    resumes: tuple[str, ...] = ()

    def is_mine(self, snapshot: Snapshot) -> bool:
        """Check whether the record on the branch still belongs to this sign-on."""
        name = str(self.name)
        stored = snapshot.get(lease_key(name))
        lease = read_lease(stored)
        if lease is None or lease.holder != self.lease.holder:
            return False
        return lease.state == "active"

    def check(self, snapshot: Snapshot) -> None:
        """Raise an error if this session lost its name and so must not make an edit.

        This method is called while the store is locked. The method must not take the lock of
        `Sessions`, because sign-on and renewal take that lock first and lock the store second.

        Raises:
            SessionFenced: the session lost its name.
        """
        if not self.is_mine(snapshot):
            raise self.lost_name(snapshot)

    def lost_name(self, snapshot: Snapshot) -> SessionFenced:
        """Return the error that explains why the session no longer has its name."""
        name = str(self.name)
        stored = snapshot.get(lease_key(name))
        lease = read_lease(stored)
        what = f"Another session has the name {name} now: your lease had lapsed"
        if stored and lease and lease.holder == self.lease.holder:
            author = quoted(stored.entry.session)
            what = f"{name} was signed off by {author}"
        return SessionFenced(what, name)

    def draft(
        self,
        lease: Lease,
        snapshot: Snapshot,
        action: str,
    ) -> Draft:
        """Draft an edit that replaces the session's record.

        Args:
            lease: The new record.
            snapshot: The state from which the edit is made. If the record has changed since this
                state, the edit fails.
            action: The first words of the commit's subject, such as `sign on` or `renewal of`.
        """
        name = str(self.name)
        key = lease_key(name)
        return Draft(
            subject=f"{action} {name}",
            session=name,
            puts={key: lease.to_json()},
            requires={key: snapshot.revision(key)},
            fence=lease.fence,
        )
