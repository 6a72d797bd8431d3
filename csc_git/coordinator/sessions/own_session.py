"""A session of this process: its lease, its lock, and the edits of its record."""

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
        name: Its full name.
        lease: Its record as this process wrote it last.
        lock: The lock file that this process keeps locked while the session is alive.
        op: The edit of its record that was made last; None before the first.
        renewed: When the lease was renewed last.
        resumes: What it had claimed when its server ended a moment ago.
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
        """Refuse an edit of this session if it lost its name.

        It is called under the store's lock, so it must not take the lock of `Sessions`: sign-on and
        renewal take the two in the opposite order.

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
        what = f"Another session has the name {name} now: its lease had lapsed"
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
            snapshot: The state that the edit is decided on; the record must not have changed since.
            action: What the edit does, for the commit's subject: `sign on`, `renewal of`.
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
