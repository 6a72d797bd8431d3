"""The content of a commit, as csc-git reads it."""

from datetime import datetime
from typing import NamedTuple


class CommitInfo(NamedTuple):
    """Content of a commit object.

    Attributes:
        id: Full object id of the commit.
        tree: Id of the commit's tree.
        parent: Id of the commit's first parent; None if the commit has no parent.
        message: The commit message: subject, body and trailers.
        author: The author as `Name <email>`; empty if the commit has no readable author.
        author_time: When the commit was made, by the author's clock.
        committer: Name of the committer, who put the commit on the branch.
    """

    id: str
    tree: str
    parent: str | None
    message: str
    author: str
    author_time: datetime
    committer: str
