"""Commits: reading one, and the names in one that is to be written."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from csc_git.errors import StoreDamaged

_COMMIT: Final = re.compile(
    rb"tree (?P<tree>[0-9a-f]{40,64})\n(?P<parents>(?:parent [0-9a-f]{40,64}\n)*)"
)
_AUTHOR: Final = re.compile(rb"^author ([^\n]*?>) (\d{1,18}) ", re.MULTILINE)
_COMMITTER: Final = re.compile(rb"^committer ([^\n]*?) <", re.MULTILINE)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class CommitInfo(NamedTuple):
    """Content of a commit object."""

    id: str
    tree: str
    parent: str | None
    message: str
    author: str
    author_time: datetime
    committer: str


@dataclass(frozen=True)
class Signature:
    """Author or committer of a commit to be written."""

    name: str
    email: str
    time: datetime

    def line(self) -> str:
        """`Name <email> seconds zone`, without what would break out of the line."""
        name, email = (
            text.translate(_UNSAFE).strip() for text in (self.name, self.email)
        )
        return f"{name} <{email}> {int(self.time.timestamp())} +0000"


_UNSAFE: Final = dict.fromkeys(
    [*map(ord, "<>"), *range(0x20), *range(0x7F, 0xA0)]
)


def encode_commit(
    tree: str,
    parent: str | None,
    author: Signature,
    committer: Signature,
    message: str,
) -> bytes:
    """The bytes of a commit."""
    head = [f"tree {tree}", *([f"parent {parent}"] if parent else [])]
    head += [f"author {author.line()}", f"committer {committer.line()}"]
    return "\n".join([*head, "", message]).encode(errors="replace")


def read_commit(commit_id: str, raw: bytes) -> CommitInfo:
    """What a commit's raw bytes say.

    csc-git writes one line of commits. Where somebody merged by hand, the first parent is the line.
    Anybody who may push can have made a commit, by any means: only its tree and parents must have
    their form; an author or time without it is nobody, and the beginning of time.

    Raises:
        StoreDamaged: no tree, or parents that are not commits.
    """
    head, _, message = raw.partition(b"\n\n")
    match = _COMMIT.match(head + b"\n")
    if match is None:
        raise StoreDamaged(f"The commit {commit_id} can't be read")
    parents = match["parents"].split()
    by, placed = _AUTHOR.search(head), _COMMITTER.search(head)
    return CommitInfo(
        id=commit_id,
        tree=match["tree"].decode(),
        parent=parents[1].decode() if parents else None,
        message=message.decode(errors="replace"),
        author=by[1].decode(errors="replace") if by else "",
        author_time=_time(by[2]) if by else EPOCH,
        committer=placed[1].decode(errors="replace") if placed else "",
    )


def _time(seconds: bytes) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return EPOCH
