"""Findings: what a check saw, in a line each."""

from collections.abc import Callable, Iterator
from typing import Literal

from csc_git.coordinator.results import Result
from csc_git.errors import CscError

Level = Literal["ok", "warning", "error"]


class Finding(Result):
    """What a check saw.

    Attributes:
        check: What was looked at, in a word or two.
        level: `ok`; `warning`: it works, but not for long or not as well as it could; `error`.
        says: What was found.
        fix: What to do about it; a command where there is one. Never one that destroys anything.
    """

    check: str
    level: Level
    says: str
    fix: str = ""


Check = Callable[[], Iterator[Finding]]


def fine(check: str, says: str) -> Finding:
    """Nothing to do."""
    return Finding(check=check, level="ok", says=says)


def doubtful(check: str, says: str, fix: str) -> Finding:
    """Something to see to."""
    return Finding(check=check, level="warning", says=says, fix=fix)


def wrong(check: str, says: str, fix: str) -> Finding:
    """Something that stands in the way."""
    return Finding(check=check, level="error", says=says, fix=fix)


def refused(check: str, error: CscError) -> Finding:
    """What an error of ours says."""
    return wrong(check, error.what, error.then)
