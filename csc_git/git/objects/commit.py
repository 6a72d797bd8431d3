"""Commits: functions that encode commits and read them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from csc_git.core.clock import EPOCH
from csc_git.core.commit import CommitInfo
from csc_git.errors import StoreDamaged

_COMMIT: Final = re.compile(
    rb"tree (?P<tree>[0-9a-f]{40,64})\n(?P<parents>(?:parent [0-9a-f]{40,64}\n)*)"
)
_AUTHOR: Final = re.compile(
    rb"^author (?P<name>[^\n]*?>) (?P<seconds>\d{1,18}) ",
    re.MULTILINE,
)
_COMMITTER: Final = re.compile(
    rb"^committer (?P<name>[^\n]*?) <",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Signature:
    """The author or the committer of a new commit, with a time."""

    name: str
    email: str
    time: datetime

    def line(self) -> str:
        """Return the text `Name <email> seconds zone`.

        Characters that would break this form are removed from the name and the address.
        """
        name = self.name.translate(_UNSAFE).strip()
        email = self.email.translate(_UNSAFE).strip()
        seconds = int(self.time.timestamp())
        return f"{name} <{email}> {seconds} +0000"


_UNSAFE: Final = dict.fromkeys(
    [
        *map(ord, "<>"),
        *range(0x20),
        *range(0x7F, 0xA0),
    ]
)


def encode_commit(
    tree: str,
    parent: str | None,
    author: Signature,
    committer: Signature,
    message: str,
) -> bytes:
    """Encode a commit as git stores it.

    Args:
        tree: Id of the commit's tree.
        parent: Id of the commit's only parent. None if the commit is the first of a branch.
        author: The author of the edit.
        committer: The person or session that puts the commit on the branch.
        message: The commit message: subject, body and trailers.
    """
    lines = [f"tree {tree}"]
    if parent:
        lines.append(f"parent {parent}")
    lines += [
        f"author {author.line()}",
        f"committer {committer.line()}",
        "",
        message,
    ]
    return "\n".join(lines).encode(errors="replace")


def read_commit(
    commit_id: str,
    raw: bytes,
) -> CommitInfo:
    """Parse the raw bytes of a commit.

    Commits that csc-git writes have one parent. If somebody made a merge commit by hand, only its
    first parent is used. Anybody with write access to the remote can push a commit that another
    program made. So only the commit's tree and parents must be well-formed. An author that can't be
    read becomes empty, and a time that can't be read becomes the epoch.

    Args:
        commit_id: Full object id of the commit.
        raw: The bytes that git stores for the commit.

    Raises:
        StoreDamaged: the bytes do not begin with a tree and well-formed parents.
    """
    head, _, message = raw.partition(b"\n\n")
    match = _COMMIT.match(head + b"\n")
    if match is None:
        raise StoreDamaged(f"The commit {commit_id} can't be read")
    author, author_time = _author(head)
    return CommitInfo(
        id=commit_id,
        tree=match["tree"].decode(),
        parent=_first_parent(match["parents"]),
        message=message.decode(errors="replace"),
        author=author,
        author_time=author_time,
        committer=_committer(head),
    )


def _first_parent(lines: bytes) -> str | None:
    """Return the id in the first line `parent <id>`; None if there are no such lines."""
    words = lines.split()
    if not words:
        return None
    return words[1].decode()


def _author(head: bytes) -> tuple[str, datetime]:
    """Return a commit's author as `Name <email>`, and the time when the author made the commit."""
    found = _AUTHOR.search(head)
    if found is None:
        return "", EPOCH
    name = found["name"].decode(errors="replace")
    return name, _time(found["seconds"])


def _committer(head: bytes) -> str:
    """Return the name of a commit's committer; empty if it can't be read."""
    found = _COMMITTER.search(head)
    if found is None:
        return ""
    return found["name"].decode(errors="replace")


def _time(seconds: bytes) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return EPOCH
