"""Authors: who makes an edit."""

from collections.abc import Callable
from dataclasses import dataclass

from csc_git.store.snapshot import Snapshot


@dataclass(frozen=True)
class Author:
    """Who makes an edit.

    Attributes:
        name: As it stands in the value and the commit.
        fence: The session's, if it is one.
        check: Raises if this author may not write any more.
    """

    name: str
    fence: int | None
    check: Callable[[Snapshot], None]
