"""A commit as csc-git reads it."""

from datetime import datetime
from typing import NamedTuple


class CommitInfo(NamedTuple):
    """Content of a commit object.

    Attributes:
        id: Its full object id.
        tree: Id of its tree.
        parent: Id of its first parent; None if it has none.
        message: Subject, body and trailers.
        author: `Name <email>`; empty if the commit has no readable author.
        author_time: When it was made, by the author's clock.
        committer: Name of who placed it.
    """

    id: str
    tree: str
    parent: str | None
    message: str
    author: str
    author_time: datetime
    committer: str
